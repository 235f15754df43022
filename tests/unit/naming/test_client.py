"""The HTTP client of the API server against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import given, strategies as st

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.client import (
    ENDPOINT_SLICES,
    SERVICES,
    ApiError,
    ClusterClient,
    LineBuffer,
    decode_event,
    decode_page,
)
from kubbo.naming.kubernetes.credentials import Access, FixedToken
from kubbo.naming.kubernetes.identity import Credential
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
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from kubbo.naming.kubernetes.objects import EndpointSlice

SERVER = "https://api"


# -------------------------------------------------------------------- lines
@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 200)))
def test_lines_are_the_same_however_the_stream_is_cut(texts: list[bytes], cuts: list[int]) -> None:
    """Any cutting gives the lines that one piece gives; the unfinished last one is not given."""
    stream = b"\n".join(texts)
    whole = [line for line in stream.split(b"\n")[:-1] if line.strip()]
    buffer = LineBuffer(1000)
    got: list[bytes] = []
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, end in pairwise(edges):
        lines = buffer.feed(stream[start:end])
        assert lines is not None
        got += lines
    assert got == whole


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_a_line_beyond_the_limit_is_refused_before_it_is_whole(piece: int) -> None:
    """No more than the limit and one piece is ever held."""
    buffer = LineBuffer(10)
    fed = 0
    while buffer.feed(b"x" * piece) is not None:
        fed += piece
        assert fed <= 10
    assert LineBuffer(10).feed(b"x" * 11 + b"\n") is None
    assert LineBuffer(10).feed(b"x" * 10 + b"\n") == [b"x" * 10]


# ----------------------------------------------------------------- decoding
END = "k8s.io/initial-events-end"


def event(kind: str, **metadata: Any) -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": metadata}}).encode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (event("BOOKMARK", resourceVersion="7"), Bookmark("7")),
        (
            event("BOOKMARK", resourceVersion="7", annotations={END: "true"}),
            Bookmark("7", end_of_initial=True),
        ),
        (event("BOOKMARK", resourceVersion="7", annotations={END: "no"}), Bookmark("7")),
        (event("BOOKMARK"), Undecodable),
        (event("ADDED", name="a"), Undecodable),
        (event("ADDED", resourceVersion="7"), Undecodable),
        (event("RENAMED", name="a", resourceVersion="7"), Undecodable),
        (b"{", Undecodable),
        (b"null", Undecodable),
        (b'{"type": "ADDED"}', Undecodable),
        (b'{"type": "ADDED", "object": null}', Undecodable),
        (b'{"type": "ADDED", "object": {"metadata": {"name": 5}}}', Undecodable),
        (b'{"type": "ADDED", "object": {"endpoints": [{"addresses": [1]}]}}', Undecodable),
        (b'{"type": "ADDED", "object": ' + b"[" * 100_000, Undecodable),
        (b'{"type": "\xff", "object": {}}', Undecodable),
        (b'{"type": "ERROR", "object": []}', Undecodable),
    ],
)
def test_events(line: bytes, expected: object) -> None:
    """What has no name, no version or another shape is undecodable, and never an exception."""
    got = decode_event(ENDPOINT_SLICES, line, SERVER)
    assert isinstance(got, Undecodable) if expected is Undecodable else got == expected


def test_an_event_with_its_object() -> None:
    """An event carries the object, its name and its version."""
    got = decode_event(ENDPOINT_SLICES, event("DELETED", name="a", resourceVersion="7"), SERVER)
    assert isinstance(got, Changed)
    assert (got.type, got.name, got.resource_version) == ("DELETED", "a", "7")


def test_errors_in_the_stream() -> None:
    """An ERROR event is a failure with the code of its Status, too-large versions included."""
    line = b'{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}'
    assert decode_event(ENDPOINT_SLICES, line, SERVER) == Failure(
        410, "https://api answered 410: too old"
    )
    line = (
        b'{"type":"ERROR","object":{"code":504,"message":"Timeout: Too large resource version: 9,'
        b' current: 3","details":{"causes":[{"reason":"ResourceVersionTooLarge"}],'
        b'"retryAfterSeconds":1}}}'
    )
    got = decode_event(ENDPOINT_SLICES, line, SERVER)
    assert isinstance(got, Failure)
    assert (got.status, got.too_large, got.retry_after) == (504, True, 1.0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"items": []}',
        b'{"metadata": {"resourceVersion": "7"}, "items": [{}]}',
        b'{"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": []}}]}',
    ],
)
def test_lists_that_make_no_sense(body: bytes) -> None:
    """A page without a version, or with nameless objects, would corrupt the view: refused."""
    assert isinstance(decode_page(ENDPOINT_SLICES, body), Undecodable)


def test_a_list_with_null_items() -> None:
    """Go writes a nil slice as null: an empty list."""
    body = b'{"metadata": {"resourceVersion": "7", "continue": "c"}, "items": null}'
    assert decode_page(ENDPOINT_SLICES, body) == Page({}, "7", "c")


# --------------------------------------------------------------------- HTTP
@dataclass
class Identity:
    """Tokens by hand."""

    tokens: list[str]
    invalidated: int = 0

    async def credential(self) -> Credential:
        return Credential(self.tokens[0])

    def invalidate(self) -> None:
        self.invalidated += 1
        self.tokens.pop(0)


@dataclass
class Peer:
    """A server whose answers the test writes, and what was asked of it."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    asked: list[web.Request] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.answer(request)


