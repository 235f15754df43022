"""The retry budget, pushback, and who is asked again."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.cluster.stage import Stage, lost, refused, unreachable

from kubbo.cluster.budget import FIRST_TOKENS, MAX_TOKENS, RetryBudget
from kubbo.errors import ConfigError, RpcError
from kubbo.sim.loop import SimLoop, run


@pytest.mark.parametrize("fails", [lost, refused])
def test_a_retry_storm_ends_before_it_begins(fails: object) -> None:
    """All providers fail 10,000 idempotent calls: there are fewer than 1.2 attempts a call."""

    async def main() -> None:
        stage = Stage(10)
        for provider in stage.providers.values():
            provider.fails = fails  # type: ignore[assignment]  # either makes an error
        for _ in range(10_000):
            with pytest.raises(RpcError):
                await stage.call("failover", idempotent=True)
        assert stage.begun.total() / 10_000 < 1.2
        assert stage.begun.total() == 10_000 + FIRST_TOKENS

    run(main(), loop=SimLoop())


def test_good_times_pay_for_a_burst_and_not_for_a_storm() -> None:
    """After 10,000 good calls there are tokens for a hundred repetitions, not for thousands."""

    async def main() -> None:
        stage = Stage(4)
        for _ in range(10_000):
            await stage.call("failover", idempotent=True)
        assert stage.budget.tokens == pytest.approx(MAX_TOKENS, abs=1)
        before = stage.begun.total()
        for provider in stage.providers.values():
            provider.fails = lost
        for _ in range(1_000):
            with pytest.raises(RpcError):
                await stage.call("failover", idempotent=True)
        assert 1_000 < stage.begun.total() - before <= 1_000 + MAX_TOKENS + 1

    run(main())


def test_one_bad_provider_of_ten_is_paid_for() -> None:
    """While a tenth of the attempts fails, every call is repeated and none is lost."""

    async def main() -> None:
        stage = Stage(10)
        stage[3].fails = lost
        for _ in range(2_000):
            await stage.call("failover", idempotent=True)
        assert stage[3].begun > 100

    run(main())


def test_what_never_left_costs_nothing() -> None:
    """An address where nobody listens loads no provider: another is tried even without tokens."""

    async def main() -> None:
        stage = Stage(10, share=0.0)
        for number in range(9):
            stage[number].fails = unreachable
        for _ in range(200):
            assert (await stage.call("failover", retries=9)).value == "10.0.0.9"

    run(main())


def test_a_provider_that_asks_for_rest_is_left_alone() -> None:
    """For the time that it names others take the calls; afterwards it is back."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(2)
        tired = stage[0]
        tired.fails = lambda: refused(2.0)
        while not tired.begun:
            await stage.call("failover")
        tired.fails = None
        for _ in range(100):
            assert (await stage.call("failover")).value == "10.0.0.1"
        assert tired.begun == 1
        await asyncio.sleep(2.0)
        assert {(await stage.call("failover")).value for _ in range(20)} == {
            "10.0.0.0",
            "10.0.0.1",
        }

    run(main(), loop=loop)


def test_the_only_provider_is_asked_again_when_its_rest_is_over() -> None:
    """A retry waits for as long as the provider said, within the deadline."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(1)
        answers = [lambda: refused(0.5)]
        start = loop.time()

        def fails() -> Exception:
            stage[0].fails = None
            return answers[0]()

        stage[0].fails = fails
        assert (await stage.call("failover")).value == "10.0.0.0"
        assert loop.time() - start == pytest.approx(0.01 + 0.5 + 0.01)

    run(main(), loop=loop)


def test_who_was_tried_is_not_asked_again_while_another_is_left() -> None:
    """Three attempts meet three providers, for every seed."""

    async def main() -> None:
        for seed in range(200):
            stage = Stage(3, seed=seed)
            for provider in stage.providers.values():
                provider.fails = unreachable
            with pytest.raises(RpcError) as failed:
                await stage.call("failover", retries=2)
            assert sorted(stage.begun.values()) == [1, 1, 1]
            assert len(failed.value.attempts) == 2

    run(main())


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_its_range_is_refused(share: float) -> None:
    """A budget is between nothing and one retry a call."""
    with pytest.raises(ConfigError, match=r"retry\.budget"):
        RetryBudget(share)
