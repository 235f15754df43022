"""What a test makes in the cluster: a namespace with Services, paper pods and identities.

There is no kubelet, and none is missed: the endpointslice controller reads a pod's *status*, not
what runs. So a `PaperPod` is a Pod that is bound to a bare Node object and whose status the test
writes as a kubelet would. The controller follows in about 0.1 s. What listens on the pod's
address, if anything, is the test's own affair (`provider_address` makes one that can be dialled).

All calls here block, for milliseconds. In an asyncio test that serves or calls at the same time,
wrap them: ``await asyncio.to_thread(pod.set_ready, False)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import yaml
from tests.testbed.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.cluster.bed import ControlPlane


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a Role."""

    resources: tuple[str, ...]
    group: str = ""
    verbs: tuple[str, ...] = ("get", "list", "watch")


READ_SLICES = Rule(("endpointslices",), "discovery.k8s.io")
READ_SERVICES = Rule(("services",))


@dataclass(frozen=True, slots=True)
class Identity:
    """A ServiceAccount that may do exactly what its Role says, in three forms of credentials.

    `mount` is a directory as a pod finds it at /var/run/secrets/kubernetes.io/serviceaccount:
    ``token``, ``ca.crt`` and ``namespace``.
    """

    name: str
    token: str
    kubeconfig: Path
    mount: Path


@dataclass(frozen=True, slots=True)
class EndpointState:
    """The conditions of one address, as the slices have them."""

    ready: bool
    serving: bool
    terminating: bool
    zone: str = ""


@dataclass(frozen=True, slots=True)
class PaperPod:
    """A Pod that runs nowhere; the test says what becomes of it."""

    namespace: Namespace
    name: str
    address: str

    def set_ready(self, ready: bool) -> None:
        """Write the status as a kubelet does after a probe."""
        condition = {"type": "Ready", "status": str(ready)}
        self.namespace.control_plane.call(
            "PATCH",
            f"{self._path}/status",
            {
                "status": {
                    "phase": "Running",
                    "podIP": self.address,
                    "podIPs": [{"ip": self.address}],
                    "conditions": [condition],
                }
            },
            "application/merge-patch+json",
        )

    def terminate(self) -> None:
        """Begin its graceful deletion: it stays, terminating, until `delete`."""
        self._delete(grace_period=3600)

    def delete(self) -> None:
        """Remove it at once, whatever its state."""
        self._delete(grace_period=0)

    def _delete(self, *, grace_period: int) -> None:
        self.namespace.control_plane.call(
            "DELETE", self._path, {"gracePeriodSeconds": grace_period}
        )

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace.name}/pods/{self.name}"


