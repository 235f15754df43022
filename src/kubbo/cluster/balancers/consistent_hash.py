"""Dubbo's `consistenthash`: equal arguments go to the same provider, from every consumer.

Every member has four points on a ring of 2**64. A key has eight probes on it, and belongs to the
member of the point that lies closest behind any of them. That is about as even as 160 points a
member with one probe, which is Dubbo's ring, and it is a fortieth of the points: the ring of
100,000 members is made in less than half a second, where Dubbo's has 16 million points. Hashes are
CRC-32 mixed by the finalizer of splitmix64, in place of MD5. So Python consumers agree with each
other on who has a key, but not with Java's.

A key has not one candidate but a row of them, each found by the same ring from a hash of the hash
before. The first is taken that accepts:

- by weight: a member of half the weight of the heaviest accepts half of the keys, always the same
  ones. So shares follow weights, and a weight that changes, as in slow start, moves those keys that
  must move and no others.
- by load: a member that has more than `hash.load` times its share of the calls in flight is passed
  over, until it has room again. A key that everybody asks for spills, and each key of a full member
  spills to somewhere else.
- by what this call has to avoid.

A member that comes or goes thus moves its own keys only, 1/n of them. Dubbo ignores weights here,
and has no bound.

Sources: Appleton and O'Reilly, Multi-probe consistent hashing (2015); Mirrokni, Thorup and
Zadimoghaddam, Consistent hashing with bounded loads (2016);
org.apache.dubbo.rpc.cluster.loadbalance.ConsistentHashLoadBalance for what a key is.
"""

from __future__ import annotations

from bisect import bisect_left
from hashlib import blake2b
from itertools import accumulate
from operator import itemgetter
from struct import Struct
from typing import TYPE_CHECKING, Final
from zlib import crc32

from kubbo.cluster.balancers.draw import Draw
from kubbo.cluster.balancers.settings import number, numbers

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Mapping, Sequence

    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.config import Parameter
    from kubbo.model import Invocation

__all__ = ["ConsistentHashBalance"]

_POINTS: Final = Struct("<4Q")
"""The points of a member, out of its hash."""

NODES_A_PROBE: Final = 20
"""A probe does for the evenness of the ring what so many points do for that of Dubbo's."""

CANDIDATES: Final = 32
"""Members that a key is offered to, one after the other."""

FULL: Final = 4
"""Members of a key that may be full; then the one with the least load of these and as many that
are drawn takes the call."""

ALWAYS: Final = 4
"""Calls in flight that a member accepts in any case: a share of little is next to nothing."""

SMOOTHING: Final = 1 / 64
"""By how much one look at a member moves the estimate of what members have in flight."""

_RING: Final = 1 << 64
_WORD: Final = _RING - 1
_GENERIC: Final = frozenset({"$invoke", "$invokeAsync"})


