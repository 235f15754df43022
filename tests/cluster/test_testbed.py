"""The test bed itself: what other tests lean on is really there, and can really be broken."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
import yaml
from tests.cluster.namespace import READ_SLICES, EndpointState, Namespace
from tests.testbed.processes import BedError, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.bed import ControlPlane, CoreDNS

READY = EndpointState(ready=True, serving=True, terminating=False, zone="zone-a")


def test_slices_follow_paper_pods(namespace: Namespace) -> None:
    """The real endpointslice controller follows a pod's status, termination and deletion."""
    namespace.service("greeter")
    first = namespace.pod("first", "10.244.9.1", app="greeter")
    second = namespace.pod("second", "10.244.9.2", app="greeter", zone="zone-b", ready=False)
    namespace.pod("other", "10.244.9.3", app="other")

    namespace.wait_ready("greeter", {"10.244.9.1"})
    second.set_ready(True)
    namespace.wait_ready("greeter", {"10.244.9.1", "10.244.9.2"})
    assert namespace.endpoints("greeter")["10.244.9.1"] == READY
    assert namespace.endpoints("greeter")["10.244.9.2"].zone == "zone-b"

    first.set_ready(False)
    namespace.wait_ready("greeter", {"10.244.9.2"})
    assert not namespace.endpoints("greeter")["10.244.9.1"].serving

    second.terminate()
    namespace.wait_ready("greeter", set())
    assert namespace.endpoints("greeter")["10.244.9.2"] == EndpointState(
        ready=False, serving=True, terminating=True, zone="zone-b"
    )
    second.delete()
    eventually(
        lambda: set(namespace.endpoints("greeter")) == {"10.244.9.1"}, "the deleted pod is gone"
    )


def test_named_target_port(namespace: Namespace) -> None:
    """A targetPort that is a name becomes the number that each pod's container gives it."""
    namespace.service("greeter", port=80, target_port="rpc", headless=False)
    namespace.pod("one", "10.244.9.1", app="greeter", ports={"rpc": 20880})
    namespace.pod("two", "10.244.9.2", app="greeter", ports={"rpc": 20881})
    namespace.wait_ready("greeter", {"10.244.9.1", "10.244.9.2"})
    ports = {
        endpoint["addresses"][0]: [(port["name"], port["port"]) for port in slice_["ports"]]
        for slice_ in namespace.slices("greeter")
        for endpoint in slice_["endpoints"]
    }
    assert ports == {"10.244.9.1": [("dubbo", 20880)], "10.244.9.2": [("dubbo", 20881)]}


def test_slice_by_hand(namespace: Namespace) -> None:
    """A slice of a Service without selector is taken as written, but for loopback addresses."""
    manifest = """
        apiVersion: v1
        kind: Service
        metadata: {name: hand}
        spec: {clusterIP: None, ports: [{name: dubbo, port: 20880}]}
        ---
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata: {name: hand-1, labels: {kubernetes.io/service-name: hand}}
        addressType: IPv4
        ports: [{name: dubbo, port: 20880, protocol: TCP}]
        endpoints:
        - {addresses: [10.244.0.5], conditions: {ready: true}, zone: zone-a}
        - {addresses: [10.244.0.6], conditions: {ready: false, serving: true, terminating: true}}
    """
    namespace.apply(manifest.replace("\n        ", "\n"))
    assert namespace.endpoints("hand") == {
        "10.244.0.5": READY,
        "10.244.0.6": EndpointState(ready=False, serving=True, terminating=True),
    }
    with pytest.raises(BedError, match="may not be in the loopback range"):
        namespace.apply(manifest.replace("\n        ", "\n").replace("10.244.0.5", "127.0.0.1"))


def test_role_decides(namespace: Namespace) -> None:
    """An identity may do what its Role says (200), nothing else (403); no token, no entry (401)."""
    plane = namespace.control_plane
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace.name}/endpointslices"
    services = f"/api/v1/namespaces/{namespace.name}/services"
    reader = namespace.identity("reader", READ_SLICES)
    nobody = namespace.identity("nobody")

    assert plane.request("GET", slices, token=reader.token).status == 200
    assert plane.request("GET", services, token=reader.token).status == 403
    refused = plane.request("GET", slices, token=nobody.token)
    assert refused.status == 403
    assert 'cannot list resource "endpointslices"' in refused.body["message"]
    assert plane.request("GET", slices, token="wrong").status == 401
    other = plane.token(namespace.name, "reader", audience="dubbo")
    assert plane.request("GET", slices, token=other).status == 401

    # The same through the files that clients read.
    assert plane.kubectl("get", "endpointslices", kubeconfig=reader.kubeconfig) == ""
    with pytest.raises(BedError, match="forbidden"):
        plane.kubectl("get", "endpointslices", kubeconfig=nobody.kubeconfig)
    assert (
        yaml.safe_load(reader.kubeconfig.read_text())["users"][0]["user"]["token"]
        == (reader.mount / "token").read_text()
    )


