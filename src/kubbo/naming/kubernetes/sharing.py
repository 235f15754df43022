"""Which watches one namespace needs, and which of them speaks for which Service. Pure.

A Service has a watch of its own, which all targets of that Service share: its consumers hear
of nothing else. Above a number of Services the watches are folded into one of the namespace's
slices, because each costs the API server a connection and a request every 5 to 10 minutes; when
half as many are left, they are unfolded.

            more than `fold_above` Services               half as many, or refused
    SINGLE ----------------------------------> FOLDED ------------------------------> SINGLE
      a watch a Service            the namespace's watch, and those of the Services
                                   that it has not taken over yet; and back likewise

The watch that speaks for a Service is its source. Folding and unfolding start the new watches
first and keep the old ones, and each Service changes its source by itself, when the new one

- has a whole list and is healthy,
- has not broken since that list (the reflector's doubt): what follows may be an old history, and
- is as of a version not older than the old one's last change of this Service.

So a Service's view never goes back, never is empty in between, and misses nothing: at every
moment it is what one watch shows, whole. A Service that comes while the namespace is folded
has the namespace's watch at once, and so never asks anything.

A namespace's watch needs no more permission than the others, for RBAC does not look at label
selectors. Where it is refused all the same (an authorizer that does look), while the watch of
a single Service is well, everything is unfolded and it is tried again after a long while. If
there is no single watch to compare with, one Service gets one, the canary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubbo.naming.kubernetes.view import SlicesView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kubbo.naming.kubernetes.objects import EndpointSlice
    from kubbo.naming.kubernetes.reflector import Failure, Reflector

__all__ = ["FOLD_ABOVE", "NAMESPACE", "Sharing"]

NAMESPACE: Final = ""
"""Key of the watch of a whole namespace, among those of Services by their names."""

FOLD_ABOVE: Final = 8
"""Services of one namespace: up to so many are watched one by one, unless set otherwise."""

_FOLD_WITHIN: Final = 120.0
"""Seconds after which a fold that took nothing over, beside healthy single watches, is given up."""

_FOLD_AGAIN: Final = 600.0
"""Seconds after which a namespace's watch that was refused is tried again."""

_PASSING: Final = frozenset({401, 408, 409, 410, 429})
"""Statuses from 400 to 499 that are no refusal of this watch."""


