"""Values as JSON, for the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from kubbo import java
from kubbo.errors import EncodeError, RemoteException
from kubbo.java import JavaDatetime, JavaList, JavaMap, Key, Long, LongValue, Record, pojo
from kubbo.wire.hessian2 import TypeRegistry, decode, encode
from kubbo.wire.hessian2.jsonform import from_json, to_json


@pojo("com.example.Color")
class Color(Enum):
    RED = 1


@pojo("com.example.User")
@dataclass
class User:
    id: Long
    full_name: str = ""
    price: Decimal | None = None
    colors: set[Color] = field(default_factory=set)
    friend: User | None = None


PLAIN = [
    None,
    True,
    1,
    2**40,
    1.5,
    "a",
    [1, "a", None],
    {"a": [1]},
    Record("a.B", {"x": 1, "y": [Record("a.C", {})]}),
    Record("a.B", {"class": 1}),
    Record("a.B", {"fields": {"x": 1}}),
    Record("a.B", {"items": [1]}),
    Record("java.util.concurrent.atomic.AtomicInteger", {"value": 3}),
    b"\x00\xff",
    Decimal("1.50"),
    java.BigIntegerValue(2**80),
    UUID(int=5),
    datetime(2024, 2, 29, 12, 0, 1, 500_000, UTC),
    datetime(2024, 2, 29, 12, 0),  # noqa: DTZ001 - a LocalDateTime
    JavaDatetime.of(datetime(2024, 2, 29, tzinfo=UTC), "java.time.Instant"),
    JavaDatetime.of(
        datetime(2024, 2, 29, tzinfo=timezone(timedelta(hours=2))),
        "java.time.ZonedDateTime",
        zone="Europe/Berlin",
    ),
    date(2024, 2, 29),
    time(1, 2, 3),
    time(1, 2, 3, tzinfo=UTC),
    timedelta(hours=1, microseconds=5),
    timedelta(seconds=-1.5),
    java.DateValue(2**62),
    java.Period(1, -2, 3),
    java.Year(2024),
    java.YearMonth(2024, 2),
    java.MonthDay(2, 29),
    java.ZoneId("Europe/Berlin"),
    java.ZoneOffset(-3600),
    java.Locale("en_US"),
    java.Class("int"),
    java.BitSet(1 << 70 | 2),
    {1: "a", "b": 2},
    {"class": "x"},
    {Key([1]): 2},
]


@pytest.mark.parametrize("value", PLAIN, ids=[str(to_json(one))[:40] for one in PLAIN])
def test_what_is_shown_can_be_typed_again(value: Any) -> None:
    """Through JSON's text and back, the value has the same bytes."""
    shown = json.loads(json.dumps(to_json(value), allow_nan=False))
    assert encode(from_json(shown)) == encode(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (LongValue(5), 5),
        (JavaList.of([1], "[int"), [1]),
        ({"a"}, ["a"]),
        (JavaMap.of({"a": 1}, "java.util.TreeMap"), {"a": 1}),
        (JavaMap.of({1: 1}, "java.util.TreeMap"),
         {"class": "java.util.TreeMap", "entries": [[1, 1]]}),
        (float("nan"), {"class": "double", "value": "nan"}),
        (b"\x00", {"class": "byte[]", "base64": "AA=="}),
        (Color.RED, {"class": "com.example.Color", "name": "RED"}),
        (Record("a.B", {"x": 1}), {"class": "a.B", "x": 1}),
        (User(1, "Ann"), {"class": "com.example.User", "id": 1, "fullName": "Ann",
                          "price": None, "colors": [], "friend": None}),
    ],
)  # fmt: skip
def test_values_are_shown_in_this_form(value: Any, shown: Any) -> None:
    """The forms that the head of the module documents."""
    assert to_json(value) == shown


def test_an_exception_is_shown_with_its_causes() -> None:
    """Class, message, stack, cause and fields."""
    inner = RemoteException("a.Inner", "deep")
    shown = to_json(RemoteException("a.B", "m", cause=inner, stack=["x"], fields={"code": 7}))
    assert shown["class"] == "a.B"
    assert (shown["message"], shown["stack"], shown["fields"]) == ("m", ["x"], {"code": 7})
    assert shown["cause"]["class"] == "a.Inner"


def test_cycles_and_shared_values_are_shown_once() -> None:
    """Everything after that is the path of its first showing."""
    user = Record("a.User", {"name": "Ann"})
    user.fields["friends"] = [user]
    assert to_json({"users": [user, user]}) == {
        "users": [
            {"class": "a.User", "name": "Ann", "friends": [{"$ref": "$.users[0]"}]},
            {"$ref": "$.users[0]"},
        ]
    }


def test_what_is_shown_is_bounded() -> None:
    """By the number of values, and in depth."""
    shown = to_json([[n] for n in range(1_000)], limit=10)
    assert len(json.dumps(shown)) < 200
    assert "$cut" in json.dumps(shown)
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    assert "$cut" in json.dumps(to_json(deep))


