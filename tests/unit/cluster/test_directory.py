"""The directory: what a resolver says and what connections do, and the pool that follows."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, cast

import pytest

from kubbo.cluster.balancers import RandomBalance
from kubbo.cluster.directory import Directory
from kubbo.cluster.selection import Selection
from kubbo.errors import DeadlineExceeded, KubboError, NoProvider, Progress
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature, Step
from kubbo.naming.resolution import Absent, Failed, Members, Pending
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.naming.resolution import Publish, Resolution
    from kubbo.transport.dialer import Dialers

A, B, C = (Endpoint(f"10.0.0.{n}", 20880) for n in (1, 2, 3))


class FakeDialer:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.state = State.READY
        self.reason = "Connection refused"
        self.subscribers: set[Callable[[], None]] = set()

    def become(self, state: State) -> None:
        self.state = state
        for subscriber in tuple(self.subscribers):
            subscriber()


class FakeDialers:
    """Hands out dialers that are ready at once, and counts who has them."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, int], FakeDialer] = {}
        self.acquired = 0
        self.next_state = State.READY

    def acquire(self, endpoint: Endpoint) -> FakeDialer:
        self.acquired += 1
        dialer = self.held.setdefault(endpoint.key, FakeDialer(endpoint))
        dialer.state = self.next_state
        return dialer

    def release(self, dialer: FakeDialer) -> None:
        del self.held[dialer.endpoint.key]


class Script:
    """A resolver that says what it is told to, then waits."""

    def __init__(self, *says: Resolution | Exception) -> None:
        self.says = says

    async def watch(self, publish: Publish, /) -> None:
        for each in self.says:
            if isinstance(each, Exception):
                raise each
            publish(each)
        await asyncio.Event().wait()


def make(*says: Resolution | Exception) -> tuple[Directory, FakeDialers]:
    dialers = FakeDialers()
    directory = Directory("static:///x:1", Script(*says), cast("Dialers", dialers))
    return directory, dialers


CALL = Invocation(ServiceKey("com.example.GreetService"), Signature("greet"), (), Deadline(1.0))


def selection(directory: Directory) -> Selection:
    return Selection(directory, RandomBalance(random.Random(1)))


def addresses(directory: Directory) -> set[str]:
    pool = selection(directory).pool(CALL)
    return {member.endpoint.host for member in pool.members} if pool else set()


async def test_members_that_stay_keep_their_connection() -> None:
    """An update opens what is new, drops what is gone, and leaves the rest as it is."""
    directory, dialers = make()
    directory.publish(Members((A, B)))
    kept = dialers.held[B.key]
    directory.publish(Members((Endpoint(B.host, B.port, weight=7, zone="z"), C)))
    assert set(dialers.held) == {B.key, C.key}
    assert dialers.held[B.key] is kept
    assert dialers.acquired == 3
    assert addresses(directory) == {B.host, C.host}
    pool = selection(directory).pool(CALL)
    assert pool is not None
    assert {m.endpoint.weight for m in pool.members} == {7, 100}
    await directory.aclose()
    assert dialers.held == {}


async def test_only_connected_members_are_picked_while_there_are_any() -> None:
    """READY before DRAINING before the rest; a state change makes the pool anew."""
    directory, dialers = make()
    directory.publish(Members((A, B, C)))
    dialers.held[A.key].become(State.DOWN)
    dialers.held[B.key].become(State.DRAINING)
    assert addresses(directory) == {C.host}
    dialers.held[C.key].become(State.DOWN)
    assert addresses(directory) == {B.host}
    dialers.held[B.key].become(State.DOWN)
    assert addresses(directory) == {A.host, B.host, C.host}
    dialers.held[A.key].become(State.READY)
    assert addresses(directory) == {A.host}
    await directory.aclose()


async def test_a_call_waits_for_the_first_word() -> None:
    """wait_pool returns as soon as members are published, whoever waits."""
    directory, _ = make()
    deadline = Deadline(asyncio.get_running_loop().time() + 60)
    waiting = [
        asyncio.create_task(selection(directory).wait_pool(CALL, deadline)) for _ in range(3)
    ]
    await asyncio.sleep(0)
    directory.publish(Pending())
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    directory.publish(Members((A,)))
    assert {len((await task).members) for task in waiting} == {1}
    await directory.aclose()


