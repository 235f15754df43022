"""Which classes may be built, and the Java type of every hint.

There is no global table. A `TypeRegistry` is made from the classes that an interface
names and reaches the rest through their fields' hints, so what a peer can make us build
is what the interface says, and its subclasses that are defined by then. Any class that
`pojo` marked can be written, registered or not.
"""

from __future__ import annotations

import collections.abc
import inspect
import sys
import types
import typing
from contextlib import suppress
from dataclasses import MISSING, fields as dataclass_fields
from enum import Enum
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar, Union, get_args, get_origin

from kubbo.errors import UsageError
from kubbo.java import JavaClass, JavaName, java_class_of
from kubbo.wire.hessian2.anything import ANY, AnyWriter, find_writer
from kubbo.wire.hessian2.classes import (
    BeanType,
    EnumType,
    Field,
    RecordClass,
    ThrowableType,
    WireClass,
    default_of,
    wire_order,
)
from kubbo.wire.hessian2.containers import ListType, MapType, SetType, TupleType
from kubbo.wire.hessian2.kinds import has_dataclass_fields
from kubbo.wire.hessian2.models import ModelType, is_model, java_names, model_hints
from kubbo.wire.hessian2.names import (
    BOXED,
    BY_CLASS,
    BYTE,
    CHAR,
    LISTS,
    MAPS,
    SETS,
    STRING,
    array_of,
    parse_descriptor,
    parse_name,
)
from kubbo.wire.hessian2.platform import FORMS, FormClass
from kubbo.wire.hessian2.throwables import THROWABLE_FIELDS
from kubbo.wire.hessian2.typeddicts import TypedDictType, is_typed_dict
from kubbo.wire.hessian2.types import (
    OBJECT,
    BytesType,
    CharsType,
    JavaType,
)

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["TypeRegistry"]

_FORMS_BY_WIRE_NAME = {form.layout.name: form for form in FORMS}

_LIST_ORIGINS = {
    list,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Iterable,
}
_MAP_ORIGINS = {dict, collections.abc.Mapping, collections.abc.MutableMapping}

# What says of a TypedDict's key whether it must be there, and not what it is.
_WRAPPERS = {typing.Required, typing.NotRequired}

# Layouts prepared for one class. A peer that invents orders of fields gets each prepared
# for its message only once this many are kept.
_KEPT_LAYOUTS = 16
_KEPT_NAMES = 1_024
# Bytes of a definition that is worth keeping; ours have some hundred.
_KEPT_DEFINITION = 2_048


Definition: TypeAlias = "tuple[bytes, int, WireClass | None]"
"""A class definition after its name: its bytes, how many fields it has, and how to read objects."""

_Registered = BeanType | EnumType | ThrowableType | TypedDictType


