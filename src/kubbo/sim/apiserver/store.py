"""The objects, one version counter over all of them, and a log of the latest changes.

Every change takes the next version, stamps the object with it, and appends to the log. The
log answers three questions: what happened since version N (a watch), how did everything look
at version N (a page of a list, by undoing what came later), and is N too old to know
(`oldest`). Compaction forgets the log; a restart does so too, since the real server's watch
cache begins at the version it starts at. A restore from a backup sets the counter back, which
nobody is told: whoever watches from the future hears nothing until the counter has caught up.

The store does no I/O and never waits. Objects in it are never changed in place, so that the
log, the watches and the lists share them.
"""

from __future__ import annotations

import random
import time
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from kubbo.sim.apiserver import admission, patches
from kubbo.sim.apiserver.objects import (
    KINDS,
    RESOURCES,
    ApiError,
    Json,
    Object,
    Resource,
    clone,
    key_of,
    mapping,
    text,
)
from kubbo.sim.apiserver.selectors import Selector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Change", "ChangeType", "Snapshot", "Store", "expired", "not_found"]

ChangeType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]

_ALL = Selector()
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # of generated names: no vowels, so no words
_PRESERVED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generateName",
    "generation",
    "namespace",
    "name",
)
_GRACE_SECONDS = 30  # of a pod that does not say


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the history.

    `object` is the state after it (for a deletion the last one, with the version of the
    deletion), `before` the state it replaced, None for a creation.
    """

    version: int
    type: ChangeType
    resource: Resource
    object: Object
    before: Object | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A backup: what the store held at one version."""

    version: int
    objects: dict[str, dict[tuple[str, str], Object]]


