"""The rules of failover, told what sources say and the time: every transition of the chain."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st

from kubbo.errors import ConfigError
from kubbo.model import Endpoint, Step
from kubbo.naming.chain import Chain, Failover
from kubbo.naming.resolution import Absent, Failed, Members, Pending, Resolution

API, DNS, VIP = 0, 1, 2
NAMES = ("kubernetes:///greeter.shop", "dns:///greeter.shop:dubbo", "static:///10.96.0.7:20880")
OPTIONS = Failover(grace=30.0, patience=3.0, hold=10.0)


def members(source: int, *, stale: float | None = None) -> Members:
    """Members that show which source they are from."""
    steps = (Step("naming", 1, NAMES[source]),)
    return Members((Endpoint(f"10.0.{source}.1", 20880),), stale_since=stale, steps=steps)


def failed(text: str = "connection refused") -> Failed:
    return Failed(OSError(text))


ABSENT = Absent("Service 'greeter' does not exist")


def chain(*, options: Failover = OPTIONS, count: int = 3) -> Chain:
    return Chain(NAMES[:count], options, now=0.0)


def source_of(said: Resolution) -> int:
    """Which source's members these are; all of them are of one."""
    assert isinstance(said, Members), said
    (source,) = {int(endpoint.host.split(".")[2]) for endpoint in said.endpoints}
    return source


def test_only_the_first_source_runs_at_the_start() -> None:
    """Nobody else is asked while the first has not had its time."""
    made = chain()
    assert made.wanted == 1
    assert made.published == Pending()
    assert made.next_timer(0.0) == 3.0


def test_a_first_source_that_answers_is_all() -> None:
    """With the API server well, DNS gets no question, and no timer runs."""
    made = chain()
    made.receive(API, members(API), 0.5)
    assert source_of(made.published) == API
    assert made.wanted == 1
    assert made.next_timer(0.5) is None
    made.handle_timer(1e6)
    assert made.wanted == 1


def test_a_healthy_empty_is_believed() -> None:
    """An API server that says "no provider" is not asked a second opinion of."""
    made = chain()
    made.receive(API, members(API), 1.0)
    made.receive(API, ABSENT, 2.0)
    made.handle_timer(1e6)
    assert made.published == ABSENT
    assert made.wanted == 1


@pytest.mark.parametrize("lost", [failed("HTTP 500"), Pending()])
def test_a_believed_empty_is_kept_for_the_grace(lost: Resolution) -> None:
    """An API server that restarts does not turn "no provider" into the calls of the next source:
    nobody else is asked in the grace, and the reason tells of the failure."""
    made = chain()
    made.receive(API, ABSENT, 1.0)
    made.receive(API, lost, 100.0)
    assert made.wanted == 1
    assert isinstance(made.published, Absent)
    assert made.published.reason.startswith(ABSENT.reason)
    assert ("HTTP 500" in made.published.reason) == isinstance(lost, Failed)
    made.receive(API, failed("HTTP 503"), 110.0)  # a later failure does not begin the grace anew
    assert made.next_timer(110.0) == 130.0
    made.handle_timer(129.9)
    assert made.wanted == 1
    made.receive(API, ABSENT, 129.95)
    assert made.published == ABSENT
    assert made.next_timer(129.95) is None


def test_after_the_grace_a_kept_empty_lapses() -> None:
    """Calls wait for the next source then; where that fails too, both say why."""
    made = chain(count=2)
    made.receive(API, ABSENT, 1.0)
    made.receive(API, failed("HTTP 500"), 100.0)
    made.handle_timer(130.0)
    assert made.wanted == 2
    assert made.published == Pending()
    made.receive(DNS, failed("SERVFAIL"), 130.1)
    assert isinstance(made.published, Failed)
    assert "HTTP 500" in str(made.published.error)
    made.receive(DNS, members(DNS), 131.0)
    assert source_of(made.published) == DNS
    made.receive(API, ABSENT, 140.0)
    made.receive(API, failed("HTTP 500"), 141.0)
    assert source_of(made.published) == DNS


