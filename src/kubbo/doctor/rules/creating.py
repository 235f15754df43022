"""From a Deployment to pods that exist: what the controllers were refused, and what stands still.

A controller that may not create a pod says so in the condition ReplicaFailure, with the words of
the API server, and in an event; there is no pod that could say it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kubbo.doctor.causes import Cause
from kubbo.doctor.facts import condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.doctor.facts import Facts
    from kubbo.doctor.objects import Workload

_QUOTA: Final = re.compile(r"exceeded quota|failed quota|maximum \w+ usage per|minimum \w+ usage")
_NAME: Final = re.compile(r"Invalid value|RFC ?1123|RFC ?1035|must be no more than \d+")
_ACCOUNT: Final = re.compile(r'serviceaccount "([^"]{1,253})" not found')


def find(facts: Facts) -> Iterator[Cause]:
    """quota-exceeded, invalid-name, create-refused, rollout-stuck."""
    for deployment in facts.deployments:
        message = _refusal(facts, deployment)
        if message:
            yield _refused(facts, deployment, message)
        yield from _stuck(deployment)


def _refusal(facts: Facts, deployment: Workload) -> str:
    """What a controller was told when it made a ReplicaSet or a pod; empty: not refused."""
    for one in (deployment, *facts.replica_sets(deployment)):
        failed = condition(one.status.conditions, "ReplicaFailure")
        if failed is not None and failed.status == "True":
            return failed.message or failed.reason
    progressing = condition(deployment.status.conditions, "Progressing")
    if (
        progressing is not None
        and progressing.status == "False"
        and progressing.reason in ("ReplicaSetCreateError", "FailedCreate")
    ):
        return progressing.message or progressing.reason
    lacking = deployment.status.replicas < deployment.spec.replicas
    for one in (deployment, *facts.replica_sets(deployment)) if lacking else ():
        kind = "Deployment" if one is deployment else "ReplicaSet"
        events = facts.events(kind, one.metadata, "FailedCreate", "ReplicaSetCreateError")
        if events:
            return events[0].message
    return ""


def _refused(facts: Facts, deployment: Workload, message: str) -> Cause:
    name, namespace = deployment.metadata.name, deployment.metadata.namespace
    where = f"Deployment/{name}"
    account = _ACCOUNT.search(message)
    if _QUOTA.search(message):
        quotas = (
            f"ResourceQuota/{quota.metadata.name}: {resource} {used} of {limit}"
            for quota in facts.bundle.quotas
            for resource, limit in sorted((quota.status.hard or {}).items())
            if (used := (quota.status.used or {}).get(resource, "0"))
        )
        return Cause(
            "quota-exceeded",
            where,
            "the namespace has no room for the pods: a quota or a limit range refuses them",
            (message, *quotas),
            f"kubectl describe quota,limitrange -n {namespace}; then raise it, or ask for less: "
            f"kubectl edit deployment -n {namespace} {name}",
        )
    if account is not None:
        return Cause(
            "missing-config",
            where,
            f"the service account {account[1]!r} does not exist",
            (message,),
            f"kubectl create serviceaccount -n {namespace} {account[1]}",
        )
    if _NAME.search(message):
        return Cause(
            "invalid-name",
            where,
            "a name or a value in the pod template is one that Kubernetes does not take",
            (message,),
            "correct it, names in lower case with '-' between the words and at most 63 "
            f"characters: kubectl edit deployment -n {namespace} {name}",
        )
    return Cause(
        "create-refused",
        where,
        "the cluster does not let the pods be created",
        (message,),
        f"change what it says in kubectl edit deployment -n {namespace} {name}, or ask who "
        "made that rule",
    )


def _stuck(deployment: Workload) -> Iterator[Cause]:
    name, namespace = deployment.metadata.name, deployment.metadata.namespace
    status, wanted = deployment.status, deployment.spec.replicas
    counts = (
        f"{status.updated_replicas} of {wanted} pods are of the new version, "
        f"{status.available_replicas} available"
    )
    progressing = condition(status.conditions, "Progressing")
    if (
        progressing is not None
        and progressing.status == "False"
        and progressing.reason == "ProgressDeadlineExceeded"
    ):
        yield Cause(
            "rollout-stuck",
            f"Deployment/{name}",
            "the rollout makes no progress",
            (progressing.message or progressing.reason, counts),
            f"mend what stands above, or go back: kubectl rollout undo -n {namespace} "
            f"deployment/{name}",
        )
    elif deployment.spec.paused and status.updated_replicas < wanted:
        yield Cause(
            "rollout-stuck",
            f"Deployment/{name}",
            "the rollout is paused halfway",
            ("spec.paused: true", counts),
            f"kubectl rollout resume -n {namespace} deployment/{name}",
        )
