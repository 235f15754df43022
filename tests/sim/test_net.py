"""The simulated network, as a protocol and its peer see it."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from kubbo.sim.loop import Left, SimLoop, run
from kubbo.sim.net import SEND_BUFFER_BYTES, WINDOW_BYTES, SimNetwork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


class Talk:
    """One connection from A to an echo server on B."""

    def __init__(self, network: SimNetwork) -> None:
        self.network = network
        self.loop = network.loop
        self.accepted: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with self.network.on(A):
            return await asyncio.open_connection(B, 80)


def play(script: Callable[[Talk], Awaitable[Any]]) -> Any:
    """Run a script with an echo server on B, and prove that nothing is left."""
    loop = SimLoop()
    network = SimNetwork(loop, random.Random(1))

    async def main() -> Any:
        talk = Talk(network)
        with network.on(B):
            server = await asyncio.start_server(talk.serve, B, 80)
        try:
            return await script(talk)
        finally:
            network.heal()
            server.close()
            for writer in talk.accepted:
                writer.close()

    return run(main(), loop=loop)


def test_bytes_arrive_in_order_and_take_time():
    """An echo comes back whole, after two ways of latency."""

    async def script(talk: Talk) -> None:
        reader, writer = await talk.dial()
        began = talk.loop.time()
        for number in range(100):
            writer.write(b"%03d" % number)
        assert await reader.readexactly(300) == b"".join(b"%03d" % n for n in range(100))
        assert 0.0004 <= talk.loop.time() - began <= 0.1
        assert writer.get_extra_info("peername") == (B, 80)
        assert talk.accepted[0].get_extra_info("peername")[0] == A
        writer.close()
        await writer.wait_closed()

    play(script)


def test_who_does_not_read_pauses_the_writer():
    """Window, kernel buffer and transport buffer fill up; then drain waits until there is room."""

    async def script(talk: Talk) -> None:
        class Deaf(asyncio.Protocol):
            def connection_made(self, transport: Any) -> None:
                transport.pause_reading()
                deaf.append(transport)

        deaf: list[Any] = []
        with talk.network.on(C):
            server = await talk.loop.create_server(Deaf, C, 80)
        with talk.network.on(A):
            _, writer = await asyncio.open_connection(C, 80)
        writer.write(b"x" * (WINDOW_BYTES + SEND_BUFFER_BYTES))
        await writer.drain()
        writer.write(b"x" * 200_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10.0):
                await writer.drain()
        deaf[0].resume_reading()
        await writer.drain()
        writer.close()
        server.close()

    play(script)


def test_a_refused_dial_and_one_to_nowhere_differ():
    """Nobody listens: refused at once. No such host: unreachable after seconds."""

    async def script(talk: Talk) -> None:
        with talk.network.on(A), pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(B, 81)
        began = talk.loop.time()
        with pytest.raises(OSError, match="No route"):
            await asyncio.open_connection("10.9.9.9", 80)
        assert talk.loop.time() - began >= 3.0
        talk.network.refuse(B, 80, times=1)
        with pytest.raises(ConnectionRefusedError):
            await talk.dial()
        _, writer = await talk.dial()
        writer.close()
        assert talk.network.fired == {"refuse": 1}

    play(script)


def test_a_reset_is_heard_on_both_sides():
    """The reader gets the error."""

    async def script(talk: Talk) -> None:
        reader, writer = await talk.dial()
        writer.write(b"hello")
        await reader.readexactly(5)
        next(iter(talk.network.connections)).reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert talk.network.fired == {"reset": 1}

    play(script)


@pytest.mark.parametrize("after", [1, 2, 7, 99, 100])
@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_is_cut_after_exactly_so_many_bytes(after: int, reset: bool):
    """As many bytes as were let through arrive, then the end, in order or not."""

    async def script(talk: Talk) -> None:
        reader, writer = await talk.dial()
        connection = next(iter(talk.network.connections))
        connection.cut("to client", after, reset=reset)
        writer.write(b"x" * 100)
        received = bytearray()
        try:
            while data := await reader.read(1000):
                received += data
        except ConnectionResetError:
            assert reset
        else:
            assert not reset
        assert len(received) == after
        assert talk.network.fired == {"cut": 1}
        writer.close()

    play(script)


def test_a_half_closed_connection_still_talks_the_other_way():
    """The client has ended its stream; the server's goes on."""

    async def script(talk: Talk) -> None:
        reader, writer = await talk.dial()
        writer.write(b"last words")
        writer.write_eof()
        assert await reader.read() == b"last words"
        writer.close()

    play(script)


def test_a_black_hole_holds_what_is_sent_until_the_path_is_open():
    """One way is blocked: nothing arrives, no error comes, and all arrives after the heal."""

    async def script(talk: Talk) -> None:
        reader, writer = await talk.dial()
        injection = talk.network.block(B, A)
        writer.write(b"into the dark")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600.0):
                await reader.read(100)
        assert injection.fired
        talk.network.heal()
        assert await reader.readexactly(13) == b"into the dark"
        writer.close()
        assert talk.network.fired == {"black hole": 1}

    play(script)


