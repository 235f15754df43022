"""Whether the API server is there, when it came back, and what it says before it has settled.

No I/O, and no dice: it is told what was met and when. The reflector asks it whether a wait may end
early (`probe`), whether a refusal is only that of a server which has just started (`hurry`), and
from when on consumers that list at once count their places (`places_from`). Why: see "Probes" and
"The herd" in `reflector`.

    THERE -- a connection broke ------------> LOST
    THERE, LOST -- nobody answers ----------> AWAY
    AWAY -- any answer --------------------->  THERE: a return
    LOST -- an answer to a request ---------->  THERE: a return
    LOST -- a probe finds it not ready ------>  THERE: a return

A real server takes connections a second before it answers, refuses everything (403) until it has
read its Roles, serves, and says another second later that it is ready. Its return is its first
answer, whatever that says; it is settled six seconds later.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Presence", "Probe"]

_NEWS_MOST, _NEWS_EVERY = 5, 10.0
_PROOFS_MOST, _PROOFS_EVERY = 60, 10.0
_PROVEN_AFTER = 1.0  # a server that serves for so long, and fails nothing, was really there
_SETTLES = 6.0  # a server that has returned may refuse, for want of its Roles or its storage
_START_SETTLES = 1.5  # likewise, where we don't know whether it has just returned
_HURRIED = ((0.2, 0.4), (0.3, 0.6), (0.5, 1.0))  # a real one knows its Roles after 0.2 s
_UNNOTICED = 2.0  # a server that has answered since cannot have gone and returned
_GETS_READY = 60.0  # who has refused for so long is not asked any more whether it is ready
_TOGETHER = 0.75  # who needs a list so soon after the server's return counts its place from that
_TOGETHER_REFUSED, _REFUSED_FOR = 2.5, 0.4  # likewise, of those whom it has refused at first
_BROKE_SPREAD = 1.0  # likewise after a break, but from the time at which all have looked again

_NEVER = float("-inf")
_REFUSALS = frozenset({401, 403, 429})


class Probe(Enum):
    """What a probe of the server found."""

    AWAY = "away"
    """Nobody, or nobody who answers in time."""

    UNREADY = "unready"
    """Somebody who does not say that it is ready; perhaps we may not ask."""

    READY = "ready"


class _Tokens:
    """So many at most, and one more every so many seconds."""

    def __init__(self, most: int, every: float) -> None:
        self._left, self._most, self._every = float(most), most, every
        self._at = _NEVER

    def take(self, now: float) -> bool:
        """Whether one was left."""
        self._left = min(self._most, self._left + (now - self._at) / self._every)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def give_back(self) -> None:
        self._left += 1.0


class _News:
    """How often news of the server shorten a wait: a few times, and then once in 10 s.

    News that prove true don't count, sixty times and then once in 10 s: a server that dies again
    and again is believed each time, a proxy that is there and not there is not.
    """

    def __init__(self) -> None:
        self._trust = _Tokens(_NEWS_MOST, _NEWS_EVERY)
        self._proofs = _Tokens(_PROOFS_MOST, _PROOFS_EVERY)
        self._unproven = 0

    def believe(self, now: float) -> bool:
        """Whether one more is believed; it counts then."""
        if not self._trust.take(now):
            return False
        self._unproven = min(self._unproven + 1, _NEWS_MOST)
        return True

    def prove(self, now: float) -> None:
        """Those that were believed were true."""
        while self._unproven:
            self._unproven -= 1
            if self._proofs.take(now):
                self._trust.give_back()


class Presence:
    """What one consumer knows of the server's coming and going.

    Attributes:
        returns: how often it came back.
        hurried: how many refusals were taken for those of a server that has just started.
    """

    def __init__(self) -> None:
        self.returns = 0
        self.hurried = 0
        self._news = _News()
        self._away = False
        self._lost = False  # a connection broke, and nothing was heard since
        self._unready = False
        self._broke = _NEVER
        self._returned = _NEVER
        self._relist_due = False
        self._settled = _NEVER
        self._hurried = 0  # since it returned
        self._answered = float("inf")
        self._serves_from = float("inf")
        self._refused = False  # since it answered
        self._refused_from = 0.0

    def start(self, now: float) -> None:
        """It may have started a moment ago."""
        self._settled = now + _START_SETTLES

    # ------------------------------------------------------------ what was met
    def break_off(self, now: float) -> None:
        """A connection broke, or the server ended what it should have gone on with."""
        if now > self._serves_from + _PROVEN_AFTER:
            self._news.prove(now)
        self._serves_from = float("inf")
        self._lost, self._broke = True, now

    def miss(self) -> None:
        """Nobody is there."""
        self._away = True
        self._broke = _NEVER  # all come back when somebody is, not a second after

    def answer(self, now: float) -> None:
        """A request was answered, by whatever status."""
        if (self._away or self._lost) and self._news.believe(now):
            self._return(now)
        self._away = self._lost = False

    def serve(self, now: float) -> None:
        """And what it asked for was given."""
        self._unready = self._refused = False
        self._answered = now
        self._serves_from = min(self._serves_from, now)

    def fail(self) -> None:
        """Or not: what it gave before proves nothing."""
        self._serves_from = float("inf")

    def probe(self, found: Probe, now: float) -> bool:
        """What a probe found; whether that is a reason not to wait any longer."""
        if found is Probe.AWAY:
            self.miss()
            return False
        ready = found is Probe.READY
        back = self._away or (self._lost and not ready)
        if not (back or (ready and self._unready)):
            self._unready = not ready
            return False
        if not self._news.believe(now):
            return False
        if back:
            self._return(now)
        self._unready = not ready
        return True

    def refuse(self, now: float) -> None:
        """401 or 403: the first since an answer may be of a server that went and came unnoticed."""
        if self._refused:
            return
        self._refused, self._refused_from = True, now
        if now > self._answered + _UNNOTICED and self._news.believe(now):
            self._settled = now + _SETTLES
            self._hurried = 0

    def _return(self, now: float) -> None:
        """Somebody answers where nobody was."""
        self.returns += 1
        self._away = self._lost = False
        self._unready = True
        self._returned = now
        self._relist_due = True
        self._settled = now + _SETTLES
        self._hurried = 0

    # ---------------------------------------------------------- what follows
    def may_hurry(self, status: int, now: float) -> bool:
        """Whether a refusal is no more than what a server says that has just returned."""
        return (
            now < self._settled
            and self._hurried < len(_HURRIED)
            and (status in _REFUSALS or status >= 500)
        )

    def hurry(self) -> tuple[float, float]:
        """The least and the most seconds after which such a refusal is asked about again."""
        self._hurried += 1
        self.hurried += 1
        return _HURRIED[self._hurried - 1]

    def may_get_ready(self, now: float) -> bool:
        """Whether one that refuses might still be starting."""
        return self._refused and now < self._refused_from + _GETS_READY

    def take_relist(self) -> bool:
        """Whether a list that is needed is the first since a return, and so no repeated trouble."""
        due, self._relist_due = self._relist_due, False
        return due

    def places_from(self, now: float) -> float:
        """From when on the places count of those who have to list now."""
        if now <= self._broke + _BROKE_SPREAD:
            return self._broke + _BROKE_SPREAD
        if now <= self._returned + _TOGETHER:
            return self._returned
        if now <= self._returned + _TOGETHER_REFUSED:
            return self._returned + _REFUSED_FOR
        return now
