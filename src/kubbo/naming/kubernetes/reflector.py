"""The reflector: keeps a view of one collection of the API server right, doing no I/O.

A collection (say, the EndpointSlices of a Service) is read by listing it, which gives a
snapshot and its resource version, and then watching it from that version on, which gives
every change after it. What makes this hard is everything else: versions expire, streams
end, break or just go quiet, servers restart with other histories. The rules for all that
are here, as a state machine. It is told what happened and the time, and answers with the
next action; its driver performs actions and reports. A fake cluster can thus replay a year of
faults in a second.

              start
                |  Watch("0", initial=True)
                v
    +----> STREAMING -- refused, ignored, no end mark, any failure -----+
    |           |                                                       |
    |           | end mark: publish, and go on reading the stream       | List(version)
    |           v                                                       v
    |       WATCHING <--- last page: publish, Watch(version) ------- LISTING --+ next page
    |        | |  |  <--- event, bookmark: note the version          |  ^  ^   |
    |        | |  |  <--- ended in time: Watch(version)              |  |  +---+
    |        | |  |                                                  |  +--- expired, too large:
    |        | |  +-- doubt                                          |       List(""), the last
    +--------|-|-------+                                             |       resort
    |        | +----- 410, undecodable event, version going          |
    +--------|------- backwards, silence: Wait (its place in the     |
             |        herd), then the same as at the start           |
             |                                                       |
             +------- ended early: Wait up to a second,              |
             |        then Watch(version)                            |
             +------- ended early again, and                         |
             |        any failure: Wait (backoff, Retry-After),  ----+
                      then the same again, by List where it streamed
                      (403 on a watch, twice: then a List, so that the view still moves)

    Wait (probing) --- it is over: the request -------------------------------->
        |  ^    |
        |  |    +----- the server is back, or ready at last: Wait (half a second at most for a
        |  |           watch, its place for a list), then the request
        |  +---------- refused within 6 s of its return: Wait (0.2 to 1 s), thrice at most
        +-- the probes find nobody, or somebody who is not ready: the wait goes on

What is published is always a whole state of the server: a list's pages, or the initial events of
a stream, are joined before they replace the view (so a deletion during a gap is found by the
relist), an event is applied as one. The view is never dropped for a failure; `stale_since` says
that it may be old.

Streaming. `Watch(initial=True)` asks for the objects as events of the watch that follows
(`sendInitialEvents`); a bookmark with an annotation marks their end. It is one request less, and
costs the server no copy of the collection in memory. A server that does not know it refuses, or
ignores it and sends an ordinary watch (a bookmark without the annotation, or a change of an
object that was never told): then a list follows at once. Nothing shows that a mark is lost, so the
end is waited for 7 s. All of these are remembered for ten minutes, in which lists are used. The
newest version ("") is always read by a list: to stream it a server needs an etcd that tells
its progress.

Age. A view is confirmed by a whole list, an event or a bookmark, and `stale_since`, once the
source is lost, is the time of the last of these. That a server accepted a watch shows that it is
back, so the view is healthy again; it confirms nothing, since what changed may not have come yet.
Nor do events that come at once with a watch, which are as old as the gap that they fill.
A view that calls itself healthy was confirmed within the last 90 s: no stream goes on longer
than 77 s without that, and a list that is to confirm gets no more time than is left of the 90.

Numbers. Lists start at version "0" (any version the server has in memory will do), later
lists ask for "not older than what I have seen", and only if that is refused for the newest
("", a quorum read). A watch runs 5 to 10 minutes, at random, so that a fleet spreads. The
API server sends a bookmark within 60 to 76 s of silence; 77 s without a word is therefore a
stream that is dead or, after a restore of etcd, one that waits for a version of the future:
a list tells, and with it both heal within 90 s.

The herd. What breaks one watch breaks a thousand: a server restarts, has forgotten all versions,
and everybody has to list. A watch is cheap, so it may be asked for soon; but whoever finds then
that it needs a list waits for its place in the 5.7 s after the server's return. Places are the
consumers' own (`place.py`), and spread more evenly than dice, which would give some second more
than 20% of the lists in one restart of six. Five seconds are the least for that, and a view is to
be right 5 s after the server says that it is ready. What makes room for both is that a real server
answers a second before it says so (it takes connections a second before that, and leaves them
waiting): its return is its first answer, whatever it says.
A list that follows a doubt needs no place: doubts are spread by themselves.

Probes. A wait of 30 s would only make the view late when the server is back before it is over. So
during a wait after a failure the driver asks for /readyz now and then, which is free where nobody
listens and cheap where somebody does, and tells `handle_probe`. A probe ends a wait, for one to our
place in the herd, only when there is news: nobody was there, and now somebody answers; or somebody
who was not ready now is; or a connection was lost, and who answers now is not ready. A server that
was ready all the time and fails what it is asked gets the whole backoff. News are believed five
times, and then once in 10 s, so a load balancer with a good and a bad server behind it hurries
nobody. News after which the server served for a second don't count (sixty times): however often a
server dies, its return is noticed.
A server that has just returned may refuse everything for a moment, since it has not read its Roles
yet, or storage is not there yet: for 6 s that is no reason to slow down, and 401 and 403 are not
believed where there is no view yet. Nor is the first of these after an answer: who waited for a
place, say, does not notice that the server went and came.
Dials that failed don't lengthen the waits after answers that failed, and a list that is needed
because of a return doesn't lengthen the wait for the next one.

Hints. Whoever calls the providers may find that none of those in the view can be used any more,
which says that the view is old. Then the rest of a wait, unless the server asked for it, and of a
doubt (below) is as long as the way to our place in the herd, once in 10 s: all who call that
Service find it out at the same time. A stream that nothing has broken is believed.

Doubt. A watch that broke is resumed at its version, which is right unless the server came back
with another history (etcd restored from a backup): it would then accept a version that it
never gave, and leave out what happened before. Nothing in the answers shows that, so a stream
that follows a broken one is replaced by a list after 60 to 80 s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

from kubbo.naming.kubernetes.presence import Presence

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from kubbo.naming.kubernetes.presence import Probe

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
_MOST_OBJECTS = 200_000  # which nobody's namespace has, and memory has room for
_ANY_VERSION = "0"
_NEWEST_VERSION = ""
_WATCH_SHORTEST, _WATCH_LONGEST = 300.0, 600.0
_WATCH_GRACE = 15.0  # the server ends a watch itself; this long after that time we do
_SILENCE = 77.0
_SOON = 10.0
_CONFIRMED_WITHIN = 90.0  # what a view that calls itself healthy promises
_LIST_TIMEOUT, _LIST_SHORTEST = 30.0, 5.0
_STREAM_PATIENCE = 7.0
_STREAM_AGAIN = 600.0
_HERD_SPREAD = 5.7
_DOUBT_SHORTEST, _DOUBT_LONGEST = 60.0, 80.0
_TOO_SHORT = 1.0  # a watch that ends sooner is a failure, or a loop would run hot
_BACKLOG = 1.0  # events that come sooner after the answer may be old
_EARLY = 0.9  # of its timeout: the server ended the watch for a reason of its own
_EARLY_SPREAD = 1.0  # so that its consumers don't all come back at once
_RETURN_SPREAD = 0.5
_HINT_EVERY = 10.0
_FORBIDDEN_FIRST = 3.0
_FORBIDDEN_SHORTEST, _FORBIDDEN_LONGEST = 15.0, 25.0  # seen within 30 s of the Role's return
_RETRY_AFTER_MOST = 60.0  # a server may not silence us for longer

_GONE = 410
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_THROTTLED = 429
_MALFORMED = frozenset({400, 422})  # the server does not understand our version: list anew
_NO_STREAMS = frozenset({400, 404, 405, 406, 415, 422, 501})


# ------------------------------------------------------------------- actions
@dataclass(frozen=True, slots=True)
class List:
    """List, at most `limit` objects (0: all), within so many seconds.

    A `continue_token` goes on with a list.
    """

    resource_version: str
    continue_token: str = ""
    limit: int = _PAGE
    within: float = _LIST_TIMEOUT


@dataclass(frozen=True, slots=True)
class Watch:
    """Watch with bookmarks from a version on. `timeout` is for the server to end it.

    With `initial` the objects come first, as of a version that is not older: a streaming list.
    """

    resource_version: str
    timeout: float
    initial: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so long, then call `handle_timer`.

    With `probing`, ask meanwhile whether the server is ready, and call `handle_probe`.
    """

    seconds: float
    probing: bool = False


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
    """Nothing changed up to this version; `end_of_initial`: and the initial events end here."""

    resource_version: str
    end_of_initial: bool = False


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
    streams: int = 0
    streams_refused: int = 0
    streams_ignored: int = 0
    streams_unmarked: int = 0
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
    hints: int = 0
    failures: int = 0
    unauthorized: int = 0
    forbidden: int = 0
    throttled: int = 0