class TypeRegistry:
    """The classes that may be built, and what is prepared for them.

    Args:
        classes: marked by `kubbo.java.pojo`; what their fields' hints name is reached too.

    Raises:
        UsageError: a class is not marked, a hint has no Java type, or two classes have
            the same Java name.
    """

    def __init__(self, classes: Iterable[type] = ()) -> None:
        self._by_hint: dict[Any, JavaType] = {}
        self._by_class: dict[Any, _Registered] = {}
        self._by_name: dict[str, _Registered] = {}
        self._layouts: dict[tuple[str, tuple[str, ...]], WireClass] = {}
        self._kept: dict[str, int] = {}
        self.definitions: dict[str, Definition] = {}
        self._named: dict[str, JavaType] = {}
        self._described: dict[str, tuple[JavaType, ...]] = {}
        self._any: dict[type, AnyWriter] = dict(ANY)
        # What the compiled codec has prepared for these classes; it alone reads and sets it.
        self.native: object = None
        for cls in classes:
            self.type_of(cls)
        for cls in list(self._by_class):
            if isinstance(cls, type):
                self._reach_subclasses(cls)

    # -------------------------------------------------------------- hints

    def type_of(self, hint: Any) -> JavaType:
        """The Java type of a hint; its classes may be built from now on.

        Raises:
            UsageError: the hint has no Java type; the message names it.
        """
        return self._type_of(hint, {})

    def _type_of(self, hint: Any, variables: Mapping[Any, Any]) -> JavaType:
        try:
            known = None if variables else self._by_hint.get(hint)
        except TypeError:  # an unhashable argument in Annotated
            known = None
        if known is not None:
            return known
        made = self._make(hint, variables)
        if not variables:
            with suppress(TypeError):
                self._by_hint[hint] = made
        return made

    def _make(self, hint: Any, variables: Mapping[Any, Any]) -> JavaType:
        if isinstance(hint, TypeVar):
            if hint in variables:
                return self._type_of(variables[hint], {})
            return self._type_of(hint.__bound__, {}) if hint.__bound__ is not None else OBJECT
        if isinstance(hint, str):
            raise UsageError(f"the hint {hint!r} is text that could not be resolved")
        origin = get_origin(hint)
        if origin is Annotated:
            base, *notes = get_args(hint)
            for note in notes:
                if isinstance(note, JavaName):
                    return self._named_hint(base, note.name, variables)
            return self._type_of(base, variables)
        if origin in (Union, types.UnionType):
            return self._union(hint, variables)
        if origin is None:
            return self._class_hint(hint)
        return self._generic(hint, origin, variables)

    def _union(self, hint: Any, variables: Mapping[Any, Any]) -> JavaType:
        members = [one for one in get_args(hint) if one is not type(None)]
        if len(members) != 1:
            return OBJECT  # Java has no unions: it is Object there
        return self._boxed(members[0], variables)

    def _boxed(self, hint: Any, variables: Mapping[Any, Any]) -> JavaType:
        """The type of a hint in a place that holds objects only."""
        made = self._type_of(hint, variables)
        return BOXED.get(made.name, made)

    def _named_hint(self, base: Any, name: str, variables: Mapping[Any, Any]) -> JavaType:
        args = get_args(base)
        if name == "[]":
            return self._array(args[0] if args else Any, variables)
        if name in LISTS or name in SETS:
            item = self._boxed(args[0], variables) if args else OBJECT
            if name in SETS:
                return SetType(name, item, java_type=SETS[name])
            return ListType(name, item, java_type=LISTS[name])
        if name in MAPS:
            key, value = (self._boxed(one, variables) for one in args) if args else (OBJECT, OBJECT)
            return MapType(name, key, value, java_type=MAPS[name])
        return self.parse(name)

    def _array(self, item: Any, variables: Mapping[Any, Any]) -> JavaType:
        of = self._type_of(item, variables)
        if of is BYTE:
            return BytesType(listed=True)
        if of is CHAR:
            return CharsType(listed=True)
        return array_of(of)

    def _generic(self, hint: Any, origin: Any, variables: Mapping[Any, Any]) -> JavaType:
        args = get_args(hint)
        if origin in _LIST_ORIGINS or origin is collections.abc.Collection:
            name = "java.util.List"
            if origin in (collections.abc.Collection, collections.abc.Iterable):
                name = "java.util.Collection"
            return ListType(name, self._boxed(args[0], variables))
        if origin in (set, frozenset, collections.abc.Set, collections.abc.MutableSet):
            item = self._boxed(args[0], variables)
            return SetType("java.util.Set", item, frozen=origin is frozenset)
        if origin in _MAP_ORIGINS:
            key, value = (self._boxed(one, variables) for one in args)
            return MapType("java.util.Map", key, value)
        if origin is tuple:
            if len(args) == 2 and args[1] is Ellipsis:
                return TupleType((), self._boxed(args[0], variables))
            return TupleType(tuple(self._boxed(one, variables) for one in args), None)
        if origin is typing.Literal:
            kinds: set[Any] = {one.__class__ for one in args} - {type(None)}
            if len(kinds) == 1:
                made = self.type_of(kinds.pop())
                return BOXED.get(made.name, made) if None in args else made
            return OBJECT
        if origin in _WRAPPERS:
            return self._type_of(args[0], variables)
        if isinstance(origin, type) and (
            java_class_of(origin) is not None or is_typed_dict(origin)
        ):
            return self._parameterised(origin, args, variables)
        raise UsageError(f"the hint {hint!r} has no Java type")

    def _class_hint(self, hint: Any) -> JavaType:
        try:
            shared = BY_CLASS.get(hint)
        except TypeError:
            shared = None
        if shared is not None:
            return shared
        supertype = getattr(hint, "__supertype__", None)
        if supertype is not None:  # NewType
            return self.type_of(supertype)
        value = getattr(hint, "__value__", None)
        if value is not None:  # type X = ...
            return self.type_of(value)
        if isinstance(hint, type):
            java_class = java_class_of(hint)
            if java_class is not None:
                return self._register(hint, java_class)
            if is_typed_dict(hint):
                return self._typed_dict(hint, None, hint, {})
            if issubclass(hint, BaseException):
                return OBJECT
            raise UsageError(
                f"the class {hint.__name__} has no Java name; mark it with "
                '@kubbo.pojo("com.example.Name")'
            )
        raise UsageError(f"the hint {hint!r} has no Java type")

    # -------------------------------------------------------------- registered classes

    def _register(self, cls: type, java_class: JavaClass) -> JavaType:
        known = self._by_class.get(cls)
        if known is not None:
            return known
        other = self._by_name.get(java_class.name)
        if other is not None:
            raise UsageError(
                f"{cls.__name__} and {other.cls.__name__} both stand for {java_class.name}"
            )
        made = self._prepare(cls, java_class, cls, {})
        self._by_name[java_class.name] = made
        self._named.clear()  # names that were parsed as unknown
        self._described.clear()
        for base in cls.__mro__[1:]:
            if java_class_of(base) is not None:
                self.type_of(base)
        self._reach_subclasses(cls)
        return made

    def _parameterised(
        self, origin: type[Any], args: tuple[Any, ...], variables: Mapping[Any, Any]
    ) -> JavaType:
        """A generic class with arguments: its fields' types depend on them."""
        self.type_of(origin)
        key = (origin, tuple(self._boxed(one, variables) for one in args))
        known = self._by_class.get(key)
        if known is not None:
            return known
        parameters: tuple[Any, ...] = getattr(origin, "__parameters__", ())
        resolved = {
            one: variables.get(arg, arg) if isinstance(arg, TypeVar) else arg
            for one, arg in zip(parameters, args, strict=True)
        }
        java_class = java_class_of(origin)
        if java_class is None:
            return self._typed_dict(origin, None, key, resolved)
        return self._prepare(origin, java_class, key, resolved)

    def _prepare(
        self, cls: Any, java_class: JavaClass, key: Any, variables: Mapping[Any, Any]
    ) -> _Registered:
        if issubclass(cls, Enum):
            enum = self._by_class[key] = EnumType(cls, java_class)
            return enum
        if issubclass(cls, BaseException):
            throwable = self._by_class[key] = ThrowableType(cls, java_class)
            throwable.prepare(self._levels(cls, variables), STRING, OBJECT)
            return throwable
        if is_typed_dict(cls):
            return self._typed_dict(cls, java_class, key, variables)
        if is_model(cls):
            model = self._by_class[key] = ModelType(cls, java_class)
            model.prepare(self._model_levels(cls, java_class))
            return model
        if not has_dataclass_fields(cls):
            raise UsageError(
                f"{cls.__name__} must be a dataclass, an enum, an exception, a TypedDict or a "
                "pydantic model"
            )
        bean = self._by_class[key] = BeanType(cls, java_class, generic=bool(variables))
        bean.prepare(self._levels(cls, variables))
        return bean

    def _typed_dict(
        self, cls: Any, java_class: JavaClass | None, key: Any, variables: Mapping[Any, Any]
    ) -> TypedDictType:
        made = self._by_class[key] = TypedDictType(cls, java_class)
        if java_class is None and not variables:
            self._by_hint[cls] = made
        required = set(cls.__required_keys__)
        fields: list[Field] = []
        for name, hint in _hints(cls).items():
            origin = get_origin(hint)
            if origin is typing.Required:
                required.add(name)
            elif origin is typing.NotRequired:  # which text of a hint did not tell the class
                required.discard(name)
            java_name = name if java_class is None else java_class.field_name(name)
            kind = self._type_of(hint, variables)
            fields.append(
                Field(name, java_name, BOXED.get(kind.name, kind) if java_class is None else kind)
            )
        if java_class is not None:
            fields = list(wire_order([fields]))
        made.prepare(tuple(fields), frozenset(required))
        return made

    def _model_levels(self, cls: Any, java_class: JavaClass) -> list[list[Field]]:
        """The fields of a pydantic model and of each ancestor that declares some."""
        hints = model_hints(cls)
        names = java_names(cls, java_class)
        levels: list[list[Field]] = []
        left = dict(hints)
        for base in cls.__mro__:
            own = [name for name in _annotations(base) if name in left]
            levels.append(
                [Field(name, names[name], self._type_of(left.pop(name), {})) for name in own]
            )
        levels.append([Field(name, names[name], self._type_of(left[name], {})) for name in left])
        return levels

    def _levels(self, cls: Any, variables: Mapping[Any, Any]) -> list[list[Field]]:
        """The fields of a class and of each ancestor that declares some."""
        hints = _hints(cls)
        defaults: dict[str, Callable[[], Any] | None] = {}
        factories: set[str] = set()
        if has_dataclass_fields(cls):
            defaults = {one.name: default_of(one) for one in dataclass_fields(cls)}
            factories = {
                one.name for one in dataclass_fields(cls) if one.default_factory is not MISSING
            }
            known = set(defaults)
        else:
            known = {
                name
                for name, hint in hints.items()
                if get_origin(hint) is not ClassVar and hint is not ClassVar
            }
            for name in known & _class_attributes(cls):
                defaults[name] = _constant(getattr(cls, name))
        taken: set[str] = set()
        levels: list[list[Field]] = []
        for base in cls.__mro__:
            marked = java_class_of(base) or java_class_of(cls)
            assert marked is not None
            level: list[Field] = []
            for name in _annotations(base):
                if name not in known or name in taken:
                    continue
                taken.add(name)
                java_name = marked.field_name(name)
                if issubclass(cls, BaseException) and java_name in THROWABLE_FIELDS[1:]:
                    continue
                kind = self._type_of(hints[name], _bound(cls, base, variables))
                factory = name in factories
                level.append(Field(name, java_name, kind, defaults.get(name), factory=factory))
            if level:
                levels.append(level)
        return levels

    def _reach_subclasses(self, cls: Any) -> None:
        if issubclass(cls, Enum):
            return
        for sub in cls.__subclasses__():
            if java_class_of(sub) is not None:
                self.type_of(sub)
            self._reach_subclasses(sub)

    # -------------------------------------------------------------- Java's names

    def parse(self, name: str) -> JavaType:
        """The type of a Java name: `int[]`, `java.util.List`, `com.example.User`, `[I`.

        Generic arguments are ignored, as Java does. A class that is not registered is
        read and written as a `Record`.

        Raises:
            UsageError: it is no Java name.
        """
        known = self._named.get(name)
        if known is None:
            known = parse_name(name, self._by_name.get)
            if len(self._named) < _KEPT_NAMES:
                self._named[name] = known
        return known

    def parse_descriptor(self, descriptor: str) -> tuple[JavaType, ...]:
        """The parameter types of the JVM's notation, `Ljava/lang/String;I[J`.

        Raises:
            UsageError: it is no descriptor.
        """
        known = self._described.get(descriptor)
        if known is None:
            known = parse_descriptor(descriptor, self._by_name.get)
            if len(self._described) < _KEPT_NAMES:
                self._described[descriptor] = known
        return known

    # -------------------------------------------------------------- what reader and writer ask

    def wire_class(self, name: str, fields: tuple[str, ...]) -> WireClass:
        """How to read objects of a class that a message defines."""
        form = _FORMS_BY_WIRE_NAME.get(name)
        registered = self._by_name.get(name)
        if registered is None and form is None:
            return RecordClass(name, fields)
        key = (name, fields)
        known = self._layouts.get(key)
        if known is not None:
            return known
        made: WireClass
        if registered is not None:
            made = registered.reader_of(fields)
        else:
            assert form is not None
            made = FormClass(form, fields)
        kept = self._kept.get(name, 0)
        if kept < _KEPT_LAYOUTS:
            self._kept[name] = kept + 1
            self._layouts[key] = made
        return made

    def note_definition(self, name: str, definition: Definition) -> None:
        """Keep how a class of ours was defined last; what nobody registered is not kept."""
        known = name in self._by_name or name in _FORMS_BY_WIRE_NAME
        if known and len(definition[0]) <= _KEPT_DEFINITION:
            self.definitions[name] = definition

    def any_writer(self, cls: type) -> AnyWriter:
        """How a value of this class is written where nothing declares it."""
        known = self._any.get(cls)
        if known is None:
            known = self._any[cls] = self._find_writer(cls)
        return known

    def _find_writer(self, cls: type) -> AnyWriter:
        if java_class_of(cls) is not None:
            return self.type_for_writing(cls).write
        return find_writer(cls)

    def type_for_writing(self, cls: type) -> JavaType:
        """The type of a marked class, which need not be one that may be built."""
        known = self._by_class.get(cls)
        if known is not None:
            return known
        # A registry of its own: to write a class does not allow a peer to make us build it.
        return TypeRegistry([cls]).type_of(cls)


