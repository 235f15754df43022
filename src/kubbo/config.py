"""Options of a call, from the most general layer to the most special one.

A channel has options, a reference has some of its own, a method declares some, and a
single call may be given more: the more special layer wins, option by option.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.model import Value

__all__ = ["DEFAULT_RETRIES", "DEFAULT_TIMEOUT", "Options"]

DEFAULT_TIMEOUT = 1.0
"""Seconds, over all attempts of a call. Dubbo's default, where it counts for each attempt."""

DEFAULT_RETRIES = 2
"""Further attempts after the first. Dubbo's default; here only where a retry is safe."""

_NONE: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Options:
    """What may be set for a call; None leaves it to the layer above.

    `timeout` is in seconds and covers all attempts. `retries` counts further attempts.
    `idempotent` allows a retry when the provider may have run the method already.
    """

    timeout: float | None = None
    retries: int | None = None
    idempotent: bool | None = None
    attachments: Mapping[str, Value] = field(default_factory=lambda: _NONE)

    def __post_init__(self) -> None:
        if self.timeout is not None and not 0 < self.timeout <= 24 * 3600:
            raise ConfigError(f"timeout={self.timeout} is not between 0 and a day, in seconds")
        if self.retries is not None and not 0 <= self.retries <= 100:
            raise ConfigError(f"retries={self.retries} is not between 0 and 100")

    def over(self, base: Options) -> Options:
        """These options, with those of `base` where they leave something open."""
        return Options(
            timeout=base.timeout if self.timeout is None else self.timeout,
            retries=base.retries if self.retries is None else self.retries,
            idempotent=base.idempotent if self.idempotent is None else self.idempotent,
            attachments={**base.attachments, **self.attachments}
            if base.attachments
            else self.attachments,
        )
