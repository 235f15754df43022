"""Sharing and folding of watches, against a server that is a dictionary with a history."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
from hypothesis import given, settings, strategies as st

from kubbo.naming.kubernetes.objects import EndpointSlice, Metadata
from kubbo.naming.kubernetes.reflector import (
    Action,
    Bookmark,
    Changed,
    Ended,
    Event,
    Failure,
    List,
    Opened,
    Page,
    Reflector,
    Wait,
    Watch,
)
from kubbo.naming.kubernetes.sharing import NAMESPACE, Sharing
from kubbo.naming.kubernetes.slices import SERVICE_LABEL
from kubbo.naming.kubernetes.view import SlicesView

FOLD_ABOVE, FEW = 3, 2
SERVICES = "abcdef"

State: TypeAlias = frozenset[tuple[str, str]]
"""The slices of one Service: names and versions."""


def slice_of(service: str, name: str, version: int) -> EndpointSlice:
    return EndpointSlice(
        metadata=Metadata(name=name, resource_version=str(version), labels={SERVICE_LABEL: service})
    )


def service_of(one: EndpointSlice) -> str:
    return (one.metadata.labels or {})[SERVICE_LABEL]


def shows(key: str, one: EndpointSlice | None) -> bool:
    """Whether the watch of a key covers a slice."""
    return one is not None and key in {NAMESPACE, service_of(one)}


@dataclass
class Server:
    """Slices with versions; `histories` holds every state that a Service ever was in."""

    version: int = 10
    oldest: int = 10
    slices: dict[str, EndpointSlice] = field(default_factory=dict)
    states: dict[int, dict[str, EndpointSlice]] = field(default_factory=dict)
    log: list[tuple[int, EndpointSlice | None, EndpointSlice | None]] = field(default_factory=list)
    histories: dict[str, list[State]] = field(
        default_factory=lambda: defaultdict(lambda: [frozenset()])
    )

    def __post_init__(self) -> None:
        self.states[self.version] = {}

    def put(self, name: str, service: str) -> None:
        """Create a slice, change it, or give it to another Service."""
        self.version += 1
        self._log(name, slice_of(service, name, self.version))

    def delete(self, name: str) -> None:
        if name in self.slices:
            self.version += 1
            self._log(name, None)

    def _log(self, name: str, after: EndpointSlice | None) -> None:
        before = self.slices.pop(name, None)
        if after is not None:
            self.slices[name] = after
        self.log.append((self.version, before, after))
        self.states[self.version] = dict(self.slices)
        for service in SERVICES:
            state = self.state(service)
            if self.histories[service][-1] != state:
                self.histories[service].append(state)

    def state(self, service: str) -> State:
        return state_of(one for one in self.slices.values() if service_of(one) == service)

    def compact(self) -> None:
        self.oldest = self.version
        self.log.clear()
        self.states = {self.version: dict(self.slices)}

    def events(self, key: str, after: int) -> list[tuple[int, Event[EndpointSlice]]]:
        """What the watch of a key is told of what happened after a version."""
        told: list[tuple[int, Event[EndpointSlice]]] = []
        for version, old, new in self.log:
            if version <= after:
                continue
            if new is not None and shows(key, new):
                kind = "MODIFIED" if shows(key, old) else "ADDED"
                told.append((version, Changed(kind, new.metadata.name, new, str(version))))
            elif old is not None and shows(key, old):
                told.append((version, Changed("DELETED", old.metadata.name, old, str(version))))
        return told


def state_of(slices: object) -> State:
    return frozenset(
        (one.metadata.name, one.metadata.resource_version)
        for one in slices  # type: ignore[attr-defined]
    )


class Stream:
    """One watch, driven by hand: a request or an event at a time."""

    def __init__(self, world: World, key: str, view: SlicesView) -> None:
        self.world = world
        self.key = key
        self.view = view
        self.action: Action = view.reflector.start(world.now)
        self.open = False
        self.sent = 0
        self.initial: list[Event[EndpointSlice]] = []

    def tell(self, event: Event[EndpointSlice]) -> None:
        action = self.view.receive(event, self.world.now)
        if action is not None:
            self.action, self.open = action, False
        self.world.received(self.key)

    def fail(self, status: int) -> None:
        if self.open or not isinstance(self.action, Wait):
            self.tell(Failure(status, "refused"))

    def end(self) -> None:
        if self.open:
            self.tell(Ended())

    def step(self) -> None:
        world, server = self.world, self.world.server
        world.now += 0.01
        if self.open:
            self._hear()
            return
        match self.action:
            case Wait(seconds):
                world.now += seconds
                self.action = self.view.reflector.handle_timer(world.now)
            case _ if self.key == NAMESPACE and world.refused:
                self.tell(Failure(403, "forbidden"))
            case List(resource_version, _, _):
                version = self._version(resource_version)
                items = {
                    name: one
                    for name, one in server.states[version].items()
                    if shows(self.key, one)
                }
                self.tell(Page(items, str(version)))
            case Watch(resource_version, _, initial):
                self._begin(resource_version, initial=initial)

    def _version(self, asked: str) -> int:
        """What a list is answered from: a cache that lags, as far as the request allows."""
        least = int(asked) if asked and asked != "0" else 0
        if asked == "0":
            lagging = [one for one in self.world.server.states if one >= least]
            return self.world.rng.choice(sorted(lagging)[-3:])
        return self.world.server.version

    def _begin(self, resource_version: str, *, initial: bool) -> None:
        server = self.world.server
        self.open = True
        if initial:
            self.sent = self._version(resource_version)
            self.initial = [
                Changed("ADDED", name, one, one.metadata.resource_version)
                for name, one in sorted(server.states[self.sent].items())
                if shows(self.key, one)
            ]
            self.initial.append(Bookmark(str(self.sent), end_of_initial=True))
        else:
            self.sent, self.initial = int(resource_version), []
        self.tell(Opened())
        if self.open and self.sent < server.oldest:
            self.tell(Failure(410, "too old"))

    def _hear(self) -> None:
        if self.initial:
            self.tell(self.initial.pop(0))
            return
        for version, event in self.world.server.events(self.key, self.sent):
            self.sent = version
            self.tell(event)
            return
        self.sent = self.world.server.version
        self.tell(Bookmark(str(self.sent)))


class World:
    """A server, the machine, its streams, and what each Service's consumer saw."""

    def __init__(self, seed: int, *, fold_above: int = FOLD_ABOVE) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)
        self.server = Server()
        self.refused = False
        self.sharing = Sharing(
            lambda: Reflector(rng=self.rng, streams=self.rng.random() < 0.5),
            fold_above=fold_above,
        )
        self.streams: dict[str, Stream] = {}
        self.joined: dict[str, int] = {}
        """By Service: the index in its history of what was seen last, -1 before the first."""
        self.most = 0

    def join(self, service: str) -> None:
        if service not in self.joined:
            self.joined[service] = -1
            self.sharing.join(service, self.now)
            self.settle()

    def leave(self, service: str) -> None:
        if service in self.joined:
            del self.joined[service]
            self.sharing.leave(service, self.now)
            self.settle()

    def received(self, key: str) -> None:
        self.sharing.update(self.now, key)
        self.settle()

    def settle(self) -> None:
        """What the driver does after every input; and every view is judged."""
        running = self.sharing.running
        for key, stream in list(self.streams.items()):
            if running.get(key) is not stream.view:
                del self.streams[key]
        for key, view in running.items():
            if key not in self.streams:
                self.streams[key] = Stream(self, key, view)
        self.sharing.take_moved()
        self.most = max(self.most, len(running))
        assert running.keys() <= {*self.joined, NAMESPACE}
        for service in self.joined:
            self.look(service)

    def look(self, service: str) -> None:
        """What the consumers of a Service see now is whole, and not older than before."""
        view = self.sharing.source(service)
        assert view in self.sharing.running.values()
        if not view.reflector.synced:
            assert self.joined[service] == -1, "a view was lost"
            return
        seen = state_of(view.slices(service).values())
        history = self.server.histories[service]
        first = max(0, self.joined[service])
        assert seen in history[first:], "a view went back, or never was"
        self.joined[service] = history.index(seen, first)

    def step(self, number: int) -> None:
        """One of the streams does its next thing."""
        due = self.sharing.next_timer()
        if due is not None and self.now >= due:
            self.received(NAMESPACE)
        if self.streams:
            keys = list(self.streams)
            self.streams[keys[number % len(keys)]].step()

    def calm(self, rounds: int = 40) -> None:
        """No more trouble: every stream gets its turn many times, and long waits end."""
        for _ in range(rounds):
            for key in list(self.streams):
                if key in self.streams:
                    self.streams[key].step()
            due = self.sharing.next_timer()
            if due is not None and not self.refused:
                self.now = max(self.now, due)
                self.received(NAMESPACE)


