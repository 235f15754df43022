"""What keeps memory bounded between peers, over real sockets on loopback."""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest

import kubbo
from kubbo.transport.link import Budget

BIG = 3 * 1024 * 1024


@kubbo.service("com.example.Mirror")
class Mirror(Protocol):
    @kubbo.method(timeout=30.0, retries=0)
    async def send(self, data: bytes) -> bytes: ...


class MirrorHere(Mirror):
    async def send(self, data: bytes) -> bytes:
        return data


async def test_large_calls_in_both_directions_do_not_stop_each_other() -> None:
    """Twenty calls of 3 MiB each way at once: more than the buffers of both sides can hold, so
    each side has to go on reading while its own writes wait.
    """
    async with kubbo.Server(0, host="127.0.0.1", propagation=0.0) as server:
        server.export(MirrorHere())
        await server.start()
        async with kubbo.Channel() as channel:
            mirror = channel.refer(Mirror, f"static:///127.0.0.1:{server.port}")
            payloads = [bytes([n]) * BIG for n in range(20)]
            answers = await asyncio.gather(*(mirror.send(each) for each in payloads))
    assert answers == payloads


async def test_unfinished_requests_share_a_budget() -> None:
    """Peers that send the beginnings of large messages are cut off together, not one by one;
    what they held is free again afterwards.
    """
    async with kubbo.Server(0, host="127.0.0.1", max_held_bytes=300_000) as server:
        server.export(MirrorHere())
        await server.start()
        head = bytes.fromhex("dabbc200") + (1).to_bytes(8, "big") + (1_000_000).to_bytes(4, "big")
        streams = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
        for _, writer in streams:
            writer.write(head + b"x" * 100_000)
        ends = [asyncio.create_task(reader.read()) for reader, _ in streams]
        cut, waited_for = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert cut
        assert waited_for  # the others fit, and may go on
        for task in waited_for:
            task.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        for _, writer in streams:
            writer.close()
        async with kubbo.Channel() as channel:
            mirror = channel.refer(Mirror, f"static:///127.0.0.1:{server.port}")
            assert await mirror.send(b"x" * 150_000) == b"x" * 150_000


def test_a_budget_gives_no_more_than_it_has() -> None:
    """Taking too much takes nothing."""
    budget = Budget(10)
    assert budget.take(7)
    assert not budget.take(4)
    assert budget.take(3)
    budget.give_back(10)
    assert budget.left_bytes == 10


async def test_calls_above_the_budget_are_refused_at_once() -> None:
    """A request that would not fit beside those being served is answered: overloaded."""
    async with kubbo.Server(0, host="127.0.0.1", max_held_bytes=200_000) as server:
        server.export(MirrorHere())
        await server.start()
        async with kubbo.Channel() as channel:
            mirror = channel.refer(Mirror, f"static:///127.0.0.1:{server.port}")
            with pytest.raises(kubbo.RpcError) as caught:
                await mirror.send(b"x" * 250_000)
            assert await mirror.send(b"x" * 1_000) == b"x" * 1_000
    assert caught.value.code in (kubbo.Code.RESOURCE_EXHAUSTED, kubbo.Code.UNAVAILABLE)
