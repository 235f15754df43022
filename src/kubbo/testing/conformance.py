"""What a resolver, a load balance and a session promise, as code."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from kubbo.cluster.member import Member, Pool
from kubbo.errors import Code
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.naming.resolution import Absent, Failed, Members, Pending, Resolution
from kubbo.wire.session import (
    CallEnded,
    CallHead,
    CallStarted,
    Closed,
    Draining,
    MessageReceived,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from kubbo.cluster.balancers import LoadBalance
    from kubbo.naming.resolution import Resolver
    from kubbo.transport.dialer import Dialer
    from kubbo.wire.session import Event, Session

__all__ = ["check_load_balance", "check_resolver", "check_session"]

_PICKS = 10_000
_AVOIDING = 50
_SIZES = (1, 2, 3, 10, 101)
_SERVICE = ServiceKey("com.example.GreetService")
_GREET = Signature("greet")


def check_load_balance(make: Callable[[random.Random], LoadBalance]) -> None:
    """Check a load balance; `make` gives a new one that takes its chances from `rng`.

    It picks members of the pool it is bound to and no others, for every size of pool, also
    after the members, their weights or their load have changed; gives nothing to a member without
    weight while another has some, more to one with more, and leaves nobody out for ever that has
    weight; names whom it shall avoid only where it has nobody else; and picks the same again from
    the same seed.

    Raises:
        AssertionError: it does not; the message says where.
    """
    for size in _SIZES:
        pool = _pool(*(100,) * size)
        picked = _picked(make, pool)
        assert set(picked) <= set(range(size)), f"picks from outside a pool of {size}"
        assert len(picked) == size, f"of {size} equal members only {len(picked)} were ever picked"
    assert _trace(make) == _trace(make), "the same seed gave different picks"
    picked = _picked(make, _pool(100, 0, 50))
    assert picked[1] == 0, "a member of weight 0 was picked while others had weight"
    assert picked[0], "the member of weight 100 was never picked"
    assert picked[2], "the member of weight 50 was never picked"
    assert picked[0] > picked[2] * 1.2, f"twice the weight, but {picked[0]} to {picked[2]} picks"
    picked = _picked(make, _pool(0, 0))
    assert len(picked) == 2, f"of two members without weight only {len(picked)} were picked"
    _check_avoid(make)
    _check_churn(make)


def _check_avoid(make: Callable[[random.Random], LoadBalance]) -> None:
    for size in _SIZES[1:]:
        pool = _pool(*(100,) * size)
        pick = make(_seeded()).bind(pool)
        first, last = pool.members[0], pool.members[-1]
        for number in range(_AVOIDING):
            found = pick(_invocation(number), (first,))
            assert found is not first, f"of {size} it picked the one to avoid"
            assert found in pool.members, f"avoiding one of {size}, it picked from outside"
            found = pick(_invocation(number), pool.members[:-1])
            assert found is last, f"of {size} it did not pick the only one not to avoid"
            assert pick(_invocation(number), pool.members) in pool.members
    pool = _pool(100, 0, 50)
    heavy, idle, light = pool.members
    pick = make(_seeded()).bind(pool)
    for number in range(_AVOIDING):
        assert pick(_invocation(number), (heavy,)) is light, "avoiding, it forgot the weights"
        assert pick(_invocation(number), (heavy, light)) is idle, "no weight is better than tried"


def _check_churn(make: Callable[[random.Random], LoadBalance]) -> None:
    """Bind one balance over and over to pools that share members, under changing load."""
    rng = _seeded()
    everybody = _pool(*(100,) * 40).members
    balance = make(_seeded())
    for _ in range(40):
        some = tuple(rng.sample(everybody, rng.randint(1, 40)))
        pool = Pool(some, tuple([float(rng.choice((0, 1, 10, 100))) for _ in some]))
        pick = balance.bind(pool)
        heavy = any(pool.weights)
        allowed = {
            member for member, weight in zip(some, pool.weights, strict=True) if weight or not heavy
        }
        for number in range(50):
            found = pick(_invocation(number))
            assert found in allowed, "after a change it picked a member that is gone"
            found.active += 1
            if not number % 3:
                found.measure(rng.uniform(0.001, 1.0), float(number))
            rng.choice(everybody).active = rng.randint(0, 3)


def _pool(*weights: int) -> Pool:
    # A balancer reads the endpoint and the load of a member; it has no business with its dialer.
    nobody = cast("Dialer", None)
    endpoints = [Endpoint(f"10.0.0.{n}", 20880, weight=each) for n, each in enumerate(weights)]
    return Pool(tuple(Member(each, nobody) for each in endpoints), tuple(map(float, weights)))


def _seeded() -> random.Random:
    return random.Random(7)  # noqa: S311 - a seed, not a secret


def _invocation(number: int) -> Invocation:
    """A call like no other: who picks by arguments shall have some to pick by."""
    return Invocation(_SERVICE, _GREET, (f"user-{number}",), Deadline(1.0))


def _picked(make: Callable[[random.Random], LoadBalance], pool: Pool) -> Counter[int]:
    pick = make(_seeded()).bind(pool)
    numbers = {id(member): number for number, member in enumerate(pool.members)}
    return Counter(numbers.get(id(pick(_invocation(number))), -1) for number in range(_PICKS))


def _trace(make: Callable[[random.Random], LoadBalance]) -> list[str]:
    pick = make(_seeded()).bind(_pool(100, 50, 100))
    return [str(pick(_invocation(number)).endpoint) for number in range(100)]


async def check_resolver(
    make: Callable[[], Resolver], *, until: Callable[[Resolution], bool], within: float = 10.0
) -> list[Resolution]:
    """Check a resolver that will sooner or later publish what `until` accepts.

    It publishes whole, sane snapshots (members with addresses, each address once, an
    excluded endpoint no member), a reason with every Absent and Failed, nothing twice in a
    row, and nothing more once its watch is cancelled; it leaves no task behind; a second
    watch of the same resolver does as well as the first.

    Args:
        make: gives the resolver.
        until: what to wait for in each of the two watches.
        within: seconds to wait for it.

    Returns:
        What the second watch published.

    Raises:
        AssertionError: it does not; the message says what was published.
        TimeoutError: `until` accepted nothing in time.
    """
    resolver = make()
    published: list[Resolution] = []
    for _ in range(2):
        published = await _watch(resolver, until, within)
    return published


async def _watch(
    resolver: Resolver, until: Callable[[Resolution], bool], within: float
) -> list[Resolution]:
    published: list[Resolution] = []
    seen = asyncio.Event()

    def publish(resolution: Resolution) -> None:
        _check_resolution(resolution)
        assert not published or published[-1] != resolution, f"published twice: {resolution}"
        published.append(resolution)
        if until(resolution):
            seen.set()

    waiting = asyncio.create_task(seen.wait())
    with _following() as follow:
        watch = asyncio.create_task(resolver.watch(publish))
        started = follow(watch)
        await _until_seen(watch, waiting, within)
    assert seen.is_set(), f"the watch ended with {published}"
    told = len(published)
    await asyncio.sleep(0)
    assert len(published) == told, "something was published after the watch was cancelled"
    left = [task for task in started if not task.done()]
    assert not left, f"the watch left tasks behind: {left}"
    return published


async def _until_seen(
    watch: asyncio.Task[None], waiting: asyncio.Task[bool], within: float
) -> None:
    try:
        async with asyncio.timeout(within):
            await asyncio.wait((watch, waiting), return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()  # a bug of the resolver is raised here
    finally:
        watch.cancel()
        waiting.cancel()
        await asyncio.gather(watch, waiting, return_exceptions=True)


@contextlib.contextmanager
def _following() -> Generator[Callable[[asyncio.Task[None]], set[asyncio.Task[Any]]]]:
    """Note which tasks a task starts, they and their own, while other tasks come and go."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    family: set[asyncio.Task[Any]] = set()

    def make(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **given: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **given)
        if asyncio.current_task(loop) in family:
            family.add(task)
        return task

    def follow(task: asyncio.Task[None]) -> set[asyncio.Task[Any]]:
        family.add(task)
        return family

    # A factory is also given generators, says its type; no coroutine of today is one.
    loop.set_task_factory(cast("Any", make))
    try:
        yield follow
    finally:
        loop.set_task_factory(before)


