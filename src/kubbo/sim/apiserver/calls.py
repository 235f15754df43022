"""What an HTTP request asks for: the grammar of paths and of list and watch parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubbo.sim.apiserver.objects import RESOURCES, ApiError, Json, Resource, text
from kubbo.sim.apiserver.selectors import Selector

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Call", "ListOptions"]

_WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_GROUPS = {(resource.group, resource.version) for resource in RESOURCES.values()}
_TRUE = ("1", "true", "True", "t", "T", "TRUE")


@dataclass(frozen=True, slots=True)
class Call:
    """A verb of the API on a resource, one object of it, or its status.

    `verb` is the one that rules name: get, list, watch, create, update, patch, delete,
    deletecollection.
    """

    verb: str
    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @classmethod
    def parse(cls, method: str, path: str, query: Mapping[str, str]) -> Call | None:
        """Read a request; None for a path that is no resource."""
        match path.strip("/").split("/"):
            case ["api", "v1", first, *rest]:
                group, version = "", "v1"
            case ["apis", group, version, first, *rest] if (group, version) in _GROUPS:
                pass
            case _:
                return None
        namespace = ""
        plural, parts = first, rest
        if first == "namespaces" and len(rest) >= 2 and rest[1] not in ("status", "finalize"):
            namespace, plural, parts = rest[0], rest[1], rest[2:]
        if len(parts) > 2:
            return None
        name, subresource = (*parts, "", "")[:2]
        if plural == "namespaces":
            namespace = name
        if method in _WRITES:
            verb = _WRITES[method]
        elif method == "DELETE":
            verb = "delete" if name else "deletecollection"
        elif name:
            verb = "get"
        else:
            verb = "watch" if query.get("watch") in _TRUE else "list"
        return cls(verb, group, version, plural, namespace, name, subresource)

    @property
    def path_resource(self) -> str:
        """The resource as rules name it: `pods`, `pods/status`."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural

    def resource(self) -> Resource:
        """What it is about.

        Raises:
            ApiError: 404, there is no such resource, scope or subresource.
        """
        found = RESOURCES.get(self.plural)
        if (
            found is None
            or (found.group, found.version) != (self.group, self.version)
            or (self.subresource and not (self.subresource == "status" and found.has_status))
            or (not found.namespaced and self.plural != "namespaces" and self.namespace)
            or (found.namespaced and self.name and not self.namespace)
        ):
            raise ApiError(
                404, "NotFound", "the server could not find the requested resource", details={}
            )
        return found


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The query of a list or a watch.

    `version` is None where none was given. `exact` asks for the state of just that version.
    """

    selector: Selector
    version: int | None = None
    exact: bool = False
    limit: int = 0
    continuation: str = ""
    timeout: float | None = None
    bookmarks: bool = False
    initial_events: bool | None = None

    @classmethod
    def parse(cls, query: Mapping[str, str], *, watch: bool) -> ListOptions:
        """Read and check the parameters.

        Raises:
            ApiError: 400 or 422, as the real server refuses what it cannot read and
                combinations that have no meaning; 500 for a watch whose version is no number.
        """
        selector = Selector.parse(query.get("labelSelector", ""), query.get("fieldSelector", ""))
        limit = _integer(query.get("limit", ""))
        timeout = _integer(query.get("timeoutSeconds", ""))
        given = query.get("resourceVersion", "")
        match = query.get("resourceVersionMatch", "")
        initial = query.get("sendInitialEvents", "")
        continuation = query.get("continue", "")
        _check_match(given, match, initial, watch=watch)
        if given and not (given.isascii() and given.isdigit() and len(given) < 20):
            raise _bad_version(given, watch=watch)
        if continuation and given not in ("", "0") and not watch:
            raise ApiError(
                400, "BadRequest", "specifying resource version is not allowed when using continue"
            )
        version = int(given) if given else None
        return cls(
            selector=selector,
            version=version,
            # a limit without resourceVersionMatch has always meant Exact
            exact=match == "Exact" or bool(limit > 0 and version and not match),
            limit=max(0, limit),
            continuation=continuation,
            timeout=float(timeout) if timeout > 0 else None,
            bookmarks=query.get("allowWatchBookmarks") in _TRUE,
            initial_events=None if not initial else initial in _TRUE,
        )


def _integer(given: str) -> int:
    if not given:
        return 0
    digits = given.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise ApiError(400, "BadRequest", f'strconv.ParseInt: parsing "{given}": invalid syntax')
    return int(given)


def _bad_version(given: str, *, watch: bool) -> ApiError:
    why = (
        f'resourceVersion: Invalid value: "{given}": strconv.ParseUint: '
        f'parsing "{given}": invalid syntax'
    )
    if watch:
        return ApiError(500, "", why)
    return ApiError(400, "BadRequest", f"invalid resource version: {why}")


def _check_match(version: str, match: str, initial: str, *, watch: bool) -> None:
    field = "resourceVersionMatch"
    forbidden: list[tuple[str, str]] = []
    supported = '"NotOlderThan"' if watch else '"Exact", "NotOlderThan", ""'
    if watch:
        if initial and match != "NotOlderThan":
            why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            forbidden.append((field, why))
        if match and not initial:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            forbidden.append((field, why))
    else:
        if initial:
            forbidden.append(("sendInitialEvents", "sendInitialEvents is forbidden for list"))
        if match and not version:
            why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            forbidden.append((field, why))
        if match == "Exact" and version == "0":
            why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            forbidden.append((field, why))
    causes: list[Json] = [
        {"reason": "FieldValueForbidden", "message": f"Forbidden: {why}", "field": where}
        for where, why in forbidden
    ]
    if match not in ("", "NotOlderThan") and (watch or match != "Exact"):
        why = f'Unsupported value: "{match}": supported values: {supported}'
        causes.append({"reason": "FieldValueNotSupported", "message": why, "field": field})
    if not causes:
        return
    lines = [f"{text(cause, 'field')}: {text(cause, 'message')}" for cause in causes]
    shown = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    raise ApiError(
        422,
        "Invalid",
        f'ListOptions.meta.k8s.io "" is invalid: {shown}',
        details={"group": "meta.k8s.io", "kind": "ListOptions", "causes": causes},
    )
