"""A registry of classes that a peer would like to meet.

Classes whose code raises, that hold themselves, that are keys, that have many fields of
every type: what a user may write in good faith, and a peer may turn against him.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - hints that are read at runtime
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Generic, Literal, NotRequired, TypedDict, TypeVar
from uuid import UUID

from kubbo.java import (
    Array,
    BigInteger,
    BitSet,
    Byte,
    Char,
    Float,
    Instant,
    LocalDateTime,
    Locale,
    Long,
    LongValue,
    OffsetDateTime,
    OffsetTime,
    Period,
    Record,
    Short,
    SqlTimestamp,
    YearMonth,
    ZonedDateTime,
    pojo,
)
from kubbo.wire.hessian2 import JavaType, TypeRegistry

T = TypeVar("T")


@pojo("com.example.Color", rename={"RED": "Red"})
class Color(Enum):
    """An enum, one constant of which Java calls otherwise."""

    RED = 1
    GREEN = 2


@pojo("com.example.Point")
@dataclass(frozen=True, slots=True)
class Point:
    """A key: frozen, slotted."""

    x: int = 0
    y: Any = None


@pojo("com.example.Pair")
@dataclass(frozen=True)
class Pair:
    """A key that may hold itself."""

    left: Any = None
    right: Any = None


@pojo("com.example.Touchy")
@dataclass(eq=False)
class Touchy:
    """Its hash needs the first field only, its comparison the others."""

    id: int = 0
    name: str = ""

    def __hash__(self) -> int:
        return self.id & 3

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Touchy) and self.name < other.name

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pojo("com.example.Strict")
@dataclass
class Strict:
    """Code of its own that refuses everything; none of it may run while decoding."""

    count: int = 0
    made: ClassVar[int] = 0

    def __init__(self, *_: object) -> None:
        raise RuntimeError("no init")

    def __post_init__(self) -> None:
        raise RuntimeError("no post_init")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]  # as dataclass gives it


@pojo("com.example.Animal")
@dataclass
class Animal:
    """An ancestor."""

    name: str = ""
    legs: Short = 4


@pojo("com.example.Dog")
@dataclass
class Dog(Animal):
    """Its subclass, reached without being named."""

    friend: Animal | None = None
    good: bool | None = None


@pojo("com.example.Page")
@dataclass
class Page(Generic[T]):
    """A generic class."""

    items: list[T] = field(default_factory=list)
    total: Long = 0


@pojo("com.example.BizException")
class BizException(Exception):  # noqa: N818 - as Java calls it
    """A declared exception with fields of its own."""

    code: int = 0
    detail: list[str] | None = None


@pojo("com.example.Everything")
@dataclass
class Everything:
    """A field of every type."""

    flag: bool = False
    tiny: Byte = 0
    small: Short = 0
    letter: Char = "\0"
    number: int = 0
    big: Long = 0
    single: Float = 0.0
    ratio: float = 0.0
    boxed: int | None = None
    boxed_long: Long | None = None
    boxed_ratio: float | None = None
    text: str | None = None
    raw: bytes = b""
    numbers: Array[int] = field(default_factory=list)
    octets: Array[Byte] = field(default_factory=list)
    chars: Array[Char] = field(default_factory=list)
    floats: Array[Float] = field(default_factory=list)
    matrix: Array[Array[Long]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    prices: frozenset[Decimal] = frozenset()
    points: set[Point] = field(default_factory=set)
    pair: tuple[int, str] | None = None
    row: tuple[float, ...] = ()
    by_name: dict[str, Everything] = field(default_factory=dict)
    by_point: dict[Point, Any] = field(default_factory=dict)
    by_uuid: Mapping[UUID, Sequence[int]] = field(default_factory=dict)
    color: Color | None = None
    mode: Literal["a", "b"] | None = None
    price: Decimal | None = None
    huge: BigInteger | None = None
    uuid: UUID | None = None
    created: datetime | None = None
    day: date | None = None
    at: time | None = None
    zone_time: OffsetTime | None = None
    local: LocalDateTime | None = None
    instant: Instant | None = None
    offset: OffsetDateTime | None = None
    zoned: ZonedDateTime | None = None
    stamp: SqlTimestamp | None = None
    length: timedelta | None = None
    period: Period | None = None
    month: YearMonth | None = None
    bits: BitSet | None = None
    locale: Locale | None = None
    pet: Animal | None = None
    page: Page[Point] | None = None
    error: BizException | None = None
    record: Record | None = None
    anything: Any = None
    touchy: Touchy | None = None
    strict: Strict | None = None
    next: Everything | None = None


@pojo("com.example.Place")
class Place(TypedDict):
    """An object that is a dict here, and may hold itself."""

    x: Long
    of: Any
    next: NotRequired[Place]
    rows: NotRequired[list[list[Long]]]


class Shape(TypedDict, total=False):
    """A map with declared keys."""

    id: Long
    row: tuple[Long, ...]
    below: Any


CLASSES: tuple[type, ...] = (Everything, Pair, Dog, Strict, Touchy, Place)

HINTS: tuple[Any, ...] = (
    Everything,
    Any,
    list[Everything],
    dict[str, Everything],
    set[Point],
    frozenset[Decimal],
    dict[Point, list[Any]],
    dict[UUID, int],
    dict[Touchy, int],
    dict[tuple[int, ...], str],
    set[tuple[Any, ...]],
    tuple[int, str],
    tuple[tuple[float, ...], ...],
    list[list[Long]],
    list[set[Long]],
    Array[int],
    Array[Byte],
    Array[Char],
    Array[Array[float]],
    Page[Point],
    Page[Page[str]],
    Animal,
    Color,
    Point,
    Pair,
    Strict,
    BizException,
    bool,
    int,
    Long | None,
    Short,
    float,
    Float,
    Char,
    str,
    bytes,
    Decimal,
    BigInteger,
    UUID,
    datetime,
    date,
    time,
    timedelta,
    LocalDateTime,
    Instant,
    ZonedDateTime,
    SqlTimestamp,
    Locale,
    BitSet,
    Record,
    Place,
    list[Place],
    list[Shape],
    list[tuple[Long, ...]],
    list[tuple[Long, Any]],
    list[dict[Long, list[Long]]],
    list[frozenset[Long]],
    dict[BigInteger, set[BigInteger]],
    list[list[Any]],
    list[list[float]],
)


def registry() -> TypeRegistry:
    """A registry of all of them."""
    return TypeRegistry(CLASSES)


def kinds(of: TypeRegistry) -> tuple[JavaType, ...]:
    """The types of the hints, in their order."""
    return tuple(of.type_of(hint) for hint in HINTS)


def samples() -> list[Any]:
    """Values of these classes."""
    full = Everything(
        flag=True,
        tiny=-1,
        small=300,
        letter="\ud83d",
        number=-70_000,
        big=2**40,
        single=0.1,
        ratio=2.5,
        boxed=7,
        boxed_long=-9,
        text="na\u00efve \U0001f600",
        raw=b"\x00\xff" * 9,
        numbers=[1, -2, 2**31 - 1],
        octets=[1, -1],
        chars=["a", "\u00e9"],
        floats=[0.1, 1.5],
        matrix=[[1], [], [2**50]],
        names={"a", "b"},
        prices=frozenset({Decimal("1.50"), Decimal("-2E+5")}),
        points={Point(1, 2), Point(3, "x")},
        pair=(1, "x"),
        row=(0.5, 1.0),
        by_point={Point(5, None): [1, 2]},
        by_uuid={UUID(int=5): [1]},
        color=Color.RED,
        mode="a",
        price=Decimal("12.34"),
        huge=-(2**70),
        uuid=UUID(int=2**100),
        day=date(2024, 2, 29),
        at=time(1, 2, 3, 4),
        length=timedelta(seconds=-5),
        period=Period(1, 2, 3),
        month=YearMonth(2024, 2),
        bits=BitSet(2**70 + 2),
        locale=Locale("en_US"),
        pet=Dog(name="Rex", friend=Animal("Tom")),
        page=Page([Point(1, 1)], 1),
        error=BizException("no"),
        record=Record("com.example.Other", {"x": 1, "y": [None]}),
        anything={"k": [1.5, {1: "z"}]},
        touchy=Touchy(1, "t"),
    )
    full.next = full
    full.by_name = {"self": full}
    return [
        full,
        Everything(),
        [Pair(1, Pair(2, "x")), {Pair(1, 2): 3}],
        {Touchy(n, str(n)): n for n in range(6)},
        Dog(friend=Dog(name="b")),
        Page([Page(["a"], 1), Page([], 0)], 2),
        [Color.RED, Color.GREEN, Color.RED],
        BizException("text"),
        {UUID(int=n * (2**61 - 1)): n for n in range(9)},
        [(1, "x"), ((0.5,), (1.0, 2.0))],
        [Record("com.example.Place", {"x": LongValue(n), "of": None}) for n in range(4)],
        [[LongValue(n)] for n in range(5)],
        [{LongValue(n): [LongValue(7)]} for n in range(5)],
    ]
