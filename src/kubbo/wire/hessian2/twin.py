"""The compiled twin of `Reader` and `Writer`, where it is installed and not refused.

`kubbo-native` (in `native/` of this project) holds a reader and a writer that are told here,
once, what they are the twins of: the functions of the pure codec, which they call for all
that is rare, and how its types and classes look inside, so that the rest needs no call.
When anything is wrong they let the pure codec do the message again, and so there is one
definition of what is refused and in which words. `docs/wire/native.md` says more.

A type or class that is described as nothing special is done by its own methods; a subclass
of one that is known here is such a type, since it may do anything.
"""

# The twin is the same codec, so it may see what the codec keeps to itself:
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kubbo.errors import EncodeError
from kubbo.java import JavaList, JavaMap, Key, LongValue, Record
from kubbo.wire import native
from kubbo.wire.hessian2 import anything, containers, types
from kubbo.wire.hessian2.classes import (
    BeanType,
    EnumType,
    RecordClass,
    _BeanClass,
    _EnumClass,
)
from kubbo.wire.hessian2.keys import KeyGuard
from kubbo.wire.hessian2.limits import DEFAULT_LIMITS
from kubbo.wire.hessian2.names import VoidType
from kubbo.wire.hessian2.reader import (
    READ,
    READ_NUMBERS,
    Reader as PureReader,
    read_body as read_body_purely,
)
from kubbo.wire.hessian2.scalars import LONG_MAX, encode_text
from kubbo.wire.hessian2.writer import (
    Layout,
    Writer as PureWriter,
    write_body as write_body_purely,
)

if TYPE_CHECKING:
    from kubbo.wire.hessian2.registry import TypeRegistry
    from kubbo.wire.hessian2.types import JavaType

__all__ = ["Reader", "Writer", "read_body", "write_body"]

_Description = tuple[Any, ...]

_KEPT = (types.ObjectType, types.RecordType, VoidType)


def describe_convert(java_type: JavaType) -> _Description:
    """How values of a type are read.

    `(longs are plain ints, classes that need nothing more, kind, types within it, what stands
    in `Reader.declared` while it is read)`; the kinds
    are `keep` (everything stays), `list`, `set`, `frozenset`, `tuple`, `row` (a tuple of one
    type a place) and `map`, `table` (by a table of its own) and `ask` (by its `convert`).
    """
    head = java_type.table is READ_NUMBERS, java_type.accepted
    kind: Any = java_type
    if type(java_type) in _KEPT:
        return *head, "keep", (), None
    if type(java_type) is containers.ListType:
        return *head, "list", (kind.item,), kind.unfinished
    if type(java_type) is containers.SetType:
        return *head, "frozenset" if kind.frozen else "set", (kind.item,), kind.unfinished
    if type(java_type) is containers.TupleType:
        of = ("row", kind.items) if kind.rest is None else ("tuple", (kind.rest,))
        return *head, *of, kind.unfinished
    if type(java_type) is containers.MapType:
        return *head, "map", (kind.key, kind.value), kind.unfinished
    return *head, "ask" if java_type.table in (READ, READ_NUMBERS) else "table", (), None


def describe_class(wire_class: Any) -> _Description:
    """How objects of a class are read: `(nodes of one, kind, ...)`.

    `bean` has the class, for each field of the wire its attribute and type (None twice for
    one that the class does not have), how attributes are stored, what is missing (values, then
    functions that make them) and whether that is to be charged for; `enum` the constants by
    name; `ask` nothing.
    """
    width = wire_class.width
    if type(wire_class) is _BeanClass:
        bean = wire_class._bean
        fields = _fields_of(wire_class)
        constants = [(sys.intern(name), one) for name, one in wire_class._constants]
        factories = [(sys.intern(one.attribute), one.missing) for one in wire_class._factories]
        larger = wire_class.larger
        return width, "bean", bean.cls, fields, _storage(bean), constants, factories, larger
    if type(wire_class) is _EnumClass and wire_class._fields == ("name",):
        return width, "enum", wire_class._enum._members
    return width, "ask"


