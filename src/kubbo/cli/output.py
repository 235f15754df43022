"""What goes to stdout: JSON that any reader takes, and text that a terminal may show."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from kubbo.cli.outcome import printable
from kubbo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["render_json", "table", "write_error", "write_line"]

_ESCAPED: Final = re.compile(r"[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""JSON would allow these bare; terminals act on the first, UTF-8 has no surrogates."""


def render_json(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON on one line, or indented.

    Raises:
        ValueError: a number is NaN or infinite, which JSON has no word for.
    """
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    text = json.dumps(
        value, ensure_ascii=not encoding.startswith("utf"), allow_nan=False, indent=indent
    )
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def write_line(text: str) -> None:
    """Print a line, now: who reads a pipe wants each view when it is published.

    What would move a terminal's cursor is written as escapes, whoever it comes from, and so is
    what stdout has no bytes for: a locale must not end a command. Line ends and tabs stay.

    Raises:
        BrokenPipeError: nobody reads any more.
        UsageError: stdout takes nothing, as on a full disk.
    """
    try:
        click.echo(_encodable(printable(text)))
    except BrokenPipeError:
        _forget_stdout()
        raise
    except OSError as error:
        _forget_stdout()
        raise UsageError(f"cannot write to stdout: {error.strerror or error}") from None


def write_error(text: str) -> None:
    """Print a line on stderr; nothing in it moves a terminal's cursor, as in `write_line`."""
    click.echo(printable(text), err=True)


def _encodable(text: str) -> str:
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _forget_stdout() -> None:
    """Let what is still buffered go nowhere: it would fail again, loudly, at the very end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns under their heads, two spaces apart."""
    cells = [tuple(head), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
