"""Values as Dubbo's generic calls write them by default: objects are maps with their class.

A generic caller has no classes, so nothing on the wire is an object: one is a map of its
fields with its class's name at `class`, an enum's constant is its name, a java.time value
without a zone and a class are text. Everything else is written as it always is.

    User(1, "Ann")   {"class": "com.example.User", "id": 1, "name": "Ann"}

Back, the declared type decides, and the name at `class` only chooses among the classes of
a registry that fit it: a subclass that is registered, nothing that a peer may name. Where
nothing is declared, a map whose class is unknown stays a map.

Shared and cyclic values stay so, both ways: each is built once for each type that it is
read as, so that a few bytes cannot become a large value here either.

Source: org.apache.dubbo.common.utils.PojoUtils, by what it makes of values.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any

from kubbo.errors import DecodeError, EncodeError, UsageError
from kubbo.java import (
    BigIntegerValue,
    Class,
    JavaDatetime,
    JavaList,
    JavaMap,
    Key,
    LongValue,
    Record,
    java_class_of,
    render,
)
from kubbo.wire.hessian2.classes import BeanType, EnumType, new_object
from kubbo.wire.hessian2.containers import ListType, MapType, SetType, TupleType
from kubbo.wire.hessian2.faults import Fault
from kubbo.wire.hessian2.jsonform import from_json
from kubbo.wire.hessian2.keys import KeyGuard
from kubbo.wire.hessian2.kinds import DICT, ITEMS, LIST, MAPPING, SETS, has_fields
from kubbo.wire.hessian2.limits import DEFAULT_LIMITS, Limits
from kubbo.wire.hessian2.models import ModelType
from kubbo.wire.hessian2.platform import FormType
from kubbo.wire.hessian2.reader import Reader
from kubbo.wire.hessian2.typeddicts import TypedDictType
from kubbo.wire.hessian2.types import (
    BooleanType,
    BoxedType,
    BytesType,
    CharsType,
    DateType,
    FloatingType,
    JavaType,
    ObjectType,
    RecordType,
    WholeType,
)
from kubbo.wire.hessian2.writer import within

if TYPE_CHECKING:
    from kubbo.model import Value
    from kubbo.wire.hessian2.registry import TypeRegistry

__all__ = ["CLASS", "as_declared", "from_map_form", "to_map_form"]

CLASS = "class"
"""The key of the class's name; Java objects have no field of that name."""

_MAX_DEPTH = 64
"""As deep as the reader and the writer go by default."""

_ARRAY_OF_OBJECTS = "[object"
_ARRAY_OF_STRINGS = "[string"


# ------------------------------------------------------------------ to maps


def to_map_form(value: Value, type: JavaType | None, registry: TypeRegistry) -> Value:  # noqa: A002 - the word for it
    """What to write, where nothing is declared, for a value that is a `type` here.

    `type` makes a number that is declared `long` a long there too; None for what the value
    says itself.

    Raises:
        EncodeError: it is nested too deeply, or has a class without a mark.
    """
    return _ToMaps(registry).show(value, type, 0)


