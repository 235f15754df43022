"""Cluster policies: what becomes of a call when an attempt fails.

A policy asks for attempts and reads `progress`: an attempt that provably did not run is
safe to repeat, one that may have run only if the method is declared idempotent, one that
was answered never. Dubbo repeats whatever failed without an answer, writes included.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from kubbo.cluster.member import Pool
from kubbo.errors import Code, NoProvider, Progress, RpcError

if TYPE_CHECKING:
    from kubbo.cluster.balancers import LoadBalance
    from kubbo.cluster.directory import Directory
    from kubbo.cluster.member import Member
    from kubbo.model import Invocation, Result
    from kubbo.wire.codec import Codec

__all__ = ["Attempts", "Cluster", "Failfast", "Failover"]

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


class Attempts(Protocol):
    """Makes attempts of one call; remembers who was tried, so that a policy need not."""

    def untried(self) -> bool:
        """Whether there is a member that this call has not tried yet."""
        ...

    async def __call__(self) -> Result:
        """Pick a member that was not tried yet, where there is one, and send."""
        ...


class Cluster(Protocol):
    """Turns attempts into the outcome of a call."""

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """The result of the first attempt that succeeds, or the last one's error."""
        ...


class Failover:
    """Try again elsewhere, up to `retries` further times, where that is safe."""

    def __init__(self, retries: int) -> None:
        self._retries = retries

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`."""
        failed: list[RpcError] = []
        while True:
            try:
                return await attempts()
            except RpcError as error:
                if len(failed) >= self._retries or not _worth_a_retry(error, invocation, attempts):
                    error.attempts = tuple(failed)
                    raise
                failed.append(error)


def _worth_a_retry(error: RpcError, invocation: Invocation, attempts: Attempts) -> bool:
    safe = error.progress is Progress.NOT_SENT or (
        invocation.idempotent and error.progress is Progress.SENT
    )
    # Who refused a call will refuse it again; who could not be reached may come back.
    unreachable = error.code is Code.UNAVAILABLE and not isinstance(error, NoProvider)
    useful = unreachable or attempts.untried()
    return safe and useful and error.code not in _HOPELESS


class Failfast:
    """One attempt."""

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`."""
        del invocation
        return await attempts()


RETRY_PAUSE: Final = 0.05
"""Seconds before a member is tried again, doubled each time: it needs a moment to come back."""


class DirectoryAttempts:
    """The attempts of one call over a directory. A retry sees the pool of its own moment."""

    __slots__ = ("_balance", "_codec", "_directory", "_invocation", "_tried")

    def __init__(
        self, invocation: Invocation, directory: Directory, balance: LoadBalance, codec: Codec
    ) -> None:
        self._invocation = invocation
        self._directory = directory
        self._balance = balance
        self._codec = codec
        self._tried: list[Member] = []

    async def __call__(self) -> Result:
        """See `Attempts`."""
        invocation = self._invocation
        pool = self._directory.pool()
        if pool is None:
            # What cannot be encoded is told before anybody is waited for.
            self._codec.encode_request(invocation, 1.0)
            pool = await self._directory.wait_pool(invocation.deadline)
        picker = pool.picker or self._balance.bind(pool)
        member = picker(invocation)
        if member in self._tried:
            rest = self._rest(pool)
            if rest:
                member = self._balance.bind(Pool(rest))(invocation)
            else:
                await asyncio.sleep(RETRY_PAUSE * 2 ** (len(self._tried) - 1))
        self._tried.append(member)
        member.active += 1
        try:
            return await member.dialer.send(invocation, self._codec)
        finally:
            member.active -= 1

    def untried(self) -> bool:
        """See `Attempts`."""
        pool = self._directory.pool()
        return pool is not None and bool(self._rest(pool))

    def _rest(self, pool: Pool) -> tuple[Member, ...]:
        return tuple(member for member in pool.members if member not in self._tried)
