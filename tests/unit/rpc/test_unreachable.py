"""What a caller is told when nobody can be reached, by a channel and all that is behind it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from tests.unit.rpc.loopback import Shop

import kubbo
from kubbo import Code, DeadlineExceeded, Progress, RpcError
from kubbo.errors import NoProvider
from kubbo.sim.apiserver import ApiServer, Hang, Store

if TYPE_CHECKING:
    from pathlib import Path


def unused_ports(count: int) -> list[int]:
    """Ports on which nobody listens."""
    free = [socket.socket() for _ in range(count)]
    try:
        for each in free:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in free]
    finally:
        for each in free:
            each.close()


def texts(error: RpcError) -> list[str]:
    """The steps of an error's funnel."""
    return [str(step) for step in error.funnel]


@pytest.mark.parametrize("cluster", ["failover", "failfast", "available", "broadcast"])
async def test_every_provider_refuses_connections(cluster: str) -> None:
    """The error is that of the connection, as ever, and has the whole funnel and the advice."""
    first, second = sorted(unused_ports(2))
    target = f"static:///127.0.0.1:{first},127.0.0.1:{second}"
    async with kubbo.Channel(timeout=20.0, breaker=None) as channel:
        with pytest.raises(RpcError, match="cannot connect: Connection refused") as caught:
            await channel.refer(Shop, target, cluster=cluster).who()
    error = caught.value
    assert not isinstance(error, NoProvider)
    assert (error.code, error.progress) == (Code.UNAVAILABLE, Progress.NOT_SENT)
    assert [(step.name, step.count) for step in error.funnel] == [
        ("naming", 2),
        ("connection", 0),
    ]
    assert "Connection refused" in error.funnel[-1].note
    assert f"check that a provider listens on 127.0.0.1:{first}, 127.0.0.1:{second}," in str(error)
    assert all(each.funnel == () for each in error.attempts)


async def test_the_breaker_is_a_step_when_it_has_left_somebody_out() -> None:
    """Once one of two is ejected, the funnel says which."""
    ports = unused_ports(2)
    target = "static:///" + ",".join(f"127.0.0.1:{port}" for port in ports)
    rules = kubbo.BreakerRules(consecutive=1)
    async with kubbo.Channel(timeout=20.0, retries=0, breaker=rules) as channel:
        with pytest.raises(RpcError) as caught:
            await channel.refer(Shop, target).who()
    error = caught.value
    assert texts(error)[1] == f"breaker 1 (left out: {error.endpoint})"
    assert texts(error)[2].startswith("connection 0 (1 ")


@pytest.mark.parametrize("target", ["kubernetes:///greeter.shop:dubbo", None])
async def test_the_api_server_hangs(target: str | None, tmp_path: Path) -> None:
    """The error says whom it waits for, and with whose credentials it asks."""
    async with ApiServer(Store()) as server:
        server.faults.add(Hang(), times=None)
        path = server.kubeconfig(tmp_path / "config", namespace="shop")
        async with (
            kubbo.NamingContext(kubeconfig=path, environ={}) as naming,
            kubbo.Channel(naming=naming, timeout=0.05) as channel,
        ):
            source = (await naming.cluster()).access.source
            with pytest.raises(DeadlineExceeded, match="not resolved in time") as caught:
                await channel.refer(Shop, target).who()
    name = target or "com.example.Shop:1.0.0"
    assert texts(caught.value) == [
        f"naming ({name}, pending: the API server (asked with {source}) has not answered)"
    ]
    command = "endpoints" if target else "map"
    assert caught.value.advice.startswith(f"`kubbo {command} {name}` shows")
