"""Which classes may be built, and the Java type of every hint.

There is no global table. A `TypeRegistry` is made from the classes that an interface
names and reaches the rest through their fields' hints, so what a peer can make us build
is what the interface says, and its subclasses that are defined by then. Any class that
`pojo` marked can be written, registered or not.
"""

from __future__ import annotations

import collections.abc
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields as dataclass_fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin
from uuid import UUID

from kubbo.errors import EncodeError, UsageError
from kubbo.java import (
    BigIntegerValue,
    DateValue,
    JavaClass,
    JavaDatetime,
    JavaList,
    JavaMap,
    JavaName,
    Key,
    LongValue,
    Record,
    java_class_of,
)
from kubbo.wire.hessian2.classes import (
    THROWABLE_FIELDS,
    BeanType,
    EnumType,
    Field,
    RecordClass,
    ThrowableType,
    WireClass,
    default_of,
)
from kubbo.wire.hessian2.platform import FORMS, FormClass, FormType, write_form
from kubbo.wire.hessian2.scalars import encode_binary, encode_double, encode_text
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
    ListType,
    MapType,
    ObjectType,
    RecordType,
    SetType,
    StringType,
    TupleType,
    WholeType,
    write_date_value,
    write_entries,
    write_items,
    write_long,
    write_record,
    write_whole,
)

if TYPE_CHECKING:
    from kubbo.model import Value
    from kubbo.wire.hessian2.writer import Writer

__all__ = ["TypeRegistry"]

AnyWriter = Callable[["Writer", Any], None]

# ------------------------------------------------------------------ types that all registries share

INT = WholeType("int", "I", 32, "declare it as kubbo.java.Long")
LONG = WholeType("long", "J", 64, "declare it as kubbo.java.BigInteger")
SHORT = WholeType("short", "S", 16, "declare it as int")
BYTE = WholeType("byte", "B", 8, "declare it as int")
FLOAT = FloatingType("float", "F")
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
_BOXED = {name: BoxedType(box, _PRIMITIVES[name]) for name, box in _BOXES.items()}


class VoidType(ObjectType):
    """void: no value, null on the wire."""

    __slots__ = ()


VOID = VoidType("void", "V")

