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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.interop.process import SHOWN_LOG, PeerCaller, PeerMissing, PeerProcess

from kubbo.model import ServiceKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["GoCaller", "GoError", "GoProvider", "GoTls", "home"]

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


def _flags(heartbeat_ms: int | None, tls: GoTls | None) -> list[str]:
    flags = ["-heartbeat", f"{heartbeat_ms}ms"] if heartbeat_ms else []
    if tls is not None:
        flags += ["-cert", str(tls.crt), "-key", str(tls.key), "-ca", str(tls.authority)]
        flags += ["-by-option"] if tls.by_option else []
    return flags


@dataclass(frozen=True)
class GoTls:
    """Files of PEM: what a peer shows, and whom it knows.

    `by_option` asks dubbo-go's options for it, which do not reach the dubbo protocol; else it is
    asked of getty, which does the connections.
    """

    crt: Path
    key: Path
    authority: Path
    by_option: bool = False


class GoProvider(PeerProcess):
    """A dubbo-go provider of GreetService (1.0.0, and eu 2.0.0) and a part of EchoService.

    `heartbeat_ms` is how often it sends a heartbeat, and how long it waits for the answer;
    `revision` is that of its metadata, in the application `dubbo.io`.
    """

    def __init__(self, *, heartbeat_ms: int | None = None, tls: GoTls | None = None) -> None:
        super().__init__("go provide")
        self._flags = _flags(heartbeat_ms, tls)
        self.port = 0
        self.revision = ""

    def command(self, files: Path) -> list[str]:
        """See `PeerProcess`."""
        del files
        return [str(home() / "peer"), *self._flags, "provide", "0"]

    @property
    def address(self) -> str:
        """`HOST:PORT`."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> dict[str, Any]:
        """Start, and wait until it serves."""
        ready = super().start()
        self.port = ready["port"]
        self.revision = ready["revision"]
        return ready


class GoCaller(PeerCaller):
    """A dubbo-go consumer. Calls may run side by side, from any thread and any event loop.

    `heartbeat_ms` is how often it sends a heartbeat, and how long it waits for the answer; 60 s
    and 5 s unless told.
    """

    def __init__(self, *, heartbeat_ms: int | None = None, tls: GoTls | None = None) -> None:
        super().__init__("go call")
        self._flags = _flags(heartbeat_ms, tls)

    def command(self, files: Path) -> list[str]:
        """See `PeerProcess`."""
        del files
        return [str(home() / "peer"), *self._flags, "call"]

    async def call(
        self,
        address: str,
        service: str,
        method: str,
        *arguments: Any,
        attachments: Mapping[str, Any] | None = None,
        oneway: bool = False,
        generic: bool = False,
        types: Sequence[str] = (),
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
            generic: through `$invoke`, with maps for objects.
            types: Java's, of a generic call.

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
            "generic": generic,
            "types": list(types),
        }
        return await self._ask(line)

    async def metadata(self, address: str, application: str, revision: str) -> dict[str, Any]:
        """What dubbo-go's discovery is told by an instance: app, revision, services by key.

        Raises:
            GoError: what it says instead.
        """
        line = {"url": address, "application": application, "revision": revision}
        told: dict[str, Any] = await self._ask(line)
        return told

    async def _ask(self, line: Mapping[str, Any]) -> Any:
        answer = await asyncio.wrap_future(self.submit(line))
        if not answer["ok"]:
            raise GoError(answer)
        return answer["value"]
