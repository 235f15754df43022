"""The table of EndpointSlices: our reading passes it, and every known misreading fails it."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from kubbo.naming.kubernetes.client import ENDPOINT_SLICES, decode_event
from kubbo.naming.kubernetes.reflector import Opened, Page, Reflector, Watch
from kubbo.naming.kubernetes.slices import HINT_NODES, HINT_ZONES, Joiner
from kubbo.testing import Backend, EndpointSliceCase, check_endpointslices, endpointslice_cases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kubbo.model import Endpoint
    from kubbo.naming.kubernetes.objects import EndpointSlice
    from kubbo.testing.endpointslice_table import WatchEvent
    from kubbo.testing.endpointslices import Resolve

OBSERVATIONS = Path(__file__).parents[1] / "sim" / "observations.json"


def as_backend(endpoint: Endpoint) -> Backend:
    labels = dict(endpoint.labels)
    hints = [
        tuple(filter(None, labels.get(name, "").split(","))) for name in (HINT_ZONES, HINT_NODES)
    ]
    return Backend(
        str(endpoint), endpoint.terminating, endpoint.zone, endpoint.node, hints[0], hints[1]
    )


def ours(case: EndpointSliceCase) -> Callable[[WatchEvent], list[Backend]]:
    """The lines of a watch through our decoder, reflector and join."""
    reflector: Reflector[EndpointSlice] = Reflector(rng=random.Random(1))
    reflector.start(0.0)
    assert isinstance(reflector.receive(Page({}, "1"), 0.0), Watch)
    reflector.receive(Opened(), 0.0)
    joiner = Joiner(port=case.port, family=case.family)

    def update(event: WatchEvent) -> list[Backend]:
        decoded = decode_event(ENDPOINT_SLICES, msgspec.json.encode(event), "the server")
        assert reflector.receive(decoded, 1.0) is None
        return [as_backend(one) for one in joiner.join(reflector.items.values()).endpoints]

    return update


@pytest.mark.parametrize("case", endpointslice_cases, ids=str)
def test_our_reading_passes(case: EndpointSliceCase) -> None:
    """Every case of the table holds for what a KubernetesResolver is made of."""
    check_endpointslices(ours, [case])


def test_the_bookmark_is_one_of_the_real_server() -> None:
    """The table's bookmark is what kube-apiserver was observed to send, but for the version."""
    observed = json.loads(OBSERVATIONS.read_text("utf-8"))["bookmarks"][1][0]
    [told] = [
        event
        for case in endpointslice_cases
        for step in case.steps
        for event in step.events
        if event["type"] == "BOOKMARK"
    ]
    observed["object"]["metadata"]["resourceVersion"] = "1"
    told = json.loads(json.dumps(told))
    told["object"]["metadata"]["resourceVersion"] = "1"  # type: ignore[index, call-overload]
    assert told == observed


def test_every_case_has_a_name_of_its_own() -> None:
    """A failure names its case, so names are unique and fit for a command line."""
    names = [case.name for case in endpointslice_cases]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    assert all(case.sentence.endswith(".") for case in endpointslice_cases)


