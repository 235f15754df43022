"""From the members of a directory to the pool for one call.

    every member of the view
      -> routers, in their order       which of them may take a call of this kind
      -> Directory.choose              of those, the connected ones; see there
      -> Breaker.admitted              of those, the ones that do not keep failing
  -> weights, balancer.bind        once for each kind of call and state of the view

A selection belongs to one reference and its settings, a directory to everybody who calls its
target. It looks whether the directory has changed when it is asked, so that ten changes between
two calls cost one binding.

A binding costs as much as there are members, and of many members one or the other is always losing
or getting its connection. A large pool is therefore kept for a moment when connections change, and
only skips the members that were lost; see `TOLERATED`. A new view is always bound at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kubbo.cluster.funnel import complete, may_complete, narrow, reach, why_routed
from kubbo.cluster.member import Pool
from kubbo.cluster.warmup import DEFAULT_WARMUP
from kubbo.errors import NoProvider
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

    from kubbo.cluster.balancers import LoadBalance
    from kubbo.cluster.breaker import Breaker
    from kubbo.cluster.directory import Directory
    from kubbo.cluster.funnel import Funnel
    from kubbo.cluster.member import Member
    from kubbo.cluster.routers import Router
    from kubbo.errors import RpcError
    from kubbo.model import Deadline, Invocation

__all__ = ["Selection"]

MAX_KINDS: Final = 1_000
"""Pools that are kept. A router with more kinds of calls than this starts anew: rules that tell
so many apart depend on what callers send, and that must not fill the memory."""


LARGE: Final = 64
"""Members from which on a binding is worth waiting for; fewer are bound anew at each change."""

TOLERATED: Final = 16
"""One change of a connection for so many members leaves a large pool as it is for a while: what
a binding costs is then paid by as many changes as it has members, but for this factor."""

REBIND_PAUSE: Final = 20e-6
"""Seconds for each member until a large pool is bound anew whatever has changed: a twentieth of
the time at most goes into bindings."""

UNLIMITED: Final = 1 << 62

SKIPPED: Final = 4
"""Lost members that a picker may name in a row; then the call dials."""


class Selection:
    """Routers and a balancer over the members of `directory`.

    `breaker` is that of the target, or one of its own for a method that shall not share that.
    """

    def __init__(
        self,
        directory: Directory,
        balance: LoadBalance,
        routers: Sequence[Router] = (),
        breaker: Breaker | None = None,
        warmup: float = DEFAULT_WARMUP,
    ) -> None:
        self.directory = directory
        self.breaker = breaker
        self._balance = balance
        self._routers = tuple(routers)
        self._warmup = warmup
        self._generation = -1
        self._views = -1
        self._patience = 0
        self._rebind_at = 0.0
        self._skipping = False
        self._pools: dict[tuple[Hashable, ...], Pool | None] = {}
        self._forsaken: tuple[Hashable, ...] = ()
        self._funnel: tuple[object, Funnel] | None = None

    @property
    def routers(self) -> tuple[Router, ...]:
        """The routers, in the order in which they narrow."""
        return self._routers

    def route(self, routers: Sequence[Router]) -> None:
        """Use other routers from the next attempt on."""
        self._routers = tuple(routers)
        self._generation = self._views = -1

    def pool(self, invocation: Invocation) -> Pool | None:
        """What to choose from for this call; None if nothing is known or nobody is left."""
        generation = self.directory.generation
        if (generation != self._generation and self._outdated(generation)) or len(
            self._pools
        ) > MAX_KINDS:
            self._pools.clear()
            self._generation = generation
            self._views = self.directory.views
            self._patience = UNLIMITED  # each binding lowers it
            self._rebind_at = asyncio.get_running_loop().time()
            self._skipping = False
        kinds = (
            tuple([router.classify(invocation) for router in self._routers])
            if self._routers
            else ()
        )
        try:
            pool = self._pools[kinds]
        except KeyError:
            pool = self._pools[kinds] = self._bind(kinds)
        if pool is None:
            self._forsaken = kinds
        return pool

    def _outdated(self, generation: int) -> bool:
        """Whether a change since the last binding asks for another one now; O(1)."""
        if (
            self.directory.views != self._views
            or generation - self._generation > self._patience
            or asyncio.get_running_loop().time() >= self._rebind_at
        ):
            return True
        if not self._skipping:
            self._skipping = True
            for kinds, pool in self._pools.items():
                self._pools[kinds] = pool and _skip_lost(pool)
        return False

    async def wait_pool(self, invocation: Invocation, deadline: Deadline) -> Pool:
        """The pool, as soon as the resolver has said something. Safe to cancel.

        While all providers are being replaced, and the cluster has not published by whom, it waits
        for that.

        Raises:
            DeadlineExceeded: it said nothing in time.
            NoProvider: it says that there is no provider or cannot say, or the routers
                leave none.
        """
        await self.directory.wait_resolved(deadline)
        pool = self.pool(invocation)
        waiting = True
        while pool is None and waiting and self.directory.replacing:
            waiting = await self.directory.wait_published(deadline)
            pool = self.pool(invocation)
        if pool is None:
            raise self._no_provider(invocation)
        return pool

    def routed(self, invocation: Invocation) -> tuple[Member, ...]:
        """Every member that may take this call, whatever the state of its connection."""
        return self._narrow(tuple([router.classify(invocation) for router in self._routers]))

    def _narrow(self, kinds: tuple[Hashable, ...]) -> tuple[Member, ...]:
        members: tuple[Member, ...] = self.directory.members()
        for router, kind in zip(self._routers, kinds, strict=True):
            members = router.narrow(members, kind)
        return members

    def _bind(self, kinds: tuple[Hashable, ...]) -> Pool | None:
        chosen = self.directory.choose(self._narrow(kinds))
        if self.breaker is not None:
            chosen = self.breaker.admitted(chosen)
        if not chosen:
            return None
        pool = Pool(chosen, self.directory.weights(chosen, self._warmup), kinds=kinds)
        pool.picker = self._balance.bind(pool)
        count = len(chosen)
        if count < LARGE or chosen[0].dialer.state is not State.READY:
            self._patience = 0
        else:
            self._patience = min(self._patience, count // TOLERATED)
            self._rebind_at += count * REBIND_PAUSE
        return _skip_lost(pool) if self._skipping else pool

    def _no_provider(self, invocation: Invocation) -> NoProvider:
        """Why there was nothing to choose from when `pool` was asked last."""
        directory = self.directory
        members: tuple[Member, ...] = directory.members()
        narrowed = narrow(self._routers, self._forsaken, members)
        if not members or narrowed.emptied is None:
            return directory.no_provider()
        return NoProvider(
            f"no provider of {directory.target} may take {invocation.method}: "
            f"{narrowed.emptied.name} leaves none of {narrowed.before}",
            funnel=(*directory.steps(), *narrowed.steps),
            advice=why_routed(invocation, directory.target),
        )

    def explain(self, error: RpcError, invocation: Invocation) -> None:
        """Complete the error of a call that has failed, if it reached nobody; else leave it.

        O(members) once for each kind of call and change of the directory.
        """
        if not may_complete(error):
            return
        directory = self.directory
        kinds = tuple([router.classify(invocation) for router in self._routers])
        state = (directory.generation, self._routers, kinds)
        if self._funnel is None or self._funnel[0] != state:
            narrowed = narrow(self._routers, kinds, directory.members())
            found = reach(narrowed.left, self.breaker)
            steps = (*directory.steps(), *narrowed.steps, *found.steps)
            self._funnel = state, replace(found, steps=steps)
        complete(error, directory.target, self._funnel[1])


def _skip_lost(pool: Pool) -> Pool:
    """The same pool, of which some members may have lost their connections since it was bound."""
    picker = pool.picker
    assert picker is not None

    def pick(invocation: Invocation, avoid: Collection[Member] = ()) -> Member:
        member = picker(invocation, avoid)
        if member.dialer.state is State.READY:
            return member
        lost = [*avoid]
        for _ in range(SKIPPED):
            lost.append(member)
            member = picker(invocation, lost)
            if member.dialer.state is State.READY:
                break
        return member

    return replace(pool, picker=pick)
