"""Values of the Java platform: what Python holds exactly, what it cuts, what it refuses."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kubbo import java
from kubbo.errors import DecodeError, EncodeError
from kubbo.java import BitSet, DateValue, JavaDatetime, LongValue, Record
from kubbo.wire.hessian2 import TypeRegistry, decode, encode
from kubbo.wire.hessian2.scalars import shortest_float

_JAVA8 = "com.alibaba.com.caucho.hessian.io.java8."
CET = timezone(timedelta(hours=1))


def _round(value: Any, hint: Any) -> Any:
    registry = TypeRegistry()
    kind = registry.type_of(hint)
    return decode(encode(value, registry, kind), registry, kind)


MOMENT = datetime(2024, 2, 29, 13, 14, 15, 123_456, CET)


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (datetime, MOMENT, MOMENT.replace(microsecond=123_000)),
        (java.SqlTimestamp, MOMENT, MOMENT.replace(microsecond=123_000)),
        (java.SqlDate, MOMENT, MOMENT.replace(microsecond=123_000)),
        (java.SqlTime, MOMENT, MOMENT.replace(microsecond=123_000)),
        (java.Instant, MOMENT, MOMENT),
        (java.OffsetDateTime, MOMENT, MOMENT),
        (java.ZonedDateTime, MOMENT, MOMENT),
        (java.LocalDateTime, MOMENT.replace(tzinfo=None), MOMENT.replace(tzinfo=None)),
        (date, date(1, 1, 1), date(1, 1, 1)),
        (date, date(9999, 12, 31), date(9999, 12, 31)),
        (time, time(23, 59, 59, 999_999), time(23, 59, 59, 999_999)),
        (java.OffsetTime, time(1, 2, tzinfo=CET), time(1, 2, tzinfo=CET)),
        (timedelta, timedelta(days=-1, microseconds=1), timedelta(days=-1, microseconds=1)),
        (timedelta, timedelta.max, timedelta.max),
        (Decimal, Decimal("-0.00"), Decimal("-0.00")),
        (java.BigInteger, -(2**64), -(2**64)),
        (java.BigInteger, 0, 0),
        (java.BigInteger, 2**31, 2**31),
        (BitSet, BitSet(1 << 63), BitSet(1 << 63)),
        (java.Locale, "en_US", "en_US"),
    ],
)
def test_a_value_comes_back_by_its_hint(hint: Any, value: Any, expected: Any) -> None:
    """Exactly, but for the milliseconds of java.util.Date and java.sql."""
    found = _round(value, hint)
    assert found == expected
    if isinstance(expected, datetime) and hint is java.OffsetDateTime:
        assert found.utcoffset() == expected.utcoffset()


def test_dates_before_1970_are_rounded_down() -> None:
    """A moment before the epoch loses its microseconds towards the past, as in Java."""
    moment = datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)
    assert encode(moment).hex() == "4affffffffffffffff"
    assert decode(encode(moment)) == datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)


def test_dates_beyond_pythons_years_are_milliseconds() -> None:
    """Java's far future is kept where nothing is declared."""
    for value in (DateValue(2**63 - 1), DateValue(-(2**63)), DateValue(253_402_300_800_000)):
        found = decode(encode(value))
        assert (type(found), found) == (DateValue, value)
    with pytest.raises(EncodeError, match=r"no java\.util\.Date"):
        encode(DateValue(2**63))


def test_a_zone_is_carried_by_name() -> None:
    """A ZoneInfo's key goes out; coming in, the offset holds and the name is kept."""
    moment = datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    registry = TypeRegistry()
    data = encode(moment, registry, registry.type_of(java.ZonedDateTime))
    found = decode(data)
    assert isinstance(found, JavaDatetime)
    assert (found.java_type, found.zone) == ("java.time.ZonedDateTime", "Europe/Berlin")
    assert found == moment
    assert found.utcoffset() == timedelta(hours=2)
    assert encode(found) == data
    for offset, name in ((0, b"\x01Z"), (3600, b"\x06+01:00"), (-5400, b"\x06-01:30")):
        zone = timezone(timedelta(seconds=offset))
        data = encode(moment.astimezone(zone), registry, registry.type_of(java.ZonedDateTime))
        assert data.endswith(name)


def test_arithmetic_on_a_typed_datetime_is_written_as_a_date() -> None:
    """What is no longer what Java sent has no Java type of its own."""
    stamp = JavaDatetime.of(MOMENT, "java.time.Instant")
    assert encode(stamp + timedelta(seconds=1)) == encode(MOMENT + timedelta(seconds=1))


