"""The reflector, transition by transition: what it is told, and the action it answers with."""

from __future__ import annotations

import random

import pytest

from kubbo.naming.kubernetes.presence import Probe
from kubbo.naming.kubernetes.reflector import (
    Action,
    Backoff,
    Bookmark,
    Changed,
    Ended,
    Event,
    Failure,
    List,
    Opened,
    Page,
    Reflector,
    Undecodable,
    Wait,
    Watch,
)

RESET = Failure(0, "connection reset")
GONE = Failure(410, "too old resource version")
SPREAD = 5.7
SETTLED = 6.0  # seconds after which a refusal is believed
TOO_LARGE = Failure(504, "Too large resource version", retry_after=1.0, too_large=True)


class Longest(random.Random):
    """Always the end of a range, so that waits can be told."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def added(name: str, version: int, value: str = "v") -> Changed[str]:
    return Changed("ADDED", name, value, str(version))


def deleted(name: str, version: int) -> Changed[str]:
    return Changed("DELETED", name, "v", str(version))


class Script:
    """A reflector and its clock; `tell` advances nothing, `after` advances first."""

    def __init__(self, *, streams: bool = False) -> None:
        self.reflector: Reflector[str] = Reflector(rng=Longest(), streams=streams)
        self.now = 1000.0
        self.action: Action | None = self.reflector.start(self.now)

    def tell(self, *events: Event[str]) -> Action | None:
        for event in events:
            self.action = self.reflector.receive(event, self.now)
        return self.action

    def after(self, seconds: float, *events: Event[str]) -> Action | None:
        self.now += seconds
        return self.tell(*events)

    def timer(self) -> Action:
        """Advance to the next timer, or to the end of the wait, and handle it."""
        if isinstance(self.action, Wait):
            self.now += self.action.seconds
        else:
            due = self.reflector.next_timer()
            assert due is not None
            self.now = due
        self.action = self.reflector.handle_timer(self.now)
        return self.action

    def probe(self, found: Probe) -> Action | None:
        """What a probe found during the wait."""
        action = self.reflector.handle_probe(found, self.now)
        if action is not None:
            self.action = action
        return action

    def in_its_place(self) -> Action:
        """The action after the wait for a place in the herd, which must be the action now."""
        assert self.action == Wait(SPREAD)
        return self.timer()

    def watching(self) -> Script:
        """Listed at version 10 with one object, and the watch accepted."""
        self.tell(Page({"a": "v"}, "10"), Opened())
        return self


def test_first_list_takes_any_version_in_pages_of_500() -> None:
    """The first list is served from the server's memory, and never asks for everything."""
    assert Script().action == List("0", limit=500)


def test_pages_are_joined_before_the_view_is_replaced() -> None:
    """A half-read list is never seen, and the watch begins at the list's version."""
    script = Script()
    assert script.tell(Page({"a": "1"}, "10", "next")) == List("0", "next")
    assert not script.reflector.synced
    assert script.reflector.revision == 0
    assert script.tell(Page({"b": "2"}, "10")) == Watch("10", 600.0)
    assert script.reflector.synced
    assert script.reflector.items == {"a": "1", "b": "2"}
    assert script.reflector.revision == 1


def test_watch_lasts_five_to_ten_minutes_at_random() -> None:
    """A fleet's watches don't end together."""
    timeouts = set()
    for seed in range(50):
        reflector: Reflector[str] = Reflector(rng=random.Random(seed))
        reflector.start(0.0)
        action = reflector.receive(Page({}, "1"), 0.0)
        assert isinstance(action, Watch)
        assert 300 <= action.timeout <= 600
        timeouts.add(action.timeout)
    assert len(timeouts) > 20


def test_events_change_the_view_one_by_one() -> None:
    """Added, modified, deleted; each is a new revision, and nothing is asked."""
    script = Script().watching()
    assert script.tell(added("b", 11)) is None
    assert script.tell(Changed("MODIFIED", "a", "w", "12")) is None
    assert script.reflector.items == {"a": "w", "b": "v"}
    assert script.tell(deleted("a", 13)) is None
    assert script.reflector.items == {"b": "v"}
    assert script.reflector.revision == 4
    assert script.reflector.resource_version == "13"


def test_a_repeated_event_and_an_unknown_deletion_change_nothing() -> None:
    """What is told twice is applied once."""
    script = Script().watching()
    script.tell(added("b", 11, "new"))
    revision = script.reflector.revision
    assert script.tell(added("b", 11, "new")) is None
    assert script.tell(deleted("zzz", 12)) is None
    assert script.reflector.revision == revision


def test_an_ended_watch_is_resumed_at_the_last_version_at_once() -> None:
    """A watch that ran its time costs no list; a bookmark counts as a version."""
    script = Script().watching()
    script.after(50, added("b", 11), Bookmark("17"))
    assert script.after(530, Ended()) == Watch("17", 600.0)
    assert script.reflector.stale_since is None


