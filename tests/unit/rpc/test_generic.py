"""Generic calls between a channel and a server on loopback, and their two forms by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import pytest

import kubbo
from kubbo import Code, EncodeError, Progress, Record, RemoteException, RpcError, UsageError
from kubbo.errors import DecodeError
from kubbo.java import (
    Array,
    BigInteger,
    BigIntegerValue,
    JavaList,
    JavaMap,
    Key,
    Long,
    LongValue,
    pojo,
)
from kubbo.rpc.generic import INVOKES
from kubbo.wire.hessian2 import Limits, TypeRegistry, decode, encode
from kubbo.wire.hessian2.beanform import DESCRIPTOR, from_bean_form, to_bean_form
from kubbo.wire.hessian2.mapform import from_map_form, to_map_form

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kubbo.model import Handler, Invocation, Result

KEY = "com.example.Shop:1.0.0"


@pojo("com.example.Color")
class Color(Enum):
    RED = 1
    BLUE = 2


@pojo("com.example.Animal")
@dataclass
class Animal:
    name: str | None = None


@pojo("com.example.Dog")
@dataclass
class Dog(Animal):
    good: bool = False


@pojo("com.example.Order")
@dataclass
class Order:
    id: Long = 0
    price: Decimal | None = None
    color: Color | None = None
    day: date | None = None
    pets: list[Animal] | None = None
    counts: Array[Long] | None = None
    by_color: dict[Color, int] | None = None
    parent: Order | None = None


@pojo("com.example.NoStock")
class NoStockError(Exception):
    """Declared by `find`."""


@kubbo.service("com.example.Shop", version="1.0.0")
class Shop(Protocol):
    @kubbo.method(throws=[NoStockError])
    async def find(self, order: Order) -> Order: ...
    async def echo(self, value: object) -> object: ...
    async def count(self, numbers: set[int], when: datetime) -> int: ...
    @kubbo.method(name="over")
    async def over_int(self, value: int) -> str: ...
    @kubbo.method(name="over")
    async def over_text(self, value: str) -> str: ...
    async def ping(self) -> str: ...


class ShopHere:
    """Keeps what it was called with."""

    def __init__(self) -> None:
        self.orders: list[Any] = []
        self.methods: list[str] = []

    async def find(self, order: Order) -> Order:
        call = kubbo.current_call()
        assert call is not None
        self.methods.append(call.method)
        self.orders.append(order)
        if order.id == 13:
            raise NoStockError("none left")
        if order.id == 14:
            raise ValueError("no such order")
        return order

    async def echo(self, value: object) -> object:
        return value

    async def count(self, numbers: set[int], when: datetime) -> int:
        assert when.tzinfo is UTC
        return sum(numbers)

    async def over_int(self, value: int) -> str:
        return f"int {value}"

    async def over_text(self, value: str) -> str:
        return f"text {value}"

    async def ping(self) -> str:
        return "pong"


class Both:
    """A provider that serves generic calls, and a channel."""

    def __init__(self, here: ShopHere, channel: kubbo.Channel, port: int) -> None:
        self.here = here
        self.channel = channel
        self.target = f"static:///127.0.0.1:{port}"

    def generic(self, form: str | None = None, *types: type) -> kubbo.GenericReference:
        return self.channel.generic(KEY, self.target, generic=form, types=types)


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    here = ShopHere()
    async with (
        kubbo.Server(0, host="127.0.0.1", propagation=0, generic=True) as server,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        server.export(here, Shop)
        await server.start()
        yield Both(here, channel, server.port)


ORDER = Order(
    id=7,
    price=Decimal("1.50"),
    color=Color.RED,
    day=date(2024, 2, 29),
    pets=[Dog("Rex", good=True), Animal("Tom")],
    counts=[1, 2],
    by_color={Color.BLUE: 3},
    parent=Order(id=1),
)
AS_MAP = {
    "class": "com.example.Order",
    "id": 7,
    "price": "1.50",
    "color": "RED",
    "day": "2024-02-29",
    "pets": [
        {"class": "com.example.Dog", "name": "Rex", "good": True},
        {"name": "Tom", "unknown": 1},
    ],
    "counts": [1, 2],
    "byColor": {"BLUE": 3},
    "parent": {"id": 1},
}


# --- calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize("via", [None, "$invoke", "$invokeAsync"])
@pytest.mark.parametrize("types", [None, ["com.example.Order"]])
async def test_a_map_arrives_as_the_object_that_is_declared(both, via, types):
    """Nested beans, a registered subclass, constants, numbers in text, keys; types or none."""
    answer = await both.generic("true").call("find", types=types, args=[AS_MAP], via=via)
    assert both.here.orders == [ORDER]
    assert isinstance(both.here.orders[0].pets[0], Dog)
    assert answer["class"] == "com.example.Order"
    assert answer["color"] == "RED"
    assert answer["pets"][0] == {"class": "com.example.Dog", "name": "Rex", "good": True}
    assert answer["parent"]["id"] == 1


@pytest.mark.parametrize("form", [None, "true", "bean"])
async def test_objects_go_and_come_as_themselves_where_classes_are_given(both, form):
    """`types=` makes objects of the answer in either form; without it they are dicts."""
    reference = both.generic(form, Order, Animal, Dog, Color)
    assert await reference.call("find", args=[ORDER]) == ORDER
    assert both.here.orders == [ORDER]
    plain = await both.generic(form).call("find", args=[ORDER])
    assert plain["class"] == "com.example.Order"


async def test_filters_and_context_see_the_method_that_is_called():
    """Never `$invoke`: a filter that guards methods by name guards generic calls too."""
    seen: list[str] = []

    async def watch(invocation: Invocation, proceed: Handler) -> Result:
        seen.append(f"{invocation.signature} {invocation.arguments[0]!r:.12}")
        return await proceed(invocation)

    here = ShopHere()
    async with (
        kubbo.Server(0, host="127.0.0.1", propagation=0, generic=True, filters=[watch]) as server,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        server.export(here, Shop)
        await server.start()
        reference = channel.generic(KEY, f"static:///127.0.0.1:{server.port}", generic="true")
        await reference.call("find", args=[{"id": 1}])
    assert seen == ["find(com.example.Order) Order(id=1, "]
    assert here.methods == ["find"]


async def test_types_given_is_a_direct_call(both):
    """Without `via` or `generic` the typed call stays: it works with any provider."""
    reference = both.generic()
    answer = await reference.call(
        "find", types=["com.example.Order"], args=[Record("com.example.Order", {"id": 2})]
    )
    assert isinstance(answer, Record)
    assert await reference.call("ping") == "pong"


async def test_it_is_off_unless_asked_for():
    """The refusal says how it is turned on, and nothing ran."""
    here = ShopHere()
    async with (
        kubbo.Server(0, host="127.0.0.1", propagation=0) as server,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        server.export(here, Shop)
        await server.start()
        reference = channel.generic(KEY, f"static:///127.0.0.1:{server.port}")
        with pytest.raises(RpcError, match=r"Server\(generic=True\)") as refused:
            await reference.call("find", args=[{"id": 1}])
        assert refused.value.code is Code.UNIMPLEMENTED
        assert refused.value.progress is Progress.NOT_SENT
        assert await reference.call("ping") == "pong"
    assert here.orders == []


@pytest.mark.parametrize(
    ("number", "name", "message"),
    [
        (13, "com.example.NoStock", "none left"),
        (14, "java.lang.IllegalArgumentException", "ValueError: no such order"),
    ],
)
@pytest.mark.parametrize("form", ["true", "bean"])
async def test_what_a_method_raises_keeps_its_class_and_message(both, form, number, name, message):
    """A GenericException carries both; the caller gets the exception that it stands for."""
    with pytest.raises(RemoteException) as raised:
        await both.generic(form).call("find", args=[Order(id=number)])
    error = raised.value
    assert (error.class_name, error.message, error.fields) == (name, message, {})
    assert error.endpoint is not None


@pytest.mark.parametrize(
    ("method", "types", "args", "told"),
    [
        ("nothing", None, [], "has no method nothing; it has count, echo, find, over, ping"),
        ("over", None, [1], r"over\(int\), over\(java.lang.String\)"),
        ("over", ["long"], [1], r"for the types long; it has over\(int\)"),
        ("find", None, [1, 2], "for 2 arguments"),
        ("find", None, [5], r"expected com.example.Order, got int 5 \(in argument 1\)"),
        ("find", None, [{"id": "x"}], "argument 1.id"),
        ("find", None, [{"color": "GREEN"}], "no constant 'GREEN'"),
        ("find", None, [{"price": "1E+999999"}], "argument 1.price"),
        ("find", None, [{"price": "9" * 5000}], "argument 1.price"),
        ("find", None, [{"pets": [{"class": "com.example.Order"}]}], r"pets\[0\]"),
        ("find", None, [{"pets": {"a": 1}}], "argument 1.pets"),
    ],
)
async def test_what_fits_no_method_is_refused_before_it_runs(both, method, types, args, told):
    """The refusal says where and why, and which methods there are."""
    with pytest.raises(RpcError, match=told) as refused:
        await both.generic().call(method, types=types, args=args, via="$invoke")
    assert refused.value.progress is Progress.NOT_SENT
    assert both.here.orders == []


async def test_overloads_are_told_apart_by_their_types(both):
    """As Java does: by name alone only where there is one."""
    reference = both.generic("true")
    assert await reference.call("over", types=["int"], args=[1]) == "int 1"
    assert await reference.call("over", types=["java.lang.String"], args=["1"]) == "text 1"


async def test_numbers_stand_for_dates_and_lists_for_sets(both):
    """A Date is milliseconds, as Java's generic callers send it."""
    assert await both.generic().call("count", args=[[1, 2, 2], 0]) == 3


