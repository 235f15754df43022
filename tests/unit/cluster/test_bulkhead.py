"""Bulkheads: who gets in, who waits, who is shed; and the limit that finds itself."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from kubbo.cluster.bulkhead import Bulkhead, Fixed
from kubbo.cluster.gradient import Gradient
from kubbo.errors import Code, ConfigError, DeadlineExceeded, Progress, RpcError
from kubbo.model import Deadline
from kubbo.sim.loop import SimLoop, run


def soon(seconds: float) -> Deadline:
    return Deadline(asyncio.get_running_loop().time() + seconds)


async def work(bulkhead: Bulkhead, seconds: float, deadline: Deadline, priority: int = 0) -> float:
    """Enter, work, leave; when it got in."""
    clock = asyncio.get_running_loop().time
    await bulkhead.enter(deadline, priority)
    began = clock()
    try:
        await asyncio.sleep(seconds)
    finally:
        bulkhead.leave(clock() - began)
    return began


def test_a_full_bulkhead_without_a_queue_refuses_at_once() -> None:
    """In the same turn of the loop, as a refusal that provably ran nothing, with a time to rest."""
    loop = SimLoop()

    async def main() -> None:
        bulkhead = Bulkhead("orders", Fixed(2))
        busy = [asyncio.create_task(work(bulkhead, 5.0, soon(60))) for _ in range(2)]
        await asyncio.sleep(0)
        start = loop.time()
        with pytest.raises(RpcError, match="orders runs 2 calls") as refused:
            await bulkhead.enter(soon(60))
        assert loop.time() == start
        assert refused.value.code is Code.RESOURCE_EXHAUSTED
        assert refused.value.progress is Progress.NOT_SENT
        assert refused.value.retry_after is not None
        await asyncio.gather(*busy)
        assert bulkhead.running == 0

    run(main(), loop=loop)


def test_who_waits_gets_in_by_priority_and_then_by_turn() -> None:
    """The highest priority first, and among equals who came first."""

    async def main() -> None:
        bulkhead = Bulkhead("orders", Fixed(1), queue=10)
        order: list[str] = []

        async def one(name: str, priority: int) -> None:
            await work(bulkhead, 1.0, soon(60), priority)
            order.append(name)

        tasks = [asyncio.create_task(one("first", 0))]
        for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5), ("e", -1)):
            await asyncio.sleep(0)
            tasks.append(asyncio.create_task(one(name, priority)))
        await asyncio.gather(*tasks)
        assert order == ["first", "b", "d", "a", "c", "e"]

    run(main())


def test_a_full_queue_sheds_the_lowest_priority_with_the_next_deadline() -> None:
    """The one with the least chance makes room; a newcomer that is worse is refused itself."""

    async def main() -> None:
        bulkhead = Bulkhead("orders", Fixed(1), queue=2)
        busy = asyncio.create_task(work(bulkhead, 5.0, soon(60)))
        await asyncio.sleep(0)
        near = asyncio.create_task(work(bulkhead, 1.0, soon(10)))
        far = asyncio.create_task(work(bulkhead, 1.0, soon(30)))
        await asyncio.sleep(0)
        with pytest.raises(RpcError, match="overloaded"):
            await bulkhead.enter(soon(9))
        better = asyncio.create_task(work(bulkhead, 1.0, soon(20)))
        urgent = asyncio.create_task(work(bulkhead, 1.0, soon(8), priority=1))
        await asyncio.sleep(0)
        outcomes = await asyncio.gather(busy, near, far, better, urgent, return_exceptions=True)
        assert [isinstance(each, RpcError) for each in outcomes] == [
            False,
            True,
            False,
            True,
            False,
        ]
        assert bulkhead.shed == 3

    run(main())


def test_a_deadline_that_passes_while_waiting_ends_the_wait() -> None:
    """The call was not run, and its place in the queue is free again."""

    async def main() -> None:
        bulkhead = Bulkhead("orders", Fixed(1), queue=1)
        busy = asyncio.create_task(work(bulkhead, 5.0, soon(60)))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded, match="its turn did not come") as late:
            await bulkhead.enter(soon(1))
        assert late.value.progress is Progress.NOT_SENT
        assert bulkhead.waiting == 0
        waits = asyncio.create_task(work(bulkhead, 1.0, soon(60)))
        await asyncio.gather(busy, waits)
        assert (bulkhead.running, bulkhead.waiting) == (0, 0)

    run(main())


@pytest.mark.parametrize("seed", range(20))
def test_no_place_is_lost_or_given_twice(seed: int) -> None:
    """Calls that come, wait, are shed, expire and are cancelled at random times: never more than
    the limit run, and in the end every place is free."""

    async def main() -> None:
        rng = Random(seed)
        bulkhead = Bulkhead("orders", Fixed(3), queue=5)
        running = 0
        most = 0

        async def call() -> None:
            nonlocal running, most
            await bulkhead.enter(soon(rng.uniform(0.0, 3.0)), rng.randrange(3))
            began = asyncio.get_running_loop().time()
            running += 1
            most = max(most, running)
            try:
                await asyncio.sleep(rng.uniform(0.0, 1.0))
            finally:
                running -= 1
                bulkhead.leave(asyncio.get_running_loop().time() - began)

        tasks: list[asyncio.Task[None]] = []
        for _ in range(500):
            tasks.append(asyncio.create_task(call()))
            if rng.random() < 0.3:
                rng.choice(tasks).cancel()
            await asyncio.sleep(rng.choice((0.0, 0.0, 0.1)))
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (bulkhead.running, bulkhead.waiting, most) == (0, 0, 3)
        assert await work(bulkhead, 0.0, soon(1)) > 0

    run(main())


def test_the_heaps_do_not_grow_with_who_has_gone() -> None:
    """30,000 calls that give up while they wait leave no trace."""

    async def main() -> None:
        bulkhead = Bulkhead("orders", Fixed(1), queue=10)
        await bulkhead.enter(soon(3600))
        for _ in range(3_000):
            tasks = [asyncio.create_task(bulkhead.enter(soon(60))) for _ in range(10)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert bulkhead.waiting == 0
        assert len(bulkhead._next) < 200
        assert len(bulkhead._worst) < 200
        bulkhead.leave(1.0)

    run(main())


def serve(capacity: int, seconds: float, limit: Gradient | Fixed) -> tuple[int, float]:
    """An open load at twice what a service can do; the answers within 60 s, and their mean time.

    The service works on `capacity` calls at once, 0.1 s each; more than that share the time.
    """
    loop = SimLoop()
    done = 0
    total = 0.0

    async def main() -> None:
        nonlocal done, total
        bulkhead = Bulkhead("orders", limit)
        working = 0

        async def call() -> None:
            nonlocal working, done, total
            try:
                await bulkhead.enter(soon(60))
            except RpcError:
                return
            began = loop.time()
            working += 1
            try:
                left = 0.1
                while left > 1e-9:
                    step = min(left, 0.02)
                    await asyncio.sleep(step * max(1.0, working / capacity))
                    left -= step
            finally:
                working -= 1
                bulkhead.leave(loop.time() - began)
            done += 1
            total += loop.time() - began

        tasks: set[asyncio.Task[None]] = set()
        rate = capacity / 0.1 * 2
        for _ in range(int(rate * seconds)):
            tasks.add(asyncio.create_task(call()))
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*tasks)

    run(main(), loop=loop)
    return done, total / max(done, 1)


def test_the_adaptive_limit_finds_what_a_service_can_do() -> None:
    """Under twice the load, the time of a call stays below three times its own, and the service
    is kept busy; a fixed limit that is too high lets the time grow with it."""
    done, mean = serve(10, 30.0, Gradient())
    too_high_done, too_high = serve(10, 30.0, Fixed(500))
    assert done > 0.9 * 30.0 * 10 / 0.1
    assert mean < 0.3
    assert too_high > 10 * mean
    assert too_high_done < 1.2 * done


def test_faults_make_the_adaptive_limit_smaller() -> None:
    """Calls that are cut short say that there were too many; the limit has a least value."""
    limit = Gradient(100, 4, 1_000)
    for _ in range(500):
        limit.measure(0.1, 100, fault=True)
    assert limit.value == 4


def test_an_idle_service_says_nothing_about_its_limit() -> None:
    """A few calls far below the limit do not raise it for ever."""
    limit = Gradient(100, 4, 1_000)
    for _ in range(500):
        limit.measure(0.1, 3, fault=False)
    assert limit.value == 100


@pytest.mark.parametrize("numbers", [(10, 20, 30), (10, 0, 30), (50, 4, 30)])
def test_an_adaptive_limit_out_of_order_is_refused(numbers: tuple[int, int, int]) -> None:
    """least, first and most go up."""
    with pytest.raises(ConfigError, match="adaptive"):
        Gradient(*numbers)
