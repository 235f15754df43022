"""A Python consumer calls a Dubbo Java provider: typed, generic, blocking and asynchronous."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import pytest
from tests.interop.peer import JavaCaller, JavaProvider
from tests.interop.services import (
    Animal,
    BizException,
    Color,
    Cursor,
    DayOfWeek,
    Dog,
    EchoService,
    EuropeanGreetService,
    Everything,
    GreetService,
    Item,
    Node,
    Page,
    Point,
    Shadow,
    User,
    vectors,
)

import kubbo
from kubbo import (
    Code,
    DeadlineExceeded,
    EncodeError,
    Progress,
    Record,
    RemoteException,
    RpcError,
    blocking,
)
from kubbo.java import (
    BigIntegerValue,
    BitSet,
    Class,
    Key,
    Locale,
    LongValue,
    MonthDay,
    Period,
    Year,
    YearMonth,
    ZoneId,
    ZoneOffset,
    render,
)
from kubbo.rpc.service import method, read_interface, service
from kubbo.wire.dubbo2 import Dubbo2Session, Role
from kubbo.wire.hessian2 import TypeRegistry, decode, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kubbo.model import Handler, Invocation, Result

ECHO = "com.example.interop.EchoService"
VECTORS = vectors()
METHODS = {each.signature.name: each for each in read_interface(EchoService).methods.values()}


@pytest.fixture(scope="module")
def target(java_provider: JavaProvider, java_caller: JavaCaller) -> str:
    # Java's class check builds a com.example.User only once it knows an interface with it.
    asyncio.run(
        java_caller.call(
            java_provider.address, "com.example.GreetService:1.0.0", "greet", {"id": 1, "name": ""}
        )
    )
    return f"static:///{java_provider.address}"


@pytest.fixture(scope="module")
def methods(java_caller: JavaCaller) -> dict[str, str]:
    """The method of each case."""
    return asyncio.run(java_caller.cases())


@pytest.fixture(scope="module")
def echo(target: str) -> Iterator[Any]:
    """EchoService without a loop: what hundreds of cases share."""
    with blocking.Channel(timeout=10.0) as channel:
        yield channel.refer(EchoService, target)


@pytest.fixture(scope="module")
def generic(target: str) -> Iterator[blocking.GenericReference]:
    """EchoService without a Python class."""
    with blocking.Channel(timeout=10.0) as channel:
        yield channel.generic(ECHO, target)


@pytest.fixture
async def channel() -> AsyncIterator[kubbo.Channel]:
    async with kubbo.Channel(timeout=10.0) as channel:
        yield channel


# --- the values of the vectors ---------------------------------------------------------------


def alike(left: Any, right: Any, seen: set[tuple[int, int]] | None = None) -> bool:
    """Equal, where NaN equals itself and cyclic graphs are compared by their shape."""
    seen = set() if seen is None else seen
    if left is right or (id(left), id(right)) in seen:
        return True
    seen.add((id(left), id(right)))
    match left, right:
        case float(), float() if math.isnan(left):
            return math.isnan(right)
        case Record(), Record():
            return left.class_name == right.class_name and alike(left.fields, right.fields, seen)
        case Key(), Key():
            return alike(left.value, right.value, seen)
        case dict(), dict():
            pairs = zip(
                sorted(left.items(), key=render), sorted(right.items(), key=render), strict=False
            )
            return len(left) == len(right) and all(
                alike(key, other, seen) and alike(left[key], right[other], seen)
                for (key, _), (other, _) in pairs
            )
        case BaseException(), BaseException():
            # Its own fields; what its private ones keep of the remote side is not the value.
            one, other = (
                {name: item for name, item in vars(each).items() if not name.startswith("_")}
                for each in (left, right)
            )
            same = type(left) is type(right) and left.args == right.args
            return same and alike(one, other, seen)
        case ((list() | tuple()), (list() | tuple())):
            return len(left) == len(right) and all(
                alike(one, other, seen) for one, other in zip(left, right, strict=True)
            )
    if is_dataclass(left) and type(left) is type(right):
        return all(
            alike(getattr(left, each.name), getattr(right, each.name), seen)
            for each in fields(left)
        )
    return bool(left == right)


BEYOND_PYTHON = {
    "date/-128849018880000",
    "date/-128849018940000",
    "date/9223372036854775807",
    "date/-9223372036854775808",
}
"""What a declared `datetime` cannot hold."""

FINER = {
    "time/duration",
    "time/instant",
    "time/instant-before",
    "time/local-date-min",
    "time/local-time",
    "time/offset-date-time",
}
"""Nanoseconds, and a year of nine digits: undeclared they come as records of hessian-lite's
handles.
"""

JAVA_LOSES = {"locale/zh-Hans-CN", "object/shadow"}
"""What does not come back from Java to Java either: a Locale's script, and the field that a
subclass's field of the same name hides.
"""

NO_METHOD = {"list/deque"}
"""Cases that no method of EchoService takes."""


@pytest.mark.parametrize("case", sorted(VECTORS))
def test_java_sees_what_java_sent(
    case: str, echo: Any, java_provider: JavaProvider, java_caller: JavaCaller
) -> None:
    """What Java produces, sent back undeclared, is to Java what it would be from Java."""
    answer = asyncio.run(java_caller.call(java_provider.address, ECHO, "produce", case))
    expected = answer.java
    if case == "object/everything":  # the field is declared, and Python has microseconds
        expected["object"]["instant"]["value"] = "2023-11-14T22:13:20Z"
    assert json.loads(echo.describe(echo.produce(case))) == expected


@pytest.mark.parametrize("case", sorted(VECTORS.keys() - BEYOND_PYTHON - FINER - NO_METHOD))
def test_a_typed_value_comes_back(case: str, echo: Any, methods: dict[str, str]) -> None:
    """Through the typed method of its case, a value is what it was."""
    sent = echo.produce(case)
    got = getattr(echo, METHODS[methods[case]].name)(sent)
    if isinstance(got, set):
        sent = set(sent)
    elif methods[case] == "echoChars":
        sent = list(sent)
    if case == "locale/zh-Hans-CN":
        assert got == "zh_CN"
    else:
        assert alike(got, sent)


@pytest.mark.parametrize("case", sorted(VECTORS.keys() - NO_METHOD))
def test_a_generic_value_comes_back(
    case: str, generic: blocking.GenericReference, methods: dict[str, str]
) -> None:
    """Called by its name and Java's types, with records for objects, it is the same."""
    sent = generic.call("produce", types=["java.lang.String"], args=[case])
    types = [parameter.name for parameter in METHODS[methods[case]].signature.parameters]
    got = generic.call(methods[case], types=types, args=[sent])
    if case in JAVA_LOSES:
        assert got == "zh_CN" or (got["name"], got["legs"]) == ("mine", 2)
    else:
        assert alike(got, sent)


