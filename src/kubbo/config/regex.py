r"""Regular expressions that take time in proportion to the text, whatever they say.

Python's own go back and try again, so that `(a+)+b` holds an event loop for minutes over a label
of forty letters. These follow every state that the text so far may lead to, at once. What cannot
be had that way is refused: references back (`\1`), looking around (`(?=...)`).

The rest is Java's common ground: characters, `.`, `[a-z]`, `[^...]`, `\d \w \s` and their
opposites, `(...)`, `|`, `* + ?`, `{2,5}`. The whole text has to match, as with Java's
`String.matches`. Source: Thompson's construction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

__all__ = ["Regex"]

MAX_PATTERN: Final = 200
"""Characters of an expression."""

MAX_STATES: Final = 2_000
"""After `{m,n}` is written out."""

MAX_DEPTH: Final = 20
"""Of parentheses."""

_CLASSES: Final = {"d": "09", "w": "azAZ09__", "s": "  \t\r"}
"""Pairs of first and last character."""

_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


@dataclass(frozen=True, slots=True)
class _Set:
    """Characters in ranges, or all others."""

    ranges: tuple[tuple[str, str], ...]
    others: bool = False

    def has(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) is not self.others


_ANY: Final = _Set((("\n", "\n"), ("\r", "\r")), others=True)

_Tree: TypeAlias = "_Set | _Many | _Either | _Repeat"


@dataclass(frozen=True, slots=True)
class _Many:
    """One after the other."""

    parts: tuple[_Tree, ...]


@dataclass(frozen=True, slots=True)
class _Either:
    """One of these."""

    parts: tuple[_Tree, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    """From `low` to `high` times; None is any number."""

    part: _Tree
    low: int
    high: int | None


@dataclass(slots=True)
class _Program:
    """States: each either takes a character of a set and goes on to the next one, or only jumps."""

    takes: list[_Set | None] = field(default_factory=list["_Set | None"])
    jumps: list[list[int]] = field(default_factory=list[list[int]])

    def add(self, takes: _Set | None = None) -> int:
        if len(self.takes) >= MAX_STATES:
            raise ValueError(f"it needs more than {MAX_STATES} states; repeat less")
        self.takes.append(takes)
        self.jumps.append([])
        return len(self.takes) - 1

    def emit(self, tree: _Tree) -> None:
        match tree:
            case _Set():
                self.add(tree)
            case _Many(parts):
                for part in parts:
                    self.emit(part)
            case _Either(parts):
                fork = self.add()
                ends: list[int] = []
                for part in parts:
                    self.jumps[fork].append(len(self.takes))
                    self.emit(part)
                    ends.append(self.add())
                for end in ends:
                    self.jumps[end].append(len(self.takes))
            case _Repeat(part, low, high):
                for _ in range(low):
                    self.emit(part)
                if high is None:
                    fork = self.add()
                    self.jumps[fork].append(fork + 1)
                    self.emit(part)
                    self.jumps[self.add()].append(fork)
                    self.jumps[fork].append(len(self.takes))
                    return
                forks: list[int] = []
                for _ in range(high - low):
                    forks.append(self.add())
                    self.jumps[forks[-1]].append(forks[-1] + 1)
                    self.emit(part)
                for fork in forks:
                    self.jumps[fork].append(len(self.takes))


class Regex:
    """A compiled expression.

    Raises:
        ValueError: it cannot be read, or needs what this does not do; the text says why.
    """

    __slots__ = ("_jumps", "_start", "_takes", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_PATTERN:
            raise ValueError(f"{len(text)} characters; {MAX_PATTERN} are the most")
        tree = _Reader(text).read()
        program = _Program()
        program.emit(tree)
        end = program.add()
        self._takes = program.takes
        self._jumps = program.jumps
        self._start = self._closure({0})
        assert end == len(self._takes) - 1

    def matches(self, value: str) -> bool:
        """Whether all of `value` matches; O(len(value))."""
        states = self._start
        for character in value:
            after: set[int] = set()
            for state in states:
                takes = self._takes[state]
                if takes is not None and takes.has(character):
                    after.add(state + 1)
            states = self._closure(after)
            if not states:
                return False
        return len(self._takes) - 1 in states

    def _closure(self, states: set[int]) -> set[int]:
        """Also those that can be reached without a character."""
        waiting = list(states)
        while waiting:
            for state in self._jumps[waiting.pop()]:
                if state not in states:
                    states.add(state)
                    waiting.append(state)
        return states


class _Reader:
    """Reads an expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def read(self) -> _Tree:
        tree = self._either()
        if self._at < len(self._text):
            raise ValueError("there is a ')' too much")
        return tree

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _next(self) -> str:
        character = self._peek()
        if not character:
            raise ValueError("it ends too early")
        self._at += 1
        return character

    def _take(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _either(self) -> _Tree:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"parentheses deeper than {MAX_DEPTH}")
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        self._depth -= 1
        return branches[0] if len(branches) == 1 else _Either(tuple(branches))

    def _sequence(self) -> _Tree:
        parts: list[_Tree] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated())
        return _Many(tuple(parts))

    def _repeated(self) -> _Tree:
        part = self._one()
        match self._peek():
            case "*":
                low, high = 0, None
            case "+":
                low, high = 1, None
            case "?":
                low, high = 0, 1
            case "{":
                return self._no_more(self._counted(part))
            case _:
                return part
        self._at += 1
        return self._no_more(_Repeat(part, low, high))

    def _no_more(self, tree: _Tree) -> _Tree:
        # Lazy or not, what matches as a whole is the same; possessive is another matter.
        if self._take("+"):
            raise ValueError("possessive repetition (`a*+`) is not supported")
        self._take("?")
        if self._peek() in ("*", "{"):
            raise ValueError("a repetition of a repetition needs parentheses")
        return tree

    def _counted(self, part: _Tree) -> _Tree:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at + 1 : max(end, 0)].partition(",")
        if (
            end < 0
            or not low.isdecimal()
            or not (high.isdecimal() or not high)
            or len(low) > 3
            or len(high) > 3
        ):
            raise ValueError("'{' needs a count after it, like {2} or {2,5}")
        self._at = end + 1
        most = (int(high) if high else None) if comma else int(low)
        if most is not None and most < int(low):
            raise ValueError(f"{{{low},{high}}} has its larger number first")
        return _Repeat(part, int(low), most)

    def _one(self) -> _Tree:
        character = self._next()
        match character:
            case "(":
                if self._take("?") and not self._take(":"):
                    raise ValueError("of `(?...)` only `(?:...)` is supported")
                tree = self._either()
                if not self._take(")"):
                    raise ValueError("a '(' is not closed")
                return tree
            case "[":
                return self._brackets()
            case ".":
                return _ANY
            case "\\":
                return self._escaped()
            case "^" | "$":
                raise ValueError(
                    f"{character!r} is not needed: the whole text has to match in any case"
                )
            case "*" | "+" | "?" | "{":
                raise ValueError(f"{character!r} has nothing to repeat")
            case _:
                return _Set(((character, character),))

    def _escaped(self) -> _Set:
        character = self._next()
        if character.lower() in _CLASSES:
            return _Set(_pairs(_CLASSES[character.lower()]), others=character.isupper())
        if character in _ESCAPES:
            character = _ESCAPES[character]
        elif character.isalnum():
            raise ValueError(f"'\\{character}' is not supported")
        return _Set(((character, character),))

    def _brackets(self) -> _Set:
        others = self._take("^")
        ranges: list[tuple[str, str]] = []
        while True:
            character = self._next()
            if character == "]" and ranges:
                return _Set(tuple(ranges), others=others)
            if character in ("[", "&"):
                raise ValueError(f"{character!r} in brackets needs a '\\' before it")
            if character == "\\":
                found = self._escaped()
                if found.others:
                    raise ValueError("a class like \\D is not supported in brackets")
                low, high = found.ranges[0]
                if low != high or len(found.ranges) > 1:
                    ranges.extend(found.ranges)
                    continue
                character = low
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                last = self._next()
                if last == "\\":
                    last = self._escaped().ranges[0][0]
                if last < character:
                    raise ValueError(f"{character}-{last} has its larger end first")
                ranges.append((character, last))
            else:
                ranges.append((character, character))


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(zip(text[::2], text[1::2], strict=True))
