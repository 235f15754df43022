"""What the peers of every language share: a process, and calls that a test makes through one.

A peer is a process that writes lines of JSON, the first one when it is ready, and that ends with
its stdin. `PeerProcess` starts and ends one; `PeerCaller` writes lines to it too, each with an
`id`, and hands out the answers as they come.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import tempfile
import threading
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PeerCaller", "PeerFailed", "PeerMissing", "PeerProcess", "end_of"]

# In characters. The whole log of a peer is in `log`; a message shows no more than its end.
SHOWN_LOG = 4000

PATIENCE = 15.0
"""Seconds that a peer has to end by itself."""


class PeerMissing(Exception):  # noqa: N818 - a state of the machine, not of the code
    """What a peer is built with is not there; the message says what to install."""


class PeerFailed(Exception):  # noqa: N818 - like kubbo.errors, named after what happened
    """A peer did not start, ended early or said what it never says; its log is in the message."""


def end_of(log: str) -> str:
    """The end of a log, without the frames of Java's stacks."""
    lines = [line for line in log.splitlines() if not line.lstrip().startswith("at ")]
    return "\n".join(lines)[-SHOWN_LOG:]


class PeerProcess:
    """One process: its end is the end of the context, whatever happened in between.

    A context manager of both kinds, bound to no loop: `with` for a fixture that many event loops
    use, `async with` inside one test.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._process: subprocess.Popen[str] | None = None
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._log = ""

    def command(self, files: Path) -> list[str]:
        """The command line; `files` is an empty directory that lives as long as the process.

        Raises:
            PeerMissing: the peer cannot be built.
        """
        raise NotImplementedError

    @property
    def process(self) -> subprocess.Popen[str]:
        """The running process."""
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
            PeerFailed: it ended instead, for instance because its port is taken.
        """
        self._files = tempfile.TemporaryDirectory(prefix="kubbo-peer-")
        files = Path(self._files.name)
        line = self.command(files)
        with (files / "log").open("w") as log:
            self._process = subprocess.Popen(
                line,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                cwd=files,  # dubbo-go looks for its configuration there
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
        return PeerFailed(f"{self._name} {what} (exit code {code})\n{end_of(self.log)}")

    def terminate(self) -> None:
        """SIGTERM: what the peer calls its graceful end begins."""
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL: its connections are reset, nobody is told."""
        self.process.kill()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open and nothing comes any more, as of a dead machine."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on."""
        self.process.send_signal(signal.SIGCONT)

    def wait(self, *, within: float = 30.0) -> int:
        """Wait for its end and return its exit code (negative: the signal that ended it).

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self.process.wait(within)

    def stop(self) -> None:
        """End it if it runs, by force if it does not hear; idempotent."""
        process = self._process
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._ended()
            process.stdout.close()
        if self._files is not None:
            _ = self.log  # kept for whoever asks afterwards
            self._files.cleanup()
            self._files = None

    def _ended(self) -> None:
        """Called before its stdout is closed."""

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


class PeerCaller(PeerProcess):
    """A consumer. Calls may run side by side, from any thread and any event loop."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None

    def start(self) -> dict[str, Any]:
        """Start, and wait until it takes calls."""
        ready = super().start()
        self._reader = threading.Thread(target=self._read_answers, name=self._name, daemon=True)
        self._reader.start()
        return ready

    def _ended(self) -> None:
        if self._reader is not None:
            self._reader.join()

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

    def submit(self, line: Mapping[str, Any]) -> Future[dict[str, Any]]:
        """Send one line of the peer's own protocol; its answer as it comes.

        Raises:
            PeerFailed: the process ended.
        """
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
