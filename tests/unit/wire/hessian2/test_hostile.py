"""What a peer may send to hurt: limits, lies about lengths, shared shapes, noise."""

from __future__ import annotations

import random
import struct
import tracemalloc
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypedDict, TypeVar
from uuid import UUID

import pytest
from fuzz.oracle import count_calls, peak_heap

from kubbo.errors import DecodeError, EncodeError
from kubbo.java import (
    Array,
    BigInteger,
    BigIntegerValue,
    BitSet,
    Byte,
    Long,
    LongValue,
    Record,
    Short,
    pojo,
    render,
)
from kubbo.wire.hessian2 import Limits, Reader, TypeRegistry, Writer, decode, encode
from kubbo.wire.hessian2.exceptions import from_exception, to_exception
from kubbo.wire.hessian2.jsonform import to_json


@pojo("com.example.Color")
class Color(Enum):
    RED = 1


@pojo("com.example.Point")
@dataclass(frozen=True, slots=True)
class Point:
    x: int = 0
    y: Any = None


@pojo("com.example.Pair")
@dataclass(frozen=True)
class Pair:
    left: Any
    right: Any


@pojo("com.example.BizException")
class BizException(Exception):  # noqa: N818 - as Java calls it
    code: int = 0


@pojo("com.example.Node")
@dataclass
class Node:
    id: Long = 0
    name: str = ""
    next: Node | None = None
    color: Color | None = None
    points: set[Point] = field(default_factory=set)
    totals: dict[str, Decimal] = field(default_factory=dict)
    raw: Array[int] = field(default_factory=list)


def _registry() -> TypeRegistry:
    return TypeRegistry([Node, Pair, BizException])


def _refused(
    data: bytes, text: str | None = None, *, limits: Limits | None = None, hint: Any = None
) -> None:
    registry = _registry()
    kind = None if hint is None else registry.type_of(hint)
    with pytest.raises(DecodeError, match=text) as caught:
        decode(data, registry, kind, limits=limits)
    assert 0 <= caught.value.offset <= len(data)


# ------------------------------------------------------------------ limits, each from both sides


def test_depth_is_limited() -> None:
    """64 containers within each other are read and written, 65 are not."""
    assert decode(b"\x79" * 63 + b"\x78")
    _refused(b"\x79" * 64 + b"\x78", "deeper than 64")
    _refused(b"\x48\x90" * 65, "deeper than 64")
    _refused(bytes.fromhex("4303612e42910178") + b"\x60" * 65 + b"\x90", "deeper than 64")
    value: list[Any] = []
    for _ in range(63):
        value = [value]
    assert decode(encode(value)) == value
    with pytest.raises(EncodeError, match="deeper"):
        encode([value])


def test_depth_beyond_pythons_stack_is_an_error_too() -> None:
    """A limit that is set too high ends in an error, not in a RecursionError."""
    _refused(b"\x79" * 100_000, "deeply", limits=Limits(depth=1_000_000))
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(EncodeError, match="deeply"):
        Writer(TypeRegistry(), Limits(depth=1_000_000)).write(value)
    while value:  # taken apart by hand: its own deletion would recurse
        value = value.pop()


def test_values_are_limited() -> None:
    """Every value counts: items, keys, fields, and a class's defaults."""
    limits = Limits(nodes=10)
    assert decode(b"\x7f" + b"\x90" * 7, limits=limits) == [0] * 7
    _refused(b"\x58\x9a" + b"\x90" * 10, "more than 10 values", limits=limits)
    _refused(b"\x57" + b"\x90" * 10 + b"Z", "more than 10 values", limits=limits)
    _refused(b"H" + b"\x90\x90" * 5 + b"Z", "more than 10 values", limits=limits)
    _refused(b"\x7a" + encode(Node()), "more than 10 values", limits=limits)


