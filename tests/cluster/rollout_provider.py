"""Providers for rolling updates, forked from one process that has imported all they need.

As a program it reads commands, a JSON object a line, and answers with a line for each event:

    {"start": NAME, "host": HOST, "ledger": FILE, "settings": {...}}
      -> {"started": NAME, "pid": N}
      -> {"ended": NAME, "code": N}

Each provider is a process of its own with Kubbo's plain defaults for its end. Only its start is
cheaper than a container's: sixty interpreters that import everything are most of what a small
machine can do in a minute. It executes calls that are not idempotent, and writes the number of each
into its ledger before it answers.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import select
import signal
from typing import Any, Protocol

from tests.cluster.greeter import GreetService, User

import kubbo
from kubbo.rpc.server import Server

PORT = 20880
ADMIN_PORT = 20881
_PR_SET_PDEATHSIG = 1


@kubbo.service("com.example.Ledger", version="1.0.0")
class Ledger(Protocol):
    @kubbo.method(timeout=60.0)
    async def write(self, number: int, seconds: float) -> str: ...

    @kubbo.method(timeout=60.0, idempotent=True)
    async def read(self, number: int, seconds: float) -> str: ...


class LedgerHere(Ledger):
    def __init__(self, host: str, path: str) -> None:
        self.host = host
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, number: int) -> None:
        os.write(self._file, b"%d\n" % number)  # in the kernel: a SIGKILL does not lose it

    async def write(self, number: int, seconds: float) -> str:
        self.note(number)
        await asyncio.sleep(seconds)
        return f"{number} {self.host}"

    async def read(self, number: int, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return f"{number} {self.host}"


class GreeterHere(GreetService):
    """What the Java peer can call; the user's id is the number."""

    def __init__(self, ledger: LedgerHere) -> None:
        self._ledger = ledger

    async def greet(self, user: User) -> str:
        self._ledger.note(user.id)
        await asyncio.sleep(0.01)
        return f"{user.id} {self._ledger.host}"


async def serve(host: str, ledger: str, settings: dict[str, Any]) -> int:
    async with Server(PORT, host=host, admin_port=ADMIN_PORT, **settings) as server:
        here = LedgerHere(host, ledger)
        server.export(here)
        server.export(GreeterHere(here))
        await server.serve_forever()
    return server.cut_off


def provide(command: dict[str, Any]) -> None:
    """The child: it ends with 0 when it has cut nothing off, and never outlives its parent."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    code = 70
    try:
        code = asyncio.run(serve(command["host"], command["ledger"], command["settings"]))
    finally:
        os._exit(min(code, 99))


def say(event: dict[str, Any]) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


def fork_for_ever() -> None:
    """Without threads and without a loop: what is forked has neither."""
    names: dict[int, str] = {}
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    rest = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            while names:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                say({"ended": names.pop(pid), "code": os.waitstatus_to_exitcode(status)})
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                command = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    provide(command)
                names[pid] = command["start"]
                say({"started": command["start"], "pid": pid})


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    fork_for_ever()
