"""From a pod that exists to containers that may start: a node, volumes, a sandbox."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from kubbo.doctor.causes import Cause
from kubbo.doctor.facts import condition, containers, is_ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kubbo.doctor.facts import Facts
    from kubbo.doctor.objects import Event, Pod

_VOLUME: Final = re.compile(r"persistentvolumeclaim|PersistentVolumeClaim|volume node affinity")
MISSING: Final = re.compile(
    r'(?P<kind>configmap|secret|ConfigMap|Secret)s? "(?P<name>[^"]{1,253})" not found|'
    r"couldn't find key (?P<key>\S{1,253}) in (?P<kind2>ConfigMap|Secret) (?P<name2>\S{1,320})|"
    r"references non-existent (?P<kind3>config|secret) key: (?P<key3>\S{1,253})"
)
_OF_VOLUME: Final = re.compile(r'failed for volume "([^"]{1,253})"')
_MAKING: Final = ("", "ContainerCreating", "PodInitializing")
"""What a container waits for while volumes and sandbox of its pod are made."""
_MOUNTING: Final = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
_SANDBOX: Final = ("FailedCreatePodSandBox", "FailedCreatePodSandbox")
_PULLING: Final = ("Pulling", "Pulled", "Created", "Started")
_REPEATED: Final = 3
_MOMENT: Final = 60.0  # seconds: what fails only now and then is not it, or has been told often
_SYNCING: Final = re.compile("failed to sync (?:configmap|secret) cache")
_PATIENCE: Final = 5.0  # seconds: a claim may be bound, a node may come


def find(facts: Facts) -> Iterator[Cause]:
    """node-lost, unschedulable, volume-failed, missing-config, sandbox-failed."""
    for pod in facts.pods:
        lost = _node_lost(facts, pod)
        if lost is not None:
            yield lost
        elif pod.metadata.deletion_timestamp is None and not is_ready(pod):
            yield from _unplaced(facts, pod)
            if not _has_sandbox(pod):
                yield from _unmade(facts, pod)


def _has_sandbox(pod: Pod) -> bool:
    """Whether volumes and sandbox of a pod are there, and what events said of them is history.

    A container has run, or something that comes later keeps it from that.
    """
    for _, status in containers(pod):
        state = status.state
        if status.restart_count or (state is not None and (state.running or state.terminated)):
            return True
        if state is not None and state.waiting is not None and state.waiting.reason not in _MAKING:
            return True
    return False


def _node_lost(facts: Facts, pod: Pod) -> Cause | None:
    if not pod.spec.node_name or is_ready(pod):
        return None
    name = pod.metadata.name
    node = next(
        (one for one in facts.bundle.nodes if one.metadata.name == pod.spec.node_name), None
    )
    evidence: list[str] = []
    ready = condition(node.status.conditions, "Ready") if node is not None else None
    if ready is not None and ready.status != "True":
        evidence.append(
            f"Node/{pod.spec.node_name}: Ready is {ready.status}: {ready.reason} {ready.message}"
        )
    elif ready is None:
        told = facts.events("Pod", pod.metadata, "NodeNotReady", "TaintManagerEviction")
        evidence += [f"{event.reason}: {event.message}" for event in told[:1]]
        if pod.status.reason == "NodeLost":
            evidence.append(f"status.reason: NodeLost: {pod.status.message}")
    if node is None and facts.bundle.nodes and "nodes" not in facts.unread:
        evidence.append(f"there is no Node/{pod.spec.node_name} any more")
    if not evidence:
        return None
    return Cause(
        "node-lost",
        f"Pod/{name}",
        f"the node {pod.spec.node_name!r} of the pod is not there, or not well",
        tuple(evidence),
        f"kubectl describe node {pod.spec.node_name}; if it does not come back: kubectl delete "
        f"pod -n {pod.metadata.namespace} {name} --force",
    )


def _unplaced(facts: Facts, pod: Pod) -> Iterator[Cause]:
    scheduled = condition(pod.status.conditions, "PodScheduled")
    if scheduled is None or scheduled.status != "False" or scheduled.reason != "Unschedulable":
        return
    age = facts.age(scheduled.last_transition_time)
    if age is not None and age < _PATIENCE:
        return
    name, namespace = pod.metadata.name, pod.metadata.namespace
    if _VOLUME.search(scheduled.message):
        claims = [
            f"PersistentVolumeClaim/{one.metadata.name}: {one.status.phase}"
            for one in facts.bundle.claims
            if one.status.phase != "Bound"
        ]
        yield Cause(
            "volume-failed",
            f"Pod/{name}",
            "the pod waits for a volume",
            (scheduled.message, *claims),
            f"kubectl describe pvc -n {namespace}: create the claim, or name a storage class that "
            "exists",
        )
        return
    yield Cause(
        "unschedulable",
        f"Pod/{name}",
        "no node takes the pod",
        (scheduled.message or scheduled.reason,),
        f"ask for less, or add nodes: kubectl describe pod -n {namespace} {name}; requests, "
        "nodeSelector, affinity and tolerations stand in its Deployment",
    )


def _unmade(facts: Facts, pod: Pod) -> Iterator[Cause]:
    """Volumes and sandbox of a pod that has a node."""
    metadata = pod.metadata
    name, namespace = metadata.name, metadata.namespace
    failed = _lasting(facts, pod, *_MOUNTING, past=(*_SANDBOX, *_PULLING))
    for event in failed:
        missing = missing_config(event.message, f"Pod/{name}", namespace, _source(pod, event))
        if missing is not None:
            yield missing
            return
    if failed:
        yield Cause(
            "volume-failed",
            f"Pod/{name}",
            "a volume of the pod cannot be attached or mounted",
            tuple(f"{event.reason}: {event.message}" for event in failed[:2]),
            f"kubectl describe pod -n {namespace} {name}; check the volume, its claim "
            f"(kubectl get pvc -n {namespace}) and its driver on node {pod.spec.node_name}",
        )
        return
    absent = _absent(facts, pod)
    if absent is not None:
        yield absent
        return
    broken = _lasting(facts, pod, *_SANDBOX, past=_PULLING)
    if not broken:
        broken = _lasting(facts, pod, "FailedSync", past=_PULLING)
    if broken:
        yield Cause(
            "sandbox-failed",
            f"Pod/{name}",
            "the node cannot make the pod's sandbox, or cannot bring the pod to its state",
            tuple(f"{event.reason}: {event.message}" for event in broken[:2]),
            f"it is the node's fault, not the image's: look at its network plugin and container "
            f"runtime (journalctl -u kubelet -u containerd on {pod.spec.node_name}); meanwhile "
            f"kubectl cordon {pod.spec.node_name} && kubectl delete pod -n {namespace} {name}",
        )


def _lasting(facts: Facts, pod: Pod, *reasons: str, past: Sequence[str]) -> list[Event]:
    """Events about volumes or the sandbox that are more than a moment, and not overcome.

    At first a kubelet often does not know what it has to mount: the certificate of the API server
    in a new namespace, a ConfigMap of the same `kubectl apply`. It tries again after 0.5 s, 1 s,
    2 s, and a sandbox every few seconds. `past`: reasons of events that only come later.
    """
    later = facts.events("Pod", pod.metadata, *past)
    overcome = min((facts.age_of(one) for one in later), default=math.inf)
    found: list[Event] = []
    for event in facts.events("Pod", pod.metadata, *reasons):
        since = facts.age(event.first_timestamp)
        often = event.count >= _REPEATED and not _SYNCING.search(event.message)
        if (often or since is None or since > _MOMENT) and facts.age_of(event) < overcome:
            found.append(event)
    return found


def _absent(facts: Facts, pod: Pod) -> Cause | None:
    """A ConfigMap or Secret of the pod's volumes that was looked for and is not there."""
    gone = {(one.kind, one.name) for one in facts.bundle.named if one.found is False}
    wanted = [
        ("ConfigMap", one.config_map.name)
        for one in pod.spec.volumes or ()
        if one.config_map is not None and not one.config_map.optional
    ] + [
        ("Secret", one.secret.secret_name)
        for one in pod.spec.volumes or ()
        if one.secret is not None and not one.secret.optional
    ]
    for kind, name in wanted:
        if (kind, name) in gone:
            return _missing(
                kind,
                name,
                "",
                where=f"Pod/{pod.metadata.name}",
                namespace=pod.metadata.namespace,
                evidence=f"{kind}/{name} is a volume of the pod, and does not exist",
            )
    return None


