"""A watched ConfigMap on the real API server, under exactly the Role that is printed for it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from tests.cluster.test_permissions import ACCOUNT, run
from tests.testbed.processes import eventually

import kubbo
from kubbo.live.live import LiveConfiguration
from kubbo.live.open import open_source

if TYPE_CHECKING:
    from tests.cluster.namespace import Namespace

NAME = "kubbo"


def config_map(namespace: Namespace, **data: str) -> str:
    """The ConfigMap, for kubectl."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": namespace.name},
            "data": {f"{key}.yaml": text for key, text in data.items()},
        }
    )


class Reader:
    """A service account that may watch that ConfigMap, and nothing else."""

    def __init__(self, namespace: Namespace) -> None:
        self.plane = namespace.control_plane
        namespace.kubectl("create", "serviceaccount", ACCOUNT)
        source = f"configmap:///{NAME}.{namespace.name}"
        printed = run(
            "rbac",
            "static:///10.0.0.1:20880",
            "-n",
            namespace.name,
            "--service-account",
            ACCOUNT,
            "--config",
            source,
        )
        assert printed.returncode == 0, printed.stderr
        self.plane.kubectl("apply", "-f", "-", input=printed.stdout)
        self.token = self.plane.token(namespace.name, ACCOUNT)
        self.kubeconfig = self.plane.write_kubeconfig(
            namespace.directory / "reader.kubeconfig",
            {"token": self.token},
            namespace=namespace.name,
        )
        self.maps = f"/api/v1/namespaces/{namespace.name}/configmaps"
        selected = f"{self.maps}?fieldSelector=metadata.name%3D{NAME}"
        eventually(lambda: self.status(selected) == 200, "the Role is in force")

    def status(self, path: str) -> int:
        return self.plane.request("GET", path, None, token=self.token).status


async def test_a_watched_config_map_needs_the_printed_role_and_no_more(
    namespace: Namespace,
) -> None:
    """Made, changed, deleted: each is in force within a moment; no other ConfigMap may be read."""
    reader = await asyncio.to_thread(Reader, namespace)
    assert await asyncio.to_thread(reader.status, reader.maps) == 403
    assert await asyncio.to_thread(reader.status, f"{reader.maps}/kube-root-ca.crt") == 403
    services = f"/api/v1/namespaces/{namespace.name}/services"
    assert await asyncio.to_thread(reader.status, services) == 403
    applied: list[Any] = []
    naming = kubbo.NamingContext(kubeconfig=reader.kubeconfig, environ={})
    async with naming:
        live: LiveConfiguration[Any] = LiveConfiguration(
            open_source(f"configmap:///{NAME}", naming),
            prepare=lambda configuration: configuration.consumer.options.timeout,
            apply=applied.append,
        )
        await live.start()
        try:
            assert applied == [None]
            for seconds in (0.5, 0.7):
                text = config_map(namespace, kubbo=f"consumer: {{timeout: {seconds}s}}")
                await asyncio.to_thread(namespace.kubectl, "apply", "-f", "-", input=text)
                async with asyncio.timeout(30):
                    while applied[-1] != seconds:  # noqa: ASYNC110 - nobody announces it
                        await asyncio.sleep(0.02)
            broken = config_map(namespace, kubbo="consumer: {timeout: soon}")
            await asyncio.to_thread(namespace.kubectl, "apply", "-f", "-", input=broken)
            async with asyncio.timeout(30):
                while not live.problem:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.02)
            assert "kubbo.yaml:1:21: consumer.timeout: 'soon' is no duration" in live.problem
            assert applied == [None, 0.5, 0.7]
            await asyncio.to_thread(namespace.kubectl, "delete", "configmap", NAME)
            async with asyncio.timeout(30):
                while applied[-1] is not None:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.02)
        finally:
            await live.aclose()


def test_the_command_explains_what_is_in_the_cluster(namespace: Namespace) -> None:
    """`kubbo config explain` with the same Role; without it, the Role is told."""
    text = config_map(namespace, kubbo="consumer: {timeout: 700}")
    namespace.kubectl("apply", "-f", "-", input=text)
    reader = Reader(namespace)
    source = f"configmap:///{NAME}"
    arguments = ("config", "explain", "timeout", "--config", source, "--kubeconfig")
    shown = run(*arguments, reader.kubeconfig, "-o", "json")
    assert shown.returncode == 0, shown.stderr
    answer = json.loads(shown.stdout)
    assert (answer["value"], answer["layers"][0]["place"]) == (700, f"{source}/kubbo.yaml:1:12")
    namespace.kubectl("delete", "rolebinding", f"kubbo-config:{namespace.name}:{ACCOUNT}:{NAME}")
    selected = f"{reader.maps}?fieldSelector=metadata.name%3D{NAME}"
    eventually(lambda: reader.status(selected) == 403, "the Role is gone")
    shown = run(*arguments, reader.kubeconfig)
    assert shown.returncode == 2
    assert f"resourceNames: [{NAME}]" in shown.stderr
