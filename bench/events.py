"""From a watch event to the balancer: 1,000 endpoints of one Service, one of them changes.

Three processes on loopback: the embedded API server (`kubbo.sim.apiserver`), a provider that
listens on every address, and this one with a `kubbo.Channel` as users have it, which connects to a
subset of 500. For each event the API server changes the readiness of one endpoint, so its watch
sends the whole slice.

The clock starts when the first bytes of the event are handed to aiohttp, and stops when the
balancer has been bound to the new members, which the next call has done. In between: aiohttp,
msgspec, reflector, join, directory, selection. The time since the change in the server is printed
beside it; it has the server's own JSON in it and the socket. One event at a time: the latency of an
event, not how many there may be. CPU time is of the same stretch: trust it on a shared machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp.client_proto import ResponseHandler

import kubbo
from bench.peers import Greeter, GreetService, User
from bench.rpc import about
from kubbo.cluster.balancers import RandomBalance
from kubbo.observe import Silent
from kubbo.sim.apiserver import ApiServer, Store

if TYPE_CHECKING:
    from kubbo.cluster.member import Picker, Pool
    from kubbo.observe import UpdateReport

ENDPOINTS = 1_000
SLICES = (100, 1_000)  # endpoints in each; the controller makes slices of 100
RESULTS = Path(__file__).parent / "results" / "events.json"
ROWS = {
    "picker_ms": "to the balancer",
    "picker_cpu_ms": "of that CPU",
    "view_ms": "to the published view",
    "from_server_ms": "from the server to the balancer",
}
TARGET = "kubernetes:///greeter.shop:dubbo"


# --- the API server, told what to do line by line
def slice_of(number: int, size: int, port: int, unready: int = -1) -> dict[str, Any]:
    first = number * size
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"greeter-{number:03}",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "greeter"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "dubbo", "port": port, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [f"127.1.{n >> 8}.{n & 255}"],
                "conditions": {"ready": n != unready, "serving": n != unready},
                "nodeName": f"node-{n % 50}",
                "zone": f"zone-{n % 3}",
                "targetRef": {
                    "kind": "Pod",
                    "namespace": "shop",
                    "name": f"greeter-5d4b8c7f9-{n:05}",
                    "uid": f"00000000-0000-4000-8000-{n:012}",
                },
            }
            for n in range(first + 1, first + size + 1)
        ],
    }


async def serve_api(size: int, port: int) -> None:
    store = Store(loopback=True)
    for number in range(ENDPOINTS // size):
        store.create(slice_of(number, size, port))
    loop = asyncio.get_running_loop()
    async with ApiServer(store) as server:
        with tempfile.TemporaryDirectory() as directory:
            print(server.kubeconfig(Path(directory) / "kubeconfig"), flush=True)
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                number, unready = map(int, line.split())
                changed = slice_of(number, size, port, unready)
                begun = time.monotonic()
                store.update(changed)
                print(begun, flush=True)


async def serve_provider() -> None:
    async with kubbo.Server(0, host="0.0.0.0", propagation=0.0) as server:
        server.export(Greeter())
        await server.start()
        print(server.port, flush=True)
        await server.serve_forever()


# --- the consumer
class Clock(Silent):
    """An observer and a balancer that note when the view was published and when it was bound."""

    def __init__(self) -> None:
        self.published = asyncio.Event()
        self.bound = asyncio.Event()
        self.arrived_at = self.published_at = self.bound_at = 0.0
        self.cpu = 0.0
        self._balance = RandomBalance(random.Random())
        self._waiting = False

    def expect(self) -> None:
        self.arrived_at = 0.0
        self.published.clear()
        self.bound.clear()
        self._waiting = False

    def arrived(self) -> None:
        if not self.arrived_at:
            self.arrived_at = time.monotonic()
            self.cpu = time.thread_time()

    def updated(self, update: UpdateReport, /) -> None:
        del update
        self.published_at = time.monotonic()
        self._waiting = True
        self.published.set()

    def bind(self, pool: Pool) -> Picker:
        picker = self._balance.bind(pool)
        if self._waiting:
            self._waiting = False
            self.bound_at = time.monotonic()
            self.cpu = time.thread_time() - self.cpu
            self.bound.set()
        return picker


def listen(clock: Clock) -> None:
    """Have aiohttp tell when bytes come. The channel's own protocol is another one."""
    receive = ResponseHandler.data_received

    def data_received(self: ResponseHandler, data: bytes) -> None:
        clock.arrived()
        receive(self, data)

    ResponseHandler.data_received = data_received  # type: ignore[method-assign]


