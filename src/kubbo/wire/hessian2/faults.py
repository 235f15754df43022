"""What goes wrong while a value is read, before it is known where in the message it stands.

A fault travels outwards; each container that it leaves adds its step to the path. Only
the door (`Reader.read`, `decode`) makes a `DecodeError` of it.
"""

from __future__ import annotations

import struct

from kubbo.errors import DecodeError

__all__ = ["TRUNCATED", "Fault", "fault_of"]

# Reading past the end is found by Python: an index or a fixed-size field out of range.
TRUNCATED = (IndexError, struct.error)

# Names of fields are a peer's: they may be as long as its message.
_SHOWN_STEP = 200
_SHOWN_PATH = 1_000


class Fault(Exception):  # noqa: N818 - it never leaves this package
    """One fault; `offset` is -1 until somebody knows it."""

    def __init__(self, message: str, offset: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.steps: list[str] = []  # innermost first
        self.cause: Exception | None = None  # what code of the user raised

    def error(self, path: str) -> DecodeError:
        """The error for callers, its path beginning at `path`."""
        for step in reversed(self.steps):
            shown = step if len(step) <= _SHOWN_STEP else f"{step[:_SHOWN_STEP]}..."
            path += shown if not path or step.startswith("[") else f".{shown}"
        if len(path) > _SHOWN_PATH:
            path = f"{path[: _SHOWN_PATH // 2]} ... {path[-_SHOWN_PATH // 2 :]}"
        error = DecodeError(self.message, offset=self.offset, path=path)
        error.__cause__ = self.cause
        return error


def fault_of(cls: type, error: Exception, detail: str = "") -> Fault:
    """The fault for a class of the user whose own code raised while an object was made."""
    reason = detail or type(error).__name__
    fault = Fault(f"a {cls.__name__} cannot be made: {reason}")
    # Without its frames, which would keep alive all that was read so far.
    fault.cause = error.with_traceback(None)
    error.__context__ = None
    return fault
