"""`kubbo call` against a Dubbo Java provider."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner

from kubbo.cli.app import kubbo
from kubbo.sim.apiserver import ApiServer, Store

GREETER = "com.example.GreetService:1.0.0"
ECHO = "com.example.interop.EchoService"
TIMEOUT = ("--timeout", "20")  # a JVM's first call of a method compiles what it needs


async def call(provider, *arguments):
    """Run `kubbo call` in a thread, and fail for what no user may see."""
    arguments = ("call", f"static:///{provider.address}", *arguments, *TIMEOUT)
    ended = await asyncio.to_thread(CliRunner().invoke, kubbo, arguments)
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended


async def test_the_call_of_the_readme(java_provider):
    """An object goes out as JSON with a class; Java's answer comes back as JSON."""
    user = '{"class":"com.example.User","id":1,"name":"Ann"}'
    ended = await call(java_provider, GREETER, "greet", user)
    assert ended.stderr == ""
    assert ended.exit_code == 0
    assert json.loads(ended.stdout) == f"Hello Ann (1) from java {java_provider.address}"


async def test_the_call_of_the_readme_through_the_cluster(java_provider, tmp_path):
    """The provider is found in an EndpointSlice, by the named port, and Java answers."""
    published = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "greeter-1",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "greeter"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "dubbo", "port": java_provider.port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [java_provider.host], "conditions": {"ready": True}}],
    }
    async with ApiServer(Store(loopback=True)) as cluster:
        cluster.store.create(published)
        arguments = (
            "call",
            "kubernetes:///greeter.shop:dubbo",
            GREETER,
            "greet",
            '{"class":"com.example.User","id":1,"name":"Ann"}',
            *TIMEOUT,
        )
        environment = {"KUBECONFIG": str(cluster.kubeconfig(tmp_path / "config"))}
        ended = await asyncio.to_thread(CliRunner().invoke, kubbo, arguments, env=environment)
    assert ended.stderr == ""
    assert ended.exit_code == 0
    assert json.loads(ended.stdout) == f"Hello Ann (1) from java {java_provider.address}"


async def test_a_group_is_part_of_the_key(java_provider):
    """Group and version find the other export of the same interface."""
    ended = await call(java_provider, "eu/com.example.GreetService:2.0.0", "sayHello", '"Ann"')
    assert ended.stderr == ""
    assert json.loads(ended.stdout).startswith("Hello Ann from ")


@pytest.mark.parametrize(
    ("method", "types", "argument"),
    [
        ("echoInt", None, -1),
        ("echoLong", None, 2**40),
        ("echoLong", "long", 1),
        ("echoShort", "short", -5),
        ("echoDouble", None, 1.5),
        ("echoBoolean", None, True),
        ("echoString", None, "日本 \U0001f600"),
        ("echoString", "java.lang.String", None),
        ("echoInts", "int[]", None),
        ("echoStringList", None, ["a", "b"]),
        ("echoStringMap", None, {"a": "b"}),
        ("echoColor", None, {"class": "com.example.interop.Color", "name": "RED"}),
    ],
    ids=str,
)
async def test_values_come_back_as_they_went(java_provider, method, types, argument):
    """By inferred types where the JSON says enough, by --types where it does not."""
    given = () if types is None else ("--types", types)
    ended = await call(java_provider, ECHO, method, *given, json.dumps(argument))
    assert ended.stderr == ""
    assert json.loads(ended.stdout) == argument


@pytest.mark.parametrize(
    ("method", "types", "argument", "answer"),
    [
        (
            "echoBigDecimal",
            "java.math.BigDecimal",
            "1.50",
            {"class": "java.math.BigDecimal", "value": "1.50"},
        ),
        ("echoBytes", "byte[]", "AAE=", {"class": "byte[]", "base64": "AAE="}),
        ("echoStringSet", "java.util.Set", ["a"], ["a"]),
    ],
    ids=["echoBigDecimal", "echoBytes", "echoStringSet"],
)
async def test_a_given_type_reads_the_plain_form(java_provider, method, types, argument, answer):
    """A text is a number of any precision or octets where the type says so."""
    ended = await call(java_provider, ECHO, method, "--types", types, json.dumps(argument))
    assert ended.stderr == ""
    assert json.loads(ended.stdout) == answer


async def test_overloads_are_chosen_by_types(java_provider):
    """The same method name, told apart by the JSON alone."""
    by_int = await call(java_provider, ECHO, "over", "1")
    by_text = await call(java_provider, ECHO, "over", '"1"')
    assert [by_int.exit_code, by_text.exit_code] == [0, 0]
    assert by_int.stdout != by_text.stdout


async def test_no_arguments_and_no_result(java_provider):
    """Java's void is null."""
    ended = await call(java_provider, ECHO, "nothing")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "null\n", "")


async def test_an_attachment_arrives(java_provider):
    """As text, beside Dubbo's own."""
    arguments = ("attachment", '"tenant"', "--attachment", "tenant=blue")
    ended = await call(java_provider, ECHO, *arguments)
    assert (ended.exit_code, json.loads(ended.stdout)) == (0, "blue")


async def test_a_declared_exception_of_java_ends_with_1(java_provider):
    """Its class is named; its stack is not poured over the terminal."""
    ended = await call(java_provider, ECHO, "throwDeclared", "7")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "com.example.interop.BizException" in ended.stderr
    assert "\tat " not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (ECHO, "echoLong", "1"),
        (ECHO, "noSuchMethod"),
        ("com.example.NoSuchService", "echoLong", "1"),
    ],
    ids=["types", "method", "service"],
)
async def test_what_java_refuses_gets_a_hint_at_types(java_provider, arguments):
    """Java's "bad request" says nothing of its cause, so the command says what it asked for."""
    ended = await call(java_provider, *arguments)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "--types" in ended.stderr
    assert f"of {arguments[0]} was asked for" in ended.stderr
    assert ended.stderr.count("\n") == 1
