"""Hints and Java names to types, and values to and from what those types say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import pytest

from kubbo import java
from kubbo.errors import DecodeError, EncodeError, UsageError
from kubbo.java import Array, JavaList, JavaMap, JavaName, Key, LongValue, Record
from kubbo.wire.hessian2 import Reader, TypeRegistry, Writer, decode, encode

UserId = NewType("UserId", int)

HINTS = [
    (int, "int", "I"),
    (java.Int, "int", "I"),
    (java.Long, "long", "J"),
    (java.Short, "short", "S"),
    (java.Byte, "byte", "B"),
    (java.Float, "float", "F"),
    (float, "double", "D"),
    (java.Double, "double", "D"),
    (bool, "boolean", "Z"),
    (java.Char, "char", "C"),
    (None, "void", "V"),
    (int | None, "java.lang.Integer", "Ljava/lang/Integer;"),
    (java.Long | None, "java.lang.Long", "Ljava/lang/Long;"),
    (java.Short | None, "java.lang.Short", "Ljava/lang/Short;"),
    (java.Byte | None, "java.lang.Byte", "Ljava/lang/Byte;"),
    (java.Float | None, "java.lang.Float", "Ljava/lang/Float;"),
    (float | None, "java.lang.Double", "Ljava/lang/Double;"),
    (bool | None, "java.lang.Boolean", "Ljava/lang/Boolean;"),
    (java.Char | None, "java.lang.Character", "Ljava/lang/Character;"),
    (str, "java.lang.String", "Ljava/lang/String;"),
    (str | None, "java.lang.String", "Ljava/lang/String;"),
    (bytes, "byte[]", "[B"),
    (Any, "java.lang.Object", "Ljava/lang/Object;"),
    (object, "java.lang.Object", "Ljava/lang/Object;"),
    (int | str, "java.lang.Object", "Ljava/lang/Object;"),
    (list[int], "java.util.List", "Ljava/util/List;"),
    (Sequence[str], "java.util.List", "Ljava/util/List;"),
    (tuple[int, ...], "java.util.List", "Ljava/util/List;"),
    (set[str], "java.util.Set", "Ljava/util/Set;"),
    (frozenset[str], "java.util.Set", "Ljava/util/Set;"),
    (dict[str, int], "java.util.Map", "Ljava/util/Map;"),
    (Mapping[str, int], "java.util.Map", "Ljava/util/Map;"),
    (Array[int], "int[]", "[I"),
    (Array[java.Long], "long[]", "[J"),
    (Array[java.Byte], "byte[]", "[B"),
    (Array[java.Char], "char[]", "[C"),
    (Array[str], "java.lang.String[]", "[Ljava/lang/String;"),
    (Array[int | None], "java.lang.Integer[]", "[Ljava/lang/Integer;"),
    (Array[Array[int]], "int[][]", "[[I"),
    (Array[bytes], "byte[][]", "[[B"),
    (Array[list[int]], "java.util.List[]", "[Ljava/util/List;"),
    (Decimal, "java.math.BigDecimal", "Ljava/math/BigDecimal;"),
    (java.BigInteger, "java.math.BigInteger", "Ljava/math/BigInteger;"),
    (UUID, "java.util.UUID", "Ljava/util/UUID;"),
    (datetime, "java.util.Date", "Ljava/util/Date;"),
    (date, "java.time.LocalDate", "Ljava/time/LocalDate;"),
    (time, "java.time.LocalTime", "Ljava/time/LocalTime;"),
    (timedelta, "java.time.Duration", "Ljava/time/Duration;"),
    (java.LocalDateTime, "java.time.LocalDateTime", "Ljava/time/LocalDateTime;"),
    (java.Instant, "java.time.Instant", "Ljava/time/Instant;"),
    (java.OffsetDateTime, "java.time.OffsetDateTime", "Ljava/time/OffsetDateTime;"),
    (java.ZonedDateTime, "java.time.ZonedDateTime", "Ljava/time/ZonedDateTime;"),
    (java.OffsetTime, "java.time.OffsetTime", "Ljava/time/OffsetTime;"),
    (java.SqlTimestamp, "java.sql.Timestamp", "Ljava/sql/Timestamp;"),
    (java.SqlDate, "java.sql.Date", "Ljava/sql/Date;"),
    (java.SqlTime, "java.sql.Time", "Ljava/sql/Time;"),
    (java.Period, "java.time.Period", "Ljava/time/Period;"),
    (java.Year, "java.time.Year", "Ljava/time/Year;"),
    (java.YearMonth, "java.time.YearMonth", "Ljava/time/YearMonth;"),
    (java.MonthDay, "java.time.MonthDay", "Ljava/time/MonthDay;"),
    (java.ZoneOffset, "java.time.ZoneOffset", "Ljava/time/ZoneOffset;"),
    (java.ZoneId, "java.time.ZoneId", "Ljava/time/ZoneId;"),
    (java.Locale, "java.util.Locale", "Ljava/util/Locale;"),
    (java.BitSet, "java.util.BitSet", "Ljava/util/BitSet;"),
    (java.Class, "java.lang.Class", "Ljava/lang/Class;"),
    (Literal["a", "b"], "java.lang.String", "Ljava/lang/String;"),
    (UserId, "int", "I"),
    (Annotated[int, "a remark"], "int", "I"),
    (
        Annotated[list[str], JavaName("java.util.LinkedList")],
        "java.util.LinkedList",
        "Ljava/util/LinkedList;",
    ),
    (Annotated[Any, JavaName("com.example.Odd")], "com.example.Odd", "Lcom/example/Odd;"),
]


@pytest.mark.parametrize(("hint", "name", "descriptor"), HINTS, ids=[str(row[0]) for row in HINTS])
def test_a_hint_has_one_java_type(hint: Any, name: str, descriptor: str) -> None:
    """The hint alone decides name and descriptor."""
    found = TypeRegistry().type_of(hint)
    assert (found.name, found.descriptor) == (name, descriptor)


NAMES = [(name, descriptor) for _, name, descriptor in HINTS] + [
    ("java.util.List<java.lang.String>", "Ljava/util/List;"),
    ("java.util.Map<java.lang.String, java.util.List<java.lang.Long>>[]", "[Ljava/util/Map;"),
    ("[I", "[I"),
    ("[Ljava.lang.String;", "[Ljava/lang/String;"),
    ("int...", "[I"),
    ("com.example.A$B[]", "[Lcom/example/A$B;"),
    ("java.util.Collection", "Ljava/util/Collection;"),
]


@pytest.mark.parametrize(("name", "descriptor"), NAMES)
def test_a_java_name_is_parsed(name: str, descriptor: str) -> None:
    """Every name that a hint can have, and Java's other spellings."""
    registry = TypeRegistry()
    assert registry.parse(name).descriptor == descriptor
    if descriptor != "V":
        [found] = registry.parse_descriptor(descriptor)
        assert found.descriptor == descriptor


