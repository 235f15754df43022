"""Kubbo and dubbo-go 3.3.1, both ways, over the dubbo protocol with hessian2.

What Go itself cannot do is asserted like the rest, with its reason, so that a version of dubbo-go
that can do it is noticed.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import subprocess
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import pytest
from tests.interop.go_peer import BUILD, GoCaller, GoError, GoProvider
from tests.interop.services import (
    Animal,
    BizException,
    Color,
    Dog,
    EchoService,
    EuropeanGreetService,
    GreetService,
    Item,
    User,
)
from tests.interop.test_java_calls_python import Provider, provider
from tests.interop.test_python_calls_java import alike

import kubbo
from kubbo import Code, DeadlineExceeded, EncodeError, Progress, RemoteException, RpcError, blocking
from kubbo.java import LongValue, Year
from kubbo.rpc.service import service
from kubbo.wire.dubbo2 import Dubbo2Session, Role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.interop.peer import JavaProvider

GREET = "com.example.GreetService:1.0.0"
ECHO = "com.example.interop.EchoService"
HEARTBEAT = bytes.fromhex("dabbe200 0000000000000007 00000001 4e")


@pytest.fixture(scope="module")
def go_provider(go_peer: None) -> Iterator[GoProvider]:
    with GoProvider() as running:
        yield running


@pytest.fixture(scope="module")
def go_caller(go_peer: None) -> Iterator[GoCaller]:
    with GoCaller() as running:
        yield running


@pytest.fixture(scope="module")
def target(go_provider: GoProvider) -> str:
    return f"static:///{go_provider.address}"


@pytest.fixture(scope="module")
def echo(target: str) -> Iterator[Any]:
    """EchoService without a loop: what many cases share."""
    with blocking.Channel(timeout=10.0) as channel:
        yield channel.refer(EchoService, target)


@pytest.fixture
async def channel() -> AsyncIterator[kubbo.Channel]:
    async with kubbo.Channel(timeout=10.0) as channel:
        yield channel


@pytest.fixture(scope="module")
def python() -> Iterator[Provider]:
    """A provider for all tests that leave it running."""
    with provider() as made:
        yield made


# --- Python calls Go -------------------------------------------------------------------------

ITEM = Item(1, "item", 9.99, Color.GREEN, ["a", "b"])
NOON = datetime(2024, 7, 1, 12, 30, 15, 123000, tzinfo=UTC)

SAME: list[tuple[str, str, Any]] = [
    *((f"int/{n}", "echo_int", n) for n in (0, -1, 47, 48, 2048, 262_144, 2**31 - 1, -(2**31))),
    *((f"long/{n}", "echo_long", n) for n in (0, 16, 2**31, 2**63 - 1, -(2**63))),
    *((f"short/{n}", "echo_short", n) for n in (0, 2**15 - 1, -(2**15))),
    *((f"byte/{n}", "echo_byte", n) for n in (0, 127, -128)),
    *((f"char/{n}", "echo_char", c) for n, c in (("ascii", "a"), ("cjk", "杜"), ("nul", "\0"))),
    *((f"float/{n}", "echo_float", n) for n in (0.0, 1.5, -2.25, math.inf)),
    *((f"double/{n}", "echo_double", n) for n in (0.0, 0.1, 1e300, 5e-324, -math.inf)),
    *((f"boolean/{n}", "echo_boolean", n) for n in (True, False)),
    ("string/empty", "echo_string", ""),
    ("string/emoji", "echo_string", "grüße 杜 😀"),
    ("string/32", "echo_string", "x" * 32),
    ("string/70000", "echo_string", "y" * 70_000),
    ("bytes/empty", "echo_bytes", b""),
    ("bytes/2", "echo_bytes", b"\0\xff"),
    ("bytes/70000", "echo_bytes", bytes(70_000)),
    ("array/empty", "echo_ints", []),
    ("array/int", "echo_ints", list(range(1000))),
    ("array/long", "echo_longs", [1, 2**62]),
    ("array/double", "echo_doubles", [0.1, 1e10]),
    ("array/boolean", "echo_booleans", [True, False]),
    ("array/string", "echo_strings", ["a", "b", ""]),
    ("array/int-matrix", "echo_int_matrix", [[1, 2], [], [3]]),
    ("array/object", "echo_objects", [1, LongValue(2), "three", 4.5, None, True, ITEM]),
    ("array/item", "echo_item_array", [ITEM, None]),
    ("list/string", "echo_string_list", ["a", None]),
    ("list/int", "echo_int_list", list(range(300))),
    ("list/long", "echo_long_list", [1, 2**62]),
    ("list/item", "echo_item_list", [ITEM, ITEM]),
    ("set/string", "echo_string_set", {"a", "b", "c"}),
    ("map/string", "echo_string_map", {"a": "b", "c": None}),
    ("map/item", "echo_item_map", {"a": ITEM}),
    ("map/int-key", "echo_int_key_map", {1: "a", 100_000: "b"}),
    ("map/object", "echo_object_map", {"int": 1, "list": [1, "a"], "item": ITEM, "none": None}),
    ("map/nested", "echo_nested", {"a": [{1: ITEM}, {}], "b": []}),
    *((f"enum/{color.name}", "echo_color", color) for color in Color),
    ("object/item", "echo_item", ITEM),
    ("object/parent", "echo_animal", Animal("Rex", 4)),
    ("object/child", "echo_animal", Dog("Rex", 4, good=True, friend=Dog("Bello"))),
    ("object/inherited", "echo_dog", Dog("Rex", 4, good=True, friend=Dog("Bello"))),
    ("object/undeclared", "echo_object", [ITEM, {"k": ITEM}]),
    ("date/now", "echo_date", NOON),
    ("date/year-1", "echo_date", datetime(1, 1, 1, tzinfo=UTC)),
    ("uuid/1", "echo_uuid", UUID("123e4567-e89b-12d3-a456-426614174000")),
    *((f"decimal/{n}", "echo_big_decimal", Decimal(n)) for n in ("0", "1.50", "-1E+3", "0.1")),
    *((f"integer/{n}", "echo_big_integer", n) for n in (0, 1, -1, 2**64, -(2**64))),
    ("time/local-date", "echo_local_date", date(2024, 2, 29)),
    ("time/local-time", "echo_local_time", time(23, 59, 58, 123456)),
    ("time/local-date-time", "echo_local_date_time", datetime(2024, 2, 29, 23, 59, 58, 1)),  # noqa: DTZ001 - Java's local
    ("time/instant", "echo_instant", NOON),
    ("time/duration", "echo_duration", timedelta(seconds=-1.5)),
    ("time/year", "echo_year", Year(2024)),
]


@pytest.mark.parametrize(("name", "value"), [pytest.param(*c[1:], id=c[0]) for c in SAME])
def test_python_calls_go(name: str, value: Any, echo: Any) -> None:
    """A value comes back from Go equal, and of the same type."""
    got = getattr(echo, name)(value)
    assert alike(got, value)
    assert isinstance(got, type(value))


LOST = [
    # A Go string has no null: "" comes back.
    ("array/null-string", "echo_strings", ["a", None], ["a", ""]),
    # Nor has a Go enum: null becomes the first constant.
    ("object/null-fields", "echo_item", Item(), Item(0, "", 0.0, Color.RED, None)),
    # For null dubbo-go gives its method a new, empty object.
    ("object/null", "echo_item", None, Item(0, "", 0.0, Color.RED, None)),
    ("enum/null", "echo_color", None, Color.RED),
]


@pytest.mark.parametrize(("name", "value", "got"), [pytest.param(*c[1:], id=c[0]) for c in LOST])
def test_go_loses_nulls(name: str, value: Any, got: Any, echo: Any) -> None:
    """Where Go has no null, its zero value comes back."""
    assert getattr(echo, name)(value) == got


GO_CANNOT = [
    # dubbo-go makes a pointer for null, and its own reflection then refuses to pass it.
    ("string/null", "echo_string", None, "Call using *string as type string"),
    ("bytes/null", "echo_bytes", None, "Call using *[]uint8 as type []uint8"),
    # Go's decoder makes []int32 and []float64 of them, whatever the method takes.
    ("array/short", "echo_shorts", [1, -1], "Call using []int32 as type []int16"),
    ("array/float", "echo_floats", [0.5, 1.5], "Call using []float64 as type []float32"),
]


@pytest.mark.parametrize(
    ("name", "value", "says"), [pytest.param(*c[1:], id=c[0]) for c in GO_CANNOT]
)
def test_go_refuses(name: str, value: Any, says: str, echo: Any) -> None:
    """What Go's reflection cannot pass to its method is told as a Throwable."""
    with pytest.raises(RemoteException) as refused:
        getattr(echo, name)(value)
    assert refused.value.class_name == "java.lang.Throwable"
    assert says in refused.value.message


