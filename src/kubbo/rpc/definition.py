"""What an interface has, told as text: its methods, their types, and what those consist of.

Dubbo calls it a service definition, and writes it as JSON into its metadata report; up to
Dubbo 2.7 a provider answered it too (`MetadataService.getServiceDefinition`), Dubbo 3 answers
an empty text. A Kubbo provider answers it always, so that somebody without the interface can
see what there is, and `kubbo call` can find the types of a method by itself.

    {"canonicalName": "com.example.GreetService",
     "methods": [{"name": "greet", "parameterTypes": ["com.example.User"],
                  "returnType": "java.lang.String", ...}],
     "types": [{"type": "com.example.User", "properties": {"id": "long", ...}, "enums": [], ...}]}

An inner class is `com.example.Page$Cursor` here, as a call must name it; Java writes
`com.example.Page.Cursor`, which `parse_definition` undoes by the capital letters.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kubbo.errors import DecodeError
from kubbo.java import java_class_of
from kubbo.wire.hessian2.classes import BeanType, EnumType
from kubbo.wire.hessian2.containers import ListType, MapType, SetType, TupleType
from kubbo.wire.hessian2.kinds import DICT, LIST
from kubbo.wire.hessian2.typeddicts import TypedDictType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from enum import Enum

    from kubbo.model import Type
    from kubbo.rpc.service import Interface

__all__ = [
    "Definition",
    "MethodDefinition",
    "TypeDefinition",
    "binary_name",
    "define",
    "parse_definition",
    "render_definition",
    "split_generic",
]

# What one definition may cost its reader. Java's own, of an interface with a hundred methods,
# has some tens of KiB.
MAX_CHARACTERS: Final = 1_000_000
MAX_METHODS: Final = 2_000
MAX_PARAMETERS: Final = 255
MAX_TYPES: Final = 5_000
MAX_FIELDS: Final = 2_000
MAX_NAME: Final = 1_000


@dataclass(frozen=True, slots=True)
class MethodDefinition:
    """One method; types in Java's notation, with generic arguments."""

    name: str
    parameters: tuple[str, ...]
    returns: str

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.parameters)})"


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """One class: its fields and their types, or the constants of an enum."""

    name: str
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    constants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """An interface."""

    interface: str
    methods: tuple[MethodDefinition, ...]
    types: Mapping[str, TypeDefinition]


# ------------------------------------------------------------------ from an interface


def define(interface: Interface) -> Definition:
    """What is told of an exported interface."""
    types: dict[str, TypeDefinition] = {}
    methods: list[MethodDefinition] = []
    for each in interface.methods.values():
        signature = each.signature
        told = [*signature.parameters, *([signature.returns] if signature.returns else [])]
        for one in told:
            _collect(one, types)
        methods.append(
            MethodDefinition(
                signature.name,
                tuple(map(_text_of, signature.parameters)),
                "void" if signature.returns is None else _text_of(signature.returns),
            )
        )
    return Definition(interface.key.interface, tuple(methods), types)


def _text_of(kind: Type) -> str:
    """The name of a type, with its generic arguments."""
    if isinstance(kind, ListType) and kind.name.endswith("[]"):
        return f"{_text_of(kind.item)}[]"
    args: tuple[Type, ...] = ()
    if isinstance(kind, (ListType, SetType)):
        args = (kind.item,)
    elif isinstance(kind, MapType):
        args = (kind.key, kind.value)
    texts = [_text_of(one) for one in args]
    if all(text == "java.lang.Object" for text in texts):
        return kind.name
    return f"{kind.name}<{','.join(texts)}>"


def _collect(kind: Type, types: dict[str, TypeDefinition]) -> None:
    """Add the classes that a type reaches."""
    waiting: list[Type] = [kind]
    maps: list[Type] = []
    while waiting:
        one = waiting.pop()
        if isinstance(one, (ListType, SetType)):
            waiting.append(one.item)
        elif isinstance(one, MapType):
            waiting += (one.key, one.value)
        elif isinstance(one, TupleType):
            waiting += one.items if one.rest is None else (one.rest,)
        elif isinstance(one, TypedDictType) and not one.marked:  # a map: no class of its own
            if one not in maps:
                maps.append(one)
                waiting.extend(each.type for each in one.fields)
        elif isinstance(one, (BeanType, TypedDictType)) and one.name not in types:
            properties = {each.name: _text_of(each.type) for each in reversed(one.fields)}
            types[one.name] = TypeDefinition(one.name, properties)
            waiting.extend(each.type for each in one.fields)
        elif isinstance(one, EnumType) and one.name not in types:
            types[one.name] = TypeDefinition(one.name, constants=_constants(one.cls))


