"""Consumers by DNS, and by the chain of API server and DNS, while name servers lie."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.sim.traces import digests

from kubbo.naming.resolution import Members
from kubbo.sim.loop import SimLoop, run
from kubbo.sim.world import World
from kubbo.sim.world_dns import KINDS, DnsWorld
from kubbo.sim.world_truth import Broken

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = int(os.environ.get("KUBBO_SIM_DNS", "2"))
A_WORLD = 1_000  # lies and outages
FIRED: Counter[str] = Counter()


def simulate(
    seed: int | str, faults: int, *, prepare: Callable[[DnsWorld], None] = lambda _: None
) -> tuple[DnsWorld, float]:
    """Storms and calms until so many faults have fired; the slowest recovery."""
    loop = SimLoop()

    async def main() -> tuple[DnsWorld, float]:
        async with World(loop, f"dns {seed}", consumers=0) as inside:
            world = DnsWorld(inside, consumers=16)
            prepare(world)
            slowest = 0.0
            async with world:
                while world.fired.total() < faults:
                    await world.storm(300.0)
                    slowest = max(slowest, await world.calm())
            return world, slowest

    return run(main(), loop=loop)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEEDS))
def test_lies_of_a_name_server_do_no_more_harm_than_they_must(
    seed: int, tried: Callable[[str, int], None]
):
    """1,000 lies of nine kinds and outages, for each of 2 seeds (20 by `make soak`): what is
    published is one answer that was given, or the view of the API server, whole, and of DNS only
    when that is away; no lie takes members away; nobody asks more than once a second; and all is
    right again in time."""
    world, slowest = simulate(seed, A_WORLD)
    FIRED.update(world.fired)
    tried("simulated lies and outages of DNS", world.fired.total())
    print(  # noqa: T201 - the numbers beside the zeros
        f"seed {seed}: {world.fired.total()} faults, {world.judged} views judged, "
        f"{world.inside.loop.time():.0f} virtual seconds; right again after at most "
        f"{slowest:.0f} s; at most {world.most_questions} questions a minute; "
        f"fired: {dict(sorted(world.fired.items()))}"
    )


@pytest.mark.soak
def test_every_kind_of_lie_was_told():
    """In all the seeds above together, or they have proven nothing."""
    assert [kind for kind in KINDS if not FIRED[kind]] == []


def test_the_same_seed_gives_the_same_trace():
    """Two processes with other hashes of strings publish the same at the same moments."""
    (digest,) = digests(__name__, "simulate('trace', 200)[0].inside.trace")
    assert len(digest) == 64


def test_a_consumer_that_mixes_answers_is_caught():
    """The judge judges: members of two answers are of none."""

    def prepare(world: DnsWorld) -> None:
        for consumer in world.consumers:
            publish = consumer._publish
            seen: list[Any] = []

            def mix(said: Any, publish: Any = publish, seen: list[Any] = seen) -> None:
                if isinstance(said, Members):
                    seen += [one for one in said.endpoints if one not in seen]
                    said = Members(
                        tuple(seen), stale_since=said.stale_since, definite=said.definite
                    )
                publish(said)

            consumer._publish = mix

    with pytest.raises(Broken, match=r"which no answer had|never held"):
        simulate("mixer", A_WORLD, prepare=prepare)


def test_a_chain_that_uses_dns_without_need_is_caught():
    """The judge judges: with the API server well, nothing of DNS is to be seen."""

    def prepare(world: DnsWorld) -> None:
        for consumer in world.consumers:
            publish = consumer._publish

            def swap(said: Any, publish: Any = publish) -> None:
                publish(replace(said, definite=False) if isinstance(said, Members) else said)

            consumer._publish = swap

    with pytest.raises(Broken, match="though the API server is well"):
        simulate("swapper", A_WORLD, prepare=prepare)
