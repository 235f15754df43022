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


VERSIONS = ["3.3.6", "3.2.16"]
LENIENT = {"dubbo.application.serialize-check-status": "WARN"}
"""The class check only warns: by default Java refuses its own descriptors."""


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Of Dubbo Java."""
    return request.param


@pytest.fixture(scope="module")
def lenient_java(java_peer: None, version: str) -> Iterator[JavaProvider]:
    with JavaProvider(properties=LENIENT, dubbo=version) as provider:
        yield provider


@pytest.fixture(scope="module")
def lenient_caller(java_peer: None, version: str) -> Iterator[JavaCaller]:
    with JavaCaller(properties=LENIENT, dubbo=version) as caller:
        yield caller


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
async def test_java_finds_a_method_by_its_name(lenient_java, channel, user, via):
    """No types are given; the map is the User that the method declares, class or not."""
    reference = channel.generic(GREET, at(lenient_java))
    answer = await reference.call("greet", args=[user], via=via)
    assert answer == f"Hello Ann (1) from java {lenient_java.address}"


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
    lenient_java, channel, *, method, value, type_name, expected, typed
):
    """With its types and without; what Java shows as text arrives as text."""
    reference = channel.generic(ECHO, at(lenient_java), generic="true")
    types = [type_name] if typed else None
    answer = await reference.call(method, types=types, args=[value])
    assert answer == expected


@pytest.mark.parametrize("form", [None, "true"])
async def test_classes_that_are_given_come_as_themselves(lenient_java, channel, form):
    """Nested and generic ones too."""
    types = [Page, Item, Cursor, Color]
    reference = channel.generic(ECHO, at(lenient_java), generic=form, types=types)
    assert await reference.call("echoPage", args=[PAGE]) == PAGE


async def test_a_graph_reaches_java_and_comes_back(lenient_java, channel):
    """In map form an object may hold itself."""
    node = Node("a", children=[Node("b")])
    node.next = node
    reference = channel.generic(ECHO, at(lenient_java), types=[Node])
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


async def test_what_java_does_not_find_is_told(lenient_java, channel, version):
    """No such method, and a name that two have; with types the right one runs. 3.2 says less."""
    reference = channel.generic(ECHO, at(lenient_java), generic="true")
    silent = "service error.: no message" if version == "3.2.16" else ""
    with pytest.raises(RpcError, match=silent or "No such method"):
        await reference.call("noSuchMethod", args=[1])
    with pytest.raises(RpcError, match=silent or "Not unique method"):
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


@pytest.mark.parametrize("via", ["$invoke", "$invokeAsync"])
async def test_a_generic_consumer_in_java_calls_python(python, lenient_caller, via):
    """GenericService with the types; the implementation gets its own class."""
    user = {"class": "com.example.User", "id": 1, "name": "Ann"}
    types = ["com.example.User"]
    for sent in (user, {"id": 1, "name": "Ann"}):
        answer = await lenient_caller.call(
            python, GREET, "greet", sent, types=types, generic=True, via=via
        )
        assert answer.value == "Hello Ann (1) from python"


ITEM_JSON = {"id": 3, "name": "x", "price": 1.5, "color": "RED", "tags": ["a"]}
ITEM_IN_JAVA = {
    "map": [
        ["class", "com.example.interop.Item"],
        ["color", "RED"],
        ["id", {"long": 3}],
        ["name", "x"],
        ["price", {"double": "1.5"}],
        ["tags", {"list": ["a"], "class": "java.util.ArrayList"}],
    ],
    "class": "java.util.HashMap",
}

MAPS: list[tuple[str, Any, str, Any]] = [
    ("echoItem", ITEM_JSON, "com.example.interop.Item", ITEM_IN_JAVA),
    (
        "echoItemList",
        [ITEM_JSON],
        "java.util.List",
        {"list": [ITEM_IN_JAVA], "class": "java.util.ArrayList"},
    ),
    (
        "echoItemMap",
        {"k": ITEM_JSON},
        "java.util.Map",
        {"map": [["k", ITEM_IN_JAVA]], "class": "java.util.LinkedHashMap"},
    ),
    (
        "echoItemArray",
        [ITEM_JSON],
        "com.example.interop.Item[]",
        {"array": [ITEM_IN_JAVA], "class": "[Ljava.lang.Object;"},
    ),
    ("echoInt", 5, "int", {"int": 5}),
    ("echoLong", 5, "long", {"long": 5}),
    ("echoByte", 5, "byte", {"int": 5}),
    ("echoChar", "a", "char", "a"),
    ("echoFloat", 1.5, "float", {"double": "1.5"}),
    ("echoDouble", 1.5, "double", {"double": "1.5"}),
    ("echoDouble", 2, "double", {"double": "2.0"}),
    ("echoBoolean", True, "boolean", True),
    ("echoString", "日本 😀", "java.lang.String", "日本 😀"),
    ("echoDate", 1000, "java.util.Date", {"date": 1000}),
    ("echoLocalDate", "2024-02-29", "java.time.LocalDate", "2024-02-29"),
    (
        "echoBigDecimal",
        "1.50",
        "java.math.BigDecimal",
        {"value": "1.50", "class": "java.math.BigDecimal"},
    ),
    (
        "echoBigInteger",
        "15",
        "java.math.BigInteger",
        {"value": "15", "class": "java.math.BigInteger"},
    ),
    ("echoColor", "RED", "com.example.interop.Color", "RED"),
    (
        "echoColors",
        ["RED"],
        "com.example.interop.Color[]",
        {"array": ["RED"], "class": "[Ljava.lang.String;"},
    ),
    ("echoLongs", [1, 2], "long[]", {"array": [{"long": 1}, {"long": 2}], "class": "[J"}),
    (
        "echoStrings",
        ["a", None],
        "java.lang.String[]",
        {"array": ["a", None], "class": "[Ljava.lang.String;"},
    ),
    ("echoStringSet", ["a"], "java.util.Set", {"list": ["a"], "class": "java.util.HashSet"}),
    (
        "echoIntKeyMap",
        {"1": "a"},
        "java.util.Map",
        {"map": [[{"int": 1}, "a"]], "class": "java.util.LinkedHashMap"},
    ),
    ("echoObject", None, "java.lang.Object", None),
    ("nothing", None, "", None),
]


@pytest.mark.parametrize("via", ["$invoke", "$invokeAsync"])
@pytest.mark.parametrize(("method", "value", "type_name", "java"), MAPS)
async def test_java_gets_what_a_java_provider_gives(
    python, lenient_java, lenient_caller, *, method, value, type_name, java, via
):
    """The same classes, to the size of a number; asked of both."""
    types = [type_name] if type_name else []
    for address in (python, lenient_java.address):
        arguments = [value] if type_name else []
        answer = await lenient_caller.call(
            address, ECHO, method, *arguments, types=types, generic=True, via=via
        )
        assert answer.java == java, address


ITEM_OBJECT = {
    "object": {
        "color": {"enum": "RED", "class": "com.example.interop.Color"},
        "id": {"long": 3},
        "name": "x",
        "price": {"double": "1.5"},
        "tags": {"list": ["a"], "class": "java.util.ArrayList"},
    },
    "class": "com.example.interop.Item",
}
ITEM_WITH_CLASS = {"class": "com.example.interop.Item", **ITEM_JSON}

BEANS: list[tuple[str, Any, str, Any]] = [
    *(case for case in MAPS if case[0] in {"echoInt", "echoLong", "echoFloat", "echoBoolean"}),
    *(case for case in MAPS if case[0] in {"echoString", "echoBigDecimal", "echoBigInteger"}),
    *(case for case in MAPS if case[0] in {"echoLongs", "echoStrings", "echoObject", "nothing"}),
    ("echoDouble", 1.5, "double", {"double": "1.5"}),
    ("echoDate", 1000, "java.util.Date", {"date": 1000}),
    (
        "echoColor",
        "RED",
        "com.example.interop.Color",
        {"enum": "RED", "class": "com.example.interop.Color"},
    ),
    (
        "echoColors",
        ["RED"],
        "com.example.interop.Color[]",
        {
            "array": [{"enum": "RED", "class": "com.example.interop.Color"}],
            "class": "[Lcom.example.interop.Color;",
        },
    ),
    (
        "echoStringList",
        ["a", "b"],
        "java.util.List",
        {"list": ["a", "b"], "class": "java.util.ArrayList"},
    ),
]
BEANS_OF_PYTHON: list[tuple[str, Any, str, Any]] = [
    ("echoItem", ITEM_WITH_CLASS, "com.example.interop.Item", ITEM_OBJECT),
    (
        "echoItemList",
        [ITEM_WITH_CLASS],
        "java.util.List",
        {"list": [ITEM_OBJECT], "class": "java.util.ArrayList"},
    ),
    (
        "echoItemMap",
        {"k": ITEM_WITH_CLASS},
        "java.util.Map",
        {"map": [["k", ITEM_OBJECT]], "class": "java.util.HashMap"},
    ),
    (
        "echoItemArray",
        [ITEM_WITH_CLASS],
        "com.example.interop.Item[]",
        {"array": [ITEM_OBJECT], "class": "[Lcom.example.interop.Item;"},
    ),
    ("echoByte", 5, "byte", {"int": 5}),
    ("echoChar", "a", "char", "a"),
    ("echoBytes", "00ff", "byte[]", {"bytes": "00ff"}),
    ("echoStringSet", ["a"], "java.util.Set", {"list": ["a"], "class": "java.util.HashSet"}),
]
"""What a Java provider loses or refuses: it answers with getters only, knows no byte and no char
in a descriptor, and does not make a set of a list.
"""


@pytest.mark.parametrize(("method", "value", "type_name", "java"), BEANS)
async def test_java_gets_the_descriptors_of_a_java_provider(
    python, lenient_java, lenient_caller, *, method, value, type_name, java
):
    """`generic=bean`: Java builds the same values of them; asked of both."""
    types = [type_name] if type_name else []
    for address in (python, lenient_java.address):
        arguments = [value] if type_name else []
        answer = await lenient_caller.call(
            address, ECHO, method, *arguments, types=types, generic="bean"
        )
        assert answer.java == java, address


@pytest.mark.parametrize(("method", "value", "type_name", "java"), BEANS_OF_PYTHON)
async def test_java_gets_objects_in_bean_form(
    python, lenient_caller, *, method, value, type_name, java
):
    """Objects with their fields, and more than a Java provider gives."""
    answer = await lenient_caller.call(
        python, ECHO, method, value, types=[type_name], generic="bean"
    )
    assert answer.java == java


async def test_java_answers_without_public_fields_in_bean_form(
    lenient_java, lenient_caller, channel
):
    """An object without getters arrives, and its answer is empty, to Java and to Python."""
    types = ["com.example.interop.Item"]
    answer = await lenient_caller.call(
        lenient_java.address, ECHO, "echoItem", ITEM_WITH_CLASS, types=types, generic="bean"
    )
    assert answer.java["object"]["name"] is None
    reference = channel.generic(ECHO, at(lenient_java), generic="bean", types=[Item, Color])
    assert await reference.call("echoItem", types=types, args=[ITEM]) == Item()


async def test_an_object_with_getters_in_bean_form(python, lenient_java, lenient_caller):
    """It reaches the method whole, in either provider; `$invokeAsync` as well."""
    user = {"class": "com.example.User", "id": 1, "name": "Ann"}
    for address, name in (
        (python, "python"),
        (lenient_java.address, f"java {lenient_java.address}"),
    ):
        for via in ("$invoke", "$invokeAsync"):
            answer = await lenient_caller.call(
                address, GREET, "greet", user, types=["com.example.User"], generic="bean", via=via
            )
            assert answer.value == f"Hello Ann (1) from {name}"


@pytest.mark.parametrize("form", [True, "bean"])
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
    python, lenient_caller, java_caller, *, form, method, argument, type_name, name, message
):
    """With the class and the message of what was raised, as Java's providers send it."""
    caller = lenient_caller if form == "bean" else java_caller  # what passes its class check
    with pytest.raises(JavaException) as raised:
        await caller.call(python, ECHO, method, argument, types=[type_name], generic=form)
    error = raised.value
    assert error.class_name == "com.alibaba.dubbo.rpc.service.GenericException"
    assert error.fields["exceptionClass"] == name
    assert error.fields["exceptionMessage"] == message


async def test_the_future_of_a_generic_call_fails_with_it(python, lenient_caller):
    """`$invokeAsync`: the future ends with the GenericException."""
    with pytest.raises(JavaException) as raised:
        await lenient_caller.call(
            python, ECHO, "throwDeclared", 7, types=["int"], generic=True, via="$invokeAsync"
        )
    assert raised.value.class_name == "java.util.concurrent.ExecutionException"
    cause = raised.value.fields["cause"]
    assert cause["class"] == "com.alibaba.dubbo.rpc.service.GenericException"
    assert cause["throwable"]["exceptionClass"] == "com.example.interop.BizException"


async def test_a_java_consumer_refuses_descriptors_by_default(python, java_caller):
    """Its class check turns away what it is about to send itself."""
    with pytest.raises(JavaException, match="JavaBeanDescriptor"):
        await java_caller.call(
            python, ECHO, "echoString", "a", types=["java.lang.String"], generic="bean"
        )


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
