"""Objects: registered classes both ways, and what a class definition on the wire becomes.

A registered class is prepared twice. For writing, once a class: its layout in the order
in which hessian-lite writes it, and each field's `write`. For reading, once a layout that
a peer defines (peers may send other fields in another order): for each field where it goes
and what its type accepts. Objects are made without calling their `__init__`, as Java does,
so that nothing of the user's runs on what a peer sent.

The order of fields on the wire. hessian-lite takes the class's own fields in source order,
then its superclass's; it puts those of primitive and java.lang types first, then the rest,
and then reverses all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from kubbo.errors import EncodeError, UsageError
from kubbo.java import HiddenName, JavaClass, Record, render
from kubbo.wire.hessian2.faults import TRUNCATED, Fault, fault_of
from kubbo.wire.hessian2.kinds import DICT
from kubbo.wire.hessian2.reader import READ, Read, Reader, charge
from kubbo.wire.hessian2.scalars import encode_text
from kubbo.wire.hessian2.throwables import keep_remote, message_of
from kubbo.wire.hessian2.types import JavaType
from kubbo.wire.hessian2.writer import Layout, Writer, within

if TYPE_CHECKING:
    from enum import Enum

    from kubbo.model import Value

__all__ = [
    "BeanType",
    "EnumType",
    "Field",
    "RecordClass",
    "Step",
    "ThrowableType",
    "WireClass",
    "new_object",
]

_WITHIN = (Fault, *TRUNCATED)

# Nodes of what an object has that its peer did not send: a default that is made anew, and
# how many constants are as large as one value. An object that sent little still has a dict:
# with the fields that were sent it counts for this much.
_FACTORY = 2
_CONSTANTS = 8
_UNSENT = 2
_BUILT = 4  # of an object that is made of a record or a map, and what is remembered of it


class WireClass(Protocol):
    """A class as one message defines it."""

    width: int  # nodes of what an object of it holds; what holds it counts the object

    def read(self, reader: Reader, at: int, depth: int) -> Value:
        """Read an object's fields from `at` on, leaving the position in the reader."""
        ...


class RecordClass:
    """A class that nobody registered."""

    __slots__ = ("fields", "name", "width")

    def __init__(self, name: str, fields: tuple[str, ...]) -> None:
        self.name = name
        self.fields = fields if len(set(fields)) == len(fields) else _hide_repeated(fields)
        self.width = len(fields)

    def read(self, reader: Reader, at: int, depth: int) -> Value:
        """An inert record."""
        record = Record(self.name)
        reader.refs.append(record)
        names = self.fields
        if names:
            values: list[Value] = []
            data = reader.data
            try:
                for _ in names:
                    values.append(READ[data[at]](reader, at + 1, depth))
                    at = reader.offset
            except _WITHIN as error:
                raise reader.within(error, names[len(values)], at) from None
            record.fill(names, values)
        return record


def _hide_repeated(fields: tuple[str, ...]) -> tuple[str, ...]:
    """The names, all but the last of equal ones hidden: the subclass's comes last."""
    last = {name: at for at, name in enumerate(fields)}
    return tuple(name if last[name] == at else HiddenName(name) for at, name in enumerate(fields))


def read_fields(
    reader: Reader, at: int, depth: int, names: tuple[str, ...], into: dict[str, Value]
) -> None:
    """Read one natural value for each name."""
    data = reader.data
    name = ""
    try:
        for name in names:
            into[name] = READ[data[at]](reader, at + 1, depth)
            at = reader.offset
    except _WITHIN as error:
        raise reader.within(error, name, at) from None


# ------------------------------------------------------------------ fields


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a registered class.

    `attribute` is Python's name, `name` Java's. `default` makes what a missing field gets,
    anew each time if it is a `factory`.
    """

    attribute: str
    name: str
    type: JavaType
    default: Callable[[], Any] | None = None
    factory: bool = False

    def missing(self) -> Value:
        """The value of a field that the peer did not send."""
        return self.type.zero if self.default is None else self.default()


def default_of(field: Any) -> Callable[[], Any] | None:
    """How a dataclass's field makes its default, None if it has none."""
    if field.default_factory is not MISSING:
        factory: Callable[[], Any] = field.default_factory
        return factory
    if field.default is not MISSING:
        value = field.default
        return lambda: value
    return None


