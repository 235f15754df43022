"""An in-memory network for a `SimLoop`: hosts, listeners, byte streams, and what goes wrong.

Code runs on a host: inside `with network.on("10.0.0.7"):` whatever listens or connects does so
from that address, tasks that are begun there included. Between two hosts there are two paths,
one each way, and what goes wrong on a path goes wrong for every connection over it:

    blocked   nothing passes; it stays with its sender and goes on when the path is open again
    delayed   everything takes longer
    buffered  a proxy takes everything and passes it on only in lumps, or when it is taken away

A connection is two byte streams and behaves like TCP as a program sees it. Each stream has a
send buffer in the kernel, a window of bytes that the receiver has not read, and behind both the
transport's write buffer with its limits; a receiver that does not read thus pauses its sender.
An end that is closed answers what still arrives with a reset. A single connection can be reset,
closed on one side, or cut after any number of further bytes.

Faults are `Injection`s. One counts as fired when it touched something, once, however many bytes
it touched: a connection that is cut, a path on which something was held up, a refused dial.

What is simplified: there are no packets, so nothing is lost for good or comes out of order; the
reset of a connection over a blocked path is heard when the path is open again; `dead_after`
stands for keep-alive probes and TCP_USER_TIMEOUT together, counted from the moment the path was
blocked.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import Counter, deque
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias, cast

from kubbo.sim.datagrams import DatagramEnd
from kubbo.sim.loop import SimulationError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Generator, Iterable
    from contextvars import Context

    from kubbo.sim.loop import SimLoop
    from kubbo.sim.secrets import ServingCertificate

__all__ = [
    "DEAD_AFTER",
    "HOST",
    "Connection",
    "Direction",
    "End",
    "Injection",
    "Path",
    "SimNetwork",
]

HOST: ContextVar[str] = ContextVar("kubbo-sim-host", default="10.255.255.254")
"""The address of the host that the running code is on."""

DEAD_AFTER: ContextVar[float | None] = ContextVar("kubbo-sim-dead-after", default=None)
"""Seconds without a way to the peer after which connections that are made now are given up."""

Direction: TypeAlias = Literal["to server", "to client"]

WINDOW_BYTES: Final = 64 * 1024
"""Bytes under way or not read by the receiver, above which nothing more is sent."""

SEND_BUFFER_BYTES: Final = 64 * 1024
"""Bytes that the kernel of a sender takes; what is beyond waits in the transport."""

UNREACHABLE_AFTER: Final = 3.0
"""Seconds until a dial of an address that no host has fails, as on one Ethernet segment."""

TRANSITS_KEPT: Final = 600.0
"""Seconds for which it is known how long what arrived had been on its way."""

_FIRST_PORT = 32_768


@dataclass(slots=True)
class Injection:
    """One fault that was put in; `fired` once it touched anything."""

    kind: str
    counter: Counter[str]
    fired: bool = False

    def fire(self) -> None:
        """Count it, the first time."""
        if not self.fired:
            self.fired = True
            self.counter[self.kind] += 1


@dataclass(slots=True, eq=False)
class Path:
    """The way from one host to another. What is None is not the case."""

    blocked: Injection | None = None
    delayed: Injection | None = None
    delay: float = 0.0
    buffered: Injection | None = None
    lump_bytes: int = 0
    streams: dict[_Stream, None] = field(default_factory=dict["_Stream", None])
    waiting: list[asyncio.Future[None]] = field(default_factory=list["asyncio.Future[None]"])

    def reopen(self) -> None:
        """Nothing is in the way any more."""
        self.blocked = self.buffered = self.delayed = None
        self.delay = 0.0
        for future in self.waiting:
            if not future.done():
                future.set_result(None)
        self.waiting.clear()
        for stream in tuple(self.streams):
            stream.source.check_alive()
            stream.target.check_alive()
            stream.pump()


class SimNetwork:
    """The network of one loop.

    Attributes:
        latency: seconds each way, the least and the most; drawn anew for each lump of bytes.
        names: addresses by host name.
        fired: how often each kind of fault has touched something.
        connections: the connections that are open, oldest first.
        datagram_servers: by address and port, what answers a datagram of a host.
        datagram_ends: the datagram sockets that are open.
        certificates: those of the servers at addresses and ports that speak TLS.
    """

    def __init__(
        self, loop: SimLoop, rng: random.Random, *, latency: tuple[float, float] = (0.0002, 0.002)
    ) -> None:
        """Becomes the network of `loop`."""
        self.loop = loop
        self.rng = rng
        self.latency = latency
        self.names: dict[str, list[str]] = {}
        self.fired: Counter[str] = Counter()
        self.connections: dict[Connection, None] = {}
        self.datagram_servers: dict[tuple[str, int], Callable[[bytes, str], Iterable[bytes]]] = {}
        self.datagram_ends: dict[DatagramEnd, None] = {}
        self.certificates: dict[tuple[str, int], ServingCertificate] = {}
        self._transits: dict[str, deque[tuple[float, float]]] = {}
        self._hosts: dict[str, None] = {HOST.get(): None}
        self._balanced: dict[str, tuple[str, ...]] = {}
        self._paths: dict[tuple[str, str], Path] = {}
        self._listeners: dict[tuple[str, int], _Listener] = {}
        self._refusing: dict[tuple[str, int], list[Injection]] = {}
        self._last_port = _FIRST_PORT
        loop.network = self

    # --- hosts

    @contextmanager
    def on(self, address: str, *, dead_after: float | None = None) -> Generator[None]:
        """Run code on the host of this address, which comes into being with it.

        `dead_after`: seconds without a way to its peer after which a connection that is opened
        in here is given up, as the kernel does where the program asked for it.
        """
        self._hosts[address] = None
        host, dead = HOST.set(address), DEAD_AFTER.set(dead_after)
        try:
            yield
        finally:
            HOST.reset(host)
            DEAD_AFTER.reset(dead)

    def balance(self, address: str, backends: Iterable[str]) -> None:
        """Make an address virtual: each connection to it goes to one of the hosts behind."""
        self._balanced[address] = tuple(backends)

    def remove_host(self, address: str) -> None:
        """Take a host away, like a pod that is gone; its connections hear nothing of it."""
        self._hosts.pop(address, None)
        for listener in [each for key, each in self._listeners.items() if key[0] == address]:
            listener.close()

    def lookup(self, host: str) -> list[str]:
        """The addresses of a name, or the address itself.

        Raises:
            socket.gaierror: there are none.
        """
        if host in self.names:
            return list(self.names[host])
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
        except OSError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        return [host]

    # --- faults

    def injection(self, kind: str) -> Injection:
        """A fault that is counted here when it fires."""
        return Injection(kind, self.fired)

    def path(self, source: str, target: str) -> Path:
        """The way from one host to another."""
        path = self._paths.get((source, target))
        if path is None:
            path = self._paths[source, target] = Path()
        return path

    def block(self, source: str, target: str, *, kind: str = "black hole") -> Injection:
        """Let nothing pass from one host to another."""
        return self._block([(source, target)], kind)

    def partition(self, some: Iterable[str], others: Iterable[str]) -> Injection:
        """Let nothing pass between two groups of hosts, either way."""
        some, others = tuple(some), tuple(others)
        pairs = [(one, other) for one in some for other in others]
        return self._block([*pairs, *((b, a) for a, b in pairs)], "partition")

    def _block(self, pairs: Iterable[tuple[str, str]], kind: str) -> Injection:
        injection = self.injection(kind)
        for source, target in pairs:
            path = self.path(source, target)
            path.blocked = injection
            for stream in path.streams:
                stream.source.check_alive()
                stream.target.check_alive()
        return injection

    def delay(self, source: str, target: str, seconds: float) -> Injection:
        """Let everything from one host to another take so much longer."""
        path = self.path(source, target)
        path.delay, path.delayed = seconds, self.injection("delay")
        return path.delayed

    def buffer(self, source: str, target: str, lump_bytes: int) -> Injection:
        """Put a proxy in between that passes bytes on when it has so many, or all at an end."""
        path = self.path(source, target)
        path.lump_bytes, path.buffered = lump_bytes, self.injection("buffering proxy")
        return path.buffered

    def refuse(self, address: str, port: int, *, times: int = 1) -> None:
        """Refuse the next dials of an address, as if nobody listened; each counts."""
        orders = self._refusing.setdefault((address, port), [])
        orders.extend(self.injection("refuse") for _ in range(times))

    def heal(self) -> None:
        """Take all faults back that have not come to an end by themselves."""
        self._refusing.clear()
        for path in self._paths.values():
            path.reopen()

    # --- for the loop

    async def create_connection(
        self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """See `asyncio.loop.create_connection`; the addresses of a name are tried in turn.

        Raises:
            OSError: refused, or there is no such host.
        """
        trouble: OSError | None = None
        for address in self.lookup(host):
            try:
                listener, backend = await self._dial(address, port)
            except OSError as error:
                trouble = error
                continue
            end = self._connect(listener, backend, (address, port), factory())
            end.protocol.connection_made(end)
            return end, end.protocol
        assert trouble is not None  # a lookup gives at least one address
        raise trouble

    async def _dial(self, address: str, port: int) -> tuple[_Listener, str]:
        """One round trip to an address; who listens there, and on which host."""
        backends = self._balanced.get(address)
        host = self.rng.choice(backends) if backends else address
        there, back = self.path(HOST.get(), host), self.path(host, HOST.get())
        for path in (there, back):
            while path.blocked is not None:
                path.blocked.fire()
                opened: asyncio.Future[None] = self.loop.create_future()
                path.waiting.append(opened)
                try:
                    await opened
                finally:
                    if opened in path.waiting:
                        path.waiting.remove(opened)
        await asyncio.sleep(self.draw(there) + self.draw(back))
        if orders := self._refusing.get((address, port)) or self._refusing.get((host, port)):
            orders.pop(0).fire()
            raise _refused(address, port)
        listener = self._listeners.get((host, port)) or self._listeners.get(("", port))
        if listener is not None:
            return listener, host
        if host in self._hosts:
            raise _refused(address, port)
        await asyncio.sleep(UNREACHABLE_AFTER)
        raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    def _connect(
        self,
        listener: _Listener,
        backend: str,
        address: tuple[str, int],
        protocol: asyncio.BaseProtocol,
    ) -> End:
        self._last_port += 1
        name = (HOST.get(), self._last_port)
        client = End(
            self, protocol, copy_context(), dead_after=DEAD_AFTER.get(), name=name, peer=address
        )
        served = listener.context.run(listener.factory)
        server = End(
            self,
            served,
            listener.context,
            dead_after=listener.dead_after,
            name=(backend, address[1]),
            peer=name,
        )
        listener.ends[server] = None
        server.listener = listener
        there = _Stream(self, client, server, self.path(HOST.get(), backend))
        back = _Stream(self, server, client, self.path(backend, HOST.get()))
        client.outgoing, client.incoming = there, back
        server.outgoing, server.incoming = back, there
        connection = Connection(self, client, server)
        client.connection = server.connection = connection
        self.connections[connection] = None
        self.loop.call_soon(served.connection_made, server, context=listener.context)
        return client

    async def create_server(
        self, factory: Callable[[], asyncio.BaseProtocol], host: str | None, port: int
    ) -> asyncio.AbstractServer:
        """See `asyncio.loop.create_server`. Without a host it is the one that the code is on.

        Raises:
            OSError: somebody listens there already.
        """
        address = HOST.get() if host in (None, "0.0.0.0", "::") else self.lookup(host or "")[0]  # noqa: S104
        self._hosts[address] = None
        if not port:
            self._last_port += 1
            port = self._last_port
        if (address, port) in self._listeners:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        listener = _Listener(self, factory, (address, port))
        self._listeners[address, port] = listener
        return cast("asyncio.AbstractServer", listener)

    def create_datagram_endpoint(
        self, factory: Callable[[], asyncio.DatagramProtocol], remote: tuple[str, int]
    ) -> tuple[asyncio.DatagramTransport, asyncio.DatagramProtocol]:
        """See `asyncio.loop.create_datagram_endpoint`."""
        protocol = factory()
        return DatagramEnd(self, protocol, HOST.get(), remote), protocol

    def forget_listener(self, listener: _Listener) -> None:
        """It is closed."""
        if self._listeners.get(listener.address) is listener:
            del self._listeners[listener.address]

    def draw(self, path: Path) -> float:
        """How long the next bytes take over a path."""
        seconds = self.rng.uniform(*self.latency)
        if path.delayed is not None:
            path.delayed.fire()
            seconds += path.delay
        return seconds

    def note_arrival(self, host: str, seconds: float) -> None:
        """Bytes that a client on this host has got were on their way for so long."""
        if seconds > self.latency[1]:
            noted = self._transits.setdefault(host, deque())
            noted.append((self.loop.time(), seconds))
            while noted[0][0] < self.loop.time() - TRANSITS_KEPT:
                noted.popleft()

    def longest_transit(self, host: str, since: float) -> float:
        """The longest way of what came to the clients on a host since a time, in seconds."""
        noted = self._transits.get(host, ())
        return max((took for at, took in noted if at >= since), default=self.latency[1])

    def left_open(self) -> list[str]:
        """Transports and listeners that are open, for a person to read."""
        ends = [end for one in self.connections for end in (one.client, one.server)]
        return [
            *(f"transport {end!r}" for end in ends if not end.lost),
            *(f"listener {host}:{port}" for host, port in self._listeners),
            *(f"datagram socket {end!r}" for end in self.datagram_ends),
        ]


class Connection:
    """One connection: the end that dialled and the one that accepted."""

    def __init__(self, network: SimNetwork, client: End, server: End) -> None:
        self.client = client
        self.server = server
        self._network = network

    def reset(self, *, kind: str = "reset") -> None:
        """Break it: both ends get a reset, now."""
        self._network.injection(kind).fire()
        for end in (self.client, self.server):
            end.lose(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def half_close(self, direction: Direction) -> None:
        """End one of its streams in order; the other goes on."""
        self._network.injection("half close").fire()
        self.stream(direction).finish()

    def cut(self, direction: Direction, after_bytes: int, *, reset: bool) -> Injection:
        """Let only so many further bytes pass in one direction.

        Then both ends get a reset, or the receiver an end of the stream as if all were well.
        """
        injection = self._network.injection("cut")
        self.stream(direction).cut = _Cut(injection, after_bytes, reset)
        return injection

    def stream(self, direction: Direction) -> _Stream:
        """The bytes that go in one direction."""
        return self.client.outgoing if direction == "to server" else self.server.outgoing

    def forget(self) -> None:
        """An end is gone."""
        if self.client.lost and self.server.lost:
            self._network.connections.pop(self, None)


@dataclass(slots=True)
class _Cut:
    injection: Injection
    left_bytes: int
    reset: bool


class _Stream:
    """The bytes of one connection in one direction."""

    __slots__ = (
        "cut",
        "ended",
        "finished",
        "flight",
        "last_arrival",
        "network",
        "path",
        "source",
        "target",
        "timer",
        "under_way_bytes",
        "unsent",
        "unsent_bytes",
    )

    def __init__(self, network: SimNetwork, source: End, target: End, path: Path) -> None:
        self.network = network
        self.source = source
        self.target = target
        self.path = path
        path.streams[self] = None
        self.unsent: deque[tuple[float, bytes]] = deque()  # since when
        self.unsent_bytes = 0
        self.flight: deque[tuple[float, float, bytes]] = deque()  # until, since; empty: the end
        self.under_way_bytes = 0  # in flight, or arrived and not read
        self.last_arrival = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.finished = False  # no further bytes from the source
        self.ended = False  # and that has been sent
        self.cut: _Cut | None = None

    def send(self, data: bytes) -> None:
        """Queue bytes."""
        self.unsent.append((self.network.loop.time(), data))
        self.unsent_bytes += len(data)
        self.pump()

    def finish(self) -> None:
        """Nothing follows."""
        self.finished = True
        self.pump()

    def pump(self) -> None:
        """Send what may be sent."""
        path = self.path
        if (self.unsent or (self.finished and not self.ended)) and not self.ended:
            if path.blocked is not None:
                path.blocked.fire()
                return
            if (
                path.buffered is not None
                and not self.finished
                and self.unsent_bytes < path.lump_bytes
            ):
                path.buffered.fire()
                return
        while self.unsent and self.under_way_bytes < WINDOW_BYTES and not self.ended:
            since, chunk = self.unsent.popleft()
            self.unsent_bytes -= len(chunk)
            cut = self.cut
            if cut is not None and len(chunk) >= cut.left_bytes:
                self._cut_off(since, chunk, cut)
                return
            if cut is not None:
                cut.left_bytes -= len(chunk)
            self._launch(since, chunk)
        if self.finished and not self.unsent and not self.ended:
            self.ended = True
            self._launch(self.network.loop.time(), b"")
        self.source.sent()

    def _cut_off(self, since: float, chunk: bytes, cut: _Cut) -> None:
        cut.injection.fire()
        if cut.left_bytes:
            self._launch(since, chunk[: cut.left_bytes])
        self.unsent.clear()
        self.unsent_bytes = 0
        self.ended = self.finished = True
        if cut.reset:
            # The bytes that were let through arrive first.
            at = self.last_arrival
            for end in (self.source, self.target):
                self.network.loop.call_at(at, end.lose, _reset(), context=end.context)
        else:
            self._launch(self.network.loop.time(), b"")
        self.source.sent()

    def _launch(self, since: float, chunk: bytes) -> None:
        loop = self.network.loop
        self.last_arrival = max(self.last_arrival, loop.time() + self.network.draw(self.path))
        self.under_way_bytes += len(chunk)
        self.flight.append((self.last_arrival, since, chunk))
        if self.timer is None:
            self.timer = loop.call_at(self.last_arrival, self._arrive, context=self.target.context)

    def _arrive(self) -> None:
        self.timer = None
        now = self.network.loop.time()
        while self.flight and self.flight[0][0] <= now:
            _, since, chunk = self.flight.popleft()
            self.target.note_arrival(now - since)
            self.target.take(chunk)
        if self.flight and self.timer is None:
            self.timer = self.network.loop.call_at(
                self.flight[0][0], self._arrive, context=self.target.context
            )

    def read(self, count: int) -> None:
        """The receiver has read bytes."""
        self.under_way_bytes -= count
        if self.unsent:
            self.pump()

    def drop(self) -> None:
        """Its source has given it up, or both its ends are gone."""
        self.unsent.clear()
        self.unsent_bytes = 0
        self.flight.clear()
        self.path.streams.pop(self, None)
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class End(asyncio.Transport):
    """One end of a connection, as its protocol sees it."""

    outgoing: _Stream
    incoming: _Stream
    connection: Connection

    def __init__(
        self,
        network: SimNetwork,
        protocol: asyncio.BaseProtocol,
        context: Context,
        *,
        dead_after: float | None,
        name: tuple[str, int],
        peer: tuple[str, int],
    ) -> None:
        super().__init__({"sockname": name, "peername": peer})
        self.protocol = protocol
        self.context = context
        self.lost = False
        self.listener: _Listener | None = None
        self._network = network
        self._name = name
        self._peer = peer
        self._dead_after = dead_after
        self._dead: asyncio.TimerHandle | None = None
        self._closing = False
        self._eof_written = False
        self._reading = True
        self._inbox: deque[bytes] = deque()
        self._high, self._low = 64 * 1024, 16 * 1024
        self._paused = False

    def __repr__(self) -> str:
        return f"<End {self._name[0]}:{self._name[1]} of {self._peer[0]}:{self._peer[1]}>"

    # --- asyncio.Transport

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See asyncio."""
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio."""
        self.protocol = protocol

    def is_closing(self) -> bool:
        """See asyncio."""
        return self._closing

    def is_reading(self) -> bool:
        """See asyncio."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """See asyncio."""
        self._reading = False

    def resume_reading(self) -> None:
        """See asyncio."""
        if not self._reading:
            self._reading = True
            if self._inbox:
                self._network.loop.call_soon(self._read, context=self.context)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio."""
        self._high = 64 * 1024 if high is None else high
        self._low = self._high // 4 if low is None else low
        self.sent()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """See asyncio."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """See asyncio."""
        return max(0, self.outgoing.unsent_bytes - SEND_BUFFER_BYTES)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """See asyncio."""
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data or self.outgoing.finished:  # by a fault: it goes nowhere
            return
        self.outgoing.send(bytes(data))
        self.sent()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """See asyncio."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """See asyncio."""
        return True

    def write_eof(self) -> None:
        """See asyncio."""
        if not self._closing:
            self._eof_written = True
            self.outgoing.finish()

    def close(self) -> None:
        """See asyncio."""
        if self._closing:
            return
        self._closing = True
        self._reading = False
        if self._inbox:  # a kernel resets a connection that is closed with unread bytes
            self.lose(None, say="reset")
        else:
            self.sent()

    def abort(self) -> None:
        """See asyncio."""
        self.lose(None, say="reset")

    # --- the network's side

    def sent(self) -> None:
        """Something left the write buffer, or was put into it."""
        waiting = self.get_write_buffer_size()
        if self._closing and not self.lost and not waiting:
            self.lose(None, say="end")
        elif not self._paused and waiting > self._high:
            self._paused = True
            self.protocol.pause_writing()
        elif self._paused and waiting <= self._low and not self.lost:
            self._paused = False
            self.protocol.resume_writing()

    def note_arrival(self, seconds: float) -> None:
        """Bytes arrived that were on their way for so long."""
        if self.listener is None and not self._closing:
            self._network.note_arrival(self._name[0], seconds)

    def take(self, data: bytes) -> None:
        """Bytes have arrived; none: the end of the stream has."""
        if self.lost or self._closing:
            if data:
                self.lose(None)
                self.connection_peer().hear_reset()
            return
        self._inbox.append(data)
        if self._reading:
            self._read()

    def _read(self) -> None:
        protocol = cast("asyncio.Protocol", self.protocol)
        while self._inbox and self._reading and not self._closing:
            data = self._inbox.popleft()
            if data:
                self.incoming.read(len(data))
                protocol.data_received(data)
                protocol = cast("asyncio.Protocol", self.protocol)
            elif not protocol.eof_received():
                self.close()

    def connection_peer(self) -> End:
        """The other end."""
        return self.incoming.source

    def hear_reset(self) -> None:
        """The peer reset the connection: heard after what it sent before, if there is a way."""
        stream = self.incoming
        if stream.path.blocked is not None:
            opened: asyncio.Future[None] = self._network.loop.create_future()
            stream.path.waiting.append(opened)
            opened.add_done_callback(lambda _: self.hear_reset(), context=self.context)
            return
        loop = self._network.loop
        at = max(loop.time() + self._network.draw(stream.path), stream.last_arrival)
        loop.call_at(at, self.lose, _reset(), context=self.context)

    def lose(self, error: Exception | None, *, say: Literal["", "end", "reset"] = "") -> None:
        """This end is over: tell the protocol soon, and the peer as `say` says."""
        if self.lost:
            return
        self.lost = self._closing = True
        if self._dead is not None:
            self._dead.cancel()
            self._dead = None
        self._inbox.clear()
        if self.listener is not None:
            self.listener.leave(self)
        peer = self.connection_peer()
        if peer.lost:  # otherwise what it sends still arrives, and is answered by a reset
            self.incoming.drop()
        if say == "end" and not peer.lost:
            self.outgoing.finish()
        else:
            self.outgoing.drop()
            if say == "reset" and not peer.lost:
                peer.hear_reset()
        self.connection.forget()
        self._network.loop.call_soon(self.protocol.connection_lost, error, context=self.context)

    def check_alive(self) -> None:
        """A path was blocked or opened: begin or stop to count towards `dead_after`."""
        if self._dead_after is None or self.lost:
            return
        blocked = self.incoming.path.blocked or self.outgoing.path.blocked
        if blocked is not None and self._dead is None:
            self._dead = self._network.loop.call_later(self._dead_after, self._die, blocked)
        elif blocked is None and self._dead is not None:
            self._dead.cancel()
            self._dead = None

    def _die(self, blocked: Injection) -> None:
        self._dead = None
        blocked.fire()
        self.lose(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))


class _Address:
    """What a listener shows for a socket."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def getsockname(self) -> tuple[str, int]:
        """As of a socket."""
        return self._address


