"""Fallbacks, limits of a consumer, groups that are merged: over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from tests.unit.rpc.loopback import (
    FakeProvider,
    OutOfStockError,
    Shop,
    ShopHere,
    at,
    frame,
    serving,
)
from tests.unit.rpc.test_failover import unused_port

import kubbo
from kubbo import Code, ConfigError, RemoteException, RpcError, UsageError
from kubbo.cluster.breaker import BreakerRules
from kubbo.wire.hessian2 import encode

if TYPE_CHECKING:
    from kubbo.model import Handler, Invocation, Result


class Seen:
    """A filter that keeps the results it sees."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    async def __call__(self, invocation: Invocation, proceed: Handler, /) -> Result:
        result = await proceed(invocation)
        self.results.append(result)
        return result


class Cached:
    """Stands in for two methods of the shop."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    async def who(self) -> str:
        self.asked.append("who")
        return "cached"

    def echo(self, value: object) -> object:
        self.asked.append(value)
        return f"cached {value}"


async def test_a_fallback_stands_in_for_every_failure_of_a_call() -> None:
    """No provider, refused, lost, late: its method runs with the arguments, async or not."""
    cached = Cached()
    nobody = f"static:///127.0.0.1:{unused_port()}"
    async with (
        FakeProvider(lambda call, body: None) as breaks,
        serving(ShopHere()) as server,
        kubbo.Channel(timeout=0.5, retries=0) as channel,
    ):
        for target in (nobody, breaks.target):
            shop = channel.refer(Shop, target, fallback=cached)
            assert await shop.who() == "cached"
            assert await shop.echo([1, 2]) == "cached [1, 2]"
            with pytest.raises(RpcError):  # it has no such method
                await shop.size("x")
        shop = channel.refer(Shop, at(server), fallback=cached)
        cached.asked.clear()
        assert await shop.who() == "shop"
        assert not cached.asked


async def test_what_the_method_threw_is_an_answer() -> None:
    """It is replaced only where its class is named."""

    class Silent:
        async def fail(self, how: str) -> None:
            return None

    async with serving(ShopHere()) as server, kubbo.Channel(timeout=20.0) as channel:
        shop = channel.refer(Shop, at(server), fallback=Silent())
        with pytest.raises(OutOfStockError):
            await shop.fail("declared")
        with pytest.raises(RemoteException):
            await shop.fail("value")
        named = channel.refer(
            Shop, at(server), fallback=Silent(), fallback_on=[OutOfStockError, RemoteException]
        )
        assert await named.fail("declared") is None  # type: ignore[func-returns-value]
        assert await named.fail("value") is None  # type: ignore[func-returns-value]


async def test_failures_are_named_by_class_or_by_code() -> None:
    """What is not named is raised."""
    nobody = f"static:///127.0.0.1:{unused_port()}"
    async with kubbo.Channel(timeout=20.0, retries=0) as channel:
        late = channel.refer(Shop, nobody, fallback=Cached(), fallback_on=[kubbo.DeadlineExceeded])
        with pytest.raises(RpcError) as raised:
            await late.who()
        assert raised.value.code is Code.UNAVAILABLE
        away = channel.refer(Shop, nobody, fallback=Cached(), fallback_on=[Code.UNAVAILABLE])
        assert await away.who() == "cached"


async def test_a_fallback_that_fits_nothing_is_refused() -> None:
    """An object without any method of the interface, a failure that is none."""
    async with kubbo.Channel() as channel:
        with pytest.raises(UsageError, match=r"no method of com\.example\.Shop"):
            channel.refer(Shop, "static:///127.0.0.1:1", fallback=object())
        wrong: Any = [int]
        with pytest.raises(UsageError, match="no failure"):
            channel.refer(Shop, "static:///127.0.0.1:1", fallback=Cached(), fallback_on=wrong)


async def test_a_degraded_result_says_so_to_its_observer() -> None:
    """The failure that the fallback stood in for."""
    from tests.unit.rpc.test_limits import Notes

    seen = Notes()
    async with kubbo.Channel(retries=0, observer=seen) as channel:
        nobody = f"static:///127.0.0.1:{unused_port()}"
        assert await channel.refer(Shop, nobody, fallback=Cached()).who() == "cached"
    (call,) = seen.calls
    assert call.error is None
    assert isinstance(call.degraded, RpcError)


async def test_failsafe_marks_its_result_for_filters() -> None:
    """A filter sees None, and what failed."""
    seen = Seen()
    async with kubbo.Channel(filters=[seen], cluster="failsafe") as channel:
        nobody = f"static:///127.0.0.1:{unused_port()}"
        assert await channel.refer(Shop, nobody).who() is None
    assert isinstance(seen.results[0].degraded, RpcError)


async def test_actives_makes_calls_wait_for_their_turn() -> None:
    """No more than so many are in flight; the others follow, and none is lost."""
    here = ShopHere()
    async with serving(here) as server, kubbo.Channel(timeout=20.0) as channel:
        shop = channel.refer(Shop, at(server), actives=2)
        calls = [asyncio.create_task(shop.wait("key")) for _ in range(6)]
        await here.begun("key", 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert here.started["key"] == 2
        here.release("key")
        assert await asyncio.gather(*calls) == ["shop key"] * 6


async def test_a_breaker_of_one_method_leaves_the_others_alone() -> None:
    """Only the method that declares one has its providers ejected by its own faults."""

    @kubbo.service("com.example.Shop", version="1.0.0")
    class Two(Protocol):
        async def who(self) -> str: ...
        @kubbo.method(timeout=0.05, parameters={"breaker.consecutive": 2, "breaker.ejection": 60})
        async def wait(self, key: str) -> str: ...

    slow, quick = ShopHere("slow"), ShopHere("quick")
    quick.release("key")
    async with (
        serving(slow) as one,
        serving(quick) as two,
        kubbo.Channel(timeout=20.0, breaker=None, loadbalance="random") as channel,
    ):
        shop = channel.refer(Two, at(one, two))
        while len({await shop.who() for _ in range(10)}) < 2:
            pass
        failed = 0
        for _ in range(60):
            try:
                await shop.wait("key")
            except kubbo.DeadlineExceeded:
                failed += 1
        assert failed == 2
        assert slow.started["key"] == 2
        assert {await shop.who() for _ in range(40)} == {"slow", "quick"}


async def test_the_breaker_of_a_target_is_switched_off_for_a_reference() -> None:
    """`breaker.enabled` says so: its calls go on to a provider that always fails."""
    async with (
        FakeProvider(lambda call, body: frame(0x02, 80, call, encode("boom"))) as breaks,
        serving(ShopHere()) as server,
        kubbo.Channel(
            timeout=20.0, retries=0, breaker=BreakerRules(consecutive=1), loadbalance="random"
        ) as channel,
    ):
        target = f"{at(server)},127.0.0.1:{breaks.port}"
        open_door = channel.refer(Shop, target, parameters={"breaker.enabled": False})
        for _ in range(100):
            with suppress(RpcError):
                await open_door.who()
            if breaks.requests > 3:
                break
        assert breaks.requests > 3
        guarded = channel.refer(Shop, target)
        before = breaks.requests
        while breaks.requests == before:
            with suppress(RpcError):
                await guarded.who()
        assert {await guarded.who() for _ in range(50)} == {"shop"}
        with pytest.raises(ConfigError, match=r"breaker\.sloow"):
            await channel.refer(Shop, target, parameters={"breaker.sloow": 1}).who()


def menu(group: str) -> type:
    """The interface of a group."""

    @kubbo.service("com.example.Menu", group=group)
    class Menu(Protocol):
        async def dishes(self) -> list[str]: ...
        async def prices(self) -> dict[str, int]: ...

    return Menu


class MenuHere:
    def __init__(self, dish: str, price: int) -> None:
        self.dish = dish
        self.price = price

    async def dishes(self) -> list[str]:
        if not self.dish:
            raise ValueError("closed")
        return [self.dish]

    async def prices(self) -> dict[str, int]:
        return {self.dish: self.price}


async def test_results_of_several_groups_are_merged() -> None:
    """Each group is called once, and their lists and maps become one, in the order of groups."""
    async with kubbo.Server(0, host="127.0.0.1") as server, kubbo.Channel(timeout=20.0) as channel:
        server.export(MenuHere("soup", 5), menu("lunch"))
        server.export(MenuHere("stew", 9), menu("dinner"))
        server.export(MenuHere("", 0), menu("closed"))
        await server.start()
        both: Any = channel.refer(menu("lunch,dinner"), at(server), cluster="mergeable")
        assert await both.dishes() == ["soup", "stew"]
        assert await both.prices() == {"soup": 5, "stew": 9}
        counted: Any = channel.refer(
            menu("lunch,dinner"), at(server), cluster="mergeable", merger=len
        )
        assert await counted.dishes() == 2
        closed: Any = channel.refer(menu("lunch,closed"), at(server), cluster="mergeable")
        with pytest.raises(RemoteException, match="closed"):
            await closed.dishes()


async def test_groups_that_cannot_be_merged_are_told() -> None:
    """Without the policy, with a star, with a merger that is none."""
    async with kubbo.Channel() as channel:
        target = "static:///127.0.0.1:1"
        with pytest.raises(UsageError, match="mergeable"):
            channel.refer(menu("a,b"), target)
        with pytest.raises(UsageError, match="no registry lists the groups"):
            channel.refer(menu("*"), target, cluster="mergeable")
        with pytest.raises(ConfigError, match="merger"):
            channel.refer(menu("a,b"), target, cluster="mergeable", merger="zip")


async def test_a_live_mock_stands_in() -> None:
    """A line in the options of a reference, as configuration gives it."""
    async with kubbo.Channel(retries=0) as channel:
        nobody = f"static:///127.0.0.1:{unused_port()}"
        shop = channel.refer(Shop, nobody, mock='return "closed"')
        assert await shop.who() == "closed"
