"""Options of a call, from the most general layer to the most special one.

A channel has options, a reference has some of its own, a method declares some, and a
single call may be given more: the more special layer wins, option by option.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.model import Value

__all__ = ["DEFAULT_RETRIES", "DEFAULT_TIMEOUT", "Options", "Parameter"]

DEFAULT_TIMEOUT = 1.0
"""Seconds, over all attempts of a call. Dubbo's default, where it counts for each attempt."""

DEFAULT_RETRIES = 2
"""Further attempts after the first. Dubbo's default; here only where a retry is safe."""

Parameter: TypeAlias = str | int | float | bool
"""What a parameter of a policy may be."""

_NONE: Mapping[str, Any] = MappingProxyType({})
_MERGED = ("attachments", "parameters")


@dataclass(frozen=True, slots=True)
class Options:
    """What may be set for a call; None leaves it to the layer above.

    Attributes:
        timeout: seconds, over all attempts.
        retries: further attempts after the first.
        idempotent: allows a retry when the provider may have run the method already.
        attachments: sent along; those of all layers together.
        cluster: name of the cluster policy, like `failover`.
        loadbalance: name of the balancer, like `p2c`.
        actives: calls at once of this consumer, of the method or the reference that sets it.
        mock: what stands in for a failed call, like `return null`; see `kubbo.rpc.mock`.
        parameters: of policy, balancer and breaker, by names like `hash.arguments`; those of
            all layers together.
    """

    timeout: float | None = None
    retries: int | None = None
    idempotent: bool | None = None
    attachments: Mapping[str, Value] = field(default_factory=lambda: _NONE)
    cluster: str | None = None
    loadbalance: str | None = None
    actives: int | None = None
    mock: str | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=lambda: _NONE)

    def __post_init__(self) -> None:
        if self.timeout is not None and not 0 < self.timeout <= 24 * 3600:
            raise ConfigError(f"timeout={self.timeout} is not between 0 and a day, in seconds")
        if self.retries is not None and not 0 <= self.retries <= 100:
            raise ConfigError(f"retries={self.retries} is not between 0 and 100")
        if self.actives is not None and not 0 <= self.actives <= 1_000_000:
            raise ConfigError(f"actives={self.actives} is not between 0 (no limit) and a million")

    def over(self, base: Options) -> Options:
        """These options, with those of `base` where they leave something open."""
        chosen: dict[str, Any] = {}
        for each in _PLAIN:
            mine = getattr(self, each)
            chosen[each] = getattr(base, each) if mine is None else mine
        for each in _MERGED:
            mine, below = getattr(self, each), getattr(base, each)
            chosen[each] = {**below, **mine} if mine and below else mine or below
        return Options(**chosen)


_PLAIN = tuple(each.name for each in fields(Options) if each.name not in _MERGED)