async def test_a_silent_resolver_ends_at_the_deadline() -> None:
    """The deadline of the call bounds the wait; nothing was sent."""
    directory, _ = make()
    with pytest.raises(DeadlineExceeded, match="not resolved in time") as caught:
        await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time()))
    assert caught.value.progress is Progress.NOT_SENT
    await directory.aclose()


@pytest.mark.parametrize(
    ("says", "text"),
    [
        (Absent("the Service has no ready pod", steps=(Step("conditions", 0, "2 not ready"),)), ""),
        (Failed(KubboError("the Service has no ready pod"), (Step("service", 0),)), "cannot"),
    ],
)
async def test_no_provider_says_why(says: Resolution, text: str) -> None:
    """Absent and Failed are told at once, with the reason and the funnel."""
    directory, _ = make(says)
    directory.start()
    with pytest.raises(NoProvider, match="no ready pod") as caught:
        await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 60))
    assert text in str(caught.value)
    assert len(caught.value.funnel) == 1
    assert caught.value.progress is Progress.NOT_SENT
    await directory.aclose()


@pytest.mark.parametrize("bug", [KubboError("told to"), ZeroDivisionError("a bug")])
async def test_a_resolver_that_raises_fails_calls(
    bug: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A resolver's error is what calls are told; a bug is logged besides."""
    directory, _ = make(bug)
    directory.start()
    with pytest.raises(NoProvider, match=str(bug)):
        await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 60))
    assert bool(caplog.records) == isinstance(bug, ZeroDivisionError)
    await directory.aclose()


async def test_an_empty_view_is_believed_and_left_again() -> None:
    """Absent drops the members; members that come later are used."""
    directory, dialers = make()
    directory.publish(Members((A,)))
    directory.publish(Absent("scaled to zero"))
    assert selection(directory).pool(CALL) is None
    assert dialers.held == {}
    directory.publish(Members((B,)))
    assert addresses(directory) == {B.host}
    await directory.aclose()


def pool_of(*endpoints: Endpoint) -> Any:
    from kubbo.cluster.member import Member, Pool

    members = tuple(Member(each, cast("Any", FakeDialer(each))) for each in endpoints)
    return Pool(members, tuple(float(each.weight) for each in endpoints))


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ((100, 100, 100), (1 / 3, 1 / 3, 1 / 3)),
        ((100, 0, 300), (0.25, 0.0, 0.75)),
        ((0, 0, 0), (1 / 3, 1 / 3, 1 / 3)),
        ((1, 2, 1), (0.25, 0.5, 0.25)),
    ],
)
def test_random_follows_the_weights(weights: tuple[int, ...], shares: tuple[float, ...]) -> None:
    """Over 30,000 seeded picks each member gets its share: chi-square below the 0.1% bound, and
    a member without weight gets nothing while another has some."""
    endpoints = [Endpoint(f"10.0.0.{n}", 1, weight=w) for n, w in enumerate(weights)]
    picker = RandomBalance(random.Random(42)).bind(pool_of(*endpoints))
    count = 30_000
    got = [0] * len(weights)
    for _ in range(count):
        got[endpoints.index(picker(cast("Any", None)).endpoint)] += 1
    chi = 0.0
    for seen, share in zip(got, shares, strict=True):
        if share == 0:
            assert seen == 0
        else:
            chi += (seen - share * count) ** 2 / (share * count)
    assert chi < 13.8  # two degrees of freedom


class Hinted(Script):
    """A resolver that counts the hints it gets."""

    hints = 0

    def refresh(self) -> None:
        self.hints += 1


async def test_a_connection_that_fails_is_a_hint_for_the_resolver() -> None:
    """Each provider that goes down is told once, not each time it is still down."""
    resolver = Hinted(Members((A, B, C)))
    dialers = FakeDialers()
    directory = Directory("dns:///x:1", resolver, cast("Dialers", dialers))
    directory.start()
    await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 5))
    assert resolver.hints == 0
    dialers.held[A.key].become(State.DOWN)
    assert resolver.hints == 1
    dialers.held[B.key].become(State.DRAINING)
    assert resolver.hints == 1
    dialers.held[A.key].become(State.READY)
    dialers.held[A.key].become(State.DOWN)
    assert resolver.hints == 2
    await directory.aclose()


