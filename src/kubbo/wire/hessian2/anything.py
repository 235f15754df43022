"""Values that nothing declares: their Python class decides what they are in Java."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable
from datetime import date, datetime, time
from enum import Enum
from typing import TYPE_CHECKING, Any

from kubbo.errors import EncodeError
from kubbo.java import (
    BigIntegerValue,
    DateValue,
    JavaDatetime,
    JavaList,
    JavaMap,
    Key,
    LongValue,
    Record,
)
from kubbo.wire.hessian2.containers import write_entries, write_items
from kubbo.wire.hessian2.kinds import has_fields
from kubbo.wire.hessian2.names import DATE, DOUBLE, LONG
from kubbo.wire.hessian2.platform import FORMS, write_form
from kubbo.wire.hessian2.scalars import encode_binary, encode_double, encode_text
from kubbo.wire.hessian2.types import (
    OBJECT,
    JavaType,
    ObjectType,
    write_date_value,
    write_long,
    write_record,
    write_whole,
)

if TYPE_CHECKING:
    from kubbo.model import Value
    from kubbo.wire.hessian2.writer import Writer

__all__ = ["ANY", "AnyWriter", "find_writer"]

AnyWriter = Callable[["Writer", Any], None]

_FORMS_BY_NAME = {form.name: form for form in FORMS}


def _form_writer(name: str) -> AnyWriter:
    form = _FORMS_BY_NAME[name]
    return lambda writer, value: write_form(writer, form, value)


def _write_datetime(writer: Writer, value: Any) -> None:
    if value.tzinfo is None:
        write_form(writer, _FORMS_BY_NAME["java.time.LocalDateTime"], value)
    else:
        DATE.write(writer, value)


def _write_java_datetime(writer: Writer, value: Any) -> None:
    form = _FORMS_BY_NAME.get(value.java_type)
    if form is None:
        _write_datetime(writer, value)
    else:
        write_form(writer, form, value)


def _write_time(writer: Writer, value: Any) -> None:
    name = "java.time.LocalTime" if value.tzinfo is None else "java.time.OffsetTime"
    write_form(writer, _FORMS_BY_NAME[name], value)


def _write_list(writer: Writer, value: Any) -> None:
    if not writer.seen(value):
        write_items(writer, value, OBJECT, "")


def _write_tuple(writer: Writer, value: Any) -> None:
    writer.seen([])
    write_items(writer, value, OBJECT, "")


def _write_java_list(writer: Writer, value: Any) -> None:
    if not writer.seen(value):
        write_items(writer, value, _item_of(value.java_type), value.java_type)


class _NumbersType(ObjectType):
    """Items of an array of numbers: plain ones as its kind, anything else as itself.

    A peer may put anything into an array of that name, and we write what we have read.
    """

    __slots__ = ("_kind", "_plain")

    def __init__(self, kind: JavaType, plain: type) -> None:
        super().__init__("java.lang.Object")
        self._kind = kind
        self._plain = plain

    def write(self, writer: Writer, value: Value) -> None:
        if value.__class__ is self._plain:
            self._kind.write(writer, value)
        else:
            writer.write_any(value)


def _item_of(java_type: str) -> JavaType:
    """Arrays of primitives hold plain numbers of their kind."""
    return _WIRE_ARRAYS.get(java_type, OBJECT)


_WIRE_ARRAYS: dict[str, JavaType] = {
    "[long": _NumbersType(LONG, int),
    "[double": _NumbersType(DOUBLE, int),
    "[java.lang.Long": _NumbersType(LONG, int),
    "[java.lang.Double": _NumbersType(DOUBLE, int),
}


def _write_set(writer: Writer, value: Any) -> None:
    if not writer.seen(value):
        write_items(writer, value, _KEYED, "java.util.HashSet")


def _write_map(writer: Writer, value: Any) -> None:
    if not writer.seen(value):
        write_entries(writer, value, OBJECT, OBJECT, "")


def _write_java_map(writer: Writer, value: Any) -> None:
    if not writer.seen(value):
        write_entries(writer, value, OBJECT, OBJECT, value.java_type)


def _unmarked(_writer: Writer, value: Any) -> None:
    cls: Any = value.__class__
    if issubclass(cls, Enum) or has_fields(cls) or issubclass(cls, BaseException):
        raise EncodeError(
            f"the class {cls.__name__} has no Java name; mark it with "
            '@kubbo.pojo("com.example.Name")'
        )
    raise EncodeError(f"a {cls.__name__} has no Java type")


class _KeyedType(ObjectType):
    """Elements of a set, which may be wrapped as `Key`."""

    __slots__ = ()

    def write(self, writer: Writer, value: Value) -> None:
        writer.write_any(value.value if value.__class__ is Key else value)


_KEYED = _KeyedType("java.lang.Object")

ANY: dict[type, AnyWriter] = {
    type(None): lambda writer, _: writer.put(b"N"),
    bool: lambda writer, value: writer.put(b"T" if value else b"F"),
    int: write_whole,
    LongValue: write_long,
    DateValue: write_date_value,
    BigIntegerValue: _form_writer("java.math.BigInteger"),
    float: lambda writer, value: writer.put(encode_double(value)),
    str: lambda writer, value: writer.put(encode_text(value)),
    bytes: lambda writer, value: writer.put(encode_binary(value)),
    bytearray: lambda writer, value: writer.put(encode_binary(value)),
    memoryview: lambda writer, value: writer.put(encode_binary(value)),
    list: _write_list,
    tuple: _write_tuple,
    set: _write_set,
    frozenset: _write_set,
    dict: _write_map,
    JavaList: _write_java_list,
    JavaMap: _write_java_map,
    Record: write_record,
    Key: lambda writer, value: writer.write_any(value.value),
    datetime: _write_datetime,
    JavaDatetime: _write_java_datetime,
    date: _form_writer("java.time.LocalDate"),
    time: _write_time,
    **{
        form.cls: _form_writer(form.name)
        for form in FORMS
        if form.cls not in {datetime, date, time, BigIntegerValue}
    },
}
_ANY_ABSTRACT: tuple[tuple[type, AnyWriter], ...] = (
    (collections.abc.Mapping, _write_map),
    (collections.abc.Set, _write_set),
    (collections.abc.Sequence, _write_list),
)


def find_writer(cls: Any) -> AnyWriter:
    """How values of a class are written that `pojo` did not mark and `ANY` does not name."""
    if not (issubclass(cls, (Enum, BaseException)) or has_fields(cls)):
        for base in cls.__mro__[:-1]:
            known = ANY.get(base)
            if known is not None:
                return known
        for abstract, writer in _ANY_ABSTRACT:
            if issubclass(cls, abstract):
                return writer
    return _unmarked
