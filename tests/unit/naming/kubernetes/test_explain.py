"""What a person reads when there is no provider."""

from __future__ import annotations

from typing import Any

import pytest

from kubbo.naming.kubernetes.explain import (
    absent,
    forbidden,
    forbidden_config_map,
    pods_would_tell,
    unavailable,
)
from kubbo.naming.kubernetes.objects import (
    Conditions,
    EndpointSlice,
    Metadata,
    Service,
    ServicePort,
    ServiceSpec,
    SliceEndpoint,
    SlicePort,
)
from kubbo.naming.kubernetes.pods import PodsSeen
from kubbo.naming.kubernetes.roles import Subject, finding, watching_config_map
from kubbo.naming.kubernetes.slices import Joined, Verdict, join

DUBBO = ServicePort("dubbo", 80, 20880)


def reason(joined: Joined, found: Service | None = None, **options: Any) -> str:
    given: dict[str, Any] = {"port": "dubbo", "asked": True} | options
    return absent(
        joined, service="greeter", namespace="shop", found=found, source="the test", **given
    )


def service(**spec: Any) -> Service:
    return Service(spec=ServiceSpec(**spec))


NO_PORT = Joined(Verdict.NO_PORT, ports=("dubbo (20880)",), port_problem="none named so")
NOBODY = Joined(Verdict.NO_SLICES)
SELECTING = service(selector={"a": "1"}, ports=[DUBBO])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (reason(NOBODY), "does not exist (asked with the test)"),
        (reason(NOBODY, asked=False), "whether it exists could not be asked"),
        (reason(NOBODY, service(type="ExternalName", external_name="db.example")),
         "use dns:///db.example:PORT"),
        (reason(NOBODY, service(type="ExternalName", external_name="db.example", ports=[DUBBO]),
                port="http"), "use dns:///db.example:PORT"),
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
        (reason(Joined(Verdict.NO_PORT, ports=("dns/UDP (53)", "b (2)"), port_problem="two"),
                service(), port=None), "kubernetes:///SERVICE.NAMESPACE:b"),
        (reason(Joined(Verdict.NO_PORT, ports=("(unnamed) (2)",), port_problem="two"),
                service(), port=None), "kubernetes:///SERVICE.NAMESPACE:PORT"),
        (reason(NO_PORT, service(ports=[DUBBO]), port=80), "write dubbo"),
        (reason(NO_PORT, service(ports=[ServicePort("dubbo", 80, "rpc")]), port="rpc"),
         "the Service's is 'dubbo'"),
        (reason(NO_PORT, service(ports=[ServicePort("rpc", 80, "rpc")]), port="rpc"),
         "(dubbo (20880)); correct the port"),
        (reason(NO_PORT, service(ports=[ServicePort("rpc", 80, 7)]), port=7),
         "(dubbo (20880)); correct the port"),
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


def revision(name: str, address: str, conditions: Conditions, **ports: int) -> EndpointSlice:
    """A slice of one pod."""
    return EndpointSlice(
        metadata=Metadata(name=name),
        address_type="IPv4",
        endpoints=[SliceEndpoint([address], conditions)] if address else [],
        ports=[SlicePort(name, number) for name, number in ports.items()],
    )


OLD = revision("old", "10.0.0.1", Conditions(ready=True), http=8080)
NEW = revision("new", "10.0.0.2", Conditions(ready=False), http=8080, dubbo=20881)
NAMED_ALIKE = service(selector={"a": "1"}, ports=[ServicePort("dubbo", 80, "dubbo")])


@pytest.mark.parametrize(
    ("port", "which"),
    [("dubbo", "port 'dubbo'"), (20881, "port 20881"), (None, "port to call (20881)")],
)
def test_a_port_of_pods_that_are_not_ready(port: str | int | None, which: str) -> None:
    """It does exist: what keeps it away is the state of the pods that have it, and those are
    asked. No other port is recommended, nor the same again."""
    joined = join([OLD, NEW], port=port)
    assert pods_would_tell(joined)
    text = reason(joined, NAMED_ALIKE, port=port)
    assert text == (
        f"Service 'greeter' in namespace 'shop' exists, and no ready pod has the {which}: 1 ready "
        "pod lacks it, and 1 that has it is not ready (ports found: dubbo (20881), http (8080)); "
        "see why with `kubectl get pods -n shop -l a=1` and `kubectl describe pod`"
    )
    pods = PodsSeen(2, 1, (("CrashLoopBackOff", 1),), "greeter-2")
    assert reason(joined, NAMED_ALIKE, port=port, pods=pods).endswith(
        "; 1 of 2 pods ready: CrashLoopBackOff (1); see more with `kubectl describe pod -n shop "
        "greeter-2`"
    )
    unread = reason(joined, NAMED_ALIKE, port=port, pods=PodsSeen(asked=False))
    assert unread.endswith("`kubbo rbac --diagnose`")


def test_a_port_that_only_a_slice_without_pods_has() -> None:
    """No pod would tell more: they are not asked."""
    empty = revision("new", "", Conditions(), dubbo=20881)
    joined = join([OLD, empty], port="dubbo")
    assert not pods_would_tell(joined)
    assert "1 ready pod lacks it, and none that has it is there" in reason(joined, NAMED_ALIKE)


def test_pods_that_end_and_lack_the_port() -> None:
    """Those that still serve are no ready ones."""
    ending = Conditions(ready=False, serving=True, terminating=True)
    old = revision("old", "10.0.0.1", ending, http=8080)
    text = reason(join([old, NEW], port="dubbo"), NAMED_ALIKE)
    assert "those that terminate and still serve lack it, and 1 that has it is not ready" in text


def test_a_wrong_port_is_not_asked_of_pods() -> None:
    """They have none of that name, ready or not."""
    assert not pods_would_tell(join([OLD, NEW], port="grpc"))


@pytest.mark.parametrize(
    ("status", "what", "advice"),
    [
        (0, "gives no answer", "`kubectl version`"),
        (400, "refuses", "a proxy"),
        (401, "does not accept the credentials", "Get a new token"),
        (404, "knows no EndpointSlices", "the address of an API server"),
        (429, "asks to wait", "Nothing is to be done"),
        (500, "is in trouble itself", "/readyz"),
        (503, "is in trouble itself", "/readyz"),
        (-1, "refuses", "a proxy"),
    ],
)
def test_a_server_that_gives_nothing(status: int, what: str, advice: str) -> None:
    """What it answered, if it did, and what to do about that, which differs."""
    text = unavailable("it said so", status=status, source="the test")
    assert text.startswith(f"the API server {what} (asked with the test): it said so; retrying. ")
    assert advice in text
    assert "\n" not in text


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
