"""Generic calls: methods by name, without the interface, on either side.

A Dubbo provider can be called in two ways by somebody who has no classes of it. *Directly*:
the request is that of a typed call, whose Java types the caller spells out; every provider
answers it. Or through `$invoke(method, types, args)`, where the provider finds the method,
by its name alone if need be, and objects travel as maps (`generic=true`) or as descriptors
(`generic=bean`). `$invokeAsync` is the same call for a provider that answers later; the
answer comes the same way.

    caller                                      provider
    {"class": "com.example.User", "id": 1} -->  User(1), then filters and method
    {"class": "com.example.User", "id": 1} <--  User(1)
    RemoteException(class, message)        <--  GenericException, for whatever was raised

A provider opens a generic call where it is decoded, so that filters, the context and the
method see the method that is called, never `$invoke`. It is off unless asked for: it lets a
caller choose by name what it was not compiled against. The other forms that Dubbo knows
(nativejava, raw.return, gson, protobuf-json) do not exist here: nativejava ran whatever a
caller sent (CVE-2021-30179), and none of them says what these two do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from kubbo.config import Options
from kubbo.errors import (
    Code,
    DecodeError,
    EncodeError,
    Progress,
    RemoteException,
    RpcError,
    UsageError,
)
from kubbo.java import Record, java_class_of, pojo, render
from kubbo.model import Result, Signature
from kubbo.wire.codec import ReceivedCall, Services
from kubbo.wire.hessian2 import Limits, TypeRegistry
from kubbo.wire.hessian2.beanform import from_bean_form, to_bean_form
from kubbo.wire.hessian2.exceptions import from_exception
from kubbo.wire.hessian2.mapform import from_map_form, to_map_form
from kubbo.wire.hessian2.throwables import message_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubbo.cluster.directory import Directory
    from kubbo.model import Value
    from kubbo.rpc.reference import Reference
    from kubbo.rpc.service import Interface
    from kubbo.wire.dubbo2 import Dubbo2Codec
    from kubbo.wire.hessian2 import JavaType

__all__ = [
    "BEAN",
    "INVOKES",
    "MAP",
    "GenericCodec",
    "GenericReference",
    "GenericServices",
    "generic_off",
]

MAP: Final = "true"
"""Dubbo's word for the map form."""

BEAN: Final = "bean"

_ATTACHMENT: Final = "generic"

_NO_TYPES: Final = TypeRegistry()
_OBJECT: Final = _NO_TYPES.parse("java.lang.Object")
_PARAMETERS: Final = tuple(
    map(_NO_TYPES.parse, ("java.lang.String", "java.lang.String[]", "java.lang.Object[]"))
)
INVOKES: Final = {
    name: Signature(name, _PARAMETERS, _OBJECT) for name in ("$invoke", "$invokeAsync")
}
"""The methods of org.apache.dubbo.rpc.service.GenericService, by their names."""

_SHOWN_METHODS: Final = 500  # characters


# ------------------------------------------------------------------ consumer


