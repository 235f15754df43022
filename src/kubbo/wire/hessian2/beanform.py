"""Values as Dubbo's generic calls write them with `generic=bean`: each is described by itself.

Every value that is not null is a `JavaBeanDescriptor`: the name of its class, what kind of
value it is, and its properties, which are descriptors again. A primitive has its value at
`value`, an enum's constant and a class their name at `name`, a collection and an array
their items by index, a map its entries, a bean its fields.

Both directions go through the map form, which knows how a declared type is made of it.

Source: org.apache.dubbo.common.beanutil.JavaBeanSerializeUtil, by what it makes of values.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from kubbo.errors import DecodeError, EncodeError
from kubbo.java import (
    BigIntegerValue,
    Class,
    DateValue,
    JavaDatetime,
    JavaMap,
    Key,
    LongValue,
    Record,
    java_class_of,
    render,
)
from kubbo.wire.hessian2.classes import BeanType
from kubbo.wire.hessian2.containers import ListType, MapType, SetType
from kubbo.wire.hessian2.faults import Fault
from kubbo.wire.hessian2.keys import KeyGuard
from kubbo.wire.hessian2.kinds import BINARY, DICT, ITEMS, MAPPING, SETS, has_fields
from kubbo.wire.hessian2.limits import DEFAULT_LIMITS, Limits
from kubbo.wire.hessian2.mapform import CLASS, as_declared
from kubbo.wire.hessian2.types import (
    BoxedType,
    BytesType,
    CharType,
    FloatingType,
    JavaType,
)
from kubbo.wire.hessian2.writer import within

if TYPE_CHECKING:
    from kubbo.model import Value
    from kubbo.wire.hessian2.registry import TypeRegistry

__all__ = ["DESCRIPTOR", "from_bean_form", "to_bean_form"]

DESCRIPTOR: Final = "org.apache.dubbo.common.beanutil.JavaBeanDescriptor"

_MAX_DEPTH: Final = 20
"""Of values. Each level is two on the wire, and three where a map's keys are objects."""


class _Kind(IntEnum):
    """The constants of JavaBeanDescriptor."""

    CLASS = 1
    ENUM = 2
    COLLECTION = 3
    MAP = 4
    ARRAY = 5
    PRIMITIVE = 6
    BEAN = 7


_NUMBERS: Final = frozenset(map(int, _Kind))

_CLASSES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "java.lang.Boolean"),
    (LongValue, "java.lang.Long"),
    (BigIntegerValue, "java.math.BigInteger"),
    (DateValue, "java.util.Date"),
    (float, "java.lang.Double"),
    (str, "java.lang.String"),
    (Decimal, "java.math.BigDecimal"),
    (UUID, "java.util.UUID"),
    (datetime, "java.util.Date"),
    (date, "java.time.LocalDate"),
    (time, "java.time.LocalTime"),
    (timedelta, "java.time.Duration"),
)


# ------------------------------------------------------------------ to descriptors


def to_bean_form(value: Value, type: JavaType | None, registry: TypeRegistry) -> Value:  # noqa: A002 - the word for it
    """The descriptor of a value that is a `type` here; a dict with `class` is an object.

    Raises:
        EncodeError: it is nested too deeply or within itself, or has a class without a mark.
    """
    return _ToBeans(registry).show(value, type, 0)


_BUILDING = object()