@pytest.mark.parametrize("form", ["nativejava", "raw.return", "gson", "protobuf-json", 7])
async def test_other_forms_are_refused(both, form):
    """Java's nativejava ran what a caller sent (CVE-2021-30179); none of them is there."""
    with pytest.raises(UsageError, match="no form of generic calls"):
        both.generic(form)
    direct = both.channel.generic(KEY, both.target)
    signature = INVOKES["$invoke"]
    given = kubbo.config.Options(attachments={"generic": form})
    plan = direct._reference.plan(signature, given)
    with pytest.raises(RpcError, match="is not served"):
        await direct._reference.call(plan, ["find", None, [b"\xac\xed"]])
    assert both.here.orders == []


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (["find", ["a b"], [1]], "no Java type"),
        (["find", ["int", "int"], [1]], "2 types for 1 arguments"),
        ([None, None, []], "the method's name is missing"),
        (["ping", [None], None], "1 types for 0 arguments"),
    ],
)
async def test_a_request_that_names_no_method_is_refused(both, sent, told):
    """Whatever a peer writes into the three arguments of `$invoke`."""
    direct = both.channel.generic(KEY, both.target)
    plan = direct._reference.plan(INVOKES["$invoke"], kubbo.config.Options())
    with pytest.raises(RpcError, match=told) as refused:
        await direct._reference.call(plan, sent)
    assert refused.value.progress is Progress.NOT_SENT


