"""`kubbo serve` and `kubbo health` as processes: signals, also as process 1, and probes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

import kubbo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KUBBO = Path(sys.executable).parent / "kubbo"
MODULE = """
import asyncio, os, time
from typing import Protocol
import kubbo

@kubbo.service("com.example.Work", version="1.0.0")
class Work(Protocol):
    async def pid(self) -> int: ...
    async def wait(self, seconds: float) -> str: ...
    async def block(self, seconds: float) -> str: ...

class Here(Work):
    async def pid(self) -> int:
        return os.getpid()

    async def wait(self, seconds: float) -> str:
        print("began", flush=True)
        await asyncio.sleep(seconds)
        return "waited"

    def block(self, seconds: float) -> str:
        print("began", flush=True)
        time.sleep(seconds)
        return "blocked"
"""
SLOW = "import time\nprint('importing', flush=True)\ntime.sleep(60)\n"
AS_PROCESS_1 = ("unshare", "--pid", "--fork", "--kill-child")


@kubbo.service("com.example.Work", version="1.0.0")
class Work(Protocol):
    async def pid(self) -> int: ...

    @kubbo.method(timeout=60.0)
    async def wait(self, seconds: float) -> str: ...

    @kubbo.method(timeout=60.0)
    async def block(self, seconds: float) -> str: ...


class Serving:
    """A `kubbo serve`, and the ports that it says it has."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = self.admin_port = 0

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def read_ports(self) -> None:
        self.port = int((await self.line()).rpartition(" ")[2])
        self.admin_port = int((await self.line()).rpartition(" ")[2])

    async def end(self) -> tuple[int | None, str]:
        """Its exit code and the rest that it said, once it has ended."""
        async with asyncio.timeout(60):
            _, err = await self.process.communicate()
        return self.process.returncode, err.decode()


@asynccontextmanager
async def serving(
    directory: Path, *arguments: str, before: tuple[str, ...] = (), module: str = MODULE
) -> AsyncIterator[Serving]:
    (directory / "work.py").write_text(module, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(*before, KUBBO, "serve", "work:Here", "--host", "127.0.0.1"),
        *("--port", "0", "--admin-port", "0", *arguments),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Serving(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def health(*arguments: str) -> tuple[int | None, str]:
    """Exit code and all output of `kubbo health`."""
    process = await asyncio.create_subprocess_exec(
        *(KUBBO, "health", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])


async def test_a_call_that_outlasts_the_propagation_ends_within_the_grace(tmp_path: Path) -> None:
    """SIGTERM in the middle of a call: not ready but alive from that moment, the answer comes, and
    the process ends with 0 and has nothing to complain of."""
    async with serving(tmp_path, "--propagation", "1", "--grace", "30") as served:
        await served.read_ports()
        port = str(served.admin_port)
        for check in ("live", "ready", "startup"):
            assert await health(check, "--port", port) == (0, "ok\n")
        async with kubbo.Channel() as channel:
            work = channel.refer(Work, f"static:///127.0.0.1:{served.port}")
            call = asyncio.create_task(work.wait(6.0))
            assert await served.line() == "began"
            served.process.terminate()
            while (ready := await health("--port", port)) == (0, "ok\n"):
                pass  # the signal is on its way
            assert ready in {(1, "draining\n"), (1, "finishing\n")}
            assert await health("live", "--port", port) == (0, "ok\n")
            assert await call == "waited"
        assert await served.end() == (0, "")


@pytest.mark.parametrize("method", ["wait", "block"])
async def test_a_second_signal_ends_it_at_once(tmp_path: Path, method: str) -> None:
    """Though a minute of grace is left, and though a plain function cannot be cancelled; what was
    cut off is counted in the log, and its caller knows that it does not know."""
    async with serving(tmp_path, "--propagation", "0", "--grace", "59") as served:
        await served.read_ports()
        async with kubbo.Channel() as channel:
            work = channel.refer(Work, f"static:///127.0.0.1:{served.port}")
            call = asyncio.create_task(getattr(work, method)(55.0))
            assert await served.line() == "began"
            served.process.terminate()
            port = str(served.admin_port)
            while await health("--port", port) != (1, "finishing\n"):
                pass
            served.process.terminate()
            code, err = await served.end()
            assert code == 0
            assert "SIGTERM again: ending at once" in err
            assert "1 calls did not end at once and are cut off" in err
            with pytest.raises(kubbo.RpcError) as cut:
                await call
            assert cut.value.progress is kubbo.Progress.SENT


async def test_before_it_serves_it_ends_at_once(tmp_path: Path) -> None:
    """A module that takes a minute to import does not keep a pod from ending."""
    async with serving(tmp_path, module=SLOW) as served:
        assert await served.line() == "importing"
        served.process.terminate()
        assert await served.end() == (143, "")


@pytest.mark.root(reason="makes a PID namespace")
async def test_process_1_takes_sigterm(tmp_path: Path) -> None:
    """The first process of a container has no default for SIGTERM: it is taken all the same, while
    the module is imported and while it serves."""
    async with serving(tmp_path, before=AS_PROCESS_1, module=SLOW) as served:
        assert await served.line() == "importing"
        os.kill(child_of(served.process.pid), signal.SIGTERM)
        assert await served.end() == (143, "")
    async with serving(tmp_path, "--propagation", "0.5", before=AS_PROCESS_1) as served:
        await served.read_ports()
        async with kubbo.Channel() as channel:
            work = channel.refer(Work, f"static:///127.0.0.1:{served.port}")
            assert await work.pid() == 1
            call = asyncio.create_task(work.wait(2.0))
            assert await served.line() == "began"
            os.kill(child_of(served.process.pid), signal.SIGTERM)
            assert await call == "waited"
        assert await served.end() == (0, "")


async def test_readiness_waits_for_what_is_needed_and_the_start_does_not(tmp_path: Path) -> None:
    """It serves and is alive without it; the reason is what a kubelet shows for an exec probe."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # nobody listens
        target = f"static:///127.0.0.1:{reserved.getsockname()[1]}"
        async with serving(tmp_path, "--ready-when", target) as served:
            await served.read_ports()
            port = str(served.admin_port)
            assert await health("startup", "--port", port) == (0, "ok\n")
            assert await health("live", "--port", port) == (0, "ok\n")
            reason = f"waiting for {target}: none of 1 providers is connected\n"
            assert await health("ready", "--port", port) == (1, reason)


async def test_health_says_when_nobody_answers() -> None:
    """Nobody listens: 3. Somebody does and says nothing: 4."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = str(silent.getsockname()[1])
        code, out = await health("--port", port)
        assert code == 3
        assert out.startswith(f"kubbo: cannot ask 127.0.0.1:{port}: Connection refused")
        silent.listen()
        code, out = await health("live", "--port", port, "--timeout", "0.2")
        assert (code, out) == (4, f"kubbo: no answer from 127.0.0.1:{port} within 0.2 s\n")