@pytest.mark.parametrize("case", sorted(BEYOND_PYTHON))
def test_a_typed_date_beyond_python_is_an_error(case: str, echo: Any) -> None:
    """An answer that `datetime` cannot hold is an error that says so, not another date."""
    with pytest.raises(RpcError, match="outside of Python's years 1 to 9999") as undecodable:
        echo.echo_date(echo.produce(case))
    assert undecodable.value.progress is Progress.ANSWERED


@pytest.mark.parametrize("case", sorted(FINER))
def test_a_record_of_a_time_is_sent(case: str, echo: Any, methods: dict[str, str]) -> None:
    """A time that Python cannot hold may be sent where it is declared; its answer is cut."""
    sent = echo.produce(case)
    assert isinstance(sent, Record)
    method = METHODS[methods[case]]
    if case == "time/local-date-min":
        with pytest.raises(RpcError, match="year"):
            getattr(echo, method.name)(sent)
    else:
        cut = decode(encode(sent), TypeRegistry(), method.signature.parameters[0])
        assert getattr(echo, method.name)(sent) == cut


# --- values of Python's own ------------------------------------------------------------------

ITEM = Item(1, "item", 9.99, Color.GREEN, ["a", "b"])
SHANGHAI = datetime(2024, 7, 1, 12, 30, 15, 123000, tzinfo=UTC)

