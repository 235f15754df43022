"""Overrides mean what Dubbo Java makes of them: its answers are in tests/vectors/overrides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubbo.config.configuration import read_configuration
from kubbo.config.layers import Level, merge, stack
from kubbo.config.overrides import Subject
from kubbo.model import Endpoint

FILE = Path(__file__).parents[2] / "vectors" / "overrides" / "cases.json"
SERVICE = "com.example.GreetService:1.0.0"
SUBJECT = Subject("shop-web", frozenset({"127.0.0.1"}))
ENDPOINT = Endpoint("10.0.0.1", 20880, zone="a")


def cases() -> list[Any]:
    """What the Java program wrote."""
    return [
        pytest.param(case, id=case["name"])
        for case in json.loads(FILE.read_text(encoding="utf-8"))["cases"]
    ]


@pytest.mark.parametrize("case", cases())
def test_a_rule_changes_what_it_changes_in_dubbo(case: dict[str, Any]) -> None:
    """Timeouts of a consumer, of its interface and of a method; weights of a provider."""
    configuration = read_configuration({"rule.yaml": case["rule"].encode()})

    def timeout(method: str) -> str | None:
        layers = stack(*configuration.layers(SERVICE, method, SUBJECT))
        found = merge([each for each in layers if each.level is not Level.DEFAULT]).timeout
        return None if found is None else f"{found * 1000:g}"

    marked = [
        each.weight for each in configuration.markings() if each.marks(SERVICE, SUBJECT, ENDPOINT)
    ]
    if case["asked_by"] == "consumer":
        assert timeout("") == case["timeout"]
        assert timeout("greet") == case["greet.timeout"]
    else:
        assert [str(weight) for weight in marked] == ([case["weight"]] if case["weight"] else [])
