"""A namespace in which one deployment is broken on purpose, and looked at by the doctor.

Real: etcd, the API server with its admission (quotas, limit ranges, validation), the controllers
of Deployments, ReplicaSets and EndpointSlices, the scheduler, and whatever listens on a pod's
address. Written: what only a kubelet could say, which is the state of containers, the events of
source `kubelet`, and logs. The words are those of the kubelet and of containerd (Kubernetes'
documentation, and pkg/kubelet of v1.35); a `Place` counts them in `written`.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import yaml
from tests.testbed.processes import Part, eventually, free_port

from kubbo.doctor.bundle import Log, Lookup, Subject
from kubbo.doctor.collect import collect
from kubbo.naming.kubernetes.client import ClusterClient
from kubbo.naming.kubernetes.credentials import load_access

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.cluster.bed import ControlPlane
    from tests.cluster.namespace import Namespace

    from kubbo.doctor.bundle import Bundle

APP = "greeter"
IMAGE = "registry.example/greeter:1.4"
NODES = ("node-1", "node-2")
MERGE = "application/merge-patch+json"
_addresses = itertools.count(1)


def ago(seconds: float) -> str:
    """A time of the cluster."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def start_scheduler(plane: ControlPlane) -> None:
    """The real scheduler, and two Nodes that it may place pods on."""
    for name in NODES:
        plane.ensure(
            "/api/v1/nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            },
        )
        set_node(plane, name, "True", "KubeletReady", "kubelet is posting ready status")
    kubeconfig = plane.client_kubeconfig("kube-scheduler", "/CN=system:kube-scheduler")
    plane.processes.add(
        Part(
            "kube-scheduler",
            [
                plane.programs / "kube-scheduler",
                f"--kubeconfig={kubeconfig}",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                f"--secure-port={free_port()}",
            ],
            lambda: True,
            plane.logs / "kube-scheduler.log",
        )
    )


def set_node(plane: ControlPlane, name: str, ready: str, reason: str, message: str) -> None:
    """Write the condition of a node as its kubelet or the node controller does."""
    room = {"cpu": "4", "memory": "8Gi", "pods": "500"}
    plane.call(
        "PATCH",
        f"/api/v1/nodes/{name}/status",
        {
            "status": {
                "capacity": room,
                "allocatable": room,
                "conditions": [
                    {
                        "type": "Ready",
                        "status": ready,
                        "reason": reason,
                        "message": message,
                        "lastTransitionTime": ago(120),
                    }
                ],
            }
        },
        MERGE,
    )
    node = plane.call("GET", f"/api/v1/nodes/{name}")
    if node["spec"].get("taints"):  # of a new node; the lifecycle controller does not run here
        plane.call("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": None}}, MERGE)


