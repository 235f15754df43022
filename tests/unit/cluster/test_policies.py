"""Failover: which failure is worth another attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kubbo.cluster.sequential import Failfast, Failover
from kubbo.errors import Code, DeadlineExceeded, NoProvider, Progress, RemoteException, RpcError
from kubbo.model import Deadline, Invocation, Result, ServiceKey, Signature

if TYPE_CHECKING:
    from kubbo.cluster.member import Member


class Script:
    """Attempts that end as they are told to, with a number of members that were not tried."""

    def __init__(self, *outcomes: Exception | str, members: int = 10) -> None:
        self.outcomes = list(outcomes)
        self.members = members
        self.made = 0

    def untried(self) -> bool:
        return self.made < self.members

    def afford(self, error: RpcError | None = None) -> bool:
        return True

    def members(self) -> tuple[Member, ...]:
        return ()

    def again(self, timeout: float) -> Script:
        return self

    def explain(self, error: RpcError) -> None:
        """Nothing is known of scripts."""

    async def __call__(self, member: Member | None = None) -> Result:
        self.made += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Result(outcome)


def invocation(*, idempotent: bool = False) -> Invocation:
    service = ServiceKey("com.example.GreetService")
    return Invocation(service, Signature("greet"), (), Deadline(1.0), idempotent=idempotent)


def failure(code: Code, progress: Progress) -> RpcError:
    return RpcError(code, "failed", progress=progress)


UNSENT = (Code.UNAVAILABLE, Progress.NOT_SENT)
LOST = (Code.UNAVAILABLE, Progress.SENT)


@pytest.mark.parametrize("idempotent", [False, True])
async def test_what_did_not_run_is_tried_elsewhere(idempotent: bool) -> None:
    """A connection that could not be made, a provider that refused: safe for every method."""
    for code in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.UNIMPLEMENTED):
        attempts = Script(failure(code, Progress.NOT_SENT), "ok")
        result = await Failover(2)(invocation(idempotent=idempotent), attempts)
        assert (result.value, attempts.made) == ("ok", 2)


async def test_what_may_have_run_is_repeated_only_if_idempotent() -> None:
    """A lost connection leaves it open whether the method ran."""
    attempts = Script(failure(*LOST), "ok")
    assert (await Failover(2)(invocation(idempotent=True), attempts)).value == "ok"
    attempts = Script(failure(*LOST), "ok")
    with pytest.raises(RpcError):
        await Failover(2)(invocation(), attempts)
    assert attempts.made == 1


@pytest.mark.parametrize(
    "error",
    [
        RemoteException("com.example.BizException", "no"),
        failure(Code.INTERNAL, Progress.ANSWERED),
        failure(Code.INVALID_ARGUMENT, Progress.NOT_SENT),
        failure(Code.PERMISSION_DENIED, Progress.NOT_SENT),
        DeadlineExceeded("late", progress=Progress.NOT_SENT),
        NoProvider("nobody is there"),
        ValueError("a declared exception"),
    ],
)
async def test_what_a_retry_cannot_help_is_told_at_once(error: Exception) -> None:
    """An answer, a mistake, a passed deadline, an empty view: one attempt, the error as it is."""
    attempts = Script(error, "ok", members=1)
    with pytest.raises(type(error)) as caught:
        await Failover(2)(invocation(idempotent=True), attempts)
    assert caught.value is error
    assert attempts.made == 1


async def test_who_refused_is_not_asked_again() -> None:
    """With no other member left, a refusal is final; an unreachable one may come back."""
    attempts = Script(failure(Code.UNIMPLEMENTED, Progress.NOT_SENT), "ok", members=1)
    with pytest.raises(RpcError):
        await Failover(2)(invocation(), attempts)
    attempts = Script(failure(*UNSENT), "ok", members=1)
    assert (await Failover(2)(invocation(), attempts)).value == "ok"


async def test_the_last_error_has_the_chain() -> None:
    """Retries are counted after the first attempt; the error names the earlier ones in order."""
    errors = [failure(*UNSENT) for _ in range(3)]
    attempts = Script(*errors, "ok")
    with pytest.raises(RpcError) as caught:
        await Failover(2)(invocation(), attempts)
    assert caught.value is errors[2]
    assert caught.value.attempts == (errors[0], errors[1])


async def test_failfast_makes_one_attempt() -> None:
    """Whatever the failure."""
    attempts = Script(failure(*UNSENT), "ok")
    with pytest.raises(RpcError):
        await Failfast()(invocation(idempotent=True), attempts)
    assert attempts.made == 1
