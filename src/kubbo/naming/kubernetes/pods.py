"""Why the pods of a Service are not ready, in their own words. Pure.

An EndpointSlice says that a pod is not ready and never why, and a pod that has no address yet (its
image cannot be pulled by name, no node has room) is in no slice at all. The Pod says it, in words
that people know from `kubectl get pods`: ImagePullBackOff, CrashLoopBackOff, Unschedulable. It is
looked up where it is read, in the order in which a pod starts, and counted over pods.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kubbo.naming.kubernetes.objects import ContainerStatus, Pod

__all__ = ["MOST_PODS", "PodsSeen", "look_at"]

MOST_PODS: Final = 100
"""Pods that are looked at: the reasons of a hundred are those of all."""

_KINDS: Final = 4  # reasons that are told one by one
_REASON: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")
_STARTING: Final = "PodInitializing"  # of containers that wait for the init containers


@dataclass(frozen=True, slots=True)
class PodsSeen:
    """The pods of a Service.

    Attributes:
        total: how many there are, as far as was looked.
        ready: how many of them are ready.
        reasons: why the others are not, the most frequent first, with their number.
        first: the name of one that is not ready.
        more: whether there are more than were looked at.
        asked: False where pods may not be read, and nothing of this is known.
    """

    total: int = 0
    ready: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    first: str = ""
    more: bool = False
    asked: bool = True

    def __str__(self) -> str:
        """Like `0 of 3 pods ready: ImagePullBackOff (2), CrashLoopBackOff (1)`."""
        told = [f"{reason} ({count})" for reason, count in self.reasons[:_KINDS]]
        others = sum(count for _, count in self.reasons[_KINDS:])
        if others:
            told.append(f"others ({others})")
        noun = "pod" if self.total == 1 and not self.more else "pods"
        text = f"{self.ready} of {'the first ' if self.more else ''}{self.total} {noun} ready"
        return f"{text}: {', '.join(told)}" if told else text


def look_at(pods: Iterable[Pod], *, more: bool = False) -> PodsSeen:
    """Count the reasons of pods; `more`: there are others, which were not asked for."""
    total = ready = 0
    first = ""
    reasons: Counter[str] = Counter()
    for pod in sorted(pods, key=lambda one: one.metadata.name):
        total += 1
        reason = why_not_ready(pod)
        if reason is None:
            ready += 1
            continue
        reasons[reason] += 1
        first = first or pod.metadata.name
    ordered = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    name = first if _NAME.fullmatch(first) else ""
    return PodsSeen(total, ready, tuple(ordered), name, more)


def why_not_ready(pod: Pod) -> str | None:
    """The reason that a pod gives, None for one that is ready."""
    status = pod.status
    conditions = {one.type: one for one in status.conditions or ()}
    condition = conditions.get("Ready")
    if pod.metadata.deletion_timestamp is not None:
        return "Terminating"
    if condition is not None and condition.status == "True":
        return None
    if status.phase in ("Failed", "Succeeded"):
        ended = "Completed" if status.phase == "Succeeded" else "Failed"
        return _checked(status.reason) or _of_containers(status.container_statuses) or ended
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        return _checked(scheduled.reason) or "Unschedulable"
    starting = _of_containers(status.init_container_statuses)
    if starting:
        return f"Init:{starting}"
    told = _of_containers(status.container_statuses) or _checked(status.reason)
    if told:
        return told
    if condition is not None and condition.reason not in ("", "ContainersNotReady"):
        return _checked(condition.reason) or "not ready"
    return "running, not ready" if status.phase == "Running" else "starting"


def _of_containers(containers: Iterable[ContainerStatus] | None) -> str:
    """What the first container with something to tell is waiting for, or how it ended."""
    for one in containers or ():
        state = one.state
        if one.ready or state is None:
            continue
        if state.waiting is not None and state.waiting.reason != _STARTING:
            return _checked(state.waiting.reason) or "waiting"
        if state.terminated is not None and (state.terminated.exit_code or state.terminated.reason):
            ended = state.terminated
            if ended.reason == "Completed":
                continue
            return _checked(ended.reason) or f"exit code {ended.exit_code}"
    return ""


def _checked(reason: str) -> str:
    """A server's word, if it is one."""
    return reason if _REASON.fullmatch(reason) else ""