class Store:
    """Objects by resource, namespace and name.

    Attributes:
        version: that of the latest change.
        oldest: nothing is known of the changes up to this version.
        history: how many changes the log keeps.
        loopback: whether endpoints may have loopback addresses.
        implicit_namespaces: whether the first object in a namespace creates it.
    """

    def __init__(
        self,
        *,
        history: int = 1000,
        loopback: bool = False,
        implicit_namespaces: bool = True,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self.version = 1
        self.oldest = 0
        self.history = history
        self.loopback = loopback
        self.implicit_namespaces = implicit_namespaces
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - names and ids, no secrets
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._log: deque[Change] = deque()
        self._listeners: list[Callable[[Change], None]] = []
        self._cluster_ips = 0
        self.clear()

    # --- reading

    def get(self, plural: str, name: str, namespace: str = "") -> Object:
        """A copy of one object.

        Raises:
            ApiError: 404.
        """
        return clone(self._require(RESOURCES[plural], name, namespace))

    def list(
        self,
        plural: str,
        namespace: str = "",
        *,
        selector: Selector = _ALL,
        version: int | None = None,
    ) -> Sequence[Object]:
        """The selected objects in the order of (namespace, name), of all namespaces for ''.

        They are the stored ones: copy before changing. With `version` they are as they
        were then; this costs a walk through the log.

        Raises:
            ApiError: 410, the log no longer reaches back to `version`.
        """
        state = self._objects[plural]
        if version is not None and version < self.version:
            state = self._state_at(plural, version)
        return [
            state[key]
            for key in sorted(state)
            if namespace in ("", key[0]) and selector.matches(state[key])
        ]

    def changes(self, since: int) -> tuple[Change, ...]:
        """Every change after a version, oldest first.

        Raises:
            ApiError: 410, the log no longer reaches back that far.
        """
        if since < self.oldest:
            raise expired(f"too old resource version: {since} ({self.oldest})")
        return tuple(change for change in self._log if change.version > since)

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` at once with each change, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- writing

    def create(self, value: Object, *, namespace: str = "") -> Object:
        """Store a new object; its resource is read from `apiVersion` and `kind`.

        Raises:
            ApiError: 409 if it exists, 422 if it is invalid, 404 for a missing namespace,
                400 for an unknown kind.
        """
        resource = _resource_of(value)
        new = clone(value)
        meta = mapping(new, "metadata")
        new["metadata"] = meta
        if resource.namespaced:
            meta["namespace"] = text(meta, "namespace") or namespace or "default"
        if not text(meta, "name") and text(meta, "generateName"):
            meta["name"] = text(meta, "generateName") + "".join(self._rng.choices(_SUFFIX, k=5))
        for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            meta.pop(name, None)
        if resource.namespaced:
            self._ensure_namespace(text(meta, "namespace"))
        admission.fill_in(resource, new)
        admission.check(resource, new, loopback=self.loopback)
        key = key_of(new)
        if key in self._objects[resource.plural]:
            raise ApiError(
                409,
                "AlreadyExists",
                f'{resource.qualified} "{key[1]}" already exists',
                details=_details(resource, key[1]),
            )
        if resource.plural == "services":
            self._assign_cluster_ip(mapping(new, "spec"))
        meta["uid"] = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        meta["creationTimestamp"] = self._timestamp()
        if resource.has_generation:
            meta["generation"] = 1
        self._commit("ADDED", resource, new, None)
        return clone(new)

    def update(self, value: Object, *, status: bool = False) -> Object:
        """Replace an object, or with `status` only its status and metadata.

        An unchanged object gets no new version.

        Raises:
            ApiError: 404, 409 if `metadata.resourceVersion` is given and not the current
                one, 422.
        """
        resource = _resource_of(value)
        namespace, name = key_of(value)
        current = self._require(resource, name, namespace)
        return clone(self._replace(resource, current, clone(value), status=status))

    def patch(
        self,
        plural: str,
        name: str,
        patch: Json,
        *,
        namespace: str = "",
        status: bool = False,
        kind: str = patches.MERGE_PATCH,
    ) -> Object:
        """Change an object by a patch of content type `kind`.

        Raises:
            ApiError: 404, 409, 415, 422.
        """
        resource = RESOURCES[plural]
        current = self._require(resource, name, namespace)
        patched = clone(patches.apply(kind, current, patch))
        if key_of(patched) != key_of(current):
            raise ApiError(
                400, "BadRequest", "the name of the object does not match the name on the URL"
            )
        return clone(self._replace(resource, current, patched, status=status))

    def delete(
        self,
        plural: str,
        name: str,
        *,
        namespace: str = "",
        grace_seconds: int | None = None,
        uid: str = "",
        version: str = "",
    ) -> Object:
        """Remove an object; returns its last state.

        A pod on a node only gets its `deletionTimestamp`: its node removes it in the end,
        by deleting it with `grace_seconds=0`. A namespace goes with all that is in it.

        Raises:
            ApiError: 404; 409 if `uid` or `version` is given and another one is current.
        """
        resource = RESOURCES[plural]
        current = self._require(resource, name, namespace)
        for given, field, word in (
            (uid, "uid", "UID"),
            (version, "resourceVersion", "ResourceVersion"),
        ):
            if given and given != (have := text(current, "metadata", field)):
                raise ApiError(
                    409,
                    "Conflict",
                    f'Operation cannot be fulfilled on {resource.qualified_kind} "{name}": the '
                    f"{word} in the precondition ({given}) does not match the {word} in record "
                    f"({have})",
                )
        if plural == "namespaces":
            for other in RESOURCES.values():
                for dependent in self.list(other.plural, name) if other.namespaced else ():
                    self._remove(other, dependent)
        if plural == "pods":
            grace = _grace(current, grace_seconds)
            terminating = text(current, "metadata", "deletionTimestamp")
            if grace > 0 or terminating:
                if grace > 0 and terminating:
                    return clone(current)  # a longer grace than the first is not granted
                current = self._terminate(resource, current, grace)
            if grace > 0:
                return clone(current)
        return clone(self._remove(resource, current))

    # --- the history

    def compact(self) -> None:
        """Forget all changes up to now, as etcd does from time to time."""
        self._log.clear()
        self.oldest = self.version

    def clear(self) -> None:
        """Begin anew: no objects, the counter at its start, as after a wiped disk."""
        self._objects = {plural: {} for plural in RESOURCES}
        self._log.clear()
        self.version, self.oldest = 1, 0
        if not self.implicit_namespaces:
            self._ensure_namespace("default", create=True)

    def snapshot(self) -> Snapshot:
        """A backup of the present state; cheap, as objects are shared."""
        return Snapshot(
            self.version, {plural: dict(all_) for plural, all_ in self._objects.items()}
        )

    def restore(self, backup: Snapshot) -> None:
        """Go back to a backup. The version goes back too, and the log is lost."""
        self._objects = {plural: dict(all_) for plural, all_ in backup.objects.items()}
        self.version = backup.version
        self.compact()

    def apply(self, change: Change) -> None:
        """Take over a change of the store that this one is a replica of, with its version.

        A change that is not newer than what is here is left out.
        """
        if change.version <= self.version:
            return
        self.version = change.version
        objects = self._objects[change.resource.plural]
        if change.type == "DELETED":
            objects.pop(key_of(change.object), None)
        else:
            objects[key_of(change.object)] = change.object
        self._record(change)

    # --- inside

    def _require(self, resource: Resource, name: str, namespace: str) -> Object:
        namespace = (namespace or "default") if resource.namespaced else ""
        found = self._objects[resource.plural].get((namespace, name))
        if found is None:
            raise not_found(resource, name)
        return found

    def _state_at(self, plural: str, version: int) -> dict[tuple[str, str], Object]:
        if version < self.oldest:
            raise expired("The resourceVersion for the provided list is too old.")
        state = dict(self._objects[plural])
        for change in reversed(self._log):
            if change.version <= version:
                break
            if change.resource.plural != plural:
                continue
            if change.before is None:
                del state[key_of(change.object)]
            else:
                state[key_of(change.object)] = change.before
        return state

    def _commit(
        self, kind: ChangeType, resource: Resource, new: Object, before: Object | None
    ) -> None:
        self.version += 1
        mapping(new, "metadata")["resourceVersion"] = str(self.version)
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", resource.kind)
        if kind == "DELETED":
            del self._objects[resource.plural][key_of(new)]
        else:
            self._objects[resource.plural][key_of(new)] = new
        self._record(Change(self.version, kind, resource, new, before))

    def _record(self, change: Change) -> None:
        self._log.append(change)
        while len(self._log) > self.history:
            self.oldest = self._log.popleft().version
        for listener in tuple(self._listeners):
            listener(change)

    def _replace(self, resource: Resource, old: Object, new: Object, *, status: bool) -> Object:
        name = text(old, "metadata", "name")
        meta = mapping(new, "metadata")
        given = text(meta, "resourceVersion")
        if given and given != text(old, "metadata", "resourceVersion"):
            raise ApiError(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has '
                "been modified; please apply your changes to the latest version and try again",
                details=_details(resource, name),
            )
        old_meta = mapping(old, "metadata")
        for field in _PRESERVED:
            if field in old_meta:
                meta[field] = old_meta[field]
            else:
                meta.pop(field, None)
        meta["resourceVersion"] = old_meta["resourceVersion"]
        if status:
            new = {**old, "metadata": meta, "status": new.get("status", {})}
        elif resource.has_status and "status" in old:
            new["status"] = old["status"]
        if resource.plural == "services" and "clusterIP" not in mapping(new, "spec"):
            mapping(new, "spec")["clusterIP"] = mapping(old, "spec").get("clusterIP")
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", resource.kind)
        admission.fill_in(resource, new)
        admission.check(resource, new, loopback=self.loopback)
        if new == old:
            return old
        if resource.has_generation and _substance(new) != _substance(old):
            generation = meta.get("generation")
            meta["generation"] = generation + 1 if isinstance(generation, int) else 1
        self._commit("MODIFIED", resource, new, old)
        return new

    def _terminate(self, resource: Resource, old: Object, grace: int) -> Object:
        new = clone(old)
        meta = mapping(new, "metadata")
        meta["deletionTimestamp"] = self._timestamp(grace)
        meta["deletionGracePeriodSeconds"] = grace
        if not text(old, "metadata", "deletionTimestamp"):
            generation = meta.get("generation")
            meta["generation"] = generation + 1 if isinstance(generation, int) else 1
        self._commit("MODIFIED", resource, new, old)
        return new

    def _remove(self, resource: Resource, old: Object) -> Object:
        gone = clone(old)
        self._commit("DELETED", resource, gone, old)
        return gone

    def _ensure_namespace(self, name: str, *, create: bool = False) -> None:
        if ("", name) in self._objects["namespaces"]:
            return
        if not (create or self.implicit_namespaces):
            raise not_found(RESOURCES["namespaces"], name)
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def _assign_cluster_ip(self, spec: Object) -> None:
        if spec.get("type") == "ExternalName" or text(spec, "clusterIP"):
            return
        self._cluster_ips += 1
        spec["clusterIP"] = f"10.96.{self._cluster_ips // 250 % 250}.{self._cluster_ips % 250 + 2}"

    def _timestamp(self, seconds_ahead: float = 0.0) -> str:
        moment = datetime.fromtimestamp(self._clock() + seconds_ahead, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def expired(message: str, *, continuation: str = "") -> ApiError:
    """410: asked for a version that is no longer known."""
    return ApiError(410, "Expired", message, continuation=continuation)


def not_found(resource: Resource, name: str) -> ApiError:
    """404 for one object."""
    return ApiError(
        404,
        "NotFound",
        f'{resource.qualified} "{name}" not found',
        details=_details(resource, name),
    )


def _details(resource: Resource, name: str) -> Object:
    group: Object = {"group": resource.group} if resource.group else {}
    return {"name": name, **group, "kind": resource.plural}


def _resource_of(value: Object) -> Resource:
    named = (text(value, "apiVersion"), text(value, "kind"))
    resource = KINDS.get(named)
    if resource is None:
        raise ApiError(400, "BadRequest", f"no kind {named[1]!r} in {named[0]!r} here")
    return resource


def _substance(value: Object) -> Object:
    """What makes a new generation when it changes: everything but metadata and status."""
    rest = {name: part for name, part in value.items() if name not in ("metadata", "status")}
    if value.get("kind") == "EndpointSlice":  # its strategy counts labels too
        rest["labels"] = mapping(value, "metadata", "labels")
    return rest


def _grace(pod: Object, grace_seconds: int | None) -> int:
    """Seconds that a pod has to end; none where no node runs it."""
    if not text(pod, "spec", "nodeName") or text(pod, "status", "phase") in ("Succeeded", "Failed"):
        return 0
    if grace_seconds is not None:
        return max(0, grace_seconds)
    declared = mapping(pod, "spec").get("terminationGracePeriodSeconds")
    return declared if isinstance(declared, int) else _GRACE_SECONDS
