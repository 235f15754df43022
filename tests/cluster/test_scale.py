"""Many Services on the real kube-apiserver: one consumer that refers to all of them.

`KUBBO_SCALE_SERVICES` is how many there are, of ten endpoints each: 100 by default, 2,000 for the
numbers of docs/api-server.md. `KUBBO_SCALE_WATCHES` (the same, at most 200) is how many of them the
other consumer has, which watches each by itself, for the comparison. No number is asserted: the
machine decides them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.cluster.namespace import READ_SERVICES, READ_SLICES
from tests.cluster.test_apiserver_conformance import administrator

from kubbo.naming.kubernetes.sharing import FOLD_ABOVE

if TYPE_CHECKING:
    from tests.cluster.namespace import Namespace

ROOT = Path(__file__).parents[2]
SERVICES = int(os.environ.get("KUBBO_SCALE_SERVICES", "100"))
WATCHES = int(os.environ.get("KUBBO_SCALE_WATCHES", str(min(SERVICES, 200))))
ENDPOINTS = 10
REST = 2.0 if SERVICES <= 100 else 60.0  # seconds over which the CPU at rest is taken
WRITERS = 16


async def fill(namespace: Namespace) -> None:
    """Write the Services, without selectors, and their slices."""
    connector = aiohttp.TCPConnector(ssl=administrator(namespace.control_plane), limit=WRITERS)
    url = namespace.control_plane.url
    services = f"/api/v1/namespaces/{namespace.name}/services"
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace.name}/endpointslices"
    turns = asyncio.Semaphore(WRITERS)

    async def create(path: str, body: dict[str, Any]) -> None:
        async with turns, session.post(path, json=body) as response:
            assert response.status == 201, await response.text()

    async def write(number: int) -> None:
        name = f"service-{number}"
        port = {"name": "dubbo", "port": 20880, "protocol": "TCP"}
        await create(
            services, {"metadata": {"name": name}, "spec": {"clusterIP": "None", "ports": [port]}}
        )
        endpoints = [
            {
                "addresses": [f"10.{100 + number // 200}.{number % 200}.{each + 1}"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": f"node-{each}",
                "zone": f"zone-{each % 3}",
                "targetRef": {"kind": "Pod", "name": f"{name}-{each}", "uid": f"{number}-{each}"},
            }
            for each in range(ENDPOINTS)
        ]
        metadata = {"name": f"{name}-one", "labels": {"kubernetes.io/service-name": name}}
        await create(
            slices,
            {
                "metadata": metadata,
                "addressType": "IPv4",
                "ports": [port],
                "endpoints": endpoints,
            },
        )

    async with aiohttp.ClientSession(url, connector=connector) as session:
        await asyncio.gather(*(write(number) for number in range(SERVICES)))


async def measure(
    namespace: Namespace, kubeconfig: Path, services: int, fold_above: int
) -> list[dict[str, Any]]:
    """What a consumer of so many Services says of itself: at the first view, and at rest."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.cluster.scale", str(kubeconfig), namespace.name),
        *(str(services), str(fold_above), str(REST)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_consumer_of_every_service(namespace: Namespace) -> None:
    """It sees all endpoints of all Services by one watch, under the Role that `kubbo rbac` prints,
    and by a watch each where that is wanted; what both cost is printed."""
    await fill(namespace)
    reader = await asyncio.to_thread(namespace.identity, "consumer", READ_SLICES, READ_SERVICES)
    for services, fold_above in ((SERVICES, FOLD_ABOVE), (WATCHES, WATCHES)):
        seen, rest = await measure(namespace, reader.kubeconfig, services, fold_above)
        assert seen["endpoints"] == rest["endpoints"] == services * ENDPOINTS
        assert rest["watches"] == (1 if services > fold_above else services)
        print(  # noqa: T201 - shown by `make soak`
            f"{services} Services, {seen['endpoints']} endpoints, {rest['watches']} watches: "
            f"first view after {seen['first']:.2f} s, all after {seen['all']:.2f} s "
            f"({seen['cpu']:.2f} s of CPU), {seen['resident'] / 2**20:.1f} MiB then, "
            f"{rest['resident'] / 2**20:.1f} MiB and {rest['cpu_per_second'] * 1000:.1f} ms of CPU "
            "a second at rest"
        )