class _ToBeans:
    def __init__(self, registry: TypeRegistry) -> None:
        self._registry = registry
        self._made: dict[tuple[int, int], Value] = {}
        self._held: list[Value] = []  # so that no identity is used twice

    def show(self, value: Any, kind: JavaType | None, depth: int) -> Value:
        """The descriptor of one place."""
        if isinstance(kind, BoxedType):
            kind = kind.primitive
        if value is None or (isinstance(value, Record) and value.class_name == DESCRIPTOR):
            return value
        if isinstance(value, Enum):
            return self._constant(value)
        if isinstance(value, Class):
            return _descriptor("java.lang.Class", _Kind.CLASS, {"name": str(value)})
        if isinstance(value, Key):
            return self.show(value.value, kind, depth)
        if isinstance(value, BINARY) or isinstance(kind, BytesType):
            # An array of descriptors would be Java's way, whose Bytes arrive as Integers.
            return _descriptor("byte[]", _Kind.PRIMITIVE, {"value": _octets(value)})
        marked = java_class_of(value.__class__) is not None and has_fields(value)
        if not (marked or isinstance(value, (*ITEMS, *MAPPING, Record))):
            return self._primitive(value, kind)
        key = (id(value), id(kind))
        if key in self._made:
            made = self._made[key]
            if made is _BUILDING:
                raise EncodeError("a value within itself has no bean form; the map form has")
            return made
        if depth >= _MAX_DEPTH:
            raise EncodeError(f"nested more than {_MAX_DEPTH} levels deep, which bean form is not")
        self._held.append(value)
        self._made[key] = _BUILDING
        made = self._made[key] = self._container(value, kind, depth + 1)
        return made

    @staticmethod
    def _constant(value: Enum) -> Value:
        java_class = java_class_of(value.__class__)
        if java_class is None:
            raise EncodeError(
                f"the class {type(value).__name__} has no Java name; mark it with "
                '@kubbo.pojo("com.example.Name")'
            )
        name = java_class.rename.get(value.name, value.name)
        return _descriptor(java_class.name, _Kind.ENUM, {"name": name})

    @staticmethod
    def _primitive(value: Any, kind: JavaType | None) -> Value:
        value = as_declared(value, kind)
        if isinstance(value, JavaDatetime):
            name = value.java_type or "java.util.Date"
        elif isinstance(value, datetime) and value.tzinfo is None:
            name = "java.time.LocalDateTime"
        elif isinstance(kind, CharType):
            name = "java.lang.Character"
        elif isinstance(kind, FloatingType) and kind.name == "float":
            name = "java.lang.Float"
        else:
            name = next((name for cls, name in _CLASSES if isinstance(value, cls)), "")
        if not name:
            small = isinstance(value, int) and -(2**31) <= value < 2**31
            name = "java.lang.Integer" if small else "java.lang.Long"
            if not isinstance(value, int):
                name = "java.lang.Object"
        return _descriptor(name, _Kind.PRIMITIVE, {"value": value})

    def _container(self, value: Any, kind: JavaType | None, depth: int) -> Value:
        if isinstance(value, Record):
            return self._bean(value.class_name, value.fields, {}, depth)
        if isinstance(value, MAPPING):
            name = value.get(CLASS)
            if isinstance(name, str) and not isinstance(kind, MapType):
                rest = {key: one for key, one in value.items() if key != CLASS}
                return self._bean(name, rest, {}, depth)
            return self._map(value, kind, depth)
        if isinstance(value, ITEMS):
            return self._items(value, kind, depth)
        bean = self._registry.type_for_writing(value.__class__)
        if isinstance(kind, BeanType) and kind.cls is value.__class__:
            bean = kind
        assert isinstance(bean, BeanType)
        fields = {one.name: getattr(value, one.attribute, None) for one in bean.fields}
        return self._bean(bean.name, fields, {one.name: one.type for one in bean.fields}, depth)

    def _bean(self, name: str, fields: Any, kinds: dict[str, JavaType], depth: int) -> Value:
        made: dict[Any, Value] = {}
        for field, one in fields.items():
            made[field] = self._within(str(field)[:100], one, kinds.get(field), depth)
        return _descriptor(name, _Kind.BEAN, made)

    def _map(self, value: Any, kind: JavaType | None, depth: int) -> Value:
        of_key, of_value = (kind.key, kind.value) if isinstance(kind, MapType) else (None, None)
        made: dict[Any, Value] = {}
        for key, one in value.items():
            shown = self.show(key, of_key, depth)
            made[Key(shown) if isinstance(shown, Record) else shown] = self._within(
                f"[{str(key)[:100]}]", one, of_value, depth
            )
        name = getattr(value, "java_type", "") or "java.util.HashMap"
        return _descriptor(name, _Kind.MAP, made)

    def _items(self, value: Any, kind: JavaType | None, depth: int) -> Value:
        item = kind.item if isinstance(kind, (ListType, SetType)) else None
        made: dict[Any, Value] = {
            index: self._within(f"[{index}]", one, item, depth) for index, one in enumerate(value)
        }
        if isinstance(kind, ListType) and kind.name.endswith("[]"):
            return _descriptor(kind.item.name, _Kind.ARRAY, made)
        java_type: str = getattr(value, "java_type", "")
        if java_type.startswith("["):
            inner = java_type[1:]
            name = {"string": "java.lang.String", "object": "java.lang.Object"}.get(inner, inner)
            return _descriptor(name, _Kind.ARRAY, made)
        as_set = isinstance(value, SETS) or isinstance(kind, SetType)
        name = java_type or ("java.util.HashSet" if as_set else "java.util.ArrayList")
        return _descriptor(name, _Kind.COLLECTION, made)

    def _within(self, step: str, value: Any, kind: JavaType | None, depth: int) -> Value:
        try:
            return self.show(value, kind, depth)
        except EncodeError as error:
            raise within(step, error) from None


