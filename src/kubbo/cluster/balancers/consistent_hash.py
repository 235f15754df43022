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
from struct import Struct
from typing import TYPE_CHECKING, Final
from zlib import crc32

from kubbo.cluster.balancers.draw import Draw
from kubbo.cluster.parameters import number, numbers

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Hashable, Mapping

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

MAX_RINGS: Final = 4
"""Kinds of calls whose rings are kept to make the next ones from: 40 MB for 100,000 members."""

ALWAYS: Final = 4
"""Calls in flight that a member accepts in any case: a share of little is next to nothing."""

SMOOTHING: Final = 1 / 64
"""By how much one look at a member moves the estimate of what members have in flight."""

_RING: Final = 1 << 64
_WORD: Final = _RING - 1
_ODD: Final = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio
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
        self._rings: dict[tuple[Hashable, ...], Ring] = {}

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
        ring = self._rings.get(pool.kinds)
        if ring is None or ring.members != members:
            ring = Ring.of(members) if ring is None else ring.changed(members)
            if len(self._rings) >= MAX_RINGS:
                self._rings.clear()
            self._rings[pool.kinds] = ring
        heaviest = max(pool.weights)
        even = heaviest <= 0 or min(pool.weights) == heaviest
        shares: dict[Member, float] = {}
        if not even:
            shares = dict(zip(members, pool.weights, strict=True))
        bound = self._load if even else self._load / (sum(pool.weights) / len(members))
        accepted = 0.0 if even else _RING / heaviest
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
                weight = 1.0
                if not even:
                    weight = shares[member]
                    hashed = _spread(hashed + 1)
                    if hashed >= weight * accepted:
                        continue  # it has no right to this key by its weight
                if not (avoid and member in avoid):
                    if member.active < ALWAYS or member.active < bound * weight * average:
                        return member
                    full.append(member)
                    if len(full) == FULL:
                        break
                hashed = _spread(hashed + 1)
            if full:
                full += [draw.other(avoid) for _ in range(FULL)]
                return min(full, key=_active)
            # Few have nearly all the weight, or all are to be avoided.
            place = bisect_left(sums, hashed / _RING * sums[-1], 0, len(sums) - 1)
            member = draw.members[place]
            return draw.other(avoid) if member in avoid else member

        return pick


class Ring:
    """The points of `members`, in order, and whose they are. Never changed once it is made."""

    __slots__ = ("_owners", "_points", "members")

    def __init__(
        self, members: tuple[Member, ...], owners: dict[int, Member], points: list[int]
    ) -> None:
        # The first point once more, a turn later: there is no end to run over.
        points.append(points[0] + _RING)
        owners[points[-1]] = owners[points[0]]
        self.members = members
        self._owners = owners
        self._points = points

    @classmethod
    def of(cls, members: tuple[Member, ...]) -> Ring:
        """A ring from the beginning; O(members log members)."""
        owners = {point: member for member in members for point in _points(member)}
        return cls(members, owners, sorted(owners))

    def changed(self, members: tuple[Member, ...]) -> Ring:
        """The ring of other members; in less time where most are the same."""
        gone, new = set(self.members), set(members)
        gone, new = gone - new, new - gone
        if len(gone) + len(new) > len(members) // 4:
            return self.of(members)
        owners, points = self._owners.copy(), self._points[:-1]
        del owners[self._points[-1]]
        for member in gone:
            for point in _points(member):
                owners.pop(point, None)
        if gone:
            points = [point for point in points if point in owners]
        for member in new:
            for point in _points(member):
                owners[point] = member
                points.append(point)
        points.sort()  # fast where most of it is in order
        return self.__class__(members, owners, points)

    def find(self, hashed: int, probes: int) -> Member:
        """The member of the point closest behind any of the probes; O(probes log members)."""
        points = self._points
        probe = hashed
        step = (hashed * _ODD) & _WORD | 1
        nearest = 2 * _RING
        found = 0
        for _ in range(probes):
            at = bisect_left(points, probe)
            distance = points[at] - probe
            if distance < nearest:
                nearest = distance
                found = at
            probe = (probe + step) & _WORD
        return self._owners[points[found]]


def _points(member: Member) -> tuple[int, ...]:
    digest = blake2b(str(member.endpoint).encode(), digest_size=_POINTS.size).digest()
    return _POINTS.unpack(digest)


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