def unsent(fields: Sequence[Field], sent: int) -> int:
    """Nodes of what an object has beyond the fields that were sent."""
    factories = sum(one.factory for one in fields)
    return max(0, _UNSENT - sent) + _FACTORY * factories + (len(fields) - factories) // _CONSTANTS


def wire_order(levels: list[list[Field]]) -> tuple[Field, ...]:
    """The fields as hessian-lite writes them; levels go from the class to its ancestors.

    Source: com.alibaba.com.caucho.hessian.io.JavaSerializer, by its output.
    """
    simple: list[Field] = []
    compound: list[Field] = []
    for level in levels:
        for field in level:
            of_lang = field.type.name.startswith("java.lang.") and (
                field.type.name != "java.lang.Object"
            )
            primitive = len(field.type.descriptor) == 1
            (simple if (of_lang or primitive) and "[" not in field.type.name else compound).append(
                field
            )
    return tuple(reversed(simple + compound))


Step = tuple[str | None, str, list[Read], frozenset[type], Callable[[Any, Reader], Any] | None]


def read_steps(fields: Mapping[str, Field], names: tuple[str, ...]) -> tuple[Step, ...]:
    """For each name on the wire: attribute, step of the path, table, accepted, convert."""
    steps: list[Step] = []
    for name in names:
        field = fields.get(name)
        if field is None:
            steps.append((None, name, READ, frozenset(), None))
        else:
            kind = field.type
            steps.append(
                (field.attribute, field.attribute, kind.table, kind.accepted, kind.convert)
            )
    return tuple(steps)


def read_attributes(
    reader: Reader, at: int, depth: int, steps: tuple[Step, ...], into: dict[str, Any]
) -> None:
    """Read the fields of an object into its attributes; unknown ones are dropped."""
    data = reader.data
    step = ""
    try:
        for attribute, step, table, accepted, convert in steps:  # noqa: B007 - read by the handler
            tag = data[at]
            value: Any
            if tag < 0x20 and (raw := data[at + 1 : at + 1 + tag]).isascii() and len(raw) == tag:
                value = raw.decode("ascii")  # short strings, without a call
                reader.offset = at + 1 + tag
            else:
                value = table[tag](reader, at + 1, depth)
            if attribute is not None:
                if value.__class__ not in accepted and convert is not None:
                    value = convert(value, reader)
                into[attribute] = value
            at = reader.offset
    except _WITHIN as error:
        raise reader.within(error, step, at) from None


# ------------------------------------------------------------------ dataclasses


