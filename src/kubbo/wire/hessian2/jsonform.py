"""Values as JSON: what a person types for an argument and sees as an answer.

JSON's own values are themselves; a list is a list, an object is a map. Java's others are
objects with `class`:

    {"class": "com.example.User", "id": 1, "name": "Ann"}     an object of that class
    {"class": "com.example.Color", "name": "RED"}             an enum's constant
    {"class": "java.math.BigDecimal", "value": "1.50"}        a value that has a text
    {"class": "long", "value": 1}                             a boxed primitive
    {"class": "byte[]", "base64": "AAE="}                     bytes
    {"class": "int[]", "items": [1, 2]}                       an array or a typed collection
    {"class": "java.util.TreeMap", "entries": [[1, "a"]]}     a map with keys of any type
    {"class": "com.example.Odd", "fields": {"class": 1}}      an object with such a field

Where a parameter's type is known, the plain form does: `"1.50"` for a BigDecimal,
`["a"]` for a set, `"RED"` for an enum, an object without `class` for a bean. On output an
object that was shown before is `{"$ref": "$.orders[0]"}`, the path of its first showing,
so that neither cycles nor sharing make the text larger than the message; beyond `limit`
values the rest is `{"$cut": true}`.
"""

from __future__ import annotations

import base64
import math
import re
from dataclasses import fields as dataclass_fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from kubbo.errors import EncodeError, RemoteException, UsageError
from kubbo.java import (
    BigIntegerValue,
    BitSet,
    Class,
    DateValue,
    HiddenName,
    JavaDatetime,
    JavaList,
    JavaMap,
    Key,
    Locale,
    LongValue,
    MonthDay,
    Period,
    Record,
    Year,
    YearMonth,
    ZoneId,
    ZoneOffset,
    java_class_of,
    render,
)
from kubbo.wire.hessian2.classes import BeanType, EnumType
from kubbo.wire.hessian2.containers import ListType, MapType, SetType, TupleType
from kubbo.wire.hessian2.faults import Fault
from kubbo.wire.hessian2.kinds import BINARY, DICT, ITEMS, LIST, MAPPING, has_dataclass_fields
from kubbo.wire.hessian2.models import is_model, java_names
from kubbo.wire.hessian2.names import MAPS
from kubbo.wire.hessian2.platform import FormType
from kubbo.wire.hessian2.reader import Reader
from kubbo.wire.hessian2.registry import TypeRegistry
from kubbo.wire.hessian2.throwables import message_of
from kubbo.wire.hessian2.typeddicts import TypedDictType
from kubbo.wire.hessian2.types import (
    BooleanType,
    BoxedType,
    BytesType,
    CharsType,
    CharType,
    DateType,
    FloatingType,
    JavaType,
    RecordType,
    StringType,
    WholeType,
)
from kubbo.wire.hessian2.writer import within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubbo.model import Value

__all__ = ["from_json", "to_json"]

_MAX_DEPTH = 100

# ------------------------------------------------------------------ values that have a text

_DURATION = re.compile(r"PT(?=.)(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?\d+(?:\.\d+)?)S)?")
_PERIOD = re.compile(r"P(?=.)(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)D)?")


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("write it like PT1H30M or PT1.5S")
    hours, minutes, seconds = match.groups()
    micros = int(Decimal(seconds or 0) * 1_000_000)
    return timedelta(hours=int(hours or 0), minutes=int(minutes or 0), microseconds=micros)


