"""The reflector against a server that is a dictionary with a history, under every fault.

The server here follows the documented contract of lists and watches and nothing else. Faults
are drawn at random: streams that break or end, events told twice or garbled, versions that
expire, a backup that is restored, refusals of every kind, a stream that goes silent, pages,
a stale cache behind version "0", streaming lists that are refused, ignored or lose their end.
Whatever the order, the view must follow.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given, settings, strategies as st

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
    Undecodable,
    Wait,
    Watch,
)

PAGE = 2  # the server's pages are smaller than asked for, as the contract allows
BOOKMARK = 60.0
NAMES = "abcde"

State = dict[str, str]


@dataclass
class Server:
    """A collection with versions; `log` holds what happened after version `oldest`."""

    version: int = 10
    oldest: int = 10
    state: State = field(default_factory=dict)
    log: list[tuple[int, Changed[str]]] = field(default_factory=list)
    states: dict[int, State] = field(default_factory=dict)
    backups: list[tuple[int, State]] = field(default_factory=list)
    every_state: list[State] = field(default_factory=list)
    lag: int = 0

    def __post_init__(self) -> None:
        self._remember()

    def _remember(self) -> None:
        self.states[self.version] = dict(self.state)
        if not self.every_state or self.every_state[-1] != self.state:
            self.every_state.append(dict(self.state))

    def put(self, name: str) -> None:
        self.version += 1
        known = name in self.state
        self.state[name] = f"{name}{self.version}.{len(self.every_state)}"
        kind = "MODIFIED" if known else "ADDED"
        self.log.append((self.version, Changed(kind, name, self.state[name], str(self.version))))
        self._remember()

    def delete(self, name: str) -> None:
        if name in self.state:
            self.version += 1
            value = self.state.pop(name)
            self.log.append((self.version, Changed("DELETED", name, value, str(self.version))))
            self._remember()

    def compact(self) -> None:
        self.oldest = self.version
        self.log.clear()
        self.states = {self.version: dict(self.state)}

    def restore(self) -> None:
        """Go back to the last backup: another history begins there."""
        if self.backups:
            self.version, state = self.backups.pop()
            self.state = dict(state)
            self.compact()
            self._remember()

    def list(self, action: List) -> Event[str]:
        if action.continue_token:
            version, start = map(int, action.continue_token.split("/"))
        else:
            version, start = self.version, 0
            if action.resource_version == "0":
                version = max((v for v in self.states if v <= version - self.lag), default=version)
            elif action.resource_version and int(action.resource_version) > self.version:
                return Failure(504, "Too large resource version", too_large=True)
        if version not in self.states:
            return Failure(410, "the continue token is too old")
        items = sorted(self.states[version].items())
        end = start + PAGE if action.limit else len(items)
        token = f"{version}/{end}" if end < len(items) else ""
        return Page(dict(items[start:end]), str(version), token)


class World:
    """A server, a reflector and what carries events between them, on a clock that jumps."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.server = Server()
        self.reflector: Reflector[str] = Reflector(rng=random.Random(seed), streams=seed % 4 > 0)
        self.streams = "offered"
        self.action: Action = self.reflector.start(self.now)
        self.failing: list[Failure | Undecodable] = []
        self.streaming = False
        self.silent = False
        self.restored = False
        self.sent = 0  # version up to which the stream has told
        self.bookmark_at = 0.0
        self.ends_at = 0.0
        self.last: Event[str] | None = None
        self.requests: list[float] = []
        self.published: list[State] = []
        self.revision = 0

    # ------------------------------------------------------------ the driver
    def tell(self, event: Event[str]) -> None:
        """Report to the reflector; a new action ends the stream."""
        action = self.reflector.receive(event, self.now)
        self.publish()
        if action is not None:
            self.streaming = False
            self.action = action

    def publish(self) -> None:
        if self.reflector.revision != self.revision:
            self.revision = self.reflector.revision
            self.published.append(dict(self.reflector.items))

    def step(self) -> None:
        """Do the next thing: a request, an event, or time passes to the next one."""
        if self.streaming:
            self.stream()
            return
        match self.action:
            case Wait(seconds):
                self.now += seconds
                self.action = self.reflector.handle_timer(self.now)
            case List() as action:
                self.request()
                self.tell(self.failing.pop() if self.failing else self.server.list(action))
            case Watch() as action:
                self.request()
                failure = self.failing.pop() if self.failing else None
                if isinstance(failure, Failure):
                    self.tell(failure)
                elif not action.initial:
                    self.open(action)
                elif self.streams == "refused":
                    self.tell(Failure(422, "sendInitialEvents is forbidden"))
                else:
                    self.open_initial(action)

    def request(self) -> None:
        self.now += 0.01
        self.requests.append(self.now)

    def open(self, action: Watch) -> None:
        self.tell(Opened())
        self.streaming, self.silent, self.last = True, False, None
        self.sent = int(action.resource_version)
        self.bookmark_at = self.now + BOOKMARK
        self.ends_at = self.now + action.timeout
        if self.sent < self.server.oldest:
            self.tell(Failure(410, "too old resource version"))

    def open_initial(self, action: Watch) -> None:
        """The objects come first, and then the mark; or what a server does that knows neither."""
        server, version = self.server, int(action.resource_version)
        if self.streams == "ignored" and version:
            self.open(action)
            return
        listed = server.list(List(action.resource_version, limit=0))
        opened = Watch(str(server.version), action.timeout)
        if isinstance(listed, Page):
            opened = Watch(listed.resource_version, action.timeout)
        self.open(opened)
        events: list[Event[str]] = [listed]
        if isinstance(listed, Page):
            events = [
                Changed("ADDED", name, value, listed.resource_version)
                for name, value in listed.items.items()
            ]
            if self.streams == "offered":
                events.append(Bookmark(listed.resource_version, end_of_initial=True))
        for event in events:
            if self.streaming:
                self.tell(event)

    def stream(self) -> None:
        if not self.silent:
            for version, change in self.server.log:
                if version > self.sent:
                    self.sent = version
                    self.last = change
                    self.tell(change)
                    return
        timer = self.reflector.next_timer()
        assert timer is not None
        # A server that has not reached our version yet sends no bookmark either.
        quiet = self.silent or self.sent > self.server.version
        bookmark = float("inf") if quiet else self.bookmark_at
        end = float("inf") if self.silent else self.ends_at
        self.now = max(self.now, min(timer, bookmark, end))
        if self.now >= end:
            self.tell(Ended())
        elif self.now >= bookmark:
            self.bookmark_at = self.now + BOOKMARK
            self.tell(Bookmark(str(self.server.version)))
        else:
            self.streaming = False
            self.action = self.reflector.handle_timer(self.now)

    # ------------------------------------------------------------ the faults
    def fault(self, name: str) -> None:
        match name:
            case "break" if self.streaming:
                self.tell(Failure(0, "connection reset"))
            case "end" if self.streaming:
                self.tell(Ended())
            case "silence" if self.streaming:
                self.silent = True
            case "repeat" if self.streaming and self.last is not None:
                self.tell(self.last)
            case "garble" if self.streaming:
                self.tell(Undecodable("no JSON"))
            case "in-stream 410" if self.streaming:
                self.tell(Failure(410, "too old resource version"))
            case "in-stream 500" if self.streaming:
                self.tell(Failure(500, "internal error"))
            case "compact":
                self.server.compact()
            case "back up":
                self.server.backups.append((self.server.version, dict(self.server.state)))
            case "restore":
                self.restored = self.restored or bool(self.server.backups)
                self.server.restore()
                if self.streaming:
                    self.tell(Failure(0, "connection reset"))
            case _ if name in STREAMS:
                self.streams = name.removeprefix("stream ")
            case "lag":
                self.server.lag = 3
            case "garbled list":
                self.failing.append(Undecodable("no JSON"))
            case "refused":
                self.failing.append(Failure(0, "connection refused"))
            case _ if name.isdecimal():
                self.failing.append(Failure(int(name), "refused", retry_after=2.0))
            case _:
                pass


