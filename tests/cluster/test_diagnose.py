"""`kubbo rbac --diagnose` on the real API server: pods say why none of them is ready."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.cluster.test_permissions import run
from tests.testbed.processes import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.namespace import Namespace

ACCOUNT = "consumer"


def fail(namespace: Namespace, name: str, reason: str) -> None:
    """Let a paper pod say what a kubelet would: its container waits, for a reason."""
    waiting = {
        "name": "provider",
        "image": "none",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason}},
    }
    namespace.control_plane.call(
        "PATCH",
        f"/api/v1/namespaces/{namespace.name}/pods/{name}/status",
        {"status": {"containerStatuses": [waiting]}},
        content_type="application/merge-patch+json",
    )


def allow(namespace: Namespace, *options: str) -> Path:
    """Apply what `kubbo rbac` prints; a kubeconfig of who has it."""
    plane = namespace.control_plane
    target = f"kubernetes:///greeter.{namespace.name}"
    printed = run("rbac", target, "-n", namespace.name, "--service-account", ACCOUNT, *options)
    plane.kubectl("apply", "-f", "-", input=printed.stdout)
    token = plane.token(namespace.name, ACCOUNT)
    pods = f"/api/v1/namespaces/{namespace.name}/pods"
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace.name}/endpointslices"
    wanted = (200, 200 if options else 403)
    eventually(
        lambda: (
            tuple(plane.request("GET", path, token=token).status for path in (slices, pods))
            == wanted
        ),
        f"the Role is in force {options}",
    )
    return plane.write_kubeconfig(
        namespace.directory / "consumer.kubeconfig", {"token": token}, namespace=namespace.name
    )


async def test_pods_say_why_where_they_may_be_read(namespace: Namespace) -> None:
    """With the plain Role the message counts the pods and names the option; with the option's Role
    it has their own reasons, and the funnel too."""
    await asyncio.to_thread(namespace.service, "greeter")
    reasons = ("ImagePullBackOff", "ImagePullBackOff", "CrashLoopBackOff")
    for number, reason in enumerate(reasons):
        name = f"greeter-{number}"
        await asyncio.to_thread(
            namespace.pod, name, f"10.244.8.{number + 1}", app="greeter", ready=False
        )
        await asyncio.to_thread(fail, namespace, name, reason)
    await asyncio.to_thread(
        eventually, lambda: len(namespace.endpoints("greeter")) == 3, "the slice lists the pods"
    )
    await asyncio.to_thread(namespace.kubectl, "create", "serviceaccount", ACCOUNT)
    target = f"kubernetes:///greeter.{namespace.name}:dubbo"
    kubeconfig = await asyncio.to_thread(allow, namespace)
    shown = await asyncio.to_thread(run, "endpoints", target, "--kubeconfig", kubeconfig)
    assert shown.returncode == 3
    assert "has no ready pod: 3 not ready" in shown.stderr
    assert "`kubbo rbac --diagnose`" in shown.stderr
    kubeconfig = await asyncio.to_thread(allow, namespace, "--diagnose")
    shown = await asyncio.to_thread(run, "endpoints", target, "--kubeconfig", kubeconfig)
    assert shown.returncode == 3
    assert "0 of 3 pods ready: ImagePullBackOff (2), CrashLoopBackOff (1)" in shown.stderr
    assert f"kubectl describe pod -n {namespace.name} greeter-0" in shown.stderr
    assert "> pods 0 (" in shown.stdout
