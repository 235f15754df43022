"""Dubbo's `shortestresponse`: who will answer first, by what its answers took of late.

The estimate is the average of a sliding window times the calls in flight, this one included. Two
things differ from Dubbo. It averages successes only, so a provider that fails at once looks like
one that nobody has called; here a fault counts as a slow answer. And there, a provider without an
answer in the window is estimated at 0 and gets every call until its first answer; here it gets
one, and the next when that is answered.

Source: org.apache.dubbo.rpc.cluster.loadbalance.ShortestResponseLoadBalance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubbo.cluster.balancers.least import least_of
from kubbo.cluster.member import UNKNOWN_LATENCY

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection

    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.model import Invocation

__all__ = ["ShortestResponseBalance"]


SLACK: Final = 1.1
"""Averages this close are as good as each other. Dubbo has whole milliseconds, with the same use:
without it the one that is faster by a hair would get everything, and weights would not count."""


class ShortestResponseBalance:
    """The least of all members if they are few, of some if they are many; see `least`."""

    def __init__(self, rng: random.Random, clock: Callable[[], float]) -> None:
        self._rng = rng
        self._clock = clock

    def bind(self, pool: Pool) -> Picker:
        """See `LoadBalance.bind`."""
        clock = self._clock
        now = 0.0

        def estimate(member: Member, share: float) -> float:
            average = member.recent(now)
            active = member.active
            if average:
                return average * (1 + active * share)
            return UNKNOWN_LATENCY * active

        least = least_of(pool, self._rng, estimate, slack=SLACK)

        def pick(invocation: Invocation, avoid: Collection[Member] = ()) -> Member:
            nonlocal now
            now = clock()
            return least(invocation, avoid)

        return pick