GO_CLOSES = [
    # Go's decoder knows no half of a pair.
    ("char/surrogate", "echo_char", "\ud83d"),
    # Its Decimal holds 81 digits.
    ("decimal/100-digits", "echo_big_decimal", Decimal("9" * 100)),
]


@pytest.mark.parametrize(("name", "value"), [pytest.param(*c[1:], id=c[0]) for c in GO_CLOSES])
def test_go_closes_the_connection(name: str, value: Any, echo: Any) -> None:
    """What Go cannot decode costs the connection; the call fails, and the next one is fine."""
    with pytest.raises(RpcError, match="closed by the provider") as failed:
        getattr(echo, name)(value)
    assert failed.value.progress is Progress.SENT
    assert echo.echo_int(1) == 1


def test_go_answers_null_with_rubbish(echo: Any) -> None:
    """For a null where a method takes any type, dubbo-go answers its attachments as the value."""
    assert echo.echo_object(None)["interface"] == ECHO


async def test_python_greets_go(channel: kubbo.Channel, target: str) -> None:
    """Typed calls arrive, with an object and with a string."""
    greeter = channel.refer(GreetService, target)
    assert await greeter.greet(User(2**40, "Ann")) == f"Hello Ann ({2**40}) from go"
    assert await greeter.say_hello("杜博 😀") == "Hello 杜博 😀 from go"


