"""docs/routing.md says what is: its rules are read, its messages and numbers are the code's."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import yaml
from tests.unit.cluster.routing_cases import CASES

from kubbo.cluster.routing import (
    AffinityRouter,
    ConditionRouter,
    Consumer,
    TagRouter,
    ZoneRouter,
    affinity,
    condition,
    document,
    expressions,
    parse,
    parse_text,
    rules,
    tags,
    zones,
)
from kubbo.cluster.routing.condition import DEFAULT_WEIGHT
from kubbo.config import regex
from kubbo.config.document import MAX_FILE_BYTES
from kubbo.errors import ConfigError
from kubbo.rpc.traffic import MAX_COPIES, Divert, Fault, Mirror

PAGE = (Path(__file__).parents[3] / "docs" / "routing.md").read_text(encoding="utf-8")
ME = Consumer()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_rules_of_the_page_are_read() -> None:
    """One of each sort, in the page's order."""
    routers = [parse_text(text, source="docs", consumer=ME)[0] for text in blocks("yaml")]
    sorts = [ConditionRouter, ConditionRouter, TagRouter, AffinityRouter, ZoneRouter]
    assert [type(each) for each in routers] == sorts


def test_the_python_of_the_page_compiles() -> None:
    """And imports what is there."""
    for text in blocks("python"):
        compile(text, "docs/routing.md", "exec", flags=0x2000)  # with await at the top
        for line in re.findall(r"^(?:import|from) .*$", text, re.MULTILINE):
            exec(line, {})


def test_the_message_of_the_page_is_the_parsers() -> None:
    """Word for word."""
    with pytest.raises(ConfigError) as caught:
        parse({"conditions": ["=>", "method==x => host=a"]}, source="rules.yaml", consumer=ME)
    assert f"```\n{caught.value}\n```" in PAGE


def test_each_option_has_its_row() -> None:
    """Every key that a rule may have, and every parameter of a filter."""
    keys = {
        *condition._KEYS,
        *condition._CONDITION_KEYS,
        *tags._KEYS,
        *tags._MATCHES,
        *affinity._KEYS,
        *zones._KEYS,
        *(name for each in (Divert, Fault, Mirror) for name in inspect.signature(each).parameters),
    }
    for key in keys - {"dynamic", "valid", "consumer", "rng", "other"}:
        assert re.search(rf"^\|[^\n]*\b{key}\b", PAGE, re.MULTILINE) or f"{key}:" in PAGE, key


def test_the_defaults_of_the_page_are_those_of_the_code() -> None:
    """Weights, zones, copies, limits and the number of cases."""
    assert f"| `to[].weight` | {DEFAULT_WEIGHT} |" in PAGE
    [zone] = parse_text("zoneAware: {}", source="docs", consumer=ME)
    assert isinstance(zone, ZoneRouter)
    assert f"| `minHealthy` | {zone._min_healthy} |" in PAGE
    assert f"| `spillLoad` | {zone._spill_load:g} |" in PAGE
    assert f"| `spillCalls` | {zone._spill_calls} |" in PAGE
    assert f"`{zones.SPARE:g} * healthy / all`" in PAGE
    assert f"| `limit` | {MAX_COPIES} |" in PAGE
    assert f"has {len(CASES)} rules" in PAGE
    assert (MAX_FILE_BYTES, rules.MAX_DOCUMENTS, document.MAX_ITEMS) == (1 << 20, 1_000, 1_000)
    assert (expressions.MAX_TERMS, regex.MAX_PATTERN) == (100, 200)
    limits = "1 MiB, 1,000 rules, 1,000 conditions a rule, 100 keys a condition"
    assert limits in PAGE.replace("\n", " ")
    assert yaml.safe_load(blocks("yaml")[0])["force"] is True
