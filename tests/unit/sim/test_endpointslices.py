"""The controller of EndpointSlices, on a store without HTTP.

What it has in common with the real one is proven by the conformance tests; here are sizes,
families and its own life.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from kubbo.sim.apiserver import ApiError, Object, Store
from kubbo.sim.endpointslices import EndpointSliceController

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def service(**spec: Any) -> Object:
    ports = [{"name": "dubbo", "port": 20880}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "svc"},
        "spec": {"selector": {"app": "x"}, "ports": ports, **spec},
    }


def pod(name: str, *addresses: str, ready: bool = True, **meta: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "x"}, **meta},
        "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "none"}]},
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": address} for address in addresses],
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def addresses(store: Store) -> list[list[str]]:
    """The addresses of each slice, the fullest slice first."""
    slices: list[Any] = list(store.list("endpointslices"))
    found = [[e["addresses"][0] for e in slice_["endpoints"] or ()] for slice_ in slices]
    return sorted(found, key=len, reverse=True)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def controller(store: Store) -> AsyncIterator[EndpointSliceController]:
    async with EndpointSliceController(store, max_endpoints=10) as running:
        yield running


async def test_slices_have_a_size(store: Store, controller: EndpointSliceController) -> None:
    """No slice exceeds its size; together they hold every pod once."""
    store.create(service())
    for number in range(25):
        store.create(pod(f"p{number}", f"10.1.0.{number + 1}"))
    await controller.settled()
    found = addresses(store)
    assert [len(slice_) for slice_ in found] == [10, 10, 5]
    assert sorted(itertools.chain(*found)) == sorted(f"10.1.0.{n + 1}" for n in range(25))


async def test_a_pod_touches_only_its_slice(
    store: Store, controller: EndpointSliceController
) -> None:
    """One pod that is deleted changes one slice, and its place is taken by the next new pod."""
    store.create(service())
    for number in range(25):
        store.create(pod(f"p{number}", f"10.1.0.{number + 1}"))
    await controller.settled()
    before = store.version
    store.delete("pods", "p3", namespace="default", grace_seconds=0)
    await controller.settled()
    changes = [c for c in store.changes(before) if c.resource.plural == "endpointslices"]
    assert [change.type for change in changes] == ["MODIFIED"]
    store.create(pod("new", "10.1.0.99"))
    await controller.settled()
    assert sorted(map(len, addresses(store))) == [5, 10, 10]


async def test_slices_that_run_empty_go(store: Store, controller: EndpointSliceController) -> None:
    """When pods go, empty slices go too; the last one stays, empty, until the Service goes."""
    store.create(service())
    for number in range(25):
        store.create(pod(f"p{number}", f"10.1.0.{number + 1}"))
    await controller.settled()
    for number in range(25):
        store.delete("pods", f"p{number}", namespace="default", grace_seconds=0)
    await controller.settled()
    assert addresses(store) == [[]]
    store.delete("services", "svc", namespace="default")
    await controller.settled()
    assert addresses(store) == []


async def test_families_have_slices_of_their_own(
    store: Store, controller: EndpointSliceController
) -> None:
    """A dual-stack Service has a slice a family, with the address of that family."""
    store.create(service(ipFamilies=["IPv4", "IPv6"]))
    store.create(pod("p", "10.1.0.1", "fd00::1"))
    await controller.settled()
    slices: list[Any] = list(store.list("endpointslices"))
    found = {slice_["addressType"]: slice_["endpoints"][0]["addresses"] for slice_ in slices}
    assert found == {"IPv4": ["10.1.0.1"], "IPv6": ["fd00::1"]}


async def test_headless_and_not_ready_addresses(
    store: Store, controller: EndpointSliceController
) -> None:
    """With publishNotReadyAddresses all endpoints are ready; slices of headless Services say so."""
    store.create(service(clusterIP="None", publishNotReadyAddresses=True))
    store.create(pod("p", "10.1.0.1", ready=False))
    await controller.settled()
    (slice_,) = store.list("endpointslices")
    found: Any = slice_
    assert found["endpoints"][0]["conditions"] == {
        "ready": True,
        "serving": False,
        "terminating": False,
    }
    assert found["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


@pytest.mark.parametrize("spec", [{"selector": {}}, {"type": "ExternalName"}])
async def test_services_without_pods_of_their_own(
    store: Store, controller: EndpointSliceController, spec: Any
) -> None:
    """Without a selector, or as an external name, a Service gets no slices from us."""
    store.create(service(**spec))
    store.create(pod("p", "10.1.0.1"))
    await controller.settled()
    assert store.list("endpointslices") == []


async def test_slices_of_others_are_left_alone(
    store: Store, controller: EndpointSliceController
) -> None:
    """A slice that somebody made by hand for the same Service stays as it is."""
    labels: Object = {"kubernetes.io/service-name": "svc"}
    store.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "by-hand", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.9.9.9"]}],
        }
    )
    store.create(service())
    await controller.settled()
    assert addresses(store) == [["10.9.9.9"], []]


async def test_zones_come_from_nodes(store: Store, controller: EndpointSliceController) -> None:
    """An endpoint has the zone of its node, also when the node is labelled later."""
    store.create(service())
    store.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    store.create(pod("p", "10.1.0.1"))
    await controller.settled()
    (before,) = store.list("endpointslices")
    zone = {"metadata": {"labels": {"topology.kubernetes.io/zone": "z"}}}
    store.patch("nodes", "n", zone)
    await controller.settled()
    (after,) = store.list("endpointslices")
    found: Any = (before, after)
    assert [slice_["endpoints"][0].get("zone") for slice_ in found] == [None, "z"]


async def test_it_mends_what_others_break(
    store: Store, controller: EndpointSliceController
) -> None:
    """A slice of ours that somebody deletes or changes is made right again."""
    store.create(service())
    store.create(pod("p", "10.1.0.1"))
    await controller.settled()
    (slice_,) = store.list("endpointslices")
    found: Any = slice_
    store.patch(
        "endpointslices", found["metadata"]["name"], {"endpoints": None}, namespace="default"
    )
    await controller.settled()
    assert addresses(store) == [["10.1.0.1"]]
    store.delete("endpointslices", found["metadata"]["name"], namespace="default")
    await controller.settled()
    assert addresses(store) == [["10.1.0.1"]]


async def test_it_starts_on_a_store_in_use(store: Store) -> None:
    """What was there before the controller is looked at when it starts, and after a restore."""
    store.create(service())
    store.create(pod("p", "10.1.0.1"))
    backup = store.snapshot()
    async with EndpointSliceController(store) as controller:
        await controller.settled()
        assert addresses(store) == [["10.1.0.1"]]
        store.restore(backup)
        assert addresses(store) == []
        controller.resync()
        await controller.settled()
        assert addresses(store) == [["10.1.0.1"]]
    store.create(pod("q", "10.1.0.2"))
    assert addresses(store) == [["10.1.0.1"]], "nobody works after the end"


async def test_a_refused_slice_is_not_silent(store: Store) -> None:
    """A pod on loopback cannot be published by default: whoever waits for its slice hears it."""
    with pytest.raises(ApiError, match="loopback"):
        await publish_loopback(store, wait=True)


async def test_a_refusal_is_heard_at_the_end(store: Store) -> None:
    """If nobody waits for the slices, the end of the controller raises."""
    with pytest.raises(ApiError, match="loopback"):
        await publish_loopback(store, wait=False)


async def test_loopback_is_published_where_the_store_takes_it() -> None:
    """With the store's option the same pod gets its slice."""
    store = Store(loopback=True)
    await publish_loopback(store, wait=True)
    assert addresses(store) == [["127.0.0.1"]]


async def publish_loopback(store: Store, *, wait: bool) -> None:
    store.create(service())
    store.create(pod("p", "127.0.0.1"))
    async with EndpointSliceController(store) as controller:
        await asyncio.sleep(0)  # its first turn, after its start
        await asyncio.sleep(0)
        if wait:
            await controller.settled()
