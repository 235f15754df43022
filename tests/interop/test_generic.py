"""Generic calls between Python and Dubbo Java: `$invoke` in both directions and both forms."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.interop.peer import JavaCaller, JavaException, JavaProvider
from tests.interop.services import (
    Color,
    Cursor,
    Echo,
    EchoService,
    Greeter,
    GreetService,
    Item,
    Node,
    Page,
    User,
)

import kubbo
from kubbo import RemoteException, RpcError
from kubbo.java import LongValue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

GREET = "com.example.GreetService:1.0.0"
ECHO = "com.example.interop.EchoService"


# --- Python calls Java -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def lenient_java(java_peer: None) -> Iterator[JavaProvider]:
    """A provider whose class check only warns: by default Java refuses its own descriptors."""
    with JavaProvider(properties={"dubbo.application.serialize-check-status": "WARN"}) as provider:
        yield provider


@pytest.fixture
async def channel() -> AsyncIterator[kubbo.Channel]:
    async with kubbo.Channel(timeout=20.0, application="generic-test") as made:
        yield made


def at(provider: JavaProvider) -> str:
    return f"static:///{provider.address}"


@pytest.mark.parametrize("via", [None, "$invoke", "$invokeAsync"])
@pytest.mark.parametrize(
    "user", [{"class": "com.example.User", "id": 1, "name": "Ann"}, {"id": 1, "name": "Ann"}]
)
async def test_java_finds_a_method_by_its_name(java_provider, channel, user, via):
    """No types are given; the map is the User that the method declares, class or not."""
    reference = channel.generic(GREET, at(java_provider))
    answer = await reference.call("greet", args=[user], via=via)
    assert answer == f"Hello Ann (1) from java {java_provider.address}"


ITEM = Item(id=3, name="x", price=1.5, color=Color.RED, tags=["a"])
ITEM_MAP = {
    "class": "com.example.interop.Item",
    "id": 3,
    "name": "x",
    "price": 1.5,
    "color": "RED",
    "tags": ["a"],
}
LEAP_DAY = datetime(2024, 2, 29, tzinfo=UTC)
PAGE = Page(items=[ITEM], total=1, cursor=Cursor("t", more=True))

CASES: list[tuple[str, Any, str, Any]] = [
    ("echoItem", ITEM, "com.example.interop.Item", ITEM_MAP),
    ("echoItem", ITEM_MAP, "com.example.interop.Item", ITEM_MAP),
    ("echoItemList", [ITEM], "java.util.List", [ITEM_MAP]),
    ("echoItemMap", {"k": ITEM}, "java.util.Map", {"k": ITEM_MAP}),
    ("echoItemArray", [ITEM], "com.example.interop.Item[]", [ITEM_MAP]),
    ("echoColor", Color.RED, "com.example.interop.Color", "RED"),
    ("echoColors", [Color.RED], "com.example.interop.Color[]", ["RED"]),
    ("echoLong", 5, "long", LongValue(5)),
    ("echoLongs", [1, 2**40], "long[]", [1, 2**40]),
    ("echoBytes", b"\0\xff", "byte[]", b"\0\xff"),
    ("echoBigDecimal", "1.50", "java.math.BigDecimal", Decimal("1.50")),
    ("echoBigDecimal", Decimal("1.50"), "java.math.BigDecimal", Decimal("1.50")),
    ("echoLocalDate", date(2024, 2, 29), "java.time.LocalDate", "2024-02-29"),
    ("echoDate", LEAP_DAY, "java.util.Date", LEAP_DAY),
    ("echoIntKeyMap", {1: "a"}, "java.util.Map", {1: "a"}),
    ("echoString", "日本 😀", "java.lang.String", "日本 😀"),
    ("echoObject", None, "java.lang.Object", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "value", "type_name", "expected"), CASES)
@pytest.mark.parametrize("typed", [False, True])
async def test_a_value_goes_to_java_and_comes_back_in_map_form(
    java_provider, channel, *, method, value, type_name, expected, typed
):
    """With its types and without; what Java shows as text arrives as text."""
    reference = channel.generic(ECHO, at(java_provider), generic="true")
    types = [type_name] if typed else None
    answer = await reference.call(method, types=types, args=[value])
    assert answer == expected


@pytest.mark.parametrize("form", [None, "true"])
async def test_classes_that_are_given_come_as_themselves(java_provider, channel, form):
    """Nested and generic ones too."""
    types = [Page, Item, Cursor, Color]
    reference = channel.generic(ECHO, at(java_provider), generic=form, types=types)
    assert await reference.call("echoPage", args=[PAGE]) == PAGE


async def test_a_graph_reaches_java_and_comes_back(java_provider, channel):
    """In map form an object may hold itself."""
    node = Node("a", children=[Node("b")])
    node.next = node
    reference = channel.generic(ECHO, at(java_provider), types=[Node])
    answer = await reference.call("echoNode", args=[node])
    assert answer.next is answer
    assert (answer.name, answer.children[0].name) == ("a", "b")


@pytest.mark.parametrize("form", ["true", "bean"])
@pytest.mark.parametrize(
    ("method", "argument", "name", "message"),
    [
        ("throwRuntime", "boom", "java.lang.IllegalStateException", "boom"),
        ("throwDeclared", 7, "com.example.interop.BizException", "declared 7"),
    ],
)
async def test_what_java_throws_keeps_its_class_and_message(
    lenient_java, channel, *, form, method, argument, name, message
):
    """Of the GenericException only what it stands for is left, with the stack of that."""
    reference = channel.generic(ECHO, at(lenient_java), generic=form)
    with pytest.raises(RemoteException) as raised:
        await reference.call(method, args=[argument])
    assert (raised.value.class_name, raised.value.message) == (name, message)
    assert "Echo.java" in raised.value.stack[0]


async def test_what_java_does_not_find_is_told(java_provider, channel):
    """No such method, and a name that two have; with types the right one runs."""
    reference = channel.generic(ECHO, at(java_provider), generic="true")
    with pytest.raises(RpcError, match="No such method"):
        await reference.call("noSuchMethod", args=[1])
    with pytest.raises(RpcError, match="Not unique method"):
        await reference.call("over", args=[1])
    assert await reference.call("over", types=["int"], args=[1]) == "int 1"
    assert await reference.call("nothing") is None


@pytest.mark.parametrize(
    ("method", "value", "type_name", "expected"),
    [
        ("echoLong", 5, "long", 5),
        ("echoString", "a", "java.lang.String", "a"),
        ("echoBytes", b"\0\x7f", "byte[]", [0, 127]),
        ("echoInts", [1, 2], "int[]", [1, 2]),
        ("echoStringList", ["a", "b"], "java.util.List", ["a", "b"]),
        ("echoIntKeyMap", {1: "a", 2: "b"}, "java.util.Map", {1: "a", 2: "b"}),
        (
            "echoColor",
            Color.RED,
            "com.example.interop.Color",
            {"class": "com.example.interop.Color", "name": "RED"},
        ),
        ("echoBigDecimal", Decimal("1.50"), "java.math.BigDecimal", Decimal("1.50")),
        ("describe", ITEM, "java.lang.Object", None),
    ],
)
async def test_java_understands_our_descriptors_and_we_its(
    lenient_java, channel, *, method, value, type_name, expected
):
    """`generic=bean`; Java describes octets as an array of numbers, and objects by getters."""
    reference = channel.generic(ECHO, at(lenient_java), generic="bean")
    answer = await reference.call(method, types=[type_name], args=[value])
    if method == "describe":
        for told in ('"name":"x"', '"price":{"double":"1.5"}', '"enum":"RED"', '["a"]'):
            assert told in answer.replace(" ", ""), answer
    else:
        assert answer == expected


async def test_a_java_provider_refuses_descriptors_by_default(java_provider, channel):
    """Its class check turns its own descriptors away; the refusal reaches the caller."""
    reference = channel.generic(ECHO, at(java_provider), generic="bean")
    with pytest.raises(RpcError, match="JavaBeanDescriptor"):
        await reference.call("echoString", args=["a"])


# --- Java calls Python -----------------------------------------------------------------------


@pytest.fixture
async def python() -> AsyncIterator[str]:
    """The address of a provider that serves generic calls."""
    async with kubbo.Server(0, host="127.0.0.1", propagation=0, generic=True) as server:
        server.export(Greeter("python"), GreetService)
        server.export(Echo(), EchoService)
        await server.start()
        yield f"127.0.0.1:{server.port}"


async def test_a_generic_consumer_in_java_calls_python(python, java_caller):
    """GenericService.$invoke with the types; the implementation gets its own class."""
    user = {"class": "com.example.User", "id": 1, "name": "Ann"}
    for sent in (user, {"id": 1, "name": "Ann"}):
        answer = await java_caller.call(
            python, GREET, "greet", sent, types=["com.example.User"], generic=True
        )
        assert answer.value == "Hello Ann (1) from python"


@pytest.mark.parametrize(
    ("method", "value", "type_name", "java"),
    [
        (
            "echoItem",
            {"id": 3, "name": "x", "price": 1.5, "color": "RED", "tags": ["a"]},
            "com.example.interop.Item",
            {
                "map": [
                    ["class", "com.example.interop.Item"],
                    ["color", "RED"],
                    ["id", {"long": 3}],
                    ["name", "x"],
                    ["price", {"double": "1.5"}],
                    ["tags", {"list": ["a"], "class": "java.util.ArrayList"}],
                ],
                "class": "java.util.HashMap",
            },
        ),
        ("echoLong", 5, "long", {"long": 5}),
        ("echoDate", 1000, "java.util.Date", {"date": 1000}),
        ("echoLocalDate", "2024-02-29", "java.time.LocalDate", "2024-02-29"),
        ("echoColor", "RED", "com.example.interop.Color", "RED"),
        ("echoLongs", [1, 2], "long[]", {"array": [{"long": 1}, {"long": 2}], "class": "[J"}),
        ("nothing", None, "", None),
    ],
)
async def test_java_gets_what_a_java_provider_gives(
    python, java_provider, java_caller, *, method, value, type_name, java
):
    """The same classes, to the size of a number; asked of both."""
    types = [type_name] if type_name else []
    for address in (python, java_provider.address):
        arguments = [value] if type_name else []
        answer = await java_caller.call(
            address, ECHO, method, *arguments, types=types, generic=True
        )
        assert answer.java == java, address


@pytest.mark.parametrize(
    ("method", "argument", "type_name", "name", "message"),
    [
        (
            "throwRuntime",
            "boom",
            "java.lang.String",
            "java.lang.IllegalStateException",
            "boom",
        ),
        ("throwDeclared", 7, "int", "com.example.interop.BizException", "declared 7"),
    ],
)
async def test_java_gets_a_generic_exception(
    python, java_caller, *, method, argument, type_name, name, message
):
    """With the class and the message of what was raised, as Java's providers send it."""
    with pytest.raises(JavaException) as raised:
        await java_caller.call(python, ECHO, method, argument, types=[type_name], generic=True)
    error = raised.value
    assert error.class_name == "org.apache.dubbo.rpc.service.GenericException"
    assert error.fields["exceptionClass"] == name
    assert error.fields["exceptionMessage"] == message


async def test_java_is_told_how_generic_calls_are_turned_on(java_caller: JavaCaller) -> None:
    """They are off by default, and the refusal names the option."""
    async with kubbo.Server(0, host="127.0.0.1", propagation=0) as server:
        server.export(Greeter("python"), GreetService)
        await server.start()
        with pytest.raises(JavaException, match=r"Server\(generic=True\)"):
            await java_caller.call(
                f"127.0.0.1:{server.port}",
                GREET,
                "greet",
                {"id": 1, "name": "Ann"},
                types=["com.example.User"],
                generic=True,
            )


async def test_a_user_is_still_a_user_for_typed_callers(python, java_caller):
    """Typed and generic calls share the port and the implementation."""
    answer = await java_caller.call(python, GREET, "greet", {"id": 2, "name": "Bob"})
    assert answer.value == "Hello Bob (2) from python"
    assert User(2, "Bob").name == "Bob"
