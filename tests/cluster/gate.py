"""A TCP relay on loopback that a test can shut: the network between a consumer and its server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Gate:
    """Passes bytes on to 127.0.0.1:`target`, from 127.0.0.1 and its own `port`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.connections = 0
        """How many there have been."""
        self._open = True
        self._pairs: dict[asyncio.StreamWriter, asyncio.StreamWriter] = {}
        self._finished: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Reset every connection, on both sides."""
        for pair in list(self._pairs.items()):
            for writer in pair:
                writer.transport.abort()

    def finish(self) -> None:
        """Half close every connection towards the consumer, as a proxy that has had enough."""
        for writer in self._pairs.keys() - self._finished:
            self._finished.add(writer)
            writer.write_eof()

    def shut(self) -> None:
        """Reset every connection, and all that come until `open`."""
        self._open = False
        self.cut()

    def open(self) -> None:
        self._open = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self._open:
                await self._relay(reader, writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            return
        self._pairs[writer] = far
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, far))
                group.create_task(self._pass(far_reader, writer))
        finally:
            del self._pairs[writer]
            self._finished.discard(writer)
            far.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one end has said its last word; then both directions end soon."""
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if writer not in self._finished:
                    writer.write(data)
        writer.transport.abort()
