"""MetadataService and `kubbo describe`, between Python and Dubbo Java."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.interop.peer import JavaProvider
from tests.interop.services import Echo, EchoService, EuropeanGreetService, Greeter, GreetService

import kubbo
from kubbo.cli.app import kubbo as command
from kubbo.rpc.definition import parse_definition
from kubbo.rpc.metadata import MetadataInfo, MetadataService, ServiceInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

METADATA = "org.apache.dubbo.metadata.MetadataService:1.0.0"
ECHO = "com.example.interop.EchoService"
KEYS = ["com.example.GreetService:1.0.0", ECHO, "eu/com.example.GreetService:2.0.0"]

REGISTERED = {
    # A registry that writes nothing anywhere in this mode: it only makes Java keep its metadata.
    "dubbo.registry.address": "multicast://224.5.6.7:1234",
    "dubbo.registry.register-mode": "instance",
}


@pytest.fixture(scope="module")
def registered_java(java_peer: None) -> Iterator[JavaProvider]:
    """A provider that has metadata, as one with a registry."""
    with JavaProvider(properties=REGISTERED) as provider:
        yield provider


@pytest.fixture
async def python() -> AsyncIterator[str]:
    """The address of a Python provider of the application `shop`."""
    async with kubbo.Server(0, host="127.0.0.1", propagation=0, application="shop") as server:
        server.export(Greeter("python"), GreetService)
        server.export(Greeter("python-eu"), EuropeanGreetService)
        server.export(Echo(), EchoService)
        await server.start()
        yield f"127.0.0.1:{server.port}"


async def run(*arguments):
    """A command line to its end, in a thread of this process."""
    ended = await asyncio.to_thread(CliRunner().invoke, command, arguments)
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended


# --- the service -----------------------------------------------------------------------------


async def test_python_reads_the_metadata_of_java(registered_java):
    """Java's objects as our classes: what `kubbo describe` and discovery build on."""
    async with kubbo.Channel(timeout=20.0) as channel:
        reference = channel.generic(
            f"java-peer-provider/{METADATA}",
            f"static:///{registered_java.address}",
            types=[MetadataInfo, ServiceInfo],
        )
        (info,) = await reference.call("getMetadataInfos")
        assert sorted(info.services) == sorted(f"{key}:dubbo" for key in KEYS)
        again = await reference.call(
            "getMetadataInfo", types=["java.lang.String"], args=[info.revision]
        )
    assert again == info
    one = info.services["eu/com.example.GreetService:2.0.0:dubbo"]
    assert (str(one.key), one.port) == (KEYS[2], registered_java.port)
    assert one.params["methods"] == "greet,sayHello"


async def test_java_reads_the_metadata_of_python(python, java_caller):
    """The object that Java's discovery decodes, in the group of the application's name."""
    answer = await java_caller.call(python, f"shop/{METADATA}", "getMetadataInfo", "any")
    assert answer.class_name == "org.apache.dubbo.metadata.MetadataInfo"
    info = answer.java["object"]
    assert info["app"] == "shop"
    assert len(info["revision"]) == 32
    assert info["services"]["class"] == "java.util.concurrent.ConcurrentHashMap"
    services = dict(info["services"]["map"])
    assert sorted(services) == sorted(f"{key}:dubbo" for key in KEYS)
    one = services["eu/com.example.GreetService:2.0.0:dubbo"]
    assert one["class"] == "org.apache.dubbo.metadata.MetadataInfo$ServiceInfo"
    port = int(python.rpartition(":")[2])
    params = dict(one["object"].pop("params")["map"])
    assert one["object"] == {
        "name": "com.example.GreetService",
        "group": "eu",
        "version": "2.0.0",
        "protocol": "dubbo",
        "port": {"int": port},
        "path": "com.example.GreetService",
    }
    assert params["methods"] == "greet,sayHello"
    assert params["prefer.serialization"] == "hessian2"
    assert services["com.example.interop.EchoService:dubbo"]["object"]["version"] is None


async def test_the_parameters_are_those_of_java(python, registered_java):
    """Names and values, but for what only a registry or Java itself has."""
    told = []
    async with kubbo.Channel(timeout=20.0) as channel:
        for address in (python, registered_java.address):
            reference = channel.generic(
                f"{'shop' if address == python else 'java-peer-provider'}/{METADATA}",
                f"static:///{address}",
                types=[MetadataInfo, ServiceInfo],
            )
            (info,) = await reference.call("getMetadataInfos")
            told.append(info.services[f"{KEYS[2]}:dubbo"].params)
    ours, javas = told
    own = {"application", "release", "prefer.serialization"}
    only_javas = {"REGISTRY_CLUSTER", "service-name-mapping", "revision"}
    assert javas.keys() - ours.keys() == only_javas
    assert {key: one for key, one in ours.items() if key not in own} == {
        key: one for key, one in javas.items() if key not in own | only_javas
    }


