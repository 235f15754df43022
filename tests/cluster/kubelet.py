"""What a kubelet does, for Deployments whose pods are processes of this machine.

    new Pod             an address on lo, a process, /readyz until it is 200 -> podIP, Ready
    /readyz changes     Ready follows
    deletionTimestamp   SIGTERM, and SIGKILL after the grace
    process gone        the Pod goes, or is Failed if nobody had it deleted

Everything else is the real control plane: Deployment, ReplicaSets, surge and unavailability,
EndpointSlices. Pods are bound by their template (`nodeName`), because no scheduler runs. It follows
the API server by lists, ten a second, and so survives its death as a kubelet does: what runs, runs
on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from tests.cluster.rollout_provider import ADMIN_PORT, PORT
from tests.cluster.test_apiserver_conformance import administrator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.cluster.namespace import Namespace

PERIOD = 0.1  # seconds between two looks
PROBE_PERIOD = 1.0  # seconds between two probes of a pod that is ready
APP = "ledger"


@dataclass(eq=False)
class Pod:
    """One pod of the Deployment, and its process."""

    name: str
    host: str
    pid: int = 0
    ready: bool = False
    deleting: bool = False
    code: int | None = None
    probe_at: float = 0.0
    kill: asyncio.TimerHandle | None = None


@dataclass
class Kubelet:
    """Runs the pods of one namespace; `address` puts a new one on `lo`.

    `pods` are those that run, by name; `codes` the exit codes of all that ended, by name.
    """

    namespace: Namespace
    address: Callable[[], str]
    directory: Path
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    pods: dict[str, Pod] = field(default_factory=dict[str, Pod])
    codes: dict[str, int] = field(default_factory=dict[str, int])

    async def __aenter__(self) -> Self:
        self._log = (self.directory / "providers.log").open("ab")
        plane = self.namespace.control_plane
        connector = aiohttp.TCPConnector(ssl=administrator(plane))
        self._session = aiohttp.ClientSession(plane.url, connector=connector)
        self._zygote = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.cluster.rollout_provider",
            cwd=Path(__file__).parents[2],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
        )
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._listen())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pod in self.pods.values():
            if pod.kill is not None:
                pod.kill.cancel()
            if pod.pid and pod.code is None:
                os.kill(pod.pid, signal.SIGKILL)
        assert self._zygote.stdin is not None
        self._zygote.stdin.close()
        await self._zygote.wait()
        await self._session.close()
        self._log.close()

    def ledgers(self) -> list[Path]:
        """What the pods have written down."""
        return sorted(self.directory.glob("*.ledger"))

    def log(self) -> str:
        """What the pods have logged."""
        return (self.directory / "providers.log").read_text(encoding="utf-8")

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace.name}/pods"

    async def _follow(self) -> None:
        while True:
            # The API server may be dead, or not ready yet.
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, KeyError):
                async with asyncio.timeout(5), self._session.get(self._path) as response:
                    items: list[dict[str, Any]] = (await response.json())["items"]
                self._forget_all_but({each["metadata"]["name"] for each in items})
                await asyncio.gather(*(self._look(each) for each in items))
            await asyncio.sleep(PERIOD)

    def _forget_all_but(self, names: set[str]) -> None:
        """A dying API server may have deleted a Pod and not said so."""
        for pod in [each for name, each in self.pods.items() if name not in names]:
            if pod.code is not None:
                del self.pods[pod.name]
            else:
                self._signal(pod, signal.SIGKILL)

    async def _look(self, item: dict[str, Any]) -> None:
        name = item["metadata"]["name"]
        pod = self.pods.get(name)
        if pod is None:
            if "deletionTimestamp" in item["metadata"]:
                await self._delete(name)
                return
            pod = self.pods[name] = Pod(name, self.address())
            self._start(pod)
        if "deletionTimestamp" in item["metadata"] and not pod.deleting:
            pod.deleting = True
            self._signal(pod, signal.SIGTERM)
            grace = float(item["metadata"]["deletionGracePeriodSeconds"])
            loop = asyncio.get_running_loop()
            pod.kill = loop.call_later(grace, self._signal, pod, signal.SIGKILL)
        if pod.code is not None:
            if pod.deleting:
                await self._delete(name)
                self.pods.pop(name, None)
            else:
                await self._set_status(pod, "Failed", ready=False)
            return
        now = asyncio.get_running_loop().time()
        if now < pod.probe_at:
            return
        ready = await self._probe(pod)
        pod.probe_at = now + (PROBE_PERIOD if ready else 0.0)
        if ready != pod.ready or "podIP" not in item.get("status", {}):
            await self._set_status(pod, "Running", ready=ready)
            pod.ready = ready

    def _start(self, pod: Pod) -> None:
        command = {
            "start": pod.name,
            "host": pod.host,
            "ledger": str(self.directory / f"{pod.name}.ledger"),
            "settings": self.settings,
        }
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps(command).encode() + b"\n")

    async def _listen(self) -> None:
        assert self._zygote.stdout is not None
        while line := await self._zygote.stdout.readline():
            event = json.loads(line)
            if "started" in event:
                pod = self.pods[event["started"]]
                pod.pid = event["pid"]
                if pod.deleting:  # before it had a process
                    self._signal(pod, signal.SIGTERM)
            else:
                pod = self.pods[event["ended"]]
                pod.code = self.codes[pod.name] = event["code"]
                if pod.kill is not None:
                    pod.kill.cancel()

    def _signal(self, pod: Pod, number: signal.Signals) -> None:
        if pod.pid and pod.code is None:
            os.kill(pod.pid, number)

    async def _probe(self, pod: Pod) -> bool:
        if not pod.pid:
            return False
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(pod.host, ADMIN_PORT)
                with contextlib.closing(writer):
                    writer.write(b"GET /readyz HTTP/1.1\r\nHost: probe\r\n\r\n")
                    line = await reader.readline()
        except (OSError, TimeoutError):
            return False
        return line.startswith(b"HTTP/1.1 200 ")

    async def _set_status(self, pod: Pod, phase: str, *, ready: bool) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": now}
        status = {
            "phase": phase,
            "podIP": pod.host,
            "podIPs": [{"ip": pod.host}],
            "conditions": [condition],
        }
        async with self._session.patch(
            f"{self._path}/{pod.name}/status",
            data=json.dumps({"status": status}),
            headers={"Content-Type": "application/merge-patch+json"},
        ) as response:
            await response.read()

    async def _delete(self, name: str) -> None:
        async with self._session.delete(
            f"{self._path}/{name}", json={"gracePeriodSeconds": 0}
        ) as response:
            await response.read()

    # -- the Deployment

    async def deploy(
        self,
        replicas: int,
        *,
        max_unavailable: str = "",
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Create Service and Deployment; Kubernetes' own defaults unless told."""
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"}}
        await asyncio.to_thread(self.namespace.control_plane.ensure, "/api/v1/nodes", node)
        await asyncio.to_thread(self.namespace.service, APP, port=PORT)
        container = {"name": "provider", "image": "none", "ports": [{"containerPort": PORT}]}
        spec: dict[str, Any] = {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": APP}},
            "template": {
                "metadata": {"labels": {"app": APP}, "annotations": dict(annotations or {})},
                "spec": {
                    "nodeName": "here",
                    "automountServiceAccountToken": False,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [container],
                },
            },
        }
        if max_unavailable:
            rolling = {"maxUnavailable": max_unavailable}
            spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": APP},
            "spec": spec,
        }
        await asyncio.to_thread(self.namespace.apply, json.dumps(manifest))

    async def roll(self, number: int) -> None:
        """Change the template, as `kubectl rollout restart` does."""
        template = {"metadata": {"annotations": {"rollout": str(number)}}}
        await self._persistently(
            "PATCH", {"spec": {"template": template}}, "application/merge-patch+json"
        )

    async def rolled_out(self) -> bool:
        """Whether every replica is of the newest template, and available."""
        found = await self._persistently("GET", None, "application/json")
        status, wanted = found["status"], found["spec"]["replicas"]
        return bool(
            status.get("observedGeneration") == found["metadata"]["generation"]
            and status.get("updatedReplicas") == wanted
            and status.get("replicas") == wanted
            and status.get("availableReplicas") == wanted
        )

    async def _persistently(self, method: str, body: Any, content_type: str) -> dict[str, Any]:
        """One request to the Deployment, again until an API server takes it."""
        path = f"/apis/apps/v1/namespaces/{self.namespace.name}/deployments/{APP}"
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with (
                    asyncio.timeout(5),
                    self._session.request(
                        method,
                        path,
                        data=None if body is None else json.dumps(body),
                        headers={"Content-Type": content_type},
                    ) as response,
                ):
                    answer: dict[str, Any] = await response.json()
                    if response.status == 200:
                        return answer
            await asyncio.sleep(PERIOD)
