"""The second layer: Kubbo, and the distributions that the application needs of this environment.

Which those are is read from metadata: Kubbo, what the application imports, what was asked for
by name, and what each of these requires. An environment has more, the tools of whoever
develops in it, and none of that gets into an image.

Markers of requirements (PEP 508) are not evaluated: what is installed here was chosen by pip,
which did. Only extras have to be told apart, since one may be installed that nobody asked for.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import sysconfig
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from kubbo.errors import UsageError
from kubbo.image.interpreter import VENV, add_libraries
from kubbo.image.tree import File, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.metadata import Distribution

    from kubbo.image.interpreter import Interpreter

__all__ = ["Distributions", "keep_of_package", "module_files", "normalized", "target_of"]

_REQUIREMENT: Final = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[(?P<extras>[^\]]*)\])?[^;]*(?:;(?P<marker>.*))?",
    re.DOTALL,
)
_EXTRA: Final = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")

_OF_THE_INSTALLATION: Final = frozenset(
    {"RECORD", "RECORD.jws", "INSTALLER", "REQUESTED", "direct_url.json"}
)
"""Files of a .dist-info that tell where and how it was installed."""


def normalized(name: str) -> str:
    """A distribution's name as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def keep_of_package(name: str) -> bool:
    """Whether a file or directory of a package is copied: no bytecode, nothing hidden."""
    return name != "__pycache__" and not name.startswith(".") and not name.endswith(".pyc")


@dataclass(slots=True)
class Distributions:
    """Those of this environment, and which of them are taken.

    Attributes:
        taken: by their normalized name.
        notes: what could not be found.
    """

    taken: dict[str, Distribution] = field(default_factory=dict[str, "Distribution"])
    notes: list[str] = field(default_factory=list[str])
    _installed: dict[str, Distribution] = field(default_factory=dict[str, "Distribution"])
    _by_module: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    _extras: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    @classmethod
    def here(cls) -> Distributions:
        """Those that can be imported by this process; none is taken yet."""
        found = cls()
        for each in importlib.metadata.distributions():
            name: Any = each.metadata["Name"]  # None in a broken one
            if name:
                found._installed.setdefault(normalized(name), each)
        found._by_module.update(
            (module, [*owners])
            for module, owners in importlib.metadata.packages_distributions().items()
        )
        return found

    def owners(self, module: str, origin: Path) -> list[str]:
        """The distributions that a top-level module, found at `origin`, is a part of."""
        return [
            name
            for name in dict.fromkeys(map(normalized, self._by_module.get(module, ())))
            if name in self._installed
            and origin.is_relative_to(str(self._installed[name].locate_file("")))
        ]

    def developed_at(self, origin: Path) -> list[str]:
        """The distributions that were installed as "editable" from a directory around `origin`."""
        return [
            name
            for name, each in self._installed.items()
            if (project := _editable(each)) is not None and origin.is_relative_to(project)
        ]

    def require(self, name: str, *, by: str = "") -> None:
        """Take a distribution, `NAME` or `NAME[EXTRA,...]`, and all that it requires.

        Raises:
            UsageError: there is none of this name.
        """
        found = _REQUIREMENT.fullmatch(name)
        if found is None or normalized(found["name"]) not in self._installed:
            raise UsageError(
                f"there is no distribution {name!r} in {sys.prefix}"
                f"{f', which {by}' if by else ''}; install it there, or see `pip list` for its name"
            )
        waiting = deque([(normalized(found["name"]), _listed(found["extras"]))])
        while waiting:
            owner, extras = waiting.popleft()
            have = self._extras.setdefault(owner, set())
            if owner in self.taken and extras <= have:
                continue
            have |= extras
            self.taken[owner] = self._installed[owner]
            waiting += self._requirements(owner, have)

    def _requirements(self, owner: str, extras: set[str]) -> Iterator[tuple[str, set[str]]]:
        for text in self._installed[owner].requires or ():
            found = _REQUIREMENT.fullmatch(text)
            if found is None:
                self.notes.append(f"{owner} requires {text!r}, which cannot be read")
                continue
            name, marker = normalized(found["name"]), found["marker"] or ""
            asked_by = {normalized(each) for each in _EXTRA.findall(marker)}
            if asked_by and not asked_by & extras:
                continue
            if name in self._installed:
                yield name, _listed(found["extras"])
            elif not marker:
                self.notes.append(f"{owner} requires {name}, which is not installed")

    def tree(self, interpreter: Interpreter) -> Tree:
        """The second layer.

        Raises:
            UsageError: a file cannot be read, or nothing tells which files there are.
        """
        tree = Tree()
        copied: list[Path] = []
        for name, each in sorted(self.taken.items()):
            copied += _copy(tree, name, each, interpreter.site, self.notes)
            for point in each.entry_points.select(group="console_scripts"):
                script = _script(point.module, point.attr)
                if "/" not in point.name:
                    tree.put(f"{VENV}/bin/{point.name}", File(data=script, executable=True))
        add_libraries(tree, interpreter.libraries, copied)
        return tree


