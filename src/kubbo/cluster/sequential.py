"""Policies that make one attempt at a time.

    failover    try again elsewhere, where that is safe
    failfast    one attempt
    available   one attempt at the first provider that is connected

Whether a repetition is safe is read from `progress`: an attempt that provably did not run is safe
to repeat, one that may have run only if the method is declared idempotent, one that was answered
never. Dubbo repeats whatever failed without an answer, writes included; who wants that declares
the reference or the channel idempotent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubbo.errors import Code, NoProvider, Progress, RpcError

if TYPE_CHECKING:
    from kubbo.cluster.attempts import Attempts
    from kubbo.model import Invocation, Result

__all__ = ["Available", "Failfast", "Failover", "may_repeat"]

_HOPELESS: Final = frozenset(
    {
        Code.CANCELLED,
        Code.INVALID_ARGUMENT,
        Code.DEADLINE_EXCEEDED,
        Code.PERMISSION_DENIED,
        Code.UNAUTHENTICATED,
    }
)
"""What another provider would say as well, or nobody waits for any more."""


class Failover:
    """Try again elsewhere, up to `retries` further times, where that is safe."""

    def __init__(self, retries: int) -> None:
        self._retries = retries

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`."""
        try:
            return await attempts()
        except RpcError as error:
            return await self._retry(invocation, attempts, error)

    async def _retry(self, invocation: Invocation, attempts: Attempts, error: RpcError) -> Result:
        failed: list[RpcError] = []
        while len(failed) < self._retries and may_repeat(error, invocation, attempts):
            failed.append(error)
            try:
                return await attempts()
            except RpcError as another:
                error = another
        error.attempts = tuple(failed)
        raise error


def may_repeat(error: RpcError, invocation: Invocation, attempts: Attempts) -> bool:
    """Whether another attempt after `error` is safe, useful and paid for."""
    safe = error.progress is Progress.NOT_SENT or (
        invocation.idempotent and error.progress is Progress.SENT
    )
    # Who refused a call will refuse it again; who could not be reached may come back.
    unreachable = error.code is Code.UNAVAILABLE and not isinstance(error, NoProvider)
    useful = unreachable or error.retry_after is not None or attempts.untried()
    return safe and useful and error.code not in _HOPELESS and attempts.afford(error)


class Failfast:
    """One attempt."""

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`."""
        del invocation
        return await attempts()


class Available:
    """One attempt at the first provider that is connected, without any balancing."""

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`."""
        del invocation
        members = attempts.members()
        return await attempts(members[0] if members else None)
