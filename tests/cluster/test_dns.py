"""DNS targets against the real CoreDNS, with search domains as a pod has them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.cluster.bed import DOMAIN

from kubbo.naming import Absent, Members, NamingContext, Resolution, open_resolver, parse_target
from kubbo.testing import check_resolver

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from tests.cluster.bed import CoreDNS
    from tests.cluster.namespace import Namespace

WITHIN = 30.0  # seconds until a condition that must come true is given up


def context_in(namespace: Namespace, coredns: CoreDNS, directory: Path) -> NamingContext:
    """What a consumer in a pod of this namespace has: resolv.conf, and no credentials at all."""
    resolv_conf = directory / "resolv.conf"
    resolv_conf.write_text(
        f"search {namespace.name}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}\noptions ndots:5\n"
        f"nameserver {coredns.host}\n"
    )
    return NamingContext(
        environ={}, nameservers=[f"{coredns.host}:{coredns.port}"], resolv_conf=resolv_conf
    )


class Views:
    """What a resolver publishes, to be waited for."""

    def __init__(self) -> None:
        self.every: list[Resolution] = []
        self._changed = asyncio.Event()

    def __call__(self, said: Resolution) -> None:
        self.every.append(said)
        self._changed.set()

    async def until(self, true: Callable[[Resolution], bool]) -> Resolution:
        try:
            async with asyncio.timeout(WITHIN):
                while not (self.every and true(self.every[-1])):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pytest.fail(f"never came true: {self.every}")
        return self.every[-1]

    async def addresses(self, *wanted: str) -> Members:
        said = await self.until(
            lambda said: (
                isinstance(said, Members) and {str(one) for one in said.endpoints} == set(wanted)
            )
        )
        assert isinstance(said, Members)
        return said


@asynccontextmanager
async def watched(target: str, context: NamingContext) -> AsyncGenerator[Views]:
    """Watch a target for a while."""
    views = Views()
    async with context:
        watch = asyncio.create_task(open_resolver(parse_target(target), context).watch(views))
        try:
            yield views
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


async def test_srv_of_a_named_port(namespace: Namespace, coredns: CoreDNS, tmp_path: Path) -> None:
    """`dns:///greeter.NAMESPACE:dubbo` follows the ready pods of a headless Service, with the
    port of the pods: up, not ready, down.
    """
    namespace.service("greeter", port=80, target_port=20880)
    one = namespace.pod("one", "10.244.9.1", app="greeter")
    namespace.wait_ready("greeter", {"10.244.9.1"})
    target = f"dns:///greeter.{namespace.name}:dubbo"
    async with watched(target, context_in(namespace, coredns, tmp_path)) as views:
        await views.addresses("10.244.9.1:20880")
        two = await asyncio.to_thread(namespace.pod, "two", "10.244.9.2", app="greeter")
        await views.addresses("10.244.9.1:20880", "10.244.9.2:20880")
        await asyncio.to_thread(one.set_ready, False)
        await views.addresses("10.244.9.2:20880")
        await asyncio.to_thread(one.set_ready, True)
        await asyncio.to_thread(two.delete)
        await views.addresses("10.244.9.1:20880")


async def test_addresses_for_a_number(
    namespace: Namespace, coredns: CoreDNS, tmp_path: Path
) -> None:
    """A numbered port takes the A records of a headless Service, found by its short name."""
    namespace.service("greeter")
    for number in (1, 2, 3):
        namespace.pod(f"pod-{number}", f"10.244.9.{number}", app="greeter")
    namespace.wait_ready("greeter", {f"10.244.9.{number}" for number in (1, 2, 3)})
    async with watched("dns:///greeter:20880", context_in(namespace, coredns, tmp_path)) as views:
        await views.addresses(*(f"10.244.9.{number}:20880" for number in (1, 2, 3)))


async def test_a_cluster_ip_is_one_endpoint(
    namespace: Namespace, coredns: CoreDNS, tmp_path: Path
) -> None:
    """A Service that is not headless has one address, its own, and its own port."""
    namespace.service("greeter", port=80, target_port=20880, headless=False)
    address = namespace.kubectl("get", "service", "greeter", "-o", "jsonpath={.spec.clusterIP}")
    target = f"dns:///greeter.{namespace.name}.svc.{DOMAIN}.:dubbo"
    async with watched(target, context_in(namespace, coredns, tmp_path)) as views:
        await views.addresses(f"{address}:80")


async def test_a_hundred_pods(namespace: Namespace, coredns: CoreDNS, tmp_path: Path) -> None:
    """An answer that no datagram holds comes by TCP, whole."""
    namespace.service("greeter")
    addresses = [f"10.244.10.{number}" for number in range(1, 101)]
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "greeter-by-hand",
            "labels": {"kubernetes.io/service-name": "greeter"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "dubbo", "port": 20880, "protocol": "TCP"}],
        "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
    }
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace.name}/endpointslices"
    namespace.control_plane.call("POST", path, slice_)
    target = f"dns:///greeter.{namespace.name}:dubbo"
    async with watched(target, context_in(namespace, coredns, tmp_path)) as views:
        await views.addresses(*(f"{each}:20880" for each in addresses))


async def test_no_such_service(namespace: Namespace, coredns: CoreDNS, tmp_path: Path) -> None:
    """The real NXDOMAIN is Absent, with the name that was tried; a Service that is created
    later is found.
    """
    target = f"dns:///greeter.{namespace.name}.svc.{DOMAIN}.:dubbo"
    async with watched(target, context_in(namespace, coredns, tmp_path)) as views:
        said = await views.until(lambda said: isinstance(said, Absent))
        assert isinstance(said, Absent)
        assert f"_dubbo._tcp.greeter.{namespace.name}.svc.{DOMAIN}." in said.reason
        await asyncio.to_thread(namespace.service, "greeter")
        await asyncio.to_thread(namespace.pod, "one", "10.244.9.1", app="greeter")
        await views.addresses("10.244.9.1:20880")


async def test_a_name_server_that_is_away(
    namespace: Namespace, coredns: CoreDNS, tmp_path: Path
) -> None:
    """While CoreDNS is away the last members stay, marked stale; then they are fresh again."""
    namespace.service("greeter")
    namespace.pod("one", "10.244.9.1", app="greeter")
    namespace.wait_ready("greeter", {"10.244.9.1"})
    target = f"dns:///greeter.{namespace.name}:dubbo"
    plane = namespace.control_plane
    async with watched(target, context_in(namespace, coredns, tmp_path)) as views:
        await views.addresses("10.244.9.1:20880")
        plane.kill("coredns")
        await views.until(lambda said: isinstance(said, Members) and said.stale_since is not None)
        await views.addresses("10.244.9.1:20880")
        await asyncio.to_thread(plane.start, "coredns")
        await views.until(lambda said: isinstance(said, Members) and said.stale_since is None)
        await views.addresses("10.244.9.1:20880")


async def test_it_is_a_resolver(namespace: Namespace, coredns: CoreDNS, tmp_path: Path) -> None:
    """It passes the checks that every resolver has to pass, with a real name server."""
    namespace.service("greeter")
    namespace.pod("one", "10.244.9.1", app="greeter")
    namespace.wait_ready("greeter", {"10.244.9.1"})
    target = parse_target(f"dns:///greeter.{namespace.name}:dubbo")
    context = context_in(namespace, coredns, tmp_path)
    await check_resolver(
        lambda: open_resolver(target, context), until=lambda said: isinstance(said, Members)
    )
