"""Picking the member of which there is least, whatever is measured, without asking all of them.

Of a few members the least is found by looking at each. Of many it is looked for among some, drawn
by weight: with eight drawn, the chance that none of them is among the lesser half is 1 in 256, and
nobody pays for the other thousands. Nothing is less than 0, so a first draw of 0 is taken at once:
among idle members that gives each its share by weight, at the price of one draw. What differs by
less than `slack` counts as the same, and is chosen from by weight.

Weights also divide the load: a measure is given the mean weight over the member's own, by which to
multiply calls in flight. A member in slow start is as full with one call as the others with ten.
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


def least_of(
    pool: Pool,
    rng: random.Random,
    measure: Callable[[Member, float], float],
    *,
    slack: float = 1.0,
) -> Picker:
    """A picker of the member with the least `measure(member, share)`, which is never below 0."""
    draw = Draw(pool, rng)
    members, weights, index, other = draw.members, draw.weights, draw.index, draw.other
    mean = sum(weights) / len(weights)
    shares = [mean / weight for weight in weights]
    exact = len(members) <= EXACT
    random = rng.random

    def pick(_call: Invocation, avoid: Collection[Member] = ()) -> Member:
        if avoid:
            return min(other(avoid), other(avoid), key=lambda member: measure(member, 1.0))
        place = index()
        best = members[place]
        least = measure(best, shares[place])
        if not least:
            return best
        if exact:
            return scan()
        for _ in range(SAMPLES - 1):
            place = index()
            amount = measure(members[place], shares[place])
            if amount * slack < least:
                best, least = members[place], amount
                if not amount:
                    break
        return best

    def scan() -> Member:
        amounts = [measure(member, share) for member, share in zip(members, shares, strict=True)]
        most = min(amounts) * slack
        ties = [place for place, amount in enumerate(amounts) if amount <= most]
        drawn = random() * sum([weights[place] for place in ties])
        for place in ties:
            drawn -= weights[place]
            if drawn < 0:
                return members[place]
        return members[ties[-1]]

    return pick
