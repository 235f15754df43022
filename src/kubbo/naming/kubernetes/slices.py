"""From the EndpointSlices of one Service to the endpoints that may be called. Pure.

A Service has any number of slices: one a group of pods with the same ports, one a hundred
endpoints, one a family of addresses. What a slice says is only right together with its
siblings, so every view joins all of them, but reads only those that are new. Four narrowings:

1. **Port.** The port is chosen by name among all slices, or by number in each of them (see
   `_choose_port`); its number may differ from slice to slice.
2. **Backends.** One pod can be listed several times: in two slices while the controller
   moves it, as two generations, with an IPv4 and an IPv6 address, or once for each group of
   its ports, as Endpoints whose subsets share an address are mirrored; and one address can
   belong to two pods when it was given to a new one. One entry a backend is kept: where a pod has
   the port at all, one that has it. What names no pod is known by address and port.
3. **Conditions.** Ready endpoints are used (an unknown `ready` is ready). Only when none is
   left, those that terminate but still serve. Everybody else is kept apart.
4. **Hints** count only when every ready endpoint has them: with a few, all traffic of a zone
   would go to those few.

Source: the API reference of discovery.k8s.io/v1, and what kube-proxy makes of it.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

from kubbo.model import Endpoint, Step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from kubbo.naming.kubernetes.objects import EndpointSlice, SliceEndpoint, SlicePort
    from kubbo.naming.target import Port

__all__ = [
    "HINT_NODES",
    "HINT_ZONES",
    "POD",
    "SERVICE_LABEL",
    "Family",
    "Joined",
    "Joiner",
    "Verdict",
    "join",
]

SERVICE_LABEL = "kubernetes.io/service-name"
"""Label of a slice: the Service that it belongs to."""

POD = "pod"
HINT_ZONES = "hint-zones"
HINT_NODES = "hint-nodes"
"""Labels of an `Endpoint`: the pod's name; the zones and nodes, joined by commas, that should
use it, present on every endpoint or on none."""

Family: TypeAlias = Literal["IPv4", "IPv6"]

_FAMILIES: dict[str, type[ipaddress.IPv4Address | ipaddress.IPv6Address]] = {
    "IPv4": ipaddress.IPv4Address,
    "IPv6": ipaddress.IPv6Address,
}
_APP_PROTOCOLS = frozenset({"dubbo", "tri", "grpc", "kubernetes.io/h2c"})


class Verdict(Enum):
    """What the slices say, taken together."""

    MEMBERS = "members"
    NO_SLICES = "no slices"
    NO_ENDPOINTS = "no endpoints"
    NOT_READY = "not ready"
    NO_PORT = "no port"


@dataclass(frozen=True, slots=True)
class Joined:
    """The slices of one Service, joined.

    `ports` renders the ports found, for a message. `port_problem` says why none of them
    could be chosen. `ready`, `not_ready` and `terminating` count backends whatever their
    ports. `ignored` counts endpoints that are names and not addresses.
    """

    verdict: Verdict
    endpoints: tuple[Endpoint, ...] = ()
    excluded: tuple[Endpoint, ...] = ()
    steps: tuple[Step, ...] = ()
    ports: tuple[str, ...] = ()
    port_problem: str = ""
    ready: int = 0
    not_ready: int = 0
    terminating: int = 0
    ignored: int = 0


@dataclass(slots=True)
class _Backend:
    """One endpoint of one slice, with what decides between it and another entry for it."""

    endpoint: Endpoint  # port 0: the slice does not have the port
    key: tuple[str, int]
    about: tuple[str, str] | tuple[str, int]  # UID and family; without a pod as `key`
    uid: str
    family: str
    generation: int
    slice_name: str
    hint_zones: str
    hint_nodes: str

    @property
    def newness(self) -> tuple[bool, int, bool, str]:
        """Order among entries for one pod: of those with the port the newer generation is right.

        One without the port says nothing about it: another slice has the pod's other ports.
        """
        return (self.endpoint.port > 0, self.generation, self.endpoint.ready, self.slice_name)

    @property
    def liveness(self) -> tuple[bool, bool, bool, int, str]:
        """Order among pods of one address: it belongs to the one that lives."""
        endpoint = self.endpoint
        return (
            not endpoint.terminating,
            endpoint.ready,
            endpoint.serving,
            self.generation,
            self.slice_name,
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one slice says, read for a port."""

    one: EndpointSlice
    port: int
    backends: list[_Backend]
    unusable: list[str]  # why, for each endpoint whose address cannot be dialled


