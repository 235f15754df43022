"""Reading an image archive as its specification has it, independently of what writes it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubbo


@dataclass
class Read:
    """An image: its documents, and the members of each layer by name."""

    index: dict[str, Any]
    manifest: dict[str, Any]
    config: dict[str, Any]
    layers: list[dict[str, tarfile.TarInfo]]
    data: list[dict[str, bytes]]

    def file(self, name):
        """The bytes of a file of the image."""
        return next(each[name] for each in reversed(self.data) if name in each)

    @property
    def names(self):
        """All paths of the image."""
        return {name for layer in self.layers for name in layer}


def read_image(path: Path) -> Read:
    """Read an archive; each digest and size is checked, and that nothing else is in it."""
    with tarfile.open(path, "r:") as tar:
        assert all(each.isreg() for each in tar)
        assert json.load(tar.extractfile("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        used = {"oci-layout", "index.json"}

        def blob(descriptor):
            name = f"blobs/{descriptor['digest'].replace(':', '/')}"
            used.add(name)
            data = tar.extractfile(name).read()
            assert len(data) == descriptor["size"]
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == descriptor["digest"]
            return data

        index = json.load(tar.extractfile("index.json"))
        assert index["schemaVersion"] == 2
        assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
        (described,) = index["manifests"]
        manifest = json.loads(blob(described))
        assert manifest["schemaVersion"] == 2
        assert manifest["mediaType"] == described["mediaType"]
        assert described["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
        config = json.loads(blob(manifest["config"]))
        assert config["rootfs"]["type"] == "layers"
        assert config["rootfs"]["diff_ids"] == [each["digest"] for each in manifest["layers"]]
        assert len(config["history"]) == len(manifest["layers"])
        layers = []
        contents = []
        for each in manifest["layers"]:
            assert each["mediaType"] == "application/vnd.oci.image.layer.v1.tar"
            blob(each)
            name = f"blobs/{each['digest'].replace(':', '/')}"
            with tarfile.open(fileobj=tar.extractfile(name), mode="r:") as layer:
                members = layer.getmembers()
                names = [member.name for member in members]
                assert len(set(names)) == len(names)
                layers.append({member.name: member for member in members})
                contents.append(
                    {
                        member.name: layer.extractfile(member).read()
                        for member in members
                        if member.isreg()
                    }
                )
        assert used == set(tar.getnames())
        return Read(index, manifest, config, layers, contents)


def copy_of_kubbo(folder: Path) -> Path:
    """A copy, so that whoever edits Kubbo while tests run does not change an image; its path."""
    shutil.copytree(Path(kubbo.__file__).parent, folder / "kubbo")
    return folder
