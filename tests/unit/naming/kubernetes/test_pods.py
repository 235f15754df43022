"""Why pods are not ready, from what they say of themselves."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from kubbo.naming.kubernetes.objects import Pod
from kubbo.naming.kubernetes.pods import look_at, why_not_ready


def pod(name: str = "a", **status: Any) -> Pod:
    metadata = {"name": name} | status.pop("metadata", {})
    return msgspec.json.decode(json.dumps({"metadata": metadata, "status": status}), type=Pod)


def waiting(reason: str, **more: Any) -> dict[str, Any]:
    return {"ready": False, "state": {"waiting": {"reason": reason}}, **more}


def ended(reason: str, code: int) -> dict[str, Any]:
    return {"ready": False, "state": {"terminated": {"reason": reason, "exitCode": code}}}


RUNNING = {"ready": False, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
NOT_READY = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"conditions": [{"type": "Ready", "status": "True"}]}, None),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
          "conditions": [{"type": "Ready", "status": "True"}]}, "Terminating"),
        ({"phase": "Pending", "containerStatuses": [waiting("ImagePullBackOff")]},
         "ImagePullBackOff"),
        ({"phase": "Running", "containerStatuses": [waiting("CrashLoopBackOff")]},
         "CrashLoopBackOff"),
        ({"phase": "Running", "containerStatuses": [{**RUNNING, "ready": True},
                                                    ended("OOMKilled", 137)]}, "OOMKilled"),
        ({"phase": "Running", "containerStatuses": [ended("", 3)]}, "exit code 3"),
        ({"phase": "Running", "containerStatuses": [ended("Completed", 0), RUNNING]},
         "running, not ready"),
        ({"phase": "Running", "conditions": [NOT_READY], "containerStatuses": [RUNNING]},
         "running, not ready"),
        ({"phase": "Running", "conditions": [NOT_READY | {"reason": "ReadinessGatesNotReady"}]},
         "ReadinessGatesNotReady"),
        ({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]},
         "Unschedulable"),
        ({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
         "SchedulingGated"),
        ({"phase": "Pending", "initContainerStatuses": [ended("Error", 1)],
          "containerStatuses": [waiting("PodInitializing")]}, "Init:Error"),
        ({"phase": "Pending", "initContainerStatuses": [ended("Completed", 0)],
          "containerStatuses": [waiting("ContainerCreating")]}, "ContainerCreating"),
        ({"phase": "Pending", "containerStatuses": [waiting("PodInitializing")]}, "starting"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ({"phase": "Failed", "containerStatuses": [ended("Error", 1)]}, "Error"),
        ({"phase": "Failed"}, "Failed"),
        ({"phase": "Succeeded", "containerStatuses": [ended("Completed", 0)]}, "Completed"),
        ({"phase": "Pending"}, "starting"),
        ({}, "starting"),
        ({"phase": "Pending", "containerStatuses": [waiting("a b\n\x1b[2J")]}, "waiting"),
        ({"phase": "Pending", "containerStatuses": [waiting("R" * 65)]}, "waiting"),
        ({"phase": "Pending", "containerStatuses": None, "conditions": None}, "starting"),
    ],
)  # fmt: skip
def test_a_pod_says_why(status: dict[str, Any], reason: str | None) -> None:
    """The word that `kubectl get pods` would show, and never one that is not a word."""
    assert why_not_ready(pod(**status)) == reason


def test_reasons_are_counted() -> None:
    """The most frequent first, a few of them, and the first pod by name."""
    pods = [
        pod(f"p{number}", containerStatuses=[waiting(reason)])
        for number, reason in enumerate(["A", "B", "B", "C", "D", "E", "E", "E", "F"])
    ]
    seen = look_at([*pods, pod("ready", conditions=[{"type": "Ready", "status": "True"}])])
    assert str(seen) == "1 of 10 pods ready: E (3), B (2), A (1), C (1), others (2)"
    assert seen.first == "p0"


def test_a_cut_list_says_so() -> None:
    """A hundred of a thousand are no claim about the others."""
    seen = look_at([pod("p", containerStatuses=[waiting("A")])], more=True)
    assert str(seen) == "0 of the first 1 pods ready: A (1)"


def test_no_pod_is_no_reason() -> None:
    """A Service that selects nobody has nobody who could say why."""
    seen = look_at([])
    assert (seen.total, seen.asked, str(seen)) == (0, True, "0 of 0 pods ready")


def test_a_name_that_a_shell_would_read_is_left_out() -> None:
    """The message shows a command: a server's name is put into it only if it is one."""
    assert look_at([pod("a; rm -rf ~", containerStatuses=[waiting("A")])]).first == ""
