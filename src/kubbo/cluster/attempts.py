"""The attempts of one call: pick a member, send, and take note of how it went.

Policies decide whether there is another attempt; this is how one is made. It counts load on the
member, remembers who was tried, and asks the retry budget of the target.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from kubbo.errors import Code, Progress, RpcError

if TYPE_CHECKING:
    from kubbo.cluster.member import Member, Pool
    from kubbo.cluster.selection import Selection
    from kubbo.model import Invocation, Result
    from kubbo.wire.codec import Codec

__all__ = ["Attempts", "SelectedAttempts", "is_fault"]

RETRY_PAUSE: Final = 0.05
"""Seconds before a member is tried again, doubled each time: it needs a moment to come back."""

REPICKS: Final = 3
"""How often a balancer is asked again when it names a member that was tried."""

FAULT_PENALTY: Final = 1.0
"""Seconds that a fault counts for at least: who refuses quickly must not look fast."""

_FAULTS: Final = frozenset(
    {
        Code.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.RESOURCE_EXHAUSTED,
        Code.INTERNAL,
        Code.DATA_LOSS,
    }
)


def is_fault(error: BaseException) -> bool:
    """Whether an attempt's error speaks against its provider.

    What the method threw does not: a provider that says no in a millisecond is healthy. Nor does
    a mistake of the caller.
    """
    return (
        isinstance(error, RpcError)
        and error.code in _FAULTS
        and error.progress is not Progress.ANSWERED
    )


class Attempts(Protocol):
    """Makes attempts of one call; remembers who was tried, so that a policy need not."""

    def untried(self) -> bool:
        """Whether there is a member that this call has not tried yet."""
        ...

    async def __call__(self) -> Result:
        """Pick a member that was not tried yet, where there is one, and send."""
        ...


class SelectedAttempts:
    """The attempts of one call over a selection. A retry sees the pool of its own moment."""

    __slots__ = ("_codec", "_invocation", "_loop", "_selection", "_tried")

    def __init__(
        self,
        invocation: Invocation,
        selection: Selection,
        codec: Codec,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._invocation = invocation
        self._selection = selection
        self._codec = codec
        self._loop = loop
        self._tried: list[Member] = []

    async def __call__(self) -> Result:
        """See `Attempts`."""
        invocation = self._invocation
        pool = self._selection.pool(invocation)
        if pool is None:
            # What cannot be encoded is told before anybody is waited for.
            self._codec.encode_request(invocation, 1.0)
            pool = await self._selection.wait_pool(invocation, invocation.deadline)
        assert pool.picker is not None
        member = pool.picker(invocation)
        if self._tried and member in self._tried:
            other = self._another(pool)
            if other is None:
                await asyncio.sleep(RETRY_PAUSE * 2 ** (len(self._tried) - 1))
            else:
                member = other
        return await self._send(member)

    async def _send(self, member: Member) -> Result:
        self._tried.append(member)
        member.active += 1
        started = self._loop.time()
        try:
            result = await member.dialer.send(self._invocation, self._codec)
        except BaseException as error:
            self._settle(member, started, error)
            raise
        now = self._loop.time()
        member.active -= 1
        member.attempts += 1
        member.answered += 1
        member.answered_seconds += now - started
        member.measure(now - started, now)
        return result

    def _settle(self, member: Member, started: float, error: BaseException) -> None:
        now = self._loop.time()
        elapsed = now - started
        member.active -= 1
        member.attempts += 1
        if is_fault(error):
            member.measure(max(elapsed, FAULT_PENALTY), now)
        elif isinstance(error, Exception):
            member.answered += 1
            member.answered_seconds += elapsed
            member.measure(elapsed, now)
        else:
            # Cancelled: it took at least this long.
            member.measure(max(elapsed, member.latency), now)

    def untried(self) -> bool:
        """See `Attempts`."""
        pool = self._selection.pool(self._invocation)
        return pool is not None and any(member not in self._tried for member in pool.members)

    def _another(self, pool: Pool) -> Member | None:
        """A member that was not tried, as the balancer likes it."""
        assert pool.picker is not None
        for _ in range(REPICKS):
            member = pool.picker(self._invocation)
            if member not in self._tried:
                return member
        rest = tuple(member for member in pool.members if member not in self._tried)
        if not rest:
            return None
        picker = self._selection.pool_of(rest).picker
        assert picker is not None
        return picker(self._invocation)
