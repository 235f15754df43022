"""The first layer: the interpreter that runs this, its standard library, and what a system has.

The interpreter is moved to /usr/local. CPython finds its standard library from where its program
is, so that what is relative to its prefix stays relative to it. Above it is a virtual environment
in /opt/venv, in which every CPython, also those that a Linux distribution has changed, looks for
modules in lib/pythonX.Y/site-packages.

There is no shell, and no program but Python. Nothing can be written but /tmp, where something
writable is mounted there.
"""

from __future__ import annotations

import posixpath
import ssl
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubbo.errors import UsageError
from kubbo.image.elf import MAGIC, ElfError
from kubbo.image.libraries import Libraries
from kubbo.image.tree import TMP, Directory, File, Link, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kubbo.image.elf import Elf

__all__ = ["APPLICATION", "PATH", "VENV", "Interpreter", "add_libraries", "find_interpreter"]

PREFIX: Final = "/usr/local"
VENV: Final = "/opt/venv"
APPLICATION: Final = "/app"
PATH: Final = f"{VENV}/bin:{PREFIX}/bin:/usr/bin:/bin"

_CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
_HERE: Final = (
    _CERTIFICATES,  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",
)

_ARCHITECTURES: Final = {
    (62, 64, True): "amd64",
    (183, 64, True): "arm64",
    (3, 32, True): "386",
    (40, 32, True): "arm",
    (21, 64, True): "ppc64le",
    (22, 64, False): "s390x",
    (243, 64, True): "riscv64",
    (258, 64, True): "loong64",
}
"""Go's names, which OCI uses, by machine, bits and whether it is little-endian."""

_LEFT_OUT: Final = frozenset(
    {
        *("__pycache__", "site-packages", "dist-packages", "EXTERNALLY-MANAGED"),
        *("test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py", "lib2to3"),
        *("ensurepip", "pydoc_data"),
    }
)
"""Tests, what draws windows, what installs packages; and a library's sources (config-*)."""

_LEFT_OUT_MODULES: Final = ("_test", "_ctypes_test", "_xxtestfuzz", "xxlimited", "_tkinter")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What runs this process.

    Attributes:
        program: its file.
        name: of the program in the image, like python3.11.
        library: of the standard library, relative to a prefix, like lib/python3.11.
        architecture: as OCI calls it.
    """

    program: Path
    name: str
    library: str
    standard: Path
    dynamic: Path
    architecture: str
    libraries: Libraries

    @property
    def site(self) -> str:
        """Where the distributions are in the image."""
        return f"{VENV}/lib/{posixpath.basename(self.library)}/site-packages"

    def tree(self, *, user: int) -> Tree:
        """The first layer, for a program that runs as `user`."""
        tree = Tree()
        program = f"{PREFIX}/bin/{self.name}"
        tree.put(program, File(self.program, executable=True))
        for name in {"python3", "python"} - {self.name}:
            tree.put(f"{PREFIX}/bin/{name}", Link(self.name))
        copied = tree.copy(self.standard, f"{PREFIX}/{self.library}", keep=_kept)
        if not self.dynamic.is_relative_to(self.standard):
            copied += tree.copy(self.dynamic, f"{PREFIX}/{self.library}/lib-dynload", keep=_kept)
        for placed in self.libraries.add_program():
            tree.put(placed.target, File(placed.source, executable=True))
        add_libraries(tree, self.libraries, copied)
        _add_environment(tree, program)
        _add_system(tree, user)
        return tree


def find_interpreter() -> Interpreter:
    """What runs this process.

    Raises:
        UsageError: it is none that an image can be made of.
    """
    if sys.platform != "linux":
        raise UsageError(
            f"an image is made of the Python that runs here, and this is one for {sys.platform}; "
            "run it on Linux, or build the image by a Dockerfile (docs/image.md)"
        )
    if sys.implementation.name != "cpython":
        raise UsageError(
            f"an image can be made of CPython only, and this is {sys.implementation.name}"
        )
    program = Path("/proc/self/exe").resolve()
    standard = Path(sysconfig.get_path("stdlib"))
    if not (standard / "os.py").is_file():
        raise UsageError(
            f"{program} has its standard library not as files in {standard}, so that no image can "
            "be made of it"
        )
    try:
        libraries = Libraries.of(program)
    except (ElfError, OSError) as error:
        raise UsageError(f"{program}, which runs this, is no ELF program: {error}") from None
    library = standard.relative_to(sys.base_prefix)
    dynamic = Path(sys.base_exec_prefix, sys.platlibdir, standard.name, "lib-dynload")
    if not dynamic.is_dir():
        dynamic = standard / "lib-dynload"
    return Interpreter(
        program,
        f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}",
        library.as_posix(),
        standard,
        dynamic,
        _architecture(libraries.program),
        libraries,
    )


def _architecture(elf: Elf) -> str:
    known = _ARCHITECTURES.get((elf.machine, elf.bits, elf.little))
    if known is None:
        raise UsageError(f"there is no image for ELF's machine {elf.machine} with {elf.bits} bits")
    return known


def _kept(name: str) -> bool:
    return (
        name not in _LEFT_OUT
        and not name.startswith("config-")
        and not (".so" in name and name.startswith(_LEFT_OUT_MODULES))
        and not name.endswith((".pyc", ".a"))
    )


def add_libraries(tree: Tree, libraries: Libraries, copied: Iterable[Path]) -> None:
    """Add what the native files among those that were copied into the tree need."""
    native = [each for each in copied if _is_elf(each)]
    libraries.copied |= {each.resolve() for each in native}
    for each in native:
        for placed in libraries.add(each):
            tree.put(placed.target, File(placed.source, executable=True))


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None


def _add_environment(tree: Tree, program: str) -> None:
    """The virtual environment, empty."""
    for name in ("python", "python3"):
        tree.put(f"{VENV}/bin/{name}", Link(program))
    config = f"home = {PREFIX}/bin\ninclude-system-site-packages = false\n"
    tree.put(f"{VENV}/pyvenv.cfg", File(data=config.encode()))


def _add_system(tree: Tree, user: int) -> None:
    """What programs expect of a system: users, how names are looked up, whom to trust."""
    users = f"root:x:0:0:root:/:/sbin/nologin\napp:x:{user}:{user}:app:/:/sbin/nologin\n"
    tree.put("/etc/passwd", File(data=users.encode()))
    tree.put("/etc/group", File(data=f"root:x:0:\napp:x:{user}:\n".encode()))
    tree.put("/etc/nsswitch.conf", File(data=b"passwd: files\ngroup: files\nhosts: files dns\n"))
    for each in ("/dev", "/proc", "/run", "/sys"):
        tree.put(each, Directory())
    tree.put("/tmp", TMP)  # noqa: S108 - the image's own
    trusted = _certificates()
    if trusted is not None:
        tree.put(_CERTIFICATES, File(trusted))
        looked_for = ssl.get_default_verify_paths().openssl_cafile
        if looked_for != _CERTIFICATES and posixpath.normpath(looked_for) == looked_for:
            tree.put(looked_for, Link(_CERTIFICATES))


def _certificates() -> Path | None:
    """This system's; not those that a variable of this shell names."""
    own = ssl.get_default_verify_paths().openssl_cafile
    return next((Path(each) for each in (*_HERE, own) if Path(each).is_file()), None)