@dataclass
class Place:
    """One namespace, and helpers to break what is in it."""

    namespace: Namespace
    address: Callable[[], str] | None = None
    subject: tuple[str, str, int | str | None] = ("deployment", APP, None)
    token: str | None = None
    dial: bool = False
    logs: list[Log] = field(default_factory=list[Log])
    lookups: list[Lookup] = field(default_factory=list[Lookup])
    closing: list[Callable[[], Awaitable[Any]]] = field(default_factory=list)
    written: int = 0

    @property
    def plane(self) -> ControlPlane:
        return self.namespace.control_plane

    # --- real objects

    def deployment(
        self,
        name: str = APP,
        *,
        replicas: int = 2,
        labels: dict[str, str] | None = None,
        pods: bool = True,
        spec: dict[str, Any] | None = None,
        pod: dict[str, Any] | None = None,
        port: tuple[str, int] | None = ("dubbo", 20880),
        **container: Any,
    ) -> None:
        """A Deployment; waits for its pods, unless none are expected."""
        labels = labels or {"app": name}
        ports = [{"name": port[0], "containerPort": port[1]}] if port else []
        body = {"name": "provider", "image": IMAGE, "ports": ports} | container
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [body]} | (pod or {}),
                },
            }
            | (spec or {}),
        }
        self.namespace.apply(yaml.safe_dump(manifest))
        if pods and replicas:
            eventually(lambda: len(self.pods(labels)) >= replicas, f"{name} has its pods")

    def settled(self, labels: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """The pods, once the scheduler has bound them."""
        eventually(
            lambda: all(one["spec"].get("nodeName") for one in self.pods(labels)),
            "the pods are scheduled",
        )
        return self.pods(labels)

    def pods(self, labels: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """The pods with those labels."""
        labels = labels or {"app": APP}
        path = f"/api/v1/namespaces/{self.namespace.name}/pods"
        found = self.plane.call("GET", path)["items"]
        return [one for one in found if labels.items() <= one["metadata"].get("labels", {}).items()]

    def service(self, name: str = APP, **spec: Any) -> None:
        """A Service over `app: greeter` with the port dubbo."""
        metadata = {"name": name} | spec.pop("metadata", {})
        body = {
            "selector": {"app": APP},
            "ports": [{"name": "dubbo", "port": 20880, "targetPort": 20880}],
        } | spec
        body = {key: value for key, value in body.items() if value is not None}
        self.apply("v1", "Service", metadata, spec=body)

    def apply(self, version: str, kind: str, metadata: dict[str, Any], **rest: Any) -> None:
        """Any object."""
        self.namespace.apply(
            yaml.safe_dump({"apiVersion": version, "kind": kind, "metadata": metadata} | rest)
        )

    def target(self, name: str = APP, port: int | str | None = "dubbo") -> None:
        """Ask about a target, instead of the Deployment."""
        self.subject = ("service", name, port)

    # --- what a kubelet would say

    def status(
        self,
        state: dict[str, Any],
        *,
        restarts: int = 0,
        last: dict[str, Any] | None = None,
        ready: bool = False,
        phase: str = "Running",
        init: bool = False,
        labels: dict[str, str] | None = None,
        only: int | None = None,
        container: str = "provider",
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Write the status of the pods: one container, in this state."""
        for pod in self.settled(labels)[:only]:
            number = next(_addresses)
            host = (
                self.address()
                if self.address and ready and self.dial
                else (f"10.243.{number >> 8 & 255}.{number & 255}")
            )
            one = {
                "name": container,
                "image": IMAGE,
                "imageID": "",
                "ready": ready,
                "started": "running" in state,
                "restartCount": restarts,
                "state": state,
            }
            if last:
                one["lastState"] = {"terminated": last}
            flag = str(ready)
            conditions = [
                *pod["status"].get("conditions", []),
                {"type": "Initialized", "status": str(not init), "lastTransitionTime": ago(200)},
                {
                    "type": "Ready",
                    "status": flag,
                    "reason": "" if ready else "ContainersNotReady",
                    "lastTransitionTime": ago(190),
                },
                {"type": "ContainersReady", "status": flag, "lastTransitionTime": ago(190)},
            ]
            kind = "initContainerStatuses" if init else "containerStatuses"
            body = {
                "phase": phase,
                "podIP": host,
                "podIPs": [{"ip": host}],
                "startTime": ago(200),
                "conditions": conditions,
                kind: [one],
            } | (extra or {})
            path = f"/api/v1/namespaces/{self.namespace.name}/pods/{pod['metadata']['name']}/status"
            self.plane.call("PATCH", path, {"status": body}, MERGE)
            self.written += 1

    def ready(self, **more: Any) -> None:
        """All pods run and are ready; the controllers have noticed."""
        self.status({"running": {"startedAt": ago(180)}}, ready=True, **more)

    def available(self, count: int, name: str = APP) -> None:
        """Wait until the Deployment's controller counts so many."""
        path = f"/apis/apps/v1/namespaces/{self.namespace.name}/deployments/{name}"
        eventually(
            lambda: self.plane.call("GET", path)["status"].get("availableReplicas", 0) == count,
            f"{name} has {count} available",
        )

    def published(self, count: int, name: str = APP) -> None:
        """Wait until the slices list so many ready endpoints."""
        eventually(
            lambda: sum(one.ready for one in self.namespace.endpoints(name).values()) == count,
            f"{name} has {count} ready endpoints",
        )

    def event(
        self,
        reason: str,
        message: str,
        *,
        count: int = 5,
        kind: str = "Pod",
        source: str = "kubelet",
        seconds: float = 20,
    ) -> None:
        """An event of each pod."""
        for pod in self.pods():
            metadata = pod["metadata"]
            self.plane.call(
                "POST",
                f"/api/v1/namespaces/{self.namespace.name}/events",
                {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": {"generateName": f"{metadata['name']}."},
                    "involvedObject": {
                        "kind": kind,
                        "namespace": self.namespace.name,
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                        "apiVersion": "v1",
                    },
                    "type": "Warning",
                    "reason": reason,
                    "message": message.replace("POD", metadata["name"]),
                    "count": count,
                    "firstTimestamp": ago(170),
                    "lastTimestamp": ago(seconds),
                    "source": {"component": source, "host": "node-1"},
                },
            )
            self.written += 1

    def log(self, *lines: str, previous: bool = False) -> None:
        """What the containers would have logged."""
        for pod in self.pods():
            self.logs.append(Log(pod["metadata"]["name"], "provider", previous, list(lines)))
            self.written += 1

    # --- looking

    async def look(self, directory: Path) -> Bundle:
        """The bundle, with real handshakes where `dial` says so."""
        kind, name, port = self.subject
        namespace = self.namespace.name
        text = f"kubernetes:///{name}.{namespace}" + (f":{port}" if port else "")
        kubeconfig = self.plane.kubeconfig
        if self.token is not None:
            kubeconfig = self.plane.write_kubeconfig(
                directory / f"{namespace}.kubeconfig", {"token": self.token}, namespace=namespace
            )
        subject = Subject(kind, text if kind == "service" else name, namespace, name, port)
        access = await asyncio.to_thread(load_access, kubeconfig=kubeconfig)
        try:
            async with ClusterClient(access) as client:
                bundle = await collect(client, subject, dial=self.dial)
        finally:
            for close in self.closing:
                with suppress(Exception):
                    await close()
        unread = [one for one in bundle.unread if "log of" not in one.what]  # no kubelet gives any
        return msgspec.structs.replace(
            bundle,
            logs=self.logs,
            lookups=self.lookups,
            unread=unread,
        )
