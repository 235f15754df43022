"""The table of `kubbo.testing` against the real API server and its endpointslice controller.

The table is written by hand. Here the real server takes every object of it, sends it back as it
is written there, and the controller makes slices of the same shape from pods.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
import pytest
from tests.testbed.processes import eventually

from kubbo.naming.kubernetes.objects import EndpointSlice
from kubbo.naming.kubernetes.slices import join
from kubbo.testing import EndpointSliceCase, endpointslice_cases

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.namespace import Namespace

CASES = {case.name: case for case in endpointslice_cases}
Objects = list[dict[str, Any]]


def objects(case: EndpointSliceCase, step: int) -> Objects:
    """The slices of a case after a step."""
    found: dict[str, dict[str, Any]] = {}
    for each in case.steps[: step + 1]:
        for event in each.events:
            one: Any = event["object"]
            if event["type"] == "DELETED":
                found.pop(one["metadata"]["name"], None)
            elif event["type"] != "BOOKMARK":
                found[one["metadata"]["name"]] = one
    return [found[name] for name in sorted(found)]


def version(one: dict[str, Any]) -> Any:
    return one["metadata"]["resourceVersion"]


def content(slices: Objects) -> Objects:
    """Slices without what the server writes itself."""
    kept = [{key: one[key] for key in one if key != "metadata"} for one in slices]
    return sorted(kept, key=lambda one: json.dumps(one, sort_keys=True))


# ------------------------------------------------------------------ by hand
def without_nil(value: Any) -> Any:
    """JSON without what is nil, empty or the default of a port: the server writes some of it."""
    match value:
        case dict():
            kept = {key: without_nil(each) for key, each in value.items()}
            return {
                key: each
                for key, each in kept.items()
                if each not in (None, "", {}, []) and (key, each) != ("protocol", "TCP")
            }
        case list():
            return [without_nil(each) for each in value]
        case _:
            return value


def test_the_server_takes_every_object_of_the_table(namespace: Namespace) -> None:
    """Each slice of each case, written to the real API server, is accepted and comes back in a
    watch as it stands in the table, but for the ways to write nil: nothing in it is what a
    cluster could not send.
    """
    plane = namespace.control_plane
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace.name}/endpointslices"
    start = plane.call("GET", path)["metadata"]["resourceVersion"]
    sent: list[tuple[str, Any]] = []
    there: set[str] = set()
    for case in endpointslice_cases:
        for step in case.steps:
            for event in step.events:
                one: Any = event["object"]
                if event["type"] == "BOOKMARK":
                    continue
                name = one["metadata"]["name"]
                body = {**one, "metadata": {"name": name, "labels": {"case": case.name}}}
                if event["type"] == "DELETED":
                    if name in there:
                        plane.call("DELETE", f"{path}/{name}")
                        sent.append(("DELETED", None))
                    there.discard(name)
                elif name in there:
                    before = plane.call("GET", f"{path}/{name}")
                    after = plane.call("PUT", f"{path}/{name}", body)
                    if version(before) != version(after):  # else there is no event
                        sent.append(("MODIFIED", one))
                else:
                    plane.call("POST", path, body)
                    sent.append(("ADDED", one))
                    there.add(name)
        for name in sorted(there):
            plane.call("DELETE", f"{path}/{name}")
            sent.append(("DELETED", None))
        there.clear()
    query = urlencode({"watch": 1, "resourceVersion": start, "timeoutSeconds": 1})
    events = plane.call("GET", f"{path}?{query}")
    assert [event["type"] for event in events] == [kind for kind, _ in sent]
    for event, (kind, one) in zip(events, sent, strict=True):
        if kind != "DELETED":
            assert without_nil(content([event["object"]])) == without_nil(content([one]))
    assert len(sent) > 150


# ------------------------------------------------------------ by the controller
def shape(value: Any) -> Any:
    """JSON with its strings and numbers replaced by their kind; conditions as they are."""
    match value:
        case bool() | None:
            return value
        case dict():
            return {key: shape(value[key]) for key in sorted(value)}
        case list():
            return sorted((shape(each) for each in value), key=repr)
        case _:
            return type(value).__name__


def shapes(slices: Objects) -> Any:
    """Of slices: addressType, ports and endpoints; where a pod runs is not in every case."""
    parts: Objects = []
    for one in slices:
        endpoints: Objects = [
            {key: each[key] for key in each if key not in ("nodeName", "zone")}
            for each in one["endpoints"] or ()
        ]
        # A list says once for all items what they are.
        plain = {key: one[key] for key in one if key not in ("kind", "apiVersion")}
        parts.append({**plain, "endpoints": endpoints})
    return shape(content(parts))


def follows(namespace: Namespace, case: str, *steps: Callable[[], object]) -> None:
    """Do what leads to each step of a case; the controller's slices have the case's shape."""
    assert len(steps) <= len(CASES[case].steps)
    for number, act in enumerate(steps):
        act()
        expected = shapes(objects(CASES[case], number))

        def matches(expected: Any = expected) -> bool:
            return bool(shapes(namespace.slices("greeter")) == expected)

        try:
            eventually(matches, f"{case}, step {number + 1}", within=10)
        except AssertionError:
            found = shapes(namespace.slices("greeter"))
            pytest.fail(f"{case}, step {number + 1}:\n{found}\nis not\n{expected}")


def test_ready_and_terminating_pods(namespace: Namespace) -> None:
    """Conditions of a pod that is ready, not ready, terminating, and no more ready then."""
    namespace.service("greeter")
    one = namespace.pod("one", "10.244.9.1", app="greeter")
    follows(
        namespace,
        "not-ready-is-not-called",
        lambda: namespace.pod("two", "10.244.9.2", app="greeter", ready=False),
        lambda: one.set_ready(False),
    )


def test_terminating_pods_as_the_last(namespace: Namespace) -> None:
    """A terminating pod stays in its slice, serving until its readiness ends."""
    namespace.service("greeter")
    pods = [namespace.pod(f"p{n}", f"10.244.9.{n}", app="greeter") for n in (1, 2)]
    namespace.wait_ready("greeter", {"10.244.9.1", "10.244.9.2"})
    for pod in pods:
        pod.terminate()
    draining = objects(CASES["terminating-serves-as-the-last"], 1)[:1]
    eventually(lambda: shapes(namespace.slices("greeter")) == shapes(draining), "both are draining")


def test_scaling_to_zero_and_back(namespace: Namespace) -> None:
    """The slice of a Service that lost its pods stays, its endpoints and ports nil."""
    namespace.service("greeter")
    pods = [namespace.pod(f"p{n}", f"10.244.9.{n}", app="greeter") for n in (1, 2)]
    follows(
        namespace,
        "scale-to-zero",
        lambda: None,
        lambda: [pod.delete() for pod in pods],
    )


def test_ports_that_differ(namespace: Namespace) -> None:
    """A named target port that is another number in some pods makes a second slice."""
    namespace.service("greeter", target_port="rpc")
    namespace.pod("p1", "10.244.9.1", app="greeter", ports={"rpc": 20880})
    namespace.pod("p2", "10.244.9.2", app="greeter", ports={"rpc": 20990})
    namespace.wait_ready("greeter", {"10.244.9.1", "10.244.9.2"})
    assert [len(one["ports"]) for one in namespace.slices("greeter")] == [1, 1]
    numbers = sorted(one["ports"][0]["port"] for one in namespace.slices("greeter"))
    assert numbers == [20880, 20990]


def test_a_service_without_ports(namespace: Namespace) -> None:
    """The slices of a headless Service without ports have none: they are nil, or left out."""
    namespace.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: greeter},"
        " spec: {clusterIP: None, selector: {app: greeter}}}"
    )
    namespace.pod("p1", "10.244.9.1", app="greeter")
    namespace.wait_ready("greeter", {"10.244.9.1"})
    [one] = namespace.slices("greeter")
    [nil, *_] = objects(CASES["ports-nil-and-a-number"], 0)
    assert one["ports"] == nil["ports"] is None
    assert shapes([one]) == shapes([nil])


def test_endpoints_of_two_subsets(namespace: Namespace) -> None:
    """Endpoints written by hand whose subsets share an address, but not all of theirs, are
    mirrored as a slice for each: the address stands in both, once for each group of ports,
    without a pod. Joined, every address is called at the ports that are asked for. (Subsets with
    the same addresses would become one slice with all ports.)"""
    namespace.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: greeter}, spec: {ports: [{port: 80}]}}"
    )

    def subset(port: str, number: int, *hosts: str) -> dict[str, Any]:
        addresses = [{"ip": host} for host in hosts]
        return {"addresses": addresses, "ports": [{"name": port, "port": number}]}

    def called(*subsets: dict[str, Any]) -> list[str]:
        body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "greeter"}}
        namespace.apply(json.dumps({**body, "subsets": subsets}))
        expected = [
            (
                [(one["name"], one["port"]) for one in each["ports"]],
                [one["ip"] for one in each["addresses"]],
            )
            for each in subsets
        ]

        def there() -> bool:
            found = [
                (
                    [(port["name"], port["port"]) for port in one["ports"]],
                    sorted(each["addresses"][0] for each in one["endpoints"]),
                )
                for one in namespace.slices("greeter")
            ]
            return sorted(found) == sorted(expected)

        eventually(there, f"{expected} are mirrored")
        slices = namespace.slices("greeter")
        assert not any("targetRef" in each for one in slices for each in one["endpoints"])
        joined = join(msgspec.convert(slices, list[EndpointSlice]), port="dubbo")
        return [str(one) for one in joined.endpoints]

    everywhere = subset("dubbo", 20880, "10.0.0.1", "10.0.0.2")
    both = ["10.0.0.1:20880", "10.0.0.2:20880"]
    assert called(everywhere, subset("http", 8080, "10.0.0.1")) == both
    assert called(everywhere, subset("ahead", 8080, "10.0.0.2")) == both
    assert called(everywhere, subset("dubbo", 20881, "10.0.0.1")) == sorted(
        [*both, "10.0.0.1:20881"]
    )
