"""The table of docs/failover.md, row by row: the real kube-apiserver and CoreDNS, up or killed,
for a consumer that was running before (warm) and one that starts then (cold).

The calls are real ones, to a real provider; which source they went by is seen in the views.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from tests.cluster.bed import DOMAIN
from tests.cluster.greeter import GreeterProcess, GreetService, User
from tests.cluster.namespace import READ_SERVICES, READ_SLICES
from tests.cluster.test_dns import Views

import kubbo
from kubbo.naming import (
    Absent,
    Failover,
    Members,
    Pending,
    Resolution,
    open_resolver,
    parse_target,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.bed import CoreDNS
    from tests.cluster.namespace import Identity, Namespace

pytestmark = pytest.mark.root

PAGE = Path(__file__).parents[2] / "docs" / "failover.md"
SOON = Failover(grace=2.0, patience=3.0, hold=1.0)  # the page's 30 s and 10 s, for tests
UP_AND_DOWN = [(api, dns) for api in ("up", "down") for dns in ("up", "down")]


@dataclass
class Bed:
    """One provider behind one Service, and what a consumer needs to find it."""

    namespace: Namespace
    coredns: CoreDNS
    reader: Identity
    directory: Path

    @property
    def target(self) -> str:
        service = f"greeter.{self.namespace.name}"
        return f"kubernetes:///{service}:dubbo | dns:///{service}.svc.{DOMAIN}.:dubbo"

    def consumer(self, *, snapshots: bool = False) -> Consumer:
        return Consumer(
            self.target,
            lambda: kubbo.NamingContext(
                kubeconfig=self.reader.kubeconfig,
                environ={},
                nameservers=[f"{self.coredns.host}:{self.coredns.port}"],
                failover=SOON,
                snapshot_directory=self.directory / "snapshots" if snapshots else None,
            ),
        )

    def kill(self, *, api: str, dns: str) -> None:
        if dns == "down":
            self.namespace.control_plane.kill("coredns")
        if api == "down":
            self.namespace.control_plane.kill("kube-apiserver")


class Consumer:
    """A channel that calls without a pause and a watch of the same target beside it."""

    def __init__(self, target: str, context: Callable[[], kubbo.NamingContext]) -> None:
        self.target = target
        self.views = Views()
        self.answers = 0
        self.failures: list[Exception] = []
        self._context = context

    async def __aenter__(self) -> Self:
        self._naming = self._context()
        self._watching = self._context()
        resolver = open_resolver(parse_target(self.target), self._watching)
        self._watch = asyncio.create_task(resolver.watch(self.views))
        self._channel = await kubbo.Channel(naming=self._naming, timeout=10.0).__aenter__()
        self.greeter = self._channel.refer(GreetService, self.target)
        self._load = asyncio.create_task(self._call())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._load.cancel()
        self._watch.cancel()
        await asyncio.gather(self._load, self._watch, return_exceptions=True)
        await self._channel.aclose()
        await self._watching.aclose()

    async def _call(self) -> None:
        while True:
            try:
                await self.greeter.greet(User(1, "Ann"))
                self.answers += 1
            except kubbo.RpcError as error:
                self.failures.append(error)
                await asyncio.sleep(0.05)

    async def healed(self) -> None:
        """Wait for the first answer, and forget what failed before it."""
        async with asyncio.timeout(60):
            while not self.answers:  # noqa: ASYNC110 - of the load
                await asyncio.sleep(0.01)
        self.failures.clear()

    async def answered(self) -> None:
        """Wait for 20 more answers; no call has failed."""
        async with asyncio.timeout(30):
            wanted = self.answers + 20
            while self.answers < wanted and not self.failures:  # noqa: ASYNC110 - of the load
                await asyncio.sleep(0.01)
        assert self.failures == []


def by_api(said: Resolution) -> bool:
    """Members from the API server, fresh."""
    return isinstance(said, Members) and said.stale_since is None and not by_dns(said)


def by_api_before(said: Resolution) -> bool:
    """The last members from the API server, marked stale."""
    return isinstance(said, Members) and said.stale_since is not None and not by_dns(said)


def by_dns(said: Resolution) -> bool:
    """Members from DNS, and why not from the API server."""
    return isinstance(said, Members) and bool(
        re.fullmatch(r"dns:///\S+, because kubernetes:///\S+ cannot answer.*", said.steps[0].note)
    )


@pytest.fixture
def bed(
    namespace: Namespace,
    coredns: CoreDNS,
    provider_address: Callable[[], str],
    tmp_path: Path,
) -> Iterator[Bed]:
    namespace.service("greeter")
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    host = provider_address()
    with ExitStack() as providers:
        providers.enter_context(GreeterProcess(host))
        namespace.pod("one", host, app="greeter")
        namespace.wait_ready("greeter", {host})
        yield Bed(namespace, coredns, reader, tmp_path)


def test_the_rows_of_the_page() -> None:
    """The page has the eight rows that are tested here, and no other."""
    rows = re.findall(
        r"^\| (up|down) \| (up|down) \| (warm|cold) \|", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert sorted(rows) == sorted(
        (api, dns, start) for api, dns in UP_AND_DOWN for start in ("warm", "cold")
    )


@pytest.mark.parametrize(("api", "dns"), UP_AND_DOWN)
async def test_warm(bed: Bed, api: str, dns: str) -> None:
    """A running consumer loses no call, whatever is killed: the last view at first; by DNS after
    the grace, where it lives; by the API server again when that is back.
    """
    async with bed.consumer() as consumer:
        await consumer.views.until(by_api)
        await consumer.answered()
        await asyncio.to_thread(bed.kill, api=api, dns=dns)
        if api == "up":
            await consumer.answered()
            assert by_api(consumer.views.every[-1])
            return
        await consumer.views.until(by_api_before)
        await consumer.answered()
        if dns == "up":
            await consumer.views.until(by_dns)
            await consumer.answered()
        else:
            await asyncio.sleep(2 * SOON.grace)  # over the end of the grace: nothing better comes
            await consumer.answered()
            assert by_api_before(consumer.views.every[-1])
        await asyncio.to_thread(bed.namespace.control_plane.start, "kube-apiserver")
        await consumer.views.until(by_api)
        await consumer.answered()
        switches = [by_dns(said) for said in consumer.views.every if isinstance(said, Members)]
        changes = sum(one != two for one, two in itertools.pairwise(switches))
        assert changes == (2 if dns == "up" else 0), "there and back, once"


@pytest.mark.parametrize(("api", "dns"), UP_AND_DOWN)
async def test_cold(bed: Bed, api: str, dns: str) -> None:
    """A consumer that starts then uses what lives; with neither it says why, and heals."""
    await asyncio.to_thread(bed.kill, api=api, dns=dns)
    async with bed.consumer() as consumer:
        if api == "up":
            await consumer.views.until(by_api)
            await consumer.answered()
        elif dns == "up":
            await consumer.views.until(by_dns)
            await consumer.answered()
        else:
            with pytest.raises(kubbo.NoProvider, match="none of 2 sources can answer") as raised:
                await consumer.greeter.greet(User(1, "Ann"))
            assert "the API server gives no answer" in str(raised.value)
            assert "DNS gives no answer" in str(raised.value)
            await asyncio.to_thread(bed.namespace.control_plane.start, "kube-apiserver")
            await consumer.views.until(by_api)
            await consumer.healed()  # the channel's own view may be a moment behind that one
            await consumer.answered()


async def test_cold_with_a_snapshot(bed: Bed) -> None:
    """Nothing answers, but a consumer ran here before: calls go by its last view, marked with
    its age, until the API server is back.
    """
    async with bed.consumer(snapshots=True) as before:
        await before.views.until(by_api)
        await before.answered()
        snapshots = bed.directory / "snapshots"
        async with asyncio.timeout(30):
            while not list(snapshots.glob("*.snapshot")):  # noqa: ASYNC110 - files have no events
                await asyncio.sleep(0.05)
    await asyncio.to_thread(bed.kill, api="down", dns="down")
    async with bed.consumer(snapshots=True) as consumer:
        said = await consumer.views.until(lambda said: isinstance(said, Members))
        assert isinstance(said, Members)
        assert said.stale_since is not None
        assert "snapshot" in said.steps[0].note
        await consumer.answered()
        await asyncio.to_thread(bed.namespace.control_plane.start, "kube-apiserver")
        await consumer.views.until(by_api)
        await consumer.answered()


async def test_an_empty_service_over_an_outage(bed: Bed) -> None:
    """An absence that was believed goes on being believed while the API server restarts: the
    address that is listed next is never published.
    """
    bed.namespace.service("nobody")
    views = Views()
    target = parse_target(f"kubernetes:///nobody.{bed.namespace.name}:dubbo | static:///10.9.9.9:1")
    context = kubbo.NamingContext(
        kubeconfig=bed.reader.kubeconfig, environ={}, failover=Failover(grace=300.0)
    )
    async with context:
        watch = asyncio.create_task(open_resolver(target, context).watch(views))
        try:
            said = await views.until(lambda said: isinstance(said, Absent))
            await asyncio.to_thread(bed.kill, api="down", dns="up")
            await views.until(lambda said: isinstance(said, Absent) and "kept" in said.reason)
            await asyncio.to_thread(bed.namespace.control_plane.start, "kube-apiserver")
            await views.until(lambda now: isinstance(now, Absent) and now == said)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
    assert {type(one) for one in views.every} <= {Pending, Absent}
