"""Slow start: weights that grow, from when an endpoint was first seen, under every balancer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.unit.cluster.view import CALL, directory, endpoints

from kubbo.cluster.balancers import LOADBALANCES, make_balance
from kubbo.cluster.selection import Selection
from kubbo.cluster.subset import Subset
from kubbo.cluster.warmup import DEFAULT_WARMUP, STEPS, warmup_of
from kubbo.errors import ConfigError
from kubbo.model import Deadline, Invocation
from kubbo.naming.resolution import Absent, Members
from kubbo.sim.loop import SimLoop, run

if TYPE_CHECKING:
    from kubbo.cluster.directory import Directory
    from kubbo.cluster.member import Pool

OLD, NEW = endpoints(5), endpoints(1, first=100)


def select(watched: Directory, name: str = "random", warmup: float = 30.0) -> Selection:
    clock = asyncio.get_running_loop().time
    return Selection(watched, make_balance(name, random.Random(1), clock, {}), warmup=warmup)


def weight_of_new(selection: Selection) -> float:
    pool = selection.pool(CALL)
    assert pool is not None
    return pool.weights[[member.endpoint for member in pool.members].index(NEW[0])]


def test_a_new_endpoint_begins_with_a_tenth_and_grows_in_a_line() -> None:
    """At 0, 15 and 30 s of 30 its weight is 10, 50 and 100; who was there before has all of it."""

    async def main() -> None:
        watched, _ = directory()
        selection = select(watched)
        watched.publish(Members(OLD))
        await asyncio.sleep(5.0)
        watched.publish(Members((*OLD, *NEW)))
        assert weight_of_new(selection) == pytest.approx(10.0)
        pool = selection.pool(CALL)
        assert pool is not None
        assert sorted(pool.weights) == [10.0, *[100.0] * 5]
        for _ in range(10):
            await asyncio.sleep(1.5)
            weight_of_new(selection)
        assert weight_of_new(selection) == pytest.approx(50.0, abs=6)
        for _ in range(12):
            await asyncio.sleep(1.5)
            weight_of_new(selection)
        assert weight_of_new(selection) == 100.0
        await watched.aclose()

    run(main())


def test_the_first_view_is_warm_and_so_is_a_snapshot_s_rest() -> None:
    """Nobody is new at the start, nor who is missing in the stale first view of a snapshot."""

    async def main() -> None:
        watched, _ = directory()
        selection = select(watched)
        watched.publish(Members(OLD, stale_since=900.0))
        await asyncio.sleep(1.0)
        watched.publish(Members((*OLD, *NEW)))
        assert weight_of_new(selection) == 100.0
        await watched.aclose()

    run(main())


def test_a_change_of_weight_or_zone_is_no_start() -> None:
    """What an endpoint is changes; since when it is ready does not."""

    async def main() -> None:
        watched, _ = directory()
        selection = select(watched)
        watched.publish(Members(OLD))
        watched.publish(Members((*OLD, *NEW)))
        await asyncio.sleep(15.0)
        changed = endpoints(1, first=100, weight=40, zone="z")
        watched.publish(Members((*OLD, *changed)))
        pool = selection.pool(CALL)
        assert pool is not None
        assert min(pool.weights) == pytest.approx(20.0, abs=2)
        await watched.aclose()

    run(main())


def test_who_enters_the_share_of_a_consumer_is_not_new() -> None:
    """An endpoint that takes the place of another in a subset has been ready all the time."""

    async def main() -> None:
        watched, _ = directory(subset=Subset(5, "pod"))
        selection = select(watched)
        everybody = endpoints(20)
        watched.publish(Members(everybody))
        await asyncio.sleep(1.0)
        first = {member.endpoint for member in watched.members()}
        watched.publish(Members(tuple(each for each in everybody if each not in first)))
        pool = selection.pool(CALL)
        assert pool is not None
        assert pool.weights == (100,) * 5
        await watched.aclose()

    run(main())


def test_who_comes_after_scaling_to_zero_is_new() -> None:
    """Absent forgets who was there: pods that come have begun since. Among themselves, being all
    as new, they have the same weight."""

    async def main() -> None:
        watched, _ = directory()
        selection = select(watched)
        watched.publish(Members(OLD))
        watched.publish(Absent("scaled to zero"))
        watched.publish(Members(OLD[:2]))
        pool = selection.pool(CALL)
        assert pool is not None
        assert pool.weights == pytest.approx((10.0, 10.0))
        await watched.aclose()

    run(main())


def test_the_timer_is_there_only_while_somebody_warms_up() -> None:
    """No timer before, one while an endpoint is new, at most `STEPS` and a few of them, and none
    after, nor when the directory is closed in mid-ramp or nobody calls."""
    loop = SimLoop()

    def timers() -> int:
        return sum(line.startswith("timer") for line in loop.left_behind())

    async def main() -> None:
        watched, _ = directory()
        selection = select(watched)
        watched.publish(Members(OLD))
        selection.pool(CALL)
        assert timers() == 0
        watched.publish(Members((*OLD, *NEW)))
        assert timers() == 0
        before = watched.generation
        while weight_of_new(selection) < 100.0:
            assert timers() == 1
            await asyncio.sleep(0.1)
        assert watched.generation - before <= STEPS + 1
        await asyncio.sleep(10.0)
        assert timers() == 0
        watched.publish(Members((*OLD, *NEW, *endpoints(1, first=200))))
        selection.pool(CALL)
        assert timers() == 1
        await asyncio.sleep(5.0)  # and nobody calls
        assert timers() == 0
        selection.pool(CALL)
        assert timers() == 1
        await watched.aclose()
        assert timers() == 0

    run(main(), loop=loop)


@pytest.mark.parametrize("name", LOADBALANCES)
def test_every_balancer_starts_slowly(name: str) -> None:
    """Over the ramp the new one of six gets a third to two thirds of a full share, beginning with
    less than half and ending with more; afterwards a whole one."""

    async def main() -> None:
        watched, _ = directory()
        selection = select(watched, name)
        watched.publish(Members(OLD))
        selection.pool(CALL)
        watched.publish(Members((*OLD, *NEW)))
        counts: list[int] = []
        key = 0
        for _ in range(4):
            found: Counter[bool] = Counter()
            for _ in range(100):
                await asyncio.sleep(0.1)
                pool = selection.pool(CALL)
                assert pool is not None
                for _ in range(12):
                    key += 1
                    found[take(pool, key)] += 1
            counts.append(found[True])
        full = 100 * 12 / 6
        assert counts[0] < 0.45 * full
        assert counts[0] < counts[1] < counts[2]
        assert 0.3 < sum(counts[:3]) / (3 * full) < 0.75
        assert 0.7 < counts[3] / full < 1.4
        await watched.aclose()

    def take(pool: Pool, key: int) -> bool:
        assert pool.picker is not None
        call = Invocation(CALL.service, CALL.signature, (f"user-{key}",), Deadline(1.0))
        member = pool.picker(call)
        member.measure(0.01, asyncio.get_running_loop().time())
        member.attempts += 1
        member.answered += 1
        member.answered_seconds += 0.01
        return member.endpoint == NEW[0]

    run(main())


def test_the_parameter() -> None:
    """`warmup` is in seconds; 0 is none; what is no time says so."""
    assert warmup_of({}) == DEFAULT_WARMUP
    assert warmup_of({"warmup": "12.5"}) == 12.5

    async def main() -> None:
        watched, _ = directory()
        selection = select(watched, warmup=warmup_of({"warmup": 0}))
        watched.publish(Members(OLD))
        watched.publish(Members((*OLD, *NEW)))
        assert weight_of_new(selection) == 100.0
        await watched.aclose()

    run(main())
    for wrong in ("soon", -1, 1e9, "nan"):
        with pytest.raises(ConfigError, match="warmup="):
            warmup_of({"warmup": wrong})
