"""Places of consumers, by their addresses."""

from __future__ import annotations

import ipaddress
import itertools
import random

import pytest

from kubbo.naming.kubernetes.place import place

RANDOM = random.Random(5)


def row(first: str, count: int) -> list[str]:
    """Addresses in a row."""
    start = int(ipaddress.ip_address(first))
    return [str(ipaddress.ip_address(start + number)) for number in range(count)]


FLEETS = {
    "one subnet": row("10.1.0.2", 250),
    "four nodes": [one for node in range(4) for one in row(f"10.1.{node}.2", 250)],
    "a hundred nodes with a few pods each": [
        one for node in range(100) for one in row(f"10.244.{node}.5", 10)
    ],
    "nodes that are filled unevenly": [
        one for node in range(60) for one in row(f"10.8.{node}.{2 + node}", 1 + node % 40)
    ],
    "one subnet over several blocks": row("172.20.3.77", 1000),
    "IPv6": [one for node in range(40) for one in row(f"fd00:1:{node:x}::10", 25)],
    "anywhere": [f"10.0.{RANDOM.randrange(256)}.{RANDOM.randrange(256)}" for _ in range(5000)],
}


@pytest.mark.parametrize("name", FLEETS)
def test_a_fleet_is_spread_evenly(name: str) -> None:
    """In no window of a second out of 6 more than 18.5% of a fleet have their place."""
    places = sorted(place(address, 1, 0) or 0.0 for address in FLEETS[name])
    assert all(0.0 <= one < 1.0 for one in places)
    window = 1 / 6
    most = max(sum(start <= one < start + window for one in places) for start in places[::7])
    assert most <= len(places) * 0.185


def test_processes_and_watches_of_one_address_have_their_own() -> None:
    """Who shares an address, or has several watches, does not ask at one moment."""
    assert len({place("10.0.0.1", process, 0) for process in range(1000)}) == 1000
    places = sorted(place("10.0.0.1", 1, watch) or 0.0 for watch in range(100))
    assert max(b - a for a, b in itertools.pairwise(places)) < 0.03


def test_the_same_consumer_keeps_its_place() -> None:
    """It is worked out, not drawn."""
    assert place("10.0.0.1", 1, 0) == place("10.0.0.1", 1, 0)


def test_what_is_no_address_has_no_place() -> None:
    """Then dice decide, which is up to who asks."""
    assert place("", 1) is None
    assert place("localhost") is None
    assert place("fe80::1%eth0") is not None
