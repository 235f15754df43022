"""From a sandbox to a container that runs and stays.

A container has one cause, the first that holds: what it waits for, then how it ended.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kubbo.doctor.causes import Cause
from kubbo.doctor.facts import containers, is_ready
from kubbo.doctor.rules.placing import missing_config
from kubbo.doctor.rules.probes import kills

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.doctor.facts import Facts
    from kubbo.doctor.objects import Container, ContainerStatus, Ended, Pod

_PULL: Final = frozenset(
    (
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
    )
)
_PULLING: Final = "Failed to pull image"  # the others repeat the reason
_START: Final = frozenset(
    (
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
    )
)
_STARTED_WRONG: Final = ("StartError", "ContainerCannotRun")
_NOT_FOUND: Final = (126, 127)  # what a shell says: not executable, not found
_KILLED: Final = 137  # by SIGKILL
_RESTARTS: Final = 2  # one restart may be an accident, and is the cluster's to mend
_RECENT: Final = 600.0  # seconds after which a restart is history
_LINES: Final = 5
_DNS: Final = re.compile(
    r"Name or service not known|Temporary failure in name resolution|UnknownHostException|"
    r"no such host|getaddrinfo (?:failed|ENOTFOUND|EAI_AGAIN)|NXDOMAIN"
)


def find(facts: Facts) -> Iterator[Cause]:
    """invalid-name, image-pull, missing-config, start-failed, oom-killed, dns, crash-loop."""
    for pod in facts.pods:
        if pod.metadata.deletion_timestamp is None:
            for spec, status in containers(pod):
                cause = _waiting(facts, pod, spec, status) or _ended(facts, pod, spec, status)
                if cause is not None:
                    yield cause


def _waiting(
    facts: Facts, pod: Pod, spec: Container | None, status: ContainerStatus
) -> Cause | None:
    waiting = status.state.waiting if status.state is not None else None
    if waiting is None:
        return None
    where, namespace = f"Pod/{pod.metadata.name}", pod.metadata.namespace
    image = spec.image if spec is not None else ""
    seen = f"container {status.name}: {waiting.reason}"
    said = f"{seen}: {waiting.message}" if waiting.message else seen
    if waiting.reason == "InvalidImageName":
        near = image.lower()
        return Cause(
            "invalid-name",
            where,
            f"{image!r} cannot be the name of an image",
            (said,),
            (f"set image to {near!r}" if near != image else "correct `image`")
            + " in its Deployment: only a tag may have capitals, and nothing a space",
        )
    if waiting.reason in _PULL:
        pulls = facts.events("Pod", pod.metadata, "Failed")
        told = [f"{one.reason}: {one.message}" for one in pulls if _PULLING in one.message]
        return Cause(
            "image-pull",
            where,
            f"the image {image!r} cannot be had",
            (said, *told[:1]),
            _pull_remedy(waiting.message + " ".join(told), namespace),
        )
    if waiting.reason in _START:
        missing = missing_config(waiting.message, where, namespace)
        return missing or _not_started(where, namespace, status.name, said)
    return None


def _pull_remedy(text: str, namespace: str) -> str:
    lower = text.lower()
    if "never" in lower and "pull" in lower and "policy" in lower:
        return "load the image onto every node, or set imagePullPolicy: IfNotPresent"
    if any(word in lower for word in ("unauthorized", "authorization", "403", "denied")):
        return (
            "give the pods credentials: kubectl create secret docker-registry NAME -n "
            f"{namespace} ..., and name it in imagePullSecrets; or correct the image's name"
        )
    if any(word in lower for word in ("not found", "manifest unknown", "404")):
        return "push that image and tag, or correct `image` in its Deployment"
    return "check the image's name and tag, and that the nodes reach its registry"


def _not_started(where: str, namespace: str, container: str, said: str) -> Cause:
    return Cause(
        "start-failed",
        where,
        f"the container {container!r} cannot be created, or its command does not exist",
        (said,),
        "correct `command`, `args` or `securityContext` of the container, or build the file into "
        f"the image: kubectl describe {where.lower().replace('/', ' ', 1)} -n {namespace}",
    )


def _ended(facts: Facts, pod: Pod, spec: Container | None, status: ContainerStatus) -> Cause | None:
    state, before = status.state, status.last_state
    now = state.terminated if state is not None else None
    end: Ended | None = now or (before.terminated if before is not None else None)
    if end is None or (status.ready and is_ready(pod) and not _keeps_ending(facts, status, end)):
        return None
    looping = (
        state is not None
        and state.waiting is not None
        and state.waiting.reason == "CrashLoopBackOff"
    )
    init = any(one.name == status.name for one in pod.spec.init_containers or ())
    if init and end.exit_code == 0:
        return None
    where, namespace, name = f"Pod/{pod.metadata.name}", pod.metadata.namespace, status.name
    how = f"container {name} ended with exit code {end.exit_code}"
    how += f" ({end.reason})" if end.reason else ""
    how += f", {status.restart_count} restarts"
    limits = (spec.resources.limits if spec and spec.resources else None) or {}
    limit = limits.get("memory", "none")
    if end.reason == "OOMKilled":
        return _out_of_memory(
            where, f"the container {name!r} took more memory than its limit", how, limit
        )
    log = facts.log(pod, name)
    last = tuple(f"log: {line}" for line in log[-_LINES:])
    if end.reason in _STARTED_WRONG or end.exit_code in _NOT_FOUND:
        said = f"{how}: {end.message}" if end.message else how
        return _not_started(where, namespace, name, said)
    hook = _hook(facts, pod, name)
    if hook:
        return _not_started(where, namespace, name, f"{how}: {hook}")
    if kills(facts, pod, name):
        return None  # by its probes: rules/probes.py
    if not looping and status.restart_count < _RESTARTS:
        return None
    age = facts.age(end.finished_at)
    if not looping and now is None and age is not None and age > _RECENT:
        return None
    if end.exit_code == _KILLED and limit != "none":
        # The runtime does not always hear of it in time.
        summary = f"the container {name!r} is killed, most likely for more memory than its limit"
        return _out_of_memory(where, summary, how, limit)
    unknown = next((line for line in reversed(log) if _DNS.search(line)), None)
    if unknown is not None:
        return Cause(
            "dns-failing",
            where,
            f"the container {name!r} ends because a name cannot be resolved",
            (f"log: {unknown}", how),
            "correct the name (SERVICE.NAMESPACE.svc), or look at the name server: kubectl get "
            "pods -n kube-system -l k8s-app=kube-dns",
        )
    return Cause(
        "crash-loop",
        where,
        f"the process of container {name!r} ends by itself, again and again"
        if end.exit_code
        else f"the process of container {name!r} ends, where it should go on",
        (how, *last),
        f"kubectl logs -n {namespace} {pod.metadata.name} -c {name} --previous: mend what it "
        "says last, then roll out again",
    )


def _out_of_memory(where: str, summary: str, how: str, limit: str) -> Cause:
    return Cause(
        "oom-killed",
        where,
        summary,
        (how, f"limits.memory: {limit}"),
        "raise resources.limits.memory in its Deployment, or let the process use less",
    )


def _hook(facts: Facts, pod: Pod, container: str) -> str:
    """What failed after the start of a container, for which the kubelet has ended it."""
    for event in facts.events("Pod", pod.metadata, "FailedPostStartHook", within=_RECENT):
        path = event.involved_object.field_path
        if not path or path.endswith(f"{{{container}}}"):
            return f"{event.reason}: {event.message}"
    return ""


def _keeps_ending(facts: Facts, status: ContainerStatus, end: Ended) -> bool:
    """Whether a container that is ready now has ended more than once, and lately."""
    age = facts.age(end.finished_at)
    return status.restart_count > _RESTARTS and age is not None and age < _RECENT
