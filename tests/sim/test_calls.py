"""Whole calls, from stub to method, over the simulated network: times are exact here.

What tests/unit/rpc/test_limits.py shows over real sockets, and what there would take patience.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

import kubbo
from kubbo import Code, DeadlineExceeded, Progress, RpcError, ServingLimits
from kubbo.observe import RequestReport, Silent
from kubbo.sim.loop import SimLoop, run
from kubbo.sim.net import SimNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LATENCY = 0.001  # seconds each way


@kubbo.service("sim.Hop")
class Hop(Protocol):
    async def ask(self) -> float: ...


class Waits:
    """Answers after `seconds` with the time that its call was granted, or asks the next hop."""

    def __init__(self, seconds: float = 0.0, onward: Any = None) -> None:
        self.seconds = seconds
        self.onward = onward
        self.begun = 0
        self.cancelled_at: list[float] = []

    async def ask(self) -> float:
        self.begun += 1
        call = kubbo.current_call()
        assert call is not None
        assert call.deadline is not None
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self.seconds)
            if self.onward is not None:
                return float(await self.onward.ask())
        except asyncio.CancelledError:
            self.cancelled_at.append(loop.time())
            raise
        return call.deadline.remaining(loop.time())


class Served(Silent):
    """Counts requests."""

    def __init__(self) -> None:
        self.requests: list[RequestReport] = []

    def request_ended(self, request: RequestReport, /) -> None:
        self.requests.append(request)


class Stage:
    """Providers and channels on hosts of one network."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.network = SimNetwork(loop, random.Random(1), latency=(LATENCY, LATENCY))
        self._stack = AsyncExitStack()
        self._hosts = 0

    async def serve(self, implementation: object, **arguments: Any) -> str:
        """A provider on a host of its own; its address."""
        self._hosts += 1
        address = f"10.0.0.{self._hosts}"
        limits = arguments.pop("limits", None)
        with self.network.on(address):
            server = await self._stack.enter_async_context(kubbo.Server(20880, **arguments))
            server.export(implementation, Hop, limits=limits)
            await server.start()
        return f"{address}:20880"

    async def refer(self, *addresses: str, **arguments: Any) -> Any:
        """A stub on a host of its own, connected to every address."""
        options = {
            name: arguments.pop(name)
            for name in ("cluster", "parameters", "idempotent", "actives")
            if name in arguments
        }
        self._hosts += 1
        with self.network.on(f"10.0.0.{self._hosts}"):
            channel = await self._stack.enter_async_context(
                kubbo.Channel(**{"timeout": 60.0, "rng": random.Random(1), **arguments})
            )
            stub = channel.refer(Hop, "static:///" + ",".join(addresses), **options)
            await asyncio.sleep(0.1)
        return stub

    async def aclose(self) -> None:
        await self._stack.aclose()


