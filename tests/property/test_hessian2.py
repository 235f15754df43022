"""Any value comes back as it was, in the same bytes, whatever its shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal  # noqa: TC003 - a hint that is resolved
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from kubbo.errors import DecodeError
from kubbo.java import (
    Array,
    BigIntegerValue,
    BitSet,
    JavaList,
    JavaMap,
    Long,
    LongValue,
    Record,
    pojo,
    render,
)
from kubbo.wire.hessian2 import Reader, TypeRegistry, decode, encode
from kubbo.wire.hessian2.jsonform import from_json, to_json

# A pair of lone surrogates becomes one character, so only whole ones are drawn here.
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
names = st.from_regex(r"[a-z]{1,8}(\.[A-Z][a-z]{0,8}){0,2}", fullmatch=True)
ints = st.integers(-(2**31), 2**31 - 1)
longs = st.integers(-(2**63), 2**63 - 1)
doubles = st.floats(allow_nan=False).filter(lambda x: x != 0) | st.just(0.0)
moments = st.datetimes(timezones=st.just(UTC)).map(
    lambda x: x.replace(microsecond=x.microsecond // 1000 * 1000)
)
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.decimals(
    -(10**20), 10**20, allow_nan=False
)
leaves = (
    st.none()
    | st.booleans()
    | ints
    | longs.map(lambda n: LongValue(n) if -(2**31) <= n < 2**31 else n)
    | doubles
    | text
    | st.binary(max_size=40)
    | moments
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | decimals
    | st.integers(-(2**200), 2**200).map(BigIntegerValue)
    | st.integers(0, 2**100).map(BitSet)
)
keys = text | ints | moments | st.uuids() | st.dates()


def _containers(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(items, max_size=9)
    maps = st.dictionaries(keys, items, max_size=5)
    return (
        lists
        | maps
        | st.builds(JavaList.of, lists, names)
        | st.builds(JavaMap.of, maps, names)
        | st.builds(Record, names, st.dictionaries(names, items, max_size=4))
    )


values = st.recursive(leaves, _containers, max_leaves=25)


def _kinds(value: Any) -> Any:
    """The classes of a value and of all within it."""
    if isinstance(value, Record):
        return (Record, value.class_name, [(k, _kinds(v)) for k, v in value.fields.items()])
    if isinstance(value, dict):
        return (type(value), getattr(value, "java_type", ""), [_kinds(v) for v in value.values()])
    if isinstance(value, list):
        return (type(value), getattr(value, "java_type", ""), [_kinds(v) for v in value])
    return type(value)


@given(values)
def test_a_value_comes_back_with_its_classes_and_its_bytes(value: Any) -> None:
    """Decoding what was encoded gives an equal value, of equal classes, of equal bytes."""
    data = encode(value)
    found = decode(data)
    assert found == value
    assert _kinds(found) == _kinds(value)
    assert encode(found) == data


@given(values, st.data())
@settings(max_examples=60)
def test_every_prefix_of_a_message_is_refused(value: Any, data: st.DataObject) -> None:
    """Cut short anywhere, a message is a DecodeError that points into it."""
    message = encode(value)
    end = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(DecodeError) as caught:
        decode(message[:end])
    assert 0 <= caught.value.offset <= end


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_a_value_or_a_decode_error(data: bytes) -> None:
    """Nothing else escapes, and what is read can be shown."""
    reader = Reader(data, TypeRegistry())
    try:
        value = reader.read()
    except DecodeError as error:
        offset = error.offset
    else:
        offset = reader.offset
        assert len(render(value)) < 10_000
        to_json(value)
    assert 0 <= offset <= len(data)


@given(values)
@settings(max_examples=60)
def test_json_of_a_value_can_be_typed_again(value: Any) -> None:
    """JSON forgets which long was small and what class a list had, and nothing else."""
    shown = to_json(value)
    assert to_json(from_json(shown)) == shown


@pojo("com.example.Leaf")
@dataclass
class Leaf:
    id: Long
    name: str
    total: Decimal | None = None
    at: datetime | None = None


@pojo("com.example.Tree")
@dataclass
class Tree:
    leaves: list[Leaf] = field(default_factory=list)
    by_name: dict[str, Leaf] = field(default_factory=dict)
    ids: set[Long] = field(default_factory=set)
    numbers: Array[int] = field(default_factory=list)
    pairs: tuple[tuple[int, str], ...] = ()
    took: timedelta | None = None
    below: Tree | None = None


leaf = st.builds(Leaf, longs, text, st.none() | decimals, st.none() | moments)
trees: st.SearchStrategy[Tree] = st.deferred(
    lambda: st.builds(
        Tree,
        st.lists(leaf, max_size=4),
        st.dictionaries(text, leaf, max_size=3),
        st.sets(longs, max_size=5),
        st.lists(ints, max_size=12),
        st.lists(st.tuples(ints, text), max_size=3).map(tuple),
        st.none() | st.timedeltas(),
        st.none() | trees,
    )
)


@given(trees)
def test_a_tree_of_dataclasses_comes_back_as_it_was(tree: Tree) -> None:
    """By its hints, with plain Python values everywhere."""
    registry = TypeRegistry([Tree])
    data = encode(tree, registry, registry.type_of(Tree))
    found = decode(data, registry, registry.type_of(Tree))
    assert found == tree
    assert all(type(one) is int for one in found.ids)
    assert isinstance(found.pairs, tuple)
    record = decode(data)
    assert encode(record) == data
