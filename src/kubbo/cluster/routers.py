"""Routing: which members may take a call at all.

A router splits its work over the two rates. For a call it only says of which kind the call is
(`classify`: does the rule's condition match, which tag does it carry, which version did the dice
give it). For a view it says which members take calls of a kind (`narrow`). What `narrow` finds is
kept until the view or the rules change, so that a call costs one look into a table, however many
members and rules there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from kubbo.cluster.member import Member
    from kubbo.model import Invocation

__all__ = ["OwnStep", "Router"]


class Router(Protocol):
    """One narrowing of the members. `name` tells it apart in explanations."""

    @property
    def name(self) -> str:
        """Like `condition rule greeter-v2` or `tag`."""
        ...

    def classify(self, invocation: Invocation) -> Hashable:
        """The kind of this call, one of few; runs once an attempt."""
        ...

    def narrow(self, members: Sequence[Member], kind: Hashable) -> tuple[Member, ...]:
        """The members that take calls of `kind`; O(members). None of them means no provider."""
        ...


@runtime_checkable
class OwnStep(Protocol):
    """A router whose step in a funnel is not called `routing`."""

    @property
    def step(self) -> str:
        """See `kubbo.model.Step`."""
        ...
