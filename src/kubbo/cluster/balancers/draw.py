"""Drawing members by chance, each in proportion to its weight.

Most balancers begin with a draw and then compare what they drew by load. That weights steer the
draw, and not only the comparison, is what makes them hold while nobody has any load.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Sequence

    from kubbo.cluster.member import Member, Pool

__all__ = ["Draw"]

REDRAWS: Final = 3
"""How often chance may name somebody again whom the call shall avoid."""


class Draw:
    """The members of a pool that may be drawn.

    These are the ones with weight; where nobody has any, everybody alike: a provider that asked
    for no calls is better than none.

    Attributes:
        members: who may be drawn.
        weights: theirs, all above 0.
        even: whether all weights are the same.
        index: draws, and gives the place in `members`; O(1) if even, else O(log members).
    """

    __slots__ = ("_everybody", "_random", "even", "index", "members", "weights")

    def __init__(self, pool: Pool, rng: random.Random) -> None:
        self._everybody = pool.members
        self._random = rng.random
        least, most = min(pool.weights), max(pool.weights)
        self.even = least == most
        self.members = pool.members
        self.weights = pool.weights
        if most <= 0:
            self.weights = (1.0,) * len(pool.members)
        elif least <= 0:
            heavy = [each for each in zip(pool.members, pool.weights, strict=True) if each[1] > 0]
            self.members = tuple([member for member, _ in heavy])
            self.weights = tuple([weight for _, weight in heavy])
            self.even = min(self.weights) == most
        self.index: Callable[[], int] = self._evenly() if self.even else self._by_weight()

    def _evenly(self) -> Callable[[], int]:
        random, count = self._random, len(self.members)
        return lambda: int(random() * count)

    def _by_weight(self) -> Callable[[], int]:
        random, sums = self._random, list(accumulate(self.weights))
        total, last = sums[-1], len(sums) - 1
        # `hi` catches a product that was rounded up to the total.
        return lambda: bisect_right(sums, random() * total, 0, last)

    def other(self, avoid: Collection[Member]) -> Member:
        """Somebody who is not among `avoid`, if there is anybody; O(len(avoid)).

        First by weight, then whoever comes next, at last those without weight.
        """
        member = self.members[self.index()]
        for _ in range(REDRAWS):
            if member not in avoid:
                return member
            member = self.members[self.index()]
        return _next(self.members, avoid, self._random) or (
            _next(self._everybody, avoid, self._random) or member
        )


def _next(
    members: Sequence[Member], avoid: Collection[Member], random: Callable[[], float]
) -> Member | None:
    """The first one from a random place on; it is among as many as `avoid` has, and one more."""
    count = len(members)
    start = int(random() * count)
    for step in range(min(count, len(avoid) + 1)):
        member = members[(start + step) % count]
        if member not in avoid:
            return member
    return None
