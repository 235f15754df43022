"""Whether this process lives and wants calls, over HTTP: what a kubelet asks.

    GET /livez      200 while the event loop turns. It depends on nothing else: no other service, no
                    limit, not on draining. Who fails it is restarted, and that must help.
    GET /startupz   200 since the provider serves, 503 before; never 503 again.
    GET /readyz     200 while it wants calls: it serves, does not drain, and what was named as
                    needed (`Server.ready_when`) is there.
    GET /status     what it is doing, as JSON; from this machine only.

Everybody may ask for the first three, because a kubelet asks from an address of the node, and is
told "ok" or "not ready" and nothing more; why not, and whatever else there is, is told to loopback
only (`kubectl port-forward` and `kubbo health` come from there).

The port has connections of its own, outside of every limit of the provider: one that is too busy
for calls still says that it lives. It is bounded all the same. A connection is one request with a
head of 4 KiB that must be here within two seconds; above 64 of them the oldest one goes, so that
whoever opens connections and says nothing cannot keep a kubelet out. Bodies are not read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DEFAULT_ADMIN_PORT", "AdminPort", "Probed"]

DEFAULT_ADMIN_PORT: Final = 20881
"""Beside Dubbo's own."""

MAX_CONNECTIONS: Final = 64
MAX_HEAD_BYTES: Final = 4096
"""A kubelet's request has some 150 bytes."""

REQUEST_TIMEOUT: Final = 2.0
"""Seconds from connecting to the end of the head."""

LINGER: Final = 1.0
"""Seconds to wait for the peer's end after the answer: closing on unread bytes would reset it."""

_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]", ""})
"""What a Host header may say beside /status: a web page that has its own name lead to 127.0.0.1
must not read it in a developer's browser."""

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"

_PROBES: Final = frozenset({"/livez", "/readyz", "/startupz"})

_log = logging.getLogger("kubbo.server")


class Probed(Protocol):
    """Who is asked about."""

    @property
    def started(self) -> bool:
        """Whether it serves, or did."""
        ...

    def lacking(self) -> Sequence[str]:
        """Why it is not ready for calls, a line each; empty when it is."""
        ...

    def status(self) -> dict[str, object]:
        """What it is doing, for JSON."""
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """What to say: `body`, or the status in words."""

    status: HTTPStatus
    body: str = ""
    kind: str = _TEXT

    def response(self, method: str = "GET") -> bytes:
        """As HTTP, for a request of this method."""
        body = (self.body or f"{self.status.phrase.lower()}\n").encode()
        allow = "Allow: GET, HEAD\r\n" if self.status is HTTPStatus.METHOD_NOT_ALLOWED else ""
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            f"Content-Type: {self.kind}\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"{allow}"
            "Cache-Control: no-store\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + (b"" if method == "HEAD" else body)


_BAD_REQUEST: Final = _Answer(HTTPStatus.BAD_REQUEST)


@dataclass(frozen=True, slots=True)
class _Request:
    """What is read of a request; `path` is without its query."""

    method: str
    path: str
    host: str


