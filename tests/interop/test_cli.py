"""The command line as a script sees it: processes, exit codes, pipes and signals.

The provider is a Python server of the test, the cluster is the API server of `kubbo.sim`; all
traffic is on loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner

from kubbo.cli.app import kubbo
from kubbo.java import Long, pojo
from kubbo.rpc.context import current_call
from kubbo.rpc.server import Server
from kubbo.rpc.service import service
from kubbo.sim.apiserver import ApiServer, Hang, Rule, Store

KEY = "com.example.GreetService:1.0.0"
USER = '{"class":"com.example.User","id":1,"name":"Ann"}'


@pojo("com.example.User")
@dataclass
class User:
    """A customer."""

    id: Long
    name: str


@service("com.example.GreetService", version="1.0.0")
class GreetService(Protocol):
    """The interface of the examples, and what can go wrong."""

    async def greet(self, user: User) -> str: ...
    async def say_hello(self, name: str) -> str: ...
    async def total(self, numbers: list[int], start: Long) -> Long: ...
    async def friends(self, user: User) -> list[User]: ...
    async def attachment(self, key: str) -> str | None: ...
    async def forever(self) -> None: ...
    async def fail(self, message: str) -> None: ...


class Greeter:
    """Implements it."""

    async def greet(self, user: User) -> str:
        return f"Hello {user.name} ({user.id})"

    async def say_hello(self, name: str) -> str:
        return f"Hello {name}"

    async def total(self, numbers: list[int], start: int) -> int:
        return sum(numbers, start)

    async def friends(self, user: User) -> list[User]:
        return [User(user.id + 1, "Bob"), user]

    async def attachment(self, key: str) -> str | None:
        call = current_call()
        assert call is not None
        return call.attachments.get(key)

    async def forever(self) -> None:
        await asyncio.Event().wait()

    async def fail(self, message: str) -> None:
        raise ValueError(message)


@pytest.fixture
async def target():
    """A provider's target."""
    async with Server(0, host="127.0.0.1") as server:
        server.export(Greeter(), GreetService)
        await server.start()
        yield f"static:///127.0.0.1:{server.port}"


@dataclass
class Ended:
    """What a process left."""

    code: int
    out: str
    err: str


