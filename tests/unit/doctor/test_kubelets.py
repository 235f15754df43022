"""What a real kubelet says in an order or in words that once led to a wrong first cause."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from kubbo.doctor.bundle import VERSION, Bundle, cleaned
from kubbo.doctor.diagnose import diagnose

NOW = "2026-01-01T12:00:00+00:00"
WAITING_TO_BE_MADE = {"waiting": {"reason": "ContainerCreating"}}
HOOK = "PostStartHook failed"


def ago(seconds: float) -> str:
    at = datetime.fromisoformat(NOW).timestamp() - seconds
    return datetime.fromtimestamp(at, UTC).isoformat()


def bundle(
    state: dict[str, Any],
    *events: tuple[str, str] | tuple[str, str, int],
    path: str = "",
    container: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
) -> Bundle:
    """One pod, its only container in this state, and its events."""
    about = {"kind": "Pod", "name": "greeter-1", "uid": "1", "fieldPath": path}
    pod = {
        "metadata": {"name": "greeter-1", "namespace": "shop", "uid": "1"},
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "provider", **(container or {})}],
            **(spec or {}),
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "provider", "state": state, **(status or {})}],
        },
    }
    told = [
        {
            "involvedObject": about,
            "reason": event[0],
            "message": event[1],
            "count": event[2] if len(event) > 2 else 1,
            "lastTimestamp": ago(2),
        }
        for event in events
    ]
    subject = {"kind": "namespace", "namespace": "shop"}
    return msgspec.convert(
        {"version": VERSION, "taken": NOW, "subject": subject, "pods": [pod], "events": told},
        Bundle,
    )


def first(seen: Bundle) -> str:
    found = diagnose(seen)
    return found.causes[0].id if found.causes else found.verdict


@pytest.mark.parametrize(
    "event",
    [
        ("FailedMount", 'MountVolume.SetUp failed for volume "data" : timed out'),
        ("FailedCreatePodSandBox", "Failed to create pod sandbox: context deadline exceeded"),
        ("FailedSync", "error determining status"),
    ],
)
@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (WAITING_TO_BE_MADE, ("volume-failed", "sandbox-failed")),
        ({"waiting": {"reason": "CreateContainerConfigError", "message": "root"}}, "start-failed"),
        ({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}, "image-pull"),
    ],
)
def test_a_start_that_has_come_further_is_not_held_up_by_what_failed_before(event, state, cause):
    """Volumes and sandbox fail for a moment at many starts; what comes after them needs both."""
    assert first(bundle(state, event)) in cause


@pytest.mark.parametrize(
    ("count", "first_seen", "pulling", "verdict"),
    [
        (1, 0.0, False, "unknown"),
        (1, 1.0, False, "unknown"),
        (3, 1.0, False, "volume-failed"),
        (1, 20.0, False, "unknown"),
        (1, 70.0, False, "volume-failed"),
        (3, 70.0, True, "unknown"),
    ],
)
def test_what_a_kubelet_cannot_mount_at_once_is_no_fault_yet(count, first_seen, pulling, verdict):
    """Nor any more when it has begun to pull: the state is still the same, ContainerCreating."""
    message = 'MountVolume.SetUp failed for volume "kube-api-access-x" : timed out'
    seen = bundle(
        WAITING_TO_BE_MADE,
        ("FailedMount", message, count),
        *([("Pulling", "Pulling image")] if pulling else []),
    )
    events = [
        msgspec.structs.replace(event, first_timestamp=ago(first_seen)) for event in seen.events
    ]
    assert first(msgspec.structs.replace(seen, events=events)) == verdict


def test_a_kubelet_that_knows_the_configmap_late_is_given_a_minute():
    """On a busy node it tries more than twice."""
    message = 'failed for volume "x" : failed to sync configmap cache: timed out'
    seen = bundle(WAITING_TO_BE_MADE, ("FailedMount", message, 4))
    for first_seen, verdict in ((20.0, "unknown"), (70.0, "volume-failed")):
        event = msgspec.structs.replace(seen.events[0], first_timestamp=ago(first_seen))
        assert first(msgspec.structs.replace(seen, events=[event])) == verdict


def test_a_sandbox_is_made_after_the_volumes():
    """A mount that failed before it is history, though the state is still the same."""
    mount = ("FailedMount", 'failed for volume "x" : not found', 4)
    sandbox = ("FailedCreatePodSandBox", "no runtime", 4)
    assert first(bundle(WAITING_TO_BE_MADE, mount)) == "volume-failed"
    assert first(bundle(WAITING_TO_BE_MADE, mount, sandbox)) == "sandbox-failed"


def test_a_container_whose_hook_fails_did_not_crash():
    """The kubelet ends it for that, and while it waits for the next time only the event says so."""
    back_off = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    ended = {"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": ago(5)}}
    status = {"restartCount": 2, "lastState": ended}
    event = ("FailedPostStartHook", HOOK)
    own = bundle(back_off, event, path="spec.containers{provider}", status=status)
    assert first(own) == "start-failed"
    assert any(HOOK in each for each in diagnose(own).causes[0].evidence)
    other = bundle(back_off, event, path="spec.containers{other}", status=status)
    assert first(other) == "crash-loop"


def test_a_container_that_a_probe_has_just_ended_did_not_crash():
    """Its state is here before the event that says who ended it."""
    ended = {"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": ago(1)}}
    probe = {"startupProbe": {"tcpSocket": {"port": 1}, "failureThreshold": 3}}
    unhealthy = ("Unhealthy", "Startup probe failed: dial tcp 10.244.1.2:1: refused", 3)
    assert first(bundle(ended, unhealthy, container=probe)) == "startup-failing"
    assert first(bundle(ended, (*unhealthy[:2], 2), container=probe)) == "unknown"


@pytest.mark.parametrize(
    ("limits", "restarts", "verdict"),
    [
        ({"memory": "64Mi"}, 2, "oom-killed"),
        ({"memory": "64Mi"}, 1, "unknown"),  # a first time may be an accident
        ({}, 2, "crash-loop"),
    ],
)
def test_who_is_killed_again_and_again_and_has_a_limit_is_out_of_memory(limits, restarts, verdict):
    """A runtime that hears of it too late says "Error"; the exit code is SIGKILL's."""
    ended = {"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": ago(1)}}
    container = {"resources": {"limits": limits}}
    seen = bundle(ended, container=container, status={"restartCount": restarts})
    assert first(seen) == verdict


