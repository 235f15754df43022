"""What a provider tells of itself, and what is read of what another one tells."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, Protocol, TypedDict

import pytest

import kubbo
from kubbo import DecodeError, RpcError
from kubbo.cli.asking import (
    MAX_SERVICES,
    Provider,
    Service,
    _group_in,
    _served,
    _take_url,
    ask_definition,
    ask_provider,
)
from kubbo.java import Array, JavaName, Long, pojo
from kubbo.model import ServiceKey
from kubbo.rpc.definition import (
    MAX_CHARACTERS,
    MethodDefinition,
    TypeDefinition,
    binary_name,
    define,
    parse_definition,
    render_definition,
    split_generic,
)
from kubbo.rpc.metadata import MetadataInfo, MetadataService, ServiceInfo
from kubbo.rpc.service import read_interface
from kubbo.wire.hessian2 import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pojo("com.example.Color")
class Color(Enum):
    RED = 1
    BLUE = 2


@pojo("com.example.Page$Cursor")
@dataclass
class Cursor:
    token: str | None = None
    next: Cursor | None = None


@pojo("com.example.User")
@dataclass
class User:
    id: Long
    full_name: str
    colors: list[Color]


@kubbo.service("com.example.Users", version="1.0.0")
class Users(Protocol):
    async def find(self, ids: Array[Long], by: dict[str, list[User]]) -> list[User]: ...
    @kubbo.method(name="over")
    async def over_int(self, value: int | None) -> None: ...
    @kubbo.method(name="over")
    async def over_cursor(self, value: Cursor) -> object: ...
    async def sets(self, a: set[str], b: list, c: bytes) -> Annotated[list, JavaName("[]")]: ...  # type: ignore[type-arg]


@kubbo.service("com.example.Users", group="eu", version="1.0.0")
class EuropeanUsers(Users, Protocol):
    """The same in another group."""


class UsersHere:
    async def find(self, ids: Any, by: Any) -> Any: ...
    async def over_int(self, value: Any) -> None: ...
    async def over_cursor(self, value: Any) -> Any: ...
    async def sets(self, a: Any, b: Any, c: Any) -> Any: ...


def server(**options: Any) -> kubbo.Server:
    return kubbo.Server(0, host="127.0.0.1", propagation=0, **options)


@pytest.fixture
async def provider() -> AsyncIterator[kubbo.Server]:
    async with server(application="users") as made:
        made.export(UsersHere(), Users)
        made.export(UsersHere(), EuropeanUsers)
        await made.start()
        yield made


@pytest.fixture
async def channel() -> AsyncIterator[kubbo.Channel]:
    async with kubbo.Channel(timeout=20.0) as made:
        yield made


def at(provider: kubbo.Server) -> str:
    return f"static:///127.0.0.1:{provider.port}"


# --- the service -----------------------------------------------------------------------------


async def test_metadata_are_those_of_the_exports(provider, channel):
    """By Java's keys, with the port that is listened on and the parameters that Java reads."""
    told = channel.refer(MetadataService, at(provider))
    info = await told.get_metadata_info("whatever revision")
    assert info.app == "users"
    assert sorted(info.services) == [
        "com.example.Users:1.0.0:dubbo",
        "eu/com.example.Users:1.0.0:dubbo",
    ]
    one = info.services["eu/com.example.Users:1.0.0:dubbo"]
    assert (one.name, one.group, one.version) == ("com.example.Users", "eu", "1.0.0")
    assert (one.protocol, one.port, one.path) == ("dubbo", provider.port, "com.example.Users")
    assert one.params["methods"] == "find,over,sets"
    assert one.params["prefer.serialization"] == "hessian2"
    assert one.params["group"] == "eu"
    assert "group" not in info.services["com.example.Users:1.0.0:dubbo"].params
    assert await told.get_metadata_infos() == [info]
    assert await told.service_name() == "users"
    assert await told.version() == "1.0.0"


async def test_any_group_is_answered(provider, channel):
    """Java asks in the group that is the application's name, others in none."""
    for group in ("", "users", "whatever"):
        key = ServiceKey("org.apache.dubbo.metadata.MetadataService", group, "1.0.0")
        assert await channel.generic(key, at(provider)).call("serviceName") == "users"


