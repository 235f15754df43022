"""A concurrency limit that finds itself: more while calls are quick, less when they queue.

When a service is given more calls at once than it can work on, they queue inside it: each takes
longer, and no more of them are answered. So the time that a call takes without a crowd, over the
time that it takes now, tells how far the limit is from where it should be. The limit moves there
slowly, with some room for a queue, so that it can grow again.

    limit <- limit x (TOLERANCE x base / now) + sqrt(limit)

The time without a crowd is measured: after the first calls, and again after every so many, only
a few calls are let in until enough of them have been timed. It cannot be taken from calls in a
crowd, because those get slower together with what they are compared with.

Source: the gradient of Netflix's concurrency-limits, and the base time of Envoy's adaptive
concurrency filter, whose published outlines this follows.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

from kubbo.errors import ConfigError

__all__ = ["Gradient"]

FIRST: Final = 20
LEAST: Final = 4
MOST: Final = 1_000

TOLERANCE: Final = 1.5
"""How much longer than without a crowd calls may take before the limit shrinks."""

MEMORY: Final = 20
"""Calls over which the time of now is averaged: one slow call is no congestion."""

SMOOTHING: Final = 0.2
"""Share of the way that the limit goes at each call."""

TIMED: Final = 50
"""Calls that are timed without a crowd."""

FIRST_TIMING: Final = 200
NEXT_TIMING: Final = 20_000
"""Calls until the base is measured for the first time, and from one time to the next."""


class Gradient:
    """See the head of the module; between `least` and `most` calls at once.

    Raises:
        ConfigError: the numbers are in no order.
    """

    __slots__ = ("_base", "_least", "_limit", "_most", "_now", "_timed", "_timed_seconds", "_until")

    def __init__(self, first: int = FIRST, least: int = LEAST, most: int = MOST) -> None:
        if not 1 <= least <= first <= most <= 1_000_000:
            raise ConfigError(
                f"an adaptive limit goes from least={least} over first={first} to most={most}"
            )
        self._limit = float(first)
        self._least = least
        self._most = most
        self._base = 0.0
        self._now = 0.0
        self._until = FIRST_TIMING
        self._timed = 0
        self._timed_seconds = 0.0

    @property
    def value(self) -> int:
        """Calls that may run at once now."""
        return self._least if self._until <= 0 else int(self._limit)

    def measure(self, elapsed: float, running: int, *, fault: bool) -> None:
        """See `Limit.measure`."""
        self._until -= 1
        if fault:
            self._move(self._limit * 0.9)
            return
        if self._until <= 0:
            self._time(elapsed, running)
            return
        if not self._now:
            self._base = self._now = elapsed
        self._now += (elapsed - self._now) / MEMORY
        self._base = min(self._base, self._now)
        if running < self._limit / 2:
            return  # it is not the limit that decides
        gradient = max(0.5, min(1.0, TOLERANCE * self._base / max(self._now, 1e-9)))
        self._move(self._limit * gradient + sqrt(self._limit))

    def _time(self, elapsed: float, running: int) -> None:
        if running > self._least:
            return  # it began in the crowd
        self._timed += 1
        self._timed_seconds += elapsed
        if self._timed == TIMED:
            self._base = self._now = self._timed_seconds / TIMED
            self._timed = 0
            self._timed_seconds = 0.0
            self._until = NEXT_TIMING

    def _move(self, to: float) -> None:
        limit = self._limit + SMOOTHING * (to - self._limit)
        self._limit = min(max(limit, self._least), self._most)