def test_a_watch_that_the_server_ends_early_is_resumed_within_a_second() -> None:
    """A server that shuts down doesn't get all its consumers back at the same moment."""
    script = Script().watching()
    script.after(50, Bookmark("10"))
    assert script.after(50, Ended()) == Wait(1.0)
    assert script.timer() == Watch("10", 600.0)


def test_a_server_that_ends_watches_early_again_and_again_is_asked_ever_more_slowly() -> None:
    """Whatever makes it do so, once in two calm minutes is a shutdown and more often trouble."""
    script = Script().watching()
    waits = []
    for _ in range(5):
        wait = script.after(1.5, Ended())
        assert isinstance(wait, Wait)
        waits.append(wait.seconds)
        script.timer()
        script.tell(Opened())
    assert waits == [1.0, 0.8, 1.6, 3.2, 6.4]
    script.after(60, Bookmark("10"))
    script.after(60, Bookmark("10"))
    assert script.after(1, Ended()) == Wait(1.0)


def test_a_watch_that_ends_at_once_is_a_failure() -> None:
    """A server that ends every watch at once is asked ever more slowly, not in a hot loop."""
    script = Script().watching()
    waits = []
    for _ in range(6):
        wait = script.tell(Ended())
        assert isinstance(wait, Wait)
        waits.append(wait.seconds)
        script.timer()
        script.tell(Opened())
    assert waits == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6]


@pytest.mark.parametrize("gone", [GONE, Failure(410, "in the stream")])
def test_gone_lists_at_the_last_version_then_at_the_newest(gone: Failure) -> None:
    """After 410 the list asks for nothing older than was seen; only if refused, for the newest."""
    script = Script().watching()
    script.after(10, gone)
    assert script.in_its_place() == List("10", limit=500)
    assert script.reflector.items == {"a": "v"}
    assert script.tell(gone) == List("", limit=500)
    assert script.tell(Page({"b": "v"}, "90")) == Watch("90", 600.0)
    assert script.reflector.items == {"b": "v"}


def test_a_version_of_the_future_lists_the_newest() -> None:
    """After a restore the server refuses our version as too large: its own history is adopted."""
    script = Script().watching()
    script.after(10, GONE)
    assert script.in_its_place() == List("10", limit=500)
    assert script.tell(TOO_LARGE) == List("", limit=500)
    assert script.tell(Page({"b": "v"}, "3")) == Watch("3", 600.0)
    assert script.reflector.items == {"b": "v"}


def test_repeated_gone_does_not_run_hot() -> None:
    """A server that answers every watch with 410 gets ever fewer lists."""
    script = Script().watching()
    waits = []
    for _ in range(6):
        action = script.tell(Opened(), GONE)
        assert isinstance(action, Wait)
        waits.append(action.seconds)
        assert isinstance(script.timer(), List)
        script.tell(Page({}, "20"))
    assert waits == [SPREAD + delay for delay in (0, 1.6, 3.2, 6.4, 12.8, 25.6)]


def test_pages_that_expire_half_way_are_asked_for_in_one_piece() -> None:
    """A 410 for a continue token starts the list anew, without pages that could expire again."""
    script = Script()
    script.tell(Page({"a": "v"}, "10", "next"))
    assert script.tell(GONE) == List("", limit=0)
    script.tell(Page({"b": "v"}, "12"))
    assert script.reflector.items == {"b": "v"}


def test_pages_that_expire_though_none_were_asked_for_are_waited_for() -> None:
    """A server that pages whatever the limit, and forgets its pages, is not asked in a hot loop."""
    script = Script()
    script.tell(Page({"a": "v"}, "10", "next"))
    assert script.tell(GONE) == List("", limit=0)
    script.tell(Page({"a": "v"}, "10", "next"))
    assert script.tell(GONE) == Wait(0.8)
    assert script.timer() == List("", limit=0)


@pytest.mark.parametrize("page", [Page({}, "10", "on"), Page({"a": "v"}, "10", "on")])
def test_a_list_without_an_end_is_given_up(page: Page[str]) -> None:
    """A page that says that more follows, and has nothing new, is one that makes no sense."""
    script = Script()
    script.tell(Page({"a": "v"}, "10", "next"))
    assert script.tell(page) == Wait(0.8)
    assert script.timer() == List("0", limit=500)
    assert not script.reflector.synced


def test_a_list_without_measure_is_given_up() -> None:
    """More objects than anybody has are not kept in memory."""
    script = Script()
    for number in range(5):
        names = range(number * 50_000, (number + 1) * 50_000)
        script.tell(Page({str(name): "v" for name in names}, "10", f"{number}"))
    assert script.action == Wait(0.8)
    assert script.reflector.failure is not None
    assert "250000 objects" in script.reflector.failure.message


def test_the_newest_refused_waits() -> None:
    """Even the last resort can be refused; then the reflector waits and asks for it again."""
    script = Script()
    script.tell(GONE)
    assert script.tell(GONE) == Wait(0.8)
    assert script.timer() == List("", limit=500)


