"""The dubbo-go peer: start it, call it, let it call, stop it.

`GoProvider` serves a subset of the interfaces of tests/interop/java, `GoCaller` is a dubbo-go
consumer that a test drives. Each is one process, which starts in a fraction of a second.

Values travel to and from the caller in the notation at the head of go/values.go, which keeps the
types that Go's decoder made: `{"int": 1}`, `{"list": ["a"], "class": "[]string"}`.
"""

from __future__ import annotations

import asyncio
import functools
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.interop.process import SHOWN_LOG, PeerCaller, PeerMissing, PeerProcess

from kubbo.model import ServiceKey

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GoCaller", "GoError", "GoProvider", "home"]

BUILD = Path(__file__).parent / "go" / "build.sh"


class GoError(Exception):
    """What a call returned as its error on the Go side.

    Attributes:
        message: its text.
        class_name: Java's name of it, None for an error that stands for no Java exception.
        go: the error in the notation of values.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(answer["error"])
        self.message: str = answer["error"]
        self.class_name: str | None = answer.get("exception")
        self.go: Any = answer.get("go")


@functools.cache
def home() -> Path:
    """The directory with the peer; builds it if it is not there.

    Raises:
        PeerMissing: it cannot be built.
    """
    built = subprocess.run([BUILD], capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise PeerMissing(built.stderr[-SHOWN_LOG:])
    return Path(built.stdout.strip())


class GoProvider(PeerProcess):
    """A dubbo-go provider of GreetService (1.0.0, and eu 2.0.0) and a part of EchoService."""

    def __init__(self) -> None:
        super().__init__("go provide")
        self.port = 0

    def command(self, files: Path) -> list[str]:
        """See `PeerProcess`."""
        del files
        return [str(home() / "peer"), "provide", "0"]

    @property
    def address(self) -> str:
        """`HOST:PORT`."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> dict[str, Any]:
        """Start, and wait until it serves."""
        ready = super().start()
        self.port = ready["port"]
        return ready


class GoCaller(PeerCaller):
    """A dubbo-go consumer. Calls may run side by side, from any thread and any event loop.

    `heartbeat_ms` is how often it sends a heartbeat, and how long it waits for the answer; 60 s
    and 5 s unless told.
    """

    def __init__(self, *, heartbeat_ms: int | None = None) -> None:
        super().__init__("go call")
        self._arguments = [f"{heartbeat_ms}ms"] if heartbeat_ms else []

    def command(self, files: Path) -> list[str]:
        """See `PeerProcess`."""
        del files
        return [str(home() / "peer"), "call", *self._arguments]

    async def call(
        self,
        address: str,
        service: str,
        method: str,
        *arguments: Any,
        attachments: Mapping[str, Any] | None = None,
        oneway: bool = False,
    ) -> Any:
        """Call a provider as a Go program does, and return the value in the notation; no retries.

        dubbo-go gives up after three seconds.

        Args:
            address: `HOST:PORT`.
            service: a service key, `[group/]interface[:version]`.
            method: Java's name.
            arguments: in the notation, which decides the descriptor as Go does by its types.
            attachments: sent along.
            oneway: wants no answer.

        Raises:
            GoError: what the call returned as its error.
            PeerFailed: the process ended.
        """
        key = ServiceKey.parse(service)
        line = {
            "url": f"dubbo://{address}",
            "interface": key.interface,
            "group": key.group,
            "version": key.version,
            "method": method,
            "args": arguments,
            "attachments": attachments or {},
            "oneway": oneway,
        }
        answer = await asyncio.wrap_future(self.submit(line))
        if not answer["ok"]:
            raise GoError(answer)
        return answer["value"]
