"""Faults, copies and diversions, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from tests.unit.rpc.loopback import Shop, ShopHere, at, serving

import kubbo
from kubbo import Code, ConfigError, DeadlineExceeded, NoProvider, Progress, RpcError, UsageError
from kubbo.cluster.routing import Consumer, parse
from kubbo.rpc.traffic import Divert, Fault, Mirror

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ME = Consumer(parameters={"env": "gray"})
NOWHERE = "static:///127.0.0.1:1"


class Two:
    """Two providers, `main` and `other`, and a channel."""

    def __init__(self, channel: kubbo.Channel, main: str, other: str) -> None:
        self.channel = channel
        self.main_here, self.other_here = ShopHere("main"), ShopHere("other")
        self.main, self.other = main, other


@pytest.fixture
async def two() -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        main, other = ShopHere("main"), ShopHere("other")
        servers = [await stack.enter_async_context(serving(each)) for each in (main, other)]
        channel = await stack.enter_async_context(kubbo.Channel(timeout=20.0))
        both = Two(channel, *(at(server) for server in servers))
        both.main_here, both.other_here = main, other
        yield both


async def copied(mirror: Mirror) -> None:
    """Return when the copies that were sent have their end."""
    tasks = mirror._other.reference.background._tasks
    if tasks:
        await asyncio.wait(tasks, timeout=20)
    assert not mirror._active


# --- faults ----------------------------------------------------------------------------------


async def test_a_call_is_failed_with_the_code(two: Two) -> None:
    """It never reaches a provider, and says that it was a fault."""
    fault = Fault(abort=Code.RESOURCE_EXHAUSTED, when="method=who", consumer=ME)
    shop = two.channel.refer(Shop, two.main, filters=[fault])
    with pytest.raises(RpcError, match="a fault was injected") as caught:
        await shop.who()
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.progress is Progress.NOT_SENT
    assert two.main_here.started["who"] == 0
    assert await shop.echo("x") == "x", "the fault is of another method"


async def test_a_share_of_the_calls_is_failed(two: Two) -> None:
    """30 percent of 300 calls, by the dice that were given."""
    fault = Fault(percent=30, abort=Code.INTERNAL, consumer=ME, rng=random.Random(1))
    shop = two.channel.refer(Shop, two.main, filters=[fault])
    ends = await asyncio.gather(*(shop.echo(n) for n in range(300)), return_exceptions=True)
    failed = sum(isinstance(each, RpcError) for each in ends)
    assert 60 <= failed <= 120


async def test_a_delay_is_within_the_deadline(two: Two) -> None:
    """A short one is waited for; one that is longer than the deadline ends with it."""
    slow = two.channel.refer(Shop, two.main, filters=[Fault(delay=0.01, consumer=ME)])
    assert await slow.who() == "main"
    stuck = two.channel.refer(
        Shop, two.main, filters=[Fault(delay=3600.0, consumer=ME)], timeout=0.05
    )
    with pytest.raises(DeadlineExceeded, match="a delay of 3600 s"):
        await stuck.who()


def test_faults_that_mean_nothing_are_refused() -> None:
    """Numbers out of range, a code that is no failure, a condition that cannot be read."""
    with pytest.raises(ConfigError, match="percent=101"):
        Fault(percent=101)
    with pytest.raises(ConfigError, match="percent=nan"):
        Fault(percent=float("nan"))
    with pytest.raises(ConfigError, match="delay=-1"):
        Fault(delay=-1)
    with pytest.raises(ConfigError, match="abort=OK"):
        Fault(abort=Code.OK)
    with pytest.raises(ConfigError, match="when='method'"):
        Fault(when="method")


# --- copies ----------------------------------------------------------------------------------


async def test_a_copy_goes_to_the_other_one_too(two: Two) -> None:
    """The caller gets the first one's answer; the copy carries a mark."""
    mirror = Mirror(two.channel.refer(Shop, two.other), consumer=ME)
    shop = two.channel.refer(Shop, two.main, filters=[mirror])
    assert await shop.who() == "main"
    await copied(mirror)
    assert two.other_here.started["who"] == 1
    assert two.main_here.started["who"] == 1
    assert (mirror.sent, mirror.failed, mirror.dropped) == (1, 0, 0)


async def test_a_copy_is_not_waited_for(two: Two) -> None:
    """The call ends while its copy hangs, and closing the channel ends the copy."""
    mirror = Mirror(two.channel.refer(Shop, two.other), consumer=ME, limit=2)
    shop = two.channel.refer(Shop, two.main, filters=[mirror])
    two.main_here.release("key")
    for _ in range(3):
        assert await shop.wait("key") == "main key"
    await two.other_here.begun("key", 2)
    assert (mirror.sent, mirror.dropped) == (2, 1), "no more than `limit` at once"


