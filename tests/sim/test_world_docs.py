"""docs/simulation.md, held to the code."""

from __future__ import annotations

import re
from pathlib import Path

from kubbo.sim.world import BOUND, BUDGET
from kubbo.sim.world_faults import KINDS, LOUD_BOUND, SILENT_BOUND

PAGE = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text()


def test_its_example_runs():
    """The simulation of one's own is one: its assertion holds."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "docs/simulation.md", "exec"), {})


def test_its_numbers_are_those_of_the_code():
    """Kinds of faults, bounds and budget."""
    assert f"fail in {len(KINDS)} ways" in PAGE
    assert f"at most {BOUND:.0f} s ago" in PAGE
    assert f"{LOUD_BOUND:.0f} s after the last loud fault" in PAGE
    assert f"{SILENT_BOUND:.0f} s after the last silent one" in PAGE
    budget = ", ".join(f"{most} in {window:.0f} s" for window, most in BUDGET.items())
    assert budget in PAGE
