"""Dubbo's `random`: each member in proportion to its weight, whatever its load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.cluster.balancers.draw import Draw

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.model import Invocation

__all__ = ["RandomBalance"]


class RandomBalance:
    """O(1) a pick where all weights are the same, O(log members) else."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def bind(self, pool: Pool) -> Picker:
        """See `LoadBalance.bind`."""
        draw = Draw(pool, self._rng)
        members, index, other = draw.members, draw.index, draw.other

        def pick(_: Invocation, avoid: Collection[Member] = ()) -> Member:
            member = members[index()]
            return other(avoid) if avoid and member in avoid else member

        return pick
