"""Subsetting: stable, even, and enough of every group for routers."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from math import sqrt

import pytest
from tests.unit.cluster.view import directory, endpoints

from kubbo.cluster.subset import DEFAULT_SUBSET, Subset
from kubbo.errors import ConfigError
from kubbo.naming.resolution import Members


def test_small_services_are_whole() -> None:
    """Up to the size, and with 0 always, everybody is called."""
    some = endpoints(DEFAULT_SUBSET)
    assert Subset().choose(some) == some
    assert Subset(0).choose(endpoints(2_000)) == endpoints(2_000)
    assert len(Subset().choose(endpoints(2_000))) == DEFAULT_SUBSET


def test_the_share_is_stable() -> None:
    """The same consumer has the same share, whatever the order; another one has another."""
    some = endpoints(400)
    share = Subset(40, "shop-7d9f-abcde").choose(some)
    shuffled = random.Random(1).sample(some, 400)
    assert set(Subset(40, "shop-7d9f-abcde").choose(shuffled)) == set(share)
    other = Subset(40, "shop-7d9f-fghij").choose(some)
    assert len(set(share) & set(other)) < 15


def test_churn_moves_little() -> None:
    """40 of 400 leave and as many others come: of each share about that tenth changes."""
    some = endpoints(400)
    after = (*some[40:], *endpoints(40, first=1_000))
    kept = 0
    for number in range(50):
        subset = Subset(40, f"pod-{number}")
        kept += len(set(subset.choose(some)) & set(subset.choose(after)))
    assert kept / 50 > 40 * 0.9 * 0.9
    one = Subset(40, "pod")
    for gone in range(0, 400, 7):
        rest = (*some[:gone], *some[gone + 1 :])
        assert len(set(one.choose(some)) - set(one.choose(rest))) <= 1


def test_shares_are_even_as_chance_is() -> None:
    """Of 500 consumers that take 50 of 250, each provider has 100, give or take three times the
    root of that; over all, the spread is that of even draws."""
    some = endpoints(250)
    found: Counter[tuple[str, int]] = Counter()
    for number in range(500):
        found.update(each.key for each in Subset(50, f"shop-{number:05}").choose(some))
    assert found.total() == 500 * 50
    assert max(found.values()) < 100 + 4 * sqrt(100)
    assert min(found.values()) > 100 - 4 * sqrt(100)
    variance = sum((count - 100) ** 2 for count in found.values()) / 250
    assert 0.6 < variance / (100 * 0.8) < 1.4


def test_zones_and_versions_are_represented() -> None:
    """A zone of 5 and a version of 4 among 1,000 are in every share, with 3 at least; pod names,
    of which each endpoint has its own, make no groups."""
    some = [
        replace(
            each,
            zone="c" if n < 5 else "ab"[n % 2],
            labels=(("pod", f"pod-{n}"), ("version", "v2" if 10 <= n < 14 else "v1")),
        )
        for n, each in enumerate(endpoints(1_000))
    ]
    for number in range(30):
        share = Subset(50, f"pod-{number}").choose(some)
        assert 50 <= len(share) <= 60
        assert sum(each.zone == "c" for each in share) >= 3
        assert sum(("version", "v2") in each.labels for each in share) >= 3
        assert 15 <= sum(each.zone == "a" for each in share) <= 35


def test_who_takes_no_calls_takes_no_place() -> None:
    """Endpoints of weight 0 are left out while others are enough."""
    some = (*endpoints(100, weight=0), *endpoints(100, first=200))
    assert all(each.weight for each in Subset(50, "pod").choose(some))
    assert len(Subset(50, "pod").choose(endpoints(100, weight=0))) == 50


async def test_nobody_else_is_dialled() -> None:
    """The share is taken before connections are made; an endpoint that leaves it is let go."""
    watched, lines = directory(subset=Subset(20, "pod"))
    watched.publish(Members(endpoints(300)))
    assert len(lines) == 20
    first = set(lines)
    watched.publish(Members(endpoints(299, first=1)))
    assert len(lines) == 20
    assert len(first & set(lines)) >= 19
    await watched.aclose()
    assert not lines


def test_the_parameter() -> None:
    """`subset` is a whole number."""
    assert Subset.of({}).size == DEFAULT_SUBSET
    assert Subset.of({"subset": "20"}).size == 20
    for wrong in ("-1", -1, "some", 2.5, True):
        with pytest.raises(ConfigError, match="subset="):
            Subset.of({"subset": wrong})
