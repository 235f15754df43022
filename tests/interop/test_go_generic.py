"""Generic calls and MetadataService between Kubbo and dubbo-go, both ways."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.interop.go_peer import GoCaller, GoError, GoProvider
from tests.interop.services import Color, Item
from tests.interop.test_java_calls_python import Provider, provider

import kubbo
from kubbo import RemoteException
from kubbo.java import LongValue
from kubbo.rpc.metadata import METADATA_SERVICE, MetadataInfo, ServiceInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

GREET = "com.example.GreetService:1.0.0"
EUROPE = "eu/com.example.GreetService:2.0.0"
ECHO = "com.example.interop.EchoService"
GO_APPLICATION = "dubbo.io"
KEYS = [f"{key}:dubbo" for key in (GREET, ECHO, EUROPE)]


@pytest.fixture(scope="module")
def go_provider(go_peer: None) -> Iterator[GoProvider]:
    with GoProvider() as running:
        yield running


@pytest.fixture(scope="module")
def go_caller(go_peer: None) -> Iterator[GoCaller]:
    with GoCaller() as running:
        yield running


@pytest.fixture(scope="module")
def python() -> Iterator[Provider]:
    with provider(generic=True, application="shop") as made:
        yield made


@pytest.fixture
async def channel() -> AsyncIterator[kubbo.Channel]:
    async with kubbo.Channel(timeout=10.0) as channel:
        yield channel


# --- Go calls Python -------------------------------------------------------------------------

LIST = "[]interface {}"
ITEM = {
    "map": [
        ["class", "com.example.interop.Item"],
        ["color", "RED"],
        ["id", {"long": 3}],
        ["name", "x"],
        ["price", {"double": "1.5"}],
        ["tags", {"list": ["a"], "class": LIST}],
    ]
}

CASES: list[tuple[str, Any, str]] = [
    ("echoInt", {"int": 5}, "int"),
    ("echoLong", {"long": 2**40}, "long"),
    ("echoDouble", {"double": "0.1"}, "double"),
    ("echoBoolean", True, "boolean"),
    ("echoString", "日本 😀", "java.lang.String"),
    ("echoBytes", {"bytes": "00ff"}, "byte[]"),
    ("echoLongs", {"list": [{"long": 1}], "class": "[]int64"}, "long[]"),
    ("echoStringList", {"list": ["a"], "class": LIST}, "java.util.List"),
    ("echoItem", ITEM, "com.example.interop.Item"),
    ("echoItemList", {"list": [ITEM], "class": LIST}, "java.util.List"),
    ("echoItemMap", {"map": [["k", ITEM]]}, "java.util.Map"),
    ("echoColor", "RED", "com.example.interop.Color"),
    ("echoLocalDate", "2024-02-29", "java.time.LocalDate"),
    ("echoBigDecimal", {"decimal": "1.50"}, "java.math.BigDecimal"),
    ("echoDate", {"date": 1_719_837_015_123}, "java.util.Date"),
]


@pytest.mark.parametrize(("method", "value", "java"), CASES)
def test_a_value_comes_back_to_go_in_map_form(
    method: str, value: Any, java: str, python: Provider, go_caller: GoCaller
) -> None:
    """Through `$invoke`, with Java's types and maps for objects."""
    call = go_caller.call(python.address, ECHO, method, value, generic=True, types=[java])
    assert asyncio.run(call) == value


async def test_a_map_of_go_is_the_object_that_is_declared(
    python: Provider, go_caller: GoCaller
) -> None:
    """Without its class; the method gets its own."""
    user = {"map": [["id", {"long": 1}], ["name", "Ann"]]}
    types = ["com.example.User"]
    got = await go_caller.call(python.address, GREET, "greet", user, generic=True, types=types)
    assert got == "Hello Ann (1) from python"
    assert await go_caller.call(python.address, ECHO, "nothing", generic=True) is None


async def test_go_knows_the_exception_of_a_generic_call(
    python: Provider, go_caller: GoCaller
) -> None:
    """It is dubbo-go's own type, with the class and the message of what was raised."""
    with pytest.raises(GoError, match="declared 7") as thrown:
        await go_caller.call(
            python.address, ECHO, "throwDeclared", {"int": 7}, generic=True, types=["int"]
        )
    assert thrown.value.class_name == "com.alibaba.dubbo.rpc.service.GenericException"
    fields = thrown.value.go["object"]
    assert fields["ExceptionClass"] == "com.example.interop.BizException"
    assert fields["ExceptionMessage"] == "declared 7"


async def test_go_reads_the_metadata_of_python(python: Provider, go_caller: GoCaller) -> None:
    """As its discovery asks an instance of an application, and with what that tells it calls."""
    told = await go_caller.metadata(python.address, "shop", "any")
    assert told["app"] == "shop"
    assert len(told["revision"]) == 32
    assert sorted(KEYS) == sorted(key for key in told["services"] if "small" not in key)
    one = told["services"][f"{EUROPE}:dubbo"]
    assert (one["name"], one["group"], one["version"], one["protocol"], one["path"]) == (
        "com.example.GreetService",
        "eu",
        "2.0.0",
        "dubbo",
        "com.example.GreetService",
    )
    assert one["params"]["methods"] == "greet,sayHello"
    key = f"{one['group']}/{one['name']}:{one['version']}"
    answer = await go_caller.call(python.address, key, "sayHello", "Ann")
    assert answer == "Hello Ann from python-eu"


