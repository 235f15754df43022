"""What is in a layer: paths of the image, and what stands there.

A tree is complete before anything is written, so that it can be written in the order of its
paths, whatever order it was found in. Times, owners and all rights but "executable" are not
taken over: two machines would differ in them.
"""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kubbo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["TMP", "Directory", "Entry", "File", "Link", "Tree", "walk"]

MAX_FILES: Final = 500_000
"""Of one directory that is copied: whoever names `/` by mistake is told so."""

_MAX_DEPTH: Final = 100


@dataclass(frozen=True, slots=True)
class File:
    """A regular file: the bytes of `source`, or `data`."""

    source: Path | None = None
    data: bytes = b""
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, to an absolute path of the image or a relative one."""

    target: str


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory, with its rights."""

    mode: int = 0o755


Entry = File | Link | Directory

TMP: Final = Directory(0o1777)
"""`/tmp`: a layer that has something in it must not take its rights away."""


@dataclass(slots=True)
class Tree:
    """The entries of a layer by their path, which is absolute and has no `..`."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])

    def put(self, path: str, entry: Entry) -> None:
        """Set what stands at `path`; what is above it becomes directories.

        Raises:
            UsageError: a file would have to be a directory, or a directory a file.
        """
        if posixpath.normpath(path) != path or not path.startswith("/") or path == "/":
            raise UsageError(f"{path!r} is no path of a file in an image")
        above = posixpath.dirname(path)
        while above != "/":
            stands = self.entries.setdefault(above, TMP if above == "/tmp" else Directory())  # noqa: S108 - the image's own
            if not isinstance(stands, Directory):
                raise UsageError(f"{path} cannot be in the image: {above} is a file there")
            above = posixpath.dirname(above)
        if isinstance(self.entries.get(path), Directory) and not isinstance(entry, Directory):
            raise UsageError(f"{path} cannot be a file in the image: it is a directory there")
        self.entries[path] = entry

    def copy(
        self,
        source: Path,
        path: str,
        *,
        keep: Callable[[str], bool] = lambda _: True,
        without: Path | None = None,
    ) -> list[Path]:
        """Take a file, or a directory with all in it whose name `keep` keeps; what was copied.

        The file `without` is not copied.

        Symbolic links are followed: what they lead to need not be in the image.

        Raises:
            UsageError: it cannot be read, or has too many files.
        """
        if not source.is_dir():
            self.put(path, _file(source))
            return [source]
        self.put(path, self.entries.get(path, Directory()))
        copied: list[Path] = []
        for inside, found in walk(source, keep=keep):
            if without is not None and found.resolve() == without:
                continue
            entry: Entry = Directory() if found.is_dir() else _file(found)
            self.put(f"{path}/{inside}", entry)
            if isinstance(entry, File):
                copied.append(found)
        return copied

    @property
    def files(self) -> int:
        """How many of the entries are files."""
        return sum(isinstance(each, File) for each in self.entries.values())

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        """The entries, each after the directory that it is in."""
        yield from sorted(self.entries.items(), key=lambda item: item[0].split("/"))


def _file(source: Path) -> File:
    try:
        mode = source.stat().st_mode
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror or error}") from None
    if not stat.S_ISREG(mode):
        raise UsageError(f"{source} is neither a file nor a directory")
    return File(source, executable=bool(mode & 0o111))


def walk(top: Path, *, keep: Callable[[str], bool]) -> Iterator[tuple[str, Path]]:
    """Directories and regular files below `top`: the path from there, and the path here.

    What is neither, as a socket or a broken link, is passed over, and so is a link to a
    directory that it is itself in.

    Raises:
        UsageError: a directory cannot be read, or there are too many files.
    """
    count = 0

    def below(directory: Path, prefix: str, above: frozenset[str]) -> Iterator[tuple[str, Path]]:
        nonlocal count
        here = os.path.realpath(directory)
        if here in above:
            return
        if len(above) > _MAX_DEPTH:
            raise UsageError(f"{top} is more than {_MAX_DEPTH} directories deep")
        try:
            names = sorted(os.listdir(directory))  # noqa: PTH208 - the names are what is wanted
        except OSError as error:
            raise UsageError(f"cannot read {directory}: {error.strerror or error}") from None
        for name in names:
            if not keep(name):
                continue
            path = directory / name
            if path.is_dir():
                yield f"{prefix}{name}", path
                yield from below(path, f"{prefix}{name}/", above | {here})
            elif path.is_file():
                count += 1
                if count > MAX_FILES:
                    raise UsageError(f"{top} has more than {MAX_FILES:,} files; add less of it")
                yield f"{prefix}{name}", path

    yield from below(top, "", frozenset())
