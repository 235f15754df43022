"""The application of README.md on two real nodes: two Python providers, two Java providers, and a
Python consumer that finds both by the API server, from manifests as `kubbo manifests` prints them.

The tests are one story, in this order: it is deployed, rolled, and loses a node. The consumer calls
all the while, a hundred times a second whether calls are answered or not.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.node.cluster import APPLICATION, manifests
from tests.testbed.processes import BedError, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.node.cluster import Cluster

pytestmark = [
    pytest.mark.root(reason="runs real Kubernetes nodes, which needs root and namespaces"),
    pytest.mark.timeout(600),
]

SHOP = "shop"
PATIENCE = 5.0  # seconds in which a busy consumer has seen what is published
NAME = "app.kubernetes.io/name"


@dataclass
class Application:
    """What was deployed, and what its consumer says."""

    cluster: Cluster
    applied: float
    """When the Python application was, in seconds since the epoch."""

    def kubectl(self, *arguments: str | Path, text: str | None = None) -> str:
        return self.cluster.plane.kubectl("--namespace", SHOP, *arguments, input=text)

    def pods(self, name: str) -> list[dict[str, Any]]:
        """The pods of one of the three that are not about to end."""
        return [
            pod
            for pod in self.cluster.objects(SHOP, "pods")
            if pod["metadata"]["labels"].get(NAME) == name
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def ready(self, name: str) -> list[dict[str, Any]]:
        """Of these those that are ready."""
        return [pod for pod in self.pods(name) if ready_at(pod)]

    def rolled_out(self, name: str) -> bool:
        """Whether all pods are of the last version, and available."""
        path = f"/apis/apps/v1/namespaces/{SHOP}/deployments/{name}"
        deployment = self.cluster.plane.call("GET", path)
        status, wanted = deployment["status"], deployment["spec"]["replicas"]
        return (
            status.get("observedGeneration") == deployment["metadata"]["generation"]
            and status.get("updatedReplicas") == wanted
            and status.get("replicas") == wanted
            and status.get("availableReplicas") == wanted
        )

    def told(self) -> dict[str, Any]:
        """What the consumer says of its calls, with all `failures`; empty before it calls."""
        try:
            log = self.kubectl("logs", "deployment/consumer")
        except BedError:  # its container is not there yet
            return {}
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        failures = [line["failure"] for line in lines if "failure" in line]
        counts = [line for line in lines if "made" in line]
        return {**counts[-1], "failures": failures} if counts else {}

    def after(self, calls: int) -> dict[str, Any]:
        """The line when so many more have been made, and they and all before them have ended."""
        until = eventually(self.told, "the consumer calls", within=60)["made"] + calls
        return eventually(
            lambda: (told := self.told()) and told["ended"] >= until and told,
            f"the consumer makes {calls} more calls",
            within=60,
        )

    def sends_to(self, node: str) -> bool:
        """Whether any provider on this node is published as ready."""
        slices = self.cluster.plane.call(
            "GET", f"/apis/discovery.k8s.io/v1/namespaces/{SHOP}/endpointslices"
        )
        return any(
            endpoint["nodeName"] == node and endpoint["conditions"]["ready"]
            for each in slices["items"]
            for endpoint in each["endpoints"] or ()
        )


def ready_at(pod: dict[str, Any]) -> float | None:
    """When a pod became ready, None while it is not."""
    for condition in pod["status"].get("conditions", ()):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()
    return None


def nodes_of(pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["spec"]["nodeName"] for pod in pods)


@pytest.fixture(scope="module")
def application(cluster: Cluster) -> Iterator[Application]:
    """The three deployed, and the Java provider ready, whose start takes the longest."""
    cluster.namespace(SHOP)
    cluster.plane.kubectl("-n", SHOP, "apply", "-f", APPLICATION / "java.yaml")
    java = Application(cluster, 0)
    eventually(lambda: java.rolled_out("greeter-java"), "Java is ready", within=120)
    provider = manifests("shop.provider:Greeter", "--name", "greeter", "-n", SHOP)
    consumer = manifests(
        *("--consumer", "shop.consumer", "--name", "consumer", "--replicas", "1", "-n", SHOP),
        *("--consumes", "kubernetes:///greeter", "--consumes", "kubernetes:///greeter-java"),
    )
    made = Application(cluster, time.time())
    made.kubectl("apply", "--warnings-as-errors", "-f", "-", text=provider + "---\n" + consumer)
    yield made
    cluster.plane.call("DELETE", f"/api/v1/namespaces/{SHOP}")


def test_it_is_ready_and_answers(application: Application, cluster: Cluster) -> None:
    """Plain `kubbo manifests | kubectl apply` gives ready pods, one provider of each kind on each
    node, and a consumer that finds them with the permissions of its own manifest."""
    eventually(lambda: len(application.ready("greeter")) == 2, "2 are ready", within=60)
    slowest = max(ready_at(pod) or 0 for pod in application.ready("greeter"))
    cluster.told.append(f"Python providers ready {slowest - application.applied:.1f} s after apply")
    eventually(application.told, "the consumer calls", within=60)
    took = time.time() - application.applied
    cluster.told.append(f"consumer: first calls answered within {took:.1f} s after apply")
    for name in ("greeter", "greeter-java"):
        assert nodes_of(application.pods(name)) == ["node-1", "node-2"]

    everybody = {f"python {pod['metadata']['name']}" for pod in application.pods("greeter")} | {
        f"java {pod['status']['podIP']}:20880" for pod in application.pods("greeter-java")
    }
    eventually(
        lambda: application.told()["answers"].keys() >= everybody, "all are called", within=60
    )
    assert application.after(200)["failures"] == []
    found = cluster.doctor("-n", SHOP, case="healthy.application")
    assert found["verdict"] == "healthy", found


def test_a_rolling_update_loses_no_call(
    application: Application, tried: Callable[[str, int], None]
) -> None:
    """All Python providers are replaced while the consumer calls; no call fails."""
    before = application.after(1)
    old = {pod["metadata"]["name"] for pod in application.pods("greeter")}
    application.kubectl("rollout", "restart", "deployment/greeter")
    eventually(
        lambda: (
            application.rolled_out("greeter")
            and not old
            & {pod["metadata"]["name"] for pod in application.cluster.objects(SHOP, "pods")}
        ),
        "the old pods have gone",
        within=90,
    )
    new = {f"python {pod['metadata']['name']}" for pod in application.pods("greeter")}
    eventually(
        lambda: application.told()["answers"].keys() >= new, "the new ones are called", within=60
    )
    after = application.after(100)
    assert after["failures"] == []
    tried(
        "calls on two real nodes during a rolling update, 0 failed", after["made"] - before["made"]
    )


def test_a_consumer_without_permission_goes_on_by_dns(application: Application) -> None:
    """Its RoleBinding is deleted, and it is begun anew: the targets are plain, and calls go by the
    cluster's DNS, which a pod knows."""
    bindings = application.kubectl("get", "rolebindings", "-o", "json")
    application.kubectl("delete", "rolebindings", "--all")
    try:
        application.kubectl("rollout", "restart", "deployment/consumer")
        eventually(
            lambda: application.rolled_out("consumer") and len(application.pods("consumer")) == 1,
            "another consumer runs",
            within=90,
        )
        after = application.after(200)
        assert after["failures"] == []
        assert {answer.partition(" ")[0] for answer in after["answers"]} == {"python", "java"}
        log = application.kubectl("logs", "deployment/consumer")
        assert "dns:///greeter.shop.svc.cluster.local.:dubbo is used now" in log
        assert "403" in log
    finally:
        application.kubectl("apply", "-f", "-", text=bindings)