def play(script: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    """Run a script, and prove that nothing is left."""
    loop = SimLoop()

    async def main() -> None:
        stage = Stage(loop)
        try:
            await script(stage)
        finally:
            await stage.aclose()

    run(main(), loop=loop)


def test_one_deadline_over_three_hops() -> None:
    """Of ten seconds the third provider is granted what two others and three ways have left."""

    async def script(stage: Stage) -> None:
        last = Waits(0.5)
        middle = Waits(3.0, await stage.refer(await stage.serve(last)))
        first = Waits(4.0, await stage.refer(await stage.serve(middle)))
        stub = kubbo.options(await stage.refer(await stage.serve(first)), timeout=10.0)
        assert await stub.ask() == pytest.approx(10.0 - 4.0 - 3.0 - 0.5 - 3 * LATENCY, abs=0.005)

    play(script)


def test_an_expired_deadline_ends_three_hops_together() -> None:
    """Every handler is cancelled when the first caller's time is over, and not later."""

    async def script(stage: Stage) -> None:
        last = Waits(100.0)
        middle = Waits(1.0, await stage.refer(await stage.serve(last)))
        first = Waits(1.0, await stage.refer(await stage.serve(middle)))
        stub = kubbo.options(await stage.refer(await stage.serve(first)), timeout=10.0)
        start = stage.loop.time()
        with pytest.raises(DeadlineExceeded):
            await stub.ask()
        assert stage.loop.time() - start == pytest.approx(10.0, abs=0.02)
        await asyncio.sleep(1.0)
        for hop in (first, middle, last):
            (ended,) = hop.cancelled_at
            assert ended - start == pytest.approx(10.0, abs=0.03)

    play(script)


def test_a_call_given_up_ends_three_hops_one_way_after_the_other() -> None:
    """The word goes from hop to hop: each handler ends one latency after the one before."""

    async def script(stage: Stage) -> None:
        last = Waits(100.0)
        middle = Waits(0.0, await stage.refer(await stage.serve(last)))
        first = Waits(0.0, await stage.refer(await stage.serve(middle)))
        stub = await stage.refer(await stage.serve(first))
        call = asyncio.create_task(stub.ask())
        await asyncio.sleep(5.0)
        given_up = stage.loop.time()
        call.cancel()
        await asyncio.sleep(1.0)
        ends = [hop.cancelled_at[0] - given_up for hop in (first, middle, last)]
        assert ends == pytest.approx([LATENCY, 2 * LATENCY, 3 * LATENCY], abs=0.0005)

    play(script)


def test_a_hedge_is_sent_after_its_delay_and_its_loser_is_cancelled() -> None:
    """The answer comes after the delay and one quick call; the slow handler ends then."""

    async def script(stage: Stage) -> None:
        hops = [Waits(30.0), Waits(0.2)]
        addresses = [await stage.serve(hop) for hop in hops]
        stub = await stage.refer(
            *addresses,
            loadbalance="random",
            retry_budget=1.0,
            cluster="hedging",
            idempotent=True,
            parameters={"hedge.delay": 0.5},
        )
        while not hops[0].begun:
            start = stage.loop.time()
            await stub.ask()
        assert stage.loop.time() - start == pytest.approx(0.5 + 0.2 + 2 * LATENCY, abs=0.005)
        await asyncio.sleep(0.1)
        assert hops[0].cancelled_at == [pytest.approx(start + 0.7 + 3 * LATENCY, abs=0.005)]

    play(script)


def test_pushback_is_obeyed_to_the_moment() -> None:
    """The only provider says when its next call is free; the retry comes then, and succeeds."""

    async def script(stage: Stage) -> None:
        hop = Waits()
        stub = await stage.refer(await stage.serve(hop, limits=ServingLimits(tps=0.1)))
        await stub.ask()
        start = stage.loop.time()
        await stub.ask()
        assert stage.loop.time() - start == pytest.approx(10.0, abs=0.01)
        assert hop.begun == 2

    play(script)


def test_a_full_bulkhead_refuses_in_one_round_trip() -> None:
    """Nothing queues at the provider that shall not."""

    async def script(stage: Stage) -> None:
        hop = Waits(10.0)
        stub = await stage.refer(
            await stage.serve(hop, limits=ServingLimits(executes=1)), retries=0
        )
        busy = asyncio.create_task(stub.ask())
        await asyncio.sleep(0.1)
        start = stage.loop.time()
        with pytest.raises(RpcError) as full:
            await stub.ask()
        assert stage.loop.time() - start == pytest.approx(2 * LATENCY, abs=0.0005)
        assert full.value.code is Code.RESOURCE_EXHAUSTED
        assert full.value.progress is Progress.NOT_SENT
        await busy

    play(script)


def test_a_storm_makes_no_more_requests_than_calls() -> None:
    """5,000 calls to providers of which every one is overloaded: 1.002 requests a call."""

    async def script(stage: Stage) -> None:
        served = Served()
        addresses = [
            await stage.serve(Waits(), limits=ServingLimits(tps=1e-6), observer=served)
            for _ in range(3)
        ]
        stub = await stage.refer(*addresses, timeout=0.01, breaker=None)
        failed = 0
        for _ in range(5_000):
            try:
                await stub.ask()
            except RpcError:
                failed += 1
        assert failed >= 4_997
        assert len(served.requests) <= 5_000 + 10

    play(script)


def test_an_empty_budget_fails_what_a_full_one_repeats() -> None:
    """A provider that breaks each call: with a budget another answers, without one the call
    fails, with the failure of its one attempt."""

    async def script(stage: Stage) -> None:
        hop = Waits()
        full = await stage.serve(Waits(), limits=ServingLimits(tps=1e-6))
        for share, lost in ((0.2, 0), (0.0, 1)):
            stub = await stage.refer(full, await stage.serve(hop), retry_budget=share)
            outcomes: list[Any] = []
            for _ in range(50):
                outcomes += await asyncio.gather(stub.ask(), return_exceptions=True)
            failures = [each for each in outcomes if isinstance(each, RpcError)]
            assert len(failures) == lost  # after its first refusal it rests
            assert not any(each.attempts for each in failures)

    play(script)