# --- Python calls Go -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "value", "java"),
    [
        ("echoInt", 5, "int"),
        ("echoLong", LongValue(5), "long"),
        ("echoDouble", 0.1, "double"),
        ("echoBoolean", True, "boolean"),
        ("echoString", "日本 😀", "java.lang.String"),
        ("echoLongs", [1, 2**40], "long[]"),
        ("echoStringList", ["a"], "java.util.List"),
        ("echoObject", None, "java.lang.Object"),
    ],
)
@pytest.mark.parametrize("typed", [True, False])
async def test_a_value_comes_back_from_go_in_map_form(
    go_provider: GoProvider,
    channel: kubbo.Channel,
    *,
    method: str,
    value: Any,
    java: str,
    typed: bool,
) -> None:
    """With the types and without: Go goes by the name."""
    reference = channel.generic(ECHO, f"static:///{go_provider.address}", generic="true")
    types = [java] if typed else None
    assert await reference.call(method, types=types, args=[value]) == value


async def test_an_object_reaches_go_as_a_map(
    go_provider: GoProvider, channel: kubbo.Channel
) -> None:
    """With the class or without; it comes back with it, and as the class that is given."""
    target = f"static:///{go_provider.address}"
    sent = {"id": 3, "name": "x", "price": 1.5, "tags": ["a"]}
    plain = channel.generic(ECHO, target, generic="true")
    got = await plain.call("echoItem", args=[sent])
    assert {key: got[key] for key in sent} == sent
    assert got["class"] == "com.example.interop.Item"
    typed = channel.generic(ECHO, target, generic="true", types=[Item, Color])
    item = Item(id=3, name="x", price=1.5, color=Color.RED, tags=["a"])
    assert await typed.call("echoItem", args=[sent]) == item
    user = {"id": 1, "name": "Ann"}
    greeter = channel.generic(GREET, target)
    assert await greeter.call("greet", args=[user]) == "Hello Ann (1) from go"


async def test_go_knows_no_constants_and_no_octets_in_map_form(
    go_provider: GoProvider, channel: kubbo.Channel
) -> None:
    """A constant's name, which Java takes, is not one to Go; its own is an object in its maps, and
    octets are a list of numbers.
    """
    plain = channel.generic(ECHO, f"static:///{go_provider.address}", generic="true")
    with pytest.raises(kubbo.KubboError):
        await plain.call("echoColor", types=["com.example.interop.Color"], args=["GREEN"])
    got = await plain.call("echoItem", args=[{"id": 3}])
    assert got["color"] == kubbo.Record("com.example.interop.Color", {"name": "RED"})
    assert await plain.call("echoBytes", types=["byte[]"], args=[b"\0\xff"]) == [0, 255]


async def test_gos_errors_keep_class_and_message_in_generic_calls(
    go_provider: GoProvider, channel: kubbo.Channel
) -> None:
    """As in direct calls: Go makes no GenericException of them."""
    reference = channel.generic(ECHO, f"static:///{go_provider.address}", generic="true")
    with pytest.raises(RemoteException) as raised:
        await reference.call("throwDeclared", args=[7])
    assert raised.value.class_name == "com.example.interop.BizException"
    assert raised.value.message == "declared 7"
    with pytest.raises(RemoteException, match='"noSuch" method is not found'):
        await reference.call("noSuch", args=[7])


async def test_go_takes_no_bean_form(go_provider: GoProvider, channel: kubbo.Channel) -> None:
    """It takes a descriptor for a map."""
    reference = channel.generic(ECHO, f"static:///{go_provider.address}", generic="bean")
    with pytest.raises(kubbo.KubboError):
        await reference.call("echoString", types=["java.lang.String"], args=["a"])


async def test_python_reads_the_metadata_of_go(
    go_provider: GoProvider, channel: kubbo.Channel
) -> None:
    """In the group of its application's name, for the revision that its registry has."""
    reference = channel.generic(
        f"{GO_APPLICATION}/{METADATA_SERVICE}:1.0.0",
        f"static:///{go_provider.address}",
        types=[MetadataInfo, ServiceInfo],
    )
    types = ["java.lang.String"]
    info = await reference.call("getMetadataInfo", types=types, args=[go_provider.revision])
    assert info.app == GO_APPLICATION
    assert sorted(info.services) == sorted(KEYS)
    one = info.services[f"{EUROPE}:dubbo"]
    assert (str(one.key), one.port) == (EUROPE, go_provider.port)
    assert await reference.call("getMetadataInfo", types=types, args=["other"]) is None


async def test_go_has_nothing_else_of_the_metadata_service(
    go_provider: GoProvider, channel: kubbo.Channel
) -> None:
    """No list without a revision, and no definitions: `kubbo describe` finds no types there."""
    reference = channel.generic(
        f"{GO_APPLICATION}/{METADATA_SERVICE}:1.0.0", f"static:///{go_provider.address}"
    )
    for method, args in (("getMetadataInfos", []), ("getServiceDefinition", [ECHO])):
        with pytest.raises(kubbo.KubboError):
            await reference.call(method, types=["java.lang.String"] * len(args), args=args)
