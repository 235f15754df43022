"""Providers and consumers in one process, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

import kubbo
from kubbo.java import Long, pojo
from kubbo.model import Deadline, Invocation
from kubbo.rpc.service import read_interface
from kubbo.wire.dubbo2 import Dubbo2Codec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TRACE: ContextVar[str] = ContextVar("trace", default="none")


@pojo("com.example.User")
@dataclass
class User:
    id: Long
    name: str


@pojo("com.example.OutOfStock")
class OutOfStockError(Exception):
    """What `throws=` declares."""

    left: int

    def __init__(self, message: str = "", left: int = 0) -> None:
        super().__init__(message)
        self.left = left


@pojo("com.example.Unknown")
class UnknownError(Exception):
    """Marked, but declared nowhere."""


@kubbo.service("com.example.Shop", version="1.0.0")
class Shop(Protocol):
    async def who(self) -> str: ...
    async def greet(self, user: User, greeting: str = "Hello") -> str: ...
    async def echo(self, value: object) -> object: ...
    @kubbo.method(throws=[OutOfStockError])
    async def fail(self, how: str) -> None: ...
    @kubbo.method(oneway=True)
    async def tell(self, text: str) -> None: ...
    @kubbo.method(timeout=30.0)
    async def wait(self, key: str) -> str: ...
    @kubbo.method(timeout=30.0, idempotent=True)
    async def wait_again(self, key: str) -> str: ...
    async def plain(self, what: str) -> str: ...
    async def attach(self, key: str, value: str) -> str | None: ...
    async def deadline(self) -> float: ...
    async def nested(self) -> str: ...
    async def size(self, text: str) -> int: ...
    async def text(self, size: int) -> str: ...


@dataclass
class ShopHere:
    """`started` counts executions by key, `waits` hold them until `release`."""

    name: str = "shop"
    started: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list[str])
    nested_call: Any = None
    _gates: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self, key: str) -> None:
        """Let the calls of this key end."""
        self._gates.setdefault(key, asyncio.Event()).set()

    async def begun(self, key: str, count: int = 1) -> None:
        """Return when so many calls of this key run, or ran."""
        await self._until(lambda: self.started[key] >= count)

    async def broken_off(self, key: str, count: int = 1) -> None:
        """Return when so many calls of this key were cancelled."""
        await self._until(lambda: self.cancelled[key] >= count)

    async def _until(self, true: Any) -> None:
        async with asyncio.timeout(20):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def who(self) -> str:
        self.started["who"] += 1
        return self.name

    async def greet(self, user: User, greeting: str = "Hello") -> str:
        return f"{greeting} {user.name} ({user.id})"

    async def echo(self, value: object) -> object:
        return value

    async def fail(self, how: str) -> None:
        self.started["fail"] += 1
        errors: dict[str, Exception] = {
            "declared": OutOfStockError("no more", 3),
            "marked": UnknownError("marked"),
            "value": ValueError("bad value"),
            "type": TypeError("bad type"),
            "key": KeyError("missing"),
            "none": RuntimeError(),
            "rpc": kubbo.RpcError(kubbo.Code.NOT_FOUND, "deeper"),
            "remote": kubbo.RemoteException("com.example.Deep", "deepest"),
            "group": ExceptionGroup("several", [ValueError("one")]),
        }
        raise errors[how]

    def tell(self, text: str) -> None:
        self.told.append(text)

    async def wait(self, key: str) -> str:
        self.started[key] += 1
        self._changed.set()
        try:
            await self._gates.setdefault(key, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled[key] += 1
            self._changed.set()
            raise
        return f"{self.name} {key}"

    async def wait_again(self, key: str) -> str:
        return await self.wait(key)

    def plain(self, what: str) -> str:
        call = kubbo.current_call()
        assert call is not None
        if what == "thread":
            return threading.current_thread().name
        if what == "fail":
            raise ValueError("in a thread")
        if what == "trace":
            return TRACE.get()
        call.response_attachments["thread"] = "seen"
        return str(call.attachments.get(what))

    async def attach(self, key: str, value: str) -> str | None:
        call = kubbo.current_call()
        assert call is not None
        call.response_attachments[key] = value
        found = call.attachments.get(key)
        return None if found is None else str(found)

    async def deadline(self) -> float:
        call = kubbo.current_call()
        assert call is not None
        assert call.deadline is not None
        return call.deadline.remaining(asyncio.get_running_loop().time())

    async def nested(self) -> str:
        return str(await self.nested_call())

    async def size(self, text: str) -> int:
        return len(text)

    async def text(self, size: int) -> str:
        self.started["text"] += 1
        return "x" * size


@asynccontextmanager
async def serving(
    implementation: object, *, port: int = 0, interface: type = Shop, **arguments: Any
) -> AsyncIterator[kubbo.Server]:
    """A provider on loopback."""
    arguments = {"host": "127.0.0.1", "propagation": 0.0, **arguments}
    async with kubbo.Server(port, **arguments) as server:
        server.export(implementation, interface)
        await server.start()
        yield server


async def until(true: Callable[[], bool]) -> None:
    """Let others run until it is so."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - a state that nobody announces
            await asyncio.sleep(0)


def at(*servers: kubbo.Server) -> str:
    """The target of these providers."""
    return "static:///" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


def frame(flags: int, status: int, call: int, body: bytes) -> bytes:
    """A frame of dubbo2, spelled out."""
    return (
        b"\xda\xbb"
        + bytes((flags, status))
        + call.to_bytes(8, "big")
        + len(body).to_bytes(4, "big")
        + body
    )


def request(name: str, *arguments: Any, timeout: float = 20.0) -> bytes:
    """The body of a request for a method of Shop."""
    interface = read_interface(Shop)
    invocation = Invocation(
        interface.key, interface.methods[name].signature, arguments, Deadline(0.0)
    )
    return Dubbo2Codec(interface.registry).encode_request(invocation, timeout)


class FakeProvider:
    """A provider that says to each connection what `answer` makes of what it has received.

    `answer` gets one request's call id and body and returns raw bytes, or None to close;
    `then_close` closes after whatever was said.
    """

    def __init__(
        self, answer: Callable[[int, bytes], bytes | None], *, then_close: bool = False
    ) -> None:
        self.answer = answer
        self.then_close = then_close
        self.connections = 0
        self.requests = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def target(self) -> str:
        """Its target."""
        return f"static:///127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = await reader.readexactly(16)
                body = await reader.readexactly(int.from_bytes(head[12:16], "big"))
                if head[2] & 0x20:
                    continue
                self.requests += 1
                said = self.answer(int.from_bytes(head[4:12], "big"), body)
                if said is None:
                    return
                writer.write(said)
                await writer.drain()
                if self.then_close:
                    return
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
