"""Dubbo's `roundrobin`: everybody in turn, those with more weight more often, evenly spaced.

A member of weight w is due every 1/w. Who is due first is picked, and is due again one interval
later: the picks of each member are as far from each other as they can be, and a round has each as
often as its weight says. Where all weights are the same, this is a fixed order.

What is kept from one binding to the next is how much of its interval each member has still to
wait, as a share of it. A member that comes or goes, or whose weight changes, takes no turn away
from the others; bound again to the same, the turns are the same ones, whoever else takes them. A
new member begins anywhere in its interval, so that a thousand consumers that
see it in the same moment do not all begin with it.

Source: org.apache.dubbo.rpc.cluster.loadbalance.RoundRobinLoadBalance for the meaning of weights;
it scans all providers for each call.
"""

from __future__ import annotations

from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, Final, Protocol

from kubbo.cluster.balancers.draw import Draw

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Hashable

    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.model import Invocation

__all__ = ["RoundRobinBalance"]

MAX_KINDS: Final = 1_000
"""Kinds of calls whose turns are kept; with more of them, all begin anew."""


class Turns(Protocol):
    """Who is next, over and over."""

    members: tuple[Member, ...]
    weights: tuple[float, ...]

    @property
    def take(self) -> Callable[[], Member]:
        """Gives the next one."""
        ...

    def waits(self) -> dict[Member, float]:
        """For each member the share of its interval that it still has to wait; O(members)."""
        ...


class RoundRobinBalance:
    """O(1) a pick where all weights are the same, O(log members) else.

    Each kind of call has turns of its own: see `Pool.kinds`.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._turns: dict[tuple[Hashable, ...], Turns] = {}
        self._latest: Turns | None = None

    def bind(self, pool: Pool) -> Picker:
        """See `LoadBalance.bind`."""
        draw = Draw(pool, self._rng)
        turns = self._turns.get(pool.kinds)
        if turns is None or (turns.members, turns.weights) != (draw.members, draw.weights):
            # A kind that is new goes on from the last one: rules may have changed what kinds are.
            turns = self._latest = self._continued(draw, turns or self._latest)
            if len(self._turns) >= MAX_KINDS:
                self._turns.clear()
            self._turns[pool.kinds] = turns
        take, other = turns.take, draw.other

        def pick(_: Invocation, avoid: Collection[Member] = ()) -> Member:
            member = take()
            if avoid and member in avoid:
                member = take()
                return other(avoid) if member in avoid else member
            return member

        return pick

    def _continued(self, draw: Draw, before: Turns | None) -> Turns:
        known = {} if before is None else before.waits()
        random = self._rng.random
        waits = [known.get(member, -1.0) for member in draw.members]
        waits = [random() if wait < 0 else wait for wait in waits]
        return Ring(draw, waits) if draw.even else Timetable(draw, waits)


class Ring:
    """Turns of members that all have the same weight: a fixed order."""

    __slots__ = ("_at", "_order", "members", "weights")

    def __init__(self, draw: Draw, waits: list[float]) -> None:
        self.members = draw.members
        self.weights = draw.weights
        places = sorted(range(len(waits)), key=waits.__getitem__)
        self._order = [draw.members[place] for place in places]
        self._at = -1

    @property
    def take(self) -> Callable[[], Member]:
        """See `Turns`."""
        order = self._order
        last = len(order) - 1

        def take() -> Member:
            at = self._at
            at = self._at = at + 1 if at < last else 0
            return order[at]

        return take

    def waits(self) -> dict[Member, float]:
        """See `Turns`."""
        count, first = len(self._order), self._at + 1
        return {
            member: ((place - first) % count) / count for place, member in enumerate(self._order)
        }


class Timetable:
    """Turns of members with different weights: a heap of when each is due."""

    __slots__ = ("_due", "_intervals", "members", "weights")

    def __init__(self, draw: Draw, waits: list[float]) -> None:
        self.members = draw.members
        self.weights = draw.weights
        # So scaled that times stay small numbers: a pick takes about 1/members.
        heaviest = max(draw.weights)
        self._intervals = [heaviest / weight for weight in draw.weights]
        self._due = [
            (wait * interval, place)
            for place, (wait, interval) in enumerate(zip(waits, self._intervals, strict=True))
        ]
        heapify(self._due)

    @property
    def take(self) -> Callable[[], Member]:
        """See `Turns`."""
        heap, intervals, members = self._due, self._intervals, self.members

        def take() -> Member:
            due, place = heap[0]
            heapreplace(heap, (due + intervals[place], place))
            return members[place]

        return take

    def waits(self) -> dict[Member, float]:
        """See `Turns`."""
        now = self._due[0][0]
        return {
            self.members[place]: min(1.0, (due - now) / self._intervals[place])
            for due, place in self._due
        }