def test_a_descriptor_of_several_parameters_is_parsed() -> None:
    """As the body of a request has it; empty for none."""
    found = TypeRegistry().parse_descriptor("Ljava/lang/String;I[J[[Ljava/util/Date;Z")
    assert [one.name for one in found] == [
        "java.lang.String",
        "int",
        "long[]",
        "java.util.Date[][]",
        "boolean",
    ]
    assert TypeRegistry().parse_descriptor("") == ()


@pytest.mark.parametrize("text", ["", "int[", "a b", "1a", "[X", "[", "a..b", "x" * 2000, "[I[J"])
def test_what_is_no_java_name_is_a_usage_error(text: str) -> None:
    """Peers send names too: nothing else may escape."""
    with pytest.raises(UsageError, match=r"is no|too long"):
        TypeRegistry().parse(text)


@pytest.mark.parametrize(
    "text", ["L", "Ljava/lang/String", "Q", "[", "I;", "[" * 300 + "I", "I" * 300, "L;", "L/;"]
)
def test_what_is_no_descriptor_is_a_usage_error(text: str) -> None:
    """Cut, unknown, or beyond the limits of the JVM."""
    with pytest.raises(UsageError, match="no descriptor"):
        TypeRegistry().parse_descriptor(text)


def test_a_hint_without_java_type_is_a_usage_error() -> None:
    """It names the hint, when the interface is read and not when it is called."""
    with pytest.raises(UsageError, match="Callable"):
        TypeRegistry().type_of(Callable[[], int])
    with pytest.raises(UsageError, match="complex"):
        TypeRegistry().type_of(complex)


