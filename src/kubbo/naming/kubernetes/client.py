"""HTTP to the API server: one page of a list, one watch stream, one object.

This is no general Kubernetes client: it reads EndpointSlices, Services and, to tell why none is
ready, Pods; `fetch` reads for `kubbo doctor`. It never writes: what it posts are questions.
It turns HTTP into the events of the reflector and keeps no state but connections; what to
do about a failure is the reflector's business.

The API server is trusted no more than any peer: bodies and lines are bounded before they are
kept, redirects are not followed (a token must not travel), the environment's proxy variables
are not looked at. A connection over which nothing is acknowledged is given up by the kernel
within 25 s, by keep-alive probes while it is quiet and by TCP_USER_TIMEOUT while it isn't.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast
from urllib.parse import quote, unquote_to_bytes

import aiohttp
import msgspec

from kubbo.errors import ConfigError, KubboError
from kubbo.naming.kubernetes.identity import Credential
from kubbo.naming.kubernetes.objects import (
    ConfigMap,
    EndpointSlice,
    EventHead,
    ListOf,
    Pod,
    Service,
    Status,
)
from kubbo.naming.kubernetes.place import place
from kubbo.naming.kubernetes.presence import Probe
from kubbo.naming.kubernetes.reflector import (
    Bookmark,
    Changed,
    Event,
    Failure,
    Page,
    Undecodable,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from typing import Self

    from kubbo.naming.kubernetes.credentials import Access

__all__ = [
    "CONFIG_MAPS",
    "ENDPOINT_SLICES",
    "MAX_LINE_BYTES",
    "MAX_LIST_BYTES",
    "PODS",
    "SERVICES",
    "ApiError",
    "ClusterClient",
    "LineBuffer",
    "Resource",
    "WatchStream",
    "decode_event",
    "decode_page",
]

T = TypeVar("T", bound="EndpointSlice | Service | Pod | ConfigMap")

_CONNECT_TIMEOUT = 5.0
_PROBE_TIMEOUT = 4.0  # a server that starts takes connections, and answers seconds later
_LIST_TIMEOUT = 30.0
_GET_TIMEOUT = 5.0
_IDENTIFY_TIMEOUT = 90.0  # longer than an exec plugin's own minute: for files that hang
_OPEN_TIMEOUT = 30.0  # for the head of a watch's answer
_OPEN_INITIAL_TIMEOUT = 7.0  # likewise, with initial events: else a list is to follow within 10 s
MAX_LIST_BYTES = 64 << 20  # ten times the list of 20,000 endpoints; also of an unpaged one
MAX_LINE_BYTES = 4 << 20  # an object in etcd has at most 1.5 MiB; JSON may be larger
_ERROR_BYTES = 64 << 10
_TEXT_SHOWN = 300  # characters of a server's message that are passed on
# The kernel looks at the time when a probe is due: after 10, 14, 18 s, and gives up after 22 s.
_KEEPALIVE_IDLE, _KEEPALIVE_INTERVAL, _KEEPALIVE_PROBES = 10, 4, 3
_USER_TIMEOUT_MS = 20_000
_DIGITS = re.compile(r"[0-9]+")
_TOO_LARGE = "ResourceVersionTooLarge"
_END_OF_INITIAL = "k8s.io/initial-events-end"
_EVENT_TYPES = {"ADDED", "MODIFIED", "DELETED"}


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """A collection that can be read: where it is and what it holds."""

    prefix: str
    plural: str
    type: type[T]

    def path(self, namespace: str, name: str = "") -> str:
        """Path of the collection in a namespace, or of one object."""
        path = f"{self.prefix}/namespaces/{quote(namespace, safe='')}/{self.plural}"
        return f"{path}/{quote(name, safe='')}" if name else path


ENDPOINT_SLICES = Resource("/apis/discovery.k8s.io/v1", "endpointslices", EndpointSlice)
SERVICES = Resource("/api/v1", "services", Service)
PODS = Resource("/api/v1", "pods", Pod)
CONFIG_MAPS = Resource("/api/v1", "configmaps", ConfigMap)


class ApiError(KubboError):
    """A request to the API server failed.

    Attributes:
        failure: what the reflector makes of it; its status is 0 if the server was not reached.
        missing: plural and name of the object that is not there, by the server's own Status; both
            empty for a 404 that says no such thing, as a proxy, or a server of other things, may.
    """

    def __init__(self, failure: Failure, missing: tuple[str, str] = ("", "")) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.missing = missing


@dataclass(frozen=True, slots=True)
class _Identified:
    """What goes with a request that tells who we are and whom we trust."""

    headers: Sequence[tuple[str, str]] = field(repr=False)
    secure: ssl.SSLContext | bool = True
    server_name: str | None = None


class ClusterClient:
    """A connection pool to one API server, with our identity. Open it inside the event loop."""

    def __init__(
        self,
        access: Access,
        *,
        max_list_bytes: int = MAX_LIST_BYTES,
        max_line_bytes: int = MAX_LINE_BYTES,
        connector: Callable[[], aiohttp.BaseConnector] | None = None,
        process: int | None = None,
    ) -> None:
        """The limits are for one answer's body and for one line of a watch.

        `connector` makes what opens the connections; one over TCP by default. `process` tells us
        from others with our address; our process id by default.
        """
        self.access = access
        self._max_list_bytes = max_list_bytes
        self._max_line_bytes = max_line_bytes
        self._connector = connector or _tcp_connector
        self._session: aiohttp.ClientSession | None = None
        self._address = ""
        self._proxy, self._proxy_headers = _split_proxy(access.proxy)
        self._process = os.getpid() if process is None else process
        self._places = 0

    def __repr__(self) -> str:
        return f"ClusterClient({self.access.server!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def place(self) -> Callable[[], float | None]:
        """What gives a new watch its place among all consumers, once we know our address."""
        number, self._places = self._places, self._places + 1
        return lambda: place(self._address, self._process, number)

    async def list_page(
        self,
        resource: Resource[T],
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        continue_token: str = "",
        limit: int = 0,
        within: float = _LIST_TIMEOUT,
    ) -> Page[T] | Undecodable:
        """One page of a list, at any version ("0"), not older than one, or the newest ("").

        `within` (seconds) bounds the whole request.

        Raises:
            ApiError: the server could not be reached, or refused.
            ConfigError: there is no way to a token or a certificate.
        """
        parameters: dict[str, str] = {}
        if label_selector:
            parameters["labelSelector"] = label_selector
        if field_selector:
            parameters["fieldSelector"] = field_selector
        if limit:
            parameters["limit"] = str(limit)
        if continue_token:
            parameters["continue"] = continue_token
        elif resource_version:
            parameters["resourceVersion"] = resource_version
            if resource_version != "0":
                parameters["resourceVersionMatch"] = "NotOlderThan"
        body = await self._read(resource.path(namespace), parameters, within=within)
        return decode_page(resource, body)

    async def get(self, resource: Resource[T], namespace: str, name: str) -> T:
        """One object.

        Raises:
            ApiError: the server could not be reached, or refused; status 404: there is none.
            ConfigError: there is no way to a token or a certificate.
        """
        body = await self._read(resource.path(namespace, name), {}, within=_GET_TIMEOUT)
        try:
            return msgspec.json.decode(body, type=resource.type)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ApiError(
                Failure(0, f"{self.access.server} answered with something that is no object")
            ) from None

    async def fetch(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        *,
        accept: str = "application/json",
        question: bytes | None = None,
        within: float = _GET_TIMEOUT,
    ) -> bytes:
        """The body of any answer; with a `question`, as JSON, that of a review, which is posted.

        `within` (seconds) bounds the whole request.

        Raises:
            ApiError: the server could not be reached, or refused.
            ConfigError: there is no way to a token or a certificate.
        """
        return await self._read(
            path, parameters or {}, within=within, accept=accept, question=question
        )

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource[T],
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str,
        lifetime: float,
        initial: bool = False,
    ) -> AsyncGenerator[WatchStream[T]]:
        """A watch with bookmarks that the server has accepted; closed at the block's end.

        `lifetime` (seconds) asks the server to end the watch itself. `initial` asks for the
        objects first (a streaming list); a server may refuse or ignore that.

        Raises:
            ApiError: the server could not be reached, or refused.
            ConfigError: there is no way to a token or a certificate.
        """
        parameters = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(round(lifetime)),
        }
        if initial:
            parameters |= {
                "sendInitialEvents": "true",
                "resourceVersionMatch": "NotOlderThan",
            }
        if label_selector:
            parameters["labelSelector"] = label_selector
        if field_selector:
            parameters["fieldSelector"] = field_selector
        within = _OPEN_INITIAL_TIMEOUT if initial else _OPEN_TIMEOUT
        identified = await self._identify()
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(within):
                    request = self._request(resource.path(namespace), parameters, identified)
                    response = await stack.enter_async_context(request)
                    await self._check(response)
            except (aiohttp.ClientError, OSError) as error:
                raise ApiError(self._unreachable(error, within)) from None
            stack.callback(response.close)  # the rest of the stream is not waited for
            yield WatchStream(
                resource, response, self.access.server, max_line_bytes=self._max_line_bytes
            )

    async def probe(self) -> Probe:
        """Whether the server is ready, as far as it can be asked. Cancel safe.

        Asked without a name, as everybody may by default: a token is not read, and no plugin run,
        several times a second.
        """
        try:
            async with (
                asyncio.timeout(_PROBE_TIMEOUT),
                self._request(
                    "/readyz", {}, await self._identify(anonymous=True), accept="text/plain"
                ) as response,
            ):
                await _read_bounded(response, _ERROR_BYTES)  # then others can have the connection
        except (aiohttp.ClientError, OSError, ConfigError):
            return Probe.AWAY
        return Probe.READY if response.status == 200 else Probe.UNREADY

    # ------------------------------------------------------------ requests
    async def _read(
        self,
        path: str,
        parameters: Mapping[str, str],
        *,
        within: float,
        accept: str = "application/json",
        question: bytes | None = None,
    ) -> bytes:
        identified = await self._identify()
        try:
            async with (
                asyncio.timeout(within),
                self._request(
                    path, parameters, identified, accept=accept, question=question
                ) as response,
            ):
                await self._check(response)
                body = await _read_bounded(response, self._max_list_bytes)
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(self._unreachable(error, within)) from None
        if body is None:
            raise ApiError(
                Failure(
                    0, f"{self.access.server} sent a list of more than {self._max_list_bytes} bytes"
                )
            )
        return body

    async def _identify(self, *, anonymous: bool = False) -> _Identified:
        """Who we are in the next request. No request's time is spent: a plugin may be slow.

        Raises:
            ConfigError: there is no way to a token or a certificate.
        """
        access = self.access
        headers: list[tuple[str, str]] = []
        credential = Credential()
        secure: ssl.SSLContext | bool = True
        try:
            async with asyncio.timeout(_IDENTIFY_TIMEOUT):
                if not anonymous:
                    credential = await access.identity.credential()
                    headers += access.impersonate
                if access.tls is not None:
                    secure = await access.tls.context(credential.certificate)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise self._unusable(error) from None
        if credential.token:
            headers.append(("Authorization", f"Bearer {credential.token}"))
        server_name = access.tls.server_name if access.tls is not None else ""
        return _Identified(headers, secure, server_name or None)

    @asynccontextmanager
    async def _request(
        self,
        path: str,
        parameters: Mapping[str, str],
        identified: _Identified,
        *,
        accept: str = "application/json",
        question: bytes | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        headers = [
            ("Accept", accept),
            ("Accept-Encoding", "identity"),
            ("User-Agent", "kubbo"),
            *identified.headers,
        ]
        if question is not None:
            headers.append(("Content-Type", "application/json"))
        if self.access.server.startswith("http:"):  # no tunnel: the proxy reads the request itself
            headers += self._proxy_headers
        async with AsyncExitStack() as stack:
            try:
                request = self._open_session().request(
                    "GET" if question is None else "POST",
                    self.access.server + path,
                    params=parameters,
                    data=question,
                    headers=headers,
                    ssl=identified.secure,
                    server_hostname=identified.server_name,
                    proxy=self._proxy,
                    proxy_headers=dict(self._proxy_headers) if self._proxy else None,
                    allow_redirects=False,
                )
                response = await stack.enter_async_context(request)
            except (aiohttp.ClientError, OSError):  # some of these are ValueErrors, too
                raise
            except (ValueError, TypeError, RuntimeError) as error:
                raise self._unusable(error) from None
            self._note_address(response)
            yield response

    def _unusable(self, error: Exception) -> ConfigError:
        """What nobody foresaw in the credentials: a watch must not end by it.

        Without the words of the error, which may be those of a password.
        """
        return ConfigError(
            f"no request to {self.access.server} can be made with {self.access.source}: "
            f"{type(error).__name__}; check its server, proxy-url, names, token and certificates"
        )

    def _note_address(self, response: aiohttp.ClientResponse) -> None:
        connection = response.connection  # none when a short answer is complete already
        if not self._address and connection is not None and connection.transport is not None:
            self._address = str(connection.transport.get_extra_info("sockname", ("",))[0])

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_CONNECT_TIMEOUT, connect=_CONNECT_TIMEOUT
                ),
                trust_env=False,
                auto_decompress=False,  # nor asked for: no bomb, and lists are small
                read_bufsize=1 << 18,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status in (200, 201):  # 201 is the answer to a review
            return
        if response.status == 401:
            self.access.identity.invalidate()
        body = await _read_bounded(response, _ERROR_BYTES) or b""
        try:
            status = msgspec.json.decode(body, type=Status)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            status = Status(message=_shown(body.decode("utf-8", "replace")))
        raise ApiError(
            _failure(
                status,
                code=response.status,
                retry_after=_retry_after(response.headers),
                server=self.access.server,
            ),
            _missing(status) if response.status == 404 else ("", ""),
        )

    def _unreachable(self, error: Exception, within: float) -> Failure:
        match error:
            case aiohttp.ClientProxyConnectionError():
                reason = f"its proxy: {error.os_error.strerror or error.os_error}"
            case aiohttp.ClientConnectorError():
                reason = error.os_error.strerror or str(error.os_error)
            case aiohttp.ConnectionTimeoutError():
                reason = f"no connection within {_CONNECT_TIMEOUT:.0f} s"
            case TimeoutError():
                reason = f"no answer within {within:.0f} s"
            case aiohttp.ClientHttpProxyError():  # its own text has the URL of the proxy
                reason = f"its proxy answered {error.status}: {error.message}"
            case aiohttp.InvalidURL():
                reason = "its address or that of its proxy is no URL"
            case _:
                reason = str(error) or type(error).__name__
        return Failure(
            0,
            f"{self.access.server} cannot be reached: {_shown(reason)}",
            unreachable=_is_of_dial(error),
        )


def _is_of_dial(error: Exception) -> bool:
    """Whether not even a connection came about; a handshake that failed is another matter."""
    if isinstance(error, aiohttp.ClientSSLError):
        return False
    if isinstance(error, aiohttp.ClientConnectorError):
        return not isinstance(error.os_error, ConnectionResetError | BrokenPipeError)
    return isinstance(error, aiohttp.ConnectionTimeoutError)


def _split_proxy(proxy: str | None) -> tuple[str | None, list[tuple[str, str]]]:
    """The URL of the proxy without user and password, and the headers that have them instead.

    The HTTP library shows the URL in its errors.
    """
    if not proxy or "@" not in proxy:
        return proxy, []
    scheme, _, rest = proxy.partition("://")
    who, _, where = rest.rpartition("@")
    user, _, password = who.partition(":")
    encoded = base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password))
    return f"{scheme}://{where}", [("Proxy-Authorization", f"Basic {encoded.decode()}")]


def _tcp_connector() -> aiohttp.BaseConnector:
    # Each watch holds a connection; their owners bound their number.
    return aiohttp.TCPConnector(limit=0, socket_factory=_open_socket)


def _open_socket(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """A TCP socket that notices a dead peer."""
    family, kind, protocol = info[0], info[1], info[2]
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MS),
    ):
        option = getattr(socket, name, None)  # not every system has each of them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock


async def _read_bounded(response: aiohttp.ClientResponse, most: int) -> bytes | None:
    """The body, None when it has more than `most` bytes."""
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > most:
            return None
    return bytes(data)


# ------------------------------------------------------------------- streams
class WatchStream(Generic[T]):
    """Events of one accepted watch."""

    def __init__(
        self,
        resource: Resource[T],
        response: aiohttp.ClientResponse,
        server: str,
        *,
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self._resource = resource
        self._response = response
        self._server = server
        self._lines = LineBuffer(max_line_bytes)
        self._max_line_bytes = max_line_bytes

    async def receive(self) -> list[Event[T]]:
        """The events that have come, at least one; empty when the stream ended.

        Cancel safe: what was not returned yet is returned by the next call.

        Raises:
            ApiError: the connection broke.
        """
        while True:
            try:
                chunk = await self._response.content.readany()
            except (aiohttp.ClientError, OSError) as error:
                reason = str(error) or type(error).__name__
                raise ApiError(
                    Failure(0, f"{self._server} broke off the watch: {_shown(reason)}")
                ) from None
            if not chunk:
                # Half a line at the end is no event: it comes again. An error may end without one.
                event = decode_event(self._resource, self._lines.take_rest(), self._server)
                return [event] if isinstance(event, Failure) else []
            lines = self._lines.feed(chunk)
            if lines is None:
                return [Undecodable(f"a watch event has more than {self._max_line_bytes} bytes")]
            if lines:
                return [decode_event(self._resource, line, self._server) for line in lines]


class LineBuffer:
    """Cuts a stream into lines, holding at most `most` bytes of an unfinished one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()

    def take_rest(self) -> bytes:
        """What has no end of a line yet; it is gone from here."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest

    def feed(self, data: bytes) -> list[bytes] | None:
        """The lines that are complete now, without empty ones; None when one is too long."""
        newline = data.rfind(b"\n")
        if newline < 0:
            self._rest += data
            return None if len(self._rest) > self._most else []
        self._rest += data[: newline + 1]
        lines = [line for line in bytes(self._rest).split(b"\n") if line.strip()]
        self._rest = bytearray(data[newline + 1 :])
        if any(len(line) > self._most for line in lines) or len(self._rest) > self._most:
            return None
        return lines


# ------------------------------------------------------------------ decoding
def decode_page(resource: Resource[T], body: bytes) -> Page[T] | Undecodable:
    """A list's answer as an event."""
    try:
        page = msgspec.json.decode(body, type=ListOf)
        objects = [msgspec.json.decode(item, type=resource.type) for item in page.items or ()]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Undecodable(f"the list of {resource.plural} cannot be decoded: {_shown(str(error))}")
    if not page.metadata.resource_version or not all(one.metadata.name for one in objects):
        return Undecodable(f"the list of {resource.plural} lacks a resourceVersion or a name")
    return Page(
        {one.metadata.name: one for one in objects},
        page.metadata.resource_version,
        page.metadata.continue_token,
    )


