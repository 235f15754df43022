"""Values and messages for comparing the codecs: classes, random values, mutations of bytes."""

from __future__ import annotations

import string
import struct
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Generic, NotRequired, TypedDict, TypeVar, get_type_hints
from uuid import UUID

from kubbo.java import (
    Array,
    BigInteger,
    BigIntegerValue,
    BitSet,
    Byte,
    Char,
    Class,
    DateValue,
    Double,
    Float,
    Instant,
    JavaDatetime,
    JavaList,
    JavaMap,
    Key,
    LocalDateTime,
    Locale,
    Long,
    LongValue,
    MonthDay,
    Record,
    Short,
    ZoneOffset,
    pojo,
)

if TYPE_CHECKING:
    from random import Random

T = TypeVar("T")


@pojo("com.example.Colour", rename={"BLUE": "bleu"})
class Colour(Enum):
    RED = 1
    GREEN = 2
    BLUE = 3


class Level(IntEnum):
    """Not a class of Java: an int where an int is asked for."""

    LOW = 1
    HIGH = 2


@pojo("com.example.Address")
@dataclass
class Address:
    street: str
    city: str | None = "Berlin"
    zip_code: int = 0


@pojo("com.example.Point")
@dataclass(frozen=True)
class Point:
    """Hashable: may be a key."""

    x: int = 0
    y: Long | None = None


@pojo("com.example.Spot")
@dataclass(frozen=True, slots=True)
class Spot:
    name: str
    weight: Double = 0.0


@pojo("com.example.Tag")
@dataclass(slots=True)
class Tag:
    key: str
    values: list[str] = field(default_factory=list)


@pojo("com.example.Base")
@dataclass
class Base:
    id: Long = 0
    name: str = ""


@pojo("com.example.Derived")
@dataclass
class Derived(Base):
    flag: bool = False
    level: Short = 0


class Checked:
    """A descriptor that stores elsewhere: attributes of this name are not plain ones."""

    def __get__(self, owner: Any, _cls: Any = None) -> Any:
        return self if owner is None else owner.__dict__.get("guarded", 7)

    def __set__(self, owner: Any, value: Any) -> None:
        owner.__dict__["guarded"] = value


@pojo("com.example.Guarded")
@dataclass
class Guarded:
    guarded: int = 7
    free: str = ""


Guarded.guarded = Checked()  # type: ignore[assignment]


@pojo("com.example.Picky")
@dataclass
class Picky:
    """Its own `__setattr__` must not run on what a peer sent."""

    value: int = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if value == 13:
            raise ValueError("no thirteens here")
        object.__setattr__(self, name, value)


@pojo("com.example.Box")
@dataclass
class Box(Generic[T]):
    held: T | None = None


@pojo("com.example.OutOfStock")
class OutOfStock(Exception):  # noqa: N818 - Java's name
    sku: str
    left: int = 0


@pojo("com.example.Node")
@dataclass
class Node:
    id: int = 0
    name: str | None = None
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    anything: Any = None
    by_name: dict[str, Node] = field(default_factory=dict)
    colour: Colour | None = None


@pojo("com.example.Everything")
@dataclass
class Everything:
    a: Byte = 0
    b: Short = 0
    c: int = 0
    d: Long = 0
    e: Float = 0.0
    f: Double = 0.0
    g: bool = False
    h: Char = "x"
    i: int | None = None
    j: Long | None = None
    k: Double | None = None
    l: bool | None = None  # noqa: E741 - one letter a field
    m: str | None = None
    n: bytes | None = None
    o: Decimal | None = None
    p: datetime | None = None
    q: LocalDateTime | None = None
    r: Instant | None = None
    s: date | None = None
    t: time | None = None
    u: timedelta | None = None
    v: UUID | None = None
    w: BigInteger | None = None
    x: Array[int] | None = None
    y: Array[Long] | None = None
    z: Array[str] | None = None
    aa: Array[Double] | None = None
    ab: Array[Byte] | None = None
    ac: list[Long] | None = None
    ad: set[str] | None = None
    ae: dict[str, Long] | None = None
    af: dict[Point, Colour] | None = None
    ag: tuple[int, str] | None = None
    ah: tuple[int, ...] | None = None
    ai: list[list[Address]] | None = None
    aj: Any = None
    ak: Colour | None = None
    al: Box[Address] | None = None
    am: list[Point] | None = None
    an: Array[Array[int]] | None = None
    ao: frozenset[Point] | None = None
    ap: Array[Float] | None = None
    aq: Array[Char] | None = None


