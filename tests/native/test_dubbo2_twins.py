"""The compiled frame scanner and bodies are the pure ones: same frames, bytes, values, errors."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import pytest
from tests.native.compare import differ
from tests.native.samples import CLASSES, HINTS, Maker, mutate

from kubbo import wire
from kubbo.errors import DecodeError, EncodeError
from kubbo.wire.dubbo2 import Dubbo2Session, Role, frames
from kubbo.wire.hessian2 import Limits, TypeRegistry, twin
from kubbo.wire.hessian2.reader import read_body as read_body_purely
from kubbo.wire.hessian2.writer import write_body as write_body_purely
from kubbo.wire.session import CallHead, Event

if wire.native is None:
    pytest.skip("only the pure codec is tested", allow_module_level=True)

REGISTRY = TypeRegistry(CLASSES)
TYPES = tuple(map(REGISTRY.type_of, HINTS))
MOST = 300


def _frame(rng: Random) -> bytes:
    """A frame, seldom one that is too large, cut short or none."""
    size = rng.choice((0, 1, 1, 2, 17, 40, MOST, MOST + 1))
    length = size if rng.random() < 0.95 else rng.choice((0, size + 1, 2**31, 2**32 - 1))
    magic = b"\xda\xbb" if rng.random() < 0.97 else rng.randbytes(2)
    flags = rng.choice((0xC2, 0xC2, 0x82, 0x02, 0x02, 0xE2, 0xA2, 0x22, rng.randrange(256)))
    status = rng.choice((0, 20, 20, 40, rng.randrange(256)))
    call = rng.choice((0, 1, 2, 3, 2**64 - 1, rng.getrandbits(64)))
    body = rng.choice((b"N" * size, b"\x01R" + bytes(size), rng.randbytes(size)))[:size]
    return magic + struct.pack(">BBQI", flags, status, call, length) + body


def _stream(rng: Random) -> bytes:
    data = b"".join(_frame(rng) for _ in range(rng.choice((1, 3, 8))))
    if rng.random() < 0.2:
        data += rng.randbytes(rng.randrange(40))
    return data[: rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data


def test_frames_are_cut_alike() -> None:
    """Good ones, oversized ones, garbage and ends at any byte: the same frames and position."""
    rng = Random(5)
    whole = 0
    for _ in range(4_000):
        data = _stream(rng)
        for most in (0, MOST, 8 << 20):
            pure = frames.split_purely(data, most)
            assert wire.native.split(data, most) == pure
            whole += len(pure[0])
    data = b"".join(struct.pack(">2sBBQI", b"\xda\xbb", 2, 20, n, n) + b"x" * n for n in range(4))
    for end in range(len(data) + 1):
        assert wire.native.split(data[:end], MOST) == frames.split_purely(data[:end], MOST)
    assert whole > 10_000


def _converse(
    role: Role, chunks: list[bytes], split: frames.Split
) -> tuple[list[Event], list[bytes], int, int]:
    session = Dubbo2Session(role, now=0.0, max_payload_bytes=MOST, split=split)
    if role is Role.CONSUMER:
        for _ in range(4):
            session.start_call(CallHead(), 0.0)
    events: list[Event] = []
    for chunk in chunks:
        events += session.receive_data(chunk, 1.0)
    return events, session.data_to_send(), session.held_bytes, session.open_calls


def test_sessions_say_the_same_with_either_scanner() -> None:
    """Cut at any bytes: the same events, the same answers, the same bytes held."""
    rng = Random(7)
    for _ in range(1_500):
        data = _stream(rng)
        chunks: list[bytes] = []
        while data:
            size = rng.choice((1, 2, 15, 16, 17, 100, 1_000))
            chunks.append(data[:size])
            data = data[size:]
        role = rng.choice(tuple(Role))
        pure = _converse(role, chunks, frames.split_purely)
        assert _converse(role, chunks, wire.native.split) == pure


def _written(function: Any, *parts: Any) -> Any:
    try:
        return function(REGISTRY, *parts)
    except EncodeError as error:
        return type(error), str(error), error.path


def test_bodies_are_written_alike() -> None:
    """Several values that share objects, between raw bytes: the same bytes or error."""
    refused = 0
    for case in range(1_500):
        rng = Random(case)
        maker = Maker(rng)
        count = rng.randrange(4)
        values = [maker.value(3) for _ in range(count)]
        types = tuple(rng.choice((None, None, rng.choice(TYPES))) for _ in range(count))
        paths = tuple(f"argument {number + 1}" for number in range(count))
        limits = rng.choice((Limits(), Limits(), Limits(depth=2)))
        parts = (limits, b"\x05about", values, types, paths, b"HZ")
        pure = _written(write_body_purely, *parts)
        assert _written(twin.write_body, *parts) == pure, case
        refused += isinstance(pure, tuple)
    assert 50 < refused < 1_450


def _read(function: Any, *parts: Any) -> Any:
    try:
        reader, values = function(*parts)
    except DecodeError as error:
        return None, (str(error), error.offset, error.path)
    return values, (reader.offset, reader.nodes, len(reader.refs), reader.at_end)


def test_bodies_are_read_alike() -> None:
    """From any offset, whole or damaged: the same values, remaining budget, or error."""
    accepted = 0
    for case in range(3_000):
        rng = Random(case)
        maker = Maker(rng)
        count = rng.randrange(4)
        types = tuple(rng.choice((None, None, rng.choice(TYPES))) for _ in range(count))
        paths = tuple(f"argument {number + 1}" for number in range(count))
        values = [maker.value(3) for _ in range(count)]
        data = _written(
            write_body_purely, Limits(), b"\x02ab", values, (None,) * count, paths, b"HZ"
        )
        if isinstance(data, tuple):
            continue
        data = mutate(data, rng) if rng.random() < 0.6 else data
        parts = (data, REGISTRY, Limits(), rng.choice((3, 3, 0, 99_999)), types, paths)
        pure, compiled = _read(read_body_purely, *parts), _read(twin.read_body, *parts)
        assert compiled[1] == pure[1], case
        assert not differ(pure[0], compiled[0]), case
        accepted += pure[0] is not None
    assert accepted > 300
