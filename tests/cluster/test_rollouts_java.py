"""Rolling updates with Java on one side: what Dubbo Java loses, and what it does not.

What is asserted is what Kubbo answers for: a call that it made or served ran once at most, and a
failed one is known to have failed. How many calls fail is Java's affair; the run ends with it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.greeter import GreetService, User
from tests.cluster.kubelet import APP, Kubelet
from tests.cluster.namespace import READ_SERVICES, READ_SLICES, Rule
from tests.cluster.rollout_provider import PORT, Ledger
from tests.cluster.test_manifests import KubernetesCaller
from tests.cluster.test_rollouts import ROLLOUTS, Load, executions, until
from tests.interop.peer import JavaException, JavaProvider

import kubbo
from kubbo.manifests.registration import REGISTRATION_ANNOTATION, registration
from kubbo.rpc.service import read_interface

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.namespace import Namespace, PaperPod

RATE = 100  # calls a second; the JVMs compile while they serve


def reason(error: Exception) -> str:
    """Why Dubbo says that a call failed, without the names of who was there."""
    if "No provider available" in str(error):
        return "No provider available"
    cause = re.search(r"(?:, cause: |cause: )(.{1,100})", str(error))
    return re.sub(r"[0-9]+", "N", cause[1]) if cause else str(error)[:100]


@pytest.mark.root
@pytest.mark.timeout(200)
async def test_our_consumer_follows_a_rolling_update_of_java_providers(
    namespace: Namespace, provider_address: Callable[[], str], tried: Callable[[str, int], None]
) -> None:
    """Two Java providers are replaced; each is told by SIGTERM and has Dubbo's ten seconds."""
    await asyncio.to_thread(namespace.service, "greeter", port=PORT)
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    naming = kubbo.NamingContext(kubeconfig=reader.kubeconfig)
    with ExitStack() as stack:

        def start(number: int) -> tuple[JavaProvider, PaperPod]:
            host = provider_address()
            java = stack.enter_context(JavaProvider(PORT, host, shutdown_wait=10.0))
            return java, namespace.pod(f"java-{number}", host, app="greeter")

        def end(java: JavaProvider, pod: PaperPod) -> None:
            pod.terminate()
            java.terminate()
            java.wait()
            pod.delete()

        async def start_two(first: int) -> list[tuple[JavaProvider, PaperPod]]:
            return await asyncio.gather(
                *(asyncio.to_thread(start, first + number) for number in range(2))
            )

        running = await start_two(0)
        async with kubbo.Channel(naming=naming, timeout=30.0) as channel:
            greeter = channel.refer(GreetService, f"kubernetes:///greeter.{namespace.name}:dubbo")

            async def make(number: int) -> str:
                answer = await greeter.greet(User(number, "Ann"))
                assert answer.startswith(f"Hello Ann ({number}) from java ")
                return f"{number} {answer.rpartition(' ')[2]}"

            async with Load(make, RATE) as load:
                await asyncio.sleep(1.0)
                await start_two(2)
                await asyncio.gather(*(asyncio.to_thread(end, *old) for old in running))
                await asyncio.sleep(1.0)
    for error in load.failures.values():
        assert isinstance(error, kubbo.RpcError)
        assert error.progress is kubbo.Progress.SENT
    assert len(load.failures) < load.made / 20
    tried("calls to Java providers during a rolling update", load.made)
    tried("... of which failed, each knowing that it may have run", len(load.failures))


@pytest.mark.root
@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_a_java_consumer_follows_rolling_updates_of_ours(
    namespace: Namespace,
    provider_address: Callable[[], str],
    tmp_path: Path,
    tried: Callable[[str, int], None],
) -> None:
    """Dubbo Java 3.3.6 with its Kubernetes registry, and without retries, beside rolling updates of
    a Deployment: no call that it made ran twice."""
    plane = namespace.control_plane
    interfaces = [read_interface(Ledger), read_interface(GreetService)]
    annotation = await registration(interfaces, application=APP, port=PORT)
    consumer = namespace.identity("java", Rule(("pods", "services", "endpoints")))
    line: dict[str, Any] = {
        "registry": (
            f"kubernetes://127.0.0.1:{plane.port}?namespace={namespace.name}&trustCerts=true"
            f"&oauthToken={consumer.token}"
            "&registry-type=service&register-mode=instance&file.cache=false"
        ),
        "providedBy": APP,
        "url": "",
        "interface": "com.example.GreetService",
        "group": "",
        "version": "1.0.0",
        "timeout": 20_000,
        "method": "greet",
    }
    settings = {"application": APP}
    async with (
        Kubelet(namespace, provider_address, tmp_path, settings) as kubelet,
        KubernetesCaller() as java,
    ):
        await kubelet.deploy(3, annotations={REGISTRATION_ANNOTATION: annotation})
        await until(kubelet.rolled_out, "the Deployment")

        async def make(number: int) -> str:
            answer = await java.ask({**line, "args": [{"id": number, "name": "Ann"}]})
            return str(answer["value"])

        assert (await make(1_000_000)).startswith("1000000 ")  # its first call makes the reference
        async with Load(make, RATE) as load:
            await asyncio.sleep(1.0)
            for number in range(max(1, ROLLOUTS // 10)):
                await kubelet.roll(number)
                await until(kubelet.rolled_out, f"rollout {number}")
                await asyncio.sleep(1.0)

            async def settled() -> bool:
                return len(kubelet.pods) == 3

            await until(settled, "the old pods have gone")
        assert set(kubelet.codes.values()) == {0}
    counts = executions(kubelet)
    assert max(counts.values()) == 1
    assert load.answered <= counts.keys()
    assert all(isinstance(error, JavaException) for error in load.failures.values())
    assert len(load.failures) < load.made / 2
    tried("calls of a Java consumer during rolling updates, none run twice", load.made)
    for (why, ran), count in Counter(
        (reason(error), number in counts) for number, error in load.failures.items()
    ).items():
        tried(f"... of which failed{' after they had run' if ran else ''}: {why}", count)
