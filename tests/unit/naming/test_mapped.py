"""A service key whose target changes, in virtual time, with the API server in the process."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.unit.naming.publications import (
    SHOP,
    Publications,
    service,
    slice_object,
    slices,
    watching,
)

from kubbo.model import ServiceKey
from kubbo.naming import Absent, MappedResolver, Members, NamingContext
from kubbo.naming.kubernetes.client import ClusterClient
from kubbo.naming.kubernetes.credentials import Access, FixedToken
from kubbo.sim.apiserver import ApiServer, Rule
from kubbo.sim.loop import SimLoop, run
from kubbo.sim.net import SimNetwork
from kubbo.sim.net_http import SimConnector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    import pytest

KEY = ServiceKey.parse("com.example.GreetService")
LABEL = {"kubbo.dev/provider": "true"}
CLAIM = {"kubbo.dev/services": str(KEY)}
RULE = "greet-service"
FOLLOWED = 245.0
"""Seconds in which a change is seen."""
FOLLOWED_UNSEEN = 1205.0
"""Likewise, where not every namespace may be read."""


class SimNaming(NamingContext):
    """A consumer's naming over the simulated network."""

    async def _open_cluster(self) -> ClusterClient:
        access = Access(
            server="http://10.0.0.1:6443",
            namespace=SHOP,
            source="the simulation",
            identity=FixedToken("consumer"),
        )
        return ClusterClient(access, connector=SimConnector)


class Bed:
    """An API server, a consumer's naming, and what its resolver published."""

    def __init__(self, server: ApiServer, naming: NamingContext) -> None:
        self.server = server
        self.naming = naming

    @asynccontextmanager
    async def resolving(self) -> AsyncIterator[Publications]:
        async with watching(MappedResolver(KEY, self.naming)) as published:
            yield published

    def claim(self, name: str, **metadata: Any) -> None:
        """Let a Service claim the key, or no more."""
        known = self.server.store.get("services", name, SHOP)
        known["metadata"] |= metadata
        self.server.store.update(known)


