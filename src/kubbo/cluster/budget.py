"""How many calls may be repeated: a share of those that go well.

When every provider of a target fails, retries only add to what broke it. So a repeated attempt
costs a token, and only calls that end well earn tokens: a share of one each. While most calls
succeed, the few that fail are repeated; when none does, the repetitions run out at once, and the
providers see no more requests than callers make.

An attempt that never left this process (no connection could be made, or it was lost before
anything was written) put no load on any provider. Its repetition is free.

Source: the retry budgets of Finagle and the retry throttling of gRPC (proposal A6). Unlike the
first, a call that failed earns nothing; unlike the second, the share is the ratio of retries to
calls that are possible for ever.
"""

from __future__ import annotations

from typing import Final

from kubbo.errors import ConfigError

__all__ = ["DEFAULT_SHARE", "RetryBudget"]

DEFAULT_SHARE: Final = 0.2
"""Repeated attempts for each call that goes well."""

FIRST_TOKENS: Final = 10.0
"""A consumer that has just started may repeat this much."""

MAX_TOKENS: Final = 100.0
"""What good times may save up; a burst of failures when a provider dies is about this size."""


class RetryBudget:
    """The tokens of one target, shared by every reference to it.

    `share` is between 0 (never repeat what reached a provider) and 1.

    Raises:
        ConfigError: `share` is out of its range.
    """

    __slots__ = ("_share", "_tokens")

    def __init__(self, share: float = DEFAULT_SHARE) -> None:
        if not 0 <= share <= 1:
            raise ConfigError(f"retry.budget={share} is not between 0 and 1")
        self._share = share
        self._tokens = FIRST_TOKENS if share else 0.0

    @property
    def tokens(self) -> float:
        """Repetitions that could be paid for now."""
        return self._tokens

    def earn(self) -> None:
        """A call went well."""
        if self._tokens < MAX_TOKENS:
            self._tokens += self._share

    def spend(self) -> bool:
        """Pay for a repetition; False if there is too little left."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
