"""The bodies of dubbo2's requests and responses: Hessian2 values, one after another.

    request    dubbo version, path, service version, method, parameter descriptor,
               the arguments, a map of attachments
    response   kind, then by kind a value or a throwable, then a map of attachments

A body is one Hessian stream: its values share class definitions and references. What does
not change from call to call (all that stands before the arguments, and most attachments)
is encoded once a method; strings take no reference, so raw bytes may stand among values.

Source: org.apache.dubbo.rpc.protocol.dubbo.DubboCodec and DecodeableRpcInvocation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

from kubbo.errors import Code, DecodeError, EncodeError, Progress, RemoteException, RpcError
from kubbo.java import render
from kubbo.model import Result, ServiceKey
from kubbo.wire.codec import ReceivedCall
from kubbo.wire.hessian2 import (
    JavaType,
    Limits,
    Reader,
    TypeRegistry,
    Writer,
)
from kubbo.wire.hessian2.exceptions import from_exception, to_exception
from kubbo.wire.hessian2.scalars import encode_int, encode_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.model import Invocation, Signature, Type, Value
    from kubbo.wire.codec import Services

__all__ = ["Dubbo2Codec"]

DUBBO_VERSION: Final = "2.0.2"
"""Java answers with attachments only to requests that say 2.0.2 to 2.0.99."""

NO_VERSION: Final = "0.0.0"
"""What stands for a service without a version."""

EXCEPTION, VALUE, NULL, EXCEPTION_ATTACHED, VALUE_ATTACHED, NULL_ATTACHED = range(6)

MAX_PARAMETERS: Final = 255
"""The JVM's own limit of a method."""

_OWN_ATTACHMENTS: Final = frozenset({"path", "interface", "version", "group", "timeout", "dubbo"})
"""Written by the codec itself: nothing that a user passes may contradict the call."""

_KINDS: Final = tuple(encode_int(kind) for kind in range(6))
_TIMEOUT: Final = encode_text("timeout")
_NO_TYPES: Final = TypeRegistry()
_MAP: Final = b"H"
_END: Final = b"Z"
_ATTACHED_VERSION: Final = _MAP + encode_text("dubbo") + encode_text(DUBBO_VERSION)


class _Prepared:
    """What is the same in every request of one method of one service."""

    __slots__ = ("attachments", "head", "types")

    def __init__(self, service: ServiceKey, signature: Signature, application: str) -> None:
        self.types = tuple(_java_type(parameter) for parameter in signature.parameters)
        self.head = b"".join(
            encode_text(text)
            for text in (
                DUBBO_VERSION,
                service.interface,
                service.version or NO_VERSION,
                signature.name,
                signature.types,
            )
        )
        # path, interface, version and group go out always: dubbo-go finds the service by them.
        pairs = {"path": service.interface, "interface": service.interface}
        if service.version:
            pairs["version"] = service.version
        if service.group:
            pairs["group"] = service.group
        if application:
            pairs["remote.application"] = application
        # The timeout comes last, so that its value, which differs each time, goes behind this.
        self.attachments = b"".join(
            (
                _MAP,
                *(encode_text(key) + encode_text(value) for key, value in pairs.items()),
                _TIMEOUT,
            )
        )


MEMO_ENTRIES: Final = 1_024
MEMO_BYTES: Final = 1_024
"""A peer cannot make a memo hold more than a MiB: larger pieces are decoded each time."""


