"""YAML as nodes that know where they stand in their file.

A configuration is written by people, so every complaint about it names line and column; plain
dicts have lost those. And it is read again and again in a running process, so what a file can
cost is bounded before it is spent: its size, its depth, its nodes. The parser's events are read
one by one, without recursion. Aliases (`*name`) and tags (`!name`) are refused: a few lines of
aliases can stand for gigabytes, and a tag can name code.

JSON is YAML, so it is read too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MAX_DEPTH",
    "MAX_FILE_BYTES",
    "MAX_NODES",
    "ConfigurationError",
    "Issue",
    "Issues",
    "Mapping",
    "Node",
    "Place",
    "Scalar",
    "Sequence",
    "parse_yaml",
]

MAX_FILE_BYTES: Final = 1 << 20
"""Of one file: what a ConfigMap can hold."""

MAX_DEPTH: Final = 32
"""Of nesting. What is written here has six levels, a rule of Dubbo up to ten."""

MAX_NODES: Final = 50_000
"""Of one file: a thousand references with ten settings each are 20,000."""

MAX_ISSUES: Final = 100
"""Complaints that are kept; nobody reads more at once."""

_SHOWN: Final = 5
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{0,18}([eE][-+]?[0-9]{1,3})?")
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    word: value
    for value, words in ((True, ("true", "True", "TRUE")), (False, ("false", "False", "FALSE")))
    for word in words
}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something is written; lines and columns count from 1, 0 is the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Issue:
    """One complaint. `path` is where in the document, like `consumer.timeout`.

    `fatal` says that the document cannot be used; else it is a warning: something is left out.
    """

    place: Place
    path: str
    message: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.place}: {f'{self.path}: ' if self.path else ''}{self.message}"


class ConfigurationError(ConfigError):
    """A configuration cannot be used.

    Attributes:
        issues: every complaint; at least one of them is fatal.
    """

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        fatal = [str(issue) for issue in issues if issue.fatal]
        more = f"; and {len(fatal) - _SHOWN} more" if len(fatal) > _SHOWN else ""
        super().__init__("; ".join(fatal[:_SHOWN]) + more)
        self.issues = issues


class Issues:
    """Collects complaints, so that a file is corrected once and not line by line."""

    def __init__(self) -> None:
        self._kept: list[Issue] = []
        self._fatal = False

    def error(self, place: Place, path: str, message: str) -> None:
        """What makes the document unusable."""
        self._add(Issue(place, path, message))

    def warn(self, place: Place, path: str, message: str) -> None:
        """What is left out, while the rest is used."""
        self._add(Issue(place, path, message, fatal=False))

    def _add(self, issue: Issue) -> None:
        # Never so many warnings that the error is lost.
        if len(self._kept) < MAX_ISSUES or (issue.fatal and not self._fatal):
            self._kept.append(issue)
        self._fatal = self._fatal or issue.fatal

    @property
    def fatal(self) -> bool:
        """Whether there is an error."""
        return self._fatal

    def all(self) -> tuple[Issue, ...]:
        """Everything, in the order of the files."""
        return tuple(sorted(self._kept, key=lambda issue: issue.place))


@dataclass(slots=True, eq=False)
class Scalar:
    """A text; `plain` where it stood without quotes, so that it may mean a number or nothing."""

    place: Place
    text: str
    plain: bool = True

    @property
    def empty(self) -> bool:
        """Whether nothing is written there."""
        return self.plain and self.text in _NULLS

    def value(self) -> str | int | float | bool | None:
        """What YAML says the text means."""
        if not self.plain:
            return self.text
        if self.text in _NULLS:
            return None
        if self.text in _BOOLEANS:
            return _BOOLEANS[self.text]
        if _INTEGER.fullmatch(self.text):
            return int(self.text)
        return float(self.text) if _NUMBER.fullmatch(self.text) else self.text


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    place: Place
    items: list[Node] = field(default_factory=list["Node"])

    def value(self) -> list[Any]:
        """The list, as JSON has it."""
        return [item.value() for item in self.items]


@dataclass(slots=True, eq=False)
class Mapping:
    """A map whose keys are texts; `keys` has where each of them stands."""

    place: Place
    items: dict[str, Node] = field(default_factory=dict[str, "Node"])
    keys: dict[str, Place] = field(default_factory=dict[str, Place])

    def value(self) -> dict[str, Any]:
        """The map, as JSON has it."""
        return {key: item.value() for key, item in self.items.items()}


Node: TypeAlias = Scalar | Sequence | Mapping


def parse_yaml(text: str, file: str, issues: Issues) -> list[Node]:
    """The documents of a file, without empty ones. What cannot be read is complained of."""
    if len(text) > MAX_FILE_BYTES or len(text.encode("utf-8", "replace")) > MAX_FILE_BYTES:
        issues.error(Place(file), "", f"the file has more than {MAX_FILE_BYTES} bytes")
        return []
    import yaml  # noqa: PLC0415 - 15 ms that only those pay who have a configuration

    builder = _Builder(file)
    try:
        for event in _events(text):
            builder.receive(event)
    except yaml.YAMLError as error:
        issues.error(_place_of(error, file), "", f"this is no YAML: {_problem(error)}")
        return []
    except _RefusedError as error:
        issues.error(error.place, "", str(error))
        return []
    return builder.documents


def _events(text: str) -> Iterator[Any]:
    import yaml  # noqa: PLC0415 - as above

    library: Any = yaml  # its stubs leave the events open
    # The one of libyaml, where it was built, is ten times as fast; their events are the same.
    loader = getattr(library, "CSafeLoader", library.SafeLoader)
    events: Iterator[Any] = library.parse(text, Loader=loader)
    return events


def _place_of(error: Any, file: str) -> Place:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return Place(file) if mark is None else Place(file, mark.line + 1, mark.column + 1)


def _problem(error: Any) -> str:
    words = [getattr(error, "context", None), getattr(error, "problem", None)]
    text = ", ".join(word for word in words if word) or str(error).partition("\n")[0]
    return text[:200]


class _RefusedError(Exception):
    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


class _Builder:
    """Makes nodes of the parser's events. The open nodes are a stack, so nothing recurses."""

    def __init__(self, file: str) -> None:
        self.documents: list[Node] = []
        self._file = file
        self._open: list[tuple[Sequence | Mapping, Scalar | None]] = []
        self._nodes = 0

    def receive(self, event: Any) -> None:
        kind = type(event).__name__
        place = Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)
        if kind == "AliasEvent":
            raise _RefusedError(place, "aliases are not read; write the value out")
        if kind in ("MappingStartEvent", "SequenceStartEvent", "ScalarEvent"):
            tag: str | None = event.tag
            if tag is not None and not tag.startswith("tag:yaml.org,2002:str"):
                raise _RefusedError(place, f"tags are not read: {tag[:60]}")
            self._nodes += 1
            if self._nodes > MAX_NODES:
                raise _RefusedError(place, f"the file has more than {MAX_NODES} values")
        match kind:
            case "ScalarEvent":
                plain = not event.style and event.tag is None
                self._add(Scalar(place, event.value, plain))
            case "SequenceStartEvent":
                self._begin(Sequence(place))
            case "MappingStartEvent":
                self._begin(Mapping(place))
            case "SequenceEndEvent" | "MappingEndEvent":
                node, _ = self._open.pop()
                self._add(node)
            case _:  # begin and end of the stream and of a document
                pass

    def _begin(self, node: Sequence | Mapping) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise _RefusedError(node.place, f"this is nested more than {MAX_DEPTH} deep")
        self._open.append((node, None))

    def _add(self, node: Node) -> None:
        if not self._open:
            if not (isinstance(node, Scalar) and node.empty):
                self.documents.append(node)
            return
        parent, key = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif key is None:
            if not isinstance(node, Scalar):
                raise _RefusedError(node.place, "a key is a text")
            if node.text in parent.items:
                first = parent.keys[node.text].line
                raise _RefusedError(node.place, f"{node.text[:60]!r} is there twice, see {first}")
            self._open[-1] = (parent, node)
        else:
            parent.items[key.text] = node
            parent.keys[key.text] = key.place
            self._open[-1] = (parent, None)
