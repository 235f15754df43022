"""The main job on real parts: a consumer follows a Service through the real API server.

Providers are real processes, three in Python and one in Java, at addresses of paper pods
that the real endpointslice controller puts into slices. No call is idempotent, so nothing
here is saved by a second try that might run twice.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.cluster.greeter import PORT, GreeterProcess, GreetService, User
from tests.cluster.namespace import READ_SERVICES, READ_SLICES
from tests.interop.peer import JavaProvider

import kubbo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.cluster.bed import ControlPlane
    from tests.cluster.namespace import Namespace

WITHIN = 30.0  # seconds until a condition that must come true is given up


class Load:
    """Eight callers that never pause; counts who answered, and what failed."""

    def __init__(self, greeter: GreetService) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[Exception] = []
        self._recent: list[str] = []
        self._greeter = greeter
        self._stop = asyncio.Event()
        self._enough = asyncio.Event()

    async def run(self) -> None:
        """Call until `stop`."""
        await asyncio.gather(*(self._call(worker) for worker in range(8)))

    async def _call(self, worker: int) -> None:
        while not self._stop.is_set():
            try:
                answer = await self._greeter.greet(User(worker, "Ann"))
            except Exception as error:  # noqa: BLE001 - every failure counts
                self.failures.append(error)
                await asyncio.sleep(0.01)
                continue
            match = re.fullmatch(rf"Hello Ann \({worker}\) from (?:python|java) (\S+):\d+", answer)
            assert match is not None, answer
            self.answers[match[1]] += 1
            self._recent.append(match[1])
            if len(self._recent) >= 100:
                self._enough.set()

    def stop(self) -> None:
        self._stop.set()

    async def until_answered_by(self, hosts: Iterable[str]) -> None:
        """Return when exactly `hosts` answered the last 100 calls."""
        wanted = set(hosts)
        seen: set[str] = set()
        try:
            async with asyncio.timeout(WITHIN):
                while seen != wanted:
                    self._recent.clear()
                    self._enough.clear()
                    await self._enough.wait()
                    seen = set(self._recent)
        except TimeoutError:
            pytest.fail(f"answered by {seen}, not by {wanted}: {self.failures[:3]}")


@pytest.mark.root
async def test_a_consumer_follows_the_real_api_server(
    control_plane: ControlPlane,
    namespace: Namespace,
    provider_address: Callable[[], str],
) -> None:
    """Scale up, scale down, a deleted pod, an API server that is killed and comes back with
    changes made meanwhile: every call is answered, by the providers that the slices name.
    """
    namespace.service("greeter")
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    hosts = [provider_address() for _ in range(5)]
    java_host = hosts.pop()
    with ExitStack() as providers:

        def provider(host: str) -> GreeterProcess:
            return providers.enter_context(GreeterProcess(host))

        processes = {host: provider(host) for host in hosts[:3]}
        pods = {
            host: namespace.pod(f"python-{n}", host, app="greeter")
            for n, host in enumerate(hosts[:3])
        }
        providers.enter_context(JavaProvider(PORT, java_host))
        java_pod = namespace.pod("java", java_host, app="greeter")

        context = kubbo.NamingContext(kubeconfig=reader.kubeconfig)
        async with kubbo.Channel(naming=context, timeout=10.0) as channel:
            target = f"kubernetes:///greeter.{namespace.name}:dubbo"
            load = Load(channel.refer(GreetService, target))
            running = asyncio.create_task(load.run())
            await load.until_answered_by([*hosts[:3], java_host])

            # scale up
            processes[hosts[3]] = await asyncio.to_thread(provider, hosts[3])
            pods[hosts[3]] = await asyncio.to_thread(
                namespace.pod, "python-3", hosts[3], app="greeter"
            )
            await load.until_answered_by([*hosts, java_host])

            # scale down: the pod terminates and its process is told at the same moment
            await asyncio.to_thread(pods[hosts[0]].terminate)
            processes[hosts[0]].terminate()
            assert await asyncio.to_thread(processes[hosts[0]].wait) == 0
            await asyncio.to_thread(pods[hosts[0]].delete)
            await load.until_answered_by([*hosts[1:], java_host])

            # a pod that is deleted without a word: the process goes on, the slice has lost it
            await asyncio.to_thread(java_pod.delete)
            await load.until_answered_by(hosts[1:])

            # the API server dies; calls go on; while it is away a provider leaves in order
            control_plane.kill("kube-apiserver")
            processes[hosts[1]].terminate()
            assert await asyncio.to_thread(processes[hosts[1]].wait) == 0
            await load.until_answered_by(hosts[2:])
            await asyncio.to_thread(control_plane.start, "kube-apiserver")
            await asyncio.to_thread(pods[hosts[1]].delete)
            processes[hosts[0]] = await asyncio.to_thread(provider, hosts[0])
            await asyncio.to_thread(namespace.pod, "python-0-again", hosts[0], app="greeter")
            await load.until_answered_by([hosts[0], *hosts[2:]])

            load.stop()
            await running
        assert load.failures == []
        assert load.answers.total() > 1_000