def test_a_frozen_node_costs_what_was_in_flight_on_it(
    application: Application, cluster: Cluster, tried: Callable[[str, int], None]
) -> None:
    """Every process of a node stops, and goes on later. Only calls fail that were sent to its pods,
    each knowing that; when the node is back its providers are called again."""
    (consumer,) = application.pods("consumer")
    node = next(node for node in cluster.nodes if node.name != consumer["spec"]["nodeName"])
    pods = [
        pod
        for name in ("greeter", "greeter-java")
        for pod in application.ready(name)
        if pod["spec"]["nodeName"] == node.name
    ]
    hosts = {pod["status"]["podIP"] for pod in pods}
    assert hosts
    before = application.after(1)
    frozen = time.time()
    with node.frozen():
        eventually(lambda: not node.is_ready(), "the node is given up", within=60)
        eventually(lambda: not application.sends_to(node.name), "its pods are not published")
        given_up = time.time()
        gone = application.after(300)
        found = cluster.doctor("greeter", "-n", SHOP, case="node-lost.frozen")
        assert found["causes"][0]["id"] == "node-lost", found
        assert f"Node/{node.name}: Ready is Unknown" in found["causes"][0]["evidence"][0]
    eventually(node.is_ready, "the node is back", within=60)
    for name in ("greeter", "greeter-java"):
        eventually(lambda name=name: len(application.ready(name)) == 2, "all are ready", within=60)

    def answered(told: dict[str, Any], pod: dict[str, Any]) -> int:
        names = (f"python {pod['metadata']['name']}", f"java {pod['status']['podIP']}:20880")
        return sum(told["answers"].get(name, 0) for name in names)

    eventually(
        lambda: all(answered(application.told(), pod) > answered(gone, pod) for pod in pods),
        "its providers answer again",
        within=150,  # who has failed is forgiven after about 45 s
    )
    after = application.after(400)
    made = after["made"] - before["made"]
    lost = after["failures"]
    for failure in lost:
        assert failure["progress"] == "SENT", failure
        assert failure["host"] in hosts, failure
        assert failure["began"] < given_up + PATIENCE, failure
    tried("calls on two real nodes while one was frozen and came back", made)
    tried("... of which in flight on the frozen node, the only ones that failed", len(lost))
    in_flight = sum(failure["began"] <= frozen for failure in lost)
    last = max((failure["began"] - frozen for failure in lost), default=0.0)
    cluster.told.append(
        f"frozen node: {in_flight} calls were in flight, {len(lost) - in_flight} were sent to it "
        f"later, the last after {last:.1f} s; it was given up after {given_up - frozen:.1f} s"
    )
