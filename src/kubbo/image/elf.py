"""What an ELF file says that it needs: its loader, its libraries, and where it looks for them.

An ELF file has a header, which places a table of segments. PT_INTERP holds the path of the
program that loads it; PT_DYNAMIC is a table of (tag, value) pairs that ends with DT_NULL. The
values of DT_NEEDED, DT_RPATH, DT_RUNPATH and DT_SONAME are offsets into one table of strings,
which DT_STRTAB places by its address in memory: a PT_LOAD segment leads from there back to the
file. That is all that a loader reads to find libraries, so it is all that is read here; the
table of sections may have been stripped.

A file may be anything: each number is held against a limit before it is believed.

Source: the System V ABI, chapters 4 and 5; elf(5); ld.so(8).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kubbo.errors import KubboError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["MAGIC", "Elf", "ElfError", "read_elf", "read_elf_file"]

MAGIC: Final = b"\x7fELF"

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 14, 15, 29

MAX_SEGMENTS: Final = 1_024  # programs have some ten
MAX_DYNAMIC_BYTES: Final = 1 << 20  # 65,536 entries; programs have some thirty
MAX_NEEDED: Final = 4_096
MAX_STRING: Final = 65_536  # a run path lists directories


class ElfError(KubboError):
    """A file is not what an ELF file is; the message says in what."""


@dataclass(frozen=True, slots=True)
class Elf:
    """What was read.

    Attributes:
        machine: e_machine, like 62 for x86-64.
        bits: 32 or 64.
        little: whether its numbers are little-endian.
        interpreter: the loader's path; empty for a library, and for a static program.
        soname: the name that others need a library by; empty where it has none.
        needed: the libraries, by name.
        rpath: directories to look in first, also for what these libraries need.
        runpath: directories to look in for what this file needs; with any, `rpath` is void.
    """

    machine: int
    bits: int
    little: bool
    interpreter: str = ""
    soname: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()

    def fits(self, other: Elf) -> bool:
        """Whether both can be in one process."""
        return (self.machine, self.bits, self.little) == (other.machine, other.bits, other.little)


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def read_elf_file(path: Path) -> Elf:
    """What the file at `path` says; `ElfError` or OSError as `read_elf`, or where it is absent."""
    with path.open("rb") as file:
        return read_elf(file)


def read_elf(file: BinaryIO) -> Elf:
    """Read a seekable file.

    Raises:
        ElfError: it is no ELF file, or a damaged one.
        OSError: it cannot be read.
    """
    ident = _read(file, 0, 16, "identification")
    if ident[:4] != MAGIC:
        raise ElfError("it does not begin as an ELF file does")
    if ident[4] not in (1, 2) or ident[5] not in (1, 2):
        raise ElfError(f"there is no ELF class {ident[4]} with byte order {ident[5]}")
    wide, little = ident[4] == 2, ident[5] == 1
    order = "<" if little else ">"
    # e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, e_ehsize, e_phentsize,
    # e_phnum
    header = struct.Struct(order + ("HHIQQQIHHH" if wide else "HHIIIIIHHH"))
    _, machine, _, _, table, _, _, _, entry_size, count = header.unpack(
        _read(file, 16, header.size, "header")
    )
    segments = _segments(file, order, table, entry_size, count, wide=wide)
    interpreter = ""
    dynamic = b""
    for each in segments:
        if each.kind == _PT_INTERP:
            if each.size > MAX_STRING:
                raise ElfError(f"its loader's path has {each.size} bytes")
            path = _read(file, each.offset, each.size, "loader's path")
            interpreter = _text(path.partition(b"\0")[0])
        elif each.kind == _PT_DYNAMIC:
            if each.size > MAX_DYNAMIC_BYTES:
                raise ElfError(f"its dynamic table has {each.size} bytes")
            dynamic = _read(file, each.offset, each.size, "dynamic table")
    found = _strings(file, segments, order, dynamic, wide=wide)
    return Elf(
        machine,
        64 if wide else 32,
        little,
        interpreter,
        soname=next(iter(found[_DT_SONAME]), ""),
        needed=tuple(found[_DT_NEEDED]),
        rpath=_directories(found[_DT_RPATH]),
        runpath=_directories(found[_DT_RUNPATH]),
    )


def _segments(
    file: BinaryIO, order: str, table: int, entry_size: int, count: int, *, wide: bool
) -> list[_Segment]:
    # p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz; of 32 bits the flags come later.
    form = struct.Struct(order + ("IIQQQQ" if wide else "IIIII"))
    if not count:
        return []
    if count > MAX_SEGMENTS or not form.size <= entry_size <= 1_024:
        raise ElfError(f"its table of segments has {count} entries of {entry_size} bytes")
    data = _read(file, table, count * entry_size, "table of segments")
    found: list[_Segment] = []
    for start in range(0, len(data), entry_size):
        fields = form.unpack_from(data, start)
        kind = fields[0]
        offset, address, _, size = fields[2:] if wide else fields[1:]
        found.append(_Segment(kind, offset, address, size))
    return found


def _strings(
    file: BinaryIO, segments: list[_Segment], order: str, dynamic: bytes, *, wide: bool
) -> dict[int, list[str]]:
    """The texts of the dynamic table, by tag."""
    found: dict[int, list[str]] = {_DT_NEEDED: [], _DT_SONAME: [], _DT_RPATH: [], _DT_RUNPATH: []}
    wanted: list[tuple[int, int]] = []
    strings = None
    form = struct.Struct(order + ("QQ" if wide else "II"))
    whole = len(dynamic) - len(dynamic) % form.size
    for tag, value in form.iter_unpack(dynamic[:whole]):
        if tag == 0:
            break
        if tag == _DT_STRTAB:
            strings = value
        elif tag in found:
            wanted.append((tag, value))
    if len(wanted) > MAX_NEEDED:
        raise ElfError(f"it needs {len(wanted)} libraries")
    if not wanted:
        return found
    if strings is None:
        raise ElfError("its dynamic table has no strings")
    for tag, value in wanted:
        found[tag].append(_string(file, _offset(segments, strings + value)))
    return found


def _offset(segments: list[_Segment], address: int) -> int:
    """Where in the file is what will be at an address."""
    for each in segments:
        if each.kind == _PT_LOAD and each.address <= address < each.address + each.size:
            return address - each.address + each.offset
    raise ElfError(f"address {address:#x} is in none of its segments")


def _string(file: BinaryIO, offset: int) -> str:
    file.seek(_sought(offset))
    text, end, _ = file.read(MAX_STRING).partition(b"\0")
    if not end:
        raise ElfError(f"the string at {offset:#x} has no end")
    return _text(text)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _directories(paths: list[str]) -> tuple[str, ...]:
    return tuple(part for path in paths for part in path.split(":") if part)


def _read(file: BinaryIO, offset: int, size: int, what: str) -> bytes:
    file.seek(_sought(offset))
    data = file.read(size)
    if len(data) < size:
        raise ElfError(f"it is cut short in its {what}")
    return data


def _sought(offset: int) -> int:
    if offset >= 1 << 62:  # a seek would overflow
        raise ElfError(f"offset {offset:#x} is in no file")
    return offset
