"""Lists, arrays, sets, tuples and maps: the Java types that hold others.

They are read item by item as what the items are declared, so nothing is built twice: the
`table` of such a type reads lists and maps itself. What it made stands in `Reader.refs` for
whoever refers to it, and `Reader.declared` says as what it was read: whoever wants that too
gets the same object.

`convert` is for what was read without the declaration: the fields of exceptions, models and
typed dicts, what an object of a generic class holds, and references to what stands where
something else is declared. There a copy is made if anything differs, once for a type
however often the value is referred to, and it is charged for: a peer could have one list
converted to many types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubbo.errors import EncodeError
from kubbo.java import JavaList, JavaMap, Key, render
from kubbo.wire.hessian2.faults import TRUNCATED, Fault
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
from kubbo.wire.hessian2.reader import (
    READ,
    Read,
    Reader,
    Unfinished,
    charge,
    deeper,
    read_int,
    reference_number,
    typed_list,
    typed_map,
)
from kubbo.wire.hessian2.types import JavaType
from kubbo.wire.hessian2.writer import within

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kubbo.model import Value
    from kubbo.wire.hessian2.writer import Writer

__all__ = [
    "ContainerType",
    "ListType",
    "MapType",
    "SetType",
    "TupleType",
    "declare",
    "write_entries",
    "write_items",
]

WITHIN = (Fault, *TRUNCATED)
_HELD: frozenset[type[Any]] = frozenset(
    {list, JavaList, tuple, set, frozenset, dict, JavaMap, type(None)}
)
"""Classes of what the table of a container gives; a text is none of it, however it was read."""

# What `convert` counts for, see `charge`: a copy with what is remembered of it (300 bytes), its
# items (8 bytes each), and the look at each item, which is time.
_COPY = 4
_COPIED = 8
_SEEN = 16
# An item that is a number or a text takes half of the 80 bytes that it counts for, or less.
_SPARED = 2

_ONCE = 4
"""Longer lists are remembered once they are looked at: see `Reader.converted`."""


# ------------------------------------------------------------------ read as declared


class ContainerType(JavaType):
    """What holds items of types of its own.

    `unfinished` stands for it in `Reader.declared` while one is read. `rebuilt`: it is a list
    until it is read whole, and something else then.
    """

    __slots__ = ("rebuilt", "unfinished")

    def prepare_table(self, tags: Iterable[int], read: Read, *, rebuilt: bool = False) -> None:
        """Have lists or maps, which begin with these bytes, read by a function of this type's."""
        self.rebuilt = rebuilt
        self.unfinished = Unfinished()

        def other(reader: Reader, at: int, depth: int) -> Value:
            return self.convert(READ[reader.data[at - 1]](reader, at, depth), reader)

        def reference(reader: Reader, at: int, _depth: int) -> Value:
            number = reference_number(reader, at)
            value = reader.refs[number]
            kind = reader.declared[number] if number < len(reader.declared) else None
            if kind is self or (kind is self.unfinished and not self.rebuilt):
                return value
            if isinstance(kind, Unfinished):  # as another type, or as one that is no list yet
                raise Fault(f"a {self.name} within itself")
            return self.convert(value, reader)

        table: list[Read] = [other] * 256
        table[0x4E] = READ[0x4E]
        table[0x51] = reference
        for tag in tags:
            table[tag] = read
        self.table = table
        self.accepted = _HELD


_LISTS = (*range(0x55, 0x59), *range(0x70, 0x80))
_FIXED_LISTS = (0x56, 0x58, *range(0x70, 0x80))
MAPS = (0x48, 0x4D)


def declare(reader: Reader, made: Value, kind: ContainerType) -> int:
    """Give what is about to be read its number, and say as what it is read."""
    refs = reader.refs
    declared = reader.declared
    number = len(refs)
    if len(declared) < number:
        declared += [None] * (number - len(declared))
    declared.append(kind.unfinished)
    refs.append(made)
    return number


def _begin_list(reader: Reader, at: int, kind: ContainerType) -> tuple[list[Any], int]:
    """A list whose first byte stands before `at`, and its length, -1 for one that `5a` ends."""
    tag = reader.data[at - 1]
    made: list[Any]
    if tag >= 0x78 or tag in (0x57, 0x58):
        made = []
        reader.offset = at
    else:
        made = typed_list(reader, at)
    if tag >= 0x70:
        count = tag & 7
    elif tag in (0x56, 0x58):
        count = read_int(reader, reader.offset, "a length")
    else:
        count = -1
    at = reader.offset
    declare(reader, made, kind)
    if count > reader.size - at:
        raise Fault(f"a list of {count} values in {max(0, reader.size - at)} bytes", at)
    if count > 0:
        reader.count(count)
    return made, count