def test_class_definitions_are_limited() -> None:
    """By their number and by the names of their fields."""
    many = b"".join(b"C\x02%02d\x90" % n for n in range(20)) + b"\x60"
    assert decode(many).class_name == "00"
    _refused(many, "more than 19 class definitions", limits=Limits(class_definitions=19))
    named = b"C\x01A\x93\x01a\x01b\x01cC\x01B\x92\x01a\x01bN"
    assert decode(named) is None
    _refused(named, "more than 4 field names", limits=Limits(field_names=4))


def test_numerals_are_limited() -> None:
    """Digits and exponents, before anything is parsed."""
    limits = Limits(numeral_digits=10, exponent=20)

    def decimal(text: str) -> bytes:
        return encode(Record("java.math.BigDecimal", {"value": text}))

    assert decode(decimal("1234567890"), limits=limits) == 1234567890
    assert decode(decimal("1E+20"), limits=limits) == Decimal("1E+20")
    _refused(decimal("12345678901"), "more than 10 digits", limits=limits)
    _refused(decimal("1" * 100_000), "more than 10 digits", limits=limits)
    _refused(decimal("1E+21"), "exponent", limits=limits)
    _refused(decimal("1E-21"), "exponent", limits=limits)
    _refused(decimal("1E+99999999999"), "BigDecimal", limits=limits)
    for text in ("NaN", "Infinity", "1_0", " 1", "\u0661", "", "1e", "0x1"):
        _refused(decimal(text), "is no BigDecimal")
    assert decode(encode(BigIntegerValue(2**3000))) == 2**3000
    _refused(encode(BigIntegerValue(2**4000)), "more than 1024 digits")


def test_map_keys_cannot_be_made_to_collide() -> None:
    """Keys that share a hash are few; so many others are welcome."""
    prime = 2**61 - 1
    for make in (
        lambda n: BigIntegerValue(2**80 + n * prime),
        lambda n: Decimal(2**80 + n * prime),
        lambda n: UUID(int=n * prime),
    ):
        _refused(encode({make(n): n for n in range(1, 100)}), "share one hash")
        some = {make(n): n for n in range(1, 10)}
        assert decode(encode(some)) == some
    many = {UUID(int=n): n for n in range(2_000)}
    assert decode(encode(many)) == many
    repeated = b"H" + (encode(Decimal(5)) + b"\x90") + b"\x51\x91\x90" * 100 + b"Z"
    assert decode(repeated) == {5: 0}


def test_set_elements_cannot_be_made_to_collide() -> None:
    """Nor the keys and elements that a hint makes."""
    prime = 2**61 - 1
    numbers = [BigIntegerValue(2**80 + n * prime) for n in range(100)]
    _refused(encode(numbers), "share one hash", hint=set[BigInteger])
    _refused(encode(dict.fromkeys(numbers[:17], 1)), "share one hash")
    _refused(encode([Decimal(2**80 + n * prime) for n in range(100)]), "share", hint=set[Decimal])


def test_a_key_of_many_parts_is_refused() -> None:
    """Hashing a frozen dataclass visits shared parts again and again: 2**30 visits here."""
    point: Any = Point(1, 1)
    for _ in range(30):
        point = Point(1, point)
    assert decode(encode({Point(1, Point(2, 3)): 1}), _registry()) == {Point(1, Point(2, 3)): 1}
    deep: Any = [1]
    for _ in range(30):
        deep = [deep, deep]
    shared = Record("com.example.Point", {"y": deep})
    found = decode(encode([shared]), _registry())
    registry = _registry()
    kind = registry.type_of(dict[tuple[Point, ...], int])
    wide = b"H" + encode([Point(n) for n in range(70)]) + b"\x90Z"
    with pytest.raises(DecodeError, match="more than 64 parts"):
        decode(wide, registry, kind)
    with pytest.raises(DecodeError, match="more than 64 parts"):
        decode(b"H" + encode(_pairs(30)) + b"\x90Z", registry)
    assert found


