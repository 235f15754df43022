"""Golden bytes.

`GRAMMAR` is written from the grammar of Hessian 2.0. `HESSIAN_LITE` is what
`Hessian2Output` of org.apache.dubbo:hessian-lite:4.0.4 wrote for these values on OpenJDK 17
(a stream of `writeObject` calls each).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import pytest

from kubbo.errors import DecodeError
from kubbo.java import (
    BigIntegerValue,
    BitSet,
    Class,
    DateValue,
    JavaDatetime,
    JavaList,
    JavaMap,
    Locale,
    LongValue,
    MonthDay,
    Period,
    Record,
    Year,
    YearMonth,
    ZoneId,
    ZoneOffset,
)
from kubbo.wire.hessian2 import Reader, TypeRegistry, Writer, decode, encode

_JAVA8 = "com.alibaba.com.caucho.hessian.io.java8."


def _itself() -> list[object]:
    found: list[object] = []
    found.append(found)
    return found


GRAMMAR = [
    (None, "4e"),
    (True, "54"),
    (False, "46"),
    # int: one byte, two, three, five, and both sides of each border
    (0, "90"),
    (-16, "80"),
    (47, "bf"),
    (-17, "c7ef"),
    (48, "c830"),
    (-2048, "c000"),
    (2047, "cfff"),
    (-2049, "d3f7ff"),
    (2048, "d40800"),
    (-262144, "d00000"),
    (262143, "d7ffff"),
    (-262145, "49fffbffff"),
    (262144, "4900040000"),
    (-(2**31), "4980000000"),
    (2**31 - 1, "497fffffff"),
    # long: one byte, two, three, five, nine
    (LongValue(0), "e0"),
    (LongValue(-8), "d8"),
    (LongValue(15), "ef"),
    (LongValue(-9), "f7f7"),
    (LongValue(16), "f810"),
    (LongValue(-2048), "f000"),
    (LongValue(2047), "ffff"),
    (LongValue(-2049), "3bf7ff"),
    (LongValue(2048), "3c0800"),
    (LongValue(-262144), "380000"),
    (LongValue(262143), "3fffff"),
    (LongValue(-262145), "59fffbffff"),
    (LongValue(262144), "5900040000"),
    (LongValue(2**31 - 1), "597fffffff"),
    (2**31, "4c0000000080000000"),
    (-(2**31) - 1, "4cffffffff7fffffff"),
    (2**63 - 1, "4c7fffffffffffffff"),
    (-(2**63), "4c8000000000000000"),
    # double: two constants, bytes, shorts, thousandths, all
    (0.0, "5b"),
    (1.0, "5c"),
    (-128.0, "5d80"),
    (127.0, "5d7f"),
    (-129.0, "5eff7f"),
    (128.0, "5e0080"),
    (-32768.0, "5e8000"),
    (32767.0, "5e7fff"),
    (32768.0, "5f01f40000"),
    (0.001, "5f00000001"),
    (-12.5, "5fffffcf2c"),
    (2147483.647, "5f7fffffff"),
    (12.34567, "444028b0fba8826aa9"),
    (1e10, "444202a05f20000000"),
    (float("inf"), "447ff0000000000000"),
    # string: length in UTF-16 units, CESU-8
    ("", "00"),
    ("hello", "0568656c6c6f"),
    ("x" * 31, "1f" + "78" * 31),
    ("x" * 32, "3020" + "78" * 32),
    ("x" * 1023, "33ff" + "78" * 1023),
    ("x" * 1024, "530400" + "78" * 1024),
    ("x" * 32768, "538000" + "78" * 32768),
    ("x" * 32769, "528000" + "78" * 32768 + "0178"),
    ("x" * 65537, ("528000" + "78" * 32768) * 2 + "0178"),
    ("\u00e9\u4e2d", "02c3a9e4b8ad"),
    ("\U0001f600", "02eda0bdedb880"),
    ("\ud83d", "01eda0bd"),
    ("\x00", "0100"),
    ("x" * 32767 + "\U0001f600" + "y", "527fff" + "78" * 32767 + "03eda0bdedb88079"),
    # binary
    (b"", "20"),
    (b"\x01\x02", "220102"),
    (b"a" * 15, "2f" + "61" * 15),
    (b"a" * 16, "3410" + "61" * 16),
    (b"a" * 1023, "37ff" + "61" * 1023),
    (b"a" * 1024, "420400" + "61" * 1024),
    (b"a" * 8189, "421ffd" + "61" * 8189),
    (b"a" * 8190, "411ffd" + "61" * 8189 + "2161"),
    (b"a" * 20000, ("411ffd" + "61" * 8189) * 2 + "420e26" + "61" * 3622),
    # date
    (datetime(1998, 5, 8, 9, 51, 31, tzinfo=UTC), "4a000000d04b9284b8"),
    (datetime(1998, 5, 8, 9, 51, tzinfo=UTC), "4b00e3838f"),
    # lists, maps
    ([], "78"),
    ([1, "a"], "7a910161"),
    ([0] * 7, "7f" + "90" * 7),
    ([0] * 8, "5898" + "90" * 8),
    ({}, "485a"),
    ({1: "fee"}, "4891036665655a"),
    (Record("a.B", {"x": 1}), "4303612e429101786091"),
    (Record("a.B"), "4303612e429060"),
]

HESSIAN_LITE = [
    (
        "BigDecimal, one twice",
        [*[Decimal("1.50")] * 2, Decimal("1E+3")],
        ("43146a6176612e6d6174682e426967446563696d616c910576616c75656004312e35305190600431452b33"),
    ),
    (
        "BigInteger",
        [BigIntegerValue(123456789012345678901234567890)],
        (
            "43146a6176612e6d6174682e426967496e746567657296036d61671966697273744e6f6e"
            "7a65726f496e744e756d506c757354776f136c6f77657374536574426974506c75735477"
            "6f106269744c656e677468506c75734f6e650f626974436f756e74506c75734f6e650673"
            "69676e756d6074045b696e7491498ee90ff649c373e0ee494e3f0ad29090909091"
        ),
    ),
    (
        "negative BigInteger",
        [BigIntegerValue(-5)],
        (
            "43146a6176612e6d6174682e426967496e746567657296036d61671966697273744e6f6e"
            "7a65726f496e744e756d506c757354776f136c6f77657374536574426974506c75735477"
            "6f106269744c656e677468506c75734f6e650f626974436f756e74506c75734f6e650673"
            "69676e756d6071045b696e7495909090908f"
        ),
    ),
    (
        "BigInteger.ZERO",
        [BigIntegerValue(0)],
        (
            "43146a6176612e6d6174682e426967496e746567657296036d61671966697273744e6f6e"
            "7a65726f496e744e756d506c757354776f136c6f77657374536574426974506c75735477"
            "6f106269744c656e677468506c75734f6e650f626974436f756e74506c75734f6e650673"
            "69676e756d6070045b696e749090909090"
        ),
    ),
    (
        "UUID, one twice",
        [UUID("123e4567-e89b-12d3-a456-426614174000")] * 2,
        (
            "430e6a6176612e7574696c2e55554944910576616c756560302431323365343536372d65"
            "3839622d313264332d613435362d3432363631343137343030305190"
        ),
    ),
    (
        "LocalDate, one twice: handles are not shared",
        [date(2024, 2, 29)] * 2,
        (
            "433037636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e6a617661382e4c6f63616c4461746548616e646c659303646179056d6f6e7468047965"
            "617260ad92cfe860ad92cfe8"
        ),
    ),
    (
        "LocalTime",
        [time(1, 2, 3, 4)],
        (
            "433037636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e6a617661382e4c6f63616c54696d6548616e646c6594046e616e6f067365636f6e6406"
            "6d696e75746504686f757260d40fa0939291"
        ),
    ),
    (
        "Period",
        [Period(1, 2, 3)],
        (
            "433034636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e6a617661382e506572696f6448616e646c65930464617973066d6f6e74687305796561"
            "727360939291"
        ),
    ),
    (
        "Year",
        [Year(2024)],
        (
            "433032636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e6a617661382e5965617248616e646c6591047965617260cfe8"
        ),
    ),
    (
        "YearMonth",
        [YearMonth(2024, 2)],
        (
            "433037636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e6a617661382e596561724d6f6e746848616e646c6592056d6f6e746804796561726092"
            "cfe8"
        ),
    ),
    (
        "MonthDay",
        [MonthDay(2, 29)],
        (
            "433036636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e6a617661382e4d6f6e746844617948616e646c659203646179056d6f6e746860ad92"
        ),
    ),
    (
        "ZoneOffset",
        [ZoneOffset(7200)],
        (
            "433038636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e6a617661382e5a6f6e654f666673657448616e646c6591077365636f6e647360d41c20"
        ),
    ),
    (
        "ZoneId",
        [ZoneId("Europe/Berlin")],
        (
            "433034636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e6a617661382e5a6f6e65496448616e646c6591067a6f6e654964600d4575726f70652f"
            "4265726c696e"
        ),
    ),
    (
        "Instant with nanoseconds that Python cannot hold",
        [Record(_JAVA8 + "InstantHandle", {"nanos": 6, "seconds": LongValue(5)})],
        (
            "433035636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e6a617661382e496e7374616e7448616e646c6592056e616e6f73077365636f6e647360"
            "96e5"
        ),
    ),
    (
        "negative Duration with nanoseconds",
        [Record(_JAVA8 + "DurationHandle", {"nanos": 6, "seconds": LongValue(-5)})],
        (
            "433036636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e6a617661382e4475726174696f6e48616e646c6592056e616e6f73077365636f6e6473"
            "6096db"
        ),
    ),
    (
        "java.util.Date: milliseconds, minutes, beyond Python's years",
        [datetime.fromtimestamp(1700000000.123, UTC)] * 2
        + [
            datetime(2023, 11, 14, 22, 14, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, tzinfo=UTC),
            DateValue((1 << 63) - 1),
            datetime(6053, 1, 23, 2, 7, tzinfo=UTC),
            datetime(6053, 1, 23, 2, 8, tzinfo=UTC),
        ],
        (
            "4a0000018bcfe5687b4a0000018bcfe5687b4b01b055164bffffffff4a7fffffffffffff"
            "ff4b7fffffff4a0000753000000000"
        ),
    ),
    (
        "java.sql.Timestamp",
        [JavaDatetime.of(datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC), "java.sql.Timestamp")]
        * 2,
        ("43126a6176612e73716c2e54696d657374616d70910576616c7565604a0000018bcfe5687b5190"),
    ),
    (
        "Locale: handles are not shared",
        [Locale("en_US"), Locale("en_US"), Locale(""), Locale("zh_CN_#Hans")],
        (
            "43302e636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e4c6f63616c6548616e646c65910576616c75656005656e5f55536005656e5f55536000"
            "600b7a685f434e5f2348616e73"
        ),
    ),
    (
        "BitSet",
        [BitSet(1 << 1 | 1 << 70), BitSet(1 << 1 | 1 << 70), BitSet(0)],
        (
            "43302e636f6d2e616c69626162612e636f6d2e63617563686f2e6865737369616e2e696f"
            "2e42697453657448616e646c659105776f7264736072055b6c6f6e67e2f840607290e2f8"
            "40607090"
        ),
    ),
    (
        "Class, one twice: shared",
        [
            Class("java.lang.String"),
            Class("java.lang.String"),
            Class("int"),
            Class("[I"),
            Class("Probe$Child"),
        ],
        (
            "430f6a6176612e6c616e672e436c61737391046e616d6560106a6176612e6c616e672e53"
            "7472696e6751906003696e7460025b49600b50726f6265244368696c64"
        ),
    ),
    (
        "int[], three lengths, a type reference",
        [JavaList.of([1, 2], "[int"), JavaList.of([], "[int"), JavaList.of([0] * 8, "[int")],
        "72045b696e74919270905690989090909090909090",
    ),
    (
        "long[]",
        [JavaList.of([1, 1 << 40], "[long")],
        "72055b6c6f6e67e14c0000010000000000",
    ),
    (
        "short[]",
        [JavaList.of([1], "[short")],
        "71065b73686f727491",
    ),
    (
        "double[]",
        [JavaList.of([1.5], "[double")],
        "71075b646f75626c655f000005dc",
    ),
    (
        "float[]: widened as it is",
        [JavaList.of([0.10000000149011612], "[float")],
        "71065b666c6f6174443fb99999a0000000",
    ),
    (
        "boolean[]",
        [JavaList.of([True, False], "[boolean")],
        "72085b626f6f6c65616e5446",
    ),
    (
        "Byte[]",
        [JavaList.of([1], "[java.lang.Byte")],
        "710f5b6a6176612e6c616e672e4279746591",
    ),
    (
        "Character[]",
        [JavaList.of(["a"], "[java.lang.Character")],
        "71145b6a6176612e6c616e672e4368617261637465720161",
    ),
    (
        "int[][]",
        [JavaList.of([JavaList.of([1], "[int"), JavaList.of([2], "[int")], "[[int")],
        "72055b5b696e7471045b696e7491719192",
    ),
    (
        "byte[][]",
        [JavaList.of([b"\x01"], "[[byte")],
        "71065b5b627974652101",
    ),
    (
        "char[][]",
        [JavaList.of(["a"], "[[char")],
        "71065b5b636861720161",
    ),
    (
        "String[][]",
        [JavaList.of([JavaList.of(["a"], "[string")], "[[string")],
        "71085b5b737472696e6771075b737472696e670161",
    ),
    (
        "LocalDate[]",
        [JavaList.of([date(2024, 2, 29)], "[java.time.LocalDate")],
        (
            "71145b6a6176612e74696d652e4c6f63616c44617465433037636f6d2e616c6962616261"
            "2e636f6d2e63617563686f2e6865737369616e2e696f2e6a617661382e4c6f63616c4461"
            "746548616e646c659303646179056d6f6e7468047965617260ad92cfe8"
        ),
    ),
    (
        "array of a class",
        [JavaList.of([None], "[Probe$Child")],
        "710c5b50726f6265244368696c644e",
    ),
    (
        "ArrayList",
        [["a"]],
        "790161",
    ),
    (
        "LinkedList",
        [JavaList.of(["a"], "java.util.LinkedList")],
        "71146a6176612e7574696c2e4c696e6b65644c6973740161",
    ),
    (
        "emptyList(), twice",
        [JavaList.of([], "java.util.Collections$EmptyList")] * 2,
        "701f6a6176612e7574696c2e436f6c6c656374696f6e7324456d7074794c6973745190",
    ),
    (
        "HashSet",
        [{"a"}],
        "71116a6176612e7574696c2e486173685365740161",
    ),
    (
        "HashMap",
        [{"a": 1}],
        "480161915a",
    ),
    (
        "TreeMap, twice: a type reference",
        [JavaMap.of({"a": 1}, "java.util.TreeMap"), JavaMap.of({}, "java.util.TreeMap")],
        "4d116a6176612e7574696c2e547265654d61700161915a4d905a",
    ),
    (
        "enum constants, one twice, one with a body",
        [Record("Probe$Color", {"name": "RED"})] * 2 + [Record("Probe$Color", {"name": "GREEN"})],
        "430b50726f626524436f6c6f7291046e616d65600352454451906005475245454e",
    ),
    (
        "a list within itself",
        [_itself()],
        "795190",
    ),
    (
        "an object with an ancestor: the order of fields",
        [
            Record(
                "Probe$Child",
                {
                    "bd": None,
                    "baseList": None,
                    "arr": None,
                    "bdv": None,
                    "c": None,
                    "m": None,
                    "any": None,
                    "baseName": "b",
                    "baseId": LongValue(1),
                    "flag": True,
                    "boxed": 5,
                    "a": "x",
                    "z": 1,
                },
            )
        ],
        (
            "430b50726f6265244368696c649d02626408626173654c69737403617272036264760163"
            "016d03616e7908626173654e616d650662617365496404666c616705626f786564016101"
            "7a604e4e4e4e4e4e4e0162e15495017891"
        ),
    ),
    (
        "Optional, where non-serializable classes are allowed",
        [Record("java.util.Optional", {"value": 1})],
        "43126a6176612e7574696c2e4f7074696f6e616c910576616c75656091",
    ),
    (
        "two types, each referred to",
        [
            JavaList.of(["a"], "java.util.TreeSet"),
            JavaList.of(["b"], "java.util.TreeSet"),
            JavaList.of([1], "[int"),
            JavaList.of([2], "[int"),
        ],
        "71116a6176612e7574696c2e5472656553657401617190016271045b696e7491719192",
    ),
]


def _read_all(data: bytes) -> list[object]:
    reader = Reader(data, TypeRegistry())
    found = []
    while not reader.at_end:
        found.append(reader.read())
    return found


def _read_times(reader: Reader, times: int) -> None:
    for _ in range(times):
        reader.read()


def _write_all(values: list[object]) -> bytes:
    writer = Writer(TypeRegistry())
    for value in values:
        writer.write(value)
    return writer.getvalue()


@pytest.mark.parametrize(("value", "golden"), GRAMMAR, ids=[row[1][:24] for row in GRAMMAR])
def test_a_value_is_written_and_read_as_the_grammar_says(value: object, golden: str) -> None:
    """Each value is written in its shortest form, and read back with its type."""
    assert encode(value).hex() == golden
    found = decode(bytes.fromhex(golden))
    assert found == value
    assert type(found) is type(value)


def test_minus_zero_loses_its_sign_and_nan_stays() -> None:
    """As in Java's writer: -0.0 is the constant 0, NaN is eight bytes."""
    assert encode(-0.0).hex() == "5b"
    assert encode(float("nan")).hex() == "447ff8000000000000"
    assert decode(bytes.fromhex("447ff8000000000000")) != 0