async def test_java_reads_urls_and_definitions_of_python(python, java_caller):
    """What Dubbo before 3.0 asks for; a sorted set, and JSON."""
    service = f"shop/{METADATA}"
    urls = await java_caller.call(python, service, "getExportedURLs", types=[])
    assert urls.class_name == "java.util.TreeSet"
    assert len(urls.value) == 3
    assert urls.value[0].startswith(f"dubbo://{python}/com.example.GreetService?")
    name = await java_caller.call(python, service, "serviceName")
    assert name.value == "shop"
    answer = await java_caller.call(
        python, service, "getServiceDefinition", ECHO, types=["java.lang.String"]
    )
    definition = parse_definition(answer.value)
    nested = next(one for one in definition.methods if one.name == "echoNested")
    assert nested.parameters == (nested.returns,)
    assert "java.util.List<java.util.Map<java.lang.Integer," in nested.returns


# --- describe --------------------------------------------------------------------------------


async def test_describe_shows_all_of_a_python_provider(python):
    """Interfaces, methods, types; as text and as JSON."""
    ended = await run("describe", f"static:///{python}")
    assert ended.exit_code == 0
    lines = ended.stdout.splitlines()
    assert lines[0] == f"provider {python}, application shop"
    assert "  greet(com.example.User) -> java.lang.String" in lines
    assert "    com.example.User {id: long, name: java.lang.String}" in lines
    assert "    com.example.interop.Color: RED, GREEN, BLUE" in lines
    told = json.loads((await run("describe", f"static:///{python}", "-o", "json")).stdout)
    assert (told["provider"], told["application"], told["notes"]) == (python, "shop", [])
    assert [one["service"] for one in told["services"]] == KEYS
    over = [one for one in told["services"][1]["methods"] if one["name"] == "over"]
    assert [one["parameters"] for one in over] == [["int"], ["java.lang.String"]]
    assert told["services"][0]["types"]["com.example.User"]["fields"]["id"] == "long"


async def test_describe_shows_the_names_of_a_java_provider(registered_java):
    """Its application is found by itself; a note says that Java tells no types."""
    ended = await run("describe", f"static:///{registered_java.address}")
    assert ended.exit_code == 0
    lines = ended.stdout.splitlines()
    assert lines[0] == f"provider {registered_java.address}, application java-peer-provider"
    assert [line for line in lines if line in KEYS] == KEYS
    assert "  sayHello" in lines
    assert "tells no types" in lines[-1]
    answer = await run("describe", f"static:///{registered_java.address}", "-o", "json")
    first = json.loads(answer.stdout)["services"][0]
    assert first["methods"][0] == {"name": "greet", "parameters": None, "returns": None}
    assert first["params"]["release"] == "3.3.6"


async def test_describe_shows_the_services_of_a_java_provider_without_metadata(java_provider):
    """They are in its refusal; the notes say what that is."""
    ended = await run("describe", f"static:///{java_provider.address}")
    assert ended.exit_code == 0
    lines = ended.stdout.splitlines()
    assert [line for line in lines if line in KEYS] == KEYS
    assert any(line.startswith("note: its MetadataService has no services") for line in lines)


async def test_describe_asks_dubbo_3_2_by_the_name_of_its_application(java_peer):
    """3.2 refuses without a word where the group is wrong: the advice is to name it."""
    async with JavaProvider(properties=REGISTERED, dubbo="3.2.16") as provider:
        target = f"static:///{provider.address}"
        blind = await run("describe", target)
        named = await run("describe", target, "--application", "java-peer-provider")
    assert (blind.exit_code, blind.stdout) == (1, "")
    assert "--application" in blind.stderr
    assert named.exit_code == 0, named.stderr
    assert [line for line in named.stdout.splitlines() if line in KEYS] == KEYS


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["static:///127.0.0.1:1"], 3, "cannot connect"),
        (["no target"], 2, "no target"),
        (["static:///127.0.0.1:1", "--timeout", "0"], 2, "--timeout"),
    ],
)
async def test_describe_ends_as_every_command_does(arguments, code, told):
    """3 without a provider, 2 for a mistake."""
    ended = await run("describe", *arguments)
    assert ended.exit_code == code
    assert told in ended.stderr


async def test_describe_ends_with_1_where_nothing_is_offered():
    """And says why, and what can be done."""
    async with kubbo.Server(0, host="127.0.0.1", propagation=0, metadata=False) as server:
        server.export(Greeter("python"), GreetService)
        await server.start()
        ended = await run("describe", f"static:///127.0.0.1:{server.port}")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "offers no metadata" in ended.stderr
    assert "--types" in ended.stderr


