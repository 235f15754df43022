"""Balancer, slow start and subset, as a channel and its references say."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

import kubbo
from kubbo.cluster.balancers import P2CBalance
from kubbo.errors import ConfigError, RpcError

TARGET = "static:///" + ",".join(f"127.0.0.1:{port}" for port in range(1, 8))


@kubbo.service("com.example.Greeter")
class Greeter(Protocol):
    async def greet(self, name: str) -> str: ...


def directory(stub: Any) -> Any:
    return stub.kubbo_reference.directory


async def test_a_subset_is_of_the_reference() -> None:
    """References that want other shares of a target have views of their own, others share one."""
    async with kubbo.Channel(parameters={"subset": 3}) as channel:
        one: Any = channel.refer(Greeter, TARGET)
        two: Any = channel.refer(Greeter, TARGET)
        whole: Any = channel.refer(Greeter, TARGET, parameters={"subset": 0})
        while not directory(whole).members():
            with pytest.raises(RpcError):
                await whole.greet("Anna")
            with pytest.raises(RpcError):
                await one.greet("Anna")
        assert directory(one) is directory(two)
        assert directory(whole) is not directory(one)
        assert len(directory(one).members()) == 3
        assert len(directory(whole).members()) == 7
        with pytest.raises(ConfigError, match="subset='few'"):
            channel.refer(Greeter, TARGET, parameters={"subset": "few"})


async def test_mistakes_are_told_by_the_first_call() -> None:
    """A balancer that is not there, a warmup that is no time."""
    async with kubbo.Channel() as channel:
        with pytest.raises(ConfigError, match="leastactive, p2c, random, roundrobin"):
            await channel.refer(Greeter, TARGET, loadbalance="fastest").greet("Anna")
        with pytest.raises(ConfigError, match="warmup='soon'"):
            await channel.refer(Greeter, TARGET, parameters={"warmup": "soon"}).greet("Anna")


async def test_p2c_is_what_one_gets() -> None:
    """Without a word about it."""
    async with kubbo.Channel() as channel:
        stub: Any = channel.refer(Greeter, TARGET)
        with pytest.raises(RpcError):
            await stub.greet("Anna")
        [selection] = stub.kubbo_reference._selections
        balance = selection._balance
        assert isinstance(getattr(balance, "_balance", balance), P2CBalance)
