"""Class definitions that a peer repeats in each message; read by the pure codec."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from kubbo.errors import DecodeError
from kubbo.java import Record, pojo
from kubbo.wire.hessian2.limits import Limits
from kubbo.wire.hessian2.reader import Reader
from kubbo.wire.hessian2.registry import TypeRegistry


@pojo("com.example.Point")
@dataclass
class Point:
    x: int
    y: int


def definition(name: bytes, *fields: bytes) -> bytes:
    """In Hessian; names are short."""
    texts = [bytes([len(each)]) + each for each in fields]
    return b"C" + bytes([len(name)]) + name + bytes([0x90 + len(fields)]) + b"".join(texts)


OBJECT = b"\x60\x91\x92"  # of class 0: 1, 2


def test_each_message_may_order_its_fields_anew() -> None:
    """What was kept of one message is only used where the next says the same, to the byte."""
    registry = TypeRegistry([Point])
    for x, y in ((b"x", b"y"), (b"x", b"y"), (b"y", b"x"), (b"x", b"y")):
        message = definition(b"com.example.Point", x, y) + OBJECT
        wanted = Point(1, 2) if x == b"x" else Point(2, 1)
        assert Reader(message, registry).read() == wanted


def test_what_is_kept_counts_against_the_limits_too() -> None:
    """A definition that was read before is charged as if it were read."""
    registry = TypeRegistry([Point])
    text = definition(b"com.example.Point", b"x", b"y")
    for field_names, fits in ((2, True), (2, True), (1, False)):
        reader = Reader(text + OBJECT, registry, limits=Limits(field_names=field_names))
        if fits:
            assert reader.read() == Point(1, 2)
        else:
            with pytest.raises(DecodeError, match="more than 1 field names") as raised:
                reader.read()
            assert raised.value.offset == 0


def test_a_definition_that_is_cut_is_not_the_one_that_is_kept() -> None:
    """Every beginning of a message whose definition is known is refused."""
    registry = TypeRegistry([Point])
    message = definition(b"com.example.Point", b"x", b"y") + OBJECT
    assert Reader(message, registry).read() == Point(1, 2)
    for size in range(len(message)):
        with pytest.raises(DecodeError):
            Reader(message[:size], registry).read()


def test_only_definitions_of_our_classes_are_kept_and_no_long_ones() -> None:
    """A peer that invents classes, or fields of a kilobyte, takes no memory for longer."""
    registry = TypeRegistry([Point])
    assert isinstance(Reader(definition(b"a.B", b"x", b"y") + OBJECT, registry).read(), Record)
    many = [b"field%025d" % number for number in range(100)]
    text = b"C\x11com.example.Point\xc8\x64" + b"".join(bytes([len(f)]) + f for f in many)
    assert isinstance(Reader(text + b"\x60" + b"\x91" * 100, registry).read(), Point)
    assert registry.definitions == {}
