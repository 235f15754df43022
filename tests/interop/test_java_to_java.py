"""The peer itself works: whatever fails elsewhere in tests/interop is not its fault."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.cluster.bed import AddressBlock
from tests.interop.peer import (
    BUILD,
    HessianLite,
    JavaCaller,
    JavaException,
    JavaProvider,
    PeerFailed,
    command,
)

if TYPE_CHECKING:
    from pathlib import Path

GREET = "com.example.GreetService:1.0.0"
ECHO = "com.example.interop.EchoService"
HEARTBEAT = bytes.fromhex("dabbe200 0000000000000007 00000001 4e")
HEARTBEAT_ANSWER = bytes.fromhex("dabb2214 0000000000000007 00000001 4e")


async def test_a_greeting_tells_provider_and_address(
    java_provider: JavaProvider, java_caller: JavaCaller
) -> None:
    """A typed call arrives, and its answer says which provider gave it."""
    answer = await java_caller.call(java_provider.address, GREET, "greet", {"id": 1, "name": "Ann"})
    assert answer.value == f"Hello Ann (1) from java {java_provider.address}"
    assert answer.attachments["dubbo"] == "2.0.2"


async def test_group_and_version_choose_the_service(
    java_provider: JavaProvider, java_caller: JavaCaller
) -> None:
    """Two services of one interface are told apart by group and version."""
    answer = await java_caller.call(
        java_provider.address, "eu/com.example.GreetService:2.0.0", "sayHello", "Ann"
    )
    assert answer.value == f"Hello Ann from java-eu {java_provider.address}"


async def test_every_case_comes_back(java_provider: JavaProvider, java_caller: JavaCaller) -> None:
    """Every named value passes its typed echo method, and comes back as hessian-lite reads it."""
    cases = await java_caller.cases()
    echoes = {case: await java_caller.echo(java_provider.address, case) for case in cases}
    assert len(echoes) >= 300
    assert {case: echo for case, echo in echoes.items() if not echo.same} == {}


async def test_overloads_are_chosen_by_type(
    java_provider: JavaProvider, java_caller: JavaCaller
) -> None:
    """The parameter types of a call choose the overload."""
    number = await java_caller.call(java_provider.address, ECHO, "over", 1, types=["int"])
    text = await java_caller.call(
        java_provider.address, ECHO, "over", "1", types=["java.lang.String"]
    )
    assert (number.value, text.value) == ("int 1", "String 1")


async def test_generic_calls_need_no_class(
    java_provider: JavaProvider, java_caller: JavaCaller
) -> None:
    """`$invoke` takes a map for an object and gives a map back."""
    answer = await java_caller.call(
        java_provider.address,
        ECHO,
        "echoItem",
        {"class": "com.example.interop.Item", "id": 5, "name": "Ann", "color": "RED"},
        types=["com.example.interop.Item"],
        generic=True,
    )
    assert answer.value["class"] == "com.example.interop.Item"
    assert (answer.value["id"], answer.value["name"], answer.value["color"]) == (5, "Ann", "RED")


async def test_attachments_travel_both_ways(
    java_provider: JavaProvider, java_caller: JavaCaller
) -> None:
    """A user's attachments reach the provider, and the provider's reach the consumer."""
    there = await java_caller.call(
        java_provider.address, ECHO, "attachment", "Key", attachments={"Key": "grüße"}
    )
    back = await java_caller.call(java_provider.address, ECHO, "attach", "Key", "value")
    assert there.value == "grüße"
    assert back.attachments["Key"] == "value"


async def test_oneway_arrives_without_an_answer(
    java_provider: JavaProvider, java_caller: JavaCaller
) -> None:
    """A one-way call returns nothing, and is executed all the same."""
    sent = await java_caller.call(java_provider.address, ECHO, "oneway", "text", oneway=True)
    assert sent.value is None
    async with asyncio.timeout(10):
        while (await java_caller.call(java_provider.address, ECHO, "lastOneway")).value != "text":
            pass  # each round is a call of its own


async def test_exceptions_tell_class_message_and_fields(
    java_provider: JavaProvider, java_caller: JavaCaller
) -> None:
    """Declared ones keep their fields, runtime ones their cause; unlisted ones are refused."""
    with pytest.raises(JavaException) as declared:
        await java_caller.call(java_provider.address, ECHO, "throwDeclared", 7)
    assert declared.value.class_name == "com.example.interop.BizException"
    assert declared.value.fields["code"] == {"int": 7}

    with pytest.raises(JavaException) as runtime:
        await java_caller.call(java_provider.address, ECHO, "throwRuntime", "boom")
    assert runtime.value.class_name == "java.lang.IllegalStateException"
    assert runtime.value.message == "boom"
    assert runtime.value.fields["cause"]["class"] == "java.lang.IllegalArgumentException"

    with pytest.raises(JavaException, match="UnlistedException is not in allow list") as unlisted:
        await java_caller.call(java_provider.address, ECHO, "throwUnlisted")
    assert unlisted.value.class_name == "org.apache.dubbo.rpc.RpcException"


async def test_a_timeout_is_code_2(java_provider: JavaProvider, java_caller: JavaCaller) -> None:
    """A method that takes longer than the timeout of the call is an RpcException of code 2."""
    with pytest.raises(JavaException) as late:
        await java_caller.call(java_provider.address, ECHO, "sleep", 2000, timeout=0.2)
    assert late.value.code == 2


async def test_a_provider_that_nobody_started_is_code_1(java_caller: JavaCaller) -> None:
    """Nobody listens at the address: code 1, and the caller lives on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        with pytest.raises(JavaException) as refused:
            await java_caller.call(f"127.0.0.1:{taken.getsockname()[1]}", GREET, "sayHello", "Ann")
    assert refused.value.code == 1


