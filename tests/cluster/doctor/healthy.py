"""Deployments that are well, or on their way, and look suspicious: no cause may be named."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.cluster.doctor.broken import PROVIDER, TCP, ended, scenario, waiting, working
from tests.cluster.doctor.place import APP, IMAGE, ago

if TYPE_CHECKING:
    from tests.cluster.doctor.place import Place


@scenario("healthy", "deployment")
async def _(place: Place) -> None:
    await working(place)


@scenario("healthy", "target")
async def _(place: Place) -> None:
    await working(place)
    place.target()


@scenario("healthy", "namespace")
async def _(place: Place) -> None:
    await working(place)
    place.subject = ("namespace", "", None)


@scenario("healthy", "target-by-number")
async def _(place: Place) -> None:
    await working(place)
    place.target(port=20880)


@scenario("healthy", "no-declared-ports")
async def _(place: Place) -> None:
    await working(place, port=None)
    place.target()


@scenario("healthy", "restarted-once-long-ago")
async def _(place: Place) -> None:
    await working(place)
    oom = ended(137, "OOMKilled", seconds=3600)
    await asyncio.to_thread(lambda: place.ready(restarts=1, last=oom))
    await asyncio.to_thread(place.available, 2)


@scenario("healthy", "failed-probes-while-it-started")
async def _(place: Place) -> None:
    await working(place, readinessProbe=TCP)
    message = "Readiness probe failed: dial tcp 10.243.0.1:20880: connect: connection refused"
    await asyncio.to_thread(lambda: place.event("Unhealthy", message, count=4, seconds=170))


@scenario("healthy", "sandbox-at-the-second-try")
async def _(place: Place) -> None:
    await working(place)
    message = "Failed to create pod sandbox: rpc error: code = Unknown desc = timeout"
    await asyncio.to_thread(lambda: place.event("FailedCreatePodSandBox", message, count=1))


@scenario("healthy", "policy-that-lets-in")
async def _(place: Place) -> None:
    await working(place)
    spec = {
        "podSelector": {"matchLabels": {"app": APP}},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": "dubbo"}]}],
    }
    await asyncio.to_thread(
        lambda: place.apply("networking.k8s.io/v1", "NetworkPolicy", {"name": "in"}, spec=spec)
    )
    place.target()


@scenario("healthy", "annotated")
async def _(place: Place) -> None:
    await working(place)
    metadata = {"labels": PROVIDER, "annotations": {"kubbo.dev/services": "com.example.Greeter"}}
    await asyncio.to_thread(lambda: place.service(metadata=metadata))
    place.target()


@scenario("healthy", "job-that-has-ended")
async def _(place: Place) -> None:
    await working(place)
    body = {
        "template": {
            "metadata": {"labels": {"app": "migrate"}},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "provider", "image": IMAGE}],
            },
        }
    }

    def make() -> None:
        from tests.testbed.processes import eventually

        place.apply("batch/v1", "Job", {"name": "migrate"}, spec=body)
        labels = {"app": "migrate"}
        eventually(lambda: place.pods(labels), "the Job has its pod")
        done = {"terminated": ended(1)}
        place.status(done, labels=labels, phase="Failed")

    await asyncio.to_thread(make)
    place.subject = ("namespace", "", None)


@scenario("healthy", "rolling-update")
async def _(place: Place) -> None:
    """A third pod is being made, the old two serve on."""
    await working(place)

    def make() -> None:
        from tests.testbed.processes import eventually

        place.namespace.kubectl("set", "image", f"deployment/{APP}", f"provider={IMAGE}5")
        eventually(lambda: len(place.pods()) == 3, "there is a new pod")

    await asyncio.to_thread(make)


@scenario("unknown", "starting")
async def _(place: Place) -> None:
    """Pods that were made a moment ago."""
    await asyncio.to_thread(place.deployment)
    await asyncio.to_thread(lambda: place.status(waiting("ContainerCreating", ""), phase="Pending"))


@scenario("unknown", "just-started")
async def _(place: Place) -> None:
    """Containers that have run for ten seconds, and whose probe was refused so far."""
    await asyncio.to_thread(lambda: place.deployment(readinessProbe=TCP))
    await asyncio.to_thread(lambda: place.status({"running": {"startedAt": ago(10)}}))
    message = "Readiness probe failed: dial tcp 10.243.0.1:20880: connect: connection refused"
    await asyncio.to_thread(lambda: place.event("Unhealthy", message, count=2, seconds=2))


@scenario("unknown", "crashed-once")
async def _(place: Place) -> None:
    await asyncio.to_thread(place.deployment)
    last = ended(1, seconds=6)
    await asyncio.to_thread(
        lambda: place.status({"running": {"startedAt": ago(5)}}, restarts=1, last=last)
    )
