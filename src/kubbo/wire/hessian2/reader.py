"""Reads Hessian 2.0: the first byte of a value says what it is.

Each of the 256 first bytes has a function in `READ`, which is given the reader, the
position after that byte and how many containers may still be entered; it returns the
value and leaves the position after it in `reader.offset`. What a byte means by itself is
in `literals`; here are lists, maps, objects and references. What an object becomes is
decided by its class (`classes`), prepared once for each definition. A type that a hint
declares has a table of its own: lists, sets, tuples and maps are read by it item by item
(`containers`), anything else is made what the hint says once it is read (`types`).

Nothing here trusts the message. Lengths are compared with the bytes that are left before
anything is built, values and classes are counted, and whatever is wrong ends in
`DecodeError`, which says where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.java import JavaList, JavaMap, render
from kubbo.wire.hessian2.faults import TRUNCATED, Fault
from kubbo.wire.hessian2.keys import PLAIN_KEYS, KeyGuard
from kubbo.wire.hessian2.limits import DEFAULT_LIMITS, Limits
from kubbo.wire.hessian2.literals import READ, Read, read_longs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubbo.model import Value
    from kubbo.wire.hessian2.classes import WireClass
    from kubbo.wire.hessian2.registry import Definition, TypeRegistry
    from kubbo.wire.hessian2.types import JavaType

__all__ = [
    "READ",
    "READ_NUMBERS",
    "Read",
    "Reader",
    "Unfinished",
    "charge",
    "deeper",
    "read_body",
    "read_int",
    "reference_number",
    "typed_list",
    "typed_map",
]


class Reader:
    """Decodes one message, value by value.

    Attributes:
        offset: position of the next value.
        limits: what the message may cost; the counts run through all its values.
    """

    __slots__ = (
        "classes",
        "converted",
        "data",
        "declared",
        "field_names",
        "limits",
        "nodes",
        "offset",
        "refs",
        "registry",
        "size",
        "types",
    )

    def __init__(
        self,
        data: bytes,
        registry: TypeRegistry,
        limits: Limits | None = None,
        offset: int = 0,
    ) -> None:
        self.data = bytes(data)
        self.size = len(self.data)
        self.registry = registry
        self.limits = limits or DEFAULT_LIMITS
        self.offset = offset
        self.nodes = self.limits.nodes
        self.field_names = self.limits.field_names
        self.refs: list[Value] = []
        # By the same numbers as `refs`, as what type a container was read, or is being read;
        # shorter, as a rule.
        self.declared: list[JavaType | Unfinished | None] = []
        self.types: list[str] = []
        self.classes: list[WireClass] = []
        # What a shared list or map became under a hint, by its identity: it is converted
        # once however often it is referred to, and stays one object.
        self.converted: dict[tuple[int, int], Value] = {}

    @property
    def at_end(self) -> bool:
        """Whether every byte was read."""
        return self.offset >= self.size

    def read(self, type: JavaType | None = None, path: str = "") -> Value:  # noqa: A002 - the word for it
        """Read the next value, converted to its type if one is given.

        Raises:
            DecodeError: the bytes are no value, exceed a limit or do not fit the type.
        """
        start = self.offset
        try:
            data = self.data
            self.count(1)
            if type is None:
                return READ[data[start]](self, start + 1, self.limits.depth)
            value = type.table[data[start]](self, start + 1, self.limits.depth)
            return value if value.__class__ in type.accepted else type.convert(value, self)
        except Fault as fault:
            if fault.offset < 0:
                fault.offset = start
            error = fault.error(path)
        except TRUNCATED:
            error = self._cut_short().error(path)
        except RecursionError:
            error = Fault("nested too deeply for Python's stack", start).error(path)
        except MemoryError:
            error = Fault("no memory is left for this value", start).error(path)
        # Out here it has no context, which would keep alive all that was read so far.
        raise error

    def count(self, nodes: int) -> None:
        """Take values from the budget of the message.

        Raises:
            Fault: it is used up.
        """
        self.nodes -= nodes
        if self.nodes < 0:
            raise Fault(f"more than {self.limits.nodes} values in one message", self.offset)

    def within(self, error: Exception, step: str, start: int) -> Fault:
        """The fault, one step further out. `start` is where the value of that step began."""
        fault = error if isinstance(error, Fault) else self._cut_short()
        if fault.offset < 0:
            fault.offset = start
        fault.steps.append(step)
        # They would hold the frames of every level, also that of which it is made.
        error.__traceback__ = fault.__traceback__ = None
        return fault

    def _cut_short(self) -> Fault:
        return Fault("the message ends within a value", self.size)


_SPARE_BYTES = 4  # of so many bytes, one more value


def read_body(  # noqa: PLR0917 - the twin takes them so, which is quicker
    data: bytes,
    registry: TypeRegistry,
    limits: Limits,
    offset: int,
    types: Sequence[JavaType | None],
    paths: Sequence[str],
) -> tuple[Reader, list[Value]]:
    """Values of a message in a row, from `offset` on, and the reader that stands behind them.

    `paths` says what each is called in an error.

    Raises:
        DecodeError: see `Reader.read`.
    """
    reader = Reader(data, registry, limits, offset)
    found = [reader.read(kind, path) for kind, path in zip(types, paths, strict=True)]
    return reader, found


class Unfinished:
    """What stands in `Reader.declared` while a container is read; each type has one."""

    __slots__ = ()


def charge(reader: Reader, nodes: int) -> None:
    """Take values for what is built larger than its bytes, one for each 80 bytes of heap.

    A message without such things has no more values than bytes, each of at most as much
    heap. With them it may have a quarter more than bytes, and `Limits.surplus`: together
    that is a hundred times the message and a little.

    Raises:
        Fault: it is used up.
    """
    reader.count(nodes)
    size = reader.size
    most = size + size // _SPARE_BYTES + reader.limits.surplus
    if reader.limits.nodes - reader.nodes > most and size:  # no bytes: values of another form
        raise Fault(
            f"what is declared makes more of {size} bytes than {most} values", reader.offset
        )


_WITHIN = (Fault, *TRUNCATED)


# ------------------------------------------------------------------ small parts of containers


def read_int(reader: Reader, at: int, what: str) -> int:
    """A length, a count or an index at `at`: an int that is not negative."""
    tag = reader.data[at]
    if not (0x80 <= tag < 0xD8 or tag == 0x49):
        raise Fault(f"{what} must be an int, not 0x{tag:02x}", at)
    value: int = READ[tag](reader, at + 1, 0)
    if value < 0:
        raise Fault(f"{what} is negative", at)
    return value


def _read_name(reader: Reader, at: int, what: str) -> str:
    tag = reader.data[at]
    if not (tag < 0x20 or 0x30 <= tag < 0x34 or tag in (0x52, 0x53)):
        raise Fault(f"{what} must be a string, not 0x{tag:02x}", at)
    name: str = READ[tag](reader, at + 1, 0)
    return name


def _read_type(reader: Reader, at: int) -> str:
    """The type of a list or map: its name, or the number of one that came before."""
    tag = reader.data[at]
    if 0x80 <= tag < 0xD8 or tag == 0x49:
        number = read_int(reader, at, "a type reference")
        if number >= len(reader.types):
            raise Fault(f"type reference {number} of {len(reader.types)}", at)
        return reader.types[number]
    name = _read_name(reader, at, "a type")
    reader.types.append(name)
    return name


def deeper(reader: Reader, at: int, depth: int) -> int:
    """The containers that may be entered within one that begins before `at`.

    Raises:
        Fault: none may be.
    """
    if depth <= 0:
        raise Fault(f"nested deeper than {reader.limits.depth} containers", at - 1)
    return depth - 1


# ------------------------------------------------------------------ lists


def _read_items(reader: Reader, at: int, count: int, depth: int, into: list[Value]) -> Value:
    """A known number of values. `at` is where the first one begins."""
    reader.refs.append(into)
    data = reader.data
    size = reader.size
    if count > size - at:
        raise Fault(f"a list of {count} values in {max(0, size - at)} bytes", at)
    reader.count(count)
    append = into.append
    start = at
    try:
        for _ in range(count):
            start = at
            tag = data[at]
            if tag < 0x20:  # short strings, without a call
                end = at + 1 + tag
                raw = data[at + 1 : end]
                if raw.isascii() and end <= size:
                    append(raw.decode("ascii"))
                    at = end
                    continue
            append(READ[tag](reader, at + 1, depth))
            at = reader.offset
    except _WITHIN as error:
        raise reader.within(error, f"[{len(into)}]", start) from None
    reader.offset = at
    return into


def _read_items_to_end(reader: Reader, at: int, depth: int, into: list[Value]) -> Value:
    """Values up to the byte 5a."""
    reader.refs.append(into)
    data = reader.data
    try:
        while data[at] != 0x5A:
            reader.count(1)
            into.append(READ[data[at]](reader, at + 1, depth))
            at = reader.offset
    except _WITHIN as error:
        raise reader.within(error, f"[{len(into)}]", at) from None
    reader.offset = at + 1
    return into


def typed_list(reader: Reader, at: int) -> JavaList:
    """An empty list of the type that stands at `at`."""
    made = JavaList.__new__(JavaList)
    made.java_type = _read_type(reader, at)
    return made


def _untyped_empty(reader: Reader, at: int, depth: int) -> Value:
    if depth <= 0:
        deeper(reader, at, depth)  # says so
    made: list[Value] = []
    reader.refs.append(made)
    reader.offset = at
    return made


def _untyped_short(count: int) -> Read:
    def read(reader: Reader, at: int, depth: int) -> Value:
        return _read_items(reader, at, count, deeper(reader, at, depth), [])

    return read


def _typed_short(count: int) -> Read:
    def read(reader: Reader, at: int, depth: int) -> Value:
        depth = deeper(reader, at, depth)
        made = typed_list(reader, at)
        return _read_items(reader, reader.offset, count, depth, made)

    return read


def _untyped_counted(reader: Reader, at: int, depth: int) -> Value:
    depth = deeper(reader, at, depth)
    count = read_int(reader, at, "a length")
    return _read_items(reader, reader.offset, count, depth, [])


def _typed_counted(reader: Reader, at: int, depth: int) -> Value:
    depth = deeper(reader, at, depth)
    made = typed_list(reader, at)
    count = read_int(reader, reader.offset, "a length")
    return _read_items(reader, reader.offset, count, depth, made)


def _untyped_variable(reader: Reader, at: int, depth: int) -> Value:
    return _read_items_to_end(reader, at, deeper(reader, at, depth), [])


def _typed_variable(reader: Reader, at: int, depth: int) -> Value:
    depth = deeper(reader, at, depth)
    made = typed_list(reader, at)
    return _read_items_to_end(reader, reader.offset, depth, made)


for _tag in range(8):
    READ[0x70 + _tag] = _typed_short(_tag)
    READ[0x78 + _tag] = _untyped_short(_tag)
READ[0x78] = _untyped_empty
READ[0x55] = _typed_variable
READ[0x56] = _typed_counted
READ[0x57] = _untyped_variable
READ[0x58] = _untyped_counted


# ------------------------------------------------------------------ maps


def _read_entries(reader: Reader, at: int, depth: int, into: dict[Value, Value]) -> Value:
    """Keys and values up to the byte 5a."""
    reader.refs.append(into)
    data = reader.data
    guard: KeyGuard | None = None
    step = "[key]"
    try:
        while data[at] != 0x5A:
            reader.count(2)
            step = "[key]"
            key = READ[data[at]](reader, at + 1, depth)
            if key.__class__ not in PLAIN_KEYS:
                if guard is None:
                    guard = KeyGuard(reader.limits)
                key = guard.admit(key, into)
            at = reader.offset
            step = ""
            into[key] = READ[data[at]](reader, at + 1, depth)
            at = reader.offset
    except _WITHIN as error:
        raise reader.within(error, step or f"[{render(key, limit=40)}]", at) from None  # pyright: ignore[reportPossiblyUnboundVariable] - step is empty only once key is read
    reader.offset = at + 1
    return into


def _untyped_map(reader: Reader, at: int, depth: int) -> Value:
    return _read_entries(reader, at, deeper(reader, at, depth), {})


def typed_map(reader: Reader, at: int) -> JavaMap:
    """An empty map of the type that stands at `at`."""
    made = JavaMap.__new__(JavaMap)
    made.java_type = _read_type(reader, at)
    return made


def _typed_map(reader: Reader, at: int, depth: int) -> Value:
    depth = deeper(reader, at, depth)
    made = typed_map(reader, at)
    return _read_entries(reader, reader.offset, depth, made)


READ[0x48] = _untyped_map
READ[0x4D] = _typed_map


# ------------------------------------------------------------------ objects


_NO_DEFINITION: Definition = (b"", 0, None)


def _charge_names(reader: Reader, count: int, start: int) -> None:
    reader.field_names -= count
    if reader.field_names < 0:
        limit = reader.limits.field_names
        raise Fault(f"more than {limit} field names in one message", start)


def _read_definition(reader: Reader, at: int, start: int, name: str) -> tuple[WireClass, int]:
    """A definition after its class name, which stands before `at`; and where it ends."""
    data = reader.data
    begin = at
    count = read_int(reader, at, "a number of fields")
    at = reader.offset
    if count > reader.size - at:
        raise Fault(f"a class of {count} fields in {reader.size - at} bytes", start)
    _charge_names(reader, count, start)
    fields: list[str] = []
    for _ in range(count):
        fields.append(_read_name(reader, at, "a field name"))
        at = reader.offset
    wire_class = reader.registry.wire_class(name, tuple(fields))
    reader.registry.note_definition(name, (data[begin:at], count, wire_class))
    return wire_class, at


def _definition(reader: Reader, at: int, depth: int) -> Value:
    """A class definition, and the value that follows it (as a rule, its first object)."""
    data = reader.data
    while True:  # definitions may follow each other; no recursion for a peer to use
        start = at - 1
        if len(reader.classes) >= reader.limits.class_definitions:
            raise Fault(f"more than {reader.limits.class_definitions} class definitions", start)
        name = _read_name(reader, at, "a class name")
        text, count, wire_class = reader.registry.definitions.get(name, _NO_DEFINITION)
        if wire_class is not None and data.startswith(text, reader.offset):
            # A peer repeats it, to the byte, in each of its messages.
            at = reader.offset + len(text)
            _charge_names(reader, count, start)
        else:
            wire_class, at = _read_definition(reader, reader.offset, start, name)
        reader.classes.append(wire_class)
        tag = data[at]
        at += 1
        if tag != 0x43:
            return READ[tag](reader, at, depth)


def _read_object(reader: Reader, at: int, depth: int, number: int) -> Value:
    classes = reader.classes
    if number >= len(classes):
        raise Fault(f"an object of class {number} of {len(classes)}", at - 1)
    wire_class = classes[number]
    reader.offset = at
    reader.nodes -= wire_class.width
    if reader.nodes < 0:
        reader.count(0)  # says so
    if depth <= 0:
        deeper(reader, at, depth)  # says so
    return wire_class.read(reader, at, depth - 1)


def _object_short(number: int) -> Read:
    def read(reader: Reader, at: int, depth: int) -> Value:
        return _read_object(reader, at, depth, number)

    return read


def _object_counted(reader: Reader, at: int, depth: int) -> Value:
    number = read_int(reader, at, "a class number")
    return _read_object(reader, reader.offset, depth, number)


def _reference(reader: Reader, at: int, _depth: int) -> Value:
    number = reference_number(reader, at)
    value = reader.refs[number]
    kind = reader.declared[number] if number < len(reader.declared) else None
    if kind is not None and not isinstance(kind, Unfinished):
        # Should what refers to it be converted to that type later, this is it already.
        reader.converted[id(value), id(kind)] = value
    return value


def reference_number(reader: Reader, at: int) -> int:
    """Which one of `refs` a reference means, whose number stands at `at`."""
    number = read_int(reader, at, "a reference")
    if number >= len(reader.refs):
        raise Fault(f"reference {number} of {len(reader.refs)}", at - 1)
    return number


READ[0x43] = _definition
for _tag in range(16):
    READ[0x60 + _tag] = _object_short(_tag)
READ[0x4F] = _object_counted
READ[0x51] = _reference


# ------------------------------------------------------------------ where a hint asks for a number

READ_NUMBERS: list[Read] = list(READ)
"""As `READ`, but a long is a plain int: for positions whose type is declared."""

read_longs(READ, plain=False)
read_longs(READ_NUMBERS, plain=True)