@pojo("com.example.Keyed")
class Keyed(TypedDict):
    """An object that is a dict here."""

    id: Long
    name: NotRequired[str]
    anything: Any
    parent: NotRequired[Keyed]
    children: list[Keyed]


class Mapped(TypedDict, total=False):
    k: list[Long]
    name: Any


CLASSES = (
    Node, Everything, Derived, Spot, Tag, Guarded, Picky, OutOfStock, Box, Point, Address,
    Keyed,
)  # fmt: skip

HINTS: tuple[Any, ...] = (
    *CLASSES,
    *(one for name, one in get_type_hints(Everything, include_extras=True).items() if name != "aj"),
    Any,
    list,
    dict,
    list[Any],
    list[str],
    list[Node],
    list[Derived],
    list[bool | None],
    dict[str, Any],
    dict[str, str],
    dict[int, list[Long]],
    dict[str, dict[str, Node]],
    list[Box[Point]],
    Box[Box[Long]],
    object,
    Colour,
    Base,
    set[Long],
    list[datetime],
    list[Decimal],
    list[Tag],
    list[Spot],
    list[Everything],
    list[list[Long]],
    list[list[Any]],
    list[tuple[Long, ...]],
    tuple[Any, str],
    tuple[list[Long], ...],
    dict[str, list[Long]],
    dict[tuple[int, ...], Any],
    list[dict[Long, Long]],
    list[frozenset[int]],
    set[tuple[Any, ...]],
    dict[BigInteger, set[BigInteger]],
    Keyed,
    list[Keyed],
    Mapped,
    dict[str, Mapped],
)

HINT_NAMES = (
    "int",
    "long[]",
    "java.util.List",
    "java.util.LinkedList",
    "java.util.TreeMap",
    "java.util.Map",
    "java.util.Set",
    "java.lang.Object",
    "java.lang.Integer[]",
    "com.example.Unknown",
    "com.example.Node",
    "java.lang.CharSequence",
    "char[]",
    "byte[]",
)


