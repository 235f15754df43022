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
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.gate import Gate
from tests.cluster.greeter import PORT, GreeterProcess, GreetService, User
from tests.cluster.namespace import READ_SERVICES, READ_SLICES
from tests.cluster.test_dns import Views
from tests.testbed.processes import eventually

import kubbo
from kubbo.naming import Members, Resolution, open_resolver, parse_target

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from tests.cluster.namespace import Identity, Namespace

    from kubbo.naming.kubernetes.reflector import Counters

KILLS = int(os.environ.get("KUBBO_API_KILLS", "10"))
SLICES = 4
ADDRESSES = 12


@dataclass
class Truth:
    """The slices of one Service, written by hand; knows what the server holds."""

    namespace: Namespace
    hosts: list[str]
    rng: random.Random
    written: int = 0
    refused: int = 0

    @property
    def path(self) -> str:
        return f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace.name}/endpointslices"

    def prepare(self) -> None:
        self.namespace.apply(
            "{apiVersion: v1, kind: Service, metadata: {name: greeter},"
            f" spec: {{clusterIP: None, ports: [{{name: dubbo, port: {PORT}}}]}}}}"
        )
        for number in range(SLICES):
            self.change(number)

    def change(self, number: int) -> None:
        """Write a slice anew, or delete it; slice 0 always has somebody ready."""
        name = f"greeter-{number}"
        plane = self.namespace.control_plane
        if number and self.rng.random() < 0.2:
            plane.request("DELETE", f"{self.path}/{name}")
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
        if plane.request("PUT", f"{self.path}/{name}", body).status == 404:
            plane.call("POST", self.path, body)

    def churn(self, stop: Callable[[], bool]) -> None:
        """Change slices without a pause until told to stop; a dead server does not matter."""
        while not stop():
            try:
                self.change(self.rng.randrange(SLICES))
                self.written += 1
            except Exception:  # noqa: BLE001 - killed in the middle of it, or not ready yet
                self.refused += 1
                time.sleep(0.02)

    def ready(self) -> set[str]:
        """What the server says now."""
        return {
            f"{at}:{PORT}"
            for at, state in self.namespace.endpoints("greeter").items()
            if state.ready
        }


@dataclass
class Consumer:
    """A channel that calls without a pause, and a watch of the same target beside it."""

    views: Views
    counters: Callable[[], Counters]
    greeter: Any
    answers: int = 0
    failures: list[Exception] = field(default_factory=list)

    async def call(self) -> None:
        while True:
            try:
                await self.greeter.greet(User(1, "Ann"))
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

    async def sees(self, truth: Truth) -> Members:
        """Wait until the view is what the server says, fresh."""
        wanted = await asyncio.to_thread(truth.ready)

        def true(said: Resolution) -> bool:
            return fresh(said) and addresses(said) == wanted

        said = await self.views.until(true)
        assert isinstance(said, Members)
        return said


def fresh(said: Resolution) -> bool:
    return isinstance(said, Members) and said.stale_since is None


def addresses(said: Resolution) -> set[str]:
    return {str(one) for one in said.endpoints} if isinstance(said, Members) else set()


@asynccontextmanager
async def consuming(namespace: Namespace, kubeconfig: Path) -> AsyncGenerator[Consumer]:
    target = f"kubernetes:///greeter.{namespace.name}:dubbo"
    async with AsyncExitStack() as stack:
        context = await stack.enter_async_context(
            kubbo.NamingContext(kubeconfig=kubeconfig, environ={})
        )
        naming = kubbo.NamingContext(kubeconfig=kubeconfig, environ={})
        channel = await stack.enter_async_context(kubbo.Channel(naming=naming, timeout=10.0))
        resolver: Any = open_resolver(parse_target(target), context)
        views = Views()
        consumer = Consumer(
            views, lambda: resolver.reflector.counters, channel.refer(GreetService, target)
        )
        tasks = [
            asyncio.create_task(resolver.watch(views)),
            *(asyncio.create_task(consumer.call()) for _ in range(4)),
        ]
        try:
            await views.until(fresh)
            await consumer.answered()
            yield consumer
            assert consumer.failures == []
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def through(gate: Gate, namespace: Namespace, reader: Identity, directory: Path) -> Path:
    """A kubeconfig of `reader` that leads through the gate."""
    return namespace.control_plane.write_kubeconfig(
        directory / "gate.kubeconfig",
        {"token": reader.token},
        namespace=namespace.name,
        url=gate.url,
    )


@pytest.fixture
def truth(namespace: Namespace, provider_address: Callable[[], str]) -> Truth:
    hosts = [provider_address() for _ in range(ADDRESSES)]
    truth = Truth(namespace, hosts, random.Random(namespace.name.partition("-")[0]))
    truth.prepare()
    return truth


