"""Dubbo's `roundrobin`: everybody in turn, those with more weight more often, evenly spaced.

A member of weight w is due every 1/w. Who is due first is picked, and is due again one interval
later: the picks of each member are as far from each other as they can be, and a round has each as
often as its weight says. Where all weights are the same, this is a fixed order.

What is kept from one binding to the next is how much of its interval each member has still to
wait, as a share of it. A member that comes or goes, or whose weight changes, takes no turn away
from the others. A new member begins anywhere in its interval, so that a thousand consumers that
see it in the same moment do not all begin with it.

Source: org.apache.dubbo.rpc.cluster.loadbalance.RoundRobinLoadBalance for the meaning of weights;
it scans all providers for each call.
"""

from __future__ import annotations

from heapq import heapify, heapreplace
from itertools import cycle
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

    def bind(self, pool: Pool) -> Picker:
        """See `LoadBalance.bind`."""
        draw = Draw(pool, self._rng)
        before = self._turns.get(pool.kinds)
        known = before.waits() if before is not None else {}
        random = self._rng.random
        waits = [known.get(member, -1.0) for member in draw.members]
        waits = [random() if wait < 0 else wait for wait in waits]
        turns: Turns = Ring(draw.members, waits) if draw.even else Timetable(draw, waits)
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


class Ring:
    """Turns of members that all have the same weight: a fixed order."""

    __slots__ = ("_order", "_take")

    def __init__(self, members: tuple[Member, ...], waits: list[float]) -> None:
        places = sorted(range(len(members)), key=waits.__getitem__)
        self._order = [members[place] for place in places]
        self._take = cycle(self._order).__next__

    @property
    def take(self) -> Callable[[], Member]:
        """See `Turns`."""
        return self._take

    def waits(self) -> dict[Member, float]:
        """See `Turns`."""
        # Who is next says where the cycle is; it is asked once in the life of a ring.
        count, at = len(self._order), self._order.index(self._take())
        return {member: ((place - at) % count) / count for place, member in enumerate(self._order)}


class Timetable:
    """Turns of members with different weights: a heap of when each is due."""

    __slots__ = ("_due", "_intervals", "_members")

    def __init__(self, draw: Draw, waits: list[float]) -> None:
        self._members = draw.members
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
        return self._next

    def _next(self) -> Member:
        due, place = self._due[0]
        heapreplace(self._due, (due + self._intervals[place], place))
        return self._members[place]

    def waits(self) -> dict[Member, float]:
        """See `Turns`."""
        now = self._due[0][0]
        return {
            self._members[place]: min(1.0, (due - now) / self._intervals[place])
            for due, place in self._due
        }
