"""The consumer's side of one connection: calls go out, answers come back in any order."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from kubbo.errors import Code, DeadlineExceeded, DecodeError, Progress, RpcError
from kubbo.model import Kind, Result
from kubbo.transport.link import Link
from kubbo.wire.session import (
    CallEnded,
    CallHead,
    Closed,
    Draining,
    MessageReceived,
    Status,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from kubbo.model import Endpoint, Invocation
    from kubbo.transport.deadlines import Deadlines
    from kubbo.wire.codec import Codec
    from kubbo.wire.session import Event, Session

__all__ = ["Connection", "connect"]

CONNECT_TIMEOUT: Final = 5.0
"""Seconds until an address that does not answer is given up."""

_TWO_WAY: Final = CallHead()
_ONE_WAY: Final = CallHead(oneway=True)
_GIVEN_UP: Final = Status(Code.CANCELLED)
_FORGOTTEN: Final = Status(Code.DEADLINE_EXCEEDED)

_Waiter = tuple["asyncio.Future[bytes]", int]


class Connection:
    """One multiplexed connection to `endpoint`.

    `changed` is called when it begins to drain and when it is lost.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        deadlines: Deadlines,
        changed: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.endpoint = endpoint
        self.draining = False
        self.loss: str | None = None
        self._deadlines = deadlines
        self._changed = changed
        self._loop = loop
        self._calls: dict[int, _Waiter] = {}
        self._link: Link | None = None
        self._idle: asyncio.Future[None] | None = None

    # -- Receiver

    def link_made(self, link: Link) -> None:
        """See `Receiver`."""
        self._link = link

    def receive_event(self, event: Event) -> None:
        """See `Receiver`."""
        if type(event) is MessageReceived:
            waiter = self._calls.get(event.call)
            if waiter is not None and not waiter[0].done():
                waiter[0].set_result(event.payload)
        elif type(event) is CallEnded:
            waiter = self._calls.get(event.call)
            if waiter is not None and not waiter[0].done():
                waiter[0].set_exception(self._status_error(event.status))
        elif type(event) is Draining:
            self.draining = True
            self._changed()
        elif type(event) is Closed:
            self._lose(event.reason)

    def link_lost(self, reason: str) -> None:
        """See `Receiver`."""
        self._lose(reason)

    # -- calls

    async def send(self, invocation: Invocation, codec: Codec) -> Result:
        """Make one attempt of a call. Safe to cancel: the answer is dropped when it comes.

        Raises:
            EncodeError: an argument does not fit; nothing was sent.
            RpcError: the attempt failed; `progress` says how far it got.
            Exception: what the provider's method threw, where its class is declared.
        """
        link = self._link
        loop = self._loop
        deadline = invocation.deadline.at
        if link is None or link.closing or self.loss is not None:
            raise self._not_sent("the connection is closed")
        remaining = deadline - loop.time()
        if remaining <= 0:
            raise DeadlineExceeded(
                "the deadline passed before the call was sent",
                progress=Progress.NOT_SENT,
                endpoint=self.endpoint,
            )
        payload = codec.encode_request(invocation, remaining)
        if not link.writable:
            await self._wait_writable(link, deadline)
        session = link.session
        oneway = invocation.kind is Kind.ONEWAY
        call = session.start_call(_ONE_WAY if oneway else _TWO_WAY, loop.time())
        session.send_message(call, payload, end=True)
        flushes = link.flushes
        link.flush_soon(len(payload))
        if oneway:
            return Result(endpoint=self.endpoint)
        future: asyncio.Future[bytes] = loop.create_future()
        self._calls[call] = (future, flushes)
        if len(self._calls) == 1:
            link.arm()
        slot = self._deadlines.add(deadline, future, partial(self._expire, future, remaining))
        try:
            answer = await future
        finally:
            slot.pop(future, None)
            del self._calls[call]
            if future.cancelled() or not future.done():
                session.end_call(call, _GIVEN_UP)
                link.flush_soon()
            elif future.exception() is not None:
                session.end_call(call, _FORGOTTEN)
            if self._idle is not None and not self._calls and not self._idle.done():
                self._idle.set_result(None)
        try:
            result = codec.decode_response(answer, invocation)
        except DecodeError as error:
            raise RpcError(
                Code.INTERNAL,
                f"the answer cannot be decoded: {error}",
                progress=Progress.ANSWERED,
                endpoint=self.endpoint,
            ) from error
        except RpcError as error:
            error.endpoint = self.endpoint
            raise
        result.endpoint = self.endpoint
        return result

    async def wait_idle(self) -> None:
        """Return when no call waits any more. Safe to cancel."""
        while self._calls:
            if self._idle is None or self._idle.done():
                self._idle = self._loop.create_future()
            await asyncio.shield(self._idle)

    async def aclose(self) -> None:
        """Close; calls in flight fail. Returns when the socket is closed."""
        if self._link is not None:
            await self._link.aclose()

    # -- inside

    async def _wait_writable(self, link: Link, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await link.wait_writable()
        except TimeoutError:
            raise DeadlineExceeded(
                "the provider does not read: the deadline passed before the call was sent",
                progress=Progress.NOT_SENT,
                endpoint=self.endpoint,
            ) from None
        if link.closing:
            raise self._not_sent("the connection was lost")

    def _expire(self, future: asyncio.Future[bytes], granted: float) -> None:
        if not future.done():
            future.set_exception(
                DeadlineExceeded(f"no answer within {granted:.3g} s", endpoint=self.endpoint)
            )

    def _status_error(self, status: Status) -> RpcError:
        progress = Progress.NOT_SENT if status.refused else Progress.SENT
        error: RpcError
        if status.code is Code.DEADLINE_EXCEEDED:
            error = DeadlineExceeded(status.message, progress=progress, endpoint=self.endpoint)
        else:
            error = RpcError(status.code, status.message, progress=progress, endpoint=self.endpoint)
        error.refused = status.refused
        error.retry_after = status.retry_after
        return error

    def _not_sent(self, what: str) -> RpcError:
        why = f": {self.loss}" if self.loss else ""
        return RpcError(
            Code.UNAVAILABLE, what + why, progress=Progress.NOT_SENT, endpoint=self.endpoint
        )

    def _lose(self, reason: str) -> None:
        if self.loss is not None:
            return
        self.loss = reason
        flushes = self._link.flushes if self._link is not None else 0
        why = f": {reason}" if reason else " by the provider"
        for future, sent_after in self._calls.values():
            if future.done():
                continue
            if sent_after == flushes:
                future.set_exception(self._not_sent("the connection was closed"))
            else:
                future.set_exception(
                    RpcError(
                        Code.UNAVAILABLE,
                        f"the connection was closed{why}; whether the call ran is unknown",
                        progress=Progress.SENT,
                        endpoint=self.endpoint,
                    )
                )
        self._changed()


async def connect(
    endpoint: Endpoint,
    session: Callable[[float], Session],
    deadlines: Deadlines,
    changed: Callable[[], None],
    *,
    tls: ssl.SSLContext | None = None,
) -> Connection:
    """Open a connection; `session` makes its session, given the time.

    Raises:
        OSError: the address refused, or did not answer within `CONNECT_TIMEOUT`.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(endpoint, deadlines, changed, loop)

    def make_link() -> Link:
        return Link(session(loop.time()), connection, loop)

    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await loop.create_connection(make_link, endpoint.host, endpoint.port, ssl=tls)
    except TimeoutError as error:
        raise OSError(f"no answer within {CONNECT_TIMEOUT:g} s") from error
    return connection