LITERALS: list[tuple[str, Any]] = [
    *(("echo_int", value) for value in (0, -1, 47, 48, 2047, 2048, 262_144, 2**31 - 1, -(2**31))),
    *(("echo_long", value) for value in (0, 15, 16, 2**31, 2**63 - 1, -(2**63))),
    *(("echo_short", value) for value in (0, 2**15 - 1, -(2**15))),
    *(("echo_byte", value) for value in (0, 127, -128)),
    *(("echo_char", value) for value in ("a", "杜", "\0", "\ud83d")),
    *(("echo_float", value) for value in (0.0, 1.5, -2.25, math.inf)),
    *(("echo_double", value) for value in (0.0, 0.1, 1e300, 5e-324, math.pi, -math.inf)),
    *(("echo_boolean", value) for value in (True, False)),
    *(("echo_integer", value) for value in (None, 5)),
    *(("echo_boxed_long", value) for value in (None, 5)),
    *(("echo_boxed_short", value) for value in (None, 5)),
    *(("echo_boxed_byte", value) for value in (None, 5)),
    *(("echo_boxed_char", value) for value in (None, "z")),
    *(("echo_boxed_float", value) for value in (None, 0.5)),
    *(("echo_boxed_double", value) for value in (None, 0.1)),
    *(("echo_boxed_boolean", value) for value in (None, True)),
    *(("echo_string", value) for value in (None, "", "x" * 32, "grüße 杜 😀", "y" * 70_000)),
    *(("echo_bytes", value) for value in (None, b"", b"\0\xff", bytes(70_000))),
    *(("echo_ints", value) for value in ([], [1, -1], list(range(1000)))),
    ("echo_longs", [1, 2**62]),
    ("echo_shorts", [1, -1]),
    ("echo_chars", ["a", "杜"]),
    ("echo_floats", [0.5, 1.5]),
    ("echo_doubles", [0.1, 1e10]),
    ("echo_booleans", [True, False]),
    ("echo_int_matrix", [[1, 2], [], [3]]),
    ("echo_strings", ["a", None, ""]),
    ("echo_objects", [1, LongValue(2), "three", 4.5, None, True, ITEM]),
    ("echo_item_array", [ITEM, None]),
    ("echo_integers", [1, None]),
    ("echo_boxed_longs", [1, None]),
    ("echo_dates", [SHANGHAI, None]),
    ("echo_colors", [Color.RED, None, Color.GREEN]),
    ("echo_string_list", ["a", None]),
    ("echo_int_list", list(range(300))),
    ("echo_long_list", [1, 2**62]),
    ("echo_item_list", [ITEM, Item(2)]),
    ("echo_string_set", {"a", "b", "c"}),
    ("echo_item_collection", [ITEM]),
    ("echo_string_map", {"a": "b", "c": None}),
    ("echo_item_map", {"a": ITEM}),
    ("echo_int_key_map", {1: "a", 100_000: "b"}),
    ("echo_long_key_map", {1: ITEM, 2**40: Item()}),
    ("echo_enum_key_map", {Color.RED: 1}),
    ("echo_object_map", {"int": 1, "list": [1, "a"], "item": ITEM, "none": None}),
    ("echo_nested", {"a": [{1: ITEM}, {}], "b": []}),
    ("echo_page", Page([ITEM, Item(2)], 2, Cursor("next", more=True))),
    *(("echo_object", value) for value in (None, "text", 1, 1.5, ITEM, [ITEM, {"k": (ITEM)}])),
    *(("echo_color", value) for value in (None, *Color)),
    *(("echo_item", value) for value in (None, Item(), ITEM)),
    (
        "echo_everything",
        Everything(
            flag=True,
            tiny=-8,
            small=300,
            letter="é",
            number=70_000,
            big=2**40,
            ratio=0.1,
            boxed_int=1,
            boxed_long=2,
            boxed_float=0.5,
            text="😀",
            bytes=b"\0\xff",
            ints=[1, 2],
            strings=["a"],
            items=[ITEM],
            names={"n"},
            counts={"a": 1},
            by_number={5: ITEM},
            color=Color.BLUE,
            price=Decimal("19.99"),
            huge=2**100,
            created=SHANGHAI,
            uuid=UUID(int=5),
            day=date(2024, 2, 29),
            instant=SHANGHAI,
            anything=["any", 1],
            item=ITEM,
        ),
    ),
    ("echo_node", Node("a", Node("b"), [Node("c")], "other")),
    ("echo_animal", Animal("Rex", 4)),
    ("echo_animal", Dog("Rex", 4, good=True, friend=Dog("Bello"))),
    ("echo_dog", Dog("Rex", 4, good=True, friend=Dog("Bello"))),
    ("echo_shadow", Shadow("mine", 2)),
    ("echo_point", Point(1, -1, "p")),
    *(("echo_big_decimal", Decimal(text)) for text in ("0", "1.50", "-1E+3", "0.1", "9" * 100)),
    *(("echo_big_integer", value) for value in (0, 1, -1, 2**31, 2**64, -(2**64), 10**100)),
    *(("echo_date", value) for value in (SHANGHAI, datetime(1, 1, 1, tzinfo=UTC))),
    ("echo_uuid", UUID("123e4567-e89b-12d3-a456-426614174000")),
    ("echo_locale", Locale("de_DE")),
    ("echo_bit_set", BitSet(0b1010)),
    ("echo_class", Class("java.lang.String")),
    *(("echo_number", value) for value in (1, LongValue(2), 1.5, Decimal("1.5"))),
    ("echo_number", BigIntegerValue(5)),
    ("echo_local_date", date(2024, 2, 29)),
    ("echo_local_time", time(23, 59, 58, 123456)),
    ("echo_local_date_time", datetime(2024, 2, 29, 23, 59, 58, 1)),  # noqa: DTZ001 - Java's local
    ("echo_instant", SHANGHAI),
    *(("echo_duration", timedelta(seconds=value)) for value in (0, 1.5, -1.5, 90_061)),
    ("echo_period", Period(1, -2, 3)),
    ("echo_zoned_date_time", SHANGHAI),
    ("echo_offset_date_time", SHANGHAI),
    ("echo_offset_time", time(12, 30, tzinfo=UTC)),
    ("echo_year", Year(2024)),
    ("echo_year_month", YearMonth(2024, 2)),
    ("echo_month_day", MonthDay(2, 29)),
    ("echo_zone_id", ZoneId("Europe/Berlin")),
    ("echo_zone_offset", ZoneOffset(9 * 3600)),
    ("echo_day_of_week", DayOfWeek.FRIDAY),
    ("echo_sql_timestamp", SHANGHAI),
    ("echo_sql_date", SHANGHAI),
    ("echo_sql_time", SHANGHAI),
]


