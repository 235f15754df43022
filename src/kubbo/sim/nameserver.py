"""A name server of a cluster in the simulated network, that says what the store says, or lies.

As CoreDNS does, it answers `SERVICE.NAMESPACE.svc.cluster.local.` by the addresses that are ready,
and `_PORT._tcp.` of it by SRV records, with the addresses beside them. Each question may be
answered otherwise: `lie` is asked. What was given as an answer is kept, for whoever judges.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias

import dns.asyncquery
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dns.message import Message, QueryMessage

    from kubbo.sim.net import SimNetwork

__all__ = ["LIES", "TTL", "Lie", "NameServer"]

Lie: TypeAlias = Literal[
    "NXDOMAIN", "wrong addresses", "stale answer", "truncated", "SERVFAIL", "silence", "empty",
    "other question", "half a datagram",
]  # fmt: skip
LIES: Final[tuple[Lie, ...]] = (
    "NXDOMAIN", "wrong addresses", "stale answer", "truncated", "SERVFAIL", "silence", "empty",
    "other question", "half a datagram",
)  # fmt: skip

TTL: Final = 5
"""Seconds, as CoreDNS has it for Services."""

_CLOCKED: Final = (dns.query, dns.asyncquery)
"""What of dnspython reckons how long it may still wait from `time.time()`. Were that the real one,
the microseconds that have passed would get into every timeout, and no run would be repeatable."""

_KEPT = 200  # answers to a name that are kept
_WRONG = "10.66"  # where no pod ever was


class _Clock:
    """What stands for the module `time` there: its time is the loop's."""

    def __init__(self, network: SimNetwork) -> None:
        self.time = network.loop.time


class NameServer:
    """Listens on one host, by datagrams and by TCP. Use it by `async with`.

    As long as it listens, dnspython's time is the simulation's.

    Attributes:
        lie: which lie the next question is told; None for the truth.
        told: how often each lie was told.
        questions: when whom was asked: (loop time, client), of the last ones.
        given: the sets of addresses that were given for a name, with the time, oldest first.
    """

    def __init__(
        self, network: SimNetwork, host: str, addresses: Callable[[str], Iterable[tuple[str, int]]]
    ) -> None:
        """`addresses` gives what the first label of a name stands for now."""
        self.lie: Callable[[], Lie | None] = lambda: None
        self.told: Counter[Lie] = Counter()
        self.questions: deque[tuple[float, str]] = deque(maxlen=100_000)
        self.given: dict[str, deque[tuple[float, frozenset[tuple[str, int]]]]] = {}
        self._network = network
        self._host = host
        self._addresses = addresses
        self._wrong = 0
        self._truths: dict[str, deque[tuple[tuple[str, int], ...]]] = {}
        self._tcp: asyncio.AbstractServer | None = None

    async def __aenter__(self) -> Self:
        with self._network.on(self._host):
            self._tcp = await asyncio.start_server(self._serve, None, 53)
        self._network.datagram_servers[self._host, 53] = self._answer_datagram
        for module in _CLOCKED:
            vars(module)["time"] = _Clock(self._network)
        return self

    async def __aexit__(self, *_: object) -> None:
        for module in _CLOCKED:
            vars(module)["time"] = time
        del self._network.datagram_servers[self._host, 53]
        assert self._tcp is not None
        self._tcp.close()
        await self._tcp.wait_closed()

    # --- carrying

    def _answer_datagram(self, data: bytes, client: str) -> list[bytes]:
        self.questions.append((self._network.loop.time(), client))
        lie = self.lie()
        if lie is not None:
            self.told[lie] += 1
        if lie == "silence":
            return []
        wire = self._answer(data, lie)
        if lie == "other question":  # by somebody who guesses, before the answer
            forged = bytearray(wire)
            forged[0] ^= 0xFF
            return [bytes(forged), wire]
        return [wire[: len(wire) // 2]] if lie == "half a datagram" else [wire]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.questions.append((self._network.loop.time(), writer.get_extra_info("peername")[0]))
        try:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            wire = self._answer(await reader.readexactly(length), None)
            writer.write(struct.pack("!H", len(wire)) + wire)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    # --- answering

    def _answer(self, data: bytes, lie: Lie | None) -> bytes:
        query = dns.message.from_wire(data)
        response = dns.message.make_response(query, recursion_available=True)
        assert isinstance(response, dns.message.QueryMessage)
        match lie:
            case "NXDOMAIN":
                response.set_rcode(dns.rcode.NXDOMAIN)
            case "SERVFAIL":
                response.set_rcode(dns.rcode.SERVFAIL)
            case "truncated":
                response.flags |= dns.flags.TC
            case "empty":
                pass
            case _:
                self._tell(query, response, lie)
        return response.to_wire(max_size=65535)

    def _tell(self, query: Message, response: QueryMessage, lie: Lie | None) -> None:
        (question,) = query.question
        labels = question.name.to_text().split(".")
        service = labels[2] if labels[0].startswith("_") else labels[0]
        truth = tuple(sorted(self._addresses(service)))
        truths = self._truths.setdefault(service, deque(maxlen=_KEPT))
        if not truths or truths[-1] != truth:
            truths.append(truth)
        told = truth
        if lie == "stale answer":
            told = truths[0]
        elif lie == "wrong addresses":
            self._wrong += 1
            told = tuple((f"{_WRONG}.{self._wrong % 250}.{n + 1}", 20880) for n in range(3))
        if not told:
            response.set_rcode(dns.rcode.NXDOMAIN)
            return
        given = self.given.setdefault(service, deque(maxlen=_KEPT))
        given.append((self._network.loop.time(), frozenset(told)))
        name = question.name.to_text()
        if question.rdtype == dns.rdatatype.SRV:
            base = name.split(".", 2)[2]
            targets = [f"{host.replace('.', '-')}.{base}" for host, _ in told]
            lines = [
                f"0 50 {port} {target}" for (_, port), target in zip(told, targets, strict=True)
            ]
            response.answer.append(dns.rrset.from_text(name, TTL, "IN", "SRV", *lines))
            for (host, _), target in zip(told, targets, strict=True):
                response.additional.append(dns.rrset.from_text(target, TTL, "IN", "A", host))
        elif question.rdtype == dns.rdatatype.A:
            hosts = [host for host, _ in told]
            response.answer.append(dns.rrset.from_text(name, TTL, "IN", "A", *hosts))
