"""The breaker: who is left out, for how long, and how it comes back."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.unit.cluster.stage import Stage, lost, refused

from kubbo.cluster.breaker import BreakerRules
from kubbo.errors import ConfigError, RemoteException, RpcError
from kubbo.observe import Silent
from kubbo.sim.loop import SimLoop, run

if TYPE_CHECKING:
    from kubbo.observe import BreakerReport

RULES = BreakerRules()


class Changes(Silent):
    """Takes note of what breakers do."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def breaker_changed(self, change: BreakerReport, /) -> None:
        self.seen.append((change.endpoint.host, change.state))


async def load(
    stage: Stage, seconds: float, *, rate: float = 100.0, idempotent: bool = False
) -> tuple[int, int]:
    """Calls without retries at a steady rate; how many were made, and how many failed."""
    made = failed = 0
    tasks: set[asyncio.Task[object]] = set()
    for _ in range(int(seconds * rate)):
        tasks.add(asyncio.create_task(stage.call("failfast", idempotent=idempotent)))
        await asyncio.sleep(1 / rate)
    for task in tasks:
        made += 1
        try:
            await task
        except RpcError:
            failed += 1
    return made, failed


def test_one_bad_provider_of_ten_is_out_within_three_seconds() -> None:
    """Then at most 1% of the calls fail, although nothing is retried."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(10, breaker=RULES)
        stage[4].fails = lost
        await load(stage, 3.0)
        made, failed = await load(stage, 60.0)
        assert made == 6_000
        assert 0 < failed <= made / 100

    run(main(), loop=loop)


def test_when_all_are_bad_calls_still_go_out() -> None:
    """Half of the providers stay in, and every call reaches one."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(10, breaker=RULES)
        for provider in stage.providers.values():
            provider.fails = lost
        made, failed = await load(stage, 10.0)
        assert (made, failed) == (1_000, 1_000)
        assert stage.begun.total() == 1_000
        assert len(stage.breaker.ejected) == 5

    run(main(), loop=loop)


def test_the_only_provider_is_never_left_out() -> None:
    """One that may fail is better than none."""

    async def main() -> None:
        stage = Stage(1, breaker=RULES)
        stage[0].fails = lost
        await load(stage, 2.0)
        assert not stage.breaker.ejected
        stage[0].fails = None
        assert (await load(stage, 1.0))[1] == 0

    run(main())


def test_it_comes_back_by_probes_and_is_observed() -> None:
    """After its time one call at a time goes there; two that succeed bring it back."""
    loop = SimLoop()

    async def main() -> None:
        changes = Changes()
        stage = Stage(3, breaker=RULES, observer=changes)
        stage[0].fails = lost
        await load(stage, 1.0)
        assert changes.seen == [("10.0.0.0", "open")]
        begun = stage[0].begun
        await load(stage, 3.5)
        assert stage[0].begun == begun
        stage[0].fails = None
        stage[0].latency = 1.7
        await load(stage, 2.0, idempotent=True)
        assert stage[0].begun == begun + 1, "a second probe began before the first had ended"
        stage[0].latency = 0.01
        await load(stage, 3.0, idempotent=True)
        assert changes.seen == [("10.0.0.0", "open"), ("10.0.0.0", "closed")]
        before = stage[0].begun
        await load(stage, 3.0)
        assert stage[0].begun - before > 50

    run(main(), loop=loop)


