"""The same small echo over each peer: a User goes out, a greeting comes back.

Each peer is a pair of coroutines: one serves and prints its port, the other gives a function
that makes one call over one connection. gRPC's messages are made at run time, so that nothing
has to be generated; they have the fields of the dubbo2 ones.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import kubbo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Call = Callable[[], Awaitable[object]]

SERVICE = "com.example.GreetService"


@kubbo.pojo("com.example.User")
@dataclass
class User:
    id: kubbo.java.Long
    name: str


@kubbo.service(SERVICE, version="1.0.0")
class GreetService(Protocol):
    @kubbo.method(timeout=10.0)
    async def greet(self, user: User) -> str: ...


class Greeter(GreetService):
    async def greet(self, user: User) -> str:
        return f"Hello {user.name} ({user.id})"


async def serve_kubbo() -> None:
    async with kubbo.Server(0, host="127.0.0.1", propagation=0.0) as server:
        server.export(Greeter())
        await server.start()
        print(server.port, flush=True)
        await server.serve_forever()


@contextlib.asynccontextmanager
async def call_kubbo(port: int) -> AsyncIterator[Call]:
    async with kubbo.Channel() as channel:
        greeter = channel.refer(GreetService, f"static:///127.0.0.1:{port}")
        yield lambda: greeter.greet(User(1, "Ann"))


def grpc_messages() -> tuple[Any, Any]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="greet.proto", package="bench", syntax="proto3")
    user = file.message_type.add(name="User")
    user.field.add(name="id", number=1, type=3, label=1)  # int64
    user.field.add(name="name", number=2, type=9, label=1)  # string
    greeting = file.message_type.add(name="Greeting")
    greeting.field.add(name="text", number=1, type=9, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = message_factory.GetMessages([file], pool=pool)
    return found["bench.User"], found["bench.Greeting"]


async def serve_grpcio() -> None:
    import grpc.aio

    user_class, greeting_class = grpc_messages()

    async def greet(user: Any, context: object) -> Any:
        del context
        return greeting_class(text=f"Hello {user.name} ({user.id})")

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        greet, user_class.FromString, greeting_class.SerializeToString
    )
    handlers = grpc.method_handlers_generic_handler(SERVICE, {"greet": handler})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


@contextlib.asynccontextmanager
async def call_grpcio(port: int) -> AsyncIterator[Call]:
    import grpc.aio

    user_class, greeting_class = grpc_messages()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        greet = channel.unary_unary(
            f"/{SERVICE}/greet", user_class.SerializeToString, greeting_class.FromString
        )

        async def call() -> str:
            answer = await greet(user_class(id=1, name="Ann"), timeout=10.0)
            text: str = answer.text
            return text

        yield call


class GrpclibGreeter:
    def __mapping__(self) -> dict[str, Any]:
        import grpclib.const

        user_class, greeting_class = grpc_messages()

        async def greet(stream: Any) -> None:
            user = await stream.recv_message()
            await stream.send_message(greeting_class(text=f"Hello {user.name} ({user.id})"))

        unary = grpclib.const.Cardinality.UNARY_UNARY
        handler = grpclib.const.Handler(greet, unary, user_class, greeting_class)
        return {f"/{SERVICE}/greet": handler}


async def serve_grpclib() -> None:
    import grpclib.server

    server = grpclib.server.Server([GrpclibGreeter()])
    await server.start("127.0.0.1", 0)
    listener = server._server  # there is no other way to its port
    assert isinstance(listener, asyncio.Server)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()


@contextlib.asynccontextmanager
async def call_grpclib(port: int) -> AsyncIterator[Call]:
    import grpclib.client

    user_class, greeting_class = grpc_messages()
    async with grpclib.client.Channel("127.0.0.1", port) as channel:
        greet: Any = grpclib.client.UnaryUnaryMethod(
            channel, f"/{SERVICE}/greet", user_class, greeting_class
        )

        async def call() -> str:
            answer = await greet(user_class(id=1, name="Ann"), timeout=10.0)
            text: str = answer.text
            return text

        yield call


class FloorServer(asyncio.Protocol):
    """Answers each 16 bytes with 16 bytes: what asyncio itself costs, and nothing else."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def serve_floor() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(FloorServer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class FloorClient(asyncio.Protocol):
    """One connection, answers in order, writes of one loop turn joined."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.waiting: list[asyncio.Future[None]] = []
        self.out = 0
        self.rest = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        count, self.rest = divmod(self.rest + len(data), 16)
        done, self.waiting = self.waiting[:count], self.waiting[count:]
        for future in done:
            future.set_result(None)

    async def call(self) -> None:
        future: asyncio.Future[None] = self.loop.create_future()
        self.waiting.append(future)
        if not self.out:
            self.loop.call_soon(self.flush)
        self.out += 1
        await future

    def flush(self) -> None:
        self.transport.write(b"x" * 16 * self.out)
        self.out = 0


@contextlib.asynccontextmanager
async def call_floor(port: int) -> AsyncIterator[Call]:
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_connection(FloorClient, "127.0.0.1", port)
    yield client.call
    transport.close()


PEERS: dict[str, tuple[Callable[[], Awaitable[None]], Callable[[int], Any]]] = {
    "kubbo": (serve_kubbo, call_kubbo),
    "grpcio": (serve_grpcio, call_grpcio),
    "grpclib": (serve_grpclib, call_grpclib),
    "floor": (serve_floor, call_floor),
}