async def test_go_tells_group_and_version_apart(channel: kubbo.Channel, target: str) -> None:
    """Two services of one interface."""
    assert await channel.refer(EuropeanGreetService, target).say_hello("A") == "Hello A from go-eu"


async def test_go_takes_several_arguments(channel: kubbo.Channel, target: str) -> None:
    """A descriptor of several types in a row."""
    assert await channel.refer(EchoService, target).join("a", 2, [3, 4], ITEM) == "a,2,[3 4],item"


async def test_go_answers_void(channel: kubbo.Channel, target: str) -> None:
    """A Go method that returns only an error is Java's void."""
    nothing: Any = await channel.refer(EchoService, target).nothing()  # type: ignore[func-returns-value]
    assert nothing is None


async def test_go_executes_oneway(channel: kubbo.Channel, target: str) -> None:
    """A one-way call has no answer, and arrives."""
    echo = channel.refer(EchoService, target)
    await echo.oneway("from Python")
    async with asyncio.timeout(10):
        while await echo.last_oneway() != "from Python":
            pass  # each round is a call of its own


@pytest.mark.parametrize("value", [1, "text", [1, "a"], {"a": 1}])
async def test_go_answers_echo(channel: kubbo.Channel, target: str, value: Any) -> None:
    """Dubbo's own `$echo` returns its argument."""
    generic = channel.generic(ECHO, target)
    assert await generic.call("$echo", types=["java.lang.Object"], args=[value]) == value


async def test_go_sees_attachments(channel: kubbo.Channel, target: str) -> None:
    """An attachment of the call arrives."""
    echo = kubbo.options(channel.refer(EchoService, target), attachments={"Key": "grüße 😀"})
    assert await echo.attachment("Key") == "grüße 😀"


async def test_go_answers_in_any_order(channel: kubbo.Channel, target: str) -> None:
    """300 concurrent calls each get their own answer while a slow one runs."""
    echo = channel.refer(EchoService, target)
    slow = asyncio.create_task(echo.sleep(300))
    got = await asyncio.gather(*(echo.echo_long(number) for number in range(300)))
    assert got == list(range(300))
    assert await slow == "slept 300"


async def test_a_provider_of_go_takes_one_megabyte(channel: kubbo.Channel, target: str) -> None:
    """dubbo-go's limit is 1,024,000 bytes where Dubbo's is 8 MiB; above it, it closes."""
    echo = channel.refer(EchoService, target)
    assert await echo.length("x" * 1_000_000) == 1_000_000
    with pytest.raises(RpcError, match="the connection was closed"):
        await echo.length("x" * 3_000_000)
    assert await echo.echo_int(1) == 1


async def test_gos_declared_exception_is_its_class(channel: kubbo.Channel, target: str) -> None:
    """A Go error that names a Java class arrives as the Python class of it, with its fields."""
    with pytest.raises(BizException) as thrown:
        await channel.refer(EchoService, target).throw_declared(7)
    assert (thrown.value.code, str(thrown.value)) == (7, "declared 7")


