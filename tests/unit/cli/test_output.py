"""What goes to stdout: text, in the bytes that it has, and nothing that a terminal obeys."""

from __future__ import annotations

import asyncio
import contextlib
import io
import subprocess
import sys

import pytest
from click.testing import CliRunner

from kubbo.cli.app import kubbo
from kubbo.cli.output import write_error, write_line


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("latin-1", b"\\u95ee \xe9"), ("ascii", b"\\u95ee \\xe9"), ("utf-8", "\u95ee \xe9".encode())],
)
def test_what_stdout_has_no_bytes_for_is_escaped(encoding, written):
    """A locale without a letter does not end a command."""
    octets = io.BytesIO()
    stdout = io.TextIOWrapper(octets, encoding=encoding)
    with contextlib.redirect_stdout(stdout):
        write_line("\u95ee \xe9")
    stdout.flush()
    assert octets.getvalue() == written + b"\n"


def test_a_terminal_is_told_nothing_but_text():
    """Whatever a command prints, and whoever wrote it: escapes do not reach the terminal."""
    octets = io.BytesIO()
    stdout = io.TextIOWrapper(octets, encoding="utf-8")
    with contextlib.redirect_stdout(stdout):
        write_line("a\tb\nc\r\x1b[2J\x9b2J\u202e\ud800")
    stdout.flush()
    assert octets.getvalue() == b"a\tb\nc\\x0d\\x1b[2J\\x9b2J\\u202e\\ud800\n"


def test_so_is_stderr(capsys):
    """An error may quote a peer, a cluster or the command line."""
    write_error("a\tb\nc\r\x1b[2J")
    assert capsys.readouterr().err == "a\tb\nc\\x0d\\x1b[2J\n"


async def test_what_answers_in_place_of_a_provider_is_quoted():
    """Whatever listens on the port of the probes may say what it likes."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x1b]0;owned\x07\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = str(server.sockets[0].getsockname()[1])
        arguments = ["health", "--port", port]
        ended = await asyncio.to_thread(CliRunner().invoke, kubbo, arguments)
    assert ended.exit_code == 3
    assert "\\x1b]0;owned\\x07" in ended.stderr
    assert "\x1b" not in ended.stderr


def test_warnings_are_quoted_like_errors(tmp_path):
    """What is logged where logging is not set up names files and servers, too."""
    broken = tmp_path / "a\x1b[2J"
    broken.write_text("", encoding="utf-8")
    target = "kubernetes:///a | static:///127.0.0.1:1"
    arguments = ["endpoints", target, "--kubeconfig", str(broken)]
    ended = subprocess.run(
        [sys.executable, "-m", "kubbo", *arguments], capture_output=True, check=True, timeout=60
    )
    assert b"a\\x1b[2J" in ended.stderr
    assert b"\x1b" not in ended.stdout + ended.stderr