@pytest.mark.soak
@pytest.mark.timeout(60 + 30 * KILLS)
async def test_kills_and_restarts_under_churn(
    namespace: Namespace, truth: Truth, tried: Callable[[str, int], None]
) -> None:
    """The server dies in the middle of a stream of changes, again and again. After its
    readiness the view is what it says, and no call ever fails: the providers live.
    """
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    plane = namespace.control_plane
    delays: list[float] = []
    with GreeterProcess("0.0.0.0"):
        async with consuming(namespace, reader.kubeconfig) as consumer:
            for _ in range(KILLS):
                stopping = asyncio.Event()
                churn = asyncio.create_task(asyncio.to_thread(truth.churn, stopping.is_set))
                await asyncio.sleep(truth.rng.uniform(0.1, 0.6))
                await asyncio.to_thread(plane.kill, "kube-apiserver")
                # Its other clients have no part in this; they are started anew at the end.
                await asyncio.to_thread(plane.processes.start, "kube-apiserver")
                ready = time.monotonic()
                await asyncio.sleep(0.2)  # the churn goes on
                stopping.set()
                await churn
                await consumer.sees(truth)
                delays.append(time.monotonic() - ready)
                await consumer.answered()
            broken = consumer.counters().failures
    await asyncio.to_thread(plane.restart_clients)
    assert broken >= KILLS, "it never noticed"
    assert truth.written > 20 * KILLS
    told = " ".join(f"{delay:.1f}" for delay in sorted(delays))
    print(f"right again after {told} s")  # noqa: T201 - shown by `make soak`
    tried("kills of kube-apiserver under churn, each time right again", KILLS)
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
        consumer = await stack.enter_async_context(consuming(namespace, kubeconfig))
        await consumer.sees(truth)
        gate.shut()

        def forget() -> None:
            for number in range(SLICES):
                truth.change(number)
            plane.request("DELETE", f"{truth.path}/greeter-1")
            plane.kill("kube-apiserver")
            # Without its cache the server asks etcd, which has nothing before the compaction.
            plane.processes.start(
                "kube-apiserver", "--watch-cache-sizes=endpointslices.discovery.k8s.io#0"
            )
            truth.change(0)
            plane.compact()

        await asyncio.to_thread(forget)
        await consumer.answered()
        assert not fresh(consumer.views.every[-1])
        assert consumer.counters().expired == 0
        gate.open()
        await consumer.sees(truth)
        assert consumer.counters().expired >= 1
        await consumer.answered()
        await asyncio.to_thread(truth.change, 0)
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
        consumer = await stack.enter_async_context(consuming(namespace, kubeconfig))
        before = await consumer.sees(truth)

        def forbidden() -> bool:
            return plane.request("GET", truth.path, token=reader.token).status == 403

        def forbid() -> None:
            plane.call("DELETE", f"{bindings}/{reader.name}")
            eventually(forbidden, "the Role is out of force")

        await asyncio.to_thread(forbid)
        await asyncio.to_thread(truth.change, 0)
        known = await consumer.sees(truth)  # a running watch outlives its Role
        gate.cut()
        await consumer.views.until(lambda said: not fresh(said))
        async with asyncio.timeout(30):
            while consumer.counters().forbidden < 2:  # noqa: ASYNC110 - a counter has no events
                await asyncio.sleep(0.01)
        await asyncio.to_thread(truth.change, 0)
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
        consumer = await stack.enter_async_context(consuming(namespace, kubeconfig))
        for hang_up in (gate.cut, gate.finish, gate.cut, gate.finish):
            watches = consumer.counters().watches
            hang_up()
            for _ in range(5):
                await asyncio.to_thread(truth.change, truth.rng.randrange(SLICES))
            await consumer.sees(truth)
            await consumer.answered()
            assert consumer.counters().watches > watches
        counters = consumer.counters()
        assert (counters.relists, counters.expired) == (0, 0)


async def test_a_server_that_shuts_down_in_order(namespace: Namespace, truth: Truth) -> None:
    """A rollout of the API server: told to stop, it ends its watches early, by itself; the
    consumer resumes at its successor, and no call fails.
    """
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    plane = namespace.control_plane
    with GreeterProcess("0.0.0.0"):
        async with consuming(namespace, reader.kubeconfig) as consumer:
            await consumer.sees(truth)
            await asyncio.to_thread(plane.stop, "kube-apiserver")
            await consumer.answered()
            assert consumer.counters().failures >= 1, "nothing ended its watch"
            await asyncio.to_thread(plane.start, "kube-apiserver")
            await asyncio.to_thread(truth.change, 0)
            await consumer.sees(truth)
            await consumer.answered()
