"""The cases of tests/vectors/routing, for Kubbo and for Dubbo Java; see the README there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

DIRECTORY = Path(__file__).parents[2] / "vectors" / "routing"
SERVICE = "com.example.GreetService"
CONSUMER = f"consumer://10.9.9.9/{SERVICE}?application=shop-web&region=hz&env=gray&side=consumer"
PROVIDERS = {
    "a": ("10.0.0.1", 20880, {"region": "hz", "version": "1.0", "weightless": "5"}),
    "b": ("10.0.0.2", 20880, {"region": "bj", "env": "gray"}),
    "c": ("10.0.1.3", 20881, {"region": "hz", "env": "prod", "num": "50"}),
    "d": ("10.0.1.4", 20881, {"dubbo.tag": "gray"}),
}
TIMES = 1000
"""Calls of a case with several outcomes; one call of any other."""


@dataclass(frozen=True)
class Case:
    """One case; `left` and `java` are shares by the names of who is left."""

    router: str
    name: str
    rules: tuple[str | None, ...]
    left: dict[str, float] | None
    java: dict[str, float]
    refused: str = ""
    why: str = ""
    consumer: str = CONSUMER
    call: dict[str, Any] = field(default_factory=dict)

    @property
    def times(self) -> int:
        """How many calls show the shares."""
        return TIMES if len(self.java) > 1 or (self.left and len(self.left) > 1) else 1

    @property
    def consumer_parameters(self) -> dict[str, str]:
        """Those of its URL."""
        return dict(parse_qsl(urlsplit(self.consumer).query))

    def as_json(self) -> str:
        """The case as RuleOracle.java reads it."""
        providers = [
            f"dubbo://{host}:{port}/{SERVICE}?"
            + "&".join(f"{key}={value}" for key, value in parameters.items())
            + f"&remote.application=greeter&interface={SERVICE}"
            for host, port, parameters in PROVIDERS.values()
        ]
        return json.dumps(
            {
                "router": self.router,
                "rules": self.rules,
                "consumer": f"{self.consumer}&interface={SERVICE}",
                "providers": providers,
                "method": self.call.get("method", "find"),
                "arguments": self.call.get("arguments", []),
                "attachments": self.call.get("attachments", {}),
                "times": self.times,
            }
        )


def _shares(value: Any) -> dict[str, float]:
    return value if isinstance(value, dict) else {" ".join(value): 1.0}


def load() -> list[Case]:
    """Every case of every file."""
    cases: list[Case] = []
    for path in sorted(DIRECTORY.glob("*.yaml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for each in document["cases"]:
            left = _shares(each["left"]) if "left" in each else None
            cases.append(
                Case(
                    document["router"],
                    f"{path.stem}: {each['name']}",
                    tuple(each["rules"]) if "rules" in each else (each["rule"],),
                    left,
                    _shares(each["java"]) if "java" in each else left or {},
                    each.get("refused", ""),
                    each.get("why", ""),
                    each.get("consumer", CONSUMER),
                    each.get("call", {}),
                )
            )
    return cases


CASES = load()


def shares_agree(found: dict[str, float], wanted: dict[str, float]) -> bool:
    """Whether the same sets came, each as often as it should, within six points of a hundred."""
    return set(found) == set(wanted) and all(
        abs(found[each] - wanted[each]) <= 0.06 for each in wanted
    )
