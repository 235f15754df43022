"""Where the loader of this machine finds libraries, and where an image has them.

A needed name is looked for as ld.so(8) has it: in the RPATH of the file and of what loaded it,
in LD_LIBRARY_PATH, in the RUNPATH of the file, then in the directories of /etc/ld.so.conf and
those that the loader itself knows. A file for another machine is passed over. Nothing is run
to find out, as ldd would.

In the image there is one rule. A library that its user finds by $ORIGIN stays where it is beside
its user, for both are copied. Every other one goes, by the name that it is needed by, into the
one directory in which libc was found: there any loader looks by itself, whatever was
configured here, so the image has no ld.so.conf and no LD_LIBRARY_PATH.
"""

from __future__ import annotations

import os
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubbo.image.elf import Elf, ElfError, read_elf_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Libraries", "Placed", "configured_directories", "system_directories"]

_LD_SO_CONF: Final = Path("/etc/ld.so.conf")
_MAX_CONF_BYTES: Final = 65_536
_MAX_CONF_FILES: Final = 256
_MAX_LIBRARIES: Final = 4_096

_MULTIARCH: Final = {
    (62, 64): "x86_64-linux-gnu",
    (183, 64): "aarch64-linux-gnu",
    (3, 32): "i386-linux-gnu",
    (40, 32): "arm-linux-gnueabihf",
    (21, 64): "powerpc64le-linux-gnu",
    (22, 64): "s390x-linux-gnu",
    (243, 64): "riscv64-linux-gnu",
    (258, 64): "loongarch64-linux-gnu",
}
"""Debian's directories, by machine and bits."""

_LOADED_UNASKED: Final = ("libgcc_s.so.1", "libnss_dns.so.2", "libnss_files.so.2")
"""What glibc opens by itself: to end threads; to look up names, in glibc older than 2.34."""

_LIBC: Final = re.compile(r"libc\.(so(\.6(\.1)?)?|musl-.*)")


@dataclass(frozen=True, slots=True)
class Placed:
    """A library, here and in the image."""

    source: Path
    target: str


@dataclass(slots=True)
class Libraries:
    """All libraries of an image; `add` tells which are new.

    Attributes:
        program: what the interpreter's file says.
        directory: where libraries are in the image.
        copied: the files of this machine, without symbolic links, that are in the image with all
            that is around them. Whoever calls `add` keeps it.
        notes: what was not found, or could not be read.
    """

    program: Elf
    program_path: Path
    library_path: Sequence[str] = ()
    system: Sequence[str] = ()
    directory: str = "/usr/lib"
    copied: set[Path] = field(default_factory=set[Path])
    notes: list[str] = field(default_factory=list[str])
    _placed: dict[str, Path] = field(default_factory=dict[str, Path])

    @classmethod
    def of(cls, path: Path) -> Libraries:
        """For the interpreter at `path`, by this machine's configuration.

        Raises:
            ElfError: it is no ELF file.
        """
        program = read_elf_file(path)
        given = [each for each in os.environ.get("LD_LIBRARY_PATH", "").split(":") if each]
        libraries = cls(program, path, given, system_directories(program))
        for name in (*program.needed, "libc.so.6"):
            found = _LIBC.fullmatch(name) and libraries._look(name, program, path, ())
            if found:
                libraries.directory = str(found[0].parent)
                break
        return libraries

    def add_program(self) -> list[Placed]:
        """What the interpreter itself needs: its loader and its libraries."""
        loader = self.program.interpreter
        if not loader:
            return []
        new = [Placed(Path(loader), loader)]
        new += self.add(self.program_path)
        for name in _LOADED_UNASKED:
            found = self._look(name, self.program, self.program_path, ())
            if found and name not in self._placed:
                new.append(self._place(name, found[0]))
                new += self._needs(
                    read_elf_file(found[0]), found[0], self._inherited(), stays=False
                )
        return new

    def add(self, path: Path) -> list[Placed]:
        """What the file at `path`, which is in the image, needs and is not there yet.

        What is not found is a note: here it is not found either. A file that is damaged, or for
        another machine, needs nothing.
        """
        try:
            elf = read_elf_file(path)
        except (ElfError, OSError) as error:
            self.notes.append(f"{path}: {error}")
            return []
        if not elf.fits(self.program):
            return []
        if path == self.program_path:
            return self._needs(elf, path, (), stays=False)
        return self._needs(elf, path, self._inherited(), stays=True)

    def _inherited(self) -> tuple[str, ...]:
        """What the interpreter's RPATH says for all that it loads."""
        if self.program.runpath:
            return ()
        return tuple(_expanded(self.program.rpath, self.program_path))

    def _needs(
        self, elf: Elf, path: Path, inherited: tuple[str, ...], *, stays: bool
    ) -> list[Placed]:
        """What a file needs; `stays` tells that it has the same neighbours in the image."""
        new: list[Placed] = []
        loader = self.program.interpreter.rpartition("/")[2]
        waiting = deque([(elf, path, inherited, stays)])
        while waiting:
            elf, path, inherited, stays = waiting.popleft()
            own = () if elf.runpath else tuple(_expanded(elf.rpath, path))
            for name in elf.needed:
                if name == loader or name in self._placed:
                    continue  # one of a name is in a process: the first
                found = self._look(name, elf, path, inherited)
                if found is None:
                    self.notes.append(f"{path} needs {name}, which is not found")
                    continue
                library, by_origin = found
                if stays and by_origin and library.resolve() in self.copied:
                    continue
                new.append(self._place(name, library))
                waiting.append((read_elf_file(library), library, (*own, *inherited), False))
        return new

    def _place(self, name: str, library: Path) -> Placed:
        if len(self._placed) >= _MAX_LIBRARIES:
            raise ElfError(f"more than {_MAX_LIBRARIES:,} libraries are needed")
        self._placed[name] = library
        return Placed(library, name if "/" in name else f"{self.directory}/{name}")

    def _look(
        self, name: str, elf: Elf, path: Path, inherited: tuple[str, ...]
    ) -> tuple[Path, bool] | None:
        """Where `name` is found for `elf`, and whether by $ORIGIN."""
        if "/" in name:
            plain = name.startswith("/") and os.path.normpath(name) == name
            return (Path(name), False) if plain and self._usable(Path(name)) else None
        rpath = () if elf.runpath else elf.rpath
        for directory in (*rpath, *inherited, *self.library_path, *elf.runpath, *self.system):
            for expanded in _expanded((directory,), path):
                if self._usable(candidate := Path(expanded, name)):
                    return candidate, "ORIGIN" in directory
        return None

    def _usable(self, candidate: Path) -> bool:
        try:
            return read_elf_file(candidate).fits(self.program)
        except (ElfError, OSError):
            return False


