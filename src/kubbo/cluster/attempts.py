"""The attempts of one call: pick a member, send, and take note of how it went.

Policies decide whether there is another attempt; this is how one is made. It counts load on the
member, remembers who was tried, and earns and spends the retry budget of the target.

A provider that answers "overloaded" may say for how long it wants to be left alone. Until then
others are picked, and it itself only when there is nobody else.
"""

from __future__ import annotations

import asyncio
from copy import copy
from typing import TYPE_CHECKING, Final, Protocol

from kubbo.errors import Code, Progress, RpcError
from kubbo.model import Deadline
from kubbo.observe import begin
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from kubbo.cluster.member import Member, Pool
    from kubbo.cluster.selection import Selection
    from kubbo.model import Invocation, Result
    from kubbo.wire.codec import Codec

__all__ = ["Attempts", "SelectedAttempts", "is_fault"]

RETRY_PAUSE: Final = 0.05
"""Seconds before a member is tried again, doubled each time: it needs a moment to come back."""

RESTING: Final = 16
"""Members in a row that rest; then one of them is called, whoever else may be awake."""

FAULT_PENALTY: Final = 1.0
"""Seconds that a fault counts for at least: who refuses quickly must not look fast."""

MAX_REST: Final = 30.0
"""Seconds for which a provider is left alone at most, whatever it asks for."""

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

    def members(self) -> tuple[Member, ...]:
        """Everybody who may take this call now, the ones to call first."""
        ...

    def afford(self, error: RpcError | None = None) -> bool:
        """Whether the retry budget pays for another attempt after `error`; it is spent then.

        Without an error the attempt comes besides others, and is paid for like a repeated one.
        """
        ...

    def again(self, timeout: float) -> Attempts:
        """The attempts of the same call made anew, `timeout` seconds from now."""
        ...

    def explain(self, error: RpcError) -> None:
        """Complete the error with which the call ends: its funnel, where nobody was reached."""
        ...

    async def __call__(self, member: Member | None = None) -> Result:
        """Send to `member`; without one, to one that was not tried yet, where there is one."""
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

    async def __call__(self, member: Member | None = None) -> Result:
        """See `Attempts`."""
        if member is None:
            invocation = self._invocation
            pool = self._selection.pool(invocation)
            if pool is None:
                # What cannot be encoded is told before anybody is waited for.
                self._codec.encode_request(invocation, 1.0)
                pool = await self._selection.wait_pool(invocation, invocation.deadline)
            assert pool.picker is not None
            now = self._loop.time()
            breaker = self._selection.breaker
            if breaker is not None and breaker.ejected:
                probe = breaker.probe(invocation, now, self._may_probe)
                if probe is not None:
                    return await self._send(probe)
            member = pool.picker(invocation)
            if (self._tried and member in self._tried) or member.rests_until > now:
                other = self._another(pool, now)
                if other is not None:
                    member = other
                elif member in self._tried:
                    await self._rest(member, now)
        return await self._send(member)

    async def _send(self, member: Member) -> Result:
        self._tried.append(member)
        member.active += 1
        started = self._loop.time()
        attempt = None
        if (call := self._invocation.report) is not None:
            attempt = begin(call, member.endpoint, started)
        try:
            result = await member.dialer.send(self._invocation, self._codec)
        except BaseException as error:
            self._settle(member, started, error)
            if attempt is not None:
                attempt.end(self._loop.time(), error)
            raise
        now = self._loop.time()
        elapsed = now - started
        member.active -= 1
        member.attempts += 1
        member.answered += 1
        member.answered_seconds += elapsed
        member.measure(elapsed, now)
        selection = self._selection
        selection.directory.budget.earn()
        if selection.breaker is not None:
            selection.breaker.succeeded(member, elapsed, now)
        if attempt is not None:
            attempt.end(now, None)
        return result

    def _settle(self, member: Member, started: float, error: BaseException) -> None:
        now = self._loop.time()
        elapsed = now - started
        breaker = self._selection.breaker
        member.active -= 1
        member.attempts += 1
        if is_fault(error):
            member.measure(max(elapsed, FAULT_PENALTY), now)
            if breaker is not None:
                breaker.failed(member, now)
        elif isinstance(error, Exception):
            member.answered += 1
            member.answered_seconds += elapsed
            member.measure(elapsed, now)
            self._selection.directory.budget.earn()
            if breaker is not None:
                breaker.succeeded(member, elapsed, now)
        else:
            # Cancelled: it took at least this long.
            member.measure(max(elapsed, member.latency), now)
            if breaker is not None:
                breaker.ended(member)
        if isinstance(error, RpcError) and error.retry_after is not None:
            member.rests_until = now + min(error.retry_after, MAX_REST)

    def untried(self) -> bool:
        """See `Attempts`."""
        pool = self._selection.pool(self._invocation)
        return pool is not None and any(member not in self._tried for member in pool.members)

    def members(self) -> tuple[Member, ...]:
        """See `Attempts`."""
        pool = self._selection.pool(self._invocation)
        return () if pool is None else pool.members

    def afford(self, error: RpcError | None = None) -> bool:
        """See `Attempts`."""
        if error is not None and error.progress is Progress.NOT_SENT and not error.refused:
            return True
        return self._selection.directory.budget.spend()

    def again(self, timeout: float) -> SelectedAttempts:
        """See `Attempts`."""
        invocation = copy(self._invocation)
        invocation.deadline = Deadline(self._loop.time() + timeout)
        return SelectedAttempts(invocation, self._selection, self._codec, self._loop)

    def explain(self, error: RpcError) -> None:
        """See `Attempts`."""
        self._selection.explain(error, self._invocation)

    def _may_probe(self, member: Member) -> bool:
        return (
            member.dialer.state is State.READY
            and member not in self._tried
            and member in self._selection.routed(self._invocation)
        )

    def _another(self, pool: Pool, now: float) -> Member | None:
        """A member that was not tried and does not rest, as the balancer likes it."""
        avoid = [*self._tried]
        resting = None
        assert pool.picker is not None
        for _ in range(RESTING):
            member = pool.picker(self._invocation, avoid)
            if member in avoid:
                break
            if member.rests_until <= now:
                return member
            # Who asked to be left alone is called all the same when nobody else is there.
            resting = resting or member
            avoid.append(member)
        return resting

    async def _rest(self, member: Member, now: float) -> None:
        """Wait until `member` is worth trying again.

        Raises:
            RpcError: that is not before the deadline.
        """
        pause = max(RETRY_PAUSE * 2 ** (len(self._tried) - 1), member.rests_until - now)
        if now + pause >= self._invocation.deadline.at:
            raise RpcError(
                Code.RESOURCE_EXHAUSTED,
                f"every provider was tried; the next try makes sense in {pause:.3g} s, and the "
                "deadline is before",
                progress=Progress.NOT_SENT,
                endpoint=member.endpoint,
            )
        await asyncio.sleep(pause)