# Hint, value and what is written.
WRITTEN: list[tuple[Any, Any, str]] = [
    (java.Long, 1, "e1"),
    (java.Long | None, None, "4e"),
    (java.Long | None, 1, "e1"),
    (float, 3, "5d03"),
    (java.Float, 0.1, "5f00000064"),
    (java.Float, 3.3e38, "4447ef08760572246" + "4"),
    (Array[java.Float], [0.1], "71065b666c6f6174443fb99999a0000000"),
    (java.Char, "c", "0163"),
    (Array[java.Char], ["a", "b"], "026162"),
    (Array[java.Byte], [1, -1], "2201ff"),
    (str, None, "4e"),
    (list[java.Long], [1, 2], "7ae1e2"),
    (dict[str, java.Long], {"a": 1}, "480161e15a"),
    (set[int], {5}, "71116a6176612e7574696c2e4861736853657495"),
    (Array[int], [1], "71045b696e7491"),
    (Array[java.Long], [1], "71055b6c6f6e67e1"),
    (Array[int | None], [1], "71125b6a6176612e6c616e672e496e746567657291"),
    (Array[str], ["a"], "71075b737472696e670161"),
    (Array[Any], [1], "71075b6f626a65637491"),
    (Array[datetime], [datetime(1970, 1, 1, tzinfo=UTC)], "71055b646174654b00000000"),
    (Array[Array[int]], [[1]], "71055b5b696e7471045b696e7491"),
    (tuple[int, java.Long], (1, 1), "7a91e1"),
    (Annotated[list[int], JavaName("java.util.LinkedList")], [1],
     "71146a6176612e7574696c2e4c696e6b65644c69737491"),
    (Annotated[dict[str, int], JavaName("java.util.TreeMap")], {},
     "4d116a6176612e7574696c2e547265654d61705a"),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "value", "golden"), WRITTEN)
def test_the_hint_decides_the_bytes(hint: Any, value: Any, golden: str) -> None:
    """A value that Python does not tell apart is written as its hint says."""
    registry = TypeRegistry()
    assert encode(value, registry, registry.type_of(hint)).hex() == golden


@pytest.mark.parametrize(
    ("hint", "value"),
    [(hint, value) for hint, value, _ in WRITTEN if value not in ([0.1], 3)],
)
def test_what_a_hint_wrote_is_read_back_by_it(hint: Any, value: Any) -> None:
    """With plain classes: no wrapper reaches a place whose type is declared."""
    registry = TypeRegistry()
    kind = registry.type_of(hint)
    found = decode(encode(value, registry, kind), registry, kind)
    assert found == value
    if isinstance(value, (int, str, tuple, set, dict)):
        assert isinstance(found, type(value))
    for one in found if isinstance(found, list) else [found]:
        assert not isinstance(one, LongValue)


REFUSED: list[tuple[Any, Any, str, str]] = [
    (int, 2**31, "", "kubbo.java.Long"),
    (java.Short, 40_000, "", "no short"),
    (java.Byte, 128, "", "no byte"),
    (java.Long, 2**63, "", "BigInteger"),
    (int, True, "", "no int"),
    (int, 1.0, "", "no int"),
    (int, None, "", "nullable"),
    (int, "1", "", "no int"),
    (float, "1", "", "no double"),
    (float, 10**400, "", "no double"),
    (java.Float, 1e300, "", "Double"),
    (bool, 1, "", "no boolean"),
    (java.Char, "ab", "", "no char"),
    (java.Char, "\U0001f600", "", "no char"),
    (str, b"x", "", "no java.lang.String"),
    (bytes, "x", "", r"no byte\[\]"),
    (Array[java.Byte], [200], "", "-128"),
    (list[int], "abc", "", "no java.util.List"),
    (list[int], {"a": 1}, "", "no java.util.List"),
    (list[int], [1, "a"], "[1]", "no int"),
    (dict[str, list[int]], {"a": [1, 2, 2**40]}, "['a'][2]", "Long"),
    (dict[str, int], [1], "", "no java.util.Map"),
    (set[int], 5, "", "no java.util.Set"),
    (tuple[int, int], (1,), "", "2 items"),
    (tuple[int, int], (1, "a"), "[1]", "no int"),
    (datetime, datetime(2024, 1, 1), "", "LocalDateTime"),  # noqa: DTZ001 - naive is the point
    (java.LocalDateTime, datetime(2024, 1, 1, tzinfo=UTC), "", "no time zone"),
    (java.Instant, datetime(2024, 1, 1), "", "time zone"),  # noqa: DTZ001 - naive is the point
    (date, datetime(2024, 1, 1, tzinfo=UTC), "", "no java.time.LocalDate"),
    (Decimal, Decimal("NaN"), "", "NaN"),
    (Decimal, 1.5, "", "no java.math.BigDecimal"),
    (UUID, "123", "", "no java.util.UUID"),
    (Any, 2**64, "", "BigInteger"),
    (Any, object(), "", "no Java type"),
    (Any, [1, {"k": object()}], "[1]['k']", "no Java type"),
]