class AdminPort:
    """Answers probes about `probed` on `host` and `port`; 0 takes a free port."""

    def __init__(self, probed: Probed, host: str | None, port: int) -> None:
        self._probed = probed
        self._host = host if host is not None or port else "0.0.0.0"  # noqa: S104 - as the provider
        self._port = port
        self._listener: asyncio.Server | None = None
        # In the order of their arrival.
        self._connections: dict[_Connection, None] = {}

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken or may not be had.
        """
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), self._host, self._port, reuse_address=True
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._listener is None or not self._listener.sockets:
            return self._port
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def aclose(self) -> None:
        """Listen no more, and end what is left."""
        if self._listener is not None:
            self._listener.close()
        left = tuple(self._connections)
        for connection in left:
            connection.abort()
        await asyncio.gather(*(connection.ended for connection in left))

    # -- for its connections

    def enter(self, connection: _Connection) -> None:
        """Take a connection in; the oldest one goes when there are too many."""
        self._connections[connection] = None
        if len(self._connections) > MAX_CONNECTIONS:
            next(iter(self._connections)).abort()

    def leave(self, connection: _Connection) -> None:
        """Forget a connection that has ended."""
        self._connections.pop(connection, None)

    def answer(self, head: bytes, *, local: bool) -> bytes:
        """The response to the head of a request; `local` says that it comes from loopback."""
        request = _read_head(head)
        if request is None:
            return _BAD_REQUEST.response()
        return self._answer(request, local=local).response(request.method)

    def _answer(self, request: _Request, *, local: bool) -> _Answer:
        known = request.path in _PROBES
        if not known and not (local and _is_local_name(request.host)):
            # Whether there is anything else is nobody else's business.
            return _Answer(HTTPStatus.FORBIDDEN)
        if not known and request.path != "/status":
            return _Answer(HTTPStatus.NOT_FOUND, "there are /livez, /readyz, /startupz, /status\n")
        if request.method not in {"GET", "HEAD"}:
            return _Answer(HTTPStatus.METHOD_NOT_ALLOWED)
        if request.path == "/status":
            return _Answer(HTTPStatus.OK, json.dumps(self._probed.status()) + "\n", _JSON)
        lacking: Sequence[str] = ()
        if request.path == "/startupz" and not self._probed.started:
            lacking = ["starting"]
        elif request.path == "/readyz":
            lacking = self._probed.lacking()
        if not lacking:
            return _Answer(HTTPStatus.OK, "ok\n")
        text = "".join(f"{line}\n" for line in lacking) if local else "not ready\n"
        return _Answer(HTTPStatus.SERVICE_UNAVAILABLE, text)


class _Connection(asyncio.Protocol):
    """One request and its answer."""

    def __init__(self, admin: AdminPort) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._admin = admin
        self._head = bytearray()
        self._answered = False
        self._transport: asyncio.Transport | None = None
        self._timer = loop.call_later(REQUEST_TIMEOUT, self.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._admin.enter(self)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`. What comes behind the head is dropped."""
        if self._answered:
            return
        self._head += data[: MAX_HEAD_BYTES + 1 - len(self._head)]
        end = self._head.find(b"\r\n\r\n")
        if end >= 0:
            self._answer(bytes(self._head[: end + 2]))
        elif len(self._head) > MAX_HEAD_BYTES:
            self._say(_Answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE).response())

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`; the transport closes once the answer is written."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        del exc
        self._timer.cancel()
        self._transport = None
        self._admin.leave(self)
        if not self.ended.done():
            self.ended.set_result(None)

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, head: bytes) -> None:
        assert self._transport is not None
        peer: tuple[str, int] = self._transport.get_extra_info("peername") or ("", 0)
        local = _is_loopback(peer[0])
        try:
            response = self._admin.answer(head, local=local)
        except Exception:  # noqa: BLE001 - whatever it is, it is logged
            # A bug in what is asked must not look like a loop that stands still.
            _log.exception("a probe could not be answered")
            response = _Answer(HTTPStatus.INTERNAL_SERVER_ERROR).response()
        self._say(response)

    def _say(self, response: bytes) -> None:
        assert self._transport is not None
        self._answered = True
        self._head.clear()
        self._transport.write(response)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(LINGER, self.abort)


def _read_head(head: bytes) -> _Request | None:
    """Read the lines of a head; None if that is no request."""
    line, *fields = head.split(b"\r\n")
    words = line.split(b" ")
    if not head.isascii() or len(words) != 3 or words[2] not in {b"HTTP/1.1", b"HTTP/1.0"}:
        return None
    hosts = [
        value.strip().decode()
        for name, colon, value in (field.partition(b":") for field in fields)
        if colon and name.lower() == b"host"
    ]
    if len(hosts) > 1:
        return None
    return _Request(words[0].decode(), words[1].partition(b"?")[0].decode(), "".join(hosts))


def _is_local_name(host: str) -> bool:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower() in _LOCAL_NAMES


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
