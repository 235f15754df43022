"""A Python provider of the greeter for the cluster tests, and how tests run it.

As a program (`greeter.py HOST PORT`) it serves com.example.GreetService:1.0.0, as the Java
peer does, writes a line when it serves and one when it has ended, with the calls it cut off.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import kubbo

PORT = 20880


@kubbo.pojo("com.example.User")
@dataclass
class User:
    id: kubbo.java.Long
    name: str


@kubbo.service("com.example.GreetService", version="1.0.0")
class GreetService(Protocol):
    async def greet(self, user: User) -> str: ...


class Greeter(GreetService):
    def __init__(self, address: str) -> None:
        self.address = address

    async def greet(self, user: User) -> str:
        await asyncio.sleep(0.002)  # so that calls are in flight whenever something happens
        return f"Hello {user.name} ({user.id}) from python {self.address}"


async def serve(host: str, port: int) -> None:
    async with kubbo.Server(port, host=host, propagation=1.5) as server:
        server.export(Greeter(f"{host}:{port}"))
        await server.start()
        print(json.dumps({"serving": server.port}), flush=True)  # noqa: T201 - its parent reads it
        await server.serve_forever()
        print(json.dumps({"cut_off": server.cut_off}), flush=True)  # noqa: T201


class GreeterProcess:
    """One provider process on an address of its own."""

    def __init__(self, host: str, port: int = PORT) -> None:
        self.host = host
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__), host, str(port)], stdout=subprocess.PIPE, text=True
        )
        assert "serving" in self._line(), f"the provider at {host} did not start"

    def _line(self) -> dict[str, int]:
        assert self.process.stdout is not None
        line: dict[str, int] = json.loads(self.process.stdout.readline() or "{}")
        return line

    def terminate(self) -> None:
        """SIGTERM, as a kubelet sends it when the pod begins to terminate."""
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def wait(self) -> int:
        """Wait for its orderly end; returns how many calls it cut off."""
        cut_off = self._line().get("cut_off", -1)
        assert self.process.wait(30) == 0
        return cut_off

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