TYPED: list[tuple[Any, Any, Any]] = [
    (int, 5, 5),
    (java.Long, "9007199254740993", 9007199254740993),
    (int, 5.0, 5),
    (float, 5, 5.0),
    (float, "nan", None),
    (Decimal, "1.50", Decimal("1.50")),
    (Decimal, 1.5, Decimal("1.5")),
    (java.BigInteger, "123", 123),
    (UUID, "00000000-0000-0000-0000-000000000005", UUID(int=5)),
    (datetime, "2024-02-29T12:00:00Z", datetime(2024, 2, 29, 12, tzinfo=UTC)),
    (datetime, 0, java.DateValue(0)),
    (date, "2024-02-29", date(2024, 2, 29)),
    (timedelta, "PT1H1.5S", timedelta(hours=1, seconds=1.5)),
    (bytes, "AAE=", b"\x00\x01"),
    (set[int], [1, 2], [1, 2]),
    (dict[int, str], {"1": "a"}, {1: "a"}),
    (list[Decimal], ["1"], [Decimal(1)]),
    (Color, "RED", Color.RED),
    (User, {"id": 1, "fullName": "Ann"}, User(1, "Ann")),
    (User, {"class": "com.example.User", "id": 1}, User(1)),
    (list[User], [{"id": 1, "friend": {"id": 2}}], [User(1, friend=User(2))]),
    (User | None, None, None),
    (Any, {"class": "long", "value": 1}, LongValue(1)),
    (Any, {"class": "com.example.User", "id": 1, "price": "2.5"}, User(1, price=Decimal("2.5"))),
    (Any, {"class": "int[]", "items": [1]}, [1]),
]


@pytest.mark.parametrize(("hint", "value", "expected"), TYPED)
def test_json_becomes_what_the_type_says(hint: Any, value: Any, expected: Any) -> None:
    """And it can be written as that type."""
    registry = TypeRegistry([User])
    kind = registry.type_of(hint)
    found = from_json(value, kind, registry)
    encode(found, registry, kind)
    if expected is None and value is not None:
        assert found != found  # noqa: PLR0124 - NaN
    else:
        assert found == expected


def test_a_named_class_takes_an_object_with_or_without_its_name() -> None:
    """`--types com.example.User` with plain JSON; nested ones need their class."""
    registry = TypeRegistry()
    kind = registry.parse("com.example.User")
    expected = Record("com.example.User", {"id": 1, "home": Record("a.Home", {"no": 5})})
    home = {"class": "a.Home", "no": 5}
    assert from_json({"id": 1, "home": home}, kind, registry) == expected
    named = {"class": "com.example.User", "id": 1, "home": home}
    assert from_json(named, kind, registry) == expected
    assert from_json([named], registry.parse("com.example.User[]"), registry) == [expected]


@pytest.mark.parametrize(
    ("hint", "value", "path"),
    [
        (int, "x", ""),
        (Decimal, "abc", ""),
        (UUID, "5", ""),
        (datetime, "2024-02-29T12:00:00", ""),
        (datetime, True, ""),
        (timedelta, "5s", ""),
        (bytes, "###", ""),
        (list[int], {"a": 1}, ""),
        (list[Decimal], ["1", "x"], "[1]"),
        (dict[str, UUID], {"k": "x"}, "k"),
        (Color, "GREEN", ""),
        (User, {"idd": 1}, ""),
        (User, [1], ""),
        (User, {"id": 1, "friend": {"price": "x"}}, "friend.price"),
        (Any, {"$ref": "$"}, ""),
        (Any, {"class": 5}, ""),
        (Any, {"class": "a b"}, ""),
        (Any, {"class": "byte[]", "base64": "#"}, ""),
        (Any, {"class": "java.util.Map", "entries": [[1]]}, "[0]"),
    ],
)
def test_json_that_does_not_fit_is_an_encode_error(hint: Any, value: Any, path: str) -> None:
    """The person who typed it is told where."""
    registry = TypeRegistry([User])
    with pytest.raises(EncodeError) as caught:
        encode(from_json(value, registry.type_of(hint), registry), registry)
    assert caught.value.path == path


def test_json_nested_beyond_all_measure_is_an_encode_error() -> None:
    """Not a RecursionError."""
    value: Any = []
    for _ in range(200):
        value = [value]
    with pytest.raises(EncodeError, match="deeply"):
        from_json(value)


def test_an_answer_is_shown_from_its_bytes() -> None:
    """As `kubbo call` does, without a registered class."""
    data = encode(User(1, "Ann", Decimal("1.5"), {Color.RED}))
    assert to_json(decode(data)) == {
        "class": "com.example.User",
        "colors": [{"class": "com.example.Color", "name": "RED"}],
        "friend": None,
        "fullName": "Ann",
        "id": 1,
        "price": {"class": "java.math.BigDecimal", "value": "1.5"},
    }