# ------------------------------------------------------------------ misreadings
class Naive:
    """A small reader of slices that is right about little more than addresses.

    Each switch is one of its mistakes; with all off it fails only where it is too small.
    """

    one_slice = False
    ignores_deletions = False
    nil_is_not_ready = False
    calls_everybody = False
    never_falls_back = False
    first_port = False
    one_number = False
    counts_twice = False
    last_event_wins = False
    takes_names = False
    both_families = False
    always_hints = False
    any_port_is_as_good = False

    def __init__(self, case: EndpointSliceCase) -> None:
        self.case = case
        self.slices: dict[str, Any] = {}

    def __call__(self, event: WatchEvent) -> Iterable[Backend]:
        one: Any = event["object"]
        if event["type"] == "BOOKMARK":
            return self.backends()
        if event["type"] == "DELETED":
            if not self.ignores_deletions:
                self.slices.pop(one["metadata"]["name"], None)
        elif self.one_slice:
            self.slices = {"": one}
        else:
            self.slices.pop(one["metadata"]["name"], None)
            self.slices[one["metadata"]["name"]] = one
        return self.backends()

    def backends(self) -> list[Backend]:
        pods: dict[Any, tuple[Any, ...]] = {}
        numbers: list[int] = []
        for one in self.slices.values():
            if one["addressType"] == "FQDN" and not self.takes_names:
                continue
            for entry in one["endpoints"] or ():
                number = self.port_of(one)
                if number and self.one_number:
                    number = (numbers := [*numbers, number])[0]
                family, host = one["addressType"], entry["addresses"][0]
                uid = entry.get("targetRef", {}).get("uid")
                key = uid or (host if self.any_port_is_as_good else (host, number))
                if self.both_families:
                    key = key, family
                if self.counts_twice:
                    key = (one["metadata"]["name"], len(pods))
                chosen = family == self.case.family or self.both_families
                fitness = bool(number) and not self.any_port_is_as_good, chosen
                rank = *fitness, one["metadata"]["generation"]
                if key not in pods or self.last_event_wins or rank > pods[key][2]:
                    pods[key] = (entry, number, rank, family)
        living: dict[str, tuple[Any, ...]] = {}
        for entry, number, newness, family in pods.values():
            host = entry["addresses"][0]
            address = f"[{host}]:{number}" if family == "IPv6" else f"{host}:{number}"
            rank = not self.state(entry)[2], self.state(entry)[0], newness
            if self.counts_twice:
                address = f"{address} {len(living)}"
            if address not in living or rank > living[address][0]:
                living[address] = (rank, entry, number)
        ready = {a: e for a, (_, e, n) in living.items() if n and self.state(e)[0]}
        if self.calls_everybody:
            ready = {a: e for a, (_, e, n) in living.items() if n}
        if not ready and not self.never_falls_back:
            ready = {a: e for a, (_, e, n) in living.items() if n and all(self.state(e)[1:])}
        hinted = self.always_hints or all(self.hints(e)[0] for e in ready.values())
        by_node = self.always_hints or all(self.hints(e)[1] for e in ready.values())
        return [
            Backend(
                address.split(" ")[0],
                self.state(entry)[2],
                entry.get("zone", ""),
                entry.get("nodeName", ""),
                self.hints(entry)[0] if hinted else (),
                self.hints(entry)[1] if by_node else (),
            )
            for address, entry in ready.items()
        ]

    def state(self, entry: Any) -> tuple[bool, bool, bool]:
        conditions = entry.get("conditions") or {}
        ready = conditions.get("ready")
        ready = not self.nil_is_not_ready if ready is None else ready
        serving = conditions.get("serving")
        return ready, ready if serving is None else serving, bool(conditions.get("terminating"))

    def hints(self, entry: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
        hints = entry.get("hints") or {}
        zones, nodes = (hints.get(key) or () for key in ("forZones", "forNodes"))
        return tuple(one["name"] for one in zones), tuple(one["name"] for one in nodes)

    def port_of(self, one: Any) -> int:
        ports = [port for port in one["ports"] or () if port.get("protocol", "TCP") == "TCP"]
        wanted = self.case.port
        if isinstance(wanted, int):
            fits = not one["ports"] or any(each["port"] in {None, wanted} for each in ports)
            return wanted if fits else 0
        if self.first_port or (wanted is None and len(ports) == 1):
            return ports[0]["port"] or 0 if ports else 0
        return next((each["port"] or 0 for each in ports if each["name"] == wanted), 0)


*SMALL, LARGE = endpointslice_cases


def test_a_reader_without_mistakes_passes() -> None:
    """So what fails below fails for its mistake."""
    check_endpointslices(Naive, SMALL)


def test_one_slice_of_fifteen_is_told() -> None:
    """The case of 1,500 endpoints fails for a reader who knows one slice at a time."""
    reader = type("Mistaken", (Naive,), {"one_slice": True})
    with pytest.raises(AssertionError, match=r"step 1.*: missing: .* and 1395 more; got"):
        check_endpointslices(reader, [LARGE])


def test_a_dip_is_told() -> None:
    """A reader who forgets all at a change, and knows all again at the end, is caught between."""

    def forgetful(case: EndpointSliceCase) -> Callable[[WatchEvent], Iterable[Backend]]:
        reader, heard = Naive(case), 0

        def update(event: WatchEvent) -> Iterable[Backend]:
            nonlocal heard
            heard += 1
            found = reader(event)
            return [] if heard % 15 == 2 else found

        return update

    with pytest.raises(
        AssertionError, match=r"step 2.*: 0 endpoints after 2 of 15 events; .* 1350"
    ):
        check_endpointslices(forgetful, [LARGE])


@pytest.mark.parametrize(
    ("mistake", "told_by"),
    [
        ("one_slice", {"slices-are-joined", "one-of-two-slices-empties"}),
        ("ignores_deletions", {"a-slice-is-deleted", "dual-stack-by-ipv4"}),
        ("nil_is_not_ready", {"ready-nil-is-ready", "endpoints-without-pods"}),
        ("calls_everybody", {"not-ready-is-not-called", "terminating-serves-as-the-last"}),
        ("never_falls_back", {"terminating-serves-as-the-last", "the-ready-ones-lack-the-port"}),
        ("first_port", {"several-named-ports", "no-such-port", "some-pods-lack-the-port"}),
        ("one_number", {"the-port-differs-from-slice-to-slice"}),
        ("counts_twice", {"the-same-address-again", "a-pod-in-two-slices"}),
        ("last_event_wins", {"a-pod-in-two-slices"}),
        ("takes_names", {"names-are-no-addresses"}),
        ("both_families", {"dual-stack-by-ipv4", "dual-stack-by-ipv6"}),
        ("always_hints", {"hints-of-some-are-dropped"}),
        (
            "any_port_is_as_good",
            {
                "a-host-in-two-port-groups",
                "a-pod-in-two-port-groups",
                "two-providers-of-one-host",
                "only-the-other-family-has-the-port",
            },
        ),
    ],
)
def test_each_known_misreading_is_told(mistake: str, told_by: set[str]) -> None:
    """The faults of widely used resolvers, one at a time, each found by the cases made for it."""
    reader = type("Mistaken", (Naive,), {mistake: True})
    with pytest.raises(AssertionError) as raised:
        check_endpointslices(reader, SMALL)
    failed = set(re.findall(r"^([a-z0-9-]+): ", str(raised.value), re.MULTILINE))
    assert told_by <= failed


def answering(*answers: list[str | Backend]) -> Resolve:
    def resolve(_: EndpointSliceCase) -> Callable[[WatchEvent], list[str | Backend]]:
        waiting = iter(answers)
        return lambda _: next(waiting)

    return resolve


FIRST = [case for case in endpointslice_cases if case.name == "one-slice"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (["10.0.0.1:20880"], r"step 1: missing: 10\.0\.0\.2:20880; got 10\.0\.0\.1:20880"),
        ([], "missing: 10.0.0.1:20880, 10.0.0.2:20880; got nobody"),
        (["10.0.0.1:20880", "10.0.0.2:20880", "10.0.0.9:1"], "should not be called: 10.0.0.9:1"),
        (["10.0.0.1:20880", "10.0.0.2:20880", "10.0.0.2:20880"], "more than once: 10.0.0.2:20880"),
        (
            [Backend("10.0.0.1:20880", terminating=True), "10.0.0.2:20880"],
            "has terminating True, not False",
        ),
    ],
)
def test_a_failure_says_what_was_expected(answer: list[str | Backend], says: str) -> None:
    """Which case and step, what is missing, too much, double or different."""
    with pytest.raises(AssertionError, match=says) as raised:
        check_endpointslices(answering(answer), FIRST)
    assert "1 of 1 cases failed" in str(raised.value)
    assert "one-slice: The endpoints of the one slice are called." in str(raised.value)


