"""Load balancing: which member takes the next attempt.

A balancer is bound to a pool when the pool changes, and builds what it needs then; the
picker that it returns runs once an attempt.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import random

    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.model import Invocation

__all__ = ["LoadBalance", "RandomBalance"]


class LoadBalance(Protocol):
    """Makes a picker for a pool."""

    def bind(self, pool: Pool) -> Picker:
        """A picker over the members of `pool`; O(members)."""
        ...


class RandomBalance:
    """Each member in proportion to its weight; Dubbo's `random`.

    O(1) where all weights are the same, O(log members) else. Where no member has any
    weight, all count the same: a provider that asked for no calls is better than none.
    """

    def __init__(self, rng: random.Random) -> None:
        self._random = rng.random

    def bind(self, pool: Pool) -> Picker:
        """See `LoadBalance.bind`."""
        members = pool.members
        random = self._random
        weights = [max(0, member.endpoint.weight) for member in members]
        if min(weights) == max(weights):
            count = len(members)

            def pick_evenly(invocation: Invocation) -> Member:
                del invocation
                return members[int(random() * count)]

            return pick_evenly
        sums = list(accumulate(weights))
        total = sums[-1]

        def pick_by_weight(invocation: Invocation) -> Member:
            del invocation
            return members[bisect_right(sums, random() * total)]

        return pick_by_weight
