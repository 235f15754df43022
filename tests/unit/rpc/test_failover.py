"""Providers that refuse, drain, die and come back; calls that are given up."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.unit.rpc.loopback import FakeProvider, Shop, ShopHere, at, frame, request, serving, until
from tests.unit.rpc.test_calls import connection_of, nothing_left

import kubbo
from kubbo import Code, DeadlineExceeded, Progress, RpcError
from kubbo.errors import ConfigError
from kubbo.model import Deadline, Invocation
from kubbo.naming.resolution import Absent
from kubbo.rpc.service import read_interface
from kubbo.wire.hessian2 import encode

READONLY = frame(0xA2, 0, 1, b"\x01R")
OK = encode(4) + encode("fake") + encode({"dubbo": "2.0.2"})


def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class First:
    """A balance that takes the first of those that are left: the order of the target."""

    def bind(self, pool: Any) -> Any:
        first = min(pool.members, key=lambda member: ORDER.index(member.endpoint.port))
        return lambda invocation: first


ORDER: list[int] = []


@pytest.fixture
def in_order() -> Any:
    """Ports are tried in the order in which they are added to the list that this gives."""
    ORDER.clear()
    yield ORDER
    ORDER.clear()


# --- refused ---------------------------------------------------------------------------------


async def test_nobody_listens() -> None:
    """A refused connection is NOT_SENT, and says where and why."""
    port = unused_port()
    async with kubbo.Channel(timeout=20.0, retries=0) as channel:
        with pytest.raises(RpcError, match=f"Connect call failed|refused.*127.0.0.1:{port}") as no:
            await channel.refer(Shop, f"static:///127.0.0.1:{port}").who()
    assert (no.value.code, no.value.progress) == (Code.UNAVAILABLE, Progress.NOT_SENT)


async def test_a_refused_connection_is_tried_elsewhere() -> None:
    """Whoever cannot be reached costs a call nothing, idempotent or not."""
    async with serving(ShopHere()) as server, kubbo.Channel(timeout=20.0) as channel:
        target = f"static:///127.0.0.1:{unused_port()},127.0.0.1:{server.port}"
        shop = channel.refer(Shop, target)
        assert {await shop.who() for _ in range(20)} == {"shop"}


async def test_an_overloaded_provider_refuses_at_once() -> None:
    """Above `max_calls` the answer is RESOURCE_EXHAUSTED, which provably ran nothing."""
    here = ShopHere()
    async with serving(here, max_calls=1) as server, kubbo.Channel(timeout=20.0) as channel:
        shop = channel.refer(Shop, at(server))
        busy = asyncio.create_task(shop.wait("busy"))
        await here.begun("busy")
        with pytest.raises(RpcError, match="max_calls") as refused:
            await shop.who()
        assert refused.value.code is Code.RESOURCE_EXHAUSTED
        assert refused.value.progress is Progress.NOT_SENT
        here.release("busy")
        assert await busy == "shop busy"
        assert await shop.who() == "shop"


async def test_an_overloaded_provider_is_left_for_another() -> None:
    """What one provider refuses for its load, another one takes."""
    full, free = ShopHere("full"), ShopHere("free")
    async with (
        serving(full, max_calls=1) as first,
        serving(free) as second,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        busy = asyncio.create_task(channel.refer(Shop, at(first)).wait("busy"))
        await full.begun("busy")
        shop = channel.refer(Shop, at(first, second))
        assert {await shop.who() for _ in range(20)} == {"free"}
        full.release("busy")
        await busy


# --- draining --------------------------------------------------------------------------------


async def test_a_draining_provider_finishes_and_gets_nothing_new() -> None:
    """READONLY: calls in flight end where they are, new ones go elsewhere, none fails."""
    leaving, staying = ShopHere("leaving"), ShopHere("staying")
    async with (
        serving(leaving, propagation=0.05) as first,
        serving(staying) as second,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        shop = channel.refer(Shop, at(first, second))
        while not (leaving.started["who"] and staying.started["who"]):
            await shop.who()
        inflight = [
            asyncio.create_task(channel.refer(Shop, at(first)).wait("long")) for _ in range(5)
        ]
        await leaving.begun("long", 5)
        drained = asyncio.create_task(first.drain())
        while await shop.who() == "leaving":
            pass  # until READONLY has arrived
        before = leaving.started["who"]
        assert {await shop.who() for _ in range(50)} == {"staying"}
        assert leaving.started["who"] == before
        assert not drained.done()
        leaving.release("long")
        assert await asyncio.gather(*inflight) == ["leaving long"] * 5
        await drained
        assert first.cut_off == 0
        await first.aclose()
        assert {await shop.who() for _ in range(50)} == {"staying"}


async def test_no_call_is_lost_while_a_provider_leaves() -> None:
    """Under steady load, with no retries, an orderly end costs nothing."""
    leaving, staying = ShopHere("leaving"), ShopHere("staying")
    async with (
        serving(leaving, propagation=0.2) as first,
        serving(staying) as second,
        kubbo.Channel(timeout=20.0, retries=0) as channel,
    ):
        shop = channel.refer(Shop, at(first, second))
        done = asyncio.Event()

        async def load() -> int:
            calls = 0
            while not done.is_set():
                await shop.who()
                calls += 1
            return calls

        workers = [asyncio.create_task(load()) for _ in range(8)]
        await until(lambda: leaving.started["who"] > 0 < staying.started["who"])
        await first.drain()
        await first.aclose()
        after = staying.started["who"]
        await until(lambda: staying.started["who"] > after + 50)
        done.set()
        assert sum(await asyncio.gather(*workers)) > 50


async def test_what_outlasts_the_grace_is_cut_off() -> None:
    """A call that does not end is cancelled, counted and answered."""
    here = ShopHere()
    async with serving(here, grace=0.01) as server, kubbo.Channel(timeout=20.0) as channel:
        call = asyncio.create_task(channel.refer(Shop, at(server)).wait("ever"))
        await here.begun("ever")
        await server.drain()
        assert server.cut_off == 1
        await server.aclose()
        with pytest.raises(RpcError, match="the provider ended before wait") as cut:
            await call
        assert cut.value.progress is Progress.SENT
        assert here.cancelled["ever"] == 1


async def test_a_provider_that_drained_is_not_dialled_at_once() -> None:
    """After READONLY and the end of the connection, its port may still accept: it is left alone."""
    said = 0

    def answer(call: int, body: bytes) -> bytes | None:
        nonlocal said
        said += 1
        return frame(0x02, 20, call, OK) + READONLY if said == 1 else None

    async with (
        FakeProvider(answer) as leaving,
        serving(ShopHere("staying")) as staying,
        kubbo.Channel(timeout=20.0, retries=0) as channel,
    ):
        only = channel.refer(Shop, leaving.target)
        assert await only.who() == "fake"
        with pytest.raises(RpcError):
            await only.who()  # it drains, but there is no other: the connection ends with this
        shop = channel.refer(Shop, f"{leaving.target},127.0.0.1:{staying.port}")
        await asyncio.sleep(0.3)  # three times the pause after which others are dialled again
        assert {await shop.who() for _ in range(20)} == {"staying"}
        assert leaving.connections == 1


async def test_a_draining_provider_is_better_than_none() -> None:
    """Where nobody else is there, a provider that drains still gets the calls."""
    async with (
        serving(ShopHere(), propagation=20.0) as server,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        shop = channel.refer(Shop, at(server))
        await shop.who()
        drained = asyncio.create_task(server.drain())
        await until(lambda: connection_of(channel).draining)
        assert await shop.who() == "shop"
        server._life.hurry()
        await drained


# --- killed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["wait", "wait_again"])
async def test_a_provider_dies_in_the_middle_of_a_call(in_order: list[int], method: str) -> None:
    """Nobody knows whether the call ran: only what is idempotent runs again, elsewhere."""
    doomed, other = ShopHere("doomed"), ShopHere("other")
    other.release("key")
    async with (
        serving(doomed) as first,
        serving(other) as second,
        kubbo.Channel(timeout=20.0, balance=First()) as channel,
    ):
        in_order += [first.port, second.port]
        shop = channel.refer(Shop, at(first, second))
        call = asyncio.create_task(getattr(shop, method)("key"))
        await doomed.begun("key")
        for connection in tuple(first._connections):
            connection._link._transport.abort()  # type: ignore[union-attr]  # as a SIGKILL would
        if method == "wait_again":
            assert await call == "other key"
            assert (doomed.started["key"], other.started["key"]) == (1, 1)
        else:
            with pytest.raises(RpcError, match="whether the call ran is unknown") as lost:
                await call
            assert (lost.value.code, lost.value.progress) == (Code.UNAVAILABLE, Progress.SENT)
            assert (doomed.started["key"], other.started["key"]) == (1, 0)
        doomed.release("key")


async def test_all_attempts_are_told() -> None:
    """A call that failed everywhere says so for each attempt."""
    async with (
        FakeProvider(lambda call, body: None) as first,
        FakeProvider(lambda call, body: None) as second,
        kubbo.Channel(timeout=20.0, retries=2) as channel,
    ):
        shop = channel.refer(Shop, f"{first.target},127.0.0.1:{second.port}")
        with pytest.raises(RpcError) as failed:
            await kubbo.options(shop, idempotent=True).who()
        assert len(failed.value.attempts) == 2
        assert "attempt 1" in str(failed.value)
        assert first.requests + second.requests == 3


@pytest.mark.parametrize(("retries", "attempts"), [(None, 3), (0, 1), (4, 5)])
async def test_a_generic_call_has_its_own_retries(retries: int | None, attempts: int) -> None:
    """What a call says wins over the channel; a call that may have run needs `idempotent`."""
    async with AsyncExitStack() as stack:
        made = [FakeProvider(lambda call, body: None) for _ in range(6)]
        providers = [await stack.enter_async_context(each) for each in made]
        channel = await stack.enter_async_context(kubbo.Channel(timeout=20.0, retries=2))
        addresses = ",".join(f"127.0.0.1:{each.port}" for each in providers)
        shop = channel.generic("com.example.Shop:1.0.0", f"static:///{addresses}")
        with pytest.raises(RpcError):
            await shop.call("who", retries=retries)
        assert sum(each.requests for each in providers) == 1
        with pytest.raises(RpcError):
            await shop.call("who", retries=retries, idempotent=True)
        assert sum(each.requests for each in providers) == 1 + attempts
        with pytest.raises(ConfigError):
            await shop.call("who", retries=-1)


async def test_a_provider_comes_back() -> None:
    """After a restart at the same address the next call finds it."""
    async with kubbo.Channel(timeout=20.0, retries=10) as channel:
        async with serving(ShopHere("first")) as server:
            port = server.port
            shop = channel.refer(Shop, at(server))
            assert await shop.who() == "first"
        async with serving(ShopHere("second"), port=port):
            assert await shop.who() == "second"


async def test_a_dead_peer_is_noticed() -> None:
    """A provider that is silent while a call waits is given up; its time is the session's."""
    async with (
        FakeProvider(lambda call, body: b"") as silent,
        kubbo.Channel(timeout=1000.0, retries=0) as channel,
    ):
        shop = channel.refer(Shop, silent.target)
        call = asyncio.create_task(kubbo.options(shop, timeout=1000.0).who())
        await until(lambda: silent.requests > 0)
        link = connection_of(channel)._link
        asked = link.session.next_timer()
        assert asked <= asyncio.get_running_loop().time() + 3.0
        link._act(link.session.handle_timer(asked))
        dead = link.session.next_timer()
        assert dead <= asked + 6.0
        link._act(link.session.handle_timer(dead))
        with pytest.raises(RpcError, match="the peer is dead: nothing came for") as lost:
            await call
        assert lost.value.progress is Progress.SENT