def test_too_large_for_the_newest_obeys_retry_after() -> None:
    """`Retry-After` comes on top of the jitter, so a fleet does not return in one second."""
    script = Script()
    script.tell(TOO_LARGE)
    assert script.tell(TOO_LARGE) == Wait(1.8)
    due = script.reflector.next_timer()
    script.reflector.handle_hint(script.now)
    assert script.reflector.next_timer() == due


@pytest.mark.parametrize("status", [0, 401, 429, 500, 503, 504])
def test_a_failed_watch_keeps_the_view_marked_stale_until_it_is_accepted_again(
    status: int,
) -> None:
    """Losing the server loses no member; they are stale since the last sign of life, until it is
    back. That it accepts a watch is no sign that the view is right."""
    script = Script().watching()
    script.after(10, Bookmark("10"))
    lost = script.now
    script.after(30, Failure(status, "no"))
    assert script.reflector.stale_since == lost
    assert script.reflector.failure == Failure(status, "no")
    assert script.timer() == Watch("10", 600.0)
    script.tell(Failure(status, "still no"))
    assert script.reflector.stale_since == lost
    assert script.reflector.items == {"a": "v"}
    script.timer()
    script.tell(Opened())
    assert script.reflector.stale_since is None
    assert script.reflector.failure is None
    script.tell(Failure(status, "again"))
    assert script.reflector.stale_since == lost


def test_a_failed_list_is_repeated_from_its_first_page() -> None:
    """Pages of two lists are never joined."""
    script = Script()
    script.tell(Page({"a": "v"}, "10", "next"), RESET)
    assert script.timer() == List("0", limit=500)
    script.tell(Page({"b": "v"}, "11"))
    assert script.reflector.items == {"b": "v"}


def test_backoff_grows_to_thirty_seconds_and_is_reset_by_two_calm_minutes_only() -> None:
    """0.8 s doubling to 30 s; a success in between does not shorten the next wait."""
    backoff = Backoff(Longest())
    assert [backoff.delay(0.0) for _ in range(7)] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]
    assert backoff.delay(30.0 + 119.0) == 30.0
    assert backoff.delay(149.0 + 30.0 + 120.0) == 0.8


def test_backoff_has_full_jitter() -> None:
    """Waits are spread over the whole range from nothing to the ceiling."""
    waits = [Backoff(random.Random(seed)).delay(0.0) for seed in range(400)]
    assert min(waits) < 0.05
    assert max(waits) > 0.75
    assert all(0 <= wait <= 0.8 for wait in waits)


def test_retry_after_is_obeyed_and_bounded() -> None:
    """429 with Retry-After waits at least so long; no server silences us for more than a minute."""
    script = Script().watching()
    assert script.after(5, Failure(429, "slow down", retry_after=7.0)) == Wait(7.8)
    script.timer()
    assert script.tell(Failure(503, "no", retry_after=1e9)) == Wait(61.6)
    script.timer()
    assert script.tell(Failure(503, "no", retry_after=-5.0)) == Wait(3.2)


def test_forbidden_asks_every_25_seconds_and_heals() -> None:
    """403 slows down to 15-25 s, keeps the view, and sees the Role's return within 30 s."""
    script = Script().watching()
    script.now += SETTLED
    for attempt in range(7):
        action = script.after(1, Failure(403, "forbidden"))
        assert isinstance(action, Wait)
        # A server that has just started may not know the Roles yet: at first it is soon.
        assert action.seconds == (0.4, 0.6, 1.0, 3, 25, 25, 25)[attempt]
        assert isinstance(script.timer(), List if attempt > 3 else Watch)
    assert script.reflector.items == {"a": "v"}
    assert script.reflector.stale_since is not None
    script.tell(Page({"b": "v"}, "20"), Opened())
    assert script.reflector.items == {"b": "v"}
    assert script.reflector.stale_since is None
    assert script.reflector.counters.forbidden == 7


def test_forbidden_with_retry_after_waits_for_it_too() -> None:
    """Whatever the status, a server that asks for time gets it."""
    script = Script().watching()
    script.now += SETTLED
    for asked in (0.4, 3.0, 25.0, 25.0):
        refused = Failure(403, "forbidden", retry_after=20.0)
        assert script.after(1, refused) == Wait(asked + 20.0)
        script.timer()


def test_a_watch_that_is_forbidden_while_lists_are_not_still_moves_the_view() -> None:
    """With a Role that lacks `watch`, the view is listed again at the slow pace."""
    script = Script()
    script.tell(Page({"a": "v"}, "10"))
    script.now += SETTLED
    script.tell(Page({"a": "v"}, "10"), Failure(403, "cannot watch"))
    assert script.timer() == Watch("10", 600.0)
    for version in range(20, 25):
        script.tell(Failure(403, "cannot watch"))
        assert isinstance(script.timer(), List)
        script.tell(Page({"b": str(version)}, str(version)))
        assert script.reflector.items == {"b": str(version)}
        assert script.reflector.stale_since == script.now