def _check_resolution(resolution: Resolution) -> None:
    match resolution:
        case Members(endpoints, excluded):
            assert endpoints, "Members without an endpoint; that is Absent"
            keys = [endpoint.key for endpoint in endpoints]
            assert len(keys) == len(set(keys)), f"an address twice: {keys}"
            assert not set(keys) & {each.key for each in excluded}, "excluded and a member"
            for endpoint in endpoints:
                assert endpoint.host, f"no host: {endpoint}"
                assert 0 < endpoint.port < 65536, f"no port: {endpoint}"
                assert endpoint.weight >= 0, f"a negative weight: {endpoint}"
        case Absent(reason):
            assert reason, "Absent without a reason"
        case Failed(error):
            assert str(error), "Failed without a reason"
        case Pending():
            pass


def check_session(
    make_consumer: Callable[[], Session],
    make_provider: Callable[[], Session],
    *,
    request: bytes = b"\x05hello",
    response: bytes = b"\x05world",
) -> None:
    """Check both sides of a wire protocol against each other.

    Calls and their answers arrive whole and with their numbers, in whatever pieces the bytes
    come and in whatever order they are answered; one-way calls have no answer; a status ends
    its call; an answer to a forgotten call is dropped; the calls that wait are counted; draining
    is heard; foreign bytes and a stream cut short close the session once, with a reason, and it
    never raises for them.

    Args:
        make_consumer: gives a new consumer's session, at time 0.
        make_provider: gives a new provider's session, at time 0.
        request: a message that the protocol lets a consumer send.
        response: a message that the protocol lets a provider send.

    Raises:
        AssertionError: they do not; the message says what.
    """
    for size in (1, 2, 7, 1 << 20):
        _check_calls(make_consumer(), make_provider(), request, response, size)
    _check_status(make_consumer(), make_provider(), request)
    _check_drain(make_consumer(), make_provider(), request, response)
    sent = _one_request(make_consumer(), request)
    for cut in range(len(sent) + 1):
        provider = make_provider()
        events = provider.receive_data(sent[:cut], 1.0)
        assert all(not isinstance(each, Closed) for each in events), f"closed after {cut} bytes"
        ends = provider.receive_eof(2.0)
        assert [type(each) for each in ends] == [Closed], f"EOF after {cut} bytes: {ends}"
        assert not provider.receive_eof(3.0), "closed twice"
    for foreign in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64, b"\xff" * 64, b"ls\r\n"):
        for session in (make_consumer(), make_provider()):
            events = session.receive_data(foreign, 1.0) or session.receive_eof(2.0)
            assert isinstance(events[-1], Closed), f"{foreign!r} did not close: {events}"
            assert events[-1].reason, f"{foreign!r} closed without a reason"
            assert not session.receive_data(foreign, 3.0), "events after Closed"
            assert session.next_timer() is None, "a timer after Closed"


