"""What providers let in, and what becomes of calls that are given up: over real sockets."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rpc.loopback import Shop, ShopHere, at, serving, until
from tests.unit.rpc.test_calls import connection_of, nothing_left

import kubbo
from kubbo import Code, ConfigError, Progress, RpcError, UsageError
from kubbo.observe import CallReport, RequestReport, Silent
from kubbo.rpc.admission import PRIORITY, ServingLimits, priority_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


@asynccontextmanager
async def limited(
    here: ShopHere,
    limits: ServingLimits | None = None,
    methods: Mapping[str, ServingLimits] | None = None,
    **arguments: Any,
) -> AsyncIterator[kubbo.Server]:
    """A provider of Shop with limits."""
    async with kubbo.Server(0, host="127.0.0.1", **arguments) as server:
        server.export(here, Shop, limits=limits, methods=methods)
        await server.start()
        yield server


async def test_a_full_service_answers_overloaded_at_once() -> None:
    """Above `executes` nothing waits: the refusal names the limit, and when to come back."""
    here = ShopHere()
    async with limited(here, ServingLimits(executes=1)) as server, kubbo.Channel() as channel:
        shop = channel.refer(Shop, at(server), retries=0, timeout=20.0)
        busy = asyncio.create_task(shop.wait("busy"))
        await here.begun("busy")
        with pytest.raises(
            RpcError, match=r"overloaded: com\.example\.Shop:1\.0\.0 runs 1"
        ) as full:
            await shop.who()
        assert full.value.code is Code.RESOURCE_EXHAUSTED
        assert full.value.progress is Progress.NOT_SENT
        assert full.value.refused
        assert full.value.retry_after is not None
        assert 0 < full.value.retry_after <= 1
        here.release("busy")
        await busy
        assert await shop.who() == "shop"


async def test_a_method_has_limits_of_its_own() -> None:
    """Another method of the service still runs while one is full."""
    here = ShopHere()
    methods = {"wait": ServingLimits(executes=1)}
    async with limited(here, methods=methods) as server, kubbo.Channel(timeout=20.0) as channel:
        shop = channel.refer(Shop, at(server), retries=0)
        busy = asyncio.create_task(shop.wait("busy"))
        await here.begun("busy")
        with pytest.raises(RpcError, match=r"Shop\.wait runs 1"):
            await shop.wait("busy")
        assert await shop.who() == "shop"
        here.release("busy")
        await busy


async def test_a_queue_lets_the_higher_priority_go_first() -> None:
    """Who waits is let in by the priority that its consumer sends."""
    here = ShopHere()
    limits = ServingLimits(executes=1, queue=10)
    async with limited(here, limits) as server, kubbo.Channel(timeout=20.0) as channel:
        shop = channel.refer(Shop, at(server), retries=0)
        busy = asyncio.create_task(shop.wait("busy"))
        await here.begun("busy")
        low = asyncio.create_task(shop.wait("low"))
        high = asyncio.create_task(kubbo.options(shop, attachments={PRIORITY: 5}).wait("high"))
        (inbound,) = server._connections
        await until(lambda: len(inbound.requests) == 3)
        here.release("busy")
        await here.begun("high")
        assert not here.started["low"]
        here.release("high")
        here.release("low")
        await asyncio.gather(busy, low, high)


async def test_calls_a_second() -> None:
    """Above `tps` calls are refused, with the time until the next one is free."""
    here = ShopHere()
    limits = ServingLimits(tps=0.01)
    async with limited(here, limits) as server, kubbo.Channel(timeout=20.0) as channel:
        shop = channel.refer(Shop, at(server), retries=0)
        assert await shop.who() == "shop"
        with pytest.raises(RpcError, match=r"\(tps\)") as full:
            await shop.who()
        assert full.value.retry_after == pytest.approx(100, abs=30)


async def test_probes_are_let_in_however_full_it_is() -> None:
    """`$echo` and the metadata tell that an overloaded provider is alive."""
    here = ShopHere()
    async with (
        limited(here, ServingLimits(executes=1), max_calls=1) as server,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        busy = asyncio.create_task(channel.refer(Shop, at(server)).wait("busy"))
        await here.begun("busy")
        echo = channel.generic("com.example.Shop:1.0.0", at(server), retries=0)
        assert await echo.call("$echo", types=["java.lang.Object"], args=["there?"]) == "there?"
        metadata = channel.generic(
            "org.apache.dubbo.metadata.MetadataService:1.0.0", at(server), retries=0
        )
        assert await metadata.call("version", types=[])
        with pytest.raises(RpcError, match="max_calls"):
            await kubbo.options(channel.refer(Shop, at(server)), retries=0).who()
        here.release("busy")
        await busy


@dataclass
class Hops:
    """A consumer, a provider whose `nested` waits for a second one, and that one."""

    shop: Shop
    onward: Shop
    far: ShopHere
    channels: tuple[kubbo.Channel, ...]

    async def at_rest(self) -> None:
        """The call has gone from the far handler and from both channels."""
        await self.far.broken_off("far")
        await until(lambda: all(nothing_left(channel) for channel in self.channels))


@asynccontextmanager
async def two_hops() -> AsyncIterator[Hops]:
    far = ShopHere("far")
    near = ShopHere("near")
    async with (
        serving(far) as far_server,
        kubbo.Channel(timeout=500.0) as between,
        serving(near) as near_server,
        kubbo.Channel(timeout=500.0) as channel,
    ):
        onward = between.refer(Shop, at(far_server))

        async def nested() -> str:
            return await onward.wait("far")

        near.nested_call = nested
        shop = channel.refer(Shop, at(near_server))
        yield Hops(shop, onward, far, (channel, between))


async def test_a_cancelled_call_is_dropped_at_every_hop() -> None:
    """Its consumer tells the provider, whose handler is cancelled, and with it the call that the
    handler makes itself; nothing is answered, and the connections go on."""
    async with two_hops() as hops:
        call = asyncio.create_task(hops.shop.nested())
        await hops.far.begun("far")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await hops.at_rest()
        assert await hops.shop.who() == "near"
        assert await hops.onward.who() == "far"


async def test_a_call_that_waits_for_its_turn_can_be_given_up() -> None:
    """It leaves the provider's queue without having run."""
    here = ShopHere()
    limits = ServingLimits(executes=1, queue=10)
    async with limited(here, limits) as server, kubbo.Channel(timeout=20.0) as channel:
        shop = channel.refer(Shop, at(server), retries=0)
        busy = asyncio.create_task(shop.wait("busy"))
        await here.begun("busy")
        waits = asyncio.create_task(shop.wait("waits"))
        (inbound,) = server._connections
        await until(lambda: len(inbound.requests) == 2)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        await until(lambda: len(inbound.requests) == 1)
        here.release("busy")
        await busy
        assert not here.started["waits"]


