"""Java's types in Python's words.

Python's hints say what a value is; Java's overloads and Hessian's bytes ask for more: an
`int` of 32 bits or a `long`, a list or an array, `java.util.Date` or `java.time.Instant`.
The aliases here carry that in `Annotated`, so that a type checker still sees plain `int`,
`list` or `datetime` and literals need no wrapping:

    @pojo("com.example.User")
    @dataclass
    class User:
        id: Long                    # long
        name: str                   # java.lang.String
        age: int | None = None      # java.lang.Integer, nullable
        scores: Array[Double]       # double[]

A bare `int` is Java's `int`, `float` is `double`, `bool` is `boolean`, `bytes` is `byte[]`.
`X | None` is the boxed type: `int` has the descriptor `I`, `int | None` has
`Ljava/lang/Integer;`, `Long` has `J` and `Long | None` has `Ljava/lang/Long;`. Types that
are objects in Java anyway (`str`, `list`, `datetime`) may always be null there.

The second half are values for positions that nothing declares: a long that would fit an
int, an object of a class that nobody registered, a list that Java sent with its class.
They compare like what they hold, and are written back as they were read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar
from uuid import UUID

from kubbo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kubbo.model import Value

__all__ = [
    "Array",
    "BigInteger",
    "BigIntegerValue",
    "BitSet",
    "Byte",
    "Char",
    "Class",
    "DateValue",
    "Double",
    "Float",
    "HiddenName",
    "Instant",
    "Int",
    "JavaClass",
    "JavaDatetime",
    "JavaList",
    "JavaMap",
    "JavaName",
    "Key",
    "LocalDateTime",
    "Locale",
    "Long",
    "LongValue",
    "MonthDay",
    "OffsetDateTime",
    "OffsetTime",
    "Period",
    "Record",
    "Short",
    "SqlDate",
    "SqlTime",
    "SqlTimestamp",
    "Year",
    "YearMonth",
    "ZoneId",
    "ZoneOffset",
    "ZonedDateTime",
    "java_class_of",
    "pojo",
    "render",
]

T = TypeVar("T")
C = TypeVar("C", bound=type)


@dataclass(frozen=True, slots=True)
class JavaName:
    """Marks a hint with the Java type that it stands for, in Java's notation.

    `Annotated[list[str], JavaName("java.util.LinkedList")]` is a LinkedList of strings, on
    the wire and in the parameter descriptor. The name `[]` makes an array of a list.
    """

    name: str


# ------------------------------------------------------------------ hints

Int: TypeAlias = Annotated[int, JavaName("int")]
Long: TypeAlias = Annotated[int, JavaName("long")]
Short: TypeAlias = Annotated[int, JavaName("short")]
Byte: TypeAlias = Annotated[int, JavaName("byte")]
Float: TypeAlias = Annotated[float, JavaName("float")]
Double: TypeAlias = Annotated[float, JavaName("double")]
Char: TypeAlias = Annotated[str, JavaName("char")]
BigInteger: TypeAlias = Annotated[int, JavaName("java.math.BigInteger")]

Array: TypeAlias = Annotated[list[T], JavaName("[]")]
"""An array: `Array[int]` is `int[]`, `Array[str]` is `String[]`, arrays of arrays nest."""

LocalDateTime: TypeAlias = Annotated[datetime, JavaName("java.time.LocalDateTime")]
Instant: TypeAlias = Annotated[datetime, JavaName("java.time.Instant")]
OffsetDateTime: TypeAlias = Annotated[datetime, JavaName("java.time.OffsetDateTime")]
ZonedDateTime: TypeAlias = Annotated[datetime, JavaName("java.time.ZonedDateTime")]
OffsetTime: TypeAlias = Annotated[time, JavaName("java.time.OffsetTime")]
SqlTimestamp: TypeAlias = Annotated[datetime, JavaName("java.sql.Timestamp")]
SqlDate: TypeAlias = Annotated[datetime, JavaName("java.sql.Date")]
SqlTime: TypeAlias = Annotated[datetime, JavaName("java.sql.Time")]


# ------------------------------------------------------------------ classes

_CLASS_NAME = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*")
_ATTRIBUTE = "__kubbo_java__"


@dataclass(frozen=True, slots=True)
class JavaClass:
    """What `pojo` knows of a class: its Java name, and the fields that Java calls otherwise."""

    name: str
    rename: Mapping[str, str] = field(default_factory=dict[str, str])

    def field_name(self, attribute: str) -> str:
        """Java's name of a Python attribute: `full_name` is `fullName` unless renamed."""
        renamed = self.rename.get(attribute)
        if renamed is not None:
            return renamed
        head, *tail = attribute.strip("_").split("_")
        return head + "".join(part[:1].upper() + part[1:] for part in tail)


