"""`p2c`: of two that are drawn, the one that will answer sooner by its peak latency and its load.

    cost = latency x (1 + active x mean weight / weight)

Two draws instead of one turn a heap of calls on the unlucky into next to none, and unlike a search
for the best, consumers that know the same do not all run to the same member. Latency is the
member's peak EWMA: it jumps with a slow answer at once and forgets slowly.

- Members are drawn by weight, so weights hold while nobody has load; under load the calls in flight
  are also divided by it, so a member of half the weight is as full with half of them.
- A member of which nothing is known costs nothing while it is idle, and a second while it is not:
  it gets one call to show what it can, and the next when that one is answered.
- A member that is idle is forgiven: its latency decays with time, or one bad second would keep it
  away for ever. While a call to it is in flight nothing is forgiven: one probe at a time.

Dubbo for Go has `p2c` over the capacity that providers report; Dubbo for Java has `adaptive`.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

from kubbo.cluster.balancers.draw import Draw
from kubbo.cluster.member import LATENCY_MEMORY, UNKNOWN_LATENCY

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection

    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.model import Invocation

__all__ = ["P2CBalance"]


class P2CBalance:
    """O(1) a pick where all weights are the same, O(log members) else."""

    def __init__(self, rng: random.Random, clock: Callable[[], float]) -> None:
        self._rng = rng
        self._clock = clock

    def bind(self, pool: Pool) -> Picker:
        """See `LoadBalance.bind`."""
        draw = Draw(pool, self._rng)
        if len(draw.members) == 1:
            return _only(draw)
        return self._even(draw) if draw.even else self._weighted(draw)

    def _even(self, draw: Draw) -> Picker:
        members, other = draw.members, draw.other
        random, clock = self._rng.random, self._clock
        rest = len(members) - 1
        pairs = len(members) * rest

        def pick(_: Invocation, avoid: Collection[Member] = ()) -> Member:
            if avoid:
                one, two = other(avoid), other(avoid)
            else:
                # One number for both: a pair of different members.
                first, second = divmod(int(random() * pairs), rest)
                one = members[first]
                two = members[second if second < first else second + 1]
            now = 0.0
            if one.active:
                cost = (one.latency or UNKNOWN_LATENCY) * (1 + one.active)
            else:
                now = clock()
                cost = one.latency * exp((one.measured_at - now) / LATENCY_MEMORY)
            if two.active:
                against = (two.latency or UNKNOWN_LATENCY) * (1 + two.active)
            else:
                against = two.latency
                if against:
                    against *= exp((two.measured_at - (now or clock())) / LATENCY_MEMORY)
            return one if cost <= against else two

        return pick

    def _weighted(self, draw: Draw) -> Picker:
        members, index, other = draw.members, draw.index, draw.other
        clock = self._clock
        mean = sum(draw.weights) / len(draw.weights)
        shares = {
            member: mean / weight for member, weight in zip(members, draw.weights, strict=True)
        }

        def cost(member: Member, now: float) -> float:
            active = member.active
            if active:
                latency = member.latency or UNKNOWN_LATENCY
                return latency * (1 + active * shares.get(member, 1.0))
            return member.latency * exp((member.measured_at - now) / LATENCY_MEMORY)

        def pick(_: Invocation, avoid: Collection[Member] = ()) -> Member:
            if avoid:
                one, two = other(avoid), other(avoid)
            else:
                one = members[index()]
                two = members[index()]
                if one is two:
                    # A heavy one is drawn twice often, and might be the one that answers nobody.
                    two = other((one,)) if one.active else members[index()]
            if one is two:
                return one
            now = clock()
            return one if cost(one, now) <= cost(two, now) else two

        return pick


def _only(draw: Draw) -> Picker:
    [member] = draw.members
    other = draw.other

    def pick(_: Invocation, avoid: Collection[Member] = ()) -> Member:
        return other(avoid) if avoid else member

    return pick
