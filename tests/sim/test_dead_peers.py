"""Providers that die without a word while a call waits, at any moment of its heartbeats."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.unit.rpc.loopback import Shop, ShopHere

import kubbo
from kubbo import Progress, RpcError
from kubbo.sim.loop import SimLoop, run
from kubbo.sim.net import SimNetwork

A, B = "10.0.0.1", "10.0.0.2"


@pytest.mark.parametrize(
    "after", [0.01, 1.5, 2.99, 3.0, 3.01, 3.1, 5.9, 6.05, 8.9, 9.1, 30.0, 33.3]
)
def test_a_dead_provider_costs_a_call_ten_seconds(after: float) -> None:
    """Whenever the network goes silent: three seconds of silence, and six for an answer."""
    loop = SimLoop()
    network = SimNetwork(loop, random.Random(1))

    async def main() -> None:
        here = ShopHere()
        with network.on(B):
            server = kubbo.Server(20880, host=B, propagation=0.0)
            await server.__aenter__()
            server.export(here, Shop)
            await server.start()
        with network.on(A):
            channel = kubbo.Channel(timeout=3600.0, retries=0)
            await channel.__aenter__()
            shop = channel.refer(Shop, f"static:///{B}:20880")
            call = asyncio.create_task(kubbo.options(shop, timeout=3600.0).wait("key"))
        await here.begun("key")
        await asyncio.sleep(after)
        network.partition([A], [B])
        died = loop.time()
        with pytest.raises(RpcError, match="the peer is dead") as dead:
            await call
        assert dead.value.progress is Progress.SENT
        assert loop.time() - died <= 10.0
        network.heal()
        here.release("key")
        await channel.aclose()
        await server.aclose()

    run(main(), loop=loop)