@pytest.mark.parametrize(("name", "value"), LITERALS)
def test_a_value_of_python_comes_back(name: str, value: Any, echo: Any) -> None:
    """What Python code writes by hand comes back equal, and of the same type."""
    got = getattr(echo, name)(value)
    assert alike(got, value)
    assert isinstance(got, type(value))


def test_every_echo_method_was_called() -> None:
    """No method of EchoService is left out of the literals above."""
    named = {name for name, _ in LITERALS} | {"echo_calendar"}  # its case is in the vectors
    assert {each.name for each in METHODS.values() if each.name.startswith("echo_")} == named


def test_a_graph_keeps_its_shape(echo: Any) -> None:
    """An object that refers to itself, and two that share a third, come back as such."""
    node, shared = Node("root"), Node("shared")
    node.next = node
    node.children = [shared, shared]
    got = echo.echo_node(node)
    assert got.next is got
    assert got.children[0] is got.children[1]
    assert got.children[0].name == "shared"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("echo_int", 2**31, "kubbo.java.Long"),
        ("echo_int", "1", "int"),
        ("echo_long", 2**63, "BigInteger"),
        ("echo_byte", 128, "byte"),
        ("echo_string", 1, "String"),
        ("echo_item", Item(name=5), "name"),  # type: ignore[arg-type]  # the mistake under test
        ("echo_item_list", [ITEM, Item(tags=["a", 1])], r"\[1\]\.tags\[1\]"),  # type: ignore[list-item]
        ("echo_color", "RED", "Color"),
        ("echo_object", object(), "object"),
    ],
)
def test_a_value_that_does_not_fit_is_never_sent(
    name: str, value: Any, says: str, echo: Any
) -> None:
    """The error names the argument and the place in it, and what would fit."""
    with pytest.raises(EncodeError, match=rf"argument 1.*{says}"):
        getattr(echo, name)(value)