# --- given up --------------------------------------------------------------------------------


async def test_a_cancelled_call_leaves_nothing_behind() -> None:
    """Cancelling gives everything back at once; the late answer is dropped."""
    here = ShopHere()
    async with serving(here) as server, kubbo.Channel(timeout=20.0) as channel:
        shop = channel.refer(Shop, at(server))
        call = asyncio.create_task(shop.wait("key"))
        await here.begun("key")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert nothing_left(channel)
        here.release("key")
        assert await shop.who() == "shop"
        assert nothing_left(channel)


async def test_ten_thousand_cancelled_calls_leave_nothing_behind() -> None:
    """No future, task or id of them is left on either side once their answers have come."""
    here = ShopHere()
    async with (
        serving(here, max_calls=20_000) as server,
        kubbo.Channel(timeout=100.0) as channel,
    ):
        shop = channel.refer(Shop, at(server))
        await shop.who()
        calls = [asyncio.create_task(shop.wait("key")) for _ in range(10_000)]
        await here.begun("key", 10_000)
        for call in calls:
            call.cancel()
        assert {type(each) for each in await asyncio.gather(*calls, return_exceptions=True)} == {
            asyncio.CancelledError
        }
        calls.clear()
        assert nothing_left(channel)
        here.release("key")
        await until(lambda: not server._calls)
        assert await shop.who() == "shop"
        (connection,) = server._connections
        assert connection._link is not None
        assert connection._link.session.open_calls == 0  # type: ignore[attr-defined]
        assert server._deadlines is not None
        assert not any(server._deadlines._slots.values())
        gc.collect()
        assert len(asyncio.all_tasks()) < 10