def test_a_failed_probe_doubles_the_time() -> None:
    """5, 10, 20, 40 and then 60 seconds: a dead provider costs ever fewer calls."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(2, breaker=RULES)
        stage[0].fails = lost
        times: list[float] = []
        for _ in range(2_200):
            before = stage[0].begun
            await load(stage, 0.1, rate=100, idempotent=True)
            if stage[0].begun != before and (not times or loop.time() - times[-1] > 1):
                times.append(loop.time())
        gaps = [round(after - before) for before, after in pairwise(times)]
        assert gaps == [5, 10, 20, 40, 60, 60]

    run(main(), loop=loop)


def test_a_call_that_may_not_run_twice_is_no_probe_at_first() -> None:
    """A probe may be lost, so idempotent calls go first; after a second any call will do."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(2, breaker=RULES)
        stage[0].fails = lost
        await load(stage, 1.0)
        (health,) = stage.breaker.ejected.values()
        await asyncio.sleep(health.until - loop.time())
        begun = stage[0].begun
        await load(stage, 0.9)
        assert stage[0].begun == begun
        await load(stage, 0.2)
        assert stage[0].begun == begun + 1

    run(main(), loop=loop)


def test_a_share_of_faults_is_enough() -> None:
    """Faults that never come five in a row: every second attempt fails."""

    async def main() -> None:
        stage = Stage(2, breaker=RULES)
        flip = [False]

        def fails() -> Exception:
            flip[0] = not flip[0]
            return lost() if flip[0] else RemoteException("com.example.Fine", "an answer")

        stage[0].fails = fails
        await load(stage, 5.0)
        assert len(stage.breaker.ejected) == 1

    run(main())


def test_slow_calls_count_where_it_is_asked_for() -> None:
    """A provider whose calls take longer than `slow` is out, without a single fault."""

    async def main() -> None:
        for slow, out in ((0.0, 0), (0.3, 1)):
            stage = Stage(3, breaker=BreakerRules(slow=slow))
            stage[1].latency = 0.5
            made, failed = await load(stage, 5.0)
            assert (made, failed) == (500, 0)
            assert len(stage.breaker.ejected) == out

    run(main())


def test_answers_and_mistakes_are_no_faults() -> None:
    """What the method threw says nothing against its provider."""

    async def main() -> None:
        stage = Stage(2, breaker=RULES)
        for number in range(2):
            stage[number].fails = lambda: RemoteException("com.example.NoSuchOrder", "7")
        await load(stage, 5.0)
        assert not stage.breaker.ejected

    run(main())


def test_an_overloaded_provider_is_left_out_too() -> None:
    """Refusing is a fault, although nothing ran."""

    async def main() -> None:
        stage = Stage(3, breaker=RULES)
        stage[2].fails = refused
        await load(stage, 3.0)
        assert len(stage.breaker.ejected) == 1

    run(main())


def test_who_left_the_view_is_forgotten() -> None:
    """An ejected provider whose pod is gone counts no more."""
    from kubbo.naming.resolution import Members

    async def main() -> None:
        stage = Stage(3, breaker=RULES)
        stage[0].fails = lost
        await load(stage, 3.0)
        assert len(stage.breaker.ejected) == 1
        stage.directory.publish(Members(stage.endpoints[1:]))
        assert not stage.breaker.ejected

    run(main())


def test_a_cancelled_probe_is_made_again() -> None:
    """Its caller gave up; that says nothing, and the next call may probe."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(2, breaker=RULES)
        stage[0].fails = lost
        await load(stage, 1.0)
        stage[0].fails = None
        stage[0].latency = 100.0
        await asyncio.sleep(6.0)
        call = asyncio.create_task(stage.call("failfast", idempotent=True))
        await asyncio.sleep(1.0)
        assert stage[0].cancelled == 0
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        stage[0].latency = 0.01
        await load(stage, 1.0, idempotent=True)
        assert not stage.breaker.ejected

    run(main(), loop=loop)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"share": 1.5}, r"breaker\.share"),
        ({"consecutive": -1}, "consecutive"),
        ({"probes": 0}, "probes=0"),
    ],
)
def test_a_number_out_of_its_range_is_refused(given: dict[str, float], text: str) -> None:
    """The message names the setting and its range."""
    with pytest.raises(ConfigError, match=text):
        BreakerRules(**given)  # type: ignore[arg-type]  # the wrong numbers on purpose
