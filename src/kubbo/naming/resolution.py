"""The four things a resolver may say, and the seam of every resolver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from kubbo.model import Endpoint, Step

__all__ = [
    "Absent",
    "Failed",
    "Members",
    "Pending",
    "Publish",
    "Refreshable",
    "Resolution",
    "Resolver",
    "hint_refresh",
]


@dataclass(frozen=True, slots=True)
class Pending:
    """Nothing is known yet. Every resolver starts here; a call waits within its deadline."""


@dataclass(frozen=True, slots=True)
class Members:
    """The endpoints that may be called now; never empty.

    `excluded` are known endpoints that may not be called (not ready, or terminating while
    others are ready). `stale_since` is None while the source is healthy; once it is lost, the loop
    time at which it last gave a sign that they are right. `steps` is the funnel so far. `definite`
    is whether an endpoint that is not listed is known to be gone: the API server knows, DNS does
    not, so its consumer keeps a working connection to one that vanished until there is another.
    """

    endpoints: tuple[Endpoint, ...]
    excluded: tuple[Endpoint, ...] = ()
    stale_since: float | None = None
    steps: tuple[Step, ...] = ()
    definite: bool = True


@dataclass(frozen=True, slots=True)
class Absent:
    """A healthy source says that there is no provider; `reason` says why and what to do next."""

    reason: str
    excluded: tuple[Endpoint, ...] = ()
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The source cannot answer, and there is no last answer to keep.

    The text of `error` is one paragraph for a person: what failed, where, what to do next.
    """

    error: Exception
    steps: tuple[Step, ...] = ()


Resolution: TypeAlias = Pending | Members | Absent | Failed

Publish: TypeAlias = Callable[[Resolution], None]
"""Takes each resolution as it is found. It never blocks and never raises."""


class Resolver(Protocol):
    """Finds the providers of one target.

    `watch` runs until it is cancelled and publishes every change, whole snapshots only. Its
    caller owns the task; when `watch` returns or raises, everything it opened is closed.
    A returning `watch` has said its last word (static addresses); one that raises has a bug.
    """

    async def watch(self, publish: Publish, /) -> None:
        """Publish resolutions until cancelled."""
        ...


@runtime_checkable
class Refreshable(Protocol):
    """A resolver that can look again when told to: DNS, which nobody tells of changes."""

    def refresh(self) -> None:
        """A provider cannot be connected. Never blocks; the resolver decides when it looks."""
        ...


def hint_refresh(resolver: Resolver) -> None:
    """Tell a resolver that a provider cannot be connected, if it wants to know."""
    if isinstance(resolver, Refreshable):
        resolver.refresh()