async def test_gos_exceptions_tell_class_and_message(channel: kubbo.Channel, target: str) -> None:
    """An exception of the JDK is a RemoteException; a plain error of Go is a Throwable."""
    echo = channel.refer(EchoService, target)
    with pytest.raises(RemoteException) as thrown:
        await echo.throw_runtime("boom 😀")
    assert thrown.value.class_name == "java.lang.IllegalStateException"
    assert thrown.value.message == "boom 😀"
    with pytest.raises(RemoteException) as plain:
        await echo.throw_unlisted()
    assert plain.value.class_name == "java.lang.Throwable"
    assert plain.value.message == "an error of Go"


async def test_a_deadline_ends_a_call_to_go(channel: kubbo.Channel, target: str) -> None:
    """The caller is free when its time is over; the late answer disturbs nobody."""
    echo = channel.refer(EchoService, target)
    with pytest.raises(DeadlineExceeded):
        await kubbo.options(echo, timeout=0.1).sleep(300)
    assert await echo.sleep(400) == "slept 400"


async def test_a_call_to_go_can_be_given_up(channel: kubbo.Channel, target: str) -> None:
    """dubbo-go does not mind the event that says so: its late answers are dropped, calls go on."""
    echo = channel.refer(EchoService, target)
    given_up = [asyncio.create_task(echo.sleep(300)) for _ in range(20)]
    await asyncio.sleep(0.05)
    for call in given_up:
        call.cancel()
    outcomes = await asyncio.gather(*given_up, return_exceptions=True)
    assert {type(each) for each in outcomes} == {asyncio.CancelledError}
    assert await echo.sleep(400) == "slept 400"
    assert await echo.echo_long(2) == 2


@service("com.example.GreetService", version="9.9.9")
class UnknownVersion(Protocol):
    async def say_hello(self, name: str) -> str: ...


async def test_go_tells_what_it_does_not_serve(channel: kubbo.Channel, target: str) -> None:
    """Service and method that are not there are named; Go tells it as if the call had run."""
    with pytest.raises(RemoteException, match="don't have this exporter") as service_missing:
        await channel.refer(UnknownVersion, target).say_hello("Ann")
    with pytest.raises(RemoteException, match=r"cannot find method \[echoLocale\]"):
        await channel.generic(ECHO, target).call("echoLocale")
    assert service_missing.value.code is Code.UNKNOWN


async def test_an_integer_of_go_may_have_long_words(channel: kubbo.Channel, target: str) -> None:
    """Go writes a word of a BigInteger from 2^31 on as a long, which is read as Java reads it."""
    assert await channel.refer(EchoService, target).echo_big_integer(2**31) == 2**31


async def test_go_answers_heartbeats(go_provider: GoProvider) -> None:
    """A heartbeat that the session's timer sends is answered, and the peer counts as alive."""
    session = Dubbo2Session(Role.CONSUMER, now=0.0)
    due = session.next_timer()
    assert due is not None
    session.handle_timer(due)
    reader, writer = await asyncio.open_connection("127.0.0.1", go_provider.port)
    writer.write(b"".join(session.data_to_send()))
    assert session.receive_data(await reader.readexactly(18), due + 1) == []
    after = session.next_timer()
    assert after is not None
    assert after > due + 10  # not the moment when patience would have ended
    writer.close()
    await writer.wait_closed()


async def test_go_ends_without_readonly(go_peer: None) -> None:
    """SIGTERM closes dubbo-go's connections at once: no READONLY, and what runs is cut off."""
    async with GoProvider() as ending:
        reader, writer = await asyncio.open_connection("127.0.0.1", ending.port)
        writer.write(HEARTBEAT)
        assert (await reader.readexactly(18))[:4].hex() == "dabb2214"
        ending.terminate()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_python_outlives_a_provider_of_go(channel: kubbo.Channel, go_peer: None) -> None:
    """When one of two providers is told to end, new calls go to the other."""
    async with GoProvider() as leaving, GoProvider() as staying:
        target = f"static:///{leaving.address},{staying.address}"
        greeter = channel.refer(GreetService, target)
        for _ in range(20):
            await greeter.say_hello("Ann")
        leaving.terminate()
        await asyncio.to_thread(leaving.process.wait, 60)
        for _ in range(20):
            assert await greeter.say_hello("Ann") == "Hello Ann from go"