def _fields_of(wire_class: _BeanClass) -> list[tuple[str | None, JavaType | None]]:
    by_attribute = {field.attribute: field.type for field in wire_class._bean.fields}
    return [
        (None, None) if step[0] is None else (sys.intern(step[0]), by_attribute[step[0]])
        for step in wire_class._steps
    ]


def _storage(bean: BeanType) -> str:
    """How attributes get into an object such that nothing of the user's runs."""
    plain = bean.cls.__setattr__ is object.__setattr__
    if bean._slotted:
        return "slots" if plain else "frozen slots"
    found: list[Any] = [
        one.__dict__.get(field.attribute) for one in bean.cls.__mro__ for field in bean.fields
    ]
    computed = any(hasattr(one.__class__, "__set__") for one in found)
    return "set" if plain and not computed else "dict"


def describe_write(java_type: JavaType) -> _Description:
    """How values of a type are written: `(kind, ...)`, types within it as themselves."""
    kind = type(java_type)
    if kind is types.WholeType:
        whole: Any = java_type
        return "whole", whole._min, whole._max, whole._max == LONG_MAX
    if kind is types.FloatingType:
        floating: Any = java_type
        return ("ask",) if floating._single else ("double",)
    if kind is types.BoxedType:
        boxed: Any = java_type
        return "boxed", boxed.primitive
    if isinstance(java_type, containers.ListType) and kind is containers.ListType:
        return "list", java_type.item, java_type.java_type
    if isinstance(java_type, containers.MapType) and kind is containers.MapType:
        return "map", java_type.key, java_type.value, java_type.java_type
    if isinstance(java_type, BeanType) and kind is BeanType:
        attributes = [sys.intern(field.attribute) for field in java_type.fields]
        fields = [field.type for field in java_type.fields]
        return "bean", java_type.cls, java_type._layout, attributes, *fields
    if isinstance(java_type, EnumType) and kind is EnumType:
        return "enum", java_type.cls, java_type._layout, java_type._names
    return (_SIMPLE.get(kind, "ask"),)


_SIMPLE: dict[type, str] = {
    types.ObjectType: "any",
    VoidType: "any",
    types.BooleanType: "boolean",
    types.StringType: "text",
    types.BytesType: "bytes",
}


def describe_any(registry: TypeRegistry, cls: type) -> tuple[bool, Any]:
    """How values of a class are written that nothing declares: a type, or a function."""
    function = registry.any_writer(cls)
    java_type: Any = getattr(function, "__self__", None)
    if isinstance(java_type, BeanType | EnumType) and function == java_type.write:
        return True, java_type
    return False, function


def _twins() -> tuple[Any, Any, Any, Any]:
    if native is None:
        return PureReader, PureWriter, read_body_purely, write_body_purely
    native.bind(
        {
            "DEFAULT_LIMITS": DEFAULT_LIMITS,
            "EncodeError": EncodeError,
            "JavaList": JavaList,
            "JavaMap": JavaMap,
            "Key": Key,
            "KeyGuard": KeyGuard,
            "Layout": Layout,
            "LongValue": LongValue,
            "READ": READ,
            "SET": (containers.SET, containers.ELEMENTS),
            "Reader": PureReader,
            "Record": Record,
            "RecordClass": RecordClass,
            "WIRE_ARRAYS": anything._WIRE_ARRAYS,
            "Writer": PureWriter,
            "describe_any": describe_any,
            "describe_class": describe_class,
            "describe_convert": describe_convert,
            "describe_write": describe_write,
            "encode_text": encode_text,
            "object_setattr": object.__setattr__,
        }
    )
    return native.Reader, native.Writer, native.read_body, native.write_body


if TYPE_CHECKING:
    Reader = PureReader
    Writer = PureWriter
    read_body = read_body_purely
    write_body = write_body_purely
else:
    Reader, Writer, read_body, write_body = _twins()