async def test_a_provider_ends_when_told() -> None:
    """SIGTERM ends it in order, and its port is free again."""
    async with JavaProvider() as provider:
        provider.terminate()
        assert await asyncio.to_thread(provider.wait) == 128 + signal.SIGTERM
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("0.0.0.0", provider.port))


async def test_a_provider_says_readonly_before_it_ends() -> None:
    """After SIGTERM it sends the READONLY event twice, answers on, and closes only then."""
    async with JavaProvider(shutdown_wait=1.0) as provider:
        reader, writer = await asyncio.open_connection(provider.host, provider.port)
        writer.write(HEARTBEAT)
        assert await reader.readexactly(17) == HEARTBEAT_ANSWER
        provider.terminate()
        for _ in range(2):
            event = await reader.readexactly(18)
            assert event[:4].hex() == "dabba200"
            assert event[12:].hex() == "000000020152"
        writer.write(HEARTBEAT)
        assert await reader.readexactly(17) == HEARTBEAT_ANSWER
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


@pytest.mark.root(reason="puts an address on lo, which needs root and a network namespace")
async def test_a_host_outside_127_is_bound_alone() -> None:
    """Two providers share a port when each is given an address of its own."""
    addresses = AddressBlock()
    first, second = addresses.add(), addresses.add()
    try:
        async with (
            JavaProvider(20880, first) as one,
            JavaProvider(20880, second) as two,
            JavaCaller() as caller,
        ):
            for provider in (one, two):
                answer = await caller.call(provider.address, GREET, "sayHello", "Ann")
                assert answer.value == f"Hello Ann from java {provider.host}:20880"
    finally:
        addresses.remove(first)
        addresses.remove(second)


async def test_a_taken_port_is_told() -> None:
    """A provider that cannot bind fails at the start, and its log says why."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        with pytest.raises(PeerFailed, match="Address already in use"):
            async with JavaProvider(taken.getsockname()[1]):
                pass


async def test_a_cancelled_call_harms_no_other(
    java_provider: JavaProvider, java_caller: JavaCaller
) -> None:
    """Whoever stops waiting for Java leaves the caller as it was; the late answer is dropped."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await java_caller.call(java_provider.address, ECHO, "sleep", 300)
    later = await java_caller.call(java_provider.address, ECHO, "sleep", 400)
    assert later.value == "slept 400"


async def test_a_call_fails_when_its_jvm_dies() -> None:
    """A call that waits for a JVM that is gone fails at once."""
    async with JavaCaller() as caller:
        caller.kill()
        with pytest.raises(PeerFailed, match="call ended"):
            await caller.cases()


def test_a_missing_maven_is_told(tmp_path: Path) -> None:
    """Without Maven the build fails with one sentence that says what to install."""
    for tool in ("sh", "dirname", "java"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    built = subprocess.run(
        [BUILD], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 1
    assert built.stdout == ""
    assert built.stderr.startswith(
        "java peer: mvn is missing: install OpenJDK 17 or later and Maven"
    )
    assert built.stderr.count("\n") == 1


def test_random_values_survive_java_itself(hessian_lite: HessianLite) -> None:
    """What hessian-lite reads from its own octets, it writes and reads again as the same."""
    values = list(hessian_lite.random(seed=1, count=500))
    verdicts = list(hessian_lite.judge(value.octets for value in values))
    assert [verdict.java for verdict in verdicts] == [value.java for value in values]


def test_hostile_octets_get_a_verdict(hessian_lite: HessianLite) -> None:
    """Octets that are no value are an error of that line, and of no other."""
    good, cut, trailing, deep, typed = hessian_lite.judge(
        [b"\x91", b"\x72", b"\x91\x91", b"\x57" * 200_000, (b"\x91", "long")]
    )
    assert (good.java, good.octets) == ({"int": 1}, b"\x91")
    assert cut.error
    assert "after the value" in trailing.error
    assert deep.error
    assert typed.java == {"long": 1}


def test_vectors_are_those_of_the_sources(java_peer: None, vectors: Path, tmp_path: Path) -> None:
    """The golden bytes in the repository are, line by line, what this hessian-lite writes."""
    subprocess.run(
        command("vectors", str(tmp_path), "tests/interop/java/vectors.sh"),
        check=True,
        capture_output=True,
    )
    made = {file.name: file.read_text().splitlines() for file in tmp_path.iterdir()}
    kept = {
        file.name: file.read_text().splitlines() for file in (vectors / "hessian2").glob("*.jsonl")
    }
    assert made == kept
    lines = [json.loads(line) for name in kept for line in kept[name]]
    assert len(lines) >= 300
    assert {line["producer"] for line in lines} == {"hessian-lite 4.0.4"}
    assert [line["name"] for line in lines if "java_refuses" in line] == []