async def test_a_revision_changes_with_what_is_told(channel):
    """And with nothing else: each start of the same program has the same."""
    revisions = []
    port = 0
    exports = [("a", Users), ("a", Users), ("b", Users), ("a", EuropeanUsers)]
    for application, interface in exports:
        async with kubbo.Server(
            port, host="127.0.0.1", propagation=0, application=application
        ) as made:
            made.export(UsersHere(), interface)
            await made.start()
            port = made.port
            info = await channel.refer(MetadataService, at(made)).get_metadata_info("")
            revisions.append(info.revision)
    assert revisions[0] == revisions[1]
    assert len(set(revisions)) == 3
    assert all(len(one) == 32 for one in revisions)


async def test_urls_are_narrowed_by_what_is_asked(provider, channel):
    """By interface, group, version and protocol; null and `*` are any."""
    told = channel.refer(MetadataService, at(provider))
    both = await told.get_exported_urls()
    assert len(both) == 2
    assert min(both).startswith(f"dubbo://127.0.0.1:{provider.port}/com.example.Users?")
    assert await told.get_exported_urls_1("*") == both
    assert await told.get_exported_urls_1("com.example.Other") == set()
    (european,) = await told.get_exported_urls_2("com.example.Users", "eu")
    assert "&group=eu&" in european
    assert await told.get_exported_urls_3("com.example.Users", None, "2.0.0") == set()
    assert await told.get_exported_urls_4(None, None, None, "tri") == set()
    assert await told.get_subscribed_urls() == set()


async def test_a_definition_is_asked_by_key_or_by_its_parts(provider, channel):
    """Null for what is not exported, or is no key."""
    told = channel.refer(MetadataService, at(provider))
    text = await told.get_service_definition("eu/com.example.Users:1.0.0")
    assert text == await told.get_service_definition_3("com.example.Users", "1.0.0", "eu")
    assert parse_definition(text) == define(read_interface(EuropeanUsers))
    for other in ("com.example.Users", "no key!", "", None):
        assert await told.get_service_definition(other) is None


async def test_without_metadata_nothing_is_told(channel):
    """`metadata=False`: the service is not there, like any other that is not exported."""
    async with server(metadata=False) as made:
        made.export(UsersHere(), Users)
        await made.start()
        with pytest.raises(RpcError, match="is not served here"):
            await channel.refer(MetadataService, at(made)).service_name()
        with pytest.raises(RpcError, match=r"offers no metadata.*--types"):
            await ask_provider(channel, at(made), application="", timeout=10.0)
        key = ServiceKey("com.example.Users", "", "1.0.0")
        assert await ask_definition(channel, at(made), key, timeout=10.0) is None


async def test_its_objects_are_javas_on_the_wire():
    """Class names and the order of fields, as Java 3.3.6 writes them."""
    info = MetadataInfo("a", "r", {"k": ServiceInfo("i", None, None, "dubbo", 1, "i", {})})
    octets = encode(info)
    for name in (
        b"C0&org.apache.dubbo.metadata.MetadataInfo\x93\x08services\x08revision\x03app",
        b"M0&java.util.concurrent.ConcurrentHashMap",
        b"ServiceInfo\x97\x06params\x04path\x04port\x08protocol\x07version\x05group\x04name",
    ):
        assert name in octets, name


# --- definitions -----------------------------------------------------------------------------


