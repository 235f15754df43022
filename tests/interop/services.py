"""The interfaces of tests/interop/java in Python, and the Python provider that Java calls.

The interfaces are written out, one method a Java method, because their hints are what is under
test: each one decides a descriptor and the types on the wire. `echo_*` is implemented by one
function, since whatever was decoded goes back as it is.
"""

from __future__ import annotations

import asyncio
import collections.abc
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal  # noqa: TC003 - the hints are read at run time
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar
from uuid import UUID  # noqa: TC003 - the hints are read at run time

from kubbo import current_call
from kubbo.java import (
    Array,
    BigInteger,
    BitSet,
    Byte,
    Char,
    Class,
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
    SqlDate,
    SqlTime,
    SqlTimestamp,
    Year,
    YearMonth,
    ZonedDateTime,
    ZoneId,
    ZoneOffset,
    pojo,
    render,
)
from kubbo.rpc.service import method, service
from kubbo.wire.hessian2 import decode

VECTORS = Path(__file__).parents[1] / "vectors" / "hessian2"

T = TypeVar("T")


# --- values ----------------------------------------------------------------------------------


@pojo("com.example.User")
@dataclass
class User:
    id: Long = 0
    name: str | None = None


@pojo("com.example.interop.Color")
class Color(Enum):
    RED = 1
    GREEN = 2
    BLUE = 3


@pojo("com.example.interop.Item")
@dataclass
class Item:
    id: Long = 0
    name: str | None = None
    price: float = 0.0
    color: Color | None = None
    tags: list[str] | None = None


@pojo("com.example.interop.Animal")
@dataclass
class Animal:
    name: str | None = None
    legs: int = 0


@pojo("com.example.interop.Dog")
@dataclass
class Dog(Animal):
    good: bool = False
    friend: Dog | None = None


@pojo("com.example.interop.Shadow")
@dataclass
class Shadow(Animal):
    """Java hides a field of the parent by one of the same name: one attribute in Python."""

    name: str | None = None


@pojo("com.example.interop.Point")
@dataclass(frozen=True)
class Point:
    x: int = 0
    y: int = 0
    label: str | None = None


@pojo("com.example.interop.Node")
@dataclass(eq=False)
class Node:
    """Compared by identity: graphs may be cyclic."""

    name: str | None = None
    next: Node | None = None
    children: list[Node] | None = None
    other: object = None


@pojo("com.example.interop.Page$Cursor")
@dataclass
class Cursor:
    token: str | None = None
    more: bool = False


@pojo("com.example.interop.Page")
@dataclass
class Page(Generic[T]):
    items: list[T] | None = None
    total: int = 0
    cursor: Cursor | None = None


@pojo("com.example.interop.Everything")
@dataclass
class Everything:
    flag: bool = False
    tiny: Byte = 0
    small: Short = 0
    letter: Char = "\0"
    number: int = 0
    big: Long = 0
    ratio: float = 0.0
    boxed_flag: bool | None = None
    boxed_byte: Byte | None = None
    boxed_short: Short | None = None
    boxed_char: Char | None = None
    boxed_int: int | None = None
    boxed_long: Long | None = None
    boxed_float: Float | None = None
    boxed_double: float | None = None
    text: str | None = None
    bytes: bytes | None = None
    ints: Array[int] | None = None
    strings: Array[str] | None = None
    items: list[Item] | None = None
    names: set[str] | None = None
    counts: dict[str, int] | None = None
    by_number: dict[int, Item] | None = None
    color: Color | None = None
    price: Decimal | None = None
    huge: BigInteger | None = None
    created: datetime | None = None
    uuid: UUID | None = None
    day: date | None = None
    instant: Instant | None = None
    anything: object = None
    item: Item | None = None


@pojo("java.time.DayOfWeek")
class DayOfWeek(Enum):
    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6
    SUNDAY = 7


