"""One consumer's connection, as its provider sees it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from kubbo.errors import Code, EncodeError
from kubbo.wire.session import CallEnded, CallStarted, MessageReceived, Status

if TYPE_CHECKING:
    from kubbo.rpc.request import Request
    from kubbo.transport.link import Link
    from kubbo.wire.session import Event

__all__ = ["Inbound", "Provider"]

_log = logging.getLogger("kubbo.server")


class Provider(Protocol):
    """Who takes what arrives."""

    @property
    def takes_calls(self) -> bool:
        """Whether new calls are welcome; a connection made while they are not is told so."""
        ...

    def admit(self, connection: Inbound) -> bool:
        """Take a connection in, unless there are too many."""
        ...

    def leave(self, connection: Inbound) -> None:
        """Forget a connection that is lost."""
        ...

    def receive_call(self, connection: Inbound, call: int, payload: bytes, *, oneway: bool) -> None:
        """Take a request; it is answered through `connection`, unless it is one-way."""
        ...


class Inbound:
    """Hands requests to the provider and answers to the link.

    `requests` are those that are being served, by their numbers.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._link: Link | None = None
        self._oneway = False
        self.requests: dict[int, Request] = {}

    @property
    def peer(self) -> str:
        """The consumer's address."""
        return self._link.peer if self._link is not None else ""

    @property
    def writable(self) -> bool:
        """Whether the consumer keeps up with reading; a lost one needs no answers."""
        return self._link is None or self._link.writable or self._link.closing

    async def wait_writable(self) -> None:
        """See `Link.wait_writable`."""
        if self._link is not None:
            await self._link.wait_writable()

    # -- Receiver

    def link_made(self, link: Link) -> None:
        """See `Receiver`."""
        self._link = link
        if not self._provider.admit(self):
            link.close("too many connections")
        elif not self._provider.takes_calls:
            self.drain()

    def receive_event(self, event: Event) -> None:
        """See `Receiver`."""
        if type(event) is CallStarted:
            self._oneway = event.head.oneway
        elif type(event) is MessageReceived:
            self._provider.receive_call(self, event.call, event.payload, oneway=self._oneway)
        elif type(event) is CallEnded:
            request = self.requests.get(event.call)
            if request is not None:
                request.give_up()

    def link_lost(self, reason: str) -> None:
        """See `Receiver`. Its calls go on: what they do may matter to more than their caller."""
        if reason:
            _log.warning("lost the connection of %s: %s", self.peer, reason)
        self._provider.leave(self)

    # -- answers

    def answer(self, call: int, payload: bytes) -> None:
        """Send the message that answers a call."""
        link = self._link
        if link is None or link.closing:
            return
        try:
            link.session.send_message(call, payload, end=True)
        except EncodeError as error:
            link.session.end_call(call, Status(Code.INTERNAL, f"the result is too large: {error}"))
        link.flush_soon(len(payload))

    def refuse(self, call: int, status: Status) -> None:
        """Answer a call with a status."""
        if self._link is not None and not self._link.closing:
            self._link.session.end_call(call, status)
            self._link.flush_soon()

    def drain(self) -> None:
        """Ask the consumer for no new calls."""
        if self._link is not None and not self._link.closing:
            self._link.session.drain(asyncio.get_running_loop().time())
            self._link.flush_soon()

    async def aclose(self) -> None:
        """Write what is queued and close."""
        if self._link is not None:
            await self._link.aclose()
