"""Consumers of several Services, whose watches fold and unfold while everything goes wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from kubbo.naming.kubernetes.resolver import KubernetesResolver
from kubbo.naming.kubernetes.sharing import NAMESPACE as EVERYTHING
from kubbo.naming.kubernetes.watches import Watches
from kubbo.naming.resolution import Pending
from kubbo.naming.target import KubernetesTarget
from kubbo.sim.loop import SimLoop, run
from kubbo.sim.world import NAMESPACE, Consumer, World
from kubbo.sim.world_faults import Rounds
from kubbo.sim.world_truth import View

if TYPE_CHECKING:
    from kubbo.naming.kubernetes.client import ClusterClient

FAULTS = 2_000
TARGETS = 4  # of one pod; its watches fold above two and unfold at one
LONGEST = 200.0  # seconds between two changes of a pod's targets


class Pod:
    """Four targets of one consumer: one host, one client, shared watches; targets come and go."""

    def __init__(self, world: World, number: int, targets: list[Consumer]) -> None:
        self.met: Counter[str] = Counter()
        self._world = world
        self._targets = targets
        self._rng = world.random(f"pod {number}")
        self._client: ClusterClient | None = None
        self._open = targets[0]._connect
        self._watches = Watches(rng=self._rng, fold_above=2)
        for one in targets:
            one.host = targets[0].host
            one.resolver = KubernetesResolver(
                KubernetesTarget(one.service, NAMESPACE, "dubbo"),
                self._connect,
                rng=self._rng,
                watches=self._watches,
            )

    async def _connect(self) -> ClusterClient:
        if self._client is None:
            self._client = await self._open()
        return self._client

    async def change(self) -> None:
        """Let up to all targets but one leave, again and again, and come back soon after."""
        while True:
            await asyncio.sleep(self._rng.uniform(0.0, LONGEST))
            self._look()
            leaving = self._rng.sample(self._targets, self._rng.randint(1, TARGETS - 1))
            for one in leaving:
                await self._stop(one)
            await asyncio.sleep(self._rng.uniform(0.0, 5.0))
            self._look()
            for one in leaving:
                one.start()

    async def _stop(self, one: Consumer) -> None:
        task, one._task = one._task, None
        assert task is not None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        one.resolution, one.view = Pending(), View(None)

    def _look(self) -> None:
        running = self._watches.running.get(NAMESPACE, [])
        folded = EVERYTHING in running
        self.met["single" if not folded else "folded" if len(running) == 1 else "between"] += 1


async def live(loop: SimLoop, seed: str) -> tuple[World, Counter[str]]:
    world = World(loop, seed, services=TARGETS, consumers=3 * TARGETS)
    # What it may ask is told a resolver, and a pod here has four.
    world.server.observer = world.replica.observer = None
    pods = [
        Pod(world, number, world.consumers[number * TARGETS :][:TARGETS]) for number in range(3)
    ]
    async with world:
        tasks = [asyncio.create_task(pod.change()) for pod in pods]
        try:
            await Rounds(world).run(FAULTS)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
    met: Counter[str] = Counter()
    for pod in pods:
        met.update(pod.met)
    return world, met


@pytest.mark.parametrize("seed", ["fold", "and", "back"])
def test_views_are_right_while_watches_fold_and_unfold_under_every_fault(seed: str):
    """2,000 faults of all kinds for each of three seeds, while the targets of three pods come
    and go: no view is a mixture of two states or older than it says, and each is right again in
    time; the watches were met single, folded and in between."""
    loop = SimLoop()
    world, met = run(live(loop, seed), loop=loop)
    assert set(met) == {"single", "folded", "between"}
    print(  # noqa: T201 - the numbers beside the zeros
        f"seed {seed}: {world.fired.total()} faults, {world.truth.judged} views judged, "
        f"{world.truth.excused} excused, watches met {dict(met)}"
    )