CANCELLATIONS = int(os.environ.get("KUBBO_CANCELLATIONS", "10000"))


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_cancelled_calls_leave_nothing_behind() -> None:
    """Calls that are cancelled at every stage of their way leave no future, id, task or request:
    10,000 here, a million by `make soak`."""
    here = ShopHere()
    async with serving(here) as server, kubbo.Channel(timeout=20.0) as channel:
        shop = channel.refer(Shop, at(server))
        await shop.who()
        for round_ in range(CANCELLATIONS // 10):
            calls = [asyncio.create_task(shop.wait("never")) for _ in range(10)]
            for turn in range(round_ % 8):
                await asyncio.sleep(0)
                calls[turn].cancel()
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: nothing_left(channel))
        (inbound,) = server._connections
        await until(lambda: not inbound.requests and not server._calls)
        assert not connection_of(channel)._calls
        assert await shop.who() == "shop"
    # Beside the zero, where `make soak` shows it.
    print(f"{CANCELLATIONS} calls were cancelled, 0 left anything behind")  # noqa: T201


class Notes(Silent):
    """Takes note of everything."""

    def __init__(self) -> None:
        self.calls: list[CallReport] = []
        self.requests: list[RequestReport] = []

    def call_ended(self, call: CallReport, /) -> None:
        self.calls.append(call)

    def request_ended(self, request: RequestReport, /) -> None:
        self.requests.append(request)


async def test_an_observer_sees_both_sides_of_a_call() -> None:
    """Every call with its attempts, every request with its outcome, refusals included."""
    here = ShopHere()
    seen, served = Notes(), Notes()
    async with (
        limited(here, ServingLimits(executes=1), observer=served) as server,
        kubbo.Channel(timeout=20.0, observer=seen) as channel,
    ):
        shop = channel.refer(Shop, at(server), retries=0)
        await shop.who()
        with pytest.raises(kubbo.RemoteException):
            await shop.fail("value")
        busy = asyncio.create_task(shop.wait("busy"))
        await here.begun("busy")
        with pytest.raises(RpcError):
            await shop.who()
        here.release("busy")
        await busy
        await until(lambda: len(served.requests) == 4)
    assert [type(each.error) for each in seen.calls] == [
        type(None),
        kubbo.RemoteException,
        RpcError,
        type(None),
    ]
    assert [len(each.attempts) for each in seen.calls] == [1, 1, 1, 1]
    assert all(each.elapsed >= each.attempts[0].elapsed > 0 for each in seen.calls)
    assert [each.method for each in served.requests] == ["who", "fail", "who", "wait"]
    assert [type(each.error) for each in served.requests] == [
        type(None),
        ValueError,
        RpcError,
        type(None),
    ]


class Broken(Silent):
    """An observer with a bug."""

    def call_started(self, call: CallReport, /) -> None:
        raise ZeroDivisionError

    def request_ended(self, request: RequestReport, /) -> None:
        raise ZeroDivisionError


