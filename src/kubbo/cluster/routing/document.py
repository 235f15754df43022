"""A rule as its file has it, read place by place.

Rules come from people and from consoles, and a mistake in one must be told so that its author can
find it: every complaint names the file, the place in it (`conditions[2].to[0].weight`), what is
there and what to write. Nothing is guessed: a key that looks like a misspelt one is refused, one
that is unknown is left alone, since consoles add their own.
"""

from __future__ import annotations

from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, cast

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MAX_ITEMS", "MAX_TEXT", "Node"]

MAX_ITEMS: Final = 1_000
"""Of a list. Each call looks at every condition."""

MAX_TEXT: Final = 10_000
"""Characters of one text."""

MAX_KEYS: Final = 50
"""Of a mapping, that are looked at for misspelt ones."""

_SHOWN: Final = 80
_BOOLEANS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}
"""Also the words of YAML 1.1, which is what Java reads."""


class Node:
    """A value and where it stands."""

    __slots__ = ("path", "source", "value")

    def __init__(self, value: object, source: str, path: str = "") -> None:
        self.value: Any = value
        self.source = source
        self.path = path

    def error(self, problem: str) -> ConfigError:
        """What is wrong here, to be raised."""
        return ConfigError(f"{self.source}: {self.path or 'the rule'}: {problem}")

    def refuse(self, wanted: str) -> ConfigError:
        """Something else was wanted here, to be raised."""
        return self.error(f"{_shown(self.value)} is not {wanted}")

    def keys(self, known: Sequence[str]) -> None:
        """See that this is a mapping without a misspelt key.

        Raises:
            ConfigError: it is none, or one of its keys is nearly one of `known`.
        """
        value: object = self.value
        if not isinstance(value, dict):
            raise self.refuse("a mapping")
        mapping = cast("dict[object, object]", value)
        for key in list(mapping)[:MAX_KEYS]:
            if isinstance(key, str) and key not in known and len(key) <= _SHOWN:
                close = get_close_matches(key, known, 1, 0.8)
                if close and close[0] not in mapping:
                    raise self.error(f"there is no key {key!r}; write {close[0]!r}")

    def get(self, key: str) -> Node | None:
        """What stands below `key`; None if it is missing or empty."""
        value = self.value.get(key)
        return None if value is None else self._below(value, key)

    def need(self, key: str, why: str) -> Node:
        """What stands below `key`, which must be there."""
        node = self.get(key)
        if node is None:
            raise self.error(f"{key!r} is missing: {why}")
        return node

    def _below(self, value: object, key: str) -> Node:
        return Node(value, self.source, f"{self.path}.{key}" if self.path else key)

    def items(self) -> Iterator[Node]:
        """The items of a list."""
        value: object = self.value
        if not isinstance(value, list):
            raise self.refuse("a list")
        items = cast("list[object]", value)
        if len(items) > MAX_ITEMS:
            raise self.error(f"{len(items)} items; {MAX_ITEMS} are the most")
        for index, item in enumerate(items):
            yield Node(item, self.source, f"{self.path}[{index}]")

    def text(self) -> str:
        """A text; a number counts as one, as it does to Java."""
        value = self.value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)) and not _huge(value):
            return str(value)
        if not isinstance(value, str):
            raise self.refuse("a text")
        if len(value) > MAX_TEXT:
            raise self.error(f"{len(value)} characters; {MAX_TEXT} are the most")
        return value

    def flag(self) -> bool:
        """True or false, quoted or not."""
        value = self.value
        if isinstance(value, str):
            value = _BOOLEANS.get(value.strip().lower())
        if not isinstance(value, bool):
            raise self.refuse("true or false")
        return value

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, quoted or not."""
        value = self.value
        if isinstance(value, str) and len(value) <= _SHOWN:
            with suppress(ValueError):
                value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.refuse(f"a whole number from {low} to {high}")
        return value

    def number(self, low: float, high: float) -> float:
        """A number from `low` to `high`, quoted or not."""
        value = self.value
        if isinstance(value, str) and len(value) <= _SHOWN:
            with suppress(ValueError):
                value = float(value)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not low <= value <= high
        ):
            raise self.refuse(f"a number from {low:g} to {high:g}")
        return float(value)

    def flag_of(self, key: str, *, default: bool) -> bool:
        """The flag below `key`."""
        node = self.get(key)
        return default if node is None else node.flag()

    def text_of(self, key: str) -> str:
        """The text below `key`; empty if there is none."""
        node = self.get(key)
        return "" if node is None else node.text().strip()


def _shown(value: object) -> str:
    """A value for a message; never walks through all of it."""
    match value:
        case str():
            return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")
        case bool() | None:
            return repr(value)
        case int() | float():
            return "a very large number" if _huge(value) else repr(value)
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"


def _huge(value: float) -> bool:
    return isinstance(value, int) and value.bit_length() > 256