@dataclass(frozen=True, slots=True)
class Namespace:
    """One test's own namespace."""

    control_plane: ControlPlane
    name: str
    directory: Path = field(repr=False)

    def kubectl(
        self,
        *arguments: str | Path,
        input: str | None = None,  # noqa: A002 - named as in subprocess.run
    ) -> str:
        """Run kubectl as the administrator, in this namespace."""
        return self.control_plane.kubectl("--namespace", self.name, *arguments, input=input)

    def apply(self, text: str) -> None:
        """``kubectl apply`` of YAML; it need not name the namespace."""
        self.kubectl("apply", "-f", "-", input=text)

    def service(
        self,
        name: str,
        *,
        port: int = 20880,
        port_name: str = "dubbo",
        target_port: int | str | None = None,
        headless: bool = True,
    ) -> None:
        """A Service over the pods with the label ``app: NAME``."""
        entry = {"name": port_name, "port": port, "targetPort": target_port or port}
        spec: dict[str, Any] = {"selector": {"app": name}, "ports": [entry]}
        if headless:
            spec["clusterIP"] = "None"
        manifest = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": spec,
        }
        self.apply(yaml.safe_dump(manifest))

    def pod(
        self,
        name: str,
        address: str,
        *,
        app: str,
        ready: bool = True,
        zone: str = "zone-a",
        ports: Mapping[str, int] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> PaperPod:
        """A paper pod with the label ``app: APP``, on the paper Node ``paper-ZONE``.

        `ports` are the container's named ports, for a Service whose targetPort is a name.
        """
        node = f"paper-{zone}"
        place = {"name": node, "labels": {"topology.kubernetes.io/zone": zone}}
        self.control_plane.ensure(
            "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": place}
        )
        container = {
            "name": "provider",
            "image": "none",
            "ports": [
                {"name": port_name, "containerPort": port}
                for port_name, port in (ports or {}).items()
            ],
        }
        self.control_plane.call(
            "POST",
            f"/api/v1/namespaces/{self.name}/pods",
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": app, **(labels or {})}},
                "spec": {
                    "nodeName": node,
                    "automountServiceAccountToken": False,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [container],
                },
            },
        )
        pod = PaperPod(self, name, address)
        pod.set_ready(ready)
        return pod

    def slices(self, service: str) -> list[dict[str, Any]]:
        """The EndpointSlice objects of a Service."""
        selector = urlencode({"labelSelector": f"kubernetes.io/service-name={service}"})
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.name}/endpointslices?{selector}"
        items: list[dict[str, Any]] = self.control_plane.call("GET", path)["items"]
        return items

    def endpoints(self, service: str) -> dict[str, EndpointState]:
        """All addresses in the slices of a Service, with their conditions."""
        found: dict[str, EndpointState] = {}
        for slice_ in self.slices(service):
            endpoints: list[dict[str, Any]] = slice_.get("endpoints") or []
            for endpoint in endpoints:
                conditions: dict[str, bool] = endpoint.get("conditions", {})
                state = EndpointState(
                    ready=conditions.get("ready", True),
                    serving=conditions.get("serving", True),
                    terminating=conditions.get("terminating", False),
                    zone=endpoint.get("zone", ""),
                )
                addresses: list[str] = endpoint["addresses"]
                found.update(dict.fromkeys(addresses, state))
        return found

    def wait_ready(self, service: str, addresses: set[str], *, within: float = 30.0) -> None:
        """Wait until exactly these addresses are ready in the slices of a Service."""

        def ready() -> set[str]:
            return {at for at, state in self.endpoints(service).items() if state.ready}

        eventually(
            lambda: ready() == addresses, f"{service} has ready {sorted(addresses)}", within=within
        )

    def identity(self, name: str, *rules: Rule) -> Identity:
        """A ServiceAccount with a Role of `rules`, effective when this returns."""
        plane = self.control_plane
        access = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": name,
        }
        role_rules = [
            {"apiGroups": [rule.group], "resources": [*rule.resources], "verbs": [*rule.verbs]}
            for rule in rules
        ]
        manifests: list[dict[str, Any]] = [
            {"apiVersion": "v1", "kind": "ServiceAccount"},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": role_rules},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "roleRef": access,
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.name}],
            },
        ]
        for manifest in manifests:
            manifest["metadata"] = {"name": name}
        self.apply(yaml.safe_dump_all(manifests))
        token = plane.token(self.name, name)

        mount = self.directory / f"{name}-mount"
        mount.mkdir()
        (mount / "token").write_text(token)
        (mount / "ca.crt").write_text(plane.ca.read_text())
        (mount / "namespace").write_text(self.name)
        kubeconfig = plane.write_kubeconfig(
            self.directory / f"{name}.kubeconfig", {"token": token}, namespace=self.name
        )
        # Authentication and authorization read caches of their own, a moment behind.
        eventually(lambda: self._allowed(token, rules), f"the Role of {name} is in force")
        return Identity(name, token, kubeconfig, mount)

    def _allowed(self, token: str, rules: Sequence[Rule]) -> bool:
        if self.control_plane.request("GET", "/api", token=token).status != 200:
            return False
        for rule in rules:
            for resource in rule.resources:
                for verb in rule.verbs:
                    attributes = {
                        "namespace": self.name,
                        "group": rule.group,
                        "resource": resource,
                        "verb": verb,
                    }
                    answer = self.control_plane.request(
                        "POST",
                        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                        {
                            "apiVersion": "authorization.k8s.io/v1",
                            "kind": "SelfSubjectAccessReview",
                            "spec": {"resourceAttributes": attributes},
                        },
                        token=token,
                    )
                    if answer.status != 201 or not answer.body["status"]["allowed"]:
                        return False
        return True