@pytest.mark.parametrize("status", [400, 422])
def test_a_version_that_the_server_does_not_understand_is_dropped(status: int) -> None:
    """A watch refused as malformed is not repeated as it is."""
    script = Script().watching()
    script.after(5, Failure(status, "invalid resourceVersion"))
    assert script.timer() == List("", limit=500)


def test_silence_lists_within_90_seconds() -> None:
    """A stream without event or bookmark is given up after 77 s, stale since the last of them,
    and a list follows in its place."""
    script = Script().watching()
    script.after(20, Bookmark("12"))
    heard = script.now
    assert script.timer() == Wait(SPREAD)
    assert script.now == heard + 77
    assert script.reflector.stale_since == heard
    assert script.reflector.counters.silences == 1
    assert script.timer() == List("12", limit=500)
    assert script.now < heard + 90


def test_a_server_without_bookmarks_is_listed_within_90_seconds_each_time() -> None:
    """A quiet collection costs a list every 77 s, however long it goes on, and no backoff."""
    script = Script().watching()
    for _ in range(20):
        heard = script.now
        assert script.timer() == Wait(SPREAD)
        assert script.timer() == List("10", limit=500)
        assert script.now < heard + 90
        script.tell(Page({"a": "v"}, "10"), Opened())


def test_an_accepted_watch_does_not_confirm_a_view() -> None:
    """A view that was confirmed long ago is listed, not believed for the length of a new watch."""
    script = Script().watching()
    heard = script.now
    script.after(50, RESET)
    script.timer()
    script.tell(Opened())
    assert script.reflector.stale_since is None
    assert script.timer() == Wait(SPREAD)
    assert script.now == heard + 77
    assert script.reflector.stale_since == heard


def test_what_fills_a_gap_does_not_confirm_a_view() -> None:
    """The first of the events that a resumed watch brings may be as old as the gap: if it breaks
    after that one, the view is stale since before."""
    script = Script().watching()
    confirmed = script.now
    script.after(20, RESET)
    script.timer()
    script.tell(Opened(), added("b", 11), RESET)
    assert script.reflector.items == {"a": "v", "b": "v"}
    assert script.reflector.stale_since == confirmed
    script.timer()
    script.tell(Opened())
    script.after(2, added("c", 12))
    script.after(1, RESET)
    assert script.reflector.stale_since == script.now - 1


def test_after_a_long_break_a_list_comes_first() -> None:
    """A view that nothing confirmed for 77 s is not resumed."""
    script = Script().watching()
    script.after(60, Failure(503, "no", retry_after=30.0))
    assert script.timer() == Wait(SPREAD)
    assert script.timer() == List("10", limit=500)


@pytest.mark.parametrize("heard", [0.0, 30.0, 76.0])
def test_a_list_that_confirms_a_view_ends_in_time(heard: float) -> None:
    """Nobody believes for more than 90 s what a list that hangs was to confirm: the list ends
    before, or the view is stale already."""
    script = Script().watching()
    script.after(5, RESET)  # a doubt: a list is due 80 s after
    script.timer()
    script.tell(Opened())
    script.after(heard, Bookmark("10"))
    confirmed = script.now
    action = script.timer()
    if isinstance(action, List):
        assert script.reflector.stale_since is None
        assert script.now + action.within <= confirmed + 90
    else:
        assert script.reflector.stale_since == confirmed
        assert script.timer() == List("10", limit=500)


def test_bookmarks_keep_a_quiet_watch_alive() -> None:
    """A quiet collection costs nothing: bookmarks at the server's slowest pace hold the watch."""
    script = Script().watching()
    for minute in range(7):
        due = script.reflector.next_timer()
        assert due is not None
        script.now += 76
        assert script.now < due
        assert script.tell(Bookmark(str(11 + minute))) is None
    assert script.reflector.counters.lists == 1


def test_a_watch_that_outlives_its_timeout_is_replaced() -> None:
    """A server that never ends a watch does not keep it for ever."""
    script = Script().watching()
    for _ in range(12):
        script.after(50, Bookmark("10"))
    assert script.timer() == Watch("10", 600.0)
    assert script.now == 1000 + 600 + 15


def test_an_undecodable_event_lists_again() -> None:
    """What an event said is lost with it, so the view is read anew, in its place: everybody got
    the same event."""
    script = Script().watching()
    script.after(5, Undecodable("no JSON"))
    assert script.in_its_place() == List("10", limit=500)
    script.tell(Page({"a": "v"}, "11"), Opened())
    assert script.tell(Undecodable("no JSON")) == Wait(SPREAD + 1.6)
    assert script.reflector.counters.undecodable == 2
    assert script.reflector.items == {"a": "v"}


