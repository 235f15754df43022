"""A fork finds the compiled codec whole, whatever other threads were doing."""

from __future__ import annotations

import re
from pathlib import Path

SOURCES = sorted((Path(__file__).parents[2] / "native/src").glob("*.rs"))


def test_nothing_is_made_at_its_first_use() -> None:
    """What PyO3 makes lazily lets other threads run while it is made; a child that is forked then
    waits for ever for a thread that it does not have (seen once in a few hundred forks of a
    busy parent). So names are made when the parts are bound, and nothing is static but those."""
    assert SOURCES
    for source in SOURCES:
        code = "\n".join(line.split("//")[0] for line in source.read_text().splitlines())
        assert "intern!(" not in code, source.name
        statics = re.findall(r"static (\w+): (?:PyOnceLock|OnceLock|LazyLock)", code)
        assert statics in ([], ["PURE"]), source.name
