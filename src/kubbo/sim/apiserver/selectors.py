"""Label and field selectors: which objects a list or a watch is about.

Labels: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by commas, all
of which must hold. As in Kubernetes, `!=` and `notin` also hold where the label is absent.
Fields: `metadata.name` and `metadata.namespace` by `=`, `==` and `!=`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kubbo.sim.apiserver.objects import ApiError, Object, mapping, text

__all__ = ["Selector"]

_TOKEN = re.compile(r"\s*(?:(==|!=|[=!(),])|([^\s=!(),]+))")
_FIELDS = ("metadata.name", "metadata.namespace")


@dataclass(frozen=True, slots=True)
class _Requirement:
    key: str
    holds_absent: bool
    negated: bool
    values: frozenset[str] | None  # None: any value, only presence counts

    def holds(self, labels: Object) -> bool:
        value = labels.get(self.key)
        if not isinstance(value, str):
            return self.holds_absent
        if self.values is None:
            return not self.negated
        return (value in self.values) is not self.negated


@dataclass(frozen=True, slots=True)
class Selector:
    """Both selectors of a request; the default one selects everything."""

    labels: tuple[_Requirement, ...] = ()
    fields: tuple[tuple[str, str, bool], ...] = ()

    @classmethod
    def parse(cls, labels: str = "", fields: str = "") -> Selector:
        """Read the two query parameters.

        Raises:
            ApiError: 400, a selector cannot be read or names a field that cannot be selected.
        """
        return cls(tuple(_Parser(labels).requirements()), tuple(_fields(fields)))

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.labels and not self.fields

    def matches(self, candidate: Object) -> bool:
        """Whether the object is selected."""
        labels = mapping(candidate, "metadata", "labels")
        return all(requirement.holds(labels) for requirement in self.labels) and all(
            (text(candidate, *name.split(".")) == value) is equal
            for name, value, equal in self.fields
        )


def _fields(selector: str) -> list[tuple[str, str, bool]]:
    found: list[tuple[str, str, bool]] = []
    for term in filter(None, selector.split(",")):
        match = re.fullmatch(r"([^=!]+)(==|!=|=)([^=!]*)", term)
        if match is None:
            raise ApiError(
                400, "BadRequest", f"invalid selector: '{selector}'; can't understand '{term}'"
            )
        name, operator, value = match.groups()
        if name not in _FIELDS:
            known = ", ".join(f'"{field}"' for field in _FIELDS)
            raise ApiError(
                400, "BadRequest", f'"{name}" is not a known field selector: only {known}'
            )
        found.append((name, value, operator != "!="))
    return found


class _Parser:
    def __init__(self, selector: str) -> None:
        self._tokens: list[str] = [operator or word for operator, word in _TOKEN.findall(selector)]
        self._at = 0

    def requirements(self) -> list[_Requirement]:
        found: list[_Requirement] = []
        while self._peek():
            found.append(self._requirement())
            if self._peek():
                self._expect(",")
                if not self._peek():
                    raise _unparsable("", "identifier after ','")
        return found

    def _requirement(self) -> _Requirement:
        if self._peek() == "!":
            self._next()
            return _Requirement(self._word(), holds_absent=True, negated=True, values=None)
        key = self._word()
        match self._peek():
            case "=" | "==":
                self._next()
                return _Requirement(key, False, False, frozenset({self._value()}))  # noqa: FBT003 - in the order of the fields
            case "!=":
                self._next()
                return _Requirement(key, True, True, frozenset({self._value()}))  # noqa: FBT003 - as above
            case "in" | "notin" as operator:
                self._next()
                negated = operator == "notin"
                return _Requirement(key, negated, negated, self._values())
            case "" | ",":
                return _Requirement(key, False, False, None)  # noqa: FBT003 - as above
            case other:
                raise _unparsable(other, "in, notin, =, ==, !=, ','")

    def _values(self) -> frozenset[str]:
        self._expect("(")
        values = {self._value()}  # as in Kubernetes, nothing between commas is the empty value
        while self._peek() != ")":
            if self._next() != ",":
                raise _unparsable("", "',' or ')'")
            values.add(self._value())
        self._next()
        return frozenset(values)

    def _value(self) -> str:
        if self._peek() in ("", ",", ")"):
            return ""
        return self._word()

    def _word(self) -> str:
        token = self._next()
        if not token or token in {"=", "==", "!=", "!", "(", ")", ","}:
            raise _unparsable(token, "identifier")
        return token

    def _expect(self, token: str) -> None:
        found = self._next()
        if found != token:
            raise _unparsable(found, f"'{token}'")

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token


def _unparsable(found: str, expected: str) -> ApiError:
    return ApiError(
        400,
        "BadRequest",
        f"unable to parse requirement: found '{found}', expected: {expected}",
    )
