"""A DNS server on loopback for tests, by UDP and TCP, that says what it is told to.

Each question is answered by the `Reply` of its name and type, or NXDOMAIN. `asked` has every
question that came, in order.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Reply:
    """What to answer: records as in a zone file (`name ttl IN type data`), and the lies.

    `raw` takes the whole message and gives the datagrams to send instead; none is silence.
    """

    answer: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()
    authority: tuple[str, ...] = ()
    code: dns.rcode.Rcode = dns.rcode.NOERROR
    truncated: bool = False
    raw: Callable[[bytes], list[bytes]] | None = None


SILENCE = Reply(raw=lambda _: [])
SERVFAIL = Reply(code=dns.rcode.SERVFAIL)
NXDOMAIN = Reply(code=dns.rcode.NXDOMAIN)


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """`async with NameServer() as server:` listens at `server.address`."""

    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    by_tcp: int = 0
    port: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self.tcp = await asyncio.start_server(self.serve_tcp, "127.0.0.1", 0)
        self.port = self.tcp.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        self.udp, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", self.port)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.udp.close()
        self.tcp.close()
        await self.tcp.wait_closed()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        for datagram in self.answer(data, tcp=False):
            self.transport.sendto(datagram, addr)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.by_tcp += 1
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        for message in self.answer(await reader.readexactly(length), tcp=True):
            writer.write(struct.pack("!H", len(message)) + message)
        writer.close()

    def answer(self, data: bytes, *, tcp: bool) -> list[bytes]:
        query = dns.message.from_wire(data)
        (question,) = query.question
        key = f"{question.name} {dns.rdatatype.to_text(question.rdtype)}"
        self.asked.append(key)
        reply = self.replies.get(key, NXDOMAIN)
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(reply.code)
        if reply.truncated and not tcp:
            response.flags |= dns.flags.TC
        else:
            for texts, section in (
                (reply.answer, response.answer),
                (reply.authority, response.authority),
                (reply.additional, response.additional),
            ):
                alike: dict[tuple[str, str, str], list[str]] = {}
                for text in texts:
                    name, ttl, _, kind, rest = text.split(" ", 4)
                    alike.setdefault((name, ttl, kind), []).append(rest)
                for (name, ttl, kind), rests in alike.items():
                    record = dns.rrset.from_text_list(name, int(ttl), "IN", kind, rests)
                    merged = response.find_rrset(
                        section, record.name, record.rdclass, record.rdtype, create=True
                    )
                    merged.update(record)
        wire = response.to_wire(max_size=65535)
        return [wire] if reply.raw is None else reply.raw(wire)
