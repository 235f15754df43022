"""Joining slices against an oracle: what may be called, from any slices in any order.

`KUBBO_SLICE_SETS` says how many random sets are compared (100,000 by default), `KUBBO_SLICE_SEED`
from which seed on; a seed is 10,000 sets. A difference is printed with the smallest set that
still shows it, which then becomes a named test of the join.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import pytest
from tests.property.slice_sets import (
    PODS,
    QUESTIONS,
    Answer,
    Question,
    Slice,
    chains,
    number_of,
    oracle,
    port_asked_for,
)

from kubbo.naming.kubernetes.objects import EndpointSlice
from kubbo.naming.kubernetes.slices import HINT_NODES, HINT_ZONES, Joiner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SETS = int(os.environ.get("KUBBO_SLICE_SETS", "100000"))
FIRST_SEED = int(os.environ.get("KUBBO_SLICE_SEED", "1"))
A_SEED = 10_000  # sets
SEEDS = range(FIRST_SEED, FIRST_SEED + max(1, SETS // A_SEED))

Reader: TypeAlias = "Callable[[list[EndpointSlice]], Answer]"
"""What takes the sets of one chain in turn; made anew for each chain."""


def ours(question: Question) -> Reader:
    joiner = Joiner(port=question.port, protocol=question.protocol, family=question.family)

    def read(slices: list[EndpointSlice]) -> Answer:
        joined = joiner.join(slices)
        return Answer(
            frozenset(
                (one.host, one.port, labels.get(HINT_ZONES, ""), labels.get(HINT_NODES, ""))
                for one in joined.endpoints
                for labels in (dict(one.labels),)
            ),
            frozenset(one.key for one in joined.excluded),
        )

    return read


def decoded(one: Slice) -> EndpointSlice:
    return msgspec.json.decode(msgspec.json.encode(one), type=EndpointSlice)


class DifferenceError(AssertionError):
    pass


def compare(make: Callable[[Question], Reader], seed: int, count: int) -> int:
    """Compare so many sets; the number of endpoints that were called in them.

    Raises:
        DifferenceError: the two differ; the text has the smallest set that shows it.
    """
    called = 0
    for question, states in chains(random.Random(seed), count):
        reader = make(question)
        known: dict[int, EndpointSlice] = {}
        for state in states:
            known = {id(one): known.get(id(one)) or decoded(one) for one in state}
            expected = oracle(state, question)
            if reader([*known.values()]) != expected:
                raise DifferenceError(explained(make, question, state, seed))
            called += len(expected.called)
    return called


def explained(
    make: Callable[[Question], Reader], question: Question, state: list[Slice], seed: int
) -> str:
    def differs(slices: list[Slice]) -> bool:
        return make(question)([decoded(one) for one in slices]) != oracle(slices, question)

    if not differs(state):
        return f"seed {seed}: only with the sets before it: {question}\n{json.dumps(state)}"
    while smaller := next(filter(differs, less(state)), None):
        state = smaller
    found = make(question)([decoded(one) for one in state])
    return (
        f"seed {seed}: {question}\n" + "\n".join(map(json.dumps, state)) + "\n"
        f"gives {found}\nnot   {oracle(state, question)}"
    )


def less(state: list[Slice]) -> Iterable[list[Slice]]:
    """The set without one slice, or without one endpoint."""
    for at, one in enumerate(state):
        yield [*state[:at], *state[at + 1 :]]
        entries: list[Any] = one["endpoints"] or []
        for number in range(len(entries)):
            fewer = {**one, "endpoints": [*entries[:number], *entries[number + 1 :]]}
            yield [*state[:at], fewer, *state[at + 1 :]]


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"sets-{seed}")
def test_join_is_what_the_oracle_says(seed: int, tried: Callable[[str, int], None]) -> None:
    """10,000 random slice sets a seed, each joined by one that saw others before: the members,
    their hints and the others are the oracle's, in every order of slices."""
    called = compare(ours, seed, A_SEED)
    tried("random slice sets, 0 differences from the oracle", A_SEED)
    tried("endpoints that they let call", called)


