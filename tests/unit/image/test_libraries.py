"""Where libraries are found, and which of them an image needs."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
from tests.unit.image.elf_files import AARCH64, elf

from kubbo.image.elf import read_elf_file
from kubbo.image.libraries import Libraries, configured_directories, system_directories

PROGRAM = Path("/proc/self/exe").resolve()
LOADER = "/lib64/ld-test.so.2"


def told_by_the_loader(path, loader):
    """What this machine's own loader finds for a file."""
    shown = subprocess.run(
        [loader, "--list", path], capture_output=True, text=True, check=True
    ).stdout
    return {
        name: Path(found) for name, found in re.findall(r"^\s*(\S+) => (/\S+)", shown, re.MULTILINE)
    }


def test_the_loader_of_this_machine_finds_the_same():
    """For the interpreter, and for the extension modules with the most libraries."""
    libraries = Libraries.of(PROGRAM)
    loader = libraries.program.interpreter
    found = {Path(each.target).name: each.source for each in libraries.add_program()}
    assert found.pop(Path(loader).name) == Path(loader)
    expected = told_by_the_loader(PROGRAM, loader)
    unasked = {name for name in found if name not in expected}
    assert all(name.startswith(("libgcc_s", "libnss_")) for name in unasked)
    dynamic = Path(sysconfig.get_path("stdlib"), "lib-dynload")
    for stem in ("_ssl", "_sqlite3", "_lzma", "_bz2", "_ctypes", "_hashlib"):
        for path in dynamic.glob(f"{stem}.*.so"):
            found |= {Path(each.target).name: each.source for each in libraries.add(path)}
            expected |= told_by_the_loader(path, loader)
    assert len(expected) > 3
    for name, path in expected.items():
        if name != Path(loader).name:
            assert found[name].samefile(path), name
    assert libraries.notes == []


def write(path, **told):
    """An ELF file at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(elf(**told))
    return path


def targets(placed):
    """Where in the image each source is."""
    return {each.target: each.source for each in placed}


@pytest.fixture
def system(tmp_path):
    """A directory of libraries as a system has it, libc in it, and a program."""
    write(tmp_path / "lib" / "libc.so.6")
    write(tmp_path / "bin" / "python", loader=LOADER, needed=["libc.so.6"])
    return tmp_path


def libraries_of(system, *, library_path=(), **program):
    path = system / "bin" / "python"
    if program:
        write(path, loader=LOADER, **program)
    return Libraries(
        read_elf_file(path), path, library_path, [str(system / "lib")], directory="/lib"
    )


def test_what_a_library_needs_is_needed(system):
    """Down to the last, each once, in the one directory that the loader knows."""
    write(system / "lib" / "liba.so", needed=["libb.so", "libc.so.6"])
    write(system / "lib" / "libb.so", needed=["liba.so"])
    libraries = libraries_of(system, needed=["liba.so", "libc.so.6"])
    placed = libraries.add_program()
    lib = system / "lib"
    assert targets(placed) == {
        LOADER: Path(LOADER),
        "/lib/liba.so": lib / "liba.so",
        "/lib/libb.so": lib / "libb.so",
        "/lib/libc.so.6": lib / "libc.so.6",
    }
    assert len(placed) == 4
    assert libraries.add(write(system / "more.so", needed=["libb.so"])) == []


def test_the_order_of_the_loader(system):
    """RPATH, LD_LIBRARY_PATH, RUNPATH, the system; a RUNPATH makes an RPATH void."""
    places = {each: system / each for each in ("rpath", "given", "runpath", "lib")}
    for each in places.values():
        write(each / "liba.so")

    def found(**told):
        libraries = libraries_of(system, library_path=[str(places["given"])])
        user = write(system / "user.so", needed=["liba.so"], **told)
        (placed,) = libraries.add(user)
        return placed.source.parent.name

    rpath, runpath = str(places["rpath"]), str(places["runpath"])
    assert found(rpath=rpath) == "rpath"
    assert found(rpath=rpath, runpath=runpath) == "given"
    (places["given"] / "liba.so").unlink()
    assert found(rpath=rpath, runpath=runpath) == "runpath"
    assert found() == "lib"


def test_the_rpath_of_the_interpreter_counts_for_all_that_it_loads(system):
    """As conda's Python has it: $ORIGIN/../lib, for its modules' libraries too."""
    beside = write(system / "conda" / "lib" / "libz.so")
    conda = write(
        system / "conda" / "bin" / "python", loader=LOADER, rpath="$ORIGIN/../lib", needed=[]
    )
    libraries = Libraries(read_elf_file(conda), conda, (), [str(system / "lib")])
    user = write(system / "site" / "zlib.so", needed=["libz.so"])
    (placed,) = libraries.add(user)
    assert placed.source.samefile(beside)
    runs = write(
        system / "conda" / "bin" / "other", loader=LOADER, runpath="$ORIGIN/../lib", needed=[]
    )
    other = Libraries(read_elf_file(runs), runs, (), [str(system / "lib")])
    assert other.add(user) == []
    assert other.notes == [f"{user} needs libz.so, which is not found"]


def test_what_comes_along_beside_its_user_stays_there(system):
    """A wheel's own libraries, by $ORIGIN; not those by $ORIGIN that are not copied."""
    own = write(system / "site" / "a.libs" / "libown.so.1", needed=["libdeep.so"])
    write(system / "lib" / "libdeep.so")
    user = write(system / "site" / "a" / "a.so", needed=["libown.so.1"], rpath="$ORIGIN/../a.libs")
    libraries = libraries_of(system)
    libraries.copied |= {user, own}
    assert libraries.add(user) == []
    assert targets(libraries.add(own)) == {"/lib/libdeep.so": system / "lib" / "libdeep.so"}
    elsewhere = libraries_of(system)
    elsewhere.copied |= {user}
    assert {*targets(elsewhere.add(user))} == {"/lib/libown.so.1", "/lib/libdeep.so"}