def test_a_kernel_that_was_asked_to_gives_a_dead_connection_up():
    """`dead_after` seconds without a way: ETIMEDOUT; without the wish nothing is said."""

    async def script(talk: Talk) -> None:
        with talk.network.on(A, dead_after=25.0):
            reader, writer = await asyncio.open_connection(B, 80)
        patient, other = await talk.dial()
        began = talk.loop.time()
        talk.network.partition([A], [B])
        with pytest.raises(TimeoutError, match="timed out"):
            await reader.read(1)
        assert talk.loop.time() - began == pytest.approx(25.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(900.0):
                await patient.read(1)
        writer.close()
        other.close()

    play(script)


@pytest.mark.parametrize("closes", ["before", "after"])
def test_who_wrote_to_a_connection_that_was_given_up_hears_of_it_when_the_path_is_open(
    closes: str,
):
    """More than the kernel takes was written meanwhile; with 0 bytes of it passed on, the path is
    opened, and the writer is rid of its connection, whenever it closed it."""

    async def script(talk: Talk) -> None:
        with talk.network.on(A, dead_after=10.0):
            reader, writer = await asyncio.open_connection(B, 80)
        writer.write(b"one")
        assert await reader.read(10) == b"one"
        talk.network.partition([A], [B])
        with pytest.raises(TimeoutError):
            await reader.read(10)
        (accepted,) = talk.accepted
        accepted.write(b"x" * (2 * SEND_BUFFER_BYTES))
        if closes == "before":
            accepted.close()
        talk.network.heal()
        if closes == "after":
            await asyncio.sleep(1.0)
            assert accepted.is_closing()

    play(script)


def test_a_dial_over_a_blocked_path_waits_for_the_heal():
    """As SYNs do that are sent again; who is impatient has a timeout."""

    async def script(talk: Talk) -> None:
        talk.network.partition([A], [B])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await talk.dial()
        talk.loop.call_later(30.0, talk.network.heal)
        began = talk.loop.time()
        _, writer = await talk.dial()
        assert talk.loop.time() - began >= 30.0
        writer.close()
        assert talk.network.fired == {"partition": 1}

    play(script)


def test_a_buffering_proxy_passes_lumps():
    """Less than a lump stays with it; a lump passes, and so does all at the end."""

    async def script(talk: Talk) -> None:
        reader, writer = await talk.dial()
        talk.network.buffer(B, A, 1000)
        writer.write(b"x" * 999)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60.0):
                await reader.read(1)
        writer.write(b"x")
        assert len(await reader.readexactly(1000)) == 1000
        writer.write(b"rest")
        writer.write_eof()
        assert await reader.read() == b"rest"
        writer.close()
        assert talk.network.fired == {"buffering proxy": 1}

    play(script)


def test_a_delay_keeps_the_order():
    """What was sent under a delay is not overtaken by what was sent after it."""

    async def script(talk: Talk) -> None:
        reader, writer = await talk.dial()
        talk.network.delay(A, B, 5.0)
        writer.write(b"first ")
        await asyncio.sleep(0.1)
        talk.network.heal()
        writer.write(b"second")
        began = talk.loop.time()
        assert await reader.readexactly(12) == b"first second"
        assert talk.loop.time() - began > 4.0
        writer.close()

    play(script)


def test_an_address_with_hosts_behind_it_reaches_each_of_them():
    """Connections to a virtual address are spread; a name gives its addresses."""

    async def script(talk: Talk) -> None:
        with talk.network.on(C):
            other = await asyncio.start_server(talk.serve, C, 80)
        talk.network.balance("10.96.0.1", [B, C])
        talk.network.names["api.sim"] = ["10.96.0.1"]
        hosts = set()
        for _ in range(20):
            with talk.network.on(A):
                _, writer = await asyncio.open_connection("api.sim", 80)
            await asyncio.sleep(0.1)
            hosts.add(talk.accepted[-1].get_extra_info("sockname")[0])
            writer.close()
        assert hosts == {B, C}
        other.close()
        with pytest.raises(OSError, match="not known"):
            await asyncio.open_connection("nowhere.sim", 80)

    play(script)


def test_a_connection_that_is_not_closed_is_told():
    """Sockets outlive nobody: an open transport fails the run."""

    async def script(talk: Talk) -> None:
        with talk.network.on(A):
            await talk.loop.create_connection(asyncio.Protocol, B, 80)
        await asyncio.sleep(0.1)
        talk.accepted.clear()

    with pytest.raises(Left, match=r"transport <End 10\.0\.0\.1:\d+ of 10\.0\.0\.2:80>"):
        play(script)


def test_writing_after_the_end_is_an_error():
    """As with a real transport."""

    async def script(talk: Talk) -> None:
        reader, writer = await talk.dial()
        writer.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            writer.write(b"more")
        await reader.read()
        writer.close()

    play(script)
