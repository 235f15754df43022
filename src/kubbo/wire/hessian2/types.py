"""Java types: how a value of each is written, and what Python value it is read as.

A `JavaType` is made once for a hint or a Java name (see `registry`) and then used for
every call. `write` checks a Python value and appends it; `convert` takes what the reader
made of the bytes by themselves and makes it what the hint says. As a rule that is the
same object, and then nothing is copied: lists are looked through for the classes of
their items at the speed of C, and rebuilt only when one of them differs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kubbo.errors import EncodeError
from kubbo.java import DateValue, Record, render
from kubbo.wire.hessian2.faults import Fault
from kubbo.wire.hessian2.kinds import (
    BINARY,
    LIST,
)
from kubbo.wire.hessian2.reader import READ, READ_NUMBERS, Read, Reader
from kubbo.wire.hessian2.scalars import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    LONG_MIN,
    TEXT_HEADS,
    encode_binary,
    encode_date,
    encode_double,
    encode_int,
    encode_long,
    encode_text,
    shortest_float,
    widened_float,
)
from kubbo.wire.hessian2.writer import within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kubbo.model import Value
    from kubbo.wire.hessian2.writer import Writer

__all__ = ["JavaType"]

_NOTHING: frozenset[type] = frozenset()


class JavaType:
    """One Java type; instances are shared and never change once prepared.

    Attributes:
        name: Java's notation, `int[]` or `com.example.User`.
        descriptor: the JVM's, `[I` or `Lcom/example/User;`.
        component: what an array of it is called on the wire after the bracket.
        zero: what a missing field has: null, or a primitive's 0.
        plain: classes of natural values that stay as they are, so need no `convert`.
        table: what the value's first byte is looked up in.
        accepted: classes of what `table` gives that need no `convert`.
    """

    __slots__ = (
        "accepted",
        "component",
        "descriptor",
        "name",
        "plain",
        "table",
        "zero",
    )

    def __init__(
        self,
        name: str,
        descriptor: str = "",
        *,
        component: str = "",
        zero: Value = None,
        plain: frozenset[type] = _NOTHING,
        table: list[Read] = READ,
    ) -> None:
        self.name = name
        self.descriptor = descriptor or f"L{name.replace('.', '/')};"
        self.component = component or name
        self.zero = zero
        self.plain = plain
        self.table = table
        self.accepted: frozenset[type[Any]] = plain

    def __repr__(self) -> str:
        return f"<JavaType {self.name}>"

    def write(self, writer: Writer, value: Value, /) -> None:
        """Append a value of this type.

        Raises:
            EncodeError: it is none.
        """
        raise NotImplementedError

    def convert(self, value: Value, reader: Reader, /) -> Value:
        """Make a natural value what this type's hint says.

        Raises:
            Fault: it cannot be.
        """
        raise NotImplementedError

    def unfit(self, value: Value, hint: str = "") -> EncodeError:
        """The error for a value that is none of this type."""
        advice = f"; {hint}" if hint else ""
        kind = type(value).__name__
        return EncodeError(f"{render(value, limit=80)} ({kind}) is no {self.name}{advice}")

    def mismatch(self, value: Value) -> Fault:
        """The fault for a natural value that this type cannot be made of."""
        kind = value.class_name[:200] if isinstance(value, Record) else type(value).__name__
        return Fault(f"expected {self.name}, got {kind} {render(value, limit=80)}")


class ObjectType(JavaType):
    """java.lang.Object and its like: anything; the value's own class decides."""

    __slots__ = ()

    def write(self, writer: Writer, value: Value) -> None:
        writer.write_any(value)

    def convert(self, value: Value, _reader: Reader) -> Value:
        return value


# ------------------------------------------------------------------ numbers, text, bytes


class WholeType(JavaType):
    """byte, short, int, long: whole numbers of so many bits."""

    __slots__ = ("_advice", "_encode", "_max", "_min")

    def __init__(self, name: str, descriptor: str, bits: int, advice: str) -> None:
        super().__init__(name, descriptor, zero=0, plain=frozenset({int}), table=READ_NUMBERS)
        self._min, self._max = -(1 << bits - 1), (1 << bits - 1) - 1
        self._encode = encode_long if name == "long" else encode_int
        self._advice = advice

    def write(self, writer: Writer, value: Value) -> None:
        if value.__class__ is not int and (isinstance(value, bool) or not isinstance(value, int)):
            boxed = "declare it as nullable (X | None)" if value is None else ""
            raise self.unfit(value, boxed)
        if not self._min <= value <= self._max:
            raise self.unfit(value, self._advice)
        writer.put(self._encode(value))

    def convert(self, value: Value, _reader: Reader) -> Value:
        if value is None:
            return 0
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        raise self.mismatch(value)


