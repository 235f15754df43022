"""What the mapping learns of Services, over real HTTP, from the API server in the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.naming.publications import SHOP, service

from kubbo.naming import NamingContext
from kubbo.naming.mapping import ServiceLookupError
from kubbo.sim.apiserver import Answer, ApiServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer() as server:
        server.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}})
        yield server


@pytest.fixture
async def context(server: ApiServer, tmp_path: Path) -> AsyncIterator[NamingContext]:
    path = server.kubeconfig(tmp_path / "config", namespace=SHOP, token="consumer")
    async with NamingContext(kubeconfig=path, environ={}) as context:
        yield context


async def test_one_service(server: ApiServer, context: NamingContext) -> None:
    """A Service with its annotation, and None for one that the server says is not there."""
    service(server, annotations={"kubbo.dev/services": "a.B"})
    found = await context.services().service("", "greeter")
    assert found is not None
    assert (found.namespace, found.services, found.provider) == (SHOP, "a.B", False)
    assert await context.services().service(SHOP, "nope") is None
    assert await context.services().service("nowhere", "greeter") is None


OTHER_STATUS = '{"kind":"Status","reason":"NotFound","details":{"name":"other","kind":"services"}}'


@pytest.mark.parametrize("body", ["", "404 page not found", "{}", "[", OTHER_STATUS])
async def test_another_404_is_no_answer(
    server: ApiServer, context: NamingContext, body: str
) -> None:
    """A server that has no such path at all, and one that speaks of something else, do not say
    that there is no Service of that name."""
    server.faults.add(Answer(404, body=body), times=None)
    with pytest.raises(ServiceLookupError, match=r"answered 404.*check the address"):
        await context.services().service("", "greeter")
    with pytest.raises(ServiceLookupError, match=r"answered 404.*check the address"):
        await context.services().providers()
