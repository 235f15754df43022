"""Arguments of a call as a person types them: JSON, and Java's names of types.

Where nobody gives the Java types, the JSON values do: a method is found by them, so that a
guess which is wrong is refused by the provider and never runs another overload silently.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final, NoReturn

from kubbo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["infer_type", "parse_attachments", "parse_json", "parse_types"]

_SHOWN: Final = 60


def parse_json(text: str, number: int) -> Any:
    """Read one argument; `number` counts from 1, for the message.

    Raises:
        UsageError: it is no JSON; the message says how to write it in a shell.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        why = f"{error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    raise UsageError(
        f"argument {number} is not JSON: {_shortened(text)} ({why}); {_quoting(text)}"
    ) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _quoting(text: str) -> str:
    """How to write in a shell what was meant."""
    if text[:1] in ("{", "["):
        return (
            "write keys and strings in double quotes and put single quotes around it all, so "
            'that the shell leaves it alone, like \'{"class":"com.example.User","id":1}\''
        )
    if text[:2] == "--":
        return "and there is no such option, see `kubbo call --help`"
    if text[:1] == '"':
        return "a string needs a double quote at both ends, and \\ before those inside it"
    if len(text) > _SHOWN:
        return "a string needs double quotes inside the shell's single quotes, like '\"Ann\"'"
    quoted = shlex.quote(json.dumps(text, ensure_ascii=False))
    return f"a string needs double quotes inside the shell's single quotes: {quoted}"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def parse_types(text: str) -> tuple[str, ...]:
    """Read `java.lang.String,int[]`; an empty text is a method without parameters.

    Raises:
        UsageError: nothing stands between two commas.
    """
    if not text.strip():
        return ()
    names = tuple(name.strip() for name in _split(text))
    if not all(names):
        raise UsageError(
            f"--types {text!r} has nothing on one side of a comma; "
            "write it like java.lang.String,int[]"
        )
    return names


def _split(text: str) -> list[str]:
    """Cut at commas, but not at those inside of `Map<String, User>`."""
    parts: list[str] = [""]
    depth = 0
    for character in text:
        if character == "," and depth == 0:
            parts.append("")
            continue
        depth += {"<": 1, ">": -1}.get(character, 0)
        parts[-1] += character
    return parts


def parse_attachments(pairs: Sequence[str]) -> dict[str, str]:
    """Read `k=v` pairs; the last of two with one key wins.

    Raises:
        UsageError: one has no '=' or no key.
    """
    attachments: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(
                f"--attachment {_shortened(pair)} is no KEY=VALUE; write it like tenant=blue"
            )
        attachments[key] = value
    return attachments


def infer_type(value: Any, number: int) -> str:
    """The Java type that a JSON value most likely stands for.

    Raises:
        UsageError: null, which may be any.
    """
    match value:
        case bool():
            return "boolean"
        case int():
            if -(2**31) <= value < 2**31:
                return "int"
            return "long" if -(2**63) <= value < 2**63 else "java.math.BigInteger"
        case float():
            return "double"
        case str():
            return "java.lang.String"
        case list():
            return "java.util.List"
        case {"class": str(name)}:
            return name
        case dict():
            return "java.util.Map"
        case _:
            raise UsageError(
                f"argument {number} is null, which fits many Java types; "
                "say which with --types, like --types java.lang.String"
            )