def _pairs(depth: int) -> Pair:
    pair = Pair(1, 1)
    for _ in range(depth):
        pair = Pair(pair, pair)
    return pair


# ------------------------------------------------------------------ lies


LIES = [
    ("a list of two billion values", "58497fffffff"),
    ("a typed list of two billion values", "56016149 7fffffff"),
    ("a negative length", "588f"),
    ("a length that is a long", "58e1"),
    ("a class of two billion fields", "43016149 7fffffff"),
    ("a negative number of fields", "4301418f60"),
    ("an object of no class", "60"),
    ("an object of a negative class", "4f8f"),
    ("a reference to nothing", "5190"),
    ("a negative reference", "79518f"),
    ("a reference that is text", "510161"),
    ("a type reference to nothing", "7190 90"),
    ("a negative type reference", "718f90"),
    ("a type that is a list", "71 78 90"),
    ("a class name that is a number", "4391 90"),
    ("a field name that is a number", "430141 91 91 60 90"),
    ("a string of 32767 units", "537fff61"),
    ("a chunk without an end", "520001 61"),
    ("a chunk that goes on as a list", "520001 61 78"),
    ("binary that goes on as text", "410001 61 01 61"),
    ("binary of 65535 bytes", "42ffff00"),
    ("four-byte UTF-8", "02f09f9880"),
    ("an overlong form", "01c080"),
    ("a lone continuation byte", "0180"),
    ("a cut sequence", "02c3"),
    ("continuation bytes only", "1f" + "80" * 200),
    ("a byte that begins nothing", "40"),
    ("another one", "45"),
    ("a map that never ends", "489090"),
    ("nothing at all", ""),
]


@pytest.mark.parametrize("data", [row[1] for row in LIES], ids=[row[0] for row in LIES])
def test_lies_are_decode_errors(data: str) -> None:
    """Whatever is claimed is compared with what is there."""
    _refused(bytes.fromhex(data))


def test_a_declared_length_takes_no_memory() -> None:
    """Two billion items in six bytes: nothing is allocated for them."""
    tracemalloc.start()
    try:
        for data in ("58497fffffff", "560161497fffffff", "430161497fffffff", "42ffff", "53ffff"):
            _refused(bytes.fromhex(data))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [
        b"\x58\xd7\xff\xff" + b"\x78" * 262_143,  # empty lists
        b"\x57" + b"\x48\x5a" * 30_000 + b"Z",  # empty maps
        b"C\x01A\x90\x57" + b"\x60" * 65_000 + b"Z",  # objects without fields
        b"\x57" + b"\x70\x01a" + b"\x70\x90" * 30_000 + b"Z",  # typed lists
        b"\x57" + b"\x4d\x01a\x5a" + b"\x4d\x90\x5a" * 20_000 + b"Z",  # typed maps
        b"\x57" + b"\x3c\x00\x00" * 20_000 + b"Z",  # longs
        b"\x57" + b"\xe5" * 65_000 + b"Z",  # longs of one byte
    ],
    ids=["lists", "maps", "objects", "typed lists", "typed maps", "longs", "small longs"],
)
def test_memory_is_at_most_a_hundred_times_the_input(data: bytes) -> None:
    """The cheapest values on the wire, each many times."""
    registry = TypeRegistry()
    decode(data, registry)
    tracemalloc.start()
    try:
        value = decode(data, registry)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert value
    assert peak <= 100 * len(data) + 64 * 1024


def test_one_array_in_many_objects_is_counted_each_time() -> None:
    """A BitSet of shared words is five bytes on the wire and as large as its words."""
    words = b"\x56\x05[long" + b"\xd4\x40\x00" + b"\xe1" * 16_384
    name = b"\x30\x2e" + b"com.alibaba.com.caucho.hessian.io.BitSetHandle"
    data = b"\x57" + words + b"C" + name + b"\x91\x05words" + b"\x60\x51\x91" * 10_000 + b"Z"
    _refused(data, "more than 1000000 values")
    assert decode(encode([BitSet(2**100)] * 3)) == [BitSet(2**100)] * 3


