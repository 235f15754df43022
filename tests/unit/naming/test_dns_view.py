"""The pace of DNS, and what is believed of it: a pure view, told answers and the time."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from kubbo.model import Endpoint
from kubbo.naming.dns.view import MAX_ENDPOINTS, Answer, Found, Nothing, Unanswered, View
from kubbo.naming.resolution import Absent, Failed, Members, Pending

A, B = Endpoint("10.0.0.1", 20880), Endpoint("10.0.0.2", 20880)
TARGET = "dns:///greeter.shop:dubbo"
GOOD = Found((A,), "greeter.shop.", 5.0)
GONE = Nothing("there is no greeter.shop.", 5.0)
DEAD = Unanswered("10.96.0.10: SERVFAIL")
PART = Found((A,), "x.", 5.0, whole=False, note="1 targets are missing: b.example. SERVFAIL")


def view(*answers: Answer, at: float = 100.0) -> View:
    """A view that was told `answers`, each when it was due."""
    made = View(TARGET, rng=random.Random(1), now=at)
    for answer in answers:
        made.receive(answer, made.due)
    return made


def test_nothing_is_known_before_the_first_answer() -> None:
    """A view starts pending, and the first lookup is due at once."""
    assert view().resolution == Pending()
    assert view(at=7.0).due == 7.0


def test_addresses_are_members_in_one_order() -> None:
    """Name servers shuffle; the same addresses in another order are the same members."""
    one = view(Found((A, B, A), "x.", 5)).resolution
    assert one == view(Found((B, A), "x.", 5)).resolution
    assert isinstance(one, Members)
    assert one.endpoints == (A, B)
    assert one.stale_since is None
    assert not one.definite  # an address that is not listed may still be there


def test_an_authoritative_nothing_at_the_start_is_absent() -> None:
    """There is no better knowledge yet, so "no such name" is believed, with its reason."""
    absent = view(GONE).resolution
    assert isinstance(absent, Absent)
    assert absent.reason == GONE.reason


def test_no_answer_at_the_start_is_failed() -> None:
    """SERVFAIL and silence are no statement about providers."""
    failed = view(DEAD).resolution
    assert isinstance(failed, Failed)
    assert "SERVFAIL" in str(failed.error)


def test_a_part_is_better_than_nothing() -> None:
    """At the start those that could be asked for are members, stale, with who is missing."""
    for before in ([], [GONE], [DEAD]):
        made = view(*before)
        made.receive(PART, 200.0)
        assert isinstance(made.resolution, Members)
        assert made.resolution.endpoints == (A,)
        assert made.resolution.stale_since == 100.0
        assert "b.example." in made.resolution.steps[0].note


def test_a_part_takes_nobody_away() -> None:
    """A failure is no deletion: the last good answer stays, until an answer has all of it."""
    made = view(Found((A, B), "x.", 5.0))
    made.receive(PART, 200.0)
    assert isinstance(made.resolution, Members)
    assert made.resolution.endpoints == (A, B)
    assert made.resolution.stale_since == 100.0
    assert "b.example." in made.resolution.steps[0].note
    more = replace(PART, endpoints=(A, B, Endpoint("10.0.0.3", 20880)))
    made.receive(more, 201.0)
    assert isinstance(made.resolution, Members)
    assert made.resolution.endpoints == more.endpoints
    assert made.resolution.stale_since == 100.0
    made.receive(Found((A,), "x.", 5.0), 202.0)
    assert isinstance(made.resolution, Members)
    assert made.resolution.endpoints == (A,)
    assert made.resolution.stale_since is None


def test_a_part_is_asked_again_as_a_failure_is() -> None:
    """Soon, whatever the TTL, then ever more slowly; hints do not undo that."""
    made = view()
    pauses: list[float] = []
    for _ in range(7):
        at = made.due
        made.receive(replace(PART, ttl=300.0), at)
        made.handle_hint(at)
        pauses.append(made.due - at)
    assert 1.0 <= pauses[0] <= 1.2
    assert pauses == sorted(pauses)
    assert 30.0 <= pauses[-1] <= 36.0


def test_what_a_person_should_know_is_in_the_step() -> None:
    """An answer that was cut says so."""
    made = view(replace(GOOD, note="cut: 68 targets were not asked for"))
    assert isinstance(made.resolution, Members)
    assert "cut: 68 targets" in made.resolution.steps[0].note


@pytest.mark.parametrize("bad", [GONE, DEAD])
def test_the_last_good_answer_is_kept(bad: Answer) -> None:
    """NXDOMAIN, SERVFAIL and silence keep the members, stale since the last good answer."""
    kept = view(GOOD)
    kept.receive(GOOD, good_at := kept.due)
    kept.receive(bad, kept.due)
    kept.receive(bad, kept.due)
    assert isinstance(kept.resolution, Members)
    assert kept.resolution.endpoints == (A,)
    assert kept.resolution.stale_since == good_at
    assert bad.reason in kept.resolution.steps[0].note
    kept.receive(Found((B,), "x.", 5), kept.due)
    assert isinstance(kept.resolution, Members)
    assert kept.resolution.endpoints == (B,)
    assert kept.resolution.stale_since is None


def test_an_absent_that_can_not_be_confirmed_is_failed() -> None:
    """Once nobody can say any more, "there is none" is not repeated."""
    assert isinstance(view(GONE, DEAD).resolution, Failed)


def test_the_ttl_paces_with_jitter() -> None:
    """The next lookup comes when the TTL is over, up to a fifth of it later, not in step."""
    dues = set[float]()
    for seed in range(50):
        made = View(TARGET, rng=random.Random(seed), now=0.0)
        made.receive(Found((A,), "x.", 30.0), 0.0)
        assert 30.0 <= made.due <= 36.0
        dues.add(made.due)
    assert len(dues) == 50


@pytest.mark.parametrize(
    ("answer", "shortest", "longest"),
    [
        (Found((A,), "x.", 0.0), 1.0, 1.2),
        (Found((A,), "x.", 7 * 86_400.0), 300.0, 360.0),
        (Nothing("gone", 7 * 86_400.0), 30.0, 36.0),
        (Nothing("gone", math.inf), 30.0, 36.0),
        (Found((A,), "x.", 0.0, asked=4), 4.0, 4.0),
    ],
)
def test_ttls_are_bounded(answer: Answer, shortest: float, longest: float) -> None:
    """TTL 0 is no licence to hammer, and a week is not waited for."""
    made = view(answer, at=0.0)
    assert shortest <= made.due <= longest


def test_no_answer_backs_off() -> None:
    """Silence is asked again ever later, up to 30 s, and an answer ends that."""
    made = view(at=0.0)
    gaps = []
    for _ in range(8):
        now = made.due
        made.receive(DEAD, now)
        gaps.append(made.due - now)
    for gap, base in zip(gaps, (1, 2, 4, 8, 16, 30, 30, 30), strict=True):
        assert base <= gap <= 1.2 * base + 1e-9
    made.receive(GOOD, made.due)
    now = made.due
    made.receive(DEAD, now)
    assert made.due - now <= 1.2


def test_a_hint_hastens_the_next_lookup() -> None:
    """A connection that failed is a reason to ask before the TTL is over."""
    made = view(Found((A,), "x.", 300.0), at=0.0)
    made.handle_hint(100.0)
    assert 100.0 <= made.due <= 100.5
    made.handle_hint(100.2)
    assert made.due <= 100.7  # a second hint does not put it off for ever


def test_hints_do_not_undo_the_backoff() -> None:
    """While name servers are silent, a failing connection does not make them asked more."""
    made = view(GOOD, DEAD, DEAD, DEAD, DEAD, at=0.0)
    due = made.due
    made.handle_hint(due - 5.0)
    assert made.due == due


answers = st.one_of(
    st.builds(
        Found,
        st.just((A,)),
        st.just("x."),
        st.floats(0, 1e9),
        st.integers(0, 20),
    ),
    st.builds(Nothing, st.just("gone"), st.floats(0, math.inf), st.integers(0, 20)),
    st.builds(Unanswered, st.just("dead"), st.integers(0, 60)),
)


@given(st.lists(st.tuples(answers, st.lists(st.floats(0, 5), max_size=4))), st.randoms())
def test_never_more_than_a_question_a_second(
    script: list[tuple[Answer, list[float]]], rng: random.Random
) -> None:
    """Whatever TTLs, failures and hints: a lookup of n questions is followed by n seconds."""
    made = View(TARGET, rng=rng, now=0.0)
    for answer, hints in script:
        now = made.due
        made.receive(answer, now)
        for hint in hints:
            made.handle_hint(now + hint)
        assert made.due >= now + max(1, answer.asked)
        assert made.due <= now + 360.0


def test_endpoints_are_bounded_and_say_so() -> None:
    """More addresses than anybody should have are cut, in a fixed order, and it is said."""
    many = tuple(Endpoint(f"10.1.{n >> 8}.{n & 255}", 1) for n in range(MAX_ENDPOINTS + 10))
    members = view(Found(many, "x.", 5)).resolution
    assert isinstance(members, Members)
    assert len(members.endpoints) == MAX_ENDPOINTS
    assert "cut at 1024" in members.steps[0].note


@given(
    st.lists(st.tuples(st.sampled_from([GOOD, GONE, DEAD, PART]), st.integers(1, 9)), max_size=9)
)
def test_a_lookup_that_was_given_up_counts(events: list[tuple[Answer, int]]) -> None:
    """After any history, as many seconds pass as it took questions; hints do not shorten them."""
    made = view()
    for answer, asked in events:
        made.receive(answer, made.due)
        at = made.due + 1.0
        known = made.resolution
        made.give_up(asked, at)
        made.handle_hint(at)
        assert made.due >= at + asked
        made.begin(at)
        assert made.resolution in (known, Pending())
