"""Weights of single providers, and providers that are taken out, as a configuration says.

`Marks` answers what is said of an endpoint. A router leaves out what is disabled, and a balancer
sees the weights through a wrapper: how a balancer chooses and what it remembers stays its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from kubbo.cluster.balancers import LoadBalance
    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.config.overrides import Override, Subject
    from kubbo.model import Endpoint, Invocation

__all__ = ["Mark", "Marks", "MarksRouter", "WeightsBalance"]

_REMEMBERED: Final = 20_000
"""Endpoints whose answer is kept: views are bound again and again, and mostly unchanged."""


class Mark(NamedTuple):
    """What is said of one endpoint; None leaves it as it is."""

    weight: int | None = None
    disabled: bool = False


class Marks:
    """What overrides say of the endpoints of one service; the last of them wins."""

    def __init__(self, overrides: Sequence[Override], service: str, subject: Subject) -> None:
        self._overrides = tuple(overrides)
        self._service = service
        self._subject = subject
        self._known: dict[Endpoint, Mark] = {}

    def __eq__(self, other: object) -> bool:
        """Whether they say the same."""
        return (
            isinstance(other, Marks)
            and self._overrides == other._overrides
            and (self._service, self._subject) == (other._service, other._subject)
        )

    __hash__ = None  # type: ignore[assignment]  # equal by content, and never a key

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return bool(self._overrides)

    @property
    def may_disable(self) -> bool:
        """Whether a provider may be taken out."""
        return any(each.disabled for each in self._overrides)

    def of(self, endpoint: Endpoint) -> Mark:
        """What is said of an endpoint; O(overrides) the first time."""
        mark = self._known.get(endpoint)
        if mark is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            mark = self._known[endpoint] = self._mark(endpoint)
        return mark

    def _mark(self, endpoint: Endpoint) -> Mark:
        weight: int | None = None
        disabled = False
        for each in self._overrides:
            if each.marks(self._service, self._subject, endpoint):
                weight = weight if each.weight is None else each.weight
                disabled = disabled if each.disabled is None else each.disabled
        return Mark(weight, disabled)


class MarksRouter:
    """Leaves out the providers that are disabled."""

    name = "overrides"

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def classify(self, invocation: Invocation) -> Hashable:
        """See `Router`."""
        del invocation
        return None

    def narrow(self, members: Sequence[Member], kind: Hashable) -> tuple[Member, ...]:
        """See `Router`."""
        del kind
        return tuple(each for each in members if not self._marks.of(each.endpoint).disabled)

    def account(
        self, invocation: Invocation, members: Sequence[Member], kind: Hashable
    ) -> tuple[str, dict[int, str]]:
        """See `Accountable`."""
        del invocation, kind
        out = {
            id(each): "disabled: true" for each in members if self._marks.of(each.endpoint).disabled
        }
        return f"{len(out)} disabled", out


class WeightsBalance:
    """A balancer that sees the weights of a configuration.

    A weight that a member has on its way up (slow start) is reduced in the same proportion.
    """

    def __init__(self, inner: LoadBalance, marks: Marks) -> None:
        self._inner = inner
        self._marks = marks

    def bind(self, pool: Pool) -> Picker:
        """See `LoadBalance.bind`."""
        weights = tuple(
            [
                self._weight(member, weight)
                for member, weight in zip(pool.members, pool.weights, strict=True)
            ]
        )
        return self._inner.bind(replace(pool, weights=weights))

    def _weight(self, member: Member, weight: float) -> float:
        said = self._marks.of(member.endpoint).weight
        if said is None:
            return weight
        own = member.endpoint.weight
        return said * (weight / own) if own > 0 else said
