"""TypedDicts: dicts whose keys are declared, as Java objects or as Java maps.

One that `pojo` marked is an object of that class. It is always a plain dict here, so an
object of its class is read as a `Record`, which forgets nothing, unless a hint says that it
is a dict.

One without a mark is a java.util.Map, whose keys are as they are written in Python and
whose values have types of their own; keys that are not declared are kept.

A key that need not be there (`NotRequired`, `total=False`) is written when it is there. In
an object it is left out of the class definition then, which leaves Java's field as its
class initializes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubbo.errors import EncodeError, UsageError
from kubbo.java import JavaClass, JavaMap, Key, Record, render
from kubbo.wire.hessian2.classes import (
    Field,
    RecordClass,
    Step,
    WireClass,
    read_attributes,
    read_steps,
)
from kubbo.wire.hessian2.containers import ContainerType, declare
from kubbo.wire.hessian2.faults import Fault
from kubbo.wire.hessian2.kinds import DICT, MAPPING
from kubbo.wire.hessian2.reader import READ, Reader, charge, deeper, read_int
from kubbo.wire.hessian2.scalars import encode_text
from kubbo.wire.hessian2.writer import Writer, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.model import Value

__all__ = ["TypedDictType", "is_typed_dict"]

_DICT = 6  # nodes of a dict beside the record or map that it is made of
_READ = 2  # nodes of a dict that is read as one, less one for each field that was sent

_OBJECTS = (*range(0x60, 0x70), 0x4F)
_MOST_LAYOUTS = 64  # that are kept of what peers send, in fields and their order


def is_typed_dict(hint: Any) -> bool:
    """Whether a hint is a TypedDict of whichever module."""
    return isinstance(hint, type) and issubclass(hint, DICT) and hasattr(hint, "__required_keys__")


@dataclass(frozen=True, slots=True)
class _Layout:
    """How objects are read that have these fields: what they lack, and what they count for."""

    steps: tuple[Step, ...]
    missing: tuple[Field, ...]
    width: int
    surplus: int


class TypedDictType(ContainerType):
    """A TypedDict. `prepare` is called once its values' types can be made."""

    __slots__ = ("_layouts", "_required", "by_attribute", "by_name", "cls", "fields", "marked")

    def __init__(self, cls: Any, java_class: JavaClass | None) -> None:
        super().__init__(
            "java.util.Map" if java_class is None else java_class.name,
            plain=frozenset({type(None)}),
        )
        self.cls = cls
        self.marked = java_class is not None
        self.fields: tuple[Field, ...] = ()
        self.by_attribute: dict[str, Field] = {}
        self.by_name: dict[str, Field] = {}
        self._required: frozenset[str] = frozenset()

    def prepare(self, fields: tuple[Field, ...], required: frozenset[str]) -> None:
        """Take the fields in their order on the wire, and the keys that must be there."""
        self.fields = fields
        self.by_attribute = {field.attribute: field for field in fields}
        self._required = required
        self.by_name = {field.name: field for field in fields}
        if len(self.by_name) != len(fields):
            raise UsageError(f"{self.cls.__name__}: two keys have the same Java name")
        if self.marked:
            self._layouts: dict[tuple[str, ...], _Layout] = {}
            self.prepare_table(_OBJECTS, self._read_object)

    def _read_object(self, reader: Reader, at: int, depth: int) -> Value:
        tag = reader.data[at - 1]
        start = at
        reader.offset = at
        number = read_int(reader, at, "a class number") if tag == 0x4F else tag - 0x60
        wire_class = reader.classes[number] if number < len(reader.classes) else None
        if not isinstance(wire_class, RecordClass) or wire_class.name != self.name:
            return self.convert(READ[tag](reader, start, depth), reader)
        layout = self._layouts.get(wire_class.fields) or self._prepare_layout(wire_class.fields)
        if layout.surplus:
            charge(reader, layout.width)
        else:
            reader.count(layout.width)
        at = reader.offset
        depth = deeper(reader, at, depth)
        made: dict[str, Any] = {}
        place = declare(reader, made, self)
        read_attributes(reader, at, depth, layout.steps, made)
        for field in layout.missing:
            made[field.attribute] = field.missing()
        reader.declared[place] = self
        return made

    def _prepare_layout(self, names: tuple[str, ...]) -> _Layout:
        if len(self._layouts) >= _MOST_LAYOUTS:
            self._layouts.clear()
        required = [one for one in self.fields if one.attribute in self._required]
        missing = tuple(one for one in required if one.name not in names)
        surplus = max(0, _READ - len(names)) + len(missing)
        steps = read_steps(self.by_name, names)
        made = self._layouts[names] = _Layout(steps, missing, len(names) + surplus, surplus)
        return made

    def write(self, writer: Writer, value: Value) -> None:
        """Append a dict with these keys."""
        if value is None:
            writer.put(b"N")
            return
        if isinstance(value, Record) and self.marked:
            writer.write_any(value)
            return
        if not isinstance(value, MAPPING):
            raise self.unfit(value)
        items: Any = value
        for field in self.fields:
            if field.attribute in self._required and field.attribute not in items:
                raise EncodeError(f"a {self.cls.__name__} needs the key {field.attribute!r}")
        if writer.seen(items):
            return
        if self.marked:
            self._write_object(writer, items)
        else:
            self._write_map(writer, items)
        writer.depth += 1

    def _write_object(self, writer: Writer, items: Mapping[Any, Any]) -> None:
        unknown = next((name for name in items if name not in self.by_attribute), None)
        if unknown is not None:
            shown = render(unknown, limit=80)
            raise EncodeError(f"a {self.cls.__name__} has no key {shown}")
        fields = [field for field in self.fields if field.attribute in items]
        writer.begin_object(writer.layout(self.name, tuple(field.name for field in fields)))
        for field in fields:
            _write_value(writer, field, items[field.attribute])

    def _write_map(self, writer: Writer, items: Mapping[Any, Any]) -> None:
        writer.begin_map(items.java_type if isinstance(items, JavaMap) else "")
        for key, value in items.items():
            field = self.by_attribute.get(key) if isinstance(key, str) else None
            if field is None:
                writer.write_any(key)
                writer.write_any(value)
            else:
                writer.put(encode_text(key))
                _write_value(writer, field, value)
        writer.put(b"Z")

    def convert(self, value: Value, reader: Reader) -> Value:
        """A dict of an object's fields, or of a map's entries with the declared values."""
        if value is None:
            return None
        found: Any = value
        if isinstance(value, Record) and self.marked and value.class_name == self.name:
            found = value.fields
        elif not isinstance(value, DICT):  # Java takes an untyped map for an object too
            raise self.mismatch(value)
        key = (id(value), id(self))
        known = reader.converted.get(key)
        if known is not None:
            return known
        charge(reader, _DICT)
        made: dict[Any, Any] = {}
        if not self.marked:
            made = JavaMap.of(found, found.java_type) if isinstance(found, JavaMap) else dict(found)
        # What is made is not made again, when it is looked at as this type once more.
        reader.converted[key] = reader.converted[id(made), id(self)] = made
        for field in self.fields:
            name = field.name
            if name in found:
                try:
                    made[field.attribute] = field.type.convert(found[name], reader)
                except Fault as fault:
                    fault.steps.append(field.attribute if self.marked else f"[{name!r}]")
                    raise
            elif field.attribute in self._required:
                charge(reader, 1)
                made[field.attribute] = field.missing()
        return made

    def reader_of(self, names: tuple[str, ...]) -> WireClass:
        """Objects are read as records, until a hint says otherwise."""
        return RecordClass(self.name, names)


def _write_value(writer: Writer, field: Field, value: Any) -> None:
    try:
        field.type.write(writer, value.value if value.__class__ is Key else value)
    except EncodeError as error:
        raise within(field.attribute, error) from None
