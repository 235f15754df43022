"""Lists, arrays, sets, tuples and maps: the Java types that hold others.

As in `types`, a value is read by itself first and then made what the hint says, without a
copy where nothing in it differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubbo.errors import EncodeError
from kubbo.java import JavaList, JavaMap, Key, render
from kubbo.wire.hessian2.faults import Fault
from kubbo.wire.hessian2.keys import PLAIN_KEYS, KeyGuard
from kubbo.wire.hessian2.kinds import (
    COLLECTION,
    DICT,
    ITEMS,
    LIST,
    LISTED,
    MAPPING,
    NO_LIST,
    SETS,
    TUPLE,
)
from kubbo.wire.hessian2.reader import Reader, charge
from kubbo.wire.hessian2.types import JavaType
from kubbo.wire.hessian2.writer import within

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kubbo.model import Value
    from kubbo.wire.hessian2.writer import Writer

__all__ = ["ListType", "MapType", "SetType", "TupleType", "write_entries", "write_items"]

# ------------------------------------------------------------------ lists, arrays, sets

_ONCE = 4
"""Longer lists are remembered once they are converted: see `Reader.converted`."""


def write_items(writer: Writer, items: Collection[Any], item: JavaType, java_type: str) -> None:
    """Append a list header and the items; the caller has asked `writer.seen`."""
    writer.begin_list(len(items), java_type)
    index = 0
    write = item.write
    try:
        for index, value in enumerate(items):  # noqa: B007 - read by the handler
            write(writer, value)
    except EncodeError as error:
        raise within(f"[{index}]", error) from None
    writer.depth += 1


def convert_items(items: Iterable[Any], item: JavaType, reader: Reader, into: list[Any]) -> None:
    """Convert items into a list, one by one."""
    convert = item.convert
    plain = item.plain
    append = into.append
    try:
        for value in items:
            append(value if value.__class__ in plain else convert(value, reader))
    except Fault as fault:
        fault.steps.append(f"[{len(into)}]")
        raise


class ListType(JavaType):
    """A java.util.List, or a class of it; an array if its name ends with brackets."""

    __slots__ = ("item", "java_type")

    def __init__(
        self, name: str, item: JavaType, *, descriptor: str = "", java_type: str = ""
    ) -> None:
        super().__init__(name, descriptor, component=java_type)
        self.item = item
        self.java_type = java_type

    def write(self, writer: Writer, value: Value) -> None:
        """See `JavaType.write`."""
        if value is None:
            writer.put(b"N")
            return
        java_type = self.java_type
        if value.__class__ is not list and not isinstance(value, LISTED):
            if isinstance(value, NO_LIST) or not isinstance(value, COLLECTION):
                raise self.unfit(value)
            value = list(value)
        elif not java_type and isinstance(value, JavaList):
            java_type = value.java_type
        if not writer.seen(value):
            write_items(writer, value, self.item, java_type)

    def convert(self, value: Value, reader: Reader) -> Value:
        """See `JavaType.convert`."""
        if value.__class__ is not list and not isinstance(value, LIST):
            if value is None:
                return None
            if not isinstance(value, ITEMS):
                raise self.mismatch(value)
        key = (id(value), id(self))
        if len(value) > _ONCE:
            known = reader.converted.get(key)
            if known is not None:
                return known
        if isinstance(value, LIST) and not set(map(type, value)) - self.item.plain:
            if len(value) > _ONCE:
                reader.converted[key] = value
            return value
        known = reader.converted.get(key)
        if known is not None:
            return known
        made: list[Any] = []
        if isinstance(value, JavaList):
            made = JavaList.of(made, value.java_type)
        reader.converted[key] = made  # before its items, which may refer to it
        convert_items(value, self.item, reader, made)
        return made


class TupleType(JavaType):
    """A java.util.List that is a tuple here: of one type, or of one type a place."""

    __slots__ = ("_items", "_rest")

    def __init__(self, items: tuple[JavaType, ...], rest: JavaType | None) -> None:
        super().__init__("java.util.List")
        self._items = items
        self._rest = rest

    def write(self, writer: Writer, value: Value) -> None:
        """See `JavaType.write`."""
        if value is None:
            writer.put(b"N")
            return
        if not isinstance(value, LISTED):
            raise self.unfit(value)
        items: Any = value
        if self._rest is None and len(items) != len(self._items):
            raise self.unfit(items, f"it needs {len(self._items)} items")
        # Python shares equal tuples as it likes: two of them are never one Java list.
        writer.seen(list(items))
        if self._rest is not None:
            write_items(writer, items, self._rest, "")
            return
        writer.begin_list(len(items), "")
        for index, (item, one) in enumerate(zip(self._items, items, strict=True)):
            try:
                item.write(writer, one)
            except EncodeError as error:
                raise within(f"[{index}]", error) from None
        writer.depth += 1

    def convert(self, value: Value, reader: Reader) -> Value:
        """See `JavaType.convert`."""
        if value is None or isinstance(value, TUPLE):
            return value
        if not isinstance(value, LIST):
            raise self.mismatch(value)
        items: list[Any] = value
        if not items and not self._items:
            return ()
        known = reader.converted.get((id(value), id(self)))
        if known is not None:
            if known is _BUILDING:
                raise Fault("a tuple within itself")
            return known
        if self._rest is not None and not set(map(type, items)) - self._rest.plain:
            plain = reader.converted[id(value), id(self)] = tuple(items)
            return plain
        reader.converted[id(value), id(self)] = _BUILDING
        made: list[Any] = []
        if self._rest is not None:
            convert_items(items, self._rest, reader, made)
        else:
            if len(items) != len(self._items):
                raise Fault(f"expected {len(self._items)} items, got {len(items)}")
            for index, (item, one) in enumerate(zip(self._items, items, strict=True)):
                try:
                    made.append(item.convert(one, reader))
                except Fault as fault:
                    fault.steps.append(f"[{index}]")
                    raise
        result = reader.converted[id(value), id(self)] = tuple(made)
        return result


_BUILDING = object()
_EMPTY: frozenset[Any] = frozenset()
_SET = 5  # nodes of a set: some 450 bytes of heap with what is remembered of it


class SetType(JavaType):
    """A java.util.Set, a typed list on the wire."""

    __slots__ = ("_frozen", "item", "java_type")

    def __init__(
        self,
        name: str,
        item: JavaType,
        *,
        java_type: str = "java.util.HashSet",
        frozen: bool = False,
    ) -> None:
        super().__init__(name)
        self.item = item
        self.java_type = java_type
        self._frozen = frozen

    def write(self, writer: Writer, value: Value) -> None:
        """See `JavaType.write`."""
        if value is None:
            writer.put(b"N")
            return
        java_type = self.java_type
        if isinstance(value, JavaList):
            java_type = value.java_type
        elif not isinstance(value, SETS):
            if not isinstance(value, LISTED):
                raise self.unfit(value)
            value = list(value)
        if writer.seen(value):
            return
        items: Any = value
        if Key in set(map(type, items)):
            items = [one.value if one.__class__ is Key else one for one in items]
        write_items(writer, items, self.item, java_type)

    def convert(self, value: Value, reader: Reader) -> Value:
        """See `JavaType.convert`."""
        if value is None or isinstance(value, SETS):
            return value
        if not isinstance(value, LIST):
            raise self.mismatch(value)
        if not value and self._frozen:
            return _EMPTY
        key = (id(value), id(self))
        known = reader.converted.get(key)
        if known is not None:
            if known is _BUILDING:
                raise Fault("a set within itself")
            return known
        charge(reader, _SET)
        kinds = set(map(type, value))
        if not kinds - self.item.plain and not kinds - PLAIN_KEYS:
            made: set[Any] = set(value)
        else:
            reader.converted[key] = _BUILDING
            items: list[Any] = []
            convert_items(value, self.item, reader, items)
            made = unique(items, reader)
        result = reader.converted[key] = frozenset(made) if self._frozen else made
        return result


def unique(items: list[Any], reader: Reader) -> set[Any]:
    """A set of the items, whose hashes a peer may have chosen."""
    guard = KeyGuard(reader.limits)
    made: set[Any] = set()
    for item in items:
        made.add(item if item.__class__ is str else guard.admit(item, made))
    return made


# ------------------------------------------------------------------ maps


class MapType(JavaType):
    """A java.util.Map, or a class of it."""

    __slots__ = ("java_type", "key", "value")

    def __init__(self, name: str, key: JavaType, value: JavaType, *, java_type: str = "") -> None:
        super().__init__(name)
        self.key = key
        self.value = value
        self.java_type = java_type

    def write(self, writer: Writer, value: Value) -> None:
        """See `JavaType.write`."""
        if value is None:
            writer.put(b"N")
            return
        java_type = self.java_type
        if value.__class__ is not dict:
            if not isinstance(value, MAPPING):
                raise self.unfit(value)
            if isinstance(value, JavaMap):
                java_type = java_type or value.java_type
        if not writer.seen(value):
            write_entries(writer, value, self.key, self.value, java_type)

    def convert(self, value: Value, reader: Reader) -> Value:
        """See `JavaType.convert`."""
        if not isinstance(value, DICT):
            if value is None:
                return None
            raise self.mismatch(value)
        entries: dict[Any, Any] = value
        key = (id(entries), id(self))
        known = reader.converted.get(key)
        if known is not None:
            return known
        if not set(map(type, entries)) - self.key.plain and not (
            set(map(type, entries.values())) - self.value.plain
        ):
            if len(entries) > _ONCE:
                reader.converted[key] = entries
            return entries
        made: dict[Any, Any] = {}
        if isinstance(entries, JavaMap):
            made = JavaMap.of(made, entries.java_type)
        reader.converted[key] = made
        guard = KeyGuard(reader.limits)
        for one, item in entries.items():
            try:
                converted = one.value if isinstance(one, Key) else one
                converted = guard.admit(self.key.convert(converted, reader), made)
                made[converted] = self.value.convert(item, reader)
            except Fault as fault:
                fault.steps.append(f"[{render(one, limit=40)}]")
                raise
        return made


def write_entries(
    writer: Writer, entries: Mapping[Any, Any], key: JavaType, value: JavaType, java_type: str
) -> None:
    """Append a map; the caller has asked `writer.seen`."""
    writer.begin_map(java_type)
    for one, item in entries.items():
        try:
            key.write(writer, one.value if one.__class__ is Key else one)
            value.write(writer, item)
        except EncodeError as error:
            raise within(f"[{render(one, limit=40)}]", error) from None
    writer.put(b"Z")
    writer.depth += 1
