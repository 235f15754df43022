"""From a module to an image: what is in each layer, how it starts, and the file that is written.

Three layers, of which each changes more often than the one below: the interpreter, the
distributions, the application. An image of changed code has the first two of the one before,
by their digests, and whoever has those fetches a few kilobytes.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubbo.errors import UsageError
from kubbo.image.application import Added, Application
from kubbo.image.archive import CONFIG, MANIFEST, Archive, Descriptor
from kubbo.image.bytecode import add_bytecode
from kubbo.image.distributions import Distributions
from kubbo.image.interpreter import APPLICATION, PATH, find_interpreter
from kubbo.image.layer import write_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from typing import BinaryIO


__all__ = ["Built", "Image", "build", "full_name", "mebibytes"]

_LATEST_TIME: Final = 253_402_300_799  # the end of the year 9999, the last that RFC 3339 has
_EPOCH: Final = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What is to be built.

    Args:
        module: that is run; the top-level one that it is in is copied.
        reference: the image's name with its tag, checked by the caller.
        command: what is run.
        user: the number of the user and of its group, as whom it runs.
        ports: that it listens on, for who reads the image.
        added: files besides.
        required: distributions that nothing imports by name.
        labels: more of them.
    """

    module: str
    reference: str
    command: tuple[str, ...]
    user: int
    ports: tuple[int, ...] = ()
    added: tuple[Added, ...] = ()
    required: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Built:
    """What was built.

    Attributes:
        digest: of the manifest: the image's own.
        size: of the archive, in bytes.
        layers: by what is in them.
        distributions: their versions.
        notes: what was not found, and may be missed.
    """

    reference: str
    digest: str
    size: int
    platform: str
    layers: Mapping[str, Descriptor]
    distributions: Mapping[str, str]
    modules: tuple[str, ...]
    notes: tuple[str, ...]


def full_name(reference: str) -> str:
    """The reference as a kubelet looks for it: what has no registry is from Docker's."""
    registry, slash, _ = reference.partition("/")
    if slash and ("." in registry or ":" in registry or registry == "localhost"):
        return reference
    return f"docker.io/{'' if slash else 'library/'}{reference}"


def build(image: Image, path: Path, *, say: Callable[[str], None]) -> Built:
    """Write the image's archive to `path`, which appears when it is whole; `say` gets progress.

    Raises:
        UsageError: something is not there, cannot be read, or cannot be written.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():  # a device would be replaced by a file
        raise UsageError(f"{path} is no file that could be replaced; write the archive elsewhere")
    epoch = _epoch()
    interpreter = find_interpreter()
    libraries = interpreter.libraries
    distributions = Distributions.here()
    distributions.require("kubbo[native]", by="an image needs")
    for each in image.required:
        distributions.require(each)
    application = Application()
    application.take(image.module.partition(".")[0], distributions)
    trees = {  # in this order: a library is in the layer that needs it first
        "interpreter": interpreter.tree(user=image.user),
        "distributions": distributions.tree(interpreter),
        "application": application.tree(image.added, interpreter, without=path),
    }
    layers: dict[str, Descriptor] = {}
    with _whole(path) as file:
        archive = Archive(file, epoch=epoch)
        for name, tree in trees.items():
            add_bytecode(tree)
            layers[name] = archive.add_layer(partial(write_layer, tree, epoch=epoch))
            say(f"{name}: {tree.files:,} files, {mebibytes(layers[name].size)}")
        config = archive.add_json(CONFIG, _config(image, interpreter.architecture, layers, epoch))
        manifest = archive.add_json(MANIFEST, _manifest(image, config, layers, epoch))
        archive.finish([_indexed(image, manifest, interpreter.architecture)])
        size = file.tell()
    return Built(
        full_name(image.reference),
        manifest.digest,
        size,
        f"linux/{interpreter.architecture}",
        layers,
        {name: each.version for name, each in sorted(distributions.taken.items())},
        tuple(sorted(application.modules)),
        tuple(dict.fromkeys([*distributions.notes, *libraries.notes])),
    )


def _epoch() -> int:
    text = os.environ.get(_EPOCH, "") or "0"
    if not re.fullmatch("[0-9]{1,12}", text) or int(text) > _LATEST_TIME:
        raise UsageError(f"{_EPOCH}={text[:100]!r} is no number of seconds since 1970")
    return int(text)


def mebibytes(size: int) -> str:
    """A number of bytes, for people."""
    return f"{size / 2**20:.1f} MiB"


def _config(
    image: Image, architecture: str, layers: Mapping[str, Descriptor], epoch: int
) -> dict[str, Any]:
    created = _time(epoch)
    return {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": f"{image.user}:{image.user}",
            "ExposedPorts": {f"{port}/tcp": {} for port in image.ports},
            "Env": [f"PATH={PATH}", "PYTHONUNBUFFERED=1"],
            "Entrypoint": [*image.command],
            "WorkingDir": APPLICATION,
            "Labels": _labels(image, created),
        },
        "rootfs": {"type": "layers", "diff_ids": [each.digest for each in layers.values()]},
        "history": [{"created": created, "created_by": f"kubbo image: {name}"} for name in layers],
    }


def _manifest(
    image: Image, config: Descriptor, layers: Mapping[str, Descriptor], epoch: int
) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.as_json(),
        "layers": [each.as_json() for each in layers.values()],
        "annotations": _labels(image, _time(epoch)),
    }


def _indexed(image: Image, manifest: Descriptor, architecture: str) -> dict[str, Any]:
    name = full_name(image.reference)
    return {
        **manifest.as_json(),
        "platform": {"architecture": architecture, "os": "linux"},
        "annotations": {
            # The first is read by containerd and podman, the second by others: the tag alone.
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": _tag(name),
        },
    }


def _labels(image: Image, created: str) -> dict[str, str]:
    name = image.reference.rpartition(":")[0].rpartition("/")[2]
    return {
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": _tag(image.reference),
        **image.labels,
    }


def _tag(reference: str) -> str:
    return reference.rpartition(":")[2]


def _time(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def _whole(path: Path) -> Generator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends, and goes when it fails."""
    try:
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise UsageError(f"cannot write into {path.parent}: {error.strerror or error}") from None
    try:  # with nothing before it, as Ctrl-C may come at any time
        with os.fdopen(number, "wb") as file:
            yield file
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    """There is no way to ask for it; nothing else runs in this process."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
