"""The code blocks of docs/wire/hessian2.md run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[4] / "docs" / "wire" / "hessian2.md"


def test_the_code_blocks_of_the_page_run() -> None:
    """Each in one namespace, in order; they assert what they claim."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert blocks
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), namespace)


def test_the_limits_of_the_page_are_the_defaults() -> None:
    """The table and the class say the same."""
    from kubbo.wire.hessian2 import Limits

    page = PAGE.read_text()
    for name in Limits.__dataclass_fields__:
        row = re.search(rf"^\| `{name}` \| ±?([\d,]+)", page, re.MULTILINE)
        assert row, name
        assert int(row[1].replace(",", "")) == getattr(Limits(), name)