@asynccontextmanager
async def started(*arguments, cwd=None, **environment):
    """A `kubbo` process; killed if it is still there at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kubbo",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(*arguments, **environment):
    """Run `kubbo` to its end, in a thread of this process: a second cheaper than a process."""
    ended = await asyncio.to_thread(CliRunner().invoke, kubbo, arguments, env=environment)
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


async def run_process(*arguments, **environment):
    """Run `kubbo` to its end, as a shell does."""
    async with started(*arguments, **environment) as process:
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


# --- call ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["greet", USER], "Hello Ann (1)"),
        (["sayHello", '"Ann"'], "Hello Ann"),
        (["sayHello", '"日本 \\u001b"'], "Hello 日本 \x1b"),
        (["total", "[1,2,-4]", "-10"], -11),
        (["total", "[1]", "4000000000", "--types", "java.util.List,long"], 4000000001),
        (["attachment", '"tenant"', "--attachment", "tenant=blue"], "blue"),
        (["attachment", '"tenant"'], None),
        (
            ["friends", USER],
            [
                {"class": "com.example.User", "id": 2, "name": "Bob"},
                {"class": "com.example.User", "id": 1, "name": "Ann"},
            ],
        ),
    ],
    ids=lambda each: each[0] if isinstance(each, list) and isinstance(each[0], str) else "",
)
async def test_an_answer_prints_as_json(target, arguments, answer):
    """Exit code 0; stdout is one line of JSON, stderr is empty."""
    ended = await run("call", target, KEY, *arguments)
    assert ended.err == ""
    assert ended.code == 0
    assert ended.out.count("\n") == 1
    assert json.loads(ended.out) == answer


async def test_text_shows_a_string_bare(target):
    """For reading, and still no command to the terminal."""
    ended = await run("call", target, KEY, "sayHello", '"Ann\\u001b[2J"', "-o", "text")
    assert (ended.code, ended.out) == (0, "Hello Ann\\x1b[2J\n")


async def test_an_exception_of_the_provider_ends_with_1(target):
    """Class, message and provider are told on stderr, in one line."""
    ended = await run("call", target, KEY, "fail", '"no\\u001b[2J luck"')
    assert (ended.code, ended.out) == (1, "")
    assert "no\\x1b[2J luck" in ended.err
    assert target.removeprefix("static:///") in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["sayHello", '"Ann"'], 0),
        (["fail", '"no luck"'], 1),
        (["sayHello", "Ann"], 2),
        (["sayHello", '"Ann"', "--nonsense"], 2),
        (["forever", "--timeout", "0.2"], 4),
    ],
    ids=lambda each: str(each) if isinstance(each, int) else each[0],
)
async def test_a_process_ends_with_the_exit_code(target, arguments, code):
    """What a script reads in $?; stdout is empty but for an answer, stderr but for a failure."""
    ended = await run_process("call", target, KEY, *arguments)
    assert ended.code == code
    assert bool(ended.out) == (code == 0)
    assert bool(ended.err) == (code != 0)
    assert "Traceback" not in ended.err


async def test_a_class_that_the_method_does_not_take_ends_with_1(target):
    """The provider refuses it; the types that were asked for are told, and --types."""
    ended = await run("call", target, KEY, "greet", '{"class":"com.example.Dog"}')
    assert (ended.code, ended.out) == (1, "")
    assert "--types" in ended.err


async def test_a_method_that_is_not_there_ends_with_1(target):
    """Those that there are get listed, with their types."""
    ended = await run("call", target, KEY, "nothing")
    assert (ended.code, ended.out) == (1, "")
    assert "nothing() was asked for; there are " in ended.err
    assert "sayHello(java.lang.String)" in ended.err


async def test_a_mistake_of_the_user_ends_with_2(target):
    """The message shows how to quote."""
    ended = await run("call", target, KEY, "sayHello", "Ann")
    assert (ended.code, ended.out) == (2, "")
    assert "'\"Ann\"'" in ended.err


async def test_a_value_that_does_not_fit_its_type_ends_with_2(target):
    """It is noticed here, and the provider is not asked."""
    ended = await run("call", target, KEY, "total", "[1]", "1.5", "--types", "java.util.List,long")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("kubbo: argument 2: ")


async def test_nobody_listening_ends_with_3():
    """The address and the reason are told once, whatever the number of attempts."""
    async with Server(0, host="127.0.0.1") as server:
        await server.start()
        port = server.port
    ended = await run("call", f"static:///127.0.0.1:{port}", KEY, "sayHello", '"Ann"')
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.count("cannot connect") == 1
    assert "connection 0 (1 down: Connection refused)]" in ended.err
    assert f"Check that a provider listens on 127.0.0.1:{port}," in ended.err


async def test_a_deadline_ends_with_4(target):
    """Without an answer in time the exit code tells it apart from an error."""
    ended = await run("call", target, KEY, "forever", "--timeout", "0.2")
    assert (ended.code, ended.out) == (4, "")
    assert "DEADLINE_EXCEEDED" in ended.err


async def test_a_peer_that_speaks_something_else_ends_with_1():
    """Text instead of frames: refused as no dubbo2, without a stack."""

    async def speak(reader, writer):
        await reader.read(16)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        ended = await run("call", f"static:///127.0.0.1:{port}", KEY, "sayHello", '"Ann"')
    assert (ended.code, ended.out) == (1, "")
    assert "Traceback" not in ended.err


# --- endpoints, against an API server ----------------------------------------------------------


def service_object(name="greeter"):
    """A Service with a selector and a port named dubbo."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": name}, "ports": [{"name": "dubbo", "port": 20880}]},
    }