@pojo("com.example.interop.BizException")
class BizException(Exception):  # noqa: N818 - Java's name
    """Java's class has a field beside its message."""

    code: int

    def __init__(self, code: int = 0, message: str = "") -> None:
        super().__init__(message)
        self.code = code


@pojo("java.lang.IllegalStateException")
class IllegalStateError(Exception):
    """A class of Java's own: every caller's class check lets it pass."""


class UndeclaredError(Exception):
    """No class of Java stands for it."""


# --- interfaces ------------------------------------------------------------------------------


@service("com.example.GreetService", version="1.0.0")
class GreetService(Protocol):
    async def greet(self, user: User) -> str: ...
    async def say_hello(self, name: str | None) -> str: ...


@service("com.example.GreetService", group="eu", version="2.0.0")
class EuropeanGreetService(Protocol):
    async def greet(self, user: User) -> str: ...
    async def say_hello(self, name: str | None) -> str: ...


Number = Annotated[object, JavaName("java.lang.Number")]
Calendar = Annotated[datetime, JavaName("java.util.Calendar")]


@service(
    "com.example.interop.EchoService",
    types=[User, Point, Dog, Shadow, Page, Everything, Node, DayOfWeek, BizException],
)
class EchoService(Protocol):
    async def echo_int(self, value: int) -> int: ...
    async def echo_long(self, value: Long) -> Long: ...
    async def echo_short(self, value: Short) -> Short: ...
    async def echo_byte(self, value: Byte) -> Byte: ...
    async def echo_char(self, value: Char) -> Char: ...
    async def echo_float(self, value: Float) -> Float: ...
    async def echo_double(self, value: float) -> float: ...
    async def echo_boolean(self, value: bool) -> bool: ...
    async def echo_integer(self, value: int | None) -> int | None: ...
    async def echo_boxed_long(self, value: Long | None) -> Long | None: ...
    async def echo_boxed_short(self, value: Short | None) -> Short | None: ...
    async def echo_boxed_byte(self, value: Byte | None) -> Byte | None: ...
    async def echo_boxed_char(self, value: Char | None) -> Char | None: ...
    async def echo_boxed_float(self, value: Float | None) -> Float | None: ...
    async def echo_boxed_double(self, value: float | None) -> float | None: ...
    async def echo_boxed_boolean(self, value: bool | None) -> bool | None: ...
    async def echo_string(self, value: str | None) -> str | None: ...
    async def echo_bytes(self, value: bytes | None) -> bytes | None: ...
    async def echo_ints(self, value: Array[int]) -> Array[int]: ...
    async def echo_longs(self, value: Array[Long]) -> Array[Long]: ...
    async def echo_shorts(self, value: Array[Short]) -> Array[Short]: ...
    async def echo_chars(self, value: Array[Char]) -> Array[Char]: ...
    async def echo_floats(self, value: Array[Float]) -> Array[Float]: ...
    async def echo_doubles(self, value: Array[float]) -> Array[float]: ...
    async def echo_booleans(self, value: Array[bool]) -> Array[bool]: ...
    async def echo_int_matrix(self, value: Array[Array[int]]) -> Array[Array[int]]: ...
    async def echo_strings(self, value: Array[str | None]) -> Array[str | None]: ...
    async def echo_objects(self, value: Array[object]) -> Array[object]: ...
    async def echo_item_array(self, value: Array[Item | None]) -> Array[Item | None]: ...
    async def echo_integers(self, value: Array[int | None]) -> Array[int | None]: ...
    async def echo_boxed_longs(self, value: Array[Long | None]) -> Array[Long | None]: ...
    async def echo_dates(self, value: Array[datetime | None]) -> Array[datetime | None]: ...
    async def echo_colors(self, value: Array[Color | None]) -> Array[Color | None]: ...
    async def echo_string_list(self, value: list[str | None]) -> list[str | None]: ...
    async def echo_int_list(self, value: list[int]) -> list[int]: ...
    async def echo_long_list(self, value: list[Long]) -> list[Long]: ...
    async def echo_item_list(self, value: list[Item]) -> list[Item]: ...
    async def echo_string_set(self, value: set[str]) -> set[str]: ...
    async def echo_item_collection(
        self, value: collections.abc.Collection[Item]
    ) -> collections.abc.Collection[Item]: ...
    async def echo_string_map(self, value: dict[str, str | None]) -> dict[str, str | None]: ...
    async def echo_item_map(self, value: dict[str, Item]) -> dict[str, Item]: ...
    async def echo_int_key_map(self, value: dict[int, str]) -> dict[int, str]: ...
    async def echo_long_key_map(self, value: dict[Long, Item]) -> dict[Long, Item]: ...
    async def echo_enum_key_map(self, value: dict[Color, int]) -> dict[Color, int]: ...
    async def echo_object_map(self, value: dict[str, object]) -> dict[str, object]: ...
    async def echo_nested(
        self, value: dict[str, list[dict[int, Item]]]
    ) -> dict[str, list[dict[int, Item]]]: ...
    async def echo_page(self, value: Page[Item]) -> Page[Item]: ...
    async def echo_object(self, value: object) -> object: ...
    async def echo_color(self, value: Color | None) -> Color | None: ...
    async def echo_item(self, value: Item | None) -> Item | None: ...
    async def echo_everything(self, value: Everything) -> Everything: ...
    async def echo_node(self, value: Node) -> Node: ...
    async def echo_animal(self, value: Animal) -> Animal: ...
    async def echo_dog(self, value: Dog) -> Dog: ...
    async def echo_shadow(self, value: Shadow) -> Shadow: ...
    async def echo_point(self, value: Point) -> Point: ...
    async def echo_big_decimal(self, value: Decimal) -> Decimal: ...
    async def echo_big_integer(self, value: BigInteger) -> BigInteger: ...
    async def echo_date(self, value: datetime) -> datetime: ...
    @method(name="echoUUID")
    async def echo_uuid(self, value: UUID) -> UUID: ...
    async def echo_locale(self, value: Locale) -> Locale: ...
    async def echo_bit_set(self, value: BitSet) -> BitSet: ...
    async def echo_class(self, value: Class) -> Class: ...
    async def echo_calendar(self, value: Calendar) -> Calendar: ...
    async def echo_number(self, value: Number) -> Number: ...
    async def echo_local_date(self, value: date) -> date: ...
    async def echo_local_time(self, value: time) -> time: ...
    async def echo_local_date_time(self, value: LocalDateTime) -> LocalDateTime: ...
    async def echo_instant(self, value: Instant) -> Instant: ...
    async def echo_duration(self, value: timedelta) -> timedelta: ...
    async def echo_period(self, value: Period) -> Period: ...
    async def echo_zoned_date_time(self, value: ZonedDateTime) -> ZonedDateTime: ...
    async def echo_offset_date_time(self, value: OffsetDateTime) -> OffsetDateTime: ...
    async def echo_offset_time(self, value: OffsetTime) -> OffsetTime: ...
    async def echo_year(self, value: Year) -> Year: ...
    async def echo_year_month(self, value: YearMonth) -> YearMonth: ...
    async def echo_month_day(self, value: MonthDay) -> MonthDay: ...
    async def echo_zone_id(self, value: ZoneId) -> ZoneId: ...
    async def echo_zone_offset(self, value: ZoneOffset) -> ZoneOffset: ...
    async def echo_day_of_week(self, value: DayOfWeek) -> DayOfWeek: ...
    async def echo_sql_timestamp(self, value: SqlTimestamp) -> SqlTimestamp: ...
    async def echo_sql_date(self, value: SqlDate) -> SqlDate: ...
    async def echo_sql_time(self, value: SqlTime) -> SqlTime: ...
    @method(name="over")
    async def over_int(self, value: int) -> str: ...
    @method(name="over")
    async def over_string(self, value: str) -> str: ...
    async def join(self, first: str, second: int, third: Array[Long], fourth: Item) -> str: ...
    async def nothing(self) -> None: ...
    @method(oneway=True)
    async def oneway(self, text: str) -> None: ...
    async def last_oneway(self) -> str | None: ...
    async def sleep(self, ms: int) -> str: ...
    async def count(self, key: str) -> int: ...
    async def big(self, length: int) -> str: ...
    async def length(self, text: str) -> int: ...
    @method(throws=[BizException])
    async def throw_declared(self, code: int) -> None: ...
    async def throw_runtime(self, message: str) -> None: ...
    async def throw_unlisted(self) -> None: ...
    async def attachment(self, key: str) -> str | None: ...
    async def attachments(self) -> dict[str, str]: ...
    async def attach(self, key: str, value: str) -> str: ...
    async def describe(self, value: object) -> str: ...
    async def produce(self, name: str) -> object: ...
    async def cases(self) -> list[str]: ...
    async def address(self) -> str: ...