async def consume(size: int, kubeconfig: str, api: subprocess.Popen[str], count: int) -> Any:
    clock = Clock()
    listen(clock)
    loop = asyncio.get_running_loop()
    naming = kubbo.NamingContext(kubeconfig=kubeconfig, environ={})
    assert api.stdin is not None
    assert api.stdout is not None
    async with kubbo.Channel(naming=naming, balance=clock, observer=clock) as channel:
        greeter = channel.refer(GreetService, TARGET)
        await greeter.greet(User(1, "Ann"))
        await asyncio.sleep(2.0)  # for the other connections

        async def call() -> None:
            """The next call, as soon as there is a view that it can be bound to."""
            await clock.published.wait()
            await greeter.greet(User(1, "Ann"))

        to_view: list[float] = []
        to_picker: list[float] = []
        from_server: list[float] = []
        cpu_of_path: list[float] = []
        rng = random.Random(1)
        cpu = time.process_time()
        for _ in range(count // 2):
            number = rng.randrange(ENDPOINTS // size)
            for unready in (number * size + rng.randint(1, size), -1):
                clock.expect()
                calling = asyncio.create_task(call())
                api.stdin.write(f"{number} {unready}\n")
                api.stdin.flush()
                await clock.bound.wait()
                begun = float(await loop.run_in_executor(None, api.stdout.readline))
                to_view.append(clock.published_at - clock.arrived_at)
                to_picker.append(clock.bound_at - clock.arrived_at)
                from_server.append(clock.bound_at - begun)
                cpu_of_path.append(clock.cpu)
                await calling
        cpu = time.process_time() - cpu
    return {
        "slice_bytes": len(json.dumps(slice_of(0, size, 20880), separators=(",", ":"))),
        "events": len(to_picker),
        "view_ms": percentiles(to_view),
        "picker_ms": percentiles(to_picker),
        "from_server_ms": percentiles(from_server),
        "picker_cpu_ms": percentiles(cpu_of_path),
        "cpu_with_the_call_ms": cpu / len(to_picker) * 1e3,
    }


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: ordered[min(len(ordered) - 1, int(len(ordered) * q))] * 1e3 for name, q in at.items()
    }


def child(*arguments: object) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "bench.events", *map(str, arguments)]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measure(size: int, count: int) -> Any:
    with ExitStack() as stack:

        def start(*arguments: object) -> tuple[subprocess.Popen[str], str]:
            process = stack.enter_context(child(*arguments))
            stack.callback(process.terminate)
            assert process.stdout is not None
            return process, process.stdout.readline().strip()

        _, port = start("provider")
        api, kubeconfig = start("api", size, port)
        return asyncio.run(consume(size, kubeconfig, api, count))


def run(*, quick: bool = False) -> None:
    load_before = os.getloadavg()[0]
    found = {}
    print(f"{ENDPOINTS} endpoints, one changes: ms from its event to the bound balancer")
    for size in SLICES:
        each = found[str(size)] = measure(size, 40 if quick else 600)
        print(f"  {size} a slice ({each['slice_bytes'] / 1024:.0f} KiB), {each['events']} events")
        for name, what in ROWS.items():
            p50, p99, worst = each[name].values()
            print(f"    {what:34}p50 {p50:6.1f}, p99 {p99:6.1f}, worst {worst:6.1f}")
        print(f"    CPU an event, with the call that followed: {each['cpu_with_the_call_ms']:.1f}")
    if not quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({**about(load_before), "slices": found}, indent=1) + "\n")
        print(f"\nwritten to bench/results/{RESULTS.name}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("api", "provider"))
    parser.add_argument("rest", nargs="*", type=int)
    given = parser.parse_args()
    asyncio.run(serve_provider() if given.role == "provider" else serve_api(*given.rest))


if __name__ == "__main__":
    main()