async def test_a_copy_that_fails_is_counted_and_nothing_else(two: Two) -> None:
    """Neither the provider's exception nor a lack of providers reaches the caller."""
    for target in (two.other, NOWHERE):
        mirror = Mirror(two.channel.refer(Shop, target, timeout=5.0), consumer=ME)
        shop = two.channel.refer(Shop, two.main, filters=[mirror])
        with pytest.raises(RpcError) as caught:
            await shop.fail("value")
        assert "bad value" in str(caught.value)
        await copied(mirror)
        assert mirror.failed == 1
    assert two.main_here.started["fail"] == 2
    assert two.other_here.started["fail"] == 1, "a copy is not repeated"


async def test_a_share_of_the_calls_is_copied(two: Two) -> None:
    """And only those that are meant."""
    mirror = Mirror(
        two.channel.refer(Shop, two.other),
        percent=50,
        when="method=who & env=gray",
        consumer=ME,
        rng=random.Random(1),
    )
    shop = two.channel.refer(Shop, two.main, filters=[mirror])
    for _ in range(100):
        await shop.who()
        await shop.echo("x")
    await copied(mirror)
    assert 30 <= mirror.sent <= 70
    assert two.other_here.started["who"] == mirror.sent


# --- diversions ------------------------------------------------------------------------------


async def test_calls_with_the_header_go_to_the_canary(two: Two) -> None:
    """A canary that is a Service of its own, by attachment."""
    canary = two.channel.refer(Shop, two.other)
    divert = Divert(canary, when="attachments[x-canary]=true", consumer=ME)
    shop = two.channel.refer(Shop, two.main, filters=[divert])
    assert await shop.who() == "main"
    assert await kubbo.options(shop, attachments={"x-canary": "true"}).who() == "other"


async def test_a_share_of_the_calls_goes_to_the_canary(two: Two) -> None:
    """25 percent of 200."""
    divert = Divert(
        two.channel.refer(Shop, two.other), percent=25, consumer=ME, rng=random.Random(2)
    )
    shop = two.channel.refer(Shop, two.main, filters=[divert])
    answers = [await shop.who() for _ in range(200)]
    assert 30 <= answers.count("other") <= 70
    assert answers.count("other") == two.other_here.started["who"]


async def test_a_canary_that_is_not_there_takes_nobodys_calls(two: Two) -> None:
    """What provably did not reach it goes on; what it threw does not run twice."""
    gone = Divert(two.channel.refer(Shop, NOWHERE, retries=0), consumer=ME)
    assert await two.channel.refer(Shop, two.main, filters=[gone]).who() == "main"
    there = Divert(two.channel.refer(Shop, two.other), consumer=ME)
    shop = two.channel.refer(Shop, two.main, filters=[there])
    with pytest.raises(RpcError, match="bad value"):
        await shop.fail("value")
    assert two.main_here.started["fail"] == 0


def test_only_a_stub_can_be_the_other_one() -> None:
    """A target is no reference yet."""
    with pytest.raises(UsageError, match="is no stub"):
        Mirror("static:///127.0.0.1:1")
    with pytest.raises(UsageError, match="is no stub"):
        Divert(None)


# --- routers of a channel and of a reference --------------------------------------------------


async def test_routers_of_channel_and_reference_narrow_together(two: Two) -> None:
    """Both narrow; whoever leaves nobody is named by the error, with its funnel."""
    ports = [int(target.rpartition(":")[2]) for target in (two.main, two.other)]
    both = f"static:///127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"
    keep = parse({"conditions": [f"=> port={ports[0]}"]}, source="keep", consumer=ME)
    never = parse(
        {"conditions": ["method=echo =>"], "key": "com.example.Shop:1.0.0:"},
        source="never",
        consumer=ME,
    )
    async with kubbo.Channel(timeout=20.0, routers=[keep]) as channel:
        shop = channel.refer(Shop, both, routers=[never])
        assert {await shop.who() for _ in range(10)} == {"main"}
        with pytest.raises(NoProvider) as caught:
            await shop.echo("x")
        assert "condition rule com.example.Shop:1.0.0: (never) leaves none of 1" in str(
            caught.value
        )
        assert str(caught.value.funnel[-1]) == (
            "routing 0 (condition rule com.example.Shop:1.0.0: (never))"
        )


async def test_rules_that_are_taken_away_are_gone_at_once(two: Two) -> None:
    """Reference.route takes effect with the next call."""
    rule = parse({"conditions": ["=>"]}, source="none", consumer=ME)
    shop = two.channel.refer(Shop, two.main, routers=[rule])
    with pytest.raises(NoProvider):
        await shop.who()
    reference = shop.kubbo_reference  # type: ignore[attr-defined]  # of the stub, not of Shop
    reference.route(())
    assert await shop.who() == "main"
    reference.route([rule])
    with pytest.raises(NoProvider):
        await shop.who()