class _Phase(Enum):
    LISTING = "listing"
    STREAMING = "streaming"
    WATCHING = "watching"
    WAITING = "waiting"


@dataclass(slots=True)
class _Listing(Generic[T]):
    """A list under way: at which version it was asked for, and the objects so far."""

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
        stale_since: when the view was last confirmed, while the source is lost; None while it
            is healthy.
        failure: the last failure while the source is lost, else None.
        counters: for whoever observes.
        presence: what it knows of the server's coming and going.
        hastened: is called when `next_timer` has become sooner; the driver sets it.
    """

    def __init__(
        self,
        *,
        rng: random.Random,
        streams: bool = False,
        place: Callable[[], float | None] | None = None,
    ) -> None:
        """`streams`: whether the driver can watch with `initial`.

        `place` gives our place among all consumers, from 0 up to 1, None while it is not known;
        it is drawn at random then.
        """
        self._rng = rng
        self._place = place
        self._phase = _Phase.WAITING
        self._next: List | Watch = List(_ANY_VERSION)
        self._version = _NEWEST_VERSION
        self._listing: _Listing[T] = _Listing(_ANY_VERSION)
        self._streams_from = float("-inf") if streams else float("inf")
        self._watch_began = 0.0
        self._watch_timeout = 0.0
        self._backlog_until = 0.0
        self._confirmed = 0.0
        self._doubtful_from = float("inf")
        self._failures = Backoff(rng)
        self._resyncs = Backoff(rng)
        self._dials = Backoff(rng)
        self._forbidden_again = False
        self.presence = Presence()
        self._wait_until = 0.0
        self._throttled = False
        self._hinted = float("-inf")
        self._ended_early = float("-inf")
        self.hastened: Callable[[], None] | None = None
        self.items: dict[str, T] = {}
        self.synced = False
        self.revision = 0
        self.stale_since: float | None = None
        self.failure: Failure | None = None
        self.counters = Counters()

    @property
    def doubtful(self) -> bool:
        """Whether the watch may follow a history that the server has left; see "Doubt"."""
        return self._doubtful_from < float("inf")

    @property
    def resource_version(self) -> str:
        """The version of the view; empty before the first list."""
        return self._version

    def start(self, now: float) -> Action:
        """The first action."""
        self._confirmed = now
        self.presence.start(now)
        return self._begin_anew(_ANY_VERSION, now)

    def next_timer(self) -> float | None:
        """When `handle_timer` is due: in a `Wait` and while a stream is open; else None."""
        match self._phase:
            case _Phase.STREAMING:
                return self._watch_began + _STREAM_PATIENCE
            case _Phase.WATCHING:
                return min(
                    self._confirmed + _SILENCE,
                    self._watch_began + self._watch_timeout + _WATCH_GRACE,
                    self._doubtful_from,
                )
            case _Phase.WAITING:
                return self._wait_until
            case _Phase.LISTING:
                return None

    def handle_timer(self, now: float) -> Action:
        """A wait is over, or `next_timer` has come: the stream is to be dropped."""
        if self._phase is _Phase.STREAMING:
            self.counters.streams_unmarked += 1
            return self._begin_instead(now)
        waiting, following = self._phase is _Phase.WAITING, self._next
        if waiting and isinstance(following, List):
            return self._begin_list(following.resource_version, now, following.limit)
        if waiting and isinstance(following, Watch) and following.initial:
            return self._begin_anew(following.resource_version, now)
        if now >= self._doubtful_from:
            self.counters.doubts += 1
            return self._begin_relist(now)
        quiet_from = self._confirmed + _SILENCE
        if waiting and self.stale_since is not None:
            quiet_from -= _SOON
        if now < quiet_from:
            return self._begin_watch(now)
        self.counters.silences += 1  # or the stream was away for so long
        reason = f"no event or bookmark for {_SILENCE:.0f} s"
        self._lose(Failure(0, reason))
        return self._relist_in_its_place(now, reason, backs_off=False)  # it took 77 s anyway

    def handle_probe(self, found: Probe, now: float) -> Action | None:
        """What was found during a `Wait` with `probing`; None means: go on waiting."""
        if not self.presence.probe(found, now):
            return None
        following = self._next
        # A view that will need a list in a moment is listed in the place that it has now.
        long_away = now + _SOON >= min(self._doubtful_from, self._confirmed + _SILENCE)
        if isinstance(following, Watch) and not following.initial:
            if not long_away:
                return self._wait(now, _RETURN_SPREAD * self._share())
            self._next = Watch(self._version, 0.0, initial=True)
        return self._wait(now, self._time_to_place(now))

    def handle_hint(self, now: float) -> None:
        """Nobody whom the view names can be used: it may be old. Cheap, and may come at any rate.

        `next_timer` may be sooner after it; then `hastened` is called.
        """
        if now < self._hinted + _HINT_EVERY:
            return
        due = now + _HERD_SPREAD * self._share()
        if self._phase is _Phase.WAITING and due < self._wait_until and not self._throttled:
            self._wait_until = due
        elif self._phase is _Phase.WATCHING and due < self._doubtful_from < float("inf"):
            self._doubtful_from = due
        else:
            return
        self._hinted = now
        self.counters.hints += 1
        if self.hastened is not None:
            self.hastened()

    def receive(self, event: Event[T], now: float) -> Action | None:
        """Take in what happened; None means: go on reading the stream."""
        if isinstance(event, Failure) and event.status == 0:
            self.presence.break_off(now)
        else:
            self.presence.answer(now)
        if isinstance(event, Page | Opened):
            self.presence.serve(now)
        elif isinstance(event, Failure | Undecodable):
            self.presence.fail()
        match event:
            case Page():
                return self._receive_page(event, now)
            case Opened():
                self._forbidden_again = False
                self._backlog_until = now + _BACKLOG
                if self._phase is not _Phase.STREAMING:
                    self._find()
                return None
            case Changed() if self._phase is _Phase.STREAMING:
                return self._receive_initial(event, now)
            case Changed():
                return self._receive_change(event, now)
            case Bookmark() if self._phase is _Phase.STREAMING:
                return self._receive_mark(event, now)
            case Bookmark():
                self.counters.bookmarks += 1
                action = self._advance(event.resource_version, now)
                if action is None:
                    self._confirm(now)
                return action
            case Undecodable():
                self.counters.undecodable += 1
                return self._resync(now, event.reason)
            case Ended():
                return self._receive_end(now)
            case Failure():
                return self._receive_failure(event, now)

    # ------------------------------------------------------------- listing
    def _begin_anew(self, resource_version: str, now: float) -> Action:
        """Read everything, as a stream if that may be had."""
        if now < self._streams_from or resource_version == _NEWEST_VERSION:
            return self._begin_list(resource_version, now)
        self._phase = _Phase.STREAMING
        self._listing = _Listing(resource_version)
        self._watch_began = now
        self._watch_timeout = self._draw_watch_timeout()
        self.counters.streams += 1
        return Watch(resource_version, self._watch_timeout, initial=True)

    def _begin_list(self, resource_version: str, now: float, limit: int = _PAGE) -> Action:
        self._phase = _Phase.LISTING
        self._listing = _Listing(resource_version, limit)
        self.counters.lists += 1
        return List(resource_version, limit=limit, within=self._time_to_list(now))

    def _begin_relist(self, now: float) -> Action:
        self.counters.relists += 1
        return self._begin_anew(self._version, now)

    def _begin_instead(self, now: float) -> Action:
        """A list instead of a stream that the server does not give, for a while."""
        self._streams_from = now + _STREAM_AGAIN
        return self._begin_list(self._listing.resource_version, now)

    def _time_to_list(self, now: float) -> float:
        """What a list may take, so that nobody believes for too long what it is to confirm."""
        if not self.synced or self.stale_since is not None:
            return _LIST_TIMEOUT
        left = self._confirmed + _CONFIRMED_WITHIN - now
        if left < _LIST_SHORTEST:
            self._lose(_unheard(now - self._confirmed))
            return _LIST_TIMEOUT
        return min(left, _LIST_TIMEOUT)

    def _receive_page(self, page: Page[T], now: float) -> Action:
        known = len(self._listing.items)
        self._listing.items.update(page.items)
        if page.continue_token:
            listed = len(self._listing.items)
            if listed == known or listed > _MOST_OBJECTS:
                self.counters.undecodable += 1
                return self._resync(now, f"after {listed} objects a list does not come to its end")
            self._listing.continued = True
            within = self._time_to_list(now)
            return List(self._listing.resource_version, page.continue_token, within=within)
        self._replace(page.resource_version, now)
        return self._begin_watch(now)

    def _replace(self, resource_version: str, now: float) -> None:
        """What was listed is the view."""
        self.items = self._listing.items
        self._listing = _Listing(_NEWEST_VERSION)
        self._version = resource_version
        self._doubtful_from = float("inf")
        self.synced = True
        self.revision += 1
        self._confirm(now)

    # ----------------------------------------------------------- streaming
    def _receive_initial(self, change: Changed[T], now: float) -> Action | None:
        known = change.name in self._listing.items
        match change.type:
            case "ADDED":
                self._listing.items[change.name] = change.value
            case "MODIFIED" if known:
                self._listing.items[change.name] = change.value
            case "DELETED" if known:
                del self._listing.items[change.name]
            case _:  # of an object that was not told: an ordinary watch
                self.counters.streams_ignored += 1
                return self._begin_instead(now)
        return None

    def _receive_mark(self, bookmark: Bookmark, now: float) -> Action | None:
        self.counters.bookmarks += 1
        if not bookmark.end_of_initial:
            self.counters.streams_ignored += 1
            return self._begin_instead(now)
        self._phase = _Phase.WATCHING
        self._replace(bookmark.resource_version, now)
        self._find()
        return None

    # ------------------------------------------------------------ watching
    def _begin_watch(self, now: float) -> Action:
        self._phase = _Phase.WATCHING
        self._watch_began = now
        self._watch_timeout = self._draw_watch_timeout()
        self.counters.watches += 1
        return Watch(self._version, self._watch_timeout)

    def _draw_watch_timeout(self) -> float:
        return round(self._rng.uniform(_WATCH_SHORTEST, _WATCH_LONGEST))

    def _receive_change(self, change: Changed[T], now: float) -> Action | None:
        self.counters.events += 1
        if change.resource_version == self._version:
            return None  # told twice
        action = self._advance(change.resource_version, now)
        if action is not None:
            return action
        if now >= self._backlog_until:
            self._confirm(now)
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
        if lasted < _TOO_SHORT or self._phase is _Phase.STREAMING:
            return self._receive_failure(_cut_short(lasted), now)
        if lasted >= self._watch_timeout * _EARLY:
            return self._begin_watch(now)
        self.presence.break_off(now)  # as a server that shuts down does
        again = now < self._ended_early + Backoff.CALM
        self._ended_early = now
        if again:
            return self._receive_failure(_cut_short(lasted), now)
        self._doubt(now)
        self._next = Watch(self._version, 0.0)
        return self._wait(now, _EARLY_SPREAD * self._share())

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
        if self._phase is _Phase.STREAMING and failure.status in _NO_STREAMS:
            self.counters.streams_refused += 1
            return self._begin_instead(now)
        self._count(failure)
        if failure.status in {_UNAUTHORIZED, _FORBIDDEN}:
            self.presence.refuse(now)
        hurried = self.presence.may_hurry(failure.status, now)
        if self.synced or not (hurried and failure.status in {_UNAUTHORIZED, _FORBIDDEN}):
            self._lose(failure)
        if watching and (failure.status == 0 or failure.status >= 500):
            self._doubt(now)
        self._next = self._after(failure)
        if failure.unreachable:
            self.presence.miss()
            return self._wait(now, self._dials.delay(now), probing=True)
        throttled = failure.retry_after is not None or failure.status == _THROTTLED
        if hurried:
            seconds = self._rng.uniform(*self.presence.hurry()) + self._asked_to_wait(failure)
            return self._wait(now, seconds, throttled=throttled)
        probing = not throttled and self.presence.may_get_ready(now)
        if failure.status == _FORBIDDEN:
            shortest, longest = _FORBIDDEN_SHORTEST, _FORBIDDEN_LONGEST
            if not self._forbidden_again:
                shortest, longest = 0.0, _FORBIDDEN_FIRST
            self._forbidden_again = True
            seconds = self._rng.uniform(shortest, longest) + self._asked_to_wait(failure)
            return self._wait(now, seconds, probing=probing, throttled=throttled)
        if failure.status == 0 or (failure.status >= 500 and failure.retry_after is None):
            probing = True
        seconds = self._failures.delay(now) + self._asked_to_wait(failure)
        return self._wait(now, seconds, probing=probing, throttled=throttled)

    def _after(self, failure: Failure) -> List | Watch:
        """What follows the wait after a failure: the same again, unless that leads nowhere."""
        if self._phase is not _Phase.WATCHING:
            return List(self._listing.resource_version, limit=self._listing.limit)
        if failure.status in _MALFORMED:
            return List(_NEWEST_VERSION)
        if failure.status == _FORBIDDEN and self._forbidden_again:
            return List(self._version)
        return Watch(self._version, 0.0)

    def _receive_list_refused(self, failure: Failure, now: float) -> Action:
        """A list's version is too old or too new, or its pages took too long."""
        listing = self._listing
        if listing.continued and listing.limit:  # in one piece, then: that cannot expire half way
            return self._begin_list(_NEWEST_VERSION, now, limit=0)
        if listing.resource_version != _NEWEST_VERSION:
            return self._begin_list(_NEWEST_VERSION, now)
        self._lose(failure)
        self._next = List(_NEWEST_VERSION, limit=listing.limit)
        seconds = self._failures.delay(now) + self._asked_to_wait(failure)
        return self._wait(now, seconds, throttled=failure.retry_after is not None)

    def _resync(self, now: float, reason: str = "the version expired") -> Action:
        """List again, later each time, or it could run hot."""
        if self._phase is _Phase.WATCHING:
            return self._relist_in_its_place(now, reason)
        # a page made no sense
        self._lose(Failure(0, reason))
        self._next = List(self._listing.resource_version, limit=self._listing.limit)
        return self._wait(now, self._resyncs.delay(now))

    def _relist_in_its_place(self, now: float, reason: str, *, backs_off: bool = True) -> Action:
        """List again when it is our turn among all who have to do so now.

        Who has to list again and again waits longer each time, if it `backs_off`.
        """
        self.counters.relists += 1
        self._next = Watch(self._version, 0.0, initial=True)
        seconds = self._time_to_place(now)
        if not self.presence.take_relist() and backs_off:
            delay = self._resyncs.delay(now)
            if self._resyncs.troubles > 1:
                seconds += delay
                self._lose(Failure(0, reason))
        if now + seconds > self._confirmed + _CONFIRMED_WITHIN - _LIST_SHORTEST:
            self._lose(_unheard(now - self._confirmed))
        return self._wait(now, seconds)

    def _time_to_place(self, now: float) -> float:
        began = self.presence.places_from(now)
        return max(0.0, (began - now) + _HERD_SPREAD * self._share())

    def _share(self) -> float:
        """Our place, from 0 up to 1."""
        place = None if self._place is None else self._place()
        return self._rng.uniform(0.0, 1.0) if place is None else place

    def _wait(
        self, now: float, seconds: float, *, probing: bool = False, throttled: bool = False
    ) -> Action:
        self._phase = _Phase.WAITING
        self._wait_until = now + seconds
        self._throttled = throttled
        return Wait(seconds, probing)

    def _doubt(self, now: float) -> None:
        if self._doubtful_from == float("inf"):
            self._doubtful_from = now + self._rng.uniform(_DOUBT_SHORTEST, _DOUBT_LONGEST)

    # --------------------------------------------------------------- health
    def _confirm(self, now: float) -> None:
        """The view is the server's of now."""
        self._confirmed = now
        if self.stale_since is not None:
            self.stale_since = now

    def _lose(self, failure: Failure) -> None:
        if self.stale_since is None:
            self.stale_since = self._confirmed
        self.failure = failure

    def _find(self) -> None:
        """The source is back."""
        self.stale_since = None
        self.failure = None

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


def _cut_short(seconds: float) -> Failure:
    return Failure(0, f"the server ended the watch after {seconds:.1f} s")


def _unheard(seconds: float) -> Failure:
    return Failure(0, f"nothing was heard for {seconds:.0f} s")


def _is_older(version: str, other: str) -> bool:
    """Whether a version is certainly older than another one of the same collection.

    Source: KEP-5504; versions are decimal numbers that compare. Where one is not, nothing
    is certain.
    """
    if not (version.isdecimal() and other.isdecimal()):
        return False
    return (len(version), version) < (len(other), other)