class _Attachments:
    """Maps of attachments by their bytes: the same few come with every call of a method.

    Only untyped maps of strings are remembered. They define no class and refer to nothing,
    so they mean the same in every message.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, dict[str, Value]] = {}

    def read(self, reader: Reader) -> dict[str, Value]:
        """The attachments that `reader` stands before, a map of the caller's own.

        Raises:
            DecodeError: it stands before something else.
        """
        tail = reader.data[reader.offset :]
        known = self._known.get(tail)
        if known is not None:
            return known.copy()
        found = _read_attachments(reader)
        if (
            tail[:1] == _MAP
            and len(tail) <= MEMO_BYTES
            and reader.at_end
            and all(type(value) is str for value in found.values())
        ):
            if len(self._known) >= MEMO_ENTRIES:
                self._known.clear()
            self._known[tail] = found.copy()
        return found


_Found = tuple[str, str, "Signature", TypeRegistry]


class _Heads:
    """What stands before the arguments, by its bytes: path, version and the method found.

    Looked up by the first bytes, then compared whole, since what follows a head is not
    marked off from it.
    """

    __slots__ = ("_count", "_known")

    def __init__(self) -> None:
        self._known: dict[bytes, list[tuple[bytes, _Found]]] = {}
        self._count = 0

    def get(self, payload: bytes) -> tuple[int, _Found] | None:
        """The length of the head that `payload` begins with, and what it means."""
        for head, found in self._known.get(payload[:_HEAD_KEY], ()):
            if payload.startswith(head):
                return len(head), found
        return None

    def put(self, head: bytes, found: _Found) -> None:
        """Remember a head that named a method."""
        if _HEAD_KEY <= len(head) <= MEMO_BYTES:
            if self._count >= MEMO_ENTRIES:
                self.clear()
            self._known.setdefault(head[:_HEAD_KEY], []).append((head, found))
            self._count += 1

    def clear(self) -> None:
        """Forget all: other methods are exported now."""
        self._known.clear()
        self._count = 0


_HEAD_KEY: Final = 40


class Dubbo2Codec:
    """The `Codec` of dubbo2.

    `registry` holds the classes that a consumer has built from answers; a provider's come
    with the service that is called.
    """

    def __init__(
        self,
        registry: TypeRegistry = _NO_TYPES,
        *,
        limits: Limits | None = None,
        application: str = "",
    ) -> None:
        self.registry = registry
        self._limits = limits or Limits()
        self._application = application
        # By identity: a signature is made once a method and lives as long as its reference.
        self._prepared: dict[tuple[ServiceKey, int], tuple[Signature, _Prepared]] = {}
        self._attachments = _Attachments()
        self._heads = _Heads()

    def encode_request(self, invocation: Invocation, timeout: float) -> bytes:
        """See `Codec.encode_request`."""
        signature = invocation.signature
        key = (invocation.service, id(signature))
        found = self._prepared.get(key)
        if found is None:
            prepared = _Prepared(invocation.service, signature, self._application)
            if len(self._prepared) >= 10_000:  # generic callers make signatures at call rate
                self._prepared.clear()
            self._prepared[key] = (signature, prepared)
        else:
            prepared = found[1]
        arguments = invocation.arguments
        if len(arguments) != len(prepared.types):
            raise EncodeError(
                f"{signature} takes {len(prepared.types)} arguments, {len(arguments)} were given"
            )
        writer = Writer(self.registry, self._limits)
        writer.write_raw(prepared.head)
        for index, (value, java_type) in enumerate(zip(arguments, prepared.types, strict=True)):
            writer.write(value, java_type, path=f"argument {index + 1}")
        writer.write_raw(prepared.attachments)
        writer.write_raw(encode_text(str(max(1, round(timeout * 1000)))))
        if invocation.attachments:
            _write_pairs(writer, invocation.attachments)
        writer.write_raw(_END)
        return writer.getvalue()

    def decode_response(self, payload: bytes, invocation: Invocation) -> Result:
        """See `Codec.decode_response`."""
        reader = Reader(payload, self.registry, self._limits)
        kind = reader.read()
        if kind in (VALUE, VALUE_ATTACHED):
            returns = invocation.signature.returns
            value = reader.read(None if returns is None else _java_type(returns), path="result")
        elif kind in (NULL, NULL_ATTACHED):
            value = None
        elif kind in (EXCEPTION, EXCEPTION_ATTACHED):
            thrown = reader.read(path="exception")
            attachments = self._attachments.read(reader) if kind == EXCEPTION_ATTACHED else {}
            error = to_exception(thrown, self.registry)
            if isinstance(error, RemoteException):
                error.attachments = attachments
            raise error
        else:
            raise DecodeError(f"unknown kind of response {render(kind, limit=40)}", offset=0)
        attachments = self._attachments.read(reader) if kind >= EXCEPTION_ATTACHED else {}
        return Result(value, attachments=attachments)

    def decode_request(self, payload: bytes, services: Services) -> ReceivedCall:
        """See `Codec.decode_request`."""
        known = self._heads.get(payload)
        if known is None:
            offset, found = self._read_head(payload, services)
        else:
            offset, found = known
        path, version, signature, registry = found
        reader = Reader(payload, registry, self._limits, offset)
        arguments = [
            reader.read(_java_type(parameter), path=f"argument {index + 1}")
            for index, parameter in enumerate(signature.parameters)
        ]
        attachments = self._attachments.read(reader)
        group = attachments.get("group")
        return ReceivedCall(
            ServiceKey(path, group if isinstance(group, str) else "", version),
            signature,
            registry,
            arguments,
            _timeout(attachments.get("timeout")),
            attachments,
        )

    def _read_head(self, payload: bytes, services: Services) -> tuple[int, _Found]:
        reader = Reader(payload, _NO_TYPES, self._limits)
        _read_text(reader, "dubbo version")
        path = _read_text(reader, "path")
        version = _read_text(reader, "service version")
        method = _read_text(reader, "method")
        types = _read_text(reader, "parameter types")
        version = "" if version == NO_VERSION else version
        signature, registry = services.find(path, version, method, types)
        if len(signature.parameters) != _count_parameters(types):
            raise RpcError(
                Code.INVALID_ARGUMENT,
                f"{signature} was called with the parameters {types[:200]!r}",
                progress=Progress.NOT_SENT,
            )
        # Only strings so far: no class was defined, nothing can be referred to, and so the
        # rest may be read by the rules of the interface that was found.
        found = (path, version, signature, registry)
        self._heads.put(payload[: reader.offset], found)
        return reader.offset, found

    def forget_heads(self) -> None:
        """Other methods are exported now: ask `services` again."""
        self._heads.clear()

    def encode_result(
        self, call: ReceivedCall, value: Value, attachments: Mapping[str, Value]
    ) -> bytes:
        """See `Codec.encode_result`."""
        writer = Writer(call.registry, self._limits)
        returns = call.signature.returns
        if value is None:
            writer.write_raw(_KINDS[NULL_ATTACHED])
        else:
            writer.write_raw(_KINDS[VALUE_ATTACHED])
            writer.write(value, None if returns is None else _java_type(returns), path="result")
        return _finish(writer, attachments)

    def encode_exception(
        self, call: ReceivedCall, error: Exception, attachments: Mapping[str, Value]
    ) -> bytes:
        """See `Codec.encode_exception`."""
        writer = Writer(call.registry, self._limits)
        writer.write_raw(_KINDS[EXCEPTION_ATTACHED])
        writer.write(from_exception(error, call.registry), path="exception")
        return _finish(writer, attachments)


def _finish(writer: Writer, attachments: Mapping[str, Value]) -> bytes:
    writer.write_raw(_ATTACHED_VERSION)
    if attachments:
        _write_pairs(writer, attachments)
    writer.write_raw(_END)
    return writer.getvalue()


def _write_pairs(writer: Writer, attachments: Mapping[str, Value]) -> None:
    for key, value in attachments.items():
        if key not in _OWN_ATTACHMENTS:
            writer.write(key)
            writer.write(value, path=f"attachment {key}")


def _java_type(found: Type) -> JavaType:
    if not isinstance(found, JavaType):
        raise EncodeError(f"{found.name} is no type of Hessian2")
    return found


def _read_text(reader: Reader, what: str) -> str:
    offset = reader.offset
    text = reader.read(path=what)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise DecodeError("not a string", offset=offset, path=what)
    return text


def _read_attachments(reader: Reader) -> dict[str, Value]:
    if reader.at_end:
        return {}
    offset = reader.offset
    found = reader.read(path="attachments")
    if found is None:
        return {}
    if not _is_map(found):
        raise DecodeError("not a map", offset=offset, path="attachments")
    return {key: value for key, value in found.items() if isinstance(key, str)}


def _is_map(value: Value) -> TypeGuard[dict[Value, Value]]:
    return isinstance(value, dict)


def _timeout(value: Value) -> float | None:
    """Milliseconds, as text by Java and as text or a number by others."""
    try:
        milliseconds = int(value) if isinstance(value, str | int) else 0
    except ValueError:
        return None
    return min(milliseconds, _MAX_TIMEOUT_MS) / 1000 if milliseconds > 0 else None


_MAX_TIMEOUT_MS: Final = 24 * 3600 * 1000
"""A day: longer than any call, and small enough for every clock."""


def _count_parameters(types: str) -> int:
    """How many parameters a descriptor names.

    Raises:
        DecodeError: it is no descriptor of the JVM.
    """
    position, count, size = 0, 0, len(types)
    while position < size:
        while position < size and types[position] == "[":
            position += 1
        if position < size and types[position] == "L":
            end = types.find(";", position)
            if end < 0:
                break
            position = end + 1
        elif position < size and types[position] in "ZBCDFIJS":
            position += 1
        else:
            break
        count += 1
        if count > MAX_PARAMETERS:
            break
    else:
        return count
    raise DecodeError(f"{types[:80]!r} is no parameter descriptor", path="parameter types")
