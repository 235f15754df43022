"""Each command that docs/cli.md prints is run, and prints what the page says."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from tests.pages import commands, shows
from tests.testbed.processes import free_port

from kubbo.sim.apiserver import ApiServer

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
PORT = "20880"  # as the page has it; the provider takes a free one
ADMIN_PORT = "20881"  # likewise, and a default
KUBECONFIG = "/home/ann/.kube/config"  # likewise

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "greeter", "namespace": "shop"},
    "spec": {"selector": {"app": "greeter"}, "ports": [{"name": "dubbo", "port": 20880}]},
}


def endpoint(address, zone, node, *, ready=True):
    """One of an EndpointSlice."""
    conditions = {"ready": ready, "serving": ready, "terminating": False}
    return {"addresses": [address], "zone": zone, "nodeName": node, "conditions": conditions}


SLICE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "greeter-1",
        "namespace": "shop",
        "labels": {"kubernetes.io/service-name": "greeter"},
    },
    "addressType": "IPv4",
    "ports": [{"name": "dubbo", "port": 20880, "protocol": "TCP"}],
    "endpoints": [
        endpoint("10.244.0.5", "zone-a", "node-1"),
        endpoint("10.244.1.7", "zone-b", "node-2"),
        endpoint("10.244.1.8", "zone-b", "node-2", ready=False),
    ],
}


@asynccontextmanager
async def shell(command, env):
    """A command in a shell, in the directory of the examples; ended with the block."""
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        f"exec {command}" if command.startswith("kubbo ") else command,
        cwd=ROOT / "examples",
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_every_command_of_the_page_prints_what_the_page_prints(tmp_path):
    """Commands, outputs and exit codes; the provider is the one that the page starts."""
    page = list(commands(PAGE))
    serve, served = next(each for each in page if each[0].startswith("kubbo serve "))
    page.remove((serve, served))
    async with ApiServer() as cluster:
        cluster.store.create(SERVICE)
        cluster.store.create(SLICE)
        config = cluster.kubeconfig(tmp_path / "config")
        config.write_text(config.read_text().replace('"sim"', '"staging"'), encoding="utf-8")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "KUBECONFIG": str(config)}
        env.pop("KUBBO_TARGETS", None)
        admin = free_port()
        free = serve.replace(PORT, "0 --host 127.0.0.1").replace(ADMIN_PORT, str(admin))
        async with shell(free, env) as provider:
            line = (await provider.stdout.readline()).decode()
            port = line.split()[-1]
            assert line.replace(port, PORT) == served
            code = None
            for command, output in page:
                if command == "echo $?":
                    assert output == f"{code}\n", command
                    continue
                here = command.replace(f":{PORT}", f":{port}")
                here = here.replace("kubbo health", f"kubbo health --port {admin}")
                async with shell(here, env) as process:
                    printed, _ = await process.communicate()
                text = printed.decode().replace(f":{port}", f":{PORT}")
                text = text.replace(str(config), KUBECONFIG)
                assert shows(output, text), f"{command}\n{text}"
                code = process.returncode
            provider.send_signal(signal.SIGINT)
            await provider.communicate()
            assert provider.returncode == 0
    assert len(page) == 38, "a command was added to the page, or was lost from it"