class BeanType(JavaType):
    """A dataclass. `prepare` is called once its fields' types can be made."""

    cls: Any  # a class; its `__new__` is called like object's
    __slots__ = ("_generic", "_layout", "_slotted", "_values", "_write", "by_name", "cls", "fields")

    def __init__(self, cls: Any, java_class: JavaClass, *, generic: bool = False) -> None:
        # With arguments of its own, what was read by the class alone is looked at again.
        plain: frozenset[type] = frozenset({cls, type(None)})
        super().__init__(java_class.name, plain=frozenset({type(None)}) if generic else plain)
        self.cls = cls
        self._generic = generic
        self.fields: tuple[Field, ...] = ()
        self.by_name: dict[str, Field] = {}
        self._slotted = _has_slots(cls)
        self._layout: Layout | None = None
        self._write: tuple[Callable[[Writer, Any], None], ...] = ()
        self._values: Callable[[Any], tuple[Any, ...]] = _no_values

    def prepare(self, levels: list[list[Field]]) -> None:
        """Take the fields, the class's own first, then each ancestor's."""
        self.fields = wire_order(levels)
        self.by_name = {field.name: field for field in self.fields}
        if len(self.by_name) != len(self.fields):
            raise UsageError(f"{self.cls.__name__}: two fields have the same Java name")
        self._layout = Layout(self.name, tuple(field.name for field in self.fields))
        self._write = tuple(field.type.write for field in self.fields)
        attributes = [field.attribute for field in self.fields]
        if len(attributes) > 1:
            self._values = attrgetter(*attributes)
        elif attributes:
            self._values = _one_value(attributes[0])

    def write(self, writer: Writer, value: Value) -> None:
        """Append an instance, or a subclass's as itself."""
        if value.__class__ is not self.cls:
            if value is None:
                writer.put(b"N")
                return
            if isinstance(value, (self.cls, Record)):
                writer.write_any(value)  # a subclass, as itself
                return
            raise self.unfit(value)
        if writer.seen(value):
            return
        assert self._layout is not None
        writer.begin_object(self._layout)
        try:
            items = self._values(value)
        except AttributeError as error:
            raise EncodeError(f"{self.cls.__name__} is incomplete: {error}") from None
        index = 0
        try:
            for write, item in zip(self._write, items, strict=True):
                write(writer, item)
                index += 1
        except EncodeError as error:
            raise within(self.fields[index].attribute, error) from None
        writer.depth += 1

    def convert(self, value: Value, reader: Reader) -> Value:
        """Take an instance as it is, a record of the class by its fields."""
        if value is None:
            return None
        if isinstance(value, self.cls):
            if self._generic:
                self._convert_fields(value, reader)
            return value
        if isinstance(value, Record):
            if value.class_name != self.name:
                raise self.mismatch(value)
            return self._build(value, value.fields, reader)
        if isinstance(value, DICT):  # Java takes an untyped map for an object too
            return self._build(value, value, reader)
        raise self.mismatch(value)

    def _convert_fields(self, value: Any, reader: Reader) -> None:
        """Convert in place what the class alone could only read as Object."""
        key = (id(value), id(self))
        if reader.converted.get(key) is not None:
            return
        reader.converted[key] = value
        for field in self.fields:
            try:
                found = self._attribute(value, field)
                converted = field.type.convert(found, reader)
            except Fault as fault:
                fault.steps.append(field.attribute)
                raise
            if converted is not found:
                self.fill(value, {field.attribute: converted})

    def _attribute(self, value: Any, field: Field) -> Any:
        try:
            return getattr(value, field.attribute, None)
        except Exception as error:  # noqa: BLE001 - a class of the user may raise anything
            raise fault_of(self.cls, error) from None

    def _build(self, source: Any, values: Mapping[Any, Any], reader: Reader) -> Value:
        key = (id(source), id(self))
        known = reader.converted.get(key)
        if known is not None:
            return known
        missing = [one for one in self.fields if one.name not in values]
        charge(reader, _BUILT + unsent(missing, len(self.fields) - len(missing)))
        made: Any = new_object(self.cls)
        reader.converted[key] = made
        attributes: dict[str, Any] = {}
        for field in self.fields:
            if field.name in values:
                try:
                    attributes[field.attribute] = field.type.convert(values[field.name], reader)
                except Fault as fault:
                    fault.steps.append(field.attribute)
                    raise
            else:
                attributes[field.attribute] = self.missing(field)
        self.fill(made, attributes)
        return made

    def missing(self, field: Field) -> Value:
        """The value of a field that was not sent.

        Raises:
            Fault: its default factory raised.
        """
        try:
            return field.missing()
        except Exception as error:  # noqa: BLE001 - a factory of the user may raise anything
            fault = fault_of(self.cls, error)
            fault.steps.append(field.attribute)
            raise fault from None

    def fill(self, made: Any, attributes: dict[str, Any]) -> None:
        """Set the attributes of a new object, frozen or slotted ones included."""
        try:
            if not self._slotted:
                made.__dict__.update(attributes)
                return
            for name, value in attributes.items():
                object.__setattr__(made, name, value)
        except Exception as error:  # noqa: BLE001 - a descriptor of the user may raise anything
            raise fault_of(self.cls, error) from None

    def reader_of(self, names: tuple[str, ...]) -> WireClass:
        """How objects are read whose class is defined with these fields."""
        return _BeanClass(self, names, slotted=self._slotted)


def new_object(cls: Any) -> Any:
    """An instance without attributes.

    Raises:
        Fault: the class has a `__new__` that raises.
    """
    try:
        return cls.__new__(cls)
    except Exception as error:  # noqa: BLE001 - a class of the user may raise anything
        raise fault_of(cls, error) from None


def _no_values(_value: Any) -> tuple[Any, ...]:
    return ()