class _ToMaps:
    def __init__(self, registry: TypeRegistry) -> None:
        self._registry = registry
        self._made: dict[tuple[int, int], Value] = {}
        self._held: list[Value] = []  # so that no identity is used twice

    def show(self, value: Any, kind: JavaType | None, depth: int) -> Value:
        """The form of one place."""
        if value is None or value.__class__ in {bool, str, float, bytes}:
            return value
        if isinstance(value, Enum):
            return self._constant(value)
        if not (isinstance(value, (*ITEMS, *MAPPING, Record, Key)) or has_fields(value)):
            return as_declared(_text(value), kind)
        java_class = java_class_of(value.__class__)
        if java_class is None and not isinstance(value, (*ITEMS, *MAPPING, Record, Key)):
            return as_declared(value, kind)  # a platform value such as Period, or an error
        if depth >= _MAX_DEPTH:
            raise EncodeError(f"nested more than {_MAX_DEPTH} levels deep")
        # An object is one map wherever it is declared; a list of longs is not one of ints.
        key = (id(value), id(kind) if java_class is None else 0)
        if key in self._made:
            return self._made[key]
        self._held.append(value)
        return self._container(value, kind, depth + 1, key)

    @staticmethod
    def _constant(value: Enum) -> Value:
        java_class = java_class_of(value.__class__)
        return value.name if java_class is None else java_class.rename.get(value.name, value.name)

    def _container(
        self, value: Any, kind: JavaType | None, depth: int, key: tuple[int, int]
    ) -> Value:
        if isinstance(value, Key):
            return self.show(value.value, kind, depth)
        if isinstance(value, Record):
            shown: dict[str, Value] = {CLASS: value.class_name}
            self._made[key] = shown
            for name, one in value.fields.items():
                shown[name] = self._within(name, one, None, depth)
            return shown
        if isinstance(value, MAPPING):
            if isinstance(kind, TypedDictType):
                return self._typed(value, kind, depth, key)
            return self._map(value, kind, depth, key)
        if isinstance(value, ITEMS):
            return self._items(value, kind, depth, key)
        bean = self._registry.type_for_writing(value.__class__)
        if not isinstance(bean, BeanType):
            return value
        if isinstance(kind, BeanType) and kind.cls is value.__class__:
            bean = kind  # its fields know what the type variables stand for
        made: dict[str, Value] = {CLASS: bean.name}
        self._made[key] = made
        for field in bean.fields:
            found = getattr(value, field.attribute, None)
            made[field.name] = self._within(field.name, found, field.type, depth)
        return made

    def _typed(self, value: Any, kind: TypedDictType, depth: int, key: tuple[int, int]) -> Value:
        made: dict[Any, Value] = {CLASS: kind.name} if kind.marked else {}
        self._made[key] = made
        for name, one in value.items():
            field = kind.by_attribute.get(name) if isinstance(name, str) else None
            if field is None:
                made[name] = self._within(f"[{render(name, limit=40)}]", one, None, depth)
            else:
                made[field.name] = self._within(field.name, one, field.type, depth)
        return made

    def _within(self, step: str, value: Any, kind: JavaType | None, depth: int) -> Value:
        try:
            return self.show(value, kind, depth)
        except EncodeError as error:
            raise within(step, error) from None

    def _map(self, value: Any, kind: JavaType | None, depth: int, key: tuple[int, int]) -> Value:
        of_key = kind.key if isinstance(kind, MapType) else None
        of_value = kind.value if isinstance(kind, MapType) else None
        java_type = getattr(value, "java_type", "") or (
            kind.java_type if isinstance(kind, MapType) else ""
        )
        made: dict[Any, Value] = JavaMap.of({}, java_type) if java_type else {}
        self._made[key] = made
        for name, one in value.items():
            shown = self.show(name, of_key, depth)
            if isinstance(shown, (*DICT, *LIST, *SETS)):
                shown = Key(shown)
            made[shown] = self._within(f"[{render(name, limit=40)}]", one, of_value, depth)
        return made

    def _items(self, value: Any, kind: JavaType | None, depth: int, key: tuple[int, int]) -> Value:
        if isinstance(kind, BytesType):
            return bytes(number & 0xFF for number in value)
        if isinstance(kind, CharsType):
            return "".join(value)
        java_type = getattr(value, "java_type", "")
        item: JavaType | None = None
        if isinstance(kind, (ListType, SetType)):
            item = kind.item
            if kind.name.endswith("[]"):
                java_type = java_type or kind.java_type
        array = java_type.startswith("[")
        made: list[Value] = []
        if array:
            made = JavaList.of(made, java_type)
        self._made[key] = made
        for index, one in enumerate(value):
            made.append(self._within(f"[{index}]", one, item, depth))
        if array:
            if any(_other(one, shown) for one, shown in zip(value, made, strict=True)):
                assert isinstance(made, JavaList)
                constants = isinstance(item, EnumType) and all(isinstance(one, str) for one in made)
                made.java_type = _ARRAY_OF_STRINGS if constants else _ARRAY_OF_OBJECTS
            return made
        if isinstance(value, SETS) or isinstance(kind, SetType):
            as_set = JavaList.of(made, java_type or "java.util.HashSet")
            self._made[key] = as_set
            return as_set
        return made


def _other(value: Any, shown: Any) -> bool:
    """Whether an item is of another kind than the array that held it."""
    return shown.__class__ is not value.__class__ and not isinstance(shown, (int, float))


def _text(value: Any) -> Value:
    """Java's text of what a generic caller gets as text."""
    if isinstance(value, Class):
        return str(value)
    if isinstance(value, JavaDatetime):
        return value
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is None else value
    if isinstance(value, date) or (isinstance(value, time) and value.tzinfo is None):
        return value.isoformat()
    return value


def as_declared(value: Value, kind: JavaType | None) -> Value:
    """A number or a time that, written where nothing is declared, is what `kind` says."""
    if isinstance(kind, BoxedType):
        kind = kind.primitive
    if value.__class__ is int:
        if isinstance(kind, WholeType) and kind.name == "long":
            return LongValue(value)
        if isinstance(kind, FloatingType):
            return float(value)
        if isinstance(kind, FormType):
            return Decimal(value) if kind.name == "java.math.BigDecimal" else BigIntegerValue(value)
    if value.__class__ is datetime and value.tzinfo is not None and isinstance(kind, FormType):
        return JavaDatetime.of(value, kind.name)
    return value


