"""The third layer: the application's own modules, and what else it was told to have.

What is imported is read from the source, not tried: an import inside of a function counts too,
and nothing runs. A module that is a file around here, not of a distribution, is the
application's own. It is copied, as is what it imports of that kind; a package is copied whole.
"""

from __future__ import annotations

import ast
import posixpath
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubbo.errors import UsageError
from kubbo.image.distributions import keep_of_package, module_files, target_of
from kubbo.image.interpreter import APPLICATION, add_libraries
from kubbo.image.tree import Directory, Tree, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kubbo.image.distributions import Distributions
    from kubbo.image.interpreter import Interpreter

__all__ = ["Added", "Application", "parse_added"]

_MAX_SOURCE_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Added:
    """A file or directory, and where it is in the image."""

    source: Path
    target: str


def parse_added(text: str) -> Added:
    """Read PATH or PATH:DST; a DST that is not absolute is in the application's directory.

    Raises:
        UsageError: there is no such path, or it would be outside.
    """
    source, colon, target = text, "", ""
    if not Path(text).exists():
        source, colon, target = text.rpartition(":")
        if not colon:
            source, target = text, ""
    path = Path(source)
    if not source or not path.exists():
        raise UsageError(f"there is no {source or text!r} to add; write --add PATH[:DST]")
    name = path.resolve().name
    if not target:
        target = name
    elif target.endswith("/") and path.is_file():
        target += name
    whole = posixpath.normpath(posixpath.join(APPLICATION, target))
    if whole.startswith("//"):
        whole = whole[1:]
    if "\0" in whole or whole == "/" or (not target.startswith("/") and ".." in target.split("/")):
        raise UsageError(f"{target!r} is no place in an image; write it like data or /srv/data")
    return Added(path, whole)


@dataclass(slots=True)
class Application:
    """The modules that are the application's own.

    Attributes:
        modules: by the name of each top-level one, where it is here.
    """

    modules: dict[str, list[Path]] = field(default_factory=dict[str, list[Path]])

    def take(self, module: str, distributions: Distributions) -> None:
        """Find a top-level module, and what it imports; require the distributions among that.

        Raises:
            UsageError: there is no such module, or a source cannot be read.
        """
        if not self._sort(module, distributions):
            raise UsageError(f"there is no module {module!r} that could be copied into an image")

    def _sort(self, module: str, distributions: Distributions) -> bool:
        """Whether a module was found; what it brings with it is taken."""
        if module in self.modules or module == "kubbo" or module in sys.stdlib_module_names:
            return True
        found = module_files(module)
        if not found:
            return False
        owners = {file: distributions.owners(module, file) for file in found}
        for each in dict.fromkeys(name for names in owners.values() for name in names):
            distributions.require(each)
        files = [file for file in found if not owners[file]]
        if files:
            self.modules[module] = files
        for file in files:
            for each in distributions.developed_at(file):
                distributions.require(each)
            for source in _sources(file):
                for imported, certain in _imports(source):
                    if not self._sort(imported, distributions) and certain:
                        distributions.notes.append(
                            f"{source} imports {imported}, which is not here"
                        )
        return True

    def tree(
        self, added: Sequence[Added], interpreter: Interpreter, *, without: Path | None = None
    ) -> Tree:
        """The third layer; the file `without`, the image itself, is not copied into it.

        Raises:
            UsageError: something cannot be read, or two things would have the same place.
        """
        tree = Tree()
        tree.put(APPLICATION, Directory())
        copied: list[Path] = []
        for module, files in sorted(self.modules.items()):
            for file in files:
                target = f"{APPLICATION}/{target_of(module, file)}"
                copied += tree.copy(file, target, keep=keep_of_package, without=without)
        for each in added:
            copied += tree.copy(each.source, each.target, keep=_keep_of_added, without=without)
        add_libraries(tree, interpreter.libraries, copied)
        return tree


def _keep_of_added(name: str) -> bool:
    return name not in ("__pycache__", ".git", ".hg", ".svn") and not name.endswith(".pyc")


def _sources(file: Path) -> Iterator[Path]:
    """The modules of a package but its tests, which import what only tests need."""
    if file.is_file():
        if file.suffix == ".py":
            yield file
        return

    def keep(name: str) -> bool:
        tests = name in ("test", "tests", "conftest.py") or name.startswith("test_")
        return keep_of_package(name) and not tests

    for _, path in walk(file, keep=keep):
        if path.suffix == ".py" and path.is_file():
            yield path


def _imports(source: Path) -> Iterator[tuple[str, bool]]:
    """The top-level modules that a source imports, and whether it needs them.

    Imports for type checkers are none; those in a `try` may fail.
    """
    try:
        if source.stat().st_size > _MAX_SOURCE_BYTES:
            return
        tree = ast.parse(source.read_bytes(), str(source))
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror or error}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # a template, or what nobody can import
    needed: dict[str, bool] = {}
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]
    while waiting:  # no recursion: a source may be nested as deeply as its parser takes
        node, certain = waiting.pop()
        names: list[str] = []
        match node:
            case ast.Import():
                names = [each.name for each in node.names]
            case ast.ImportFrom(module=str(module), level=0):
                names = [module]
            case ast.expr():  # nothing is imported in one
                pass
            case ast.If() if _is_type_checking(node.test):
                waiting += [(each, certain) for each in node.orelse]
            case _:
                certain = certain and not isinstance(node, ast.Try | ast.TryStar)
                waiting += [(each, certain) for each in ast.iter_child_nodes(node)]
        for name in names:
            top = name.partition(".")[0]
            needed[top] = needed.get(top, False) or certain
    yield from sorted(needed.items())


def _is_type_checking(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case _:
            return False