# --- calls -----------------------------------------------------------------------------------


async def test_the_provider_is_the_one_that_was_named(
    channel: kubbo.Channel, target: str, java_provider: JavaProvider
) -> None:
    """A typed call with an object arrives at the address of the target."""
    greeter = channel.refer(GreetService, target)
    said = await greeter.greet(User(1, "Ann"))
    assert said == f"Hello Ann (1) from java {java_provider.address}"
    assert await greeter.say_hello("Ann") == f"Hello Ann from java {java_provider.address}"


async def test_group_and_version_choose_the_service(channel: kubbo.Channel, target: str) -> None:
    """Two services of one interface are told apart by group and version."""
    greeter = channel.refer(EuropeanGreetService, target)
    assert "from java-eu" in await greeter.greet(User(1, "Ann"))


async def test_overloads_are_chosen_by_the_python_method(
    channel: kubbo.Channel, target: str
) -> None:
    """Each Python method has the descriptor of its own overload."""
    echo = channel.refer(EchoService, target)
    assert (await echo.over_int(1), await echo.over_string("1")) == ("int 1", "String 1")


async def test_several_arguments_arrive_in_order(channel: kubbo.Channel, target: str) -> None:
    """Arguments by position and by name are put into Java's order."""
    echo = channel.refer(EchoService, target)
    assert await echo.join("a", 2, fourth=ITEM, third=[3, 4]) == "a,2,[3, 4],item"


async def test_void_is_none(channel: kubbo.Channel, target: str) -> None:
    """A void method returns None."""
    nothing: Any = await channel.refer(EchoService, target).nothing()  # type: ignore[func-returns-value]
    assert nothing is None


async def test_oneway_is_executed(channel: kubbo.Channel, target: str) -> None:
    """A one-way call returns at once, and arrives before the calls that follow it."""
    echo = channel.refer(EchoService, target)
    await echo.oneway("from Python")
    async with asyncio.timeout(10):
        while await echo.last_oneway() != "from Python":
            pass  # each round is a call of its own


@pytest.mark.parametrize("value", [None, "text", 5, 1.5, [1, "a"], {"a": 1}])
async def test_echo_is_answered(channel: kubbo.Channel, target: str, value: Any) -> None:
    """Dubbo's own `$echo` returns its argument."""
    generic = channel.generic(ECHO, target)
    assert await generic.call("$echo", types=["java.lang.Object"], args=[value]) == value


async def test_generic_calls_take_and_give_records(channel: kubbo.Channel, target: str) -> None:
    """An object goes as a record or as a dict, and comes as a record."""
    generic = channel.generic(ECHO, target)
    name = "com.example.interop.Item"
    got = await generic.call("echoItem", types=[name], args=[Record(name, {"id": LongValue(5)})])
    assert (got.class_name, got["id"], got["name"]) == (name, 5, None)
    got = await generic.call("echoItem", types=[name], args=[{"id": 5, "name": "dict"}])
    assert (got.class_name, got["id"], got["name"]) == (name, 5, "dict")


async def test_generic_calls_build_the_classes_they_are_given(
    channel: kubbo.Channel, target: str
) -> None:
    """With `types`, objects come as their Python classes."""
    generic = channel.generic(ECHO, target, types=[Item])
    assert await generic.call("echoItem", types=["com.example.interop.Item"], args=[ITEM]) == ITEM


async def test_attachments_travel_both_ways(target: str) -> None:
    """Attachments of channel, reference and call arrive; a filter sees those of the answer."""
    seen: list[dict[str, Any]] = []

    async def look(invocation: Invocation, proceed: Handler) -> Result:
        result = await proceed(invocation)
        seen.append(result.attachments)
        return result

    async with kubbo.Channel(attachments={"a": "channel", "b": "channel"}, filters=[look]) as own:
        echo = own.refer(EchoService, target, attachments={"b": "reference", "c": "grüße 😀"})
        there = await kubbo.options(echo, attachments={"d": "call"}).attachments()
        await echo.attach("Key", "value")
    assert there["a"] == "channel"
    assert there["b"] == "reference"
    assert there["c"] == "grüße 😀"
    assert there["d"] == "call"
    assert seen[-1]["Key"] == "value"


