"""What the mapping learns of Services, over real HTTP, from the API server in the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.naming.publications import SHOP, service

from kubbo.naming import NamingContext
from kubbo.naming.mapping import ServiceLookupError
from kubbo.sim.apiserver import Answer, ApiServer, Rule

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


async def test_a_list_without_an_end_is_given_up(server: ApiServer, context: NamingContext) -> None:
    """Empty pages that say that more follows are not asked for until memory ends."""
    page = '{"kind":"ServiceList","metadata":{"resourceVersion":"7","continue":"on"},"items":[]}'
    server.faults.add(Answer(200, body=page), times=None)
    with pytest.raises(ServiceLookupError, match="has no end"):
        await context.services().providers()


# -------------------------------------------------------- several namespaces
LABEL = {"kubbo.dev/provider": "true"}


@pytest.fixture
async def both(server: ApiServer, tmp_path: Path) -> AsyncIterator[NamingContext]:
    """A context of the namespace `shop` that watches `web` and `store` too; each has a Service."""
    for namespace in ("web", "store"):
        metadata = {"name": namespace}
        server.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    for namespace in (SHOP, "web", "store"):
        service(server, f"of-{namespace}", namespace=namespace, labels=LABEL)
    path = server.kubeconfig(tmp_path / "config", namespace=SHOP, token="consumer")
    async with NamingContext(kubeconfig=path, namespaces=("web", "store"), environ={}) as context:
        yield context


@pytest.mark.parametrize("refused", [SHOP, "web", "store"])
async def test_a_refused_namespace_stands_beside_what_was_listed(
    server: ApiServer, both: NamingContext, refused: str
) -> None:
    """A Role that is missing in one namespace hides nothing of the others."""
    allowed = [one for one in (SHOP, "web", "store") if one != refused]
    server.access.grant("consumer", "me", *(Rule("list", "services", one) for one in allowed))
    listed = await both.services().providers()
    assert [one.name for one in listed.services] == [f"of-{one}" for one in allowed]
    assert listed.namespaces == (SHOP, "web", "store")
    assert [*listed.unread] == [refused]
    assert "answered 403" in listed.unread[refused]


async def test_where_no_namespace_may_be_read_there_is_no_answer(
    server: ApiServer, both: NamingContext
) -> None:
    """All of them refused is a failure, not an empty list."""
    server.access.grant("consumer", "me", Rule("list", "services", "elsewhere"))
    with pytest.raises(ServiceLookupError, match="answered 403"):
        await both.services().providers()


async def test_a_server_that_fails_is_not_asked_for_each_namespace(
    server: ApiServer, both: NamingContext
) -> None:
    """A 503 is about the server: one request tells it, and what was listed before stays."""
    server.faults.add(Answer(503), verb="list", resource="services")
    with pytest.raises(ServiceLookupError, match="answered 503"):
        await both.services().providers()
    assert server.requests["list", "services"] == 1
    listed = await both.services().providers()
    assert not listed.unread
