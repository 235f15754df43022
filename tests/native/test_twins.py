"""The compiled codec and the pure one are the same codec: values, bytes, errors and limits.

Seeded, so that a failure can be repeated: its message names the seed of the case. More cases:
`KUBBO_TWIN_CASES=1000000`, others: `KUBBO_TWIN_SEED=7`.
"""

from __future__ import annotations

import gc
import json
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.native.compare import differ
from tests.native.samples import CLASSES, HINT_NAMES, HINTS, Colour, Maker, Node, Point, mutate

from kubbo import wire
from kubbo.errors import DecodeError, EncodeError
from kubbo.java import JavaList, LongValue, Record, pojo
from kubbo.wire.hessian2 import Limits, Reader, TypeRegistry, Writer
from kubbo.wire.hessian2.reader import Reader as PureReader
from kubbo.wire.hessian2.writer import Writer as PureWriter

if wire.native is None:
    pytest.skip(
        "kubbo-native is not built here (make native, where cargo is), or KUBBO_PURE=1: "
        "only the pure codec is tested",
        allow_module_level=True,
    )

CASES = int(os.environ.get("KUBBO_TWIN_CASES", "60000"))
SEED = int(os.environ.get("KUBBO_TWIN_SEED", "20"))
BATCHES = 8

_VECTORS = Path(__file__).parents[1] / "vectors" / "hessian2"
VECTORS = [
    bytes.fromhex(row["hex"])
    for path in sorted(_VECTORS.glob("*.jsonl"))
    for row in map(json.loads, path.read_text().splitlines())
]

REGISTRY = TypeRegistry(CLASSES)
EMPTY = TypeRegistry()
TYPES = [*map(REGISTRY.type_of, HINTS), *map(REGISTRY.parse, HINT_NAMES)]
LIMITS = (
    *[None] * 6,
    Limits(depth=3),
    Limits(depth=300),
    Limits(nodes=20),
    Limits(class_definitions=2),
    Limits(field_names=6),
    Limits(colliding_keys=1, key_parts=2, numeral_digits=5),
)


@pytest.fixture(autouse=True)
def no_disagreement() -> Any:
    """Nothing that one codec refuses is accepted by the other, in any test."""
    yield
    assert wire.native.disagreements() == 0


@dataclass
class Outcome:
    """What came of a message: values or bytes, or an error; and where the codec stands."""

    found: list[Any]
    error: tuple[Any, ...] | None
    state: tuple[Any, ...]


def _error(error: Exception) -> tuple[Any, ...]:
    return (
        type(error),
        str(error),
        getattr(error, "offset", None),
        getattr(error, "path", None),
        getattr(error, "message", None),
    )


def read(kind: Any, data: bytes, plan: list[Any], limits: Limits | None, at: int = 0) -> Outcome:
    registry, *types = plan
    reader = kind(data, registry, limits, at)
    found: list[Any] = []
    for java_type in types:
        try:
            found.append(reader.read(java_type, path="argument 1" if java_type else ""))
        except DecodeError as error:
            return Outcome(found, _error(error), ())
        except Exception as error:  # noqa: BLE001 - whatever a class of the user raises
            return Outcome(found, _error(error), ())
        if reader.at_end:
            break
    state = (
        reader.offset,
        reader.nodes,
        reader.field_names,
        len(reader.refs),
        list(reader.types),
        len(reader.classes),
        reader.at_end,
    )
    return Outcome(found, None, state)


def write(kind: Any, parts: list[Any], limits: Limits | None) -> Outcome:
    writer = kind(REGISTRY, limits)
    for value, java_type, path in parts:
        try:
            if path == "raw":
                writer.write_raw(b"\x01r")
            writer.write(value, java_type, path=path)
        except Exception as error:  # noqa: BLE001 - whatever a class of the user raises
            return Outcome([], _error(error), ())
    return Outcome([writer.getvalue()], None, ())


def same_reading(data: bytes, rng: Random) -> Outcome:
    plan: list[Any] = [rng.choice((REGISTRY, REGISTRY, EMPTY))]
    plan += [rng.choice((None, None, rng.choice(TYPES))) for _ in range(4)]
    limits = rng.choice(LIMITS)
    pure = read(PureReader, data, plan, limits)
    compiled = read(Reader, data, plan, limits)
    context = f"{data[:400].hex()} under {plan} with {limits}"
    assert compiled.error == pure.error, context
    assert compiled.state == pure.state, context
    assert not (difference := differ(pure.found, compiled.found)), f"{difference}: {context}"
    return compiled