async def test_cancelling_a_call_that_waits_for_a_connection() -> None:
    """A call may be given up before there is anybody to call."""
    async with kubbo.Channel(timeout=100.0, retries=100) as channel:
        call = asyncio.create_task(
            channel.refer(Shop, f"static:///127.0.0.1:{unused_port()}").who()
        )
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_closing_the_channel_ends_its_calls() -> None:
    """Calls in flight fail with UNAVAILABLE when their channel closes."""
    here = ShopHere()
    async with serving(here) as server:
        channel = kubbo.Channel(timeout=100.0)
        async with channel:
            call = asyncio.create_task(channel.refer(Shop, at(server)).wait("key"))
            await here.begun("key")
        with pytest.raises(RpcError) as closed:
            await call
        assert closed.value.code is Code.UNAVAILABLE
        here.release("key")


# --- backpressure ----------------------------------------------------------------------------


async def test_a_provider_that_does_not_read() -> None:
    """Requests wait outside of the socket, and their deadlines strike: memory stays flat."""
    stop = asyncio.Event()
    stopped = asyncio.Event()

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stop.wait()
        writer.transport.abort()
        stopped.set()

    listener = await asyncio.start_server(ignore, "127.0.0.1", 0, limit=1024)
    port = listener.sockets[0].getsockname()[1]
    async with kubbo.Channel(timeout=0.5, retries=0) as channel:
        shop = channel.refer(Shop, f"static:///127.0.0.1:{port}")
        megabyte = "x" * 1_000_000
        calls = [asyncio.create_task(shop.size(megabyte)) for _ in range(100)]
        await asyncio.wait(calls)
        failed = [call.exception() for call in calls]
        assert {type(error) for error in failed} == {DeadlineExceeded}
        unsent = [error for error in failed if error.progress is Progress.NOT_SENT]  # type: ignore[union-attr]
        assert len(unsent) > 80
        transport = connection_of(channel)._link._transport
        assert transport.get_write_buffer_size() < 3_000_000
        assert nothing_left(channel)
        stop.set()
        await stopped.wait()
    listener.close()
    await listener.wait_closed()