@pytest.mark.parametrize(("hint", "value", "path", "text"), REFUSED)
def test_a_value_that_does_not_fit_is_an_error_that_names_the_place(
    hint: Any, value: Any, path: str, text: str
) -> None:
    """Where it is, what it is, what Java expects, and which hint would do."""
    registry = TypeRegistry()
    with pytest.raises(EncodeError, match=text) as caught:
        encode(value, registry, registry.type_of(hint))
    assert caught.value.path == path


def test_a_path_begins_with_what_the_writer_was_told() -> None:
    """The caller names the argument."""
    registry = TypeRegistry()
    with pytest.raises(EncodeError, match=r"^orders\[0\]: "):
        Writer(registry).write(["x"], registry.type_of(list[int]), "orders")


# Hint, what the peer sent and what we get.
CONVERTED: list[tuple[Any, Any, Any]] = [
    (int, LongValue(5), 5),
    (int, 5.0, 5),
    (int, True, 1),
    (int, None, 0),
    (int | None, None, None),
    (float, 5, 5.0),
    (float, None, 0.0),
    (bool, None, False),
    (java.Char, None, "\0"),
    (str, None, None),
    (java.Long, 5, 5),
    (list[java.Long], [LongValue(1), 2**40, 3], [1, 2**40, 3]),
    (list[list[java.Long]], [[LongValue(1)]], [[1]]),
    (set[str], ["a", "b", "a"], {"a", "b"}),
    (set[str], JavaList.of(["a"], "java.util.TreeSet"), {"a"}),
    (frozenset[int], [1], frozenset({1})),
    (tuple[int, ...], [1, LongValue(2)], (1, 2)),
    (tuple[int, str], [LongValue(1), "a"], (1, "a")),
    (dict[str, set[int]], {"a": [1]}, {"a": {1}}),
    (dict[int, str], {LongValue(1): "a"}, {1: "a"}),
    (dict[tuple[int, ...], str], {Key([1, 2]): "a"}, {(1, 2): "a"}),
    (list[Decimal], [Decimal("1.5"), 2, None], [Decimal("1.5"), Decimal(2), None]),
    (java.BigInteger, java.BigIntegerValue(7), 7),
    (Array[java.Byte], b"\x01\xff", [1, -1]),
    (Array[java.Char], "ab", ["a", "b"]),
    (bytes, b"x", b"x"),
    (Any, LongValue(5), LongValue(5)),
]


@pytest.mark.parametrize(("hint", "sent", "expected"), CONVERTED)
def test_what_a_peer_sent_becomes_what_the_hint_says(hint: Any, sent: Any, expected: Any) -> None:
    """As Java itself is lenient: a long for an int, null for a primitive, a list for a set."""
    registry = TypeRegistry()
    found = decode(encode(sent), registry, registry.type_of(hint))
    assert found == expected
    assert type(found) is type(expected)
    if hint is not Any and isinstance(found, list):
        assert [type(one) for one in found] == [type(one) for one in expected]


UNFIT: list[tuple[Any, Any, str]] = [
    (int, "a", ""),
    (int, 1.5, ""),
    (float, "a", ""),
    (bool, 1, ""),
    (str, 1, ""),
    (bytes, "a", ""),
    (java.Char, "ab", ""),
    (list[int], 5, ""),
    (list[int], [1, "a"], "[1]"),
    (list[list[int]], [[1], [2, None, "x"]], "[1][2]"),
    (dict[str, list[int]], {"k": [1, "x"]}, "['k'][1]"),
    (dict[str, int], [1], ""),
    (set[int], {"a": 1}, ""),
    (tuple[int, str], [1], ""),
    (Decimal, "1.5", ""),
    (datetime, 5, ""),
    (datetime, java.DateValue(2**62), ""),
    (UUID, Record("x.Y"), ""),
]


