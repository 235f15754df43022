"""A resolver that is begun again when it raises."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from kubbo.errors import ConfigError
from kubbo.model import Endpoint
from kubbo.naming.lasting import LastingResolver
from kubbo.naming.resolution import Absent, Failed, Members, Pending, Resolution, Resolver
from kubbo.sim.loop import SimLoop, run

if TYPE_CHECKING:
    from kubbo.naming.resolution import Publish

ONE = Members((Endpoint("10.0.0.1", 20880),))
OTHER = Members((Endpoint("10.0.0.2", 20880),))
REFUSED = Failed(OSError("connection refused"))


class Frail:
    """Says what is written for its first life, and raises; then for its second, and so on."""

    def __init__(self, *lives: list[Resolution | Exception]) -> None:
        self.lives = list(lives)
        self.began: list[float] = []

    async def watch(self, publish: Publish, /) -> None:
        self.began.append(asyncio.get_running_loop().time())
        for said in self.lives.pop(0):
            await asyncio.sleep(10.0)
            if isinstance(said, Exception):
                raise said
            publish(said)


def watched(inside: Resolver) -> list[Resolution]:
    """All that is published until the last word."""
    seen: list[Resolution] = []
    resolver = LastingResolver(inside, rng=random.Random(1))
    loop = SimLoop()
    run(resolver.watch(seen.append), loop=loop)
    return seen


def test_members_stay_while_it_is_begun_again():
    """They are stale from the failure on, whatever it says before it knows something."""
    bug = TypeError("cadata")
    inside = Frail([Pending(), ONE, bug], [Pending(), bug], [Pending(), REFUSED, OTHER])
    stale = Members(ONE.endpoints, stale_since=1030.0)
    assert watched(inside) == [Pending(), ONE, stale, stale, OTHER]


@pytest.mark.parametrize("last", [Pending(), Absent("nobody")])
def test_who_has_no_members_is_told_of_the_failure(last: Resolution):
    """And of what follows."""
    bug = TypeError("cadata")
    assert watched(Frail([last, bug], [ONE])) == [last, Failed(bug), ONE]


def test_stale_members_do_not_get_younger():
    """A failure is no sign of life."""
    old = Members(ONE.endpoints, stale_since=1001.0)
    assert watched(Frail([old, TypeError()], [OTHER])) == [old, old, OTHER]


def test_what_fails_at_once_is_begun_ever_more_slowly():
    """One to thirty seconds; after two calm minutes it is soon again."""
    bug = TypeError("again")
    inside = Frail(*([bug] for _ in range(8)), [ONE] * 12 + [bug], [ONE])
    watched(inside)
    pauses = [later - at - 10.0 for at, later in zip(inside.began, inside.began[1:], strict=False)]
    assert all(
        most / 2 <= pause <= most
        for pause, most in zip(pauses, (1, 2, 4, 8, 16, 30, 30, 30), strict=False)
    )
    assert 0.5 <= pauses[8] - 120.0 <= 1.0


def test_what_is_raised_on_purpose_goes_through():
    """Credentials that are missing are no bug."""
    with pytest.raises(ConfigError):
        watched(Frail([ConfigError("no cluster")]))