async def test_mistakes_of_the_caller_are_told_before_anything_is_sent(both):
    """Another `via`, types that are not one an argument, a value without a Java class."""
    reference = both.generic()
    with pytest.raises(UsageError, match=r"\$invoke or \$invokeAsync"):
        await reference.call("find", args=[1], via="$echo")
    with pytest.raises(EncodeError, match="2 types and 1 arguments"):
        await reference.call("find", types=["int", "int"], args=[1])
    with pytest.raises(EncodeError, match=r"argument 1, \[0\]: the class Bare has no Java name"):
        await both.generic("bean").call("find", args=[[Bare.ONE]])


class Bare(Enum):
    ONE = 1


@pytest.mark.parametrize("form", ["true", "bean"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        5,
        LongValue(5),
        2**40,
        1.5,
        "text",
        b"\x00\xff",
        Decimal("1.50"),
        BigIntegerValue(2**70),
        UUID(int=5),
        datetime(2024, 2, 29, 12, tzinfo=UTC),
        [1, [2, None], "a"],
        {"k": [1], 2: "b"},
        {},
        [],
    ],
    ids=repr,
)
async def test_other_values_go_through_either_form_unchanged(both, form, value):
    """Where nothing is declared, both ways."""
    answer = await both.generic(form).call("echo", args=[value])
    assert answer == value
    assert isinstance(answer, type(value))


