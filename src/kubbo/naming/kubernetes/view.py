"""A reflector's view by Service: whose slices changed, and as of which version.

A watch may read the slices of one Service or those of a whole namespace. Either way its consumers
are Services, so the view is kept in groups, and an event touches one of them. What was heard up to
which version is kept a group too: it decides when one watch may take over from another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kubbo.naming.kubernetes.reflector import Changed
from kubbo.naming.kubernetes.slices import SERVICE_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kubbo.naming.kubernetes.objects import EndpointSlice
    from kubbo.naming.kubernetes.reflector import Action, Event, Reflector

__all__ = ["SlicesView"]

_NOBODY: dict[str, EndpointSlice] = {}


@dataclass(slots=True)
class _Group:
    """The slices of one Service by name, and as of when they last changed."""

    slices: dict[str, EndpointSlice] = field(default_factory=dict[str, "EndpointSlice"])
    revision: int = 0
    version: str = ""


class SlicesView:
    """What one watch shows of the Services that it covers.

    Attributes:
        reflector: keeps the view; its driver tells events to `receive` of this object instead.
    """

    def __init__(self, reflector: Reflector[EndpointSlice]) -> None:
        self.reflector = reflector
        self._groups: dict[str, _Group] = {}
        self._service_of: dict[str, str] = {}
        self._listed_version = ""
        self._revision = 0
        self._first = 0  # of the Services that no list has named: 1 after the first
        self._changed: set[str] = set()

    # ------------------------------------------------------------------ reading
    def slices(self, service: str) -> Mapping[str, EndpointSlice]:
        """The slices of a Service by name."""
        group = self._groups.get(service)
        return _NOBODY if group is None else group.slices

    def revision(self, service: str) -> int:
        """Differs from what it was when the slices of a Service have changed; 0 before a list."""
        group = self._groups.get(service)
        return self._first if group is None else group.revision

    def version(self, service: str) -> str:
        """The version as of which the slices of a Service last changed; empty before a list."""
        group = self._groups.get(service)
        return self._listed_version if group is None else group.version

    def take_changed(self) -> set[str]:
        """The Services whose slices have changed since this was called last."""
        changed, self._changed = self._changed, set()
        return changed

    # ------------------------------------------------------------------ writing
    def receive(self, event: Event[EndpointSlice], now: float) -> Action | None:
        """Tell the reflector what happened, and follow what it makes of that."""
        reflector = self.reflector
        before = reflector.revision
        action = reflector.receive(event, now)
        if reflector.revision == before:
            return action
        match event:
            case Changed(_, name, _, version):
                self._set(name, reflector.items.get(name), version)
            case _:  # a list is complete: it is another view
                self._replace(reflector.items.values(), reflector.resource_version)
        return action

    def _set(self, name: str, value: EndpointSlice | None, version: str) -> None:
        before = self._service_of.pop(name, None)
        after = None if value is None else _service(value)
        if before is not None and before != after:
            self._groups[before].slices.pop(name, None)
            self._touch(before, version)
        if after is not None and value is not None:
            self._service_of[name] = after
            self._groups.setdefault(after, _Group()).slices[name] = value
            self._touch(after, version)

    def _touch(self, service: str, version: str) -> None:
        group = self._groups[service]
        self._revision += 1
        group.revision = self._revision
        group.version = version
        self._changed.add(service)

    def _replace(self, slices: Iterable[EndpointSlice], version: str) -> None:
        """Take over a list: what it leaves out is gone, what it repeats has not changed."""
        self._service_of.clear()
        grouped: dict[str, dict[str, EndpointSlice]] = {}
        for one in slices:
            service = _service(one)
            self._service_of[one.metadata.name] = service
            grouped.setdefault(service, {})[one.metadata.name] = one
        self._listed_version = version
        self._revision += 1
        self._first = self._first or self._revision
        before, self._groups = self._groups, {}
        for service, after in grouped.items():
            known = before.pop(service, None)
            revision = known.revision if known is not None else 0
            self._groups[service] = _Group(after, revision, version)
            if known is None or known.slices != after:
                self._touch(service, version)
        for service, known in before.items():
            if known.slices:  # those that had none already have been told
                self._groups[service] = _Group()
                self._touch(service, version)


def _service(one: EndpointSlice) -> str:
    return (one.metadata.labels or {}).get(SERVICE_LABEL, "")