# --- Go calls Python -------------------------------------------------------------------------


def i(number: int) -> dict[str, Any]:
    return {"int": number}


def n(number: int) -> dict[str, Any]:
    return {"long": number}


def d(text: str) -> dict[str, Any]:
    return {"double": text}


def ls(class_name: str, *values: Any) -> dict[str, Any]:
    return {"list": list(values), "class": class_name}


def obj(class_name: str, **fields: Any) -> dict[str, Any]:
    return {"object": fields, "class": f"com.example.{class_name}"}


def enum(name: str) -> dict[str, Any]:
    return {"enum": name, "class": "com.example.interop.Color"}


ANY = "[]interface {}"
GO_ITEM = obj(
    "interop.Item",
    Id=n(1),
    Name="item",
    Price=d("9.99"),
    Color=enum("GREEN"),
    Tags=ls("[]string", "a", "b"),
)

FROM_GO: list[tuple[str, str, Any]] = [
    *((f"int/{x}", "echoInt", i(x)) for x in (0, -1, 48, 2048, 2**31 - 1, -(2**31))),
    *((f"long/{x}", "echoLong", n(x)) for x in (0, 16, 2**31, 2**63 - 1, -(2**63))),
    *((f"double/{x}", "echoDouble", d(x)) for x in ("0", "0.1", "1e+300", "5e-324", "+Inf")),
    *((f"boolean/{x}", "echoBoolean", x) for x in (True, False)),
    ("string/empty", "echoString", ""),
    ("string/emoji", "echoString", "grüße 杜 😀"),
    ("string/70000", "echoString", "y" * 70_000),
    ("bytes/empty", "echoBytes", {"bytes": ""}),
    ("bytes/2", "echoBytes", {"bytes": "00ff"}),
    ("bytes/70000", "echoBytes", {"bytes": "00" * 70_000}),
    ("array/int", "echoInts", ls("[]int32", i(1), i(-1))),
    ("array/long", "echoLongs", ls("[]int64", n(1), n(2**62))),
    ("array/double", "echoDoubles", ls("[]float64", d("0.1"))),
    ("array/boolean", "echoBooleans", ls("[]bool", True, False)),
    ("array/string", "echoStrings", ls("[]string", "a", "")),
    ("array/int-matrix", "echoIntMatrix", ls("[][]int32", ls("[]int32", i(1)), ls("[]int32"))),
    ("list/string", "echoStringList", ls(ANY, "a", None)),
    ("list/string-slice", "echoStringList", ls("[]string", "a")),
    ("list/int", "echoIntList", ls(ANY, i(1), i(300))),
    ("list/long", "echoLongList", ls(ANY, n(1), n(2**62))),
    ("list/item", "echoItemList", ls(ANY, GO_ITEM, GO_ITEM)),
    ("list/item-slice", "echoItemList", ls("[]*main.Item", GO_ITEM)),
    ("set/string", "echoStringSet", ls(ANY, "a")),
    ("map/string", "echoStringMap", {"map": [["a", "b"], ["c", None]]}),
    ("map/item", "echoItemMap", {"map": [["a", GO_ITEM]]}),
    ("map/int-key", "echoIntKeyMap", {"map": [[i(1), "a"]]}),
    ("map/object", "echoObjectMap", {"map": [["a", i(1)], ["b", ls(ANY, "x")], ["c", GO_ITEM]]}),
    ("map/nested", "echoNested", {"map": [["a", ls(ANY, {"map": [[i(1), GO_ITEM]]})]]}),
    *((f"enum/{x}", "echoColor", enum(x)) for x in ("RED", "GREEN", "BLUE")),
    ("object/item", "echoItem", GO_ITEM),
    ("object/parent", "echoAnimal", obj("interop.Animal", Name="Rex", Legs=i(4))),
    ("object/undeclared", "echoObject", ls(ANY, i(1), n(2), "three", d("4.5"), None, GO_ITEM)),
    ("date/now", "echoDate", {"date": 1_719_837_015_123}),
    *((f"decimal/{x}", "echoBigDecimal", {"decimal": x}) for x in ("0", "1.50", "-0.1")),
    *((f"integer/{x}", "echoBigInteger", {"integer": str(x)}) for x in (0, 5, -5, 2**100)),
]


