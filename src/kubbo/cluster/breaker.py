"""The circuit breaker: who is left out for a while because it fails.

    CLOSED --too many faults--> OPEN --its time is over--> HALF_OPEN --probes succeed--> CLOSED
                                 ^                             |
                                 +------- a probe fails -------+   (for twice as long)

There is one state for each member, of a target or, where a method is declared so, of that method.
A member is ejected when so many attempts in a row were faults, when the share of faults among its
attempts of the last seconds is too high, or, where a call may be too slow, the share of slow
ones. It comes back by probes: calls like any other, one at a time, idempotent ones first,
because what a probe risks is a call.

Ejecting must not make things worse. At most a share of the members is out at once, and never the
last one; and where routing leaves none but ejected members, they take the calls: a provider that
may fail is better than none.

What is counted costs a call nothing while all is well: successes are known from the members' own
counts, so only members with a recent fault are looked at.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Final

from kubbo.cluster.parameters import number
from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kubbo.cluster.member import Member
    from kubbo.config import Parameter
    from kubbo.model import Invocation

__all__ = [
    "DEFAULT_RULES",
    "Breaker",
    "BreakerRules",
    "BreakerState",
    "Ejection",
    "has_rules",
    "read_rules",
]

WINDOW: Final = 10.0
"""Seconds over which shares are taken."""

PROBE_PATIENCE: Final = 1.0
"""Seconds for which a probe waits for a call that is idempotent; then any call will do."""

PROBE_LIMIT: Final = 30.0
"""Seconds after which a probe without an outcome is made anew."""

_log = logging.getLogger("kubbo.cluster")


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a member is ejected, and for how long.

    Attributes:
        consecutive: faults in a row; 0 switches this rule off.
        rate: share of faults among the attempts of the last ten seconds, above which it is
            ejected; 0 switches this rule off.
        requests: attempts within these seconds without which no share is taken.
        slow: seconds above which an attempt counts as slow; 0 switches this off.
        slow_rate: share of slow attempts, likewise.
        ejection: seconds for which it is out the first time; twice as long the next.
        longest: seconds for which it is out at most.
        share: of the members that may be out at once.
        probes: probes in a row that have to succeed.

    Raises:
        ConfigError: a number is out of its range.
    """

    consecutive: int = 5
    rate: float = 0.5
    requests: int = 20
    slow: float = 0.0
    slow_rate: float = 0.8
    ejection: float = 5.0
    longest: float = 60.0
    share: float = 0.5
    probes: int = 2

    def __post_init__(self) -> None:
        for name, least, most in (
            ("consecutive", 0, 1_000),
            ("rate", 0, 1),
            ("requests", 1, 1_000_000),
            ("slow", 0, 3_600),
            ("slow_rate", 0, 1),
            ("ejection", 0.1, 3_600),
            ("longest", 0.1, 24 * 3_600),
            ("share", 0, 1),
            ("probes", 1, 100),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigError(f"breaker.{name}={value} is not between {least} and {most}")


DEFAULT_RULES: Final = BreakerRules()

_WHOLE: Final = ("consecutive", "requests", "probes")
_FIELDS: Final = ("enabled", *(each.name for each in fields(BreakerRules)))


PREFIX: Final = "breaker."
"""Of parameters that give a method or a reference a breaker of its own."""


def has_rules(parameters: Mapping[str, Parameter]) -> bool:
    """Whether parameters ask for a breaker of their own."""
    return any(name.startswith(PREFIX) for name in parameters)


def read_rules(parameters: Mapping[str, Parameter]) -> BreakerRules | None:
    """The rules of these parameters, the defaults for what they leave open; None for no breaker.

    Raises:
        ConfigError: a number is none, or out of its range, or has no meaning.
    """
    given: dict[str, float] = {}
    for name, value in parameters.items():
        if not name.startswith(PREFIX):
            continue
        rule = name.removeprefix(PREFIX)
        if rule not in _FIELDS:
            raise ConfigError(f"{name} is no rule of a breaker; there are {', '.join(_FIELDS)}")
        given[rule] = value if isinstance(value, bool) else number(parameters, name, 0)
    if not given.pop("enabled", 1.0):
        return None
    whole = {name: int(given[name]) for name in given if name in _WHOLE}
    return BreakerRules(**{**given, **whole})  # type: ignore[arg-type]  # each by its name


class BreakerState(Enum):
    """See the head of the module."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Ejection:
    """A member was ejected, or came back (`state` is CLOSED)."""

    member: Member
    state: BreakerState
    reason: str


@dataclass(slots=True, eq=False)
class _Health:
    """What is known of a member with a recent fault. The window is two halves."""

    attempts: int  # of the member, at the beginning of this half and of the last one
    attempts_before: int
    half_began: float
    state: BreakerState = BreakerState.CLOSED
    consecutive: int = 0
    faults: int = 0
    faults_before: int = 0
    slow: int = 0
    slow_before: int = 0
    until: float = 0.0  # when OPEN ends, and for how long it was
    out: float = 0.0
    probe_since: float | None = None  # of the probe that is on its way
    probed: int = 0  # probes in a row that succeeded

    def turn(self, member: Member, now: float) -> None:
        """Forget what is older than the window."""
        half = WINDOW / 2
        if now - self.half_began < half:
            return
        recent = now - self.half_began < 2 * half
        self.attempts_before = self.attempts if recent else member.attempts
        self.faults_before = self.faults if recent else 0
        self.slow_before = self.slow if recent else 0
        self.attempts, self.faults, self.slow = member.attempts, 0, 0
        self.half_began = now

    def recent(self, member: Member) -> int:
        """Attempts of the window."""
        return member.attempts - self.attempts_before


class Breaker:
    """The breaker of one target or method.

    `size` gives how many members there are now, `changed` is called when one was ejected or
    came back. `ejected` has the members that are left out.
    """

    __slots__ = ("__weakref__", "_changed", "_rules", "_size", "_watched", "ejected")

    def __init__(
        self, rules: BreakerRules, size: Callable[[], int], changed: Callable[[Ejection], None]
    ) -> None:
        self.ejected: dict[Member, _Health] = {}
        self._rules = rules
        self._size = size
        self._changed = changed
        self._watched: dict[Member, _Health] = {}

    # -- what an attempt tells

    def succeeded(self, member: Member, elapsed: float, now: float) -> None:
        """An attempt ended well after `elapsed` seconds."""
        slow = self._rules.slow
        if slow and elapsed > slow:
            self._count(member, now, fault=False)
        elif self._watched:
            health = self._watched.get(member)
            if health is not None:
                health.consecutive = 0
                if health.state is BreakerState.HALF_OPEN:
                    self._probed(member, health)
                elif now - health.half_began > WINDOW and now > health.until + 2 * health.out:
                    del self._watched[member]

    def failed(self, member: Member, now: float) -> None:
        """An attempt was a fault of its provider."""
        self._count(member, now, fault=True)

    def ended(self, member: Member) -> None:
        """An attempt ended without saying anything: it was cancelled."""
        health = self.ejected.get(member)
        if health is not None:
            health.probe_since = None

    def forget(self, members: Sequence[Member]) -> None:
        """Keep what is known of these members only."""
        stay = set(members)
        for known in (self._watched, self.ejected):
            for member in [each for each in known if each not in stay]:
                del known[member]

    # -- what a pool asks

    def admitted(self, members: tuple[Member, ...]) -> tuple[Member, ...]:
        """Those that are not ejected; all of them if nobody else is left."""
        if not self.ejected:
            return members
        return tuple(each for each in members if each not in self.ejected) or members

    def probe(
        self, invocation: Invocation, now: float, may: Callable[[Member], bool]
    ) -> Member | None:
        """A member that this call shall probe and `may` go to, None if there is none."""
        for member, health in self.ejected.items():
            if now < health.until or not may(member):
                continue
            if health.probe_since is not None and now - health.probe_since < PROBE_LIMIT:
                continue
            if not invocation.idempotent and now - health.until < PROBE_PATIENCE:
                continue
            health.state = BreakerState.HALF_OPEN
            health.probe_since = now
            return member
        return None

    # -- inside

    def _count(self, member: Member, now: float, *, fault: bool) -> None:
        health = self._watched.get(member)
        if health is None:
            # The attempt that brought it here is the first of the window.
            before = member.attempts - 1
            health = self._watched[member] = _Health(before, before, now)
        health.turn(member, now)
        if fault:
            health.faults += 1
            health.consecutive += 1
        else:
            health.slow += 1
            health.consecutive = 0
        if health.state is BreakerState.HALF_OPEN:
            self._eject(member, health, now, "a probe failed" if fault else "a probe was slow")
        elif health.state is BreakerState.CLOSED:
            reason = self._reason(member, health)
            if reason:
                self._eject(member, health, now, reason)

    def _reason(self, member: Member, health: _Health) -> str:
        rules = self._rules
        if rules.consecutive and health.consecutive >= rules.consecutive:
            return f"{health.consecutive} faults in a row"
        recent = health.recent(member)
        if recent < rules.requests:
            return ""
        faults = health.faults + health.faults_before
        if rules.rate and faults >= rules.rate * recent:
            return f"{faults} faults in {recent} attempts"
        slow = health.slow + health.slow_before
        if rules.slow and slow >= rules.slow_rate * recent:
            return f"{slow} of {recent} attempts took more than {rules.slow:g} s"
        return ""

    def _eject(self, member: Member, health: _Health, now: float, reason: str) -> None:
        rules = self._rules
        if member not in self.ejected:
            count = self._size()
            most = min(max(1, int(rules.share * count)), count - 1) if rules.share else 0
            if len(self.ejected) >= most:
                return
        health.out = min(2 * health.out or rules.ejection, rules.longest)
        health.state = BreakerState.OPEN
        health.until = now + health.out
        health.probe_since = None
        health.probed = 0
        self.ejected[member] = health
        _log.warning("%s is left out for %g s: %s", member.endpoint, health.out, reason)
        self._changed(Ejection(member, BreakerState.OPEN, reason))

    def _probed(self, member: Member, health: _Health) -> None:
        health.probe_since = None
        health.probed += 1
        if health.probed < self._rules.probes:
            return
        # It stays watched: who fails again soon is out for longer.
        del self.ejected[member]
        health.state = BreakerState.CLOSED
        health.consecutive = health.faults = health.faults_before = 0
        health.slow = health.slow_before = 0
        _log.info("%s is back: %d probes succeeded", member.endpoint, health.probed)
        self._changed(Ejection(member, BreakerState.CLOSED, "its probes succeeded"))