def slice_object(*endpoints, port=20880, name="greeter"):
    """An EndpointSlice of (address, ready, serving, terminating)."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-1",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "dubbo", "port": port, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
                "nodeName": "node-1",
                "zone": "zone-a",
            }
            for address, ready, serving, terminating in endpoints
        ],
    }


@pytest.fixture
async def cluster():
    """An API server, whose endpoints may be on loopback as the provider of these tests is."""
    async with ApiServer(Store(loopback=True)) as server:
        yield server


@pytest.fixture
def kubeconfig(cluster, tmp_path):
    """Its kubeconfig."""
    return str(cluster.kubeconfig(tmp_path / "config", namespace="shop"))


READY = ("10.0.0.1", True, True, False)
NOT_READY = ("10.0.0.2", False, False, False)
LEAVING = ("10.0.0.3", False, True, True)


def entry(host, *, ready=True, serving=True, terminating=False):
    """An endpoint as the JSON has it."""
    return {
        "host": host,
        "port": 20880,
        "zone": "zone-a",
        "node": "node-1",
        "ready": ready,
        "serving": serving,
        "terminating": terminating,
        "weight": 100,
    }


async def test_endpoints_lists_those_that_may_be_called(cluster, kubeconfig):
    """With --all the others too, as their conditions say."""
    cluster.store.create(service_object())
    cluster.store.create(slice_object(READY, NOT_READY, LEAVING))
    target = "kubernetes:///greeter:dubbo"
    arguments = ("endpoints", target, "-o", "json", "--kubeconfig", kubeconfig)
    called = await run(*arguments)
    assert (called.code, called.err) == (0, "")
    assert json.loads(called.out) == {
        "target": target,
        "state": "members",
        "endpoints": [entry("10.0.0.1")],
        "stale_since": None,
        "steps": [
            {"name": "naming", "count": None, "note": target},
            {"name": "service", "count": 1, "note": ""},
            {"name": "slices", "count": 1, "note": ""},
            {"name": "conditions", "count": 1, "note": "1 not ready, 1 terminating"},
            {"name": "port", "count": 1, "note": "dubbo"},
        ],
        "reason": "",
    }
    known = json.loads((await run(*arguments, "--all")).out)["endpoints"]
    assert sorted(known, key=lambda one: one["host"]) == [
        entry("10.0.0.1"),
        entry("10.0.0.2", ready=False, serving=False),
        entry("10.0.0.3", ready=False, terminating=True),
    ]
    text = await run("endpoints", target, "--all", "--kubeconfig", kubeconfig)
    assert text.code == 0
    assert "10.0.0.3:20880  zone-a  node-1  100     serving, terminating (not called)" in text.out


async def test_four_lacks_are_told_apart(cluster, kubeconfig, tmp_path):
    """No Service, no ready pod, no such port, no permission: four messages, exit code 3."""
    cluster.store.create(service_object("idle"))
    cluster.store.create(service_object())
    cluster.store.create(slice_object(READY))
    cluster.access.grant("all", "ann", Rule("*", "*"))
    cluster.access.grant("none", "bob")
    allowed = str(cluster.kubeconfig(tmp_path / "ann", token="all"))
    forbidden = str(cluster.kubeconfig(tmp_path / "bob", token="none"))
    cases = [
        ("nope.shop:dubbo", allowed, "absent", "does not exist"),
        ("idle.shop:dubbo", allowed, "absent", "exists and has no ready pod"),
        ("greeter.shop:rest", allowed, "absent", "no such port"),
        ("greeter.shop:dubbo", forbidden, "failed", "kind: Role"),
    ]
    for name, credentials, state, message in cases:
        arguments = ("endpoints", f"kubernetes:///{name}", "--kubeconfig", credentials)
        ended = await run(*arguments, "-o", "json")
        view = json.loads(ended.out)
        assert (ended.code, ended.err, view["state"]) == (3, "", state), name
        assert message in view["reason"]
        assert view["endpoints"] == []
        text = await run(*arguments)
        assert text.code == 3
        assert message in text.err
        assert message not in text.out


async def test_a_call_without_a_provider_ends_with_3(cluster, kubeconfig):
    """It says why, as `endpoints` does."""
    target = "kubernetes:///nope.shop:dubbo"
    ended = await run("call", target, KEY, "sayHello", '"Ann"', "--kubeconfig", kubeconfig)
    assert (ended.code, ended.out) == (3, "")
    assert "does not exist" in ended.err


async def test_a_call_finds_its_provider_in_the_cluster(cluster, kubeconfig, target):
    """From the slice to the answer; the target's port is the one of the slice."""
    host, _, port = target.removeprefix("static:///").partition(":")
    cluster.store.create(service_object())
    cluster.store.create(slice_object((host, True, True, False), port=int(port)))
    arguments = ("kubernetes:///greeter.shop:dubbo", KEY, "greet", USER)
    ended = await run("call", *arguments, KUBECONFIG=kubeconfig)
    assert (ended.code, ended.out) == (0, '"Hello Ann (1)"\n')


async def test_watching_prints_each_view_until_it_is_interrupted(cluster, kubeconfig):
    """A line of JSON for each published view, at once; Ctrl-C ends it with 130, silently."""
    cluster.store.create(service_object())
    arguments = ("endpoints", "kubernetes:///greeter:dubbo", "--watch", "-o", "json")
    async with started(*arguments, KUBECONFIG=kubeconfig) as process:

        async def view():
            return json.loads(await process.stdout.readline())

        assert (await view())["state"] == "pending"
        assert (await view())["state"] == "absent"
        cluster.store.create(slice_object(READY))
        assert (await view())["endpoints"] == [entry("10.0.0.1")]
        cluster.store.delete("endpointslices", "greeter-1", namespace="shop")
        assert (await view())["state"] == "absent"
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert (process.returncode, out, err) == (130, b"", b"")


async def test_a_lost_source_is_stale_not_empty(cluster, kubeconfig):
    """The last members stay, with the seconds since the API server was lost."""
    cluster.store.create(service_object())
    cluster.store.create(slice_object(READY))
    arguments = ("endpoints", "kubernetes:///greeter:dubbo", "--watch", "-o", "json")
    async with started(*arguments, KUBECONFIG=kubeconfig) as process:
        assert json.loads(await process.stdout.readline())["state"] == "pending"
        assert json.loads(await process.stdout.readline())["stale_since"] is None
        await cluster.stop(abrupt=True)
        view = json.loads(await process.stdout.readline())
        assert view["state"] == "members"
        assert view["endpoints"] == [entry("10.0.0.1")]
        assert view["stale_since"] >= 0