async def test_a_consumer_that_does_not_read() -> None:
    """A thousand small requests for large answers: few are made, until it reads."""
    here = ShopHere()
    async with serving(here) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        count, size = 1_000, 1_000_000
        body = request("text", size)
        writer.writelines(frame(0xC2, 0, call, body) for call in range(count))
        await until(lambda: here.started["text"] > 0)
        (connection,) = server._connections
        link = connection._link
        assert link is not None
        assert link._transport is not None
        assert not link.writable
        assert link._transport.get_write_buffer_size() < 5 * size
        assert here.started["text"] < 20
        for _ in range(20):
            head = await reader.readexactly(16)
            await reader.readexactly(int.from_bytes(head[12:], "big"))
        assert 20 <= here.started["text"] < 60  # it goes on as the consumer reads
        writer.transport.abort()
        await asyncio.wait({link.lost})
        await until(lambda: not server._calls)


@pytest.mark.parametrize("turns", range(8))
async def test_a_call_that_meets_a_connection_on_its_way_out(turns: int) -> None:
    """A provider leaves the view while a call still holds its member: the call is answered, or
    provably was not sent; it is never lost in between."""
    async with serving(ShopHere()) as server, kubbo.Channel(timeout=20.0) as channel:
        shop: Any = channel.refer(Shop, at(server))
        assert await shop.who() == "shop"
        (directory,) = channel._directories.values()
        (member,) = directory.members()
        directory.publish(Absent("gone"))
        for _ in range(turns):
            await asyncio.sleep(0)
        (method,) = [each for each in read_interface(Shop).methods.values() if each.name == "who"]
        reference = shop.kubbo_reference
        now = asyncio.get_running_loop().time()
        call = Invocation(reference.service, method.signature, (), Deadline(now + 20.0))
        try:
            assert (await member.dialer.send(call, reference._codec)).value == "shop"
        except RpcError as error:
            progress = error.progress
        else:
            progress = Progress.NOT_SENT
        assert progress is Progress.NOT_SENT
