"""A tree as the tar archive that a layer is: the same bytes for the same tree.

Source: the OCI image specification, "Image Layer Filesystem Changeset".
"""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING, Final, Protocol

from kubbo.errors import UsageError
from kubbo.image.tree import Directory, File, Link

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from kubbo.image.tree import Entry, Tree

__all__ = ["Writable", "write_layer"]

_PIECE: Final = 1 << 20


class Writable(Protocol):
    """What is written from its beginning to its end."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`."""
        ...


def write_layer(tree: Tree, file: Writable, *, epoch: int = 0) -> None:
    """Write the tree to `file`; all times are `epoch`, in seconds.

    Everything belongs to root, so that the program which runs cannot change it.

    Raises:
        UsageError: a file cannot be read, or changes while it is.
        OSError: `file` cannot be written.
    """
    for path, entry in tree:
        source = entry.source if isinstance(entry, File) else None
        if source is None:
            data = entry.data if isinstance(entry, File) else b""
            _write(file, _info(path, entry, epoch, len(data)), iter([data]))
            continue
        with _opened(source) as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(0)
            _write(file, _info(path, entry, epoch, size), _exactly(opened, size, source))
    file.write(bytes(2 * tarfile.BLOCKSIZE))


def _info(path: str, entry: Entry, epoch: int, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path.removeprefix("/"))
    info.mtime = epoch
    match entry:
        case Directory():
            info.type, info.mode = tarfile.DIRTYPE, entry.mode
        case Link():
            info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
        case File():
            info.mode, info.size = 0o755 if entry.executable else 0o644, size
    return info


def _write(file: Writable, info: tarfile.TarInfo, pieces: Iterator[bytes]) -> None:
    file.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
    for each in pieces:
        file.write(each)
    file.write(bytes(-info.size % tarfile.BLOCKSIZE))


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise _unreadable(source, error) from None


def _exactly(opened: BinaryIO, size: int, source: Path) -> Iterator[bytes]:
    """All of a file, if that is `size` bytes, as the header says already."""
    left = size
    while True:
        try:
            data = opened.read(_PIECE)
        except OSError as error:
            raise _unreadable(source, error) from None
        left -= len(data)
        if left < 0 or (left and not data):
            raise UsageError(f"{source} changed while it was read; try again")
        if not data:
            return
        yield data


def _unreadable(source: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot read {source}: {error.strerror or error}")
