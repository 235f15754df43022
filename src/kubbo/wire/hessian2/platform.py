"""Classes of the Java platform that are values in Python.

hessian-lite writes many of them as an object of few fields: BigDecimal is
`{value: "1.50"}`, a LocalDate a handle of day, month and year. A `Form` is one of these:
its name for Java, its layout on the wire, the Python class that it is read as and both
directions. What Python cannot hold exactly (nanoseconds, the year 12,345) stays a record
where nothing is declared, and is cut to microseconds or refused where a hint asks for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from kubbo.errors import EncodeError
from kubbo.java import (
    BigIntegerValue,
    BitSet,
    Class,
    DateValue,
    JavaDatetime,
    JavaList,
    Locale,
    LongValue,
    MonthDay,
    Period,
    Record,
    Year,
    YearMonth,
    ZoneId,
    ZoneOffset,
)
from kubbo.wire.hessian2.classes import read_fields
from kubbo.wire.hessian2.faults import Fault
from kubbo.wire.hessian2.kinds import LIST
from kubbo.wire.hessian2.types import JavaType, milliseconds
from kubbo.wire.hessian2.writer import Layout, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubbo.model import Value
    from kubbo.wire.hessian2.reader import Reader

__all__ = ["FORMS", "Form", "FormClass", "FormType", "write_form"]


class UnfitError(Exception):
    """The fields are no value that Python holds."""


class Parts:
    """The fields of one object, as they are taken for its value.

    `exact`: refuse what Python cannot hold, rather than cut it.
    """

    __slots__ = ("_reader", "exact", "fields", "limits")

    def __init__(self, fields: Mapping[str, Any], reader: Reader, *, exact: bool) -> None:
        self.fields = fields
        self.limits = reader.limits
        self._reader = reader
        self.exact = exact

    def whole(self, name: str) -> int:
        """A whole number."""
        value = self.fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnfitError(f"{name} is no whole number")
        return int(value)

    def text(self, name: str) -> str:
        """A string."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise UnfitError(f"{name} is no string")
        return value

    def numbers(self, name: str) -> list[Any]:
        """An array, whose items are still anything.

        They count once more: a peer may refer to one array from thousands of objects.
        """
        value: Any = self.fields.get(name)
        if not isinstance(value, LIST):
            raise UnfitError(f"{name} is no array")
        self._reader.count(len(value))
        return list(value)

    def microseconds(self, name: str) -> int:
        """Nanoseconds of a second as microseconds."""
        nanos = self.whole(name)
        if not 0 <= nanos < 1_000_000_000:
            raise UnfitError(f"{name} is out of range")
        micros, rest = divmod(nanos, 1_000)
        if rest and self.exact:
            raise UnfitError("nanoseconds are beyond Python's microseconds")
        return micros

    def part(self, name: str, form: Form) -> Any:
        """A field that is itself a form; where it stayed a record it may be cut now."""
        value = self.fields.get(name)
        if isinstance(value, Record) and not self.exact and value.class_name == form.layout.name:
            value = form.make(Parts(value.fields, self._reader, exact=False))
        if not isinstance(value, form.cls):
            raise UnfitError(f"{name} is no {form.name}")
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """How one class of the platform looks on the wire.

    `take` gives the field values of a Python value in the order of `layout`, or raises
    ValueError; `make` the Python value of the fields, or raises one of `REFUSALS`.
    `shared` objects are written once and referred to, as Java does with all but handles.
    """

    name: str
    layout: Layout
    cls: type
    take: Callable[[Any], tuple[Any, ...]]
    make: Callable[[Parts], Any]
    shared: bool = True


# ------------------------------------------------------------------ numbers

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,10}))?")


def _take_decimal(value: Decimal) -> tuple[Any, ...]:
    if not value.is_finite():
        raise ValueError("BigDecimal has no NaN and no infinities")
    return (str(value),)


