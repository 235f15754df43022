"""What a thousand consumer pods cost the API server: requests an hour, in virtual time.

Each consumer is a naming context with the product's own client, on a host of its own of a
simulated network; the API server is the embedded one. An hour of virtual time is counted, after
ten minutes in which everybody has started. Every Service has ten pods and one rolling update in
that hour: forty changes of its slice, one every 1.5 s.

Where a run has fewer than a thousand consumers, its numbers are multiplied: consumers don't know of
each other. The most in a second is never multiplied.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubbo.model import ServiceKey
from kubbo.naming.kubernetes.client import ClusterClient
from kubbo.naming.kubernetes.credentials import Access, FixedToken
from kubbo.naming.mapped import MappedResolver
from kubbo.naming.open import NamingContext, open_resolver
from kubbo.naming.target import KubernetesTarget
from kubbo.sim.apiserver import ApiServer, Rule
from kubbo.sim.apiserver.objects import Object, mapping
from kubbo.sim.loop import SimLoop, run as run_in
from kubbo.sim.net import SimNetwork
from kubbo.sim.net_http import SimConnector

if TYPE_CHECKING:
    from kubbo.naming.resolution import Resolver

RESULTS = Path(__file__).parent / "results" / "api_server.json"
HOST, PORT, NAMESPACE = "10.0.0.1", 6443, "shop"
THOUSAND = 1_000
WARM_UP, HOUR = 600.0, 3600.0
PODS = 10


@dataclass
class Scenario:
    """Consumers that all refer to the Services `service-0` and following."""

    name: str
    references: int = 1
    consumers: int = THOUSAND
    fold_above: int = 8
    mapped: bool = False
    ready: bool = True
    restart: bool = False


SCENARIOS = (
    Scenario("1 target"),
    Scenario("5 targets", references=5, consumers=500),
    Scenario("20 targets, one watch for all", references=20, consumers=200),
    Scenario("20 targets, a watch each", references=20, consumers=100, fold_above=20),
    Scenario("5 service keys, by annotation", references=5, consumers=200, mapped=True),
    Scenario("1 target, no ready pod", consumers=200, ready=False),
    Scenario("1 target, the API server restarts once", restart=True),
)


@dataclass
class Count:
    """Of one scenario: an hour's requests of a thousand consumers, and the most in a second.

    Probes of /readyz are counted apart: the API server exempts them from flow control.
    """

    name: str
    consumers: int
    watches: int
    watch_requests: int = 0
    lists: int = 0
    gets: int = 0
    most_in_a_second: int = 0
    probes: int = 0
    most_probes_in_a_second: int = 0
    cpu: float = 0.0

    @property
    def total(self) -> int:
        return self.watch_requests + self.lists + self.gets


class Naming(NamingContext):
    """A consumer's naming over the simulated network."""

    async def _open_cluster(self) -> ClusterClient:
        access = Access(
            server=f"http://{HOST}:{PORT}",
            namespace=NAMESPACE,
            source="the simulation",
            identity=FixedToken("consumer"),
        )
        return ClusterClient(access, connector=SimConnector)


class Rate:
    """How many, and the most within a second."""

    def __init__(self) -> None:
        self.total = self.most = 0
        self._last: deque[float] = deque()

    def count(self, now: float) -> None:
        self.total += 1
        self._last.append(now)
        while self._last[0] <= now - 1.0:
            self._last.popleft()
        self.most = max(self.most, len(self._last))


class Counted:
    """The requests of a server from now on."""

    def __init__(self, server: ApiServer, loop: SimLoop) -> None:
        self.verbs: Counter[str] = Counter()
        self.requests, self.probes = Rate(), Rate()
        self._loop = loop
        server.observer = self._count

    def _count(self, _client: str, verb: str, resource: str) -> None:
        now = self._loop.time()
        if resource == "/readyz":
            self.probes.count(now)
        else:
            self.verbs[verb] += 1
            self.requests.count(now)


def interface(number: int) -> str:
    return f"com.example.Service{number}"


