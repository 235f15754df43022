"""The admin port: what a kubelet is told, what others are not, and what hostile peers can do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.rpc.loopback import Shop, ShopHere, at, serving, until

import kubbo
from kubbo.rpc.admin import MAX_CONNECTIONS, MAX_HEAD_BYTES, AdminPort
from kubbo.rpc.container import listening_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence


class Told:
    """A provider that says what a test wants."""

    started = True

    def __init__(self, lacking: Sequence[str] = ()) -> None:
        self._lacking = lacking

    def lacking(self) -> Sequence[str]:
        return self._lacking

    def status(self) -> dict[str, object]:
        return {"state": "serving"}


async def exchange(port: int | None, data: bytes) -> bytes:
    """All that is answered to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def get(port: int | None, path: str, *, method: str = "GET") -> tuple[int, str]:
    """Status and body."""
    request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    said = (await exchange(port, request.encode())).decode()
    head, _, body = said.partition("\r\n\r\n")
    return int(head.split(" ")[1]), body


def ask(request: str, *, local: bool, told: Told | None = None) -> str:
    """The answer to a head, without a socket."""
    admin = AdminPort(told or Told(), None, 0)
    return admin.answer(request.replace("\n", "\r\n").encode(), local=local).decode()


# --- what is told ------------------------------------------------------------------------------


async def test_probes_follow_the_life_of_a_provider() -> None:
    """Alive from the start; started once it serves, for good; ready while it serves, and no more
    from the first moment of its draining, when calls are still answered."""
    here = ShopHere()
    async with (
        kubbo.Server(0, host="127.0.0.1", propagation=20.0, admin_port=0) as server,
        kubbo.Channel(timeout=20.0) as channel,
    ):

        async def probes() -> list[int]:
            paths = ("/livez", "/startupz", "/readyz")
            return [(await get(server.admin_port, path))[0] for path in paths]

        assert await probes() == [200, 503, 503]
        assert await get(server.admin_port, "/readyz") == (503, "starting\n")
        server.export(here, Shop)
        await server.start()
        assert await probes() == [200, 200, 200]
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        assert await probes() == [200, 200, 503]
        assert await get(server.admin_port, "/readyz") == (503, "draining\n")
        assert await channel.refer(Shop, at(server)).who() == "shop"
        server._life.hurry()
        await draining
        assert await probes() == [200, 200, 503]


async def test_a_provider_that_is_too_busy_for_calls_is_alive() -> None:
    """Probes are outside of every limit: of calls, of connections, of bytes."""
    here = ShopHere()
    async with (
        serving(here, max_calls=1, max_connections=1, admin_port=0) as server,
        kubbo.Channel(timeout=20.0, retries=0) as channel,
    ):
        shop = channel.refer(Shop, at(server))
        busy = asyncio.create_task(shop.wait("busy"))
        await here.begun("busy")
        with pytest.raises(kubbo.RpcError, match="overloaded"):
            await shop.who()
        for path in ("/livez", "/readyz", "/startupz"):
            assert await get(server.admin_port, path) == (200, "ok\n")
        status = json.loads((await get(server.admin_port, "/status"))[1])
        assert status["in_flight"] == status["connections"] == 1
        here.release("busy")
        await busy


async def test_what_it_needs_gates_readiness_and_nothing_else() -> None:
    """Two providers that need each other both start, both live, and become ready; when one has
    gone, the other one is not ready, and says why to its own machine."""
    async with kubbo.Channel() as channel, serving(ShopHere("a"), admin_port=0) as first:
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
        first.ready_when(channel.refer(Shop, f"static:///127.0.0.1:{port}"))
        for path, status in (("/livez", 200), ("/startupz", 200), ("/readyz", 503)):
            assert (await get(first.admin_port, path))[0] == status
        said = (await get(first.admin_port, "/readyz"))[1]
        assert said == (
            f"waiting for static:///127.0.0.1:{port}: none of 1 providers is connected\n"
        )
        async with serving(ShopHere("b"), port=port, admin_port=0) as second:
            second.ready_when(channel.generic("com.example.Shop:1.0.0", at(first)))
            await until(lambda: not first.lacking() and not second.lacking())
            assert await get(first.admin_port, "/readyz") == (200, "ok\n")
        await until(lambda: bool(first.lacking()))
        assert (await get(first.admin_port, "/livez"))[0] == 200