@asynccontextmanager
async def serving(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[Peer]:
    peer = Peer(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", peer.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield peer
    finally:
        await runner.cleanup()


def client(peer: Peer, **options: Any) -> ClusterClient:
    identity = options.pop("identity", FixedToken("tok"))
    access = Access(peer.url, "shop", "the test", identity)
    return ClusterClient(access, **options)


EMPTY = {"metadata": {"resourceVersion": "7"}, "items": []}


async def empty(_: web.Request) -> web.Response:
    return web.json_response(EMPTY)


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ({"resource_version": "0", "limit": 500}, {"resourceVersion": "0", "limit": "500"}),
        ({"resource_version": ""}, {}),
        ({"resource_version": "9", "limit": 500},
         {"resourceVersion": "9", "resourceVersionMatch": "NotOlderThan", "limit": "500"}),
        ({"resource_version": "9", "continue_token": "c", "limit": 500},
         {"continue": "c", "limit": "500"}),
        ({"label_selector": "a=b"}, {"labelSelector": "a=b"}),
    ],
)  # fmt: skip
async def test_lists_ask_as_the_api_documents(
    arguments: dict[str, Any], query: dict[str, str]
) -> None:
    """Any version, the newest, or not older than one; a continue token carries its own version."""
    async with serving(empty) as peer, client(peer) as api:
        assert await api.list_page(ENDPOINT_SLICES, "shop", **arguments) == Page({}, "7")
    (request,) = peer.asked
    assert dict(request.query) == query
    assert request.path == "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
    assert request.headers["Authorization"] == "Bearer tok"


async def test_names_cannot_leave_their_place_in_the_path() -> None:
    """A name with a slash stays one part of the path."""
    async with serving(empty) as peer, client(peer) as api:
        await api.get(SERVICES, "a/../b", "../secrets?x#y")
    assert peer.asked[0].raw_path == ("/api/v1/namespaces/a%2F..%2Fb/services/..%2Fsecrets%3Fx%23y")


