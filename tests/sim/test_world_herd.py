"""What a restart of the API server costs it: a thousand consumers come back.

The server has forgotten all versions when it is back, as the real one has, so everybody has to
list. One world is bounced again and again, with calm in between.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from kubbo.sim.loop import SimLoop, run
from kubbo.sim.world import NAMESPACE, World

if TYPE_CHECKING:
    from collections.abc import Callable

CONSUMERS = 1_000
BOUNCES = (0.05, 0.2, 1.0, 5.0, 20.0, 60.0)
"""Seconds for which nobody listens."""
HERDS = int(os.environ.get("KUBBO_SIM_HERDS", "0"))
CALM = 122.0  # waits are short again after two minutes
RUNS = (
    [("crash", 0, (0.05, 60.0)), ("stop", 1, (0.2, 5.0))]
    if not HERDS
    else [(how, seed, BOUNCES) for seed in range(HERDS) for how in ("crash", "stop")]
)


class Counted:
    """The lists of slices that a server is asked for: by consumer, and the most in a second."""

    def __init__(self, world: World) -> None:
        self.by_consumer: Counter[str] = Counter()
        self.most_in_a_second = 0
        self._world = world
        self._last: deque[float] = deque()
        world.server.observer = self._count

    def _count(self, client: str, verb: str, resource: str) -> None:
        if (verb, resource) != ("list", "endpointslices"):
            return
        now = self._world.loop.time()
        self.by_consumer[client] += 1
        self._last.append(now)
        while self._last[0] <= now - 1.0:
            self._last.popleft()
        self.most_in_a_second = max(self.most_in_a_second, len(self._last))


@dataclass(frozen=True)
class Bounce:
    """One restart, as the server and the consumers saw it."""

    seconds: float
    abrupt: bool
    counted: Counted
    right_after: float

    def __str__(self) -> str:
        how = "crash" if self.abrupt else "stop"
        return (
            f"{how} of {self.seconds:g} s: {self.counted.by_consumer.total()} lists of "
            f"{len(self.counted.by_consumer)} consumers, at most "
            f"{max(self.counted.by_consumer.values())} each, at most "
            f"{self.counted.most_in_a_second} in a second; right after {self.right_after:.1f} s"
        )


async def calm(world: World) -> None:
    """Wait, with providers everywhere: nobody asks again and again why there is none."""
    while not all(world.truth.service(NAMESPACE, name).now for name in world.services):
        world.churn.step()
        await world.controller.settled()
    await asyncio.sleep(CALM)
    assert world.differences() == []


async def bounce(world: World, seconds: float, *, abrupt: bool) -> Bounce:
    loop = world.loop
    counted = Counted(world)
    for part in range(1, 8):  # while it is away, so that what anybody knows is too old
        loop.call_later(seconds * part / 8, world.churn.step)
    await world.restart(seconds, abrupt=abrupt)
    began = loop.time()
    for second in range(1, 8):  # and while they come back
        loop.call_later(second, world.churn.step)
    await asyncio.sleep(8.0)
    while world.differences():
        await asyncio.sleep(0.1)
        assert loop.time() < began + 60.0
    right_after = loop.time() - began
    await calm(world)
    return Bounce(seconds, abrupt, counted, right_after)


async def bounces(
    loop: SimLoop, seed: str, lengths: tuple[float, ...], *, abrupt: bool
) -> list[Bounce]:
    async with World(loop, seed, services=4, consumers=CONSUMERS) as world:
        await calm(world)
        return [await bounce(world, seconds, abrupt=abrupt) for seconds in lengths]


@pytest.mark.soak
@pytest.mark.parametrize(("how", "seed", "lengths"), RUNS, ids=str)
def test_a_thousand_consumers_survive_a_restart_without_a_stampede(
    how: str, seed: int, lengths: tuple[float, ...], tried: Callable[[str, int], None]
):
    """However long the API server is away, from 0.05 to 60 s, every consumer lists once or
    twice, no second gets more than 20% of them, and the last view is right 10 s after its
    return, which is sooner than two steps of backoff. `make soak` runs six lengths, five seeds."""
    loop = SimLoop()
    found = run(bounces(loop, f"herd {seed}", lengths, abrupt=how == "crash"), loop=loop)
    print(*found, sep="\n")  # noqa: T201 - the numbers
    for one in found:
        assert len(one.counted.by_consumer) > CONSUMERS / 2, one
        assert max(one.counted.by_consumer.values()) <= 2, one
        assert one.counted.most_in_a_second <= CONSUMERS * 0.2, one
        assert one.right_after < 10.0, one
    tried("restarts under 1,000 consumers, no second with more than 20% of their lists", len(found))