NANOS = Record(_JAVA8 + "LocalTimeHandle", {"nano": 1_001, "second": 3, "minute": 2, "hour": 1})
LOCAL = Record(_JAVA8 + "LocalDateTimeHandle", {"time": NANOS, "date": date(2024, 2, 29)})


@pytest.mark.parametrize(
    ("hint", "sent", "cut"),
    [
        (time, NANOS, time(1, 2, 3, 1)),
        (java.LocalDateTime, LOCAL, datetime(2024, 2, 29, 1, 2, 3, 1)),  # noqa: DTZ001 - local
        (
            java.Instant,
            Record(_JAVA8 + "InstantHandle", {"nanos": 1_999, "seconds": LongValue(0)}),
            datetime(1970, 1, 1, 0, 0, 0, 1, UTC),
        ),
        (
            timedelta,
            Record(_JAVA8 + "DurationHandle", {"nanos": 1_999, "seconds": LongValue(-1)}),
            timedelta(seconds=-1, microseconds=1),
        ),
        (
            java.OffsetDateTime,
            Record(
                _JAVA8 + "OffsetDateTimeHandle",
                {"offset": java.ZoneOffset(3600), "dateTime": LOCAL},
            ),
            datetime(2024, 2, 29, 1, 2, 3, 1, CET),
        ),
    ],
)
def test_nanoseconds_are_kept_or_cut(hint: Any, sent: Record, cut: Any) -> None:
    """A record with the same bytes where nothing is declared; microseconds under a hint.

    The record may be sent where the hint is, and is refused where another type is declared.
    """
    data = encode(sent)
    found = decode(data)
    assert isinstance(found, Record)
    assert encode(found) == data
    registry = TypeRegistry()
    declared = registry.type_of(hint)
    assert decode(data, registry, declared) == cut
    assert encode(found, registry, declared) == data
    with pytest.raises(EncodeError, match=r"is no java\.time\.Year"):
        encode(found, registry, registry.type_of(java.Year))


@pytest.mark.parametrize(
    ("hint", "sent"),
    [
        (date, Record(_JAVA8 + "LocalDateHandle", {"day": 1, "month": 1, "year": 12_345})),
        (date, Record(_JAVA8 + "LocalDateHandle", {"day": 31, "month": 2, "year": 2024})),
        (date, Record(_JAVA8 + "LocalDateHandle", {"day": "x"})),
        (time, Record(_JAVA8 + "LocalTimeHandle", {"nano": -1, "second": 0, "minute": 0})),
        (timedelta, Record(_JAVA8 + "DurationHandle", {"nanos": 0, "seconds": 2**62})),
        (java.Instant, Record(_JAVA8 + "InstantHandle", {"nanos": 0, "seconds": 2**62})),
        (java.BigInteger, Record("java.math.BigInteger", {"value": "15"})),
        (java.BigInteger, Record("java.math.BigInteger", {"mag": [1], "signum": 5})),
        (java.BigInteger, Record("java.math.BigInteger", {"mag": ["a"], "signum": 1})),
        (BitSet, Record("com.alibaba.com.caucho.hessian.io.BitSetHandle", {"words": ["x"]})),
        (BitSet, Record("com.alibaba.com.caucho.hessian.io.BitSetHandle", {})),
        (java.Locale, Record("com.alibaba.com.caucho.hessian.io.LocaleHandle", {"value": 1})),
        (java.SqlTimestamp, Record("java.sql.Timestamp", {"value": 5})),
    ],
)
def test_fields_that_are_no_value_stay_a_record_or_are_refused(hint: Any, sent: Record) -> None:
    """Never a crash: inert where nothing is declared, a DecodeError under a hint."""
    data = encode(sent)
    assert decode(data) == sent
    registry = TypeRegistry()
    with pytest.raises(DecodeError):
        decode(data, registry, registry.type_of(hint))


def test_bits_are_found_by_number() -> None:
    """A BitSet is asked like a set."""
    bits = BitSet(1 << 70 | 1 << 3)
    assert list(bits) == [3, 70]
    assert 3 in bits
    assert 4 not in bits
    with pytest.raises(EncodeError, match="negative"):
        encode(BitSet(-1))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.1, 0.1), (1.5, 1.5), (16777217.0, 16777216.0), (123456.789, 123456.79), (1.4e-45, 1.4e-45)],
)
def test_a_float_is_the_shortest_decimal_that_names_it(value: float, expected: float) -> None:
    """What Java's Float.toString gives, as a double."""
    assert shortest_float(value) == expected