STREAMS = ["stream refused", "stream ignored", "stream unmarked", "stream offered"]
FAULTS = [
    *STREAMS,
    "break", "end", "silence", "repeat", "garble", "in-stream 410", "in-stream 500", "compact",
    "lag", "garbled list", "refused", "400", "401", "403", "410", "429", "500", "503", "504",
]  # fmt: skip

WRITES = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
)
STEPS = st.tuples(st.just("step"), st.integers(1, 4))
HISTORY = st.tuples(st.just("fault"), st.sampled_from(["back up", "restore"]))


def operations(*faults: str) -> st.SearchStrategy[list[tuple[str, object]]]:
    fault = st.tuples(st.just("fault"), st.sampled_from(faults))
    return st.lists(st.one_of(WRITES, STEPS, WRITES, STEPS, fault), max_size=60)


def run(world: World, script: list[tuple[str, object]]) -> None:
    for operation, argument in script:
        match operation, argument:
            case "put", str(name):
                world.server.put(name)
            case "delete", str(name):
                world.server.delete(name)
            case "step", int(times):
                for _ in range(times):
                    world.step()
            case "fault", str(name):
                world.fault(name)
            case _:
                raise AssertionError(operation)


def settle(world: World, within: float) -> None:
    """No more faults: after so many seconds, the view must be the server's state."""
    world.failing.clear()
    until = world.now + within
    while world.now < until:
        told = world.streaming and not world.silent and world.sent >= world.server.version
        if told and world.reflector.items == world.server.state:
            return
        world.step()
    assert world.reflector.items == world.server.state