def test_a_shared_list_is_converted_once_however_often_it_is_referred_to() -> None:
    """20,000 references to one list of longs make one list of ints, not 20,000."""
    items = b"\x58\xc9\xff" + b"\xe1" * 511
    data = b"\x57" + items + b"\x51\x91" * 20_000 + b"Z"
    registry = TypeRegistry()
    found = decode(data, registry, registry.type_of(list[list[Long]]))
    assert len({id(one) for one in found}) == 1
    sets = decode(data, registry, registry.type_of(list[set[Long]]))
    assert len({id(one) for one in sets}) == 1


def test_values_within_themselves_are_read_or_refused() -> None:
    """A list may hold itself; a set and a tuple cannot."""
    registry = TypeRegistry()
    found = decode(b"\x79\x51\x90")
    assert found[0] is found
    for hint in (set[Any], tuple[Any, ...], frozenset[Any]):
        found = decode(b"\x79\x51\x90", registry, registry.type_of(hint))
        assert len(found) == 1
    with pytest.raises(DecodeError, match=r"expected|within itself"):
        decode(b"\x79\x51\x90", registry, registry.type_of(list[list[set[str]]]))


def test_a_class_whose_hash_raises_is_a_decode_error() -> None:
    """Code of the user's that a key runs may fail on a half-made object."""

    @pojo("com.example.Bad")
    @dataclass
    class Bad:
        x: int = 0

        def __hash__(self) -> int:
            raise RuntimeError("no")

    registry = TypeRegistry([Bad])
    with pytest.raises(DecodeError, match="cannot be a key"):
        decode(encode({1: 1})[:1] + encode(Record("com.example.Bad")) + b"\x90Z", registry)


@pojo("com.example.Heavy")
@dataclass
class Heavy:
    a: list[int] = field(default_factory=list)
    b: dict[str, int] = field(default_factory=dict)
    c: set[int] = field(default_factory=set)


@pojo("com.example.Place")
class Place(TypedDict):
    x: int


@pojo("com.example.Views")
@dataclass
class Views:
    """Many types that one list can be converted to."""

    a: list[Long]
    b: list[int]
    c: list[float]
    d: tuple[Long, ...]
    e: set[Long]
    f: list[Short]
    g: list[Byte]
    h: tuple[float, ...]
    i: list[list[Long]]
    j: Any


# fmt: off
DECLARED: list[tuple[str, bytes, Any]] = [
    ("empty sets", b"\x57" + b"\x78" * 65_536 + b"Z", list[set[int]]),
    ("sets of one", b"\x57" + b"\x79\x91" * 32_768 + b"Z", list[set[int]]),
    ("empty frozensets", b"\x57" + b"\x78" * 65_536 + b"Z", list[frozenset[int]]),
    ("empty tuples", b"\x57" + b"\x78" * 65_536 + b"Z", list[tuple[int, ...]]),
    ("small sets", b"\x57" + b"\x7d\xe1\xe2\xe3\xe4\xe5" * 10_900 + b"Z", list[set[Long]]),
    ("a few empty sets", b"\x57" + b"\x78" * 3_000 + b"Z", list[set[int]]),
    ("lists of one long", b"\x57" + b"\x79\xe1" * 32_768 + b"Z", list[list[Long]]),
    ("empty lists", b"\x57" + b"\x78" * 65_536 + b"Z", list[list[Long]]),
    ("ints for doubles", b"\x57" + b"\x79\x91" * 32_768 + b"Z", list[list[float]]),
    ("tuples of one", b"\x57" + b"\x79\xe1" * 32_768 + b"Z", list[tuple[Long, ...]]),
    ("pairs", b"\x57" + b"\x7a\x91\xe1" * 21_800 + b"Z", list[tuple[int, Long]]),
    ("maps", b"\x57" + b"H\xe1\xe1Z" * 16_380 + b"Z", list[dict[Long, Long]]),
    ("empty maps", b"\x57" + b"HZ" * 32_768 + b"Z", list[dict[Long, Long]]),
    ("typed dicts", b"\x57C\x11com.example.Place\x91\x01x" + b"\x60\x91" * 32_700 + b"Z", "Place"),
    ("few fields", b"\x57C\x11com.example.Heavy\x91\x01d" + b"\x60\x91" * 32_700 + b"Z", None),
    (
        "one list as many types",
        b"\x57\x58\xd5\x00\x00" + b"\xe1" * 65_536
        + b"C\x11com.example.Views\x98\x01a\x01b\x01c\x01d\x01e\x01f\x01g\x01h\x60"
        + b"\x51\x91" * 8 + b"Z",
        None,
    ),
    (
        "references to what is declared",
        b"\x57C\x11com.example.Views\x92\x01i\x01j" + b"\x60\x78N" * 40
        + b"".join(b"\x60N\x51" + bytes([0x92 + 2 * n % 40]) for n in range(16_000)) + b"Z",
        None,
    ),
    ("defaults", b"\x57C\x11com.example.Heavy\x90" + b"\x60" * 65_536 + b"Z", None),
    ("constants", b"\x57C\x11com.example.Point\x90" + b"\x60" * 65_536 + b"Z", None),
]