def _make_decimal(parts: Parts) -> Decimal:
    text = parts.text("value")
    # Twice the limit leaves room for point, sign and exponent before anything is parsed.
    if len(text) > 2 * parts.limits.numeral_digits + 16:
        raise Fault(f"a BigDecimal of more than {parts.limits.numeral_digits} digits")
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise Fault(f"{text[:50]!r} is no BigDecimal")
    if match[1] is not None and abs(int(match[1])) > parts.limits.exponent:
        raise Fault(f"a BigDecimal with an exponent beyond {parts.limits.exponent}")
    value = Decimal(text)
    digits = parts.limits.numeral_digits
    if len(text) > digits and len(value.as_tuple().digits) > digits:
        raise Fault(f"a BigDecimal of more than {parts.limits.numeral_digits} digits")
    return value


_BITS_A_DIGIT = 3.3219281


def _take_integer(value: int) -> tuple[Any, ...]:
    magnitude = abs(value)
    length = (magnitude.bit_length() + 31) // 32
    words = [
        int.from_bytes(magnitude.to_bytes(length * 4, "big")[at : at + 4], "big", signed=True)
        for at in range(0, length * 4, 4)
    ]
    signum = (value > 0) - (value < 0)
    # Between magnitude and sign: four caches of BigInteger, zero in a new one.
    return (JavaList.of(words, "[int"), 0, 0, 0, 0, signum)


def _make_integer(parts: Parts) -> BigIntegerValue:
    numbers = parts.numbers("mag")
    if len(numbers) * 32 > parts.limits.numeral_digits * _BITS_A_DIGIT + 32:
        raise Fault(f"a BigInteger of more than {parts.limits.numeral_digits} digits")
    signum = parts.whole("signum")
    if signum not in {-1, 0, 1} or (signum == 0) != (not any(numbers)):
        raise UnfitError("signum does not fit mag")
    magnitude = 0
    for word in numbers:
        # Go writes words from 2^31 on as longs, and Java reads them.
        if not isinstance(word, int) or not -0x80000000 <= word <= 0xFFFFFFFF:
            raise UnfitError("mag is no array of int")
        magnitude = magnitude << 32 | (word & 0xFFFFFFFF)
    return BigIntegerValue(signum * magnitude)


# ------------------------------------------------------------------ identifiers and text

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def _make_uuid(parts: Parts) -> UUID:
    text = parts.text("value")
    if _UUID.fullmatch(text) is None:
        raise Fault(f"{text[:50]!r} is no UUID")
    return UUID(text)


def _take_bits(value: BitSet) -> tuple[Any, ...]:
    if value.mask < 0:
        raise ValueError("a BitSet has no negative mask")
    length = (value.mask.bit_length() + 63) // 64
    raw = value.mask.to_bytes(length * 8, "little")
    words = [
        LongValue(int.from_bytes(raw[at : at + 8], "little", signed=True))
        for at in range(0, len(raw), 8)
    ]
    return (JavaList.of(words, "[long"),)


def _make_bits(parts: Parts) -> BitSet:
    numbers = parts.numbers("words")
    raw = bytearray()
    for word in numbers:
        if not isinstance(word, int) or not -(2**63) <= word < 2**63:
            raise UnfitError("words is no array of long")
        raw += word.to_bytes(8, "little", signed=True)
    return BitSet(int.from_bytes(raw, "little"))


# ------------------------------------------------------------------ java.time

_JAVA8 = "com.alibaba.com.caucho.hessian.io.java8."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _make_date(parts: Parts) -> date:
    return date(parts.whole("year"), parts.whole("month"), parts.whole("day"))


_LOCAL_DATE = Form(
    "java.time.LocalDate",
    Layout(_JAVA8 + "LocalDateHandle", ("day", "month", "year")),
    date,
    lambda value: (value.day, value.month, value.year),
    _make_date,
    shared=False,
)


def _make_time(parts: Parts) -> time:
    return time(
        parts.whole("hour"),
        parts.whole("minute"),
        parts.whole("second"),
        parts.microseconds("nano"),
    )


_LOCAL_TIME = Form(
    "java.time.LocalTime",
    Layout(_JAVA8 + "LocalTimeHandle", ("nano", "second", "minute", "hour")),
    time,
    lambda value: (value.microsecond * 1_000, value.second, value.minute, value.hour),
    _make_time,
    shared=False,
)


def _take_local(value: datetime) -> tuple[Any, ...]:
    if value.tzinfo is not None:
        raise ValueError("a LocalDateTime has no time zone")
    return (value.time(), value.date())


