"""A network that swallows everything: how soon the client of the API server notices.

The server is a process in another network namespace, at the other end of a cable (a veth pair),
which is then pulled at its far end: nobody hears a reset, an end or an ICMP message.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from kubbo.naming.kubernetes.client import ENDPOINT_SLICES, ApiError, ClusterClient
from kubbo.naming.kubernetes.credentials import Access, NoToken
from kubbo.naming.kubernetes.reflector import Bookmark

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]

NEAR, FAR, PORT = "10.99.0.1", "10.99.0.2", 8001
WITHIN = 25.0  # seconds, what docs/failover.md promises

SERVER = f"""
import socket, sys, threading
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
LINE = b'{{"type":"BOOKMARK","object":{{"metadata":{{"resourceVersion":"7"}}}}}}\\n'
BODY = b'{{"metadata":{{"resourceVersion":"7"}},"items":[]}}'

def serve(connection):
    while True:
        request = connection.recv(65536)
        if not request:
            return
        if b"watch=1" in request:
            chunk = b"%x\\r\\n%b\\r\\n" % (len(LINE), LINE)
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\\r\\n\\r\\n" + chunk)
        else:
            connection.sendall(HEAD + b"Content-Length: %d\\r\\n\\r\\n" % len(BODY) + BODY)

print("up", flush=True)
sys.stdin.readline()  # the cable is plugged in
listener = socket.create_server(("{FAR}", {PORT}))
print("listening", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


class Cable:
    """A veth pair to the namespace of a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        pid = str(process.pid)
        _ip("link", "add", "kubbo-near", "type", "veth", "peer", "name", "kubbo-far")
        _ip("link", "set", "kubbo-far", "netns", pid)
        _ip("addr", "add", f"{NEAR}/30", "dev", "kubbo-near")
        _ip("link", "set", "kubbo-near", "up")
        self._far("addr", "add", f"{FAR}/30", "dev", "kubbo-far")
        self._far("link", "set", "kubbo-far", "up")

    def pull(self) -> None:
        """Cut it at the far end."""
        self._far("link", "set", "kubbo-far", "down")

    def _far(self, *words: str) -> None:
        enter = ["nsenter", "--target", str(self._process.pid), "--net"]
        subprocess.run([*enter, "ip", *words], check=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def cable() -> Iterator[Cable]:
    process = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        made = Cable(process)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "listening\n"
        yield made
    finally:
        process.kill()
        process.communicate()
        with contextlib.suppress(subprocess.CalledProcessError):  # gone with its other end
            subprocess.run(["ip", "link", "del", "kubbo-near"], check=True, capture_output=True)


async def test_a_dead_connection_is_noticed_within_25_seconds(cable: Cable) -> None:
    """A watch that waits for an event, and a request that is not acknowledged: both fail within
    25 s of the last thing heard, by the kernel, long before the silence of a watch counts."""
    access = Access(f"http://{FAR}:{PORT}", "shop", "the test", NoToken())
    loop = asyncio.get_running_loop()
    async with ClusterClient(access) as quiet, ClusterClient(access) as busy:
        await busy.list_page(ENDPOINT_SLICES, "shop")  # its connection is kept
        async with quiet.watch(
            ENDPOINT_SLICES, "shop", resource_version="1", lifetime=300.0
        ) as stream:
            assert await stream.receive() == [Bookmark("7")]
            cable.pull()
            pulled = loop.time()

            async def failed(waiting: Awaitable[object]) -> float:
                with pytest.raises(ApiError):
                    await waiting
                return loop.time() - pulled

            silent, unanswered = await asyncio.gather(
                failed(stream.receive()),
                failed(busy.list_page(ENDPOINT_SLICES, "shop")),
            )
    print(f"noticed after {silent:.1f} s (quiet watch), {unanswered:.1f} s (request)")  # noqa: T201
    assert silent < WITHIN
    assert unanswered < WITHIN