def pojo(name: str, *, rename: Mapping[str, str] | None = None) -> Callable[[C], C]:
    """Say which Java class a dataclass, an enum or an exception stands for.

    The class is only marked: what may be decoded is what an interface's hints reach, never
    a table that fills up at import.

    Args:
        name: Java's full name, `com.example.User`; an inner class is `com.example.A$B`.
        rename: Java's names of attributes that are not the attribute's camelCase.

    Raises:
        UsageError: the name is no Java class name.
    """
    if _CLASS_NAME.fullmatch(name) is None:
        raise UsageError(f"{name!r} is no Java class name; write it like com.example.User")
    java_class = JavaClass(name, dict(rename or {}))

    def mark(cls: C) -> C:
        setattr(cls, _ATTRIBUTE, java_class)
        return cls

    return mark


def java_class_of(cls: type) -> JavaClass | None:
    """What `pojo` said of this very class; a subclass is another class to Java."""
    found = cls.__dict__.get(_ATTRIBUTE)
    return found if isinstance(found, JavaClass) else None


# ------------------------------------------------------------------ values


class LongValue(int):
    """A Java long where nothing declares one, though it would fit an int."""

    __slots__ = ()


class BigIntegerValue(int):
    """A java.math.BigInteger where nothing declares one."""

    __slots__ = ()


class DateValue(int):
    """A java.util.Date outside of Python's years 1 to 9999: milliseconds since 1970 UTC."""

    __slots__ = ()


class Locale(str):
    """A java.util.Locale, as Java prints it: `en_US`."""

    __slots__ = ()


class Class(str):
    """A java.lang.Class by its name. It is text: nothing is ever imported by it."""

    __slots__ = ()


class JavaDatetime(datetime):
    """A datetime that remembers which of Java's many it was.

    `java_type` is for example `java.time.Instant`; `zone` the region of a ZonedDateTime,
    whose offset alone is in `tzinfo` (regions are not looked up in the system's files by
    what a peer sent; `value.astimezone(ZoneInfo(value.zone))` does it when you trust it).
    """

    java_type: str = ""  # what arithmetic gives has none, and is written as a plain datetime
    zone: str = ""

    @classmethod
    def of(cls, value: datetime, java_type: str, *, zone: str = "") -> JavaDatetime:
        """The same time, to be written as `java_type`."""
        made = cls(
            value.year,
            value.month,
            value.day,
            value.hour,
            value.minute,
            value.second,
            value.microsecond,
            value.tzinfo,
            fold=value.fold,
        )
        made.java_type = java_type
        made.zone = zone
        return made

    def __reduce_ex__(self, protocol: Any, /) -> tuple[Any, ...]:
        """Copies and pickles keep the type."""
        plain = datetime(
            self.year,
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second,
            self.microsecond,
            self.tzinfo,
            fold=self.fold,
        )
        return (_java_datetime, (plain, self.java_type, self.zone))


def _java_datetime(value: datetime, java_type: str, zone: str) -> JavaDatetime:
    return JavaDatetime.of(value, java_type, zone=zone)


@dataclass(frozen=True, slots=True)
class Period:
    """A java.time.Period: parts of a calendar, not a length of time."""

    years: int = 0
    months: int = 0
    days: int = 0


@dataclass(frozen=True, slots=True)
class Year:
    """A java.time.Year."""

    year: int


