"""Keeps one connection to an address while somebody wants it.

    CONNECTING --ok--> READY --READONLY--> DRAINING
        |  ^             |                    |
      failed |           +---- lost ----------+
        v  |                   |
       DOWN <------------------+      any --released by all--> CLOSED

A dialer lives only as long as its address is in some view: an address that left is never
dialled again. While it is DOWN it dials again after 0.1 s, then ever later up to 10 s, with
jitter (after it drained: 5 s); a call that needs it hastens the next dial, but no more than
ten times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from enum import Enum
from typing import TYPE_CHECKING, Final

from kubbo.errors import Code, DeadlineExceeded, Progress, RpcError
from kubbo.transport.connection import Connection, connect

if TYPE_CHECKING:
    import random
    import ssl
    from collections.abc import Callable

    from kubbo.model import Endpoint, Invocation, Result
    from kubbo.transport.deadlines import Deadlines
    from kubbo.wire.codec import Codec
    from kubbo.wire.session import Session

__all__ = ["Dialer", "Dialers", "State"]

FIRST_BACKOFF: Final = 0.1
LAST_BACKOFF: Final = 10.0
DRAINED_PAUSE: Final = 5.0
"""Seconds until a provider that drained is dialled again. Its process is ending: Java accepts
connections to the very end, after it closed the drained ones, and resets them with their calls.
"""

MAX_DIALS: Final = 64
"""Dials at once of one table: a large Service must not exhaust the sockets of its consumer."""


class State(Enum):
    """What a dialer is doing; see the head of the module."""

    CONNECTING = "connecting"
    READY = "ready"
    DRAINING = "draining"
    DOWN = "down"
    CLOSED = "closed"


class Dialer:
    """The one connection to `endpoint`. `subscribers` are called when `state` changes.

    `reason` says why there is no connection, where there is none; it does not name the address.
    """

    def __init__(self, endpoint: Endpoint, table: Dialers) -> None:
        self.endpoint = endpoint
        self.state = State.CONNECTING
        self.subscribers: set[Callable[[], None]] = set()
        self.users = 0
        self.reason = "not connected yet"
        self._table = table
        self._connection: Connection | None = None
        self._tried_at = -FIRST_BACKOFF
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._wanted: asyncio.Future[None] | None = None
        self._settled: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._keep(), name=f"kubbo dial {endpoint}")

    async def send(self, invocation: Invocation, codec: Codec) -> Result:
        """Make one attempt of a call, connecting first if need be. See `Connection.send`."""
        connection = self._connection
        if connection is None:
            # What cannot be encoded is told before anybody is waited for.
            codec.encode_request(invocation, 1.0)
            connection = await self._wait_connected(invocation)
        return await connection.send(invocation, codec)

    async def _wait_connected(self, invocation: Invocation) -> Connection:
        if self.state is State.DOWN and self._hasten():
            self._set(State.CONNECTING)
        if self.state is State.CONNECTING:
            try:
                async with asyncio.timeout_at(invocation.deadline.at):
                    await asyncio.shield(self._settled)
            except TimeoutError:
                raise DeadlineExceeded(
                    f"not connected in time: {self.reason}",
                    progress=Progress.NOT_SENT,
                    endpoint=self.endpoint,
                ) from None
        if self._connection is None:
            raise RpcError(
                Code.UNAVAILABLE,
                f"cannot connect: {self.reason}",
                progress=Progress.NOT_SENT,
                endpoint=self.endpoint,
            )
        return self._connection

    def _hasten(self) -> bool:
        if self._loop.time() - self._tried_at < FIRST_BACKOFF:
            return False
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)
        return True

    async def _keep(self) -> None:
        backoff = FIRST_BACKOFF
        while True:
            self._tried_at = self._loop.time()
            try:
                async with self._table.dials:
                    connection = await self._table.connect(self.endpoint, self._changed)
            except OSError as error:
                self.reason = _reason(error)
                self._set(State.DOWN)
                await self._pause(backoff * (0.5 + self._table.rng.random() / 2))
                backoff = min(backoff * 2, LAST_BACKOFF)
            else:
                since = self._loop.time()
                self._connection = connection
                self._set(State.READY)
                self._changed()
                try:
                    await self._lost(connection)
                finally:
                    self._connection = None
                    await connection.aclose()
                self._set(State.DOWN)
                if self._loop.time() - since > LAST_BACKOFF:
                    backoff = FIRST_BACKOFF
                pause = DRAINED_PAUSE if connection.draining else backoff
                await self._pause(pause * (0.5 + self._table.rng.random() / 2))
            self._set(State.CONNECTING)

    async def _lost(self, connection: Connection) -> None:
        while connection.loss is None:
            self._wanted = self._loop.create_future()
            await self._wanted

    async def _pause(self, seconds: float) -> None:
        self._wanted = self._loop.create_future()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted

    def _changed(self) -> None:
        """The connection drains or is lost."""
        connection = self._connection
        if connection is None:
            return
        if connection.loss is not None:
            self._connection = None
            self.reason = connection.loss or "the provider closed the connection"
            self._set(State.DOWN)
            if self._wanted is not None and not self._wanted.done():
                self._wanted.set_result(None)
        elif connection.draining and self.state is State.READY:
            self._set(State.DRAINING)

    def _set(self, state: State) -> None:
        if state is self.state:
            return
        self.state = state
        if state is State.CONNECTING:
            if self._settled.done():
                self._settled = self._loop.create_future()
        elif not self._settled.done():
            self._settled.set_result(None)
        for subscriber in tuple(self.subscribers):
            subscriber()

    async def aclose(self, *, drain: bool) -> None:
        """End it; with `drain`, after the calls in flight have been answered."""
        self.subscribers.clear()
        connection = self._connection
        try:
            if drain and connection is not None:
                await connection.wait_idle()
        finally:
            # Whoever still has this dialer must not begin a call on what is about to close.
            self._connection = None
            self._set(State.CLOSED)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _reason(error: OSError) -> str:
    """Why a connection failed; asyncio's own text has the address, and hides the reason."""
    text = error.strerror or str(error) or type(error).__name__
    if error.errno and text.startswith("Connect call failed"):
        return os.strerror(error.errno)
    return text


