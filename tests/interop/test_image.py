"""What `kubbo image` writes, run as a container runs it: its own root, read-only, as nobody."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.interop.process import end_of
from tests.unit.image.conftest import make, write_project

import kubbo
from kubbo.manifests.workload import USER

if TYPE_CHECKING:
    from tests.unit.image.conftest import Made

KEY = "com.example.GreetService:1.0.0"

RUN = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
exec env -i "$2" "$3" "$4" --root="$1" --wd=/app --setgid="$5" --setuid="$5" -- "${@:6}"
"""
"""Root, PATH, another variable, unshare, user, then the command. One process from first to last."""

NATIVE = """
import importlib, os, pathlib, ssl, sys
for path in pathlib.Path("/usr/local/lib").glob("python*/lib-dynload/*.so"):
    importlib.import_module(path.name.partition(".")[0])
import aiohttp, msgspec, multidict, yaml, yarl, kubbo.cli.serve
assert ssl.create_default_context().get_ca_certs(), "nobody is trusted"
try:
    open("/app/x", "w")
except OSError as error:
    print(os.getuid(), os.getgid(), os.getgroups(), error.strerror, sys.prefix)
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An image of a small provider."""
    return make(write_project(tmp_path_factory.mktemp("image") / "project"))


@pytest.fixture(scope="module")
def root(image: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layers of the image, one over the other, in a directory that anybody may enter."""
    folder = tmp_path_factory.mktemp("root")
    with tarfile.open(image.path) as archive:
        for each in image.read.manifest["layers"]:
            blob = archive.extractfile(f"blobs/{each['digest'].replace(':', '/')}")
            assert blob is not None
            with tarfile.open(fileobj=io.BytesIO(blob.read())) as layer:
                layer.extractall(folder, filter="fully_trusted")
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)
    return folder


def inside(image: Made, root: Path, *command: str) -> list[str]:
    """A command that runs in the image as a container runtime would run it."""
    unshare = shutil.which("unshare")
    assert unshare is not None
    environment = image.read.config["config"]["Env"]
    assert len(environment) == 2
    user = image.read.config["config"]["User"].partition(":")[0]
    prefix = [unshare, "--mount", "--", "bash", "-c", RUN, "in-image", os.fspath(root)]
    return [*prefix, *environment, unshare, user, *command]


def whose(pid: int) -> tuple[str, str, Path]:
    """The user, the capabilities and the root directory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    (user,) = {*told["Uid"].split()}
    return user, told["CapEff"], Path(f"/proc/{pid}/root").readlink()


@pytest.mark.root(reason="runs an image's file system, which needs root")
async def test_an_image_serves_as_nobody_on_a_root_that_cannot_be_written(
    image: Made, root: Path
) -> None:
    """The command of the image, with nothing but the image: it is called from outside, answers a
    probe, and ends with 0 after SIGTERM.
    """
    command = image.read.config["config"]["Entrypoint"]
    options = ("--port=0", "--host=127.0.0.1", "--admin-port=0", "--propagation=0")
    process = await asyncio.create_subprocess_exec(
        *inside(image, root, *command, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert line.startswith(f"serving {KEY} on port "), line + end_of(
            (await process.stdout.read()).decode()
        )
        assert whose(process.pid) == (str(USER), "0000000000000000", root)
        async with kubbo.Channel() as channel:
            greeter = channel.generic(KEY, f"static:///127.0.0.1:{line.split()[-1]}")
            assert (
                await greeter.call("greet", types=["java.lang.String"], args=["Ann"]) == "Hello Ann"
            )
        probes = (await process.stdout.readline()).decode().split()[-1]
        asked = inside(image, root, "kubbo", "health", "--port", probes)
        health = await asyncio.create_subprocess_exec(*asked, stdout=asyncio.subprocess.DEVNULL)
        assert await health.wait() == 0
        process.send_signal(signal.SIGTERM)
        printed, _ = await process.communicate()
        assert (process.returncode, printed.decode()) == (0, "")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.root(reason="runs an image's file system, which needs root")
def test_every_native_module_of_an_image_loads_in_it(image: Made, root: Path) -> None:
    """All extension modules of the standard library and of what Kubbo requires, and TLS has
    somebody to trust; nothing of it can be written.
    """
    done = subprocess.run(
        inside(image, root, "python", "-W", "ignore", "-c", NATIVE),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, end_of(done.stderr)
    assert done.stdout == f"{USER} {USER} [] Read-only file system /opt/venv\n"


@pytest.mark.root(reason="runs an image's file system, which needs root")
def test_the_loader_of_an_image_finds_each_library_in_it(image: Made, root: Path) -> None:
    """Asked for every ELF file of the image, it has no "not found", and what it finds is there."""
    files = [
        name
        for layer in image.read.data
        for name, data in layer.items()
        if data.startswith(b"\x7fELF") and "ld-" not in name
    ]
    assert len(files) > 60
    (loader,) = [name for name in image.read.names if "/ld-" in name and ".so" in name]
    unshare = shutil.which("unshare")
    for name in files:
        done = subprocess.run(
            [unshare, f"--root={root}", f"/{loader}", "--list", f"/{name}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        shown = done.stdout + done.stderr
        assert "not found" not in shown, f"{name}: {shown}"
        if "statically linked" in shown:
            continue
        assert done.returncode == 0, f"{name}: {shown}"
