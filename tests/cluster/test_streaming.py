"""Streaming lists at the real API server: where it offers them, and where they are switched off."""

from __future__ import annotations

import asyncio
import random
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from tests.cluster.namespace import READ_SERVICES, READ_SLICES

from kubbo.naming import Members, Resolution, parse_target
from kubbo.naming.kubernetes.client import ClusterClient
from kubbo.naming.kubernetes.credentials import load_access
from kubbo.naming.kubernetes.resolver import KubernetesResolver
from kubbo.naming.target import KubernetesTarget
from kubbo.sim.apiserver import ApiServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.cluster.namespace import Namespace

    from kubbo.naming.kubernetes.reflector import Counters

HOST = "10.244.77.1"
STREAM = {
    "watch": "1",
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
    "resourceVersion": "0",
}
SWITCHED_OFF = "--feature-gates=WatchList=false"


@asynccontextmanager
async def following(namespace: Namespace) -> AsyncGenerator[Counters]:
    """What a consumer did to get its first members, that of a Service with one pod."""
    namespace.service("greeter")
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    namespace.pod("one", HOST, app="greeter")
    await asyncio.to_thread(namespace.wait_ready, "greeter", {HOST})
    target = parse_target("kubernetes:///greeter:dubbo")
    assert isinstance(target, KubernetesTarget)
    came = asyncio.Event()

    def publish(said: Resolution) -> None:
        if isinstance(said, Members) and said.endpoints[0].host == HOST:
            came.set()

    access = await asyncio.to_thread(load_access, kubeconfig=reader.kubeconfig)
    async with ClusterClient(access) as client:

        async def connect() -> ClusterClient:
            return client

        resolver = KubernetesResolver(
            target, connect, rng=random.Random(1), namespace=namespace.name
        )
        watching = asyncio.create_task(resolver.watch(publish))
        try:
            async with asyncio.timeout(10):
                await came.wait()
            yield resolver.reflector.counters
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def test_the_first_view_comes_by_one_stream(namespace: Namespace) -> None:
    """kube-apiserver offers streaming lists: no list is asked for, and no second watch."""
    async with following(namespace) as counters:
        assert (counters.streams, counters.lists, counters.watches) == (1, 0, 0)
        assert counters.bookmarks == 1  # the mark


async def test_a_server_without_streams_is_listed_at_once(namespace: Namespace) -> None:
    """With its WatchList gate off kube-apiserver refuses, by the same Status as the simulated one;
    a list follows without a wait."""
    with namespace.control_plane.restarted("kube-apiserver", SWITCHED_OFF):
        async with following(namespace) as counters:
            assert (counters.streams, counters.streams_refused) == (1, 1)
            assert (counters.lists, counters.watches, counters.failures) == (1, 1, 0)
        real, simulated = await refusals(namespace)
        assert real == simulated


async def refusals(namespace: Namespace) -> list[object]:
    """What the real server, and the simulated one, say to who asks for a stream."""
    plane = namespace.control_plane
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace.name}/endpointslices"
    certificate = plane.authority.issue("streams", "/O=system:masters/CN=streams")
    tls = ssl.create_default_context(cafile=plane.ca)
    tls.load_cert_chain(certificate.crt, certificate.key)
    said: list[object] = []
    async with (
        ApiServer() as simulated,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session,
    ):
        simulated.streams = "refused"
        for url in (plane.url, simulated.url):
            async with session.get(url + path, params=STREAM) as response:
                body = await response.json()
                said.append((response.status, body["reason"], body["message"], body["details"]))
    return said