# fmt: on


@pytest.mark.parametrize(
    ("data", "hint"), [row[1:] for row in DECLARED], ids=[row[0] for row in DECLARED]
)
def test_what_a_hint_makes_of_a_byte_is_bounded(data: bytes, hint: Any) -> None:
    """By what is built: at most 100 times the message and 64 KiB of heap, and as many calls of
    functions. No more is built than that, and it is refused after that much work, not before."""
    registry = TypeRegistry([Heavy, Pair, Node, Place, Views])
    kind = None if hint is None else registry.type_of(list[Place] if hint == "Place" else hint)
    made: list[Reader] = []

    def read() -> object:
        reader = Reader(data, registry)
        made.append(reader)
        try:
            return reader.read(kind)
        except DecodeError as error:
            assert "what is declared makes more" in error.message  # noqa: PT017 - some are read
            return error

    value = read()
    reader = made.pop()
    most = len(data) + len(data) // 4 + reader.limits.surplus
    if isinstance(value, DecodeError):
        assert reader.limits.nodes - reader.nodes > most
    del value, reader
    assert peak_heap(read) <= 100 * len(data) + 64 * 1024
    made.clear()
    assert count_calls(read) <= 20 * len(data) + 20_000
    # What the last part counted for: an array of a reference at most.
    assert made[0].limits.nodes - made[0].nodes <= most + len(data) // 8 + 10


LEGITIMATE: list[tuple[str, Any, Any]] = [
    ("points", [[n % 50, n % 40] for n in range(20_000)], list[list[Long]]),
    ("pairs", [(n % 50, -n % 40) for n in range(20_000)], list[tuple[int, int]]),
    ("one each", [[n % 7] for n in range(20_000)], list[list[Long]]),
    ("a board", [[0] * 8 for _ in range(2_000)], list[list[Short]]),
    ("counts", [{n % 40: n % 7} for n in range(20_000)], list[dict[Long, Long]]),
    ("nothing", [[] for _ in range(20_000)], list[list[str]]),
    ("sets of two words", [{"ab", "cd"} for _ in range(20_000)], list[set[str]]),
    ("sets of ids", [{n, n + 1_000, n + 5_000} for n in range(9_000)], list[set[Long]]),
    ("places", [{"x": 48 + n} for n in range(5_000)], "Place"),
    ("ids", set(range(20_000)), set[int]),
    ("zeros", [0] * 100_000, list[Long]),
    ("a matrix", [[1.0] * 10 for _ in range(3_000)], list[list[float]]),
]