class FloatingType(JavaType):
    """float and double.

    Java widens a float by its shortest decimal (0.1f is 0.1), but one in a `float[]` as it
    is (0.10000000149011612); `in_array` is that one.
    """

    __slots__ = ("_in_array", "_single")

    def __init__(self, name: str, descriptor: str, *, in_array: bool = False) -> None:
        super().__init__(name, descriptor, zero=0.0, plain=frozenset({float}), table=READ_NUMBERS)
        self._single = name == "float"
        self._in_array = in_array

    def write(self, writer: Writer, value: Value) -> None:
        if value.__class__ is not float:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise self.unfit(value)
            try:
                value = float(value)
            except OverflowError:
                raise self.unfit(value) from None
        if self._single:
            try:
                value = widened_float(value) if self._in_array else shortest_float(value)
            except OverflowError:
                raise self.unfit(value, "declare it as kubbo.java.Double") from None
        writer.put(encode_double(value))

    def convert(self, value: Value, _reader: Reader) -> Value:
        try:
            if value.__class__ is int:  # most of what is not plain
                return float(value)
            if value is None:
                return 0.0
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return float(value)
        except OverflowError:
            pass
        raise self.mismatch(value)


class BooleanType(JavaType):
    """boolean."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("boolean", "Z", zero=False, plain=frozenset({bool}))

    def write(self, writer: Writer, value: Value) -> None:
        if value is True:
            writer.put(b"T")
        elif value is False:
            writer.put(b"F")
        else:
            raise self.unfit(value)

    def convert(self, value: Value, _reader: Reader) -> Value:
        if value is None:
            return False
        if isinstance(value, bool):
            return value
        raise self.mismatch(value)


class CharType(JavaType):
    """char: one UTF-16 unit, a string of length 1 on the wire."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("char", "C", zero="\0")

    def write(self, writer: Writer, value: Value) -> None:
        if not isinstance(value, str) or len(value) != 1 or value > "\uffff":
            raise self.unfit(value, "a char is one character up to U+FFFF")
        writer.put(encode_text(value))

    def convert(self, value: Value, _reader: Reader) -> Value:
        if value is None:
            return "\0"
        if isinstance(value, str) and len(value) == 1:
            return value
        raise self.mismatch(value)


class BoxedType(JavaType):
    """The object of a primitive (java.lang.Integer), which may be null."""

    __slots__ = ("primitive",)

    def __init__(self, name: str, primitive: JavaType) -> None:
        plain = primitive.plain | {type(None)} if primitive.plain else _NOTHING
        super().__init__(name, plain=plain, table=primitive.table)
        self.primitive = primitive

    def write(self, writer: Writer, value: Value) -> None:
        if value is None:
            writer.put(b"N")
        else:
            self.primitive.write(writer, value)

    def convert(self, value: Value, reader: Reader) -> Value:
        return None if value is None else self.primitive.convert(value, reader)


class StringType(JavaType):
    """java.lang.String."""

    __slots__ = ()

    def __init__(self, name: str = "java.lang.String", component: str = "string") -> None:
        super().__init__(name, component=component, plain=frozenset({str, type(None)}))

    def write(self, writer: Writer, value: Value) -> None:
        if value.__class__ is str and len(value) < 0x20 and value.isascii():
            writer.put(TEXT_HEADS[len(value)] + value.encode())  # most strings, without a call
        elif isinstance(value, str):
            writer.put(encode_text(value))
        elif value is None:
            writer.put(b"N")
        else:
            raise self.unfit(value)

    def convert(self, value: Value, _reader: Reader) -> Value:
        if value is None or isinstance(value, str):
            return value
        raise self.mismatch(value)


class BytesType(JavaType):
    """byte[]: binary on the wire. `listed` when the hint is a list of numbers, not bytes."""

    __slots__ = ("_listed",)

    def __init__(self, *, listed: bool = False) -> None:
        plain: frozenset[type] = _NOTHING if listed else frozenset({bytes, type(None)})
        super().__init__("byte[]", "[B", component="[byte", plain=plain)
        self._listed = listed

    def write(self, writer: Writer, value: Value) -> None:
        if isinstance(value, BINARY):
            writer.put(encode_binary(value))
        elif value is None:
            writer.put(b"N")
        elif isinstance(value, LIST):
            try:
                writer.put(encode_binary(bytes(number & 0xFF for number in _bytes_of(value))))
            except (TypeError, ValueError):
                raise self.unfit(value, "bytes, or whole numbers from -128 to 127") from None
        else:
            raise self.unfit(value)

    def convert(self, value: Value, reader: Reader) -> Value:
        if isinstance(value, bytes) and self._listed:
            reader.count(len(value))
            return [number - 256 if number > 127 else number for number in value]
        if value is None or isinstance(value, bytes):
            return value
        raise self.mismatch(value)