def join(
    slices: Iterable[EndpointSlice],
    *,
    port: Port = None,
    protocol: Literal["dubbo", "tri"] = "dubbo",
    family: Family | None = None,
) -> Joined:
    """Join the slices of one Service once; see `Joiner`."""
    return Joiner(port=port, protocol=protocol, family=family).join(slices)


class Joiner:
    """Joins the slices of one Service again and again, keeping what it read of each."""

    def __init__(
        self,
        *,
        port: Port = None,
        protocol: Literal["dubbo", "tri"] = "dubbo",
        family: Family | None = None,
    ) -> None:
        """`port` is the target's; `protocol` decides the port's name when it was left out.

        `family` is preferred for a pod with addresses of both; None prefers IPv4.
        """
        self._port: Port = port
        self._protocol: Literal["dubbo", "tri"] = protocol
        self._family: Family = family or "IPv4"
        self._read: dict[str, _Reading] = {}

    def join(self, slices: Iterable[EndpointSlice]) -> Joined:
        """Join slices of distinct names, in whatever order. O(endpoints)."""
        every = sorted(slices, key=lambda one: one.metadata.name)
        usable = [one for one in every if one.address_type in _FAMILIES]
        if not every:
            self._read.clear()
            return Joined(Verdict.NO_SLICES, steps=(Step("slices", 0),))
        choice = _choose_port(usable, self._port, self._protocol)
        readings = self._readings(usable, choice)
        entries = itertools.chain.from_iterable(one.backends for one in readings)
        backends = _one_a_backend(entries, self._family)
        ready = sum(one.endpoint.ready for one in backends)
        terminating = sum(not one.endpoint.ready and one.endpoint.terminating for one in backends)
        draining = [one for one in backends if one.endpoint.terminating and one.endpoint.serving]
        not_ready = len(backends) - ready - terminating
        chosen = [one for one in backends if one.endpoint.ready and one.endpoint.port]
        chosen = chosen or [one for one in draining if one.endpoint.port]
        called = {one.key for one in chosen}
        endpoints = _with_hints(chosen)
        if endpoints:
            verdict = Verdict.MEMBERS
        elif not backends:
            verdict = Verdict.NO_ENDPOINTS
        elif choice.problem or ready or draining:
            verdict = Verdict.NO_PORT
        else:
            verdict = Verdict.NOT_READY
        names = sum(len(one.endpoints or ()) for one in every if one.address_type not in _FAMILIES)
        counts = ((not_ready, "not ready"), (terminating, "terminating"))
        return Joined(
            verdict,
            endpoints,
            excluded=tuple(
                one.endpoint for one in sorted(backends, key=_by_address) if one.key not in called
            ),
            steps=(
                Step("slices", len(every), _render_ignored(names, readings)),
                Step(
                    "conditions",
                    ready or len(draining),
                    ", ".join(f"{count} {what}" for count, what in counts if count),
                ),
                Step("port", len(endpoints), choice.problem or choice.label),
            ),
            ports=_render_ports(usable),
            port_problem=choice.problem,
            ready=ready,
            not_ready=not_ready,
            terminating=terminating,
            ignored=names,
        )

    def _readings(
        self, slices: Iterable[EndpointSlice], choice: _PortChoice
    ) -> tuple[_Reading, ...]:
        """What every slice says; one that is known is not read again."""
        before, self._read = self._read, {}
        for one in slices:
            port = choice.number_in(one)
            known = before.get(one.metadata.name)
            if known is None or known.one is not one or known.port != port:
                known = _read(one, port)
            self._read[one.metadata.name] = known
        return tuple(self._read.values())


# --------------------------------------------------------------------- ports
@dataclass(frozen=True, slots=True)
class _PortChoice:
    """The port that was chosen: by `name` in every slice, else by `number`, else none."""

    name: str | None = None
    number: int | None = None
    problem: str = ""

    @property
    def label(self) -> str:
        return str(self.number) if self.number is not None else (self.name or "the only port")

    def number_in(self, one: EndpointSlice) -> int:
        """The number to dial in a slice, 0 when it does not have the port."""
        if self.number is not None:
            return self.number if _has_number(one, self.number) else 0
        if self.name is None:
            return 0
        for port in _tcp_ports(one):
            if (port.name or "") == self.name and _is_port(port.port):
                return port.port or 0
        return 0