async def test_an_observer_with_a_bug_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is logged; calls and requests go on."""
    async with (
        limited(ShopHere(), observer=Broken()) as server,
        kubbo.Channel(timeout=20.0, observer=Broken()) as channel,
    ):
        assert await channel.refer(Shop, at(server)).who() == "shop"
    assert "the observer failed" in caplog.text


@pytest.mark.parametrize(
    ("value", "priority"),
    [(5, 5), ("7", 7), (-3, -3), (10**30, 1_000), ("x", 0), (None, 0), ([1], 0), ("9" * 99, 1_000)],
)
def test_a_priority_is_a_bounded_number(value: object, priority: int) -> None:
    """Whatever a consumer writes into the attachment."""
    assert priority_of({PRIORITY: value}) == priority


def test_a_limit_that_makes_no_sense_is_refused() -> None:
    """A queue needs a limit before which it is; a limited method has to exist."""
    with pytest.raises(ConfigError, match="needs executes"):
        ServingLimits(queue=5)
    with pytest.raises(ConfigError, match="tps"):
        ServingLimits(tps=-1)
    with pytest.raises(UsageError, match="no method 'buy' to limit"):
        kubbo.Server(0).export(ShopHere(), Shop, methods={"buy": ServingLimits(executes=1)})


# --- several providers -----------------------------------------------------------------------


async def test_the_deadline_is_one_over_three_hops() -> None:
    """What is left of the first call's time is all that the third provider is granted."""
    last = ShopHere("last")
    middle = ShopHere("middle")
    first = ShopHere("first")
    async with (
        serving(last) as last_server,
        kubbo.Channel(timeout=500.0) as to_last,
        serving(middle) as middle_server,
        kubbo.Channel(timeout=500.0) as to_middle,
        serving(first) as first_server,
        kubbo.Channel(timeout=500.0) as channel,
    ):
        third = to_last.refer(Shop, at(last_server))
        second = to_middle.refer(Shop, at(middle_server))

        async def ask_last() -> str:
            return str(await third.deadline())

        middle.nested_call = ask_last
        first.nested_call = second.nested
        shop = kubbo.options(channel.refer(Shop, at(first_server)), timeout=60.0)
        granted = float(await shop.nested())
    assert 30 < granted <= 60


async def test_an_expired_call_is_dropped_at_every_hop() -> None:
    """Each hop has the deadline of the first and cancels its handler by itself."""
    async with two_hops() as hops:
        shop = kubbo.options(hops.shop, timeout=2.0, retries=0)
        with pytest.raises(kubbo.DeadlineExceeded):
            await shop.nested()
        await hops.at_rest()


async def test_an_overloaded_provider_is_left_alone_for_as_long_as_it_asks() -> None:
    """Its first refusal sends every later call elsewhere, until its time is over."""
    tired, fresh = ShopHere("tired"), ShopHere("fresh")
    limits = ServingLimits(tps=0.01)
    async with (
        limited(tired, limits) as one,
        serving(fresh) as two,
        kubbo.Channel(timeout=20.0, loadbalance="random") as channel,
    ):
        shop = channel.refer(Shop, at(one, two))
        answers = [await shop.who() for _ in range(200)]
        assert answers.count("tired") == 1
        assert answers.count("fresh") == 199


async def test_all_providers_overloaded_is_no_storm() -> None:
    """400 calls to two full providers make at most ten requests more than calls."""
    here = [ShopHere("one"), ShopHere("two")]
    served = Notes()
    limits = ServingLimits(tps=0.001)
    async with (
        limited(here[0], limits, observer=served) as one,
        limited(here[1], limits, observer=served) as two,
        kubbo.Channel(timeout=0.05) as channel,
    ):
        shop = channel.refer(Shop, at(one, two))
        failed = 0
        for _ in range(400):
            try:
                await shop.who()
            except RpcError:
                failed += 1
        assert failed >= 398
        assert len(served.requests) <= 410


async def test_a_hedge_overtakes_a_slow_provider() -> None:
    """The slow one's handler is cancelled when the other has answered."""
    slow, quick = ShopHere("slow"), ShopHere("quick")
    quick.release("key")
    async with (
        serving(slow) as one,
        serving(quick) as two,
        kubbo.Channel(timeout=20.0, retry_budget=1.0) as channel,
    ):
        shop = channel.refer(
            Shop,
            at(one, two),
            idempotent=True,
            cluster="hedging",
            parameters={"hedge.delay": 0.01},
        )
        for _ in range(20):
            assert await shop.wait("key") == "quick key"
        assert slow.started["key"]
        await slow.broken_off("key", slow.started["key"])


async def test_broadcast_reaches_every_provider() -> None:
    """Once each."""
    here = [ShopHere(name) for name in "abc"]
    async with (
        serving(here[0]) as one,
        serving(here[1]) as two,
        serving(here[2]) as three,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        shop = channel.refer(Shop, at(one, two, three), cluster="broadcast")
        await until(lambda: len(channel._dialers._dialers) == 3)  # type: ignore[union-attr]
        while {each.started["who"] for each in here} != {1}:
            for each in here:
                each.started.clear()
            await shop.who()