class Maker:
    """Random values; some are wrong on purpose."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.made: list[Any] = []

    def text(self) -> str:
        rng = self.rng
        length = rng.choice((0, 1, 2, 5, 5, 8, 12, 31, 32, 33))
        if rng.random() < 0.03:
            length = rng.choice((200, 1023, 1024, 40_000))
        alphabet = (string.ascii_letters, "aé", "a\u4e2d", "a\U0001f600", "\ud83d\ude00x")[
            rng.choice((0, 0, 0, 0, 1, 2, 3, 4))
        ]
        return "".join(rng.choices(alphabet, k=rng.randrange(length + 1)))

    def whole(self) -> int:
        bits = self.rng.choice((1, 4, 5, 7, 8, 11, 12, 15, 18, 19, 31, 32, 33, 62, 63, 64, 65))
        return self.rng.choice((-1, 1)) * (self.rng.getrandbits(bits) - self.rng.randrange(2))

    def double(self) -> float:
        rng = self.rng
        return rng.choice(
            (
                0.0, -0.0, 1.0, -1.0, 127.0, 128.0, -129.0, 32767.0, 32768.0, 12.25, 0.001, 0.1,
                2147483.647, -2147483.648, 2147483.648, 1e300, float("inf"), float("nan"),
                rng.uniform(-1e4, 1e4), round(rng.uniform(-1e6, 1e6), 3),
                float(rng.getrandbits(40)),
                struct.unpack(">d", rng.randbytes(8))[0],
            )
        )  # fmt: skip

    def leaf(self) -> Any:
        rng = self.rng
        match rng.randrange(26):
            case 0:
                return None
            case 1:
                return rng.random() < 0.5
            case 2 | 3 | 4:
                return self.whole()
            case 5:
                return LongValue(self.whole())
            case 6 | 7:
                return self.double()
            case 8 | 9 | 10 | 11:
                return self.text()
            case 12:
                return rng.randbytes(
                    rng.choice(
                        (0, 1, 15, 16, 40, 1023, 1024)
                        if rng.random() < 0.9
                        else (8_189, 8_190, 20_000)
                    )
                )
            case 13:
                return datetime(2020, 1, 2, 3, 4, 5, 678_000, UTC) + timedelta(
                    milliseconds=rng.randrange(10**11)
                )
            case 14:
                return datetime(2020, 1, 2, 3, 4, 5, 678_000)  # noqa: DTZ001 - LocalDateTime
            case 15:
                return rng.choice((date(2020, 1, 2), time(1, 2, 3), timedelta(1, 2, 3)))
            case 16:
                return Decimal(rng.randrange(-(10**6), 10**6)).scaleb(-rng.randrange(5))
            case 17:
                return UUID(int=rng.getrandbits(128))
            case 18:
                return BigIntegerValue(rng.getrandbits(rng.randrange(1, 200)))
            case 19:
                return rng.choice(list(Colour))
            case 20:
                return rng.choice(
                    (Level.HIGH, Locale("de_DE"), Class("a.B"), MonthDay(1, 2), ZoneOffset(3600))
                )
            case 21:
                return BitSet(rng.getrandbits(70))
            case 22:
                return DateValue(10**15)
            case 23:
                moment = datetime(2020, 1, 2, tzinfo=timezone(timedelta(hours=2)))
                return JavaDatetime.of(moment, "java.time.OffsetDateTime")
            case 24:
                return Point(rng.randrange(5))
            case _:
                return rng.choice(
                    (object(), 10**30, "x" * 33_000, Decimal("NaN"), {1}, "", 0, None)
                )

    def key(self) -> Any:
        key = self.leaf()
        try:
            hash(key)
        except TypeError:
            return Key(key)
        return key

    def value(self, depth: int = 3) -> Any:
        """Anything."""
        rng = self.rng
        if depth <= 0 or rng.random() < 0.3:
            return self.leaf()
        if self.made and rng.random() < 0.15:
            return rng.choice(self.made)
        some = range(rng.choice((0, 1, 1, 2, 2, 3, 3, 7, 8, 17)))
        below = depth - 1
        made: Any
        match rng.randrange(16):
            case 0 | 1:
                made = []
                self.made.append(made)  # before its items: they may refer to it
                made.extend(self.value(below) for _ in some)
                return made
            case 2:
                made = JavaList.of(
                    [self.value(below) for _ in some],
                    rng.choice(("java.util.LinkedList", "[string", "", "[object")),
                )
            case 3:
                made = JavaList.of(
                    [self.whole() for _ in some], rng.choice(("[int", "[long", "[java.lang.Long"))
                )
            case 4 | 5:
                made = {}
                self.made.append(made)
                for _ in some:
                    made[self.key()] = self.value(below)
                return made
            case 6:
                made = JavaMap.of(
                    {self.text(): self.value(below) for _ in some}, "java.util.TreeMap"
                )
            case 7:
                made = tuple(self.value(below) for _ in some)
            case 8:
                made = {rng.randrange(1000) for _ in some}
            case 9 | 10:
                names = [rng.choice(("id", "name", "children", "parent", "naïve")) for _ in some]
                made = Record(
                    rng.choice(("com.example.Unknown", "com.example.Node", "com.example.Keyed")),
                    {name: self.value(below) for name in names},
                )
            case 11:
                made = [self.text() for _ in some]
            case 12:
                made = {self.text(): self.text() for _ in some}
            case _:
                return self.instance(below)
        self.made.append(made)
        return made

    def instance(self, depth: int) -> Any:
        """An object of a registered class; seldom with fields of the wrong types."""
        rng = self.rng
        wrong = rng.random() < 0.08
        some = range(rng.choice((0, 1, 3, 6)))
        match rng.randrange(10):
            case 0 | 1 | 2:
                node = Node(self.whole() if wrong else rng.randrange(100), self.text())
                self.made.append(node)
                node.children = [self.node(depth) for _ in some]
                node.parent = self.node(depth)
                node.anything = self.value(depth - 1)
                node.by_name = {self.text(): self.node(depth) for _ in some}
                node.colour = rng.choice((None, *Colour))
                return node
            case 3:
                made: Any = Everything(
                    a=rng.randrange(-128, 128), c=rng.randrange(-(2**31), 2**31),
                    d=self.double_long(),
                    e=round(rng.uniform(-9, 9), 2), f=self.double(), g=rng.random() < 0.5,
                    i=rng.choice((None, 5)), j=rng.choice((None, 5, 2**40)), m=self.text(),
                    n=rng.randbytes(rng.randrange(40)), o=Decimal("1.50"),
                    p=datetime(2026, 1, 2, tzinfo=UTC),
                    v=UUID(int=rng.getrandbits(128)), w=rng.getrandbits(100),
                    x=[rng.randrange(100) for _ in some], y=[self.double_long() for _ in some],
                    z=[self.text() for _ in some], aa=[self.double() for _ in some],
                    ac=[self.double_long() for _ in some], ad={self.text() for _ in some},
                    ae={self.text(): rng.randrange(99) for _ in some},
                    af={Point(rng.randrange(99)): Colour.RED for _ in some},
                    ag=(1, "x"), ah=tuple(some), ai=[[Address("a")] for _ in some],
                    aj=self.value(depth - 1), ak=Colour.BLUE, al=Box(Address("boxed")),
                    am=[Point(1, 2), Point(3)], an=[[1, 2], [3]], ao=frozenset({Point(4)}),
                    ap=[0.5, 0.1], aq=["a", "b"], ab=[1, -1],
                )  # fmt: skip
                if wrong:
                    name = rng.choice(list(Everything.__annotations__))
                    setattr(made, name, self.value(depth - 1))
            case 4:
                made = Derived(self.double_long(), self.text(), flag=True, level=3)
            case 5:
                made = Tag(self.text(), self.value(1) if wrong else [self.text() for _ in some])
            case 6:
                made = Spot(self.text(), self.double())
            case 7:
                made = OutOfStock(self.text())
                made.sku = self.text()
                if wrong:
                    made.left = 2**40
            case 8:
                made = rng.choice((Guarded(5, "x"), Picky(5), Box(self.value(depth - 1))))
            case _:
                made = Point(rng.randrange(99), rng.choice((None, self.double_long())))
                if wrong:
                    object.__setattr__(made, "x", self.value(1))
        self.made.append(made)
        return made

    def node(self, depth: int) -> Any:
        known = [one for one in self.made if isinstance(one, Node)]
        if known and self.rng.random() < 0.3:
            return self.rng.choice(known)
        if depth <= 0 or self.rng.random() < 0.3:
            return None if self.rng.random() < 0.5 else Node(1, "leaf")
        made = self.instance(depth - 1)
        return made if isinstance(made, Node) or self.rng.random() < 0.05 else None

    def double_long(self) -> int:
        return max(-(2**63), min(2**63 - 1, self.whole()))


_INTERESTING = bytes(
    [0x00, 0x01, 0x1F, 0x20, 0x33, 0x3C, 0x41, 0x42, 0x43, 0x44, 0x46, 0x48, 0x49, 0x4A, 0x4B,
     0x4C, 0x4D, 0x4E, 0x4F, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x5F,
     0x60, 0x61, 0x6F, 0x70, 0x77, 0x78, 0x79, 0x7F, 0x80, 0x90, 0x91, 0xC8, 0xD4, 0xE0, 0xED,
     0xF0, 0xF8, 0xFF]
)  # fmt: skip


def mutate(data: bytes, rng: Random) -> bytes:
    """The bytes with one to four small changes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(8):
            case 0:
                del changed[at:]
            case 1:
                del changed[at : at + rng.randrange(1, 4)]
            case 2:
                changed[at:at] = bytes([rng.choice(_INTERESTING)])
            case 3:
                start = rng.randrange(len(changed) + 1)
                changed[at:at] = changed[start : start + rng.randrange(1, 30)]
            case 4:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case _:
                changed[at : at + 1] = bytes([rng.choice(_INTERESTING)])
    return bytes(changed)
