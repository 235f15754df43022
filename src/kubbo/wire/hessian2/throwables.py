"""What a Java throwable says, read from the record that it arrives as.

Java's Throwable holds a message, a cause (itself when there is none), the stack as an
array of elements and suppressed exceptions; a class adds its own fields. Everything here
is bounded: a peer may send a cause that is its own cause, or a stack of a million frames.

An exception of a registered class keeps cause and stack as they were read until somebody
asks for the exception (`finish`): a message may hold thousands that share one stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubbo.errors import RemoteException
from kubbo.java import Record, render
from kubbo.wire.hessian2.kinds import LIST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.model import Value

__all__ = [
    "THROWABLE_FIELDS",
    "finish",
    "keep_remote",
    "message_of",
    "remote_exception",
    "stack_lines",
]

THROWABLE_FIELDS = ("detailMessage", "cause", "stackTrace", "suppressedExceptions")

_MAX_CAUSES = 32
_MAX_FRAMES = 200
_MAX_FRAME = 300  # characters
_MAX_MESSAGE = 65_536  # characters


_REMOTE = "_kubbo_remote"


def keep_remote(error: BaseException, fields: Mapping[str, Any]) -> None:
    """Keep what a new exception of a registered class was sent with, for `finish`."""
    kept = {name: fields[name] for name in ("cause", "stackTrace") if name in fields}
    if kept:
        error.__dict__[_REMOTE] = kept


def finish(error: BaseException) -> None:
    """Give an exception, and those that caused it, their causes and remote stacks."""
    step: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        kept = None if step is None else step.__dict__.pop(_REMOTE, None)
        if step is None or kept is None:
            return
        stack = stack_lines(kept)
        if stack:
            step.add_note("\n  at ".join(["remote stack:", *stack]))
        cause = kept.get("cause")
        if isinstance(cause, Record):
            step.__cause__ = remote_exception(cause)
            return
        step = step.__cause__


def remote_exception(value: Record) -> RemoteException:
    """The exception that a record of an unregistered class stands for, with its causes."""
    chain: list[Record] = []
    step: Value = value
    while isinstance(step, Record) and len(chain) < _MAX_CAUSES:
        if any(step is known for known in chain):
            break
        chain.append(step)
        step = step.fields.get("cause")
    made: RemoteException | None = None
    if isinstance(step, RemoteException):
        made = step
    elif isinstance(step, BaseException):  # of a registered class
        finish(step)
        made = RemoteException(type(step).__name__, message_of(step) or "")
        made.__cause__ = step
    for record in reversed(chain):
        fields = record.fields
        message = fields.get("detailMessage")
        if message is not None and not isinstance(message, str):
            message = render(message)
        outer = RemoteException(
            record.class_name,
            (message or "")[:_MAX_MESSAGE],
            cause=made,
            stack=stack_lines(fields),
            fields={name: one for name, one in fields.items() if name not in THROWABLE_FIELDS},
        )
        outer.__cause__ = made
        made = outer
    assert made is not None
    return made


def stack_lines(fields: Mapping[str, Any]) -> list[str]:
    """The frames of a throwable as Java prints them, innermost first."""
    frames: Any = fields.get("stackTrace")
    if not isinstance(frames, LIST):
        return []
    lines = [_frame(frame) for frame in frames[:_MAX_FRAMES] if isinstance(frame, Record)]
    if len(frames) > _MAX_FRAMES:
        lines.append(f"... {len(frames) - _MAX_FRAMES} more")
    return lines


def _frame(frame: Record) -> str:
    fields = frame.fields
    file = fields.get("fileName")
    line = fields.get("lineNumber")
    where = "Unknown Source"
    if line == -2:
        where = "Native Method"
    elif isinstance(file, str):
        where = f"{file[:100]}:{line}" if isinstance(line, int) and line >= 0 else file[:100]
    method = f"{_name(fields, 'declaringClass')}.{_name(fields, 'methodName')}"
    return f"{method}({where})"[:_MAX_FRAME]


def _name(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value[:_MAX_FRAME] if isinstance(value, str) else "?"


def message_of(error: BaseException) -> str | None:
    """Java's message of a Python exception: its one text argument, else its `str`."""
    if not error.args:
        return None
    if len(error.args) == 1 and isinstance(error.args[0], str):
        return error.args[0][:_MAX_MESSAGE]
    return text_of(error)


def text_of(error: BaseException) -> str:
    """`str` of an exception, whatever its class does there."""
    try:
        return str(error)[:_MAX_MESSAGE]
    except Exception:  # noqa: BLE001 - a class of the user may raise anything
        return "(its text cannot be made)"