T = TypeVar("T")


@pojo("com.example.Rows")
@dataclass
class Rows(Generic[T]):
    """A generic class: what it holds is read by itself first, and converted then."""

    items: list[T]


def test_rows_of_a_generic_class_are_read() -> None:
    """Ten small numbers a row cost a copy, and no surplus."""
    registry = TypeRegistry([Rows])
    kind = registry.type_of(Rows[list[Long]])
    rows = Rows([[n % 7] * 10 for n in range(4_000)])
    assert decode(encode(rows, registry, kind), registry, kind) == rows


@pytest.mark.parametrize(
    ("value", "hint"), [row[1:] for row in LEGITIMATE], ids=[row[0] for row in LEGITIMATE]
)
def test_small_containers_by_the_thousand_are_read(value: Any, hint: Any) -> None:
    """What real messages hold is not refused, however small each one is."""
    registry = TypeRegistry([Place])
    kind = registry.type_of(list[Place] if hint == "Place" else hint)
    assert decode(encode(value, registry, kind), registry, kind) == value


def test_a_surplus_is_for_messages_of_any_size() -> None:
    """A few hundred sets in a few hundred bytes are fine, and the limit can be raised."""
    registry = TypeRegistry()
    kind = registry.type_of(list[set[int]])
    few = b"\x57" + b"\x78" * 250 + b"Z"
    assert decode(few, registry, kind) == [set()] * 250
    many = b"\x57" + b"\x78" * 10_000 + b"Z"
    with pytest.raises(DecodeError, match="makes more of 10002 bytes than 13302 values"):
        decode(many, registry, kind)
    assert len(decode(many, registry, kind, limits=Limits(surplus=100_000))) == 10_000


def test_lists_from_an_older_peer_are_read() -> None:
    """A thousand objects with one of their many fields sent: what real messages look like."""

    @pojo("com.example.Wide")
    @dataclass
    class Wide:
        id: int = 0
        name: str = ""
        a: list[int] = field(default_factory=list)
        b: int = 0
        c: int = 0
        d: int = 0
        e: int = 0
        f: str = ""

    old = encode([Record("com.example.Wide", {"id": n, "name": f"name {n}"}) for n in range(9_000)])
    assert decode(old, TypeRegistry([Wide]))[5] == Wide(5, "name 5")


# ------------------------------------------------------------------ code of the user


def _raise() -> Any:
    raise IndexError("no default")


@pojo("com.example.Unmakeable")
@dataclass
class Unmakeable:
    x: int = 0

    def __new__(cls) -> Unmakeable:  # noqa: PYI034 - it makes none
        raise RuntimeError("no new")


@pojo("com.example.NoDefault")
@dataclass
class NoDefault:
    x: int = 0
    y: list[int] = field(default_factory=_raise)


@pojo("com.example.NoSlot")
@dataclass(slots=True)
class NoSlot:
    x: int = 0


def _no_set(self: object, value: object) -> None:
    raise KeyError("no set")


NoSlot.x = property(lambda self: 1, _no_set)  # type: ignore[assignment,misc]  # hostile on purpose


@pojo("com.example.NoException")
class NoException(Exception):  # noqa: N818 - as Java calls it
    code: int = 0

    def __new__(cls) -> NoException:  # noqa: PYI034 - it makes none
        raise RuntimeError("no new")