def test_the_sets_are_worth_comparing() -> None:
    """Sets hold what is hard: hints that count, hints that don't, both families, pods listed
    twice, addresses of two pods, a pod or a host in slices with the port and without, two ports
    of a host, slices that have ports and no endpoints, terminating ones that serve as the last,
    no answer at all."""
    seen: Counter[str] = Counter()
    for question, states in chains(random.Random(0), 2_000):
        for state in states:
            answer = oracle(state, question)
            entries = [
                (one["addressType"], entry.get("targetRef", {}).get("uid"), entry["addresses"][0])
                for one in state
                for entry in one["endpoints"] or []
            ]
            pods = [(family, uid) for family, uid, _ in entries if uid]
            hosts = [host for _, _, host in entries]
            seen["members"] += bool(answer.called)
            seen["nobody"] += not answer.called
            seen["hints"] += any(zones or nodes for _, _, zones, nodes in answer.called)
            seen["both families"] += len({":" in host for host, *_ in answer.called}) == 2
            seen["a pod twice"] += len(pods) > len(set(pods))
            seen["an address twice"] += len(hosts) > len(set(hosts))
            at_port, elsewhere = (
                {
                    (family, entry.get("targetRef", {}).get("uid") or entry["addresses"][0])
                    for one in state
                    for family in [one["addressType"]]
                    for entry in one["endpoints"] or []
                    if bool(number_of(one, port_asked_for(state, question))) is has
                }
                for has in (True, False)
            )
            seen["with the port and without"] += bool(answer.called and at_port & elsewhere)
            seen["with the port in one family"] += bool(
                {uid for _, uid in at_port} & {uid for _, uid in elsewhere - at_port if uid in PODS}
            )
            ports = {(host, port) for host, port, *_ in answer.called} | answer.apart
            seen["two ports of a host"] += len(ports) > len({host for host, _ in ports})
            seen["ports left behind"] += question.port is None and any(
                one["ports"] and not one["endpoints"] for one in state
            )
            ready = {
                entry["addresses"][0]
                for one in state
                for entry in one["endpoints"] or []
                if (entry["conditions"] or {}).get("ready") is not False
            }
            seen["draining"] += any(host not in ready for host, *_ in answer.called)
    assert len(seen) == 11
    assert all(count > 100 for count in seen.values()), seen


# --- the judge judges


def forgets_a_slice(question: Question) -> Reader:
    read = ours(question)
    return lambda slices: read(slices[:-1])


def asks_for_another_family(question: Question) -> Reader:
    other = "IPv6" if question.family == "IPv4" else "IPv4"
    return ours(Question(question.port, question.protocol, other))


def remembers_too_much(question: Question) -> Reader:
    read, first = ours(question), True

    def late(slices: list[EndpointSlice]) -> Answer:
        nonlocal read, first
        if first:
            answer = read(slices)
            read, first = (lambda _: answer), False
        return read(slices)

    return late


@pytest.mark.parametrize("wrong", [forgets_a_slice, asks_for_another_family, remembers_too_much])
def test_a_reader_that_is_wrong_is_told(wrong: Callable[[Question], Reader]) -> None:
    """A few hundred sets are enough to tell a slice forgotten, a family mixed up, a stale view;
    the message has the question and the set."""
    with pytest.raises(DifferenceError, match="seed 1: ") as raised:
        compare(wrong, 1, 1_000)
    question, *slices = str(raised.value).splitlines()
    assert "Question(" in question
    assert slices


def test_all_that_can_be_asked_is_asked() -> None:
    """Every question comes up in a seed."""
    asked = {question for question, _ in chains(random.Random(FIRST_SEED), A_SEED)}
    assert asked == set(QUESTIONS)