class GenericReference:
    """Calls methods by their names."""

    def __init__(
        self,
        reference: Reference,
        registry: TypeRegistry,
        *,
        generic: str | None = None,
        typed: bool = True,
    ) -> None:
        """Prepare; `typed` says that the registry has classes that answers are built of.

        Raises:
            UsageError: there is no such generic form.
        """
        if generic not in {None, MAP, BEAN}:
            raise UsageError(
                f"generic={generic!r} is no form of generic calls; "
                f'there are "{MAP}" (objects are maps) and "{BEAN}" (objects are descriptors)'
            )
        self._reference = reference
        self._registry = registry
        self._generic = generic
        self._typed = typed
        self._signatures: dict[tuple[str, tuple[str, ...]], Signature] = {}

    @property
    def directory(self) -> Directory:
        """Who is there."""
        return self._reference.directory

    async def call(
        self,
        method: str,
        *,
        types: Sequence[str] | None = None,
        args: Sequence[Value] = (),
        via: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - Dubbo's deadline, sent along
        retries: int | None = None,
        idempotent: bool | None = None,
        attachments: Mapping[str, Value] | None = None,
    ) -> Value:
        """Call Java's `method` and return its value; see `Reference.call` for the errors.

        With types it is a direct call, which any provider answers. Without them, or if `via`
        or the reference's `generic` ask for it, it goes through `$invoke`: the provider finds
        the method by its name, and objects of the answer are dicts with their class at
        `class`, unless the reference has a class for them.

        Args:
            method: Java's name.
            types: the parameter types in Java's notation, `["java.lang.String", "int[]"]`.
                Not needed for a method without parameters, nor where the provider serves
                `$invoke` (Java does) and the method is not overloaded.
            args: the arguments; a `kubbo.java.Record`, or a dict with `class`, for an object.
            via: "$invoke" or "$invokeAsync".
            timeout: seconds, over all attempts.
            retries: further attempts, where one is safe.
            idempotent: another attempt is safe although the method may have run.
            attachments: sent with this call.

        Raises:
            UsageError: there is no such `via`.
            ConfigError: a number is out of its range.
        """
        given = Options(timeout, retries, idempotent, attachments or {})
        return (await self.invoke(method, types, args, given, via=via)).value

    async def invoke(
        self,
        method: str,
        types: Sequence[str] | None,
        args: Sequence[Value],
        given: Options,
        *,
        via: str | None = None,
    ) -> Result:
        """Like `call`, with the whole result: its attachments and the endpoint that answered."""
        if types is not None and len(types) != len(args):
            raise EncodeError(f"{method}: there are {len(types)} types and {len(args)} arguments")
        if via is None and (self._generic or (types is None and args)):
            via = "$invoke"
        if via is None:
            plan = self._reference.plan(self._signature(method, types or ()), given)
            return await self._reference.call(plan, args)
        signature = INVOKES.get(via)
        if signature is None:
            raise UsageError(f"via={via!r}: a generic call goes via {' or '.join(INVOKES)}")
        form = self._generic or MAP
        given = replace(given, attachments={**(given.attachments or {}), _ATTACHMENT: form})
        sent = [method, None if types is None else list(types), self._shown(types, args, form)]
        try:
            result = await self._reference.call(self._reference.plan(signature, given), sent)
        except RemoteException as error:
            raise _inner_exception(error) from None
        try:
            result.value = self._read(result.value, form)
        except DecodeError as error:
            raise RpcError(
                Code.INTERNAL,
                f"the answer cannot be decoded: {error}",
                progress=Progress.ANSWERED,
                endpoint=result.endpoint,
            ) from None
        return result

    def _signature(self, method: str, types: Sequence[str]) -> Signature:
        key = (method, tuple(types))
        signature = self._signatures.get(key)
        if signature is None:
            parameters: tuple[Any, ...] = tuple(self._registry.parse(name) for name in types)
            signature = self._signatures[key] = Signature(method, parameters)
        return signature

    def _shown(self, types: Sequence[str] | None, args: Sequence[Value], form: str) -> list[Value]:
        show = to_bean_form if form == BEAN else to_map_form
        kinds: list[JavaType | None] = (
            [None] * len(args) if types is None else [self._registry.parse(name) for name in types]
        )
        shown: list[Value] = []
        for number, (value, kind) in enumerate(zip(args, kinds, strict=True), 1):
            try:
                shown.append(show(value, kind, self._registry))
            except EncodeError as error:
                where = f"argument {number}" + (f", {error.path}" if error.path else "")
                raise EncodeError(error.message, path=where) from None
        return shown

    def _read(self, value: Value, form: str) -> Value:
        if form == BEAN:
            value = from_bean_form(value, path="result")
        if self._typed:
            value = from_map_form(value, None, self._registry, path="result")
        return value


def _inner_exception(error: RemoteException) -> RemoteException:
    """What a GenericException says that the method threw; any other exception as it is."""
    fields = error.fields
    name = fields.get("exceptionClass")
    if not error.class_name.endswith(".GenericException") or not isinstance(name, str):
        return error
    message = fields.get("exceptionMessage")
    # Its own message is the printed stack of the exception that it stands for.
    printed = [line.strip() for line in error.message.splitlines()]
    stack = [line.removeprefix("at ")[:300] for line in printed if line.startswith("at ")]
    made = RemoteException(
        name[:1000],
        message if isinstance(message, str) else "",
        cause=error.cause,
        stack=stack[:200] or error.stack,
        fields={
            field: one
            for field, one in fields.items()
            if field not in {"exceptionClass", "exceptionMessage"}
        },
    )
    made.endpoint = error.endpoint
    made.attachments = error.attachments
    made.attempts = error.attempts
    return made


# ------------------------------------------------------------------ provider


class GenericServices(Services, Protocol):
    """Where a provider finds what a generic call names."""

    def interface_of(self, interface: str, version: str) -> Interface:
        """The interface that is exported by this name and version.

        Raises:
            RpcError: there is none; the message lists what there is.
        """
        ...


@pojo("com.alibaba.dubbo.rpc.service.GenericException")
class GenericException(Exception):  # noqa: N818 - Dubbo's name
    """What a generic caller gets for whatever a method raised.

    By its old name, as Java's providers send it: to Java it is a subclass of the new one, and the
    only one that dubbo-go knows.
    """

    exception_class: str
    exception_message: str | None

    def __init__(self, exception_class: str, message: str | None) -> None:
        super().__init__(f"{exception_class}: {message}" if message else exception_class)
        self.exception_class = exception_class
        self.exception_message = message


@dataclass(slots=True, kw_only=True)
class _GenericCall(ReceivedCall):
    """A call that came through `$invoke`, as the call that it names.

    `outer` is what arrived and is answered, in the given form.
    """

    outer: ReceivedCall
    form: str


def generic_off(interface: str) -> RpcError:
    """The refusal of a provider that does not serve generic calls."""
    return RpcError(
        Code.UNIMPLEMENTED,
        f"generic calls of {interface} are off: this provider was started without "
        "Server(generic=True) or kubbo serve --generic; a direct call with the parameter types "
        "needs neither",
        progress=Progress.NOT_SENT,
    )


