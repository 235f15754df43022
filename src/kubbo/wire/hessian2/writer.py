"""Writes values as Hessian 2.0.

One `Writer` is one message: the tables of class definitions, type names and references
run through all of it, so that a request's arguments may share objects. What kind of value
is written is decided by its `JavaType` where a hint declares one, and by its Python class
where nothing does; both were prepared before (see `types` and `registry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.errors import EncodeError
from kubbo.wire.hessian2.limits import DEFAULT_LIMITS, Limits
from kubbo.wire.hessian2.scalars import encode_int, encode_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubbo.model import Value
    from kubbo.wire.hessian2.registry import TypeRegistry
    from kubbo.wire.hessian2.types import JavaType

__all__ = ["Layout", "Writer", "within", "write_body"]

_OBJECT_1 = [bytes([0x60 + n]) for n in range(16)]
_TYPED_1 = [bytes([0x70 + n]) for n in range(8)]
_UNTYPED_1 = [bytes([0x78 + n]) for n in range(8)]


class Layout:
    """A class as it is defined on the wire: its name and its fields in order."""

    __slots__ = ("definition", "fields", "name")

    def __init__(self, name: str, fields: tuple[str, ...]) -> None:
        self.name = name
        self.fields = fields
        parts = [b"\x43", encode_text(name), encode_int(len(fields)), *map(encode_text, fields)]
        self.definition = b"".join(parts)


def within(part: str, error: EncodeError) -> EncodeError:
    """The same error, one step further out: `id` within `orders[3]` is `orders[3].id`."""
    inner = error.path
    if part and inner and not inner.startswith("["):
        part += "."
    return EncodeError(error.message, path=part + inner)


class Writer:
    """Encodes one message. After an error it is of no further use."""

    __slots__ = (
        "_definitions",
        "_layouts",
        "_parts",
        "_records",
        "_refs",
        "_singletons",
        "_types",
        "depth",
        "put",
        "registry",
    )

    def __init__(self, registry: TypeRegistry, limits: Limits | None = None) -> None:
        self.registry = registry
        self._parts: list[bytes] = []
        self.put = self._parts.append  # bytes, as they are
        self._layouts: dict[Layout, int] = {}
        self._definitions: dict[bytes, int] = {}
        self._records: dict[tuple[str, tuple[str, ...]], Layout] = {}
        self._types: dict[str, int] = {}
        self._singletons: dict[Value, Value] = {}
        # Number and object by identity; holding the object keeps its id from being reused.
        self._refs: dict[int, tuple[int, Value]] = {}
        # Containers that may still be begun within the current one.
        self.depth = (limits or DEFAULT_LIMITS).depth

    def write(self, value: Value, type: JavaType | None = None, path: str = "") -> None:  # noqa: A002 - the word for it
        """Append one value.

        Raises:
            EncodeError: it does not fit its type, or has none; `path` says where.
        """
        try:
            if type is None:
                self.write_any(value)
            else:
                type.write(self, value)
        except EncodeError as error:
            raise within(path, error) from None
        except RecursionError:
            raise EncodeError("nested too deeply for Python's stack", path=path) from None

    def write_raw(self, data: bytes) -> None:
        """Append bytes that are Hessian already and hold no references."""
        self._parts.append(data)

    def getvalue(self) -> bytes:
        """The message so far."""
        return b"".join(self._parts)

    def write_any(self, value: Value) -> None:
        """Append a value that nothing declares, by its Python class."""
        self.registry.any_writer(value.__class__)(self, value)

    def seen(self, value: Value) -> bool:
        """Write a reference if this very object was written before; else give it a number."""
        refs = self._refs
        known = refs.get(id(value))
        if known is not None:
            self._parts.append(b"\x51" + encode_int(known[0]))
            return True
        refs[id(value)] = (len(refs), value)
        return False

    def same(self, value: Value) -> Value:
        """The first of all equal values, for what exists once in Java (a Class)."""
        return self._singletons.setdefault(value, value)

    def begin_list(self, length: int, java_type: str) -> None:
        """Begin a list of `length` values, untyped when `java_type` is empty.

        As with maps and objects, whoever begins one gives `depth` back after its end.
        """
        if self.depth <= 0:
            raise self._too_deep()
        self.depth -= 1
        if java_type:
            if length < 8:
                self._parts.append(_TYPED_1[length])
                self._type(java_type)
            else:
                self._parts.append(b"\x56")
                self._type(java_type)
                self._parts.append(encode_int(length))
        elif length < 8:
            self._parts.append(_UNTYPED_1[length])
        else:
            self._parts.append(b"\x58" + encode_int(length))

    def begin_map(self, java_type: str) -> None:
        """Begin a map; its keys and values follow, then the byte 5a."""
        if self.depth <= 0:
            raise self._too_deep()
        self.depth -= 1
        if java_type:
            self._parts.append(b"\x4d")
            self._type(java_type)
        else:
            self._parts.append(b"\x48")

    def _type(self, java_type: str) -> None:
        known = self._types.get(java_type)
        if known is None:
            self._types[java_type] = len(self._types)
            self._parts.append(encode_text(java_type))
        else:
            self._parts.append(encode_int(known))

    def begin_object(self, layout: Layout) -> None:
        """Begin an object, with its class definition when that is new; its fields follow."""
        if self.depth <= 0:
            raise self._too_deep()
        self.depth -= 1
        layouts = self._layouts
        number = layouts.get(layout)
        if number is None:
            # A record of a class that has a layout of its own elsewhere (a java.time handle
            # that Python cannot hold) is no second class.
            definitions = self._definitions
            number = definitions.get(layout.definition)
            if number is None:
                number = definitions[layout.definition] = len(definitions)
                self._parts.append(layout.definition)
            layouts[layout] = number
        self._parts.append(_OBJECT_1[number] if number < 16 else b"\x4f" + encode_int(number))

    def layout(self, name: str, fields: tuple[str, ...]) -> Layout:
        """The layout of a class that is known by its fields only."""
        key = (name, fields)
        found = self._records.get(key)
        if found is None:
            found = self._records[key] = Layout(name, fields)
        return found

    def _too_deep(self) -> EncodeError:
        return EncodeError("nested deeper than the limit; raise Limits.depth if it is meant")


def write_body(  # noqa: PLR0917 - the twin takes them so, which is quicker
    registry: TypeRegistry,
    limits: Limits,
    head: bytes,
    values: Sequence[Value],
    types: Sequence[JavaType | None],
    paths: Sequence[str],
    tail: bytes,
) -> bytes:
    """A whole message: values, between bytes that are Hessian already and hold no references.

    `paths` says what each value is called in an error.

    Raises:
        EncodeError: see `Writer.write`.
    """
    writer = Writer(registry, limits)
    writer.write_raw(head)
    for value, kind, path in zip(values, types, paths, strict=True):
        writer.write(value, kind, path)
    writer.write_raw(tail)
    return writer.getvalue()
