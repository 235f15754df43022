"""When DNS is asked again, and what is believed of its answers. No I/O, and no clock of its own.

DNS has no watch: an answer is good for its TTL, and nobody calls when it changes. So the view
asks again when the TTL is over (a little later, at random, so that many consumers do not ask
in step), and sooner when it is told that a connection failed, which is the first sign that a
pod moved.

Nor can DNS be believed when it says "nothing": a name server that just started, or lost its
own API server, says NXDOMAIN of names that are there. Only at the start, where there is no
better knowledge, is "nothing" published (`Absent`). Later it keeps the last good answer, as
SERVFAIL and silence do, marked with the time since when DNS did not confirm it: that of the last
good answer.

An answer that is not whole, because some of its targets could not be asked for, takes nobody away
either: it is used where it has all that is known and more (so always at the start), and is passed
over where it lacks somebody. It is stale from the beginning.

    START --found--> GOOD --nothing, no answer--> KEPT --found--> GOOD
      |                ^
      +--nothing, no answer--> BARE (Absent, Failed) --found--> GOOD
      |                          | found in part
      +--found in part-----------+--> KEPT

The pace: a lookup may take several questions (search domains, name servers that are away), and
the next one begins no sooner than that many seconds later. So a view never asks more than a
question a second on the average of any two lookups, whatever TTLs and hints say. A lookup that was
given up counts like any other. All of this outlives a time in which nobody wanted to know.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from kubbo.errors import KubboError
from kubbo.model import Endpoint, Step
from kubbo.naming.resolution import Absent, Failed, Members, Pending, Resolution

if TYPE_CHECKING:
    import random

__all__ = ["MAX_ENDPOINTS", "Answer", "DnsError", "Found", "Nothing", "Unanswered", "View"]

MAX_ENDPOINTS: Final = 1024
"""Of one answer. An answer is at most 64 KiB, which has no room for many more SRV records."""

_LONGEST: Final = 300.0  # seconds that a TTL is believed: a mistyped week must heal today
_LONGEST_MISS: Final = 30.0  # likewise, of an answer without providers
_FIRST_BACKOFF: Final = 1.0
_LAST_BACKOFF: Final = 30.0
_SPREAD: Final = 0.2  # of a TTL: how much later than it, at most
_HINT_SPREAD: Final = 0.5  # seconds: a dead provider has many consumers


class DnsError(KubboError):
    """DNS cannot answer. The message is one paragraph for a person."""


@dataclass(frozen=True, slots=True)
class Found:
    """Addresses. `name` is what was asked for in the end, `ttl` in seconds.

    `asked` is the number of questions that were sent, in every kind of answer. `whole` is whether
    an address that is not here is not there either, as far as DNS knows. `note` is for a person.
    """

    endpoints: tuple[Endpoint, ...]
    name: str
    ttl: float
    asked: int = 1
    whole: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Nothing:
    """A name server says that there is no such thing; `reason` says what was asked for."""

    reason: str
    ttl: float
    asked: int = 1


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No name server answered in time, or those that did could not say."""

    reason: str
    asked: int = 1


Answer: TypeAlias = Found | Nothing | Unanswered


class View:
    """The view of one target. `due` is the loop time of the next lookup."""

    def __init__(self, target: str, *, rng: random.Random, now: float) -> None:
        self.due = now
        self.resolution: Resolution = Pending()
        self._target = target
        self._rng = rng
        self._backoff = _FIRST_BACKOFF
        self._earliest = now
        self._unanswered = False
        self._found_at = now
        self._valid_until = now

    def begin(self, now: float) -> None:
        """Somebody wants to know again, after a time in which nobody did.

        What is known is good for as long as it was to be; then it is forgotten, and only the
        pace remains.
        """
        if now >= self._valid_until:
            self.resolution = Pending()
            self._found_at = now

    def give_up(self, asked: int, now: float) -> None:
        """A lookup was cancelled after so many questions: no other one so soon."""
        self.due = self._earliest = now + max(1.0, float(asked))

    def receive(self, answer: Answer, now: float) -> None:
        """Take what a lookup brought: `resolution` and `due` are new."""
        self._earliest = now + max(1.0, float(answer.asked))
        match answer:
            case Found(whole=False):
                pause = self._backoff
                self.resolution = self._part(answer)
            case Found():
                pause = _bounded(answer.ttl, _LONGEST)
                self._found_at = now
                self.resolution = self._members(answer)
            case Nothing():
                pause = _bounded(answer.ttl, _LONGEST_MISS)
                self.resolution = self._keep(answer.reason) or Absent(
                    answer.reason, steps=(Step("naming", 0, self._target),)
                )
            case Unanswered():
                pause = self._backoff
                self.resolution = self._keep(answer.reason) or Failed(
                    DnsError(answer.reason), steps=(Step("naming", None, self._target),)
                )
        self._unanswered = isinstance(answer, Unanswered) or (
            isinstance(answer, Found) and not answer.whole
        )
        self._backoff = (
            min(self._backoff * 2, _LAST_BACKOFF) if self._unanswered else _FIRST_BACKOFF
        )
        self.due = max(self._earliest, now + pause * (1 + _SPREAD * self._rng.random()))
        self._valid_until = self.due

    def handle_hint(self, now: float) -> None:
        """A provider cannot be connected: look soon whether it moved.

        While name servers do not answer, hints change nothing: they would undo the backoff.
        """
        if not self._unanswered:
            soon = max(now, self._earliest) + _HINT_SPREAD * self._rng.random()
            self.due = min(self.due, soon)

    def _part(self, found: Found) -> Members:
        """What an answer that is not whole comes to."""
        part = replace(self._members(found), stale_since=self._found_at)
        last = self.resolution
        there = {one.key for one in part.endpoints}
        if isinstance(last, Members) and any(one.key not in there for one in last.endpoints):
            return self._keep(found.note) or part
        return part

    def _members(self, found: Found) -> Members:
        kept: dict[tuple[str, int], Endpoint] = {}
        for endpoint in sorted(found.endpoints, key=lambda one: one.key):
            kept.setdefault(endpoint.key, endpoint)
        endpoints = tuple(kept.values())[:MAX_ENDPOINTS]
        cut = "" if len(endpoints) == len(kept) else f", cut at {MAX_ENDPOINTS}"
        more = f"; {found.note}" if found.note else ""
        note = f"{self._target}: {found.name}{cut}{more}"
        steps = (Step("naming", len(endpoints), note),)
        return Members(endpoints, steps=steps, definite=False)

    def _keep(self, reason: str) -> Members | None:
        last = self.resolution
        if not isinstance(last, Members):
            return None
        note = f"{self._target}: the last answer is kept; now {reason}"
        step = Step("naming", len(last.endpoints), note)
        return Members(last.endpoints, stale_since=self._found_at, steps=(step,), definite=False)


def _bounded(ttl: float, longest: float) -> float:
    return min(max(ttl, 1.0), longest)
