"""What a person reads when there is no provider."""

from __future__ import annotations

from typing import Any

import pytest

from kubbo.naming.kubernetes.explain import absent, forbidden, forbidden_config_map
from kubbo.naming.kubernetes.objects import Service, ServicePort, ServiceSpec
from kubbo.naming.kubernetes.pods import PodsSeen
from kubbo.naming.kubernetes.roles import Subject, finding, watching_config_map
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


def denied(user: str, resource: str = "endpointslices") -> str:
    return f'answered 403: {resource} is forbidden: User "{user}" cannot list resource "{resource}"'


def test_a_refusal_has_the_role_and_the_binding() -> None:
    """That would allow it, for whom the server has named; only the Role where that is nobody."""
    checkout = Subject("checkout", "web")
    account = "system:serviceaccount:web:checkout"
    text = forbidden(denied(account), namespace="shop", source="the test")
    assert text.endswith(
        "Apply this Role, and this RoleBinding for the service account 'checkout' of namespace "
        f"'web':\n{finding('shop', checkout)}"
    )
    text = forbidden(denied("jane"), namespace="shop", source="the test")
    assert text.endswith(f" for the user 'jane':\n{finding('shop', Subject('jane'))}")
    text = forbidden("no", namespace="shop", source="the test")
    assert text.endswith(
        "Apply this Role, and a RoleBinding for the consumer's service account:\n"
        f"{finding('shop').role}"
    )


def test_a_server_that_takes_us_for_nobody_is_told() -> None:
    """Everybody would get what is given to `system:anonymous`: the credentials are the trouble."""
    text = forbidden(denied("system:anonymous"), namespace="shop", source="the test")
    assert "Check the credentials first, the server takes us for nobody" in text
    assert text.endswith(finding("shop").role)


def test_a_refused_config_map_has_them_too() -> None:
    """Those that `kubbo rbac --config` prints."""
    message = denied("system:serviceaccount:web:checkout", "configmaps")
    text = forbidden_config_map(message, name="flags", namespace="shop")
    assert "'flags' in namespace 'shop': answered 403" in text
    assert text.endswith(str(watching_config_map("shop", "flags", Subject("checkout", "web"))))
    text = forbidden_config_map("no", name="flags", namespace="shop")
    assert text.endswith(watching_config_map("shop", "flags").role)
