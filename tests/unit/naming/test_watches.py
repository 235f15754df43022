"""Shared watches over real HTTP, against the API server in the process."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.naming.publications import SHOP, Publications, service, slices, watching

from kubbo.errors import ConfigError
from kubbo.naming import Members, NamingContext, open_resolver, parse_target
from kubbo.naming.kubernetes.client import ClusterClient
from kubbo.naming.kubernetes.resolver import KubernetesResolver
from kubbo.naming.kubernetes.watches import Watches
from kubbo.naming.target import KubernetesTarget
from kubbo.sim.apiserver import Answer, ApiServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FOLD_ABOVE = 2


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer() as server:
        server.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}})
        yield server


@pytest.fixture
async def context(server: ApiServer, tmp_path: Path) -> AsyncIterator[NamingContext]:
    path = server.kubeconfig(tmp_path / "config", namespace=SHOP, token="consumer")
    async with NamingContext(kubeconfig=path, environ={}, fold_above=FOLD_ABOVE) as context:
        yield context


@asynccontextmanager
async def following(context: NamingContext, target: str) -> AsyncIterator[Publications]:
    async with watching(open_resolver(parse_target(target), context)) as published:
        yield published


async def until(server: ApiServer, context: NamingContext, *keys: str) -> None:
    """Wait until those watches run, and no others; "" is that of the namespace."""
    expected = {SHOP: sorted(keys)} if keys else {}
    async with asyncio.timeout(20):
        # Nobody announces it: it is what tests look at.
        while context.watches().running != expected or server.open_watches != len(keys):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_targets_of_one_service_share_its_watch(
    server: ApiServer, context: NamingContext
) -> None:
    """Two ports, two spellings: one watch, four views that follow it; the last one ends it."""
    service(server)
    slices(server, "10.0.0.1")
    async with AsyncExitStack() as stack:
        views = [
            await stack.enter_async_context(following(context, f"kubernetes:///{target}"))
            for target in ("greeter:dubbo", "greeter.shop:dubbo", "greeter", "greeter:20880")
        ]
        for view in views:
            await view.members("10.0.0.1")
        slices(server, "10.0.0.2", name="two")
        for view in views:
            await view.members("10.0.0.1", "10.0.0.2")
        assert server.requests == {("watch", "endpointslices"): 1}
        await until(server, context, "greeter")
    await until(server, context)


async def test_a_port_that_is_not_there_does_not_disturb_the_others(
    server: ApiServer, context: NamingContext
) -> None:
    """One watch, one view with members and one without; each hears what concerns it."""
    service(server)
    slices(server, "10.0.0.1")
    async with (
        following(context, "kubernetes:///greeter:dubbo") as good,
        following(context, "kubernetes:///greeter:web") as bad,
    ):
        await good.members("10.0.0.1")
        assert "no such port: 'web'" in (await bad.absent()).reason
        slices(server, "10.0.0.2", name="two")
        await good.members("10.0.0.1", "10.0.0.2")
    assert len([one for one in good.every if isinstance(one, Members)]) == 2


async def test_the_second_witness_is_asked_once_for_all(
    server: ApiServer, context: NamingContext
) -> None:
    """Ten targets of a Service that does not exist cost one read of it, not ten."""
    async with AsyncExitStack() as stack:
        views = [
            await stack.enter_async_context(following(context, f"kubernetes:///nope:p{number}"))
            for number in range(10)
        ]
        for view in views:
            assert "does not exist" in (await view.absent()).reason
    assert server.requests["get", "services"] == 1


async def test_a_404_that_is_not_of_the_service_says_nothing_of_it(
    server: ApiServer, context: NamingContext
) -> None:
    """A proxy that knows no such path is no witness: that the Service is missing is not said."""
    server.faults.add(Answer(404, body="404 page not found"), verb="get", times=None)
    async with following(context, "kubernetes:///nope") as view:
        reason = (await view.absent()).reason
    assert "whether it exists could not be asked" in reason
    assert "does not exist" not in reason


async def test_many_services_fold_into_one_watch_and_back(
    server: ApiServer, context: NamingContext
) -> None:
    """Above the threshold one watch serves all, and below half of it each its own; the views see
    every change, and nothing else is ever published."""
    names = [f"s{number}" for number in range(5)]
    for number, name in enumerate(names):
        slices(server, f"10.0.0.{number}", of=name)
    async with AsyncExitStack() as stack:
        views: dict[str, Publications] = {}
        leaving: dict[str, AsyncExitStack] = {}
        for name in names:
            leaving[name] = await stack.enter_async_context(AsyncExitStack())
            views[name] = await leaving[name].enter_async_context(
                following(context, f"kubernetes:///{name}")
            )
        for number, name in enumerate(names):
            await views[name].members(f"10.0.0.{number}")
        await until(server, context, "")
        for number, name in enumerate(names):
            slices(server, f"10.0.1.{number}", of=name, name="two")
            await views[name].members(f"10.0.0.{number}", f"10.0.1.{number}")
        for name in names[1:]:
            await leaving[name].aclose()
        await until(server, context, "s0")
        server.store.delete("endpointslices", "s0-two", namespace=SHOP)
        await views["s0"].members("10.0.0.0")
        assert [type(one).__name__ for one in views["s0"].every] == ["Pending"] + ["Members"] * 3
    await until(server, context)


async def test_a_folded_watch_marks_every_view_stale_and_heals_all(
    server: ApiServer, context: NamingContext
) -> None:
    """One stream breaks: all Services it serves are marked, keep their members, and recover."""
    names = ["a", "b", "c"]
    for name in names:
        slices(server, "10.0.0.1", of=name)
    async with AsyncExitStack() as stack:
        views = [
            await stack.enter_async_context(following(context, f"kubernetes:///{name}"))
            for name in names
        ]
        for view in views:
            await view.members("10.0.0.1")
        await until(server, context, "")
        await server.stop(abrupt=True)
        for view in views:
            await view.until(lambda one: isinstance(one, Members) and one.stale_since is not None)
        server.store.delete("endpointslices", "b-one", namespace=SHOP)
        slices(server, "10.0.0.2", of="b")
        await server.start()
        await views[0].until(lambda one: isinstance(one, Members) and one.stale_since is None)
        await views[1].members("10.0.0.2")


async def test_whoever_leaves_in_the_middle_leaves_nothing(
    server: ApiServer, context: NamingContext
) -> None:
    """Cancelled at any moment of its start, the last one to follow leaves no task and no stream."""
    slices(server, "10.0.0.1")
    for turns in range(40):
        task = asyncio.create_task(
            open_resolver(parse_target("kubernetes:///greeter"), context).watch(Publications())
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert context.watches().running == {}
        assert not [one for one in asyncio.all_tasks() if "kubbo watch" in one.get_name()]


async def test_a_bug_in_a_watch_ends_those_who_follow_it(context: NamingContext) -> None:
    """An error that nobody expects is raised by the resolvers, not lost with a task."""

    class Broken(ClusterClient):
        def watch(self, *_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

    async def connect() -> ClusterClient:
        return Broken((await context.cluster()).access)

    watches = Watches(rng=random.Random(1))
    resolvers = [
        KubernetesResolver(
            KubernetesTarget("greeter", SHOP, port),
            connect,
            rng=random.Random(1),
            watches=watches,
        )
        for port in ("a", "b")
    ]
    ends = await asyncio.gather(
        *(one.watch(Publications()) for one in resolvers), return_exceptions=True
    )
    assert [type(one) for one in ends] == [ZeroDivisionError] * 2
    assert watches.running == {}


def test_a_negative_threshold_is_refused() -> None:
    """It is a number of Services."""
    with pytest.raises(ConfigError, match="from 0 on"):
        NamingContext(fold_above=-1)
