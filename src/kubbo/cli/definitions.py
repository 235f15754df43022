"""A method's types from its service's definition, and arguments made to fit them.

A definition says what JSON cannot: that 1 is a long, "RED" a constant, an object without
`class` a User. `choose` finds the method by its name and the number and shape of the
arguments; `shape` writes the classes into them, deeply, so that a list of plain objects
arrives as a list of users.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from kubbo.errors import UsageError
from kubbo.rpc.definition import split_generic
from kubbo.wire.hessian2 import TypeRegistry
from kubbo.wire.hessian2.platform import FormType
from kubbo.wire.hessian2.types import BoxedType, DateType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kubbo.rpc.definition import Definition, MethodDefinition

__all__ = ["choose", "listed", "shape"]

_MAX_DEPTH: Final = 100
_SHOWN: Final = 1_000

_NO_TYPES: Final = TypeRegistry()
_VALUED = (FormType, DateType)


def choose(
    definition: Definition,
    method: str,
    values: Sequence[Any],
    fits: Callable[[Sequence[str], Sequence[Any]], bool],
) -> tuple[tuple[str, ...], list[Any]] | None:
    """The parameter types of a method, and the arguments for them; None if it is not defined.

    `fits` says whether arguments can be sent as types: it decides among overloads.

    Raises:
        UsageError: the arguments do not fit the method, or fit several overloads of it.
    """
    named = [each for each in definition.methods if each.name == method]
    if not named:
        return None
    counted = [each for each in named if len(each.parameters) == len(values)]
    if not counted:
        raise UsageError(
            f"{definition.interface} has no {method} for {len(values)} arguments; it has "
            f"{listed(named)}"
        )
    if len(counted) == 1:
        return _types(counted[0]), _shaped(counted[0], values, definition)
    prepared: list[tuple[tuple[str, ...], list[Any]]] = []
    for each in counted:
        with suppress(UsageError):
            one = (_types(each), _shaped(each, values, definition))
            if fits(*one):
                prepared.append(one)
    if len(prepared) != 1:
        how = "several overloads" if prepared else "no overload"
        raise UsageError(
            f"the arguments fit {how} of {method}; say which with --types: {listed(counted)}"
        )
    return prepared[0]


def listed(methods: Sequence[MethodDefinition]) -> str:
    """The methods as a message names them."""
    return ", ".join(map(str, methods))[:_SHOWN]


def _types(method: MethodDefinition) -> tuple[str, ...]:
    return tuple(re.sub(r"<.*>", "", one) for one in method.parameters)


def _shaped(method: MethodDefinition, values: Sequence[Any], definition: Definition) -> list[Any]:
    return [
        shape(value, one, definition) for value, one in zip(values, method.parameters, strict=True)
    ]


def shape(value: Any, type_name: str, definition: Definition, depth: int = 0) -> Any:
    """A JSON value with the classes that its declared type says."""
    if depth > _MAX_DEPTH:
        return value
    raw, args = split_generic(type_name)
    match value:
        case dict():
            return _object(value, raw, args, definition, depth + 1)  # pyright: ignore[reportUnknownArgumentType] - JSON
        case list() if len(args) == 1:
            return [shape(one, args[0], definition, depth + 1) for one in value]  # pyright: ignore[reportUnknownVariableType] - JSON
        case str() if depth and not _is_bean(raw, definition):
            return _text(value, raw, definition)
        case str() if raw in definition.types and definition.types[raw].constants:
            return {"class": raw, "name": value}
        case str() | int() | float() | list() if _is_bean(raw, definition):
            fields = ", ".join(definition.types[raw].properties)[:_SHOWN]
            raise UsageError(f"a {raw} is an object with the fields {fields}, not {value!r:.60}")
        case _:
            return value  # pyright: ignore[reportUnknownVariableType] - JSON


def _is_bean(raw: str, definition: Definition) -> bool:
    known = definition.types.get(raw)
    return known is not None and not known.constants


def _text(value: str, raw: str, definition: Definition) -> Any:
    """Text within something: nothing declares it on the wire, so it says what it is."""
    known = definition.types.get(raw)
    if known is not None and known.constants:
        return {"class": raw, "name": value}
    try:
        valued = isinstance(_NO_TYPES.parse(raw), _VALUED)
    except UsageError:
        valued = False
    return {"class": raw, "value": value} if valued else value


def _object(
    value: dict[str, Any], raw: str, args: tuple[str, ...], definition: Definition, depth: int
) -> Any:
    name = value.get("class", raw)
    known = definition.types.get(name) if isinstance(name, str) else None
    if known is not None and not known.constants:
        shaped = {
            key: shape(one, known.properties.get(key, ""), definition, depth)
            for key, one in value.items()
            if key != "class"
        }
        return {"class": name, **shaped}
    if "class" in value or len(args) != 2:
        return value
    shaped = {key: shape(one, args[1], definition, depth) for key, one in value.items()}
    if args[0] in _TEXT_KEYS:
        return shaped
    # Keys are text in JSON: elsewhere they are values of their own.
    pairs = [[_key(key, args[0], definition), one] for key, one in shaped.items()]
    return {"class": raw, "entries": pairs}


_TEXT_KEYS: Final = frozenset({"java.lang.String", "java.lang.Object", "?"})


def _key(key: str, type_name: str, definition: Definition) -> Any:
    try:
        kind = _NO_TYPES.parse(type_name)
    except UsageError:
        return key
    if isinstance(kind, BoxedType):
        return {"class": kind.primitive.name, "value": key}
    return _text(key, type_name, definition)