@pytest.mark.parametrize("started", [True, False])
def test_a_startup_probe_that_has_passed_gives_no_more_time(started):
    """It may have had minutes; the readiness probe has failed for one."""
    container = {
        "startupProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 10, "failureThreshold": 60},
        "readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 1},
    }
    event = ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 25)
    running = {"running": {"startedAt": ago(60)}}
    said = bundle(running, event, container=container, status={"started": started})
    assert (first(said) == "readiness-failing") is started


def test_a_missing_key_is_told_with_the_object_that_the_volume_names():
    """The kubelet names the volume and the key, and not the Secret."""
    message = 'MountVolume.SetUp failed for volume "data" : references non-existent secret key: ca'
    volumes = {"volumes": [{"name": "data", "secret": {"secretName": "db"}}]}
    found = diagnose(bundle(WAITING_TO_BE_MADE, ("FailedMount", message), spec=volumes))
    assert found.causes[0].summary == "the Secret db has no key 'ca'"
    assert found.causes[0].remedy == "add the key: kubectl edit secret -n shop db"


def test_a_failed_pull_is_told_once_and_in_full():
    """The event that has the reason, and not the one that only says `Error: ErrImagePull`."""
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    pulled = ("Failed", 'Failed to pull image "x": not found')
    found = diagnose(bundle(waiting, ("Failed", "Error: ImagePullBackOff"), pulled))
    assert found.causes[0].evidence[1:] == (f"Failed: {pulled[1]}",)


def test_a_file_that_is_called_passwd_is_no_password():
    """What the runtime says of it is kept; a password of the same line is not."""
    text = 'exec: "/etc/passwd": permission denied; passwd: hunter22'
    event = cleaned(bundle(WAITING_TO_BE_MADE, ("Failed", text))).events[0]
    assert event.message == 'exec: "/etc/passwd": permission denied; passwd: (left out)'
