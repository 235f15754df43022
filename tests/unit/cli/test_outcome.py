"""Exit codes and the one paragraph on stderr."""

from __future__ import annotations

import pytest

from kubbo.cli.outcome import Exit, exit_code, paragraph, printable
from kubbo.errors import (
    Code,
    ConfigError,
    DeadlineExceeded,
    DecodeError,
    EncodeError,
    NoProvider,
    Progress,
    ProtocolError,
    RemoteException,
    RpcError,
    TargetError,
    UsageError,
)
from kubbo.model import Endpoint, Step


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), Exit.USAGE),
        (TargetError("x"), Exit.USAGE),
        (ConfigError("x"), Exit.USAGE),
        (EncodeError("x"), Exit.USAGE),
        (NoProvider("x"), Exit.NO_PROVIDER),
        (RpcError(Code.UNAVAILABLE, "x", progress=Progress.NOT_SENT), Exit.NO_PROVIDER),
        (RpcError(Code.UNAVAILABLE, "x", progress=Progress.SENT), Exit.REFUSED),
        (DeadlineExceeded("x"), Exit.DEADLINE),
        (DeadlineExceeded("x", progress=Progress.NOT_SENT), Exit.DEADLINE),
        (RpcError(Code.DEADLINE_EXCEEDED, "server timeout"), Exit.DEADLINE),
        (RemoteException("java.lang.Error", "x"), Exit.REFUSED),
        (RpcError(Code.INVALID_ARGUMENT, "x", progress=Progress.NOT_SENT), Exit.REFUSED),
        (RpcError(Code.INTERNAL, "x"), Exit.REFUSED),
        (DecodeError("x"), Exit.REFUSED),
        (ProtocolError("x"), Exit.REFUSED),
        (BrokenPipeError(), Exit.BROKEN_PIPE),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (KeyError("x"), Exit.BUG),
    ],
)
def test_every_error_has_its_exit_code(error, code):
    """A script can tell whose turn it is; what nobody raises on purpose is a bug."""
    assert exit_code(error) is code


def test_a_terminal_is_not_commanded_by_a_peer():
    """Control characters, C1 and the turning of text are written out; lines stay lines."""
    hostile = "a\x1b[2Jb\x9bc\x07\r\n\td\u202ee\ud800"
    assert printable(hostile) == "a\\x1b[2Jb\\x9bc\\x07\\x0d\n\td\\u202ee\\ud800"


def test_a_java_stack_is_left_out():
    """A status of Java carries kilobytes of stack; the paragraph keeps what came before."""
    text = "boom\n\tat com.example.A.b(A.java:1)\n\tat java.lang.Thread.run(Thread.java:9)\n"
    told = paragraph(RpcError(Code.UNKNOWN, text))
    assert told == "UNKNOWN: boom (...)"


def test_a_message_has_a_bound():
    """A provider cannot fill the terminal."""
    assert len(paragraph(RemoteException("com.example.E", "x" * 1_000_000))) < 5_000


def test_attempts_that_failed_alike_are_told_once():
    """Three refused connections read as one, and their number."""
    endpoint = Endpoint("10.0.0.1", 20880)

    def refused(text: str) -> RpcError:
        return RpcError(Code.UNAVAILABLE, text, progress=Progress.NOT_SENT, endpoint=endpoint)

    error = refused("no route")
    error.attempts = (refused("no route"), refused("no luck"))
    told = paragraph(error)
    assert told.count("no route") == 1
    assert "after 3 attempts; before that: UNAVAILABLE: no luck" in told


def test_the_funnel_and_the_next_thing_are_told_once():
    """Behind the failures; the advice is that of the error, not a second one besides."""

    def failure() -> RpcError:
        made = RpcError(Code.UNAVAILABLE, "refused", progress=Progress.NOT_SENT)
        made.funnel, made.advice = (Step("connection", 0, "\x1b[2J"),), "look there"
        return made

    error = failure()
    error.attempts = (failure(), failure())
    assert paragraph(error) == (
        "UNAVAILABLE: refused, after 3 attempts [connection 0 (\\x1b[2J)]. Look there"
    )


def test_notes_belong_to_the_paragraph():
    """What a command adds to an error is told behind it."""
    error = RpcError(Code.INVALID_ARGUMENT, "bad request")
    error.add_note("use --types")
    assert paragraph(error) == "INVALID_ARGUMENT: bad request. use --types"


def test_an_error_without_text_has_its_name():
    """Nothing ends silently."""
    assert paragraph(UsageError()) == "UsageError"
