"""docs/architecture.md names every room, and no room that is not there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
KUBBO = ROOT / "src" / "kubbo"


def section(title: str) -> str:
    """The first code block below a heading."""
    [block] = re.findall(rf"^## {title}\n.*?^```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[:1]
    return block


def test_the_rooms_of_the_page_are_the_modules_of_the_package():
    """A module that is added, moved or removed is added, moved or removed on the page."""
    named = set(re.findall(r"[a-z_0-9]+(?:\.py|/)(?=\s)", section("Rooms"))) - {"kubbo/"}
    one_line = {"cli", "demo", "sim", "testing"}  # their modules are not on the page
    modules = [*KUBBO.glob("*.py"), *KUBBO.glob("*/*.py")]
    packages = [
        init.parent for init in [*KUBBO.glob("*/__init__.py"), *KUBBO.glob("*/*/__init__.py")]
    ]
    there = {
        path.name + ("" if path.suffix else "/")
        for path in modules + packages
        if path.parent.name not in one_line
        and path.name != "__main__.py"
        and (path.name != "__init__.py" or path.parent == KUBBO)
    }
    assert named == there


def test_the_layers_of_the_page_are_those_that_are_enforced():
    """Whoever reads the page knows what `make check` will say."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    enforced = [
        {
            name.removeprefix("kubbo.")
            for name in re.split(r" [:|] ", layer)
            if not name.startswith("(")  # optional: not built yet
        }
        for layer in layers
    ]
    page = [
        set(re.split(r" · ", re.split(r" {2,}", line)[0]))
        for line in section("Layers").splitlines()
    ]
    assert page == enforced
