"""Calls from a stub to an implementation and back, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from tests.unit.rpc.loopback import (
    TRACE,
    OutOfStockError,
    Shop,
    ShopHere,
    User,
    at,
    frame,
    request,
    serving,
)

import kubbo
from kubbo import (
    Code,
    ConfigError,
    DeadlineExceeded,
    EncodeError,
    Progress,
    Record,
    RemoteException,
    RpcError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kubbo.model import Handler, Invocation, Result


class Both:
    """A provider, a channel and a stub between them."""

    def __init__(self, here: ShopHere, server: kubbo.Server, channel: kubbo.Channel) -> None:
        self.here = here
        self.server = server
        self.channel = channel
        self.target = at(server)
        self.shop = channel.refer(Shop, self.target)


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    here = ShopHere()
    async with serving(here) as server, kubbo.Channel(timeout=20.0) as channel:
        yield Both(here, server, channel)


def connection_of(channel: kubbo.Channel) -> Any:
    """The one connection of a channel that has one."""
    assert channel._dialers is not None
    (dialer,) = channel._dialers._dialers.values()
    return dialer._connection


def nothing_left(channel: kubbo.Channel) -> bool:
    """No trace of any call is left in the tables of the consumer."""
    connection = connection_of(channel)
    session = connection._link.session
    deadlines = channel._deadlines
    assert deadlines is not None
    waiting = [slot for slot in deadlines._slots.values() if slot]
    return not (connection._calls or session._open or session._oneway or waiting)


# --- values ----------------------------------------------------------------------------------


async def test_arguments_and_results(both: Both) -> None:
    """Positions, names and defaults reach the method; its value comes back."""
    user = User(2**40, "Ann 😀")
    assert await both.shop.greet(user) == f"Hello Ann 😀 ({2**40})"
    assert await both.shop.greet(user, "Hi") == f"Hi Ann 😀 ({2**40})"
    assert await both.shop.greet(greeting="Hi", user=user) == f"Hi Ann 😀 ({2**40})"


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1, 2**31 - 1, 2**40, 0.1, math.inf, "", "😀", b"\0\xff", [1, [2, None]]],
)
async def test_values_come_back(both: Both, value: Any) -> None:
    """A value in the position of an object comes back equal."""
    assert await both.shop.echo(value) == value


async def test_classes_of_the_interface_come_as_themselves(both: Both) -> None:
    """What a hint of the interface names is built; everything else is a record."""
    assert await both.shop.echo(User(1, "Ann")) == User(1, "Ann")
    stranger = Record("com.example.Stranger", {"x": 1})
    assert await both.shop.echo(stranger) == stranger


async def test_a_wrong_argument_is_never_sent(both: Both) -> None:
    """A value that does not fit its type is an error at the caller, with its place."""
    await both.shop.who()
    with pytest.raises(EncodeError, match=r"argument 1.*id"):
        await both.shop.greet(User("1", "Ann"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="needs 'user'"):
        await both.shop.greet()  # type: ignore[call-arg]
    assert nothing_left(both.channel)


async def test_a_wrong_result_is_the_providers_error(both: Both) -> None:
    """A result that does not fit its declared type is answered as an exception."""
    both.here.name = 5  # type: ignore[assignment]  # the mistake under test
    with pytest.raises(RemoteException, match=r"the result of who\(\) cannot be sent"):
        await both.shop.who()


async def test_large_messages(both: Both) -> None:
    """Seven MiB pass in both directions."""
    size = 7 * 1024 * 1024
    assert await both.shop.size("x" * size) == size
    assert len(await both.shop.text(size)) == size


async def test_a_message_above_the_limit_is_not_sent(both: Both) -> None:
    """What exceeds the limit fails at the caller, and leaves the connection alone."""
    with pytest.raises(EncodeError, match="exceeds the limit of 8388608"):
        await both.shop.size("x" * (9 * 1024 * 1024))
    assert nothing_left(both.channel)
    assert await both.shop.who() == "shop"


async def test_a_result_above_the_limit_is_answered() -> None:
    """A result that exceeds the provider's limit is an error at once, not a lost call."""
    async with (
        serving(ShopHere(), max_payload_bytes=10_000) as server,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        shop = channel.refer(Shop, at(server))
        with pytest.raises(RpcError, match="the result is too large") as refused:
            await shop.text(20_000)
        assert refused.value.code is Code.INTERNAL
        assert await shop.who() == "shop"


async def test_calls_are_answered_in_any_order(both: Both) -> None:
    """The answer of each call finds it, whichever order they are given in."""
    keys = [str(number) for number in range(50)]
    calls = {key: asyncio.create_task(both.shop.wait(key)) for key in keys}
    for key in keys:
        await both.here.begun(key)
    for key in reversed(keys):
        both.here.release(key)
        assert await calls[key] == f"shop {key}"
    assert nothing_left(both.channel)


async def test_a_thousand_calls_share_one_connection(both: Both) -> None:
    """Calls at once are multiplexed, and each has its own answer."""
    assert await asyncio.gather(*(both.shop.echo(n) for n in range(1000))) == list(range(1000))
    assert len(both.server._connections) == 1


# --- exceptions ------------------------------------------------------------------------------


async def test_a_declared_exception_is_its_class(both: Both) -> None:
    """What `throws=` names arrives as itself, with its fields."""
    with pytest.raises(OutOfStockError) as thrown:
        await both.shop.fail("declared")
    assert (str(thrown.value), thrown.value.left) == ("no more", 3)


@pytest.mark.parametrize(
    ("how", "class_name", "message"),
    [
        ("marked", "com.example.Unknown", "marked"),
        ("value", "java.lang.IllegalArgumentException", "ValueError: bad value"),
        ("type", "java.lang.IllegalArgumentException", "TypeError: bad type"),
        ("key", "java.lang.RuntimeException", "KeyError: 'missing'"),
        ("none", "java.lang.RuntimeException", "RuntimeError"),
        ("group", "java.lang.RuntimeException", "ExceptionGroup: several"),
    ],
)
async def test_an_undeclared_exception_is_remote(
    both: Both, how: str, class_name: str, message: str
) -> None:
    """Other exceptions say which class a Java caller sees, and which provider threw it."""
    with pytest.raises(RemoteException) as thrown:
        await both.shop.fail(how)
    assert thrown.value.class_name == class_name
    assert message in thrown.value.message
    assert thrown.value.progress is Progress.ANSWERED
    assert thrown.value.endpoint is not None
    assert thrown.value.endpoint.port == both.server.port


@pytest.mark.parametrize(("how", "says"), [("rpc", "deeper"), ("remote", "com.example.Deep")])
async def test_the_error_of_a_deeper_call_is_passed_on(both: Both, how: str, says: str) -> None:
    """A method that fails by a call of its own tells its caller why."""
    with pytest.raises(RemoteException, match=says):
        await both.shop.fail(how)


async def test_an_exception_is_never_retried(both: Both) -> None:
    """The provider ran the method: once is enough, whatever the options say."""
    shop = kubbo.options(both.shop, retries=5, idempotent=True)
    with pytest.raises(RemoteException):
        await shop.fail("value")
    assert both.here.started["fail"] == 1


async def test_attachments_that_cannot_be_sent_are_an_error(both: Both) -> None:
    """An attachment of the answer without a Java type is told, even beside an exception."""

    class Strange:
        async def who(self) -> str:
            call = kubbo.current_call()
            assert call is not None
            call.response_attachments["bad"] = object()
            raise ValueError("the real reason")

        def __getattr__(self, name: str) -> Any:
            return self.who

    async with serving(Strange()) as server:
        shop = both.channel.refer(Shop, at(server))
        with pytest.raises(RemoteException, match="the real reason"):
            await shop.who()


# --- one-way ---------------------------------------------------------------------------------


async def test_oneway_returns_before_it_is_executed(both: Both) -> None:
    """The call hands its message over; what follows on the connection comes after it."""
    await both.shop.tell("first")
    await both.shop.tell("second")
    assert nothing_left(both.channel)
    async with asyncio.timeout(20):
        while len(both.here.told) < 2:
            await both.shop.who()
    assert sorted(both.here.told) == ["first", "second"]


# --- deadlines -------------------------------------------------------------------------------


async def test_a_deadline_ends_the_call_and_the_method(both: Both) -> None:
    """The caller is told how long it waited; the method is cancelled at the provider."""
    with pytest.raises(DeadlineExceeded, match="no answer within") as late:
        await kubbo.options(both.shop, timeout=0.05).wait("late")
    assert late.value.progress is Progress.SENT
    await both.here.broken_off("late")
    assert nothing_left(both.channel)


async def test_the_provider_answers_an_expired_call(both: Both) -> None:
    """A consumer that waits longer than it granted reads status 31, and how long it was."""
    reader, writer = await asyncio.open_connection("127.0.0.1", both.server.port)
    writer.write(frame(0xC2, 0, 7, request("wait", "granted", timeout=0.05)))
    head = await reader.readexactly(16)
    assert head[:12] == frame(0x02, 31, 7, b"")[:12]
    body = await reader.readexactly(int.from_bytes(head[12:], "big"))
    assert b"did not end within the 0.05 s granted" in body
    assert both.here.cancelled["granted"] == 1
    writer.close()
    await writer.wait_closed()


async def test_a_deadline_is_carried(both: Both) -> None:
    """The provider knows how long it has."""
    left = await kubbo.options(both.shop, timeout=5.0).deadline()
    assert 0.0 < left <= 5.0


async def test_a_nested_call_has_what_is_left(both: Both) -> None:
    """A call that a method makes is cut to the deadline of the call that it serves."""
    both.here.nested_call = kubbo.options(both.shop, timeout=1000.0).deadline
    left = float(await kubbo.options(both.shop, timeout=5.0).nested())
    assert 0.0 < left <= 5.0


async def test_the_sooner_deadline_wins(both: Both) -> None:
    """A nested call with less time of its own keeps it."""
    both.here.nested_call = kubbo.options(both.shop, timeout=2.0).deadline
    left = float(await kubbo.options(both.shop, timeout=5.0).nested())
    assert 0.0 < left <= 2.0


async def test_options_of_a_call_win(both: Both) -> None:
    """Call over method over reference over channel."""
    reference = both.channel.refer(Shop, both.target, timeout=7.0)
    assert 5.0 < await reference.deadline() <= 7.0
    assert 2.0 < await kubbo.options(reference, timeout=3.0).deadline() <= 3.0
    twice = kubbo.options(kubbo.options(reference, timeout=3.0), attachments={"a": "b"})
    assert 2.0 < await twice.deadline() <= 3.0


def test_options_are_checked() -> None:
    """What is no stub, and what is out of range, is told at once."""
    with pytest.raises(UsageError, match="is no stub"):
        kubbo.options(object(), timeout=1.0)
    with pytest.raises(ConfigError, match="timeout"):
        kubbo.Channel(timeout=0.0)


# --- worker threads and context --------------------------------------------------------------


async def test_a_plain_function_runs_in_a_worker_thread(both: Both) -> None:
    """A `def` does not block the loop, sees the call, and may attach to its answer."""
    assert (await both.shop.plain("thread")).startswith("kubbo-call")
    assert await kubbo.options(both.shop, attachments={"tag": "gray"}).plain("tag") == "gray"


async def test_an_exception_in_a_thread_is_an_answer(both: Both) -> None:
    """It does not matter where a method raises."""
    with pytest.raises(RemoteException, match="in a thread"):
        await both.shop.plain("fail")


async def test_context_variables_reach_worker_threads(both: Both) -> None:
    """What a filter sets, a `def` in a thread sees."""

    async def tag(invocation: Invocation, proceed: Handler) -> Result:
        TRACE.set("by the filter")
        return await proceed(invocation)

    async with serving(ShopHere(), filters=[tag]) as server:
        assert await both.channel.refer(Shop, at(server)).plain("trace") == "by the filter"
    assert TRACE.get() == "none"


async def test_there_is_no_call_outside_of_one(both: Both) -> None:
    """`current_call` is None for a consumer, also after its calls."""
    await both.shop.who()
    assert kubbo.current_call() is None


# --- attachments and filters -----------------------------------------------------------------


async def test_attachments_travel_both_ways(both: Both) -> None:
    """Those of channel, reference and call arrive, the most special one wins; answers too."""
    answers: list[dict[str, Any]] = []

    async def look(invocation: Invocation, proceed: Handler) -> Result:
        result = await proceed(invocation)
        answers.append(dict(result.attachments))
        return result

    async with kubbo.Channel(attachments={"a": "channel", "b": "channel"}, filters=[look]) as own:
        shop = own.refer(Shop, both.target, attachments={"b": "reference"})
        assert await shop.attach("a", "back") == "channel"
        assert await shop.attach("b", "back") == "reference"
        assert await kubbo.options(shop, attachments={"b": "call"}).attach("b", "zurück") == "call"
    assert [answer.get("a") or answer.get("b") for answer in answers] == ["back", "back", "zurück"]


async def test_attachments_cannot_lie_about_the_call(both: Both) -> None:
    """The names that the protocol writes itself are not the user's to set."""
    shop = kubbo.options(both.shop, attachments={"interface": "x", "timeout": "1", "group": "g"})
    assert await shop.attach("interface", "back") == "com.example.Shop"
    assert await shop.who() == "shop"


async def test_filters_surround_a_call_in_order() -> None:
    """The first filter is the outermost, on the consumer and on the provider."""
    order: list[str] = []

    def note(name: str) -> Any:
        async def noting(invocation: Invocation, proceed: Handler) -> Result:
            order.append(f"> {name}")
            try:
                return await proceed(invocation)
            finally:
                order.append(f"< {name}")

        return noting

    async with (
        serving(ShopHere(), filters=[note("p1"), note("p2")]) as server,
        kubbo.Channel(filters=[note("c1"), note("c2")]) as channel,
    ):
        await channel.refer(Shop, at(server)).who()
    assert order == ["> c1", "> c2", "> p1", "> p2", "< p2", "< p1", "< c2", "< c1"]


async def test_a_filter_may_answer_itself() -> None:
    """What does not proceed never reaches the method."""

    async def answer(invocation: Invocation, proceed: Handler) -> Result:
        return kubbo.Result(f"instead of {invocation.method}")

    here = ShopHere()
    async with serving(here, filters=[answer]) as server, kubbo.Channel() as channel:
        assert await channel.refer(Shop, at(server)).who() == "instead of who"
    assert here.started["who"] == 0


async def test_a_filter_changes_the_call() -> None:
    """A consumer's filter adds attachments, a provider's sees and replaces arguments."""

    async def add(invocation: Invocation, proceed: Handler) -> Result:
        invocation.attachments["added"] = "yes"
        return await proceed(invocation)

    async def shout(invocation: Invocation, proceed: Handler) -> Result:
        assert invocation.attachments["added"] == "yes"
        invocation.arguments = [str(each).upper() for each in invocation.arguments]
        return await proceed(invocation)

    async with (
        serving(ShopHere(), filters=[shout]) as server,
        kubbo.Channel(filters=[add]) as channel,
    ):
        assert await channel.refer(Shop, at(server)).echo("text") == "TEXT"


# --- services --------------------------------------------------------------------------------


@kubbo.service("com.example.Shop", group="eu", version="1.0.0")
class EuropeanShop(Protocol):
    async def who(self) -> str: ...


@kubbo.service("com.example.Shop", version="2.0.0")
class NextShop(Protocol):
    async def who(self) -> str: ...


@kubbo.service("com.example.Shop", group="eu", version="2.0.0")
class EuropeanNextShop(Protocol):
    async def who(self) -> str: ...
    async def more(self) -> str: ...


@kubbo.service("com.example.Other")
class Other(Protocol):
    async def who(self) -> str: ...


@kubbo.service("com.example.Shop", version="1.0.0")
class WrongShop(Protocol):
    async def nope(self) -> str: ...
    async def greet(self, user: User) -> str: ...


async def test_group_and_version_separate(both: Both) -> None:
    """One interface in several groups and versions has as many implementations."""
    both.server.export(ShopHere("eu"), EuropeanShop)
    both.server.export(ShopHere("next"), NextShop)
    names = [
        await both.channel.refer(each, both.target).who()  # type: ignore[attr-defined]
        for each in (Shop, EuropeanShop, NextShop)
    ]
    assert names == ["shop", "eu", "next"]


async def test_a_method_that_another_group_has_is_told(both: Both) -> None:
    """Where groups of one interface differ, a method of the other one is no method here."""

    class More(EuropeanNextShop):
        async def who(self) -> str:
            return "more"

        async def more(self) -> str:
            return "more"

    both.server.export(More())
    both.server.export(ShopHere("next"), NextShop)
    generic = both.channel.generic("com.example.Shop:2.0.0", both.target)
    assert await generic.call("who") == "next"
    with pytest.raises(RpcError, match=r"com\.example\.Shop:2\.0\.0 has no method more\(\)") as no:
        await generic.call("more")
    assert no.value.code is Code.UNIMPLEMENTED


@pytest.mark.parametrize("interface", [EuropeanShop, NextShop, Other])
async def test_what_is_not_served_is_told(both: Both, interface: Any) -> None:
    """A wrong group, version or interface is named, with what there is; nothing ran."""
    with pytest.raises(
        RpcError, match=r"is not served here; com\.example\.Shop:1\.0\.0"
    ) as refused:
        await both.channel.refer(interface, both.target).who()
    assert refused.value.code is Code.UNIMPLEMENTED
    assert refused.value.progress is Progress.NOT_SENT


async def test_a_wrong_method_is_told(both: Both) -> None:
    """An unknown method and wrong parameters are named, with those there are."""
    wrong = both.channel.refer(WrongShop, both.target)
    with pytest.raises(RpcError, match=r"has no method nope\(\); it has who\(\)") as refused:
        await wrong.nope()
    assert refused.value.code is Code.UNIMPLEMENTED
    with pytest.raises(RpcError, match="was called with the parameters") as refused:
        await wrong.greet(User(1, "Ann"))
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert refused.value.progress is Progress.NOT_SENT


async def test_a_generic_reference_needs_no_class(both: Both) -> None:
    """By names and Java types: records and dicts go, records come."""
    generic = both.channel.generic("com.example.Shop:1.0.0", both.target)
    types = ["com.example.User", "java.lang.String"]
    for user in (Record("com.example.User", {"id": 1, "name": "Ann"}), {"id": 1, "name": "Ann"}):
        assert await generic.call("greet", types=types, args=[user, "Hi"]) == "Hi Ann (1)"
    got = await generic.call("echo", types=["java.lang.Object"], args=[User(1, "Ann")])
    assert got == Record("com.example.User", {"id": 1, "name": "Ann"})


async def test_dubbos_own_echo(both: Both) -> None:
    """`$echo` answers for any service, exported or not."""
    for key in ("com.example.Shop:1.0.0", "com.example.Nothing"):
        generic = both.channel.generic(key, both.target)
        assert await generic.call("$echo", types=["java.lang.Object"], args=[[1, "a"]]) == [1, "a"]


async def test_a_channel_must_be_entered() -> None:
    """A channel and a server that were not entered say so."""
    with pytest.raises(UsageError, match="enter the channel first"):
        kubbo.Channel().refer(Shop, "static:///127.0.0.1:1")
    with pytest.raises(UsageError, match="enter the server first"):
        await kubbo.Server(port=0).start()


async def test_a_stub_shows_what_it_is(both: Both) -> None:
    """Its repr names the service and the target."""
    assert repr(both.shop) == f"<stub of com.example.Shop:1.0.0 at {both.target}>"
