"""Hedging, forking and broadcast, in virtual time."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.cluster.stage import Stage, lost, refused, unreachable

from kubbo.errors import Code, ConfigError, Progress, RemoteException, RpcError, UsageError
from kubbo.sim.loop import SimLoop, run
from kubbo.transport.dialer import State


def elapsed(loop: SimLoop, since: float) -> float:
    return round(loop.time() - since, 6)


@pytest.mark.parametrize("policy", ["hedging", "forking"])
def test_what_may_not_run_twice_is_not_sent_at_all(policy: str) -> None:
    """Both may run a method more than once, so it has to be declared idempotent."""

    async def main() -> None:
        stage = Stage(3)
        with pytest.raises(UsageError, match=f"{policy} may run find more than once"):
            await stage.call(policy)
        assert not stage.begun

    run(main())


def test_a_quick_answer_is_not_hedged() -> None:
    """An answer before the delay costs one attempt."""

    async def main() -> None:
        stage = Stage(3, latency=0.09)
        await stage.call("hedging", idempotent=True, hedge_delay=0.1)
        assert stage.begun.total() == 1

    run(main())


def test_a_slow_provider_is_overtaken_and_its_attempt_cancelled() -> None:
    """After the delay another one is asked; the answer comes then, and the loser is cancelled."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(2)
        stage[0].latency = stage[1].latency = 30.0
        start = loop.time()
        call = asyncio.create_task(stage.call("hedging", idempotent=True, hedge_delay=0.1))
        await asyncio.sleep(0.05)
        (slow,) = stage.begun
        fast = next(p for p in stage.providers.values() if p.endpoint.host != slow)
        fast.latency = 0.02
        assert (await call).value == fast.endpoint.host
        assert elapsed(loop, start) == 0.12
        assert [p.cancelled for p in stage.providers.values()].count(1) == 1
        assert all(member.active == 0 for member in stage.directory.members())

    run(main(), loop=loop)


def test_hedges_end_at_their_number_and_never_meet_a_tried_provider() -> None:
    """Three attempts at three providers, a delay apart, and no fourth."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(5, latency=1.0)
        start = loop.time()
        await stage.call("hedging", idempotent=True, hedge_delay=0.1, hedge_attempts=3)
        assert elapsed(loop, start) == 1.0
        assert sorted(stage.begun.values()) == [1, 1, 1]

    run(main(), loop=loop)


def test_a_hedge_that_the_budget_does_not_pay_is_not_made() -> None:
    """With a budget of nothing, hedging waits for its one attempt."""

    async def main() -> None:
        stage = Stage(3, share=0.0, latency=1.0)
        await stage.call("hedging", idempotent=True, hedge_delay=0.1)
        assert stage.begun.total() == 1

    run(main())


def test_a_hedge_waits_for_another_provider_to_be_connected() -> None:
    """When the delay passes there is only the slow one; it is overtaken once there is another."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(2)
        stage[0].latency = 30.0
        stage[1].become(State.CONNECTING)
        start = loop.time()
        call = asyncio.create_task(stage.call("hedging", idempotent=True, hedge_delay=0.1))
        await asyncio.sleep(0.55)
        stage[1].become(State.READY)
        assert (await call).value == "10.0.0.1"
        assert elapsed(loop, start) == 0.61

    run(main(), loop=loop)


def test_a_failed_attempt_is_replaced_at_once() -> None:
    """Nobody waits for the delay when the first attempt has failed already."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(2)
        stage[0].fails = stage[1].fails = unreachable
        start = loop.time()
        with pytest.raises(RpcError) as failed:
            await stage.call("hedging", idempotent=True, hedge_delay=5.0)
        assert elapsed(loop, start) == 0.02
        assert stage.begun.total() == 2
        assert len(failed.value.attempts) == 1

    run(main(), loop=loop)


def test_the_first_of_several_forks_wins() -> None:
    """All forks begin at once, at different providers; the quickest one's answer is taken."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(3)
        for number in range(3):
            stage[number].latency = 1.0 + number
        start = loop.time()
        assert (await stage.call("forking", idempotent=True, forks=3)).value == "10.0.0.0"
        assert elapsed(loop, start) == 1.0
        assert [stage[n].cancelled for n in range(3)] == [0, 1, 1]

    run(main(), loop=loop)