async def test_the_last_provider_that_is_ready_is_a_hint_when_it_drains() -> None:
    """A view whose members all drain is old: the resolver is told, once each time."""
    resolver = Hinted(Members((A, B)))
    dialers = FakeDialers()
    directory = Directory("kubernetes:///x:1", resolver, cast("Dialers", dialers))
    directory.start()
    await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 5))
    for key in (A.key, B.key):
        dialers.held[key].become(State.READY)
    dialers.held[A.key].become(State.DRAINING)
    assert resolver.hints == 0
    dialers.held[B.key].become(State.DRAINING)
    assert resolver.hints == 1
    dialers.held[B.key].become(State.READY)
    directory.publish(Members((A,)))  # that B has left is no news for its resolver
    dialers.held[A.key].become(State.READY)
    assert resolver.hints == 1
    dialers.held[A.key].become(State.DRAINING)
    assert resolver.hints == 2
    await directory.aclose()


async def test_closing_tells_who_still_waits() -> None:
    """A call that waits for the first word of a resolver ends with the channel."""
    directory, _ = make()
    directory.start()
    deadline = Deadline(asyncio.get_running_loop().time() + 60)
    waiting = asyncio.create_task(selection(directory).wait_pool(CALL, deadline))
    await asyncio.sleep(0)
    await directory.aclose()
    with pytest.raises(NoProvider, match="closed"):
        await waiting


async def test_a_vanished_provider_works_until_the_replacement_is_up() -> None:
    """DNS cannot know that an address is gone: its connection takes calls until another can."""
    directory, dialers = make(Members((A, B), definite=False))
    directory.start()
    await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 5))
    dialers.held[B.key].become(State.DOWN)
    dialers.next_state = State.CONNECTING
    directory.publish(Members((C,), definite=False))
    assert addresses(directory) == {A.host}
    assert set(dialers.held) == {A.key, C.key}
    dialers.held[C.key].become(State.READY)
    assert addresses(directory) == {C.host}
    assert set(dialers.held) == {C.key}
    await directory.aclose()
    assert not dialers.held


async def test_a_vanished_provider_that_breaks_is_not_dialled_again() -> None:
    """It stays for its working connection, not for its address; and it may come back."""
    directory, dialers = make(Members((A, B), definite=False))
    directory.start()
    await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 5))
    dialers.next_state = State.CONNECTING
    directory.publish(Members((C,), definite=False))
    assert addresses(directory) == {A.host, B.host}
    dialers.held[A.key].become(State.DOWN)
    assert addresses(directory) == {B.host}
    assert set(dialers.held) == {B.key, C.key}
    directory.publish(Members((B, C), definite=False))
    assert addresses(directory) == {B.host}
    directory.publish(Absent("gone"))
    assert not dialers.held
    await directory.aclose()


async def test_a_source_that_knows_ends_it() -> None:
    """What the API server does not list is gone, working connection or not."""
    directory, dialers = make(Members((A,), definite=False))
    directory.start()
    await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 5))
    dialers.next_state = State.CONNECTING
    directory.publish(Members((B,), definite=False))
    assert addresses(directory) == {A.host}
    directory.publish(Members((B,)))
    assert addresses(directory) == {B.host}
    assert set(dialers.held) == {B.key}
    await directory.aclose()


ENDING = Endpoint(A.host, A.port, ready=False, terminating=True)
ENDED = Endpoint(A.host, A.port, ready=False, serving=False, terminating=True)
UNREADY = Endpoint(A.host, A.port, ready=False)


