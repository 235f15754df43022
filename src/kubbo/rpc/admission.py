"""Which requests a provider lets in: its own limits, those of a service and of a method.

    executes   calls of a service, or of a method, at once
    queue      calls that may wait for that; none unless it is asked for
    tps        calls a second, evenly
    adaptive   `executes` finds itself

A request that is not let in is answered "overloaded" at once, before anything ran, with the time
after which another try makes sense. What keeps a connection alive or tells whether a provider is
well (heartbeats, `$echo`, the metadata) is let in always: an overloaded provider is not a dead one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kubbo.cluster.bulkhead import Bulkhead, Fixed, overloaded
from kubbo.cluster.gradient import Gradient
from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.model import Deadline, ServiceKey

__all__ = ["PRIORITY", "Admission", "Door", "ServiceLimits", "ServingLimits"]

PRIORITY: Final = "kubbo-priority"
"""Attachment of a request: an integer, 0 without it; the higher, the later it is shed."""

_MOST_PRIORITY: Final = 1_000


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """Limits of a service or a method; 0 is no limit. See the head of the module.

    With `adaptive`, `executes` is the most that the limit may become, 1,000 where it is 0.

    Raises:
        ConfigError: a number is out of its range.
    """

    executes: int = 0
    queue: int = 0
    tps: float = 0.0
    adaptive: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.executes <= 1_000_000:
            raise ConfigError(f"executes={self.executes} is not between 0 and a million")
        if not 0 <= self.tps <= 1e9:
            raise ConfigError(f"tps={self.tps} is not between 0 and a thousand million")
        if self.queue and not (self.executes or self.adaptive):
            raise ConfigError(f"queue={self.queue} needs executes, or adaptive")


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Limits of a service, and of its methods by Java's names."""

    service: ServingLimits = field(default_factory=ServingLimits)
    methods: Mapping[str, ServingLimits] = field(default_factory=dict[str, ServingLimits])


class _Rate:
    """So many a second: a bucket that holds a tenth of a second's worth, and at least one."""

    __slots__ = ("_at", "_most", "_rate", "_tokens")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate / 10)
        self._tokens = self._most
        self._at = 0.0

    def take(self, now: float) -> float:
        """Take a token; 0 if there was one, else the seconds until there is."""
        if self._at:
            self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


class Door:
    """What one request has to pass: the gates of its service and of its method."""

    __slots__ = ("_bulkheads", "_name", "_rates")

    def __init__(
        self, name: str, bulkheads: tuple[Bulkhead, ...], rates: tuple[_Rate, ...]
    ) -> None:
        self._name = name
        self._bulkheads = bulkheads
        self._rates = rates

    async def enter(self, now: float, deadline: Deadline, priority: int) -> None:
        """Return when the request may run; `leave` has to follow. Safe to cancel.

        Raises:
            DeadlineExceeded: its turn did not come in time.
            RpcError: RESOURCE_EXHAUSTED, it is not let in.
        """
        for rate in self._rates:
            wait = rate.take(now)
            if wait:
                raise overloaded(f"{self._name} takes no more calls a second (tps)", wait)
        entered: list[Bulkhead] = []
        try:
            for bulkhead in self._bulkheads:
                if not bulkhead.try_enter():
                    await bulkhead.enter(deadline, priority)
                entered.append(bulkhead)
        except BaseException:
            for bulkhead in entered:
                bulkhead.leave(0.0)
            raise

    def leave(self, elapsed: float, *, fault: bool) -> None:
        """The request has ended."""
        for bulkhead in self._bulkheads:
            bulkhead.leave(elapsed, fault=fault)


class Admission:
    """The doors of one service: its own limits, and those of methods by Java's names."""

    def __init__(
        self, key: ServiceKey, limits: ServingLimits, methods: Mapping[str, ServingLimits]
    ) -> None:
        self._service = _gates(str(key), limits)
        self._methods = {
            name: _gates(f"{key.interface}.{name}", each) for name, each in methods.items()
        }
        self._doors: dict[str, Door | None] = {}

    def door(self, method: str) -> Door | None:
        """What a request for this method has to pass, None for nothing."""
        if method in self._doors:
            return self._doors[method]
        bulkheads, rates = self._service
        more = self._methods.get(method)
        if more is not None:
            bulkheads, rates = more[0] + bulkheads, more[1] + rates
        door = Door(method, bulkheads, rates) if bulkheads or rates else None
        self._doors[method] = door
        return door


def priority_of(attachments: Mapping[str, object]) -> int:
    """The priority that a request asks for; 0 for what is no number."""
    value = attachments.get(PRIORITY, 0)
    try:
        return min(max(int(str(value)[:10]), -_MOST_PRIORITY), _MOST_PRIORITY)
    except ValueError:
        return 0


def _gates(name: str, limits: ServingLimits) -> tuple[tuple[Bulkhead, ...], tuple[_Rate, ...]]:
    rates = (_Rate(limits.tps),) if limits.tps else ()
    if limits.adaptive:
        most = limits.executes or 1_000
        gradient = Gradient(min(20, most), min(4, most), most)
        return (Bulkhead(name, gradient, limits.queue),), rates
    if limits.executes:
        return (Bulkhead(name, Fixed(limits.executes), limits.queue),), rates
    return (), rates