def _hints(cls: type) -> dict[str, Any]:
    names = {one.__name__: one for one in cls.__mro__}
    try:
        return typing.get_type_hints(cls, localns=names, include_extras=True)
    except NameError as error:
        module = getattr(sys.modules.get(cls.__module__), "__name__", cls.__module__)
        raise UsageError(
            f"a hint of {cls.__name__} names {error.name!r}, which module {module} does not "
            "know; define or import it there, outside of TYPE_CHECKING"
        ) from None


def _annotations(cls: type) -> Iterable[str]:
    return inspect.get_annotations(cls)


def _class_attributes(cls: type) -> set[str]:
    found = inspect.get_annotations(cls).keys()
    return {name for name in found if hasattr(cls, name)}


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _bound(cls: type, base: type, variables: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """What the type variables of an ancestor stand for in `cls`."""
    if base is cls:
        return variables
    for one in cls.__mro__:
        for generic in getattr(one, "__orig_bases__", ()):
            if get_origin(generic) is base:
                parameters: tuple[Any, ...] = getattr(base, "__parameters__", ())
                outer = _bound(cls, one, variables)
                return {
                    parameter: outer.get(arg, arg) if isinstance(arg, TypeVar) else arg
                    for parameter, arg in zip(parameters, get_args(generic), strict=True)
                }
    return variables
