"""A file, or a directory of files, looked at once a second.

A mounted ConfigMap is a directory in which every file is a link through `..data` to a directory of
its own version. A new version is put beside the old one, and `..data` is swapped by a rename, so
whoever follows `..data` once and reads what it finds there gets one version, whole. That is what
is done here. It needs no permission in the cluster; the kubelet takes up to a minute.

Looking costs some calls of `stat` in a worker thread, and reading only happens when one of them
gives something else. Notifications of the kernel would tell sooner, but not on every file system
that a pod may mount, and never of what a `..data` leads to.

A plain file may be seen while it is being written. So one that was changed a moment ago is looked
at again before it is believed.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from typing import TYPE_CHECKING, Final, TypeAlias

from kubbo.config.configuration import MAX_FILES, is_configuration_file
from kubbo.config.document import MAX_FILE_BYTES
from kubbo.live.source import Files, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from kubbo.live.source import Publish

__all__ = ["INTERVAL", "FileSource", "read_files"]

INTERVAL: Final = 1.0
"""Seconds between two looks."""

_SETTLED: Final = 0.05
"""Seconds for which a file must not have changed to be believed."""

_TRIES: Final = 5
_DATA: Final = "..data"

_Stamp: TypeAlias = tuple[object, ...]


class FileSource:
    """Watches a path."""

    remote = False

    def __init__(self, path: Path, *, interval: float = INTERVAL) -> None:
        self._path = path
        self._interval = interval

    def __str__(self) -> str:
        return str(self._path)

    async def watch(self, publish: Publish, /) -> None:
        """See `Source`."""
        told: _Stamp | str | None = None
        while True:
            found: Files | Unavailable | None = None
            try:
                stamp = await asyncio.to_thread(_stamp, self._path)
                if stamp != told:
                    stamp, files = await asyncio.to_thread(read_files, self._path)
                    told, found = stamp, Files(files)
            except OSError as error:
                reason = _reason(error, self._path)
                if reason != told:
                    told, found = reason, Unavailable(reason)
            if found is not None:
                await publish(found)
            await asyncio.sleep(self._interval)


def _reason(error: OSError, path: Path) -> str:
    return f"{path} cannot be read: {error.strerror or error}"


def read_files(path: Path) -> tuple[_Stamp, dict[str, bytes]]:
    """The files below a path, or the one there, as they were at one moment; and their stamp.

    Blocks. At most a byte more than a file may have is read of each: enough to refuse it.

    Raises:
        OSError: there is nothing, or it cannot be read, or it never stands still.
    """
    for _ in range(_TRIES):
        try:
            before = _stamp(path)
            files = {str(path / name): _read(real) for name, real in _paths(path)}
            if _is_fresh(path):
                time.sleep(_SETTLED)
            if before == _stamp(path):
                return before, files
        except FileNotFoundError:
            # Perhaps the version that was being read has just been replaced.
            _stamp(path)
    raise OSError(f"{path} changes faster than it can be read")


def _root(path: Path) -> Path:
    """The directory that holds the files; of a mounted ConfigMap the one of its version."""
    data = path / _DATA
    return path / data.readlink() if data.is_symlink() else path


def _paths(path: Path) -> list[tuple[str, Path]]:
    """Names, and where they are. The single file has its own name, which is empty here."""
    if not path.is_dir():
        return [("", path)]
    root = _root(path)
    names = sorted(each.name for each in root.iterdir() if is_configuration_file(each.name))
    # One more than may be there is enough to refuse them.
    return [(name, root / name) for name in names[: MAX_FILES + 1] if (root / name).is_file()]


def _stamp(path: Path) -> _Stamp:
    """What differs when the content may."""
    if not path.is_dir():
        return _mark(path)
    root = _root(path)
    return (str(root), *((name, *_mark(real)) for name, real in _paths(path)))


def _mark(path: Path) -> _Stamp:
    found = path.stat()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _is_fresh(path: Path) -> bool:
    if path.is_dir() and _root(path) != path:
        return False  # complete before it was swapped in
    newest = max((real.stat().st_mtime for _, real in _paths(path)), default=0.0)
    return abs(time.time() - newest) < _SETTLED


def _read(path: Path) -> bytes:
    # A pipe or a device would never end, and must not even be waited for.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no file")
        return file.read(MAX_FILE_BYTES + 1)
