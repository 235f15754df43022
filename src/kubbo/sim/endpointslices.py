"""The controller that turns Pods and Services into EndpointSlices.

For each Service with a selector, its pods are grouped by address family and by the ports they
resolve to: a named target port may be another number in the pods of another version. Each
group fills slices of at most 100 endpoints. As in a cluster, an endpoint stays in the slice it
is in, so that one pod's change touches one slice; slices that run empty are used again before
new ones are made; and a Service without endpoints keeps one empty slice.

An endpoint is ready when its pod's Ready condition is true and the pod is not being deleted;
`serving` is the condition alone. A pod without an address, or one that has run to its end, is
no endpoint.

Source: the rules of the endpointslice controller of Kubernetes, checked against it by the
conformance tests.
"""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import msgspec

from kubbo.sim.apiserver.objects import (
    Json,
    Object,
    at,
    clone,
    key_of,
    mapping,
    objects,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from kubbo.sim.apiserver.store import Change, Store

__all__ = ["EndpointSliceController"]

MANAGED_BY: Final = "endpointslice-controller.k8s.io"
_MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
_SERVICE_LABEL: Final = "kubernetes.io/service-name"
_HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
_ZONE_LABEL: Final = "topology.kubernetes.io/zone"

_Key: TypeAlias = tuple[str, str]
_Endpoints: TypeAlias = dict[str, Object]  # by the uid of the pod


class EndpointSliceController:
    """Keeps the slices of a store right; runs from `async with` to its end.

        async with ApiServer() as server, EndpointSliceController(server.store) as controller:
            server.store.create(service)
            server.store.create(pod)
            await controller.settled()

    `delay` are seconds that it waits after a change, to take several at once; `max_endpoints`
    is the size of a slice.
    """

    def __init__(self, store: Store, *, delay: float = 0.0, max_endpoints: int = 100) -> None:
        self._store = store
        self._delay = delay
        self._max_endpoints = max_endpoints
        self._dirty: dict[_Key, None] = {}  # in their order: runs shall be repeatable
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Self:
        self._unsubscribe = self._store.subscribe(self._take)
        self._task = asyncio.create_task(self._run(), name="endpointslice-controller")
        self.resync()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._unsubscribe()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
            if error is None and not task.cancelled():
                task.result()

    def resync(self) -> None:
        """Look at every Service again, as after the store was restored from a backup."""
        self._mark(key_of(service) for service in self._store.list("services"))
        self._mark(_owner(slice_) for slice_ in self._store.list("endpointslices"))

    async def settled(self) -> None:
        """Wait until every change up to now is in the slices.

        Raises:
            ApiError: the store refused a slice, for instance for its loopback addresses;
                the controller has ended.
        """
        task = self._task
        assert task is not None, "settled is for inside the async with"
        idle = asyncio.create_task(self._idle.wait())
        try:
            await asyncio.wait((idle, task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            idle.cancel()
            await asyncio.wait((idle,))
        if task.done():
            task.result()

    # --- what to look at

    def _take(self, change: Change) -> None:
        match change.resource.plural:
            case "services":
                self._mark((key_of(change.object),))
            case "pods":
                states = (change.object, change.before or {})
                self._mark(
                    key_of(service)
                    for service in self._store.list("services", key_of(change.object)[0])
                    if any(_selects(service, state) for state in states)
                )
            case "endpointslices":
                self._mark((_owner(change.object),))
            case "nodes":
                self.resync()  # its zone is in the endpoints of its pods
            case _:
                pass

    def _mark(self, keys: Iterable[_Key]) -> None:
        self._dirty.update((key, None) for key in keys if key[1])
        if self._dirty:
            self._idle.clear()
            self._wake.set()
        elif not self._wake.is_set():
            self._idle.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._delay)
            self._wake.clear()
            while self._dirty:
                self._reconcile(self._dirty.popitem()[0])
            self._wake.clear()
            self._idle.set()

    # --- making them

    def _reconcile(self, key: _Key) -> None:
        namespace = key[0]
        existing = [
            slice_
            for slice_ in self._store.list("endpointslices", namespace)
            if _owner(slice_) == key
        ]
        service = next(
            (found for found in self._store.list("services", namespace) if key_of(found) == key),
            None,
        )
        if service is None or not _selector(service):
            if service is None:
                self._delete(existing)
            return
        wanted = self._wanted(service)
        changed: list[Object] = []
        fresh: list[Object] = []
        spare = list(existing)
        for (family, ports), endpoints in wanted.items():
            blank: Object = {"addressType": family, "ports": msgspec.json.decode(ports)}
            mine = [
                slice_
                for slice_ in spare
                if (text(slice_, "addressType"), _ports_key(slice_.get("ports"))) == (family, ports)
            ]
            spare = [slice_ for slice_ in spare if slice_ not in mine]
            changed += self._fill(mine, endpoints, blank, fresh, spare)
        # What is needed and what is left over meet in one write, as in a cluster.
        for new in fresh:
            again = next((s for s in spare if s["addressType"] == new["addressType"]), None)
            if again is None:
                self._store.create(self._dressed(new, service))
            else:
                spare.remove(again)
                changed.append({**clone(again), **new})
        if not wanted and spare:
            keep = clone(spare.pop(0))
            changed.append({**keep, "endpoints": None, "ports": None})
        elif not wanted:
            self._store.create(self._dressed({"addressType": _families(service)[0]}, service))
        for slice_ in changed:
            self._store.update(self._dressed(slice_, service))
        self._delete(spare)

    def _fill(
        self,
        mine: list[Object],
        endpoints: _Endpoints,
        blank: Object,
        fresh: list[Object],
        spare: list[Object],
    ) -> list[Object]:
        """Put endpoints into the slices of their group; returns the slices as they shall be.

        What has no room goes to `fresh`; slices that ran empty go to `spare`.
        """
        rest = dict(endpoints)
        kept: list[tuple[Object, list[Object]]] = []
        for slice_ in mine:
            staying: list[Object] = []
            for endpoint in objects(slice_, "endpoints"):
                uid = text(endpoint, "targetRef", "uid")
                if uid in rest and len(staying) < self._max_endpoints:
                    staying.append(rest.pop(uid))
            kept.append((slice_, staying))
        waiting = list(rest.values())
        shall: list[Object] = []
        # The fullest take first, so that the emptiest may run empty.
        for slice_, staying in sorted(kept, key=lambda pair: -len(pair[1])):
            room = self._max_endpoints - len(staying)
            staying.extend(waiting[:room])
            waiting = waiting[room:]
            if staying:
                shall.append({**clone(slice_), "endpoints": list[Json](staying)})
            else:
                spare.append(slice_)
        while waiting:
            batch = list[Json](waiting[: self._max_endpoints])
            fresh.append({**blank, "endpoints": batch})
            waiting = waiting[self._max_endpoints :]
        return shall

    def _wanted(self, service: Object) -> dict[tuple[str, bytes], _Endpoints]:
        groups: dict[tuple[str, bytes], _Endpoints] = {}
        zones = {
            key_of(node)[1]: text(node, "metadata", "labels", _ZONE_LABEL)
            for node in self._store.list("nodes")
        }
        for pod in self._store.list("pods", key_of(service)[0]):
            if not _selects(service, pod):
                continue
            if text(pod, "status", "phase") in ("Succeeded", "Failed"):
                continue
            ports = _ports_key(_ports(service, pod))
            for family in _families(service):
                if addresses := _addresses(pod, family):
                    endpoint = _endpoint(service, pod, addresses, zones)
                    group = groups.setdefault((family, ports), {})
                    group[text(pod, "metadata", "uid")] = endpoint
        return groups

    def _dressed(self, slice_: Object, service: Object) -> Object:
        """Give a slice the labels and the owner that the Service asks for."""
        namespace, name = key_of(service)
        old = mapping(slice_, "metadata")
        labels: Object = {
            **mapping(service, "metadata", "labels"),
            _SERVICE_LABEL: name,
            _MANAGED_BY_LABEL: MANAGED_BY,
        }
        if mapping(service, "spec").get("clusterIP") == "None":
            labels[_HEADLESS_LABEL] = ""
        owner: Object = {
            "apiVersion": "v1",
            "kind": "Service",
            "name": name,
            "uid": text(service, "metadata", "uid"),
            "controller": True,
            "blockOwnerDeletion": True,
        }
        meta: Object = {
            "generateName": f"{name}-",
            **old,
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner],
        }
        return {
            **slice_,
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": meta,
        }

    def _delete(self, slices: list[Object]) -> None:
        for slice_ in slices:
            namespace, name = key_of(slice_)
            self._store.delete("endpointslices", name, namespace=namespace)


def _owner(slice_: Object) -> _Key:
    """The Service of a slice of ours; no name for a slice that somebody else manages."""
    labels = mapping(slice_, "metadata", "labels")
    if labels.get(_MANAGED_BY_LABEL) != MANAGED_BY:
        return "", ""
    return key_of(slice_)[0], text(labels, _SERVICE_LABEL)


def _selector(service: Object) -> Object:
    if text(service, "spec", "type") == "ExternalName":
        return {}
    return mapping(service, "spec", "selector")


def _selects(service: Object, pod: Object) -> bool:
    selector = _selector(service)
    labels = mapping(pod, "metadata", "labels")
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _families(service: Object) -> list[str]:
    named = at(service, "spec", "ipFamilies")
    families = named if isinstance(named, list) else []
    return [family for family in families if isinstance(family, str)] or ["IPv4"]


def _addresses(pod: Object, family: str) -> list[Json]:
    version = 6 if family == "IPv6" else 4
    known = [text(entry, "ip") for entry in objects(pod, "status", "podIPs")]
    for address in known or [text(pod, "status", "podIP")]:
        with suppress(ValueError):
            if ipaddress.ip_address(address).version == version:
                return [address]
    return []


def _ports(service: Object, pod: Object) -> list[Json]:
    found: list[Json] = []
    for port in objects(service, "spec", "ports"):
        protocol = text(port, "protocol") or "TCP"
        target = port.get("targetPort", port.get("port"))
        number = target if isinstance(target, int) else _container_port(pod, target, protocol)
        if number is None:
            continue
        entry: Object = {"name": text(port, "name"), "protocol": protocol, "port": number}
        if application := text(port, "appProtocol"):
            entry["appProtocol"] = application
        found.append(entry)
    return found


def _container_port(pod: Object, name: Json, protocol: str) -> Json:
    for container in objects(pod, "spec", "containers"):
        for port in objects(container, "ports"):
            if port.get("name") == name and (text(port, "protocol") or "TCP") == protocol:
                return port.get("containerPort")
    return None


def _ports_key(ports: Json) -> bytes:
    return msgspec.json.encode(ports or None, order="sorted")


def _endpoint(service: Object, pod: Object, addresses: list[Json], zones: dict[str, str]) -> Object:
    namespace, name = key_of(pod)
    serving = any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in objects(pod, "status", "conditions")
    )
    terminating = bool(text(pod, "metadata", "deletionTimestamp"))
    always = mapping(service, "spec").get("publishNotReadyAddresses") is True
    endpoint: Object = {
        "addresses": addresses,
        "conditions": {
            "ready": always or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace,
            "name": name,
            "uid": text(pod, "metadata", "uid"),
        },
    }
    if node := text(pod, "spec", "nodeName"):
        endpoint["nodeName"] = node
        if zone := zones.get(node):
            endpoint["zone"] = zone
    return endpoint