# --- the provider ----------------------------------------------------------------------------


def vectors() -> dict[str, dict[str, Any]]:
    """The golden values of hessian-lite, by their names."""
    lines = [
        json.loads(line)
        for file in sorted(VECTORS.glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return {line["name"]: line for line in lines}


@dataclass
class Greeter:
    """Both GreetServices; `name` says who answers."""

    name: str

    async def greet(self, user: User) -> str:
        return f"Hello {user.name} ({user.id}) from {self.name}"

    def say_hello(self, name: str | None) -> str:
        """A plain function: it runs in a worker thread."""
        return f"Hello {name} from {self.name}"


async def _same(value: Any) -> Any:
    return value


@dataclass
class Echo:
    """EchoService. `calls` counts executions by method."""

    calls: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0
    oneway_text: str | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    counts: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("echo_"):
            return _same
        raise AttributeError(name)

    async def over_int(self, value: int) -> str:
        return f"int {value}"

    async def over_string(self, value: str) -> str:
        return f"String {value}"

    async def join(self, first: str, second: int, third: list[int], fourth: Item) -> str:
        return f"{first},{second},{third},{fourth.name}"

    async def nothing(self) -> None:
        self.calls["nothing"] += 1

    def oneway(self, text: str) -> None:
        self.oneway_text = text

    async def last_oneway(self) -> str | None:
        return self.oneway_text

    async def sleep(self, ms: int) -> str:
        self.calls["sleep"] += 1
        try:
            await asyncio.sleep(ms / 1000)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return f"slept {ms}"

    async def count(self, key: str) -> int:
        self.counts[key] += 1
        return self.counts[key]

    async def big(self, length: int) -> str:
        return "x" * length

    def length(self, text: str) -> int:
        return len(text.encode("utf-16-le", "surrogatepass")) // 2

    async def throw_declared(self, code: int) -> None:
        raise BizException(code, f"declared {code}")

    def throw_runtime(self, message: str) -> None:
        raise IllegalStateError(message) from ValueError("cause")

    async def throw_unlisted(self) -> None:
        raise UndeclaredError("declared nowhere")

    def attachment(self, key: str) -> str | None:
        call = current_call()
        assert call is not None
        return call.attachments.get(key)

    async def attachments(self) -> dict[str, str]:
        call = current_call()
        assert call is not None
        return {key: str(value) for key, value in call.attachments.items()}

    async def attach(self, key: str, value: str) -> str:
        call = current_call()
        assert call is not None
        call.response_attachments[key] = value
        return value

    async def describe(self, value: object) -> str:
        return render(value)

    async def produce(self, name: str) -> object:
        return decode(bytes.fromhex(vectors()[name]["hex"]))

    async def cases(self) -> list[str]:
        return list(vectors())

    async def address(self) -> str:
        call = current_call()
        assert call is not None
        return call.peer
