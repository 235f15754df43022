"""How a protocol turns invocations into messages and messages into results.

A codec is stateless toward its connection; it keeps what it has prepared for each method.
It raises `EncodeError` before anything is sent, and for the bytes of a peer `DecodeError`
and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubbo.model import Invocation, Result, ServiceKey, Signature, Value
    from kubbo.wire.hessian2 import TypeRegistry

__all__ = ["Codec", "ReceivedCall", "Services"]


@dataclass(slots=True)
class ReceivedCall:
    """A request as it arrived; `timeout` is what the consumer grants, None if it says nothing."""

    service: ServiceKey
    signature: Signature
    registry: TypeRegistry
    arguments: Sequence[Value]
    timeout: float | None = None
    attachments: dict[str, Value] = field(default_factory=dict[str, "Value"])


class Services(Protocol):
    """Where a codec finds what a request calls."""

    def find(
        self, interface: str, version: str, method: str, types: str
    ) -> tuple[Signature, TypeRegistry]:
        """The method that a request names, and the classes that its interface may bring.

        `types` is the JVM's descriptor of its parameters.

        The group is not asked: one interface in one version has one signature, whoever serves it.

        Raises:
            RpcError: there is no such service or method; the message lists what there is.
        """
        ...


class Codec(Protocol):
    """The messages of one protocol."""

    def encode_request(self, invocation: Invocation, timeout: float) -> bytes:
        """The message that asks for a call; `timeout` is the time left, in seconds."""
        ...

    def decode_response(self, payload: bytes, invocation: Invocation) -> Result:
        """The result of a call.

        Raises:
            Exception: what the provider's method threw, as a declared class or RemoteException.
            DecodeError: the message is none.
        """
        ...

    def decode_request(self, payload: bytes, services: Services) -> ReceivedCall:
        """The call that a message asks for.

        Raises:
            RpcError: from `services`.
            DecodeError: the message is none.
        """
        ...

    def encode_result(
        self, call: ReceivedCall, value: Value, attachments: Mapping[str, Value]
    ) -> bytes:
        """The message that answers a call with a value."""
        ...

    def encode_exception(
        self, call: ReceivedCall, error: Exception, attachments: Mapping[str, Value]
    ) -> bytes:
        """The message that answers a call with an exception."""
        ...