async def test_only_references_can_be_needed() -> None:
    """A string is no reference: the message says what is."""
    async with serving(ShopHere()) as server:
        with pytest.raises(kubbo.UsageError, match=r"pass what Channel.refer"):
            server.ready_when("kubernetes:///stock.shop")


async def test_a_probe_port_that_is_taken_is_told_at_once() -> None:
    """Before anything is served."""
    async with serving(ShopHere(), admin_port=0) as server:
        second = kubbo.Server(0, host="127.0.0.1", admin_port=server.admin_port)
        with pytest.raises(OSError, match="in use"):
            await second.__aenter__()


# --- to whom -----------------------------------------------------------------------------------


def test_others_are_told_yes_or_no() -> None:
    """A kubelet's address is another one: it learns the status, and no names of what is inside."""
    lacking = Told(["waiting for kubernetes:///secret.shop"])
    far = ask("GET /readyz HTTP/1.1\nHost: 10.1.2.3:20881\n", local=False, told=lacking)
    near = ask("GET /readyz HTTP/1.1\nHost: localhost\n", local=True, told=lacking)
    assert far.startswith("HTTP/1.1 503 ")
    assert "secret" not in far
    assert "waiting for kubernetes:///secret.shop" in near


@pytest.mark.parametrize("path", ["/status", "/", "/metrics", "/livez/", "/livez/..", "//livez"])
def test_whatever_is_no_probe_is_answered_to_loopback_only(path: str) -> None:
    """Others get the same answer whether it exists or not."""
    assert ask(f"GET {path} HTTP/1.1\n", local=False).startswith("HTTP/1.1 403 ")
    expected = "200" if path == "/status" else "404"
    assert ask(f"GET {path} HTTP/1.1\n", local=True).startswith(f"HTTP/1.1 {expected} ")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:20881", "10.0.0.1", "localhost.x"])
def test_a_web_page_cannot_read_the_status(host: str) -> None:
    """A browser on this machine says by which name it came: only loopback's own are answered."""
    assert ask(f"GET /status HTTP/1.1\nHost: {host}\n", local=True).startswith("HTTP/1.1 403 ")
    assert ask(f"GET /livez HTTP/1.1\nHost: {host}\n", local=True).startswith("HTTP/1.1 200 ")
    for own in ("localhost", "localhost:20881", "127.0.0.1:1", "[::1]:20881", "LOCALHOST"):
        assert "200 OK" in ask(f"GET /status HTTP/1.1\nHost: {own}\n", local=True)


async def test_a_probe_from_another_address_is_answered() -> None:
    """All of 127/8 is loopback, mapped into IPv6 too."""
    async with serving(ShopHere(), host=None, admin_port=0) as server:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.admin_port, local_addr=("127.9.9.9", 0)
        )
        writer.write(b"GET /status HTTP/1.0\r\n\r\n")
        assert b'"state": "serving"' in await reader.read()
        writer.close()


# --- HTTP, and what is no HTTP -----------------------------------------------------------------


def test_requests_as_kubelets_and_people_send_them() -> None:
    """HTTP/1.0 and 1.1, a query, any headers; HEAD has no body; other methods are named."""
    kubelet = (
        "GET /livez HTTP/1.1\nHost: 10.1.2.3:20881\nUser-Agent: kube-probe/1.35\nAccept: */*\n"
    )
    answer = ask(kubelet, local=False)
    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    assert answer.endswith("Connection: close\r\n\r\nok\n")
    assert "Content-Length: 3\r\n" in answer
    assert ask("GET /livez?verbose=1 HTTP/1.0\n", local=False).startswith("HTTP/1.1 200 ")
    assert ask("HEAD /livez HTTP/1.1\n", local=False).endswith("\r\n\r\n")
    refused = ask("POST /livez HTTP/1.1\n", local=False)
    assert refused.startswith("HTTP/1.1 405 ")
    assert "Allow: GET, HEAD\r\n" in refused


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET  /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/2.0\r\n\r\n",
        b"GET /livez HTTP/1.1 \r\n\r\n",
        b"GET /liv\xc3\xa9z HTTP/1.1\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"\xda\xbb\xc2\x00" + bytes(12) + b"\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_told_so(data: bytes) -> None:
    """And the port goes on."""
    async with serving(ShopHere(), admin_port=0) as server:
        assert (await exchange(server.admin_port, data)).startswith(b"HTTP/1.1 400 ")
        assert (await get(server.admin_port, "/livez"))[0] == 200