def _bytes_of(numbers: list[Any]) -> Iterable[int]:
    for number in numbers:
        if not isinstance(number, int) or not -128 <= number <= 127:
            raise ValueError
        yield number


class CharsType(JavaType):
    """char[]: a string on the wire. `listed` when the hint is a list of characters."""

    __slots__ = ("_listed",)

    def __init__(self, *, listed: bool = False) -> None:
        plain: frozenset[type] = _NOTHING if listed else frozenset({str, type(None)})
        super().__init__("char[]", "[C", component="[char", plain=plain)
        self._listed = listed

    def write(self, writer: Writer, value: Value) -> None:
        if value is None:
            writer.put(b"N")
        elif isinstance(value, str):
            writer.put(encode_text(value))
        elif isinstance(value, LIST) and all(isinstance(one, str) for one in value):
            writer.put(encode_text("".join(value)))
        else:
            raise self.unfit(value)

    def convert(self, value: Value, reader: Reader) -> Value:
        if isinstance(value, str) and self._listed:
            reader.count(len(value))
            return list(value)
        if value is None or isinstance(value, str):
            return value
        raise self.mismatch(value)


# ------------------------------------------------------------------ dates

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(value: datetime) -> int:
    """Milliseconds since 1970 UTC of an aware datetime, rounded down."""
    return (value - _EPOCH) // _MILLISECOND


class DateType(JavaType):
    """java.util.Date: an instant in milliseconds, an aware datetime in UTC."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("java.util.Date", component="date", plain=frozenset({type(None)}))

    def write(self, writer: Writer, value: Value) -> None:
        if value is None:
            writer.put(b"N")
        elif isinstance(value, datetime):
            if value.tzinfo is None:
                raise self.unfit(
                    value, "give it a time zone, or declare it as kubbo.java.LocalDateTime"
                )
            writer.put(encode_date(milliseconds(value)))
        elif isinstance(value, DateValue):
            write_date_value(writer, value)
        else:
            raise self.unfit(value)

    def convert(self, value: Value, _reader: Reader) -> Value:
        if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
            return value
        if isinstance(value, DateValue):
            raise Fault(f"the date {int(value)} ms is outside of Python's years 1 to 9999")
        raise self.mismatch(value)


def write_date_value(writer: Writer, value: Value) -> None:
    """Append a java.util.Date that is known by its milliseconds."""
    if not LONG_MIN <= value <= LONG_MAX:
        raise EncodeError(f"{render(value)} milliseconds is no java.util.Date")
    writer.put(encode_date(value))


# ------------------------------------------------------------------ values that nothing declares

OBJECT = ObjectType("java.lang.Object", component="object")


def write_whole(writer: Writer, value: Value) -> None:
    """Append an int that nothing declares: an int if it fits one, else a long."""
    if INT_MIN <= value <= INT_MAX:
        writer.put(encode_int(value))
    elif LONG_MIN <= value <= LONG_MAX:
        writer.put(encode_long(value))
    else:
        raise EncodeError(
            f"{render(value)} does not fit Java's long; declare it as kubbo.java.BigInteger, "
            "or write a kubbo.java.BigIntegerValue"
        )


def write_long(writer: Writer, value: Value) -> None:
    """Append a `LongValue`."""
    if not LONG_MIN <= value <= LONG_MAX:
        raise EncodeError(f"{render(value)} does not fit Java's long")
    writer.put(encode_long(value))


def write_record(writer: Writer, value: Value) -> None:
    """Append an object whose class is known by name only."""
    if writer.seen(value):
        return
    fields = value.fields
    writer.begin_object(writer.layout(value.class_name, tuple(fields)))
    for name, item in fields.items():
        try:
            writer.write_any(item)
        except EncodeError as error:
            raise within(name, error) from None
    writer.depth += 1


class RecordType(JavaType):
    """A class that nobody registered: a `Record`, or a dict of its fields."""

    __slots__ = ()

    def write(self, writer: Writer, value: Value) -> None:
        if value.__class__ is dict:
            value = Record(self.name, dict(value))
        writer.write_any(value)

    def convert(self, value: Value, _reader: Reader) -> Value:
        return value
