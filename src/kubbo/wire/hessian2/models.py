"""Pydantic models as Java objects.

A model is written by its fields, as a dataclass is. Reading differs: a dataclass is made
without its `__init__`, a model by validation of all its fields, so that what a model
promises holds of what a peer sent. It follows that a model cannot refer to itself, directly
or through others, and that its validators see values which are already of Python's types
(`Long` is an int, an enum its constant). A field that was not sent gets the model's default,
and is an error where it has none.

Java's name of a field is what `pojo(rename=...)` says, else the field's alias, else its
camelCase. Pydantic is never imported here: where it was not imported, no hint is a model.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from kubbo.errors import UsageError
from kubbo.java import JavaClass, JavaName, Record
from kubbo.wire.hessian2.classes import BeanType, WireClass, read_fields
from kubbo.wire.hessian2.faults import Fault, fault_of
from kubbo.wire.hessian2.kinds import DICT
from kubbo.wire.hessian2.reader import Reader, charge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.model import Value

__all__ = ["ModelType", "is_model", "java_names", "model_hints"]

_MODEL = 8  # nodes of a model: its dict and set of fields (500 bytes), and the time of validation
_BUILDING = object()


def is_model(hint: Any) -> bool:
    """Whether a hint is a class of pydantic's models."""
    base = getattr(sys.modules.get("pydantic.main"), "BaseModel", None)
    return base is not None and isinstance(hint, type) and issubclass(hint, base)


def java_names(cls: Any, java_class: JavaClass) -> dict[str, str]:
    """Java's name of each field of a model."""
    names: dict[str, str] = {}
    for name, info in cls.model_fields.items():
        alias = info.serialization_alias or info.alias
        aliased = isinstance(alias, str) and name not in java_class.rename
        names[name] = alias if aliased else java_class.field_name(name)
    return names


def model_hints(cls: Any) -> dict[str, Any]:
    """The hint of each field of a model, with what it says of Java.

    Raises:
        UsageError: a hint names what its module does not know.
    """
    if not cls.__pydantic_complete__:
        try:
            cls.model_rebuild()
        except Exception as error:
            raise UsageError(f"the model {cls.__name__} is incomplete: {error!s:.300}") from error
    hints: dict[str, Any] = {}
    for name, info in cls.model_fields.items():
        notes = [one for one in info.metadata if isinstance(one, JavaName)]
        hints[name] = Annotated[info.annotation, notes[0]] if notes else info.annotation
    return hints


class ModelType(BeanType):
    """A model."""

    __slots__ = ("_keys",)

    def __init__(self, cls: Any, java_class: JavaClass) -> None:
        super().__init__(cls, java_class)
        self._keys = {name: _key_of(cls, name, info) for name, info in cls.model_fields.items()}

    def convert(self, value: Value, reader: Reader) -> Value:
        """Take an instance as it is, validate a record's or a map's fields."""
        if value is None or isinstance(value, self.cls):
            return value
        found: Any = value
        if isinstance(value, Record) and value.class_name == self.name:
            found = value.fields
        elif not isinstance(value, DICT):  # Java takes an untyped map for an object too
            raise self.mismatch(value)
        key = (id(value), id(self))
        known = reader.converted.get(key)
        if known is _BUILDING:
            raise Fault(f"a {self.name} within itself, which a pydantic model cannot be")
        if known is None:
            reader.converted[key] = _BUILDING
            known = reader.converted[key] = self.validate(found, reader)
        return known

    def validate(self, values: Mapping[Any, Any], reader: Reader) -> Any:
        """The model of natural values by their Java names.

        Raises:
            Fault: a value is not of its field's type, or the model refuses them.
        """
        charge(reader, _MODEL)
        converted: dict[str, Any] = {}
        for field in self.fields:
            if field.name in values:
                try:
                    converted[field.attribute] = field.type.convert(values[field.name], reader)
                except Fault as fault:
                    fault.steps.append(field.attribute)
                    raise
        return self.make(converted)

    def make(self, attributes: Mapping[str, Any]) -> Any:
        """The model of these attributes.

        Raises:
            Fault: the model refuses them, or its code raised anything else.
        """
        try:
            return self.cls.model_validate(
                {self._keys[name]: one for name, one in attributes.items()}
            )
        except Exception as error:  # noqa: BLE001 - a validator of the user may raise anything
            path, detail = self._refusal(error)
            fault = fault_of(self.cls, error, detail)
            fault.steps += reversed(path)
            raise fault from None

    def _refusal(self, error: Exception) -> tuple[list[str], str]:
        """Where and why a model was refused; the first of all reasons."""
        tell: Any = getattr(error, "errors", None)
        if not callable(tell) or error.__class__.__name__ != "ValidationError":
            return [], ""
        listed: Any = tell(include_url=False, include_context=False, include_input=False)
        first: Any = listed[0]
        attributes = {key: name for name, key in self._keys.items()}
        steps = [
            f"[{one}]" if isinstance(one, int) else attributes.get(one, str(one)[:100])
            for one in first["loc"]
        ]
        return steps, str(first["msg"])[:200]

    def reader_of(self, names: tuple[str, ...]) -> WireClass:
        """How models are read whose class is defined with these fields."""
        return _ModelClass(self, names)


def _key_of(cls: Any, name: str, info: Any) -> str:
    """What validation calls a field."""
    alias = info.validation_alias or info.alias or name
    choices: Any = getattr(alias, "choices", None)
    if choices:
        alias = next((one for one in choices if isinstance(one, str)), alias)
    if not isinstance(alias, str):
        raise UsageError(f"{cls.__name__}.{name}: an alias that is a path has no Java field")
    return alias


class _ModelClass:
    """A model with the fields that one peer sends."""

    __slots__ = ("_model", "_names", "width")

    def __init__(self, model: ModelType, names: tuple[str, ...]) -> None:
        self._model = model
        self._names = names
        self.width = len(names)

    def read(self, reader: Reader, at: int, depth: int) -> Value:
        """An instance. Whatever refers to it from within sees a record that is being built."""
        number = len(reader.refs)
        fields: dict[str, Value] = {}
        record = Record(self._model.name, fields)
        reader.refs.append(record)
        reader.converted[id(record), id(self._model)] = _BUILDING
        read_fields(reader, at, depth, self._names, fields)
        made = reader.refs[number] = self._model.validate(fields, reader)
        del reader.converted[id(record), id(self._model)]  # the record's id may be used again
        return made
