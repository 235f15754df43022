"""How a provider ends, in virtual time and over the simulated network: nothing here waits."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest

import kubbo
from kubbo.rpc.lifecycle import Lifecycle, ServerState
from kubbo.sim.loop import SimLoop, run
from kubbo.sim.net import SimNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

OLD, NEW, CONSUMER = "10.0.0.1", "10.0.0.2", "10.0.0.9"
PORT = 20880
TARGET = f"static:///{OLD}:{PORT}"
BOTH = f"static:///{OLD}:{PORT},{NEW}:{PORT}"


@kubbo.service("sim.Worker", version="1.0.0")
class Worker(Protocol):
    @kubbo.method(timeout=300.0)
    async def work(self, key: str, seconds: float) -> str: ...


@dataclass
class Here:
    name: str
    began: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)

    async def at_work(self, key: str) -> None:
        while not self.began[key]:  # noqa: ASYNC110 - in virtual time this costs nothing
            await asyncio.sleep(0.001)

    async def work(self, key: str, seconds: float) -> str:
        self.began[key] += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled[key] += 1
            raise
        return f"{self.name} {key}"


def simulated(main: Callable[[SimNetwork], Coroutine[Any, Any, None]]) -> None:
    loop = SimLoop()

    async def inside() -> None:
        await main(SimNetwork(loop, random.Random(1)))

    run(inside(), loop=loop)


@asynccontextmanager
async def provider(
    network: SimNetwork, here: Here, host: str, **arguments: Any
) -> AsyncIterator[kubbo.Server]:
    with network.on(host):
        server = kubbo.Server(PORT, host=host, **arguments)
        await server.__aenter__()
        server.export(here, Worker)
        await server.start()
    try:
        yield server
    finally:
        await server.aclose()


@asynccontextmanager
async def consumer(network: SimNetwork, **arguments: Any) -> AsyncIterator[Callable[[str], Worker]]:
    """Makes stubs by their targets."""
    with network.on(CONSUMER):
        channel = kubbo.Channel(**arguments)
        await channel.__aenter__()

    def refer(target: str) -> Worker:
        with network.on(CONSUMER):  # it dials at once
            return channel.refer(Worker, target)

    try:
        yield refer
    finally:
        await channel.aclose()


def now() -> float:
    return asyncio.get_running_loop().time()


# --- the order of it ---------------------------------------------------------------------------


def test_a_call_of_thirty_seconds_ends_within_a_grace_of_forty() -> None:
    """SIGTERM with a call in flight that still takes 30 s: it ends normally, nothing is cut off,
    and the provider does not stay a second longer than that."""

    async def main(network: SimNetwork) -> None:
        here = Here("old")
        async with (
            provider(network, here, OLD, grace=40.0) as server,
            consumer(network) as refer,
        ):
            worker = refer(TARGET)
            call = asyncio.create_task(worker.work("long", 30.0))
            await here.at_work("long")
            told = now()
            server._life.take_signal(signal.SIGTERM)
            await server.drain()
            assert 29.0 < now() - told < 31.0
            assert await call == "old long"
            assert server.cut_off == 0

    simulated(main)


def test_what_the_grace_cuts_off_is_counted_logged_and_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A call of 100 s ends with propagation and grace, 25 s after the order, and with an error
    that says that nobody knows how far it got."""

    async def main(network: SimNetwork) -> None:
        here = Here("old")
        async with provider(network, here, OLD) as server, consumer(network) as refer:
            call = asyncio.create_task(refer(TARGET).work("ever", 100.0))
            await here.at_work("ever")
            told = now()
            await server.drain()
            assert now() - told == pytest.approx(25.0)
            assert server.cut_off == 1
            await server.aclose()
            with pytest.raises(kubbo.RpcError, match="the provider ended before") as failed:
                await call
            assert failed.value.progress is kubbo.Progress.SENT
            assert here.cancelled["ever"] == 1

    simulated(main)
    assert "1 calls did not end in 20 s and are cut off" in caplog.text


def test_new_connections_are_answered_during_the_propagation() -> None:
    """A consumer whose news is old still dials: for five seconds it is served, then refused."""

    async def main(network: SimNetwork) -> None:
        async with provider(network, Here("old"), OLD) as server:
            draining = asyncio.create_task(server.drain())
            await asyncio.sleep(4.9)
            assert server.state is ServerState.DRAINING
            async with consumer(network) as late:
                assert await late(TARGET).work("late", 0.0) == "old late"
            await draining
            async with consumer(network, retries=0) as later:
                with pytest.raises(kubbo.RpcError, match="cannot connect"):
                    await later(TARGET).work("later", 0.0)

    simulated(main)


@pytest.mark.parametrize(
    ("first", "after", "ends"),
    [
        (signal.SIGTERM, 1.0, 1.0),  # while the news spreads
        (signal.SIGTERM, 12.0, 12.0),  # while it finishes
        (signal.SIGINT, 3.0, 3.0),  # a person who does not want to wait either
    ],
)
def test_a_second_signal_ends_it_at_once(first: signal.Signals, after: float, ends: float) -> None:
    """Whatever it waits for, it waits no longer; what was in flight is cut off and counted."""

    async def main(network: SimNetwork) -> None:
        here = Here("old")
        async with provider(network, here, OLD) as server, consumer(network) as refer:
            call = asyncio.create_task(refer(TARGET).work("ever", 100.0))
            await here.at_work("ever")
            told = now()
            server._life.take_signal(first)
            draining = asyncio.create_task(server.drain())
            await asyncio.sleep(after)
            assert not draining.done()
            server._life.take_signal(signal.SIGTERM)
            await draining
            assert now() - told == pytest.approx(ends)
            assert server.cut_off == 1
            await server.aclose()
            with pytest.raises(kubbo.RpcError):
                await call

    simulated(main)