def _listed(extras: str | None) -> set[str]:
    return {normalized(each.strip()) for each in (extras or "").split(",") if each.strip()}


def _editable(distribution: Distribution) -> Path | None:
    """The project that an "editable" installation leads to."""
    text = distribution.read_text("direct_url.json")
    if text is None:
        return None
    try:
        told = json.loads(text)
        if told.get("dir_info", {}).get("editable") and told["url"].startswith("file://"):
            return Path(unquote(told["url"].removeprefix("file://")))
    except (ValueError, KeyError, AttributeError, TypeError):
        pass  # as if it were not there
    return None


def _copy(
    tree: Tree, name: str, distribution: Distribution, site: str, notes: list[str]
) -> list[Path]:
    """Copy the files of one distribution; which those were."""
    # Without a RECORD `files` would be what setuptools once built it of.
    files = distribution.files if distribution.read_text("RECORD") is not None else None
    if files is None or _editable(distribution) is not None:
        _add_metadata(tree, distribution, site)
        return _copy_packages(tree, name, distribution, site, notes)
    copied: list[Path] = []
    for each in files:
        if "__pycache__" in each.parts or each.suffix == ".pyc":
            continue
        if each.parent.suffix == ".dist-info" and each.name in _OF_THE_INSTALLATION:
            continue
        source = Path(os.path.normpath(str(distribution.locate_file(each))))
        target = _target(each.parts, source, site)
        if target and source.is_file():
            copied += tree.copy(source, target)
    return copied


def _target(parts: Iterable[str], source: Path, site: str) -> str:
    """Where a file of a distribution is in the image; empty for one that is not."""
    if ".." not in parts:
        return f"{site}/{'/'.join(parts)}"
    if source.is_relative_to(sysconfig.get_path("scripts")):
        return ""  # they are made anew: their first line has a path of this machine
    if source.is_relative_to(sys.prefix):
        return f"{VENV}/{source.relative_to(sys.prefix).as_posix()}"
    return ""


def _add_metadata(tree: Tree, distribution: Distribution, site: str) -> None:
    stem = re.sub(r"[-.]+", "_", distribution.metadata["Name"])
    for name, sources in {
        "METADATA": ("METADATA", "PKG-INFO"),
        "entry_points.txt": ("entry_points.txt",),
    }.items():
        for source in sources:
            text = distribution.read_text(source)
            if text:
                where = f"{site}/{stem}-{distribution.version}.dist-info/{name}"
                tree.put(where, File(data=text.encode("utf-8", "surrogateescape")))
                break


def _copy_packages(
    tree: Tree, name: str, distribution: Distribution, site: str, notes: list[str]
) -> list[Path]:
    """Copy the packages of a distribution that does not list its files."""
    text = distribution.read_text("top_level.txt")
    modules = text.split() if text else [name.replace("-", "_")]
    copied: list[Path] = []
    for module in modules:
        for source in module_files(module):
            copied += tree.copy(source, f"{site}/{target_of(module, source)}", keep=keep_of_package)
    if not copied:
        notes.append(f"{name} does not tell which modules it has; install it as a wheel")
    return copied


def module_files(module: str) -> list[Path]:
    """The directories or the file of a top-level module; empty where it is not there as such."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(each) for each in spec.submodule_search_locations if Path(each).is_dir()]
    return [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []


def target_of(module: str, source: Path) -> str:
    """The name in a directory of modules under which a top-level module is found."""
    return module if source.is_dir() else source.name


def _script(module: str, attribute: str) -> bytes:
    """What a console script is."""
    first = attribute.partition(".")[0]
    return (
        f"#!{VENV}/bin/python\nimport sys\n\nfrom {module} import {first}\n\n"
        f"sys.exit({attribute}())\n"
    ).encode()