def _read_items(reader: Reader, count: int, depth: int, item: JavaType, into: list[Any]) -> None:
    """Read items of one type."""
    data = reader.data
    size = reader.size
    table = item.table
    accepted = item.accepted
    at = reader.offset
    try:
        while count:
            tag = data[at]
            value: Any
            if tag < 0x20 and at + tag < size and (raw := data[at + 1 : at + 1 + tag]).isascii():
                value = raw.decode("ascii")  # short strings, without a call
                reader.offset = at + 1 + tag
            elif count < 0:
                if tag == 0x5A:
                    break
                reader.count(1)
                value = table[tag](reader, at + 1, depth)
            else:
                value = table[tag](reader, at + 1, depth)
            if value.__class__ not in accepted:
                value = item.convert(value, reader)
            into.append(value)
            at = reader.offset
            count -= 1
    except WITHIN as error:
        raise reader.within(error, f"[{len(into)}]", at) from None
    reader.offset = at + (count < 0)


# ------------------------------------------------------------------ lists, arrays, sets


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


def charge_copy(reader: Reader, items: Collection[Any]) -> None:
    """Take values for a copy of a list; ten numbers or texts leave room for its own size.

    Raises:
        Fault: they are used up.
    """
    spared = 0 if set(map(type, items)) - PLAIN_KEYS else len(items) // _SPARED
    charge(reader, max(0, _COPY - spared) + len(items) // _COPIED)


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


class ListType(ContainerType):
    """A java.util.List, or a class of it; an array if its name ends with brackets."""

    __slots__ = ("item", "java_type")

    def __init__(
        self, name: str, item: JavaType, *, descriptor: str = "", java_type: str = ""
    ) -> None:
        super().__init__(name, descriptor, component=java_type)
        self.item = item
        self.java_type = java_type
        self.prepare_table(_LISTS, self._read)
        self.table[0x78] = self._read_empty

    def _read_empty(self, reader: Reader, at: int, depth: int) -> Value:
        if depth <= 0:
            deeper(reader, at, depth)  # says so
        made: list[Any] = []
        reader.declared[declare(reader, made, self)] = self
        reader.offset = at
        return made

    def _read(self, reader: Reader, at: int, depth: int) -> Value:
        depth = deeper(reader, at, depth)
        number = len(reader.refs)
        made, count = _begin_list(reader, at, self)
        _read_items(reader, count, depth, self.item, made)
        reader.declared[number] = self
        return made

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
        if isinstance(value, LIST):
            charge(reader, len(value) // _SEEN)
            if not set(map(type, value)) - self.item.plain:
                if len(value) > _ONCE:
                    reader.converted[key] = value
                return value
        known = reader.converted.get(key)
        if known is not None:
            return known
        charge_copy(reader, value)
        made: list[Any] = []
        if isinstance(value, JavaList):
            made = JavaList.of(made, value.java_type)
        reader.converted[key] = made  # before its items, which may refer to it
        convert_items(value, self.item, reader, made)
        return made


class TupleType(ContainerType):
    """A java.util.List that is a tuple here: of one type, or of one type a place."""

    __slots__ = ("items", "rest")

    def __init__(self, items: tuple[JavaType, ...], rest: JavaType | None) -> None:
        super().__init__("java.util.List")
        self.items = items
        self.rest = rest
        # The items of a tuple of one type a place are read once it is known how many there are.
        tags = _FIXED_LISTS if rest is None else _LISTS
        self.prepare_table(tags, self._read, rebuilt=True)

    def _read(self, reader: Reader, at: int, depth: int) -> Value:
        depth = deeper(reader, at, depth)
        number = len(reader.refs)
        made, count = _begin_list(reader, at, self)
        if self.rest is not None:
            _read_items(reader, count, depth, self.rest, made)
        else:
            if count != len(self.items):
                raise Fault(f"expected {len(self.items)} items, got {count}")
            data = reader.data
            at = reader.offset
            try:
                for item in self.items:
                    value = item.table[data[at]](reader, at + 1, depth)
                    if value.__class__ not in item.accepted:
                        value = item.convert(value, reader)
                    made.append(value)
                    at = reader.offset
            except WITHIN as error:
                raise reader.within(error, f"[{len(made)}]", at) from None
        found = reader.refs[number] = tuple(made)
        reader.declared[number] = self
        return found

    def write(self, writer: Writer, value: Value) -> None:
        """See `JavaType.write`."""
        if value is None:
            writer.put(b"N")
            return
        if not isinstance(value, LISTED):
            raise self.unfit(value)
        items: Any = value
        if self.rest is None and len(items) != len(self.items):
            raise self.unfit(items, f"it needs {len(self.items)} items")
        # Python shares equal tuples as it likes: two of them are never one Java list.
        writer.seen(list(items))
        if self.rest is not None:
            write_items(writer, items, self.rest, "")
            return
        writer.begin_list(len(items), "")
        for index, (item, one) in enumerate(zip(self.items, items, strict=True)):
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
        if not items and not self.items:
            return ()
        known = reader.converted.get((id(value), id(self)))
        if known is not None:
            if known is _BUILDING:
                raise Fault(f"a {self.name} within itself")
            return known
        charge_copy(reader, items)
        if self.rest is not None and not set(map(type, items)) - self.rest.plain:
            plain = reader.converted[id(value), id(self)] = tuple(items)
            return plain
        reader.converted[id(value), id(self)] = _BUILDING
        made: list[Any] = []
        if self.rest is not None:
            convert_items(items, self.rest, reader, made)
        else:
            if len(items) != len(self.items):
                raise Fault(f"expected {len(self.items)} items, got {len(items)}")
            for index, (item, one) in enumerate(zip(self.items, items, strict=True)):
                try:
                    made.append(item.convert(one, reader))
                except Fault as fault:
                    fault.steps.append(f"[{index}]")
                    raise
        result = reader.converted[id(value), id(self)] = tuple(made)
        return result


_BUILDING = object()
_EMPTY: frozenset[Any] = frozenset()
# What a set counts for, beside the list that it is made of: 216 bytes, and its table, which
# has up to seven places of 16 bytes for each element.
SET = 3
ELEMENTS = 2


class SetType(ContainerType):
    """A java.util.Set, a typed list on the wire."""

    __slots__ = ("frozen", "item", "java_type")

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
        self.frozen = frozen
        self.prepare_table(_LISTS, self._read, rebuilt=True)

    def _read(self, reader: Reader, at: int, depth: int) -> Value:
        depth = deeper(reader, at, depth)
        number = len(reader.refs)
        items, count = _begin_list(reader, at, self)
        _read_items(reader, count, depth, self.item, items)
        found = reader.refs[number] = self.made_of(items, reader)
        reader.declared[number] = self
        return found

    def made_of(self, items: list[Any], reader: Reader) -> Value:
        """The set of items that are converted already.

        Raises:
            Fault: too many of them share a hash, or it is larger than the message is worth.
        """
        if not items and self.frozen:
            return _EMPTY
        charge(reader, SET + len(items) // ELEMENTS)
        kinds = set(map(type, items))
        # An int that was converted may be a large one, whose hash a peer chose.
        plain = not kinds - self.item.plain and not kinds - PLAIN_KEYS
        made: set[Any] = set(items) if plain else unique(items, reader)
        return frozenset(made) if self.frozen else made

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
        key = (id(value), id(self))
        known = reader.converted.get(key)
        if known is not None:
            if known is _BUILDING:
                raise Fault(f"a {self.name} within itself")
            return known
        charge_copy(reader, value)
        reader.converted[key] = _BUILDING
        items: list[Any] = []
        convert_items(value, self.item, reader, items)
        result = reader.converted[key] = self.made_of(items, reader)
        return result


def unique(items: list[Any], reader: Reader) -> set[Any]:
    """A set of the items, whose hashes a peer may have chosen."""
    guard = KeyGuard(reader.limits)
    made: set[Any] = set()
    for item in items:
        made.add(item if item.__class__ is str else guard.admit(item, made))
    return made


# ------------------------------------------------------------------ maps


class MapType(ContainerType):
    """A java.util.Map, or a class of it."""

    __slots__ = ("java_type", "key", "value")

    def __init__(self, name: str, key: JavaType, value: JavaType, *, java_type: str = "") -> None:
        super().__init__(name)
        self.key = key
        self.value = value
        self.java_type = java_type
        self.prepare_table(MAPS, self._read)

    def _read(self, reader: Reader, at: int, depth: int) -> Value:
        depth = deeper(reader, at, depth)
        data = reader.data
        made: dict[Any, Any] = {}
        if data[at - 1] == 0x4D:
            made = typed_map(reader, at)
            at = reader.offset
        number = declare(reader, made, self)
        of_key, of_value = self.key, self.value
        guard: KeyGuard | None = None
        key: Any = None
        step = "[key]"
        try:
            while data[at] != 0x5A:
                reader.count(2)
                step = "[key]"
                key = of_key.table[data[at]](reader, at + 1, depth)
                plain = key.__class__ in PLAIN_KEYS
                if key.__class__ not in of_key.accepted:
                    key = of_key.convert(key, reader)
                    plain = key.__class__ is str
                if not plain:
                    guard = guard or KeyGuard(reader.limits)
                    key = guard.admit(key, made)
                at = reader.offset
                step = ""
                value: Any = of_value.table[data[at]](reader, at + 1, depth)
                if value.__class__ not in of_value.accepted:
                    value = of_value.convert(value, reader)
                made[key] = value
                at = reader.offset
        except WITHIN as error:
            raise reader.within(error, step or f"[{render(key, limit=40)}]", at) from None
        reader.declared[number] = self
        reader.offset = at + 1
        return made

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
        charge(reader, len(entries) // _SEEN)
        if not set(map(type, entries)) - self.key.plain and not (
            set(map(type, entries.values())) - self.value.plain
        ):
            if len(entries) > _ONCE:
                reader.converted[key] = entries
            return entries
        charge(reader, _COPY + len(entries))
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
