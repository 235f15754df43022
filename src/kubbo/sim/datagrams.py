"""Datagrams in the simulated network: a client's socket, and programs that answer.

What goes out while the path is blocked is lost, as packets are; a connection's bytes wait, and
datagrams do not.
"""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubbo.sim.net import SimNetwork

__all__ = ["DatagramEnd"]


class DatagramEnd(asyncio.DatagramTransport):
    """A client's datagram socket, connected to one address."""

    def __init__(
        self,
        network: SimNetwork,
        protocol: asyncio.DatagramProtocol,
        host: str,
        remote: tuple[str, int],
    ) -> None:
        super().__init__({"peername": remote, "sockname": (host, 0)})
        self._network = network
        self._protocol = protocol
        self._host = host
        self._remote = remote
        self._closing = False
        network.datagram_ends[self] = None
        network.loop.call_soon(protocol.connection_made, self)

    def __repr__(self) -> str:
        return f"<DatagramEnd {self._host} to {self._remote[0]}:{self._remote[1]}>"

    def is_closing(self) -> bool:
        """See asyncio."""
        return self._closing

    def sendto(self, data: object, addr: object = None) -> None:
        """See asyncio."""
        del addr  # it is connected
        network = self._network
        there = network.path(self._host, self._remote[0])
        if self._closing:
            return
        if there.blocked is not None:
            there.blocked.fire()
            return
        assert isinstance(data, bytes)
        network.loop.call_later(network.draw(there), self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        network = self._network
        back = network.path(self._remote[0], self._host)
        answers = network.datagram_servers.get(self._remote)
        if back.blocked is not None:
            back.blocked.fire()
        elif answers is None:
            error = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            network.loop.call_later(network.draw(back), self._hear, error)
        else:
            for answer in answers(data, self._host):
                network.loop.call_later(network.draw(back), self._hear, answer)

    def _hear(self, what: bytes | OSError) -> None:
        if self._closing:
            return
        if isinstance(what, OSError):
            self._protocol.error_received(what)
        else:
            self._protocol.datagram_received(what, self._remote)

    def close(self) -> None:
        """See asyncio."""
        if not self._closing:
            self._closing = True
            del self._network.datagram_ends[self]
            self._network.loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """See asyncio."""
        self.close()
