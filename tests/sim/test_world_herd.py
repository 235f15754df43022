"""What a restart of the API server costs it: a thousand consumers come back."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from kubbo.sim.loop import SimLoop, run
from kubbo.sim.world import World

CONSUMERS = 1_000


class Counted:
    """The lists that a server is asked for: by consumer, and the most within a second."""

    def __init__(self, world: World) -> None:
        self.by_consumer: Counter[str] = Counter()
        self.most_in_a_second = 0
        self._world = world
        self._last: deque[float] = deque()
        world.server.observer = self._count

    def _count(self, client: str, verb: str, _: str) -> None:
        if verb != "list":
            return
        now = self._world.loop.time()
        self.by_consumer[client] += 1
        self._last.append(now)
        while self._last[0] <= now - 1.0:
            self._last.popleft()
        self.most_in_a_second = max(self.most_in_a_second, len(self._last))


async def restart(loop: SimLoop) -> tuple[Counted, float]:
    async with World(loop, "herd", services=4, consumers=CONSUMERS) as world:
        await asyncio.sleep(30.0)
        assert world.differences() == []
        counted = Counted(world)
        for second in range(1, 10):  # so that every version of before is too old
            loop.call_later(second, world.churn.step)
        await world.restart(10.0, abrupt=True)
        began = loop.time()
        while world.differences():  # noqa: ASYNC110 - time is virtual
            await asyncio.sleep(0.1)
        right_after = loop.time() - began
        await asyncio.sleep(200.0)
        return counted, right_after


def test_a_thousand_consumers_survive_a_restart_without_a_stampede():
    """The API server is away for 10 s while things change: every consumer has to list again.
    Each does so once or twice, they spread over 5 s, and the last view is right 7 s after."""
    loop = SimLoop()
    counted, right_after = run(restart(loop), loop=loop)
    assert len(counted.by_consumer) > CONSUMERS / 2
    assert max(counted.by_consumer.values()) <= 2
    assert counted.most_in_a_second <= CONSUMERS * 0.25
    assert right_after < 7.0
    print(  # noqa: T201 - the numbers
        f"{counted.by_consumer.total()} lists, at most {counted.most_in_a_second} in a second; "
        f"views right after {right_after:.1f} s"
    )
