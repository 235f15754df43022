"""docs/cluster.md says what the code does: names and defaults."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from kubbo.cluster.breaker import BreakerRules
from kubbo.cluster.policies import DEFAULT_CLUSTER, POLICIES
from kubbo.observe import Observer, Silent
from kubbo.rpc.admission import ServingLimits

PAGE = (Path(__file__).parents[3] / "docs/cluster.md").read_text()


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of the first table under a heading, by the name in its first one."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    if section.partition("| ---")[0].rstrip().splitlines()[-1].startswith("| `"):
        lines = lines[1:]  # the heads of the columns
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {re.findall(r"`([^`]+)`", row[0])[0]: row for row in cells}


def test_every_policy_has_a_row() -> None:
    """And the default is marked."""
    table = rows("Cluster policies")
    assert set(table) == set(POLICIES)
    assert "default" in table[DEFAULT_CLUSTER][0]


def test_every_rule_of_the_breaker_has_a_row_with_its_default() -> None:
    """By the names of `BreakerRules`."""
    table = rows("Circuit breaker")
    assert {name: float(row[1]) for name, row in table.items()} == {
        each.name: float(each.default)  # type: ignore[arg-type]  # all are numbers
        for each in fields(BreakerRules)
    }


def test_every_limit_has_a_row() -> None:
    """Those of a service, a method and a provider."""
    table = rows("Limits")
    assert {each.name for each in fields(ServingLimits)} < set(table)
    assert {"actives", "max_calls", "max_held_bytes", "threads"} < set(table)


def test_silent_has_every_method_of_an_observer() -> None:
    """An observer that inherits from it is told everything."""
    methods = {name for name in vars(Observer) if not name.startswith("_")}
    assert methods == {name for name in vars(Silent) if not name.startswith("_")}
