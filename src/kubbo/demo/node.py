"""What a kubelet does for the pods of its node, as far as the demo needs it.

A pod is an object in the API server and a process here. The node keeps the first true to the
second, in the order that every drain relies on:

    start    object without address -> process -> it accepts connections -> address, Ready
    kill     SIGKILL -> the process is gone -> Failed, and the object goes
    delete   deletionTimestamp -> SIGTERM -> the process drains and ends -> the object goes

Each pod gets a loopback address of its own, as it would in a cluster; where the system has
only 127.0.0.1 (macOS), a port of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from kubbo.errors import KubboError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kubbo.sim.apiserver import Object, Store

__all__ = ["Node", "NodeError", "Pod", "service_object"]

NAMESPACE: Final = "shop"
SERVICE: Final = "greeter"
DUBBO_PORT: Final = 20880

_PODS: Final = 24  # addresses that must be free before one port is used on all of them
_START: Final = 30.0  # seconds until a pod must accept connections; a busy machine takes a few
_PROBE: Final = 0.05  # seconds between two looks whether it does
_END: Final = 25.0  # seconds from SIGTERM to SIGKILL, as terminationGracePeriodSeconds


class NodeError(KubboError):
    """A provider process could not be started."""


@dataclass(slots=True, eq=False)
class Pod:
    """A provider: its process, and where it listens."""

    name: str
    host: str
    port: int
    process: asyncio.subprocess.Process


def service_object() -> Object:
    """The Service that publishes the pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {
            "selector": {"app": SERVICE},
            "ports": [{"name": "dubbo", "port": DUBBO_PORT, "targetPort": "dubbo"}],
        },
    }


class Node:
    """Runs pods; `async with` ends those that are left, at once.

    `logs` is the directory that gets the standard error of each process; `addresses` are
    those that pods get, free ones on loopback without it.
    """

    def __init__(
        self, store: Store, logs: Path, *, addresses: Iterator[tuple[str, int]] | None = None
    ) -> None:
        self._store = store
        self._logs = logs
        self._reserved = contextlib.ExitStack()
        self._addresses = _addresses(self._reserved) if addresses is None else addresses
        self._numbers: dict[str, Iterator[int]] = {}
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for process in self._processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        for process in self._processes:
            await process.wait()
            assert process.stdin is not None
            process.stdin.close()
        self._reserved.close()

    async def start(self, version: str) -> Pod:
        """Start a pod of a version; returns when it is Ready.

        Raises:
            NodeError: its process ended, or accepts no connection.
        """
        number = next(self._numbers.setdefault(version, itertools.count(1)))
        name = f"{SERVICE}-{version}-{number}"
        host, port = next(self._addresses)
        self._store.create(_pod_object(name, version, port))
        with (self._logs / name).open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "kubbo.demo.pod",
                host,
                str(port),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its pods
            )
        self._processes.append(process)
        pod = Pod(name, host, port, process)
        await self._wait_accepting(pod)
        self._set_status(pod, "Running", ready=True)
        return pod

    async def kill(self, pod: Pod) -> None:
        """End a pod without a word to anybody."""
        pod.process.kill()
        await pod.process.wait()
        self._set_status(pod, "Failed", ready=False)
        self._remove(pod)

    async def delete(self, pod: Pod) -> None:
        """End a pod as the cluster does; returns when its process has drained and gone."""
        self._store.delete("pods", pod.name, namespace=NAMESPACE)
        pod.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_END):
                await pod.process.wait()
        except TimeoutError:
            pod.process.kill()
            await pod.process.wait()
        self._remove(pod)

    async def _wait_accepting(self, pod: Pod) -> None:
        try:
            async with asyncio.timeout(_START):
                while pod.process.returncode is None:
                    try:
                        _, writer = await asyncio.open_connection(pod.host, pod.port)
                    except OSError:
                        await asyncio.sleep(_PROBE)
                        continue
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
                    return
            why = f"ended with code {pod.process.returncode}"
        except TimeoutError:
            why = f"accepts no connection on {pod.host}:{pod.port} after {_START:g} s"
        words = (self._logs / pod.name).read_text(errors="replace").split("\n")
        last = next((line for line in reversed(words) if line.strip()), "none")
        raise NodeError(f"the provider {pod.name} {why}; its last words: {last[:1000]}")

    def _set_status(self, pod: Pod, phase: str, *, ready: bool) -> None:
        status: Object = {
            "phase": phase,
            "podIP": pod.host,
            "podIPs": [{"ip": pod.host}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        }
        self._store.patch("pods", pod.name, {"status": status}, namespace=NAMESPACE, status=True)

    def _remove(self, pod: Pod) -> None:
        self._store.delete("pods", pod.name, namespace=NAMESPACE, grace_seconds=0)


def _pod_object(name: str, version: str, port: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app": SERVICE, "version": version},
        },
        "spec": {
            "nodeName": "here",
            "containers": [
                {
                    "name": SERVICE,
                    "image": f"{SERVICE}:{version}",
                    "ports": [{"name": "dubbo", "containerPort": port}],
                }
            ],
        },
    }


def _addresses(reserved: contextlib.ExitStack) -> Iterator[tuple[str, int]]:
    """Addresses for pods, each used once: an old pod's must never be a new one's by chance.

    The port that pods share is reserved on 127.0.0.1 until the stack is closed, so that two
    demos which begin at the same moment do not choose the same one.
    """
    hosts = [f"127.0.0.{last}" for last in range(2, 2 + _PODS)]
    for port in (DUBBO_PORT, 0):
        reservation = socket.socket()
        try:
            reservation.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        reserved.callback(reservation.close)
        port = int(reservation.getsockname()[1])  # noqa: PLW2901 - 0 has become a number
        if all(_is_free(host, port) for host in hosts):
            yield from ((host, port) for host in hosts)
    while True:
        yield "127.0.0.1", _free_port()


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
