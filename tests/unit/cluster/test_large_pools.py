"""A large pool: what changes of connections cost, and that calls avoid who was lost."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from tests.unit.cluster.view import CALL, directory, endpoints

from kubbo.cluster.balancers import LOADBALANCES, make_balance
from kubbo.cluster.selection import LARGE, REBIND_PAUSE, TOLERATED, Selection
from kubbo.cluster.subset import Subset
from kubbo.naming.resolution import Members
from kubbo.sim.loop import run
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from kubbo.cluster.balancers import LoadBalance
    from kubbo.cluster.member import Member, Picker, Pool


class Counting:
    """Counts the members it was bound to."""

    def __init__(self, balance: LoadBalance) -> None:
        self.balance = balance
        self.bound = 0

    def bind(self, pool: Pool) -> Picker:
        self.bound += len(pool.members)
        return self.balance.bind(pool)


def balance(name: str = "random") -> Counting:
    clock = asyncio.get_running_loop().time
    return Counting(make_balance(name, random.Random(1), clock, {}))


def pick(selection: Selection) -> Member:
    pool = selection.pool(CALL)
    assert pool is not None
    assert pool.picker is not None
    return pool.picker(CALL)


def test_a_start_of_5_000_connections_costs_few_bindings() -> None:
    """With a call after every connection that is made, the members bound are a small multiple of
    the members there are, not their square; and no call waits for a connection after the first."""

    async def main() -> None:
        watched, lines = directory(subset=Subset(0))
        counting = balance()
        selection = Selection(watched, counting)
        lines.next_state = State.CONNECTING
        watched.publish(Members(endpoints(5_000)))
        pick(selection)
        for line in tuple(lines.values()):
            line.become(State.READY)
            assert pick(selection).dialer.state is State.READY
        assert counting.bound < 5_000 * (TOLERATED + 4)
        await watched.aclose()

    run(main())


@pytest.mark.parametrize("name", LOADBALANCES)
def test_calls_avoid_who_was_lost_before_the_next_binding(name: str) -> None:
    """A twentieth of 1,000 members lose their connections: no call goes to them, and nothing is
    bound for it at once; after the pause it is."""

    async def main() -> None:
        watched, lines = directory(subset=Subset(0))
        counting = balance(name)
        selection = Selection(watched, counting)
        watched.publish(Members(endpoints(1_000)))
        pick(selection)
        assert counting.bound == 1_000
        for line in tuple(lines.values())[:50]:
            line.become(State.DOWN)
            for _ in range(20):
                assert pick(selection).dialer.state is State.READY
        assert counting.bound == 1_000
        await asyncio.sleep(1_000 * REBIND_PAUSE)
        pick(selection)
        assert counting.bound == 1_950
        await watched.aclose()

    run(main())


def test_small_pools_are_bound_at_once() -> None:
    """Below `LARGE` members, and while none is connected, each change counts at once."""

    async def main() -> None:
        watched, lines = directory()
        counting = balance()
        selection = Selection(watched, counting)
        watched.publish(Members(endpoints(LARGE - 1)))
        pick(selection)
        next(iter(lines.values())).become(State.DOWN)
        pick(selection)
        assert counting.bound == LARGE - 1 + LARGE - 2
        watched.publish(Members(endpoints(500)))
        for line in lines.values():
            line.become(State.DOWN)
        pick(selection)
        one = lines[endpoints(500)[77].key]
        one.become(State.READY)
        assert pick(selection).dialer is one
        await watched.aclose()

    run(main())


def test_a_view_is_bound_at_once() -> None:
    """Who left the view gets no call more, however large the pool is."""

    async def main() -> None:
        watched, _ = directory(subset=Subset(0))
        selection = Selection(watched, balance("roundrobin"))
        everybody = endpoints(500)
        watched.publish(Members(everybody))
        pick(selection)
        watched.publish(Members(everybody[1:]))
        assert everybody[0] not in {pick(selection).endpoint for _ in range(500)}
        await watched.aclose()

    run(main())
