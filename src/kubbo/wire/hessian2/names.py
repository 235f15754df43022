"""Java's own names: the types that every registry shares, and how names are parsed.

Two notations name a type: Java's (`int[]`, `java.util.List<java.lang.String>`) in what
people write and in metadata, and the JVM's descriptors (`[I`, `Ljava/util/List;`) in the
request of a call. Both come from peers too, so their sizes are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from kubbo.errors import UsageError
from kubbo.java import DateValue, LongValue, Record
from kubbo.wire.hessian2.containers import ListType, MapType, SetType, TupleType
from kubbo.wire.hessian2.platform import FORMS, FormType
from kubbo.wire.hessian2.types import (
    OBJECT,
    BooleanType,
    BoxedType,
    BytesType,
    CharsType,
    CharType,
    DateType,
    FloatingType,
    JavaType,
    ObjectType,
    RecordType,
    StringType,
    WholeType,
)

__all__ = [
    "BOXED",
    "BYTE",
    "BY_CLASS",
    "CHAR",
    "LISTS",
    "MAPS",
    "SETS",
    "Lookup",
    "array_of",
    "parse_descriptor",
    "parse_name",
]

Lookup = Callable[[str], JavaType | None]
"""The registered class of a Java name, None if there is none."""

INT = WholeType("int", "I", 32, "declare it as kubbo.java.Long")
LONG = WholeType("long", "J", 64, "declare it as kubbo.java.BigInteger")
SHORT = WholeType("short", "S", 16, "declare it as int")
BYTE = WholeType("byte", "B", 8, "declare it as int")
FLOAT = FloatingType("float", "F")
_FLOAT_IN_ARRAY = FloatingType("float", "F", in_array=True)
DOUBLE = FloatingType("double", "D")
BOOLEAN = BooleanType()
CHAR = CharType()
STRING = StringType()
BYTES = BytesType()
CHARS = CharsType()
DATE = DateType()
_FORM_TYPES = {form.name: FormType(form) for form in FORMS}
_PRIMITIVES: dict[str, JavaType] = {
    one.name: one for one in (INT, LONG, SHORT, BYTE, FLOAT, DOUBLE, BOOLEAN, CHAR)
}
_BOXES = {
    "int": "java.lang.Integer",
    "long": "java.lang.Long",
    "short": "java.lang.Short",
    "byte": "java.lang.Byte",
    "float": "java.lang.Float",
    "double": "java.lang.Double",
    "boolean": "java.lang.Boolean",
    "char": "java.lang.Character",
}
BOXED = {name: BoxedType(box, _PRIMITIVES[name]) for name, box in _BOXES.items()}


class VoidType(ObjectType):
    """void: no value, null on the wire."""

    __slots__ = ()


VOID = VoidType("void", "V")

_NAMED: dict[str, JavaType] = {
    **_PRIMITIVES,
    **{one.name: one for one in BOXED.values()},
    **_FORM_TYPES,
    **{one.name: one for one in (VOID, OBJECT, STRING, DATE)},
    "byte[]": BYTES,
    "char[]": CHARS,
    **{
        name: ObjectType(name)
        for name in (
            "java.lang.Number",
            "java.lang.Comparable",
            "java.lang.Cloneable",
            "java.io.Serializable",
        )
    },
    "java.lang.CharSequence": StringType("java.lang.CharSequence", "java.lang.CharSequence"),
    "String": STRING,
    "Object": OBJECT,
}

# Java's collections: the name on the wire that hessian-lite gives them (none for ArrayList
# and HashMap), for interfaces that of the class that stands for them.
LISTS = {
    "java.lang.Iterable": "",
    "java.util.Collection": "",
    "java.util.List": "",
    "java.util.ArrayList": "",
    "java.util.AbstractList": "",
    "java.util.Queue": "java.util.LinkedList",
    "java.util.Deque": "java.util.LinkedList",
    **{
        name: name
        for name in (
            "java.util.LinkedList",
            "java.util.Vector",
            "java.util.Stack",
            "java.util.ArrayDeque",
            "java.util.PriorityQueue",
            "java.util.concurrent.CopyOnWriteArrayList",
        )
    },
}
SETS = {
    "java.util.Set": "java.util.HashSet",
    "java.util.SortedSet": "java.util.TreeSet",
    "java.util.NavigableSet": "java.util.TreeSet",
    **{
        name: name for name in ("java.util.HashSet", "java.util.LinkedHashSet", "java.util.TreeSet")
    },
}
MAPS = {
    "java.util.Map": "",
    "java.util.HashMap": "",
    "java.util.SortedMap": "java.util.TreeMap",
    "java.util.NavigableMap": "java.util.TreeMap",
    "java.util.concurrent.ConcurrentMap": "java.util.concurrent.ConcurrentHashMap",
    **{
        name: name
        for name in (
            "java.util.LinkedHashMap",
            "java.util.TreeMap",
            "java.util.Hashtable",
            "java.util.Properties",
            "java.util.concurrent.ConcurrentHashMap",
        )
    },
}

BY_CLASS: dict[Any, JavaType] = {
    int: INT,
    float: DOUBLE,
    bool: BOOLEAN,
    str: STRING,
    bytes: BYTES,
    datetime: DATE,
    date: _FORM_TYPES["java.time.LocalDate"],
    time: _FORM_TYPES["java.time.LocalTime"],
    timedelta: _FORM_TYPES["java.time.Duration"],
    Decimal: _FORM_TYPES["java.math.BigDecimal"],
    UUID: _FORM_TYPES["java.util.UUID"],
    LongValue: LONG,
    DateValue: DATE,
    object: OBJECT,
    Any: OBJECT,
    Record: OBJECT,
    None: VOID,
    type(None): VOID,
    list: ListType("java.util.List", OBJECT),
    tuple: TupleType((), OBJECT),
    set: SetType("java.util.Set", OBJECT),
    frozenset: SetType("java.util.Set", OBJECT, frozen=True),
    dict: MapType("java.util.Map", OBJECT, OBJECT),
    **{
        one.form.cls: one
        for one in _FORM_TYPES.values()
        if one.form.cls not in {datetime, date, time}
    },
}

_JAVA_NAME = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*")
_DESCRIPTORS = {one.descriptor: one for one in (*_PRIMITIVES.values(), VOID)}
_MAX_NAME = 1_000
_MAX_DIMENSIONS = 255  # the JVM's own limit
_MAX_PARAMETERS = 255  # the JVM's own limit


def parse_name(name: str, lookup: Lookup) -> JavaType:
    """The type of a Java name: `int[]`, `java.util.List`, `com.example.User`, `[I`.

    Generic arguments are ignored, as Java does.

    Raises:
        UsageError: it is no Java name.
    """
    if len(name) > _MAX_NAME:
        raise UsageError(f"{name[:100]!r}... is too long for a Java type")
    text = re.sub(r"<.*>", "", name).strip()
    if text.startswith("["):
        types = parse_descriptor(text.replace(".", "/"), lookup)
        if len(types) == 1:
            return types[0]
        raise UsageError(f"{name[:100]!r} is no Java type")
    dimensions = 0
    text = text.replace("...", "[]")
    while text.endswith("[]"):
        text = text[:-2].strip()
        dimensions += 1
    if _JAVA_NAME.fullmatch(text) is None or dimensions > _MAX_DIMENSIONS:
        raise UsageError(f"{name[:100]!r} is no Java type; write it like int[] or com.example.A")
    return _dimensions(_by_name(text, lookup), dimensions)


def _by_name(name: str, lookup: Lookup) -> JavaType:
    known = lookup(name) or _NAMED.get(name)
    if known is not None:
        return known
    if name in LISTS:
        return ListType(name, OBJECT, java_type=LISTS[name])
    if name in SETS:
        return SetType(name, OBJECT, java_type=SETS[name])
    if name in MAPS:
        return MapType(name, OBJECT, OBJECT, java_type=MAPS[name])
    return RecordType(name)


def _dimensions(kind: JavaType, dimensions: int) -> JavaType:
    for _ in range(dimensions):
        if kind is BYTE:
            kind = BYTES
        elif kind is CHAR:
            kind = CHARS
        else:
            kind = array_of(kind)
    return kind


def array_of(item: JavaType) -> ListType:
    """An array of a type other than byte and char."""
    if item is FLOAT:
        item = _FLOAT_IN_ARRAY
    return ListType(
        f"{item.name}[]",
        item,
        descriptor=f"[{item.descriptor}",
        java_type=f"[{item.component}",
    )


def parse_descriptor(descriptor: str, lookup: Lookup) -> tuple[JavaType, ...]:
    """The parameter types of the JVM's notation, `Ljava/lang/String;I[J`.

    Raises:
        UsageError: it is no descriptor.
    """
    found: list[JavaType] = []
    at = 0
    while at < len(descriptor):
        start = at
        while at < len(descriptor) and descriptor[at] == "[":
            at += 1
        dimensions = at - start
        code = descriptor[at : at + 1]
        kind = _DESCRIPTORS.get(code)
        if code == "L":
            end = descriptor.find(";", at)
            name = descriptor[at + 1 : end].replace("/", ".") if end > 0 else ""
            if len(name) <= _MAX_NAME and _JAVA_NAME.fullmatch(name) is not None:
                kind = _by_name(name, lookup)
            at = end
        at += 1
        if kind is None or dimensions > _MAX_DIMENSIONS or len(found) >= _MAX_PARAMETERS:
            raise UsageError(f"{descriptor[:200]!r} is no descriptor of parameters")
        found.append(_dimensions(kind, dimensions))
    return tuple(found)