@dataclass(frozen=True, slots=True)
class YearMonth:
    """A java.time.YearMonth; months from 1."""

    year: int
    month: int


@dataclass(frozen=True, slots=True)
class MonthDay:
    """A java.time.MonthDay; both from 1."""

    month: int
    day: int


@dataclass(frozen=True, slots=True)
class ZoneOffset:
    """A java.time.ZoneOffset: seconds east of UTC."""

    seconds: int


@dataclass(frozen=True, slots=True)
class ZoneId:
    """A java.time.ZoneId that is a region, like `Europe/Berlin`."""

    zone_id: str


@dataclass(frozen=True, slots=True)
class BitSet:
    """A java.util.BitSet; bit n of `mask` is Java's bit n."""

    mask: int = 0

    def __contains__(self, bit: int) -> bool:
        return bool(self.mask >> bit & 1)

    def __iter__(self) -> Iterator[int]:
        for at, byte in enumerate(self.mask.to_bytes((self.mask.bit_length() + 7) // 8, "little")):
            for bit in range(8):
                if byte >> bit & 1:
                    yield at * 8 + bit


class Record:
    """An object of a Java class that nobody registered: its class name and its fields.

    It does nothing; it can be read, compared, changed and written back. Fields keep the
    order of the wire.
    """

    __slots__ = ("_fields", "class_name")
    __hash__ = None  # type: ignore[assignment]  # mutable, like a dict

    def __init__(self, class_name: str, fields: dict[str, Value] | None = None) -> None:
        self.class_name = class_name
        # An object without fields is one byte on the wire, one of a field two: they must not
        # cost a dict. As it is read, it is a tuple of the names and the values.
        self._fields: dict[str, Value] | tuple[Any, ...] | None = fields

    @property
    def fields(self) -> dict[str, Value]:
        """The fields by their Java names; may be changed."""
        found = self._fields
        if isinstance(found, dict):
            return found
        made: dict[str, Value] = {}
        if found is not None:
            made.update(zip(found[0], found[1:], strict=True))
        self._fields = made
        return made

    def fill(self, names: tuple[str, ...], values: Iterable[Value]) -> None:
        """Set all fields at once, in the least space until somebody looks at them."""
        self._fields = (names, *values) if names else None

    def __getitem__(self, name: str) -> Value:
        return self.fields[name]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return self.class_name == other.class_name and self.fields == other.fields

    def __repr__(self) -> str:
        return render(self)


class HiddenName(str):
    """The name of a record's field that a subclass's field of the same name hides.

    Java writes both. The hidden one is kept under a key that is equal to itself only, so
    that the plain name finds the subclass's, and both are written back.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return object.__hash__(self)


class JavaList(list[Any]):
    """A list that Java sent with its type: `java.util.LinkedList`, or `[int` for an array."""

    __slots__ = ("java_type",)
    java_type: str

    @classmethod
    def of(cls, items: list[Any], java_type: str) -> JavaList:
        """A copy of `items`, to be written as `java_type`."""
        made = cls(items)
        made.java_type = java_type
        return made

    def __repr__(self) -> str:
        return render(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return (JavaList.of, (list(self), self.java_type))


class JavaMap(dict[Any, Any]):
    """A map that Java sent with its type: `java.util.TreeMap`."""

    __slots__ = ("java_type",)
    java_type: str

    @classmethod
    def of(cls, items: Mapping[Any, Any], java_type: str) -> JavaMap:
        """A copy of `items`, to be written as `java_type`."""
        made = cls(items)
        made.java_type = java_type
        return made

    def __repr__(self) -> str:
        return render(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return (JavaMap.of, (dict(self), self.java_type))


class Key:
    """A map key or set element that Python cannot hash: a list, a record. It is itself only.

    `value` is what the peer sent. Two of them are equal when they hold the same object.
    """

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.value is self.value

    def __hash__(self) -> int:
        return object.__hash__(self.value)

    def __repr__(self) -> str:
        return f"Key({render(self.value)})"


# ------------------------------------------------------------------ showing

_SHOWN_CHARS = 1_000
_SHOWN_DEPTH = 6
_SHOWN_TEXT = 200
_SHOWN_DIGITS = 50
# Their text is short whatever they hold.
_SHORT = (int, float, Enum, UUID, datetime, date, time, timedelta, timezone)
_SHORT_OF_JAVA = (Period, Year, YearMonth, MonthDay, ZoneOffset)


def render(value: Value, *, limit: int = _SHOWN_CHARS) -> str:
    """A value as a person may read it, in about `limit` characters whatever its shape.

    A few bytes can describe a value whose `repr` is gigabytes, by references to one list;
    whatever is logged or put into an error goes through here.
    """
    rendering = _Rendering(limit)
    rendering.show(value, _SHOWN_DEPTH)
    return "".join(rendering.parts)


class _Rendering:
    """The parts so far. A class: functions that call each other would be garbage in a cycle."""

    __slots__ = ("_left", "parts")

    def __init__(self, limit: int) -> None:
        self.parts: list[str] = []
        self._left = limit

    def put(self, text: str) -> None:
        """Text as it is."""
        self.parts.append(text)
        self._left -= len(text)

    def sequence(self, items: Any, depth: int, ends: str) -> None:
        """Items between two ends."""
        self.put(ends[0])
        for index, item in enumerate(items):
            if index:
                self.put(", ")
            if self._left <= 0:
                self.put("...")
                break
            self.show(item, depth)
        self.put(ends[1])

    def pairs(
        self, items: Mapping[Any, Any], depth: int, ends: str, *, named: bool = False
    ) -> None:
        """Keys and values between two ends."""
        self.put(ends[0])
        for index, (key, item) in enumerate(items.items()):
            if index:
                self.put(", ")
            if self._left <= 0:
                self.put("...")
                break
            if named:
                self.put(f"{str(key)[:_SHOWN_TEXT]}=")
            else:
                self.show(key, depth)
                self.put(": ")
            self.show(item, depth)
        self.put(ends[1])

    def show(self, item: Any, depth: int) -> None:
        """Anything."""
        if self._left <= 0 or depth == 0:
            self.put("...")
        elif isinstance(item, Record):
            self.put(item.class_name[:_SHOWN_TEXT])
            self.pairs(item.fields, depth - 1, "()", named=True)
        elif isinstance(item, Key):
            self.show(item.value, depth - 1)
        elif isinstance(item, dict):
            self.pairs(item, depth - 1, "{}")  # pyright: ignore[reportUnknownArgumentType] - any dict
        elif isinstance(item, list):
            self.sequence(item, depth - 1, "[]")
        elif isinstance(item, tuple):
            self.sequence(item, depth - 1, "()")
        elif isinstance(item, (set, frozenset)):
            self.sequence(item, depth - 1, "{}")
        elif isinstance(item, str):
            cut = "..." if len(item) > _SHOWN_TEXT else ""
            self.put(f"{item[:_SHOWN_TEXT]!r}{cut}")
        elif isinstance(item, (bytes, bytearray)):
            cut = "..." if len(item) > _SHOWN_TEXT else ""
            self.put(f"{bytes(item[:_SHOWN_TEXT])!r}{cut}")
        elif isinstance(item, int) and item.bit_length() > _SHOWN_TEXT:
            self.put(f"<int of {item.bit_length()} bits>")
        elif item is None or isinstance(item, (*_SHORT, *_SHORT_OF_JAVA)):
            self.put(str(item))
        elif isinstance(item, Decimal):
            self.put(f"{item:.{_SHOWN_DIGITS}g}" if item.is_finite() else str(item))
        else:
            fields: Any = getattr(item, "__dict__", None)
            marked = java_class_of(item.__class__) is not None
            if marked and isinstance(fields, dict):
                self.put(type(item).__name__)
                self.pairs(fields, depth - 1, "()", named=True)  # pyright: ignore[reportUnknownArgumentType] - any dict
            else:
                self.put(f"<{type(item).__name__}>")