def service(number: int) -> dict[str, Any]:
    metadata = {
        "name": f"service-{number}",
        "labels": {"kubbo.dev/provider": "true"},
        "annotations": {"kubbo.dev/services": interface(number)},
    }
    spec = {
        "selector": {"app": f"service-{number}"},
        "ports": [{"name": "dubbo", "port": 20880, "protocol": "TCP"}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def slice_of(number: int, addresses: list[int], *, ready: bool) -> dict[str, Any]:
    metadata = {
        "name": f"service-{number}-one",
        "labels": {"kubernetes.io/service-name": f"service-{number}"},
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "ports": [{"name": "dubbo", "port": 20880, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [f"10.{64 + number}.{each // 250}.{each % 250 + 1}"],
                "conditions": {"ready": ready},
            }
            for each in addresses
        ],
    }


async def roll(server: ApiServer, number: int, *, ready: bool) -> None:
    """Replace the pods of a Service one by one: one comes, is ready, one terminates, is gone."""
    pods = list(range(PODS))
    for new in range(PODS, 2 * PODS):
        both, after = [*pods, new], [*pods[1:], new]
        for each in (both, both, both, after):
            await asyncio.sleep(1.5)
            made = slice_of(number, each, ready=ready)
            change: Object = {"change": str(server.store.version)}
            known = server.store.get("endpointslices", made["metadata"]["name"], NAMESPACE)
            known["endpoints"] = made["endpoints"]
            known["metadata"] = {**mapping(known, "metadata"), "annotations": change}
            server.store.update(known)
        pods = after


def resolvers(scenario: Scenario, naming: NamingContext) -> list[Resolver]:
    if scenario.mapped:
        keys = [ServiceKey(interface(number)) for number in range(scenario.references)]
        return [MappedResolver(key, naming) for key in keys]
    targets = [
        KubernetesTarget(f"service-{number}", NAMESPACE, "dubbo")
        for number in range(scenario.references)
    ]
    return [open_resolver(target, naming) for target in targets]


async def simulate(scenario: Scenario, loop: SimLoop, *, hour: float) -> Count:
    rng = random.Random(scenario.name)
    network = SimNetwork(loop, rng)
    server = ApiServer(host=HOST, port=PORT, rng=rng)
    rules = [Rule("*", "endpointslices", NAMESPACE), Rule("*", "services", NAMESPACE)]
    server.access.grant("consumer", "consumer", *rules)
    server.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for number in range(scenario.references):
        server.store.create(service(number), namespace=NAMESPACE)
        made = slice_of(number, list(range(PODS)), ready=scenario.ready)
        server.store.create(made, namespace=NAMESPACE)
    with network.on(HOST):
        await server.start()
    contexts: list[NamingContext] = []
    tasks: list[asyncio.Task[None]] = []
    try:
        for consumer in range(scenario.consumers):
            with network.on(f"10.1.{consumer // 250}.{consumer % 250 + 2}"):
                naming = Naming(
                    environ={},
                    rng=random.Random(f"{scenario.name} {consumer}"),
                    fold_above=scenario.fold_above,
                )
                contexts.append(naming)
                tasks += [
                    asyncio.create_task(one.watch(lambda _: None))
                    for one in resolvers(scenario, naming)
                ]
        await asyncio.sleep(WARM_UP)
        for task in tasks:
            if task.done():
                task.result()
        counted = Counted(server, loop)
        spread = hour / scenario.references
        changes = [
            asyncio.create_task(later(spread * (number + 0.5), server, number, scenario))
            for number in range(scenario.references)
        ]
        if scenario.restart:
            await asyncio.sleep(hour / 4)
            await server.stop(abrupt=True)
            await asyncio.sleep(10.0)
            with network.on(HOST):
                await server.start()
            await asyncio.sleep(hour * 3 / 4 - 10.0)
        else:
            await asyncio.sleep(hour)
        await asyncio.gather(*changes)
        scale = THOUSAND / scenario.consumers
        return Count(
            scenario.name,
            scenario.consumers,
            watches=round(server.open_watches * scale),
            watch_requests=round(counted.verbs["watch"] * scale),
            lists=round(counted.verbs["list"] * scale),
            gets=round(counted.verbs["get"] * scale),
            most_in_a_second=counted.requests.most,
            probes=round(counted.probes.total * scale),
            most_probes_in_a_second=counted.probes.most,
        )
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for context in contexts:
            await context.aclose()
        await server.stop(abrupt=True)


async def later(seconds: float, server: ApiServer, number: int, scenario: Scenario) -> None:
    await asyncio.sleep(seconds)
    await roll(server, number, ready=scenario.ready)


def run(*, quick: bool = False) -> None:
    """Measure all scenarios and print the table; `quick` with a tenth of the consumers."""
    print("requests an hour of 1,000 consumers to the API server (virtual time)")
    head = ("", "watches", "watch/h", "list/h", "get/h", "all/h", "all/s", "most/s", "probes")
    print(f"{head[0]:40}" + "".join(f"{each:>9}" for each in head[1:]))
    found: list[Count] = []
    for scenario in SCENARIOS:
        if quick:
            scenario.consumers //= 10
        began = time.process_time()
        loop = SimLoop()
        count = run_in(simulate(scenario, loop, hour=HOUR), loop=loop)
        count.cpu = round(time.process_time() - began, 1)
        found.append(count)
        numbers = (count.watches, count.watch_requests, count.lists, count.gets, count.total)
        shown = "".join(f"{each:>9,}" for each in numbers)
        shown += f"{count.total / HOUR:>9.1f}{count.most_in_a_second:>9,}{count.probes:>9,}"
        print(f"{count.name:40}{shown}  ({count.consumers} consumers, {count.cpu:.0f} s of CPU)")
    if not quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n")


if __name__ == "__main__":
    run()