def test_what_a_resolver_does_not_tell_is_not_compared() -> None:
    """Bare addresses are an answer."""
    check_endpointslices(answering(["10.0.0.2:20880", "10.0.0.1:20880"]), FIRST)


def test_a_resolver_that_raises_fails_its_case() -> None:
    """Its error is told with the others."""
    with pytest.raises(AssertionError, match=r"step 1: it raised StopIteration"):
        check_endpointslices(answering(), FIRST)


def test_no_case_is_no_proof() -> None:
    """A selection that selects nothing is a mistake."""
    with pytest.raises(AssertionError, match="no case"):
        check_endpointslices(ours, [])


def test_a_resolver_may_change_what_it_is_given() -> None:
    """Its copy of an object is its own: the table stays as it is."""
    before = repr(FIRST)

    def spoil(_: EndpointSliceCase) -> Callable[[WatchEvent], list[str]]:
        def update(event: WatchEvent) -> list[str]:
            event["object"]["endpoints"].clear()  # type: ignore[index, union-attr, call-overload]
            return ["10.0.0.1:20880", "10.0.0.2:20880"]

        return update

    check_endpointslices(spoil, FIRST)
    assert repr(FIRST) == before


def test_the_table_is_printed_as_json() -> None:
    """For resolvers in other languages."""
    done = subprocess.run(
        [sys.executable, "-m", "kubbo.testing"],
        capture_output=True,
        text=True,
        check=True,
    )
    cases = json.loads(done.stdout)
    assert [case["name"] for case in cases] == [case.name for case in endpointslice_cases]
    assert cases[0]["steps"][0]["events"][0]["object"]["kind"] == "EndpointSlice"
