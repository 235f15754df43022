"""Rolling updates over the simulated network: real providers, real consumers, no time."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING, Protocol

import pytest
from tests.sim.traces import digests

import kubbo
from kubbo.errors import KubboError
from kubbo.sim.loop import SimLoop, run
from kubbo.sim.world import World
from kubbo.sim.world_calls import Deployment, SimNaming

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = int(os.environ.get("KUBBO_SIM_ROLLOUTS", "25"))
CONSUMERS = 3
HOSTS = [f"10.4.0.{number + 2}" for number in range(CONSUMERS)]


@kubbo.service("sim.Echo", version="1.0.0")
class Echo(Protocol):
    @kubbo.method(timeout=3.0)
    async def echo(self, text: str) -> str: ...


class Pod(Echo):
    """Answers after a moment, as whoever does something."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.rng = world.random(f"pod {name}")

    async def echo(self, text: str) -> str:
        await asyncio.sleep(self.rng.uniform(0.0, 0.3))
        return f"{self.name} {text}"


class Callers:
    """Consumers that call without end, each from a host of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.answers: list[str] = []  # when, and what
        self.pods: set[str] = set()
        self.lost: list[str] = []
        self.stop = asyncio.Event()

    async def call(self, number: int) -> None:
        rng = self.world.random(f"caller {number}")
        naming = SimNaming(self.world, purpose=f"naming {number}")
        async with kubbo.Channel(naming=naming, rng=rng) as channel:
            stub = channel.refer(Echo, "kubernetes:///echo:dubbo")
            calls: set[asyncio.Task[None]] = set()
            while not self.stop.is_set():
                task = asyncio.create_task(self.one(stub, str(len(calls))))
                calls.add(task)
                task.add_done_callback(calls.discard)
                await asyncio.sleep(rng.uniform(0.0, 0.2))
            if calls:
                await asyncio.wait(calls)

    async def one(self, stub: Echo, text: str) -> None:
        try:
            answer = await stub.echo(text)
        except KubboError as error:
            self.lost.append(f"{self.world.loop.time():.3f} s: {error}")
            return
        pod, _, echoed = answer.partition(" ")
        assert echoed == text
        self.pods.add(pod)
        self.answers.append(f"{self.world.loop.time():.6f} {pod}")


async def roll(loop: SimLoop, seed: int, *, rolls: int, abrupt: bool = False) -> Callers:
    async with World(loop, f"calls {seed}", services=0, consumers=0) as world:
        deployment = Deployment(world, "echo", lambda name: Pod(name, world))
        await deployment.start(3)
        callers = Callers(world)
        tasks: list[asyncio.Task[None]] = []
        for number, host in enumerate(HOSTS):
            with world.network.on(host):
                tasks.append(asyncio.create_task(callers.call(number)))
        await asyncio.sleep(2.0)
        for _ in range(rolls):
            await deployment.roll()
        if abrupt:
            for connection in tuple(world.network.connections):
                connection.reset()
        await asyncio.sleep(1.0)
        callers.stop.set()
        await asyncio.gather(*tasks)
        await deployment.stop()
        assert deployment.cut_off == 0
        return callers


@pytest.mark.soak
def test_rolling_updates_lose_no_call(tried: Callable[[str, int], None]):
    """25 seeds of two rollouts of three pods under three consumers: no call fails, though each
    method takes up to 0.3 s, is not idempotent and every pod is replaced twice. `make soak`
    runs 500."""
    answered = 0
    for seed in range(SEEDS):
        loop = SimLoop()
        callers = run(roll(loop, seed, rolls=2), loop=loop)
        assert callers.lost == [], f"seed {seed}"
        assert len(callers.pods) == 9, f"seed {seed}: every pod was called"
        answered += len(callers.answers)
    tried("seeds of simulated rollouts", SEEDS)
    tried("calls during simulated rollouts, 0 lost", answered)
    assert answered > 400 * SEEDS


def trace(seed: int) -> str:
    """What was answered when during a rollout."""
    loop = SimLoop()
    callers = run(roll(loop, seed, rolls=1), loop=loop)
    return hashlib.sha256("\n".join(callers.answers).encode()).hexdigest()


def test_the_same_seed_gives_the_same_trace():
    """Two processes with other hashes of strings answer the same calls at the same moments."""
    (digest,) = digests(__name__, "trace(1)")
    assert len(digest) == 64
    assert trace(2) != digest


def test_calls_are_lost_where_a_rollout_is_not_orderly():
    """The measure measures: when connections are reset under calls in flight, these are lost."""
    loop = SimLoop()
    callers = run(roll(loop, 1, rolls=0, abrupt=True), loop=loop)
    assert callers.lost