def _choose_port(
    slices: Sequence[EndpointSlice], wanted: Port, protocol: Literal["dubbo", "tri"]
) -> _PortChoice:
    """Choose by the rule of naming: as wanted; else by name, by appProtocol, or the only one.

    The choice is made over all slices: one of pods that lack the port (an older version, say)
    must not offer its only other port in its place. But where one of several has to be found out,
    what a slice without endpoints still says of ports is history, and counts only for want of
    another.
    """
    if isinstance(wanted, int):
        if any(_has_number(one, wanted) for one in slices):
            return _PortChoice(number=wanted)
        return _PortChoice(problem=f"no port {wanted}")
    named = _names(slices)
    if wanted is not None:
        if wanted in named:
            return _PortChoice(name=wanted)
        return _PortChoice(problem=f"no port named {wanted!r}")
    if protocol in named:
        return _PortChoice(name=protocol)
    listing = [one for one in slices if one.endpoints]
    speaking = _names(listing, _APP_PROTOCOLS) or _names(slices, _APP_PROTOCOLS)
    if len(speaking) == 1:
        return _PortChoice(name=speaking.pop())
    if speaking:
        return _PortChoice(problem=f"{len(speaking)} ports whose appProtocol fits")
    named = _names(listing) or named
    if len(named) == 1:
        return _PortChoice(name=named.pop())
    if named:
        return _PortChoice(problem=f"no port named {protocol!r} among {len(named)}")
    return _PortChoice(problem="no ports")


def _names(
    slices: Iterable[EndpointSlice], app_protocols: frozenset[str] | None = None
) -> set[str]:
    """Names of the ports that can be dialled, of any appProtocol or one of those given."""
    return {
        port.name or ""
        for one in slices
        for port in _tcp_ports(one)
        if _is_port(port.port) and (app_protocols is None or port.app_protocol in app_protocols)
    }


def _tcp_ports(one: EndpointSlice) -> list[SlicePort]:
    return [port for port in one.ports or () if (port.protocol or "TCP") == "TCP"]


def _is_port(number: int | None) -> bool:
    return number is not None and 1 <= number <= 65535


def _has_number(one: EndpointSlice, number: int) -> bool:
    """Whether a slice offers a number: as a port, or because it restricts none.

    A slice of a headless Service without ports has none, and a port without a number stands
    for all of them; in both the address is what was asked for.
    """
    if not one.ports:
        return True
    return any(port.port is None or port.port == number for port in _tcp_ports(one))


def _render_ports(slices: Iterable[EndpointSlice]) -> tuple[str, ...]:
    """The ports found, like `dubbo (20880)` or `web (8080, 8081; appProtocol http)`."""
    numbers: dict[str, set[str]] = {}
    protocols: dict[str, str] = {}
    for one in slices:
        for port in one.ports or ():
            name = port.name or "(unnamed)"
            if (port.protocol or "TCP") != "TCP":
                name = f"{name}/{port.protocol}"
            numbers.setdefault(name, set()).add("any" if port.port is None else str(port.port))
            if port.app_protocol:
                protocols[name] = port.app_protocol
    return tuple(
        f"{name} ({', '.join(sorted(numbers[name]))}"
        + (f"; appProtocol {protocols[name]})" if name in protocols else ")")
        for name in sorted(numbers)
    )


# ------------------------------------------------------------------ backends
def _read(one: EndpointSlice, port: int) -> _Reading:
    metadata = one.metadata
    family = one.address_type
    backends: list[_Backend] = []
    unusable: list[str] = []
    for entry in one.endpoints or ():
        host, problem = _host(entry.addresses[0] if entry.addresses else "", family)
        if problem:
            unusable.append(problem)
            continue
        reference = entry.target_ref
        uid = reference.uid if reference else ""
        hints = entry.hints
        key = (host, port)
        backend = _Backend(
            endpoint=_endpoint(entry, host, port),
            key=key,
            about=(uid, family) if uid else key,
            uid=uid,
            family=family,
            generation=metadata.generation,
            slice_name=metadata.name,
            hint_zones=",".join(sorted(z.name for z in hints.for_zones or ())) if hints else "",
            hint_nodes=",".join(sorted(n.name for n in hints.for_nodes or ())) if hints else "",
        )
        backends.append(backend)
    return _Reading(one, port, backends, unusable)