def test_an_undecodable_list_waits_and_keeps_the_view() -> None:
    """A list that makes no sense is asked for again after a while, and the view is marked stale."""
    script = Script().watching()
    confirmed = script.now
    script.after(5, GONE)
    script.in_its_place()
    assert script.tell(Undecodable("no JSON")) == Wait(1.6)
    assert script.reflector.items == {"a": "v"}
    assert script.reflector.stale_since == confirmed
    assert script.timer() == List("10", limit=500)


@pytest.mark.parametrize("event", [added("b", 9), Bookmark("9")])
def test_a_version_that_went_backwards_adopts_the_new_history(event: Event[str]) -> None:
    """A smaller version is another history: nothing of it is applied before a list."""
    script = Script().watching()
    script.after(5, event)
    assert script.in_its_place() == List("", limit=500)
    assert script.reflector.items == {"a": "v"}
    assert script.reflector.counters.backwards == 1
    script.tell(Page({"z": "v"}, "9"))
    assert script.reflector.items == {"z": "v"}


def test_versions_that_are_no_numbers_are_passed_on() -> None:
    """A server with other versions is followed all the same."""
    script = Script()
    script.tell(Page({}, "v-b"), Opened())
    assert script.tell(Changed("ADDED", "a", "v", "v-a")) is None
    assert script.reflector.resource_version == "v-a"


def test_a_broken_watch_is_resumed_and_replaced_by_a_list_within_80_seconds() -> None:
    """After a break the history may be another: a list makes sure, once."""
    script = Script().watching()
    script.after(10, RESET)
    broke = script.now
    assert script.timer() == Watch("10", 600.0)
    script.tell(Opened())
    script.after(30, Bookmark("30"))
    assert script.timer() == List("30", limit=500)
    assert 60 <= script.now - broke <= 80
    script.tell(Page({"b": "v"}, "31"), Opened())
    assert script.reflector.counters.doubts == 1
    for _ in range(10):
        script.after(50, Bookmark("31"))
    assert script.reflector.counters.lists == 2


def test_a_break_that_lasts_longer_ends_in_a_list() -> None:
    """When the server was away for longer than the doubt, the first thing asked is the list."""
    script = Script().watching()
    while script.now < 1100:
        script.tell(RESET)
        action = script.timer()
    assert action == List("10", limit=500)


NOBODY = Failure(0, "connection refused", unreachable=True)


def test_a_server_that_nobody_hears_is_probed() -> None:
    """While nobody listens waits grow to 30 s but end as soon as somebody answers, ready or not. A
    watch comes back within half a second, it is cheap; a list takes a place in the herd."""
    script = Script().watching()
    script.tell(NOBODY)
    assert script.probe(Probe.AWAY) is None
    assert script.probe(Probe.UNREADY) == Wait(0.5)
    assert isinstance(script.timer(), Watch)
    script.tell(Opened())
    for seconds in (1.6, 3.2, 6.4, 12.8, 25.6, 30.0):
        assert script.tell(NOBODY) == Wait(seconds, probing=True)
        if seconds < 30:
            script.timer()
    script.now += 29
    script.probe(Probe.READY)
    assert script.in_its_place() == List("10", limit=500)
    assert script.reflector.presence.returns == 2


@pytest.mark.parametrize("failure", [RESET, Failure(500, "no"), Failure(503, "no")])
def test_a_wait_after_a_crash_ends_with_the_outage(failure: Failure) -> None:
    """Crashes within minutes make the backoff long. It is for a server that is there: where the
    probes find nobody, the watch is resumed when somebody answers, each time."""
    script = Script().watching()
    for crash in range(10):
        assert script.after(10, failure) == Wait(min(30.0, 0.8 * 2**crash), probing=True)
        assert script.probe(Probe.AWAY) is None
        script.now += 0.1
        assert script.probe(Probe.UNREADY) == Wait(0.5)
        assert script.timer() == Watch("10", 600.0)
        script.tell(Opened(), Page({"a": "v"}, "10"), Opened())  # what the doubt asks for


def test_a_server_that_was_ready_all_the_time_gets_the_whole_backoff() -> None:
    """Probes that find nothing new do not hasten anything."""
    script = Script().watching()
    for seconds in (0.8, 1.6, 3.2):
        assert script.tell(RESET) == Wait(seconds, probing=True)
        for _ in range(3):
            assert script.probe(Probe.READY) is None
        assert script.timer() == Watch("10", 600.0)
        script.tell(Opened())


@pytest.mark.parametrize("failure", [Failure(429, "slow down"), Failure(503, "no", retry_after=3)])
def test_a_server_that_asks_for_time_is_not_probed(failure: Failure) -> None:
    """429 and `Retry-After` come from somebody who is there."""
    script = Script().watching()
    action = script.after(SETTLED, failure)
    assert isinstance(action, Wait)
    assert not action.probing