_NAMED: dict[str, JavaType] = {
    **_PRIMITIVES,
    **{one.name: one for one in _BOXED.values()},
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
_LISTS = {
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
_SETS = {
    "java.util.Set": "java.util.HashSet",
    "java.util.SortedSet": "java.util.TreeSet",
    "java.util.NavigableSet": "java.util.TreeSet",
    **{
        name: name for name in ("java.util.HashSet", "java.util.LinkedHashSet", "java.util.TreeSet")
    },
}
_MAPS = {
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

_BY_CLASS: dict[Any, JavaType] = {
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

_LIST_ORIGINS = {
    list,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Iterable,
}
_MAP_ORIGINS = {dict, collections.abc.Mapping, collections.abc.MutableMapping}

_JAVA_NAME = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*")
_DESCRIPTORS = {one.descriptor: one for one in (*_PRIMITIVES.values(), VOID)}
_MAX_NAME = 1_000
_MAX_DIMENSIONS = 255  # the JVM's own limit
_MAX_PARAMETERS = 255  # the JVM's own limit

# Layouts prepared for one class. A peer that invents orders of fields gets each prepared
# for its message only once this many are kept.
_KEPT_LAYOUTS = 16
_KEPT_NAMES = 1_024


class TypeRegistry:
    """The classes that may be built, and what is prepared for them.

    Args:
        classes: marked by `kubbo.java.pojo`; what their fields' hints name is reached too.

    Raises:
        UsageError: a class is not marked, a hint has no Java type, or two classes have
            the same Java name.
    """

    def __init__(self, classes: Iterable[type] = ()) -> None:
        self._by_hint: dict[Any, JavaType] = {}
        self._by_class: dict[Any, BeanType | EnumType | ThrowableType] = {}
        self._by_name: dict[str, BeanType | EnumType | ThrowableType] = {}
        self._layouts: dict[tuple[str, tuple[str, ...]], WireClass] = {}
        self._kept: dict[str, int] = {}
        self._named: dict[str, JavaType] = {}
        self._any: dict[type, AnyWriter] = dict(_ANY)
        for cls in classes:
            self.type_of(cls)
        for cls in list(self._by_class):
            if isinstance(cls, type):
                self._reach_subclasses(cls)

    # -------------------------------------------------------------- hints

    def type_of(self, hint: Any) -> JavaType:
        """The Java type of a hint; its classes may be built from now on.

        Raises:
            UsageError: the hint has no Java type; the message names it.
        """
        return self._type_of(hint, {})

    def _type_of(self, hint: Any, variables: Mapping[Any, Any]) -> JavaType:
        try:
            known = None if variables else self._by_hint.get(hint)
        except TypeError:  # an unhashable argument in Annotated
            known = None
        if known is not None:
            return known
        made = self._make(hint, variables)
        if not variables:
            try:
                self._by_hint[hint] = made
            except TypeError:
                pass
        return made

    def _make(self, hint: Any, variables: Mapping[Any, Any]) -> JavaType:
        if isinstance(hint, TypeVar):
            if hint in variables:
                return self._type_of(variables[hint], {})
            return self._type_of(hint.__bound__, {}) if hint.__bound__ is not None else OBJECT
        if isinstance(hint, str):
            raise UsageError(f"the hint {hint!r} is text that could not be resolved")
        origin = get_origin(hint)
        if origin is Annotated:
            base, *notes = get_args(hint)
            for note in notes:
                if isinstance(note, JavaName):
                    return self._named_hint(base, note.name, variables)
            return self._type_of(base, variables)
        if origin in (Union, types.UnionType):
            return self._union(hint, variables)
        if origin is None:
            return self._class_hint(hint)
        return self._generic(hint, origin, variables)

    def _union(self, hint: Any, variables: Mapping[Any, Any]) -> JavaType:
        members = [one for one in get_args(hint) if one is not type(None)]
        if len(members) != 1:
            return OBJECT  # Java has no unions: it is Object there
        return self._boxed(members[0], variables)

    def _boxed(self, hint: Any, variables: Mapping[Any, Any]) -> JavaType:
        """The type of a hint in a place that holds objects only."""
        made = self._type_of(hint, variables)
        return _BOXED.get(made.name, made)

    def _named_hint(self, base: Any, name: str, variables: Mapping[Any, Any]) -> JavaType:
        args = get_args(base)
        if name == "[]":
            return self._array(args[0] if args else Any, variables)
        if name in _LISTS or name in _SETS:
            item = self._boxed(args[0], variables) if args else OBJECT
            if name in _SETS:
                return SetType(name, item, java_type=_SETS[name])
            return ListType(name, item, java_type=_LISTS[name])
        if name in _MAPS:
            key, value = (self._boxed(one, variables) for one in args) if args else (OBJECT, OBJECT)
            return MapType(name, key, value, java_type=_MAPS[name])
        return self.parse(name)

    def _array(self, item: Any, variables: Mapping[Any, Any]) -> JavaType:
        of = self._type_of(item, variables)
        if of is BYTE:
            return BytesType(listed=True)
        if of is CHAR:
            return CharsType(listed=True)
        return _array_of(of)

    def _generic(self, hint: Any, origin: Any, variables: Mapping[Any, Any]) -> JavaType:
        args = get_args(hint)
        if origin in _LIST_ORIGINS or origin is collections.abc.Collection:
            name = "java.util.List"
            if origin in (collections.abc.Collection, collections.abc.Iterable):
                name = "java.util.Collection"
            return ListType(name, self._boxed(args[0], variables))
        if origin in (set, frozenset, collections.abc.Set, collections.abc.MutableSet):
            item = self._boxed(args[0], variables)
            return SetType("java.util.Set", item, frozen=origin is frozenset)
        if origin in _MAP_ORIGINS:
            key, value = (self._boxed(one, variables) for one in args)
            return MapType("java.util.Map", key, value)
        if origin is tuple:
            if len(args) == 2 and args[1] is Ellipsis:
                return TupleType((), self._boxed(args[0], variables))
            return TupleType(tuple(self._boxed(one, variables) for one in args), None)
        if origin is typing.Literal:
            kinds = {type(one) for one in args} - {type(None)}
            if len(kinds) == 1:
                made = self.type_of(kinds.pop())
                return _BOXED.get(made.name, made) if None in args else made
            return OBJECT
        if isinstance(origin, type) and java_class_of(origin) is not None:
            return self._parameterised(hint, origin, args, variables)
        raise UsageError(f"the hint {hint!r} has no Java type")

    def _class_hint(self, hint: Any) -> JavaType:
        try:
            shared = _BY_CLASS.get(hint)
        except TypeError:
            shared = None
        if shared is not None:
            return shared
        supertype = getattr(hint, "__supertype__", None)
        if supertype is not None:  # NewType
            return self.type_of(supertype)
        value = getattr(hint, "__value__", None)
        if value is not None:  # type X = ...
            return self.type_of(value)
        if isinstance(hint, type):
            java_class = java_class_of(hint)
            if java_class is not None:
                return self._register(hint, java_class)
            if issubclass(hint, BaseException):
                return OBJECT
            raise UsageError(
                f"the class {hint.__name__} has no Java name; mark it with "
                '@kubbo.pojo("com.example.Name")'
            )
        raise UsageError(f"the hint {hint!r} has no Java type")

    # -------------------------------------------------------------- registered classes

    def _register(self, cls: type, java_class: JavaClass) -> JavaType:
        known = self._by_class.get(cls)
        if known is not None:
            return known
        other = self._by_name.get(java_class.name)
        if other is not None:
            raise UsageError(
                f"{cls.__name__} and {other.cls.__name__} both stand for {java_class.name}"
            )
        made = self._prepare(cls, java_class, cls, {})
        self._by_name[java_class.name] = made
        for base in cls.__mro__[1:]:
            if java_class_of(base) is not None:
                self.type_of(base)
        self._reach_subclasses(cls)
        return made

    def _parameterised(
        self, hint: Any, origin: type, args: tuple[Any, ...], variables: Mapping[Any, Any]
    ) -> JavaType:
        """A generic class with arguments: its fields' types depend on them."""
        self.type_of(origin)
        key = (origin, tuple(self._boxed(one, variables) for one in args))
        known = self._by_class.get(key)
        if known is not None:
            return known
        parameters: tuple[Any, ...] = getattr(origin, "__parameters__", ())
        resolved = {
            one: variables.get(arg, arg) if isinstance(arg, TypeVar) else arg
            for one, arg in zip(parameters, args, strict=True)
        }
        java_class = java_class_of(origin)
        assert java_class is not None
        return self._prepare(origin, java_class, key, resolved)

    def _prepare(
        self, cls: type, java_class: JavaClass, key: Any, variables: Mapping[Any, Any]
    ) -> BeanType | EnumType | ThrowableType:
        if issubclass(cls, Enum):
            enum = self._by_class[key] = EnumType(cls, java_class)
            return enum
        if issubclass(cls, BaseException):
            throwable = self._by_class[key] = ThrowableType(cls, java_class)
            throwable.prepare(self._levels(cls, variables), STRING, OBJECT)
            return throwable
        if not is_dataclass(cls):
            raise UsageError(f"{cls.__name__} must be a dataclass, an enum or an exception")
        bean = self._by_class[key] = BeanType(cls, java_class, generic=bool(variables))
        bean.prepare(self._levels(cls, variables))
        return bean

    def _levels(self, cls: type, variables: Mapping[Any, Any]) -> list[list[Field]]:
        """The fields of a class and of each ancestor that declares some."""
        hints = _hints(cls)
        defaults: dict[str, Callable[[], Any] | None] = {}
        if is_dataclass(cls):
            defaults = {one.name: default_of(one) for one in dataclass_fields(cls)}
            known = set(defaults)
        else:
            known = {
                name
                for name, hint in hints.items()
                if get_origin(hint) is not ClassVar and hint is not ClassVar
            }
            for name in known & _class_attributes(cls):
                defaults[name] = _constant(getattr(cls, name))
        taken: set[str] = set()
        levels: list[list[Field]] = []
        for base in cls.__mro__:
            marked = java_class_of(base) or java_class_of(cls)
            assert marked is not None
            level: list[Field] = []
            for name in base.__dict__.get("__annotations__", ()):
                if name not in known or name in taken:
                    continue
                taken.add(name)
                java_name = marked.field_name(name)
                if issubclass(cls, BaseException) and java_name in THROWABLE_FIELDS[1:]:
                    continue
                kind = self._type_of(hints[name], _bound(cls, base, variables))
                level.append(Field(name, java_name, kind, defaults.get(name)))
            if level:
                levels.append(level)
        return levels

    def _reach_subclasses(self, cls: type) -> None:
        if issubclass(cls, Enum):
            return
        for sub in cls.__subclasses__():
            if java_class_of(sub) is not None:
                self.type_of(sub)
            self._reach_subclasses(sub)

    # -------------------------------------------------------------- Java's names

    def parse(self, name: str) -> JavaType:
        """The type of a Java name: `int[]`, `java.util.List`, `com.example.User`, `[I`.

        Generic arguments are ignored, as Java does. A class that is not registered is
        read and written as a `Record`.

        Raises:
            UsageError: it is no Java name.
        """
        known = self._named.get(name)
        if known is None:
            known = self._parse(name)
            if len(self._named) < _KEPT_NAMES:
                self._named[name] = known
        return known

    def _parse(self, name: str) -> JavaType:
        text = re.sub(r"<.*>", "", name[:_MAX_NAME]).strip()
        if text.startswith("["):
            types_ = self.parse_descriptor(text.replace(".", "/"))
            if len(types_) == 1:
                return types_[0]
            raise UsageError(f"{name[:100]!r} is no Java type")
        dimensions = 0
        text = text.replace("...", "[]")
        while text.endswith("[]"):
            text = text[:-2].strip()
            dimensions += 1
        if _JAVA_NAME.fullmatch(text) is None or dimensions > _MAX_DIMENSIONS:
            raise UsageError(
                f"{name[:100]!r} is no Java type; write it like int[] or com.example.A"
            )
        return self._dimensions(self._by_java_name(text), dimensions)

    def _by_java_name(self, name: str) -> JavaType:
        registered = self._by_name.get(name)
        if registered is not None:
            return registered
        if name in _NAMED:
            return _NAMED[name]
        if name in _LISTS:
            return ListType(name, OBJECT, java_type=_LISTS[name])
        if name in _SETS:
            return SetType(name, OBJECT, java_type=_SETS[name])
        if name in _MAPS:
            return MapType(name, OBJECT, OBJECT, java_type=_MAPS[name])
        return RecordType(name)

    def _dimensions(self, kind: JavaType, dimensions: int) -> JavaType:
        for _ in range(dimensions):
            if kind is BYTE:
                kind = BYTES
            elif kind is CHAR:
                kind = CHARS
            else:
                kind = _array_of(kind)
        return kind

    def parse_descriptor(self, descriptor: str) -> tuple[JavaType, ...]:
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
            if code == "L":
                end = descriptor.find(";", at)
                name = descriptor[at + 1 : end].replace("/", ".") if end > 0 else ""
                if _JAVA_NAME.fullmatch(name) is None or len(name) > _MAX_NAME:
                    raise UsageError(f"{descriptor[:200]!r} is no descriptor of parameters")
                kind = self._by_java_name(name)
                at = end
            elif code in _DESCRIPTORS and code:
                kind = _DESCRIPTORS[code]
            else:
                raise UsageError(f"{descriptor[:200]!r} is no descriptor of parameters")
            at += 1
            if dimensions > _MAX_DIMENSIONS or len(found) >= _MAX_PARAMETERS:
                raise UsageError(f"{descriptor[:200]!r} is no descriptor of parameters")
            found.append(self._dimensions(kind, dimensions))
        return tuple(found)

    # -------------------------------------------------------------- what reader and writer ask

    def wire_class(self, name: str, fields: tuple[str, ...]) -> WireClass:
        """How to read objects of a class that a message defines."""
        form = _FORMS_BY_WIRE_NAME.get(name)
        registered = self._by_name.get(name)
        if registered is None and form is None:
            return RecordClass(name, fields)
        key = (name, fields)
        known = self._layouts.get(key)
        if known is not None:
            return known
        made: WireClass
        if registered is not None:
            made = registered.reader_of(fields)
        else:
            assert form is not None
            made = FormClass(form, fields)
        kept = self._kept.get(name, 0)
        if kept < _KEPT_LAYOUTS:
            self._kept[name] = kept + 1
            self._layouts[key] = made
        return made

    def any_writer(self, cls: type) -> AnyWriter:
        """How a value of this class is written where nothing declares it."""
        known = self._any.get(cls)
        if known is None:
            known = self._any[cls] = self._find_writer(cls)
        return known

    def _find_writer(self, cls: type) -> AnyWriter:
        if java_class_of(cls) is not None:
            return self.type_for_writing(cls).write
        if issubclass(cls, (Enum, BaseException)) or is_dataclass(cls):
            return _unmarked
        for base in cls.__mro__[:-1]:
            known = _ANY.get(base)
            if known is not None:
                return known
        for abstract, writer in _ANY_ABSTRACT:
            if issubclass(cls, abstract):
                return writer
        return _unmarked

    def type_for_writing(self, cls: type) -> JavaType:
        """The type of a marked class, which need not be one that may be built."""
        known = self._by_class.get(cls)
        if known is not None:
            return known
        # A registry of its own: to write a class does not allow a peer to make us build it.
        return TypeRegistry([cls]).type_of(cls)


# ------------------------------------------------------------------ small parts


def _array_of(item: JavaType) -> ListType:
    return ListType(
        f"{item.name}[]",
        item,
        descriptor=f"[{item.descriptor}",
        java_type=f"[{item.component}",
    )


def _hints(cls: type) -> dict[str, Any]:
    names = {one.__name__: one for one in cls.__mro__}
    try:
        return typing.get_type_hints(cls, localns=names, include_extras=True)
    except NameError as error:
        module = getattr(sys.modules.get(cls.__module__), "__name__", cls.__module__)
        raise UsageError(
            f"a hint of {cls.__name__} names {error.name!r}, which module {module} does not "
            "know; define or import it there, outside of TYPE_CHECKING"
        ) from None


def _class_attributes(cls: type) -> set[str]:
    found = inspect.get_annotations(cls).keys()
    return {name for name in found if hasattr(cls, name)}


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _bound(cls: type, base: type, variables: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """What the type variables of an ancestor stand for in `cls`."""
    if base is cls:
        return variables
    for one in cls.__mro__:
        for generic in getattr(one, "__orig_bases__", ()):
            if get_origin(generic) is base:
                parameters: tuple[Any, ...] = getattr(base, "__parameters__", ())
                outer = _bound(cls, one, variables)
                return {
                    parameter: outer.get(arg, arg) if isinstance(arg, TypeVar) else arg
                    for parameter, arg in zip(parameters, get_args(generic), strict=True)
                }
    return variables


# ------------------------------------------------------------------ values that nothing declares

_FORMS_BY_NAME = {form.name: form for form in FORMS}
_FORMS_BY_WIRE_NAME = {form.layout.name: form for form in FORMS}


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


def _item_of(java_type: str) -> JavaType:
    """Arrays of primitives hold plain numbers of their kind."""
    return _WIRE_ARRAYS.get(java_type, OBJECT)


_WIRE_ARRAYS: dict[str, JavaType] = {"[long": LONG, "[double": DOUBLE}


def _write_set(writer: Writer, value: Any) -> None:
    if not writer.seen(value):
        write_items(writer, value, _KEYED, "java.util.HashSet")


def _write_map(writer: Writer, value: Any) -> None:
    if not writer.seen(value):
        write_entries(writer, value, OBJECT, OBJECT, "")


def _write_java_map(writer: Writer, value: Any) -> None:
    if not writer.seen(value):
        write_entries(writer, value, OBJECT, OBJECT, value.java_type)


def _unmarked(writer: Writer, value: Any) -> None:
    cls = type(value)
    if issubclass(cls, Enum) or is_dataclass(cls) or issubclass(cls, BaseException):
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

_ANY: dict[type, AnyWriter] = {
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
