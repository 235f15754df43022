"""The reflector: keeps a view of one collection of the API server right, doing no I/O.

A collection (say, the EndpointSlices of a Service) is read by listing it, which gives a
snapshot and its resource version, and then watching it from that version on, which gives
every change after it. What makes this hard is everything else: versions expire, streams
end, break or just go quiet, servers restart with other histories. The rules for all that
are here, as a state machine. It is told what happened and the time, and answers with the
next action; the driver (`resolver.py`) performs actions and reports. A fake cluster can
thus replay a year of faults in a second.

                 start
                   |  List("0")
                   v          next page: List(continue)
          +---> LISTING <-------------+
          |      |  |  |              |
          |      |  |  +--------------+
          |      |  |
          |      |  +-- expired, too large: List(""), the last resort
          |      |
          |      | last page: publish, Watch(version)
          |      v
          |   WATCHING <--- event, bookmark: note the version
          |    | |  |  <--- ended in time: Watch(version)
          |    | |  |
          |    | |  +-- 410, undecodable event, version going backwards, silence, doubt:
          +----|-|------------ List(version), at once the first time, later after a backoff
               | |
               | +----- ended early: Wait up to a second, then Watch(version)
               |
               +------- any failure: Wait (backoff, Retry-After), then the same again
                            (403 on a watch: then a List, so that the view still moves)

What is published is always a whole state of the server: a list's pages are joined before
they replace the view (so a deletion during a gap is found by the relist), an event is
applied as one. The view is never dropped for a failure; `stale_since` says that it may be
old.

Numbers. Lists start at version "0" (any version the server has in memory will do), later
lists ask for "not older than what I have seen", and only if that is refused for the newest
("", a quorum read). A watch runs 5 to 10 minutes, at random, so that a fleet spreads. The
API server sends a bookmark within 60 to 76 s of silence; 80 s without a word is therefore a
stream that is dead or, after a restore of etcd, one that waits for a version of the future:
a list tells, and with it both heal within 90 s.

Knocking. While nobody listens at the server's address, asking costs it nothing, and a wait of
30 s would only make the view late when it is back. Such a `Wait` may be ended early: the driver
dials now and then, sends nothing, and calls `handle_reachable` as soon as somebody listens. The
return is spread over 5 s. Dials that failed don't lengthen the waits after answers that failed.

Doubt. A watch that broke is resumed at its version, which is right unless the server came back
with another history (etcd restored from a backup): it would then accept a version that it
never gave, and leave out what happened before. Nothing in the answers shows that, so a stream
that follows a broken one is replaced by a list after 60 to 80 s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

__all__ = [
    "Action",
    "Backoff",
    "Bookmark",
    "Changed",
    "Counters",
    "Ended",
    "Event",
    "Failure",
    "List",
    "Opened",
    "Page",
    "Reflector",
    "Undecodable",
    "Wait",
    "Watch",
]

T = TypeVar("T")

_PAGE = 500  # objects a page, as client-go asks for
_ANY_VERSION = "0"
_NEWEST_VERSION = ""
_WATCH_SHORTEST, _WATCH_LONGEST = 300.0, 600.0
_WATCH_GRACE = 15.0  # the server ends a watch itself; this long after that time we do
_SILENCE = 80.0
_DOUBT_SHORTEST, _DOUBT_LONGEST = 60.0, 80.0
_TOO_SHORT = 1.0  # a watch that ends sooner is a failure, or a loop would run hot
_EARLY = 0.9  # of its timeout: the server ended the watch for a reason of its own
_EARLY_SPREAD = 1.0  # so that its consumers don't all come back at once
_RETURN_SPREAD = 5.0
_FORBIDDEN_FIRST = 3.0  # a server that has just started may not know the Roles yet
_FORBIDDEN_SHORTEST, _FORBIDDEN_LONGEST = 15.0, 25.0  # seen within 30 s of the Role's return
_RETRY_AFTER_MOST = 60.0  # a server may not silence us for longer

_GONE = 410
_FORBIDDEN = 403
_MALFORMED = frozenset({400, 422})  # the server does not understand our version: list anew


# ------------------------------------------------------------------- actions
@dataclass(frozen=True, slots=True)
class List:
    """List, at most `limit` objects (0: all). A `continue_token` goes on with a list."""

    resource_version: str
    continue_token: str = ""
    limit: int = _PAGE


@dataclass(frozen=True, slots=True)
class Watch:
    """Watch with bookmarks from a version on. `timeout` is for the server to end it."""

    resource_version: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so long, then call `handle_timer`.

    With `knock`, call `handle_reachable` earlier, if the server can be dialled again.
    """

    seconds: float
    knock: bool = False