OPERATION = st.one_of(
    st.tuples(st.just("step"), st.integers(0, 7)),
    st.tuples(st.just("step"), st.integers(0, 7)),
    st.tuples(st.just("join"), st.integers(0, 5)),
    st.tuples(st.just("join"), st.integers(0, 5)),
    st.tuples(st.just("leave"), st.integers(0, 5)),
    st.tuples(st.just("put"), st.integers(0, 35)),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(
        st.sampled_from(["compact", "break", "end", "500", "403", "refuse", "allow"]),
        st.integers(0, 7),
    ),
)


def play(world: World, script: list[tuple[str, int]]) -> None:
    for operation, number in script:
        keys = list(world.streams)
        stream = world.streams[keys[number % len(keys)]] if keys else None
        match operation:
            case "join":
                world.join(SERVICES[number])
            case "leave":
                world.leave(SERVICES[number])
            case "put":
                world.server.put(f"slice-{number % 6}", SERVICES[number // 6])
            case "delete":
                world.server.delete(f"slice-{number}")
            case "compact":
                world.server.compact()
            case "refuse" | "allow":
                world.refused = operation == "refuse"
            case "end" if stream is not None:
                stream.end()
            case "break" if stream is not None:
                stream.fail(0)
            case "500" | "403" if stream is not None:
                stream.fail(int(operation))
            case _:
                world.step(number)


@settings(max_examples=400)
@given(st.lists(OPERATION, max_size=120), st.integers(0, 2**16))
def test_views_are_whole_and_never_go_back_whatever_happens(
    script: list[tuple[str, int]], seed: int
) -> None:
    """Services come and go, slices change and move between Services, streams break, caches lag,
    the namespace's watch is refused and allowed again: at every moment what a Service's
    consumers see is one state of it, never an older one, never nothing after something. In the
    end it is the server's, by no more watches than the number of Services asks for."""
    world = World(seed)
    play(world, script)
    world.refused = False
    world.calm()
    for service in world.joined:
        view = world.sharing.source(service)
        assert state_of(view.slices(service).values()) == world.server.state(service)
        assert view.reflector.stale_since is None
    running = set(world.sharing.running)
    if len(world.joined) > FOLD_ABOVE:
        assert running == {NAMESPACE}
    elif len(world.joined) <= FEW:
        assert running == set(world.joined)
    else:
        assert running in ({NAMESPACE}, set(world.joined))


# --------------------------------------------------------------------- one by one
def folded(*services: str, seed: int = 1) -> World:
    world = World(seed)
    for service in services:
        world.join(service)
    world.calm()
    return world


def test_up_to_the_threshold_each_service_has_its_watch():
    """A watch a Service, and none of the namespace."""
    world = folded(*"abc")
    assert set(world.sharing.running) == {"a", "b", "c"}
    assert world.sharing.next_timer() is None


def test_above_it_one_watch_serves_all_and_half_as_many_unfold_it():
    """Four fold; three stay folded, so that one that comes and goes changes nothing; two unfold."""
    world = folded(*"abcd")
    assert set(world.sharing.running) == {NAMESPACE}
    world.leave("d")
    world.calm()
    assert set(world.sharing.running) == {NAMESPACE}
    world.leave("c")
    assert set(world.sharing.running) == {NAMESPACE, "a", "b"}
    world.calm()
    assert set(world.sharing.running) == {"a", "b"}


def test_a_thousand_that_come_together_are_no_thousand_watches():
    """What is above the threshold waits for the one watch, and asks nothing itself."""
    world = World(1)
    for number in range(1_000):
        world.joined[f"s{number}"] = -1
        world.sharing.join(f"s{number}", world.now)
    assert len(world.sharing.running) == FOLD_ABOVE + 1


def test_the_last_who_leaves_ends_everything():
    """No watch is left, folded or not, in the middle of folding or not."""
    for rounds in range(12):
        world = World(rounds)
        for service in "abcd":
            world.join(service)
        world.calm(rounds)
        for service in "abcd":
            world.leave(service)
        assert not world.sharing.running
        assert world.sharing.next_timer() is None


def test_a_cache_that_lags_takes_nothing_over():
    """The namespace's first list is older than what a Service's watch has told: it is not used
    until its stream has caught up."""
    world = folded(*"abc")
    world.server.put("slice-1", "a")
    world.calm(3)
    world.join("d")
    stream = world.streams[NAMESPACE]
    stream.tell(Page({}, "10"))  # as of before
    source = world.sharing.source("a")
    assert source is not stream.view
    assert world.sharing.source("d") is stream.view  # which had nothing before
    stream._begin("10", initial=False)
    while world.sharing.source("a") is source:
        stream.step()
    assert stream.view.reflector.resource_version == str(world.server.version)


def test_a_watch_that_was_resumed_takes_nothing_over():
    """After a failure a stream may follow a history that is gone, whatever its version."""
    world = folded(*"abc")
    world.server.put("slice-1", "a")
    world.calm(3)
    world.join("d")
    stream = world.streams[NAMESPACE]
    stream.tell(Page({}, "10"))
    stream.fail(0)
    while not stream.open:
        stream.step()
    stream.tell(Bookmark("99"))
    assert stream.view.reflector.stale_since is None
    assert world.sharing.source("a") is not stream.view


def test_a_watch_that_was_ended_early_takes_nothing_over():
    """A server that shuts down may come back with another history, however cleanly it ended."""
    world = folded(*"abc")
    world.server.put("slice-1", "a")
    world.calm(3)
    world.join("d")
    stream = world.streams[NAMESPACE]
    stream.tell(Page({}, "10"))
    stream.tell(Opened())
    world.now += 30.0
    stream.tell(Ended())
    while not stream.open:
        stream.step()
    stream.tell(Bookmark("99"))
    assert stream.view.reflector.stale_since is None
    assert world.sharing.source("a") is not stream.view


def test_a_watch_that_had_to_wait_takes_over():
    """429 before it was opened says nothing of its history."""
    world = folded(*"abc")
    world.server.put("slice-1", "a")
    world.calm(3)
    world.join("d")
    stream = world.streams[NAMESPACE]
    stream.tell(Page({}, "10"))
    stream.fail(429)
    for _ in range(10):
        stream.step()
    assert world.sharing.source("a") is stream.view


@pytest.mark.parametrize("count", [4, 6])
def test_where_the_namespace_is_refused_single_watches_stay(count: int):
    """403 for the one and 200 for the others: everybody has a view, and the refused watch is
    tried again after ten minutes, not before."""
    world = World(1)
    world.refused = True
    for service in SERVICES[:count]:
        world.join(service)
    world.calm()
    assert set(world.sharing.running) == set(SERVICES[:count])
    due = world.sharing.next_timer()
    assert due is not None
    assert due - world.now <= 600
    world.sharing.update(due - 1)
    assert not world.sharing.folded
    world.now = due
    world.refused = False
    world.received(NAMESPACE)
    world.calm()
    assert set(world.sharing.running) == {NAMESPACE}


def test_a_refusal_of_everything_is_no_reason_to_unfold():
    """Without the Role the namespace's watch is as good as any: one Service asks beside it, to
    see whether it is only the namespace's, and nobody else does."""
    world = folded(*SERVICES)
    for _ in range(60):
        for stream in list(world.streams.values()):
            stream.fail(403)
            if not stream.open:
                world.now += 10
    assert set(world.sharing.running) == {NAMESPACE, "a"}
    world.calm()
    assert set(world.sharing.running) == {NAMESPACE}


def test_a_namespace_refused_later_is_unfolded():
    """A watch that worked is refused from now on: the views stay until single ones are there."""
    world = folded(*SERVICES)
    world.server.put("slice-1", "a")
    world.calm(2)
    world.refused = True
    world.streams[NAMESPACE].fail(403)
    world.calm()
    assert set(world.sharing.running) == set(SERVICES)
    assert state_of(world.sharing.source("a").slices("a").values()) == world.server.state("a")


def test_a_fold_that_takes_nothing_over_is_given_up():
    """The namespace's list never comes while single ones are well: after two minutes those who
    wait for it get their own watches."""
    world = folded(*"abc")
    world.join("d")
    due = world.sharing.next_timer()
    assert due == pytest.approx(world.now + 120, abs=1)
    world.now = due
    world.received(NAMESPACE)
    assert not world.sharing.folded
    for key in "abcd":
        world.streams[key].step()
    assert set(world.sharing.running) >= set("abcd")


def test_zero_folds_from_the_first_on():
    """`fold_above=0` is for who never wants more than one watch a namespace."""
    world = World(1, fold_above=0)
    world.join("a")
    assert set(world.sharing.running) == {NAMESPACE}
    world.leave("a")
    assert not world.sharing.running


# --------------------------------------------------------------------------- views
def test_a_list_that_repeats_a_service_does_not_change_it():
    """After a relist only those whose slices differ are told."""
    view = SlicesView(Reflector(rng=random.Random(1)))
    view.reflector.start(0.0)
    a, b, b2 = slice_of("a", "a-1", 1), slice_of("b", "b-1", 2), slice_of("b", "b-1", 3)
    assert view.revision("a") == view.revision("never") == 0
    view.receive(Page({"a-1": a, "b-1": b}, "5"), 0.0)
    assert view.take_changed() == {"a", "b"}
    first, nobody = view.revision("a"), view.revision("never")
    assert nobody > 0
    view.receive(Opened(), 0.0)
    view.reflector._phase = type(view.reflector._phase).LISTING
    view.receive(Page({"a-1": slice_of("a", "a-1", 1), "b-1": b2}, "6"), 1.0)
    assert view.take_changed() == {"b"}
    assert view.revision("a") == first
    assert view.revision("never") == nobody
    assert view.version("a") == view.version("never") == "6"
    view.receive(Changed("DELETED", "a-1", a, "7"), 2.0)
    assert view.take_changed() == {"a"}
    assert view.version("a") == "7"
    assert not view.slices("a")
