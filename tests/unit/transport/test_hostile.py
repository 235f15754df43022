"""Peers that cut, garble, lie and stall, over real sockets in both directions.

Whatever comes, three things hold: the error says what was wrong, that connection and no other
is closed, and what was held for it is free again.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rpc.loopback import (
    FakeProvider,
    Shop,
    ShopHere,
    User,
    at,
    frame,
    request,
    serving,
    until,
)

import kubbo
from kubbo import KubboError, Progress, RpcError
from kubbo.wire.hessian2 import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REQUEST, RESPONSE, HEARTBEAT = 0xC2, 0x02, 0xE2
GOOD = frame(REQUEST, 0, 7, request("greet", User(1, "Ann"), "Hello"))
ANSWER = encode(4) + encode("fake") + encode({"dubbo": "2.0.2"})
HTTP1 = b"GET / HTTP/1.1\r\nHost: greeter\r\n\r\n"
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
TLS = bytes.fromhex("1603010200010001fc0303") + bytes(range(60))
FOREIGN = {
    "text": b"status\r\n",
    "http/1": HTTP1,
    "http/2": HTTP2,
    "tls": TLS,
    "zeros": bytes(64),
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "half the magic": b"\xda\xbc" + bytes(20),
    "one byte": b"\x00",
}


@pytest.fixture
async def server() -> AsyncIterator[kubbo.Server]:
    async with serving(ShopHere()) as server:
        yield server


@pytest.fixture
async def shop(server: kubbo.Server) -> AsyncIterator[Shop]:
    """A well-behaved consumer beside the hostile ones."""
    async with kubbo.Channel(timeout=20.0) as channel:
        yield channel.refer(Shop, at(server))


async def say(server: kubbo.Server, *chunks: bytes) -> bytes:
    """Send and close the sending side; return all that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except OSError:  # it was closed already
        return b""
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def ask(server: kubbo.Server, answers: int, *chunks: bytes) -> bytes:
    """Send, and return so many frames of answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    got = b""
    async with asyncio.timeout(20):
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        for _ in range(answers):
            head = await reader.readexactly(16)
            got += head + await reader.readexactly(int.from_bytes(head[12:], "big"))
    writer.close()
    await writer.wait_closed()
    return got


async def hear(server: kubbo.Server, data: bytes) -> bytes:
    """Send and go on listening: return what comes until the other side closes by itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


# --- at the provider -------------------------------------------------------------------------


async def test_the_good_request_is_good(server: kubbo.Server) -> None:
    """What the tests below spoil is answered as long as nobody spoils it."""
    answer = await ask(server, 1, GOOD)
    assert answer[:12] == frame(RESPONSE, 20, 7, b"")[:12]
    assert b"Hello Ann (1)" in answer


async def test_a_request_in_single_bytes(server: kubbo.Server) -> None:
    """The chunking of the network means nothing."""
    single = [GOOD[at : at + 1] for at in range(len(GOOD))]
    assert b"Hello Ann (1)" in await ask(server, 1, *single)


async def test_a_request_cut_at_every_byte(server: kubbo.Server, shop: Shop) -> None:
    """Its end is the end of its connection: nothing is answered, nobody else is disturbed."""
    for end in range(len(GOOD)):
        assert await say(server, GOOD[:end]) == b""
    assert await shop.who() == "shop"
    assert len(server._connections) == 1
    assert not server._calls


