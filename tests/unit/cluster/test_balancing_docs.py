"""docs/loadbalance.md, held to the code."""

from __future__ import annotations

import re
from pathlib import Path

from kubbo.cluster.balancers import DEFAULT_LOADBALANCE, LOADBALANCES
from kubbo.cluster.balancers.consistent_hash import NODES_A_PROBE
from kubbo.cluster.balancers.least import EXACT, SAMPLES
from kubbo.cluster.member import FAULT_SECONDS, LATENCY_MEMORY
from kubbo.cluster.selection import LARGE, REBIND_PAUSE
from kubbo.cluster.subset import DEFAULT_SUBSET, FEW, FLOOR
from kubbo.cluster.warmup import DEFAULT_WARMUP

PAGE = (Path(__file__).parents[3] / "docs" / "loadbalance.md").read_text()


def rows(title: str) -> dict[str, list[str]]:
    """The table below a heading, by its first cells."""
    [table] = re.findall(
        rf"^## {title}\n\n\|.*?\n\|[-|]+\n(.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL
    )
    cells = [line.strip("|").split("|") for line in table.splitlines()]
    return {first.split("`")[1]: [each.strip() for each in rest] for first, *rest in cells}


async def test_its_code_runs() -> None:
    """Each block by itself."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/loadbalance.md", "exec"), {})


def test_every_balancer_has_its_row() -> None:
    """And no other has."""
    assert sorted(rows("Balancers")) == sorted(LOADBALANCES)
    assert f"| `{DEFAULT_LOADBALANCE}` (default) |" in PAGE


def test_every_parameter_has_its_row() -> None:
    """With the default that the code has."""
    table = rows("Parameters")
    assert set(table) == {"hash.arguments", "hash.nodes", "hash.load", "warmup", "subset"}
    assert table["warmup"][0] == f"`{DEFAULT_WARMUP:g}`"
    assert table["subset"][0] == f"`{DEFAULT_SUBSET}`"


def test_its_numbers_are_those_of_the_code() -> None:
    """Where a number of the code stands in a sentence."""
    assert f"of more than {EXACT} providers the least of {SAMPLES} draws" in PAGE
    assert f"a fault counts as {FAULT_SECONDS:g} s" in PAGE
    assert f"forgets it over {LATENCY_MEMORY:g} s" in PAGE
    assert f"`hash.nodes` / {NODES_A_PROBE}" in PAGE
    assert f"A pool of {LARGE} or more" in PAGE
    assert f"{REBIND_PAUSE * 1e6:g} µs\nfor each member" in PAGE
    assert f"with {FLOOR} endpoints at least" in PAGE
    assert f"a label that has up to {FEW} values" in PAGE
