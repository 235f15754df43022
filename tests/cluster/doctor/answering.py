"""Deployments whose pods listen, or do not: what a real handshake finds out. Needs root."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.cluster.doctor.broken import KEY, PROVIDER, scenario

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.cluster.doctor.place import Place

PORT = 20880


async def listening(
    place: Place,
    serve: Callable[[str], Awaitable[Any]] | None,
    *,
    keys: str = "",
    port: tuple[str, int] | None = ("dubbo", PORT),
) -> None:
    """Ready pods on addresses of lo; `serve` listens at each."""
    place.dial = True
    metadata = {"labels": PROVIDER, "annotations": {"kubbo.dev/services": keys}} if keys else {}

    def make() -> None:
        place.deployment(port=port)
        place.service(metadata=metadata)
        place.ready()
        place.published(2)

    await asyncio.to_thread(make)
    if serve is not None:
        for host in await asyncio.to_thread(place.namespace.endpoints, "greeter"):
            await serve(host)
    place.target()


def _some(reader: asyncio.StreamReader) -> Awaitable[bytes]:
    return reader.read(64)


def answers(
    place: Place, data: bytes, heard: Callable[[asyncio.StreamReader], Awaitable[bytes]] = _some
) -> Callable[[str], Awaitable[None]]:
    """A listener that says one thing to everybody when it has `heard` enough, and closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(data)
        await writer.drain()
        writer.close()

    async def serve(host: str) -> None:
        server = await asyncio.start_server(talk, host, PORT)

        async def close() -> None:
            server.close()
            await server.wait_closed()

        place.closing.append(close)

    return serve


def foreign(name: str, data: bytes) -> None:
    @scenario("wrong-protocol", name)
    async def _(place: Place) -> None:
        await listening(place, answers(place, data))


foreign("http", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
foreign("grpc", b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00")
foreign("closes", b"")


def provider(place: Place, key: str) -> Callable[[str], Awaitable[None]]:
    """A real provider of an interface."""

    async def serve(host: str) -> None:
        from kubbo import Server, service

        @service(key)
        class Greeter:
            def greet(self, name: str) -> str:
                return name

        server = Server(host=host, port=PORT)
        await server.__aenter__()
        place.closing.append(lambda: server.__aexit__(None, None, None))
        server.export(Greeter())
        await server.start()

    return serve


def lacking(name: str, claimed: str) -> None:
    @scenario("not-exported", name)
    async def _(place: Place) -> None:
        await listening(place, provider(place, KEY), keys=claimed)


lacking("version", "com.example.GreetService:2.0.0")
lacking("group", "eu/com.example.GreetService:1.0.0")
lacking("interface", "com.example.HelloService")


@scenario("wrong-target-port", "nobody-listens")
async def _(place: Place) -> None:
    await listening(place, None, port=None)


@scenario("loopback-bound", "silent-log")
async def _(place: Place) -> None:
    await listening(place, None)


@scenario("wrong-protocol", "http-that-waits-for-a-line")
async def _(place: Place) -> None:
    refusal = b"HTTP/1.0 400 Bad request syntax\r\n\r\n"
    serve = answers(place, refusal, lambda reader: reader.readuntil(b"\r\n\r\n"))
    await listening(place, serve)


@scenario("unknown", "frozen")
async def _(place: Place) -> None:
    """Whoever takes a connection and says nothing may be anybody."""
    await listening(place, answers(place, b"", lambda reader: reader.read()))


@scenario("loopback-bound", "ready-without-probe")
async def _(place: Place) -> None:
    await listening(place, None)
    await asyncio.to_thread(place.log, "INFO serving dubbo on 127.0.0.1:20880")


@scenario("healthy", "dialled")
async def _(place: Place) -> None:
    await listening(place, provider(place, KEY), keys=KEY)