@pytest.mark.parametrize("name", sorted(FOREIGN))
async def test_a_foreign_protocol_is_closed(
    name: str, server: kubbo.Server, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is closed by the provider, at once, and its log says what came."""
    assert await hear(server, FOREIGN[name]) == b""
    await until(lambda: "does not speak dubbo2" in caplog.text)
    said = caplog.text
    for kind, words in {"http/1": "HTTP/1", "http/2": "HTTP/2", "tls": "TLS"}.items():
        assert (words in said) == (kind == name)
    assert await shop.who() == "shop"


@pytest.mark.parametrize("length", [8 * 1024 * 1024 + 1, 2**31 - 1, 2**31, 2**32 - 1])
async def test_the_last_words_can_be_read(server: kubbo.Server, shop: Shop, length: int) -> None:
    """An oversized length is answered by its number before a byte of it is waited for; what
    was sent behind it does not reset the connection before the answer is read.
    """
    head = frame(REQUEST, 0, 7, b"")[:12] + length.to_bytes(4, "big")
    answer = await hear(server, head + b"x" * 300_000)
    assert answer[:12] == frame(RESPONSE, 40, 7, b"")[:12]
    assert f"{length} bytes exceeds the limit".encode() in answer
    assert await shop.who() == "shop"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", b"cannot be decoded"),
        (b"NNNNN", b"is not served here"),
        (encode(5), b"not a string"),
        (encode("2.0.2") + encode("com.example.Shop") + encode("1.0.0"), b"cannot be decoded"),
        (request("who")[:-1], b"cannot be decoded"),
        (b"\x57" * 100_000, b"cannot be decoded"),
        (b"\x43" + encode("x" * 1_000) * 50, b"cannot be decoded"),
    ],
)
async def test_an_undecodable_request_is_answered(
    server: kubbo.Server, body: bytes, says: bytes
) -> None:
    """The frame was whole, so its caller is told, and the connection goes on."""
    answer = await ask(server, 2, frame(REQUEST, 0, 8, body) + GOOD)
    assert says in answer
    assert b"Hello Ann (1)" in answer


async def test_a_foreign_serialization_is_answered(server: kubbo.Server) -> None:
    """Another serialization is refused by name; heartbeats in it are answered."""
    answer = await ask(
        server,
        3,
        frame(0xC0 | 23, 0, 1, b"{}"),
        frame(0x80 | 23, 0, 2, b"{}"),
        frame(HEARTBEAT, 0, 3, b"N"),
        GOOD,
    )
    assert answer.startswith(frame(RESPONSE, 25, 1, b"")[:12])
    assert b"prefer.serialization=hessian2" in answer
    assert frame(0x22, 20, 3, b"N") in answer
    assert b"Hello Ann (1)" in answer


async def test_garbled_requests(
    server: kubbo.Server, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Three thousand seeded mutations: whatever is answered is a frame, and memory is flat."""
    caplog.set_level("CRITICAL", "kubbo")  # pytest keeps what is logged
    rng = random.Random(5)
    before = 0
    tracemalloc.start()
    try:
        for number in range(3_000):
            data = mutate(GOOD, rng)
            answer = await say(server, data)
            assert answer[:2] in (b"", b"\xda\xbb"), (number, data.hex())
            if number == 500:
                gc.collect()
                before = tracemalloc.get_traced_memory()[0]
        assert await shop.who() == "shop"
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
    finally:
        tracemalloc.stop()
    assert len(server._connections) == 1
    assert not server._calls


def mutate(good: bytes, rng: random.Random) -> bytes:
    """One to eight spoiled, lost, doubled or foreign bytes."""
    data = bytearray(good)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at]
            case _:
                data[at:at] = data[at : at + rng.randrange(16)]
    return bytes(data)


async def test_a_flood_of_heartbeats_is_cut(server: kubbo.Server, shop: Shop) -> None:
    """A peer that asks a thousand times in one breath is closed."""
    beat = frame(HEARTBEAT, 0, 1, b"N")
    await hear(server, beat * 100_000)
    assert await shop.who() == "shop"


