"""An OCI image layout in a tar archive, written once from its first to its last byte.

    oci-layout                 the version of the layout
    blobs/sha256/DIGEST        layers, configuration, manifest
    index.json                 which manifest it is about, and the image's name

A blob's name is the digest of what is in it, which is known when all of it has been written. So
its header, 512 bytes in front of it, is written last: an image need not fit into memory, nor be
written twice. Layers are not compressed: their digest does not depend on a release of zlib, and
what pushes an image compresses it.

Source: the OCI image specification 1.1, "Image Layout", "Image Manifest", "Image Configuration".
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from kubbo.image.layer import Writable

__all__ = ["Archive", "Descriptor"]

LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"

_RECORD: Final = tarfile.RECORDSIZE


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What names a blob."""

    media_type: str
    digest: str
    size: int

    def as_json(self) -> dict[str, Any]:
        """In the words of the specification."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class Archive:
    """The archive, into an empty file that can be read nowhere yet; call `finish` last.

    All times in it are `epoch`, in seconds.
    """

    def __init__(self, file: BinaryIO, *, epoch: int = 0) -> None:
        self._file = file
        self._epoch = epoch
        self._blobs: dict[str, Descriptor] = {}
        self._put("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))

    def add_layer(self, write: Callable[[Writable], None]) -> Descriptor:
        """Add the layer that `write` writes into the file that it is given."""
        return self._blob(LAYER, write)

    def add_json(self, media_type: str, value: Mapping[str, Any]) -> Descriptor:
        """Add a configuration or a manifest."""
        data = _json(value)

        def write(file: Writable) -> None:
            file.write(data)

        return self._blob(media_type, write)

    def finish(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Write which manifests it is about, and the end."""
        self._put(
            "index.json", _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [*manifests]})
        )
        end = self._file.tell() + 2 * tarfile.BLOCKSIZE
        self._file.write(bytes(2 * tarfile.BLOCKSIZE + -end % _RECORD))

    def _put(self, name: str, data: bytes) -> None:
        self._file.write(self._header(name, len(data)))
        self._file.write(data)
        self._file.write(bytes(-len(data) % tarfile.BLOCKSIZE))

    def _blob(self, media_type: str, write: Callable[[Writable], None]) -> Descriptor:
        start = self._file.tell()
        self._file.write(bytes(tarfile.BLOCKSIZE))
        counted = _Hashing(self._file)
        write(counted)
        digest = counted.sha256.hexdigest()
        blob = Descriptor(media_type, f"sha256:{digest}", counted.size)
        if digest in self._blobs:  # two layers with nothing in them
            self._file.seek(start)
            self._file.truncate()
            return blob
        self._blobs[digest] = blob
        self._file.write(bytes(-counted.size % tarfile.BLOCKSIZE))
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(self._header(f"blobs/sha256/{digest}", counted.size))
        self._file.seek(end)
        return blob

    def _header(self, name: str, size: int) -> bytes:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, self._epoch, 0o644
        # GNU's form has one block for any size; PAX would need more above 8 GiB.
        header = info.tobuf(tarfile.GNU_FORMAT)
        assert len(header) == tarfile.BLOCKSIZE, "the names here are short"
        return header


class _Hashing:
    """Passes on what is written, and knows its digest and its size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self.sha256.update(data)
        self.size += len(data)
        return len(data)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