def test_a_server_that_becomes_ready_ends_the_wait() -> None:
    """Who answers errors and is not ready is asked again when it says that it is."""
    script = Script().watching()
    script.now += SETTLED
    for _ in range(4):
        script.tell(Failure(503, "no backend"))
        script.timer()
    assert script.tell(Failure(503, "no backend")) == Wait(12.8, probing=True)
    assert script.probe(Probe.UNREADY) is None
    assert script.probe(Probe.UNREADY) is None
    assert script.probe(Probe.READY) == Wait(0.5)
    assert script.timer() == Watch("10", 600.0)
    script.tell(Failure(503, "all the same"))
    assert script.probe(Probe.READY) is None


def test_news_are_believed_a_few_times_only() -> None:
    """A load balancer with a good and a bad server behind it is here now and away then; after five
    times that shortens a wait every 10 s only."""
    script = Script().watching()
    began = script.now
    early = 0
    while script.now < began + 100:
        script.tell(NOBODY)
        script.probe(Probe.AWAY)
        script.now += 0.5
        early += script.probe(Probe.READY) is not None
    assert 5 + 100 // 10 - 1 <= early <= 5 + 100 // 10


def times_believed(served: float, seconds: float) -> list[bool]:
    """Whether each return was, of a server that serves for so long and is away for half a second,
    again and again."""
    script = Script().watching()
    believed: list[bool] = []
    until = script.now + seconds
    while script.now < until:
        script.now += served
        script.tell(RESET, NOBODY)
        script.probe(Probe.AWAY)
        script.now += 0.5
        believed.append(script.probe(Probe.UNREADY) is not None)
        script.tell(Opened())
    return believed


def test_news_that_prove_true_do_not_count() -> None:
    """A server that dies every two seconds shortens the wait each time, for two minutes; one that
    breaks off within a second is believed as seldom as one that is not there."""
    assert all(times_believed(1.5, 120.0))
    assert sum(times_believed(0.9, 100.0)) <= 5 + 100 // 10


def test_not_even_proven_news_are_believed_without_end() -> None:
    """At most sixty times, and then every 10 s; likewise all others."""
    assert 65 <= sum(times_believed(1.5, 600.0)) <= 60 + 5 + 2 * 600 // 10


def test_a_server_that_has_just_returned_may_refuse() -> None:
    """Its Roles and its storage come a moment later: three times it is asked again within a second,
    and only then at the pace of a permission that is lacking."""
    script = Script().watching()
    script.tell(NOBODY)
    script.probe(Probe.UNREADY)
    script.timer()
    for seconds in (0.4, 0.6, 1.0):
        assert script.tell(Failure(403, "forbidden")) == Wait(seconds)
        script.timer()
    assert script.tell(Failure(403, "forbidden")) == Wait(3.0, probing=True)
    assert script.probe(Probe.READY) == Wait(0.5), "whatever it refused before it was ready"
    script.timer()
    assert script.tell(Failure(403, "forbidden")) == Wait(25.0, probing=True)


def test_a_wait_after_a_refusal_is_not_probed_for_ever() -> None:
    """Who may not read /readyz either does not ask for it for longer than a minute."""
    script = Script().watching()
    script.tell(NOBODY)
    script.probe(Probe.UNREADY)
    script.timer()
    probed = []
    for _ in range(12):
        action = script.tell(Failure(403, "forbidden"))
        assert isinstance(action, Wait)
        probed.append(action.probing)
        script.timer()
    assert probed == [False] * 3 + [True] * 4 + [False] * 5


@pytest.mark.parametrize("status", [401, 403])
def test_a_first_refusal_is_not_believed(status: int) -> None:
    """A consumer and its API server may start together: that it is refused is told when it has
    been refused for 1.5 s."""
    script = Script()
    failure = Failure(status, "no")
    for seconds in (0.4, 0.6, 1.0):
        assert script.tell(failure) == Wait(seconds)
        assert script.reflector.failure is None
        script.timer()
    script.tell(failure)
    assert script.reflector.failure == failure
    script = Script()
    script.tell(Failure(500, "no"))
    assert script.reflector.failure is not None, "of all else nothing is gained by waiting"


def test_an_answer_to_a_request_is_a_return_too() -> None:
    """Requests that wait for a server that has only begun to listen are answered all at once: then
    places are counted from that moment."""
    script = Script().watching()
    script.tell(NOBODY)
    script.timer()
    script.after(0.25, Opened(), GONE)
    assert script.action == Wait(SPREAD)
    script = Script().watching()
    script.tell(NOBODY)
    script.probe(Probe.UNREADY)
    script.timer()
    assert script.tell(GONE) == Wait(SPREAD - 0.5)
    script = Script().watching()
    script.tell(NOBODY)
    script.probe(Probe.UNREADY)
    script.timer()
    action = script.after(0.5, GONE)
    assert isinstance(action, Wait)
    assert action.seconds == pytest.approx(SPREAD - 0.6), "whom it has refused, a bit later"
    script = Script().watching()
    script.tell(NOBODY)
    script.probe(Probe.UNREADY)
    script.timer()
    assert script.after(2.5, GONE) == Wait(SPREAD), "the others have begun: a place of its own"


