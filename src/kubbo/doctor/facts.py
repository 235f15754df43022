"""A bundle, indexed by what rules ask: which pods are meant, and what was said of each."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kubbo.doctor.bundle import Bundle
    from kubbo.doctor.objects import (
        Condition,
        Container,
        ContainerStatus,
        Event,
        Meta,
        Pod,
        Selector,
        Service,
        Slice,
        Workload,
    )

__all__ = ["Facts", "condition", "matches", "selects"]


def matches(selector: Mapping[str, str] | None, labels: Mapping[str, str] | None) -> bool:
    """Whether labels have all that a selector names; an empty one selects nothing here."""
    return bool(selector) and (selector or {}).items() <= (labels or {}).items()


def selects(selector: Selector, labels: Mapping[str, str] | None) -> bool | None:
    """Whether a policy's selector takes labels; None where it has expressions."""
    if not (selector.match_labels or {}).items() <= (labels or {}).items():
        return False
    return None if selector.match_expressions else True


def condition(conditions: Iterable[Condition] | None, kind: str) -> Condition | None:
    """One condition by its type."""
    return next((one for one in conditions or () if one.type == kind), None)


class Facts:
    """What is known, and what of it is about the subject.

    Attributes:
        bundle: the evidence.
        subject: what was asked about.
        service: the Service of a target, None where there is none.
        deployment: the Deployment that was named.
        services: Services that are looked at.
        deployments: likewise.
        pods: likewise; without those that belong to a Job, or have ended.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        subject = self.subject = bundle.subject
        self.unread = {one.what: one for one in bundle.unread}
        self._events: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in bundle.events:
            about = event.involved_object
            self._events[about.kind, about.name].append(event)
        named = {one.metadata.name: one for one in bundle.services}
        self.service = named.get(subject.name) if subject.kind == "service" else None
        self.deployment = next(
            (
                one
                for one in bundle.deployments
                if subject.kind == "deployment" and one.metadata.name == subject.name
            ),
            None,
        )
        self.services: list[Service] = []
        self.deployments: list[Workload] = []
        pods = [one for one in bundle.pods if _is_served(one)]
        self.every_pod = pods
        match subject.kind:
            case "service":
                selector = self.service.spec.selector if self.service else None
                self.services = [self.service] if self.service else []
                self.deployments = [
                    one
                    for one in bundle.deployments
                    if matches(selector, one.spec.template.metadata.labels)
                ]
                self.pods = [one for one in pods if matches(selector, one.metadata.labels)]
            case "deployment":
                self.deployments = [self.deployment] if self.deployment else []
                labels = self.deployment.spec.template.metadata.labels if self.deployment else None
                wanted = (
                    self.deployment.spec.selector.match_labels
                    if self.deployment and self.deployment.spec.selector
                    else None
                )
                self.services = [
                    one
                    for one in bundle.services
                    if matches(one.spec.selector, labels) or one.metadata.name == subject.name
                ]
                self.pods = [one for one in pods if matches(wanted, one.metadata.labels)]
            case _:
                self.services = [
                    one
                    for one in bundle.services
                    if one.spec.selector or one.spec.type == "ExternalName"
                ]
                self.deployments = list(bundle.deployments)
                self.pods = pods

    @cached_property
    def now(self) -> float:
        """When the bundle was taken, in seconds since 1970."""
        return seconds(self.bundle.taken) or 0.0

    def age(self, time: str | None) -> float | None:
        """Seconds from a time of the cluster to the bundle's, None where it is none."""
        at = seconds(time)
        return None if at is None else self.now - at

    def events(self, kind: str, metadata: Meta, *reasons: str, within: float = 900) -> list[Event]:
        """Recent events of one object with one of the reasons, the newest first."""
        found = [
            event
            for event in self._events.get((kind, metadata.name), ())
            if event.reason in reasons
            and event.involved_object.uid in ("", metadata.uid)
            and self.age_of(event) <= within
        ]
        return sorted(found, key=self.age_of)

    def age_of(self, event: Event) -> float:
        """Seconds since an event last happened; 0 where it says no time."""
        last = event.series.last_observed_time if event.series is not None else None
        age = self.age(last or event.last_timestamp or event.event_time or event.first_timestamp)
        return 0.0 if age is None else age

    def replica_sets(self, deployment: Workload) -> list[Workload]:
        """The ReplicaSets of a Deployment that are to have pods."""
        return [
            one
            for one in self.bundle.replica_sets
            if one.spec.replicas
            and any(
                owner.kind == "Deployment" and owner.name == deployment.metadata.name
                for owner in one.metadata.owner_references or ()
            )
        ]

    def slices(self, service: Service) -> list[Slice]:
        """The EndpointSlices of a Service."""
        name = service.metadata.name
        return [
            one
            for one in self.bundle.slices
            if (one.metadata.labels or {}).get("kubernetes.io/service-name") == name
        ]

    def ready_addresses(self, service: Service) -> set[str]:
        """Addresses that are called, as slices have them."""
        return {
            address
            for one in self.slices(service)
            for endpoint in one.endpoints or ()
            if endpoint.conditions is None or endpoint.conditions.ready is not False
            for address in (endpoint.addresses or ())[:1]
        }

    def log(self, pod: Pod, container: str) -> list[str]:
        """Lines of a container: of the one before the restart, then of the present one."""
        found = [
            one
            for one in self.bundle.logs
            if one.pod == pod.metadata.name and one.container in ("", container)
        ]
        return [
            line for one in sorted(found, key=lambda each: not each.previous) for line in one.lines
        ]


def _is_served(pod: Pod) -> bool:
    """Whether a pod is meant to go on: not one of a Job, nor one that has ended."""
    owners = pod.metadata.owner_references or ()
    return pod.status.phase not in ("Succeeded", "Failed") and all(
        one.kind != "Job" for one in owners
    )


def is_ready(pod: Pod) -> bool:
    """Whether a pod takes calls."""
    found = condition(pod.status.conditions, "Ready")
    return found is not None and found.status == "True"


def containers(pod: Pod) -> list[tuple[Container | None, ContainerStatus]]:
    """Containers with their state, the init containers first."""
    specs = {
        one.name: one for one in (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))
    }
    statuses = (*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ()))
    return [(specs.get(one.name), one) for one in statuses]


def seconds(time: str | None) -> float | None:
    """An RFC 3339 time in seconds since 1970, None where it is none."""
    if not time:
        return None
    try:
        at = datetime.fromisoformat(time)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