def test_an_interrupt_skips_the_propagation() -> None:
    """Ctrl-C: an idle provider ends at once, a busy one with its last call."""

    async def main(network: SimNetwork) -> None:
        here = Here("old")
        async with provider(network, here, OLD) as server, consumer(network) as refer:
            call = asyncio.create_task(refer(TARGET).work("short", 2.0))
            await here.at_work("short")
            told = now()
            server._life.take_signal(signal.SIGINT)
            await server.drain()
            assert now() - told == pytest.approx(2.0, abs=0.1)
            assert await call == "old short"

    simulated(main)


def test_every_state_is_passed_in_order() -> None:
    """Consumers are told before the port closes, and the port closes before the end."""
    seen: list[tuple[str, ServerState]] = []

    async def main() -> None:
        life = Lifecycle(
            5.0,
            20.0,
            in_flight=lambda: 0,
            announce=lambda: seen.append(("announced", life.state)),
            close_door=lambda: seen.append(("closed", life.state)),
        )
        await life.drain()  # it does not serve yet: nothing to end
        assert life.state is ServerState.NEW
        life.serve()
        await asyncio.gather(life.drain(), life.drain())
        assert life.state is ServerState.CLOSED

    run(main(), loop=SimLoop())
    assert seen == [("announced", ServerState.DRAINING), ("closed", ServerState.FINISHING)]


# --- what consumers notice ---------------------------------------------------------------------


def test_a_provider_stays_while_its_only_consumer_needs_it() -> None:
    """A sole provider that drains is called until it closes: with calls all the time that is the
    end of the grace, and only what was in flight at that moment fails."""

    async def main(network: SimNetwork) -> None:
        here = Here("old")
        answered = failed = 0
        async with (
            provider(network, here, OLD, grace=10.0) as server,
            consumer(network, retries=0) as refer,
        ):
            worker = refer(TARGET)
            await worker.work("first", 0.0)
            told = now()
            draining = asyncio.create_task(server.drain())
            while not draining.done():
                try:
                    await worker.work("next", 0.01)
                    answered += 1
                except kubbo.RpcError:
                    failed += 1
                await asyncio.sleep(0.05)
            assert now() - told == pytest.approx(15.0, abs=0.1)
        assert answered > 200
        assert failed <= 1

    simulated(main)


def test_a_request_that_comes_after_the_end_did_not_run() -> None:
    """It is refused, not lost: the consumer may repeat it elsewhere, idempotent or not."""

    async def main(network: SimNetwork) -> None:
        here, other = Here("old"), Here("new")
        async with (
            provider(network, here, OLD, propagation=0.0) as server,
            consumer(network) as refer,
        ):
            worker = refer(TARGET)
            await worker.work("first", 0.0)
            await server.drain()
            with pytest.raises(kubbo.RpcError, match="the provider has ended") as refused:
                await worker.work("after", 0.0)
            assert refused.value.progress is kubbo.Progress.NOT_SENT
            assert here.began["after"] == 0
            async with provider(network, other, NEW):
                both = refer(BOTH)
                assert await both.work("again", 0.0) == "new again"
                assert here.began["again"] == 0

    simulated(main)


@pytest.mark.parametrize("seed", range(20))
def test_a_consumer_makes_before_it_breaks(seed: int) -> None:
    """Its only provider drains while the next one cannot be reached yet: calls go on where they
    went, and move when the new connection is there. None fails, and each ran once."""

    async def main(network: SimNetwork) -> None:
        rng = random.Random(seed)
        old, new = Here("old"), Here("new")
        answers: Counter[str] = Counter()
        async with (
            provider(network, old, OLD) as leaving,
            provider(network, new, NEW) as coming,
            consumer(network, retries=0) as refer,
        ):
            network.partition([CONSUMER], [NEW])
            worker = refer(BOTH)
            await asyncio.sleep(0.1)  # now the old one is connected
            calls: list[asyncio.Task[None]] = []

            async def one(number: int) -> None:
                answer = await worker.work(str(number), rng.uniform(0.0, 0.5))
                answers[answer.partition(" ")[0]] += 1

            draining: asyncio.Task[None] | None = None
            for number in range(400):
                calls.append(asyncio.create_task(one(number)))
                await asyncio.sleep(0.02)
                if number == 50:
                    draining = asyncio.create_task(leaving.drain())
                if number == 250:
                    network.heal()
            await asyncio.gather(*calls)
            assert draining is not None
            await draining
            assert leaving.cut_off == coming.cut_off == 0
        assert answers["old"] > 200
        assert answers["new"] > 0
        assert all(count == 1 for count in (old.began + new.began).values())
        assert len(old.began + new.began) == 400

    simulated(main)