class _Listener:
    """What `create_server` gives; see `asyncio.Server`."""

    def __init__(
        self,
        network: SimNetwork,
        factory: Callable[[], asyncio.BaseProtocol],
        address: tuple[str, int],
    ) -> None:
        self.factory = factory
        self.address = address
        self.context = copy_context()
        self.dead_after = DEAD_AFTER.get()
        self.ends: dict[End, None] = {}
        self._network = network
        self._closed = False
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def sockets(self) -> tuple[_Address, ...]:
        """See asyncio."""
        return () if self._closed else (_Address(self.address),)

    def get_loop(self) -> SimLoop:
        """See asyncio."""
        return self._network.loop

    def is_serving(self) -> bool:
        """See asyncio."""
        return not self._closed

    async def start_serving(self) -> None:
        """It has begun already."""

    async def serve_forever(self) -> None:
        """Not in a simulation: servers are ended by their owners."""
        raise SimulationError("serve_forever of a simulated listener")

    def close(self) -> None:
        """See asyncio."""
        if not self._closed:
            self._closed = True
            self._network.forget_listener(self)
            self._wake()

    def close_clients(self) -> None:
        """See asyncio."""
        for end in tuple(self.ends):
            end.close()

    def abort_clients(self) -> None:
        """See asyncio."""
        for end in tuple(self.ends):
            end.abort()

    def leave(self, end: End) -> None:
        """A connection that was accepted here is over."""
        self.ends.pop(end, None)
        self._wake()

    def _wake(self) -> None:
        if self._closed and not self.ends:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def wait_closed(self) -> None:
        """Return when it is closed and its connections are over, as since Python 3.12."""
        if not self._closed or self.ends:
            waiter: asyncio.Future[None] = self._network.loop.create_future()
            self._waiters.append(waiter)
            await waiter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def _refused(address: str, port: int) -> ConnectionRefusedError:
    return ConnectionRefusedError(
        errno.ECONNREFUSED, f"Connect call failed ({address!r}, {port}): refused"
    )
