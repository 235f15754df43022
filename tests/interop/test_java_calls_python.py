"""A Dubbo Java consumer calls a Python provider, and cannot tell it from a Java one."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.interop.peer import JavaCaller
from tests.interop.services import (
    Echo,
    EchoService,
    EuropeanGreetService,
    Greeter,
    GreetService,
    vectors,
)

from kubbo.rpc.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

GREET = "com.example.GreetService:1.0.0"
ECHO = "com.example.interop.EchoService"


@dataclass
class Provider:
    """A Python provider in a thread of its own, so that every test's loop may call it."""

    address: str
    echo: Echo
    server: Server
    loop: asyncio.AbstractEventLoop


@contextmanager
def provider(**arguments: Any) -> Iterator[Provider]:
    """Serve what the Java provider serves, on a free port of loopback."""
    made: list[Provider] = []
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        echo = Echo()
        async with Server(port=0, host="127.0.0.1", propagation=0.0, **arguments) as server:
            server.export(Greeter("python"), GreetService)
            server.export(Greeter("python-eu"), EuropeanGreetService)
            server.export(echo, EchoService)
            await server.start()
            loop = asyncio.get_running_loop()
            made.append(Provider(f"127.0.0.1:{server.port}", echo, server, loop))
            ready.set()
            await stop.wait()
            await server.drain()

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="python-provider")
    thread.start()
    ready.wait()
    assert made, "the provider did not start"
    try:
        yield made[0]
    finally:
        made[0].loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture(scope="module")
def python() -> Iterator[Provider]:
    with provider() as made:
        yield made


# --- values ----------------------------------------------------------------------------------

NOT_SENT = {"list/deque"}
"""Cases that Java itself cannot send back and forth (`Cases.java` marks them)."""


@pytest.mark.parametrize("case", sorted(vectors().keys() - NOT_SENT))
async def test_a_declared_value_comes_back(
    case: str, python: Provider, java_caller: JavaCaller
) -> None:
    """Through the typed method of its case, Java gets back what a Java provider would return."""
    echo = await java_caller.echo(python.address, case)
    assert echo.got == echo.expected


@pytest.mark.parametrize("case", sorted(vectors().keys() - NOT_SENT))
async def test_an_undeclared_value_comes_back(
    case: str, python: Provider, java_caller: JavaCaller
) -> None:
    """Through `echoObject`, where nothing is declared, it is the same."""
    echo = await java_caller.echo(python.address, case, untyped=True)
    assert echo.got == echo.expected
