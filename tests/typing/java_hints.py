"""What type checkers must see in the hints of `kubbo.java`. Checked, never run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NotRequired, TypedDict, assert_type

from kubbo import java  # noqa: TC001 - hints that are resolved when the registry is made
from kubbo.errors import RemoteException
from kubbo.java import Array, Long, pojo
from kubbo.wire.hessian2 import JavaType, TypeRegistry, decode, encode
from kubbo.wire.hessian2.exceptions import to_exception


@pojo("com.example.Item", rename={"kind": "itemKind"})
@dataclass
class Item:
    """Literals fit every hint without wrapping."""

    id: Long
    count: java.Short = 1
    weight: java.Float = 1.5
    kind: java.Char = "a"
    scores: Array[java.Double] = field(default_factory=list[float])
    names: Array[str] = field(default_factory=list[str])
    parent: Item | None = None
    at: java.Instant | None = None
    total: java.BigInteger | None = None


@pojo("com.example.Note")
class Note(TypedDict):
    """A marked TypedDict is one as before."""

    id: Long
    text: NotRequired[str]


note: Note = {"id": 1}
assert_type(note["id"], int)


item = Item(1, names=["a"], scores=[1.0], at=datetime(2024, 1, 1, tzinfo=UTC), total=2**70)
assert_type(item.id, int)
assert_type(item.count, int)
assert_type(item.weight, float)
assert_type(item.kind, str)
assert_type(item.names, list[str])
assert_type(item.scores, list[float])
assert_type(item.parent, Item | None)
assert_type(item.at, datetime | None)

registry = TypeRegistry([Item])
assert_type(registry.type_of(Item), JavaType)
assert_type(registry.parse_descriptor("I"), tuple[JavaType, ...])
assert_type(encode(item, registry), bytes)
error = to_exception(decode(b"N"), registry)
assert_type(error, Exception)
if isinstance(error, RemoteException):
    assert_type(error.class_name, str)
