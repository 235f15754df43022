"""Small ELF files for tests: only what a loader reads of them."""

from __future__ import annotations

import struct

X86_64, AARCH64, S390X = 62, 183, 22

_NEEDED, _STRTAB, _SONAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29


def elf(
    *,
    machine=X86_64,
    wide=True,
    little=True,
    loader="",
    soname="",
    needed=(),
    rpath="",
    runpath="",
    address=0x400000,
):
    """The bytes of a file: header, segments, loader's path, strings, dynamic table."""
    order = "<" if little else ">"
    strings = bytearray(b"\0")

    def string(text):
        start = len(strings)
        strings.extend(text.encode() + b"\0")
        return start

    entries = [(_NEEDED, string(name)) for name in needed]
    entries += [
        (tag, string(text))
        for tag, text in ((_SONAME, soname), (_RPATH, rpath), (_RUNPATH, runpath))
        if text
    ]
    word = "Q" if wide else "I"
    head = 64 if wide else 52
    entry = 56 if wide else 32
    count = 3
    at_loader = head + count * entry
    path = loader.encode() + b"\0"
    at_strings = at_loader + len(path)
    at_dynamic = at_strings + len(strings)
    entries += [(_STRTAB, address + at_strings), (0, 0)]
    dynamic = b"".join(struct.pack(f"{order}2{word}", *each) for each in entries)
    whole = at_dynamic + len(dynamic)

    def segment(kind, offset, size):
        where = address + offset
        if wide:
            return struct.pack(f"{order}IIQQQQQQ", kind, 5, offset, where, where, size, size, 1)
        return struct.pack(f"{order}8I", kind, offset, where, where, size, size, 5, 1)

    segments = segment(1, 0, whole) + segment(2, at_dynamic, len(dynamic))
    segments += segment(3, at_loader, len(path)) if loader else segment(0, 0, 0)
    ident = bytes([0x7F, *b"ELF", 2 if wide else 1, 1 if little else 2, 1]) + bytes(9)
    form = f"{order}HHI3{word}I6H"
    header = ident + struct.pack(form, 3, machine, 1, 0, head, 0, 0, head, entry, count, 0, 0, 0)
    return header + segments + path + bytes(strings) + dynamic