@pytest.mark.parametrize(("method", "value"), [pytest.param(*c[1:], id=c[0]) for c in FROM_GO])
def test_go_calls_python(method: str, value: Any, python: Provider, go_caller: GoCaller) -> None:
    """A value of Go comes back from Python as the same value of the same Go type."""
    assert asyncio.run(go_caller.call(python.address, ECHO, method, value)) == value


WIDENED = [
    # Go's decoder has no narrower type.
    ("short/1", "echoShort", i(5), i(5)),
    ("byte/1", "echoByte", i(-8), i(-8)),
    ("char/1", "echoChar", "a", "a"),
    ("float/1", "echoFloat", {"float": "1.5"}, d("1.5")),
    ("array/short", "echoShorts", ls("[]int16"), ls("[]int32")),
    ("array/float", "echoFloats", ls("[]float32", {"float": "0.5"}), ls("[]float64", d("0.5"))),
]


@pytest.mark.parametrize(
    ("method", "value", "got"), [pytest.param(*c[1:], id=c[0]) for c in WIDENED]
)
def test_go_widens(
    method: str, value: Any, got: Any, python: Provider, go_caller: GoCaller
) -> None:
    """What Python sends as a short, a float or a char, Go reads as its wider type."""
    assert asyncio.run(go_caller.call(python.address, ECHO, method, value)) == got


PRODUCED = [
    ("time/local-date", {"Day": i(29), "Month": i(2), "Year": i(2024)}),
    ("time/instant", {"Nanos": i(123_456_789), "Seconds": n(1_700_000_000)}),
    ("time/duration", {"Nanos": i(5), "Seconds": n(90_061)}),
    ("time/period", {"Days": i(3), "Months": i(-2), "Years": i(1)}),
    ("time/year", {"Year": i(2024)}),
    ("uuid", {"Value": "123e4567-e89b-12d3-a456-426614174000"}),
    ("locale/de-DE", {"Value": "de_DE"}),
]


@pytest.mark.parametrize(("case", "fields"), [pytest.param(*c, id=c[0]) for c in PRODUCED])
def test_go_reads_what_python_produces(
    case: str, fields: Any, python: Provider, go_caller: GoCaller
) -> None:
    """Values of Java's own classes arrive as the structs that Go has for them."""
    got = asyncio.run(go_caller.call(python.address, ECHO, "produce", case))
    assert got["object"] == fields


@pytest.mark.parametrize("case", ["object/point", "bitset", "time/zone-region", "sql/timestamp"])
def test_go_reads_an_unknown_class_as_a_map(
    case: str, python: Provider, go_caller: GoCaller
) -> None:
    """A class that no Go type is registered for is a map with the class's name in it."""
    got = asyncio.run(go_caller.call(python.address, ECHO, "produce", case))
    assert "_class" in dict(pair for pair in got["map"] if isinstance(pair[0], str))


@pytest.mark.parametrize("case", ["sql/date", "sql/time"])
def test_go_reads_an_sql_date_without_its_value(
    case: str, python: Provider, go_caller: GoCaller
) -> None:
    """Go has structs for them whose only field is hidden: to whom asks, they are empty."""
    got = asyncio.run(go_caller.call(python.address, ECHO, "produce", case))
    assert got["object"] == {}


def test_go_keeps_cycles(python: Provider, go_caller: GoCaller) -> None:
    """An object that refers to itself is one object in Go too."""
    got = asyncio.run(go_caller.call(python.address, ECHO, "produce", "graph/self"))
    assert got["object"]["Next"] == {"ref": 1}


async def test_go_loses_null_strings(python: Provider, go_caller: GoCaller) -> None:
    """A Go program cannot say null for a string or an enum of an object: zero values arrive."""
    got = await go_caller.call(python.address, ECHO, "echoItem", obj("interop.Item"))
    assert got["object"]["Name"] == ""
    assert got["object"]["Color"] == enum("RED")


@pytest.mark.parametrize("method", ["echoString", "echoItem", "echoObject"])
async def test_go_cannot_send_null(method: str, python: Provider, go_caller: GoCaller) -> None:
    """Go writes the type of a null argument as V, which is no parameter's, and Java refuses too."""
    with pytest.raises(GoError, match="'V' is no parameter descriptor"):
        await go_caller.call(python.address, ECHO, method, None)


