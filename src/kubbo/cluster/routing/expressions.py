"""Conditions as Dubbo writes them: `method=find*,get* & arguments[0]!=x`.

Terms are joined by `&`, each a key with values after `=` or `!=`, further values after commas.
All terms have to hold. A term holds when its key has a value, which is none of the values after
`!=`, and one of those after `=`, if there are any. A key that has no value lets even `!=` fail.
A key that is repeated is one term: `host=a & host=b` is `host=a,b`.

Source: org.apache.dubbo.rpc.cluster.router.condition.ConditionStateRouter, and the answers of
Dubbo Java 3.3.6 in tests/vectors/routing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from kubbo.cluster.routing.facts import as_text, attachment
from kubbo.cluster.routing.patterns import Reference, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.cluster.routing.patterns import Pattern, Refer
    from kubbo.model import Invocation

__all__ = ["Expression", "Lookup", "Term", "parse_expression"]

Lookup: TypeAlias = "Callable[[str], str | None]"
"""The value of a key; None if there is none."""

MAX_TERMS: Final = 100
MAX_VALUES: Final = 1_000

_TOKEN: Final = re.compile(r"(?P<separator>[&!=,]*)\s*(?P<content>[^&!=,\s]+)\s*")
"""No two of its parts can take the same character, so nothing is tried twice."""

_ARGUMENT: Final = re.compile(r"arguments\[(\d{1,3})\](?:\..*)?")
_ATTACHMENT: Final = re.compile(r"attachments\[([^\]]+)\](?:\..*)?")
_METHOD: Final = ("method", "methods")

_ABSENT_ARGUMENT: Final = "(no such argument)"
"""The value of an argument that a call does not have, so that `!=` holds, as it does in Java."""


@dataclass(frozen=True, slots=True)
class Term:
    """One key and what its value has to be. `index` or `attachment` are set for those of a call."""

    key: str
    text: str
    wanted: tuple[Pattern, ...]
    unwanted: tuple[Pattern, ...]
    index: int | None = None
    attachment: str | None = None

    def holds(self, value: str | None, refer: Refer) -> bool:
        """Whether `value` is as it has to be."""
        if value is None:
            return False
        for pattern in self.unwanted:
            if pattern.matches(value, refer):
                return False
        for pattern in self.wanted:
            if pattern.matches(value, refer):
                return True
        return not self.wanted

    @property
    def of_call(self) -> bool:
        """Whether it asks for the arguments or the attachments of a call."""
        return self.index is not None or self.attachment is not None

    @property
    def of_method(self) -> bool:
        """Whether it asks for the method of a call."""
        return self.key in _METHOD

    def value(self, invocation: Invocation) -> str | None:
        """What it asks for, of a call."""
        if self.index is not None:
            arguments = invocation.arguments
            if self.index >= len(arguments):
                return _ABSENT_ARGUMENT
            return as_text(arguments[self.index])
        if self.attachment is not None:
            return attachment(invocation, self.attachment)
        return invocation.method


@dataclass(frozen=True, slots=True)
class Expression:
    """Terms that all have to hold; without terms it always holds."""

    text: str
    terms: tuple[Term, ...] = ()

    def holds(self, lookup: Lookup, refer: Refer) -> bool:
        """Whether each term holds of the values that `lookup` finds."""
        return all(term.holds(lookup(term.key), refer) for term in self.terms)

    def failing(self, lookup: Lookup, refer: Refer) -> str:
        """The first term that does not hold, and why; empty if all do."""
        for term in self.terms:
            value = lookup(term.key)
            if not term.holds(value, refer):
                return f"{term.text}, but {_is(term.key, value)}{_referred(term, refer)}"
        return ""

    @property
    def refers(self) -> bool:
        """Whether it compares with values of the consumer."""
        return any(
            isinstance(each, Reference)
            for term in self.terms
            for each in (*term.wanted, *term.unwanted)
        )


def _is(key: str, value: str | None) -> str:
    return f"there is no {key}" if value is None else f"{key} is {value!r}"


def _referred(term: Term, refer: Refer) -> str:
    names = dict.fromkeys(
        each.name for each in (*term.wanted, *term.unwanted) if isinstance(each, Reference)
    )
    return "".join(f"; the consumer's {_is(name, refer(name))}" for name in names)


def parse_expression(text: str, *, provider: bool) -> Expression:
    """Read the terms of one side of a rule; `provider` says that it is the side after the arrow.

    Raises:
        ValueError: it does not follow the grammar; the text says where and what to write.
    """
    terms: dict[str, tuple[list[str], list[str]]] = {}
    key = ""
    values: list[str] | None = None
    at = len(text) - len(text.lstrip())
    count = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise ValueError(f"nothing follows {text[at:].strip()[:40]!r}")
        separator, content = token["separator"], token["content"]
        count += 1
        if count > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} keys and values")
        match separator:
            case "" | "&":
                _see_values(key, terms)
                key, values = content.removeprefix("provider." if provider else "consumer."), None
                terms.setdefault(key, ([], []))
            case "=" | "!=":
                if not key:
                    raise ValueError(f"there is no key before '{separator}{content}'")
                values = terms[key][separator == "!="]
                values.append(content)
            case ",":
                if values is None:
                    raise ValueError(f"there is no value before ',{content}'")
                values.append(content)
            case _:
                raise ValueError(
                    f"{separator!r} before {content!r} means nothing; there are =, !=, & and commas"
                )
        at = token.end()
    _see_values(key, terms)
    if len(terms) > MAX_TERMS:
        raise ValueError(f"more than {MAX_TERMS} keys")
    return Expression(
        text.strip(),
        tuple(_term(name, *found, provider=provider) for name, found in terms.items()),
    )


def _see_values(key: str, terms: dict[str, tuple[list[str], list[str]]]) -> None:
    if key and not any(terms[key]):
        raise ValueError(f"{key!r} has no value; write {key}=VALUE or {key}!=VALUE")


def _term(key: str, wanted: list[str], unwanted: list[str], *, provider: bool) -> Term:
    index: int | None = None
    attached: str | None = None
    if key.startswith("arguments"):
        found = _ARGUMENT.fullmatch(key)
        if found is None:
            raise ValueError(f"{key!r} is no argument; write arguments[0], counted from 0")
        index = int(found[1])
    elif key.startswith("attachments"):
        found = _ATTACHMENT.fullmatch(key)
        if found is None:
            raise ValueError(f"{key!r} is no attachment; write attachments[NAME]")
        attached = found[1]
    if provider and (index is not None or attached is not None or key in _METHOD):
        raise ValueError(f"{key!r} is of the call, not of a provider; write it before the '=>'")
    parts = (
        "=" + ",".join(wanted) if wanted else "",
        "!=" + ",".join(unwanted) if unwanted else "",
    )
    return Term(
        key,
        " & ".join(f"{key}{part}" for part in parts if part),
        tuple(parse_pattern(each) for each in wanted),
        tuple(parse_pattern(each) for each in unwanted),
        index,
        attached,
    )