def test_a_kept_empty_is_of_one_life_and_one_failure() -> None:
    """Neither a source that began anew nor one that had members since has an empty to keep."""
    made = chain()
    made.receive(API, failed(), 0.1)
    made.receive(DNS, ABSENT, 0.2)
    made.receive(DNS, failed(), 0.3)
    made.receive(API, members(API), 0.4)  # stops the second
    made.receive(API, failed(), 0.5)
    assert made.published == Pending()
    made.receive(API, ABSENT, 0.6)
    made.receive(API, members(API), 0.7)
    made.receive(API, failed(), 0.8)
    assert made.published == Pending()


def test_an_empty_that_is_not_to_be_believed() -> None:
    """By option, "no provider" goes on to the next source, and is told if nobody knows better."""
    made = chain(options=Failover(believe_absent=False), count=2)
    made.receive(API, ABSENT, 1.0)
    assert made.wanted == 2
    assert made.published == Pending()
    made.receive(DNS, failed(), 2.0)
    assert made.published == ABSENT
    made.receive(DNS, members(DNS), 3.0)
    assert source_of(made.published) == DNS


def test_a_failure_at_the_start_goes_on_at_once() -> None:
    """A source that fails and has nothing to keep leaves nothing to wait for."""
    made = chain()
    made.receive(API, failed(), 0.1)
    assert made.wanted == 2
    assert made.published == Pending()
    made.receive(DNS, members(DNS), 0.2)
    assert source_of(made.published) == DNS
    assert made.wanted == 2


def test_silence_at_the_start_is_waited_for() -> None:
    """A source that says nothing has the patience, no longer."""
    made = chain()
    made.handle_timer(2.9)
    assert made.wanted == 1
    made.handle_timer(3.0)
    assert made.wanted == 2
    made.receive(DNS, members(DNS), 3.1)
    assert source_of(made.published) == DNS
    assert made.wanted == 2  # the first goes on trying


def test_a_stale_source_is_kept_for_the_grace() -> None:
    """Losing the API server changes no member and asks nobody else, for 30 s."""
    made = chain()
    made.receive(API, members(API), 1.0)
    made.receive(API, members(API, stale=100.0), 100.0)
    assert made.published == members(API, stale=100.0)
    assert made.wanted == 1
    assert made.next_timer(100.0) == 130.0
    made.handle_timer(129.9)
    assert made.wanted == 1
    made.receive(API, members(API), 129.95)
    assert made.published == members(API)
    assert made.next_timer(129.95) is None


def test_after_the_grace_the_next_source_is_used_when_it_has_members() -> None:
    """The old members stay until the next source has its own; then all are of that one."""
    made = chain()
    made.receive(API, members(API), 1.0)
    made.receive(API, members(API, stale=100.0), 100.0)
    made.handle_timer(130.0)
    assert made.wanted == 2
    assert source_of(made.published) == API
    made.receive(DNS, Pending(), 130.0)
    assert source_of(made.published) == API
    made.receive(DNS, members(DNS), 130.2)
    assert source_of(made.published) == DNS
    assert isinstance(made.published, Members)
    assert "cannot answer" in made.published.steps[0].note
    assert NAMES[API] in made.published.steps[0].note


def test_an_absent_of_a_later_source_takes_no_members_away() -> None:
    """A name server that lost its own API server says NXDOMAIN too: the last members stay."""
    made = chain()
    made.receive(API, members(API), 1.0)
    made.receive(API, members(API, stale=100.0), 100.0)
    made.handle_timer(130.0)
    made.receive(DNS, ABSENT, 131.0)
    assert made.published == members(API, stale=100.0)
    made.receive(DNS, members(DNS), 140.0)
    assert source_of(made.published) == DNS


def test_an_absent_of_a_later_source_is_believed_at_a_cold_start() -> None:
    """The first target that can answer wins; where nothing is known, that is an answer. It says
    why nobody else's is given."""
    made = chain()
    made.receive(API, failed(), 0.1)
    made.receive(DNS, ABSENT, 0.2)
    assert isinstance(made.published, Absent)
    assert made.published.reason == (
        "kubernetes:///greeter.shop cannot answer: connection refused; "
        f"dns:///greeter.shop:dubbo: {ABSENT.reason}"
    )
    assert made.wanted == 2


