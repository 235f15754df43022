"""Picking the member of which there is least, whatever is measured, without asking all of them.

Of a few members the least is found by looking at each. Of many it is looked for among some, drawn
by weight: with eight drawn, the chance that none of them is among the lesser half is 1 in 256, and
nobody pays for the other thousands. Nothing is less than 0, so a first draw of 0 is taken at once:
among idle members that gives each its share by weight, at the price of one draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubbo.cluster.balancers.draw import Draw

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection

    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.model import Invocation

__all__ = ["EXACT", "SAMPLES", "least_of"]

EXACT: Final = 16
"""Members among which the least is really the least."""

SAMPLES: Final = 8
"""Draws where there are more."""


def least_of(pool: Pool, rng: random.Random, measure: Callable[[Member], float]) -> Picker:
    """A picker of the member with the least `measure`, which is never below 0."""
    draw = Draw(pool, rng)
    members, weights, index, other = draw.members, draw.weights, draw.index, draw.other
    exact = len(members) <= EXACT
    random = rng.random

    def pick(_call: Invocation, avoid: Collection[Member] = ()) -> Member:
        if avoid:
            return min(other(avoid), other(avoid), key=measure)
        best = members[index()]
        least = measure(best)
        if not least:
            return best
        if exact:
            return scan()
        for _ in range(SAMPLES - 1):
            member = members[index()]
            amount = measure(member)
            if amount < least:
                if not amount:
                    return member
                best, least = member, amount
        return best

    def scan() -> Member:
        amounts = [measure(member) for member in members]
        least = min(amounts)
        if amounts.count(least) == 1:
            return members[amounts.index(least)]
        ties = [place for place, amount in enumerate(amounts) if amount == least]
        drawn = random() * sum([weights[place] for place in ties])
        for place in ties:
            drawn -= weights[place]
            if drawn < 0:
                return members[place]
        return members[ties[-1]]

    return pick
