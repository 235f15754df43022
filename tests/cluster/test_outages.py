"""The consumer's view against the real kube-apiserver while that is killed, forgets, forbids or
hangs up, and things change meanwhile.

Slices are written by the test itself, of a Service without a selector, so that the truth is known
and no controller has to be waited for. All addresses in them are those of one living provider:
whatever view a consumer has, no call may fail.

`KUBBO_API_KILLS` is how often the server is killed, 10 by default.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import pytest
from tests.cluster.gate import Gate
from tests.cluster.greeter import PORT, GreeterProcess, GreetService, User
from tests.cluster.namespace import READ_SERVICES, READ_SLICES
from tests.cluster.test_apiserver_conformance import administrator
from tests.cluster.test_dns import Views
from tests.testbed.processes import eventually

import kubbo
from kubbo.naming import Members, Resolution, open_resolver, parse_target

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from tests.cluster.namespace import Identity, Namespace

    from kubbo.naming.kubernetes.reflector import Counters

RIGHT_WITHIN = 5.0  # seconds after readiness
A_BUSY_MACHINE = 10.0  # seconds by which processes that share it may be late; a backoff has 30
KILLS = int(os.environ.get("KUBBO_API_KILLS", "10"))
SLICES = 4
ADDRESSES = 12


@dataclass
class Truth:
    """The slices of one Service, written by hand; knows what the server holds."""

    namespace: Namespace
    session: aiohttp.ClientSession
    hosts: list[str]
    rng: random.Random
    written: int = 0
    refused: int = 0

    @property
    def path(self) -> str:
        return f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace.name}/endpointslices"

    async def prepare(self) -> None:
        self.namespace.apply(
            "{apiVersion: v1, kind: Service, metadata: {name: greeter},"
            f" spec: {{clusterIP: None, ports: [{{name: dubbo, port: {PORT}}}]}}}}"
        )
        for number in range(SLICES):
            await self.change(number)

    async def change(self, number: int) -> None:
        """Write a slice anew, or delete it; slice 0 always has somebody ready."""
        name = f"greeter-{number}"
        if number and self.rng.random() < 0.2:
            await self.delete(number)
            return
        mine = self.hosts[number::SLICES]
        ready = self.rng.sample(mine, self.rng.randint(0 if number else 1, len(mine)))
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "greeter"}},
            "addressType": "IPv4",
            "ports": [{"name": "dubbo", "port": PORT, "protocol": "TCP"}],
            "endpoints": [
                {"addresses": [host], "conditions": {"ready": host in ready}} for host in mine
            ],
        }
        status = await self._send("PUT", f"{self.path}/{name}", body)
        if status == 404:
            status = await self._send("POST", self.path, body)
        assert status < 300, status

    async def delete(self, number: int) -> None:
        assert await self._send("DELETE", f"{self.path}/greeter-{number}") in {200, 404}

    async def _send(self, method: str, path: str, body: Any = None) -> int:
        async with self.session.request(method, path, json=body) as response:
            await response.read()
            return response.status

    async def churn(self) -> None:
        """Change slices without a pause until cancelled; a dead server does not matter."""
        while True:
            try:
                await self.change(self.rng.randrange(SLICES))
                self.written += 1
            except (aiohttp.ClientError, OSError, AssertionError):  # killed, or not ready yet
                self.refused += 1
                await asyncio.sleep(0.02)

    def ready(self) -> set[str]:
        """What the server says now."""
        return {
            f"{at}:{PORT}"
            for at, state in self.namespace.endpoints("greeter").items()
            if state.ready
        }


class Watcher:
    """A watch of the Service, by itself."""

    def __init__(self, namespace: Namespace, kubeconfig: Path) -> None:
        self.target = f"kubernetes:///greeter.{namespace.name}:dubbo"
        self.views = Views()
        self._kubeconfig = kubeconfig

    async def __aenter__(self) -> Self:
        self._context = self.context()
        self._resolver: Any = open_resolver(parse_target(self.target), self._context)
        self._watch = asyncio.create_task(self._resolver.watch(self.views))
        await self.views.until(fresh)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)
        await self._context.aclose()

    def context(self) -> kubbo.NamingContext:
        return kubbo.NamingContext(kubeconfig=self._kubeconfig, environ={})

    @property
    def counters(self) -> Counters:
        counters: Counters = self._resolver.inside.reflector.counters
        return counters

    async def sees(self, truth: Truth) -> Members:
        """Wait until the view is what the server says, fresh."""
        wanted = await asyncio.to_thread(truth.ready)
        said = await self.views.until(lambda said: fresh(said) and addresses(said) == wanted)
        assert isinstance(said, Members)
        return said


class Consumer(Watcher):
    """The same with a channel beside it that calls without a pause."""

    async def __aenter__(self) -> Self:
        self.answers = 0
        self.failures: list[Exception] = []
        await super().__aenter__()
        self._channel = await kubbo.Channel(naming=self.context(), timeout=10.0).__aenter__()
        self._greeter = self._channel.refer(GreetService, self.target)
        self._load = [asyncio.create_task(self._call()) for _ in range(4)]
        await self.answered()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._load:
            task.cancel()
        await asyncio.gather(*self._load, return_exceptions=True)
        await self._channel.aclose()
        await super().__aexit__()

    async def _call(self) -> None:
        while True:
            try:
                await self._greeter.greet(User(1, "Ann"))
                self.answers += 1
            except kubbo.RpcError as error:
                self.failures.append(error)
                await asyncio.sleep(0.05)

    async def answered(self) -> None:
        """Wait for 20 more answers; no call has failed."""
        async with asyncio.timeout(30):
            wanted = self.answers + 20
            while self.answers < wanted and not self.failures:  # noqa: ASYNC110 - of the load
                await asyncio.sleep(0.01)
        assert self.failures == []


def fresh(said: Resolution) -> bool:
    return isinstance(said, Members) and said.stale_since is None


def addresses(said: Resolution) -> set[str]:
    return {str(one) for one in said.endpoints} if isinstance(said, Members) else set()


def through(gate: Gate, namespace: Namespace, reader: Identity, directory: Path) -> Path:
    """A kubeconfig of `reader` that leads through the gate."""
    return namespace.control_plane.write_kubeconfig(
        directory / "gate.kubeconfig",
        {"token": reader.token},
        namespace=namespace.name,
        url=gate.url,
    )


@pytest.fixture
async def truth(namespace: Namespace, provider_address: Callable[[], str]) -> AsyncGenerator[Truth]:
    hosts = [provider_address() for _ in range(ADDRESSES)]
    connector = aiohttp.TCPConnector(ssl=administrator(namespace.control_plane))
    url = namespace.control_plane.url
    async with aiohttp.ClientSession(url, connector=connector) as session:
        truth = Truth(namespace, session, hosts, random.Random(namespace.name.rpartition("-")[0]))
        await truth.prepare()
        yield truth


@pytest.mark.soak
@pytest.mark.timeout(60 + 30 * KILLS)
async def test_kills_and_restarts_under_churn(
    namespace: Namespace, truth: Truth, tried: Callable[[str, int], None]
) -> None:
    """The server dies in the middle of a stream of changes, again and again, and each time both a
    new watcher and one that has met all the crashes see what it says as soon as they should. No
    call ever fails: the providers live.

    They should within 5 s of readiness, on a machine that does nothing else; that is proven on a
    virtual clock (tests/sim/test_discovery_returns.py). How long it took here is printed.
    """
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    plane = namespace.control_plane
    delays: list[float] = []

    async def right(watcher: Watcher, ready: float) -> None:
        await watcher.sees(truth)
        delays.append(time.monotonic() - ready)

    with GreeterProcess("0.0.0.0"):
        async with (
            Consumer(namespace, reader.kubeconfig) as consumer,
            Watcher(namespace, reader.kubeconfig) as veteran,
        ):
            for _ in range(KILLS):
                async with Watcher(namespace, reader.kubeconfig) as recruit:
                    churn = asyncio.create_task(truth.churn())
                    await asyncio.sleep(truth.rng.uniform(0.1, 0.6))
                    await asyncio.to_thread(plane.kill, "kube-apiserver")
                    # Its other clients have no part in this; they are started anew at the end.
                    await asyncio.to_thread(plane.processes.start, "kube-apiserver")
                    ready = time.monotonic()
                    await asyncio.sleep(0.2)  # the churn goes on
                    churn.cancel()
                    await asyncio.gather(churn, return_exceptions=True)
                    await asyncio.gather(right(recruit, ready), right(veteran, ready))
                    assert recruit.counters.failures >= 1, "it never noticed"
                await consumer.answered()
            await consumer.sees(truth)
    await asyncio.to_thread(plane.restart_clients)
    assert truth.written > 20 * KILLS
    delays.sort()
    early = sum(delay < RIGHT_WITHIN for delay in delays)
    told = " ".join(f"{delay:.1f}" for delay in delays)
    print(f"right again after {told} s; {early} of {len(delays)} within 5 s")  # noqa: T201
    assert delays[-1] < RIGHT_WITHIN + A_BUSY_MACHINE, told
    tried("kills of kube-apiserver under churn, each time right again in time", KILLS)
    tried("changes of slices around them", truth.written)
    tried("calls to living providers around them, 0 failed", consumer.answers)


async def test_compaction(namespace: Namespace, truth: Truth, tmp_path: Path) -> None:
    """Cut off while slices change and etcd forgets how they did, a consumer is told 410 when it
    resumes its watch, lists, and is right; deletions too. No call fails.
    """
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    plane = namespace.control_plane
    async with AsyncExitStack() as stack:
        stack.enter_context(GreeterProcess("0.0.0.0"))
        gate = await stack.enter_async_context(Gate(plane.port))
        kubeconfig = through(gate, namespace, reader, tmp_path)
        consumer = await stack.enter_async_context(Consumer(namespace, kubeconfig))
        await consumer.sees(truth)
        gate.shut()

        for number in range(SLICES):
            await truth.change(number)
        await truth.delete(1)
        await asyncio.to_thread(plane.kill, "kube-apiserver")
        # Without its cache the server asks etcd, which has nothing before the compaction.
        no_cache = "--watch-cache-sizes=endpointslices.discovery.k8s.io#0"
        await asyncio.to_thread(plane.processes.start, "kube-apiserver", no_cache)
        await truth.change(0)
        await asyncio.to_thread(plane.compact)
        await consumer.answered()
        assert not fresh(consumer.views.every[-1])
        assert consumer.counters.expired == 0
        gate.open()
        await consumer.sees(truth)
        assert consumer.counters.expired >= 1
        await consumer.answered()
        await truth.change(0)
        await consumer.sees(truth)
    # The next test's server has its cache again.
    await asyncio.to_thread(plane.kill, "kube-apiserver")
    await asyncio.to_thread(plane.start, "kube-apiserver")


async def test_a_role_that_goes_and_returns(
    namespace: Namespace, truth: Truth, tmp_path: Path
) -> None:
    """Without its RoleBinding a consumer keeps its last view, marked stale, and its calls; within
    30 s of the binding's return it follows again, by itself.
    """
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    plane = namespace.control_plane
    binding = json.loads(namespace.kubectl("get", "rolebinding", reader.name, "-o", "json"))
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace.name}/rolebindings"
    del binding["metadata"]["resourceVersion"], binding["metadata"]["uid"]
    async with AsyncExitStack() as stack:
        stack.enter_context(GreeterProcess("0.0.0.0"))
        gate = await stack.enter_async_context(Gate(plane.port))
        kubeconfig = through(gate, namespace, reader, tmp_path)
        consumer = await stack.enter_async_context(Consumer(namespace, kubeconfig))
        before = await consumer.sees(truth)

        def forbidden() -> bool:
            return plane.request("GET", truth.path, token=reader.token).status == 403

        def forbid() -> None:
            plane.call("DELETE", f"{bindings}/{reader.name}")
            eventually(forbidden, "the Role is out of force")

        await asyncio.to_thread(forbid)
        await truth.change(0)
        known = await consumer.sees(truth)  # a running watch outlives its Role
        gate.cut()
        await consumer.views.until(lambda said: not fresh(said))
        async with asyncio.timeout(30):
            while consumer.counters.forbidden < 2:  # noqa: ASYNC110 - a counter has no events
                await asyncio.sleep(0.01)
        await truth.change(0)
        await consumer.answered()
        assert addresses(consumer.views.every[-1]) == addresses(known) != addresses(before)
        await asyncio.to_thread(plane.call, "POST", bindings, binding)
        async with asyncio.timeout(30):
            await consumer.sees(truth)
        await consumer.answered()


async def test_watches_that_end_early(namespace: Namespace, truth: Truth, tmp_path: Path) -> None:
    """A proxy that hangs up, orderly or not, while slices change: the watch is resumed where it
    was, the view follows, and nothing is listed again.
    """
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    async with AsyncExitStack() as stack:
        stack.enter_context(GreeterProcess("0.0.0.0"))
        gate = await stack.enter_async_context(Gate(namespace.control_plane.port))
        kubeconfig = through(gate, namespace, reader, tmp_path)
        consumer = await stack.enter_async_context(Consumer(namespace, kubeconfig))
        for hang_up in (gate.cut, gate.finish, gate.cut, gate.finish):
            watches = consumer.counters.watches
            hang_up()
            for _ in range(5):
                await truth.change(truth.rng.randrange(SLICES))
            await consumer.sees(truth)
            await consumer.answered()
            assert consumer.counters.watches > watches
        counters = consumer.counters
        assert (counters.relists, counters.expired) == (0, 0)


async def test_a_server_that_shuts_down_in_order(namespace: Namespace, truth: Truth) -> None:
    """A rollout of the API server: told to stop, it ends its watches early, by itself; the
    consumer resumes at its successor, and no call fails.
    """
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    plane = namespace.control_plane
    with GreeterProcess("0.0.0.0"):
        async with Consumer(namespace, reader.kubeconfig) as consumer:
            await consumer.sees(truth)
            await asyncio.to_thread(plane.stop, "kube-apiserver")
            await consumer.answered()
            assert consumer.counters.failures >= 1, "nothing ended its watch"
            await asyncio.to_thread(plane.start, "kube-apiserver")
            await truth.change(0)
            await consumer.sees(truth)
            await consumer.answered()
