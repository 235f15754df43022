"""Slow start: a provider that has just become ready gets its calls little by little.

A process that is new has cold caches, no connections of its own and, in Java, code that is not
compiled yet. Its weight grows in a straight line from a tenth to the whole over `warmup` seconds,
counted from the moment at which its endpoint was first seen ready. Nobody asks it when it started:
that would be another clock, and a container that was restarted is as cold as a new one. Providers
of the first view are taken to be warm, or a consumer that starts would hold them all for new.

Weights are relative. Where all are new, all have the same part of their weight, and get everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubbo.cluster.parameters import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubbo.cluster.member import Member
    from kubbo.config import Parameter

__all__ = ["DEFAULT_WARMUP", "STEPS", "warmed", "warmup_of"]

DEFAULT_WARMUP: Final = 30.0
"""Seconds. Dubbo's is ten minutes, counted from the start of a JVM. A rolling update replaces pods
faster than that: with most of them in slow start, the few that are left carry everything. Half a
minute is what connections and caches need."""

FLOOR: Final = 0.1
"""The part of its weight that a provider begins with: without calls nothing warms up."""

STEPS: Final = 20
"""Steps of the ramp; each is a new binding of the pools that have a new provider."""


def warmup_of(parameters: Mapping[str, Parameter]) -> float:
    """The parameter `warmup`, in seconds; 0 is no slow start.

    Raises:
        ConfigError: it is no number of seconds up to a day.
    """
    return number(parameters, "warmup", DEFAULT_WARMUP, 0, 24 * 3600)


def warmed(members: Sequence[Member], now: float, warmup: float) -> tuple[float, ...] | None:
    """The weight of each member now; None where all are warm. O(members)."""
    if not any(now - member.since < warmup for member in members):
        return None
    return tuple(
        [
            max(0, member.endpoint.weight) * min(1.0, max(FLOOR, (now - member.since) / warmup))
            for member in members
        ]
    )