def test_a_library_for_another_machine_is_passed_over(system):
    """As is a file that is no library at all: some linkers leave scripts of that name."""
    write(system / "wrong" / "liba.so", machine=AARCH64)
    (system / "script").mkdir()
    (system / "script" / "liba.so").write_text("INPUT(liba.so.1)\n", encoding="ascii")
    right = write(system / "lib" / "liba.so")
    libraries = libraries_of(system, library_path=[str(system / "wrong"), str(system / "script")])
    (placed,) = libraries.add(write(system / "user.so", needed=["liba.so"]))
    assert placed.source == right


def test_a_chain_of_libraries_has_any_length(system):
    """Nothing calls itself for each of them."""
    for number in range(1_500):
        needed = [f"lib{number + 1}.so"] if number < 1_499 else []
        write(system / "lib" / f"lib{number}.so", needed=needed)
    user = write(system / "user.so", needed=["lib0.so"])
    assert len(libraries_of(system).add(user)) == 1_500


def test_a_library_that_is_needed_by_its_path(system):
    """Is there in the image; a path that depends on the working directory is none."""
    there = write(system / "opt" / "liba.so")
    user = write(system / "user.so", needed=[str(there), "./libb.so", f"{system}/opt/../c.so"])
    write(system / "c.so")
    libraries = libraries_of(system)
    assert targets(libraries.add(user)) == {str(there): there}
    assert len(libraries.notes) == 2


def test_what_is_not_found_is_noted(system):
    """The image may well do without: here it is not found either."""
    libraries = libraries_of(system)
    user = write(system / "user.so", needed=["libgone.so.1"])
    damaged = system / "damaged.so"
    damaged.write_bytes(b"\x7fELF")
    foreign = write(system / "foreign.so", machine=AARCH64, needed=["libgone.so.2"])
    assert [libraries.add(each) for each in (user, damaged, foreign)] == [[], [], []]
    assert libraries.notes == [
        f"{user} needs libgone.so.1, which is not found",
        f"{damaged}: it is cut short in its identification",
    ]


def test_a_static_interpreter_needs_no_loader(system):
    """And no library: nothing can load one into it."""
    program = write(system / "bin" / "static")
    assert Libraries(read_elf_file(program), program).add_program() == []


def test_the_directories_of_ld_so_conf(tmp_path):
    """Included files too, relative to the one that includes them; a circle ends."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "ld.so.conf").write_text(
        "# a comment\n/one\ninclude conf.d/*.conf\n/two/ # here\n/three=libc6\n", encoding="ascii"
    )
    (tmp_path / "conf.d" / "a.conf").write_text(
        f"/a\ninclude {tmp_path}/ld.so.conf\n", encoding="ascii"
    )
    (tmp_path / "conf.d" / "b.conf").write_bytes(b"/b\xff\n")
    (tmp_path / "conf.d" / "c.txt").write_text("/c\n", encoding="ascii")
    found = configured_directories(tmp_path / "ld.so.conf")
    assert found == ["/one", "/a", os.fsdecode(b"/b\xff"), "/two", "/three"]
    assert configured_directories(tmp_path / "nothing") == []


def test_musl_has_directories_of_its_own(tmp_path):
    """Not those of glibc's ld.so.conf."""
    program = write(tmp_path / "python", loader="/lib/ld-musl-test.so.1")
    assert system_directories(read_elf_file(program)) == ["/lib", "/usr/local/lib", "/usr/lib"]