@pytest.mark.parametrize(("hint", "sent", "path"), UNFIT)
def test_what_does_not_fit_a_hint_is_a_decode_error_with_its_place(
    hint: Any, sent: Any, path: str
) -> None:
    """What was expected, what came, and where: `[1][2]`."""
    registry = TypeRegistry()
    data = encode(sent)
    with pytest.raises(DecodeError) as caught:
        decode(data, registry, registry.type_of(hint))
    assert caught.value.path == path
    assert 0 <= caught.value.offset < len(data)


def test_a_list_that_needs_no_conversion_is_not_copied() -> None:
    """The natural list is handed out, with the identity that references give it."""
    registry = TypeRegistry()
    shared = ["a"] * 20
    reader = Reader(encode([shared, shared]), registry)
    found = reader.read(registry.type_of(list[list[str]]))
    assert found[0] is found[1]


def test_a_shared_list_is_converted_once() -> None:
    """Two references to one list of longs give one list of plain ints."""
    registry = TypeRegistry()
    shared = [LongValue(1)]
    found = decode(encode([shared, shared]), registry, registry.type_of(list[list[java.Long]]))
    assert found == [[1], [1]]
    assert found[0] is found[1]


def test_typed_collections_keep_their_java_type_where_nothing_is_declared() -> None:
    """They are lists and dicts to everybody else."""
    found = decode(encode([JavaList.of([1], "a.L"), JavaMap.of({"k": 1}, "a.M")]))
    assert found == [[1], {"k": 1}]
    assert (found[0].java_type, found[1].java_type) == ("a.L", "a.M")


def test_a_class_that_is_not_registered_takes_a_dict_or_a_record() -> None:
    """A parsed class name makes a record of a dict; a record stays what it is."""
    registry = TypeRegistry()
    kind = registry.parse("com.example.Odd")
    expected = encode(Record("com.example.Odd", {"x": 1}))
    assert encode({"x": 1}, registry, kind) == expected
    assert encode(Record("com.example.Odd", {"x": 1}), registry, kind) == expected
    assert encode(None, registry, kind) == b"N"
    assert decode(expected, registry, kind) == Record("com.example.Odd", {"x": 1})


def test_keys_that_python_cannot_hash_are_wrapped_and_written_back() -> None:
    """A map with a list and a record as keys survives, by identity."""
    data = bytes.fromhex("487991914303612e429060925a")
    found = decode(data)
    assert [key.value for key in found] == [[1], Record("a.B")]
    assert encode(found) == data


def test_a_local_date_time_is_no_date_wherever_it_stands() -> None:
    """A `datetime` without a zone is refused at the top, in a list and in a field alike."""

    @java.pojo("com.example.Dated")
    @dataclass
    class Dated:
        at: datetime | None = None

    registry = TypeRegistry([Dated])
    local = datetime(2024, 2, 29, 12, 30)  # noqa: DTZ001 - without a zone, on purpose
    for value, hint, path in (
        (local, datetime, ""),
        ([local], list[datetime], "[0]"),
        (Record("com.example.Dated", {"at": local}), Dated, "at"),
    ):
        with pytest.raises(DecodeError, match=r"expected java\.util\.Date") as caught:
            decode(encode(value), registry, registry.type_of(hint))
        assert caught.value.path == path


def test_what_is_shared_is_one_object_for_all_who_declare_the_same() -> None:
    """A list under two fields of one type is one list, also where nothing is declared later."""

    @java.pojo("com.example.Sharing")
    @dataclass
    class Sharing:
        a: list[list[java.Long]]
        b: list[list[java.Long]]
        c: tuple[list[java.Long], ...]
        d: Any

    rows = [[2**40], [1]]
    registry = TypeRegistry([Sharing])
    value = Sharing(rows, rows, (), rows)
    found = decode(encode(value, registry), registry)
    assert found == value
    assert found.a is found.b
    other = decode(
        encode(Record("com.example.Sharing", {"a": rows, "c": rows, "d": rows})), registry
    )
    assert other.c == ([2**40], [1])
    assert other.c[0] is other.a[0]
    assert other.d is other.a
