"""A share of the calls of one kind, for what is done with calls and not with providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.cluster.routing.expressions import parse_expression
from kubbo.cluster.routing.facts import Consumer
from kubbo.errors import ConfigError

if TYPE_CHECKING:
    import random

    from kubbo.model import Invocation

__all__ = ["Calls"]


class Calls:
    """Calls of which `when` holds, and of these `percent` of a hundred.

    `when` is what stands before the arrow of a condition rule: `method=find* &
    attachments[x-canary]=true`; empty is every call.

    Raises:
        ConfigError: `when` does not follow the grammar, or `percent` is not from 0 to 100.
    """

    __slots__ = ("_consumer", "_rng", "_when", "percent")

    def __init__(
        self, when: str, percent: float, *, rng: random.Random, consumer: Consumer | None = None
    ) -> None:
        if not 0 <= percent <= 100:
            raise ConfigError(f"percent={percent} is not between 0 and 100")
        try:
            self._when = parse_expression(when, provider=False)
        except ValueError as error:
            raise ConfigError(f"when={when[:80]!r}: {error}") from None
        self.percent = percent
        self._rng = rng
        self._consumer = Consumer.here() if consumer is None else consumer

    def has(self, invocation: Invocation) -> bool:
        """Whether this call is one of them; throws the dice."""
        service, consumer = invocation.service, self._consumer

        def mine(key: str) -> str | None:
            return consumer.value(key, service)

        for term in self._when.terms:
            asked = term.of_call or term.of_method
            if not term.holds(term.value(invocation) if asked else mine(term.key), mine):
                return False
        return self.percent >= 100 or self._rng.random() * 100 < self.percent
