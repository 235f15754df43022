"""Balancers under whatever happens to members, against what must hold of every pick."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given, settings, strategies as st
from tests.unit.cluster.view import CALL, directory, endpoints

from kubbo.cluster.balancers import LOADBALANCES, ConsistentHashBalance, make_balance
from kubbo.cluster.member import Member, Pool
from kubbo.cluster.selection import Selection
from kubbo.cluster.subset import Subset
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.naming.resolution import Members
from kubbo.sim.loop import run
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE, GREET = ServiceKey("com.example.GreetService"), Signature("greet")
NAMES = st.sampled_from(LOADBALANCES)
WEIGHTS = st.sampled_from((0.0, 0.001, 1.0, 10.0, 100.0, 1e6))
# What one member is like: in this view or not, its weight, its calls in flight, its latency.
MEMBER = st.tuples(st.booleans(), WEIGHTS, st.integers(0, 1_000), st.floats(0.0, 10.0))
VIEWS = st.lists(st.lists(MEMBER, min_size=24, max_size=24), min_size=1, max_size=5)


def members(count: int) -> list[Member]:
    return [Member(Endpoint(f"10.0.0.{n}", 20880), cast("Any", None)) for n in range(count)]


def call(number: int) -> Invocation:
    return Invocation(SERVICE, GREET, (f"user-{number}",), Deadline(1.0))


@settings(deadline=None)
@given(NAMES, st.integers(0, 2**32), VIEWS, st.sets(st.integers(0, 23), max_size=24))
def test_what_every_pick_keeps(
    name: str, seed: int, views: list[list[tuple[bool, float, int, float]]], avoided: set[int]
) -> None:
    """Through any views, weights and loads: a pick is of the view, has weight while anybody has, is
    none to avoid while another is left, and the one that is left has weight while one of those
    has."""
    everybody = members(24)
    clock = iter(range(10_000_000))
    balance = make_balance(name, random.Random(seed), lambda: float(next(clock)), {})
    for view in views:
        some: list[Member] = []
        weights: list[float] = []
        for member, (there, weight, active, latency) in zip(everybody, view, strict=True):
            member.active = active
            if latency:
                member.attempts += 1
                member.measure(latency, float(next(clock)))
            if there:
                some.append(member)
                weights.append(weight)
        if not some:
            continue
        pick = balance.bind(Pool(tuple(some), tuple(weights)))
        heavy = {member for member, weight in zip(some, weights, strict=True) if weight}
        avoid = [everybody[number] for number in avoided]
        for number in range(20):
            assert pick(call(number)) in (heavy or some)
            found = pick(call(number), avoid)
            assert found in some
            left = [member for member in some if member not in avoid]
            if left:
                assert found not in avoid
                assert found in heavy or not heavy.intersection(left)


@settings(deadline=None)
@given(st.sets(st.integers(0, 40), min_size=2), st.integers(0, 1_000))
def test_keys_stay_when_others_go(there: set[int], seed: int) -> None:
    """Whoever goes, a key of somebody else stays; with all of them back, all is as before."""
    everybody = members(41)
    rng = random.Random(seed)
    balance = ConsistentHashBalance(rng)

    def owners(some: Sequence[Member]) -> list[Member]:
        pick = balance.bind(Pool(tuple(some), (100.0,) * len(some)))
        return [pick(call(number)) for number in range(100)]

    some = [everybody[number] for number in sorted(there)]
    before = owners(some)
    gone = rng.choice(some)
    after = owners([member for member in some if member is not gone])
    for one, two in zip(before, after, strict=True):
        assert one is two or one is gone
    assert owners(some) == before


@settings(deadline=None, max_examples=60)
@given(
    NAMES,
    st.integers(1, 130) | st.integers(64, 80),
    st.lists(st.tuples(st.integers(0, 79), st.sampled_from(State)), max_size=60),
    st.integers(0, 2**32),
)
def test_a_call_goes_to_who_is_connected(
    name: str, size: int, changes: list[tuple[int, State]], seed: int
) -> None:
    """Pools small and large, whatever becomes of connections, in whatever time: as long as a third
    of the members is connected, every call finds one of them."""

    async def main() -> None:
        rng = random.Random(seed)
        clock = asyncio.get_running_loop().time
        watched, lines = directory(subset=Subset(0))
        selection = Selection(watched, make_balance(name, rng, clock, {}))
        watched.publish(Members(endpoints(size)))
        for number, state in changes:
            if number < size:
                list(lines.values())[number].become(state)
            ready = sum(line.state is State.READY for line in lines.values())
            pool = selection.pool(CALL)
            assert pool is not None
            assert pool.picker is not None
            for key in range(20):
                found = pool.picker(call(key))
                if 3 * ready > size:
                    assert found.dialer.state is State.READY
            if rng.random() < 0.1:
                await asyncio.sleep(rng.choice((0.0001, 0.01)))
        await watched.aclose()

    run(main())
