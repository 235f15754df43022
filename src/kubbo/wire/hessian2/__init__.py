"""Hessian 2.0 as Dubbo's hessian-lite speaks it.

    limits      what one message may cost
    scalars     numbers, text, bytes, dates to bytes
    writer      one message out: tables of classes, types and references
    reader      one message in: lists, maps, objects, references
    literals    the rest that a first byte can mean
    types       Java types of hints: how values are checked, written and converted
    classes     dataclasses, enums and exceptions, prepared once
    typeddicts  TypedDicts, as objects or as maps
    models      pydantic models, validated
    platform    BigDecimal, UUID, java.time and their like
    registry    which classes may be built; the type of a hint or of a Java name
    exceptions  Java's throwables and Python's exceptions
    jsonform    values as JSON, for people and command lines
    twin        the compiled reader and writer, where they are installed

`encode` and `decode` are for single values; a message of several goes through one `Writer`
or `Reader`, whose tables run through all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.errors import DecodeError
from kubbo.wire.hessian2.limits import Limits
from kubbo.wire.hessian2.registry import TypeRegistry
from kubbo.wire.hessian2.twin import Reader, Writer
from kubbo.wire.hessian2.types import JavaType

if TYPE_CHECKING:
    from kubbo.model import Value

__all__ = ["JavaType", "Limits", "Reader", "TypeRegistry", "Writer", "decode", "encode"]


def encode(
    value: Value,
    registry: TypeRegistry | None = None,
    type: JavaType | None = None,  # noqa: A002 - the word for it
) -> bytes:
    """One value as a message.

    Raises:
        EncodeError: it does not fit its type, or has none.
    """
    writer = Writer(registry or TypeRegistry())
    writer.write(value, type)
    return writer.getvalue()


def decode(
    data: bytes,
    registry: TypeRegistry | None = None,
    type: JavaType | None = None,  # noqa: A002 - the word for it
    *,
    limits: Limits | None = None,
) -> Value:
    """The one value of a message.

    Raises:
        DecodeError: the bytes are no value or more than one, exceed a limit or do not fit.
    """
    reader = Reader(data, registry or TypeRegistry(), limits)
    value = reader.read(type)
    if not reader.at_end:
        raise DecodeError("more bytes follow the value", offset=reader.offset)
    return value
