"""check_router passes ours, and finds what is wrong with others."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from kubbo.cluster.routing import Consumer, Disabled, TagRouter, ZoneRouter, parse
from kubbo.testing import check_router

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from kubbo.cluster.routers import Router

ME = Consumer("web", "10.9.9.9", "zone-1", "", {"region": "hz"})
TO = [{"match": f"version=v{n}", "weight": n} for n in range(5)]


def rule(**document: Any) -> Callable[[random.Random], Router]:
    return lambda rng: parse(document, source="r", consumer=ME, rng=rng)


OURS = {
    "none": rule(conditions=[]),
    "method": rule(conditions=["method=find* => port=20881", "=> host=$host"], force=True),
    "call": rule(conditions=["arguments[0]=x & attachments[x]=1 => version=v1"]),
    "refused": rule(conditions=["method=greet =>"]),
    "weights": rule(configVersion="v3.1", conditions=[{"from": {}, "to": TO}]),
    "sticky": rule(
        configVersion="v3.1", conditions=[{"from": {}, "to": TO, "sticky": "arguments[3]"}]
    ),
    "tags": rule(tags=[{"name": "gray", "addresses": ["10.0.*.*"]}], force=True),
    "labels": lambda rng: TagRouter(consumer=ME),
    "affinity": rule(configVersion="v3.1", affinityAware={"key": "zone", "ratio": 10}),
    "zone": lambda rng: ZoneRouter("zone-1", rng=rng),
    "disabled": lambda rng: Disabled("x"),
}


@pytest.mark.parametrize("name", OURS)
def test_ours_pass(name: str) -> None:
    """Every router of Kubbo."""
    check_router(OURS[name])


class Broken:
    """Keeps everybody, but for what a test changes."""

    name = "broken"

    def __init__(self, **methods: Any) -> None:
        for name, method in methods.items():
            setattr(self, name, method)

    def classify(self, call: Any) -> Any:
        return None

    def narrow(self, members: Any, kind: Any) -> Any:
        return tuple(members)


COUNT = itertools.count()


@pytest.mark.parametrize(
    ("methods", "problem"),
    [
        ({"name": ""}, "it has no name"),
        ({"classify": lambda call: next(COUNT)}, "more than 100 kinds"),
        ({"narrow": lambda members, kind: list(members)}, "not a tuple"),
        ({"narrow": lambda members, kind: tuple(reversed(members))}, "in another order"),
        ({"narrow": lambda members, kind: (*members, *members)}, "twice"),
        ({"narrow": lambda members, kind: (object(),)}, "not given"),
        ({"narrow": lambda members, kind: members[: next(COUNT) % 2]}, "asked again"),
        ({"classify": lambda call: next(COUNT) % 89}, "the same seed"),
    ],
)
def test_what_is_wrong_is_found(methods: dict[str, Any], problem: str) -> None:
    """Each promise that is broken has its message."""
    with pytest.raises(AssertionError, match=problem):
        check_router(lambda rng: Broken(**methods))


def test_a_kind_that_cannot_be_hashed_is_found() -> None:
    """It could be no key of a table."""
    with pytest.raises(TypeError, match="unhashable"):
        check_router(lambda rng: Broken(classify=lambda call: []))
