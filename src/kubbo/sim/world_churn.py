"""Services, slices and pods that change at random, as in a busy namespace.

Half of the Services get their slices from pods, by the controller; of the others the slices are
written here, since a controller never does all that a resolver may meet: a pod in two slices
while it moves, slices that vanish with their endpoints, a Service scaled to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubbo.sim.apiserver.objects import ApiError, key_of, mapping, objects, text

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from kubbo.sim.apiserver.objects import Json, Object
    from kubbo.sim.apiserver.store import Store

__all__ = ["PORT", "Churn"]

PORT: Final = 20880
_PORTS: Final[list[Json]] = [{"name": "dubbo", "port": PORT, "protocol": "TCP"}]
_SLICE_ENDPOINTS = 5  # so that a few pods make several slices
_MOST_PODS = 20  # of one Service


class Churn:
    """Changes the Services `names` of one namespace, one random step at a time."""

    def __init__(
        self, store: Store, rng: random.Random, *, namespace: str, names: Sequence[str]
    ) -> None:
        self.steps = 0
        self._store = store
        self._rng = rng
        self._namespace = namespace
        self._names = tuple(names)
        self._made = 0

    def step(self) -> None:
        """Change something of one Service."""
        index = self._rng.randrange(len(self._names))
        name = self._names[index]
        self.steps += 1
        self._ensure_service(name, selects=index % 2 == 0)
        if index % 2 == 0:
            self._change_pods(name)
        else:
            self._change_slices(name)

    def _ensure_service(self, name: str, *, selects: bool) -> None:
        try:
            self._store.get("services", name, self._namespace)
        except ApiError:
            spec: Object = {"ports": [{"name": "dubbo", "port": PORT}]}
            if selects:
                spec["selector"] = {"app": name}
            self._store.create(
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec},
                namespace=self._namespace,
            )

    # --- by pods

    def _change_pods(self, name: str) -> None:
        pods = [
            pod
            for pod in self._store.list("pods", self._namespace)
            if text(pod, "metadata", "labels", "app") == name
        ]
        dice = self._rng.random()
        if not pods or (dice < 0.4 and len(pods) < _MOST_PODS):
            self._create_pod(name)
            return
        pod = self._rng.choice(pods)
        pod_name = key_of(pod)[1]
        if dice < 0.7:
            ready = self._rng.random() < 0.7
            self._store.update({**pod, "status": self._pod_status(pod, ready=ready)}, status=True)
        elif text(pod, "metadata", "deletionTimestamp"):
            self._store.delete("pods", pod_name, namespace=self._namespace, grace_seconds=0)
        else:
            self._store.delete("pods", pod_name, namespace=self._namespace)

    def _create_pod(self, name: str) -> None:
        self._made += 1
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{name}-{self._made}", "labels": {"app": name}},
            "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "sim"}]},
        }
        made = self._store.create(pod, namespace=self._namespace)
        status = self._pod_status(made, ready=self._rng.random() < 0.8)
        self._store.update({**made, "status": status}, status=True)

    def _pod_status(self, pod: Object, *, ready: bool) -> Object:
        address = text(pod, "status", "podIP") or self._address()
        return {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        }

    def _address(self) -> str:
        """Another one for each pod that ever was, up to 60,000."""
        self._made += 1
        return f"10.2.{self._made // 250 % 250}.{self._made % 250 + 2}"

    # --- by slices

    def _change_slices(self, name: str) -> None:
        slices = [
            one
            for one in self._store.list("endpointslices", self._namespace)
            if text(one, "metadata", "labels", "kubernetes.io/service-name") == name
        ]
        count = sum(len(objects(one, "endpoints")) for one in slices)
        dice = self._rng.random()
        if not slices or (dice < 0.3 and count < _MOST_PODS):
            self._add_endpoint(name, slices)
        elif dice < 0.55:
            self._change_endpoint(self._rng.choice(slices))
        elif dice < 0.8:
            self._remove_endpoint(self._rng.choice(slices))
        elif dice < 0.95:
            self._move_endpoint(slices)
        elif dice < 0.98:
            gone = self._rng.choice(slices)
            self._store.delete("endpointslices", key_of(gone)[1], namespace=self._namespace)
        else:
            for one in slices:
                self._write(one, [])

    def _add_endpoint(self, name: str, slices: Sequence[Object]) -> None:
        self._made += 1
        endpoint: Object = {
            "addresses": [self._address()],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {
                "kind": "Pod",
                "namespace": self._namespace,
                "name": f"{name}-{self._made}",
                "uid": f"uid-{self._made}",
            },
        }
        roomy = [one for one in slices if len(objects(one, "endpoints")) < _SLICE_ENDPOINTS]
        if roomy:
            one = self._rng.choice(roomy)
            self._write(one, [*objects(one, "endpoints"), endpoint])
            return
        self._store.create(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "generateName": f"{name}-",
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "ports": _PORTS,
                "endpoints": [endpoint],
            },
            namespace=self._namespace,
        )

    def _change_endpoint(self, one: Object) -> None:
        endpoints = list(objects(one, "endpoints"))
        if not endpoints:
            return
        index = self._rng.randrange(len(endpoints))
        before = mapping(endpoints[index], "conditions")
        conditions: Object
        if before.get("terminating") is True:
            conditions = {**before, "serving": False}
        elif self._rng.random() < 0.5:
            conditions = {"ready": False, "serving": True, "terminating": True}
        else:
            ready = before.get("ready") is not True
            conditions = {"ready": ready, "serving": ready, "terminating": False}
        endpoints[index] = {**endpoints[index], "conditions": conditions}
        self._write(one, endpoints)

    def _remove_endpoint(self, one: Object) -> None:
        endpoints = list(objects(one, "endpoints"))
        if endpoints:
            endpoints.pop(self._rng.randrange(len(endpoints)))
            self._write(one, endpoints)

    def _move_endpoint(self, slices: Sequence[Object]) -> None:
        """Into another slice first, then out of its own: for a moment it is in both."""
        source = self._rng.choice(slices)
        others = [
            one
            for one in slices
            if one is not source and len(objects(one, "endpoints")) < _SLICE_ENDPOINTS
        ]
        endpoints = list(objects(source, "endpoints"))
        if not others or not endpoints:
            return
        target = self._rng.choice(others)
        moved = endpoints.pop(self._rng.randrange(len(endpoints)))
        self._write(target, [*objects(target, "endpoints"), moved])
        self._write(source, endpoints)

    def _write(self, one: Object, endpoints: Sequence[Object]) -> None:
        self._store.update({**one, "endpoints": list["Json"](endpoints)})