def _one_value(attribute: str) -> Callable[[Any], tuple[Any, ...]]:
    return lambda value: (getattr(value, attribute),)


def _has_slots(cls: Any) -> bool:
    """Whether instances have no dict, or keep some attributes elsewhere."""
    slots = any(one.__dict__.get("__slots__") for one in cls.__mro__)
    return slots or cls.__dictoffset__ == 0


class _BeanClass:
    """A dataclass with the fields that one peer sends."""

    __slots__ = (
        "_bean",
        "_cls",
        "_constants",
        "_factories",
        "_slotted",
        "_steps",
        "larger",
        "width",
    )

    def __init__(self, bean: BeanType, names: tuple[str, ...], *, slotted: bool) -> None:
        self._bean = bean
        self._cls = bean.cls
        self._slotted = slotted
        self._steps = read_steps(bean.by_name, names)
        missing = tuple(one for one in bean.fields if one.name not in names)
        self._factories = tuple(one for one in missing if one.factory)
        constants = [one for one in missing if not one.factory]
        self._constants = tuple((one.attribute, one.missing()) for one in constants)
        self.width = len(names)
        if missing or not names:
            self.width += unsent(missing, len(names))
        self.larger = self.width > len(names)

    def read(self, reader: Reader, at: int, depth: int) -> Value:
        """An instance, its attributes set from the wire."""
        if self.larger:
            charge(reader, 0)
        try:
            made: Any = self._cls.__new__(self._cls)
            attributes: dict[str, Any] = {} if self._slotted else made.__dict__
        except Exception as error:  # noqa: BLE001 - a class of the user may raise anything
            raise fault_of(self._cls, error) from None
        reader.refs.append(made)
        # None of either, as a rule. One by one: so the dicts of objects share their keys.
        for name, value in self._constants:
            attributes[name] = value  # noqa: PERF403 - see above
        for field in self._factories:
            attributes[field.attribute] = self._bean.missing(field)
        read_attributes(reader, at, depth, self._steps, attributes)
        if self._slotted:
            self._bean.fill(made, attributes)
        return made


# ------------------------------------------------------------------ enums


class EnumType(JavaType):
    """An enum: an object whose one field is the constant's name."""

    __slots__ = ("_layout", "_members", "_names", "cls")

    def __init__(self, cls: type[Enum], java_class: JavaClass) -> None:
        super().__init__(java_class.name, plain=frozenset({cls, type(None)}))
        self.cls = cls
        rename = java_class.rename
        members: dict[str, Any] = dict(cls.__members__)  # aliases included
        self._members = {rename.get(name, name): member for name, member in members.items()}
        self._names = {one: encode_text(rename.get(one.name, one.name)) for one in cls}
        self._layout = Layout(self.name, ("name",))

    def write(self, writer: Writer, value: Value) -> None:
        """Append an instance, or a subclass's as itself."""
        if value is None:
            writer.put(b"N")
        elif not isinstance(value, self.cls):
            if not isinstance(value, Record):
                raise self.unfit(value)
            writer.write_any(value)
        elif not writer.seen(value):
            writer.begin_object(self._layout)
            writer.put(self._names[value])
            writer.depth += 1

    def convert(self, value: Value, _reader: Reader) -> Value:
        """Take an instance as it is, a record of the class by its fields."""
        if value is None or isinstance(value, self.cls):
            return value
        if isinstance(value, Record) and value.class_name == self.name:
            value = value.fields.get("name")
        if isinstance(value, str):
            return self.member(value)
        raise self.mismatch(value)

    def member(self, name: Value) -> Enum:
        """The constant of that Java name."""
        found = self._members.get(name) if isinstance(name, str) else None
        if found is None:
            raise Fault(f"{self.name} has no constant {render(name, limit=100)}")
        member: Enum = found
        return member

    def reader_of(self, names: tuple[str, ...]) -> WireClass:
        """How constants are read whose class is defined with these fields."""
        return _EnumClass(self, names)


class _EnumClass:
    __slots__ = ("_enum", "_fields", "width")

    def __init__(self, enum: EnumType, names: tuple[str, ...]) -> None:
        self._enum = enum
        self._fields = names
        self.width = len(names)

    def read(self, reader: Reader, at: int, depth: int) -> Value:
        """The constant."""
        number = len(reader.refs)
        reader.refs.append(None)
        fields: dict[str, Value] = {}
        read_fields(reader, at, depth, self._fields, fields)
        member = reader.refs[number] = self._enum.member(fields.get("name"))
        return member