def same_writing(parts: list[Any], limits: Limits | None) -> Outcome:
    pure = write(PureWriter, parts, limits)
    compiled = write(Writer, parts, limits)
    assert compiled.error == pure.error
    assert compiled.found == pure.found
    return compiled


def test_the_compiled_codec_runs() -> None:
    """Where it is installed it is the one that runs, and says so."""
    assert Reader is not PureReader
    assert Writer is not PureWriter
    assert wire.codec_name().startswith("native ")


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_values_are_written_alike(batch: int) -> None:
    """Any values, under any types that may not fit: the same bytes, or the same error."""
    refused = 0
    for case in range(CASES // BATCHES // 5):
        rng = Random(f"{SEED} write {batch} {case}")
        maker = Maker(rng)
        parts = [
            (
                maker.value(),
                rng.choice((None, None, rng.choice(TYPES))),
                rng.choice(("", "a", "raw")),
            )
            for _ in range(rng.choice((1, 1, 2, 3)))
        ]
        try:
            outcome = same_writing(parts, rng.choice(LIMITS))
        except AssertionError as error:
            raise AssertionError(f"seed {SEED} write {batch} {case}") from error
        refused += outcome.error is not None
        if outcome.error is None:
            same_reading(outcome.found[0], rng)
    assert 0 < refused < CASES // BATCHES // 5


def _messages(rng: Random) -> bytes:
    if rng.random() < 0.5:
        return rng.choice(VECTORS)
    maker = Maker(rng)
    writer = PureWriter(REGISTRY)
    try:
        for _ in range(rng.choice((1, 1, 2))):
            writer.write(maker.instance(3) if rng.random() < 0.5 else maker.value(3))
    except EncodeError:
        return rng.choice(VECTORS)
    return writer.getvalue()


@pytest.mark.parametrize("batch", range(BATCHES))
def test_mutated_messages_are_read_alike(batch: int) -> None:
    """Bytes with small changes: the same values and what remains of the budget, or the same
    error at the same offset and path."""
    refused = read_again = 0
    data = b"N"
    for case in range(CASES // BATCHES):
        rng = Random(f"{SEED} read {batch} {case}")
        if case % 8 == 0:
            data = _messages(rng)
        try:
            outcome = same_reading(mutate(data, rng), rng)
            refused += outcome.error is not None
            if outcome.error is None:
                same_writing([(one, None, "") for one in outcome.found], None)
                read_again += 1
        except AssertionError as error:
            raise AssertionError(f"seed {SEED} read {batch} {case}") from error
    assert refused
    assert read_again


@pytest.mark.parametrize("number", range(len(VECTORS)))
def test_what_java_wrote_is_read_alike_whole_and_cut(number: int) -> None:
    """Every golden message, and cut short at offsets all over it."""
    data = VECTORS[number]
    rng = Random(number)
    assert same_reading(data, rng) is not None
    for end in range(0, len(data), max(1, len(data) // 100)):
        same_reading(data[:end], rng)


def test_all_first_bytes_are_read_alike() -> None:
    """Each of the 256, before every other."""
    rng = Random(0)
    for first in range(256):
        for second in range(256):
            same_reading(bytes([first, second, 0x92, 0x01, 0x61, 0x90, 0x5A, 0x5A]), rng)


def test_a_message_of_several_values_shares_classes_types_and_references() -> None:
    """Also where some of them were left to the pure codec."""
    shared = Node(1, "one")
    parts = [
        (shared, None, ""),
        ([shared, {"x": shared}], REGISTRY.type_of(list[Any]), ""),
        ({Point(1): [shared]}, None, ""),  # a set-like key: by the pure codec
        (JavaList.of([shared, Colour.RED], "java.util.LinkedList"), None, ""),
        (Record("com.example.Other", {"node": shared}), None, ""),
        (JavaList.of([LongValue(5)], "java.util.LinkedList"), None, ""),
    ]
    data = same_writing(parts, None).found[0]
    plan = [REGISTRY, REGISTRY.type_of(Node), *[None] * 5]
    pure, compiled = read(PureReader, data, plan, None), read(Reader, data, plan, None)
    assert not differ(pure.found, compiled.found)
    first, second, *_ = compiled.found
    assert second[0] is first
    assert second[1]["x"] is first


@pytest.mark.parametrize("depth", [64, 127, 128, 129, 180])
def test_depth_is_limited_alike(depth: int) -> None:
    """Lists within lists, maps and objects, at the limit and one beyond; also where the
    compiled codec leaves the deeper ones to the pure."""
    limits = Limits(depth=depth)
    for levels in (depth - 1, depth, depth + 1):
        for opened, closed in ((b"\x79", b"N"), (b"\x57", b"N"), (b"H\x90", b"N")):
            ends = {b"\x79": b"", b"\x57": b"Z", b"H\x90": b"Z"}[opened]
            data = opened * levels + closed + ends * levels
            pure = read(PureReader, data, [EMPTY, None], limits)
            compiled = read(Reader, data, [EMPTY, None], limits)
            assert compiled.error == pure.error
            assert compiled.state == pure.state
            assert (pure.error is None) == (levels <= depth)
        value: Any = None
        for level in range(levels):
            value = [value] if level % 2 else {1: value}
        outcome = same_writing([(value, None, "")], limits)
        assert (outcome.error is None) == (levels <= depth)


def test_what_has_no_end_is_refused_alike() -> None:
    """A depth that Python's stack does not hold: an error, not a crash."""
    limits = Limits(depth=1_000_000)
    data = b"\x79" * 100_000 + b"N"
    assert read(Reader, data, [EMPTY, None], limits).error is not None
    endless: list[Any] = []
    for _ in range(100_000):
        endless = [endless]
    writer = Writer(EMPTY, limits)
    with pytest.raises(EncodeError, match="stack"):
        writer.write(endless)
    while endless:  # not by recursion
        endless = endless.pop()


def test_an_interruption_is_not_taken_for_an_error() -> None:
    """What is no Exception goes through both codecs untouched."""

    @pojo("com.example.Interrupting")
    @dataclass
    class Interrupting:
        @property
        def x(self) -> int:
            raise KeyboardInterrupt

    Interrupting.__annotations__["x"] = int
    made = dataclass(Interrupting)
    pojo("com.example.Interrupting")(made)
    registry = TypeRegistry([made])
    value = made.__new__(made)
    for kind in (PureWriter, Writer):
        with pytest.raises(KeyboardInterrupt):
            kind(registry).write(value)


def test_nothing_is_leaked_when_messages_are_refused_or_dropped() -> None:
    """Values of a message that fails half-way are freed, and so is a registry with its plans."""

    @pojo("com.example.Seen")
    @dataclass
    class Seen:
        name: str
        below: Any = None

    registry = TypeRegistry([Seen])
    writer = Writer(registry)
    writer.write([Seen("a", Seen("b")), [Seen("c")]])
    data = writer.getvalue()
    del writer
    for end in range(len(data)):
        reader = Reader(data[:end], registry)
        with pytest.raises(DecodeError):
            reader.read()
    del reader
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is Seen]
    values = Reader(data, registry).read()
    assert values[0].below.name == "b"
    alive = weakref.ref(registry)
    cls = weakref.ref(Seen)
    del registry, values, Seen
    gc.collect()
    assert alive() is None
    assert cls() is None


def test_many_types_are_not_kept_forever() -> None:
    """A generic caller brings type after type; what is prepared for them is bounded."""
    registry = TypeRegistry()
    for number in range(10_000):
        java_type = registry.parse(f"com.example.Unknown{number}")
        writer = Writer(registry)
        writer.write(None, java_type)
        assert Reader(writer.getvalue(), registry).read(java_type) is None


def test_definitions_of_a_hostile_peer_are_bounded() -> None:
    """One class with its fields in ever other orders, each prepared for its message only."""
    names = ["id", "name", "parent", "children", "anything", "colour", "byName"]
    rng = Random(3)
    for _ in range(2_000):
        rng.shuffle(names)
        fields = b"".join(bytes([len(name)]) + name.encode() for name in names)
        data = b"C\x10com.example.Node\x97" + fields + b"\x60" + b"N" * 7
        same_reading(data, rng)


def test_the_reader_takes_what_the_pure_one_takes() -> None:
    """Bytes of other classes, an offset, keywords."""
    for data in (b"\x91\x92", bytearray(b"\x91\x92"), memoryview(b"\x91\x92")):
        for kind in (PureReader, Reader):
            reader = kind(data=data, registry=EMPTY, limits=None, offset=1)
            assert reader.read(type=None, path="x") == 2
            assert reader.at_end
            assert reader.data == b"\x91\x92"
    for offset in (2, 3):
        outcomes = [
            read(kind, b"\x91\x92", [EMPTY, None], None, offset) for kind in (PureReader, Reader)
        ]
        assert outcomes[0] == outcomes[1]
