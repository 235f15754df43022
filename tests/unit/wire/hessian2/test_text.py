"""Strings: CESU-8, and chunks of any size."""

from __future__ import annotations

import random

import pytest

from kubbo.errors import DecodeError
from kubbo.wire.hessian2 import decode, encode

TEXT = "a\u00e9\u4e2d\U0001f600\ud800z\udc00\x00" * 7


def _units(text: str) -> list[bytes]:
    raw = text.encode("utf-16-be", "surrogatepass")
    return [
        chr(int.from_bytes(raw[at : at + 2], "big")).encode("utf-8", "surrogatepass")
        for at in range(0, len(raw), 2)
    ]


@pytest.mark.parametrize("seed", range(30))
def test_a_string_is_the_same_in_chunks_of_any_size(seed: int) -> None:
    """Also empty ones, and ones that part a surrogate pair."""
    rng = random.Random(seed)
    units = _units(TEXT)
    data = b""
    at = 0
    while at < len(units) and rng.random() < 0.9:
        size = rng.choice((0, 1, 2, 3, 7))
        chunk = units[at : at + size]
        data += b"\x52" + len(chunk).to_bytes(2, "big") + b"".join(chunk)
        at += len(chunk)
    rest = units[at:]
    size = len(rest)
    heads = [b"\x53" + size.to_bytes(2, "big"), bytes([0x30 + (size >> 8), size & 255])]
    if size < 32:
        heads.append(bytes([size]))
    data += rng.choice(heads) + b"".join(rest)
    assert decode(data) == TEXT
    assert decode(b"\x79" + data) == [TEXT]


@pytest.mark.parametrize("seed", range(10))
def test_binary_is_the_same_in_chunks_of_any_size(seed: int) -> None:
    """With any of the three last chunks."""
    rng = random.Random(seed)
    raw = rng.randbytes(50)
    data = b""
    at = 0
    while rng.random() < 0.8:
        size = min(rng.choice((0, 1, 9)), len(raw) - at)
        data += b"\x41" + size.to_bytes(2, "big") + raw[at : at + size]
        at += size
    rest = raw[at:]
    heads = [b"\x42" + len(rest).to_bytes(2, "big"), b"\x34" + bytes([len(rest)])]
    if len(rest) < 16:
        heads.append(bytes([0x20 + len(rest)]))
    assert decode(data + rng.choice(heads) + rest) == raw


@pytest.mark.parametrize(
    "text",
    ["\u00e9" * n for n in (31, 32, 1023, 1024, 32_768, 32_769)]
    + ["\U0001f600" * n for n in (15, 16, 511, 512, 16_384, 16_385, 40_000)]
    + ["x" * 32_767 + "\ud83d", "\ud83d\ude00"[:1] * 40_000],
)
def test_long_strings_of_other_characters_come_back(text: str) -> None:
    """Lengths count UTF-16 units on both sides of every border."""
    assert decode(encode(text)) == text


def test_two_lone_surrogates_that_meet_become_one_character() -> None:
    """As in Java, where they are one from the start."""
    assert decode(encode("\ud83d" + "\ude00")) == "\U0001f600"


@pytest.mark.parametrize(
    "data",
    [
        "01f09f9880",
        "04f09f9880616161",
        "02c3a9c3",
        "01c3",
        "01ed",
        "01eda0",
        "03c3a9808061",
        "01ff",
    ],
)
def test_what_is_no_cesu_8_is_refused(data: str) -> None:
    """Four-byte forms, cut sequences, stray continuations."""
    with pytest.raises(DecodeError):
        decode(bytes.fromhex(data))


def test_an_int_behind_a_string_is_not_taken_for_its_continuation() -> None:
    """The one-byte ints look like continuation bytes."""
    assert decode(bytes.fromhex("7a02c3a9c3a990")) == ["\u00e9\u00e9", 0]
    assert decode(bytes.fromhex("7a01e4b8ad91")) == ["\u4e2d", 1]
