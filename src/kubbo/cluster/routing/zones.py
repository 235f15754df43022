"""Zones: providers near the consumer first, others when those are too few or too busy.

Traffic within a zone is faster and often free, but a zone must not go down because its consumers
insist on it. Two things send calls to other zones:

* Health: who is connected, and not left out by the breaker. While `healthy / all * 1.4` of the
  own zone's providers is 1 or more (up to 28% are down), all calls stay; below, only that share of
  them, so that the rest of the zone is not overrun. Fewer than `min_healthy` count as none.
* Load. While the own zone's providers have `spill_load` times as many calls in flight as others,
  and at least `spill_calls` each, calls go to the others. A few of each are asked, not all.

Only calls of this consumer are known here; each consumer decides by its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from kubbo.errors import ConfigError
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    import random
    from collections.abc import Hashable, Sequence

    from kubbo.cluster.member import Member
    from kubbo.cluster.routing.document import Node
    from kubbo.cluster.routing.facts import Consumer
    from kubbo.model import Invocation, ServiceKey

__all__ = ["ZoneRouter", "parse_zone_rule"]

SPARE: Final = 1.4
"""What the healthy ones may take on. Source: Envoy's overprovisioning factor of localities."""

ASKED: Final = 4
"""Providers of each side whose load is looked at."""

EVERY: Final = 8
"""Calls between two looks at the load."""

_NEAR, _FAR = "near", "far"
_CONNECTED: Final = (State.READY, State.CONNECTING)
"""Who is being connected for the first time is no worse than the others."""

_KEYS: Final = ("zone", "minHealthy", "spillLoad", "spillCalls")


@dataclass(slots=True)
class _View:
    """What `narrow` saw last for a service."""

    near: tuple[Member, ...] = ()
    far: tuple[Member, ...] = ()
    share: float = 1.0
    calls: int = 0
    busy: bool = False


class ZoneRouter:
    """Prefers the providers of `zone`; see the head of the module.

    One object serves one target, or targets of different services: it remembers what it saw of
    each service.

    Raises:
        ConfigError: a number is out of its range.
    """

    name = "zone"
    step = "zone"
    priority = 0

    def __init__(
        self,
        zone: str,
        *,
        rng: random.Random,
        min_healthy: int = 1,
        spill_load: float = 2.0,
        spill_calls: int = 10,
    ) -> None:
        if min_healthy < 1 or spill_load < 1 or spill_calls < 1:
            raise ConfigError("min_healthy, spill_load and spill_calls are 1 or more")
        self.zone = zone
        self._rng = rng
        self._min_healthy = min_healthy
        self._spill_load = spill_load
        self._spill_calls = spill_calls
        self._views: dict[ServiceKey, _View] = {}

    def classify(self, invocation: Invocation) -> Hashable:
        """Near or far, by the dice and by the load. O(1)."""
        if not self.zone:
            return None
        service = invocation.service
        view = self._views.get(service)
        if view is None or not view.far:
            return (service, _NEAR)
        view.calls += 1
        if view.calls % EVERY == 1:
            view.busy = self._is_busy(view)
        stays = view.share >= 1 or self._rng.random() < view.share
        return (service, _NEAR if stays and not view.busy else _FAR)

    def narrow(self, members: Sequence[Member], kind: Hashable) -> tuple[Member, ...]:
        """See `Router`."""
        if kind is None:
            return tuple(members)
        service, side = cast("tuple[ServiceKey, str]", kind)
        view = self._look(members, self._views.setdefault(service, _View()))
        if not view.share or not view.far:
            return tuple(members)
        return view.near if side == _NEAR else view.far

    def account(
        self, invocation: Invocation, members: Sequence[Member], kind: Hashable
    ) -> tuple[str, dict[int, str]]:
        """See `Accountable`."""
        del invocation
        reasons = {
            id(each): f"its zone is {each.endpoint.zone or 'unknown'}"
            + ("" if _is_healthy(each) else f", and it is {_ailment(each)}")
            for each in members
        }
        if kind is None:
            return "the consumer's zone is not known (KUBBO_ZONE, --zone)", reasons
        view = self._look(members, _View())
        own = f"{len(view.near)} of {len(members)} are in the consumer's zone {self.zone}"
        if not view.share:
            return f"{own}, too few of them healthy; all may be called", reasons
        if view.share < 1:
            return f"{own}, which takes {view.share:.0%} of the calls", reasons
        return own, reasons

    def _look(self, members: Sequence[Member], view: _View) -> _View:
        view.near = tuple([each for each in members if each.endpoint.zone == self.zone])
        view.far = tuple([each for each in members if each.endpoint.zone != self.zone])
        healthy = sum(map(_is_healthy, view.near))
        elsewhere = any(map(_is_healthy, view.far))
        enough = healthy >= self._min_healthy
        view.share = min(1.0, SPARE * healthy / len(view.near)) if enough else 0.0
        if enough and not elsewhere:
            view.share = 1.0  # nobody there could help
        return view

    def _is_busy(self, view: _View) -> bool:
        near = self._load(view.near)
        return near >= self._spill_calls and near >= self._spill_load * self._load(view.far)

    def _load(self, members: tuple[Member, ...]) -> float:
        if len(members) > ASKED:
            members = tuple(self._rng.choices(members, k=ASKED))
        return sum(each.active for each in members) / max(1, len(members))


def _is_healthy(member: Member) -> bool:
    return not member.ejected and member.dialer.state in _CONNECTED


def _ailment(member: Member) -> str:
    return "left out by the breaker" if member.ejected else member.dialer.state.value


def parse_zone_rule(top: Node, name: str, *, consumer: Consumer, rng: random.Random) -> ZoneRouter:
    """Read `zoneAware: {zone, minHealthy, spillLoad, spillCalls}`, all of which may be left out.

    Raises:
        ConfigError: it cannot be read; the text says where, and what to write.
    """
    node = top.need("zoneAware", "it is the rule; write {} for its defaults")
    node.keys(_KEYS)
    fewest, load, calls = (node.get(key) for key in _KEYS[1:])
    router = ZoneRouter(
        node.text_of("zone") or consumer.zone,
        rng=rng,
        min_healthy=1 if fewest is None else fewest.whole(1, 100_000),
        spill_load=2.0 if load is None else load.number(1, 1_000),
        spill_calls=10 if calls is None else calls.whole(1, 1_000_000),
    )
    router.name = name
    return router
