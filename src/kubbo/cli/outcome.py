"""How a command ends: its exit code, and one paragraph on stderr.

This is the only place that maps errors to exit codes. A script branches on them, so each
says who has to act: the provider's owner (1), whoever typed the command (2), the cluster's
owner (3), or whoever chose the deadline (4).
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

from kubbo.errors import (
    Code,
    KubboError,
    NoProvider,
    Progress,
    RemoteException,
    RpcError,
    UsageError,
)

__all__ = ["Exit", "exit_code", "paragraph", "printable"]

_SHOWN_CHARS: Final = 4_000
"""Of an error. A provider's message may be megabytes; a Role to apply is a few hundred."""

_JAVA_STACK: Final = re.compile(r"\s*\n\s+at [\w$.<>/]+\(.*", re.DOTALL)

_UNPRINTABLE: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What moves a terminal's cursor, sets its title or turns its text around."""


class Exit(IntEnum):
    """Exit codes. Those from 70 on follow sysexits.h and the shell (128 + signal)."""

    ANSWERED = 0
    REFUSED = 1
    USAGE = 2
    NO_PROVIDER = 3
    DEADLINE = 4
    BUG = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


def exit_code(error: BaseException) -> Exit:
    """The exit code that an error stands for; `BUG` for what nobody raises on purpose."""
    match error:
        case UsageError():
            return Exit.USAGE
        case NoProvider():
            return Exit.NO_PROVIDER
        case RpcError(code=Code.DEADLINE_EXCEEDED):
            return Exit.DEADLINE
        case RpcError(code=Code.UNAVAILABLE, progress=Progress.NOT_SENT):
            return Exit.NO_PROVIDER
        case KubboError():
            return Exit.REFUSED
        case BrokenPipeError():
            return Exit.BROKEN_PIPE
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case _:
            return Exit.BUG


def paragraph(error: BaseException) -> str:
    """What failed, where, and what to do next, safe to print on a terminal.

    A Java stack inside a provider's message is left out: it is in the provider's log.
    """
    text = _JAVA_STACK.sub(" (...)", _told(error)) or type(error).__name__
    if len(text) > _SHOWN_CHARS:
        text = text[:_SHOWN_CHARS] + "..."
    notes: list[str] = getattr(error, "__notes__", [])
    return printable(". ".join([text, *notes, *_advice(error)]))


def _told(error: BaseException) -> str:
    """The text of an error without its advice; attempts that failed alike are told once."""
    if not isinstance(error, RpcError):
        return str(error)
    text = error.headline
    if error.attempts:
        earlier = dict.fromkeys(each.headline for each in error.attempts)
        different = [each for each in earlier if each != text]
        text = f"{text}, after {len(error.attempts) + 1} attempts"
        text = "; before that: ".join([text, *different])
    if error.funnel:
        text += f" [{' > '.join(map(str, error.funnel))}]"
    return text


def printable(text: str) -> str:
    """`text` with its control characters written as escapes; line ends and tabs stay."""
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _advice(error: BaseException) -> list[str]:
    """The next step, where the message does not say it yet."""
    match error:
        case RpcError(advice=str(advice)) if advice:
            return [advice[0].upper() + advice[1:]]
        case NoProvider():
            return []
        case RpcError(code=Code.DEADLINE_EXCEEDED, progress=Progress.NOT_SENT):
            return ["Look what is published with `kubbo endpoints`, or give it a longer --timeout"]
        case RpcError(code=Code.DEADLINE_EXCEEDED):
            return ["The provider may still be at work on it; give it a longer --timeout"]
        case RpcError(code=Code.UNAVAILABLE, progress=Progress.NOT_SENT):
            return ["Check that a provider listens there, on that port: `kubbo endpoints` shows"]
        case RpcError(code=Code.UNAVAILABLE):
            return ["The provider may have run it; it left before it answered, see its log"]
        case RpcError(code=Code.RESOURCE_EXHAUSTED):
            return ["The provider takes no more calls now; try later, or add providers"]
        case RemoteException():
            return ["The provider's method threw this; the stack is in its log"]
        case _:
            return []
