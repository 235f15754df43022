"""The rules of conftest.py can fail: each is broken once, by tests of a run of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

TESTS = """
import asyncio
import socket

import pytest
from hypothesis import given, strategies as st


async def accept(reader, writer):
    writer.close()


@pytest.fixture
async def tidy():
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    task = asyncio.create_task(asyncio.sleep(100))
    yield
    task.cancel()
    writer.close()
    server.close()
    await server.wait_closed()


async def test_clean_fixture(tidy):
    pass


@given(st.integers())
async def test_clean_property(number):
    pass


async def test_clean_task():
    await asyncio.create_task(asyncio.sleep(0))


def test_clean_sync():
    pass


async def test_leaks_task():
    globals()["kept"] = asyncio.create_task(asyncio.sleep(100))


async def test_leaks_transport():
    listener = socket.create_server(("127.0.0.1", 0))
    globals()["kept"] = await asyncio.open_connection(*listener.getsockname())
    listener.close()
    del globals()["kept"]


async def test_leaks_server():
    await asyncio.start_server(accept, "127.0.0.1", 0)


async def test_leaks_socket():
    socket.socket()


async def test_leaks_exception():
    async def fail():
        raise ValueError

    asyncio.create_task(fail())
    await asyncio.sleep(0)


async def test_leaks_and_fails():
    keep = [socket.socket()]
    keep.append(keep)
    raise ValueError("pytest keeps this, and with it the frame and its open socket")


async def test_clean_after_failure():
    pass


async def test_leaks_coroutine():
    accept(None, None)


@pytest.mark.root
def test_root_by_mark():
    pass


def test_root_by_fixture(provider_address):
    pass


@pytest.fixture
def provider_address():
    return ""
"""

INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
markers = root
"""


def run(directory: Path, *before: str, **environment: str) -> tuple[set[str], set[str], str]:
    """The names of the tests without fault, of those with one, and the end of the output."""
    shutil.copy(HERE / "conftest.py", directory)
    (directory / "pytest.ini").write_text(INI)
    (directory / "test_inner.py").write_text(TESTS)
    kept = {k: v for k, v in os.environ.items() if k not in {"NO_ROOT", "KUBBO_TEST_NAMESPACE"}}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "--tb=no", "."]
    output = subprocess.run(
        [*before, *command],
        cwd=directory,
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout
    faults = set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", output, re.MULTILINE))
    clean = set(re.findall(r"^PASSED \S+::(\w+)", output, re.MULTILINE)) - faults
    return clean, faults, output


def test_what_is_left_behind_fails_the_test(tmp_path: Path) -> None:
    """A leaked task, transport, server, socket, exception and coroutine each fail their own test,
    and clean tests pass; what needs root fails outside the namespace.
    """
    clean, faults, output = run(tmp_path)
    leaks = {"task", "transport", "server", "socket", "exception", "coroutine"}
    assert clean == {
        *("test_clean_fixture", "test_clean_property", "test_clean_task"),
        *("test_clean_sync", "test_clean_after_failure"),
    }, output
    assert faults == {f"test_leaks_{leak}" for leak in leaks} | {
        "test_leaks_and_fails",
        "test_root_by_mark",
        "test_root_by_fixture",
    }, output


def test_no_root_lists_what_was_left_out(tmp_path: Path) -> None:
    """With NO_ROOT=1 an ordinary user's run ends with the tests that it left out, and why."""
    # In a user namespace without any mapping root is nobody, but still owns its files.
    before = ["unshare", "--user", "--"] if os.geteuid() == 0 else []
    _, faults, output = run(tmp_path, *before, NO_ROOT="1")
    assert not {name for name in faults if "root" in name}
    tail = output[output.index("left out by NO_ROOT=1: 2 tests") :].splitlines()
    by_fixture = "puts provider addresses on lo, which needs root and a network namespace"
    assert tail[1:] == [
        "test_inner.py::test_root_by_mark: needs root and a network namespace",
        f"test_inner.py::test_root_by_fixture: {by_fixture}",
    ]
