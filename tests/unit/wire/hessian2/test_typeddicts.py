"""TypedDicts as Java objects and as maps with typed values."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - a hint that is resolved
from typing import Any, Generic, NotRequired, Required, TypedDict, TypeVar

import pytest

from kubbo.errors import DecodeError, EncodeError, UsageError
from kubbo.java import JavaMap, Long, LongValue, Record, pojo
from kubbo.wire.hessian2 import Reader, TypeRegistry, Writer, decode, encode
from kubbo.wire.hessian2.jsonform import from_json, to_json
from kubbo.wire.hessian2.mapform import from_map_form, to_map_form

T = TypeVar("T")


@pojo("com.example.Tree", rename={"kind": "treeKind"})
class Tree(TypedDict):
    node_id: Long
    kind: NotRequired[str]
    children: list[Tree]


class Settings(TypedDict, total=False):
    size: Long
    name: Required[str]
    ratio: float


class MoreSettings(Settings):
    price: Decimal
    note: NotRequired[str]


@pojo("com.example.Page")
class Page(TypedDict, Generic[T]):
    items: list[T]


def _tree() -> Tree:
    return Tree(node_id=1, children=[Tree(node_id=2, kind="leaf", children=[])])


def test_a_marked_one_is_an_object_of_the_keys_that_are_there() -> None:
    """By Java's names; the key that is missing is not in the class definition."""
    registry = TypeRegistry([Tree])
    kind = registry.type_of(Tree)
    assert kind.descriptor == "Lcom/example/Tree;"
    data = encode(_tree(), registry, kind)
    assert decode(data) == Record(
        "com.example.Tree",
        {
            "children": [
                Record("com.example.Tree", {"children": [], "treeKind": "leaf", "nodeId": 2})
            ],
            "nodeId": 1,
        },
    )
    found = decode(data, registry, kind)
    assert found == _tree()
    assert type(found) is dict
    assert type(found["children"][0]["node_id"]) is int


def test_where_nothing_is_declared_it_is_a_record_with_the_same_bytes() -> None:
    """A dict would forget the class."""
    registry = TypeRegistry([Tree])
    data = encode(_tree(), registry, registry.type_of(Tree))
    found = decode(data, registry)
    assert isinstance(found, Record)
    assert encode(found, registry) == data
    assert encode(found, registry, registry.type_of(Tree)) == data


def test_one_object_stays_one_and_may_hold_itself() -> None:
    """Shared children are one dict; a cycle is a cycle."""
    registry = TypeRegistry([Tree])
    kind = registry.type_of(list[Tree])
    shared = Tree(node_id=3, children=[])
    shared["children"].append(shared)
    found = decode(encode([shared, shared], registry, kind), registry, kind)
    assert found[0] is found[1]
    assert found[0]["children"][0] is found[0]


def test_a_map_is_taken_for_an_object_and_missing_keys_are_javas_zero() -> None:
    """As for dataclasses; a key that need not be there stays away; unknown ones are dropped."""
    registry = TypeRegistry([Tree])
    kind = registry.type_of(Tree)
    found = decode(encode({"nodeId": 5, "color": "red"}), registry, kind)
    assert found == {"node_id": 5, "children": None}
    assert decode(encode(Record("com.example.Tree")), registry, kind) == {
        "node_id": 0,
        "children": None,
    }


def test_one_without_a_mark_is_a_map_with_typed_values() -> None:
    """Longs are long, keys as in Python; `total`, Required and ancestors are heeded."""
    registry = TypeRegistry()
    kind = registry.type_of(MoreSettings)
    assert kind.descriptor == "Ljava/util/Map;"
    value: Any = {"name": "x", "size": 3, "price": 2, "other": [1]}
    value["price"] = __import__("decimal").Decimal("1.5")
    data = encode(value, registry, kind)
    natural = decode(data)
    assert natural == value
    assert type(natural["size"]) is LongValue
    found = decode(data, registry, kind)
    assert found == value
    assert type(found["size"]) is int
    assert decode(b"HZ", registry, kind) == {"name": None, "price": None}
    assert decode(encode(JavaMap.of({"name": "x"}, "java.util.TreeMap")), registry, kind) == {
        "name": "x",
        "price": None,
    }


def test_a_generic_one_follows_its_arguments() -> None:
    """`Page[Long]` has longs."""
    registry = TypeRegistry()
    kind = registry.type_of(Page[Long])
    data = encode({"items": [1]}, registry, kind)
    assert b"\x79\xe1" in data
    assert type(decode(data, registry, kind)["items"][0]) is int


@pytest.mark.parametrize(
    ("hint", "value", "text", "path"),
    [
        (Tree, {"node_id": 1}, "needs the key 'children'", ""),
        (Tree, {"node_id": 1, "children": [], "knd": 1}, "has no key 'knd'", ""),
        (Tree, {"node_id": "x", "children": []}, "is no long", "node_id"),
        (Tree, [1], "is no com.example.Tree", ""),
        (Settings, {}, "needs the key 'name'", ""),
        (Settings, {"name": "x", "size": 1.5}, "is no long", "size"),
    ],
)
def test_what_does_not_fit_is_an_encode_error(hint: Any, value: Any, text: str, path: str) -> None:
    """Missing and unknown keys, other shapes, values of another type."""
    registry = TypeRegistry()
    with pytest.raises(EncodeError, match=text) as caught:
        Writer(registry).write(value, registry.type_of(hint))
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("hint", "value", "path"),
    [
        (Tree, {"nodeId": 1, "children": [{"nodeId": "x"}]}, "children[0].node_id"),
        (Tree, Record("com.example.Other"), ""),
        (Tree, [1], ""),
        (Settings, {"name": "x", "size": "big"}, "['size']"),
    ],
)
def test_what_does_not_fit_is_a_decode_error(hint: Any, value: Any, path: str) -> None:
    """With the path to it."""
    registry = TypeRegistry()
    kind = registry.type_of(hint)
    with pytest.raises(DecodeError, match="expected") as caught:
        Reader(encode(value), registry).read(kind)
    assert caught.value.path == path


def test_two_keys_of_one_java_name_are_refused() -> None:
    """When the registry is made."""

    @pojo("com.example.Twice", rename={"b": "a"})
    class Twice(TypedDict):
        a: int
        b: int

    with pytest.raises(UsageError, match="same Java name"):
        TypeRegistry([Twice])


@pytest.mark.parametrize(
    ("hint", "value"),
    [(Tree, _tree()), (Settings, {"name": "x", "size": 2**40}), (Page[Long], {"items": [1]})],
)
def test_json_and_the_map_form_know_them(hint: Any, value: Any) -> None:
    """As command lines and generic callers write them."""
    registry = TypeRegistry()
    kind = registry.type_of(hint)
    shown = to_map_form(value, kind, registry)
    assert from_map_form(shown, kind, registry) == value
    told = to_json(decode(encode(value, registry, kind)))
    assert from_json(told, kind, registry) == value
