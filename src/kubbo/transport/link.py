"""One byte stream and the session that speaks on it.

A link reads into the session, hands the session's events to a receiver, and writes what
the session has to say. Writes of one turn of the event loop go out as one: a busy
connection costs one system call a turn, however many calls it carries.

When a peer breaks the protocol, the last words (an error that names the cause) are
written and the sending side is closed, but what still arrives is read and dropped for a
moment: closing a socket with unread bytes would reset it, and the peer would never see why.

A consumer that only shuts down its sending side (`nc -N`, a script that is done asking) still
gets what it asked for: the link stays until its open calls are answered, and then ends. Whether
it closed altogether cannot be seen before something is written. Such a link costs no more than
the calls that hold it, which go on in either case. TLS ends both directions at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, cast

from kubbo.wire.session import Closed

if TYPE_CHECKING:
    from kubbo.wire.session import Event, Session

__all__ = ["Budget", "Link", "Receiver"]

LINGER: Final = 1.0
"""Seconds in which a peer that broke the protocol may read why."""

WRITE_BUFFER_BYTES: Final = 1024 * 1024
"""Unwritten bytes above which a link is not `writable`: senders wait, requests are not read."""

FLUSH_BYTES: Final = 64 * 1024
"""Queued bytes that are written without waiting for the end of the turn. A turn may bring a
thousand calls: only what was handed to the socket counts for `writable`.
"""


class Budget:
    """Bytes that may be held at once, of whatever a peer makes its provider hold."""

    __slots__ = ("left_bytes",)

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes

    def take(self, count: int) -> bool:
        """Take `count` bytes, unless fewer are left."""
        if count > self.left_bytes:
            return False
        self.left_bytes -= count
        return True

    def give_back(self, count: int) -> None:
        """Give back what was taken."""
        self.left_bytes += count


class Receiver(Protocol):
    """Who acts on what a link receives."""

    def link_made(self, link: Link) -> None:
        """The link is up."""
        ...

    def receive_event(self, event: Event) -> None:
        """The session found `event` in what arrived."""
        ...

    def link_lost(self, reason: str) -> None:
        """Nothing comes or goes any more; called once. `reason` is empty for an orderly end."""
        ...


class Link(asyncio.Protocol):
    """Drives one `Session` over one transport.

    `peer` is its address, like `10.0.0.7:40112`; `flushes` counts writes; `writable` says
    that the peer keeps up with reading; `lost` is done when the socket is closed.

    A provider's link has a `budget`: it reads no requests while the peer reads no answers,
    and it ends when all links together hold too many bytes of unfinished messages. A
    consumer's link reads always: were both sides to wait for the other to read, both would
    wait for ever.
    """

    def __init__(
        self,
        session: Session,
        receiver: Receiver,
        loop: asyncio.AbstractEventLoop,
        budget: Budget | None = None,
    ) -> None:
        self.session = session
        self.peer = ""
        self.flushes = 0
        self.writable = True
        self._receiver = receiver
        self._budget = budget
        self._held_bytes = 0
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._flush_scheduled = False
        self._queued_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writable_waiters: dict[asyncio.Future[None], None] = {}  # who waits longest first
        self._closing = False
        self._half_closed = False
        self._ticked = False
        self._reason = ""
        self.lost: asyncio.Future[None] = loop.create_future()

    # -- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # Not checked at run time: uvloop's transports are no subclasses of asyncio's.
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        name = transport.get_extra_info("peername")
        if isinstance(name, tuple):
            self.peer = f"{name[0]}:{name[1]}"
        self._receiver.link_made(self)
        self.arm()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._closing:
            return
        self._act(self.session.receive_data(data, self._loop.time()))
        if self._ticked:  # the timer is set for a peer that does not answer, and it did
            self._ticked = False
            self.arm()
        if self._budget is not None:
            self._account(self._budget)

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`."""
        if self._closing:
            return False
        if self._owes_answers():
            self._half_closed = True
            if self._timer is not None:  # whoever says no more cannot answer a heartbeat
                self._timer.cancel()
                self._timer = None
            return True
        self._act(self.session.receive_eof(self._loop.time()))
        self.flush()  # returning false closes the transport before the end of the turn
        return False

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.writable = False
        if self._budget is not None and self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self.writable = True
        if self._budget is not None and self._transport is not None:
            self._transport.resume_reading()
        self._wake_writers()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._closing = True
        self._transport = None
        if self._budget is not None:
            self._budget.give_back(self._held_bytes)
            self._held_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if exc is not None and not self._reason:
            self._reason = str(exc) or type(exc).__name__
        self._wake_writers()
        if not self.lost.done():
            self.lost.set_result(None)
        self._receiver.link_lost(self._reason)

    # -- called by the owner

    @property
    def closing(self) -> bool:
        """Nothing new can be sent."""
        return self._closing

    def flush_soon(self, size: int = 0) -> None:
        """Have what the session queued, `size` bytes more, written in this turn of the loop."""
        self._queued_bytes += size
        if self._queued_bytes > FLUSH_BYTES:
            self.flush()
        elif not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the session has queued."""
        self._flush_scheduled = False
        self._queued_bytes = 0
        chunks = self.session.data_to_send()
        if chunks and self._transport is not None and not self._transport.is_closing():
            self.flushes += 1
            self._transport.write(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if self._half_closed and not self.session.open_calls:
            self._half_closed = False
            self._act(self.session.receive_eof(self._loop.time()))
            self.close()

    async def wait_writable(self) -> None:
        """Return when the peer has read enough, or the link is lost. Safe to cancel."""
        while not self.writable and not self._closing:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._writable_waiters[waiter] = None
            try:
                await waiter
            finally:
                self._writable_waiters.pop(waiter, None)

    def close(self, reason: str = "") -> None:
        """Write what is queued and close; `link_lost` follows."""
        if self._transport is None:
            return
        self.flush()
        self._closing = True
        self._reason = self._reason or reason
        self._transport.close()

    async def aclose(self) -> None:
        """Close, and return when the socket is; a peer that does not read is cut off."""
        self.close()
        await asyncio.wait({self.lost}, timeout=LINGER)
        if self._transport is not None:
            self._transport.abort()
            await self.lost

    def arm(self) -> None:
        """See to it that the session's timer is served; cheap when nothing changed."""
        due = self.session.next_timer()
        if due is None:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._tick)

    # -- inside

    def _owes_answers(self) -> bool:
        """Whether a provider's peer, which says no more, waits for something it asked for whole."""
        session, transport = self.session, self._transport
        return (
            self._budget is not None
            and transport is not None
            and transport.can_write_eof()  # TLS cannot
            and session.open_calls > 0
            and not session.held_bytes
        )

    def _tick(self) -> None:
        self._timer = None
        if not self._closing:
            self._act(self.session.handle_timer(self._loop.time()))
            self._ticked = True
            self.arm()

    def _account(self, budget: Budget) -> None:
        held = self.session.held_bytes
        if held > self._held_bytes:
            if not budget.take(held - self._held_bytes):
                self.close("too many bytes of unfinished messages are held (max_held_bytes)")
                return
        else:
            budget.give_back(self._held_bytes - held)
        self._held_bytes = held

    def _act(self, events: list[Event]) -> None:
        for event in events:
            self._receiver.receive_event(event)
            if type(event) is Closed:
                self._end(event.reason)
        self.flush_soon()

    def _end(self, reason: str) -> None:
        self._reason = reason
        transport = self._transport
        if transport is None or not reason:
            return  # an orderly end: eof_received has the transport closed
        self.flush()
        self._closing = True
        if transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        # What a peer does not read cannot be written: after the moment it is cut off.
        self._timer = self._loop.call_later(LINGER, transport.abort)

    def _wake_writers(self) -> None:
        for waiter in self._writable_waiters:
            if not waiter.done():
                waiter.set_result(None)