def _make_local(parts: Parts) -> datetime:
    return datetime.combine(
        parts.part("date", _LOCAL_DATE),
        parts.part("time", _LOCAL_TIME),
    )


_LOCAL_DATETIME = Form(
    "java.time.LocalDateTime",
    Layout(_JAVA8 + "LocalDateTimeHandle", ("time", "date")),
    datetime,
    _take_local,
    _make_local,
    shared=False,
)

_ZONE_OFFSET = Form(
    "java.time.ZoneOffset",
    Layout(_JAVA8 + "ZoneOffsetHandle", ("seconds",)),
    ZoneOffset,
    lambda value: (value.seconds,),
    lambda parts: ZoneOffset(parts.whole("seconds")),
    shared=False,
)


def _offset_of(value: datetime | time) -> ZoneOffset:
    offset = value.utcoffset()
    if offset is None:
        raise ValueError("it has no time zone")
    seconds = offset // timedelta(seconds=1)
    if timedelta(seconds=seconds) != offset:
        raise ValueError("Java's offsets are whole seconds")
    return ZoneOffset(seconds)


def _zone(offset: ZoneOffset) -> timezone:
    return timezone(timedelta(seconds=offset.seconds))


def _make_offset(parts: Parts) -> JavaDatetime:
    offset = parts.part("offset", _ZONE_OFFSET)
    local = parts.part("dateTime", _LOCAL_DATETIME)
    return JavaDatetime.of(local.replace(tzinfo=_zone(offset)), "java.time.OffsetDateTime")


def _zone_name(value: datetime, offset: ZoneOffset) -> str:
    region = getattr(value, "zone", "") or getattr(value.tzinfo, "key", "")
    if region:
        return str(region)
    if offset.seconds == 0:
        return "Z"
    minutes, seconds = divmod(abs(offset.seconds), 60)
    text = f"{'-' if offset.seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text


def _take_zoned(value: datetime) -> tuple[Any, ...]:
    offset = _offset_of(value)
    return (offset, _local(value), _zone_name(value, offset))


def _local(value: datetime) -> datetime:
    return datetime.combine(value.date(), value.time())


def _make_zoned(parts: Parts) -> JavaDatetime:
    offset = parts.part("offset", _ZONE_OFFSET)
    local = parts.part("dateTime", _LOCAL_DATETIME)
    return JavaDatetime.of(
        local.replace(tzinfo=_zone(offset)),
        "java.time.ZonedDateTime",
        zone=parts.text("zoneId"),
    )


def _make_offset_time(parts: Parts) -> time:
    offset = parts.part("zoneOffset", _ZONE_OFFSET)
    local = parts.part("localTime", _LOCAL_TIME)
    made: time = local.replace(tzinfo=_zone(offset))
    return made


def _take_instant(value: datetime) -> tuple[Any, ...]:
    if value.tzinfo is None:
        raise ValueError("an Instant needs a time zone")
    seconds, rest = divmod(value - _EPOCH, timedelta(seconds=1))
    return (rest.microseconds * 1_000, LongValue(seconds))


def _make_instant(parts: Parts) -> JavaDatetime:
    micros = parts.microseconds("nanos")
    seconds = parts.whole("seconds")
    moment = _EPOCH + timedelta(seconds=seconds, microseconds=micros)
    return JavaDatetime.of(moment, "java.time.Instant")


def _take_duration(value: timedelta) -> tuple[Any, ...]:
    seconds, rest = divmod(value, timedelta(seconds=1))
    return (rest.microseconds * 1_000, LongValue(seconds))


def _make_duration(parts: Parts) -> timedelta:
    micros = parts.microseconds("nanos")
    return timedelta(seconds=parts.whole("seconds"), microseconds=micros)


def _plain_fields(name: str, cls: type, *fields: str) -> Form:
    """A handle whose fields are ints, read as a dataclass of the same fields."""
    return Form(
        name,
        Layout(f"{_JAVA8}{name.rpartition('.')[2]}Handle", fields),
        cls,
        lambda value: tuple(getattr(value, one) for one in fields),
        lambda parts: cls(**{one: parts.whole(one) for one in fields}),
        shared=False,
    )


# ------------------------------------------------------------------ java.sql


