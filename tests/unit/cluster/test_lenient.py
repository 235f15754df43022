"""Failsafe and failback: calls whose loss is bearable."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.cluster.stage import Stage, lost, unreachable

from kubbo.errors import RemoteException, RpcError
from kubbo.sim.loop import run


def test_failsafe_answers_nothing_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    """The value is None, the failure is in the result and in the log."""

    async def main() -> None:
        stage = Stage(1)
        stage[0].fails = lost
        result = await stage.call("failsafe")
        assert result.value is None
        assert isinstance(result.degraded, RpcError)
        assert stage[0].begun == 1

    run(main())
    assert "failsafe" in caplog.text


@pytest.mark.parametrize("policy", ["failsafe", "failback"])
def test_what_the_method_threw_is_raised(policy: str) -> None:
    """An exception of the method is an answer and no failure of the call."""

    async def main() -> None:
        stage = Stage(1)
        stage[0].fails = lambda: RemoteException("com.example.NoSuchOrder", "7")
        with pytest.raises(RemoteException):
            await stage.call(policy)
        await stage.background.aclose()

    run(main())


def test_failback_makes_the_call_again_until_it_succeeds() -> None:
    """Every five seconds, out of the caller's sight."""

    async def main() -> None:
        stage = Stage(1)
        stage[0].fails = unreachable
        assert (await stage.call("failback", retries=3)).value is None
        await asyncio.sleep(7)
        assert stage[0].begun == 2
        stage[0].fails = None
        await asyncio.sleep(60)
        assert stage[0].begun == 3
        assert len(stage.background) == 0

    run(main())


def test_failback_gives_up_after_its_retries() -> None:
    """One attempt and three repetitions, then it is lost."""

    async def main() -> None:
        stage = Stage(1)
        stage[0].fails = unreachable
        await stage.call("failback", retries=3)
        await asyncio.sleep(60)
        assert stage[0].begun == 4
        assert len(stage.background) == 0

    run(main())


def test_failback_does_not_repeat_what_may_have_run() -> None:
    """A write whose connection broke is not made twice behind its caller's back."""

    async def main() -> None:
        stage = Stage(1)
        stage[0].fails = lost
        await stage.call("failback", retries=3)
        await asyncio.sleep(60)
        assert stage[0].begun == 1
        await stage.call("failback", retries=3, idempotent=True)
        await asyncio.sleep(60)
        assert stage[0].begun == 5

    run(main())


def test_closing_ends_what_failback_still_had_to_do() -> None:
    """No task outlives the channel that owns it."""

    async def main() -> None:
        stage = Stage(1)
        stage[0].fails = unreachable
        await stage.call("failback", retries=3)
        assert len(stage.background) == 1
        await stage.background.aclose()
        assert len(stage.background) == 0

    run(main())


def test_the_background_is_bounded() -> None:
    """Above its limit nothing is begun, and the coroutine is closed."""
    from kubbo.cluster.background import Background

    async def main() -> None:
        background = Background(limit=2)

        async def work() -> None:
            await asyncio.sleep(3600)

        assert [background.start(work(), "work") for _ in range(4)] == [True, True, False, False]
        await background.aclose()

    run(main())
