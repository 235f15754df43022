"""Reading ELF files: this machine's own, made ones of every kind, and damaged ones."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from tests.unit.image.elf_files import AARCH64, S390X, X86_64, elf

from kubbo.image.elf import Elf, ElfError, read_elf, read_elf_file

PROGRAM = Path("/proc/self/exe").resolve()
EXTENSIONS = sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so"))


def told_by_readelf(path):
    """What binutils' readelf tells of the same file."""
    shown = subprocess.run(
        ["readelf", "--wide", "--dynamic", "--program-headers", str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C"},
    ).stdout
    loader = re.search(r"program interpreter: (.*)\]", shown)
    paths = {
        word: tuple(
            part
            for text in re.findall(rf"\({word}\).*\[(.*)\]", shown)
            for part in text.split(":")
            if part
        )
        for word in ("RPATH", "RUNPATH")
    }
    soname = re.search(r"\(SONAME\).*\[(.*)\]", shown)
    return (
        loader[1] if loader else "",
        soname[1] if soname else "",
        tuple(re.findall(r"\(NEEDED\).*\[(.*)\]", shown)),
        paths["RPATH"],
        paths["RUNPATH"],
    )


@pytest.mark.skipif(shutil.which("readelf") is None, reason="binutils are not here to compare with")
def test_this_machines_files_are_read_as_readelf_reads_them():
    """The interpreter, its extension modules and all libraries beside libc."""
    libraries = [
        path for path in Path("/lib").glob("*-linux-gnu/lib*.so.*") if not path.is_symlink()
    ]
    files = [PROGRAM, *EXTENSIONS[:20], *sorted(libraries)[:40]]
    assert len(files) > 10
    for path in files:
        read = read_elf_file(path)
        found = (read.interpreter, read.soname, read.needed, read.rpath, read.runpath)
        assert found == told_by_readelf(path), path


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("machine", [X86_64, AARCH64, S390X])
def test_both_classes_and_both_byte_orders(wide, little, machine):
    """Nothing depends on what kind of file this machine has."""
    data = elf(
        machine=machine,
        wide=wide,
        little=little,
        loader="/lib/ld.so.1",
        soname="libme.so.2",
        needed=["libc.so.6", "libm.so.6"],
        rpath="$ORIGIN/a:/b",
        runpath="/c",
    )
    assert read_elf(io.BytesIO(data)) == Elf(
        machine,
        64 if wide else 32,
        little,
        "/lib/ld.so.1",
        "libme.so.2",
        ("libc.so.6", "libm.so.6"),
        ("$ORIGIN/a", "/b"),
        ("/c",),
    )


def test_a_static_program_needs_nothing():
    """No loader, no libraries, and that is no mistake."""
    read = read_elf(io.BytesIO(elf()))
    assert (read.interpreter, read.needed) == ("", ())


def test_files_for_different_machines_do_not_fit():
    """As a loader passes over a library for another machine."""
    here, there = (read_elf(io.BytesIO(elf(machine=each))) for each in (X86_64, AARCH64))
    narrow = read_elf(io.BytesIO(elf(wide=False)))
    assert here.fits(here)
    assert not here.fits(there)
    assert not here.fits(narrow)


@pytest.mark.parametrize("wide", [True, False])
def test_a_file_that_is_cut_short_is_refused(wide):
    """At every length: what it needs would be wrong, and a short answer would be believed."""
    data = elf(wide=wide, loader="/lib/ld.so.1", needed=["libc.so.6"], runpath="/a")
    for length in range(len(data)):
        with pytest.raises(ElfError):
            read_elf(io.BytesIO(data[:length]))


class Counting(io.BytesIO):
    """A file that knows how much was asked for at once."""

    most = 0

    def read(self, size=-1, /):
        assert size is not None
        assert size >= 0, "a file is never read whole"
        self.most = max(self.most, size)
        return super().read(size)


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from([0, 1, 0x7F, 0xFF]) | st.integers(0, 255)),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
    st.booleans(),
)
def test_damage_is_told_and_takes_no_memory(changes, wide, little):
    """Whatever bytes are changed: an answer or an ElfError, and no large read."""
    data = bytearray(
        elf(wide=wide, little=little, loader="/lib/ld.so.1", needed=["libc.so.6"], runpath="/a")
    )
    for place, byte in changes:
        data[place % len(data)] = byte
    file = Counting(bytes(data))
    with contextlib.suppress(ElfError):
        read_elf(file)
    assert file.most <= 1 << 20


@given(st.binary(max_size=400))
def test_garbage_is_refused(data):
    """Anything behind the magic number."""
    with pytest.raises(ElfError):
        read_elf(io.BytesIO(data))
    with contextlib.suppress(ElfError):
        read_elf(io.BytesIO(b"\x7fELF\x02\x01\x01" + data))
