"""Consumers that shut down their sending side and go on reading, as `nc -N` does."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
from tests.testbed.authority import Authority
from tests.unit.rpc.loopback import ShopHere, User, frame, request, serving, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import kubbo

REQUEST, ONE_WAY = 0xC2, 0x82


def asking(call: int, name: str, *arguments: object) -> bytes:
    return frame(REQUEST, 0, call, request(name, *arguments))


@pytest.fixture
def here() -> ShopHere:
    return ShopHere()


@pytest.fixture
async def server(here: ShopHere) -> AsyncIterator[kubbo.Server]:
    async with serving(here) as server:
        yield server


class Peer:
    """A connection that says everything at once and then no more."""

    def __init__(self, port: int, *chunks: bytes) -> None:
        self._port = port
        self._chunks = chunks

    async def __aenter__(self) -> asyncio.StreamReader:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.writelines(self._chunks)
        self._writer.write_eof()
        return reader

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)


async def test_what_was_asked_is_answered_before_the_end(
    server: kubbo.Server, here: ShopHere
) -> None:
    """Each call gets its answer as it is ready; after the last one the connection is closed."""
    chunks = asking(1, "wait", "first"), asking(2, "wait", "second"), asking(3, "who")
    async with Peer(server.port, *chunks) as reader, asyncio.timeout(20):
        await here.begun("first")
        await here.begun("second")
        assert (await reader.readexactly(16))[4:12] == (3).to_bytes(8, "big")
        here.release("second")
        while b"second" not in await reader.read(4096):
            pass
        here.release("first")
        last = await reader.read()
        assert b"shop first" in last
        assert last[4:12] == (1).to_bytes(8, "big")
    await until(lambda: not server._connections)


async def test_an_answer_that_is_ready_is_not_lost(server: kubbo.Server) -> None:
    """A method that answers at once has answered before the end is seen, and it is written."""
    async with Peer(server.port, asking(7, "greet", User(1, "Ann"), "Hello")) as reader:
        async with asyncio.timeout(20):
            assert b"Hello Ann (1)" in await reader.read()


async def test_a_large_answer_arrives_whole(server: kubbo.Server) -> None:
    """However long it takes to write."""
    async with Peer(server.port, asking(7, "text", 7 * 1024 * 1024)) as reader:
        async with asyncio.timeout(20):
            assert len(await reader.read()) > 7 * 1024 * 1024


async def test_a_request_that_is_cut_ends_the_connection(
    server: kubbo.Server, here: ShopHere
) -> None:
    """Half a request after a whole one is a broken peer: nothing is waited for."""
    half = asking(2, "who")[:-1]
    async with Peer(server.port, asking(1, "wait", "key"), half) as reader, asyncio.timeout(20):
        await here.begun("key")
        assert await reader.read() == b""
    here.release("key")


async def test_one_way_calls_hold_no_connection(server: kubbo.Server, here: ShopHere) -> None:
    """Nobody waits for them: the connection ends at once, and the call runs."""
    told = frame(ONE_WAY, 0, 1, request("wait", "key"))
    async with Peer(server.port, told) as reader, asyncio.timeout(20):
        assert await reader.read() == b""
        await here.begun("key")
    here.release("key")


async def test_who_is_gone_costs_no_more_than_its_calls(
    server: kubbo.Server, here: ShopHere
) -> None:
    """A consumer that closed altogether looks the same; its connection ends with its call."""
    async with Peer(server.port, asking(1, "wait", "key")):
        await here.begun("key")
    assert len(server._connections) == 1
    here.release("key")
    await until(lambda: not server._connections)


async def test_a_server_that_ends_does_not_wait_for_them(
    server: kubbo.Server, here: ShopHere
) -> None:
    """Its end is that of every connection."""
    async with Peer(server.port, asking(1, "wait", "key")) as reader, asyncio.timeout(20):
        await here.begun("key")
        await server.aclose()
        assert b"the provider ended" in await reader.read()


async def test_tls_ends_both_directions(here: ShopHere, tmp_path: Path) -> None:
    """There is no half of a TLS connection: its end is the end, as ever."""
    authority = Authority(tmp_path / "authority")
    certificate = authority.issue("peer", "/CN=peer", ["IP:127.0.0.1"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.crt, certificate.key)
    trust = ssl.create_default_context(cafile=authority.root.crt)
    async with serving(here, tls=context) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trust)
        writer.write(asking(1, "wait", "key"))
        await here.begun("key")
        writer.close()
        await writer.wait_closed()
        await until(lambda: not server._connections)
        here.release("key")
