"""Heartbeats that the other side begins, and peers that die without a word.

What real peers do, seen through a relay:

    consumers   of Java and of Go ask a silent provider; Go closes the connection of one that does
                not answer, Java lets its calls wait and looks at the connection once a minute
    Go          asks as a provider too, and closes the connection of whoever does not answer
    Java        asks nothing as a provider: it closes a connection on which nothing came for three
                of its periods (`heartbeat`, 60 s by default). Kubbo asks each minute, and each
                three seconds while calls are open.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from tests.interop.go_peer import GoCaller, GoError, GoProvider
from tests.interop.peer import JavaCaller, JavaException, JavaProvider
from tests.interop.services import EchoService, GreetService
from tests.interop.test_java_calls_python import until

import kubbo
from kubbo import Progress, RpcError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ECHO = "com.example.interop.EchoService"
VERSIONS = ["3.3.6", "3.2.16"]
ASKED, ANSWERED = bytes.fromhex("dabbe2"), bytes.fromhex("dabb22")


class Relay:
    """Stands before a provider, and counts connections and heartbeats."""

    def __init__(self) -> None:
        self.connections = 0
        self.closed_by_provider = 0
        self.asked_by_consumer = 0
        self.asked_by_provider = 0
        self.answered_by_consumer = 0
        self.address = ""
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def target(self) -> str:
        return f"static:///{self.address}"

    def count(self, octets: bytes, *, of_consumer: bool) -> None:
        if of_consumer:
            self.asked_by_consumer += octets.count(ASKED)
            self.answered_by_consumer += octets.count(ANSWERED)
        else:
            self.asked_by_provider += octets.count(ASKED)


@asynccontextmanager
async def relay(provider: str) -> AsyncIterator[Relay]:
    """A relay before HOST:PORT."""
    made = Relay()
    host, _, port = provider.rpartition(":")

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, of_consumer: bool
    ) -> None:
        with suppress(OSError):
            while octets := await reader.read(65_536):
                made.count(octets, of_consumer=of_consumer)
                writer.write(octets)
        made.closed_by_provider += not of_consumer
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        task = asyncio.current_task()
        assert task is not None
        made.tasks.add(task)
        there_writer = writer
        try:
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
            await asyncio.gather(
                pump(reader, there_writer, of_consumer=True),
                pump(there_reader, writer, of_consumer=False),
            )
        except asyncio.CancelledError:
            pass  # the end of the relay; what runs in a callback must not raise it
        finally:
            for each in (writer, there_writer):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()
            made.tasks.discard(task)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        made.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield made
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)


@asynccontextmanager
async def deaf() -> AsyncIterator[tuple[str, list[bytes], asyncio.Event]]:
    """HOST:PORT of a provider that reads and says nothing; what came, a string a connection, and
    whether one was closed.
    """
    heard: list[bytes] = []
    left = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        number = len(heard)
        heard.append(b"")
        with suppress(OSError):
            while octets := await reader.read(65_536):
                heard[number] += octets
        left.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", heard, left
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


# --- providers that ask, or do not -----------------------------------------------------------


async def test_python_answers_the_heartbeats_of_a_go_provider(go_peer: None) -> None:
    """An idle consumer answers each, and keeps its connection."""
    async with (
        GoProvider(heartbeat_ms=100) as go,
        relay(go.address) as seen,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        greeter = channel.refer(GreetService, seen.target)
        await greeter.say_hello("Ann")
        await until(lambda: seen.answered_by_consumer >= 10)
        assert seen.asked_by_provider - seen.answered_by_consumer <= 1
        await greeter.say_hello("Ann")
        assert seen.connections == 1
        assert "failed to send heartbeat" not in go.log


async def test_a_go_provider_closes_who_does_not_answer(go_peer: None) -> None:
    """What the consumer above would have come to, had it not answered."""
    async with GoProvider(heartbeat_ms=100) as go:
        reader, writer = await asyncio.open_connection("127.0.0.1", go.port)
        async with asyncio.timeout(30):
            assert (await reader.read()).count(ASKED) >= 4
        writer.close()
        await writer.wait_closed()


@pytest.fixture(scope="module")
def javas(java_peer: None) -> Iterator[dict[str, JavaProvider]]:
    """Java providers that close a connection on which nothing came for 4.5 s, by version."""
    settings = {"dubbo.protocol.heartbeat": "1500"}
    made = {each: JavaProvider(properties=settings, dubbo=each) for each in VERSIONS}
    with ExitStack() as stack, ThreadPoolExecutor() as starts:
        try:
            list(starts.map(stack.enter_context, made.values()))
            yield made
        finally:
            for each in made.values():
                if each.process.poll() is None:
                    each.kill()  # a frozen one hears nothing else


async def test_java_closes_what_is_idle_and_nothing_else(javas: dict[str, JavaProvider]) -> None:
    """A Java provider asks nothing: while a call is open Kubbo asks each three seconds, and what
    was closed while it was idle is connected anew by itself.
    """

    async def busy(java: JavaProvider) -> None:
        async with relay(java.address) as seen, kubbo.Channel(timeout=30.0, retries=0) as channel:
            assert await channel.refer(EchoService, seen.target).sleep(5_500) == "slept 5500"
            assert (seen.connections, seen.closed_by_provider) == (1, 0)
            assert seen.asked_by_consumer >= 1

    async def idle(java: JavaProvider) -> None:
        async with relay(java.address) as seen, kubbo.Channel(timeout=30.0, retries=0) as channel:
            greeter = channel.refer(GreetService, seen.target)
            await greeter.say_hello("Ann")
            await until(lambda: seen.closed_by_provider >= 1 and seen.connections >= 2)
            assert seen.asked_by_provider == 0
            await greeter.say_hello("Ann")

    await asyncio.gather(*(play(java) for java in javas.values() for play in (busy, idle)))


# --- peers that die --------------------------------------------------------------------------


async def test_java_leaves_a_call_to_a_dead_provider_waiting(java_caller: JavaCaller) -> None:
    """It asks in vain, and goes on asking; whether to dial anew it looks once a minute."""
    async with deaf() as (address, heard, left):
        with pytest.raises(JavaException) as failed:
            await java_caller.call(
                address, ECHO, "nothing", timeout=2.5, parameters={"heartbeat": "300"}
            )
        assert failed.value.code == 2
        assert heard[0].count(ASKED) >= 2
        assert (len(heard), left.is_set()) == (1, False)


async def test_a_provider_that_died_is_noticed(
    javas: dict[str, JavaProvider], go_peer: None
) -> None:
    """Frozen, with its connections open: a call of a minute fails in nine seconds, and says so."""

    async def call(peer: JavaProvider | GoProvider) -> None:
        async with kubbo.Channel(timeout=60.0, retries=0) as channel:
            echo = channel.refer(EchoService, f"static:///{peer.address}")
            assert await echo.length("four") == 4
            waiting = asyncio.create_task(echo.sleep(60_000))
            await asyncio.sleep(0)  # it is on its way
            peer.freeze()
            with pytest.raises(RpcError, match=r"the peer is dead: nothing came for ") as dead:
                await waiting
            assert dead.value.progress is Progress.SENT

    async with GoProvider() as go:
        try:
            await asyncio.gather(*map(call, (*javas.values(), go)))
        finally:
            go.kill()


async def test_go_notices_a_dead_provider(go_peer: None) -> None:
    """It asks in vain, and closes the connection; the call that waits goes on to its timeout."""
    async with deaf() as (address, heard, left), GoCaller(heartbeat_ms=100) as go:
        with pytest.raises(GoError):
            await go.call(address, ECHO, "nothing")
        assert left.is_set()
        assert max(each.count(ASKED) for each in heard) >= 4