def _expanded(directories: Sequence[str], path: Path) -> Iterator[str]:
    """With $ORIGIN as the directory of the file; those with other tokens are left out."""
    origin = str(path.resolve().parent)
    for each in directories:
        text = each.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
        if "$" not in text:
            yield text


def system_directories(program: Elf) -> list[str]:
    """Where the loader of `program` looks for what has no path of its own."""
    loader = program.interpreter.rpartition("/")[2]
    if loader.startswith("ld-musl-"):
        return _musl_directories(loader)
    word = "lib64" if program.bits == 64 else "lib"
    known = [f"/{word}", f"/usr/{word}", "/lib", "/usr/lib"]
    multiarch = _MULTIARCH.get((program.machine, program.bits))
    if multiarch:
        known = [f"/lib/{multiarch}", f"/usr/lib/{multiarch}", *known]
    beside = str(Path(program.interpreter).resolve().parent) if program.interpreter else "/usr/lib"
    return list(dict.fromkeys([*configured_directories(_LD_SO_CONF), *known, beside]))


def _musl_directories(loader: str) -> list[str]:
    file = Path("/etc", loader.removesuffix(".so.1") + ".path")
    listed = re.split(r"[:\n]", _start_of(file) or "/lib:/usr/local/lib:/usr/lib")
    return [each.strip() for each in listed if each.strip()]


def configured_directories(start: Path) -> list[str]:
    """The directories that ld.so.conf(5) lists, those of the files that it includes as well."""
    directories: list[str] = []
    read: set[Path] = set()

    def read_file(file: Path) -> None:
        if file in read or len(read) >= _MAX_CONF_FILES:
            return
        read.add(file)
        for line in _start_of(file).splitlines():
            text = line.partition("#")[0].strip()
            word, _, rest = text.partition(" ")
            if word == "include":
                pattern = Path(file.parent, rest.strip())
                for each in sorted(Path(pattern.anchor).glob(str(pattern.relative_to("/")))):
                    read_file(each)
            elif text.startswith("/"):
                directories.append(text.partition("=")[0].rstrip("/ ") or "/")

    read_file(start)
    return directories


def _start_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_CONF_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
