"""docs/image.md, and what it makes, run as a container runs it: read-only, as nobody."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.process import end_of
from tests.pages import commands, shows
from tests.unit.image.reading import Read, copy_of_kubbo, read_image

import kubbo
from kubbo.manifests.workload import USER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "image.md").read_text(encoding="utf-8")
DEPLOYMENT = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
FLAGS = re.MULTILINE | re.DOTALL
KEY = "com.example.GreetService:1.0.0"

RUN = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
exec env -i "$2" "$3" "$4" --root="$1" --wd=/app --setgid="$5" --setuid="$5" -- "${@:6}"
"""
"""Root, PATH, another variable, unshare, user, then the command. One process from first to last."""

HERE = """
import importlib, pathlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    print(name)
"""
"""Prints which of the modules can be imported: one may lack a library on this machine, too."""

NATIVE = """
import importlib, os, ssl, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
import aiohttp, msgspec, multidict, yaml, yarl, kubbo.cli.serve
if os.path.exists("/etc/ssl/certs/ca-certificates.crt"):
    assert ssl.create_default_context().get_ca_certs(), "nobody is trusted"
try:
    open("/app/x", "w")
except OSError as error:
    print(os.getuid(), os.getgid(), os.getgroups(), error.strerror, sys.prefix)
"""


@dataclass
class Printed:
    """A command of the page, what the page says that it prints, and what it did print."""

    command: str
    output: str
    printed: str
    code: int


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the application that docs/deployment.md begins with."""
    folder = tmp_path_factory.mktemp("project")
    (source,) = re.findall(r"^```python\n(.*?class Greeter\(.*?)^```$", DEPLOYMENT, FLAGS)
    (folder / "greeter.py").write_text(source, encoding="utf-8")
    (folder / "notes.txt").write_text("x\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `copy_of_kubbo`."""
    return copy_of_kubbo(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def page(project: Path, source: Path) -> list[Printed]:
    """Each command of docs/image.md, run in that folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found: list[Printed] = []
    for command, output in commands(PAGE):
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=project,
            env={"PATH": path, "PYTHONPATH": os.fspath(source)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )
        found.append(Printed(command, output, done.stdout, done.returncode))
    return found


@pytest.fixture(scope="module")
def image(project: Path, page: list[Printed]) -> Read:
    """The image that the page makes first."""
    assert page[0].code == 0, page[0].printed
    return read_image(project / "greeter.tar")


@pytest.fixture(scope="module")
def root(image: Read, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layers of the image, one over the other, in a directory that anybody may enter."""
    folder = tmp_path_factory.mktemp("root")
    with tarfile.open(project / "greeter.tar") as archive:
        for each in image.manifest["layers"]:
            blob = archive.extractfile(f"blobs/{each['digest'].replace(':', '/')}")
            assert blob is not None
            with tarfile.open(fileobj=io.BytesIO(blob.read())) as layer:
                layer.extractall(folder, filter="fully_trusted")
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def native(image: Read) -> dict[str, str]:
    """The native modules of the standard library that work on this machine, and their files."""
    files = {
        name.rpartition("/")[2].partition(".")[0]: name
        for name in image.names
        if "/lib-dynload/" in name and name.endswith(".so")
    }
    command = [sys.executable, "-W", "ignore", "-c", HERE, *sorted(files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return {name: files[name] for name in done.stdout.split()}


def inside(image: Read, root: Path, *command: str) -> list[str]:
    """A command that runs in the image as a container runtime would run it."""
    unshare = shutil.which("unshare")
    assert unshare is not None
    environment = image.config["config"]["Env"]
    assert len(environment) == 2
    user = image.config["config"]["User"].partition(":")[0]
    prefix = [unshare, "--mount", "--", "bash", "-c", RUN, "in-image", os.fspath(root)]
    return [*prefix, *environment, unshare, user, *command]


def test_every_command_of_the_page_prints_what_the_page_prints(
    page: list[Printed], project: Path
) -> None:
    """Where the page has `...`, anything may stand; refusals end with 2."""
    for each in page:
        assert shows(each.output, each.printed), f"{each.command}\n{each.printed}"
        assert each.code == (2 if each.printed.startswith("kubbo: ") else 0), each.command
    assert len(page) == 6, "a command was added to the page, or was lost from it"
    tool = read_image(project / "tool.tar")
    assert tool.file("app/notes.txt") == b"x\n"
    assert tool.config["created"] == "1970-01-01T00:00:00Z"
    assert {each.mtime for layer in tool.layers for each in layer.values()} == {0}


def whose(pid: int) -> tuple[str, str, Path]:
    """The user, the capabilities and the root directory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    (user,) = {*told["Uid"].split()}
    return user, told["CapEff"], Path(f"/proc/{pid}/root").readlink()


@pytest.mark.root(reason="runs an image's file system, which needs root")
async def test_an_image_serves_as_nobody_on_a_root_that_cannot_be_written(
    image: Read, root: Path
) -> None:
    """The command of the image, with nothing but the image: it is called from outside, answers a
    probe, and ends with 0 after SIGTERM.
    """
    command = image.config["config"]["Entrypoint"]
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
def test_every_native_module_of_an_image_loads_in_it(
    image: Read, root: Path, native: dict[str, str]
) -> None:
    """All extension modules of the standard library and of what Kubbo requires, and TLS has
    somebody to trust; nothing of it can be written.
    """
    done = subprocess.run(
        inside(image, root, "python", "-W", "ignore", "-c", NATIVE, *native),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, end_of(done.stderr)
    assert done.stdout == f"{USER} {USER} [] Read-only file system /opt/venv\n"


@pytest.mark.root(reason="runs an image's file system, which needs root")
def test_the_loader_of_an_image_finds_each_library_in_it(
    image: Read, root: Path, native: dict[str, str]
) -> None:
    """Asked for every ELF file of the image, it has no "not found", and what it finds is there."""
    files = [
        name
        for layer in image.data
        for name, data in layer.items()
        if data.startswith(b"\x7fELF") and "/ld-" not in name
        if "/lib-dynload/" not in name or name in native.values()
    ]
    assert len(files) > 20
    (loader,) = [name for name in image.names if "/ld-" in name and ".so" in name]
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
