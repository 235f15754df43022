"""docs/configuration.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kubbo.config.configuration import read_configuration
from kubbo.config.settings import ENDPOINT_SETTINGS, SETTINGS, Kind, Setting

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def row_of(row: Setting) -> str:
    """A setting as a line of the table."""
    match row.kind:
        case Kind.DURATION | Kind.INTEGER | Kind.NUMBER:
            values = row.range.replace(" and ", " to ")
        case Kind.NAME:
            values = ", ".join(f"`{name}`" for name in row.names)
        case _:
            values = row.kind.value
    sides = " and ".join(row.sides)
    live = "yes" if row.live else "when `refer` is called"
    default = f"`{row.default}`"
    cells = (f"`{row.key}`", row.meaning, values, default, sides, live, row.origin)
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("rows", [SETTINGS, ENDPOINT_SETTINGS], ids=["calls", "providers"])
def test_the_tables_are_those_of_the_code(rows: dict[str, Setting]):
    """Each row, in the order of the code. A new setting is a row there, and this line here."""
    expected = "\n".join(row_of(row) for row in rows.values())
    assert expected in PAGE, f"the table has to be\n{expected}"


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_of_the_page_can_be_used(block: str):
    """Without a warning."""
    assert read_configuration({"kubbo.yaml": block.encode()}).warnings == ()
