"""Vectors that a real hessian-lite wrote: `tests/vectors/hessian2/*.jsonl`.

A line is `{"name", "java", "hex", "meaning", ...}`: the Java expression that was written, and
the bytes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubbo.errors import DecodeError
from kubbo.wire.hessian2 import Reader, TypeRegistry, Writer
from kubbo.wire.hessian2.jsonform import to_json

_DIRECTORY = Path(__file__).parents[3] / "vectors" / "hessian2"


def _vectors() -> list[tuple[str, bytes]]:
    return [
        (f"{path.stem}: {row['name']}", bytes.fromhex(row["hex"]))
        for path in sorted(_DIRECTORY.glob("*.jsonl"))
        for row in map(json.loads, path.read_text().splitlines())
    ]


VECTORS = _vectors()


def test_a_field_that_a_subclass_hides_is_kept_beside_it() -> None:
    """Java writes both; the plain name is the subclass's, and neither is lost."""
    data = dict(VECTORS)["objects: object/shadow"]
    record = Reader(data, TypeRegistry()).read()
    assert record["name"] == "mine"
    assert [str(name) for name in record.fields].count("name") == 2
    assert to_json(record)["name"] == "mine"


@pytest.mark.parametrize("data", [row[1] for row in VECTORS], ids=[row[0] for row in VECTORS])
def test_what_java_wrote_is_read_and_written_back_to_the_same_bytes(data: bytes) -> None:
    """Nothing is lost of values that nothing declares."""
    registry = TypeRegistry()
    reader = Reader(data, registry)
    writer = Writer(registry)
    while not reader.at_end:
        writer.write(reader.read())
    assert writer.getvalue().hex() == data.hex()


@pytest.mark.parametrize("data", [row[1] for row in VECTORS], ids=[row[0] for row in VECTORS])
def test_what_java_wrote_cut_short_is_a_decode_error_or_ends_between_values(data: bytes) -> None:
    """At offsets all over the message."""
    registry = TypeRegistry()
    offsets = set()
    for end in range(0, len(data), max(1, len(data) // 200)):
        reader = Reader(data[:end], registry)
        try:
            while not reader.at_end:
                reader.read()
        except DecodeError as error:
            offsets.add(error.offset <= end)
    assert False not in offsets