# ------------------------------------------------------------------ from maps


def from_map_form(
    value: Value,
    type: JavaType | None,  # noqa: A002 - the word for it
    registry: TypeRegistry,
    *,
    limits: Limits | None = None,
    records: bool = False,
    path: str = "",
) -> Value:
    """What a value in map form is as a `type`; None where nothing is declared.

    A map whose class is not registered stays a map where nothing is declared, or becomes a
    `kubbo.java.Record` for `records`.

    Raises:
        DecodeError: it is none.
    """
    try:
        made = _FromMaps(registry, limits or DEFAULT_LIMITS, records=records)
        return made.build(value, type, 0)
    except Fault as fault:
        raise fault.error(path) from None
    except RecursionError:
        raise DecodeError("nested too deeply", path=path) from None


def _fitted(value: Any, kind: JavaType) -> Value:
    """A number of one kind as one of the declared kind, if that is the same number.

    Gateways have one kind of number, and Java's providers take any for any.
    """
    if isinstance(kind, FloatingType):
        return float(value)
    form = kind.form.cls if isinstance(kind, FormType) else None
    if isinstance(kind, WholeType) or form is BigIntegerValue:
        # What is larger is no number of a gateway's; its type refuses it as it is.
        small = -_MAX_WHOLE <= value <= _MAX_WHOLE
        return int(value) if small and value == value // 1 else value
    if form is Decimal and isinstance(value, float) and isfinite(value):
        return Decimal(repr(value))
    return value


_MAX_WHOLE = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUILDING = object()
_WRAPPED = (WholeType, FloatingType, DateType, FormType)


