"""The members of one target, kept up with its resolver and with their connections.

Runs at update rate only: whenever the resolver publishes or a connection comes or goes,
`generation` goes up, and whoever has bound something to the members binds it anew before its next
call (see `Selection`), or soon where they are many. `views` counts what the resolver said alone.
Calls in flight keep what they began with.

Of the members that a call may go to, those are chosen that are connected and not draining; where
there is none, the draining ones; where there is none of those either, all of them, so that a call
dials (and says why it cannot). A provider that left the view keeps its connection until its calls
have been answered.

Make before break: it also goes on taking calls until one of the listed ones is connected, where
the source says that it still serves while it ends (a pod that terminates), or cannot know whether
it is gone (DNS). Where nobody is listed at all, a pod that terminates takes calls as long as its
connection works, though it is not ready any more, as draining ones are: the cluster has not
published yet who replaces it. Whom a source that knows does not name at all, or calls not ready
without being about to end, is dropped at once.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from math import inf
from typing import TYPE_CHECKING
from weakref import WeakSet

from kubbo.cluster.breaker import Breaker
from kubbo.cluster.budget import RetryBudget
from kubbo.cluster.funnel import why_unresolved
from kubbo.cluster.member import Member
from kubbo.cluster.subset import Subset
from kubbo.cluster.warmup import STEPS, warmed
from kubbo.errors import DeadlineExceeded, KubboError, NoProvider, Progress
from kubbo.model import Step
from kubbo.naming.resolution import Absent, Failed, Members, Pending, hint_refresh
from kubbo.observe import BreakerReport, UpdateReport, tell
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from kubbo.cluster.breaker import BreakerRules, Ejection
    from kubbo.model import Deadline, Endpoint
    from kubbo.naming.resolution import Resolution, Resolver
    from kubbo.observe import Observer
    from kubbo.transport.dialer import Dialers

__all__ = ["Directory"]

_WORKING = frozenset({State.READY, State.DRAINING})

_log = logging.getLogger("kubbo.directory")


class Directory:
    """Watches `resolver` from `start` to `aclose`.

    `target` is its name in messages, and `asked` tells whom it asks, the empty text for nobody.
    """

    def __init__(
        self,
        target: str,
        resolver: Resolver,
        dialers: Dialers,
        *,
        budget: RetryBudget | None = None,
        breaker: BreakerRules | None = None,
        observer: Observer | None = None,
        subset: Subset | None = None,
        asked: Callable[[], str] = str,
    ) -> None:
        self.target = target
        self._asked = asked
        self.budget = budget or RetryBudget()
        self.resolution: Resolution = Pending()
        self.generation = 0
        self.views = 0
        self._breakers: WeakSet[Breaker] = WeakSet()
        self.breaker = self.make_breaker(breaker)
        self._observer = observer
        self._resolver = resolver
        self._dialers = dialers
        self._members: dict[tuple[str, int], Member] = {}
        self._leaving: dict[tuple[str, int], Member] = {}
        self._subscribers: dict[Member, Callable[[], None]] = {}
        self._down: set[tuple[str, int]] = set()
        self._ready: set[tuple[str, int]] = set()
        self._subset = subset or Subset()
        self._seen: dict[tuple[str, int], float] = {}
        self._newest = -inf
        self._observing = False
        self._ramp: asyncio.TimerHandle | None = None
        self._published: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch, in a task that `aclose` ends."""
        self._task = asyncio.get_running_loop().create_task(
            self._watch(), name=f"kubbo watch {self.target}"
        )

    async def _watch(self) -> None:
        try:
            await self._resolver.watch(self.publish)
        except KubboError as error:
            self.publish(Failed(error))
        except Exception as error:  # noqa: BLE001 - logged, and told to every call
            # A resolver's bug must not leave calls waiting for what never comes.
            _log.exception("the resolver of %s failed", self.target)
            self.publish(Failed(error))

    def members(self) -> tuple[Member, ...]:
        """Everybody who may be called: the view, and who left it but may still be there."""
        return (*self._members.values(), *self._leaving.values())

    def choose(self, among: Sequence[Member]) -> tuple[Member, ...]:
        """Of some of `members()`, those to call now; see the head of the module."""
        by_state: dict[State, list[Member]] = {}
        leaving: list[Member] = []
        listed: list[Member] = []
        for member in among:
            if member.endpoint.key in self._leaving:
                leaving.append(member)
            else:
                listed.append(member)
                by_state.setdefault(member.dialer.state, []).append(member)
        return tuple(
            by_state.get(State.READY)
            or [each for each in leaving if each.dialer.state is State.READY]
            or [*leaving, *by_state.get(State.DRAINING, ())]
            or listed
        )

    def weights(self, members: Sequence[Member], warmup: float = 0.0) -> tuple[float, ...]:
        """The weight of each member now; see `warmed`.

        While somebody warms up, `generation` goes up from time to time, so that it is asked again.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._newest < warmup:
            ramping = warmed(members, now, warmup)
            if ramping is not None:
                if self._ramp is None:
                    self._ramp = loop.call_later(warmup / STEPS, self._step)
                return ramping
        return tuple([max(0, member.endpoint.weight) for member in members])

    def _step(self) -> None:
        """Have the weights asked for again; whoever does not call any more does not."""
        self._ramp = None
        self.generation += 1

    async def wait_resolved(self, deadline: Deadline) -> None:
        """Return when the resolver has said something. Safe to cancel.

        Raises:
            DeadlineExceeded: it said nothing in time.
        """
        while isinstance(self.resolution, Pending):
            if not await self.wait_published(deadline):
                error = DeadlineExceeded(
                    f"{self.target} was not resolved in time", progress=Progress.NOT_SENT
                )
                error.funnel = self.steps()
                error.advice = why_unresolved(self.target)
                raise error

    @property
    def replacing(self) -> bool:
        """Whether nobody is listed but pods that end, as in the midst of a rolling update."""
        resolution = self.resolution
        return isinstance(resolution, Absent) and any(
            each.terminating for each in resolution.excluded
        )

    async def wait_published(self, deadline: Deadline) -> bool:
        """Return when the resolver has said something more; False if that comes too late.

        Safe to cancel.
        """
        if self._published is None:
            self._published = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout_at(deadline.at):
                await asyncio.shield(self._published)
        except TimeoutError:
            return False
        return True

    def steps(self) -> tuple[Step, ...]:
        """The funnel up to the members."""
        resolution = self.resolution
        if isinstance(resolution, Pending):
            asked = self._asked()
            waiting = f"pending: {asked} has not answered" if asked else "pending"
            return (Step("naming", None, f"{self.target}, {waiting}"),)
        if isinstance(resolution, Members) and len(self._members) < len(resolution.endpoints):
            subset = Step("routing", len(self._members), f"subset={self._subset.size}")
            return (*resolution.steps, subset)
        return resolution.steps

    def no_provider(self) -> NoProvider:
        """Why there is nothing to choose from."""
        match self.resolution:
            case Absent(reason, _, steps):
                return NoProvider(f"no provider for {self.target}: {reason}", funnel=steps)
            case Failed(error, steps):
                failure = NoProvider(f"cannot resolve {self.target}: {error}", funnel=steps)
                failure.__cause__ = error
                return failure
            case Members():  # with somebody, unless its resolver breaks its word
                message = f"{self.target} was resolved to nobody"
                return NoProvider(message, funnel=self.steps())
            case Pending():
                message = f"{self.target} is not resolved yet"
                return NoProvider(message, funnel=self.steps(), advice=why_unresolved(self.target))

    def publish(self, resolution: Resolution) -> None:
        """Take what the resolver found; see `Publish`."""
        self.resolution = resolution
        before = set(self._members)
        still: set[tuple[str, int]] = set()
        if isinstance(resolution, Members):
            self._note_seen(resolution)
            still = {each.key for each in resolution.excluded if each.terminating and each.serving}
            self._adopt(
                self._subset.choose(resolution.endpoints),
                still if resolution.definite else None,
            )
        else:
            if isinstance(resolution, Absent):
                # Whoever comes after this is new, be it at an address that was there before.
                self._seen, self._observing = {}, True
                still = {each.key for each in resolution.excluded if each.terminating}
            self._adopt((), still)
        if self._observer is not None:
            self._report(self._observer, before)
        if self._published is not None:
            if not self._published.done():
                self._published.set_result(None)
            self._published = None

    def make_breaker(self, rules: BreakerRules | None) -> Breaker | None:
        """A breaker over the members; what it does is seen by the next call."""
        if rules is None:
            return None
        breaker = Breaker(rules, lambda: len(self._members), self._breaker_changed)
        self._breakers.add(breaker)
        return breaker

    def _breaker_changed(self, change: Ejection) -> None:
        self.generation += 1
        # Of a method's own breaker nobody but its calls should know.
        change.member.ejected = self.breaker is not None and change.member in self.breaker.ejected
        if self._observer is not None:
            report = BreakerReport(
                self.target, change.member.endpoint, change.state.value, change.reason
            )
            tell(self._observer.breaker_changed, report)

    def _report(self, observer: Observer, before: set[tuple[str, int]]) -> None:
        resolution = self.resolution
        now = set(self._members)
        update = UpdateReport(
            self.target,
            type(resolution).__name__.lower(),
            len(now),
            len(now - before),
            len(before - now),
            resolution.stale_since if isinstance(resolution, Members) else None,
        )
        tell(observer.updated, update)

    def _note_seen(self, view: Members) -> None:
        """Note since when each endpoint has been ready, be it in the subset or not."""
        now = asyncio.get_running_loop().time() if self._observing else -inf
        seen = self._seen
        self._seen = {each.key: seen.get(each.key, now) for each in view.endpoints}
        if len(self._seen) > len(seen) or self._seen.keys() - seen.keys():
            self._newest = max(self._newest, now)
        # What a snapshot does not have may have been there for long all the same.
        self._observing = self._observing or view.stale_since is None

    def _adopt(
        self, endpoints: tuple[Endpoint, ...], still: Collection[tuple[str, int]] | None
    ) -> None:
        """Take `endpoints` for the members; who left may stay if it is in `still`, or for None."""
        old = {**self._leaving, **self._members}
        self._members = {}
        for endpoint in endpoints:
            member = old.pop(endpoint.key, None)
            if member is None:
                member = self._acquire(endpoint)
            else:
                member.endpoint = endpoint
            self._members[endpoint.key] = member
        self._down.intersection_update(self._members)
        self._ready.intersection_update(self._members)
        for member in self._members.values():
            self._note_state(member)
        self._leaving = {}
        for key, member in old.items():
            if still is None or key in still:
                self._leaving[key] = member
            else:
                self._drop(member)
        self._let_go()
        for breaker in self._breakers:
            breaker.forget(self.members())
        self.generation += 1
        self.views += 1

    def _let_go(self) -> None:
        """Drop who left the view, once it is replaced; before, who does not work any more."""
        replaced = any(each.dialer.state is State.READY for each in self._members.values())
        for key, member in list(self._leaving.items()):
            if replaced or member.dialer.state not in _WORKING:
                del self._leaving[key]
                self._drop(member)

    def _acquire(self, endpoint: Endpoint) -> Member:
        since = self._seen.get(endpoint.key, -inf)
        member = Member(endpoint, self._dialers.acquire(endpoint), since)
        subscriber = self._subscribers[member] = partial(self._member_changed, member)
        member.dialer.subscribers.add(subscriber)
        return member

    def _drop(self, member: Member) -> None:
        member.dialer.subscribers.discard(self._subscribers.pop(member))
        self._dialers.release(member.dialer)

    def _member_changed(self, member: Member) -> None:
        """The state of a member's connection has changed. O(1), but for who has left the view."""
        self.generation += 1
        key = member.endpoint.key
        state = member.dialer.state
        if self._members.get(key) is member:
            self._note_state(member)
            if state is State.READY and self._leaving:
                self._let_go()
        elif state not in _WORKING and self._leaving.get(key) is member:
            del self._leaving[key]
            self._drop(member)

    def _note_state(self, member: Member) -> None:
        """Tell the resolver when one more connection fails: the provider may have moved.

        And when the last one that is ready drains or fails: all may have, and the view is old.
        """
        key = member.endpoint.key
        state = member.dialer.state
        old = False
        if state is State.READY:
            self._ready.add(key)
        elif key in self._ready:
            self._ready.discard(key)
            old = not self._ready
        if state is not State.DOWN:
            self._down.discard(key)
        elif key not in self._down:
            self._down.add(key)
            old = True
        if old:
            hint_refresh(self._resolver)

    async def aclose(self) -> None:
        """End the watch and give the connections back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._ramp is not None:
            self._ramp.cancel()
        # A call that still waits for members is told now, not at its deadline.
        self.publish(Failed(KubboError("the channel was closed")))
