"""What a person reads when there is no provider."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kubbo.naming.kubernetes.explain import absent, forbidden, role_binding_yaml, role_yaml
from kubbo.naming.kubernetes.objects import Service, ServicePort, ServiceSpec
from kubbo.naming.kubernetes.pods import PodsSeen
from kubbo.naming.kubernetes.slices import Joined, Verdict

DUBBO = ServicePort("dubbo", 80, 20880)


def reason(joined: Joined, found: Service | None = None, **options: Any) -> str:
    given: dict[str, Any] = {"port": "dubbo", "asked": True} | options
    return absent(
        joined, service="greeter", namespace="shop", found=found, source="the test", **given
    )


def service(**spec: Any) -> Service:
    return Service(spec=ServiceSpec(**spec))


NOBODY = Joined(Verdict.NO_SLICES)
SELECTING = service(selector={"a": "1"}, ports=[DUBBO])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (reason(NOBODY), "does not exist (asked with the test)"),
        (reason(NOBODY, asked=False), "whether it exists could not be asked"),
        (reason(NOBODY, service(type="ExternalName", external_name="db.example")),
         "use dns:///db.example:PORT"),
        (reason(NOBODY, service(ports=[DUBBO])), "has no selector"),
        (reason(NOBODY, service(selector={"b": "2", "a": "1"}, ports=[DUBBO])),
         "selector a=1,b=2"),
        (reason(Joined(Verdict.NOT_READY, not_ready=2, terminating=1)),
         "does not exist"),
        (reason(Joined(Verdict.NOT_READY, not_ready=2, terminating=1), asked=False),
         "2 not ready and 1 terminating"),
        (reason(Joined(Verdict.NOT_READY, not_ready=2), SELECTING, pods=PodsSeen(asked=False)),
         "2 not ready; see why with `kubectl get pods -n shop -l a=1`"),
        (reason(Joined(Verdict.NOT_READY, not_ready=2), SELECTING, pods=PodsSeen(asked=False)),
         "`kubbo rbac --diagnose`"),
        (reason(Joined(Verdict.NOT_READY, not_ready=2), SELECTING,
                pods=PodsSeen(2, 0, (("Error", 2),), "greeter-1")),
         "0 of 2 pods ready: Error (2); see more with `kubectl describe pod -n shop greeter-1`"),
        (reason(NOBODY, SELECTING, pods=PodsSeen(1, 0, (("Unschedulable", 1),))),
         "0 of 1 pod ready: Unschedulable (1)"),
        (reason(NOBODY, SELECTING, pods=PodsSeen(1, 1)), "which no EndpointSlice shows yet"),
        (reason(NOBODY, SELECTING, pods=PodsSeen()), "selector at all; compare"),
        (reason(NOBODY, SELECTING, pods=PodsSeen(asked=False)), "(or none that has an address"),
        (reason(Joined(Verdict.NO_PORT, ports=("a (1)", "b (2)"), port_problem="two"),
                service(), port=None), "kubernetes:///SERVICE.NAMESPACE:a"),
        (reason(Joined(Verdict.NO_PORT, ports=("dubbo (20880)",)), service(ports=[DUBBO]),
                port=80), "write dubbo"),
        (reason(Joined(Verdict.NO_PORT, ports=("dubbo (20880)",)),
                service(ports=[ServicePort("dubbo", 80, "rpc")]), port="rpc"),
         "the Service's is 'dubbo'"),
        (reason(NOBODY, service(selector={"a": "1"}, ports=[DUBBO]), port=7000),
         "ports found (dubbo (20880))"),
        (reason(NOBODY, service(selector={"a": "1"}, ports=[ServicePort("d", 80, "rpc")]),
                port=7000), "no pod matches"),
    ],
)  # fmt: skip
def test_reasons(text: str, says: str) -> None:
    """Each cause in one paragraph, with the next thing to do."""
    assert says in text
    assert "\n" not in text
    assert "'greeter' in namespace 'shop'" in text


def test_the_role_and_its_binding_are_manifests() -> None:
    """What is printed can be applied: reading alone, in one namespace, never cluster-wide."""
    role = yaml.safe_load(role_yaml("shop"))
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "shop")
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert "pods" not in role_yaml("shop")
    asking = yaml.safe_load(role_yaml("shop", diagnose=True))["rules"]
    assert asking == [*role["rules"], {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    binding = yaml.safe_load(
        role_binding_yaml("shop", service_account="web", account_namespace="front")
    )
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "web", "namespace": "front"},
    ]
    assert role_yaml("shop") in forbidden("no", namespace="shop", source="the test")
