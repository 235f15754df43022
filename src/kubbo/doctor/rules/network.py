"""From an endpoint that is published to one that answers as Dubbo does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.doctor.causes import Cause
from kubbo.doctor.facts import is_ready, matches, selects
from kubbo.doctor.rules.probes import loopback_bound, loopback_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.doctor.bundle import Handshake
    from kubbo.doctor.facts import Facts
    from kubbo.doctor.objects import Pod, Policy, Service

_REACHED = ("dubbo", "other", "closed", "silent", "refused")


def find(facts: Facts) -> Iterator[Cause]:
    """loopback-bound, wrong-protocol, not-exported, network-policy, dns-failing."""
    for shake in facts.bundle.handshakes:
        yield from _shaken(facts, shake)
    yield from _lookups(facts)
    for service in facts.services:
        yield from _policies(facts, service)


def _shaken(facts: Facts, shake: Handshake) -> Iterator[Cause]:
    host, _, port = shake.address.rpartition(":")
    pod = next((one for one in facts.pods if one.status.pod_ip == host), None)
    where = f"Pod/{pod.metadata.name}" if pod is not None else f"Endpoint/{shake.address}"
    detail = f": {shake.detail}" if shake.detail else ""
    seen = f"{shake.address}: {shake.outcome}{detail}"
    match shake.outcome:
        case "other" | "closed":
            yield Cause(
                "wrong-protocol",
                where,
                "what listens there does not speak dubbo2"
                if shake.outcome == "other"
                else "what listens there closes the connection at Dubbo's first frame",
                (seen,),
                "point targetPort to the port of the Dubbo protocol, or have the provider export "
                "it: protocol `dubbo`, serialization hessian2",
            )
        case "refused" if pod is not None and is_ready(pod):
            line = loopback_line(facts, pod, port)
            declared = _declares(pod, port)
            if line or declared:
                more = f"log: {line}" if line else f"the container declares port {port}"
                yield loopback_bound(pod, port, (seen, more))
            else:
                yield Cause(
                    "wrong-target-port",
                    where,
                    f"nobody listens on port {port} of the pod's address, where the Service leads",
                    (seen,),
                    f"compare targetPort of the Service with the port in kubectl logs -n "
                    f"{pod.metadata.namespace} {pod.metadata.name}; if they are the same, the "
                    "process listens on 127.0.0.1 only: let it listen on 0.0.0.0",
                )
        case "refused":
            yield Cause(
                "wrong-target-port",
                where,
                f"nobody listens on {shake.address}",
                (seen,),
                "correct the port, or start the provider",
            )
        case _:
            pass
    lacking = sorted(key for key, there in shake.exported.items() if not there)
    if lacking:
        yield Cause(
            "not-exported",
            where,
            f"the provider does not export {', '.join(lacking)}",
            (f"{shake.address}: {shake.detail or f'refused {lacking[0]}'}",),
            f"`kubbo describe dubbo://{shake.address}` lists what it exports: compare interface, "
            "group and version with the annotation kubbo.dev/services",
        )


def _declares(pod: Pod, port: str) -> bool:
    return any(
        str(each.container_port) == port
        for one in pod.spec.containers or ()
        for each in one.ports or ()
    )


def _lookups(facts: Facts) -> Iterator[Cause]:
    published = facts.subject.kind != "service" or (
        facts.service is not None
        and (facts.ready_addresses(facts.service) or facts.service.spec.cluster_ip != "None")
    )
    for lookup in facts.bundle.lookups if published else ():
        if lookup.error:
            yield Cause(
                "dns-failing",
                f"Name/{lookup.name}",
                "the name server does not resolve the name",
                (f"{lookup.name}: {lookup.error}",),
                "kubectl get pods -n kube-system -l k8s-app=kube-dns; in the pod, look at "
                "/etc/resolv.conf; or use a kubernetes:/// target, which needs no DNS",
            )


def _policies(facts: Facts, service: Service) -> Iterator[Cause]:
    """Policies that let nobody in at a port of the Service."""
    pods = [one for one in facts.pods if matches(service.spec.selector, one.metadata.labels)]
    if not pods:
        return
    pod = pods[0]
    applied = [
        policy
        for policy in facts.bundle.policies
        if selects(policy.spec.pod_selector, pod.metadata.labels)
        and "Ingress" in (policy.spec.policy_types or ["Ingress"])
    ]
    if not applied:
        return
    for port in service.spec.ports or ():
        if port.protocol not in (None, "TCP") or port.name in ("metrics", "admin"):
            continue
        target = port.target_port or port.port
        if any(_admits(policy, pod, target) for policy in applied):
            continue
        names = ", ".join(policy.metadata.name for policy in applied)
        yield Cause(
            "network-policy",
            f"NetworkPolicy/{applied[0].metadata.name}",
            f"no policy lets a connection in to port {target!r} of the pods",
            (f"policies of Pod/{pod.metadata.name}: {names}", *_dialled(facts)),
            f"add an ingress rule for the port: kubectl edit networkpolicy -n "
            f"{service.metadata.namespace} {applied[0].metadata.name}",
        )


def _dialled(facts: Facts) -> list[str]:
    return [
        f"{one.address}: {one.outcome}"
        + (" from here, so nobody enforces it here" if one.outcome in _REACHED else "")
        for one in facts.bundle.handshakes
    ][:2]


def _admits(policy: Policy, pod: Pod, target: int | str) -> bool:
    """Whether a policy lets anybody in at that port."""
    declared = {
        port.name: port.container_port
        for one in pod.spec.containers or ()
        for port in one.ports or ()
    }
    number = declared.get(target) if isinstance(target, str) else target
    for rule in policy.spec.ingress or ():
        if rule.ports is None:
            return True
        for port in rule.ports:
            if port.protocol != "TCP":
                continue
            first = declared.get(port.port) if isinstance(port.port, str) else port.port
            if port.port is None or first == number or port.port == target:
                return True
            if (
                first is not None
                and number is not None
                and port.end_port is not None
                and (first <= number <= port.end_port)
            ):
                return True
    return False
