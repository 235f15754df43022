"""Affinity rules: providers that are like the consumer in one respect, while there are enough.

    affinityAware: {key: region, ratio: 20}

prefers providers whose `region` is the consumer's own, as long as they are at least 20% of all.

Source: org.apache.dubbo.rpc.cluster.router.affinity.AffinityStateRouter; differences:
docs/routing.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from kubbo.cluster.routing.facts import endpoint_value
from kubbo.cluster.routing.scope import parse_scope

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from kubbo.cluster.member import Member
    from kubbo.cluster.routing.document import Node
    from kubbo.cluster.routing.facts import Consumer
    from kubbo.cluster.routing.scope import Scope
    from kubbo.model import Invocation, ServiceKey

__all__ = ["AffinityRouter", "parse_affinity_rule"]

_KEYS: Final = (
    "scope", "key", "force", "runtime", "enabled", "priority", "affinityAware", "configVersion",
    "dynamic", "valid",
)  # fmt: skip


class AffinityRouter:
    """Prefers providers whose `key` is the consumer's, while they are `ratio` percent of all."""

    def __init__(
        self,
        name: str,
        scope: Scope,
        key: str,
        *,
        ratio: float,
        consumer: Consumer,
        priority: int = 0,
    ) -> None:
        self.name = name
        self.scope = scope
        self.key = key
        self.ratio = ratio
        self.priority = priority
        self._consumer = consumer

    def classify(self, invocation: Invocation) -> Hashable:
        """The service, if the rule is for it. O(1)."""
        return invocation.service if self.scope.covers(invocation.service) else None

    def narrow(self, members: Sequence[Member], kind: Hashable) -> tuple[Member, ...]:
        """See `Router`."""
        return self._narrow(tuple(members), kind)[0]

    def account(
        self, invocation: Invocation, members: Sequence[Member], kind: Hashable
    ) -> tuple[str, dict[int, str]]:
        """See `Accountable`."""
        service = invocation.service
        values = ((each, endpoint_value(each.endpoint, self.key, service)) for each in members)
        return self._narrow(tuple(members), kind)[1], {
            id(each): f"its {self.key} is {value}" if value is not None else f"it has no {self.key}"
            for each, value in values
        }

    def _narrow(
        self, members: tuple[Member, ...], kind: Hashable
    ) -> tuple[tuple[Member, ...], str]:
        if kind is None:
            return members, f"is for {self.scope}, not for this service"
        if not self.scope.admits(self._consumer.application, members):
            return members, f"is for the application {self.scope}, which neither side is"
        service = cast("ServiceKey", kind)
        own = self._consumer.value(self.key, service)
        if own is None:
            return members, f"the consumer has no {self.key}"
        alike = tuple(
            [each for each in members if endpoint_value(each.endpoint, self.key, service) == own]
        )
        counted = f"{len(alike)} of {len(members)} have the consumer's {self.key}, {own}"
        if not alike or len(alike) * 100 < self.ratio * len(members):
            return members, f"{counted}; less than {self.ratio:g}% or none, so all may be called"
        return alike, counted


def parse_affinity_rule(top: Node, name: str, *, consumer: Consumer) -> AffinityRouter:
    """Read an affinity rule.

    Raises:
        ConfigError: it cannot be read; the text says where, and what to write.
    """
    top.keys(_KEYS)
    node = top.need("affinityAware", "it is the rule")
    if not top.text_of("configVersion").lower().startswith("v3.1"):
        raise node.error("it is of version 3.1; write `configVersion: v3.1` at the top")
    node.keys(("key", "ratio"))
    key = node.need("key", "it names what has to be alike, like region")
    if not key.text().strip():
        raise key.refuse("the name of a value, like region")
    ratio = node.get("ratio")
    priority = top.get("priority")
    return AffinityRouter(
        name,
        parse_scope(top, "service"),
        key.text().strip(),
        ratio=0.0 if ratio is None else ratio.number(0, 100),
        consumer=consumer,
        priority=0 if priority is None else priority.whole(-(2**31), 2**31 - 1),
    )