async def test_an_id_that_is_used_twice_is_closed(
    server: kubbo.Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Two open calls of one id could not be told apart."""
    waiting = frame(REQUEST, 0, 7, request("wait", "key"))
    assert await hear(server, waiting + waiting) == b""
    await until(lambda: "request id 7 was used again" in caplog.text)


async def test_too_many_connections_are_refused() -> None:
    """Above `max_connections` a connection is closed; those that are there go on."""
    async with (
        serving(ShopHere(), max_connections=1) as server,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        shop = channel.refer(Shop, at(server))
        assert await shop.who() == "shop"
        assert await say(server, GOOD) == b""
        assert await shop.who() == "shop"


async def test_a_peer_that_broke_the_rules_and_does_not_read_is_cut_off() -> None:
    """Its answers cannot be written, yet its socket is gone after the moment of its last words."""
    async with serving(ShopHere()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        body = request("text", 7_000_000)
        writer.write(frame(REQUEST, 0, 1, body))
        await until(lambda: len(server._connections) > 0)
        (connection,) = server._connections
        link = connection._link
        assert link is not None
        await until(lambda: not link.writable)
        # Reading is paused, so what breaks the rules is its silence: the session's timers tell.
        for _ in range(2):
            due = link.session.next_timer()
            assert due is not None
            link._act(link.session.handle_timer(due))
        async with asyncio.timeout(10):
            await asyncio.wait({link.lost})
        assert not server._connections
        writer.transport.abort()
        del reader


# --- at the consumer -------------------------------------------------------------------------


async def call(provider: FakeProvider, **options: Any) -> BaseException | str:
    """One call to a hostile provider, and a good one to see that the channel lives."""
    async with (
        serving(ShopHere()) as good,
        kubbo.Channel(timeout=20.0, retries=0, **options) as channel,
    ):
        outcome: BaseException | str
        try:
            outcome = await channel.refer(Shop, provider.target).who()
        except KubboError as error:
            outcome = error
        assert await channel.refer(Shop, at(good)).who() == "shop"
        return outcome


@pytest.mark.parametrize("name", sorted(FOREIGN))
async def test_a_provider_of_another_protocol(name: str) -> None:
    """The call fails with what the peer sent instead."""
    async with FakeProvider(lambda number, body: FOREIGN[name]) as provider:
        error = await call(provider)
    assert isinstance(error, RpcError)
    assert "the peer does not speak dubbo2" in error.message
    assert error.progress is Progress.SENT


async def test_an_answer_cut_at_every_byte() -> None:
    """An answer that ends early is an error that says so, wherever it ends."""
    for end in range(1, 16 + len(ANSWER)):

        def answer(number: int, body: bytes, end: int = end) -> bytes:
            return frame(RESPONSE, 20, number, ANSWER)[:end]

        async with (
            FakeProvider(answer, then_close=True) as provider,
            kubbo.Channel(timeout=20.0, retries=0) as channel,
        ):
            with pytest.raises(RpcError, match=f"inside a frame, after {end} bytes") as error:
                await channel.refer(Shop, provider.target).who()
            assert error.value.progress is Progress.SENT


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "cannot be decoded"),
        (b"\xff", "cannot be decoded"),
        (encode(9), "unknown kind of response 9"),
        (encode("text"), "unknown kind of response"),
        (encode(4), "cannot be decoded"),
        (encode(4) + encode(5) + encode({}), "cannot be decoded"),
        (encode(4) + b"\x57" * 100_000, "cannot be decoded"),
        (encode(4) + encode("fake") + encode([1]), "not a map"),
        (encode(3) + encode("thrown text"), "thrown text"),
        (encode(3) + encode(None), "not a throwable"),
    ],
)
async def test_nonsense_answers(body: bytes, says: str) -> None:
    """An answer that is none is an error of that call; the provider did answer it."""
    async with FakeProvider(lambda number, _: frame(RESPONSE, 20, number, body)) as provider:
        error = await call(provider)
    assert isinstance(error, RpcError)
    assert says in error.message
    assert error.progress is Progress.ANSWERED


@pytest.mark.parametrize("length", [8 * 1024 * 1024 + 1, 2**32 - 1])
async def test_an_oversized_answer(length: int) -> None:
    """Its length is enough to refuse it."""

    def answer(number: int, body: bytes) -> bytes:
        return frame(RESPONSE, 20, number, b"")[:12] + length.to_bytes(4, "big")

    async with FakeProvider(answer) as provider:
        error = await call(provider)
    assert isinstance(error, RpcError)
    assert f"{length} bytes exceeds the limit" in error.message


async def test_a_provider_that_calls_back() -> None:
    """A request to a consumer is refused, not run."""
    async with FakeProvider(lambda number, body: GOOD) as provider:
        error = await call(provider)
    assert isinstance(error, RpcError)
    assert "callbacks are not supported" in error.message


async def test_answers_nobody_asked_for_are_dropped() -> None:
    """Unknown ids, repeated answers and events leave the real answer to be found."""

    def answer(number: int, body: bytes) -> bytes:
        return (
            frame(RESPONSE, 20, number ^ 1, ANSWER)
            + frame(HEARTBEAT, 0, 5, b"N")
            + frame(0x22, 20, 99, b"N")
            + frame(RESPONSE, 20, number, ANSWER) * 3
        )

    async with FakeProvider(answer) as provider:
        assert await call(provider) == "fake"


async def test_garbled_answers() -> None:
    """A thousand seeded mutations: each call ends with an answer or a typed error, whatever
    came, and memory is flat.
    """
    rng = random.Random(6)

    def answer(number: int, body: bytes) -> bytes:
        return mutate(frame(RESPONSE, 20, number, ANSWER), rng)

    outcomes = {"fine": 0, "error": 0}
    before = 0
    tracemalloc.start()
    try:
        async with FakeProvider(answer, then_close=True) as provider:
            for number in range(1_000):
                async with kubbo.Channel(timeout=20.0, retries=0) as channel:
                    try:
                        await channel.refer(Shop, provider.target).who()
                    except RpcError:
                        outcomes["error"] += 1
                    else:
                        outcomes["fine"] += 1
                if number == 200:
                    gc.collect()
                    before = tracemalloc.get_traced_memory()[0]
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
    finally:
        tracemalloc.stop()
    assert min(outcomes.values()) > 10, outcomes