class Dialers:
    """The dialers of one channel, one an address, shared by all who want that address."""

    def __init__(
        self,
        session: Callable[[float], Session],
        deadlines: Deadlines,
        rng: random.Random,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.rng = rng
        self.dials = asyncio.Semaphore(MAX_DIALS)
        self._session = session
        self._deadlines = deadlines
        self._tls = tls
        self._dialers: dict[tuple[str, int], Dialer] = {}
        self._closing: dict[asyncio.Task[None], Dialer] = {}

    async def connect(self, endpoint: Endpoint, changed: Callable[[], None]) -> Connection:
        """Open one connection. See `connection.connect`."""
        return await connect(endpoint, self._session, self._deadlines, changed, tls=self._tls)

    def acquire(self, endpoint: Endpoint) -> Dialer:
        """The dialer of an address; give it back with `release`."""
        dialer = self._dialers.get(endpoint.key)
        if dialer is None:
            dialer = self._dialers[endpoint.key] = Dialer(endpoint, self)
        dialer.users += 1
        return dialer

    def release(self, dialer: Dialer) -> None:
        """Give a dialer back; the last one to do so has it closed, once it is idle."""
        dialer.users -= 1
        if dialer.users == 0:
            del self._dialers[dialer.endpoint.key]
            task = asyncio.get_running_loop().create_task(
                dialer.aclose(drain=True), name=f"kubbo close {dialer.endpoint}"
            )
            self._closing[task] = dialer
            task.add_done_callback(self._closing.pop)

    async def aclose(self) -> None:
        """Close every connection. Calls in flight fail."""
        dialers = [*self._dialers.values(), *self._closing.values()]
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        self._dialers.clear()
        await asyncio.gather(*(dialer.aclose(drain=False) for dialer in dialers))
