"""The dubbo-go peer: start it, call it, let it call, stop it.

`GoProvider` serves a subset of the interfaces of tests/interop/java, `GoCaller` is a dubbo-go
consumer that a test drives. Each is one process, which starts in a fraction of a second.

Values travel to and from the caller in the notation at the head of go/values.go, which keeps the
types that Go's decoder made: `{"int": 1}`, `{"list": ["a"], "class": "[]string"}`.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import subprocess
import tempfile
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.interop.peer import PeerFailed, PeerMissing

from kubbo.model import ServiceKey

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GoCaller", "GoError", "GoProvider", "home"]

BUILD = Path(__file__).parent / "go" / "build.sh"

SHOWN_LOG = 4000
"""In characters; the whole log of a peer is in `log`."""


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


class _Process:
    """One process: its end is the end of the context, whatever happened in between."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._log = ""

    @property
    def process(self) -> subprocess.Popen[str]:
        """The running peer."""
        assert self._process is not None, "not started: use it as a context manager"
        return self._process

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        if self._files is not None:
            self._log = (Path(self._files.name) / "log").read_text(errors="replace")
        return self._log

    def start(self) -> dict[str, Any]:
        """Start, and wait until it is ready; returns what its ready line says.

        Raises:
            PeerMissing: it cannot be built.
            PeerFailed: it ended instead.
        """
        self._files = tempfile.TemporaryDirectory(prefix="kubbo-go-peer-")
        with (Path(self._files.name) / "log").open("w") as log:
            self._process = subprocess.Popen(
                [home() / "peer", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                cwd=self._files.name,  # dubbo-go looks for its configuration there
            )
        ready = self.read()
        if ready is None:
            self._process.wait()
            raise self.failed("did not start")
        return ready

    def read(self) -> dict[str, Any] | None:
        """The next line of its stdout, None at the end."""
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        if not text:
            return None
        answer: dict[str, Any] = json.loads(text)
        return answer

    def failed(self, what: str) -> PeerFailed:
        """The error that tells what happened, with the end of the log."""
        code = self._process.returncode if self._process else None
        name = " ".join(self._arguments)
        return PeerFailed(f"go {name} {what} (exit code {code})\n{self.log[-SHOWN_LOG:]}")

    def terminate(self) -> None:
        """SIGTERM: what dubbo-go calls its graceful end begins."""
        self.process.terminate()

    def stop(self) -> None:
        """End it if it runs: it ends with its stdin, else by force; idempotent."""
        process = self._process
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        if self._files is not None:
            _ = self.log  # kept for whoever asks afterwards
            self._files.cleanup()
            self._files = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)


class GoProvider(_Process):
    """A dubbo-go provider of GreetService (1.0.0, and eu 2.0.0) and a part of EchoService."""

    def __init__(self) -> None:
        super().__init__("provide", "0")
        self.port = 0

    @property
    def address(self) -> str:
        """`HOST:PORT`."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> dict[str, Any]:
        """Start, and wait until it serves."""
        ready = super().start()
        self.port = ready["port"]
        return ready


class GoCaller(_Process):
    """A dubbo-go consumer. Calls may run side by side, from any thread and any event loop.

    `heartbeat_ms` is how often it sends a heartbeat, and how long it waits for the answer; 60 s
    and 5 s unless told.
    """

    def __init__(self, *, heartbeat_ms: int | None = None) -> None:
        super().__init__("call", *([f"{heartbeat_ms}ms"] if heartbeat_ms else []))
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None

    def start(self) -> dict[str, Any]:
        """Start, and wait until it takes calls."""
        ready = super().start()
        self._reader = threading.Thread(target=self._read_answers, name="go-caller", daemon=True)
        self._reader.start()
        return ready

    def stop(self) -> None:
        """End it; calls that wait fail with PeerFailed."""
        if self._process is not None and self._reader is not None:
            assert self._process.stdin is not None
            with suppress(OSError):
                self._process.stdin.close()
            self._reader.join()
        super().stop()

    def _read_answers(self) -> None:
        while (answer := self.read()) is not None:
            future = self._waiting.pop(answer["id"])
            if future.set_running_or_notify_cancel():  # else its caller went away
                future.set_result(answer)
        self.process.wait()
        with self._lock:
            left, self._waiting = self._waiting, {}
        for future in left.values():
            if future.set_running_or_notify_cancel():
                future.set_exception(self.failed("ended while a call waited"))

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
        answer = await asyncio.wrap_future(self._submit(line))
        if not answer["ok"]:
            raise GoError(answer)
        return answer["value"]

    def _submit(self, line: Mapping[str, Any]) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        assert self.process.stdin is not None
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = future
            try:
                self.process.stdin.write(json.dumps({**line, "id": number}) + "\n")
                self.process.stdin.flush()
            except OSError as error:
                del self._waiting[number]
                raise self.failed("ended") from error
        return future
