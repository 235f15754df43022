"""One open watch: changes go in as they happen, events come out in their order.

A selector makes of a change what its watcher must see: an object that begins to match is
ADDED, one that no longer matches is DELETED (in its last matching state, with the version of
the change). A watch only moves forward: whatever is not newer than what it has said already
is dropped, bookmarks too. So a watch from a version in the future stays silent, which is what
the real server does after its data went back to a backup.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from kubbo.sim.apiserver.objects import ApiError, Object, clone, mapping, text

if TYPE_CHECKING:
    from kubbo.sim.apiserver.objects import Resource
    from kubbo.sim.apiserver.selectors import Selector
    from kubbo.sim.apiserver.store import Change, Store

__all__ = ["INITIAL_EVENTS_END", "Watch"]

INITIAL_EVENTS_END = "k8s.io/initial-events-end"

_MAX_PENDING = 10_000  # events; a watcher that reads no faster than this is cut off


class Watch:
    """The events of one resource for one watcher.

    `since` is the version to go on from; None begins with an ADDED event for each object
    there is, and for a watcher that wants bookmarks the one that says where these end, unless
    it is not `marked`.
    """

    def __init__(
        self,
        store: Store,
        resource: Resource,
        namespace: str,
        selector: Selector,
        *,
        since: int | None,
        bookmarks: bool,
        marked: bool = True,
    ) -> None:
        self._store = store
        self._resource = resource
        self._namespace = namespace
        self._selector = selector
        self._bookmarks = bookmarks
        self._pending: deque[Object] = deque()
        self._wake = asyncio.Event()
        self._last = store.version if since is None else since
        self.ended = False
        if since is None:
            for item in store.list(resource.plural, namespace, selector=selector):
                self._push("ADDED", item)
            if bookmarks and marked:
                self._push("BOOKMARK", self._bookmark({INITIAL_EVENTS_END: "true"}))
        else:
            try:
                missed = store.changes(since)
            except ApiError as error:
                self._push("ERROR", error.status())
                self.ended = True
                missed = ()
            for change in missed:
                self._take(change)
        self._unsubscribe = store.subscribe(self._take)

    def close(self) -> None:
        """Hear no more of the store, and end after the events that are pending."""
        if not self.ended:
            self.end()
        self._unsubscribe()

    def end(self) -> None:
        """Let the watcher go, as a server does at its deadline or when it stops."""
        self.ended = True
        self._wake.set()

    def fail(self, error: ApiError) -> None:
        """Tell the watcher of an error, and let it go."""
        if not self.ended:
            self._push("ERROR", error.status())
            self.end()

    def bookmark(self) -> None:
        """Tell the watcher, if it asked for that, how far it has come."""
        if self._bookmarks and not self.ended and self._store.version >= self._last:
            self._last = self._store.version
            self._push("BOOKMARK", self._bookmark({}))

    async def next(self, until: float) -> Object | None:
        """The next event; None when loop time `until` has come, or the watch has ended."""
        while not self._pending:
            if self.ended:
                return None
            self._wake.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
            except TimeoutError:
                return None
        return self._pending.popleft()

    def _take(self, change: Change) -> None:
        if self.ended or change.version <= self._last or change.resource is not self._resource:
            return
        if self._namespace not in ("", text(change.object, "metadata", "namespace")):
            return
        self._last = change.version
        matched = change.before is not None and self._selector.matches(change.before)
        matches = change.type != "DELETED" and self._selector.matches(change.object)
        if matches:
            self._push("MODIFIED" if matched else "ADDED", change.object)
        elif matched and change.before is not None:
            gone = change.object
            if change.type != "DELETED":
                gone = clone(change.before)
                mapping(gone, "metadata")["resourceVersion"] = str(change.version)
            self._push("DELETED", gone)

    def _push(self, kind: str, value: Object) -> None:
        if len(self._pending) >= _MAX_PENDING:
            self._pending.clear()
            self.end()
            return
        self._pending.append({"type": kind, "object": value})
        self._wake.set()

    def _bookmark(self, annotations: Object) -> Object:
        meta: Object = {"resourceVersion": str(self._last)}
        if annotations:
            meta["annotations"] = annotations
        return {
            "kind": self._resource.kind,
            "apiVersion": self._resource.api_version,
            "metadata": meta,
            **self._resource.blank,
        }