async def test_many_calls_share_a_connection(channel: kubbo.Channel, target: str) -> None:
    """150 concurrent calls each get their own answer, whatever order Java answers in.

    Java's pool has 200 threads and no queue: above that it refuses what comes too fast for it.
    """
    echo = channel.refer(EchoService, target)
    slow = asyncio.create_task(echo.sleep(500))
    got = await asyncio.gather(*(echo.echo_long(number) for number in range(150)))
    assert got == list(range(150))
    assert await slow == "slept 500"


async def test_seven_mebibytes_each_way(channel: kubbo.Channel, target: str) -> None:
    """A large message below the limit passes in both directions."""
    echo = channel.refer(EchoService, target)
    size = 7 * 1024 * 1024
    assert await echo.length("x" * size) == size
    assert len(await echo.big(size)) == size


# --- errors ----------------------------------------------------------------------------------


async def test_a_declared_exception_is_its_class(channel: kubbo.Channel, target: str) -> None:
    """`throws=` has Java's exception arrive as the Python class, with message and fields."""
    with pytest.raises(BizException) as thrown:
        await channel.refer(EchoService, target).throw_declared(7)
    assert (thrown.value.code, str(thrown.value)) == (7, "declared 7")


async def test_a_runtime_exception_keeps_class_cause_and_stack(
    channel: kubbo.Channel, target: str, java_provider: JavaProvider
) -> None:
    """What no class is declared for is a RemoteException that tells all that Java sent."""
    with pytest.raises(RemoteException) as thrown:
        await channel.refer(EchoService, target).throw_runtime("boom 😀")
    error = thrown.value
    assert (error.class_name, error.message) == ("java.lang.IllegalStateException", "boom 😀")
    assert error.cause is not None
    assert error.cause.class_name == "java.lang.IllegalArgumentException"
    assert error.cause.message == "cause"
    assert "Echo.throwRuntime" in error.stack[0]
    assert (error.code, error.progress) == (Code.UNKNOWN, Progress.ANSWERED)
    assert str(error.endpoint) == java_provider.address


async def test_an_unlisted_exception_is_told(channel: kubbo.Channel, target: str) -> None:
    """An exception that Java refuses to write is an error with Java's reason."""
    with pytest.raises(RpcError, match="UnlistedException is not in allow list") as refused:
        await channel.refer(EchoService, target).throw_unlisted()
    assert refused.value.code is Code.INTERNAL
    assert "status 50" in refused.value.message


async def test_a_deadline_ends_one_call_only(channel: kubbo.Channel, target: str) -> None:
    """The caller is free when its time is over; the late answer disturbs nobody."""
    echo = channel.refer(EchoService, target)
    with pytest.raises(DeadlineExceeded) as late:
        await kubbo.options(echo, timeout=0.1).sleep(300)
    assert late.value.progress is Progress.SENT
    assert await echo.sleep(400) == "slept 400"  # the late answer arrives meanwhile


async def test_a_call_given_up_disturbs_nobody(channel: kubbo.Channel, target: str) -> None:
    """Java ignores the event that says so: its method runs to its end, its late answer is dropped,
    and the connection goes on, whether one call or a hundred were given up."""
    echo = channel.refer(EchoService, target)
    assert await echo.echo_int(1) == 1
    given_up = [asyncio.create_task(echo.sleep(300)) for _ in range(100)]
    await asyncio.sleep(0.05)
    for call in given_up:
        call.cancel()
    outcomes = await asyncio.gather(*given_up, return_exceptions=True)
    assert {type(each) for each in outcomes} == {asyncio.CancelledError}
    assert await echo.sleep(400) == "slept 400"  # the late answers arrive meanwhile
    assert await echo.echo_int(2) == 2


@service("com.example.GreetService", version="9.9.9")
class UnknownVersion(Protocol):
    async def say_hello(self, name: str) -> str: ...


@service(ECHO)
class WrongEchoService(Protocol):
    async def no_such_method(self, value: str) -> str: ...
    async def echo_int(self, value: str) -> str: ...