def _one_request(consumer: Session, request: bytes) -> bytes:
    call = consumer.start_call(CallHead(), 0.0)
    consumer.send_message(call, request, end=True)
    return b"".join(consumer.data_to_send())


def _pass(sender: Session, receiver: Session, size: int) -> list[Event]:
    """What `receiver` makes of all that `sender` has to say, in pieces of `size` bytes."""
    data = b"".join(sender.data_to_send())
    assert not sender.data_to_send(), "the same bytes were handed out twice"
    events: list[Event] = []
    for at in range(0, len(data), size):
        events += receiver.receive_data(data[at : at + size], 1.0)
    return events


def _check_calls(
    consumer: Session, provider: Session, request: bytes, response: bytes, size: int
) -> None:
    calls = [consumer.start_call(CallHead(), 0.0) for _ in range(3)]
    assert len(set(calls)) == 3, f"calls share a number: {calls}"
    for number, call in enumerate(calls):
        consumer.send_message(call, request + bytes([number]), end=True)
    oneway = consumer.start_call(CallHead(oneway=True), 0.0)
    consumer.send_message(oneway, request, end=True)
    events = _pass(consumer, provider, size)
    started = [each for each in events if isinstance(each, CallStarted)]
    received = [each for each in events if isinstance(each, MessageReceived)]
    assert [each.head.oneway for each in started] == [False] * 3 + [True], (
        f"requests in pieces of {size} bytes arrived as {events}"
    )
    assert [each.payload for each in received] == [
        *(request + bytes([number]) for number in range(3)),
        request,
    ], f"requests in pieces of {size} bytes arrived as {received}"
    assert [each.call for each in received] == [each.call for each in started]
    assert all(each.end for each in received)
    open_calls = consumer.open_calls, provider.open_calls
    assert open_calls == (3, 3), f"of three calls that wait, {open_calls} are open"
    for number in (2, 0):  # the second call is never answered
        provider.send_message(received[number].call, response + bytes([number]), end=True)
    provider.send_message(received[3].call, response, end=True)  # nobody asked for this one
    answers = _pass(provider, consumer, size)
    assert answers == [
        MessageReceived(calls[number], response + bytes([number]), end=True) for number in (2, 0)
    ], f"answers in pieces of {size} bytes arrived as {answers}"
    consumer.end_call(calls[1], Status(Code.CANCELLED))
    provider.send_message(received[1].call, response, end=True)
    assert not _pass(provider, consumer, size), "the answer to a forgotten call was an event"
    open_calls = consumer.open_calls, provider.open_calls
    assert open_calls == (0, 0), f"no call waits, and {open_calls} are open"


def _check_status(consumer: Session, provider: Session, request: bytes) -> None:
    call = consumer.start_call(CallHead(), 0.0)
    consumer.send_message(call, request, end=True)
    started = _pass(consumer, provider, 1 << 20)[0]
    assert isinstance(started, CallStarted)
    provider.end_call(started.call, Status(Code.RESOURCE_EXHAUSTED, "too busy"))
    ended = _pass(provider, consumer, 3)
    assert len(ended) == 1, f"a status arrived as {ended}"
    assert isinstance(ended[0], CallEnded)
    assert ended[0].call == call
    assert ended[0].status.code is Code.RESOURCE_EXHAUSTED
    assert ended[0].status.refused, "an overload is refused before the method runs"
    assert "too busy" in ended[0].status.message


def _check_drain(consumer: Session, provider: Session, request: bytes, response: bytes) -> None:
    call = consumer.start_call(CallHead(), 0.0)
    consumer.send_message(call, request, end=True)
    started = _pass(consumer, provider, 1 << 20)[0]
    assert isinstance(started, CallStarted)
    provider.drain(1.0)
    assert [type(each) for each in _pass(provider, consumer, 1)] == [Draining]
    provider.send_message(started.call, response, end=True)
    assert _pass(provider, consumer, 1 << 20) == [MessageReceived(call, response, end=True)]