def test_a_definition_names_every_type_with_its_arguments():
    """Arrays, generics, boxes, overloads; each class once with its fields, enums by constants."""
    definition = define(read_interface(Users))
    assert definition.methods == (
        MethodDefinition(
            "find",
            ("long[]", "java.util.Map<java.lang.String,java.util.List<com.example.User>>"),
            "java.util.List<com.example.User>",
        ),
        MethodDefinition("over", ("java.lang.Integer",), "void"),
        MethodDefinition("over", ("com.example.Page$Cursor",), "java.lang.Object"),
        MethodDefinition(
            "sets",
            ("java.util.Set<java.lang.String>", "java.util.List", "byte[]"),
            "java.lang.Object[]",
        ),
    )
    assert definition.types == {
        "com.example.User": TypeDefinition(
            "com.example.User",
            {
                "id": "long",
                "fullName": "java.lang.String",
                "colors": "java.util.List<com.example.Color>",
            },
        ),
        "com.example.Color": TypeDefinition("com.example.Color", constants=("RED", "BLUE")),
        "com.example.Page$Cursor": TypeDefinition(
            "com.example.Page$Cursor",
            {"token": "java.lang.String", "next": "com.example.Page$Cursor"},
        ),
    }
    assert list(definition.types["com.example.User"].properties) == ["id", "fullName", "colors"]
    assert parse_definition(render_definition(definition)) == definition


@pojo("com.example.Spot")
class Spot(TypedDict):
    """An object that is a dict here."""

    map_sheet: str
    owner: NotRequired[User]
    next: NotRequired[Spot]


class Filter(TypedDict, total=False):
    """A map with declared keys."""

    near: Spot
    also: Filter
    cursor: tuple[int, Cursor]


@kubbo.service("com.example.Spots")
class Spots(Protocol):
    """An interface of dicts."""

    async def find(self, by: Filter) -> list[Spot]: ...


def test_a_definition_lists_the_keys_of_typed_dicts():
    """One that is an object as its class; one that is a map by the classes that it reaches."""
    definition = define(read_interface(Spots))
    assert definition.methods == (
        MethodDefinition("find", ("java.util.Map",), "java.util.List<com.example.Spot>"),
    )
    assert definition.types["com.example.Spot"] == TypeDefinition(
        "com.example.Spot",
        {"mapSheet": "java.lang.String", "owner": "com.example.User", "next": "com.example.Spot"},
    )
    assert set(definition.types) == {
        "com.example.Spot",
        "com.example.User",
        "com.example.Color",
        "com.example.Page$Cursor",
    }


JAVA_2_7 = {
    "canonicalName": "com.example.A",
    "methods": [
        {"name": "f", "parameterTypes": ["com.example.Page.Cursor", "T"], "returnType": "void"}
    ],
    "types": [
        {"type": "com.example.Page.Cursor", "properties": {"more": {"type": "boolean"}}},
        {"type": "com.example.Color", "enum": ["RED"]},
        {"type": "int"},
    ],
}


def test_the_definitions_of_dubbo_2_7_are_read():
    """Types of fields as definitions, `enum` for `enums`, canonical names of inner classes."""
    definition = parse_definition(json.dumps(JAVA_2_7))
    assert definition.methods == (MethodDefinition("f", ("com.example.Page$Cursor", "T"), "void"),)
    assert definition.types == {
        "com.example.Page$Cursor": TypeDefinition("com.example.Page$Cursor", {"more": "boolean"}),
        "com.example.Color": TypeDefinition("com.example.Color", constants=("RED",)),
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        '{"methods": 1}',
        '{"methods": [1]}',
        '{"methods": [{}]}',
        '{"methods": [{"name": "a", "parameterTypes": [1]}]}',
        '{"methods": [{"name": "a", "returnType": null}]}',
        '{"types": [{"type": "A", "properties": [1]}]}',
        '{"types": [{"type": "A", "properties": {"a": 1}}]}',
        '{"types": [{"type": "A", "enums": {}}]}',
        json.dumps({"methods": [{"name": "a" * 1001}]}),
        json.dumps({"methods": [{"name": "a"}] * 2001}),
        json.dumps({"methods": [{"name": "a", "parameterTypes": ["int"] * 256}]}),
        json.dumps({"types": [{"type": "A", "properties": {str(n): "A" for n in range(2001)}}]}),
        "[" * 100_000,
        " " * (MAX_CHARACTERS + 1),
        '{"methods": ' + "1" * 5_000 + "}",
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_definition_is_a_decode_error(text):
    """Whatever a provider answers, its size included, and the message stays short."""
    with pytest.raises(DecodeError) as error:
        parse_definition(text)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("canonical", "binary"),
    [
        ("com.example.Page.Cursor", "com.example.Page$Cursor"),
        ("com.example.A.B.C[]", "com.example.A$B$C[]"),
        ("java.util.List<com.example.A.B>", "java.util.List<com.example.A$B>"),
        ("com.example.User", "com.example.User"),
        ("com.example.Page$Cursor", "com.example.Page$Cursor"),
        ("int", "int"),
    ],
)
def test_inner_classes_are_told_by_capital_letters(canonical, binary):
    """Java's canonical names say a dot where a call needs a dollar."""
    assert binary_name(canonical) == binary


