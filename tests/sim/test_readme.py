"""Each command that README.md prints is run, and prints what the README says."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests.pages import commands

from kubbo.sim.apiserver import ApiServer, Store
from kubbo.sim.endpointslices import EndpointSliceController

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KUBECONFIG = re.compile(r"/tmp/kubbo-demo-\w+/kubeconfig")
PORT = 20880


def pod(name: str, address: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "greeter"}},
        "spec": {"nodeName": "here", "containers": [{"name": "greeter", "image": "greeter:1"}]},
        "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


async def start(command: str, cwd: Path, env: Mapping[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *shlex.split(command),
        cwd=cwd,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def listening(process: asyncio.subprocess.Process) -> None:
    """Wait until the provider accepts connections."""
    async with asyncio.timeout(60):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", PORT)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return
    assert process.stdout is not None
    raise AssertionError((await process.stdout.read()).decode())


async def test_every_command_of_the_readme_prints_what_the_readme_prints(tmp_path: Path):
    """From the provider's start to the last line of `kubbo endpoints`, as a reader would type."""
    [service] = re.findall(r"^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    [shown] = set(KUBECONFIG.findall(README))
    ran = 0
    async with (
        ApiServer(Store(loopback=True)) as server,
        EndpointSliceController(server.store) as controller,
    ):
        server.store.create(yaml.safe_load(service))
        for last in range(2, 7):
            server.store.create(pod(f"greeter-{last}", f"127.0.0.{last}"))
        await controller.settled()
        kubeconfig = str(server.kubeconfig(tmp_path / "kubeconfig"))
        cwd = ROOT
        env = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "KUBECONFIG": kubeconfig,
        }
        provider: asyncio.subprocess.Process | None = None
        try:
            for command, output in commands(README):
                match shlex.split(command, comments=True):
                    case ["make", goal]:
                        assert f"\n{goal}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
                    case ["cd", directory]:
                        cwd = ROOT / directory
                    case ["export", assignment]:
                        name, _, value = assignment.partition("=")
                        env[name] = value.replace(shown, kubeconfig)
                    case ["python", "-m", "greeter.provider"]:
                        provider = await start(command, cwd, env)
                        await listening(provider)
                    case _:
                        process = await start(command, cwd, env)
                        answer, _ = await process.communicate()
                        assert answer.decode().replace(kubeconfig, shown) == output, command
                        ran += 1
            assert provider is not None
            provider.send_signal(signal.SIGINT)
            words, _ = await provider.communicate()
            assert (provider.returncode, words) == (0, b"")
        finally:
            if provider is not None and provider.returncode is None:
                provider.kill()
                await provider.wait()
    assert ran == 4, "commands of the README are missing from this test, or from the README"