# --- the forms by themselves -----------------------------------------------------------------


def test_a_class_that_nobody_registered_is_never_built():
    """Its map stays a map, or becomes an inert record; no name is looked up anywhere."""
    hostile = {"class": "os.system", "command": "x", "inner": [{"class": "com.example.Dog"}]}
    registry = TypeRegistry([Dog])
    made = from_map_form(hostile, None, registry)
    assert made == {**hostile, "inner": [Dog()]}
    record = from_map_form(hostile, None, registry, records=True)
    assert record == Record("os.system", {"command": "x", "inner": [Dog()]})
    assert from_map_form({"class": "no name"}, None, registry) == {"class": "no name"}


def test_shared_and_cyclic_values_stay_so():
    """Each is built once, so that neither takes more than the message did."""
    registry = TypeRegistry([Order])
    bean = registry.type_of(Order)
    looped: dict[str, Any] = {"class": "com.example.Order", "id": 1}
    looped["parent"] = looped
    order = from_map_form(looped, bean, registry)
    assert order.parent is order
    for declared in (bean, None):
        back = to_map_form(order, declared, registry)
        assert back["parent"] is back
    shared: list[Any] = []
    for _ in range(40):
        shared = [shared, shared]
    for made in (from_map_form(shared, None, registry), to_map_form(shared, None, registry)):
        assert made[0] is made[1]


def test_depth_is_bounded():
    """What is nested too deeply is an error, not the end of the stack."""
    registry = TypeRegistry()
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(DecodeError, match="nested"):
        from_map_form(deep, None, registry)
    with pytest.raises(EncodeError, match="nested"):
        to_map_form(deep, None, registry)
    with pytest.raises(EncodeError, match="nested"):
        to_bean_form(deep, None, registry)
    described: Any = 1
    for _ in range(5_000):
        described = descriptor("java.util.ArrayList", 3, {0: described})
    with pytest.raises(DecodeError, match="nested"):
        from_bean_form(described)


def test_sharing_costs_a_bean_form_no_more_than_it_has_parts():
    """A value of 2**18 parts by sharing is written and read at once."""
    shared: list[Any] = [1]
    for _ in range(18):
        shared = [shared, shared]
    described = to_bean_form(shared, None, TypeRegistry())
    items = described["properties"]
    assert items[0] is items[1]
    again = from_bean_form(decode(encode(described)))
    assert again[0] is again[1]


def descriptor(class_name: Any, kind: Any, properties: Any) -> Record:
    """A JavaBeanDescriptor as a peer may send it."""
    return Record(DESCRIPTOR, {"className": class_name, "type": kind, "properties": properties})


def test_a_descriptor_of_each_kind_is_read():
    """Items by their index whatever their order; anything but a descriptor stays."""
    text = descriptor("java.lang.String", 6, {"value": "a"})
    bean = descriptor(
        "com.example.Order",
        7,
        {
            "id": descriptor("java.lang.Long", 6, {"value": 7}),
            "color": descriptor("com.example.Color", 2, {"name": "RED"}),
            "pets": descriptor("java.util.ArrayList", 3, {1: "b", 0: text}),
            "by": descriptor("java.util.HashMap", 4, {Key(text): descriptor("int", 5, {0: 1})}),
            "kind": descriptor("java.lang.Class", 1, {"name": "java.lang.String"}),
            "class": "another",
        },
    )
    assert from_bean_form(bean) == {
        "class": "com.example.Order",
        "id": 7,
        "color": {"class": "com.example.Color", "name": "RED"},
        "pets": ["a", "b"],
        "by": {"a": [1]},
        "kind": "java.lang.String",
    }
    assert from_bean_form([1]) == [1]