# --- call ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments", "answer"),
    [
        ("echoLong", ["5"], 5),
        ("echoBoxedLong", ["null"], None),
        ("echoString", ["null"], None),
        ("echoLongs", ["[1,2]"], [1, 2]),
        ("echoColor", ['"RED"'], {"class": "com.example.interop.Color", "name": "RED"}),
        ("echoBigDecimal", ['"1.50"'], {"class": "java.math.BigDecimal", "value": "1.50"}),
        ("echoStringSet", ['["a"]'], ["a"]),
        ("over", ["5"], "int 5"),
        ("over", ['"5"'], "String 5"),
        ("echoIntKeyMap", ['{"1":"a"}'], {"class": "java.util.Map", "entries": [[1, "a"]]}),
    ],
)
async def test_call_needs_no_types(python, method, arguments, answer):
    """The provider tells them, and the values are made to fit, overloads included."""
    ended = await run("call", f"static:///{python}", ECHO, method, *arguments)
    assert ended.exit_code == 0, ended.stderr
    assert json.loads(ended.stdout) == answer


async def test_plain_objects_are_given_their_classes(python):
    """Deeply: in lists, in maps, in fields; constants and decimals in them too."""
    item = {"id": 3, "name": "x", "price": 1.5, "color": "RED", "tags": ["a"]}
    ended = await run(
        "call", f"static:///{python}", ECHO, "echoNested", json.dumps({"k": [{"1": item}]})
    )
    assert ended.exit_code == 0, ended.stderr
    assert '"class": "com.example.interop.Item"' in ended.stdout
    assert '"class": "com.example.interop.Color"' in ended.stdout


@pytest.mark.parametrize(
    ("method", "arguments", "told"),
    [
        ("echoLong", ["1", "2"], "echoLong(long)"),
        ("echoItem", ["5"], "is an object with the fields id, name"),
        ("over", ["1.5"], "over(int), over(java.lang.String)"),
    ],
)
async def test_arguments_that_do_not_fit_are_a_mistake(python, method, arguments, told):
    """Told before the method is called, with what it takes."""
    ended = await run("call", f"static:///{python}", ECHO, method, *arguments)
    assert ended.exit_code == 2
    assert told in ended.stderr


async def test_call_infers_where_java_tells_no_types(java_provider):
    """As ever; `--generic` lets Java find the method, and shows objects with their class."""
    target = f"static:///{java_provider.address}"
    assert json.loads((await run("call", target, ECHO, "echoInt", "5")).stdout) == 5
    wrong = await run("call", target, ECHO, "echoLong", "5")
    assert wrong.exit_code == 1
    assert "--types" in wrong.stderr
    assert "--generic" in wrong.stderr
    assert json.loads((await run("call", target, ECHO, "echoLong", "5", "--generic")).stdout) == 5
    item = await run("call", target, ECHO, "echoItem", '{"id":1,"color":"RED"}', "--generic")
    shown = json.loads(item.stdout)
    assert (shown["class"], shown["color"]) == ("com.example.interop.Item", "RED")


# --- a provider that lies --------------------------------------------------------------------


class Liar:
    """Tells too much of everything, in terminal's commands."""

    def __init__(self, definition: str) -> None:
        self.definition = definition

    async def get_metadata_infos(self) -> list[MetadataInfo]:
        services = {
            str(number): ServiceInfo(
                f"com.example.A{number}" if number else "no\x1b[2Jname",
                "g" * 2_000 if number == 1 else None,
                None,
                "dubbo",
                20880,
                "p",
                {"methods": "\x1b[31m," * 20_000, "x" * 5_000: "y" * 50_000},
            )
            for number in range(20)
        }
        services |= {f"s{number}": services["2"] for number in range(3_000)}
        return [MetadataInfo("app\x1b[2J" * 10_000, "r" * 10_000, services)]

    async def get_service_definition(self, service_key: str | None) -> str | None:
        return self.definition

    def __getattr__(self, name: str) -> object:
        if name.startswith(("get_", "service_name", "version")):
            return self.get_metadata_infos
        raise AttributeError(name)


@pytest.mark.parametrize(
    "definition",
    [
        "garbage",
        "[" * 100_000,
        json.dumps({"methods": [{"name": "\x1b[2J", "parameterTypes": ["\u202e" * 900]}] * 50}),
    ],
    ids=["garbage", "deep", "long"],
)
@pytest.mark.parametrize("output", ["text", "json"])
async def test_what_a_provider_tells_is_cut_and_printable(definition, output):
    """Its own MetadataService wins over ours; names that are none are left out."""
    async with kubbo.Server(0, host="127.0.0.1", propagation=0) as server:
        server.export(Liar(definition), MetadataService)
        await server.start()
        ended = await run("describe", f"static:///127.0.0.1:{server.port}", "-o", output)
    assert ended.exit_code == 0, ended.stderr
    assert "\x1b" not in ended.stdout
    assert "\u202e" not in ended.stdout
    assert len(ended.stdout) < 30_000_000
    assert "com.example.A19" in ended.stdout
    assert "no\\x1b[2Jname" not in ended.stdout
    assert "gggg" not in ended.stdout
