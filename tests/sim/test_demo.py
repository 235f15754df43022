"""`kubbo demo` as a person runs it, but piped: a process of its own, its output and exit code."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

import kubbo
from kubbo.demo.greeter.interface import GreetService, User
from kubbo.demo.node import Node, NodeError, service_object
from kubbo.sim.apiserver import ApiServer, Store
from kubbo.sim.endpointslices import EndpointSliceController

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

READY = re.compile(r"greeter-v1-\d is ready at ([\d.]+):(\d+)")
TARGET = "kubernetes:///greeter.shop:dubbo"


@asynccontextmanager
async def demo(tmp_path: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command in a process, which is gone afterwards; its files are in `tmp_path`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kubbo",
        "demo",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run_demo(tmp_path: Path, *options: str) -> tuple[int | None, str, str]:
    """Its exit code, standard output and standard error."""
    async with demo(tmp_path, *options) as process:
        stdout, stderr = await process.communicate()
        return process.returncode, stdout.decode(), stderr.decode()


async def read_ready(process: asyncio.subprocess.Process, count: int) -> list[tuple[str, int]]:
    """The addresses of the first providers, when they are ready."""
    assert process.stdout is not None
    found: list[tuple[str, int]] = []
    while len(found) < count:
        line = (await process.stdout.readline()).decode()
        assert line, "the demo ended before its providers were ready"
        if match := READY.search(line):
            found.append((match[1], int(match[2])))
    return found


async def accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def leftovers(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def refuses(host: str, port: int) -> None:
    """Wait until nobody listens there."""
    async with asyncio.timeout(60):
        while True:
            if not await accepts(host, port):
                return
            await asyncio.sleep(0.05)


async def test_no_call_is_lost_while_providers_are_scaled_killed_and_replaced(tmp_path: Path):
    """It ends by itself with code 0; the count names every address; nothing stays behind."""
    code, stdout, stderr = await run_demo(tmp_path, "-o", "json")

    count = json.loads(stdout)
    assert (code, count["lost"], count["complete"]) == (0, 0, True), stderr
    assert count["calls"] == sum(provider["answered"] for provider in count["providers"]) > 0
    assert len(count["addresses"]) >= 6
    pods = {provider["pod"] for provider in count["providers"]}
    assert pods >= {f"greeter-v1-{n}" for n in range(1, 6)} | {"greeter-v2-1", "greeter-v2-5"}
    assert stderr.count("has drained and ended, exit code 0") == 5
    assert "greeter-v1-1 is dead" in stderr
    assert "\x1b" not in stderr + stdout, "colours and cursor movements are for terminals"
    assert leftovers(tmp_path) == []


async def test_ctrl_c_ends_the_demo_and_its_providers_without_a_stack_trace(tmp_path: Path):
    """Code 130, the count so far, and nobody listens any more."""
    async with demo(tmp_path) as process:
        addresses = await read_ready(process, 3)
        process.send_signal(signal.SIGINT)
        stdout, stderr = await process.communicate()

    assert process.returncode == 130
    assert "interrupted" in stdout.decode()
    assert "Calls lost:     0" in stdout.decode()
    assert stderr == b""
    assert [await accepts(*address) for address in addresses] == [False] * 3
    assert leftovers(tmp_path) == []


async def test_sigterm_ends_the_demo_and_its_providers_as_ctrl_c_does(tmp_path: Path):
    """As the demo's own process manager would end it."""
    async with demo(tmp_path) as process:
        addresses = await read_ready(process, 3)
        process.send_signal(signal.SIGTERM)
        _, stderr = await process.communicate()

    assert (process.returncode, stderr) == (130, b"")
    assert [await accepts(*address) for address in addresses] == [False] * 3


async def test_the_providers_do_not_outlive_a_demo_that_was_killed(tmp_path: Path):
    """Nothing could end them then but they themselves."""
    async with demo(tmp_path) as process:
        addresses = await read_ready(process, 3)
        process.kill()
        await process.communicate()

    for address in addresses:
        await refuses(*address)


