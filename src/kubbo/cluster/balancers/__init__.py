"""Load balancing: which member takes the next attempt.

A balancer is bound to a pool when the pool changes, and builds what it needs then; the picker that
it returns runs once an attempt, in O(1) or O(log members). Load is counted on the members, whoever
balances them, so any balancer may take over from any other at any time.

Weights, and with them slow start, come with the pool: no balancer knows of time or of age.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from kubbo.cluster.balancers.consistent_hash import ConsistentHashBalance
from kubbo.cluster.balancers.least_active import LeastActiveBalance
from kubbo.cluster.balancers.p2c import P2CBalance
from kubbo.cluster.balancers.random_balance import RandomBalance
from kubbo.cluster.balancers.round_robin import RoundRobinBalance
from kubbo.cluster.balancers.shortest_response import ShortestResponseBalance
from kubbo.errors import ConfigError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from kubbo.cluster.member import Picker, Pool
    from kubbo.config import Parameter

__all__ = [
    "DEFAULT_LOADBALANCE",
    "LOADBALANCES",
    "ConsistentHashBalance",
    "LeastActiveBalance",
    "LoadBalance",
    "P2CBalance",
    "RandomBalance",
    "RoundRobinBalance",
    "ShortestResponseBalance",
    "make_balance",
]

DEFAULT_LOADBALANCE: Final = "p2c"

LOADBALANCES: Final = (
    "consistenthash",
    "leastactive",
    "p2c",
    "random",
    "roundrobin",
    "shortestresponse",
)
"""The names, as Dubbo spells them."""


class LoadBalance(Protocol):
    """Makes a picker for a pool."""

    def bind(self, pool: Pool) -> Picker:
        """A picker over the members of `pool`; O(members), or O(members log members)."""
        ...


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
    match name:
        case "random":
            return RandomBalance(rng)
        case "roundrobin":
            return RoundRobinBalance(rng)
        case "leastactive":
            return LeastActiveBalance(rng)
        case "shortestresponse":
            return ShortestResponseBalance(rng, clock)
        case "consistenthash":
            return ConsistentHashBalance.of(rng, parameters)
        case "p2c":
            return P2CBalance(rng, clock)
        case _:
            there = ", ".join(LOADBALANCES)
            raise ConfigError(f"loadbalance={name!r} is no balancer; there are {there}")
