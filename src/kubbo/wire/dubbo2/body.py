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
from kubbo.wire.hessian2.twin import read_body, write_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    """What is the same in every request of one method of one service.

    It holds both, which are what it is found by.
    """

    __slots__ = ("attachments", "head", "paths", "service", "signature", "types")

    def __init__(self, service: ServiceKey, signature: Signature, application: str) -> None:
        self.service = service
        self.signature = signature
        self.types = tuple(_java_type(parameter) for parameter in signature.parameters)
        self.paths = _paths(len(self.types))
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


class _Found:
    """What a head named: the method, the classes of its interface, and how to read the rest."""

    __slots__ = ("keys", "path", "paths", "registry", "signature", "types", "version")

    def __init__(
        self, path: str, version: str, signature: Signature, registry: TypeRegistry
    ) -> None:
        self.path = path
        self.version = version
        self.signature = signature
        self.registry = registry
        self.types = tuple(_java_type(parameter) for parameter in signature.parameters)
        self.paths = _paths(len(self.types))
        self.keys: dict[str, ServiceKey] = {}

    def key(self, group: str) -> ServiceKey:
        """The service in a group that a peer names."""
        known = self.keys.get(group)
        if known is None:
            known = ServiceKey(self.path, group, self.version)
            if len(self.keys) < _MOST_GROUPS and len(group) <= MEMO_BYTES:
                self.keys[group] = known
        return known


_MOST_GROUPS: Final = 8


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
        # By identity: both are made once a method and live as long as its reference.
        self._prepared: dict[tuple[int, int], _Prepared] = {}
        self._attachments = _Attachments()
        self._heads = _Heads()

    def encode_request(self, invocation: Invocation, timeout: float) -> bytes:
        """See `Codec.encode_request`."""
        signature = invocation.signature
        service = invocation.service
        key = (id(service), id(signature))
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = _Prepared(service, signature, self._application)
            if len(self._prepared) >= 10_000:  # generic callers make signatures at call rate
                self._prepared.clear()
            self._prepared[key] = prepared
        arguments = invocation.arguments
        if len(arguments) != len(prepared.types):
            raise EncodeError(
                f"{signature} takes {len(prepared.types)} arguments, {len(arguments)} were given"
            )
        milliseconds = str(max(1, round(timeout * 1000)))
        tail = prepared.attachments + encode_text(milliseconds)
        return self._write(
            self.registry,
            prepared.head,
            arguments,
            prepared.types,
            prepared.paths,
            tail,
            invocation.attachments,
        )

    def _write(  # noqa: PLR0917 - as `write_body`
        self,
        registry: TypeRegistry,
        head: bytes,
        values: Sequence[Value],
        types: tuple[JavaType | None, ...],
        paths: tuple[str, ...],
        tail: bytes,
        attachments: Mapping[str, Value],
    ) -> bytes:
        """A body; `tail` is a map of attachments without its end."""
        pairs = _encode_pairs(attachments) if attachments else b""
        if pairs is not None:
            return write_body(
                registry, self._limits, head, values, types, paths, tail + pairs + _END
            )
        writer = Writer(registry, self._limits)
        writer.write_raw(head)
        for value, kind, path in zip(values, types, paths, strict=True):
            writer.write(value, kind, path)
        writer.write_raw(tail)
        for key, value in attachments.items():
            if key not in _OWN_ATTACHMENTS:
                writer.write(key)
                writer.write(value, path=f"attachment {key}")
        writer.write_raw(_END)
        return writer.getvalue()

    def decode_response(self, payload: bytes, invocation: Invocation) -> Result:
        """See `Codec.decode_response`."""
        returns = invocation.signature.returns
        kind_of_value = None if returns is None else _java_type(returns)
        attached = _WITH_VALUE.get(payload[:1])
        if attached is not None:  # nearly all
            reader, (value,) = read_body(
                payload, self.registry, self._limits, 1, (kind_of_value,), _RESULT
            )
            return Result(value, attachments=self._attachments.read(reader) if attached else {})
        reader = Reader(payload, self.registry, self._limits)
        kind = reader.read()
        if kind in (VALUE, VALUE_ATTACHED):  # an int in another form than the shortest
            value = reader.read(kind_of_value, path="result")
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
        reader, arguments = read_body(
            payload, found.registry, self._limits, offset, found.types, found.paths
        )
        attachments = self._attachments.read(reader)
        group = attachments.get("group")
        return ReceivedCall(
            found.key(group if isinstance(group, str) else ""),
            found.signature,
            found.registry,
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
        found = _Found(path, version, signature, registry)
        self._heads.put(payload[: reader.offset], found)
        return reader.offset, found

    def forget_heads(self) -> None:
        """Other methods are exported now: ask `services` again."""
        self._heads.clear()

    def encode_result(
        self, call: ReceivedCall, value: Value, attachments: Mapping[str, Value]
    ) -> bytes:
        """See `Codec.encode_result`."""
        head = _KINDS[NULL_ATTACHED if value is None else VALUE_ATTACHED]
        returns = call.signature.returns
        kind = None if returns is None else _java_type(returns)
        values, types, paths = ((), (), ()) if value is None else ((value,), (kind,), _RESULT)
        return self._write(
            call.registry, head, values, types, paths, _ATTACHED_VERSION, attachments
        )

    def encode_exception(
        self, call: ReceivedCall, error: Exception, attachments: Mapping[str, Value]
    ) -> bytes:
        """See `Codec.encode_exception`."""
        thrown = from_exception(error, call.registry)
        return self._write(
            call.registry,
            _KINDS[EXCEPTION_ATTACHED],
            (thrown,),
            (None,),
            _EXCEPTION,
            _ATTACHED_VERSION,
            attachments,
        )


def _encode_pairs(attachments: Mapping[str, Value]) -> bytes | None:
    """Attachments that are all text, which needs no writer; None if some are not."""
    pairs: list[bytes] = []
    for key, value in attachments.items():
        if key in _OWN_ATTACHMENTS:
            continue
        if key.__class__ is not str or value.__class__ is not str:
            return None
        pairs += (encode_text(key), encode_text(value))
    return b"".join(pairs)


def _paths(count: int) -> tuple[str, ...]:
    return tuple(f"argument {number}" for number in range(1, count + 1))


_WITH_VALUE: Final = {_KINDS[VALUE]: False, _KINDS[VALUE_ATTACHED]: True}
"""By the first byte of a response that is a value: whether attachments follow."""
_RESULT: Final = ("result",)
_EXCEPTION: Final = ("exception",)


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