def _constants(cls: type[Enum]) -> tuple[str, ...]:
    java_class = java_class_of(cls)
    names = [each.name for each in cls]
    if java_class is None:
        return tuple(names)
    return tuple(java_class.rename.get(name, name) for name in names)


def render_definition(definition: Definition) -> str:
    """The definition as Dubbo writes it."""
    return json.dumps(
        {
            "annotations": [],
            "canonicalName": definition.interface,
            "codeSource": "",
            "methods": [
                {
                    "annotations": [],
                    "name": each.name,
                    "parameterTypes": each.parameters,
                    "parameters": [],
                    "returnType": each.returns,
                }
                for each in definition.methods
            ],
            "types": [
                {
                    "enums": each.constants,
                    "items": [],
                    "properties": each.properties,
                    "type": each.name,
                }
                for each in definition.types.values()
            ],
            "uniqueId": definition.interface,
        }
    )


# ------------------------------------------------------------------ from a provider


def parse_definition(text: str) -> Definition:
    """What a provider tells of an interface.

    Raises:
        DecodeError: it is no definition, or larger than one has reason to be.
    """
    if len(text) > MAX_CHARACTERS:
        raise DecodeError(f"a service definition of {len(text)} characters")
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"a service definition that is no JSON: {error!s:.200}") from None
    root = _fields(found, "service definition")
    methods = [
        MethodDefinition(
            _name(each.get("name"), "method"),
            tuple(
                binary_name(_name(one, "parameter type"))
                for one in _items(each.get("parameterTypes"), MAX_PARAMETERS)
            ),
            binary_name(_name(each.get("returnType", "void"), "return type")),
        )
        for each in _objects(root.get("methods"), MAX_METHODS)
    ]
    types: dict[str, TypeDefinition] = {}
    for each in _objects(root.get("types"), MAX_TYPES):
        name = binary_name(_name(each.get("type"), "type"))
        constants = tuple(
            _name(one, "constant")
            for one in _items(each.get("enums", each.get("enum")), MAX_FIELDS)
        )
        properties = _properties(each.get("properties"))
        if constants or properties:
            types[name] = TypeDefinition(name, properties, constants)
    return Definition(_name(root.get("canonicalName", ""), "interface"), tuple(methods), types)


def _properties(found: Any) -> dict[str, str]:
    properties: dict[str, str] = {}
    for name, one in _fields(found or {}, "properties").items():
        # Dubbo 2.7 has a definition where Dubbo 3 has the type's name.
        kind = _fields(one, "property").get("type") if isinstance(one, DICT) else one
        properties[_name(name, "field")] = binary_name(_name(kind, "type of a field"))
        if len(properties) > MAX_FIELDS:
            raise DecodeError(f"a class of more than {MAX_FIELDS} fields")
    return properties


def _fields(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, DICT):
        raise DecodeError(f"a {what} that is no JSON object")
    fields: dict[str, Any] = found
    return fields


def _items(found: Any, limit: int) -> list[Any]:
    if found is None:
        return []
    if not isinstance(found, LIST) or len(found) > limit:
        raise DecodeError(f"a service definition with a list of more than {limit} items, or none")
    items: list[Any] = found
    return items


def _objects(found: Any, limit: int) -> Iterable[dict[str, Any]]:
    return (_fields(one, "part of a service definition") for one in _items(found, limit))


def _name(found: Any, what: str) -> str:
    if not isinstance(found, str) or len(found) > MAX_NAME:
        raise DecodeError(f"a {what} that is no text of at most {MAX_NAME} characters")
    return found


_INNER: Final = re.compile(r"(\.[A-Z][\w$]*)((?:\.[A-Z][\w$]*)+)")


def binary_name(name: str) -> str:
    """A type's name as a call needs it: `com.example.Page.Cursor` is `com.example.Page$Cursor`."""
    return _INNER.sub(lambda match: match[1] + match[2].replace(".", "$"), name)


def split_generic(name: str) -> tuple[str, tuple[str, ...]]:
    """`java.util.Map<K,V>` as the raw name and its arguments; an array as `[]` and its items."""
    name = name.strip()
    if name.endswith("[]"):
        return "[]", (name[:-2],)
    raw, bracket, rest = name.partition("<")
    if not bracket or not rest.endswith(">"):
        return name, ()
    args: list[str] = [""]
    depth = 0
    for character in rest[:-1]:
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "," and depth == 0:
            args.append("")
        else:
            args[-1] += character
    return raw, tuple(one.strip() for one in args)
