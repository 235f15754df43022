"""From a bundle to a verdict. Pure: the same bundle always gives the same one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kubbo.doctor.causes import ranked
from kubbo.doctor.facts import Facts, is_ready
from kubbo.doctor.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.doctor.bundle import Bundle
    from kubbo.doctor.causes import Cause
    from kubbo.doctor.objects import Workload

__all__ = ["Diagnosis", "diagnose"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a bundle says.

    Attributes:
        verdict: `unknown`: no cause was found, and not enough was seen to say that all is well.
        causes: the most likely first.
        notes: what could not be read, and what goes on.
    """

    verdict: Literal["healthy", "broken", "unknown"]
    causes: tuple[Cause, ...]
    notes: tuple[str, ...]


def diagnose(bundle: Bundle) -> Diagnosis:
    """The causes in a bundle, ranked."""
    facts = Facts(bundle)
    causes = ranked([cause for rule in RULES for cause in rule(facts)])
    unread = tuple(
        f"not read: {one.what}: {one.reason}" for one in bundle.unread if one.status != 401
    )
    if causes:
        return Diagnosis("broken", tuple(causes), unread)
    missing = tuple(_missing(facts))
    if missing:
        return Diagnosis("unknown", (), ("not enough evidence: " + "; ".join(missing), *unread))
    return Diagnosis("healthy", (), unread)


def _missing(facts: Facts) -> Iterator[str]:
    """What would have to be seen to call the subject healthy, and was not."""
    subject = facts.subject
    if subject.kind == "address":
        if not any(one.outcome == "dubbo" for one in facts.bundle.handshakes):
            yield f"no endpoint of {subject.text} answered"
        return
    if subject.kind == "service":
        if facts.service is None:
            yield "the Service could not be read"
        elif not facts.ready_addresses(facts.service):
            yield f"the Service {subject.name} has no ready endpoint, and nothing says why"
        shakes = facts.bundle.handshakes
        silent = [one for one in shakes if one.outcome == "silent"]
        if silent and not any(one.outcome == "dubbo" for one in shakes):
            yield f"{silent[0].address} takes the connection and answers no heartbeat"
        return
    if subject.kind == "deployment" and facts.deployment is None:
        yield "the Deployment could not be read"
    for kind in ("deployments", "pods"):
        if kind in facts.unread:
            yield f"{kind} may not be read"
    for deployment in facts.deployments:
        yield from _unfinished(deployment)
    if subject.kind == "namespace":
        owned = [one for one in facts.pods if not one.metadata.owner_references]
        for pod in owned:
            if not is_ready(pod) and pod.metadata.deletion_timestamp is None:
                yield f"Pod/{pod.metadata.name} is not ready yet, and nothing says why"


def _unfinished(deployment: Workload) -> Iterator[str]:
    status, wanted = deployment.status, deployment.spec.replicas
    name = deployment.metadata.name
    if status.observed_generation < deployment.metadata.generation:
        yield f"the controller has not looked at Deployment/{name} yet"
    elif status.available_replicas < wanted * 3 // 4 or (wanted and not status.available_replicas):
        yield (
            f"Deployment/{name} has {status.available_replicas} of {wanted} pods available; it "
            "may still be starting: ask again in a minute"
        )