def test_a_server_that_forgets_at_each_return_is_listed_at_each_return() -> None:
    """Ten crashes in a few minutes, and after each the version is forgotten: that is no reason to
    list ever later, though it is when it forgets without one."""
    script = Script().watching()
    for _ in range(10):
        script.after(10, RESET)
        script.probe(Probe.AWAY)
        script.probe(Probe.READY)
        script.timer()
        assert script.tell(GONE) == Wait(SPREAD - 0.5)
        script.timer()
        script.tell(Page({"a": "v"}, "10"), Opened())
    assert script.tell(GONE) == Wait(SPREAD)
    script.timer()
    script.tell(Page({"a": "v"}, "10"), Opened())
    assert script.tell(GONE) == Wait(SPREAD + 1.6)
    assert script.reflector.stale_since is not None


def test_a_first_list_that_nobody_heard_takes_a_place() -> None:
    """A thousand pods that were started while the server was away do not list in one second."""
    script = Script()
    script.tell(NOBODY)
    script.probe(Probe.READY)
    assert script.in_its_place() == List("0", limit=500)


@pytest.mark.parametrize("known", [True, False])
def test_places_are_spread(*, known: bool) -> None:
    """Of a thousand who got a 410 at the same moment no second gets more than 20%, if they know
    their places; dice are not much worse."""
    tenths = [0] * round(SPREAD * 10)
    for seed in range(1000):
        reflector: Reflector[str] = Reflector(
            rng=random.Random(seed), place=lambda seed=seed: seed / 1000 if known else None
        )
        reflector.start(0.0)
        reflector.receive(Page({}, "1"), 0.0)
        reflector.receive(Opened(), 0.0)
        action = reflector.receive(GONE, 1.0)
        assert isinstance(action, Wait)
        assert 0 <= action.seconds <= SPREAD
        tenths[int(action.seconds * 10)] += 1
    assert max(sum(tenths[first : first + 10]) for first in range(len(tenths) - 9)) <= (
        200 if known else 230
    )
    assert min(tenths) > 0


def test_dials_that_failed_do_not_lengthen_the_waits_after_answers() -> None:
    """A server that is back but not ready yet is asked again soon."""
    script = Script().watching()
    for _ in range(6):
        script.tell(NOBODY)
        script.timer()
    assert script.tell(Failure(503, "starting")) == Wait(0.4)


# ---------------------------------------------------------------------- hints
def test_a_hint_shortens_a_long_wait() -> None:
    """Who has nobody left to call does not wait for the end of a backoff, but for its place: all
    who call that Service know at the same time. Once in 10 s."""
    script = Script().watching()
    script.now += SETTLED
    hastened: list[float] = []
    script.reflector.hastened = lambda: hastened.append(script.now)
    for _ in range(7):
        script.tell(Failure(500, "no"))
        script.timer()
    assert script.tell(Failure(500, "no")) == Wait(30.0, probing=True)
    due = script.reflector.next_timer()
    assert due == script.now + 30
    script.now += 2
    script.reflector.handle_hint(script.now)
    assert script.reflector.next_timer() == script.now + SPREAD
    assert hastened == [script.now]
    script.now += 1
    script.reflector.handle_hint(script.now)
    assert script.reflector.counters.hints == 1
    script.now += SPREAD - 1
    script.action = script.reflector.handle_timer(script.now)
    script.tell(Failure(500, "no"))
    script.now += 10
    script.reflector.handle_hint(script.now)
    assert script.reflector.counters.hints == 2


@pytest.mark.parametrize("failure", [Failure(429, "slow down"), Failure(503, "no", retry_after=20)])
def test_a_hint_does_not_shorten_what_the_server_asked_for(failure: Failure) -> None:
    """`Retry-After` stands, whoever is in a hurry."""
    script = Script().watching()
    script.now += SETTLED
    for _ in range(4):
        script.tell(failure)
        script.timer()
    script.tell(failure)
    due = script.reflector.next_timer()
    script.reflector.handle_hint(script.now)
    assert script.reflector.next_timer() == due
    assert script.reflector.counters.hints == 0


def test_a_hint_settles_a_doubt() -> None:
    """A stream that follows a broken one is replaced by a list sooner; one that never broke is
    believed."""
    script = Script().watching()
    script.after(10, Bookmark("10"))
    due = script.reflector.next_timer()
    script.reflector.handle_hint(script.now)
    assert script.reflector.next_timer() == due
    script.tell(RESET)
    script.timer()
    script.tell(Opened())
    script.reflector.handle_hint(script.now)
    assert script.reflector.next_timer() == script.now + SPREAD
    assert script.timer() == List("10", limit=500)
    script.reflector.handle_hint(script.now)  # under way: nothing to hasten
    assert script.reflector.counters.hints == 1