def simulated(scenario: Callable[[Bed], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a scenario in a loop whose time is virtual."""

    def test() -> None:
        loop = SimLoop()
        network = SimNetwork(loop, random.Random(1))

        async def main() -> None:
            server = ApiServer(host="10.0.0.1", port=6443, rng=random.Random(2))
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}}
            server.store.create(namespace)
            with network.on("10.0.0.1"):
                await server.start()
            try:
                with network.on("10.1.0.1"):
                    async with SimNaming(environ={}, rng=random.Random(3)) as naming:
                        await scenario(Bed(server, naming))
            finally:
                await server.stop()

        run(main(), loop=loop)

    test.__name__ = scenario.__name__
    test.__doc__ = scenario.__doc__
    return test


def hosts(published: Publications) -> list[str]:
    last = published.every[-1]
    assert isinstance(last, Members)
    return [one.host for one in last.endpoints]


@simulated
async def test_an_annotation_that_moves_is_followed(bed: Bed) -> None:
    """The key moves from one Service to another: within four minutes the consumer has the new
    one's providers, and at no moment none."""
    service(bed.server, "blue", labels=LABEL, annotations=CLAIM)
    service(bed.server, "green", labels=LABEL)
    slices(bed.server, "10.0.1.1", of="blue")
    slices(bed.server, "10.0.2.1", of="green")
    async with bed.resolving() as published:
        await published.members("10.0.1.1")
        bed.claim("blue", annotations={})
        bed.claim("green", annotations=CLAIM)
        await asyncio.sleep(FOLLOWED)
        assert hosts(published) == ["10.0.2.1"]
        assert str(published.every[-1].steps[0]) == (
            f"naming ({KEY} -> kubernetes:///green.{SHOP} (attribute))"
        )
        assert not [one for one in published.every if isinstance(one, Absent)]
        assert bed.naming.watches().running == {SHOP: ["green"]}


@simulated
async def test_the_label_takes_the_key_from_the_rule(bed: Bed) -> None:
    """A Service that begins to say what it provides wins over the rule's, in a running consumer;
    when it stops, the rule has it again."""
    service(bed.server, RULE)
    service(bed.server, "other", annotations=CLAIM)
    slices(bed.server, "10.0.1.1", of=RULE)
    slices(bed.server, "10.0.2.1", of="other")
    async with bed.resolving() as published:
        await published.members("10.0.1.1")
        bed.claim("other", labels=LABEL)
        await asyncio.sleep(FOLLOWED)
        assert hosts(published) == ["10.0.2.1"]
        bed.claim("other", labels={})
        await asyncio.sleep(FOLLOWED)
        assert hosts(published) == ["10.0.1.1"]


@simulated
async def test_a_new_target_without_providers_waits(bed: Bed) -> None:
    """What has members is not left for what has none, but is as soon as that has some."""
    service(bed.server, "blue", labels=LABEL, annotations=CLAIM)
    service(bed.server, "green", labels=LABEL)
    slices(bed.server, "10.0.1.1", of="blue")
    async with bed.resolving() as published:
        await published.members("10.0.1.1")
        bed.claim("blue", annotations={})
        bed.claim("green", annotations=CLAIM)
        await asyncio.sleep(FOLLOWED)
        assert hosts(published) == ["10.0.1.1"]
        slices(bed.server, "10.0.2.1", of="green")
        await asyncio.sleep(1)
        assert hosts(published) == ["10.0.2.1"]


@simulated
async def test_a_lost_target_is_replaced_sooner(bed: Bed) -> None:
    """Its Service is deleted and another claims the key: half a minute, not four."""
    service(bed.server, "blue", labels=LABEL, annotations=CLAIM)
    slices(bed.server, "10.0.1.1", of="blue")
    slices(bed.server, "10.0.2.1", of="green")
    async with bed.resolving() as published:
        await published.members("10.0.1.1")
        bed.server.store.delete("services", "blue", namespace=SHOP)
        bed.server.store.delete("endpointslices", "blue-one", namespace=SHOP)
        service(bed.server, "green", labels=LABEL, annotations=CLAIM)
        await asyncio.sleep(31)
        assert hosts(published) == ["10.0.2.1"]


@simulated
async def test_a_contradiction_changes_nothing_that_works(bed: Bed) -> None:
    """Two Services claim the key for a while, or none does: the one in use stays in use."""
    service(bed.server, "blue", labels=LABEL, annotations=CLAIM)
    service(bed.server, "green", labels=LABEL, annotations=CLAIM | {"x": "y"})
    bed.claim("green", annotations={})
    slices(bed.server, "10.0.1.1", of="blue")
    slices(bed.server, "10.0.2.1", of="green")
    async with bed.resolving() as published:
        await published.members("10.0.1.1")
        bed.claim("green", annotations=CLAIM)
        await asyncio.sleep(FOLLOWED)
        assert hosts(published) == ["10.0.1.1"]
        bed.claim("green", annotations={})
        bed.claim("blue", annotations={})
        await asyncio.sleep(FOLLOWED)
        assert hosts(published) == ["10.0.1.1"]
        assert bed.naming.watches().running == {SHOP: ["blue"]}


@simulated
async def test_a_server_that_does_not_answer_moves_nobody(bed: Bed) -> None:
    """Where Services may not be asked about any more, the rule's guess replaces nothing."""
    service(bed.server, "blue", labels=LABEL, annotations=CLAIM)
    service(bed.server, RULE)
    slices(bed.server, "10.0.1.1", of="blue")
    slices(bed.server, "10.0.2.1", of=RULE)
    async with bed.resolving() as published:
        await published.members("10.0.1.1")
        bed.server.access.grant("consumer", "me", Rule("*", "endpointslices", SHOP))
        await asyncio.sleep(2 * FOLLOWED)
        assert hosts(published) == ["10.0.1.1"]


@simulated
async def test_following_costs_a_list_in_two_minutes_at_most(bed: Bed) -> None:
    """In an hour of calm: 15 to 30 lists of Services, and with ten keys not ten times as many."""
    service(bed.server, "blue", labels=LABEL, annotations={
        "kubbo.dev/services": " ".join(f"com.example.S{number}" for number in range(10))
    })  # fmt: skip
    slices(bed.server, "10.0.1.1", of="blue")
    for keys, most in ((1, 31), (10, 61)):
        before = bed.server.requests["list", "services"]
        resolvers = [
            MappedResolver(ServiceKey(f"com.example.S{number}"), bed.naming)
            for number in range(keys)
        ]
        tasks = [asyncio.create_task(one.watch(Publications())) for one in resolvers]
        await asyncio.sleep(3600)
        assert 15 <= bed.server.requests["list", "services"] - before <= most
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_a_contradiction_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log names both Services, once and not every few minutes."""

    async def scenario(bed: Bed) -> None:
        service(bed.server, "blue", labels=LABEL, annotations=CLAIM)
        slices(bed.server, "10.0.1.1", of="blue")
        async with bed.resolving() as published:
            await published.members("10.0.1.1")
            service(bed.server, "green", labels=LABEL, annotations=CLAIM)
            await asyncio.sleep(4 * FOLLOWED)

    with caplog.at_level(logging.WARNING, "kubbo.naming"):
        simulated(scenario)()
    [record] = [one for one in caplog.records if one.name == "kubbo.naming"]
    assert "blue and green" in record.getMessage()


@simulated
async def test_a_claim_beyond_a_refused_namespace_is_followed(bed: Bed) -> None:
    """Once the own namespace may not be read, another's claim displaces nothing that was seen in
    it; who starts then takes that claim, and follows it."""
    bed.naming.namespaces = ("web",)
    bed.server.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}})
    for name, namespace in (("own", SHOP), ("far", "web"), ("farther", "web")):
        claims = {} if name == "farther" else CLAIM
        service(bed.server, name, labels=LABEL, annotations=claims, namespace=namespace)
    for host, name, namespace in (
        ("10.0.1.1", "own", SHOP),
        ("10.0.2.1", "far", "web"),
        ("10.0.3.1", "farther", "web"),
    ):
        made = slice_object(host, of=name)
        made["metadata"]["namespace"] = namespace
        bed.server.store.create(made)
    async with bed.resolving() as published:
        await published.members("10.0.1.1")
        bed.server.access.grant(
            "consumer", "me", Rule("*", "endpointslices"), Rule("*", "services", "web")
        )
        await asyncio.sleep(2 * FOLLOWED)
        assert hosts(published) == ["10.0.1.1"]
    async with bed.resolving() as published:
        await published.members("10.0.2.1")
        for name, claims in (("far", {}), ("farther", CLAIM)):
            known = bed.server.store.get("services", name, "web")
            known["metadata"]["annotations"] = claims
            bed.server.store.update(known)
        await asyncio.sleep(FOLLOWED_UNSEEN)
        assert hosts(published) == ["10.0.3.1"]