def _host(text: str, family: str) -> tuple[str, str]:
    """An address that can be dialled, in its one spelling; or "" and why it can't.

    A recent API server refuses other spellings and other families; nothing here relies on it.
    """
    try:
        address = _FAMILIES[family](text)
    except ValueError:
        return "", "of another family" if _is_address(text) else "no address"
    if address.is_unspecified:
        return "", "no address"
    return (str(address) if family == "IPv6" else text), ""  # IPv4 has one spelling only


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _render_ignored(names: int, readings: Iterable[_Reading]) -> str:
    """What was passed over, like `1 names ignored, 2 of another family`."""
    unusable = Counter(why for reading in readings for why in reading.unusable)
    told = [f"{names} names ignored"] if names else []
    return ", ".join(told + [f"{count} {why}" for why, count in sorted(unusable.items())])


def _endpoint(entry: SliceEndpoint, host: str, port: int) -> Endpoint:
    conditions = entry.conditions
    ready = serving = True
    terminating = False
    if conditions is not None:
        ready = conditions.ready is not False
        serving = ready if conditions.serving is None else conditions.serving
        terminating = conditions.terminating is True
    reference = entry.target_ref
    pod = reference.name if reference is not None and reference.kind == "Pod" else ""
    return Endpoint(
        host,
        port,
        zone=entry.zone or "",
        node=entry.node_name or "",
        ready=ready,
        serving=serving,
        terminating=terminating,
        labels=((POD, pod),) if pod else (),
    )


def _one_a_backend(entries: Iterable[_Backend], family: Family) -> list[_Backend]:
    """One entry a backend: newest of a pod, living one of an address, one family of a pod."""
    newest: dict[tuple[str, str] | tuple[str, int], _Backend] = {}
    for entry in entries:
        known = newest.setdefault(entry.about, entry)
        if known is not entry and entry.newness > known.newness:
            newest[entry.about] = entry
    owners: dict[tuple[str, int], _Backend] = {}
    for entry in _without_other_ports(newest.values()):
        known = owners.setdefault(entry.key, entry)
        if known is not entry and entry.liveness > known.liveness:
            owners[entry.key] = entry
    backends = list(owners.values())
    if len({entry.family for entry in backends}) <= 1:
        return backends

    def fitness(entry: _Backend) -> tuple[bool, bool]:
        return (entry.endpoint.port > 0, entry.family == family)

    fittest: dict[str, tuple[bool, bool]] = {}
    for entry in backends:
        fittest[entry.uid] = max(fitness(entry), fittest.get(entry.uid, (False, False)))
    return [entry for entry in backends if not entry.uid or fitness(entry) == fittest[entry.uid]]


def _without_other_ports(entries: Collection[_Backend]) -> Collection[_Backend]:
    """Without what is said of a host's other ports, where no pod is named and one has the port."""
    if all(entry.uid or entry.endpoint.port for entry in entries):
        return entries
    at_port = {entry.endpoint.host for entry in entries if entry.endpoint.port and not entry.uid}
    return [
        entry
        for entry in entries
        if entry.uid or entry.endpoint.port or entry.endpoint.host not in at_port
    ]


def _by_address(backend: _Backend) -> tuple[str, int]:
    return backend.key


def _with_hints(chosen: Iterable[_Backend]) -> tuple[Endpoint, ...]:
    """Endpoints in the order of their addresses, with their hints if all have some."""
    backends = sorted(chosen, key=_by_address)
    zones = all(backend.hint_zones for backend in backends)
    nodes = all(backend.hint_nodes for backend in backends)
    if not zones and not nodes:
        return tuple(backend.endpoint for backend in backends)
    return tuple(
        replace(
            backend.endpoint,
            labels=(
                *backend.endpoint.labels,
                *(((HINT_ZONES, backend.hint_zones),) if zones else ()),
                *(((HINT_NODES, backend.hint_nodes),) if nodes else ()),
            ),
        )
        for backend in backends
    )