async def test_an_api_server_that_never_answers_ends_with_4(cluster, kubeconfig):
    """The view is still pending then, and stdout says so."""
    cluster.faults.add(Hang(), times=None)
    arguments = ("endpoints", "kubernetes:///greeter:dubbo", "--timeout", "0.3")
    ended = await run(*arguments, "-o", "json", KUBECONFIG=kubeconfig)
    assert (ended.code, ended.err) == (4, "")
    assert json.loads(ended.out)["state"] == "pending"
    text = await run(*arguments, KUBECONFIG=kubeconfig)
    assert text.code == 4
    assert "nothing is known after 0.3 s" in text.err


async def test_a_closed_pipe_is_quiet(cluster, kubeconfig):
    """`kubbo endpoints --watch | head -1` leaves no stack behind."""
    cluster.store.create(service_object())
    arguments = ("endpoints", "kubernetes:///greeter:dubbo", "--watch", "-o", "json")
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kubbo",
        *arguments,
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "KUBECONFIG": kubeconfig},
    )
    os.close(writing)
    os.close(reading)
    _, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


async def test_a_full_disk_is_told():
    """What cannot be written is no success, and no bug of ours."""
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m kubbo endpoints static:///127.0.0.1:1 >/dev/full",
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert err == b"kubbo: cannot write to stdout: No space left on device\n"


# --- map, against an API server ----------------------------------------------------------------


def providing(name, keys):
    """A Service that says which service keys it provides."""
    made = service_object(name)
    made["metadata"]["labels"] = {"kubbo.dev/provider": "true"}
    made["metadata"]["annotations"] = {"kubbo.dev/services": keys}
    return made


async def test_a_key_is_mapped_by_what_the_cluster_says(cluster, kubeconfig):
    """The annotation wins over the rule; a key of nobody ends with 3, with every step shown."""
    cluster.store.create(providing("greeter", f"{KEY}@dubbo"))
    found = await run("map", KEY, "-o", "json", "--kubeconfig", kubeconfig)
    answer = json.loads(found.out)
    assert (found.code, found.err) == (0, "")
    assert answer["target"] == "kubernetes:///greeter.shop:dubbo"
    assert answer["steps"][-1]["source"] == "attribute"
    lost = await run("map", "com.example.Lost", "-o", "json", "--kubeconfig", kubeconfig)
    answer = json.loads(lost.out)
    assert (lost.code, lost.err, answer["target"]) == (3, "", None)
    assert "create the Service 'lost'" in answer["reason"]
    assert answer["steps"][-1]["source"] == "rule"


async def test_a_contradiction_in_the_cluster_ends_with_2(cluster, kubeconfig):
    """Two Services that claim one key are named."""
    cluster.store.create(providing("one", KEY))
    cluster.store.create(providing("two", KEY))
    ended = await run("map", KEY, "--kubeconfig", kubeconfig)
    assert ended.code == 2
    assert ended.out.startswith(f"{KEY}: no target\n")
    assert "one and two" in ended.err
    assert ended.err.count("\n") == 1


# --- serve -------------------------------------------------------------------------------------

MODULE = Path(__file__).read_text(encoding="utf-8").partition("@pytest.fixture")[0]


@pytest.fixture
def module(tmp_path):
    """This module's interface and its implementation, as a module in a directory."""
    (tmp_path / "greeter.py").write_text(
        MODULE.replace("import pytest\n", "").replace(
            "class Greeter:", "class Greeter(GreetService):"
        ),
        encoding="utf-8",
    )
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_says_when_it_serves_and_ends_in_order(module, number):
    """One line on stdout; a call is answered; SIGTERM and Ctrl-C drain and end with 0.

    The signal follows at once: who reads the line may rely on the handler.
    """
    arguments = ("serve", "greeter:Greeter", "--port", "0", "--host", "127.0.0.1")
    async with started(*arguments, "--propagation", "0", cwd=module) as process:
        line = (await process.stdout.readline()).decode()
        said, _, port = line.rstrip("\n").rpartition(" ")
        assert said == f"serving {KEY} on port"
        if number is signal.SIGINT:
            ended = await run("call", f"static:///127.0.0.1:{port}", KEY, "greet", USER)
            assert (ended.code, ended.out) == (0, '"Hello Ann (1)"\n')
        process.send_signal(number)
        out, err = await process.communicate()
        assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_port_that_is_taken_is_a_mistake_of_the_user(module, target):
    """It names the address, without a stack."""
    port = target.rpartition(":")[2]
    arguments = ("serve", "greeter:Greeter", "--host", "127.0.0.1", "--port", port)
    async with started(*arguments, cwd=module) as process:
        out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert f"cannot listen on 127.0.0.1:{port}: ".encode() in err
    assert err.count(b"\n") == 1
