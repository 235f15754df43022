"""One lookup of a DNS target: which names, which questions, and what the answers come to.

A named port asks for `SRV _PORT._tcp.HOST`, which CoreDNS answers for every named port of a
Service, with the pods' addresses beside it. The first priority that has an address is used.
A number asks for A records, and for AAAA only where the name has no A (the other way round where
IPv6 is preferred), and of an SRV answer with both families one is used: a pod with both is one
provider, not two, and DNS does not tell which two addresses are one pod's.

The addresses of an SRV answer may have to be asked for, target by target, and one of those
questions may fail. What the others said is an answer, but not a whole one (`Found.whole`): who is
missing in it was not deleted. The view decides what that is good for.

A host without a dot at its end goes through the search domains of resolv.conf as it does in
any program of a pod (`ndots`), and here the search stops at the first name that exists, and
at the first that nobody can answer for. The C library would go on there; but what comes later
is a *different name* (`greeter.shop` may well exist on the Internet), and calling somebody
else is worse than calling nobody.

Questions, their random ids and ports, truncation and TCP are dnspython's. Answers are not
trusted: a datagram that is no answer to the question is ignored until the time is over, and
ports, addresses and their number are checked before anybody sees them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.SRV import SRV

from kubbo.errors import ConfigError
from kubbo.model import Endpoint
from kubbo.naming.dns.resolv_conf import ResolvConf, name_server, read_resolv_conf
from kubbo.naming.dns.view import MAX_ENDPOINTS, Answer, Found, Nothing, Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dns.rdata import Rdata
    from dns.rrset import RRset

    from kubbo.naming.target import DnsTarget

__all__ = ["Lookup"]

_PAYLOAD: Final = 1232  # bytes of a datagram that pass without fragments; more comes by TCP
_ROUNDS: Final = 2  # over all servers: datagrams get lost
_LONGEST_LOOKUP: Final = 30.0  # seconds: servers that answer slowly may be asked many questions
_KINDS: Final = (dns.rdatatype.A, dns.rdatatype.AAAA)
_TOO_LONG_TTL: Final = 5.0  # seconds, of a name that nobody was asked for
_TARGET_QUESTIONS: Final = 32  # for SRV targets whose addresses did not come along


@dataclass(frozen=True, slots=True)
class _Servers:
    """Whom to ask, and under which names."""

    addresses: tuple[tuple[str, int], ...]
    search: tuple[dns.name.Name, ...]
    ndots: int
    timeout: float


class _NoAnswerError(Exception):
    """Nobody could answer; the text says who said what."""


@dataclass(slots=True)
class _Gathered:
    """What the targets of SRV records came to so far."""

    ttl: float
    endpoints: list[Endpoint] = field(default_factory=list[Endpoint])
    asked: int = 0
    cut: int = 0
    missing: list[str] = field(default_factory=list[str])


class Lookup:
    """Asks for one target. Calling it asks once; see `View` for when that is done.

    Attributes:
        asked: the questions that the lookup which runs, or ran last, has sent.
    """

    def __init__(
        self,
        target: DnsTarget,
        *,
        nameservers: Sequence[str] = (),
        resolv_conf: str | Path = "/etc/resolv.conf",
        family: Literal["IPv4", "IPv6"] | None = None,
        longest: float = _LONGEST_LOOKUP,
    ) -> None:
        """`nameservers`, each `ADDRESS` or `ADDRESS:PORT`, are asked instead of the file's.

        `family` is the preferred one of a name that has addresses of both; None prefers IPv4.
        `longest` is the time that a lookup may take over all its questions, in seconds.

        Raises:
            ConfigError: a name server is no address.
        """
        self._target = target
        self._given = tuple(_server(text) for text in nameservers)
        self._resolv_conf = str(resolv_conf)
        self._family: Final = family or "IPv4"
        self._kinds = _KINDS if self._family == "IPv4" else _KINDS[::-1]
        self._longest = longest
        self.asked = 0

    async def __call__(self) -> Answer:
        """Ask until something is known. Cancel safe; raises nothing else."""
        self.asked = 0
        try:
            # The file is read each time: a laptop changes networks, a pod's never changes.
            servers = await asyncio.to_thread(self._read)
            async with asyncio.timeout(self._longest):
                return await self._search(servers)
        except TimeoutError:
            return Unanswered(
                f"DNS did not answer for {self._target} in {self._longest:g} s, after "
                f"{self.asked} questions; retrying",
                self.asked,
            )
        except _NoAnswerError as error:
            return Unanswered(str(error), self.asked)
        except (dns.exception.DNSException, ValueError) as error:
            return Unanswered(f"{self._target}: {_said(error)}", self.asked)

    async def identity(self) -> str:
        """What the answers depend on besides the target: whom it asks, and for which names.

        Two clusters have the same search domains, as a rule, and other name servers.
        """
        try:
            servers = await asyncio.to_thread(self._read)
        except _NoAnswerError:
            return self._family
        asked = (_text(one) for one in servers.addresses)
        return " ".join((self._family, *asked, *(one.to_text() for one in servers.search)))

    # ------------------------------------------------------------------ names
    def _read(self) -> _Servers:
        try:
            read = read_resolv_conf(self._resolv_conf)
        except (OSError, ValueError) as error:
            read, why = ResolvConf(), f"{self._resolv_conf} cannot be read: {error}"
        else:
            why = f"{self._resolv_conf} names no address of one"
        listed = tuple((one, 53) for one in read.nameservers)
        servers = _Servers(self._given or listed, read.search, read.ndots, read.timeout)
        if not servers.addresses:
            raise _NoAnswerError(f"no name server is known: {why}")
        return servers

    def _names(self, servers: _Servers) -> Iterator[dns.name.Name]:
        host = dns.name.from_text(self._target.host, None)
        if host.is_absolute():
            yield host
            return
        absolute = host.concatenate(dns.name.root)
        dotted = len(host.labels) > servers.ndots
        if dotted:
            yield absolute
        for domain in servers.search:
            try:
                yield host.concatenate(domain)
            except dns.name.NameTooLong:
                continue
        if not dotted:
            yield absolute

    async def _search(self, servers: _Servers) -> Answer:
        tried: list[str] = []
        ttl = float("inf")
        for name in self._names(servers):
            try:
                found = await self._look(name, servers)
            except _NoAnswerError as error:
                before = f" (before that: {', '.join(tried)})" if tried else ""
                raise _NoAnswerError(f"{error}{before}") from None
            if isinstance(found, Found):
                return found
            tried.append(found.reason)
            ttl = min(ttl, found.ttl)
            if found.exists:
                break
        at = ", ".join(_text(one) for one in servers.addresses)
        return Nothing(
            f"DNS has no provider of {self._target}: {', then '.join(tried)} (asked {at}); check "
            "the names of Service, namespace and port, and that pods are ready",
            ttl,
            self.asked,
        )

    async def _look(self, name: dns.name.Name, servers: _Servers) -> Found | _Miss:
        if isinstance(self._target.port, int):
            return await self._addresses(name, self._target.port, servers)
        service = dns.name.from_text(f"_{self._target.port}._tcp", None)
        try:
            return await self._services(service.concatenate(name), servers)
        except dns.name.NameTooLong:
            return _Miss(f"{name} is too long", _TOO_LONG_TTL, exists=False)

    async def _addresses(self, name: dns.name.Name, port: int, servers: _Servers) -> Found | _Miss:
        answer = await self._ask(name, self._kinds[0], servers)
        hosts = list(_hosts(answer.records))
        if not hosts and answer.exists:
            answer = await self._ask(name, self._kinds[1], servers)
            hosts = list(_hosts(answer.records))
        if not hosts:
            return answer.miss("addresses")
        endpoints = tuple(Endpoint(host, port) for host in sorted(hosts)[: MAX_ENDPOINTS + 1])
        return Found(endpoints, str(name), answer.ttl, self.asked)

    async def _services(self, name: dns.name.Name, servers: _Servers) -> Found | _Miss:
        answer = await self._ask(name, dns.rdatatype.SRV, servers)
        records = sorted(
            one
            for one in _each(answer.records)
            if isinstance(one, SRV) and one.port and one.target != dns.name.root
        )
        gathered = _Gathered(answer.ttl)
        try:
            # Half of the time, or the first silent target would cost what the others said.
            async with asyncio.timeout(self._longest / 2):
                for _, alike in itertools.groupby(records, key=lambda one: one.priority):
                    await self._gather(tuple(alike), answer, servers, gathered)
                    if gathered.endpoints:
                        break
        except TimeoutError:
            gathered.missing.append("its other targets have not answered in time")
        if not gathered.endpoints:
            if gathered.missing:
                raise _NoAnswerError(gathered.missing[0])
            return answer.miss("SRV records with an address" if records else "SRV records")
        return self._found(name, gathered)

    async def _gather(
        self, records: Sequence[SRV], answer: _Reply, servers: _Servers, into: _Gathered
    ) -> None:
        """Add the addresses of records of one priority."""
        alike = len({one.weight for one in records}) == 1
        for record in records:
            hosts, ttl = answer.beside(record.target, self._kinds)
            if not hosts:
                if into.asked == _TARGET_QUESTIONS:
                    into.cut += 1
                    continue
                into.asked += 1
                try:
                    found = await self._addresses(record.target, record.port, servers)
                except _NoAnswerError as error:
                    into.missing.append(str(error))
                    continue
                hosts = [one.host for one in found.endpoints] if isinstance(found, Found) else []
                ttl = found.ttl
            into.ttl = min(into.ttl, ttl)
            # A weight of 0 means "hardly ever" in SRV, and "never" in an endpoint.
            weight = 100 if alike else max(record.weight, 1)
            into.endpoints.extend(Endpoint(host, record.port, weight) for host in hosts)
            if len(into.endpoints) > MAX_ENDPOINTS:  # the view says that it cuts
                return

    def _found(self, name: dns.name.Name, gathered: _Gathered) -> Found:
        """One family of what was gathered, and what a person should know of the rest."""
        notes: list[str] = []
        six = self._family == "IPv6"
        endpoints = [one for one in gathered.endpoints if (":" in one.host) == six]
        if left := len(gathered.endpoints) - len(endpoints) if endpoints else 0:
            notes.append(f"{left} addresses are left out, which are not {self._family}")
        if gathered.cut:
            notes.append(
                f"cut: {gathered.cut} targets were not asked for, as they came without addresses "
                f"and {_TARGET_QUESTIONS} others did"
            )
        if gathered.missing:
            notes.append(f"{len(gathered.missing)} targets are missing: {gathered.missing[0]}")
        return Found(
            tuple(endpoints or gathered.endpoints),
            f"SRV {name}",
            gathered.ttl,
            self.asked,
            whole=not gathered.missing,
            note="; ".join(notes),
        )

    # ------------------------------------------------------------------ questions
    async def _ask(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType, servers: _Servers
    ) -> _Reply:
        """The first answer that says yes or no.

        Raises:
            _NoAnswerError: there was none.
        """
        said: dict[str, str] = {}
        silent = list(servers.addresses)
        for _ in range(_ROUNDS):
            for server in tuple(silent):
                try:
                    message = await self._ask_one(name, kind, server, servers.timeout)
                    code = message.rcode()
                    if code in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                        return _Reply(name, message)
                    said[_text(server)] = dns.rcode.to_text(code)
                    silent.remove(server)
                except dns.exception.Timeout:
                    said[_text(server)] = f"no answer in {servers.timeout:g} s"
                except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
                    # ValueError: asyncio's, of an address that it takes for another one
                    said[_text(server)] = _said(error)
                    silent.remove(server)
        listed = ", ".join(f"{server}: {what}" for server, what in said.items())
        raise _NoAnswerError(
            f"DNS gives no answer for {dns.rdatatype.to_text(kind)} {name} ({listed}); retrying. "
            f"Check the name servers in {self._resolv_conf}, and CoreDNS with "
            "`kubectl get pods -n kube-system -l k8s-app=kube-dns`"
        )

    async def _ask_one(
        self,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        server: tuple[str, int],
        timeout: float,  # noqa: ASYNC109 - of dnspython
    ) -> dns.message.Message:
        host, port = server
        backend: Any = dns.asyncbackend.get_backend("asyncio")  # its methods have no types
        query = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD)
        self.asked += 1
        # Connected: the kernel drops what comes from elsewhere, and tells when nobody listens.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = await backend.make_socket(family, socket.SOCK_DGRAM, 0, None, server)
        async with made as datagrams:
            message, truncated = await dns.asyncquery.udp_with_fallback(
                query,
                host,
                timeout,
                port,
                udp_sock=datagrams,
                backend=backend,
                ignore_unexpected=True,
                ignore_errors=True,
            )
        self.asked += truncated
        return message


@dataclass(frozen=True, slots=True)
class _Miss:
    """A name without what was asked for; `exists` is whether there is such a name at all."""

    reason: str
    ttl: float
    exists: bool


class _Reply:
    """An answer that says yes or no, with what came along.

    Raises:
        DNSException: it contradicts itself.
    """

    def __init__(self, name: dns.name.Name, message: dns.message.Message) -> None:
        assert isinstance(message, dns.message.QueryMessage)  # is_response has seen to that
        chain = message.resolve_chaining()
        self.exists = message.rcode() == dns.rcode.NOERROR
        self.records: RRset | None = chain.answer
        self.ttl = float(chain.minimum_ttl)
        self._name = name
        self._message = message

    def miss(self, what: str) -> _Miss:
        if self.exists:
            return _Miss(f"{self._name} exists and has no {what}", self.ttl, exists=True)
        return _Miss(f"there is no {self._name}", self.ttl, exists=False)

    def beside(
        self, target: dns.name.Name, kinds: Sequence[dns.rdatatype.RdataType]
    ) -> tuple[list[str], float]:
        """Addresses of a target that came along, of the first family there is, and their TTL."""
        for kind in kinds:
            records = self._message.get_rrset(
                self._message.additional, target, dns.rdataclass.IN, kind
            )
            if records is not None and (hosts := list(_hosts(records))):
                return hosts, float(records.ttl)
        return [], float("inf")


def _each(records: RRset | None) -> list[Rdata]:
    return cast("list[Rdata]", list(records or ()))  # its iterator has no type


def _hosts(records: RRset | None) -> Iterator[str]:
    """The addresses that can be dialled."""
    for record in _each(records):
        if isinstance(record, A | AAAA):
            address = ipaddress.ip_address(record.address)
            if not (address.is_unspecified or address.is_multicast) and int(address) != 0xFFFFFFFF:
                yield str(address)


def _server(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = text, "53"
    address = name_server(host.removeprefix("[").removesuffix("]"))
    number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else 0
    if address is None or not 0 < number < 65536:
        raise ConfigError(
            f"{text!r} is no name server; write its address, like 10.96.0.10 or 127.0.0.1:1053"
        )
    return address, number


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _text(server: tuple[str, int]) -> str:
    host, port = server
    return host if port == 53 else str(Endpoint(host, port))
