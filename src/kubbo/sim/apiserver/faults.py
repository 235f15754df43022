"""Faults on order: what the server does instead of answering the next requests that match.

A fault is asked for once a request, before anything else, so the order in which faults are
added is the order in which they fire. `fired` counts them: a test whose fault never fired has
proven nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kubbo.sim.apiserver.objects import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Answer", "Cut", "Drop", "ErrorEvent", "Fault", "Faults", "Hang"]

_REASONS = {
    400: ("BadRequest", "the request is not understood"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden"),
    404: ("NotFound", "the server could not find the requested resource"),
    410: ("Expired", "The resourceVersion for the provided list is too old."),
    429: ("TooManyRequests", "too many requests, try again later"),
    500: ("InternalError", "an error on the server has prevented the request from succeeding"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to answer in time"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Refuse with an HTTP status; `retry_after` are seconds for the header of that name.

    With `body` the answer is this text and not a Status object, as a proxy in between or an
    overloaded server gives it.
    """

    code: int
    retry_after: int | None = None
    body: str = ""

    def error(self) -> ApiError:
        """As a Status."""
        reason, message = _REASONS.get(self.code, ("", f"fault {self.code}"))
        details = None if self.retry_after is None else {"retryAfterSeconds": self.retry_after}
        return ApiError(self.code, reason, message, details=dict(details) if details else None)


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection without a byte of an answer."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Answer as ever, but close the connection after this many bytes of the body."""

    after_bytes: int


@dataclass(frozen=True, slots=True)
class Hang:
    """Keep the connection open and never answer."""


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """Accept a watch with status 200, and say in its stream that it failed; then it ends.

    Requests other than watches get the status as their answer.
    """

    code: int
    retry_after: int | None = None


Fault: TypeAlias = Answer | Drop | Cut | Hang | ErrorEvent


@dataclass(slots=True)
class _Order:
    fault: Fault
    verb: str
    resource: str
    times: int | None


class Faults:
    """The orders that are open.

    Attributes:
        fired: how often which kind of fault has fired, by class name.
        source: asked with verb and resource where no order matches; for faults at random.
    """

    def __init__(self) -> None:
        self.fired: Counter[str] = Counter()
        self.source: Callable[[str, str], Fault | None] | None = None
        self._orders: list[_Order] = []

    def add(
        self, fault: Fault, *, verb: str = "*", resource: str = "*", times: int | None = 1
    ) -> None:
        """Let the next `times` matching requests meet the fault; None: all, until `clear`."""
        self._orders.append(_Order(fault, verb, resource, times))

    def clear(self) -> None:
        """Take back all that has not fired yet."""
        self._orders.clear()

    def take(self, verb: str, resource: str) -> Fault | None:
        """The fault that this request meets."""
        for order in self._orders:
            if order.verb not in ("*", verb) or order.resource not in ("*", resource):
                continue
            if order.times is not None:
                order.times -= 1
                if order.times <= 0:
                    self._orders.remove(order)
            self.fired[type(order.fault).__name__] += 1
            return order.fault
        fault = self.source(verb, resource) if self.source is not None else None
        if fault is not None:
            self.fired[type(fault).__name__] += 1
        return fault
