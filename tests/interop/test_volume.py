"""Random values of random shapes, between hessian-lite and Kubbo, both ways.

A run takes the same values each time. `KUBBO_VOLUME=100000` makes it take so many each way
(about ten minutes) instead of 6,000. A value that fails is told with its octets.
"""

from __future__ import annotations

import os
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from uuid import UUID

import pytest
from tests.interop.services import Animal, Color, Dog, Everything, Item, Node, Point, User

from kubbo.java import (
    Array,
    BigInteger,
    BitSet,
    Byte,
    Char,
    Float,
    Instant,
    JavaName,
    LocalDateTime,
    Locale,
    Long,
    MonthDay,
    OffsetDateTime,
    OffsetTime,
    Period,
    Short,
    SqlTimestamp,
    Year,
    YearMonth,
    ZonedDateTime,
    ZoneId,
    ZoneOffset,
)
from kubbo.wire.hessian2 import TypeRegistry, decode, encode

if TYPE_CHECKING:
    from tests.interop.peer import HessianLite

COUNT = int(os.environ.get("KUBBO_VOLUME", "6000"))
BATCH = 5_000
SHOWN = 600
HALF_A_BUFFER = 4_096  # octets of hessian-lite's
MOST = 60  # items of all containers of one value together

pytestmark = pytest.mark.timeout(120 + COUNT // 10)


def batches() -> Iterator[tuple[int, int]]:
    """A seed and a number of values, as long as there are some to do."""
    left = COUNT
    seed = 1
    while left > 0:
        yield seed, min(BATCH, left)
        left -= BATCH
        seed += 1


# --- from Java -------------------------------------------------------------------------------


def longest_binary(java: Any) -> int:
    """The length of the longest byte[] in a description."""
    longest = 0
    waiting = [java]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            if isinstance(one.get("bytes"), str):
                longest = max(longest, len(one["bytes"]) // 2)
            waiting += one.values()
    return longest


def test_values_of_java_come_back_to_it_unchanged(hessian_lite: HessianLite) -> None:
    """Made and encoded in Java, decoded and encoded here, decoded there: the same values.

    And the same octets, but for one thing: Java cuts a byte[] where its buffer of 8 KiB
    ends, which depends on what was written before. (docs/wire/hessian2.md, Choices)
    """
    cut = 0
    for seed, count in batches():
        values = list(hessian_lite.random(seed, count))
        octets = [encode(decode(value.octets)) for value in values]
        for value, written, verdict in zip(values, octets, hessian_lite.judge(octets), strict=True):
            assert (verdict.error, verdict.java) == ("", value.java), value.octets.hex()[:SHOWN]
            if written != value.octets:
                assert len(value.octets) > HALF_A_BUFFER, value.octets.hex()[:SHOWN]
                assert longest_binary(value.java) >= 16, value.octets.hex()[:SHOWN]
                cut += 1
    assert cut <= COUNT // 100


# --- from Python -----------------------------------------------------------------------------

Make: TypeAlias = Callable[[], Any]


class Shapes:
    """Random hints, and random values of them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.left = 0

    def next(self) -> tuple[Any, Any]:
        """A hint and a value."""
        hint, make = self.shape(0)
        self.left = MOST
        return hint, make()

    def shape(self, depth: int) -> tuple[Any, Make]:
        """A hint and what makes values of it."""
        if depth >= 4 or self.rng.random() < 0.35:
            return self.nullable(*self.scalar())
        return self.nullable(*self.compound(depth))

    def nullable(self, hint: Any, make: Make) -> tuple[Any, Make]:
        if self.rng.random() < 0.75 or hint is object:
            return hint, make
        return hint | None, lambda: None if self.rng.random() < 0.3 else make()

    def scalar(self) -> tuple[Any, Make]:
        rng = self.rng
        return rng.choice(
            (
                (bool, lambda: rng.random() < 0.5),
                (int, lambda: self.number(32)),
                (Long, lambda: self.number(64)),
                (Short, lambda: self.number(16)),
                (Byte, lambda: self.number(8)),
                (float, self.real),
                (Float, lambda: self.number(20) / 8),
                (str, self.text),
                (str, self.text),
                (Char, lambda: chr(rng.randrange(0x10000))),
                (bytes, self.octets),
                (object, self.anything),
                *self.keys(),
                *self.times(),
                (BigInteger, lambda: self.number(200)),
                (BitSet, lambda: BitSet(rng.getrandbits(rng.randrange(1, 150)))),
                (Locale, lambda: Locale(rng.choice(("", "en", "en_US", "de_DE", "zh_CN")))),
                (User, lambda: User(self.number(64), self.text())),
                (Item, self.item),
                (Animal, self.animal),
                (Node, self.node),
                (Everything, self.everything),
            )
        )

    def keys(self) -> tuple[tuple[Any, Make], ...]:
        """Hints whose values are keys in Java as in Python."""
        rng = self.rng
        return (
            (str, self.text),
            (int, lambda: self.number(32)),
            (Long, lambda: self.number(64)),
            (UUID, lambda: UUID(int=rng.getrandbits(128))),
            (Decimal, self.decimal),
            (date, self.day),
            (Color, lambda: rng.choice(list(Color))),
            (Point, lambda: Point(self.number(32), self.number(32), self.text())),
        )

    def times(self) -> tuple[tuple[Any, Make], ...]:
        rng = self.rng
        return (
            (datetime, lambda: self.moment(milliseconds=True)),
            (SqlTimestamp, lambda: self.moment(milliseconds=True)),
            (Instant, self.moment),
            (OffsetDateTime, lambda: self.moment().astimezone(self.zone())),
            (ZonedDateTime, lambda: self.moment().astimezone(self.zone())),
            (LocalDateTime, lambda: datetime.combine(self.day(), self.clock())),
            (time, self.clock),
            (OffsetTime, lambda: self.clock().replace(tzinfo=self.zone())),
            (timedelta, lambda: timedelta(microseconds=self.number(60))),
            (Period, lambda: Period(self.number(31), self.number(31), self.number(31))),
            (Year, lambda: Year(self.number(20))),
            (YearMonth, lambda: YearMonth(rng.randrange(1, 9999), rng.randrange(1, 13))),
            (MonthDay, lambda: MonthDay(rng.randrange(1, 13), rng.randrange(1, 29))),
            (ZoneOffset, lambda: ZoneOffset(rng.randrange(-64_800, 64_801))),
            (ZoneId, lambda: ZoneId(rng.choice(("Europe/Berlin", "Asia/Tokyo")))),
        )

    def compound(self, depth: int) -> tuple[Any, Make]:
        kind = self.rng.randrange(11)
        if kind < 3:
            item, make = self.shape(depth + 1)
            hint: Any = list[item]
            if kind == 2:
                name = self.rng.choice(("java.util.LinkedList", "java.util.ArrayDeque"))
                if name == "java.util.ArrayDeque":  # holds no null
                    item, make = self.rng.choice(self.keys())
                hint = Annotated[list[item], JavaName(name)]
            return hint, lambda: [make() for _ in range(self.size())]
        if kind == 3:
            item, make = self.shape(depth + 1)
            return Array[item], lambda: [make() for _ in range(self.size())]
        if kind == 4:
            item, make = self.rng.choice(self.keys())
            return set[item], lambda: {make() for _ in range(self.size())}
        if kind == 5:
            item, make = self.rng.choice(self.keys())
            return frozenset[item], lambda: frozenset(make() for _ in range(self.size()))
        if kind in (6, 7):
            key, of_key = self.rng.choice(self.keys())
            item, make = self.shape(depth + 1)
            return dict[key, item], lambda: {of_key(): make() for _ in range(self.size())}
        if kind == 8:
            key, of_key = self.rng.choice(self.keys()[:5])
            item, make = self.shape(depth + 1)
            name = self.rng.choice(("java.util.TreeMap", "java.util.LinkedHashMap"))
            hint = Annotated[dict[key, item], JavaName(name)]
            return hint, lambda: {of_key(): make() for _ in range(self.size())}
        if kind == 9:
            item, make = self.shape(depth + 1)
            return tuple[item, ...], lambda: tuple(make() for _ in range(self.size()))
        shapes = [self.shape(depth + 1) for _ in range(self.rng.randrange(1, 4))]
        hints = tuple(hint for hint, _ in shapes)
        return tuple[hints], lambda: tuple(make() for _, make in shapes)

    # values

    def size(self) -> int:
        size = self.rng.choice((0, 1, 2, 3, 7, 8, 9)) if self.rng.random() < 0.9 else 40
        size = min(size, self.left)
        self.left -= size
        return size

    def number(self, bits: int) -> int:
        return self.rng.getrandbits(bits) - (1 << bits - 1) >> self.rng.randrange(bits)

    def real(self) -> float:
        rng = self.rng
        return rng.choice(
            (
                float(self.number(32)),
                self.number(40) * 0.001,
                self.number(20) / 8,
                rng.gauss(),
                rng.choice((float("inf"), float("-inf"), 5e-324, 1.7e308, 0.0)),
            )
        )

    def text(self) -> str:
        rng = self.rng
        length = rng.randrange(20) if rng.random() < 0.98 else rng.choice((31, 32, 1023, 1024))
        if rng.random() < 0.001:
            length = 40_000
        alphabet = rng.choice(
            (string.printable, "\u00e9\u00fc\u0416", "\u4e2d\u6587", "a\U0001f600\ud83d\ude00\x00")
        )
        text = "".join(rng.choices(alphabet, k=length))
        # Two halves beside each other are one character to Java, and to what we read.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

    def octets(self) -> bytes:
        length = self.rng.choice((0, 1, 15, 16)) if self.rng.random() < 0.98 else 9_000
        return self.rng.randbytes(length)

    def decimal(self) -> Decimal:
        return Decimal(self.number(80)).scaleb(self.rng.randrange(-15, 6))

    def day(self) -> date:
        return date.fromordinal(self.rng.randrange(1, date.max.toordinal() + 1))

    def clock(self) -> time:
        rng = self.rng
        micros = rng.choice((0, rng.randrange(1_000_000)))
        return time(rng.randrange(24), rng.randrange(60), rng.randrange(60), micros)

    def moment(self, *, milliseconds: bool = False) -> datetime:
        seconds = self.rng.randrange(-60_000_000_000, 250_000_000_000)
        unit = 1_000 if milliseconds else 1
        micros = self.rng.choice((0, self.rng.randrange(1_000_000) // unit * unit))
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return epoch + timedelta(seconds=seconds, microseconds=micros)

    def zone(self) -> timezone:
        return timezone(timedelta(minutes=self.rng.randrange(-18 * 60, 18 * 60 + 1)))

    def anything(self, depth: int = 0) -> Any:
        rng = self.rng
        if depth < 3 and rng.random() < 0.4:
            if rng.random() < 0.5:
                return [self.anything(depth + 1) for _ in range(self.size())]
            return {self.text(): self.anything(depth + 1) for _ in range(self.size())}
        makes: tuple[Make, ...] = (
            lambda: None,
            lambda: True,
            lambda: self.number(32),
            lambda: self.number(64),
            self.real,
            self.text,
            self.octets,
            self.decimal,
            self.moment_of_java,
            self.day,
            self.item,
            self.animal,
        )
        return rng.choice(makes)()

    def moment_of_java(self) -> datetime:
        return self.moment(milliseconds=True)

    def item(self) -> Item:
        tags = [self.text() for _ in range(self.rng.randrange(4))]
        color = self.rng.choice([*Color, None])
        return Item(self.number(64), self.text(), self.real(), color, tags)

    def animal(self) -> Animal:
        if self.rng.random() < 0.3:
            return Animal(self.text(), self.number(32))
        friend = self.animal() if self.rng.random() < 0.4 else None
        dog = Dog(self.text(), self.number(32), good=self.rng.random() < 0.5)
        dog.friend = friend if isinstance(friend, Dog) else None
        return dog

    def node(self) -> Node:
        """A graph: nodes that are shared, and that hold themselves."""
        rng = self.rng
        nodes = [Node(self.text()) for _ in range(rng.randrange(1, 6))]
        for node in nodes:
            node.next = rng.choice([*nodes, None])
            if rng.random() < 0.4:
                node.children = rng.choices(nodes, k=rng.randrange(4))
            if rng.random() < 0.3:
                node.other = rng.choice([self.anything(), nodes, node])
        return nodes[0]

    def everything(self) -> Everything:
        rng = self.rng
        made = Everything(
            flag=rng.random() < 0.5,
            tiny=self.number(8),
            small=self.number(16),
            letter=chr(rng.randrange(0x10000)),
            number=self.number(32),
            big=self.number(64),
            ratio=self.real(),
            text=self.text(),
            ints=[self.number(32) for _ in range(self.size())],
            strings=[self.text(), "x"],
            items=[self.item()],
            names={self.text() for _ in range(self.size())},
            by_number={self.number(32): self.item()},
            created=self.moment_of_java(),
            day=self.day(),
            instant=self.moment(),
            anything=self.anything(),
        )
        if rng.random() < 0.5:
            made.boxed_byte, made.boxed_short = self.number(8), self.number(16)
            made.boxed_float, made.boxed_double = self.number(20) / 8, self.real()
            made.boxed_long, made.boxed_char = self.number(64), "\ud83d"
            made.price, made.huge = self.decimal(), self.number(200)
            made.counts = {self.text(): self.number(32)}
            made.bytes = self.octets()
        return made


def difference(one: Any, other: Any) -> str:
    """Where two values differ first, empty if nowhere. Graphs are compared with their shape."""
    met: dict[int, int] = {}
    compared: set[tuple[int, int]] = set()
    waiting = [("", one, other)]
    while waiting:
        path, left, right = waiting.pop()
        if is_dataclass(left) and type(left) is type(right):
            before = met.setdefault(id(left), id(right))
            if before != id(right) and isinstance(left, Node):
                return f"{path}: another object than before"
            if (id(left), id(right)) in compared:
                continue
            compared.add((id(left), id(right)))
            for each in fields(left):
                part = f"{path}.{each.name}"
                waiting.append((part, getattr(left, each.name), getattr(right, each.name)))
        elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
            if len(left) != len(right) or isinstance(left, tuple) != isinstance(right, tuple):
                return f"{path}: {left!r:.200} and {right!r:.200}"
            waiting += [
                (f"{path}[{at}]", *pair) for at, pair in enumerate(zip(left, right, strict=True))
            ]
        elif isinstance(left, dict) and isinstance(right, dict):
            if left.keys() != right.keys():
                return f"{path}: keys {left!r:.200} and {right!r:.200}"
            waiting += [(f"{path}[{key!r:.40}]", left[key], right[key]) for key in left]
        elif isinstance(left, datetime) and isinstance(right, datetime):
            if left != right or (left.tzinfo and left.utcoffset() != right.utcoffset()):
                return f"{path}: {left!r} and {right!r}"
        elif left != right or isinstance(left, bool) != isinstance(right, bool):
            return f"{path}: {left!r:.200} and {right!r:.200}"
    return ""


def test_values_of_python_come_back_from_java_unchanged(hessian_lite: HessianLite) -> None:
    """Encoded here by a random hint, decoded and encoded in Java, decoded here: equal."""
    for seed, count in batches():
        registry = TypeRegistry([Everything, Node, Dog, User, Point])
        shapes = Shapes(seed)
        values = [shapes.next() for _ in range(count)]
        kinds = [registry.type_of(hint) for hint, _ in values]
        octets = [
            encode(value, registry, kind) for (_, value), kind in zip(values, kinds, strict=True)
        ]
        for (hint, value), kind, sent, verdict in zip(
            values, kinds, octets, hessian_lite.judge(octets), strict=True
        ):
            told = f"{hint}\n{sent.hex()[:SHOWN]}"
            assert verdict.error == "", told
            found = decode(verdict.octets, registry, kind)
            assert difference(value, found) == "", told


def test_differences_are_seen() -> None:
    """What compares the values of this file is not blind: each pair differs in one thing."""
    node, twin = Node("a"), Node("a")
    node.next, twin.next = node, Node("a")
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    for one, other in (
        (1, 2),
        (True, 1),
        ([1], [1, 2]),
        ([1], (1,)),
        ({"a": 1}, {"b": 1}),
        ({"a": [1]}, {"a": [2]}),
        (Item(1, "a"), Item(1, "b")),
        (node, twin),
        (noon, noon.astimezone(timezone(timedelta(hours=1)))),
    ):
        assert difference(one, other), f"{one!r:.50} and {other!r:.50}"
        assert not difference(one, one)
    assert len({str(Shapes(seed).next()[0]) for seed in range(50)}) > 20