@settings(max_examples=400)
@given(operations(*FAULTS), st.integers(0, 2**16))
def test_view_follows_the_server_whatever_happens(
    script: list[tuple[str, object]], seed: int
) -> None:
    """After the last fault the view equals the server, and no published view was ever another
    than a whole state of the server, in the server's order.

    Settling takes a silence (80 s), two backoffs (30 s), a Retry-After and a few requests.
    """
    world = World(seed)
    run(world, script)
    settle(world, 80 + 2 * 30 + 10)
    # A view from a cache that lags may repeat; otherwise views only go forward.
    for view in world.published:
        assert view in world.server.every_state


@settings(max_examples=400)
@given(
    operations(*FAULTS, "back up", "restore", "back up", "restore"),
    st.lists(st.sampled_from(NAMES), max_size=30),
    st.integers(0, 2**16),
)
def test_another_history_is_adopted_within_90_seconds(
    script: list[tuple[str, object]], writes: list[str], seed: int
) -> None:
    """After a restore that nothing in the answers shows, even when the new history has already
    outgrown our version, the view equals the server within 90 s of its return."""
    world = World(seed)
    run(world, [*script, ("fault", "back up"), ("put", "a"), ("put", "b")])
    settle(world, 150)
    world.server.lag = 0
    world.now += 200  # calm: the next trouble is the first one
    world.fault("restore")
    for name in writes:
        world.server.put(name)
    returned = world.now
    while world.now < returned + 90:
        world.step()
    assert world.reflector.items == world.server.state


@settings(max_examples=200)
@given(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3), st.integers(0, 2**16))
def test_a_server_that_always_fails_alike_is_not_asked_in_a_hot_loop(
    faults: list[str], seed: int
) -> None:
    """However it fails, again and again, in ten minutes it gets no more than 150 requests."""
    world = World(seed)
    world.server.put("a")
    while world.now < 600:
        for fault in faults:
            world.fault(fault)
            world.step()
        if world.streaming:
            world.step()
    last_minutes = [at for at in world.requests if at <= 600]
    assert len(last_minutes) <= 150