class GenericCodec:
    """The codec of a provider that serves generic calls: it opens and closes them."""

    def __init__(self, codec: Dubbo2Codec, limits: Limits) -> None:
        self._codec = codec
        self._limits = limits

    def forget_heads(self) -> None:
        """See `Dubbo2Codec.forget_heads`."""
        self._codec.forget_heads()

    def decode_request(self, payload: bytes, services: GenericServices) -> ReceivedCall:
        """See `Codec.decode_request`."""
        received = self._codec.decode_request(payload, services)
        if received.signature not in INVOKES.values():
            return received
        return self._opened(received, services)

    def encode_result(
        self, call: ReceivedCall, value: Value, attachments: Mapping[str, Value]
    ) -> bytes:
        """See `Codec.encode_result`."""
        if not isinstance(call, _GenericCall):
            return self._codec.encode_result(call, value, attachments)
        returns: Any = call.signature.returns
        show = to_bean_form if call.form == BEAN else to_map_form
        shown = show(value, returns, call.registry)
        return self._codec.encode_result(call.outer, shown, attachments)

    def encode_exception(
        self, call: ReceivedCall, error: Exception, attachments: Mapping[str, Value]
    ) -> bytes:
        """See `Codec.encode_exception`."""
        if not isinstance(call, _GenericCall):
            return self._codec.encode_exception(call, error, attachments)
        return self._codec.encode_exception(
            call.outer, _generic_exception(error, call.registry), attachments
        )

    def _opened(self, received: ReceivedCall, services: GenericServices) -> ReceivedCall:
        method, types, arguments = received.arguments
        form = received.attachments.get(_ATTACHMENT)
        if form in {None, "", "false"}:  # Java takes it for the map form too
            form = MAP
        if form not in (MAP, BEAN):
            raise _refusal(
                f"generic={render(form, limit=40)} is not served: it would let a caller choose "
                f"what is run here; {MAP} and {BEAN} are"
            )
        if not isinstance(method, str):
            raise _refusal("the method's name is missing")
        interface = services.interface_of(received.service.interface, received.service.version)
        given: list[Value] = arguments or []
        signature = _find_method(interface, method, types, len(given))
        converted: list[Value] = []
        for number, (value, parameter) in enumerate(
            zip(given, signature.parameters, strict=True), 1
        ):
            kind: Any = parameter
            path = f"argument {number}"
            found = value
            if form == BEAN:
                found = from_bean_form(found, limits=self._limits, path=path)
            converted.append(
                from_map_form(found, kind, interface.registry, limits=self._limits, path=path)
            )
        return _GenericCall(
            received.service,
            signature,
            interface.registry,
            converted,
            received.timeout,
            received.attachments,
            outer=received,
            form=str(form),
        )


def _refusal(message: str, code: Code = Code.INVALID_ARGUMENT) -> RpcError:
    return RpcError(code, message, progress=Progress.NOT_SENT)


def _find_method(interface: Interface, name: str, types: Any, count: int) -> Signature:
    """The method that a generic call names.

    Raises:
        RpcError: there is none, or more than one.
    """
    named = [each.signature for each in interface.methods.values() if each.signature.name == name]
    if not named:
        known = sorted({each.signature.name for each in interface.methods.values()})
        text = f"{interface.key} has no method {name[:100]}; it has {', '.join(known)}"
        raise _refusal(text[:_SHOWN_METHODS], Code.UNIMPLEMENTED)
    found = [each for each in named if len(each.parameters) == count]
    if types is not None:
        if not all(isinstance(one, str) for one in types) or len(types) != count:
            raise _refusal(f"{name[:100]} was called with {len(types)} types for {count} arguments")
        try:
            descriptors = [interface.registry.parse(one).descriptor for one in types]
        except UsageError as error:
            raise _refusal(str(error)) from None
        exact = [
            each
            for each in found
            if [parameter.descriptor for parameter in each.parameters] == descriptors
        ]
        # Other peers write int for Integer and Object for a class: the arguments tell.
        found = exact or (found if len(named) == 1 else [])
    if len(found) == 1:
        return found[0]
    listed = ", ".join(map(str, named))[:_SHOWN_METHODS]
    if found:
        raise _refusal(f"{name[:100]} is overloaded: name the parameter types of one of {listed}")
    asked = f"the types {', '.join(types)[:200]}" if types is not None else f"{count} arguments"
    raise _refusal(f"{interface.key} has no {name[:100]} for {asked}; it has {listed}")


def _generic_exception(error: Exception, registry: TypeRegistry) -> GenericException:
    if isinstance(error, RemoteException):
        return GenericException(error.class_name, error.message)
    sent = from_exception(error, registry)
    if isinstance(sent, Record):
        message = sent.fields.get("detailMessage")
        return GenericException(sent.class_name, message if isinstance(message, str) else None)
    cls: type[Any] = sent.__class__
    java_class = java_class_of(cls)
    name = java_class.name if java_class is not None else "java.lang.RuntimeException"
    return GenericException(name, message_of(sent))
