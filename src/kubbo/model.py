"""Words that every room uses: who is called, where, what with, and until when."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from kubbo.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from kubbo.observe import CallReport

__all__ = [
    "Deadline",
    "Endpoint",
    "Handler",
    "Invocation",
    "Kind",
    "Result",
    "ServiceKey",
    "Signature",
    "Step",
    "Type",
    "Value",
]

Value: TypeAlias = Any
"""A value of Hessian: None, bool, int, float, str, bytes, datetime, list, dict, set,
a registered dataclass, an enum, an exception or a record, nested to any depth.
"""


_SERVICE_KEY = re.compile(
    r"(?:(?P<group>[^/:\s]+)/)?(?P<interface>[\w$]+(?:\.[\w$]+)*)(?::(?P<version>[^/:\s]+))?"
)
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""What no group or version holds: a key is written in UTF-8, and shown on terminals."""


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """Identity of a Dubbo service; its `str` is `group/interface:version`.

    Source: the service key of Dubbo (org.apache.dubbo.common.URL.buildKey).
    """

    interface: str
    group: str = ""
    version: str = ""

    def __str__(self) -> str:
        group = f"{self.group}/" if self.group else ""
        version = f":{self.version}" if self.version else ""
        return f"{group}{self.interface}{version}"

    @classmethod
    def parse(cls, text: str) -> ServiceKey:
        """Read `[group/]interface[:version]`.

        Raises:
            TargetError: the interface is missing, or is no dotted Java name; or there is a
                control character, or half of a surrogate pair (bytes that were no UTF-8).
        """
        if _NO_TEXT.search(text.strip()):
            raise TargetError(
                f"{text!r} is no service key: it holds a control character, or bytes that are no "
                "UTF-8; write letters and digits, like eu/com.example.GreetService:1.0.0"
            )
        match = _SERVICE_KEY.fullmatch(text.strip())
        if match is None:
            raise TargetError(
                f"{text!r} is no service key; write [group/]interface[:version], "
                "like eu/com.example.GreetService:1.0.0"
            )
        return cls(match["interface"], match["group"] or "", match["version"] or "")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a provider, with what discovery knows of it.

    Its identity is `key`: a changed weight, zone or condition never reconnects. `weight` is
    relative, 100 by default, 0 takes no calls. `ready`, `serving` and `terminating` are the
    conditions of an EndpointSlice; `node` and `zone` are empty when unknown.
    """

    host: str
    port: int
    weight: int = 100
    zone: str = ""
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        """What makes two endpoints the same one."""
        return (self.host, self.port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Deadline:
    """An absolute time, in seconds of the clock of the event loop."""

    at: float

    def remaining(self, now: float) -> float:
        """Seconds that are left, never negative."""
        return max(0.0, self.at - now)

    def sooner(self, other: Deadline) -> Deadline:
        """The earlier one of two."""
        return self if self.at <= other.at else other


@dataclass(frozen=True, slots=True)
class Step:
    """One narrowing on the way from a service key to a provider.

    `name` is one of naming, service, slices, conditions, port, pods, zone, routing, breaker,
    connection. `count` is what was left after it, None where nothing is counted.
    """

    name: str
    count: int | None = None
    note: str = ""

    def __str__(self) -> str:
        count = "" if self.count is None else f" {self.count}"
        return f"{self.name}{count}{f' ({self.note})' if self.note else ''}"


class Kind(Enum):
    """How many messages go each way."""

    UNARY = "unary"
    ONEWAY = "oneway"
    CLIENT_STREAM = "client_stream"
    SERVER_STREAM = "server_stream"
    BIDI_STREAM = "bidi_stream"


class Type(Protocol):
    """A Java type: `name` as Java writes it (`int[]`), `descriptor` as the JVM does (`[I`)."""

    @property
    def name(self) -> str:
        """Like `java.lang.String` or `int[]`."""
        ...

    @property
    def descriptor(self) -> str:
        """Like `Ljava/lang/String;` or `[I`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """One Java method: its name and types. Made once a method, so it is compared by identity."""

    name: str
    parameters: tuple[Type, ...] = ()
    returns: Type | None = None

    @property
    def types(self) -> str:
        """The parameter descriptor as the JVM writes it, like `Ljava/lang/String;I`."""
        return "".join(parameter.descriptor for parameter in self.parameters)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(parameter.name for parameter in self.parameters)})"


@dataclass(slots=True)
class Invocation:
    """One call on its way through filters, policy and connection; mutable, never shared.

    `deadline` is shared by every attempt, queue and hop. `idempotent` allows a retry of what
    may have run already. `report` is there while an observer listens.
    """

    service: ServiceKey
    signature: Signature
    arguments: Sequence[Value]
    deadline: Deadline
    kind: Kind = Kind.UNARY
    idempotent: bool = False
    attachments: dict[str, Value] = field(default_factory=dict[str, Value])
    requests: AsyncIterator[Value] | None = None
    report: CallReport | None = None

    @property
    def method(self) -> str:
        """Java's name of the method."""
        return self.signature.name


@dataclass(slots=True)
class Result:
    """The answer to an invocation; `endpoint` gave it, None at the provider itself.

    `degraded` is the failure that a fallback stood in for.
    """

    value: Value = None
    endpoint: Endpoint | None = None
    responses: AsyncIterator[Value] | None = None
    attachments: dict[str, Value] = field(default_factory=dict[str, Value])
    degraded: Exception | None = None


Handler: TypeAlias = "Callable[[Invocation], Awaitable[Result]]"
"""What a filter proceeds to, a member sends with and a server dispatches to."""
