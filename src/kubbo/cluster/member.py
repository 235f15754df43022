"""An endpoint with its connection and its load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.model import Endpoint, Invocation
    from kubbo.transport.dialer import Dialer

__all__ = ["Member", "Picker", "Pool"]


@dataclass(slots=True, eq=False)
class Member:
    """One provider as its consumer sees it; it survives updates of its endpoint.

    `active` counts attempts in flight. Balancers read it, the attempts keep it.
    """

    endpoint: Endpoint
    dialer: Dialer
    active: int = 0


Picker: TypeAlias = "Callable[[Invocation], Member]"
"""Chooses the member for one attempt; bound to a pool, synchronous."""


@dataclass(slots=True, eq=False)
class Pool:
    """Members to choose from; never empty. It changes only by being replaced."""

    members: tuple[Member, ...]
    picker: Picker | None = None
