"""Balancers in the field: 100 consumers, 50 providers, of which one is slow, one dead, one new.

What runs is the cluster room as it is, from the directory to the attempts; only connections are
stand-ins: providers with a few workers and a queue each, on a virtual clock. There is no breaker,
so that what is seen is the balancer's doing.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from heapq import heapreplace
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from kubbo.cluster.attempts import SelectedAttempts
from kubbo.cluster.balancers import DEFAULT_LOADBALANCE, make_balance
from kubbo.cluster.directory import Directory
from kubbo.cluster.selection import Selection
from kubbo.cluster.sequential import Failover
from kubbo.errors import DeadlineExceeded, Progress, RpcError
from kubbo.model import Deadline, Endpoint, Invocation, Result, ServiceKey, Signature
from kubbo.naming.resolution import Members
from kubbo.sim.loop import run
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.naming.resolution import Publish

CONSUMERS: Final = 100
PROVIDERS: Final = 50
RATE: Final = 10.0  # calls a second of each consumer
SECONDS: Final = 40.0
TIMEOUT: Final = 1.0
SERVICE_TIME: Final = 0.010
WORKERS: Final = 4  # 400 calls a second each; they get 20
SLOW, DEAD, NEW = 7, 23, 49
SLOWNESS: Final = 20.0
NEW_AT: Final = 10.0
COLD: Final = 10.0  # seconds in which the new one falls from ten times the time to once

SERVICE, GREET = ServiceKey("sim.Greeter"), Signature("greet")
ENDPOINTS = tuple(Endpoint(f"10.0.0.{n}", 20880) for n in range(PROVIDERS))


class Provider:
    """Workers that take calls from one queue; a call that nobody waits for is worked on all the
    same. It stands for the connections to it, too.
    """

    state = State.READY

    def __init__(self, endpoint: Endpoint, rng: random.Random) -> None:
        self.endpoint = endpoint
        self.subscribers: set[Callable[[], None]] = set()
        self.calls = 0
        self.most_waiting = 0.0
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._free = [0.0] * WORKERS
        self._number = ENDPOINTS.index(endpoint)
        self._born = self._loop.time()

    def seconds(self, now: float) -> float:
        factor = 1.0
        if self._number == SLOW:
            factor = SLOWNESS
        elif self._number == NEW:
            factor = max(1.0, 10.0 * (1 - (now - self._born - NEW_AT) / COLD))
        return self._rng.lognormvariate(0.0, 0.5) * SERVICE_TIME * factor

    async def send(self, invocation: Invocation, codec: object) -> Result:
        self.calls += 1
        now, due = self._loop.time(), invocation.deadline.at
        answered = float("inf")
        if self._number != DEAD:
            begun = max(now, self._free[0])
            self.most_waiting = max(self.most_waiting, begun - now)
            answered = begun + self.seconds(now)
            heapreplace(self._free, answered)
        waiter = self._loop.create_future()
        timer = self._loop.call_at(min(answered, due), waiter.set_result, None)
        try:
            await waiter
        finally:
            timer.cancel()
        if answered > due:
            raise DeadlineExceeded("no answer", progress=Progress.SENT, endpoint=self.endpoint)
        return Result("hello", self.endpoint)


class Providers:
    """What a channel's table of connections is, with everybody connected."""

    def __init__(self, seed: int) -> None:
        self.table = {
            each.key: Provider(each, random.Random(f"{seed}/{each}")) for each in ENDPOINTS
        }

    def acquire(self, endpoint: Endpoint) -> Provider:
        return self.table[endpoint.key]

    def release(self, provider: Provider) -> None:
        pass


class Told:
    """A resolver that says nothing; the run publishes."""

    async def watch(self, publish: Publish, /) -> None:
        await asyncio.Event().wait()


@dataclass
class Outcome:
    """Seconds of each call, a failed one included, and what the providers got."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    calls: Counter[int] = field(default_factory=Counter)
    new_waiting: float = 0.0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[int(len(ordered) * share)]


async def field_of(name: str, seed: int) -> Outcome:
    loop = asyncio.get_running_loop()
    outcome = Outcome()
    providers = Providers(seed)
    directories: list[Directory] = []
    calls: set[asyncio.Task[None]] = set()

    async def call(selection: Selection, policy: Failover, number: int) -> None:
        begun = loop.time()
        invocation = Invocation(SERVICE, GREET, (f"user-{number}",), Deadline(begun + TIMEOUT))
        try:
            await policy(
                invocation, SelectedAttempts(invocation, selection, cast("Any", None), loop)
            )
        except RpcError:
            outcome.failed += 1
        outcome.seconds.append(loop.time() - begun)

    async def consume(number: int) -> None:
        rng = random.Random(f"{seed}/consumer {number}")
        directory = Directory("sim", Told(), cast("Any", providers))
        directories.append(directory)
        directory.publish(Members(tuple(e for n, e in enumerate(ENDPOINTS) if n != NEW)))
        loop.call_later(NEW_AT, directory.publish, Members(ENDPOINTS))
        selection = Selection(directory, make_balance(name, rng, loop.time, {}))
        policy = Failover(2)
        end = loop.time() + SECONDS
        while loop.time() < end:
            await asyncio.sleep(rng.expovariate(RATE))
            task = asyncio.create_task(call(selection, policy, rng.randrange(10_000)))
            calls.add(task)
            task.add_done_callback(calls.discard)

    await asyncio.gather(*(consume(number) for number in range(CONSUMERS)))
    if calls:
        await asyncio.wait(calls)
    for directory in directories:
        await directory.aclose()
    for number, endpoint in enumerate(ENDPOINTS):
        outcome.calls[number] = providers.table[endpoint.key].calls
    outcome.new_waiting = providers.table[ENDPOINTS[NEW].key].most_waiting
    return outcome


def ran(name: str, seed: int) -> Outcome:
    outcome = run(field_of(name, seed))
    print(  # noqa: T201 - the numbers beside the claim
        f"{name:17} seed {seed}: {len(outcome.seconds)} calls, p50 {outcome.percentile(0.5):.4f}, "
        f"p99 {outcome.percentile(0.99):.4f}, p99.9 {outcome.percentile(0.999):.4f}, "
        f"failed {outcome.failed}, slow {outcome.calls[SLOW]}, dead {outcome.calls[DEAD]}, "
        f"new {outcome.calls[NEW]}, its longest queue {outcome.new_waiting:.3f} s"
    )
    return outcome


@pytest.mark.parametrize("seed", [1, 2])
def test_the_default_s_p99_is_at_most_half_of_random_s(seed: int) -> None:
    """With one slow, one dead and one new of 50. The slow and the dead one get less than a fifth of
    the calls that others get, and the new one no queue worth the name."""
    by_chance, default = ran("random", seed), ran(DEFAULT_LOADBALANCE, seed)
    assert default.percentile(0.99) <= by_chance.percentile(0.99) / 2
    assert default.failed < by_chance.failed / 2
    others = [default.calls[n] for n in range(PROVIDERS) if n not in {SLOW, DEAD, NEW}]
    typical = sum(others) / len(others)
    assert default.calls[SLOW] < typical / 2
    assert default.calls[DEAD] < typical / 2
    assert typical / 3 < default.calls[NEW] < typical
    assert default.new_waiting < 0.1