async def test_a_head_is_bounded() -> None:
    """However it comes: what is longer than 4 KiB is not kept, and told so."""
    async with serving(ShopHere(), admin_port=0) as server:
        fits = b"GET /livez HTTP/1.1\r\nX: " + b"x" * (MAX_HEAD_BYTES - 64) + b"\r\n\r\n"
        assert (await exchange(server.admin_port, fits)).startswith(b"HTTP/1.1 200 ")
        flood = b"GET /livez HTTP/1.1\r\nX: " + b"x" * 1_000_000
        said = await exchange(server.admin_port, flood)
        assert said == b"" or said.startswith(b"HTTP/1.1 431 ")  # the flood may reset it
        assert (await get(server.admin_port, "/livez"))[0] == 200


async def test_every_cut_of_a_request_is_survived() -> None:
    """Byte by byte it is answered; ended in the middle it is not, and nothing is left."""
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(ShopHere(), admin_port=0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.admin_port)
        for byte in request:
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        for end in range(len(request)):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.admin_port)
            writer.write(request[:end])
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
        assert server._admin is not None
        admin = server._admin
        await until(lambda: not admin._connections)


async def test_whoever_says_nothing_cannot_keep_a_kubelet_out() -> None:
    """Above 64 connections the oldest one goes: a probe is answered beside any number of them."""
    async with serving(ShopHere(), admin_port=0) as server:
        silent: list[Any] = [
            await asyncio.open_connection("127.0.0.1", server.admin_port)
            for _ in range(3 * MAX_CONNECTIONS)
        ]
        assert await get(server.admin_port, "/livez") == (200, "ok\n")
        assert server._admin is not None
        assert len(server._admin._connections) <= MAX_CONNECTIONS
        for _, writer in silent:
            writer.close()


async def test_a_silent_connection_is_ended() -> None:
    """Two seconds for a request; then it is over."""
    async with serving(ShopHere(), admin_port=0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.admin_port)
        writer.write(b"GET /livez HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


# --- ports and manifests -----------------------------------------------------------------------

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


@pytest.mark.parametrize(
    ("declared", "admin", "warned"),
    [
        ("", 20881, []),
        ("dubbo=20880,admin=20881", 20881, []),
        ("20880, 20881", 20881, []),
        ("dubbo=20880", None, []),
        ("dubbo=20890", None, ["listens on port 20880, but the container declares 20890 (dubbo)"]),
        ("dubbo=20880", 20881, ["probes are answered on port 20881, but"]),
        ("8080", 9090, ["the provider listens on port 20880", "probes are answered on port 9090"]),
        ("dubbo:20880", None, ["is no list of ports like dubbo=20880,admin=20881"]),
        ("dubbo=0", None, ["is no list of ports"]),
        ("dubbo=" + "9" * 5000, None, ["is no list of ports"]),
    ],
)
def test_a_listener_is_compared_with_the_declared_ports(
    declared: str, admin: int | None, warned: list[str]
) -> None:
    """Whoever writes the manifest says its ports in KUBBO_DECLARED_PORTS; what differs is told."""
    environ = {**POD, "KUBBO_DECLARED_PORTS": declared}
    warnings = list(listening_warnings([("0.0.0.0", 20880)], admin, environ))
    assert len(warnings) == len(warned)
    for warning, part in zip(warnings, warned, strict=True):
        assert part in warning
        assert len(warning) < 500


@pytest.mark.parametrize(
    ("hosts", "environ", "warns"),
    [
        (["127.0.0.1"], POD, True),
        (["127.0.0.1", "::1"], POD, True),
        (["127.0.0.1", "10.0.0.7"], POD, False),
        (["0.0.0.0"], POD, False),
        (["::"], POD, False),
        (["fe80::1%eth0"], POD, False),
        (["127.0.0.1"], {}, False),
    ],
)
def test_loopback_in_a_pod_is_warned_of(
    hosts: list[str], environ: dict[str, str], warns: bool
) -> None:
    """There nobody can connect; on a developer's machine it is what is wanted."""
    listening = [(host, 20880) for host in hosts]
    warnings = list(listening_warnings(listening, None, environ))
    assert len(warnings) == warns
    assert all("inside a pod" in each for each in warnings)


async def test_a_server_logs_the_warnings_when_it_starts(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each, naming both sides."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBBO_DECLARED_PORTS", "dubbo=20880")
    async with serving(ShopHere()) as server:
        assert "listening on loopback only" in caplog.text
        assert f"listens on port {server.port}, but the container declares 20880" in caplog.text
