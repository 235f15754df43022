"""The table: Services whose slices have been read wrongly by somebody, smallest first.

A step is written from the slices that its events leave behind: `put` adds or changes slices,
`gone` deletes them. Addresses of pods are 10.0.0.x; of pod x the UID is `uid-x` unless said
otherwise.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Backend",
    "EndpointSliceCase",
    "EndpointSliceStep",
    "Json",
    "WatchEvent",
    "endpointslice_cases",
]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

WatchEvent: TypeAlias = "dict[str, Json]"
"""An event of a watch as it comes in its line: `{"type": "ADDED", "object": {...}}`."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One endpoint that may be called.

    In the table, None means that the case is not about this. In a resolver's answer it means
    that the resolver does not tell, and nothing is compared.

    Attributes:
        address: host and port, `10.0.0.1:20880` or `[fd00::1]:20880`.
        terminating: whether it is called for want of a ready one.
        zone: the zone that it is in, empty if unknown.
        node: the node that it is on, empty if unknown.
        hint_zones: the zones that should use it; empty also where its hints don't count
            because another endpoint has none.
        hint_nodes: the nodes that should use it, likewise.
    """

    address: str
    terminating: bool | None = None
    zone: str | None = None
    node: str | None = None
    hint_zones: tuple[str, ...] | None = None
    hint_nodes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class EndpointSliceStep:
    """Some events, and what may be called after the last of them.

    Attributes:
        events: in their order. With `any_order` they concern different slices, so that a
            server may send them in any order, and the result must not depend on it.
        backends: what may be called now, and nobody else.
        at_least: so many endpoints may be called after each single one of the events.
    """

    events: tuple[WatchEvent, ...]
    backends: tuple[Backend, ...]
    any_order: bool = False
    at_least: int = 0


@dataclass(frozen=True, slots=True)
class EndpointSliceCase:
    """One Service, watched from when it had no slice.

    Attributes:
        name: like `slices-are-joined`, unique.
        sentence: the claim, for a person.
        port: the port asked for: a name, a number, or None for the only one.
        family: which address of a pod that has two is called.
        steps: what happens.
    """

    name: str
    sentence: str
    steps: tuple[EndpointSliceStep, ...]
    port: str | int | None = "dubbo"
    family: Literal["IPv4", "IPv6"] = "IPv4"

    def __str__(self) -> str:
        return self.name


_DUBBO: Final[dict[str, Json]] = {"name": "dubbo", "port": 20880, "protocol": "TCP"}
_HTTP: Final[dict[str, Json]] = {"name": "http", "port": 8080, "protocol": "TCP"}
_NONE: Final = "none"  # for a reference that is left out; None is what the wire has for nil


# ------------------------------------------------------------------- objects
def _endpoint(
    pod: int | str, *conditions: tuple[str, Json], uid: str = "", **fields: Json
) -> dict[str, Json]:
    """An endpoint of pod number `pod`, or of any address; `uid=_NONE` has no pod."""
    host = pod if isinstance(pod, str) else f"10.0.{pod >> 8}.{pod & 255}"
    uid = uid or f"uid-{pod}"
    reference: dict[str, Json] = {
        "kind": "Pod",
        "namespace": "shop",
        "name": uid.replace("uid", "pod"),
        "uid": uid,
    }
    return {
        "addresses": [host],
        "conditions": dict(conditions or _READY),
        **({} if uid == _NONE else {"targetRef": reference}),
        **fields,
    }


_Conditions = tuple[tuple[str, Json], ...]
_READY: Final[_Conditions] = (("ready", True), ("serving", True), ("terminating", False))
_UNREADY: Final[_Conditions] = (("ready", False), ("serving", False), ("terminating", False))
_DRAINING: Final[_Conditions] = (("ready", False), ("serving", True), ("terminating", True))
_DYING: Final[_Conditions] = (("ready", False), ("serving", False), ("terminating", True))


def _slice(
    name: str,
    *endpoints: dict[str, Json],
    ports: Sequence[Json] | None = (_DUBBO,),
    generation: int = 1,
    family: Literal["IPv4", "IPv6", "FQDN"] = "IPv4",
    **fields: Json,
) -> dict[str, Json]:
    """A slice of the Service `greeter`; `fields` replace what it would have."""
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": f"greeter-{name}",
            "namespace": "shop",
            "uid": f"slice-{name}",
            "generation": generation,
            "labels": {
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": "greeter",
            },
        },
        "addressType": family,
        "endpoints": [*endpoints],
        "ports": None if ports is None else [*ports],
        **fields,
    }


_versions = itertools.count(1001)


def _event(kind: str, one: dict[str, Json]) -> WatchEvent:
    metadata = one["metadata"]
    assert isinstance(metadata, dict)
    version: dict[str, Json] = {"resourceVersion": str(next(_versions))}
    return {"type": kind, "object": {**one, "metadata": metadata | version}}


# --------------------------------------------------------------------- steps
def _expected(*called: int | str | Backend) -> tuple[Backend, ...]:
    """Pods by number at port 20880, others by their address; ready unless they say otherwise."""
    return tuple(
        each
        if isinstance(each, Backend)
        else Backend(
            each if isinstance(each, str) else f"10.0.{each >> 8}.{each & 255}:20880",
            terminating=False,
        )
        for each in called
    )


def _draining(pod: int, port: int = 20880) -> Backend:
    return Backend(f"10.0.0.{pod}:{port}", terminating=True)


def _put(
    *slices: dict[str, Json],
    then: Sequence[int | str | Backend] = (),
    kind: Literal["ADDED", "MODIFIED"] = "ADDED",
    at_least: int = 0,
) -> EndpointSliceStep:
    """Slices that are new or changed, in any order."""
    events = tuple(_event(kind, each) for each in slices)
    return EndpointSliceStep(events, _expected(*then), len(events) > 1, at_least)


def _change(
    *slices: dict[str, Json], then: Sequence[int | str | Backend] = (), at_least: int = 0
) -> EndpointSliceStep:
    return _put(*slices, then=then, kind="MODIFIED", at_least=at_least)


def _gone(*slices: dict[str, Json], then: Sequence[int | str | Backend] = ()) -> EndpointSliceStep:
    """Slices that are deleted; the event has their last state, endpoints and all."""
    events = tuple(_event("DELETED", each) for each in slices)
    return EndpointSliceStep(events, _expected(*then), len(events) > 1)


# ----------------------------------------------------------------- the table
def _joining() -> Iterator[EndpointSliceCase]:
    a, b = _slice("a", _endpoint(1), _endpoint(2)), _slice("b", _endpoint(3))
    c = _slice("c", _endpoint(4))
    yield EndpointSliceCase(
        "one-slice", "The endpoints of the one slice are called.", (_put(a, then=[1, 2]),)
    )
    yield EndpointSliceCase(
        "slices-are-joined",
        "All slices of a Service count; a change of one replaces what that one said and nothing "
        "else.",
        (
            _put(a, b, c, then=[1, 2, 3, 4]),
            _change(_slice("b", _endpoint(5), generation=2), then=[1, 2, 4, 5]),
            _change(_slice("a", _endpoint(2), generation=2), then=[2, 4, 5]),
        ),
    )
    yield EndpointSliceCase(
        "a-slice-is-deleted",
        "A deleted slice takes its endpoints with it, though its event lists them, and no others.",
        (_put(a, b, c, then=[1, 2, 3, 4]), _gone(a, then=[3, 4]), _gone(b, c)),
    )
    yield EndpointSliceCase(
        "deleted-and-made-again",
        "A slice that is made again under its name counts anew, whatever its generation.",
        (
            _put(_slice("a", _endpoint(1), generation=7), then=[1]),
            _gone(_slice("a", _endpoint(1), generation=7)),
            _put(_slice("a", _endpoint(2), generation=1), then=[2]),
        ),
    )
    yield EndpointSliceCase(
        "scale-to-zero",
        "A Service without pods keeps a slice, its endpoints and ports empty or nil; then it grows "
        "again.",
        (
            _put(a, then=[1, 2]),
            _change(_slice("a", generation=2, endpoints=None, ports=None)),
            _change(_slice("a", generation=3, ports=())),
            _change(_slice("a", _endpoint(3), generation=4), then=[3]),
        ),
    )
    yield EndpointSliceCase(
        "one-of-two-slices-empties",
        "An emptied slice is no empty Service.",
        (
            _put(a, b, then=[1, 2, 3]),
            _change(_slice("a", generation=2, endpoints=None), then=[3]),
        ),
    )
    yield EndpointSliceCase(
        "told-twice",
        "The same state again changes nothing; a slice that is first heard of as modified, or as "
        "deleted, is no trouble.",
        (
            _put(a, then=[1, 2]),
            _put(a, then=[1, 2]),
            _change(b, then=[1, 2, 3]),
            _gone(c, then=[1, 2, 3]),
        ),
    )
    yield EndpointSliceCase(
        "a-bookmark-is-no-slice",
        "A bookmark's object is an EndpointSlice with nothing but a version; it changes nothing.",
        (
            _put(a, then=[1, 2]),
            EndpointSliceStep((_bookmark(),), _expected(1, 2)),
            _change(_slice("a", _endpoint(1), generation=2), then=[1]),
        ),
    )
    yield EndpointSliceCase(
        "endpoints-without-pods",
        "Endpoints that were written by hand have no pod and often no conditions; they are called.",
        (
            _put(
                _slice("a", _endpoint(1, uid=_NONE), {"addresses": ["10.0.0.2"]}),
                _slice("b", _endpoint(3, uid=_NONE)),
                then=[1, 2, 3],
            ),
        ),
    )
    yield EndpointSliceCase(
        "only-the-first-address",
        "Further addresses of one endpoint are that endpoint again, no more backends.",
        (_put(_slice("a", _endpoint(1, addresses=["10.0.0.1", "10.0.0.9"])), then=[1]),),
    )
    yield EndpointSliceCase(
        "names-are-no-addresses",
        "Slices of host names (FQDN) are passed over; those of addresses count beside them.",
        (
            _put(
                _slice("a", _endpoint("backend.example.com", uid=_NONE), family="FQDN"),
                _slice("b", _endpoint(1)),
                then=[1],
            ),
            _gone(_slice("b", _endpoint(1))),
        ),
    )
    yield EndpointSliceCase(
        "zone-and-node-are-kept",
        "What a slice says of an endpoint's place comes with it, and follows its changes.",
        (
            _put(
                _slice("a", _endpoint(1, zone="z1", nodeName="n1"), _endpoint(2)),
                then=[
                    Backend("10.0.0.1:20880", terminating=False, zone="z1", node="n1"),
                    Backend("10.0.0.2:20880", terminating=False, zone="", node=""),
                ],
            ),
            _change(
                _slice("a", _endpoint(1, zone="z2", nodeName="n2"), generation=2),
                then=[Backend("10.0.0.1:20880", terminating=False, zone="z2", node="n2")],
            ),
        ),
    )


def _bookmark() -> WatchEvent:
    return {
        "type": "BOOKMARK",
        "object": {
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"resourceVersion": str(next(_versions))},
            "addressType": "",
            "endpoints": None,
            "ports": None,
        },
    }


def _conditions() -> Iterator[EndpointSliceCase]:
    nil: _Conditions = (("ready", None), ("serving", None), ("terminating", None))
    yield EndpointSliceCase(
        "ready-nil-is-ready",
        "An unknown condition is a good one: left out, nil, or with no conditions at all.",
        (
            _put(
                _slice(
                    "a",
                    _endpoint(1, *nil),
                    _endpoint(2, conditions={}),
                    _endpoint(3, ("serving", True)),
                ),
                then=[1, 2, 3],
            ),
        ),
    )
    yield EndpointSliceCase(
        "not-ready-is-not-called",
        "An endpoint that is not ready gets no calls, also when it is the last one and serves: "
        "only one that terminates may serve so.",
        (
            _put(_slice("a", _endpoint(1), _endpoint(2, *_UNREADY)), then=[1]),
            _change(_slice("a", _endpoint(1, *_UNREADY), _endpoint(2, *_UNREADY), generation=2)),
            _change(_slice("a", _endpoint(1, ("ready", False), ("serving", True)), generation=3)),
            _change(_slice("a", _endpoint(1), generation=4), then=[1]),
        ),
    )
    yield EndpointSliceCase(
        "ready-wins-over-terminating",
        "A Service that publishes addresses which are not ready has ready endpoints that terminate "
        "and don't serve; they are called.",
        (
            _put(
                _slice(
                    "a", _endpoint(1, ("ready", True), ("serving", False), ("terminating", True))
                ),
                then=[Backend("10.0.0.1:20880")],
            ),
        ),
    )
    yield EndpointSliceCase(
        "terminating-serves-as-the-last",
        "Endpoints that terminate and still serve are called when no ready one is left in any "
        "slice, and no longer when there is one again.",
        (
            _put(
                _slice("a", _endpoint(1), _endpoint(2, *_DRAINING)),
                _slice("b", _endpoint(3, *_DRAINING), _endpoint(4, *_DYING)),
                then=[1],
            ),
            _change(
                _slice("a", _endpoint(1, *_DRAINING), _endpoint(2, *_DRAINING), generation=2),
                then=[_draining(1), _draining(2), _draining(3)],
            ),
            _put(_slice("c", _endpoint(5)), then=[5]),
            _gone(_slice("c", _endpoint(5)), then=[_draining(1), _draining(2), _draining(3)]),
            _change(_slice("a", _endpoint(6, *_UNREADY), generation=3), then=[_draining(3)]),
            _change(_slice("b", _endpoint(4, *_DYING), generation=2)),
        ),
    )
    yield EndpointSliceCase(
        "serving-nil-follows-ready",
        "A terminating endpoint that doesn't say whether it serves does not, when it isn't ready.",
        (
            _put(
                _slice("a", _endpoint(1, ("ready", False), ("terminating", True))),
            ),
        ),
    )


def _ports() -> Iterator[EndpointSliceCase]:
    other = _DUBBO | {"port": 20990}
    metrics: Json = {"name": "metrics", "port": 9090, "protocol": "TCP"}
    several: tuple[Json, ...] = (_HTTP, _DUBBO, metrics)
    yield EndpointSliceCase(
        "several-named-ports",
        "Of several ports the one of the asked name is dialled, wherever it stands.",
        (_put(_slice("a", _endpoint(1), ports=several), then=[1]),),
    )
    yield EndpointSliceCase(
        "several-named-ports-by-number",
        "A number that is asked for is the pods' port, as the slices have it.",
        (_put(_slice("a", _endpoint(1), ports=several), then=["10.0.0.1:9090"]),),
        port=9090,
    )
    yield EndpointSliceCase(
        "no-such-port",
        "Without the asked port an endpoint is not called, at no other port either.",
        (
            _put(_slice("a", _endpoint(1), ports=[_HTTP])),
            _change(_slice("a", _endpoint(1), ports=several, generation=2), then=[1]),
            _change(_slice("a", _endpoint(1), ports=[_HTTP], generation=3)),
        ),
    )
    yield EndpointSliceCase(
        "the-only-port",
        "When no port is asked for, the only one is dialled, with or without a name.",
        (
            _put(_slice("a", _endpoint(1), ports=[_HTTP]), then=["10.0.0.1:8080"]),
            _change(
                _slice("a", _endpoint(1), ports=[{**_HTTP, "name": ""}], generation=2),
                then=["10.0.0.1:8080"],
            ),
        ),
        port=None,
    )
    yield EndpointSliceCase(
        "the-port-differs-from-slice-to-slice",
        "A name stands for the number that the endpoint's own slice has: pods of two versions, "
        "say, whose named target port differs.",
        (
            _put(
                _slice("a", _endpoint(1)),
                _slice("b", _endpoint(2), ports=[_HTTP, other]),
                then=[1, "10.0.0.2:20990"],
            ),
            _change(
                _slice("a", _endpoint(1), ports=[other], generation=2),
                then=["10.0.0.1:20990", "10.0.0.2:20990"],
            ),
        ),
    )
    yield EndpointSliceCase(
        "a-number-differs-from-slice-to-slice",
        "Asked for by number, only the slices count that have it.",
        (
            _put(
                _slice("a", _endpoint(1)),
                _slice("b", _endpoint(2), ports=[other]),
                then=["10.0.0.2:20990"],
            ),
        ),
        port=20990,
    )
    yield EndpointSliceCase(
        "some-pods-lack-the-port",
        "Pods of a version that doesn't have the port are left out, not called at their only one.",
        (
            _put(
                _slice("a", _endpoint(1), ports=[_HTTP, _DUBBO]),
                _slice("b", _endpoint(2), ports=[_HTTP]),
                then=[1],
            ),
        ),
    )
    yield EndpointSliceCase(
        "the-ready-ones-lack-the-port",
        "Ready endpoints that can't be dialled at the port don't keep those from serving that can.",
        (
            _put(
                _slice("a", _endpoint(1), ports=[_HTTP]),
                _slice("b", _endpoint(2, *_DRAINING)),
                then=[_draining(2)],
            ),
        ),
    )
    yield EndpointSliceCase(
        "udp-is-another-port",
        "A port of the same name or number and another protocol than TCP is not the one that is "
        "meant.",
        (
            _put(
                _slice("a", _endpoint(1), ports=[{**_DUBBO, "protocol": "UDP"}, _HTTP]),
            ),
            _change(
                _slice(
                    "a",
                    _endpoint(1),
                    ports=[{"name": "dubbo-udp", "port": 20880, "protocol": "UDP"}, _DUBBO],
                    generation=2,
                ),
                then=[1],
            ),
        ),
    )
    yield EndpointSliceCase(
        "tcp-is-the-default",
        "A port that doesn't say its protocol is TCP.",
        (_put(_slice("a", _endpoint(1), ports=[{"name": "dubbo", "port": 20880}]), then=[1]),),
    )
    yield EndpointSliceCase(
        "ports-nil-and-a-name",
        "A slice without ports, or whose port has no number, has no port of that name; its "
        "siblings count.",
        (
            _put(
                _slice("a", _endpoint(1), ports=None),
                _slice("b", _endpoint(2), ports=()),
                _slice("c", _endpoint(3), ports=[{**_DUBBO, "port": None}]),
                _slice("d", _endpoint(4)),
                then=[4],
            ),
        ),
    )
    renamed = _HTTP | {"name": "rpc"}
    yield EndpointSliceCase(
        "the-only-port-of-those-with-endpoints",
        "What a slice without endpoints still says of ports doesn't count beside one that has some "
        "when the only port is sought.",
        (
            _put(
                _slice("a", ports=[_HTTP], endpoints=None),
                _slice("b", _endpoint(1), ports=[renamed]),
                then=["10.0.0.1:8080"],
            ),
        ),
        port=None,
    )
    yield EndpointSliceCase(
        "ports-nil-and-a-number",
        "A headless Service without ports has slices without ports, and a port whose number is nil "
        "stands for all; the number that was asked for is dialled.",
        (
            _put(
                _slice("a", _endpoint(1), ports=None),
                _slice("b", _endpoint(2), ports=()),
                _slice("c", _endpoint(3), ports=[{**_HTTP, "port": None}]),
                _slice("d", _endpoint(4), ports=[_HTTP]),
                then=[1, 2, 3],
            ),
        ),
        port=20880,
    )


def _duplicates() -> Iterator[EndpointSliceCase]:
    yield EndpointSliceCase(
        "a-pod-in-two-slices",
        "While a pod is moved between slices it stands in both; it is one backend, in the state "
        "of the newer generation, whichever event came last.",
        (
            _put(
                _slice("a", _endpoint(1), _endpoint(2), generation=3),
                _slice("b", _endpoint(1, *_UNREADY), generation=4),
                then=[2],
            ),
            _change(_slice("a", _endpoint(2), generation=5), then=[2]),
            _change(_slice("b", _endpoint(1), generation=6), then=[1, 2]),
        ),
    )
    yield EndpointSliceCase(
        "a-pod-in-two-slices-got-ready",
        "The newer generation is also right when it is the better one.",
        (
            _put(
                _slice("a", _endpoint(1, *_UNREADY), generation=3),
                _slice("b", _endpoint(1), generation=4),
                then=[1],
            ),
        ),
    )
    yield EndpointSliceCase(
        "a-pod-moves",
        "A pod that moves to another slice is called all the time.",
        (
            _put(_slice("a", _endpoint(1), _endpoint(2)), then=[1, 2]),
            _put(_slice("b", _endpoint(2), generation=1), then=[1, 2], at_least=2),
            _change(_slice("a", _endpoint(1), generation=2), then=[1, 2], at_least=2),
        ),
    )
    yield EndpointSliceCase(
        "an-address-was-given-to-a-new-pod",
        "An address counts by the pod that lives, not by the one that terminates, whatever their "
        "generations; and stays when the old pod's entry goes.",
        (
            _put(
                _slice("a", _endpoint(1, *_DRAINING, uid="uid-old"), generation=9),
                _slice("b", _endpoint(1, uid="uid-new"), generation=1),
                then=[1],
            ),
            _change(_slice("a", generation=10), then=[1]),
        ),
    )
    yield EndpointSliceCase(
        "the-new-pod-of-an-address-is-not-ready",
        "An address whose new pod is not ready yet is not called for the old pod's sake.",
        (
            _put(
                _slice("a", _endpoint(1, *_DRAINING, uid="uid-old"), _endpoint(2, *_DRAINING)),
                _slice("b", _endpoint(1, *_UNREADY, uid="uid-new")),
                then=[_draining(2)],
            ),
        ),
    )
    yield EndpointSliceCase(
        "pods-of-the-host-network",
        "Two pods of one address and different ports are two backends.",
        (
            _put(
                _slice("a", _endpoint(1, uid="uid-x")),
                _slice("b", _endpoint(1, uid="uid-y"), ports=[{**_DUBBO, "port": 20990}]),
                then=[1, "10.0.0.1:20990"],
            ),
        ),
    )
    yield EndpointSliceCase(
        "the-same-address-again",
        "An endpoint without a pod that is listed twice is one backend.",
        (
            _put(
                _slice("a", _endpoint(1, uid=_NONE), _endpoint(2, uid=_NONE)),
                _slice("b", _endpoint(1, uid=_NONE)),
                then=[1, 2],
            ),
        ),
    )


def _port_groups() -> Iterator[EndpointSliceCase]:
    """A slice has one set of ports, so what has several sets is in several slices.

    Endpoints written by hand whose subsets share an address, but not all, are mirrored so.
    """
    host, pod = _endpoint(1, uid=_NONE), _endpoint(1)
    yield EndpointSliceCase(
        "a-host-in-two-port-groups",
        "An address without a pod that is listed with the asked port and, in another slice, with "
        "other ports, is called at the asked one, whichever slice has it.",
        (
            _put(_slice("a", host), _slice("b", host, ports=[_HTTP]), then=[1]),
            _change(
                _slice("a", host, ports=[_HTTP], generation=2),
                _slice("b", host, generation=2),
                then=[1],
            ),
            _gone(_slice("b", host, generation=2)),
        ),
    )
    yield EndpointSliceCase(
        "a-pod-in-two-port-groups",
        "The same of a pod: the newer generation doesn't count when it is that of other ports, and "
        "neither does the readiness there.",
        (
            _put(_slice("a", pod), _slice("b", pod, ports=[_HTTP], generation=5), then=[1]),
            _change(_slice("a", _endpoint(1, *_UNREADY), generation=2)),
            _change(
                _slice("a", pod, generation=3),
                _slice("b", _endpoint(1, *_UNREADY), ports=[_HTTP], generation=6),
                then=[1],
            ),
        ),
    )
    yield EndpointSliceCase(
        "two-providers-of-one-host",
        "Endpoints without pods at one address and different numbers of the asked port are two "
        "backends.",
        (
            _put(
                _slice("a", host),
                _slice("b", host, ports=[{**_DUBBO, "port": 20881}]),
                then=[1, "10.0.0.1:20881"],
            ),
            _gone(_slice("a", host), then=["10.0.0.1:20881"]),
        ),
    )
    six = _slice("six", _endpoint("fd00::1", uid="uid-1"), family="IPv6")
    yield EndpointSliceCase(
        "only-the-other-family-has-the-port",
        "A pod that has the asked port at its address of the other family only is called there.",
        (
            _put(_slice("four", pod, ports=[_HTTP]), six, then=["[fd00::1]:20880"]),
            _change(_slice("four", pod, generation=2), then=[1]),
        ),
    )


def _families() -> Iterator[EndpointSliceCase]:
    four = _slice("four", _endpoint(1), _endpoint(2))
    six = _slice(
        "six", _endpoint("fd00::1", uid="uid-1"), _endpoint("fd00::3", uid="uid-3"), family="IPv6"
    )
    yield EndpointSliceCase(
        "dual-stack-by-ipv4",
        "A pod of two families is one backend, at the address of the chosen family; a pod of one "
        "family is called at what it has.",
        (
            _put(four, six, then=[1, 2, "[fd00::3]:20880"]),
            _gone(four, then=["[fd00::1]:20880", "[fd00::3]:20880"]),
        ),
    )
    yield EndpointSliceCase(
        "dual-stack-by-ipv6",
        "The same with the other family chosen.",
        (
            _put(four, six, then=[2, "[fd00::1]:20880", "[fd00::3]:20880"]),
            _gone(six, then=[1, 2]),
        ),
        family="IPv6",
    )


def _hints() -> Iterator[EndpointSliceCase]:
    def zones(*names: str) -> Json:
        return {"forZones": [{"name": name} for name in names]}

    def hinted(pod: int, *zone: str) -> Backend:
        return Backend(f"10.0.0.{pod}:20880", hint_zones=zone, hint_nodes=())

    yield EndpointSliceCase(
        "hints-of-all-are-kept",
        "Hints count while every ready endpoint has them; the others need none.",
        (
            _put(
                _slice("a", _endpoint(1, hints=zones("z1")), _endpoint(2, *_UNREADY)),
                _slice("b", _endpoint(3, hints=zones("z2", "z3")), _endpoint(4, *_DRAINING)),
                then=[hinted(1, "z1"), hinted(3, "z2", "z3")],
            ),
        ),
    )
    yield EndpointSliceCase(
        "hints-of-some-are-dropped",
        "With one ready endpoint that has none, nobody's hints count: the hinted ones would get "
        "all calls of their zones. They count again when all have them.",
        (
            _put(
                _slice("a", _endpoint(1, hints=zones("z1"))),
                _slice("b", _endpoint(2)),
                then=[hinted(1), hinted(2)],
            ),
            _change(
                _slice("b", _endpoint(2, hints=zones("z2")), generation=2),
                then=[hinted(1, "z1"), hinted(2, "z2")],
            ),
            _change(
                _slice("b", _endpoint(2, hints=zones()), generation=3), then=[hinted(1), hinted(2)]
            ),
        ),
    )
    nodes: Json = {"forNodes": [{"name": "n1"}]}
    yield EndpointSliceCase(
        "hints-for-nodes",
        "Hints for nodes follow the same rule, by themselves.",
        (
            _put(
                _slice("a", _endpoint(1, hints=nodes)),
                then=[Backend("10.0.0.1:20880", hint_zones=(), hint_nodes=("n1",))],
            ),
        ),
    )


def _rollout() -> EndpointSliceCase:
    """1,500 pods in 15 slices, a tenth of each replaced as a rolling update does it.

    Pods 256 * n + 1 to 100 are in slice n; the first ten make way for 101 to 110.
    """

    def slices(generation: int, *parts: tuple[range, _Conditions]) -> list[dict[str, Json]]:
        return [
            _slice(
                f"{n:02}",
                *(
                    _endpoint(256 * n + pod, *conditions)
                    for pods, conditions in parts
                    for pod in pods
                ),
                generation=generation,
            )
            for n in range(15)
        ]

    def called(*parts: range) -> list[int]:
        return [256 * n + pod for n in range(15) for pods in parts for pod in pods]

    old, kept, new = range(1, 11), range(11, 101), range(101, 111)
    return EndpointSliceCase(
        "1500-endpoints-in-15-slices",
        "While all slices change, in any order, the number of endpoints never falls below what the "
        "slices hold together.",
        (
            _put(*slices(1, (old, _READY), (kept, _READY)), then=called(old, kept)),
            _change(*slices(2, (old, _DRAINING), (kept, _READY)), then=called(kept), at_least=1350),
            _change(
                *slices(3, (old, _DYING), (kept, _READY), (new, _UNREADY)),
                then=called(kept),
                at_least=1350,
            ),
            _change(
                *slices(4, (kept, _READY), (new, _READY)), then=called(kept, new), at_least=1350
            ),
            _gone(*slices(4, (kept, _READY), (new, _READY))[1:], then=[*kept, *new]),
        ),
    )


endpointslice_cases: Final[tuple[EndpointSliceCase, ...]] = (
    *_joining(),
    *_conditions(),
    *_ports(),
    *_duplicates(),
    *_port_groups(),
    *_families(),
    *_hints(),
    _rollout(),
)
"""Every case, the smallest first."""
