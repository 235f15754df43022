"""From a target to its Service, from the Service to its pods, from its port to theirs."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from kubbo.doctor.causes import Cause
from kubbo.doctor.facts import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.doctor.facts import Facts
    from kubbo.doctor.objects import Pod, Service, Workload
    from kubbo.naming.kubernetes.objects import ServicePort

_DEFAULT_NAMES = ("dubbo", "tri")
_DEFAULT_PROTOCOLS = ("dubbo", "tri", "grpc", "kubernetes.io/h2c")


def find(facts: Facts) -> Iterator[Cause]:
    """no-such-service, external-name, scaled-to-zero, selector-matches-nothing, ports."""
    if facts.subject.kind == "service" and facts.service is None:
        if "services" not in facts.unread:
            yield _no_such(facts)
        return
    for service in facts.services:
        if service.spec.type == "ExternalName":
            if facts.subject.kind == "service":
                yield _external(facts, service)
            continue
        if service.spec.selector:
            yield from _pods(facts, service)
            yield from _target_ports(facts, service)
    if facts.service is not None and facts.service.spec.type != "ExternalName":
        yield from _asked_port(facts, facts.service)
    if facts.deployment is not None and not facts.services:
        yield from _at_zero(facts)


def _no_such(facts: Facts) -> Cause:
    subject = facts.subject
    names = [one.metadata.name for one in facts.bundle.services]
    near = difflib.get_close_matches(subject.name, names, 3)
    there = ", ".join(sorted(names)[:10]) or "none"
    return Cause(
        "no-such-service",
        f"Service/{subject.name}",
        f"there is no Service {subject.name!r} in namespace {subject.namespace!r}",
        (f"Services there: {there}",),
        (f"did you mean {near[0]!r}? Otherwise " if near else "")
        + f"create it, or correct the target: kubectl get services -A | grep {subject.name}",
    )


def _external(facts: Facts, service: Service) -> Cause:
    name, host = service.metadata.name, service.spec.external_name
    port = facts.subject.port if isinstance(facts.subject.port, int) else "PORT"
    return Cause(
        "external-name",
        f"Service/{name}",
        "the Service is only another DNS name, and has no endpoints",
        (f"type: ExternalName, externalName: {host}",),
        f"use dns:///{host}:{port} as the target, or give the Service a selector",
    )


def _pods(facts: Facts, service: Service) -> Iterator[Cause]:
    if "pods" in facts.unread or facts.ready_addresses(service):
        return
    selector = service.spec.selector
    if any(matches(selector, pod.metadata.labels) for pod in facts.every_pod):
        return
    if {"deployments", "replicasets"} & facts.unread.keys():
        return
    makers = [
        one
        for one in (*facts.bundle.deployments, *facts.bundle.replica_sets)
        if matches(selector, one.spec.template.metadata.labels)
    ]
    name = service.metadata.name
    text = ",".join(f"{key}={value}" for key, value in sorted((selector or {}).items()))
    idle = [one for one in facts.bundle.deployments if one in makers and not one.spec.replicas]
    if idle and all(not one.spec.replicas for one in makers):
        yield _scaled(idle[0], f"the Service {name} selects {text}: no pod has it")
    elif not makers and not any(
        matches(selector, pod.metadata.labels) for pod in facts.bundle.pods
    ):
        yield Cause(
            "selector-matches-nothing",
            f"Service/{name}",
            "the selector of the Service matches no pod, and no Deployment that would make one",
            (f"selector: {text}", *_near_labels(facts, service)),
            f"kubectl get pods -n {service.metadata.namespace} --show-labels; then correct the "
            f"selector: kubectl edit service -n {service.metadata.namespace} {name}",
        )


def _near_labels(facts: Facts, service: Service) -> Iterator[str]:
    """Pods or templates that have a label of the selector, with another value."""
    selector = service.spec.selector or {}
    holders = [
        *(
            (f"Deployment/{one.metadata.name}", one.spec.template.metadata.labels)
            for one in facts.bundle.deployments
        ),
        *((f"Pod/{one.metadata.name}", one.metadata.labels) for one in facts.every_pod),
    ]
    for holder, labels in holders[:5]:
        told = ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))
        if set(labels or {}) & set(selector):
            yield f"labels of {holder}: {told}"


def _scaled(deployment: Workload, evidence: str) -> Cause:
    name, namespace = deployment.metadata.name, deployment.metadata.namespace
    return Cause(
        "scaled-to-zero",
        f"Deployment/{name}",
        "the Deployment is to have no pods",
        ("replicas: 0", evidence),
        f"kubectl scale deployment -n {namespace} {name} --replicas=2",
    )


def _at_zero(facts: Facts) -> Iterator[Cause]:
    deployment = facts.deployment
    if deployment is not None and not deployment.spec.replicas:
        yield _scaled(deployment, f"status.replicas: {deployment.status.replicas}")


# ---------------------------------------------------------------------- ports
def _asked_port(facts: Facts, service: Service) -> Iterator[Cause]:
    """The port that the target names, among those that there are."""
    asked = facts.subject.port
    ports = [one for one in service.spec.ports or () if one.protocol in (None, "TCP")]
    listed = ", ".join(_shown(one) for one in ports) or "none"
    numbers = {port.port for one in facts.slices(service) for port in one.ports or () if port.port}
    name = service.metadata.name
    target = f"kubernetes:///{name}.{service.metadata.namespace}"
    if not ports and not (service.spec.cluster_ip == "None" and asked is None):
        if isinstance(asked, int):
            return  # a headless Service may have none; the number is then dialled
        problem = "the Service has no TCP port"
    elif asked is None:
        if (
            len(ports) <= 1
            or any(one.name in _DEFAULT_NAMES for one in ports)
            or any(one.app_protocol in _DEFAULT_PROTOCOLS for one in ports)
        ):
            return
        problem = "the target names no port, and which of them is meant is unclear"
    elif isinstance(asked, str):
        if any(one.name == asked for one in ports):
            return
        problem = f"the Service has no port named {asked!r}"
    else:
        targets = {one.target_port or one.port for one in ports}
        if asked in numbers | targets or any(isinstance(each, str) for each in targets - numbers):
            return
        problem = f"no pod of the Service listens on {asked}: a target names the pods' port"
    near = ports[0].name or ports[0].target_port or ports[0].port if ports else "PORT"
    yield Cause(
        "wrong-port-name",
        f"Service/{name}",
        problem,
        (f"target: {facts.subject.text}", f"ports of the Service: {listed}"),
        f"write {target}:{near}, or name the port in the Service",
    )


def _shown(port: ServicePort) -> str:
    return f"{port.name or '(no name)'} {port.port} -> {port.target_port or port.port}"


def _target_ports(facts: Facts, service: Service) -> Iterator[Cause]:
    """The pods' port that each port of the Service leads to."""
    pods = [pod for pod in facts.every_pod if matches(service.spec.selector, pod.metadata.labels)]
    if not pods:
        return
    answered = {
        one.address.rpartition(":")[2]
        for one in facts.bundle.handshakes
        if one.outcome in ("dubbo", "other")
    }
    for port in service.spec.ports or ():
        target = port.target_port or port.port
        if port.protocol not in (None, "TCP") or str(target) in answered:
            continue
        lacking = [pod for pod in pods if not _has(pod, target)]
        if len(lacking) < len(pods):
            continue
        name = service.metadata.name
        declared = sorted({_declared(pod) for pod in pods})
        yield Cause(
            "wrong-target-port",
            f"Service/{name}",
            f"the Service leads to the pods' port {target!r}, and no pod has it",
            (
                f"port {port.name or port.port}: targetPort {target!r}",
                f"ports of the pods: {'; '.join(declared)}",
            ),
            f"kubectl edit service -n {service.metadata.namespace} {name}: correct targetPort, or "
            "the container's ports in its Deployment",
        )


def _has(pod: Pod, target: int | str) -> bool:
    """Whether a pod has a port; one that declares none may listen on any number."""
    ports = [
        port
        for one in (*(pod.spec.containers or ()), *(pod.spec.init_containers or ()))
        for port in one.ports or ()
    ]
    if isinstance(target, str):
        return any(port.name == target for port in ports)
    return not ports or any(port.container_port == target for port in ports)


def _declared(pod: Pod) -> str:
    return (
        ", ".join(
            f"{port.name or '(no name)'} {port.container_port}"
            for one in pod.spec.containers or ()
            for port in one.ports or ()
        )
        or "none declared"
    )