@pytest.mark.parametrize(
    ("values", "golden"), [row[1:] for row in HESSIAN_LITE], ids=[row[0] for row in HESSIAN_LITE]
)
def test_values_are_written_byte_for_byte_as_hessian_lite_does(
    values: list[object], golden: str
) -> None:
    """The same values give the bytes of the reference implementation."""
    assert _write_all(values).hex() == golden


@pytest.mark.parametrize(
    "golden", [row[2] for row in HESSIAN_LITE], ids=[r[0] for r in HESSIAN_LITE]
)
def test_what_hessian_lite_wrote_is_read_and_written_back_to_the_same_bytes(golden: str) -> None:
    """Nothing is lost of values that nothing declares."""
    assert _write_all(_read_all(bytes.fromhex(golden))).hex() == golden


@pytest.mark.parametrize(
    ("values", "golden"),
    [row[1:] for row in HESSIAN_LITE if row[0] not in {"a list within itself", "HashSet"}],
    ids=[row[0] for row in HESSIAN_LITE if row[0] not in {"a list within itself", "HashSet"}],
)
def test_what_hessian_lite_wrote_is_read_as_these_values(values: list[object], golden: str) -> None:
    """Each comes as the Python value that stands for it, of that very class."""
    found = _read_all(bytes.fromhex(golden))
    assert found == values
    assert [type(one) for one in found] == [type(one) for one in values]


_ALL = [row[1] for row in GRAMMAR if len(row[1]) < 3000] + [row[2] for row in HESSIAN_LITE]


@pytest.mark.parametrize("golden", _ALL, ids=[one[:24] for one in _ALL])
def test_a_message_cut_short_anywhere_is_an_error_at_its_end(golden: str) -> None:
    """Every proper prefix fails, and says that the message ends there."""
    data = bytes.fromhex(golden)
    values = len(_read_all(data))
    for end in range(len(data)):
        reader = Reader(data[:end], TypeRegistry())
        with pytest.raises(DecodeError) as caught:
            _read_times(reader, values)
        assert 0 <= caught.value.offset <= end


@pytest.mark.parametrize("golden", _ALL, ids=[one[:24] for one in _ALL])
def test_bytes_after_a_value_are_left_or_refused(golden: str) -> None:
    """A reader stops behind the value; `decode` refuses what follows it."""
    data = bytes.fromhex(golden)
    reader = Reader(data + b"\x4e", TypeRegistry())
    first = Reader(data, TypeRegistry())
    reader.read()
    first.read()
    assert reader.offset == first.offset
    with pytest.raises(DecodeError, match="more bytes follow"):
        decode(data[: first.offset] + b"\x4e")