def _sql(name: str) -> Form:
    def take(value: datetime) -> tuple[Any, ...]:
        if value.tzinfo is None:
            raise ValueError("it needs a time zone")
        return (DateValue(milliseconds(value)),)

    def make(parts: Parts) -> JavaDatetime:
        value = parts.fields.get("value")
        if not isinstance(value, datetime):
            raise UnfitError("value is no date")
        return JavaDatetime.of(value, name)

    return Form(name, Layout(name, ("value",)), datetime, take, make)


FORMS: tuple[Form, ...] = (
    Form(
        "java.math.BigDecimal",
        Layout("java.math.BigDecimal", ("value",)),
        Decimal,
        _take_decimal,
        _make_decimal,
    ),
    Form(
        "java.math.BigInteger",
        Layout(
            "java.math.BigInteger",
            (
                "mag",
                "firstNonzeroIntNumPlusTwo",
                "lowestSetBitPlusTwo",
                "bitLengthPlusOne",
                "bitCountPlusOne",
                "signum",
            ),
        ),
        BigIntegerValue,
        _take_integer,
        _make_integer,
    ),
    Form(
        "java.util.UUID",
        Layout("java.util.UUID", ("value",)),
        UUID,
        lambda value: (str(value),),
        _make_uuid,
    ),
    Form(
        "java.util.Locale",
        Layout("com.alibaba.com.caucho.hessian.io.LocaleHandle", ("value",)),
        Locale,
        lambda value: (str(value),),
        lambda parts: Locale(parts.text("value")),
        shared=False,
    ),
    Form(
        "java.lang.Class",
        Layout("java.lang.Class", ("name",)),
        Class,
        lambda value: (str(value),),
        lambda parts: Class(parts.text("name")),
    ),
    Form(
        "java.util.BitSet",
        Layout("com.alibaba.com.caucho.hessian.io.BitSetHandle", ("words",)),
        BitSet,
        _take_bits,
        _make_bits,
        shared=False,
    ),
    _LOCAL_DATE,
    _LOCAL_TIME,
    _LOCAL_DATETIME,
    _ZONE_OFFSET,
    Form(
        "java.time.ZoneId",
        Layout(_JAVA8 + "ZoneIdHandle", ("zoneId",)),
        ZoneId,
        lambda value: (value.zone_id,),
        lambda parts: ZoneId(parts.text("zoneId")),
        shared=False,
    ),
    Form(
        "java.time.Instant",
        Layout(_JAVA8 + "InstantHandle", ("nanos", "seconds")),
        datetime,
        _take_instant,
        _make_instant,
        shared=False,
    ),
    Form(
        "java.time.OffsetDateTime",
        Layout(_JAVA8 + "OffsetDateTimeHandle", ("offset", "dateTime")),
        datetime,
        lambda value: (_offset_of(value), _local(value)),
        _make_offset,
        shared=False,
    ),
    Form(
        "java.time.ZonedDateTime",
        Layout(_JAVA8 + "ZonedDateTimeHandle", ("offset", "dateTime", "zoneId")),
        datetime,
        _take_zoned,
        _make_zoned,
        shared=False,
    ),
    Form(
        "java.time.OffsetTime",
        Layout(_JAVA8 + "OffsetTimeHandle", ("zoneOffset", "localTime")),
        time,
        lambda value: (_offset_of(value), value.replace(tzinfo=None)),
        _make_offset_time,
        shared=False,
    ),
    Form(
        "java.time.Duration",
        Layout(_JAVA8 + "DurationHandle", ("nanos", "seconds")),
        timedelta,
        _take_duration,
        _make_duration,
        shared=False,
    ),
    _plain_fields("java.time.Period", Period, "days", "months", "years"),
    _plain_fields("java.time.Year", Year, "year"),
    _plain_fields("java.time.YearMonth", YearMonth, "month", "year"),
    _plain_fields("java.time.MonthDay", MonthDay, "day", "month"),
    _sql("java.sql.Timestamp"),
    _sql("java.sql.Date"),
    _sql("java.sql.Time"),
)

# What building from any fields may raise: the numbers and dates of Python itself.
REFUSALS = (UnfitError, ValueError, OverflowError, TypeError, ArithmeticError)