def test_generic_arguments_are_split_at_their_own_commas():
    """Nested ones stay whole."""
    assert split_generic("java.util.Map<K,java.util.Map<A,B>>") == (
        "java.util.Map",
        ("K", "java.util.Map<A,B>"),
    )
    assert split_generic("java.util.List<A>[]") == ("[]", ("java.util.List<A>",))
    assert split_generic("int") == ("int", ())
    assert split_generic("List<A") == ("List<A", ())


# --- asking ----------------------------------------------------------------------------------


async def test_a_provider_is_asked_for_all_of_it(provider, channel):
    """Services, methods and types of one provider."""
    found = await ask_provider(channel, at(provider), application="", timeout=10.0)
    assert str(found.endpoint) == f"127.0.0.1:{provider.port}"
    assert found.application == "users"
    assert list(found.services) == ["com.example.Users:1.0.0", "eu/com.example.Users:1.0.0"]
    assert found.notes == []
    for each in found.services.values():
        assert each.port == provider.port
        assert each.definition is not None


REFUSAL = (
    "org.apache.dubbo.remoting.RemotingException: Not found exported service: "
    "org.apache.dubbo.metadata.MetadataService:1.0.0:20880 in [eu/com.example.A:2.0.0:20880, "
    "broken key:1, com.example.B:99999999, "
    "shop/org.apache.dubbo.metadata.MetadataService:1.0.0:20880], may be version or group mismatch"
)


def test_the_refusal_of_a_java_provider_names_what_it_serves():
    """Keys and ports, and the group of its metadata; what is neither is left out."""
    assert _served(REFUSAL) == [
        (ServiceKey("com.example.A", "eu", "2.0.0"), 20880),
        (ServiceKey("org.apache.dubbo.metadata.MetadataService", "shop", "1.0.0"), 20880),
    ]
    assert _group_in(REFUSAL) == "shop"
    assert _group_in("Not found exported service: x in [") == ""
    flood = "Not found exported service: x in [" + "a.B:1, " * 1_000_000 + "]"
    assert len(_served(flood)) == MAX_SERVICES


@pytest.mark.parametrize(
    ("url", "service"),
    [
        (
            "dubbo://10.0.0.1:1/a?interface=com.example.A&group=eu&version=1.0.0&methods=a,b%20",
            Service(ServiceKey("com.example.A", "eu", "1.0.0"), 1, ("a", "b ")),
        ),
        (
            "dubbo://[::1]:1/com.example.A?interface=com.example.A&methods=*",
            Service(ServiceKey("com.example.A"), 1),
        ),
        (
            "dubbo://host/com.example.A?interface=com.example.A",
            Service(ServiceKey("com.example.A")),
        ),
        ("dubbo://h:1/x?interface=no%20name", None),
        ("dubbo://h:1/x?interface=", None),
        ("no url", None),
        (None, None),
    ],
)
def test_exported_urls_are_read(url, service):
    """What older providers tell; what is no URL of a service is left out."""
    found = Provider()
    _take_url(url, found)
    if service is None:
        assert found.services == {}
        return
    (told,) = found.services.values()
    assert (told.key, told.port, told.methods) == (service.key, service.port, service.methods)


async def test_without_a_provider_the_reason_is_told(channel):
    """As for any call: nobody listens there."""
    async with server() as made:
        await made.start()
        target = at(made)
    with pytest.raises(RpcError, match="cannot connect"):
        await ask_provider(channel, target, application="", timeout=10.0)
    key = ServiceKey("com.example.Users", "", "1.0.0")
    assert await ask_definition(channel, target, key, timeout=10.0) is None