# ------------------------------------------------------------------ exceptions


class ThrowableType(JavaType):
    """An exception class: its own fields, and Throwable's message and cause."""

    __slots__ = ("_fields", "_layout", "_write", "by_name", "cls")

    def __init__(self, cls: type[BaseException], java_class: JavaClass) -> None:
        super().__init__(java_class.name, plain=frozenset({cls, type(None)}))
        self.cls = cls
        self._fields: tuple[Field, ...] = ()
        self.by_name: dict[str, Field] = {}
        self._layout: Layout | None = None
        self._write: tuple[tuple[str, str, Callable[[Writer, Any], None]], ...] = ()

    def prepare(self, levels: list[list[Field]], text: JavaType, any_type: JavaType) -> None:
        """Take the own fields; `text` and `any_type` are those of message and cause."""
        own = {field.name for level in levels for field in level}
        throwable = [
            Field("", name, kind)
            for name, kind in (("detailMessage", text), ("cause", any_type))
            if name not in own
        ]
        ordered = wire_order([*levels, [one for one in throwable if one.name != "cause"]])
        self._fields = tuple(field for level in levels for field in level)
        self.by_name = {field.name: field for field in self._fields}
        self._layout = Layout(self.name, tuple(field.name for field in ordered))
        self._write = tuple((one.attribute, one.name, one.type.write) for one in ordered)

    def write(self, writer: Writer, value: Value) -> None:
        """Append an instance, or a subclass's as itself."""
        if value is None:
            writer.put(b"N")
            return
        if value.__class__ is not self.cls:
            if isinstance(value, (self.cls, Record)):
                writer.write_any(value)
                return
            raise self.unfit(value)
        if writer.seen(value):
            return
        assert self._layout is not None
        writer.begin_object(self._layout)
        for attribute, name, write in self._write:
            try:
                if attribute:
                    write(writer, getattr(value, attribute, None))
                else:
                    write(writer, message_of(value))
            except EncodeError as error:
                raise within(attribute or name, error) from None
        writer.depth += 1

    def convert(self, value: Value, reader: Reader) -> Value:
        """Take an instance as it is, a record of the class by its fields."""
        if value is None or isinstance(value, self.cls):
            return value
        if isinstance(value, Record) and value.class_name == self.name:
            made = new_object(self.cls)
            self.fill(made, value.fields, reader)
            return made
        raise self.mismatch(value)

    def fill(self, made: BaseException, values: Mapping[str, Any], reader: Reader) -> None:
        """Set message, cause and own fields of a new exception."""
        own: dict[str, Any] = {}
        for field in self._fields:
            if field.name in values:
                try:
                    own[field.attribute] = field.type.convert(values[field.name], reader)
                except Fault as fault:
                    fault.steps.append(field.attribute)
                    raise
            else:
                own[field.attribute] = field.missing()
        message = values.get("detailMessage")
        cause = values.get("cause")
        try:
            made.__dict__.update(own)
            made.args = () if message is None else (message,)
            if isinstance(cause, BaseException) and cause is not made:
                made.__cause__ = cause
            keep_remote(made, values)
        except Exception as error:  # noqa: BLE001 - a class of the user may raise anything
            raise fault_of(self.cls, error) from None

    def reader_of(self, names: tuple[str, ...]) -> WireClass:
        """How exceptions are read whose class is defined with these fields."""
        return _ThrowableClass(self, names)


class _ThrowableClass:
    __slots__ = ("_fields", "_type", "width")

    def __init__(self, throwable: ThrowableType, names: tuple[str, ...]) -> None:
        self._type = throwable
        self._fields = names
        self.width = len(names)

    def read(self, reader: Reader, at: int, depth: int) -> Value:
        """An instance, its message in `args` and its own fields as attributes."""
        made = new_object(self._type.cls)
        reader.refs.append(made)
        fields: dict[str, Value] = {}
        read_fields(reader, at, depth, self._fields, fields)
        self._type.fill(made, fields, reader)
        return made
