"""Java's throwables as Python exceptions, and Python's exceptions as what Java accepts.

Towards Java the choice is narrow: Dubbo 3 refuses any class that its interface does not
name and its list does not allow, and the caller then sees neither class nor message. So
an exception whose class `pojo` marked goes as itself, `ValueError` and `TypeError` as
java.lang.IllegalArgumentException, and all others as java.lang.RuntimeException whose
message begins with Python's name for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubbo.errors import EncodeError, RemoteException
from kubbo.java import Record, java_class_of, render
from kubbo.wire.hessian2.registry import TypeRegistry
from kubbo.wire.hessian2.throwables import finish, remote_exception, text_of
from kubbo.wire.hessian2.writer import Writer

if TYPE_CHECKING:
    from kubbo.model import Value

__all__ = ["from_exception", "to_exception"]


def to_exception(value: Value, registry: TypeRegistry | None = None) -> Exception:
    """The exception that a decoded throwable is.

    One of a registered class was built by the reader; it gets its cause and its remote
    stack (as a note). A record
    becomes a `RemoteException`; so does anything else that a peer sends in its place.
    """
    if isinstance(value, Exception):
        finish(value)
        return value
    if isinstance(value, Record):
        return remote_exception(value)
    if registry is not None and isinstance(value, BaseException):
        return RemoteException(type(value).__name__, text_of(value))
    message = value if isinstance(value, str) else f"not a throwable: {render(value)}"
    return RemoteException("java.lang.Throwable", message)


def from_exception(error: BaseException, registry: TypeRegistry | None = None) -> Value:
    """What to write for an exception of a handler: itself, or a record. It always encodes.

    A subclass without a mark goes as its nearest marked ancestor. The Python stack and the
    cause stay here: they tell a caller of other systems nothing, or too much.
    """
    registry = registry or TypeRegistry()
    marked = next((one for one in type(error).__mro__ if java_class_of(one) is not None), None)
    if marked is not None:
        value = error if marked is type(error) else _as_ancestor(error, marked)
        try:
            Writer(registry).write(value)
        except EncodeError as failure:
            return _record("java.lang.RuntimeException", error, f" ({failure})")
        else:
            return value
    if isinstance(error, RemoteException):
        text = f"{error.class_name}: {error.message}"
        return Record("java.lang.RuntimeException", {"detailMessage": text})
    if isinstance(error, (ValueError, TypeError)):
        return _record("java.lang.IllegalArgumentException", error)
    return _record("java.lang.RuntimeException", error)


def _record(class_name: str, error: BaseException, remark: str = "") -> Record:
    text = text_of(error)
    name = type(error).__name__
    message = f"{name}: {text}{remark}" if text else f"{name}{remark}"
    return Record(class_name, {"detailMessage": message})


def _as_ancestor(error: BaseException, ancestor: Any) -> BaseException:
    made: BaseException = ancestor.__new__(ancestor)
    made.__dict__.update(error.__dict__)
    made.args = error.args
    return made