async def test_java_takes_no_null_of_go_either(
    java_provider: JavaProvider, go_caller: GoCaller
) -> None:
    """What Go writes for a null argument is refused by Dubbo Java too."""
    with pytest.raises(GoError, match="Fail to decode request"):
        await go_caller.call(java_provider.address, GREET, "sayHello", None)
    assert "Hello Ann" in await go_caller.call(java_provider.address, GREET, "sayHello", "Ann")


async def test_java_reads_an_integer_of_go(
    java_provider: JavaProvider, go_caller: GoCaller
) -> None:
    """A BigInteger with a word above 2^31 comes back from Dubbo Java."""
    number = {"integer": str(2**31)}
    got = await go_caller.call(java_provider.address, ECHO, "echoBigInteger", number)
    assert got == number


async def test_go_greets_python(python: Provider, go_caller: GoCaller) -> None:
    """A typed call with an object reaches an `async def`, and one a plain function."""
    user = obj("User", Id=n(2**40), Name="Ann")
    got = await go_caller.call(python.address, GREET, "greet", user)
    assert got == f"Hello Ann ({2**40}) from python"
    assert await go_caller.call(python.address, GREET, "sayHello", "😀") == "Hello 😀 from python"


async def test_python_tells_group_and_version_apart_for_go(
    python: Provider, go_caller: GoCaller
) -> None:
    """Two services of one interface."""
    got = await go_caller.call(
        python.address, "eu/com.example.GreetService:2.0.0", "sayHello", "Ann"
    )
    assert got == "Hello Ann from python-eu"


async def test_overloads_are_chosen_by_gos_types(python: Provider, go_caller: GoCaller) -> None:
    """The types of a Go program's arguments choose the overload."""
    assert await go_caller.call(python.address, ECHO, "over", i(1)) == "int 1"
    assert await go_caller.call(python.address, ECHO, "over", "1") == "String 1"


async def test_gos_several_arguments_arrive(python: Provider, go_caller: GoCaller) -> None:
    """In order, each by its type."""
    got = await go_caller.call(
        python.address, ECHO, "join", "a", i(2), ls("[]int64", n(3)), GO_ITEM
    )
    assert got == "a,2,[3],item"


async def test_go_gets_void(python: Provider, go_caller: GoCaller) -> None:
    """A method that returns nothing ran before Go goes on."""
    before = python.echo.calls["nothing"]
    assert await go_caller.call(python.address, ECHO, "nothing") is None
    assert python.echo.calls["nothing"] == before + 1


async def test_gos_oneway_is_executed(python: Provider, go_caller: GoCaller) -> None:
    """A one-way call of Go has no answer, and arrives."""
    await go_caller.call(python.address, ECHO, "oneway", "from Go", oneway=True)
    async with asyncio.timeout(10):
        while await go_caller.call(python.address, ECHO, "lastOneway") != "from Go":
            pass  # each round is a call of its own


async def test_python_answers_gos_echo(python: Provider, go_caller: GoCaller) -> None:
    """Dubbo's own `$echo` returns its argument."""
    assert await go_caller.call(python.address, ECHO, "$echo", "text") == "text"


async def test_gos_attachments_arrive(python: Provider, go_caller: GoCaller) -> None:
    """What a Go program puts into its context is there, and what dubbo-go adds."""
    got = await go_caller.call(python.address, ECHO, "attachments", attachments={"Key": "grüße"})
    told = dict(got["map"])
    assert told["Key"] == "grüße"
    assert told["interface"] == told["path"] == ECHO


async def test_python_answers_go_in_any_order(python: Provider, go_caller: GoCaller) -> None:
    """200 concurrent calls each get their own answer."""
    calls = (go_caller.call(python.address, ECHO, "echoLong", n(x)) for x in range(200))
    assert await asyncio.gather(*calls) == [n(x) for x in range(200)]


async def test_a_declared_exception_is_gos_own(python: Provider, go_caller: GoCaller) -> None:
    """An exception of Python is the Go error that is registered for its class, with its fields."""
    with pytest.raises(GoError) as thrown:
        await go_caller.call(python.address, ECHO, "throwDeclared", i(7))
    assert thrown.value.class_name == "com.example.interop.BizException"
    assert thrown.value.message == "declared 7"
    assert thrown.value.go["object"]["Code"] == i(7)


