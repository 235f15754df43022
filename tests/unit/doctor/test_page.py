"""docs/doctor.md has the ids that there are."""

from __future__ import annotations

import re
from pathlib import Path

from kubbo.doctor.causes import RANKS

PAGE = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_the_page_has_every_id_in_the_order_of_its_rank():
    """Who adds a rule describes it, with an example and a remedy."""
    table = PAGE.partition("## The causes")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \| .+ \| .+ \|$", table, re.MULTILINE) == list(RANKS)