def _duration_text(value: timedelta) -> str:
    seconds = Decimal(value // timedelta(microseconds=1)) / 1_000_000
    return f"PT{seconds.normalize():f}S"


def _period(text: str) -> Period:
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise ValueError("write it like P1Y2M3D")
    return Period(*(int(part or 0) for part in match.groups()))


def _datetime(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError("give it a time zone, like 2024-02-29T12:00:00Z")
    return value


def _local_datetime(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is not None:
        raise ValueError("it has no time zone in Java")
    return value


def _java_datetime(name: str) -> Callable[[str], Any]:
    def parse(text: str) -> JavaDatetime:
        stamp, _, zone = text.partition("[")
        return JavaDatetime.of(_datetime(stamp), name, zone=zone.rstrip("]"))

    return parse


def _numbers(text: str, count: int) -> list[int]:
    parts = text.strip("-").split("-")
    if len(parts) != count:
        raise ValueError("it has other parts")
    return [int(part) for part in parts]


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("write it like 1.50") from None


_PARSE: dict[str, Callable[[str], Any]] = {
    "java.util.Date": _datetime,
    "java.math.BigDecimal": _decimal,
    "java.math.BigInteger": lambda text: BigIntegerValue(int(text)),
    "java.util.UUID": UUID,
    "java.util.Locale": Locale,
    "java.lang.Class": Class,
    "java.util.BitSet": lambda text: BitSet(int(text, 16)),
    "java.time.LocalDate": date.fromisoformat,
    "java.time.LocalTime": time.fromisoformat,
    "java.time.OffsetTime": time.fromisoformat,
    "java.time.LocalDateTime": _local_datetime,
    "java.time.Duration": _duration,
    "java.time.Period": _period,
    "java.time.Year": lambda text: Year(int(text)),
    "java.time.YearMonth": lambda text: YearMonth(*_numbers(text, 2)),
    "java.time.MonthDay": lambda text: MonthDay(*_numbers(text, 2)),
    "java.time.ZoneId": ZoneId,
    "java.time.ZoneOffset": lambda text: ZoneOffset(int(text)),
    **{
        name: _java_datetime(name)
        for name in (
            "java.time.Instant",
            "java.time.OffsetDateTime",
            "java.time.ZonedDateTime",
            "java.sql.Timestamp",
            "java.sql.Date",
            "java.sql.Time",
        )
    },
}

_TEXT: dict[type, tuple[str, Callable[[Any], str]]] = {
    Decimal: ("java.math.BigDecimal", str),
    BigIntegerValue: ("java.math.BigInteger", lambda value: str(int(value))),
    UUID: ("java.util.UUID", str),
    Locale: ("java.util.Locale", str),
    Class: ("java.lang.Class", str),
    BitSet: ("java.util.BitSet", lambda value: f"{value.mask:x}"),
    timedelta: ("java.time.Duration", _duration_text),
    date: ("java.time.LocalDate", date.isoformat),
    Period: ("java.time.Period", lambda one: f"P{one.years}Y{one.months}M{one.days}D"),
    Year: ("java.time.Year", lambda one: str(one.year)),
    YearMonth: ("java.time.YearMonth", lambda one: f"{one.year:04}-{one.month:02}"),
    MonthDay: ("java.time.MonthDay", lambda one: f"--{one.month:02}-{one.day:02}"),
    ZoneId: ("java.time.ZoneId", lambda one: one.zone_id),
    ZoneOffset: ("java.time.ZoneOffset", lambda one: str(one.seconds)),
}


# ------------------------------------------------------------------ from JSON


def from_json(
    value: Any,
    type: JavaType | None = None,  # noqa: A002 - the word for it
    registry: TypeRegistry | None = None,
) -> Value:
    """The value that JSON describes, to be written as `type`.

    Raises:
        EncodeError: it describes none, or one of another type; `path` says where.
    """
    return _Builder(registry or TypeRegistry()).build(value, type, 0)


class _Builder:
    def __init__(self, registry: TypeRegistry) -> None:
        self._registry = registry

    def build(self, value: Any, kind: JavaType | None, depth: int) -> Value:
        """The value of one place."""
        if depth > _MAX_DEPTH:
            raise EncodeError("nested too deeply")
        if isinstance(value, DICT):
            fields: dict[str, Any] = value
            if "$ref" in fields or "$cut" in fields:
                raise EncodeError("a reference or a cut in an answer cannot be sent")
            if "class" in fields:
                return self._classed(fields, kind, depth)
        if kind is None or value is None:
            return self._plain(value, depth)
        try:
            return self._typed(value, kind, depth)
        except (ValueError, OverflowError) as error:
            raise EncodeError(
                f"{render(value, limit=80)} is no {kind.name}: {error!s:.200}"
            ) from None
        except Fault as fault:
            raise EncodeError(str(fault)) from None

    def _plain(self, value: Any, depth: int) -> Value:
        if isinstance(value, LIST):
            return self._list(value, None, depth)
        if isinstance(value, DICT):
            return self._entries(value, None, depth)
        return value

    def _list(self, items: list[Any], kind: JavaType | None, depth: int) -> list[Value]:
        made: list[Value] = []
        for index, item in enumerate(items):
            try:
                made.append(self.build(item, kind, depth + 1))
            except EncodeError as error:
                raise within(f"[{index}]", error) from None
        return made

    def _entries(
        self, fields: Mapping[str, Any], kind: JavaType | None, depth: int
    ) -> dict[str, Value]:
        made: dict[str, Value] = {}
        for name, item in fields.items():
            try:
                made[name] = self.build(item, kind, depth + 1)
            except EncodeError as error:
                raise within(name, error) from None
        return made

    def _typed(self, value: Any, kind: JavaType, depth: int) -> Value:
        if isinstance(kind, BoxedType):
            kind = kind.primitive
        text = isinstance(value, str)
        if isinstance(kind, WholeType):
            if isinstance(value, float) and value.is_integer():
                return int(value)
            return int(value) if text else value
        if isinstance(kind, FloatingType):
            return float(value) if text or type(value) is int else value
        if isinstance(kind, (BooleanType, StringType, CharType, CharsType)):
            return value
        if isinstance(kind, BytesType):
            return base64.b64decode(value, validate=True) if text else value
        if isinstance(kind, DateType) and type(value) is int:
            return DateValue(value)
        if isinstance(kind, (DateType, FormType)):
            if text or (type(value) in {int, float} and kind.name.startswith("java.math.")):
                return _PARSE[kind.name](str(value))
            raise ValueError("write it as text")
        return self._compound(value, kind, depth)

    def _compound(self, value: Any, kind: JavaType, depth: int) -> Value:
        if isinstance(kind, (ListType, SetType, TupleType)) and isinstance(value, LIST):
            item = None if isinstance(kind, TupleType) else kind.item
            return self._list(value, item, depth)
        if isinstance(kind, MapType) and isinstance(value, DICT):
            entries = self._entries(value, kind.value, depth)
            return {self.build(name, kind.key, depth + 1): one for name, one in entries.items()}
        if isinstance(kind, EnumType) and isinstance(value, str):
            return kind.member(value)
        if isinstance(kind, (BeanType, TypedDictType)) and isinstance(value, DICT):
            return self._bean(value, kind, depth)
        if isinstance(kind, RecordType) and isinstance(value, DICT):
            return Record(kind.name, self._entries(value, None, depth))
        if isinstance(value, (*DICT, *LIST)) and isinstance(
            kind, (ListType, SetType, TupleType, MapType, EnumType, BeanType, TypedDictType)
        ):
            raise ValueError("it has another shape")  # noqa: TRY004 - told with the others
        return self._plain(value, depth)

    def _bean(self, fields: dict[str, Any], kind: BeanType | TypedDictType, depth: int) -> Value:
        as_map = isinstance(kind, TypedDictType) and not kind.marked
        made: dict[str, Value] = {}
        for name, item in fields.items():
            field = kind.by_name.get(name)
            declared = None if field is None else field.type
            if field is None and not as_map:
                known = ", ".join(sorted(kind.by_name)) or "none"
                shown = render(name, limit=80)
                raise EncodeError(f"{kind.name} has no field {shown}; it has {known}")
            try:
                made[name] = self.build(item, declared, depth + 1)
            except EncodeError as error:
                raise within(name, error) from None
        if isinstance(kind, TypedDictType):
            by_name = kind.by_name
            return {
                by_name[name].attribute if name in by_name else name: made[name] for name in made
            }
        return kind.convert(Record(kind.name, made), Reader(b"", self._registry))

    def _classed(self, value: dict[str, Any], kind: JavaType | None, depth: int) -> Value:
        name = value["class"]
        if not isinstance(name, str):
            raise EncodeError(f"class must be text, not {render(name, limit=40)}")
        rest = {key: one for key, one in value.items() if key != "class"}
        special = self._special(name, rest, depth)
        if special is not None:
            return special[0]
        if set(rest) == {"fields"} and isinstance(rest["fields"], DICT):
            rest = rest["fields"]
        declared = self._parse(name)
        if isinstance(declared, (BeanType, EnumType)):
            constant = rest.get("name") if isinstance(declared, EnumType) else None
            return self.build(rest if constant is None else constant, declared, depth)
        if isinstance(kind, (BeanType, TypedDictType)) and kind.name == name:
            return self.build(rest, kind, depth)
        return Record(name, self._entries(rest, None, depth))

    def _parse(self, name: str) -> JavaType:
        try:
            return self._registry.parse(name)
        except UsageError as error:
            raise EncodeError(str(error)) from None

    def _special(self, name: str, rest: dict[str, Any], depth: int) -> tuple[Value] | None:
        """A value in one of the forms that are no objects, wrapped; None for an object."""
        keys = set(rest)
        if keys == {"base64"} and name == "byte[]":
            return (self.build(rest["base64"], self._parse(name), depth),)
        if keys == {"items"} and isinstance(rest["items"], LIST):
            declared = self._parse(name)
            if isinstance(declared, (ListType, SetType)):
                items = self._list(rest["items"], declared.item, depth)
                java_type = declared.java_type
                return (JavaList.of(items, java_type) if java_type else items,)
        if keys == {"entries"} and isinstance(rest["entries"], LIST):
            declared = self._parse(name)
            if isinstance(declared, MapType):
                return (self._pairs(rest["entries"], declared, depth),)
        if keys == {"value"}:
            declared = self._parse(name)
            if isinstance(declared, WholeType) and declared.name == "long":
                return (LongValue(self.build(rest["value"], declared, depth)),)
            if isinstance(declared, (WholeType, FloatingType, BooleanType, CharType)):
                return (self.build(rest["value"], declared, depth),)
            if isinstance(declared, (DateType, FormType)):
                return (self.build(rest["value"], declared, depth),)
        return None

    def _pairs(self, pairs: list[Any], declared: MapType, depth: int) -> dict[Any, Value]:
        made: dict[Any, Value] = {}
        for index, pair in enumerate(pairs):
            if not isinstance(pair, LIST) or len(pair) != 2:
                raise EncodeError("an entry is a list of key and value", path=f"[{index}]")
            key: Any
            item: Any
            key, item = pair
            built = self.build(key, declared.key, depth + 1)
            try:
                hash(built)
            except TypeError:
                built = Key(built)
            made[built] = self.build(item, declared.value, depth + 1)
        return JavaMap.of(made, declared.java_type) if declared.java_type else made


# ------------------------------------------------------------------ to JSON


def to_json(value: Value, *, limit: int = 100_000) -> Any:
    """A value as JSON-able objects, of at most `limit` values."""
    return _Showing(limit).show(value, "$", 0)


class _Showing:
    def __init__(self, limit: int) -> None:
        self._left = limit
        self._paths: dict[int, str] = {}
        self._shown: list[Any] = []  # held, so that no id is reused

    def show(self, value: Any, path: str, depth: int) -> Any:
        """The JSON of one place."""
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            return {"$cut": True}
        cls = value.__class__
        if value is None or cls in {bool, int, str}:
            return value
        if cls is LongValue:
            return int(value)
        if isinstance(value, float):
            if math.isfinite(value):
                return float(value)
            return {"class": "double", "value": str(value)}
        if isinstance(value, BINARY):
            return {"class": "byte[]", "base64": base64.b64encode(value).decode()}
        text = self._text(value)
        if text is not None:
            return text
        if isinstance(value, Enum):
            return self._enum(value)
        if isinstance(value, Key):
            return self.show(value.value, path, depth)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, str):
            return str(value)
        known = self._paths.get(id(value))
        if known is not None:
            return {"$ref": known}
        self._paths[id(value)] = path
        self._shown.append(value)
        return self._container(value, path, depth + 1)

    def _text(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return _datetime_json(value)
        if isinstance(value, time):
            name = "java.time.LocalTime" if value.tzinfo is None else "java.time.OffsetTime"
            return {"class": name, "value": value.isoformat()}
        if isinstance(value, DateValue):
            return {"class": "java.util.Date", "value": int(value)}
        for cls in type(value).__mro__[:-1]:
            found = _TEXT.get(cls)
            if found is not None:
                return {"class": found[0], "value": found[1](value)}
        return None

    def _enum(self, value: Enum) -> Any:
        java_class = java_class_of(value.__class__)
        if java_class is None:
            return value.name
        return {"class": java_class.name, "name": java_class.rename.get(value.name, value.name)}

    def _container(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, Record):
            return self._object(value.class_name, value.fields, path, depth)
        if isinstance(value, MAPPING):
            return self._map(value, path, depth)
        if isinstance(value, ITEMS):
            items: Any = value
            return [
                self.show(one, f"{path}[{index}]", depth)
                for index, one in enumerate(items)
                if self._left >= 0
            ]
        if isinstance(value, RemoteException):
            return self._remote(value, path, depth)
        java_class = java_class_of(value.__class__)
        if java_class is not None and isinstance(value, BaseException):
            fields = {"detailMessage": message_of(value)}
            own = {
                java_class.field_name(name): one
                for name, one in value.__dict__.items()
                if not name.startswith("_")
            }
            return self._object(java_class.name, fields | own, path, depth)
        if java_class is not None and is_model(value.__class__):
            named = java_names(value.__class__, java_class)
            found = {name: getattr(value, one, None) for one, name in named.items()}
            return self._object(java_class.name, found, path, depth)
        if java_class is not None and has_dataclass_fields(value):
            found = {
                java_class.field_name(one.name): getattr(value, one.name, None)
                for one in dataclass_fields(value)
            }
            return self._object(java_class.name, found, path, depth)
        return render(value)

    def _remote(self, error: RemoteException, path: str, depth: int) -> Any:
        return {
            "class": error.class_name,
            "message": error.message,
            "stack": list(error.stack),
            "cause": None
            if error.cause is None
            else self.show(error.cause, f"{path}.cause", depth),
            "fields": self.show(dict(error.fields), f"{path}.fields", depth),
        }

    def _object(self, name: str, fields: Mapping[str, Any], path: str, depth: int) -> Any:
        shown = {
            field: self.show(one, f"{path}.{field}", depth)
            for field, one in fields.items()
            if self._left >= 0 and not isinstance(field, HiddenName)
        }
        # Fields that would read as one of the other forms stand apart.
        if "class" in shown or set(shown) in _FORMS_WITHOUT_FIELDS:
            return {"class": name, "fields": shown}
        return {"class": name, **shown}

    def _map(self, entries: Mapping[Any, Any], path: str, depth: int) -> Any:
        plain = all(isinstance(key, str) for key in entries)
        if plain and not {"class", "$ref", "$cut"} & entries.keys():
            return {
                str(key): self.show(one, f"{path}.{key[:100]}", depth)
                for key, one in entries.items()
                if self._left >= 0
            }
        pairs = [
            [
                self.show(key, f"{path}.keys[{index}]", depth),
                self.show(one, f"{path}.values[{index}]", depth),
            ]
            for index, (key, one) in enumerate(entries.items())
            if self._left >= 0
        ]
        java_type = getattr(entries, "java_type", "")
        name = java_type if java_type in MAPS else "java.util.Map"
        return {"class": name, "entries": pairs}


_FORMS_WITHOUT_FIELDS = ({"fields"}, {"items"}, {"entries"}, {"base64"})


def _datetime_json(value: datetime) -> Any:
    if isinstance(value, JavaDatetime):
        zone = f"[{value.zone}]" if value.zone else ""
        return {"class": value.java_type, "value": value.isoformat() + zone}
    name = "java.time.LocalDateTime" if value.tzinfo is None else "java.util.Date"
    return {"class": name, "value": value.isoformat()}