# ------------------------------------------------------------------ streaming
STREAM = Watch("0", 600.0, initial=True)
END = Bookmark("12", end_of_initial=True)


def test_a_stream_is_joined_before_the_view_is_replaced() -> None:
    """Initial events, and changes among them, are seen as a whole at the mark; the same stream is
    the watch."""
    script = Script(streams=True)
    assert script.action == STREAM
    script.tell(Opened(), added("a", 10), added("b", 7), added("c", 3))
    script.tell(Changed("MODIFIED", "b", "w", "11"), deleted("c", 12))
    assert script.action is None
    assert not script.reflector.synced
    assert script.reflector.revision == 0
    assert script.tell(END) is None
    assert script.reflector.synced
    assert script.reflector.items == {"a": "v", "b": "w"}
    assert script.reflector.resource_version == "12"
    assert script.tell(added("d", 13)) is None
    assert script.reflector.items == {"a": "v", "b": "w", "d": "v"}
    assert script.reflector.counters.lists == 0
    assert script.reflector.counters.watches == 0


def test_a_relist_is_a_stream_that_is_not_older() -> None:
    """After 410 the objects are asked for as events, at the last version; what was deleted in
    the gap is found; the view is kept until the mark."""
    script = Script(streams=True)
    script.tell(Opened(), added("a", 10), added("b", 11), END)
    script.after(5, GONE)
    assert script.in_its_place() == Watch("12", 600.0, initial=True)
    script.tell(Opened(), added("b", 11))
    assert script.reflector.items == {"a": "v", "b": "v"}
    script.tell(Bookmark("40", end_of_initial=True))
    assert script.reflector.items == {"b": "v"}
    assert script.reflector.resource_version == "40"


@pytest.mark.parametrize("status", [400, 404, 405, 422, 501])
def test_a_refused_stream_is_a_list_at_once(status: int) -> None:
    """A server without streams is listed, and not asked for one again for ten minutes."""
    script = Script(streams=True)
    assert script.tell(Failure(status, "sendInitialEvents is forbidden")) == List("0", limit=500)
    assert script.reflector.stale_since is None
    script.tell(Page({"a": "v"}, "10"), Opened())
    script.after(5, GONE)
    assert script.in_its_place() == List("10", limit=500)
    script.tell(Page({"a": "v"}, "20"), Opened())
    for _ in range(12):
        script.after(60, Bookmark("20"))
    script.after(5, GONE)
    assert script.in_its_place() == Watch("20", 600.0, initial=True)
    assert script.reflector.counters.streams_refused == 1


@pytest.mark.parametrize("event", [Bookmark("12"), Changed("MODIFIED", "b", "w", "11")])
def test_an_ignored_stream_is_a_list_at_once(event: Event[str]) -> None:
    """A server that sends an ordinary watch shows itself by a bookmark without the mark, or by a
    change of what it never told; nothing of it is used."""
    script = Script(streams=True)
    script.tell(Opened(), added("a", 10))
    assert script.tell(event) == List("0", limit=500)
    assert script.reflector.items == {}
    script.tell(Page({"b": "w"}, "12"))
    assert script.reflector.items == {"b": "w"}
    assert script.reflector.counters.streams_ignored == 1


def test_a_mark_that_never_comes_is_waited_for_seven_seconds() -> None:
    """A list follows within 10 s, and the half of a stream is not used."""
    script = Script(streams=True)
    script.tell(Opened(), added("a", 10))
    script.now += 3
    script.tell(added("b", 11))
    assert script.timer() == List("0", limit=500)
    assert script.now == 1007.0
    assert not script.reflector.synced
    script.tell(Page({"b": "v"}, "12"))
    assert script.reflector.items == {"b": "v"}
    assert script.reflector.counters.streams_unmarked == 1


@pytest.mark.parametrize(
    "event", [RESET, Failure(403, "no watch"), Failure(503, "no"), Ended(), Undecodable("no JSON")]
)
def test_a_stream_that_fails_is_a_list_after_a_wait(event: Event[str]) -> None:
    """Whatever cuts streams, a Role without `watch` included, does not stop lists; and the
    next time a stream is tried again."""
    script = Script(streams=True)
    script.tell(Opened(), added("a", 10))
    assert isinstance(script.after(2, event), Wait)
    assert script.timer() == List("0", limit=500)
    script.tell(Page({"b": "v"}, "12"), Opened())
    assert script.reflector.items == {"b": "v"}
    script.after(5, GONE)
    assert isinstance(script.action, Wait)
    assert script.timer() == Watch("12", 600.0, initial=True)


def test_a_stream_of_the_future_lists_the_newest() -> None:
    """A server that went back answers a stream as too large: its own history is listed."""
    script = Script(streams=True)
    script.tell(Opened(), END)
    script.after(5, GONE)
    script.in_its_place()
    assert script.tell(Opened(), TOO_LARGE) == List("", limit=500)
    script.tell(Page({"b": "v"}, "3"))
    assert script.reflector.items == {"b": "v"}
