"""Numbers, text, bytes and dates as Hessian 2.0 writes them, each in its shortest form.

Canonical means what hessian-lite 4.0.4 writes for the same value:

    int       80-bf (-16..47)  c0-cf (12 bits)  d0-d7 (19 bits)  49 (32 bits)
    long      d8-ef (-8..15)   f0-ff (12 bits)  38-3f (19 bits)  59 (32 bits)  4c (64 bits)
    double    5b (0)  5c (1)  5d (8 bits)  5e (16 bits)  5f (32 bits of 1/1000)  44
    string    00-1f  30-33 (10 bits)  53 (16 bits), before it 52 chunks
    binary    20-2f  34-37 (10 bits)  42 (16 bits), before it 41 chunks
    date      4a (milliseconds)  4b (whole minutes in 32 bits)

A string's length counts UTF-16 units, and each unit is one to three bytes of its own:
CESU-8. A character beyond U+FFFF is two units of three bytes; UTF-8's four-byte form is
refused by Java's reader and by ours.
"""

from __future__ import annotations

import struct
from array import array

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1

STRING_CHUNK = 0x8000  # units, as hessian-lite's writer cuts them
# hessian-lite cuts where its 8 KiB buffer ends, less a header of three bytes. Where in a
# message that is depends on everything before; this is the cut of an empty buffer.
BINARY_CHUNK = 8_189

_pack_int = struct.Struct(">Bi").pack
_pack_long = struct.Struct(">Bq").pack
_pack_double = struct.Struct(">Bd").pack
_pack_byte_double = struct.Struct(">Bb").pack
_pack_short_double = struct.Struct(">Bh").pack
_pack_float = struct.Struct(">f").pack
_unpack_float = struct.Struct(">f").unpack

_FLOAT_NORMAL = 2.0**-126

_INT_1 = [bytes([0x90 + n]) for n in range(-16, 48)]
_LONG_1 = [bytes([0xE0 + n]) for n in range(-8, 16)]
TEXT_HEADS = [bytes([n]) for n in range(32)]  # of strings below 32 units
_BINARY_1 = [bytes([0x20 + n]) for n in range(16)]


def encode_int(value: int) -> bytes:
    """A Java int; the caller has checked its range."""
    if -16 <= value <= 47:
        return _INT_1[value + 16]
    if -0x800 <= value <= 0x7FF:
        return (0xC800 + value).to_bytes(2, "big")
    if -0x40000 <= value <= 0x3FFFF:
        return (0xD40000 + value).to_bytes(3, "big")
    return _pack_int(0x49, value)


def encode_long(value: int) -> bytes:
    """A Java long; the caller has checked its range."""
    if -8 <= value <= 15:
        return _LONG_1[value + 8]
    if -0x800 <= value <= 0x7FF:
        return (0xF800 + value).to_bytes(2, "big")
    if -0x40000 <= value <= 0x3FFFF:
        return (0x3C0000 + value).to_bytes(3, "big")
    if INT_MIN <= value <= INT_MAX:
        return _pack_int(0x59, value)
    return _pack_long(0x4C, value)


def encode_double(value: float) -> bytes:
    """A Java double. Minus zero becomes zero, as in Java's writer."""
    if -2147483.648 <= value <= 2147483.647:  # false for NaN
        whole = int(value)
        if whole == value:
            if whole == 0:
                return b"\x5b"
            if whole == 1:
                return b"\x5c"
            if -0x80 <= whole < 0x80:
                return _pack_byte_double(0x5D, whole)
            if -0x8000 <= whole < 0x8000:
                return _pack_short_double(0x5E, whole)
        mills = int(value * 1000)
        if 0.001 * mills == value:
            return _pack_int(0x5F, mills)
    return _pack_double(0x44, value)


def shortest_float(value: float) -> float:
    """The double of the shortest decimal that is this value as a 32-bit float.

    That is how Java widens a `float` before it writes it: 0.1f as 0.1, not as
    0.10000000149011612.

    Raises:
        OverflowError: the value is finite and beyond the range of a float.
    """
    if value - value != 0:  # NaN and the infinities
        return value
    packed = _pack_float(value)
    rounded: float = _unpack_float(packed)[0]
    # A float always keeps six decimal digits, but those below its normal range fewer.
    for digits in range(6 if abs(rounded) >= _FLOAT_NORMAL else 2, 9):
        candidate = float(f"{rounded:.{digits}g}")
        if _pack_float(candidate) == packed:
            return candidate
    return float(f"{rounded:.9g}")


def widened_float(value: float) -> float:
    """The value rounded to a 32-bit float.

    Raises:
        OverflowError: the value is finite and beyond the range of a float.
    """
    widened: float = _unpack_float(_pack_float(value))[0]
    return widened


def encode_text(text: str) -> bytes:
    """A Java string, in chunks if it must be."""
    if text.isascii():
        length = len(text)
        if length < 0x20:
            return TEXT_HEADS[length] + text.encode()
        if length < 0x400:
            return (0x3000 + length).to_bytes(2, "big") + text.encode()
        units = text
    else:
        units = text if max(text) <= "\uffff" else _units(text)
        length = len(units)
    start = 0
    parts: list[bytes] = []
    while length - start > STRING_CHUNK:
        end = start + STRING_CHUNK
        if "\ud800" <= units[end - 1] <= "\udbff":  # keep the halves of a pair together
            end -= 1
        parts.append(b"\x52" + (end - start).to_bytes(2, "big"))
        parts.append(units[start:end].encode("utf-8", "surrogatepass"))
        start = end
    left = length - start
    if left < 0x20:
        parts.append(TEXT_HEADS[left])
    elif left < 0x400:
        parts.append((0x3000 + left).to_bytes(2, "big"))
    else:
        parts.append(b"\x53" + left.to_bytes(2, "big"))
    parts.append(units[start:].encode("utf-8", "surrogatepass"))
    return b"".join(parts)


def _units(text: str) -> str:
    """The text with each character beyond U+FFFF as two surrogates."""
    wide = array("H")
    wide.frombytes(text.encode("utf-16", "surrogatepass"))  # native order, after a mark
    return "".join(map(chr, wide[1:]))


def encode_binary(data: bytes | bytearray | memoryview) -> bytes:
    """A Java byte[], in chunks if it must be."""
    data = bytes(data)
    length = len(data)
    if length < 0x10:
        return _BINARY_1[length] + data
    parts: list[bytes] = []
    start = 0
    while length - start > BINARY_CHUNK:
        parts.append(b"\x41" + BINARY_CHUNK.to_bytes(2, "big"))
        parts.append(data[start : start + BINARY_CHUNK])
        start += BINARY_CHUNK
    left = length - start
    if left < 0x10:
        parts.append(_BINARY_1[left])
    elif left < 0x400:
        parts.append((0x3400 + left).to_bytes(2, "big"))
    else:
        parts.append(b"\x42" + left.to_bytes(2, "big"))
    parts.append(data[start:])
    return b"".join(parts)


def encode_date(milliseconds: int) -> bytes:
    """A java.util.Date, in milliseconds since 1970 UTC; the caller has checked its range."""
    minutes, rest = divmod(milliseconds, 60_000)
    if rest == 0 and INT_MIN <= minutes <= INT_MAX:
        return _pack_int(0x4B, minutes)
    return _pack_long(0x4A, milliseconds)
