"""Seeded damage: from good messages to bad ones, the same for the same seed.

A coverage-guided fuzzer learns what a byte means; this one is told. Each strategy is one way
in which a message of Hessian goes wrong or is made to: some are plain noise, others know
where lengths, references, nesting, keys and numerals stand.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from kubbo.java import BigIntegerValue
from kubbo.wire.hessian2 import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BINARY", "TEXT", "Mutator", "Strategy"]

Strategy = Callable[[random.Random, bytearray, "Sequence[bytes]"], None]
"""Damages the bytes in place; the seeds are there to take parts of."""

MOST_BYTES = 1 << 16


class Mutator:
    """An endless stream of damaged seeds."""

    def __init__(self, seed: str, seeds: Sequence[bytes], strategies: Sequence[Strategy]) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._seeds = seeds
        self._strategies = strategies

    def next(self) -> bytes:
        """The next input."""
        rng = self._rng
        data = bytearray(rng.choice(self._seeds))
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
            rng.choice(self._strategies)(rng, data, self._seeds)
        return bytes(data[:MOST_BYTES])


def _at(rng: random.Random, data: bytearray) -> int:
    return rng.randrange(len(data) + 1)


# ------------------------------------------------------------------ noise


def flip(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Other bits in one byte."""
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def replace(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Other bytes in a row."""
    if data:
        at = rng.randrange(len(data))
        for more in range(at, min(len(data), at + rng.choice((1, 1, 2, 4)))):
            data[more] = rng.randrange(256)


def truncate(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """The end is lost."""
    del data[_at(rng, data) :]


def remove(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Some bytes are lost."""
    at = _at(rng, data)
    del data[at : at + rng.choice((1, 1, 2, 3, 8, 40))]


def insert(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Some bytes too many."""
    at = _at(rng, data)
    data[at:at] = rng.randbytes(rng.choice((1, 1, 2, 3, 8)))


def splice(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """A part of another message."""
    other = rng.choice(seeds)
    if other:
        start = rng.randrange(len(other))
        at = _at(rng, data)
        data[at : at + rng.choice((0, 0, 4, 40))] = other[start : start + rng.choice((8, 40, 400))]


def again(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A part of itself, many times."""
    if data:
        start = rng.randrange(len(data))
        part = bytes(data[start : start + rng.choice((1, 2, 3, 4, 6, 12, 60))])
        at = _at(rng, data)
        times = rng.choice((1, 1, 2, 8, 64)) if rng.random() < 0.9 else 4_000
        data[at:at] = part * times


# ------------------------------------------------------------------ what Hessian means

_BORDERS = (0, 1, -1, 7, 8, 31, 32, 63, 64, 65, 255, 1023, 1024, 65535, 2**31 - 1, -(2**31))
_SMALL_INTS = tuple(bytes([tag]) for tag in range(0x80, 0xC0))
_TAGS = bytes.fromhex("002030344142434448494a4b4c4d4e4f5152535455565758595a5b5f60707890e0")


def length(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A length or a count that does not fit."""
    at = _at(rng, data)
    value = rng.choice(_BORDERS)
    kind = rng.randrange(4)
    if kind == 0:
        data[at : at + 4] = struct.pack(">i", value)
    elif kind == 1:
        data[at : at + 2] = struct.pack(">H", value & 0xFFFF)
    elif kind == 2:
        data[at : at + 1] = b"\x49" + struct.pack(">i", value)
    else:
        data[at : at + 1] = rng.choice(_SMALL_INTS)


def huge(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A container or a text that claims to be enormous."""
    at = _at(rng, data)
    size = struct.pack(">i", rng.choice((2**31 - 1, 2**30, 10**6, 70_000)))
    data[at:at] = rng.choice(
        (
            b"\x58\x49" + size,
            b"\x56\x04[int\x49" + size,
            b"\x43\x01a\x49" + size,
            b"\x53\xff\xff",
            b"\x52\xff\xff",
            b"\x42\xff\xff",
            b"\x41\xff\xff",
            b"\x4f\x49" + size,
            b"\x51\x49" + size,
        )
    )


def tag(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Another kind of value."""
    if data:
        data[rng.randrange(len(data))] = rng.choice(_TAGS)


def reference(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A reference to something earlier, or to what is not there."""
    at = _at(rng, data)
    data[at : at + rng.choice((0, 1, 1))] = b"\x51" + rng.choice(_SMALL_INTS[12:40])


def nest(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Containers within containers, below, at and above the limit, and far above it."""
    at = _at(rng, data)
    times = rng.choice((3, 30, 60, 63, 64, 65, 1_000, 5_000))
    data[at:at] = (
        rng.choice((b"\x79", b"\x57", b"\x48\x90", b"\x71\x01a", b"\x60", b"\x4d\x00\x90")) * times
    )


def sharing(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Lists that hold the one before them twice: short here, huge when written out."""
    times = rng.choice((5, 20, 30, 60))
    made = bytearray(b"\x57\x7a\x90\x91")
    for number in range(1, times):
        made += b"\x7a" + (b"\x51" + bytes([0x90 + number])) * 2 if number < 40 else b"\x90"
    made += b"Z"
    data[_at(rng, data) :] = made


_PRIME = 2**61 - 1


def colliding(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Keys whose hashes are all the same."""
    count = rng.choice((3, 15, 17, 40))
    kind = rng.randrange(3)
    make: Callable[[int], object] = (
        (lambda n: BigIntegerValue(2**80 + n * _PRIME)),
        (lambda n: Decimal(2**80 + n * _PRIME)),
        (lambda n: UUID(int=n * _PRIME)),
    )[kind]
    keys = {make(number): number for number in range(1, count)}
    made = encode(keys if rng.random() < 0.7 else list(keys))
    at = _at(rng, data)
    data[at:at] = made


_CESU = (
    b"\x01\xed\xa0\xbd",
    b"\x02\xed\xb8\x80\xed\xa0\xbd",
    b"\x02\xed\xa0\xbd\xed\xb8\x80",
    b"\x01\xf0\x9f\x98\x80",
    b"\x01\xc0\x80",
    b"\x01\xe0\x80\x80",
    b"\x01\xc3",
    b"\x01\x80",
    b"\x1f" + b"\x80" * 60,
    b"\x52\x00\x01\xed\xa0\xbd\x01\xed\xb8\x80",
    b"\x52\x00\x00\x52\x00\x00\x00",
    b"\x53\x00\x03\xe4\xb8\xad\xc3\xa9a",
)


def cesu(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Text that is no CESU-8, or just so."""
    at = _at(rng, data)
    if rng.random() < 0.5:
        data[at : at + rng.choice((0, 1, 2))] = rng.choice(_CESU)
    else:
        data[at : at + 1] = bytes([rng.choice((0x80, 0xBF, 0xC0, 0xC3, 0xE4, 0xED, 0xF0, 0xFF))])


_NUMERALS = (
    "1E+10000",
    "1E-10000",
    "1E+10001",
    "1E+2147483647",
    "1E-99999999999",
    "0E+9999",
    "-0",
    "NaN",
    "sNaN",
    "Infinity",
    "1_0",
    ".5",
    "5.",
    "+1e5",
    "\u0661",
    "9" * 1_024,
    "9" * 1_025,
    "0." + "0" * 1_100 + "1",
    "",
)


def numeral(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Numbers as text that are endless, or no numbers."""
    text = rng.choice(_NUMERALS).encode()
    if len(text) < 32:
        value = bytes([len(text)]) + text
    else:
        value = bytes([0x30 + (len(text) >> 8) & 0xFF, len(text) & 0xFF]) + text
        if len(text) >= 1_024:
            value = b"\x53" + struct.pack(">H", len(text)) + text
    at = _at(rng, data)
    data[at:at] = rng.choice(
        (
            value,
            b"\x43\x14java.math.BigDecimal\x91\x05value\x60" + value,
            b"\x43\x0ejava.util.UUID\x91\x05value\x60" + value,
        )
    )


_JAVA8 = b"com.alibaba.com.caucho.hessian.io.java8."
_HANDLES = tuple(
    b"\x43" + struct.pack(">H", 0x3000 + len(name)) + name + fields
    for name, fields in (
        (_JAVA8 + b"LocalDateHandle", b"\x93\x03day\x05month\x04year"),
        (_JAVA8 + b"LocalTimeHandle", b"\x94\x04nano\x06second\x06minute\x04hour"),
        (_JAVA8 + b"LocalDateTimeHandle", b"\x92\x04time\x04date"),
        (_JAVA8 + b"InstantHandle", b"\x92\x05nanos\x07seconds"),
        (_JAVA8 + b"DurationHandle", b"\x92\x05nanos\x07seconds"),
        (_JAVA8 + b"OffsetDateTimeHandle", b"\x92\x06offset\x08dateTime"),
        (_JAVA8 + b"ZonedDateTimeHandle", b"\x93\x06offset\x08dateTime\x06zoneId"),
        (_JAVA8 + b"ZoneOffsetHandle", b"\x91\x07seconds"),
        (_JAVA8 + b"YearMonthHandle", b"\x92\x05month\x04year"),
        (b"com.alibaba.com.caucho.hessian.io.BitSetHandle", b"\x91\x05words"),
        (b"com.alibaba.com.caucho.hessian.io.LocaleHandle", b"\x91\x05value"),
    )
)


def handle(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """An object of the platform whose fields are anything."""
    made = bytearray(rng.choice(_HANDLES) + bytes([0x60 + rng.choice((0, 0, 0, 1, 2))]))
    for _ in range(rng.randrange(4)):
        other = rng.choice(seeds)
        made += rng.choice(
            (
                rng.choice(_SMALL_INTS),
                b"\x51\x90",
                b"\x4e",
                b"\x49" + rng.randbytes(4),
                b"\x4c" + rng.randbytes(8),
                bytes(other[: rng.choice((1, 3, 9, 40))]),
            )
        )
    at = _at(rng, data)
    data[at:at] = made


def definition(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A class with other fields, twice the same one, or many classes."""
    name = rng.choice((b"\x01A", b"\x11com.example.Point", b"\x10com.example.Pair", b"\x00"))
    fields = [b"\x01x", b"\x01y", b"\x01x", b"\x04name", b"\x00", b"\x0adetailMess"]
    count = rng.randrange(5)
    made = (
        b"\x43" + name + bytes([0x90 + count]) + b"".join(rng.choice(fields) for _ in range(count))
    )
    at = _at(rng, data)
    data[at:at] = made * rng.choice((1, 1, 1, 2, 50)) + b"\x60" * rng.randrange(3)


BINARY: tuple[Strategy, ...] = (
    flip,
    flip,
    replace,
    replace,
    truncate,
    remove,
    insert,
    splice,
    splice,
    again,
    length,
    length,
    huge,
    tag,
    tag,
    reference,
    reference,
    nest,
    sharing,
    colliding,
    cesu,
    numeral,
    handle,
    definition,
)


# ------------------------------------------------------------------ text

_TOKEN = re.compile(rb"[A-Za-z0-9_.+]+|\s+|.", re.DOTALL)
_TEXTS = (
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"-1", b"1e999", b"0.1", b"NaN",
    b"9" * 30, b"9" * 400, b"9" * 5_000, b'"class"', b'"value"', b'"entries"', b'"items"',
    b'"fields"', b'"base64"', b'"$ref"', b'"java.math.BigDecimal"', b'"java.math.BigInteger"',
    b'"long"', b'"int[]"', b'"byte[]"', b'"java.time.Duration"', b'"java.util.TreeMap"', b'"1bad"',
    b'"[["',
    b'"PT1H"', b'"P1Y"', b'"2024-02-29T12:00:00Z"', b'"\\ud83d"', b"\xff", b"\x00", b"\xe2\x80\xa8",
    b"://", b"///", b"|", b"kubernetes", b"static", b"dns", b"dubbo", b"localhost", b"::1", b"[",
    b"65536", b"0", b"\xc2\xb2", b"\xd9\xa1", b"%", b"?", b"#", b"@", b" ", b"\n", b"\r\n", b"..",
)  # fmt: skip


def token_replace(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Another word in place of one."""
    words = _TOKEN.findall(bytes(data))
    if words:
        words[rng.randrange(len(words))] = _word(rng, seeds)
        data[:] = b"".join(words)


def token_insert(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """A word too many."""
    words = _TOKEN.findall(bytes(data))
    words.insert(rng.randrange(len(words) + 1), _word(rng, seeds))
    data[:] = b"".join(words)


def token_swap(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Two words in each other's place."""
    words = _TOKEN.findall(bytes(data))
    if words:
        one, other = rng.randrange(len(words)), rng.randrange(len(words))
        words[one], words[other] = words[other], words[one]
        data[:] = b"".join(words)


def token_remove(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A word too few."""
    words = _TOKEN.findall(bytes(data))
    if words:
        del words[rng.randrange(len(words))]
        data[:] = b"".join(words)


def brackets(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Very deep, closed or not."""
    times = rng.choice((10, 99, 101, 1_500))
    at = _at(rng, data)
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    data[at:at] = opening * times + b"1" + closing * rng.choice((0, times))


def _word(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    if rng.random() < 0.7:
        return rng.choice(_TEXTS)
    words: list[bytes] = _TOKEN.findall(rng.choice(seeds))
    return rng.choice(words) if words else b""


TEXT: tuple[Strategy, ...] = (
    token_replace,
    token_replace,
    token_replace,
    token_insert,
    token_insert,
    token_swap,
    token_remove,
    flip,
    replace,
    truncate,
    remove,
    splice,
    again,
    brackets,
)