def _source(pod: Pod, event: Event) -> str:
    """The ConfigMap or Secret that is the volume which an event names; empty where it is none."""
    found = _OF_VOLUME.search(event.message)
    for volume in pod.spec.volumes or ():
        if found is not None and volume.name == found[1]:
            if volume.config_map is not None:
                return volume.config_map.name
            if volume.secret is not None:
                return volume.secret.secret_name
    return ""


def missing_config(message: str, where: str, namespace: str, of_volume: str = "") -> Cause | None:
    """The cause that a kubelet's message about a ConfigMap or Secret stands for.

    `of_volume`: its name, where the message has only the volume's.
    """
    found = MISSING.search(message)
    if found is None:
        return None
    kind = found["kind"] or found["kind2"] or found["kind3"]
    kind = "Secret" if kind.lower() == "secret" else "ConfigMap"
    name = found["name"] or (found["name2"] or "").rpartition("/")[2] or of_volume
    key = found["key"] or found["key3"] or ""
    return _missing(kind, name, key, where=where, namespace=namespace, evidence=message)


def _missing(kind: str, name: str, key: str, *, where: str, namespace: str, evidence: str) -> Cause:
    lower = kind.lower()
    shown = name or "NAME"
    if key:
        summary = f"the {kind} {name} has no key {key!r}".replace("  ", " ")
        remedy = f"add the key: kubectl edit {lower} -n {namespace} {shown}"
    else:
        summary = f"the {kind} {name!r} does not exist in namespace {namespace!r}"
        generic = " generic" if kind == "Secret" else ""
        remedy = f"kubectl create {lower}{generic} -n {namespace} {shown} --from-literal=KEY=VALUE"
    return Cause("missing-config", where, summary, (evidence,), remedy)