@pytest.mark.parametrize("state", [State.READY, State.DRAINING])
async def test_a_pod_that_terminates_serves_until_its_replacement_is_up(state: State) -> None:
    """Make before break: listed or not, READONLY or not, its connection takes the calls while
    none of the listed ones has one; then it gets none, and then it is let go."""
    directory, dialers = make(Members((A,)))
    directory.start()
    await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 5))
    dialers.held[A.key].become(state)
    dialers.next_state = State.CONNECTING
    directory.publish(Members((B,), (ENDING,)))
    assert addresses(directory) == {A.host}
    dialers.held[B.key].become(State.DOWN)
    assert addresses(directory) == {A.host}
    dialers.held[B.key].become(State.READY)
    assert addresses(directory) == {B.host}
    assert set(dialers.held) == {B.key}
    await directory.aclose()


@pytest.mark.parametrize(
    "last",
    [
        Members((B,)),
        Members((B,), (ENDED,)),
        Members((B,), (UNREADY,)),
        Absent("not ready", (UNREADY,)),
        Absent("gone"),
    ],
)
async def test_only_who_serves_while_it_ends_is_kept(last: Resolution) -> None:
    """A pod that is gone, not serving or not ready gets no call, whatever its connection says."""
    directory, dialers = make(Members((A,)))
    directory.start()
    await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 5))
    dialers.next_state = State.CONNECTING
    directory.publish(Members((B,), (ENDING,)))
    assert addresses(directory) == {A.host}
    directory.publish(last)
    assert A.key not in dialers.held
    await directory.aclose()


@pytest.mark.parametrize("state", [State.READY, State.DRAINING])
async def test_pods_that_end_answer_while_nobody_is_listed(state: State) -> None:
    """All are replaced, and the cluster has not published by whom: calls go on, to those that end,
    until somebody else is connected, or their connections are lost."""
    directory, dialers = make(Members((A,)))
    directory.start()
    await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 5))
    dialers.held[A.key].become(state)
    directory.publish(Absent("it has 1 endpoint, which is terminating", (ENDED,)))
    assert addresses(directory) == {A.host}
    pool = await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time()))
    assert len(pool.members) == 1
    directory.publish(Members((B,)))
    assert addresses(directory) == {B.host}
    directory.publish(Absent("it has 1 endpoint, which is terminating", (ENDED,)))
    assert addresses(directory) == set()
    await directory.aclose()


async def test_a_call_waits_while_everybody_is_being_replaced() -> None:
    """Those that end have closed, and nobody else is published yet: a call waits for that until its
    deadline, and says then why; where nobody ends, it is told at once."""
    directory, dialers = make(Members((A,)))
    directory.start()
    soon = Deadline(asyncio.get_running_loop().time() + 5)
    await selection(directory).wait_pool(CALL, soon)
    dialers.held[A.key].become(State.DRAINING)
    directory.publish(Absent("it has 1 endpoint, which is terminating", (ENDED,)))
    dialers.held[A.key].become(State.DOWN)
    assert addresses(directory) == set()
    waits = asyncio.create_task(selection(directory).wait_pool(CALL, soon))
    await asyncio.sleep(0)
    directory.publish(Absent("it still has 1 endpoint, which is terminating", (ENDED,)))
    directory.publish(Members((B,)))
    assert [member.endpoint for member in (await waits).members] == [B]

    directory.publish(Absent("it has 1 endpoint, which is terminating", (ENDED,)))
    now = Deadline(asyncio.get_running_loop().time())
    with pytest.raises(NoProvider, match="terminating"):
        await selection(directory).wait_pool(CALL, now)
    directory.publish(Absent("scaled to zero"))
    with pytest.raises(NoProvider, match="scaled to zero"):
        await selection(directory).wait_pool(CALL, soon)
    await directory.aclose()


async def test_who_is_kept_is_never_dialled_again() -> None:
    """When the connection to a leaving one is lost, its address is nobody's any more."""
    directory, dialers = make(Members((A,)))
    directory.start()
    await selection(directory).wait_pool(CALL, Deadline(asyncio.get_running_loop().time() + 5))
    dialers.next_state = State.CONNECTING
    directory.publish(Members((B,), (ENDING,)))
    dialers.held[A.key].become(State.DRAINING)
    assert addresses(directory) == {A.host}
    dialers.held[A.key].become(State.DOWN)
    assert addresses(directory) == {B.host}
    assert set(dialers.held) == {B.key}
    await directory.aclose()