def test_each_source_in_turn() -> None:
    """API server gone, name server gone: the VIP is left, and is used."""
    made = chain()
    made.receive(API, members(API), 1.0)
    made.receive(API, members(API, stale=10.0), 10.0)
    made.handle_timer(40.0)
    made.receive(DNS, members(DNS), 41.0)
    made.receive(DNS, members(DNS, stale=50.0), 50.0)
    made.handle_timer(79.0)
    assert made.wanted == 2
    made.handle_timer(80.0)
    assert made.wanted == 3
    made.receive(VIP, members(VIP), 80.0)
    assert source_of(made.published) == VIP


def test_a_cold_start_without_anybody() -> None:
    """When no source can answer, the failure has what each of them said."""
    made = chain(count=2)
    made.receive(API, failed("connection refused"), 0.1)
    made.receive(DNS, failed("SERVFAIL"), 0.2)
    assert isinstance(made.published, Failed)
    text = str(made.published.error)
    assert "connection refused" in text
    assert "SERVFAIL" in text
    assert all(name in text for name in NAMES[:2])
    made.receive(DNS, members(DNS), 5.0)
    assert source_of(made.published) == DNS


def test_the_grace_counts_from_the_failure() -> None:
    """The last sign of life of a quiet Service may be a minute old when its source is lost: that
    is no reason to leave it at once."""
    made = chain()
    made.receive(API, members(API), 1.0)
    made.receive(API, members(API, stale=30.0), 100.0)
    assert made.wanted == 1
    assert made.next_timer(100.0) == 130.0
    made.receive(API, members(API, stale=45.0), 110.0)  # a list came, but no watch
    assert made.next_timer(110.0) == 130.0
    made.receive(API, members(API), 120.0)
    made.receive(API, members(API, stale=45.0), 125.0)  # lost again, and nothing was heard
    assert made.next_timer(125.0) == 155.0
    made.handle_timer(155.0)
    assert made.wanted == 2


def test_old_members_give_way_at_once() -> None:
    """A snapshot of an hour ago is used until the next source has members, not for the grace."""
    made = chain()
    made.receive(API, members(API, stale=-3600.0), 0.1)
    assert source_of(made.published) == API
    assert made.wanted == 2
    made.receive(DNS, members(DNS), 0.2)
    assert source_of(made.published) == DNS


def test_the_better_source_is_taken_back_after_the_hold() -> None:
    """It has to be well for 10 s without a break; then the later ones are stopped."""
    made = chain()
    made.receive(API, failed(), 0.1)
    made.receive(DNS, members(DNS), 0.2)
    made.receive(API, members(API), 50.0)
    assert source_of(made.published) == DNS
    assert made.next_timer(50.0) == 60.0
    made.receive(API, members(API, stale=55.0), 55.0)  # a break: the hold begins anew
    made.receive(API, members(API), 57.0)
    made.handle_timer(60.0)
    assert source_of(made.published) == DNS
    made.handle_timer(67.0)
    assert made.published == members(API)
    assert made.wanted == 1


def test_the_better_source_is_taken_back_at_once_when_the_other_fails() -> None:
    """There is no reason to hold on to a source that cannot answer."""
    made = chain()
    made.receive(API, failed(), 0.1)
    made.receive(DNS, members(DNS), 0.2)
    made.receive(API, members(API), 50.0)
    made.receive(DNS, members(DNS, stale=51.0), 51.0)
    assert made.published == members(API)


def test_an_absent_of_the_better_source_is_believed_after_the_hold() -> None:
    """It came back and says that there is nobody: so it is, whatever DNS still lists."""
    made = chain()
    made.receive(API, failed(), 0.1)
    made.receive(DNS, members(DNS), 0.2)
    made.receive(API, ABSENT, 50.0)
    assert source_of(made.published) == DNS
    made.handle_timer(60.0)
    assert made.published == ABSENT


def test_what_a_stopped_source_says_is_ignored() -> None:
    """Its last words may come late; a new life begins without them."""
    made = chain()
    made.receive(API, failed(), 0.1)
    life = made.life(DNS)
    made.receive(API, members(API), 0.2)
    assert made.wanted == 1
    made.receive(DNS, members(DNS), 0.3)
    assert made.published == members(API)
    made.receive(API, failed(), 1.0)
    assert made.wanted == 2
    assert made.life(DNS) == life + 1
    assert made.published == Pending()