def test_forks_survive_failures_of_some() -> None:
    """Only when every fork has failed does the call; its error has them all."""

    async def main() -> None:
        stage = Stage(3)
        stage[0].fails = lost
        stage[1].fails = refused
        assert (await stage.call("forking", idempotent=True, forks=3)).value == "10.0.0.2"
        stage[2].fails = unreachable
        with pytest.raises(RpcError) as failed:
            await stage.call("forking", idempotent=True, forks=3)
        assert len(failed.value.attempts) == 2

    run(main())


def test_there_are_no_more_forks_than_providers() -> None:
    """Two providers are not asked five times."""

    async def main() -> None:
        stage = Stage(2)
        await stage.call("forking", idempotent=True, forks=5)
        assert dict(stage.begun) == {"10.0.0.0": 1, "10.0.0.1": 1}

    run(main())


def test_what_the_method_threw_is_the_outcome_of_a_race() -> None:
    """An answer is an answer: it is not waited whether another provider thinks differently."""

    async def main() -> None:
        stage = Stage(2)
        stage[0].fails = lambda: RemoteException("com.example.NoSuchOrder", "7")
        stage[1].latency = 5.0
        with pytest.raises(RemoteException, match="7"):
            await stage.call("forking", idempotent=True, forks=2)

    run(main())


def test_broadcast_reaches_everybody_at_once() -> None:
    """Each provider runs the call once; the call lasts as long as the slowest."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(4)
        stage[2].latency = 2.0
        start = loop.time()
        assert (await stage.call("broadcast")).value in stage.begun
        assert set(stage.begun.values()) == {1}
        assert len(stage.begun) == 4
        assert elapsed(loop, start) == 2.0

    run(main(), loop=loop)


def test_one_failure_fails_a_broadcast_after_all_have_answered() -> None:
    """Everybody is asked all the same, and the error names who failed."""

    async def main() -> None:
        stage = Stage(4)
        stage[0].fails = stage[3].fails = lost
        with pytest.raises(RpcError) as failed:
            await stage.call("broadcast")
        assert failed.value.progress is Progress.SENT
        assert len(failed.value.attempts) == 1
        assert len(stage.begun) == 4

    run(main())


def test_a_cancelled_race_leaves_nothing() -> None:
    """Who gives a call up has all its attempts cancelled."""

    async def main() -> None:
        stage = Stage(3, latency=60.0)
        call = asyncio.create_task(stage.call("forking", idempotent=True, forks=3))
        await asyncio.sleep(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert [stage[n].cancelled for n in range(3)] == [1, 1, 1]

    run(main())


@pytest.mark.parametrize(
    ("policy", "given", "text"),
    [
        ("forking", {"forks": 0}, "forks=0"),
        ("forking", {"forks": "many"}, "no number"),
        ("forking", {"forks": "nan"}, "no number"),
        ("hedging", {"hedge_delay": 0}, "hedge.delay"),
        ("hedging", {"hedge_attempts": 1}, "hedge.attempts"),
        ("failback", {"failbacktasks": 0}, "failbacktasks"),
        ("none", {}, "failover, failsafe"),
    ],
)
def test_a_parameter_that_does_not_fit_is_told(
    policy: str, given: dict[str, int | str], text: str
) -> None:
    """The message names the parameter, or the policies that there are."""

    async def main() -> None:
        with pytest.raises(ConfigError, match=text):
            await Stage(1).call(policy, idempotent=True, **given)

    run(main())


def test_available_takes_the_first_that_is_connected() -> None:
    """No balancing: the first provider of the view takes every call."""

    async def main() -> None:
        stage = Stage(5)
        for _ in range(20):
            assert (await stage.call("available")).value == "10.0.0.0"
        stage[0].fails = lost
        with pytest.raises(RpcError) as failed:
            await stage.call("available")
        assert failed.value.code is Code.UNAVAILABLE

    run(main())
