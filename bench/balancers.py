"""What choosing a provider costs, and the whole way from a filter to the connection.

Picks: microseconds of CPU a pick at 10, 1,000 and 100,000 members for every balancer, the loop
around it subtracted, with equal and with different weights; the least of several rounds, since
what disturbs only adds. Members have latencies and calls in flight as after an hour of use. Beside
it what a binding costs, the first one and one after a member has changed.

The path: a call of the stub with 10,000 providers and the default policy and balancer, down to a
connection that answers at once. Each line is the path without one thing.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import kubbo
from bench.rpc import about
from kubbo.cluster.attempts import SelectedAttempts
from kubbo.cluster.background import Background
from kubbo.cluster.balancers import DEFAULT_LOADBALANCE, LOADBALANCES, make_balance
from kubbo.cluster.breaker import DEFAULT_RULES
from kubbo.cluster.directory import Directory
from kubbo.cluster.member import Member, Pool
from kubbo.cluster.policies import DEFAULT_CLUSTER, make_policy
from kubbo.cluster.routing import parse
from kubbo.cluster.selection import Selection
from kubbo.cluster.subset import Subset
from kubbo.config import Options
from kubbo.model import Deadline, Endpoint, Invocation, Result
from kubbo.naming.resolution import Members
from kubbo.observe import Silent
from kubbo.rpc.fallback import Fallback
from kubbo.rpc.filters import compose
from kubbo.rpc.reference import Reference
from kubbo.rpc.service import read_interface
from kubbo.transport.dialer import State
from kubbo.wire.hessian2 import TypeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.model import Handler

RESULTS = Path(__file__).parent / "results" / "balancers.json"
SIZES = (10, 1_000, 100_000)
PATH_MEMBERS = 10_000
NO_OPTIONS = Options()
VIEW = "a view in which all have changed, adopted and bound"
PATH = "from a filter to the connection"


@kubbo.service("bench.Greeter")
class Greeter(Protocol):
    async def greet(self, name: str) -> str: ...


class StandIn:
    async def greet(self, name: str) -> str:
        return name


INTERFACE = read_interface(Greeter)
SERVICE, GREET = INTERFACE.key, INTERFACE.methods["greet"].signature


def endpoints(count: int) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 20880) for n in range(count))


def used(member: Member, rng: random.Random) -> None:
    """As after an hour: measured, and with a few calls in flight."""
    now = time.monotonic()
    member.active = rng.choice((0, 0, 0, 1, 1, 2))
    member.measure(rng.uniform(0.005, 0.02), now - rng.uniform(0, 5))
    member.attempts = member.answered = rng.randint(100, 200)
    member.answered_seconds = member.answered * rng.uniform(0.005, 0.02)


def pool_of(count: int, *, even: bool) -> Pool:
    rng = random.Random(1)
    members = tuple(Member(each, cast("Any", None)) for each in endpoints(count))
    for member in members:
        used(member, rng)
    weights = tuple(100.0 if even else rng.choice((50.0, 100.0, 200.0)) for _ in members)
    return Pool(members, weights)


def calls(count: int) -> list[Invocation]:
    return [
        Invocation(SERVICE, GREET, (f"user-{number}",), Deadline(0.0)) for number in range(count)
    ]


def pick_us(pick: Callable[[Invocation], object], given: list[Invocation], rounds: int) -> float:
    """Microseconds of CPU a pick, without the loop around it."""

    def nothing(_: Invocation) -> None:
        pass

    def once(do: Callable[[Invocation], object]) -> float:
        begun = time.process_time()
        for each in given:
            do(each)
        return time.process_time() - begun

    least = min(once(pick) for _ in range(rounds))
    return (least - min(once(nothing) for _ in range(rounds))) / len(given) * 1e6


def picks(*, quick: bool) -> dict[str, Any]:
    given = calls(2_000 if quick else 20_000)
    rounds = 2 if quick else 7
    found: dict[str, Any] = {name: {"pick_us": {}, "bind_ms": {}} for name in LOADBALANCES}
    for size in SIZES:
        pools = {kind: pool_of(size, even=kind == "even") for kind in ("even", "weighted")}
        for name in LOADBALANCES:
            for kind, pool in pools.items():
                balance = make_balance(name, random.Random(1), time.monotonic, {})
                begun = time.process_time()
                pick = balance.bind(pool)
                first = time.process_time()
                changed = Pool(pool.members[1:], pool.weights[1:])
                balance.bind(changed)
                again = time.process_time()
                us = pick_us(pick, given, rounds)
                found[name]["pick_us"].setdefault(kind, {})[size] = us
                found[name]["bind_ms"].setdefault(kind, {})[size] = [
                    (first - begun) * 1e3,
                    (again - first) * 1e3,
                ]
                print(
                    f"{name:17}{size:8,} {kind:9}{us:8.2f} us a pick, bound in "
                    f"{(first - begun) * 1e3:8.2f} ms, again {(again - first) * 1e3:8.2f} ms"
                )
    return found


class Line:
    """A connection that answers at once."""

    state = State.READY

    def __init__(self) -> None:
        self.subscribers: set[Callable[[], None]] = set()

    async def send(self, invocation: Invocation, codec: object) -> Result:  # noqa: ARG002 - the seam
        return ANSWER


ANSWER = Result("hello")


class Lines:
    def acquire(self, endpoint: Endpoint) -> Line:  # noqa: ARG002 - the seam
        return Line()

    def release(self, line: Line) -> None:
        pass


async def passing(invocation: Invocation, proceed: Handler) -> Result:
    return await proceed(invocation)


async def call_us(handler: Handler, rounds: int, count: int) -> float:
    """Microseconds of CPU a call of `handler`, with an invocation that is there already."""
    call = Invocation(SERVICE, GREET, ("anna",), Deadline(time.monotonic() + 3600))
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(count):
            await handler(call)
        found.append(time.process_time() - begun)
    return min(found) / count * 1e6


async def path(*, quick: bool) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    rounds, count = (2, 500) if quick else (9, 10_000)
    background = Background()
    found: dict[str, float] = {}

    async def measure(what: str, handler: Handler) -> None:
        found[what] = await call_us(handler, rounds, count)
        print(f"{what:44}{found[what]:8.2f} us")

    def make(
        *, breaker: bool = True, loadbalance: str = DEFAULT_LOADBALANCE, retries: int = 2
    ) -> tuple[Directory, Handler, Selection]:
        directory = Directory(
            "static:///bench",
            cast("Any", None),
            cast("Any", Lines()),
            subset=Subset(0),
            breaker=DEFAULT_RULES if breaker else None,
        )
        directory.publish(Members(endpoints(PATH_MEMBERS)))
        rng = random.Random(1)
        for member in directory.members():
            used(member, rng)
        balance = make_balance(loadbalance, rng, loop.time, {})
        selection = Selection(directory, balance, breaker=directory.breaker)
        policy = make_policy(DEFAULT_CLUSTER, retries, {}, background)

        async def clustered(invocation: Invocation) -> Result:
            attempts = SelectedAttempts(invocation, selection, cast("Any", None), loop)
            return await policy(invocation, attempts)

        return directory, clustered, selection

    directory, clustered, selection = make()

    def refer(options: Options = NO_OPTIONS, **more: Any) -> Handler:
        reference = Reference(
            SERVICE,
            directory,
            cast("Any", None),
            rng=random.Random(1),
            registry=TypeRegistry(()),
            background=background,
            **{"filters": [passing], **more},
        )
        plan = reference.plan(GREET, options)

        async def whole(invocation: Invocation) -> Result:
            return await reference.call(plan, invocation.arguments)

        return whole

    await measure("a call of a reference, its invocation made", refer())
    rule = {"configVersion": "v3.0", "scope": "service", "key": str(SERVICE), "force": False}
    for what, handler in {
        "another filter": refer(filters=[passing, passing]),
        "an observer": refer(observer=Silent()),
        "a fallback": refer(fallback=Fallback(StandIn(), INTERFACE)),
        "actives": refer(Options(actives=1_000)),
        "a mock": refer(Options(mock="return null")),
        "hedging": refer(Options(cluster="hedging", idempotent=True)),
        "failsafe": refer(Options(cluster="failsafe")),
        "a breaker for slow calls": refer(Options(parameters={"breaker.slow": 1.0})),
        "a condition rule": refer(
            routers=[parse({**rule, "conditions": ["method=greet => host=10.*"]}, source="bench")]
        ),
    }.items():
        await measure(f"with {what}", handler)
    await measure(PATH, compose([passing], clustered))
    await measure("without the filter", clustered)
    await measure("without filter and breaker", make(breaker=False)[1])
    await measure("without filter and retries", make(retries=0)[1])
    for name in LOADBALANCES:
        if name != DEFAULT_LOADBALANCE:
            await measure(f"without filter, with {name}", make(loadbalance=name)[1])
    call = Invocation(SERVICE, GREET, ("anna",), Deadline(time.monotonic() + 3600))
    line = Line()

    async def three(invocation: Invocation) -> Result:
        return await two(invocation)

    async def two(invocation: Invocation) -> Result:
        return await one(invocation)

    async def one(invocation: Invocation) -> Result:
        return await line.send(invocation, None)

    async def send(invocation: Invocation) -> Result:
        return await line.send(invocation, None)

    await measure("of which: four coroutines and nothing else", three)
    pool = selection.pool(call)
    assert pool is not None
    assert pool.picker is not None
    given = [call] * count
    found["of which: the pick"] = pick_us(pool.picker, given, rounds)
    found["of which: the pool"] = pick_us(selection.pool, given, rounds)
    for what in ("of which: the pick", "of which: the pool"):
        print(f"{what:44}{found[what]:8.2f} us")
    view = Members(tuple([replace(each, weight=99) for each in endpoints(PATH_MEMBERS)]))
    begun = time.process_time()
    directory.publish(view)
    selection.pool(call)
    found[VIEW] = (time.process_time() - begun) * 1e6
    print(f"{VIEW:44}{found[VIEW]:8.0f} us")
    await directory.aclose()
    await background.aclose()
    return found


def run(*, quick: bool = False) -> None:
    load_before = os.getloadavg()[0]
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        by_name = picks(quick=quick)
        by_part = asyncio.run(path(quick=quick))
    finally:
        gc.enable()
        gc.unfreeze()
    if not quick:
        RESULTS.parent.mkdir(exist_ok=True)
        written = {**about(load_before), "balancers": by_name, "path_us": by_part}
        RESULTS.write_text(json.dumps(written, indent=1) + "\n")
        print(f"written to bench/results/{RESULTS.name}")
