"""Kubernetes objects as plain JSON values, and the kinds that the server knows.

Nothing here is a schema. An object is what came over the wire; the few functions that look
into one answer with an empty value where a field is missing or has another type, so that no
caller has to tell "absent" from "null", which the API does not tell apart either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

__all__ = [
    "KINDS",
    "RESOURCES",
    "ApiError",
    "Json",
    "Object",
    "Resource",
    "at",
    "clone",
    "key_of",
    "mapping",
    "objects",
    "text",
]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Any JSON value."""

Object: TypeAlias = dict[str, Json]
"""A JSON object, by convention one of Kubernetes."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object, and how it is addressed.

    `blank` are the fields beside `metadata` that a bookmark of this kind carries: the real
    server writes them because its types have no way to leave them out.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    has_status: bool = False
    has_generation: bool = False
    blank: Object = field(default_factory=dict[str, Json], hash=False, compare=False)

    @property
    def api_version(self) -> str:
        """`v1`, or `discovery.k8s.io/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The plural with its group, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """The kind with its group, as messages about invalid objects name it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


_ALL: Final = (
    Resource(
        "",
        "v1",
        "namespaces",
        "Namespace",
        namespaced=False,
        has_status=True,
        blank={"spec": {}, "status": {}},
    ),
    Resource(
        "",
        "v1",
        "nodes",
        "Node",
        namespaced=False,
        has_status=True,
        blank={"spec": {}, "status": {}},
    ),
    Resource(
        "",
        "v1",
        "services",
        "Service",
        has_status=True,
        blank={"spec": {}, "status": {"loadBalancer": {}}},
    ),
    Resource(
        "",
        "v1",
        "pods",
        "Pod",
        has_status=True,
        has_generation=True,
        blank={"spec": {"containers": None}, "status": {}},
    ),
    Resource("", "v1", "configmaps", "ConfigMap"),
    Resource(
        "discovery.k8s.io",
        "v1",
        "endpointslices",
        "EndpointSlice",
        has_generation=True,
        blank={"addressType": "", "endpoints": None, "ports": None},
    ),
)

RESOURCES: Final = {resource.plural: resource for resource in _ALL}
"""By plural name, which is unique among these."""

KINDS: Final = {(resource.api_version, resource.kind): resource for resource in _ALL}


class ApiError(Exception):
    """A request that the API refuses; `status()` is the body of its answer."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Object | None = None,
        continuation: str = "",
    ) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.continuation = continuation

    def status(self) -> Object:
        """The Status object, its fields in the order of the real server."""
        meta: Object = {"continue": self.continuation} if self.continuation else {}
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": meta,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body

    @property
    def retry_after(self) -> int | None:
        """Seconds of the Retry-After header, where one is due."""
        seconds = (self.details or {}).get("retryAfterSeconds")
        return seconds if isinstance(seconds, int) else None


def at(value: Json, *path: str | int) -> Json:
    """What stands at a path of keys and indices; None where it ends early."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def text(value: Json, *path: str | int) -> str:
    """The string at a path, or ''."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def mapping(value: Json, *path: str | int) -> Object:
    """The object at a path (itself, not a copy), or a new empty one."""
    found = at(value, *path)
    return found if isinstance(found, dict) else {}


def objects(value: Json, *path: str | int) -> list[Object]:
    """The objects of the list at a path; anything else in it is left out."""
    found = at(value, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def clone(value: Object) -> Object:
    """A deep copy; by hand, as this is most of what a change costs."""
    return {name: _copied(part) for name, part in value.items()}


def _copied(value: Json) -> Json:
    if type(value) is dict:
        return {name: _copied(part) for name, part in value.items()}
    if type(value) is list:
        return [_copied(part) for part in value]
    return value


def key_of(value: Object) -> tuple[str, str]:
    """Namespace ('' for the cluster's own) and name; the order of lists."""
    return text(value, "metadata", "namespace"), text(value, "metadata", "name")
