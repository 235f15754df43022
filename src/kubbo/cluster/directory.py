"""The members of one target, kept up with its resolver and with their connections.

Runs at update rate only: whenever the resolver publishes or a connection comes or goes, the
pool is made anew and swapped in by one assignment. Calls in flight keep what they began with.

The pool holds the members that are connected and not draining; where there is none, the
draining ones; where there is none of those either, all of them, so that a call dials (and
says why it cannot). A provider that left the view keeps its connection until its calls
have been answered. Where the source cannot know that it is gone (DNS), it goes on taking calls
until one of the listed ones is connected.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from kubbo.cluster.member import Member, Pool
from kubbo.errors import DeadlineExceeded, KubboError, NoProvider, Progress
from kubbo.model import Step
from kubbo.naming.resolution import Absent, Failed, Members, Pending, hint_refresh
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from kubbo.cluster.balancers import LoadBalance
    from kubbo.model import Deadline, Endpoint
    from kubbo.naming.resolution import Resolution, Resolver
    from kubbo.transport.dialer import Dialers

__all__ = ["Directory"]

_log = logging.getLogger("kubbo.directory")


class Directory:
    """Watches `resolver` from `start` to `aclose`. `target` is its name in messages."""

    def __init__(
        self, target: str, resolver: Resolver, dialers: Dialers, balance: LoadBalance
    ) -> None:
        self.target = target
        self.resolution: Resolution = Pending()
        self._resolver = resolver
        self._dialers = dialers
        self._balance = balance
        self._members: dict[tuple[str, int], Member] = {}
        self._leaving: dict[tuple[str, int], Member] = {}
        self._pool: Pool | None = None
        self._down: frozenset[tuple[str, int]] = frozenset()
        self._known: asyncio.Future[None] | None = None
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

    def pool(self) -> Pool | None:
        """What to choose from now, None while nothing is known or nobody is there."""
        return self._pool

    async def wait_pool(self, deadline: Deadline) -> Pool:
        """The pool, as soon as the resolver has said something. Safe to cancel.

        Raises:
            DeadlineExceeded: it said nothing in time.
            NoProvider: it says that there is no provider, or cannot say.
        """
        if isinstance(self.resolution, Pending):
            if self._known is None:
                self._known = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout_at(deadline.at):
                    await asyncio.shield(self._known)
            except TimeoutError:
                raise DeadlineExceeded(
                    f"{self.target} was not resolved in time", progress=Progress.NOT_SENT
                ) from None
        pool = self._pool
        if pool is None:
            raise self.no_provider()
        return pool

    def no_provider(self) -> NoProvider:
        """Why there is nothing to choose from."""
        match self.resolution:
            case Absent(reason, _, steps):
                return NoProvider(f"no provider for {self.target}: {reason}", funnel=steps)
            case Failed(error, steps):
                failure = NoProvider(f"cannot resolve {self.target}: {error}", funnel=steps)
                failure.__cause__ = error
                return failure
            case Members(_, _, _, steps):
                funnel = (*steps, Step("connection", 0))
                return NoProvider(f"no provider of {self.target} is reachable", funnel=funnel)
            case Pending():
                return NoProvider(f"{self.target} is not resolved yet")

    def publish(self, resolution: Resolution) -> None:
        """Take what the resolver found; see `Publish`."""
        self.resolution = resolution
        if isinstance(resolution, Members):
            self._adopt(resolution.endpoints, definite=resolution.definite)
        else:
            self._adopt((), definite=True)
        if not isinstance(resolution, Pending) and self._known is not None:
            if not self._known.done():
                self._known.set_result(None)
            self._known = None

    def _adopt(self, endpoints: tuple[Endpoint, ...], *, definite: bool) -> None:
        old = {**self._leaving, **self._members}
        self._members = {}
        for endpoint in endpoints:
            member = old.pop(endpoint.key, None)
            if member is None:
                member = Member(endpoint, self._dialers.acquire(endpoint))
                member.dialer.subscribers.add(self.rebind)
            else:
                member.endpoint = endpoint
            self._members[endpoint.key] = member
        self._leaving = {} if definite else old
        if definite:
            for member in old.values():
                self._drop(member)
        self.rebind()

    def _let_go(self, *, replaced: bool) -> None:
        """Drop who left the view, once it is replaced; before, who does not work any more."""
        for key, member in list(self._leaving.items()):
            if replaced or member.dialer.state is not State.READY:
                del self._leaving[key]
                self._drop(member)

    def _drop(self, member: Member) -> None:
        member.dialer.subscribers.discard(self.rebind)
        self._dialers.release(member.dialer)

    def rebind(self) -> None:
        """Make the pool anew from the members and the states of their connections."""
        by_state: dict[State, list[Member]] = {}
        for member in self._members.values():
            by_state.setdefault(member.dialer.state, []).append(member)
        self._hint(frozenset(each.endpoint.key for each in by_state.get(State.DOWN, ())))
        ready = by_state.get(State.READY, [])
        self._let_go(replaced=bool(ready))
        chosen = (
            ready
            or list(self._leaving.values())
            or by_state.get(State.DRAINING)
            or self._members.values()
        )
        if not chosen:
            self._pool = None
            return
        pool = Pool(tuple(chosen))
        pool.picker = self._balance.bind(pool)
        self._pool = pool

    def _hint(self, down: frozenset[tuple[str, int]]) -> None:
        """Tell the resolver when one more connection fails: the provider may have moved."""
        more = down - self._down
        self._down = down
        if more:
            hint_refresh(self._resolver)

    async def aclose(self) -> None:
        """End the watch and give the connections back."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        # A call that still waits for members is told now, not at its deadline.
        self.publish(Failed(KubboError("the channel was closed")))