def decode_event(resource: Resource[T], line: bytes, server: str) -> Event[T]:
    """A line of a watch stream as an event."""
    try:
        head = msgspec.json.decode(line, type=EventHead)
        if head.type == "ERROR":
            status = msgspec.json.decode(head.object, type=Status)
            return _failure(status, code=status.code, retry_after=None, server=server)
        one = msgspec.json.decode(head.object, type=resource.type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Undecodable(f"a watch event cannot be decoded: {_shown(str(error))}")
    metadata = one.metadata
    if head.type == "BOOKMARK" and metadata.resource_version:
        ends = (metadata.annotations or {}).get(_END_OF_INITIAL) == "true"
        return Bookmark(metadata.resource_version, ends)
    if head.type not in _EVENT_TYPES or not metadata.resource_version or not metadata.name:
        return Undecodable(f"a watch event of type {_shown(head.type)} lacks a name or a version")
    kind = cast("Literal['ADDED', 'MODIFIED', 'DELETED']", head.type)
    return Changed(kind, metadata.name, one, metadata.resource_version)


_LONGEST_WAIT = 24 * 3600
"""Seconds; a server's number may have any length, and the reflector waits less anyway."""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait, by their number or by a date on the server's clock."""
    text = headers.get("Retry-After", "")
    if _DIGITS.fullmatch(text):
        return float(int(text)) if len(text) <= len(str(_LONGEST_WAIT)) else float(_LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers.get("Date", ""))
        seconds = (until - now).total_seconds()
    except (TypeError, ValueError, OverflowError):  # no dates, or of one of them no time zone
        return None
    return max(0.0, min(seconds, float(_LONGEST_WAIT)))


def _failure(status: Status, *, code: int, retry_after: float | None, server: str) -> Failure:
    details = status.details
    causes = (details.causes if details is not None else None) or ()
    if retry_after is None and details is not None and details.retry_after_seconds:
        retry_after = float(max(0, min(details.retry_after_seconds, _LONGEST_WAIT)))
    text = _shown(status.message or status.reason)
    return Failure(
        code,
        f"{server} answered {code}" + (f": {text}" if text else ""),
        retry_after=retry_after,
        too_large=any(cause.reason == _TOO_LARGE for cause in causes)
        or "Too large resource version" in status.message,
    )


def _missing(status: Status) -> tuple[str, str]:
    """Plural and name of the object that a Status says is not there."""
    details = status.details
    if status.reason != "NotFound" or details is None:
        return "", ""
    return details.kind, details.name


def _shown(text: str) -> str:
    """A server's words, bounded and in one line."""
    text = " ".join(text.split())
    return text if len(text) <= _TEXT_SHOWN else text[:_TEXT_SHOWN] + "..."