async def test_a_real_cluster_is_only_consumed(tmp_path: Path):
    """With a kubeconfig nothing is started: the pods of that cluster answer, by name."""
    async with (
        ApiServer(Store(loopback=True)) as server,
        EndpointSliceController(server.store),
        Node(server.store, tmp_path) as node,
    ):
        server.store.create(service_object())
        pod = await node.start("v7")
        code, stdout, stderr = await run_demo(
            tmp_path,
            *("--kubeconfig", str(server.kubeconfig(tmp_path / "kubeconfig"))),
            *("--namespace", "shop", "--duration", "1", "-o", "json"),
        )

    count = json.loads(stdout)
    assert (code, count["lost"]) == (0, 0), stderr
    assert [provider["pod"] for provider in count["providers"]] == [pod.name]
    assert {verb for verb, _ in server.requests} <= {"get", "list", "watch"}


async def test_a_service_without_providers_is_explained(tmp_path: Path):
    """Code 3, and the reason instead of a count."""
    async with ApiServer(Store(loopback=True)) as server:
        code, stdout, stderr = await run_demo(
            tmp_path,
            *("--kubeconfig", str(server.kubeconfig(tmp_path / "kubeconfig"))),
            *("--target", TARGET, "--duration", "1"),
        )

    assert code == 3
    assert "Service 'greeter' in namespace 'shop' does not exist" in stderr
    assert "Traceback" not in stderr
    assert "Calls made" not in stdout


async def test_a_provider_that_cannot_start_is_reported_with_its_own_words(tmp_path: Path):
    """Its address is taken: no waiting until a timeout, and its error is in ours."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        addresses = iter([taken.getsockname()])
        async with Node(Store(loopback=True), tmp_path, addresses=addresses) as node:
            with pytest.raises(NodeError, match=r"greeter-v1-1 ended with code 1.*address already"):
                await node.start("v1")


async def test_two_demos_at_once_share_no_address(tmp_path: Path):
    """The second one finds the port of the first taken, even before anybody listens on it."""
    store = Store(loopback=True)
    async with Node(store, tmp_path) as one, Node(store, tmp_path) as other:
        first, second = await asyncio.gather(one.start("v1"), other.start("v2"))
        assert first.port != second.port


@pytest.mark.root(reason="makes a network namespace that has only 127.0.0.1")
async def test_where_there_is_one_address_each_pod_gets_a_port(tmp_path: Path):
    """As on macOS; the slices then differ in their ports, which consumers must follow as well."""
    script = "ip link set lo up; ip addr flush dev lo; ip addr add 127.0.0.1/32 dev lo; exec "
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-n", "sh", "-c", script + '"$@"', "sh"),
        *(sys.executable, "-m", "kubbo", "demo", "-o", "json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    stdout, stderr = await process.communicate()

    count = json.loads(stdout)
    assert (process.returncode, count["lost"]) == (0, 0), stderr.decode()
    hosts, ports = zip(*(address.split(":") for address in count["addresses"]), strict=True)
    assert set(hosts) == {"127.0.0.1"}
    assert len(set(ports)) >= 6


class Moody(GreetService):
    """Fails one call, and gives another one's answer once."""

    def __init__(self) -> None:
        self._calls = 0

    async def greet(self, user: User) -> str:
        self._calls += 1
        if self._calls == 3:
            raise RuntimeError("out of order")
        return f"Hello {'Bob' if self._calls == 5 else user.name}"


async def test_a_call_that_fails_or_gets_a_wrong_answer_is_lost(tmp_path: Path):
    """Code 1, both are counted, and each says why."""
    async with kubbo.Server(0, host="127.0.0.1") as server:
        server.export(Moody())
        await server.start()
        target = f"static:///127.0.0.1:{server.port}"
        code, stdout, stderr = await run_demo(
            tmp_path, "--target", target, "--duration", "1", "-o", "json"
        )

    count: dict[str, Any] = json.loads(stdout)
    assert (code, count["lost"]) == (1, 2), stderr
    assert "out of order" in stderr
    assert "was greeted by 'Hello Bob'" in stderr