class _FromMaps:
    def __init__(self, registry: TypeRegistry, limits: Limits, *, records: bool) -> None:
        self._registry = registry
        self._records = records
        self._limits = limits
        self._reader = Reader(b"", registry, limits)
        self._made: dict[tuple[int, int], Value] = {}

    def build(self, value: Any, kind: JavaType | None, depth: int) -> Value:
        """The value of one place."""
        if depth > _MAX_DEPTH:
            raise Fault(f"nested more than {_MAX_DEPTH} levels deep")
        if value is None:
            return None if kind is None else kind.convert(None, self._reader)
        if isinstance(kind, BoxedType):
            kind = kind.primitive
        elif isinstance(kind, ObjectType):
            kind = None
        if value.__class__ is str and kind is not None:
            return self._from_text(value, kind)
        if isinstance(value, (*DICT, *ITEMS)):
            return self._container(value, kind, depth)
        if value.__class__ in {float, Decimal} and kind is not None:
            value = _fitted(value, kind)
        if isinstance(kind, DateType) and value.__class__ in {int, LongValue}:
            try:
                return _EPOCH + timedelta(milliseconds=value)
            except OverflowError:
                raise kind.mismatch(value) from None
        return value if kind is None else kind.convert(value, self._reader)

    def _from_text(self, text: str, kind: JavaType) -> Value:
        """Java turns text into numbers, times and constants where those are declared."""
        if isinstance(kind, BooleanType) and text in {"true", "false"}:
            return text == "true"
        if not isinstance(kind, _WRAPPED):
            return kind.convert(text, self._reader)
        if len(text) > self._limits.numeral_digits:
            raise kind.mismatch(text)
        try:
            made = from_json(text, kind, self._registry)
        except EncodeError as error:
            raise Fault(error.message) from None
        if isinstance(made, Decimal) and (
            not made.is_finite() or abs(made.adjusted()) > self._limits.exponent
        ):
            raise kind.mismatch(text)
        return kind.convert(made, self._reader)

    def _container(self, value: Any, kind: JavaType | None, depth: int) -> Value:
        if isinstance(value, DICT):
            kind = self._chosen(value, kind)
        key = (id(value), id(kind))
        known = self._made.get(key)
        if known is _BUILDING:
            raise Fault("a set, a tuple or a map key within itself")
        if known is not None:
            return known
        if isinstance(value, DICT):
            return self._from_map(value, kind, depth + 1, key)
        return self._from_items(value, kind, depth + 1, key)

    def _chosen(self, value: Any, kind: JavaType | None) -> JavaType | None:
        """The type that a map is read as: the declared one, or a registered subclass."""
        name = value.get(CLASS)
        if not isinstance(name, str) or isinstance(kind, (MapType, EnumType)):
            return kind
        try:
            found = self._registry.parse(name)
        except UsageError:  # no name of Java's
            return kind
        if self._records and kind is None and isinstance(found, RecordType):
            return found
        if not isinstance(found, (BeanType, EnumType)):
            return kind
        if kind is None or not isinstance(kind, BeanType):
            return found
        if kind.name == name:
            return kind
        if not issubclass(found.cls, kind.cls):
            raise Fault(f"{name[:200]} is no {kind.name}")
        return found

    def _from_map(
        self, value: Any, kind: JavaType | None, depth: int, key: tuple[int, int]
    ) -> Value:
        if isinstance(kind, ModelType):
            self._made[key] = _BUILDING
            sent = [one for one in kind.fields if one.name in value]
            model = kind.make(
                {
                    one.attribute: self._step(one.attribute, value[one.name], one.type, depth)
                    for one in sent
                }
            )
            self._made[key] = model
            return model
        if isinstance(kind, TypedDictType):
            return self._typed_dict(value, kind, depth, key)
        if isinstance(kind, BeanType):
            made: Any = new_object(kind.cls)
            self._made[key] = made
            attributes: dict[str, Any] = {}
            for field in kind.fields:
                if field.name in value:
                    found = self._step(field.attribute, value[field.name], field.type, depth)
                    attributes[field.attribute] = found
                else:
                    attributes[field.attribute] = kind.missing(field)
            kind.fill(made, attributes)
            return made
        if isinstance(kind, EnumType):
            return kind.convert(value.get("name"), self._reader)
        if isinstance(kind, RecordType):
            fields = {name: one for name, one in value.items() if name != CLASS}
            record = Record(kind.name, {str(name): None for name in fields})
            self._made[key] = record
            for name, one in fields.items():
                record.fields[str(name)] = self._step(str(name)[:100], one, None, depth)
            return record
        if kind is not None and not isinstance(kind, MapType):
            return kind.convert(value, self._reader)  # which says that it is none
        of_key = kind.key if isinstance(kind, MapType) else None
        of_value = kind.value if isinstance(kind, MapType) else None
        java_type = getattr(value, "java_type", "")
        entries: dict[Any, Value] = JavaMap.of({}, java_type) if java_type else {}
        self._made[key] = entries
        guard = KeyGuard(self._limits)
        for name, one in value.items():
            inner = name.value if isinstance(name, Key) else name
            admitted = guard.admit(self.build(inner, of_key, depth), entries)
            step = f"[{render(inner, limit=40)}]"
            entries[admitted] = self._step(step, one, of_value, depth)
        return entries

    def _typed_dict(
        self, value: Any, kind: TypedDictType, depth: int, key: tuple[int, int]
    ) -> Value:
        if kind.marked:
            source = {name: one for name, one in value.items() if name != CLASS}
        else:
            source = dict(value)
        self._made[key] = _BUILDING
        for field in kind.fields:
            if field.name in source:
                source[field.name] = self._step(
                    field.attribute, source[field.name], field.type, depth
                )
        made = self._made[key] = kind.convert(source, self._reader)
        return made

    def _from_items(
        self, value: Any, kind: JavaType | None, depth: int, key: tuple[int, int]
    ) -> Value:
        item = kind.item if isinstance(kind, (ListType, SetType)) else None
        made: list[Value] = []
        java_type = getattr(value, "java_type", "")
        if java_type and not isinstance(kind, ListType):
            made = JavaList.of(made, java_type)
        self._made[key] = made if kind is None or isinstance(kind, ListType) else _BUILDING
        for index, one in enumerate(value):
            made.append(self._step(f"[{index}]", one, item, depth))
        if kind is None or isinstance(kind, ListType):
            return made
        result = self._made[key] = self._whole(made, kind)
        return result

    def _whole(self, made: Any, kind: JavaType) -> Value:
        """A container whose items are what they should be, as the type that it is declared."""
        if isinstance(kind, BytesType):
            if any(not isinstance(one, int) or not -128 <= one <= 255 for one in made):
                raise kind.mismatch(made)
            return kind.convert(bytes(one & 0xFF for one in made), self._reader)
        if isinstance(kind, CharsType):
            if not all(isinstance(one, str) for one in made):
                raise kind.mismatch(made)
            return kind.convert("".join(made), self._reader)
        if isinstance(kind, TupleType):
            return kind.convert(list(made), self._reader)
        return kind.convert(made, self._reader)

    def _step(self, step: str, value: Any, kind: JavaType | None, depth: int) -> Value:
        try:
            return self.build(value, kind, depth)
        except Fault as fault:
            fault.steps.append(step)
            raise
