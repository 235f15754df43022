"""Dubbo's `leastactive`: who has the fewest calls in flight.

Dubbo counts them only if the filter `active limit` is configured; without it, it is `random`. Here
they are always counted. There, weights only decide between members with the same count; here the
count is also divided by the weight, so that slow start holds under load.

Source: org.apache.dubbo.rpc.cluster.loadbalance.LeastActiveLoadBalance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.cluster.balancers.least import least_of

if TYPE_CHECKING:
    import random

    from kubbo.cluster.member import Member, Picker, Pool

__all__ = ["LeastActiveBalance"]


class LeastActiveBalance:
    """The least of all members if they are few, of some if they are many; see `least`."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def bind(self, pool: Pool) -> Picker:
        """See `LoadBalance.bind`."""
        return least_of(pool, self._rng, _active)


def _active(member: Member, share: float) -> float:
    return member.active * share