class ConsistentHashBalance:
    """O(log members) a pick.

    `arguments` are the places of the arguments that make the key, `nodes` the evenness in points
    a member of a plain ring, `load` the bound as a multiple of the average.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        arguments: tuple[int, ...] = (0,),
        nodes: int = 160,
        load: float = 1.25,
    ) -> None:
        self._rng = rng
        self._key = _key_of(arguments)
        self._probes = max(1, round(nodes / NODES_A_PROBE))
        self._load = load
        self._ring: Ring | None = None

    @classmethod
    def of(cls, rng: random.Random, parameters: Mapping[str, Parameter]) -> ConsistentHashBalance:
        """As the parameters `hash.arguments`, `hash.nodes` and `hash.load` say.

        Raises:
            ConfigError: one of them does not fit.
        """
        return cls(
            rng,
            arguments=numbers(parameters, "hash.arguments", "0"),
            nodes=int(number(parameters, "hash.nodes", 160, 1, 1280)),
            load=number(parameters, "hash.load", 1.25, 1.0, 1e6),
        )

    def bind(self, pool: Pool) -> Picker:
        """See `LoadBalance.bind`."""
        members = pool.members
        ring = self._ring
        if ring is None or ring.members != members:
            ring = self._ring = Ring(members, ring)
        heaviest = max(pool.weights)
        if heaviest <= 0:
            accepting = dict.fromkeys(members, _RING)
            bounds = dict.fromkeys(members, self._load)
        else:
            mean = sum(pool.weights) / len(members)
            weighted = tuple(zip(members, pool.weights, strict=True))
            accepting = {member: int(weight / heaviest * _RING) for member, weight in weighted}
            bounds = {member: self._load * weight / mean for member, weight in weighted}
        key_of, find, probes = self._key, ring.find, self._probes
        random, count = self._rng.random, len(members)
        draw = Draw(pool, self._rng)
        sums = list(accumulate(draw.weights))
        average = 0.0

        def pick(invocation: Invocation, avoid: Collection[Member] = ()) -> Member:
            nonlocal average
            average += (members[int(random() * count)].active - average) * SMOOTHING
            hashed = _spread(key_of(invocation))
            full: list[Member] = []
            for _ in range(CANDIDATES):
                member = find(hashed, probes)
                hashed = _spread(hashed + 1)
                # The candidate has a right to this key by its weight ...
                if hashed < accepting[member] and not (avoid and member in avoid):
                    # ... and has room for this call.
                    if member.active < max(ALWAYS, bounds[member] * average):
                        return member
                    full.append(member)
                    if len(full) == FULL:
                        break
            if full:
                full += [draw.other(avoid) for _ in range(FULL)]
                return min(full, key=_active)
            # Few have nearly all the weight, or all are to be avoided.
            place = bisect_left(sums, hashed / _RING * sums[-1], 0, len(sums) - 1)
            member = draw.members[place]
            return draw.other(avoid) if member in avoid else member

        return pick


class Ring:
    """The points of `members`. Made from an earlier ring in less time."""

    __slots__ = ("_owners", "_points", "members")

    _points: list[int]
    _owners: list[Member]

    def __init__(self, members: tuple[Member, ...], before: Ring | None) -> None:
        self.members = members
        placed: list[tuple[int, Member]] = []
        fresh: Sequence[Member] = members
        if before is not None:
            there = set(members)
            known = set(before.members)
            pairs = zip(before._points[:-1], before._owners[:-1], strict=True)  # noqa: SLF001 - its own class
            placed = [pair for pair in pairs if pair[1] in there]
            fresh = [member for member in members if member not in known]
        for member in fresh:
            digest = blake2b(str(member.endpoint).encode(), digest_size=_POINTS.size).digest()
            placed += [(point, member) for point in _POINTS.unpack(digest)]
        placed.sort(key=itemgetter(0))  # fast where most of it is in order
        self._points = [point for point, _ in placed]
        self._owners = [member for _, member in placed]
        # The first point once more, a turn later: there is no end to run over.
        self._points.append(self._points[0] + _RING)
        self._owners.append(self._owners[0])

    def find(self, hashed: int, probes: int) -> Member:
        """The member of the point closest behind any of the probes; O(probes log members)."""
        points = self._points
        probe = hashed
        step = _spread(hashed) | 1
        nearest = 2 * _RING
        found = 0
        for _ in range(probes):
            at = bisect_left(points, probe)
            distance = points[at] - probe
            if distance < nearest:
                nearest = distance
                found = at
            probe = (probe + step) & _WORD
        return self._owners[found]


def _spread(value: int) -> int:
    """64 bits that look like chance; neighbours have nothing in common."""
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _WORD
    return value ^ value >> 31


def _active(member: Member) -> int:
    return member.active


def _key_of(arguments: tuple[int, ...]) -> Callable[[Invocation], int]:
    """Hashes the arguments at these places; there may be fewer. Those of a generic call count."""
    [place, *more] = arguments

    def key(invocation: Invocation) -> int:
        given = invocation.arguments
        if invocation.signature.name in _GENERIC and len(given) > 2:
            given = given[2] or ()
        if more:
            text = "".join([str(given[each]) for each in arguments if each < len(given)])
        else:
            text = str(given[place]) if place < len(given) else ""
        return crc32(text.encode("utf-8", "surrogatepass"))

    return key