async def test_go_gets_javas_exceptions(python: Provider, go_caller: GoCaller) -> None:
    """One of the JDK's by its class; whatever no class stands for as a RuntimeException."""
    with pytest.raises(GoError) as thrown:
        await go_caller.call(python.address, ECHO, "throwRuntime", "boom 😀")
    assert thrown.value.class_name == "java.lang.IllegalStateException"
    assert thrown.value.message == "boom 😀"
    with pytest.raises(GoError) as undeclared:
        await go_caller.call(python.address, ECHO, "throwUnlisted")
    assert undeclared.value.class_name == "java.lang.RuntimeException"
    assert undeclared.value.message == "UndeclaredError: declared nowhere"


async def test_gos_timeout_ends_the_method(python: Provider, go_caller: GoCaller) -> None:
    """Go's timeout is the method's deadline too."""
    before = python.echo.cancelled
    with pytest.raises(GoError):
        await go_caller.call(python.address, ECHO, "sleep", i(60_000))
    async with asyncio.timeout(10):
        while python.echo.cancelled == before:  # noqa: ASYNC110 - it happens in another thread
            await asyncio.sleep(0.01)


async def test_python_tells_go_what_it_does_not_serve(
    python: Provider, go_caller: GoCaller
) -> None:
    """Unknown services and methods are named to Go, with those that are there."""
    with pytest.raises(GoError, match="has no method noSuch"):
        await go_caller.call(python.address, ECHO, "noSuch", "x")
    with pytest.raises(GoError, match=r"com\.example\.GreetService:9\.9\.9 is not served here"):
        await go_caller.call(python.address, "com.example.GreetService:9.9.9", "sayHello", "x")


async def test_a_consumer_of_go_takes_one_megabyte(python: Provider, go_caller: GoCaller) -> None:
    """dubbo-go's limit is 1,024,000 bytes where Dubbo's is 8 MiB; it refuses to send more."""
    assert await go_caller.call(python.address, ECHO, "length", "x" * 1_000_000) == i(1_000_000)
    assert len(await go_caller.call(python.address, ECHO, "big", i(1_000_000))) == 1_000_000
    with pytest.raises(GoError, match="too large, max payload 1024000"):
        await go_caller.call(python.address, ECHO, "length", "x" * 1_100_000)


async def test_python_answers_gos_heartbeats(python: Provider, go_peer: None) -> None:
    """A consumer of Go that sends a heartbeat each 0.1 s, and waits as long, has no complaint."""
    sent = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while octets := await reader.read(4096):
            if bytes.fromhex("dabbe2") in octets:
                sent.set()
        writer.close()

    async with (
        await asyncio.start_server(deaf, "127.0.0.1", 0) as listening,
        GoCaller(heartbeat_ms=100) as impatient,
    ):
        port = listening.sockets[0].getsockname()[1]
        unheard = asyncio.create_task(impatient.call(f"127.0.0.1:{port}", ECHO, "nothing"))
        await asyncio.wait_for(sent.wait(), 30)
        with pytest.raises(GoError):
            await unheard
        assert "failed to send heartbeat" in impatient.log
    async with GoCaller(heartbeat_ms=100) as content:
        await content.call(python.address, ECHO, "sleep", i(1_000))
        assert "failed to send heartbeat" not in content.log


async def test_go_does_not_obey_readonly(go_caller: GoCaller) -> None:
    """Go goes on calling a provider that drains, which goes on answering until it closes."""
    with provider() as draining:
        await go_caller.call(draining.address, ECHO, "echoInt", i(1))
        draining.server._life.propagation = 1.0
        drained = asyncio.run_coroutine_threadsafe(draining.server.drain(), draining.loop)
        answered = 0
        while not drained.done() and answered < 20:
            assert await go_caller.call(draining.address, ECHO, "count", "drain") == i(answered + 1)
            answered += 1
        assert answered == 20
        await asyncio.wrap_future(drained)


def test_what_does_not_fit_is_never_sent_to_go(echo: Any) -> None:
    """A value that its declared type cannot hold fails here, as for every peer."""
    with pytest.raises(EncodeError, match=r"argument 1.*kubbo\.java\.Long"):
        echo.echo_int(2**31)


# --- the peer --------------------------------------------------------------------------------


def test_a_missing_go_is_told(tmp_path: Path) -> None:
    """Without Go the build fails with one sentence that says what to install."""
    for tool in ("bash", "dirname", "uname", "sha256sum", "cut"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    environment = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    built = subprocess.run([BUILD], env=environment, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stdout) == (1, "")
    assert built.stderr.startswith("go peer: building it needs Go 1.25 or newer")
    assert built.stderr.count("\n") == 1
