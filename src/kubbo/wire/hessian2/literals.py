"""What a first byte means by itself: constants, numbers, dates, text and binary data.

Each function is given the reader, the position after the first byte and how many
containers may still be entered (which only containers look at); it returns the value and
leaves the position after it in `reader.offset`. Reading past the end raises IndexError or
struct.error where Python finds it, a `Fault` where a slice would just be shorter.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from kubbo.java import DateValue, LongValue
from kubbo.wire.hessian2.faults import Fault

if TYPE_CHECKING:
    from kubbo.model import Value
    from kubbo.wire.hessian2.reader import Reader

__all__ = ["READ", "Read", "read_longs"]

Read: TypeAlias = Callable[["Reader", int, int], "Value"]
"""Reads what follows a first byte: (reader, position after it, containers left) -> value."""


def _unassigned(reader: Reader, at: int, _depth: int) -> Value:
    raise Fault(f"0x{reader.data[at - 1]:02x} begins no value", at - 1)


READ: list[Read] = [_unassigned] * 256


# ------------------------------------------------------------------ fixed values and numbers

_int32 = struct.Struct(">i").unpack_from
_int64 = struct.Struct(">q").unpack_from
_int16 = struct.Struct(">h").unpack_from
_int8 = struct.Struct(">b").unpack_from
_float64 = struct.Struct(">d").unpack_from


def _constant(value: Value) -> Read:
    def read(reader: Reader, at: int, _depth: int) -> Value:
        reader.offset = at
        return value

    return read


def _number_12(base: int, kind: type[int]) -> Read:
    """Four bits of the first byte (in `base`) and one more byte."""
    if kind is int:

        def read(reader: Reader, at: int, _depth: int) -> Value:
            reader.offset = at + 1
            return base + reader.data[at]
    else:

        def read(reader: Reader, at: int, _depth: int) -> Value:
            reader.offset = at + 1
            return kind(base + reader.data[at])

    return read


def _number_19(base: int, kind: type[int]) -> Read:
    """Three bits of the first byte (in `base`) and two more bytes."""
    if kind is int:

        def read(reader: Reader, at: int, _depth: int) -> Value:
            data = reader.data
            reader.offset = at + 2
            return base + (data[at] << 8) + data[at + 1]
    else:

        def read(reader: Reader, at: int, _depth: int) -> Value:
            data = reader.data
            reader.offset = at + 2
            return kind(base + (data[at] << 8) + data[at + 1])

    return read


def _int_32(reader: Reader, at: int, _depth: int) -> Value:
    reader.offset = at + 4
    return _int32(reader.data, at)[0]


def _long_32(reader: Reader, at: int, _depth: int) -> Value:
    reader.offset = at + 4
    return LongValue(_int32(reader.data, at)[0])


def _long_64(reader: Reader, at: int, _depth: int) -> Value:
    reader.offset = at + 8
    value = _int64(reader.data, at)[0]
    return LongValue(value) if -0x80000000 <= value <= 0x7FFFFFFF else value


def _plain_long_64(reader: Reader, at: int, _depth: int) -> Value:
    reader.offset = at + 8
    return _int64(reader.data, at)[0]


def _double_8(reader: Reader, at: int, _depth: int) -> Value:
    reader.offset = at + 1
    return float(_int8(reader.data, at)[0])


def _double_16(reader: Reader, at: int, _depth: int) -> Value:
    reader.offset = at + 2
    return float(_int16(reader.data, at)[0])


def _double_mills(reader: Reader, at: int, _depth: int) -> Value:
    reader.offset = at + 4
    return 0.001 * _int32(reader.data, at)[0]


def _double_64(reader: Reader, at: int, _depth: int) -> Value:
    reader.offset = at + 8
    return _float64(reader.data, at)[0]


READ[0x4E] = _constant(None)
READ[0x54] = _constant(value=True)
READ[0x46] = _constant(value=False)
for _tag in range(0x80, 0xC0):
    READ[_tag] = _constant(_tag - 0x90)
for _tag in range(0xC0, 0xD0):
    READ[_tag] = _number_12((_tag - 0xC8) << 8, int)
for _tag in range(0xD0, 0xD8):
    READ[_tag] = _number_19((_tag - 0xD4) << 16, int)
READ[0x49] = _int_32
READ[0x5B] = _constant(0.0)
READ[0x5C] = _constant(1.0)
READ[0x5D] = _double_8
READ[0x5E] = _double_16
READ[0x5F] = _double_mills
READ[0x44] = _double_64


def _set_longs(table: list[Read], kind: type[int], long_32: Read, long_64: Read) -> None:
    for tag in range(0xD8, 0xF0):
        table[tag] = _constant(kind(tag - 0xE0))
    for tag in range(0xF0, 0x100):
        table[tag] = _number_12((tag - 0xF8) << 8, kind)
    for tag in range(0x38, 0x40):
        table[tag] = _number_19((tag - 0x3C) << 16, kind)
    table[0x59] = long_32
    table[0x4C] = long_64


# ------------------------------------------------------------------ dates

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _date(milliseconds: int) -> Value:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:  # beyond the years 1 to 9999
        return DateValue(milliseconds)


def _date_milliseconds(reader: Reader, at: int, _depth: int) -> Value:
    reader.offset = at + 8
    return _date(_int64(reader.data, at)[0])


def _date_minutes(reader: Reader, at: int, _depth: int) -> Value:
    reader.offset = at + 4
    return _date(_int32(reader.data, at)[0] * 60_000)


READ[0x4A] = _date_milliseconds
READ[0x4B] = _date_minutes


# ------------------------------------------------------------------ text

_CONTINUATIONS = bytes(range(0x80, 0xC0))


def _end_of_units(reader: Reader, at: int, units: int) -> int:
    """Where a string of so many UTF-16 units ends. A unit is one to three bytes."""
    data = reader.data
    end = at
    left = units
    while left:
        piece = data[end : end + left]
        if len(piece) < left:
            raise Fault("the message ends within a string", reader.size)
        end += left
        left -= len(piece.translate(None, _CONTINUATIONS))
        if end - at > 3 * units:
            raise Fault("a string is not UTF-8 (too many continuation bytes)", at)
    # The last unit begins at its first byte and may go on behind `end`.
    last = end - 1
    while last > at and 0x80 <= data[last] < 0xC0:
        last -= 1
    first = data[last]
    end = max(end, last + (1 if first < 0x80 else 2 if first < 0xE0 else 3))
    if end > reader.size:
        raise Fault("the message ends within a string", reader.size)
    return end


def _text(raw: bytes, at: int) -> str:
    """CESU-8 to text: surrogate pairs become characters, lone surrogates stay."""
    try:
        text = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Fault(f"a string is not UTF-8 ({error.reason})", at + error.start) from None
    if b"\xed" in raw:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


def _read_units(reader: Reader, at: int, units: int) -> bytes:
    """The raw bytes of a string or chunk, without four-byte UTF-8."""
    end = at + units
    raw = reader.data[at:end]
    if len(raw) < units:
        raise Fault("the message ends within a string", reader.size)
    if not raw.isascii():
        end = _end_of_units(reader, at, units)
        raw = reader.data[at:end]
        if max(raw) >= 0xF0:
            raise Fault("four-byte UTF-8 in a string; Hessian writes surrogates", at)
    reader.offset = end
    return raw


def _short_text(units: int) -> Read:
    def read(reader: Reader, at: int, _depth: int) -> Value:
        end = at + units
        raw = reader.data[at:end]
        if raw.isascii() and end <= reader.size:
            reader.offset = end
            return raw.decode("ascii")
        return _text(_read_units(reader, at, units), at)

    return read


def _text_10(high: int) -> Read:
    def read(reader: Reader, at: int, _depth: int) -> Value:
        return _text(_read_units(reader, at + 1, high + reader.data[at]), at + 1)

    return read


def _text_16(reader: Reader, at: int, _depth: int) -> Value:
    data = reader.data
    return _text(_read_units(reader, at + 2, (data[at] << 8) + data[at + 1]), at + 2)


def _text_chunks(reader: Reader, at: int, _depth: int) -> Value:
    """Chunks of any size up to the last one, joined before pairs are looked for."""
    data = reader.data
    start = at
    parts: list[bytes] = []
    tag = 0x52
    while tag == 0x52:
        parts.append(_read_units(reader, at + 2, (data[at] << 8) + data[at + 1]))
        at = reader.offset
        tag = data[at]
        at += 1
    if tag < 0x20:
        parts.append(_read_units(reader, at, tag))
    elif 0x30 <= tag < 0x34:
        parts.append(_read_units(reader, at + 1, ((tag - 0x30) << 8) + data[at]))
    elif tag == 0x53:
        parts.append(_read_units(reader, at + 2, (data[at] << 8) + data[at + 1]))
    else:
        raise Fault(f"0x{tag:02x} continues no string", at - 1)
    return _text(b"".join(parts), start)


for _tag in range(0x20):
    READ[_tag] = _short_text(_tag)
for _tag in range(0x30, 0x34):
    READ[_tag] = _text_10((_tag - 0x30) << 8)
READ[0x53] = _text_16
READ[0x52] = _text_chunks


# ------------------------------------------------------------------ binary


def _read_bytes(reader: Reader, at: int, length: int) -> bytes:
    end = at + length
    if end > reader.size:
        raise Fault("the message ends within binary data", reader.size)
    reader.offset = end
    return reader.data[at:end]


def _short_binary(length: int) -> Read:
    def read(reader: Reader, at: int, _depth: int) -> Value:
        return _read_bytes(reader, at, length)

    return read


def _binary_10(high: int) -> Read:
    def read(reader: Reader, at: int, _depth: int) -> Value:
        return _read_bytes(reader, at + 1, high + reader.data[at])

    return read


def _binary_16(reader: Reader, at: int, _depth: int) -> Value:
    data = reader.data
    return _read_bytes(reader, at + 2, (data[at] << 8) + data[at + 1])


def _binary_chunks(reader: Reader, at: int, _depth: int) -> Value:
    data = reader.data
    parts: list[bytes] = []
    tag = 0x41
    while tag == 0x41:
        parts.append(_read_bytes(reader, at + 2, (data[at] << 8) + data[at + 1]))
        at = reader.offset
        tag = data[at]
        at += 1
    if 0x20 <= tag < 0x30:
        parts.append(_read_bytes(reader, at, tag - 0x20))
    elif 0x34 <= tag < 0x38:
        parts.append(_read_bytes(reader, at + 1, ((tag - 0x34) << 8) + data[at]))
    elif tag == 0x42:
        parts.append(_read_bytes(reader, at + 2, (data[at] << 8) + data[at + 1]))
    else:
        raise Fault(f"0x{tag:02x} continues no binary data", at - 1)
    return b"".join(parts)


for _tag in range(0x20, 0x30):
    READ[_tag] = _short_binary(_tag - 0x20)
for _tag in range(0x34, 0x38):
    READ[_tag] = _binary_10((_tag - 0x34) << 8)
READ[0x42] = _binary_16
READ[0x41] = _binary_chunks


def read_longs(table: list[Read], *, plain: bool) -> None:
    """Fill in how longs are read: as plain ints, or as values that remember what they were."""
    if plain:
        _set_longs(table, int, _int_32, _plain_long_64)
    else:
        _set_longs(table, LongValue, _long_32, _long_64)
