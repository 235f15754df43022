"""What tests of resolvers have in common: publications, and objects of the API server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from kubbo.naming import Absent, Failed, Members, Resolution

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kubbo.naming.resolution import Resolver
    from kubbo.sim.apiserver import ApiServer

SHOP = "shop"


class Publications:
    """What a resolver published; `until` waits for a resolution that fits."""

    def __init__(self) -> None:
        self.every: list[Resolution] = []
        self._came = asyncio.Event()
        self._seen = 0

    def __call__(self, resolution: Resolution) -> None:
        self.every.append(resolution)
        self._came.set()

    async def until(self, fits: Callable[[Resolution], bool]) -> Resolution:
        async with asyncio.timeout(20):
            while True:
                while self._seen < len(self.every):
                    self._seen += 1
                    if fits(self.every[self._seen - 1]):
                        return self.every[self._seen - 1]
                self._came.clear()
                await self._came.wait()

    async def members(self, *hosts: str) -> Members:
        found = await self.until(
            lambda one: isinstance(one, Members) and {e.host for e in one.endpoints} == {*hosts}
        )
        assert isinstance(found, Members)
        return found

    async def absent(self) -> Absent:
        found = await self.until(lambda one: isinstance(one, Absent))
        assert isinstance(found, Absent)
        return found

    async def failed(self) -> Failed:
        found = await self.until(lambda one: isinstance(one, Failed))
        assert isinstance(found, Failed)
        return found


@asynccontextmanager
async def watching(resolver: Resolver) -> AsyncIterator[Publications]:
    publications = Publications()
    task = asyncio.create_task(resolver.watch(publications))
    try:
        yield publications
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def service(server: ApiServer, name: str = "greeter", **metadata: Any) -> None:
    server.store.create({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": SHOP} | metadata,
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "dubbo", "port": 80, "targetPort": 20880, "protocol": "TCP"}],
        },
    })  # fmt: skip


def slice_object(
    *hosts: str, name: str = "one", unready: tuple[str, ...] = (), of: str = "greeter"
) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{of}-{name}",
            "namespace": SHOP,
            "labels": {"kubernetes.io/service-name": of},
        },
        "addressType": "IPv4",
        "ports": [{"name": "dubbo", "port": 20880, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": [host], "conditions": {"ready": host not in unready}}
            for host in (*hosts, *unready)
        ],
    }


def slices(server: ApiServer, *hosts: str, **options: Any) -> None:
    server.store.create(slice_object(*hosts, **options))