def _octets(value: Any) -> bytes:
    return bytes(value) if isinstance(value, BINARY) else bytes(one & 0xFF for one in value)


def _descriptor(class_name: str, kind: _Kind, properties: dict[Any, Value]) -> Record:
    # In the order of the field's class in Java, which is that of the items too.
    ordered = JavaMap.of(properties, "java.util.LinkedHashMap")
    return Record(DESCRIPTOR, {"properties": ordered, "type": int(kind), "className": class_name})


# ------------------------------------------------------------------ from descriptors


def from_bean_form(value: Value, *, limits: Limits | None = None, path: str = "") -> Value:
    """The map form of what a descriptor describes; any other value as it is.

    Raises:
        DecodeError: a descriptor is incomplete, within itself or nested too deeply.
    """
    try:
        return _FromBeans(limits or DEFAULT_LIMITS).read(value, 0)
    except Fault as fault:
        raise fault.error(path) from None
    except RecursionError:
        raise DecodeError("nested too deeply", path=path) from None


class _FromBeans:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._made: dict[int, Value] = {}

    def read(self, value: Any, depth: int) -> Value:
        """The value of one place."""
        if not isinstance(value, Record) or value.class_name != DESCRIPTOR:
            return value
        if depth > self._limits.depth:
            raise Fault(f"nested more than {self._limits.depth} levels deep")
        if id(value) in self._made:
            made = self._made[id(value)]
            if made is _BUILDING:
                raise Fault("a descriptor within itself")
            return made
        self._made[id(value)] = _BUILDING
        made = self._made[id(value)] = self._described(value, depth + 1)
        return made

    def _described(self, value: Record, depth: int) -> Value:
        class_name = value.fields.get("className")
        found: Any = value.fields.get("properties") or {}
        if not isinstance(class_name, str) or not isinstance(found, DICT):
            raise Fault("a JavaBeanDescriptor without className or properties")
        properties: dict[Any, Any] = found
        number = value.fields.get("type")
        if not isinstance(number, int) or number not in _NUMBERS:
            raise Fault(f"a JavaBeanDescriptor of the type {render(number, limit=40)}")
        kind = _Kind(number)
        match kind:
            case _Kind.PRIMITIVE:
                return properties.get("value")
            case _Kind.CLASS:
                return properties.get("name")
            case _Kind.ENUM:
                return {CLASS: class_name, "name": properties.get("name")}
            case _Kind.COLLECTION | _Kind.ARRAY:
                return self._items(properties, depth)
            case _Kind.MAP:
                return self._entries(properties, depth)
            case _Kind.BEAN:
                bean: dict[Any, Value] = {CLASS: class_name}
                for name, one in properties.items():
                    if isinstance(name, str) and name != CLASS:
                        bean[name] = self._step(name[:100], one, depth)
                return bean

    def _items(self, properties: Any, depth: int) -> Value:
        indexes = [index for index in properties if type(index) is int]
        return [self._step(f"[{index}]", properties[index], depth) for index in sorted(indexes)]

    def _entries(self, properties: Any, depth: int) -> Value:
        made: dict[Any, Value] = {}
        guard = KeyGuard(self._limits)
        for name, one in properties.items():
            key = self.read(name.value if isinstance(name, Key) else name, depth)
            made[guard.admit(key, made)] = self._step("[...]", one, depth)
        return made

    def _step(self, step: str, value: Any, depth: int) -> Value:
        try:
            return self.read(value, depth)
        except Fault as fault:
            fault.steps.append(step)
            raise