class FormType(JavaType):
    """A form as a declared type."""

    __slots__ = ("_accepts", "form")

    def __init__(self, form: Form) -> None:
        cls = form.cls
        # An int for a BigInteger: nobody wraps a value whose type is declared.
        self._accepts: type = int if cls is BigIntegerValue else cls
        own = cls not in {datetime, BigIntegerValue}
        super().__init__(form.name, plain=frozenset({cls, type(None)} if own else {type(None)}))
        self.form = form

    def write(self, writer: Writer, value: Value) -> None:
        """Append a value of the form's Python class, or a record that stands for one."""
        if value is None:
            writer.put(b"N")
            return
        if isinstance(value, Record) and value.class_name == self.form.layout.name:
            writer.write_any(value)  # nanoseconds, as they were read where nothing was declared
            return
        accepted = isinstance(value, self._accepts) and not isinstance(value, bool)
        if accepted and self._accepts is date and isinstance(value, datetime):
            accepted = False
        if not accepted and issubclass(self.form.cls, str) and isinstance(value, str):
            accepted = True
        if not accepted:
            raise self.unfit(value)
        write_form(writer, self.form, value)

    def convert(self, value: Value, reader: Reader) -> Value:
        """Take the Python value, or a record that could not be held exactly."""
        if value is None:
            return None
        form = self.form
        if isinstance(value, int) and self._accepts is int and not isinstance(value, bool):
            return int(value)
        if isinstance(value, form.cls):
            if not isinstance(value, datetime):
                return value
            if form.cls is datetime and not self._other(value):
                return value
        if isinstance(value, Record) and value.class_name == form.layout.name:
            try:
                return form.make(Parts(value.fields, reader, exact=False))
            except REFUSALS as error:
                raise Fault(f"{form.name}: {error}") from None
        if form.cls is Decimal and isinstance(value, int):
            return Decimal(int(value))
        raise self.mismatch(value)

    def _other(self, value: datetime) -> bool:
        """Whether a datetime is of another kind than this type."""
        return (value.tzinfo is None) != (self.form.name == "java.time.LocalDateTime")


def write_form(writer: Writer, form: Form, value: Value) -> None:
    """Append a value as the object that Java expects for it."""
    try:
        parts = form.take(value)
    except (ValueError, OverflowError) as error:
        raise EncodeError(f"no {form.name}: {error}") from None
    # A handle is a new object each time; so is a plain int that a hint makes a BigInteger.
    shared = form.shared and (form.cls is not BigIntegerValue or isinstance(value, BigIntegerValue))
    if form.cls is Class:
        value = writer.same(value if isinstance(value, Class) else Class(value))
    if writer.seen(value if shared else parts):
        return
    writer.begin_object(form.layout)
    for part in parts:
        writer.write_any(part)
    writer.depth += 1


class FormClass:
    """A form as one message defines it.

    One that is made of a short text has a shorter way: a BigDecimal of one digit is three
    bytes, and took ten times as long as an int.
    """

    __slots__ = ("_fields", "_form", "_textual", "width")

    def __init__(self, form: Form, names: tuple[str, ...]) -> None:
        self._form = form
        self._fields = names
        self._textual = names == form.layout.fields and len(names) == 1
        self.width = len(names)

    def read(self, reader: Reader, at: int, depth: int) -> Value:
        """The Python value, or a record if Python holds none."""
        if self._textual and (size := reader.data[at]) < 0x20:
            end = at + 1 + size
            raw = reader.data[at + 1 : end]
            if raw.isascii() and end <= reader.size:
                fields: dict[str, Value] = {self._fields[0]: raw.decode("ascii")}
                reader.offset = end
                try:
                    value = self._form.make(Parts(fields, reader, exact=True))
                except REFUSALS:
                    value = Record(self._form.layout.name, fields)
                reader.refs.append(value)
                return value
        return self._read_fields(reader, at, depth)

    def _read_fields(self, reader: Reader, at: int, depth: int) -> Value:
        fields: dict[str, Value] = {}
        number = len(reader.refs)
        record = Record(self._form.layout.name)
        reader.refs.append(record)
        read_fields(reader, at, depth, self._fields, fields)
        try:
            value = self._form.make(Parts(fields, reader, exact=True))
        except REFUSALS:
            names = self._fields if len(fields) == len(self._fields) else tuple(fields)
            record.fill(names, fields.values())
            return record
        reader.refs[number] = value
        return value
