"""A cause, and what comes before what.

One fault shows in many places: an image that cannot be pulled keeps a pod from being ready, which
empties a Service and stops a rollout. The ranks below say which of these is the fault and which
its consequence: what comes earlier on the way from an object to an answered call is told first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["RANKS", "Cause", "ranked"]

RANKS: Final = {
    identifier: rank
    for rank, identifier in enumerate(
        (
            # The cluster does not tell.
            "token-rejected",
            "no-permission",
            # The Service cannot lead anywhere, whatever the pods do.
            "no-such-service",
            "external-name",
            # No pod is made.
            "invalid-name",
            "quota-exceeded",
            "create-refused",
            "scaled-to-zero",
            # A pod is made and does not start.
            "node-lost",
            "missing-config",
            "volume-failed",
            "unschedulable",
            "image-pull",
            "start-failed",
            "sandbox-failed",
            # It starts, and does not stay.
            "oom-killed",
            "loopback-bound",
            "startup-failing",
            "liveness-failing",
            "dns-failing",
            "crash-loop",
            # It runs, and is not found.
            "selector-matches-nothing",
            "wrong-port-name",
            "wrong-target-port",
            "readiness-failing",
            # It is found, and does not answer.
            "network-policy",
            "wrong-protocol",
            "not-exported",
            "name-mapping",
            "rollout-stuck",
        )
    )
}
"""Every id that there is, and its rank: lower is told first."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something does not work.

    Attributes:
        id: one of `RANKS`.
        object: like `Pod/greeter-1`.
        summary: one sentence.
        evidence: what was seen that says so.
        remedy: the command or edit that mends it.
        count: objects that have the same cause, this one too.
    """

    id: str
    object: str
    summary: str
    evidence: tuple[str, ...]
    remedy: str
    count: int = 1


def ranked(causes: list[Cause]) -> list[Cause]:
    """Causes by rank; of one cause that several pods have, the first with their number."""
    first: dict[tuple[str, str], Cause] = {}
    counts: dict[tuple[str, str], int] = {}
    for cause in causes:
        kind, _, name = cause.object.partition("/")
        key = (cause.id, kind if kind == "Pod" else f"{kind}/{name}")
        first.setdefault(key, cause)
        counts[key] = counts.get(key, 0) + 1
    found = [
        Cause(one.id, one.object, one.summary, one.evidence, one.remedy, counts[key])
        for key, one in first.items()
    ]
    return sorted(found, key=lambda one: (RANKS[one.id], one.object))
