"""Child processes of a test run: started, seen to be ready, ended, and never left behind."""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")

_given: set[int] = set()  # ports that free_port has handed out: their users may bind later


class BedError(Exception):
    """The test bed itself failed: not built, a part that died, an API call refused."""


def output_of(
    *command: str | Path,
    name: str,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    text: str | None = None,
) -> str:
    """What a command prints; `environment` is added to ours, `text` is its input.

    Raises:
        BedError: It failed; the text is `name` and what it said.
    """
    run = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **(environment or {})},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise BedError(f"{name}: {run.stderr.strip() or run.stdout.strip()}")
    return run.stdout


def eventually(probe: Callable[[], T], what: str, *, within: float = 30.0) -> T:
    """The first true value of `probe`, polled; never a fixed sleep.

    Raises:
        AssertionError: It was still false after `within` seconds; names `what` and the value.
    """
    end = time.monotonic() + within
    while not (value := probe()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {what} (last: {value!r})")
        time.sleep(0.02)
    return value


def free_port() -> int:
    """A free TCP and UDP port of 127.0.0.1.

    Below the range that the kernel takes outgoing ports from: between a kill and a start nobody
    can be given the port by accident, and no client can connect to itself.
    """
    for _ in range(1000):
        port = random.randrange(21_000, 32_000)
        if port in _given:
            continue
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise BedError("no free port on 127.0.0.1")


@dataclass(slots=True)
class Part:
    """One program of the bed, how to run it, and how to see that it is up."""

    name: str
    command: Sequence[str | Path]
    ready: Callable[[], object]
    log: Path
    patience: float = 90.0
    process: subprocess.Popen[bytes] | None = None


class Processes:
    """Parts as child processes that never outlive the test run, even when that is killed."""

    def __init__(self) -> None:
        # The kernel ends a child with the *thread* that made it (PR_SET_PDEATHSIG). Tests start
        # parts from worker threads that come and go, so one thread of ours makes them all.
        self._birthplace = ThreadPoolExecutor(1)
        self._parts: dict[str, Part] = {}
        self.times: dict[str, float] = {}
        """Seconds from start to ready, of each part's first start. For information."""

    def add(self, part: Part) -> None:
        """Take a part in, start it, and wait until it is ready."""
        self._parts[part.name] = part
        self.start(part.name)

    def start(self, name: str, *flags: str) -> None:
        """Start a part and wait until it is ready. `flags` go behind its own, and win."""
        part = self._parts[name]
        if part.process is not None:
            raise BedError(f"{name} runs already")
        with part.log.open("ab") as log:
            part.process = self._birthplace.submit(
                subprocess.Popen[bytes],
                ["setpriv", "--pdeathsig", "KILL", "--", *part.command, *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is pytest's: it tears down in order
            ).result()
        started = time.monotonic()
        while not _answers(part.ready):
            if part.process.poll() is not None:
                part.process = None
                raise BedError(f"{name} ended at once:\n{_tail(part.log)}")
            if time.monotonic() > started + part.patience:
                raise BedError(f"{name} is not ready after {part.patience} s:\n{_tail(part.log)}")
            time.sleep(0.05)
        self.times.setdefault(name, time.monotonic() - started)

    def end(self, name: str, number: signal.Signals) -> None:
        """Send a signal and wait until the process is gone."""
        part = self._parts[name]
        if part.process is not None:
            part.process.send_signal(number)
            part.process.wait()
            part.process = None

    def restart_running(self, name: str) -> None:
        """Kill and start a part, if it is one that runs."""
        part = self._parts.get(name)
        if part is not None and part.process is not None:
            self.end(name, signal.SIGKILL)
            self.start(name)

    def revive(self) -> None:
        """Start what a failed test left ended.

        Raises:
            BedError: A part ended by itself; the text has the end of its log.
        """
        for name, part in self._parts.items():
            if part.process is not None and part.process.poll() is not None:
                part.process = None
                raise BedError(f"{name} ended by itself:\n{_tail(part.log)}")
            if part.process is None:
                self.start(name)

    def close(self) -> None:
        """End all parts at once, the last first."""
        for name in reversed(self._parts):
            self.end(name, signal.SIGKILL)
        self._birthplace.shutdown()


def _answers(ready: Callable[[], object]) -> bool:
    try:
        return bool(ready())
    except (OSError, http.client.HTTPException, BedError):
        return False


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