@pytest.mark.parametrize(
    "bad",
    [
        descriptor(None, 7, {}),
        descriptor("a.B", 0, {}),
        descriptor("a.B", 8, {}),
        descriptor("a.B", "7", {}),
        descriptor("a.B", [[]] * 1000, {}),
        descriptor("a.B", 7, [1]),
        Record(DESCRIPTOR),
    ],
    ids=range(7),
)
def test_a_descriptor_that_is_none_is_a_decode_error(bad):
    """And its message is short."""
    with pytest.raises(DecodeError) as error:
        from_bean_form(bad, path="argument 1")
    assert len(str(error.value)) < 200


def test_a_descriptor_within_itself_is_a_decode_error():
    """A peer can send one by a reference."""
    loop = descriptor("java.util.ArrayList", 3, {})
    loop["properties"][0] = loop
    with pytest.raises(DecodeError, match="within itself"):
        from_bean_form(loop)


def test_keys_that_collide_are_refused():
    """As the decoder does where they arrive as they are."""
    registry = TypeRegistry()
    colliding = {Decimal(n * (2**61 - 1)): n for n in range(20)}
    with pytest.raises(DecodeError, match="share one hash"):
        from_map_form(colliding, None, registry, limits=Limits(colliding_keys=4))


@pytest.mark.parametrize(
    ("sent", "hint", "made"),
    [
        (Decimal("1.50"), float, 1.5),
        (5, float, 5.0),
        (5.0, int, 5),
        (Decimal("5.00"), Long, 5),
        (1e18, BigInteger, 10**18),
        (1.5, Decimal, Decimal("1.5")),
        (-2.0, "int | None", -2),
    ],
)
def test_a_number_of_another_kind_is_the_declared_number(sent, hint, made):
    """A gateway has one kind of number, and Java's own map form takes any for any."""
    registry = TypeRegistry()
    kind = registry.type_of(int | None if hint == "int | None" else hint)
    found = from_map_form(sent, kind, registry)
    assert found == made
    assert type(found) is type(made)


@pytest.mark.parametrize(
    ("sent", "hint"),
    [
        (1.5, int),
        (float("nan"), int),
        (float("inf"), Long),
        (Decimal("1E+10000"), Long),
        (Decimal("0.1"), BigInteger),
        (float("inf"), Decimal),
        (1.0, str),
        (1.0, bool),
    ],
)
def test_a_number_that_would_become_another_is_refused(sent, hint):
    """Nothing is cut off to make it fit, and none becomes text."""
    registry = TypeRegistry()
    with pytest.raises(DecodeError):
        from_map_form(sent, registry.type_of(hint), registry)


def test_an_array_of_constants_is_an_array_of_strings():
    """As Java writes it; with a null in it, it is one of objects."""
    registry = TypeRegistry([Color])
    kind = registry.type_of(Array[Color])
    shown = to_map_form([Color.RED, Color.BLUE], kind, registry)
    assert (shown, shown.java_type) == (["RED", "BLUE"], "[string")
    shown = to_map_form([Color.RED, None], kind, registry)
    assert (shown, shown.java_type) == (["RED", None], "[object")


def test_what_is_declared_long_is_a_long_without_a_declaration():
    """A generic caller in Java gets Long, not Integer; an array of beans is Object[]."""
    registry = TypeRegistry([Order])
    bean = registry.type_of(Order)
    shown = to_map_form(Order(id=1, counts=[1]), bean, registry)
    assert type(shown["id"]) is LongValue
    assert shown["counts"].java_type == "[long"
    array = to_map_form([Dog()], registry.type_of(Array[Animal]), registry)
    assert isinstance(array, JavaList)
    assert array.java_type == "[object"
    sorted_map = to_map_form(JavaMap.of({1: Dog()}, "java.util.TreeMap"), None, registry)
    assert sorted_map.java_type == "java.util.TreeMap"