Action: TypeAlias = List | Watch | Wait


# -------------------------------------------------------------------- events
@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list came, its objects by name."""

    items: Mapping[str, T]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """The server accepted the watch (status 200)."""


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """An object was added, changed or deleted."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    name: str
    value: T
    resource_version: str


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Nothing changed up to this version."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A line of the stream, or a page, made no sense; what it said is lost."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The stream ended cleanly."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request failed, or an ERROR event came in the stream.

    `status` is the HTTP status or the code of the event, 0 where the server could not be
    reached, or broke off. `too_large` is its answer to a version of the future. `unreachable`:
    not even a connection came about.
    """

    status: int
    message: str
    retry_after: float | None = None
    too_large: bool = False
    unreachable: bool = False


Event: TypeAlias = "Page[T] | Opened | Changed[T] | Bookmark | Undecodable | Ended | Failure"


class Backoff:
    """Waits that grow with repeated trouble: full jitter below 0.8 s, 1.6 s ... 30 s.

    Only two calm minutes make the next wait short again; a success in between does not, or a
    server that answers every other request would be asked at full speed.
    """

    FIRST = 0.8
    MOST = 30.0
    CALM = 120.0

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._troubles = 0
        self._last = float("-inf")

    @property
    def troubles(self) -> int:
        """Troubles since the last calm, as of the last `delay`."""
        return self._troubles

    def delay(self, now: float) -> float:
        """Note a trouble; how long to wait after it."""
        if now - self._last >= self.CALM:
            self._troubles = 0
        ceiling = min(self.MOST, self.FIRST * 2.0 ** min(self._troubles, 16))
        self._troubles += 1
        wait = self._rng.uniform(0.0, ceiling)
        self._last = now + wait  # calm begins when the waiting is over
        return wait


@dataclass(slots=True)
class Counters:
    """What a reflector did and met, since it began."""

    lists: int = 0
    watches: int = 0
    relists: int = 0
    events: int = 0
    bookmarks: int = 0
    undecodable: int = 0
    expired: int = 0
    too_large: int = 0
    backwards: int = 0
    silences: int = 0
    doubts: int = 0
    failures: int = 0
    unauthorized: int = 0
    forbidden: int = 0
    throttled: int = 0


class _Phase(Enum):
    LISTING = "listing"
    WATCHING = "watching"
    WAITING = "waiting"


@dataclass(slots=True)
class _Listing(Generic[T]):
    """A list under way: at which version it was asked for, and the pages so far."""

    resource_version: str
    limit: int = _PAGE
    items: dict[str, T] = field(default_factory=dict[str, T])
    continued: bool = False


class Reflector(Generic[T]):
    """Lists and watches one collection. See the head of this module for the states.

    Attributes:
        items: the view: the objects by name. Never changed in place by a list.
        synced: whether a whole list has come yet.
        revision: grows whenever the view changed.
        stale_since: when the source was lost, None while it is healthy.
        failure: the last failure while the source is lost, else None.
        counters: for whoever observes.
    """

    def __init__(self, *, rng: random.Random) -> None:
        self._rng = rng
        self._phase = _Phase.WAITING
        self._next: List | Watch = List(_ANY_VERSION)
        self._version = _NEWEST_VERSION
        self._listing: _Listing[T] = _Listing(_ANY_VERSION)
        self._watch_began = 0.0
        self._watch_timeout = 0.0
        self._heard = 0.0
        self._doubtful_from = float("inf")
        self._failures = Backoff(rng)
        self._resyncs = Backoff(rng)
        self._dials = Backoff(rng)
        self._forbidden_again = False
        self.items: dict[str, T] = {}
        self.synced = False
        self.revision = 0
        self.stale_since: float | None = None
        self.failure: Failure | None = None
        self.counters = Counters()

    @property
    def resource_version(self) -> str:
        """The version of the view; empty before the first list."""
        return self._version

    def start(self, now: float) -> Action:
        """The first action."""
        self._heard = now
        return self._begin_list(_ANY_VERSION)

    def next_timer(self) -> float | None:
        """When `handle_timer` is due while watching; else None (a `Wait` says it itself)."""
        if self._phase is not _Phase.WATCHING:
            return None
        return min(
            self._heard + _SILENCE,
            self._watch_began + self._watch_timeout + _WATCH_GRACE,
            self._doubtful_from,
        )

    def handle_timer(self, now: float) -> Action:
        """A wait is over, or `next_timer` has come: the stream is to be dropped."""
        watching = self._phase is _Phase.WATCHING
        if watching and now - self._heard >= _SILENCE:
            self.counters.silences += 1
            self._lose(self._heard, Failure(0, f"no event or bookmark for {_SILENCE:.0f} s"))
            return self._begin_relist(self._version)
        if not watching and isinstance(self._next, List):
            return self._begin_list(self._next.resource_version, self._next.limit)
        if now >= self._doubtful_from:
            self.counters.doubts += 1
            return self._begin_relist(self._version)
        return self._begin_watch(now)

    def handle_reachable(self, now: float) -> Action:
        """Somebody listens again during a `Wait` with `knock`."""
        self._heard = now
        return self._wait(self._rng.uniform(0.0, _RETURN_SPREAD))

    def receive(self, event: Event[T], now: float) -> Action | None:
        """Take in what happened; None means: go on reading the stream."""
        self._heard = now
        match event:
            case Page():
                return self._receive_page(event, now)
            case Opened():
                self._forbidden_again = False
                self.stale_since = None
                self.failure = None
                return None
            case Changed():
                return self._receive_change(event, now)
            case Bookmark():
                self.counters.bookmarks += 1
                return self._advance(event.resource_version, now)
            case Undecodable():
                self.counters.undecodable += 1
                return self._resync(now, event.reason)
            case Ended():
                return self._receive_end(now)
            case Failure():
                return self._receive_failure(event, now)

    # ------------------------------------------------------------- listing
    def _begin_list(self, resource_version: str, limit: int = _PAGE) -> Action:
        self._phase = _Phase.LISTING
        self._listing = _Listing(resource_version, limit)
        self.counters.lists += 1
        return List(resource_version, limit=limit)

    def _begin_relist(self, resource_version: str) -> Action:
        self.counters.relists += 1
        return self._begin_list(resource_version)

    def _receive_page(self, page: Page[T], now: float) -> Action:
        self._listing.items.update(page.items)
        if page.continue_token:
            self._listing.continued = True
            return List(self._listing.resource_version, page.continue_token)
        self.items = self._listing.items
        self._listing = _Listing(_NEWEST_VERSION)
        self._version = page.resource_version
        self._doubtful_from = float("inf")
        self.synced = True
        self.revision += 1
        return self._begin_watch(now)

    # ------------------------------------------------------------ watching
    def _begin_watch(self, now: float) -> Action:
        self._phase = _Phase.WATCHING
        self._watch_began = self._heard = now
        self._watch_timeout = round(self._rng.uniform(_WATCH_SHORTEST, _WATCH_LONGEST))
        self.counters.watches += 1
        return Watch(self._version, self._watch_timeout)

    def _receive_change(self, change: Changed[T], now: float) -> Action | None:
        self.counters.events += 1
        if change.resource_version == self._version:
            return None  # told twice
        action = self._advance(change.resource_version, now)
        if action is not None:
            return action
        if change.type == "DELETED":
            if self.items.pop(change.name, None) is None:
                return None
        else:
            self.items[change.name] = change.value
        self.revision += 1
        return None

    def _advance(self, resource_version: str, now: float) -> Action | None:
        """Note the version of the stream.

        Versions of one collection only grow. A smaller one means another history (a restored
        etcd), of which we may have missed any part.
        """
        if _is_older(resource_version, self._version):
            self.counters.backwards += 1
            self._version = _NEWEST_VERSION
            return self._resync(now)
        self._version = resource_version
        return None

    def _receive_end(self, now: float) -> Action:
        lasted = now - self._watch_began
        if lasted < _TOO_SHORT:
            return self._receive_failure(
                Failure(0, f"the server ended the watch after {lasted:.1f} s"), now
            )
        if lasted < self._watch_timeout * _EARLY:  # as a server that shuts down does
            self._doubt(now)
            self._next = Watch(self._version, 0.0)
            return self._wait(self._rng.uniform(0.0, _EARLY_SPREAD))
        return self._begin_watch(now)

    # -------------------------------------------------------------- trouble
    def _receive_failure(self, failure: Failure, now: float) -> Action:
        watching = self._phase is _Phase.WATCHING
        if failure.status == _GONE:
            self.counters.expired += 1
            return self._resync(now) if watching else self._receive_list_refused(failure, now)
        if failure.too_large:
            self.counters.too_large += 1
            if watching:
                self._version = _NEWEST_VERSION
                return self._resync(now)
            return self._receive_list_refused(failure, now)
        self._count(failure)
        self._lose(now, failure)
        if watching and (failure.status == 0 or failure.status >= 500):
            self._doubt(now)
        if watching and failure.status not in _MALFORMED and failure.status != _FORBIDDEN:
            self._next = Watch(self._version, 0.0)
        elif watching:
            version = _NEWEST_VERSION if failure.status in _MALFORMED else self._version
            self._next = List(version)
        else:
            self._next = List(self._listing.resource_version, limit=self._listing.limit)
        if failure.unreachable:
            return self._wait(self._dials.delay(now), knock=True)
        if failure.status == _FORBIDDEN:
            shortest, longest = _FORBIDDEN_SHORTEST, _FORBIDDEN_LONGEST
            if not self._forbidden_again:
                shortest, longest = 0.0, _FORBIDDEN_FIRST
            self._forbidden_again = True
            return self._wait(self._rng.uniform(shortest, longest))
        return self._wait(self._failures.delay(now) + self._asked_to_wait(failure))

    def _receive_list_refused(self, failure: Failure, now: float) -> Action:
        """A list's version is too old or too new, or its pages took too long."""
        listing = self._listing
        if listing.continued:  # in one piece, then: that cannot expire half way
            return self._begin_list(_NEWEST_VERSION, limit=0)
        if listing.resource_version != _NEWEST_VERSION:
            return self._begin_list(_NEWEST_VERSION)
        self._lose(now, failure)
        self._next = List(_NEWEST_VERSION, limit=listing.limit)
        return self._wait(self._failures.delay(now) + self._asked_to_wait(failure))

    def _resync(self, now: float, reason: str = "the version expired") -> Action:
        """List again: at once the first time, later after a backoff, or it could run hot."""
        delay = self._resyncs.delay(now)
        if self._phase is _Phase.WATCHING:
            if self._resyncs.troubles == 1:
                return self._begin_relist(self._version)
            self.counters.relists += 1
            self._next = List(self._version)
        else:  # a page made no sense
            self._lose(now, Failure(0, reason))
            self._next = List(self._listing.resource_version, limit=self._listing.limit)
        return self._wait(delay)

    def _wait(self, seconds: float, *, knock: bool = False) -> Action:
        self._phase = _Phase.WAITING
        return Wait(seconds, knock)

    def _doubt(self, now: float) -> None:
        if self._doubtful_from == float("inf"):
            self._doubtful_from = now + self._rng.uniform(_DOUBT_SHORTEST, _DOUBT_LONGEST)

    def _lose(self, since: float, failure: Failure) -> None:
        if self.stale_since is None:
            self.stale_since = since
        self.failure = failure

    def _count(self, failure: Failure) -> None:
        self.counters.failures += 1
        match failure.status:
            case 401:
                self.counters.unauthorized += 1
            case 403:
                self.counters.forbidden += 1
            case 429:
                self.counters.throttled += 1
            case _:
                pass

    @staticmethod
    def _asked_to_wait(failure: Failure) -> float:
        return min(max(failure.retry_after or 0.0, 0.0), _RETRY_AFTER_MOST)


def _is_older(version: str, other: str) -> bool:
    """Whether a version is certainly older than another one of the same collection.

    Source: KEP-5504; versions are decimal numbers that compare. Where one is not, nothing
    is certain.
    """
    if not (version.isdecimal() and other.isdecimal()):
        return False
    return (len(version), version) < (len(other), other)
