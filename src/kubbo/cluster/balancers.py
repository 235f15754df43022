"""Load balancing: which member takes the next attempt.

A balancer is bound to a pool when the pool changes, and builds what it needs then; the
picker that it returns runs once an attempt.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.config import Parameter
    from kubbo.model import Invocation

__all__ = ["DEFAULT_LOADBALANCE", "LoadBalance", "RandomBalance", "make_balance"]

DEFAULT_LOADBALANCE: Final = "random"


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
        weights = pool.weights
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


def make_balance(
    name: str,
    rng: random.Random,
    clock: Callable[[], float],
    parameters: Mapping[str, Parameter],
) -> LoadBalance:
    """The balancer of Dubbo's name; `clock` gives the seconds of the event loop.

    Raises:
        ConfigError: there is none of this name, or a parameter does not fit.
    """
    del clock, parameters
    if name == "random":
        return RandomBalance(rng)
    raise ConfigError(f"loadbalance={name!r} is no balancer; there is random")
