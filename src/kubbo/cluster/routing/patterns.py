"""What a value is compared with: texts with `*`, ranges of numbers, references.

Rules are written by people who can write many, and compared with what callers send, so nothing
here may take long: a text with `*` is matched by finding its pieces from left to right, which
needs no going back, and a regular expression follows all its states at once (see `regex`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Glob", "Pattern", "Range", "Refer", "Reference", "parse_pattern"]

Refer: TypeAlias = "Callable[[str], str | None]"
"""The consumer's value of a name, for `$name`."""

_DIGITS = 18
"""Of a number: more than any id has, and few enough that reading it costs nothing."""


class Pattern(Protocol):
    """Compares a value."""

    def matches(self, value: str, refer: Refer) -> bool:
        """Whether `value` is what was meant."""
        ...


@dataclass(frozen=True, slots=True)
class Glob:
    """A text in which each `*` stands for any characters, also none."""

    pieces: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Glob:
        """Read `10.0.*`; several `*` in a row are one."""
        pieces = text.split("*")
        inner = [piece for piece in pieces[1:-1] if piece]
        return cls((pieces[0], *inner, pieces[-1]) if len(pieces) > 1 else (text,))

    def matches(self, value: str, refer: Refer) -> bool:
        """See `Pattern`."""
        del refer
        pieces = self.pieces
        if len(pieces) == 1:
            return value == pieces[0]
        first, *inner, last = pieces
        at, end = len(first), len(value) - len(last)
        if at > end or not value.startswith(first) or not value.endswith(last):
            return False
        for piece in inner:
            found = value.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `low` to `high`, both included; None is no bound."""

    low: int | None
    high: int | None

    def matches(self, value: str, refer: Refer) -> bool:
        """See `Pattern`; what is no whole number is in no range."""
        del refer
        number = _whole(value)
        if number is None:
            return False
        low, high = self.low, self.high
        return (low is None or low <= number) and (high is None or number <= high)


@dataclass(frozen=True, slots=True)
class Reference:
    """The consumer's own value of `name`."""

    name: str

    def matches(self, value: str, refer: Refer) -> bool:
        """See `Pattern`; what the consumer does not have matches nothing."""
        return value == refer(self.name)


def parse_pattern(text: str) -> Pattern:
    """Read one value of a condition.

    Raises:
        ValueError: it has a `~` and is no range, or a `$` without a name; the text says so.
    """
    if text.startswith("$"):
        if len(text) == 1:
            raise ValueError("'$' needs a name after it, like $region")
        return Reference(text[1:])
    low, tilde, high = text.partition("~")
    if not tilde:
        return Glob.parse(text)
    bounds = [None if not bound else _whole(bound) for bound in (low, high)]
    if bounds == [None, None] or (low and bounds[0] is None) or (high and bounds[1] is None):
        raise ValueError(f"{text!r} is no range of whole numbers; write 1~100, 1~ or ~100")
    return Range(bounds[0], bounds[1])


def _whole(text: str) -> int | None:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > _DIGITS:
        return None
    return int(text)