class Sharing:
    """The watches of one namespace. Its driver runs what `running` holds.

    Attributes:
        running: the views of the watches that are needed now, by Service, that of the
            namespace under `NAMESPACE`. A view that has gone from here is not to be driven
            any more; another one under the same key is another watch.
    """

    def __init__(
        self, make: Callable[[], Reflector[EndpointSlice]], *, fold_above: int = FOLD_ABOVE
    ) -> None:
        """`make` gives a new reflector; up to `fold_above` Services have watches of their own."""
        self._make = make
        self._most = fold_above
        self._few = (fold_above + 1) // 2
        self._running: dict[str, SlicesView] = {}
        self._source: dict[str, SlicesView] = {}  # of every Service, in the order of their coming
        self._moving: dict[str, None] = {}  # Services whose source is not the wanted one
        self._moved: set[str] = set()
        self._folded = False
        self._give_up = float("inf")
        self._fold_again = float("-inf")
        self._canary: str | None = None
        self._failures_before: int | None = None  # of the namespace's watch, see `_is_refused`

    @property
    def running(self) -> Mapping[str, SlicesView]:
        """See above."""
        return self._running

    @property
    def folded(self) -> bool:
        """Whether one watch is to serve all Services."""
        return self._folded

    def source(self, service: str) -> SlicesView:
        """The view that speaks for a Service that has joined."""
        return self._source[service]

    def take_moved(self) -> set[str]:
        """The Services whose source has changed since this was called last."""
        moved, self._moved = self._moved, set()
        return moved

    # ------------------------------------------------------------------ inputs
    def join(self, service: str, now: float) -> None:
        """A Service is wanted that was not."""
        # Whether to fold is asked first: a thousand that come together are no thousand watches.
        if not self._folded and len(self._source) >= self._most and now >= self._fold_again:
            self._fold(now)
        self._source[service] = self._view(NAMESPACE if self._folded else service)
        self.update(now)

    def leave(self, service: str, now: float) -> None:
        """A Service is not wanted any more."""
        del self._source[service]
        self._moving.pop(service, None)
        self._moved.discard(service)
        self._running.pop(service, None)
        if service == self._canary:
            self._canary = None
        if not self._source:
            self._running.clear()
            self._folded = False
            self._give_up = float("inf")
        self.update(now)

    def update(self, now: float, key: str = NAMESPACE) -> None:
        """The view of a key has received something, or `next_timer` has come.

        O(1) while nothing moves.
        """
        count = len(self._source)
        if self._folded and (count <= self._few or self._is_refused(now)):
            self._unfold()
        elif not self._folded and count > self._most and now >= self._fold_again:
            self._fold(now)
        self._move(self._moving if key == NAMESPACE else {key} & self._moving.keys())

    def next_timer(self) -> float | None:
        """When to call `update` without an occasion; None: never."""
        if self._folded:
            return None if self._give_up == float("inf") else self._give_up
        return self._fold_again if len(self._source) > self._most else None

    # ----------------------------------------------------------------- folding
    def _view(self, key: str) -> SlicesView:
        view = self._running.get(key)
        if view is None:
            view = self._running[key] = SlicesView(self._make())
        return view

    def _fold(self, now: float) -> None:
        self._folded = True
        self._give_up = now + _FOLD_WITHIN
        self._failures_before = None
        namespace = self._view(NAMESPACE)
        self._moving = {
            service: None for service, source in self._source.items() if source is not namespace
        }
        # Those that had not come back from it yet need no watch of their own any more.
        for service in self._running.keys() - self._moving.keys() - {NAMESPACE}:
            del self._running[service]

    def _unfold(self) -> None:
        self._folded = False
        self._give_up = float("inf")
        self._canary = None
        namespace = self._running[NAMESPACE]
        self._moving = {
            service: None for service, source in self._source.items() if source is namespace
        }
        for service in self._source:
            self._view(service)

    def _move(self, services: Iterable[str]) -> None:
        """Change the sources of those Services for which the wanted watch has come so far."""
        for service in list(services):
            new = self._running[NAMESPACE if self._folded else service]
            if _may_take_over(service, new, self._source[service]):
                self._source[service] = new
                self._moved.add(service)
                del self._moving[service]
                if self._folded:
                    del self._running[service]
        if not self._moving:
            self._give_up = float("inf")
            if not self._folded:
                self._running.pop(NAMESPACE, None)

    # ---------------------------------------------------------------- refusals
    def _is_refused(self, now: float) -> bool:
        """Whether the namespace's watch does not work where single ones do."""
        namespace = self._running[NAMESPACE]
        failure = namespace.reflector.failure
        if now >= self._give_up:
            if self._a_single_is_well():
                self._fold_again = now + _FOLD_AGAIN
                return True
            self._give_up = now + _FOLD_WITHIN
        if failure is None or not _is_refusal(failure):
            self._failures_before = None
            if self._canary is not None and _is_well(namespace):
                del self._running[self._canary]
                self._canary = None
            return False
        if len(self._running) == 1:
            self._canary = next(iter(self._source))
            self._view(self._canary)
        if not self._a_single_is_well():
            self._failures_before = None
            return False
        # The single one may have healed first. Refused again after that is refused.
        failures = namespace.reflector.counters.failures
        if self._failures_before is None:
            self._failures_before = failures
        if failures == self._failures_before:
            return False
        self._fold_again = now + _FOLD_AGAIN
        return True

    def _a_single_is_well(self) -> bool:
        return any(_is_well(view) for key, view in self._running.items() if key != NAMESPACE)


def _is_well(view: SlicesView) -> bool:
    return view.reflector.synced and view.reflector.stale_since is None


def _is_refusal(failure: Failure) -> bool:
    return 400 <= failure.status < 500 and failure.status not in _PASSING


def _may_take_over(service: str, new: SlicesView, old: SlicesView) -> bool:
    if not old.reflector.synced:
        return new.reflector.synced
    return (
        _is_well(new)
        and not new.reflector.doubtful
        and _is_as_new(new.reflector.resource_version, old.version(service))
    )


def _is_as_new(version: str, other: str) -> bool:
    """Whether a version is certainly not older than another of the same collection.

    Source: KEP-5504, as in the reflector.
    """
    if not (version.isdecimal() and other.isdecimal()):
        return version == other
    return (len(version), version) >= (len(other), other)