def test_kill_and_start_of_the_api_server(namespace: Namespace) -> None:
    """A killed API server refuses connections; started again it has the old data and goes on."""
    plane = namespace.control_plane
    namespace.service("greeter")
    namespace.pod("first", "10.244.9.1", app="greeter")
    namespace.wait_ready("greeter", {"10.244.9.1"})

    plane.kill("kube-apiserver")
    with pytest.raises(ConnectionRefusedError):
        plane.request("GET", "/readyz")
    plane.start("kube-apiserver")

    assert namespace.endpoints("greeter") == {"10.244.9.1": READY}
    namespace.pod("second", "10.244.9.2", app="greeter")
    namespace.wait_ready("greeter", {"10.244.9.1", "10.244.9.2"}, within=60)


def test_expired_version(namespace: Namespace) -> None:
    """After compaction a watch from an old version is told 410, inside an HTTP 200."""
    plane = namespace.control_plane
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace.name}/endpointslices"
    old = plane.call("GET", path)["metadata"]["resourceVersion"]
    namespace.service("greeter")
    watch = urlencode({"watch": 1, "resourceVersion": old, "timeoutSeconds": 1})
    without_cache = "--watch-cache-sizes=endpointslices.discovery.k8s.io#0"
    with plane.restarted("kube-apiserver", without_cache):
        plane.compact()
        [event] = plane.call("GET", f"{path}?{watch}")
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_parts_outlive_the_thread_that_starts_them(namespace: Namespace) -> None:
    """A part that an asyncio test starts in a worker thread stays when that thread is gone."""
    plane = namespace.control_plane

    def restart() -> None:
        plane.kill("kube-apiserver")
        plane.start("kube-apiserver")

    await asyncio.to_thread(restart)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert plane.request("GET", "/readyz").status == 200


def test_provider_address_can_be_dialled(
    provider_address: Callable[[], str], namespace: Namespace
) -> None:
    """Addresses that slices accept can be listened on and dialled, each apart."""
    addresses = [provider_address(), provider_address()]
    namespace.service("greeter")
    for number, address in enumerate(addresses):
        namespace.pod(f"p{number}", address, app="greeter")
    namespace.wait_ready("greeter", set(addresses))
    for address in namespace.endpoints("greeter"):
        with (
            socket.create_server((address, 20880)) as listener,
            socket.create_connection((address, 20880), timeout=5) as client,
        ):
            accepted, peer = listener.accept()
            accepted.close()
            assert peer == client.getsockname()


def test_kubectl_speaks_of_this_cluster(control_plane: ControlPlane) -> None:
    """The API server and kubectl are the release that the build module names."""
    versions = json.loads(control_plane.kubectl("version", "--output=json"))
    assert versions["serverVersion"]["gitVersion"] == versions["clientVersion"]["gitVersion"]
    assert versions["serverVersion"]["gitVersion"].startswith("v1.")


# --- names -----------------------------------------------------------------------------------

A, SRV = 1, 33


def ask(server: CoreDNS, name: str, kind: int) -> list[bytes]:
    """The data of the answers of one `kind`, by one UDP query."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", kind, 1)
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.settimeout(5)
        udp.sendto(query, (server.host, server.port))
        reply = udp.recv(4096)
    answers = struct.unpack_from(">6H", reply)[3]
    at = len(query)
    found: list[bytes] = []
    for _ in range(answers):
        while reply[at] and reply[at] < 0xC0:  # the owner's name: labels, an end or a pointer
            at += 1 + reply[at]
        at += 2 if reply[at] else 1
        answer_kind, _class, _ttl, size = struct.unpack_from(">2HLH", reply, at)
        at += 10
        if answer_kind == kind:
            found.append(reply[at : at + size])
        at += size
    return found


def test_coredns_answers(namespace: Namespace, coredns: CoreDNS) -> None:
    """A headless Service has an A record a ready pod, and SRV records with the port's number."""
    namespace.service("greeter")
    namespace.pod("first", "10.244.9.1", app="greeter")
    namespace.pod("second", "10.244.9.2", app="greeter", ready=False)
    namespace.wait_ready("greeter", {"10.244.9.1"})
    name = f"greeter.{namespace.name}.svc.cluster.local"

    assert eventually(lambda: ask(coredns, name, A), f"{name} resolves") == [
        socket.inet_aton("10.244.9.1")
    ]
    [record] = ask(coredns, f"_dubbo._tcp.{name}", SRV)
    _priority, _weight, port = struct.unpack_from(">3H", record)
    assert port == 20880
    assert record[6:].startswith(b"\x0a10-244-9-1\x07greeter")
