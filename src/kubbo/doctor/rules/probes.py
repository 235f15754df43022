"""What probes say of containers that run.

Every start has failed probes in it. So a readiness probe counts after the time that its own
numbers give it, half a minute at least (a whole one where no event tells of it), and the other
two when they have led to a kill, or would.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kubbo.doctor.causes import Cause
from kubbo.doctor.facts import condition, containers, is_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.doctor.facts import Facts
    from kubbo.doctor.objects import Container, ContainerStatus, Event, Pod, Probe

_PATIENCE: Final = 60.0
_RECENT: Final = 600.0
_LOOPBACK: Final = re.compile(
    r"(?:listen|serv|start|bound|bind|running|export)\w*\W.*?"
    r"(?<![\d.])(?:127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})(?!\d)",
    re.IGNORECASE,
)


def find(facts: Facts) -> Iterator[Cause]:
    """loopback-bound, startup-failing, liveness-failing, readiness-failing."""
    for pod in facts.pods:
        if pod.metadata.deletion_timestamp is not None:
            continue
        for spec, status in containers(pod):
            kind = kills(facts, pod, status.name)
            if spec is not None and kind:
                yield _killed(facts, pod, spec, kind)
            elif (
                spec is not None
                and not status.ready
                and not is_ready(pod)
                and status.state is not None
                and status.state.running is not None
            ):
                age = facts.age(status.state.running.started_at)
                yield from _unready(facts, pod, spec, age, started=bool(status.started))
        yield from _gates(facts, pod)


def kills(facts: Facts, pod: Pod, container: str) -> str:
    """`Startup` or `Liveness` when that probe has had a container killed lately; else empty."""
    statuses = [one for _, one in containers(pod) if one.name == container]
    if is_ready(pod) and not any(one.restart_count for one in statuses):
        return ""
    for kind in ("Startup", "Liveness"):
        killed = [
            event
            for event in facts.events("Pod", pod.metadata, "Killing", within=_RECENT)
            if f"failed {kind.lower()} probe" in event.message
            and f"ontainer {container} " in event.message
        ]
        if killed:
            return kind
        spec = next((one for one in pod.spec.containers or () if one.name == container), None)
        probe = None
        if spec is not None:
            probe = spec.startup_probe if kind == "Startup" else spec.liveness_probe
        told = _unhealthy(facts, pod, kind)
        if (
            probe is not None
            and told
            and max(one.count for one in told) >= probe.failure_threshold
            and any(one.restart_count or _has_ended(one) for one in statuses)
            and facts.age_of(told[0]) < _RECENT
        ):
            return kind
    return ""


def _has_ended(status: ContainerStatus) -> bool:
    return status.state is not None and status.state.terminated is not None


def _unhealthy(facts: Facts, pod: Pod, kind: str) -> list[Event]:
    return [
        event
        for event in facts.events("Pod", pod.metadata, "Unhealthy")
        if event.message.startswith(f"{kind} probe")
    ]


def _killed(facts: Facts, pod: Pod, spec: Container, kind: str) -> Cause:
    told = _unhealthy(facts, pod, kind)
    killing = facts.events("Pod", pod.metadata, "Killing", within=_RECENT)
    seen = [f"{one.reason}: {one.message} ({one.count} times)" for one in (*told[:1], *killing[:1])]
    bound = _loopback(facts, pod, spec, seen)
    if bound is not None:
        return bound
    probe = spec.startup_probe if kind == "Startup" else spec.liveness_probe
    lower = kind.lower()
    where, namespace = f"Pod/{pod.metadata.name}", pod.metadata.namespace
    if kind == "Startup":
        remedy = (
            "give it longer (startupProbe.failureThreshold times periodSeconds), or correct the "
            f"probe's port and path: kubectl logs -n {namespace} {pod.metadata.name} -c "
            f"{spec.name} --previous says how far it came"
        )
    else:
        remedy = (
            "correct the probe's port and path; a liveness probe must not ask whether others "
            "are well, nor time out while the process is busy (timeoutSeconds)"
        )
    return Cause(
        f"{lower}-failing",
        where,
        f"the {lower} probe of container {spec.name!r} fails, so the kubelet kills it",
        (*seen, _numbers(lower, probe)),
        remedy,
    )


def _numbers(kind: str, probe: Probe | None) -> str:
    if probe is None:
        return f"{kind}Probe: not in the pod any more"
    port = next(
        (one.port for one in (probe.http_get, probe.tcp_socket) if one is not None), "command"
    )
    return (
        f"{kind}Probe: port {port}, first after {probe.initial_delay_seconds} s, every "
        f"{probe.period_seconds} s, given up after {probe.failure_threshold}"
    )


def _unready(
    facts: Facts, pod: Pod, spec: Container, age: float | None, *, started: bool
) -> Iterator[Cause]:
    """A container that runs since `age` seconds; `started`: its startup probe has passed."""
    probe = spec.readiness_probe
    if probe is None or age is None:
        return
    patience = probe.initial_delay_seconds + probe.period_seconds * probe.failure_threshold
    if spec.startup_probe is not None and not started:
        startup = spec.startup_probe
        patience += startup.period_seconds * startup.failure_threshold
    told = _unhealthy(facts, pod, "Readiness")
    seen_enough = any(one.count >= probe.failure_threshold for one in told)
    if age < max(_PATIENCE / 2 if seen_enough else _PATIENCE, patience):
        return
    seen = [f"{one.reason}: {one.message} ({one.count} times)" for one in told[:1]]
    bound = _loopback(facts, pod, spec, seen)
    if bound is not None:
        yield bound
        return
    name, namespace = pod.metadata.name, pod.metadata.namespace
    yield Cause(
        "readiness-failing",
        f"Pod/{name}",
        f"the container {spec.name!r} runs since {age:.0f} s, and its readiness probe fails",
        (*(seen or ["the container runs and is not ready"]), _numbers("readiness", probe)),
        "correct the probe's port and path, or what it waits for: kubectl logs -n "
        f"{namespace} {name} -c {spec.name}",
    )


def _loopback(facts: Facts, pod: Pod, spec: Container, seen: list[str]) -> Cause | None:
    """A refused probe, and a log that says which address the process listens on instead."""
    if not any("connection refused" in one for one in seen):
        return None
    for line in facts.log(pod, spec.name):
        found = _LOOPBACK.search(line)
        if found is not None and any(f":{found[1]}" in one for one in seen):
            return loopback_bound(pod, found[1], (*seen, f"log: {line}"))
    return None


def loopback_bound(pod: Pod, port: str, evidence: tuple[str, ...]) -> Cause:
    """The process listens where only its own pod reaches it."""
    return Cause(
        "loopback-bound",
        f"Pod/{pod.metadata.name}",
        f"nobody listens on port {port} of the pod's address: the process most likely listens on "
        "its loopback address only",
        evidence,
        "listen on all addresses: Server(host='0.0.0.0'), `kubbo serve --host 0.0.0.0`; in Java "
        "set dubbo.protocol.host",
    )


def loopback_line(facts: Facts, pod: Pod, port: str) -> str:
    """The line of a pod's log that says it listens on loopback with this port; empty: none."""
    for spec in pod.spec.containers or ():
        for line in facts.log(pod, spec.name):
            found = _LOOPBACK.search(line)
            if found is not None and found[1] == port:
                return line
    return ""


def _gates(facts: Facts, pod: Pod) -> Iterator[Cause]:
    """Containers are ready, and something else that the pod asks for is not."""
    ready = condition(pod.status.conditions, "Ready")
    if ready is None or ready.status == "True" or ready.reason != "ReadinessGatesNotReady":
        return
    age = facts.age(ready.last_transition_time)
    if age is None or age < _PATIENCE:
        return
    yield Cause(
        "readiness-failing",
        f"Pod/{pod.metadata.name}",
        "a readiness gate of the pod is not fulfilled",
        (f"{ready.reason}: {ready.message}",),
        "look at the controller that sets that condition, or take the gate out of the Deployment",
    )