async def failure_of(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Failure:
    async with serving(answer) as peer, client(peer, max_list_bytes=10_000) as api:
        with pytest.raises(ApiError) as caught:
            await api.list_page(ENDPOINT_SLICES, "shop")
    assert len(str(caught.value)) < 500
    return caught.value.failure


async def test_a_refusal_carries_status_message_and_retry_after() -> None:
    """429 with its header, and the message of the Status, reach the reflector."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(
            {"kind": "Status", "code": 429, "message": "slow\n down"},
            status=429,
            headers={"Retry-After": "7"},
        )

    failure = await failure_of(answer)
    assert (failure.status, failure.retry_after) == (429, 7.0)
    assert failure.message.endswith("answered 429: slow down")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("1000000", 86_400.0),
        ("9" * 400, 86_400.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 90.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
    ],
)
async def test_a_server_asks_for_time_by_a_number_or_by_a_date(header: str, seconds: float) -> None:
    """Seconds, or a date on the server's own clock; a day at most."""

    async def answer(_: web.Request) -> web.Response:
        headers = {"Retry-After": header, "Date": "Wed, 21 Oct 2026 07:26:30 GMT"}
        return web.Response(status=503, headers=headers)

    assert (await failure_of(answer)).retry_after == seconds


@pytest.mark.parametrize("seconds", [-1, -(10**400), 10**400])
async def test_a_status_that_asks_for_any_number_of_seconds_is_no_crash(seconds: int) -> None:
    """In a Status a number may have any length and sign."""

    async def answer(_: web.Request) -> web.Response:
        text = f'{{"kind":"Status","code":429,"details":{{"retryAfterSeconds":{seconds}}}}}'
        return web.Response(status=429, text=text, content_type="application/json")

    assert (await failure_of(answer)).retry_after == (0.0 if seconds < 0 else 86_400.0)


@pytest.mark.parametrize(
    "header", ["", "soon", "-5", "1e99", "7 s", "Wed, 21 Oct", "Wed, 31 Feb 2"]
)
async def test_a_retry_after_that_is_no_number_of_seconds_is_ignored(header: str) -> None:
    """What is neither a number nor a date does not count."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=503, text="busy", headers={"Retry-After": header})

    failure = await failure_of(answer)
    assert (failure.status, failure.retry_after) == (503, None)
    assert failure.message.endswith("answered 503: busy")


async def test_an_enormous_error_is_cut() -> None:
    """A refusal of a megabyte is neither kept nor shown."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=500, body=b"\xff" * (1 << 20))

    assert (await failure_of(answer)).status == 500


async def test_an_enormous_list_is_refused() -> None:
    """A body beyond the limit is dropped while it comes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 4096)

    failure = await failure_of(answer)
    assert failure.status == 0
    assert "more than 10000 bytes" in failure.message


async def test_redirects_are_not_followed() -> None:
    """A token does not travel to where a server points."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"{request.url.origin()}/other"})

    async with serving(answer) as peer, client(peer) as api:
        with pytest.raises(ApiError) as caught:
            await api.list_page(ENDPOINT_SLICES, "shop")
    assert caught.value.failure.status == 302
    assert len(peer.asked) == 1


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the kubeconfig's proxy-url is obeyed: in a pod HTTP_PROXY is mostly for others."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(empty) as peer, client(peer) as api:
        assert await api.list_page(ENDPOINT_SLICES, "shop") == Page({}, "7")


async def test_the_kubeconfigs_proxy_is_used() -> None:
    """A proxy gets the whole URL of the API server."""
    async with serving(empty) as proxy:
        access = Access("http://api.example:80", "shop", "t", FixedToken("tok"), proxy=proxy.url)
        async with ClusterClient(access) as api:
            assert await api.list_page(ENDPOINT_SLICES, "shop") == Page({}, "7")
    assert proxy.asked[0].headers["Host"] == "api.example"


PASSWORD = "s3cr%C3%A9t%40"  # of s3crét@
PROXY_AUTHORIZATION = "Basic Ym9iOnMzY3LDqXRA"


async def test_a_proxy_is_given_its_password() -> None:
    """In a header of its own, percent signs undone, in UTF-8; the connection is used again."""
    ports: set[int] = set()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.json_response(EMPTY)

    async with serving(answer) as proxy:
        url = proxy.url.replace("//", f"//bob:{PASSWORD}@")
        access = Access("http://api.example:80", "shop", "t", FixedToken("tok"), proxy=url)
        async with ClusterClient(access) as api:
            for _ in range(2):
                assert await api.list_page(ENDPOINT_SLICES, "shop") == Page({}, "7")
    assert [one.headers["Proxy-Authorization"] for one in proxy.asked] == [PROXY_AUTHORIZATION] * 2
    assert len(ports) == 1


@pytest.mark.parametrize("status", [407, 502])
async def test_a_proxy_that_refuses_is_told_without_its_password(status: int) -> None:
    """The error says that it was the proxy, and what it answered; the tunnel had the password."""
    heads: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {status} Not Today\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        url = f"http://bob:{PASSWORD}@127.0.0.1:{port}"
        access = Access("https://api.example", "shop", "t", FixedToken("tok"), proxy=url)
        async with ClusterClient(access) as api:
            with pytest.raises(ApiError) as caught:
                await api.list_page(ENDPOINT_SLICES, "shop")
    assert str(caught.value).endswith(f"cannot be reached: its proxy answered {status}: Not Today")
    assert "CONNECT api.example:443" in heads[0]
    assert f"Proxy-Authorization: {PROXY_AUTHORIZATION}" in heads[0]
    assert "Bearer" not in heads[0]


@pytest.mark.parametrize(
    "where", ["127.0.0.1:1", "127.0.0.1:99999", "", "[::1:3128", "127.0.0.1:1/x", "127.0.0.1:1#x"]
)
async def test_a_proxy_that_is_not_there_is_told_without_its_password(where: str) -> None:
    """Whatever the library makes of the URL."""
    access = Access(
        "https://api.example", "shop", "t", FixedToken("t"), proxy=f"http://bob:s3cret@{where}"
    )
    async with ClusterClient(access) as api:
        with pytest.raises((ApiError, ConfigError)) as caught:
            await api.list_page(ENDPOINT_SLICES, "shop")
        assert "s3cret" not in f"{caught.value} {access!r} {api!r}"


async def test_401_makes_the_next_request_ask_for_a_new_token() -> None:
    """A refused token is dropped, and the one of the next request is fresh."""

    async def answer(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == "Bearer new"
        return web.json_response(EMPTY, status=200 if good else 401)

    identity = Identity(["old", "new"])
    async with serving(answer) as peer, client(peer, identity=identity) as api:
        with pytest.raises(ApiError) as caught:
            await api.list_page(ENDPOINT_SLICES, "shop")
        assert caught.value.failure.status == 401
        assert await api.list_page(ENDPOINT_SLICES, "shop") == Page({}, "7")
    assert identity.invalidated == 1


@dataclass
class Failing:
    """An identity that takes its time and then has none."""

    error: Exception
    asked: int = 0

    async def credential(self) -> Credential:
        self.asked += 1
        await asyncio.sleep(0.05)
        raise self.error

    def invalidate(self) -> None:
        """Nothing to forget."""


async def test_a_slow_plugin_has_its_own_time() -> None:
    """No request's limit, nor that of a watch to be opened, counts while a token is awaited."""
    identity = Failing(ConfigError("the plugin's own words"))
    async with client(Peer(empty, url="http://127.0.0.1:9"), identity=identity) as api:
        with pytest.raises(ConfigError, match="own words"):
            await api.list_page(ENDPOINT_SLICES, "shop", within=0.001)
        with pytest.raises(ConfigError, match="own words"):
            await api.fetch("/version", within=0.001)
    assert identity.asked == 2


@pytest.mark.parametrize("kind", [ValueError, TypeError, RuntimeError, UnicodeError, OSError])
async def test_what_nobody_foresaw_in_the_credentials_is_a_mistake_in_them(
    kind: type[Exception],
) -> None:
    """A watch must not end by it: the error names its kind, and not its words."""
    identity = Failing(kind("s3cr3t"))
    async with client(Peer(empty, url="http://127.0.0.1:9"), identity=identity) as api:
        for asking in (
            api.list_page(ENDPOINT_SLICES, "shop"),
            api.get(SERVICES, "shop", "greeter"),
            read(api),
        ):
            with pytest.raises(ConfigError, match=rf"the test: {kind.__name__}; check") as caught:
                await asking
            assert "s3cr3t" not in str(caught.value)


async def test_what_nobody_foresaw_in_a_request_is_a_mistake_in_the_credentials() -> None:
    """Likewise for what the HTTP library refuses: here a header with a line break."""
    async with serving(empty) as peer:
        headers = (("Impersonate-User", "s3cr3t\n"),)
        access = Access(peer.url, "shop", "the test", FixedToken("t"), impersonate=headers)
        async with ClusterClient(access) as api:
            for asking in (api.list_page(ENDPOINT_SLICES, "shop"), read(api)):
                with pytest.raises(ConfigError, match="the test: ValueError; check") as caught:
                    await asking
                assert "s3cr3t" not in str(caught.value)
    assert not peer.asked


async def test_nobody_listens() -> None:
    """A refused connection says which server and why, and shows no token."""
    async with serving(empty) as peer:
        pass
    async with client(peer) as api:
        with pytest.raises(ApiError, match="cannot be reached") as caught:
            await api.list_page(ENDPOINT_SLICES, "shop")
    assert caught.value.failure.status == 0
    assert peer.url in str(caught.value)
    assert "tok" not in str(caught.value)


async def test_a_probe_tells_who_is_ready_who_is_not_and_who_is_away() -> None:
    """By /readyz, without a token; all but a 200 is not ready. Its connection is used again."""
    statuses = iter((200, 500, 403, 401, 200))

    ports: set[int] = set()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(status=next(statuses), text="what it lacks\n" * 100)

    async with serving(answer) as peer, client(peer) as api:
        assert [await api.probe() for _ in range(5)] == [
            Probe.READY, Probe.UNREADY, Probe.UNREADY, Probe.UNREADY, Probe.READY
        ]  # fmt: skip
    assert {request.path for request in peer.asked} == {"/readyz"}
    assert not any("Authorization" in request.headers for request in peer.asked)
    assert len(ports) == 1
    async with client(peer) as api:
        assert await api.probe() is Probe.AWAY
        with pytest.raises(ApiError) as caught:
            await api.list_page(ENDPOINT_SLICES, "shop")
    assert caught.value.failure.unreachable


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 no TLS here\r\n\r\n"])
async def test_a_handshake_that_fails_is_no_server_that_is_away(says: bytes) -> None:
    """Somebody listens: a load balancer without a server behind it drops what it accepted, another
    program speaks no TLS. For a probe nobody is there."""

    async def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        writer.close()

    async with await asyncio.start_server(drop, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        access = Access(f"https://127.0.0.1:{port}", "shop", "a test", FixedToken("tok"))
        async with ClusterClient(access) as api:
            with pytest.raises(ApiError, match="cannot be reached") as caught:
                await api.list_page(ENDPOINT_SLICES, "shop")
            assert await api.probe() is Probe.AWAY
    assert caught.value.failure.status == 0
    assert not caught.value.failure.unreachable


# ------------------------------------------------------------------- watches
def streaming(
    *pieces: bytes, cut: bool = False
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A watch that sends pieces, and then ends or is cut."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if cut and request.transport is not None:
            request.transport.abort()
        return response

    return answer


async def read(api: ClusterClient) -> list[Event[EndpointSlice]]:
    """Every event of a watch up to its end."""
    events: list[Event[EndpointSlice]] = []
    async with api.watch(ENDPOINT_SLICES, "shop", resource_version="7", lifetime=301.0) as stream:
        while came := await stream.receive():
            events += came
            if any(isinstance(one, Undecodable) for one in came):
                break
    return events


async def test_a_streaming_list_asks_as_the_api_documents() -> None:
    """Initial events are asked for as of a version that is not older, which kube-apiserver
    insists on; an ordinary watch does not mention them."""
    async with serving(streaming()) as peer, client(peer) as api:
        for initial in (True, False):
            async with api.watch(
                ENDPOINT_SLICES, "shop", resource_version="0", lifetime=300.0, initial=initial
            ):
                pass
    first, second = (dict(request.query) for request in peer.asked)
    assert first == second | {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    assert second["allowWatchBookmarks"] == "true"


async def test_a_place_is_known_with_the_address() -> None:
    """Before the first watch there is none; then each watch has its own, and keeps it."""

    async def quiet(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()  # until the client goes
        return response

    async with serving(quiet) as peer, client(peer, process=7) as api:
        first, second = api.place(), api.place()
        assert first() is None
        async with api.watch(ENDPOINT_SLICES, "shop", resource_version="7", lifetime=300.0):
            pass
        assert first() == place("127.0.0.1", 7, 0)
        assert second() == place("127.0.0.1", 7, 1)


LINES = event("BOOKMARK", resourceVersion="8") + b"\n" + event("BOOKMARK", resourceVersion="9")


@pytest.mark.parametrize(
    "pieces", [[LINES + b"\n"], [bytes([one]) for one in LINES + b"\n"], [LINES, b"\r\n", b"\n\n"]]
)
async def test_a_watch_however_it_is_cut(pieces: Sequence[bytes]) -> None:
    """Whole, byte by byte and with empty lines between: the same events, then the end."""
    async with serving(streaming(*pieces)) as peer, client(peer) as api:
        assert await read(api) == [Bookmark("8"), Bookmark("9")]
    assert dict(peer.asked[0].query) == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "301",
    }


async def test_half_a_line_at_the_end_of_a_watch() -> None:
    """An event without its newline is no event."""
    async with serving(streaming(LINES)) as peer, client(peer) as api:
        assert await read(api) == [Bookmark("8")]


async def test_an_error_at_the_end_of_a_watch_needs_no_newline() -> None:
    """A body of a known length may be one event: an ERROR counts, and half of it does not."""
    gone = b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}'
    async with serving(streaming(gone)) as peer, client(peer) as api:
        (failure,) = await read(api)
    assert isinstance(failure, Failure)
    assert failure.status == 410
    async with serving(streaming(gone[:-1])) as peer, client(peer) as api:
        assert await read(api) == []


async def test_a_watch_that_breaks() -> None:
    """A cut connection is a failure, not a clean end."""
    async with serving(streaming(LINES, cut=True)) as peer, client(peer) as api:
        with pytest.raises(ApiError, match="broke off"):
            await read(api)


async def test_a_line_without_end() -> None:
    """A watch line beyond the limit is undecodable long before memory is short."""
    pieces = [b"x" * 1000] * 200
    async with serving(streaming(*pieces)) as peer, client(peer, max_line_bytes=5000) as api:
        (event,) = await read(api)
    assert isinstance(event, Undecodable)
    assert "more than 5000 bytes" in event.reason


async def test_a_refused_watch() -> None:
    """A watch that is not accepted raises before anything is read."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"message": "too old"}, status=410)

    async with serving(answer) as peer, client(peer) as api:
        with pytest.raises(ApiError) as caught:
            await read(api)
    assert caught.value.failure.status == 410


async def test_a_cancelled_watch_closes_its_connection() -> None:
    """Whoever stops watching leaves nothing open at the server."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(LINES + b"\n")
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return response

    async with serving(answer) as peer, client(peer) as api:
        task = asyncio.create_task(read(api))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(10):
            await gone.wait()
