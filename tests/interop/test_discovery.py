"""Dubbo Java finds a Python provider by its application, and asks it what it serves.

The registry is the least that there can be: it has one application, the addresses of its
instances, and a revision. What Java does with them is what it does with those of ZooKeeper or of
Kubernetes: it calls `MetadataService.getMetadataInfo(revision)` on the port of an instance, in
the group that is the application's name, and makes its invokers of the answer.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.cluster.bed import AddressBlock
from tests.interop.peer import JavaCaller, JavaException
from tests.interop.services import Echo, EchoService, EuropeanGreetService, Greeter, GreetService

import kubbo
from kubbo.rpc.metadata import METADATA_SERVICE, MetadataInfo, ServiceInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kubbo.model import Handler, Invocation, Result

GREET = "com.example.GreetService:1.0.0"
EUROPE = "eu/com.example.GreetService:2.0.0"
ECHO = "com.example.interop.EchoService"
METADATA = f"{METADATA_SERVICE}:1.0.0"


@pytest.fixture(scope="module", params=["3.3.6", "3.2.16"])
def java(request: pytest.FixtureRequest, java_peer: None) -> Iterator[JavaCaller]:
    with JavaCaller(dubbo=request.param) as caller:
        yield caller


@dataclass
class Provider:
    """A Python provider; `calls` are what reached it, as service, method and first argument."""

    address: str
    revision: str
    port: int = 0
    calls: list[tuple[str, str, object]] = field(default_factory=list)


@asynccontextmanager
async def provider(
    name: str = "python", host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Provider]:
    """A provider of the application `shop`, with the revision that it tells of itself."""
    made = Provider("", "")

    async def note(invocation: Invocation, proceed: Handler) -> Result:
        first = invocation.arguments[0] if invocation.arguments else None
        made.calls.append((str(invocation.service), invocation.signature.name, first))
        return await proceed(invocation)

    async with (
        kubbo.Server(port, host=host, propagation=0, application="shop", filters=[note]) as server,
        kubbo.Channel(timeout=20.0) as channel,
    ):
        server.export(Greeter(name), GreetService)
        server.export(Greeter(f"{name}-eu"), EuropeanGreetService)
        server.export(Echo(), EchoService)
        await server.start()
        made.address = f"{host}:{server.port}"
        made.port = server.port
        types = [MetadataInfo, ServiceInfo]
        own = channel.generic(f"shop/{METADATA}", f"static:///{made.address}", types=types)
        (info,) = await own.call("getMetadataInfos")
        made.revision = info.revision
        made.calls.clear()
        yield made


async def test_java_finds_a_provider_by_its_application(java: JavaCaller) -> None:
    """It asks for the revision of the registry, and then calls what the answer tells."""
    async with provider() as python:
        found = {"application": "shop", "revision": python.revision}
        answer = await java.call(python.address, GREET, "sayHello", "Ann", **found)
        assert answer.value == "Hello Ann from python"
        assert python.calls == [
            (f"shop/{METADATA}", "getMetadataInfo", python.revision),
            (GREET, "sayHello", "Ann"),
        ]


async def test_every_service_of_the_application_is_found(java: JavaCaller) -> None:
    """By interface, group and version; objects and exceptions are as ever."""
    async with provider() as python:
        found = {"application": "shop", "revision": python.revision}
        user = {"id": 1, "name": "Ann"}
        answer = await java.call(python.address, GREET, "greet", user, **found)
        assert answer.value == "Hello Ann (1) from python"
        answer = await java.call(python.address, EUROPE, "sayHello", "Ann", **found)
        assert answer.value == "Hello Ann from python-eu"
        answer = await java.call(python.address, ECHO, "echoItem", {"id": 3}, **found)
        assert answer.value["id"] == 3
        with pytest.raises(JavaException) as thrown:
            await java.call(python.address, ECHO, "throwDeclared", 7, **found)
        assert thrown.value.class_name == "com.example.interop.BizException"


@pytest.mark.root(reason="puts addresses on lo, which needs root and a network namespace")
async def test_calls_go_to_every_instance(java: JavaCaller) -> None:
    """Pods have one port and one revision: it is asked for at one of them, and is that of all."""
    addresses = AddressBlock()  # to Dubbo all of 127/8 is one machine
    first, second = addresses.add(), addresses.add()
    try:
        async with provider("one", first) as one, provider("two", second, one.port) as two:
            assert one.revision == two.revision
            found = {"application": "shop", "revision": one.revision}
            said = set()
            for _ in range(100):
                both = f"{one.address},{two.address}"
                answer = await java.call(both, GREET, "sayHello", "Ann", **found)
                said.add(answer.value)
            assert said == {"Hello Ann from one", "Hello Ann from two"}
            asked = [call for call in (*one.calls, *two.calls) if call[1] == "getMetadataInfo"]
            assert asked == [(f"shop/{METADATA}", "getMetadataInfo", one.revision)]
    finally:
        addresses.remove(first)
        addresses.remove(second)


async def test_what_the_application_does_not_serve_is_not_found(java: JavaCaller) -> None:
    """Java refuses the call itself: the metadata has no such service."""
    async with provider() as python:
        found = {"application": "shop", "revision": python.revision}
        with pytest.raises(JavaException, match="No provider available") as refused:
            await java.call(
                python.address, "com.example.GreetService:9.9.9", "sayHello", "Ann", **found
            )
        assert refused.value.class_name == "org.apache.dubbo.rpc.RpcException"
        assert [method for _, method, _ in python.calls] == ["getMetadataInfo"]
