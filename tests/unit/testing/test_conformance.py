"""The exported checks: ours pass them, and what breaks a promise does not."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from kubbo.cluster.balancers import RandomBalance
from kubbo.model import Endpoint
from kubbo.naming.open import NamingContext, open_resolver
from kubbo.naming.resolution import Absent, Failed, Members, Pending, Resolution
from kubbo.naming.target import parse_target
from kubbo.sim.apiserver import ApiServer, Store
from kubbo.testing import check_load_balance, check_resolver, check_session
from kubbo.wire.dubbo2 import Dubbo2Session, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.model import Invocation
    from kubbo.naming.resolution import Publish
    from kubbo.wire.session import Event


class FirstOnly:
    """Always the first member."""

    def __init__(self, rng: random.Random) -> None:
        del rng

    def bind(self, pool: Pool) -> Picker:
        return lambda _call, _avoid=(): pool.members[0]


class Evenly(FirstOnly):
    """Every member alike, weight or not."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def bind(self, pool: Pool) -> Picker:
        return lambda _call, _avoid=(): self.rng.choice(pool.members)


class Forgetful(FirstOnly):
    """Names whoever comes, also whom it shall avoid."""

    def __init__(self, rng: random.Random) -> None:
        self.balance = RandomBalance(rng)

    def bind(self, pool: Pool) -> Picker:
        pick = self.balance.bind(pool)
        return lambda call, _avoid=(): pick(call)


class Stale(FirstOnly):
    """Goes on with the pool that it was bound to first."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.pools: dict[int, Picker] = {}

    def bind(self, pool: Pool) -> Picker:
        return self.pools.setdefault(1, RandomBalance(self.rng).bind(pool))


class Unseeded(FirstOnly):
    """Takes its chances from elsewhere."""

    def bind(self, pool: Pool) -> Picker:
        members = [m for m in pool.members if m.endpoint.weight] or list(pool.members)

        def pick(invocation: Invocation, avoid: Collection[Member] = ()) -> Member:
            return random.choice(members)

        return pick


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (FirstOnly, "only 1"),
        (Evenly, "weight 0"),
        (Unseeded, "same seed"),
        (Forgetful, "to avoid"),
        (Stale, "is gone"),
    ],
)
def test_a_balancer_that_breaks_a_promise_is_told(
    make: Callable[[random.Random], FirstOnly], says: str
) -> None:
    """Each promise can fail by itself."""
    with pytest.raises(AssertionError, match=says):
        check_load_balance(make)


def consumer() -> Dubbo2Session:
    return Dubbo2Session(Role.CONSUMER, now=0.0)


def provider() -> Dubbo2Session:
    return Dubbo2Session(Role.PROVIDER, now=0.0)


def test_dubbo2_passes() -> None:
    """Both sides of dubbo2 keep what every session promises."""
    check_session(consumer, provider)


class Deaf(Dubbo2Session):
    """Reads whole chunks only: what is cut in the middle is lost."""

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        return super().receive_data(data, now) if len(data) > 7 else []


class Trusting(Dubbo2Session):
    """Waits for ever for what foreign bytes might become."""

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        return super().receive_data(data, now) if data[:1] != b"G" else []

    def receive_eof(self, now: float) -> list[Event]:
        return [event for event in super().receive_eof(now) if not event.reason] or []  # type: ignore[union-attr]


class Miscounting(Dubbo2Session):
    """Knows no call that waits."""

    @property
    def open_calls(self) -> int:
        return 0


def test_a_session_that_breaks_a_promise_is_told() -> None:
    """Chunking, counts and foreign bytes are really looked at."""
    with pytest.raises(AssertionError, match="are open"):
        check_session(consumer, lambda: Miscounting(Role.PROVIDER, now=0.0))
    with pytest.raises(AssertionError, match="arrived as"):
        check_session(consumer, lambda: Deaf(Role.PROVIDER, now=0.0))
    with pytest.raises((AssertionError, IndexError)):
        check_session(lambda: Trusting(Role.CONSUMER, now=0.0), provider)


def has_members(resolution: Resolution) -> bool:
    return isinstance(resolution, Members)


async def test_static_passes() -> None:
    """Listed addresses are a resolver like any other."""
    target = parse_target("static:///10.0.0.1:20880,10.0.0.2:20880")
    published = await check_resolver(
        lambda: open_resolver(target, NamingContext(environ={})), until=has_members
    )
    assert isinstance(published[-1], Members)


async def test_kubernetes_passes(tmp_path: Path) -> None:
    """A Service that is there and one that is not, from an API server."""
    store = Store()
    store.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "greeter-1",
                "namespace": "shop",
                "labels": {"kubernetes.io/service-name": "greeter"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "dubbo", "port": 20880, "protocol": "TCP"}],
            "endpoints": [
                {"addresses": ["10.244.0.1"], "conditions": {"ready": True}},
                {"addresses": ["10.244.0.2"], "conditions": {"ready": False}},
            ],
        }
    )
    async with ApiServer(store) as server:
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        async with NamingContext(kubeconfig=kubeconfig, environ={}) as naming:

            def resolver(target: str) -> Callable[[], object]:
                return lambda: open_resolver(parse_target(target), naming)

            published = await check_resolver(
                resolver("kubernetes:///greeter.shop:dubbo"),  # type: ignore[arg-type]
                until=has_members,
            )
            assert isinstance(published[-1], Members)
            assert [each.host for each in published[-1].endpoints] == ["10.244.0.1"]
            await check_resolver(
                resolver("kubernetes:///nope.shop:dubbo"),  # type: ignore[arg-type]
                until=lambda resolution: isinstance(resolution, Absent),
            )


HERE = Endpoint("10.0.0.1", 20880)


class Says:
    """A resolver that publishes what it is told to and waits."""

    def __init__(self, *says: Resolution, forgets: bool = False) -> None:
        self.says = says
        self.forgets = forgets
        self.tasks: list[asyncio.Task[bool]] = []

    async def watch(self, publish: Publish, /) -> None:
        if self.forgets:
            self.tasks.append(asyncio.create_task(asyncio.Event().wait()))
        for each in self.says:
            publish(each)
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("resolver", "says"),
    [
        (Says(Members(())), "without an endpoint"),
        (Says(Members((HERE, HERE))), "twice"),
        (Says(Members((HERE,), (HERE,))), "excluded"),
        (Says(Members((Endpoint("", 1),))), "no host"),
        (Says(Members((Endpoint("h", 0),))), "no port"),
        (Says(Absent("")), "without a reason"),
        (Says(Failed(Exception())), "without a reason"),
        (Says(Pending(), Pending()), "published twice"),
        (Says(Members((HERE,)), forgets=True), "left tasks"),
    ],
)
async def test_a_resolver_that_breaks_a_promise_is_told(resolver: Says, says: str) -> None:
    """Each promise can fail by itself."""
    with pytest.raises(AssertionError, match=says):
        await check_resolver(lambda: resolver, until=has_members)
    for task in resolver.tasks:
        task.cancel()
    await asyncio.gather(*resolver.tasks, return_exceptions=True)
