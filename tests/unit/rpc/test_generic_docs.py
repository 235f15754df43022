"""docs/generic.md: its code runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import kubbo

PAGE = (Path(__file__).parents[3] / "docs" / "generic.md").read_text(encoding="utf-8")


async def test_the_code_of_the_page_runs():
    """All blocks in their order, as one module; the provider takes a free port."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    page = ModuleType("generic_page")
    sys.modules[page.__name__] = page  # where the hints of its classes are looked up
    try:
        exec(compile(blocks[0].replace("20880", "0"), "docs/generic.md", "exec"), page.__dict__)
        async with page.server as server, kubbo.Channel(timeout=20.0) as channel:
            await page.provide(server)
            for block in blocks[1:]:
                exec(block.replace(":20880", f":{server.port}"), page.__dict__)
            for name in ("direct", "by_name", "as_classes", "failing"):
                await getattr(page, name)(channel)
    finally:
        del sys.modules[page.__name__]
    assert len(blocks) == 5
