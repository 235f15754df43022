"""Failover by evidence: which of several sources is believed now. No I/O, and no clock of its own.

The sources stand in the order of preference. Each says one of the four things, and these come
down to three:

    ANSWERS   Members that are not stale, or Absent: a healthy source that says "nobody" is believed
    KEEPS     Members that are stale: it cannot answer, and has its last ones;
              Pending or Failed less than `grace` after Absent: "nobody" is still believed
    LACKS     Pending or Failed: it cannot answer, and has none

Going on. A source is given up when it lacks (Failed at once, Pending after `patience`), or has
kept what it said for `grace`. The next one is started then, and no sooner: a short outage of
the API server costs DNS no question. Given up does not mean dropped: its last members stay in
use until a later source has members; an Absent of a later source never takes them away,
because a name server that lost its API server says the same. A kept Absent is of use to nobody
then, and lapses: calls wait for the next source.

The grace counts from the moment at which the source failed, not from the last sign of life, which
is what its members are stale since: a Service that never changes gives one sign a minute, so most
of its consumers would leave the API server at once when that restarts. Members that were stale
when their source began (a snapshot) count by their age.

Coming back. A source before the current one that answers takes over again once it has done so
for `hold` without a break; at once, when the current one does not answer. Then those after it
are stopped, and what they said is forgotten.

    source 0:  ANSWERS ---- KEEPS ----------------------------- ANSWERS -------------
    published: members 0    members 0, stale   members 1                  members 0
                            |---- grace ------>|                |- hold ->|

One source is published at a time, whole: members of two sources are never mixed. A switch
takes `grace` one way and `hold` the other, so a source that comes and goes causes at most one
change and back in `grace + hold` seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, assert_never

from kubbo.errors import ConfigError, KubboError
from kubbo.model import Step
from kubbo.naming.resolution import Absent, Failed, Members, Pending, Resolution

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Chain", "Failover", "FailoverError"]


@dataclass(frozen=True, slots=True)
class Failover:
    """When a chain of sources goes on to the next, and when it comes back.

    Attributes:
        grace: seconds from the failure of a source that its last members stay in use while
            another source may have better ones. `math.inf`: for ever.
        patience: seconds that a source may say nothing at all before the next one is asked.
        hold: seconds that a better source must be well before it is taken back. `math.inf`:
            it is taken back only when the current one fails.
        believe_absent: whether a healthy source that says "nobody" is believed. False goes on
            to the next source, as if it could not answer.
        default_chain: whether a target that names one Kubernetes Service goes on at all, to
            what a pod knows besides; see `fallback`.

    Raises:
        ConfigError: a number is negative or none.
    """

    grace: float = 30.0
    patience: float = 3.0
    hold: float = 10.0
    believe_absent: bool = True
    default_chain: bool = True

    def __post_init__(self) -> None:
        for name, value in (
            ("grace", self.grace),
            ("patience", self.patience),
            ("hold", self.hold),
        ):
            if math.isnan(value) or value < 0:
                raise ConfigError(f"{name}={value} of a failover is no number of seconds")


class FailoverError(KubboError):
    """None of the sources can answer. The message has what each of them says."""


class _Health(Enum):
    ANSWERS = "answers"
    KEEPS = "keeps"
    LACKS = "lacks"


@dataclass(slots=True)
class _Source:
    name: str
    started: float | None = None
    said: Resolution = field(default_factory=Pending)
    well_since: float | None = None
    lost_at: float | None = None
    kept: Absent | None = None
    reason: str = ""
    """Why it could not answer when it failed last, as the rest of a sentence."""
    life: int = 0


class Chain:
    """The state of one chain. Each method that takes `now` may change `wanted` and `published`.

    Attributes:
        wanted: how many sources, from the first on, shall be running.
        published: what the whole says.
        current: the number of the source that is published, None before there is one.
    """

    def __init__(self, names: Sequence[str], options: Failover, *, now: float) -> None:
        self.wanted = 0
        self.current: int | None = None
        self.published: Resolution = Pending()
        self._options = options
        self._sources = [_Source(name) for name in names]
        self._update(now)

    def receive(self, number: int, said: Resolution, now: float) -> None:
        """A source said something. What a source says that was stopped is ignored."""
        source = self._sources[number]
        if source.started is None:
            return
        before, source.said = source.said, said
        if isinstance(said, Failed):
            source.reason = f": {str(said.error).partition(chr(10))[0]}"
        if not isinstance(said, Pending | Failed):
            source.kept = None
        if self._health(source) is _Health.ANSWERS:
            source.lost_at = None
            if source.well_since is None:
                source.well_since = now
        elif source.well_since is not None:
            source.well_since = None
            source.lost_at = now
            source.kept = before if isinstance(before, Absent) else None
        self._update(now)

    def why(self, number: int) -> str:
        """Why the sources before this one are not used, in a line for a person."""
        reasons = (f"{one.name} cannot answer{one.reason}" for one in self._sources[:number])
        return "; ".join(reasons)

    def life(self, number: int) -> int:
        """How often a source was started, itself included: a new life needs a new watch."""
        return self._sources[number].life

    def handle_timer(self, now: float) -> None:
        """The time of `next_timer` has come."""
        self._update(now)

    def next_timer(self, now: float) -> float | None:
        """When `handle_timer` has something to do, if nobody says anything before."""
        times = [self._given_up_at(source) for source in self._sources[: self.wanted]]
        times += [self._taken_back_at(source) for source in self._sources[: self.current or 0]]
        return min((time for time in times if now < time < math.inf), default=None)

    # ------------------------------------------------------------------ rules
    def _health(self, source: _Source) -> _Health:
        match source.said:
            case Members(stale_since=None):
                return _Health.ANSWERS
            case Members():
                return _Health.KEEPS
            case Absent():
                return _Health.ANSWERS if self._options.believe_absent else _Health.LACKS
            case Pending() | Failed():
                return _Health.LACKS if source.kept is None else _Health.KEEPS
            case _:
                assert_never(source.said)

    def _given_up_at(self, source: _Source) -> float:
        """When the next source is asked; `inf` while this one answers."""
        if source.started is None:
            return math.inf
        match source.said:
            case Members(stale_since=None):
                return math.inf
            case Members(stale_since=float(since)):
                lost_at = since if source.lost_at is None else source.lost_at
                return lost_at + self._options.grace
            case Pending() | Failed() if source.kept is not None and source.lost_at is not None:
                return source.lost_at + self._options.grace
            case Pending():
                return source.started + self._options.patience
            case Absent() if self._options.believe_absent:
                return math.inf
            case _:
                return -math.inf

    def _taken_back_at(self, source: _Source) -> float:
        return math.inf if source.well_since is None else source.well_since + self._options.hold

    def _update(self, now: float) -> None:
        for source in self._sources:
            if source.kept is not None and now >= self._given_up_at(source):
                source.kept = None
        self._start(now)
        self.current = self._choose(now)
        if self.current is not None and self._answers(self.current):
            self._stop(self.current + 1)
        self.published = self._say()

    def _start(self, now: float) -> None:
        """Run each source up to the first that is not given up; nobody is stopped here."""
        for number, source in enumerate(self._sources):
            if source.started is None:
                source.started = now
                source.life += 1
                self.wanted = number + 1
            if now < self._given_up_at(source):
                return

    def _stop(self, first: int) -> None:
        for source in self._sources[first:]:
            source.started = source.well_since = source.lost_at = source.kept = None
            source.said = Pending()
        self.wanted = min(self.wanted, first)

    def _choose(self, now: float) -> int | None:
        current = self.current
        if current is None:
            return self._best()
        if self._answers(current):
            for number, source in enumerate(self._sources[:current]):
                if now >= self._taken_back_at(source):
                    return number
            return current
        better = next((n for n in range(current) if self._answers(n)), None)
        if better is not None:
            return better
        if self._health(self._sources[current]) is _Health.LACKS:
            return self._best()
        if now < self._given_up_at(self._sources[current]):
            return current
        for number in range(current + 1, self.wanted):
            if self._answers(number) and isinstance(self._sources[number].said, Members):
                return number
        return current

    def _answers(self, number: int) -> bool:
        return self._health(self._sources[number]) is _Health.ANSWERS

    def _best(self) -> int | None:
        """The first that answers, else the first that has anything."""
        running = range(self.wanted)
        answering = (number for number in running if self._answers(number))
        keeping = (
            number for number in running if self._health(self._sources[number]) is _Health.KEEPS
        )
        return next(answering, next(keeping, None))

    # ------------------------------------------------------------------ words
    def _say(self) -> Resolution:
        if self.current is not None:
            said = _shown(self._sources[self.current])
            return said if self.current == 0 else self._with_reason(said, self.current)
        running = self._sources[: self.wanted]
        if any(isinstance(source.said, Pending) for source in running):
            return Pending()
        for source in running:
            if isinstance(source.said, Absent):  # not believed, but nobody knows better
                return source.said
        reasons = "; ".join(
            f"{source.name}: {source.said.error}"
            for source in running
            if isinstance(source.said, Failed)
        )
        names = " | ".join(source.name for source in running)
        error = FailoverError(f"none of {len(running)} sources can answer. {reasons}")
        return Failed(error, (Step("naming", None, names),))

    def _with_reason(self, said: Resolution, number: int) -> Resolution:
        """A resolution whose funnel begins with why it is not the first source's."""
        if isinstance(said, Pending):
            return said
        used = self._sources[number].name
        step = Step("naming", None, f"{used}, because {self.why(number)}")
        steps = (step, *(one for one in said.steps if one.name != "naming"))
        if isinstance(said, Absent):  # who is told of nobody may wonder why that one was asked
            return replace(said, reason=f"{self.why(number)}; {used}: {said.reason}", steps=steps)
        return replace(said, steps=steps)


def _shown(source: _Source) -> Resolution:
    """What a source says, or said last if that still counts."""
    if source.kept is None:
        return source.said
    if isinstance(source.said, Failed):
        reason = f"{source.kept.reason}; the last answer is kept, now: {source.said.error}"
        return replace(source.kept, reason=reason)
    return source.kept