@pytest.mark.parametrize(
    ("cls", "path", "cause"),
    [
        (Unmakeable, "['k'][1]", RuntimeError),
        (NoDefault, "['k'][1].y", IndexError),
        (NoSlot, "['k'][1]", KeyError),
        (NoException, "['k'][1]", RuntimeError),
    ],
)
@pytest.mark.parametrize("as_map", [False, True], ids=["object", "map"])
def test_code_of_the_users_that_raises_is_a_decode_error(
    cls: Any, path: str, cause: type[Exception], *, as_map: bool
) -> None:
    """With the path and the cause, whichever of its methods it was."""
    registry = TypeRegistry([cls])
    name = f"com.example.{cls.__name__}"
    value: Any = {"x": 1} if as_map else Record(name, {"x": 1})
    if as_map and issubclass(cls, Exception):
        value = Record(name, {"x": 1})
    kind = registry.type_of(dict[str, list[cls | None]])
    with pytest.raises(DecodeError, match="cannot be made") as caught:
        decode(encode({"k": [None, value]}), registry, kind)
    assert caught.value.path == path
    assert type(caught.value.__cause__) is cause
    assert caught.value.__cause__.__traceback__ is None  # its frames would hold the message


def test_keys_whose_comparison_raises_are_a_decode_error() -> None:
    """Two of one hash are compared, by code of the user's."""

    @pojo("com.example.Rude")
    @dataclass
    class Rude:
        x: int = 0

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

    item = encode([Record("com.example.Rude", {"x": n}) for n in range(2)])
    registry = TypeRegistry([Rude])
    with pytest.raises(DecodeError, match="Rude cannot be a key"):
        decode(item, registry, registry.type_of(set[Rude]))


# ------------------------------------------------------------------ noise


def _seeds() -> list[bytes]:
    node = Node(2**40, "Ann\u00e9\U0001f600", color=Color.RED, points={Point(1, 2)})
    node.next = node
    node.totals = {"a": Decimal("1.5")}
    node.raw = [1, 2, 3]
    registry = _registry()
    values: list[Any] = [
        node,
        [node, {1.5: node, "k": [LongValue(3), None, True]}],
        {Decimal("1.5"): [UUID(int=5), BigIntegerValue(-(2**70)), BitSet(5)], "b": b"x" * 40},
        from_exception(ValueError("x" * 40)),
        "x" * 2000,
        [Record("a.B", {"x": [1, 2.5, -3.125]}), Record("a.C", {"y": {}})],
    ]
    return [encode(value, registry) for value in values]


def _mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data)) if data else 0
        choice = rng.random()
        if choice < 0.45 and data:
            data[at] = rng.randrange(256)
        elif choice < 0.6:
            del data[at : at + rng.randint(1, 4)]
        elif choice < 0.8:
            data[at:at] = rng.randbytes(rng.randint(1, 4))
        elif choice < 0.9:
            other = rng.choice(seeds)
            start = rng.randrange(len(other))
            data[at:at] = other[start : start + rng.randint(1, 40)]
        else:
            data[at : at + 4] = struct.pack(">i", rng.choice((-1, 2**31 - 1, 0, 65_535)))
    return bytes(data)


HINTS: list[Any] = [
    None,
    Node,
    list[Node],
    dict[str, Node],
    set[int],
    tuple[int, str],
    Decimal,
    dict[Decimal, list[Any]],
    BizException,
]


@pytest.mark.parametrize("seed", range(4))
def test_mutated_messages_end_in_a_value_or_a_decode_error(seed: int) -> None:
    """And what is read can be shown, made JSON of, and written again or refused."""
    rng = random.Random(seed)
    seeds = _seeds()
    registry = _registry()
    kinds = [None if hint is None else registry.type_of(hint) for hint in HINTS]
    read = 0
    offsets: list[tuple[int, int]] = []
    for _ in range(6_000):
        data = _mutated(rng, seeds)
        reader = Reader(data, registry)
        try:
            value = reader.read(rng.choice(kinds) if rng.random() < 0.4 else None)
        except DecodeError as error:
            offsets.append((error.offset, len(data)))
            continue
        read += 1
        assert 0 <= reader.offset <= len(data)
        assert len(render(value)) < 10_000
        to_json(value)
        assert isinstance(to_exception(value), Exception)
        try:
            encode(value, registry)
        except EncodeError:
            continue
    assert all(0 <= offset <= size for offset, size in offsets)
    assert read > 200  # else the noise says nothing