def test_never_go_on() -> None:
    """An endless grace keeps the last members for ever."""
    made = chain(options=Failover(grace=math.inf))
    made.receive(API, members(API), 1.0)
    made.receive(API, members(API, stale=2.0), 2.0)
    assert made.next_timer(2.0) is None
    made.handle_timer(1e9)
    assert made.wanted == 1


def test_never_come_back_without_need() -> None:
    """An endless hold stays with the source that works until it does not."""
    made = chain(options=Failover(hold=math.inf))
    made.receive(API, failed(), 0.1)
    made.receive(DNS, members(DNS), 0.2)
    made.receive(API, members(API), 1.0)
    made.handle_timer(1e9)
    assert source_of(made.published) == DNS
    made.receive(DNS, failed(), 1e9)
    assert source_of(made.published) == API


@pytest.mark.parametrize("name", ["grace", "patience", "hold"])
@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_options_are_checked(name: str, value: float) -> None:
    """A number that is none is told where it is given."""
    with pytest.raises(ConfigError, match=name):
        Failover(**{name: value})


SAYINGS = st.sampled_from(["members", "stale", "absent", "failed", "pending"])
EVENTS = st.lists(st.tuples(st.integers(0, 2), SAYINGS, st.floats(0, 40)), max_size=60)


def run_timers(made: Chain, now: float, until: float) -> None:
    """Let the time pass."""
    while (timer := made.next_timer(now)) is not None and timer <= until:
        now = timer
        made.handle_timer(now)
        assert made.next_timer(now) != timer, "a timer that does not go away"


@given(EVENTS)
def test_whatever_happens(events: list[tuple[int, str, float]]) -> None:
    """Published members are of the current source alone, and go only when it, or a better
    source, says so.
    """
    made = chain()
    now = 0.0
    for source, saying, pause in events:
        run_timers(made, now, now + pause)
        now += pause
        said: Resolution = {
            "members": members(source),
            "stale": members(source, stale=now - pause),
            "absent": ABSENT,
            "failed": failed(),
            "pending": Pending(),
        }[saying]
        before, shown = made.current, made.published
        made.receive(source, said, now)
        assert 1 <= made.wanted <= 3
        if isinstance(made.published, Members):
            assert source_of(made.published) == made.current
        elif isinstance(shown, Members):
            assert before is not None
            assert source == before or (made.current is not None and made.current < before)


@given(EVENTS)
def test_an_empty_outlives_short_failures(events: list[tuple[int, str, float]]) -> None:
    """Whatever a source says of its failures, its "nobody" is published and nobody else asked
    until it has failed for the grace without a break."""
    made = chain()
    now = 0.0
    made.receive(API, ABSENT, now)
    lost: float | None = None
    for _, saying, pause in events:
        now += pause
        said: Resolution = {"failed": failed(), "pending": Pending()}.get(saying, ABSENT)
        if lost is not None and now >= lost + OPTIONS.grace:
            run_timers(made, lost, now)
            assert made.wanted > 1
            assert made.current is None
            return
        run_timers(made, now - pause, now)
        made.receive(API, said, now)
        lost = None if said == ABSENT else now if lost is None else lost
        assert made.wanted == 1
        assert isinstance(made.published, Absent)


@given(st.integers(0, 2**32), st.booleans())
def test_a_source_that_comes_and_goes_does_not_flap(seed: int, empty: bool) -> None:
    """The API server comes and goes at random: going on takes the grace, coming back the hold;
    so with a Service that has providers, and with one that has none."""
    rng = random.Random(seed)
    made = chain(count=2)

    def say(lost: float | None) -> Resolution:
        if empty:
            return ABSENT if lost is None else failed()
        return members(API, stale=lost)

    made.receive(API, say(None), 0.0)
    lost: float | None = None
    now = 0.0
    switched = 0.0
    current = made.current
    for _ in range(200):
        until = now + rng.expovariate(1 / 15)
        while now < until:
            now = min(made.next_timer(now) or until, until)
            made.handle_timer(now)
            if made.wanted == 2 and made.current != DNS:
                made.receive(DNS, members(DNS), now)
            if made.current != current:
                least = OPTIONS.grace if made.current == DNS else OPTIONS.hold
                assert now - switched >= least - 1e-6
                current, switched = made.current, now
        if rng.random() < 0.5:
            lost = None
        elif lost is None:
            lost = now
        made.receive(API, say(lost), now)
        assert made.current == current
