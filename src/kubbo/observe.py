"""What a call, a request and an update tell whoever listens.

An observer is an object that a channel or a server is given. It is told each call with its
attempts, each request that is served and each update of a view, as it happens and in the event
loop: it must be quick and must not block. Without one nothing is made for it.

Times are in seconds of the clock of the event loop. A report is filled while its call goes on, and
is complete when the `*_ended` method gets it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.model import Endpoint, Invocation, ServiceKey

__all__ = [
    "AttemptReport",
    "BreakerReport",
    "CallReport",
    "Observer",
    "RequestReport",
    "Silent",
    "UpdateReport",
    "begin",
    "tell",
]

_log = logging.getLogger("kubbo.observe")


@dataclass(slots=True, eq=False)
class AttemptReport:
    """One attempt: which provider was chosen, how long it took, how it failed."""

    call: CallReport
    endpoint: Endpoint
    started: float
    elapsed: float = 0.0
    error: BaseException | None = None

    def end(self, now: float, error: BaseException | None) -> None:
        """It has its outcome."""
        self.elapsed = now - self.started
        self.error = error
        tell(self.call.observer.attempt_ended, self)


@dataclass(slots=True, eq=False)
class CallReport:
    """One call of a consumer over all its attempts.

    Attributes:
        observer: who is told.
        invocation: what is called, with its attachments and its deadline.
        target: whose providers take it.
        started: when the call was made.
        waited: seconds until the first attempt began: for a free place, for the first view.
        attempts: in the order in which they began.
        elapsed: seconds until the caller had its outcome.
        error: what the caller got instead of a value.
        degraded: the failure that a fallback stood in for.
    """

    observer: Observer
    invocation: Invocation
    target: str
    started: float
    waited: float = 0.0
    attempts: list[AttemptReport] = field(default_factory=list[AttemptReport])
    elapsed: float = 0.0
    error: BaseException | None = None
    degraded: BaseException | None = None

    def begin(self) -> None:
        """Tell that it begins."""
        tell(self.observer.call_started, self)

    def end(
        self, now: float, error: BaseException | None, degraded: BaseException | None = None
    ) -> None:
        """The caller has its outcome."""
        self.elapsed = now - self.started
        self.error = error
        self.degraded = degraded
        tell(self.observer.call_ended, self)


@dataclass(slots=True, eq=False)
class RequestReport:
    """One request at a provider, `queued` seconds of which it waited for its turn.

    `error` is what the method threw, or why it was refused or cut short. A request that was
    refused before it could be attributed to a method has no report.
    """

    observer: Observer
    service: ServiceKey
    method: str
    peer: str
    started: float
    queued: float = 0.0
    elapsed: float = 0.0
    error: BaseException | None = None

    def end(self, now: float) -> None:
        """It was answered, refused or cut short."""
        self.elapsed = now - self.started
        tell(self.observer.request_ended, self)


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """A view of a target that has just been published.

    `resolution` is `members`, `absent`, `failed` or `pending`; `stale_since` the last sign of life
    of its source, None while that is well.
    """

    target: str
    resolution: str
    members: int
    added: int
    removed: int
    stale_since: float | None


@dataclass(frozen=True, slots=True)
class BreakerReport:
    """The breaker of a target left a provider out (`open`), or took it back (`closed`)."""

    target: str
    endpoint: Endpoint
    state: str
    reason: str


class Observer(Protocol):
    """Is told what happens. Whatever it raises is logged and changes nothing."""

    def call_started(self, call: CallReport, /) -> None:
        """A call begins; attachments that are set on its invocation now are sent."""
        ...

    def attempt_started(self, attempt: AttemptReport, /) -> None:
        """A provider was chosen; nothing has been sent yet."""
        ...

    def attempt_ended(self, attempt: AttemptReport, /) -> None:
        """An attempt has its outcome."""
        ...

    def call_ended(self, call: CallReport, /) -> None:
        """The caller has its outcome."""
        ...

    def request_started(self, request: RequestReport, /) -> None:
        """A provider took a request."""
        ...

    def request_ended(self, request: RequestReport, /) -> None:
        """A request was answered, refused or cut short."""
        ...

    def updated(self, update: UpdateReport, /) -> None:
        """A view was published."""
        ...

    def breaker_changed(self, change: BreakerReport, /) -> None:
        """A provider was left out because it fails, or taken back."""
        ...


class Silent:
    """An observer that does nothing: to inherit from, where only some of it matters."""

    def call_started(self, call: CallReport, /) -> None:
        """See `Observer`."""

    def attempt_started(self, attempt: AttemptReport, /) -> None:
        """See `Observer`."""

    def attempt_ended(self, attempt: AttemptReport, /) -> None:
        """See `Observer`."""

    def call_ended(self, call: CallReport, /) -> None:
        """See `Observer`."""

    def request_started(self, request: RequestReport, /) -> None:
        """See `Observer`."""

    def request_ended(self, request: RequestReport, /) -> None:
        """See `Observer`."""

    def updated(self, update: UpdateReport, /) -> None:
        """See `Observer`."""

    def breaker_changed(self, change: BreakerReport, /) -> None:
        """See `Observer`."""


def tell(told: Callable[..., None], *reports: object) -> None:
    """Call a method of an observer; what it raises is logged."""
    try:
        told(*reports)
    except Exception:  # noqa: BLE001 - an observer's bug must not fail the call that it observes
        _log.exception("the observer failed")


def begin(call: CallReport, endpoint: Endpoint, now: float) -> AttemptReport:
    """Take note of one more attempt."""
    if not call.attempts:
        call.waited = now - call.started
    attempt = AttemptReport(call, endpoint, now)
    call.attempts.append(attempt)
    tell(call.observer.attempt_started, attempt)
    return attempt
