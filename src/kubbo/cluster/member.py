"""An endpoint with its connection and its load, and the pools that it is chosen from.

Load is counted here for every attempt, whatever balancer is in use: a change of the policy, of
a weight or of the view loses nothing of what is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

    from kubbo.model import Endpoint, Invocation
    from kubbo.transport.dialer import Dialer

__all__ = ["Member", "Picker", "Pool"]

LATENCY_MEMORY: Final = 10.0
"""Seconds in which a peak of the latency decays to 37%. Finagle's default for its peak EWMA."""

UNKNOWN_LATENCY: Final = 1.0
"""Seconds that a member is taken to need while its first call is in flight."""

WINDOW: Final = 30.0
"""Seconds for which `recent` looks back at least, and at most twice that. Dubbo's slide period."""

FAULT_SECONDS: Final = 1.0
"""What an attempt that was no answer counts for in `recent`."""


@dataclass(slots=True, eq=False)
class Member:
    """One provider as its consumer sees it; it survives updates of its endpoint.

    Attributes:
        endpoint: as the last view has it.
        dialer: keeps its connection.
        since: loop time at which it was first seen ready, minus infinity if it was there
            in the first view: nobody knows how long that one has been warm.
        active: attempts in flight.
        latency: a moving average of seconds that jumps to a peak at once and decays slowly;
            0 until something was measured.
        measured_at: loop time of the last measurement.
        attempts: attempts that ended, and `answered` those of them that were no fault.
        answered_seconds: time that the answered ones took, all together.
        rests_until: loop time until which the provider asked to be left alone.
        ejected: whether the breaker of its target leaves it out.
    """

    endpoint: Endpoint
    dialer: Dialer
    since: float = -inf
    active: int = 0
    latency: float = 0.0
    measured_at: float = -inf
    attempts: int = 0
    answered: int = 0
    answered_seconds: float = 0.0
    rests_until: float = -inf
    ejected: bool = False
    _newer_at: float = -inf
    _newer_attempts: int = 0
    _newer_spent: float = 0.0
    _older_attempts: int = 0
    _older_spent: float = 0.0

    def measure(self, elapsed: float, now: float) -> None:
        """Take the `elapsed` seconds of an attempt into the latency."""
        latency = self.latency
        if elapsed < latency:
            kept = exp((self.measured_at - now) / LATENCY_MEMORY)
            elapsed += (latency - elapsed) * kept
        self.latency = elapsed
        self.measured_at = now

    def recent(self, now: float) -> float:
        """Average seconds of the attempts that ended of late, 0 if none did. See `WINDOW`.

        An attempt that was a fault, or that nobody waited for, counts for `FAULT_SECONDS`.
        """
        if now - self._newer_at >= WINDOW:
            self._slide(now)
        attempts = self.attempts - self._older_attempts
        if not attempts:
            return 0.0
        spent = self.answered_seconds + (self.attempts - self.answered) * FAULT_SECONDS
        return max(1e-9, spent - self._older_spent) / attempts

    def _slide(self, now: float) -> None:
        """Look back to the last mark from now on, and set a new one."""
        attempts = self.attempts
        spent = self.answered_seconds + (attempts - self.answered) * FAULT_SECONDS
        if WINDOW <= now - self._newer_at < 2 * WINDOW:
            self._older_attempts, self._older_spent = self._newer_attempts, self._newer_spent
        elif self._newer_at != -inf:
            self._older_attempts, self._older_spent = attempts, spent
        self._newer_at, self._newer_attempts, self._newer_spent = now, attempts, spent


class Picker(Protocol):
    """Chooses the member for one attempt; bound to a pool, synchronous.

    It names one of `avoid` only where it has nobody else: those are the members that the call has
    tried, and those that cannot be called now. O(log members) where `avoid` is small.
    """

    def __call__(self, invocation: Invocation, avoid: Collection[Member] = (), /) -> Member:
        """The member."""
        ...


@dataclass(slots=True, eq=False)
class Pool:
    """Members to choose from; never empty. It changes only by being replaced.

    `weights` has one for each member: that of its endpoint, reduced while it warms up.
    Weights are relative, 0 takes no calls while another member has some. `kinds` says for which
    kind of call it is, by each router; a balancer that keeps turns has them apart.
    """

    members: tuple[Member, ...]
    weights: tuple[float, ...]
    picker: Picker | None = None
    kinds: tuple[Hashable, ...] = ()
