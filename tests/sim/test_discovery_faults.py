"""Discovery under every fault: the product's own client, reflector and resolver in a simulation.

`KUBBO_SIM_FAULTS` says how many faults are simulated (100,000 by default), `KUBBO_SIM_SEED` from
which seed on. A seed that fails is run alone by
`pytest tests/sim/test_discovery_faults.py -k "faults-SEED"`, and becomes a named test here.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.sim.traces import digests

from kubbo.naming.kubernetes.client import ClusterClient
from kubbo.naming.kubernetes.reflector import Changed
from kubbo.naming.resolution import Members
from kubbo.sim import world as world_module
from kubbo.sim.apiserver.faults import Hang
from kubbo.sim.loop import SimLoop, run
from kubbo.sim.net_http import SimConnector
from kubbo.sim.world import BUDGET, World
from kubbo.sim.world_faults import KINDS, Rounds
from kubbo.sim.world_truth import Broken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

FAULTS = int(os.environ.get("KUBBO_SIM_FAULTS", "100000"))
FIRST_SEED = int(os.environ.get("KUBBO_SIM_SEED", "1"))
A_WORLD = 10_000  # faults: about 12 s of CPU
RAN: list[int] = []
FIRED: Counter[str] = Counter()
MET: Counter[str] = Counter()
SEEDS = range(FIRST_SEED, FIRST_SEED + max(1, FAULTS // A_WORLD))


def simulate(
    seed: int | str,
    faults: int,
    *,
    consumers: int = 32,
    prepare: Callable[[World], None] = lambda _: None,
) -> Rounds:
    """Rounds of storm and calm until so many faults have fired; raises what broke."""
    loop = SimLoop()

    async def main() -> Rounds:
        world = World(loop, seed, consumers=consumers)
        prepare(world)
        async with world:
            rounds = Rounds(world)
            await rounds.run(faults)
            return rounds

    return run(main(), loop=loop)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"faults-{seed}")
def test_views_are_right_under_every_fault(seed: int, tried: Callable[[str, int], None]):
    """10,000 faults of all 39 kinds under churn, for each of 10 seeds: no view is a mixture of
    two states or older than it says, each is right again in time after a storm, no consumer
    exceeds its budget of requests, and no task, timer or socket is left."""
    rounds = simulate(seed, A_WORLD)
    world = rounds.world
    assert world.truth.judged > world.fired.total()
    assert world.truth.excused < world.truth.judged * 0.02
    RAN.append(seed)
    FIRED.update(world.fired)
    for consumer in world.consumers:
        MET.update(asdict(consumer.resolver.reflector.counters))
    tried("simulated faults of the API server and the way to it", world.fired.total())
    tried("views judged under them, 0 wrong", world.truth.judged)
    print(  # noqa: T201 - the numbers beside the zeros
        f"seed {seed}: {world.fired.total()} faults, {world.churn.steps} changes, "
        f"{world.truth.judged} views and {world.snapshots_judged} snapshots judged, "
        f"{world.truth.excused} excused, "
        f"{world.loop.time():.0f} virtual seconds; right again after at most "
        f"{rounds.slowest['loud']:.0f} s (loud) and {rounds.slowest['silent']:.0f} s (silent); "
        f"oldest view {world.truth.oldest:.0f} s, stale ones {world.truth.oldest_stale:.0f} s "
        f"before they say; requests at most {dict(world.most_requests)}, "
        f"probes {dict(world.most_probes)}; "
        f"fired: {dict(sorted(world.fired.items()))}"
    )


@pytest.mark.soak
def test_every_kind_of_fault_fired_and_was_met():
    """In all the seeds above together, or they have proven nothing: 39 kinds of faults fired, and
    the reflectors met every trouble that they know."""
    assert sorted(RAN) == list(SEEDS), "this test follows all seeds; one was left out or failed"
    assert [kind for kind in KINDS if not FIRED[kind]] == []
    known = ("expired", "too_large", "silences", "doubts", "unauthorized", "forbidden", "throttled")
    assert [name for name in known if not MET[name]] == []


def test_the_same_seed_gives_the_same_trace():
    """Two processes with other hashes of strings publish the same at the same moments."""
    (digest,) = digests(__name__, "simulate('trace', 700, consumers=8).world.trace")
    assert len(digest) == 64


def test_another_seed_gives_another_trace():
    """The seed decides."""
    traces = {simulate(seed, 100, consumers=4).world.trace for seed in ("one", "two")}
    assert len(traces) == 2


def test_a_world_may_end_while_its_replica_is_behind():
    """Seed 96 of a million faults: what was to reach the replica later leaves no timer."""
    loop = SimLoop()

    async def main() -> int:
        async with World(loop, "behind", services=1, consumers=0) as world:
            before = world.replica_store.version
            world.set_lag(10.0)
            world.churn.step()
            await world.controller.settled()
            assert world.store.version > before
            return world.replica_store.version - before

    assert run(main(), loop=loop) == 0


def test_a_server_that_ends_every_watch_early_is_not_asked_too_often():
    """Every watch ends cleanly after 1.1 s, for twenty minutes: the budget of requests holds."""
    loop = SimLoop()

    async def main() -> World:
        async with World(loop, "hasty ends", consumers=8) as world:
            for _ in range(1_100):
                await asyncio.sleep(1.1)
                world.server.end_watches()
                world.check()
            return world

    world = run(main(), loop=loop)
    assert world.most_requests[600.0] > 40


def test_a_watch_that_is_never_accepted_leaves_no_view_healthy():
    """A quiet watch is ended, and whoever takes the next one never answers: 90 s after the last
    sign of life the view says that it is old, without waiting for more."""
    loop = SimLoop()

    async def main() -> None:
        async with World(loop, "mute", services=1, consumers=1) as world:
            (consumer,) = world.consumers
            world.server.bookmarks = False
            await asyncio.sleep(5.0)
            world.churn.step()
            await world.controller.settled()
            heard = loop.time()
            await asyncio.sleep(70.0)
            assert consumer.view.stale_since is None
            world.server.faults.add(Hang(), times=None)
            world.server.end_watches()
            await asyncio.sleep(heard + 90.0 - loop.time())
            assert consumer.view.stale_since == pytest.approx(heard, abs=0.1)

    run(main(), loop=loop)


# --- the judge judges: each rule fails for a client that breaks it


class DeafClient(ClusterClient):
    """Does not hear of every third change."""

    @asynccontextmanager
    async def watch(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        async with super().watch(*args, **options) as stream:
            receive, heard = stream.receive, 0

            async def some() -> list[Any]:
                nonlocal heard
                events = await receive()
                kept = []
                for event in events:
                    heard += isinstance(event, Changed)
                    if not isinstance(event, Changed) or heard % 3:
                        kept.append(event)
                return kept or await some() if events else events

            stream.receive = some  # type: ignore[method-assign]
            yield stream


def test_a_client_that_misses_events_is_caught():
    """A lost change makes a view that the store never held, or one that does not come right."""

    def prepare(world: World) -> None:
        async def connect(consumer: Any) -> ClusterClient:
            consumer._client = DeafClient(world.credentials, connector=SimConnector)
            return consumer._client

        for consumer in world.consumers:
            consumer.resolver._connect = lambda consumer=consumer: connect(consumer)

    with pytest.raises(Broken, match=r"never held|last held|after the last fault"):
        simulate("deaf", 10_000, consumers=16, prepare=prepare)


def test_a_view_that_never_moves_is_caught():
    """Whoever publishes once and believes it for ever holds ghosts."""

    def prepare(world: World) -> None:
        for consumer in world.consumers:
            publish = consumer._publish

            def first_only(resolution: Any, consumer: Any = consumer, publish: Any = publish):
                if not isinstance(consumer.resolution, Members):
                    publish(resolution)

            consumer._publish = first_only

    with pytest.raises(Broken, match=r"last held|after the last fault"):
        simulate("frozen", 2_000, consumers=4, prepare=prepare)


def test_a_view_that_hides_its_age_is_caught():
    """A view that was right when the source was lost is too old when it says that it is fresh."""

    def prepare(world: World) -> None:
        for consumer in world.consumers:
            publish = consumer._publish

            def lie(resolution: Any, publish: Any = publish):
                if isinstance(resolution, Members):
                    resolution = replace(resolution, stale_since=None)
                publish(resolution)

            consumer._publish = lie

    with pytest.raises(Broken, match="last held"):
        simulate("liar", 40_000, consumers=16, prepare=prepare)


def test_a_client_that_asks_too_often_is_caught(monkeypatch: pytest.MonkeyPatch):
    """The budget is counted at the server: a smaller one is exceeded."""
    monkeypatch.setattr(world_module, "BUDGET", {60.0: 5})
    with pytest.raises(Broken, match="its budget is 5"):
        simulate("greedy", 2_000, consumers=4)
    assert BUDGET[60.0] == 50
