"""A Deployment of real providers in a `World`, and consumers that call them while it rolls.

A pod is a host on the simulated network with a `kubbo.Server`, and a Pod object in the store. It
is ready once its server listens. Its end is that of a real pod: the Pod gets a deletion time
(the controller marks its endpoint terminating), and in the same moment the server is told to
drain; when it has ended, the Pod and the host are gone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kubbo.naming.kubernetes.client import ClusterClient
from kubbo.naming.open import NamingContext
from kubbo.rpc.server import Server
from kubbo.sim.net_http import SimConnector
from kubbo.sim.world import NAMESPACE
from kubbo.sim.world_churn import PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.sim.apiserver.objects import Object
    from kubbo.sim.world import World

__all__ = ["Deployment", "Pod", "SimNaming"]


class SimNaming(NamingContext):
    """A naming context of a world: its credentials, and the client over its network."""

    def __init__(self, world: World, *, purpose: str) -> None:
        super().__init__(environ={}, namespace=NAMESPACE, rng=world.random(purpose))
        self._world = world

    async def _open_cluster(self) -> ClusterClient:
        return ClusterClient(self._world.credentials, connector=SimConnector)


class Pod:
    """One provider: its host, its server, and its object in the store."""

    def __init__(self, world: World, name: str, address: str, app: str) -> None:
        self.name = name
        self.address = address
        self._world = world
        self._app = app
        self._server: Server | None = None

    async def start(self, implementation: object, *, starting: float) -> None:
        """Create the Pod, start its server after `starting` seconds, and become ready."""
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "labels": {"app": self._app}},
            "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "sim"}]},
        }
        self._world.store.create(pod, namespace=NAMESPACE)
        self._set_status(ready=False)
        await asyncio.sleep(starting)
        with self._world.network.on(self.address):
            self._server = Server(PORT)
            await self._server.__aenter__()
            self._server.export(implementation)
            await self._server.start()
        self._set_status(ready=True)

    async def stop(self) -> int:
        """Delete the Pod and drain its server; returns how many calls were cut off."""
        assert self._server is not None
        store = self._world.store
        store.delete("pods", self.name, namespace=NAMESPACE)
        await self._server.drain()
        await self._server.aclose()
        store.delete("pods", self.name, namespace=NAMESPACE, grace_seconds=0)
        self._world.network.remove_host(self.address)
        return self._server.cut_off

    def _set_status(self, *, ready: bool) -> None:
        pod = self._world.store.get("pods", self.name, NAMESPACE)
        condition: Object = {"type": "Ready", "status": "True" if ready else "False"}
        pod["status"] = {
            "phase": "Running",
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "conditions": [condition],
        }
        self._world.store.update(pod, status=True)


class Deployment:
    """Pods behind a Service `app`, replaced one by one.

    `make` gives what a pod exports, by the pod's name.
    """

    def __init__(self, world: World, app: str, make: Callable[[str], object]) -> None:
        self.app = app
        self.pods: list[Pod] = []
        self.cut_off = 0
        self._world = world
        self._make = make
        self._rng = world.random(f"deployment {app}")
        self._made = 0

    async def start(self, replicas: int) -> None:
        """Create the Service and its first pods."""
        service: Object = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.app},
            "spec": {
                "selector": {"app": self.app},
                "ports": [{"name": "dubbo", "port": PORT, "targetPort": PORT}],
            },
        }
        self._world.store.create(service, namespace=NAMESPACE)
        self.pods = [await self._start_pod() for _ in range(replicas)]

    async def roll(self) -> None:
        """Replace every pod: a new one becomes ready, then an old one is told to end.

        As with the default of Kubernetes, the next one does not wait for the last one's end.
        """
        ending: list[asyncio.Task[int]] = []
        for old in tuple(self.pods):
            self.pods.append(await self._start_pod())
            self.pods.remove(old)
            ending.append(asyncio.create_task(old.stop(), name=f"stop {old.name}"))
        self.cut_off += sum(await asyncio.gather(*ending))

    async def stop(self) -> None:
        """End every pod."""
        ends = await asyncio.gather(*(pod.stop() for pod in self.pods))
        self.cut_off += sum(ends)
        self.pods = []

    async def _start_pod(self) -> Pod:
        self._made += 1
        name = f"{self.app}-{self._made}"
        address = f"10.3.{self._made // 250}.{self._made % 250 + 2}"
        pod = Pod(self._world, name, address, self.app)
        await pod.start(self._make(name), starting=self._rng.uniform(0.1, 3.0))
        return pod