async def test_java_refuses_what_it_does_not_serve(channel: kubbo.Channel, target: str) -> None:
    """Unknown version, method and parameters are errors that provably ran nothing."""
    unknown = channel.refer(UnknownVersion, target)
    wrong = channel.refer(WrongEchoService, target)
    for call in (unknown.say_hello, wrong.no_such_method, wrong.echo_int):
        with pytest.raises(RpcError, match="status 40") as refused:
            await call("1")
        assert refused.value.code is Code.INVALID_ARGUMENT
        assert refused.value.progress is Progress.NOT_SENT


async def test_what_is_too_large_is_not_sent(channel: kubbo.Channel, target: str) -> None:
    """A message above Dubbo's limit fails here: a Java provider would drop it in silence."""
    echo = channel.refer(EchoService, target)
    with pytest.raises(EncodeError, match="exceeds the limit of 8388608"):
        await echo.length("x" * (8 * 1024 * 1024))
    assert await echo.length("x") == 1


async def test_an_answer_too_large_is_refused(target: str) -> None:
    """An answer above the consumer's limit is an error, and the next call has a connection."""
    async with kubbo.Channel(max_payload_bytes=10_000, timeout=10.0) as small:
        echo = small.refer(EchoService, target)
        with pytest.raises(RpcError, match="exceeds the limit of 10000") as refused:
            await echo.big(20_000)
        assert refused.value.code is Code.RESOURCE_EXHAUSTED
        assert await echo.echo_int(1) == 1


# --- connections -----------------------------------------------------------------------------


def test_java_answers_heartbeats(java_provider: JavaProvider) -> None:
    """A heartbeat that the session's timer sends is answered, and the peer counts as alive."""
    session = Dubbo2Session(Role.CONSUMER, now=0.0)
    due = session.next_timer()
    assert due is not None
    session.handle_timer(due)
    with socket.create_connection(("127.0.0.1", java_provider.port), timeout=10) as peer:
        peer.sendall(b"".join(session.data_to_send()))
        assert session.receive_data(peer.recv(4096), due + 1) == []
    after = session.next_timer()
    assert after is not None
    assert after > due + 10  # not the moment when patience would have ended


@service("com.example.GreetService", version="1.0.0")
class IdempotentGreetService(Protocol):
    @method(idempotent=True)
    async def say_hello(self, name: str) -> str: ...


class Load:
    """Steady calls that remember who answered last and what failed."""

    def __init__(self, greeter: IdempotentGreetService | GreetService) -> None:
        self.failures: list[Exception] = []
        self.answers = 0
        self.last = ""
        self._greeter = greeter
        self._running = True
        self._tasks = [asyncio.create_task(self._call()) for _ in range(8)]

    async def _call(self) -> None:
        while self._running:
            try:
                self.last = await self._greeter.say_hello("Ann")
                self.answers += 1
            except RpcError as error:
                self.failures.append(error)

    async def more(self, count: int) -> None:
        """Return when so many further calls were answered."""
        until = self.answers + count
        async with asyncio.timeout(30):
            while self.answers < until:  # noqa: ASYNC110 - a count, not a moment
                await asyncio.sleep(0.001)

    async def stop(self) -> None:
        self._running = False
        await asyncio.gather(*self._tasks)


async def test_readonly_loses_no_call(channel: kubbo.Channel) -> None:
    """A Java provider that gets SIGTERM is obeyed: calls go to the other one, none is lost."""
    async with JavaProvider(shutdown_wait=3.0) as leaving, JavaProvider() as staying:
        target = f"static:///{leaving.address},{staying.address}"
        load = Load(channel.refer(GreetService, target, retries=0))
        await load.more(100)
        leaving.terminate()
        await asyncio.to_thread(leaving.wait)
        await load.more(100)
        await load.stop()
        assert load.failures == []
        assert load.last.endswith(staying.address)


async def test_a_killed_provider_costs_idempotent_calls_nothing(channel: kubbo.Channel) -> None:
    """SIGKILL resets the connection: what may be repeated is repeated at the other provider."""
    async with JavaProvider() as doomed, JavaProvider() as staying:
        target = f"static:///{doomed.address},{staying.address}"
        load = Load(channel.refer(IdempotentGreetService, target))
        await load.more(100)
        doomed.kill()
        await asyncio.to_thread(doomed.wait)
        await load.more(100)
        await load.stop()
        assert load.failures == []
        assert load.last.endswith(staying.address)
