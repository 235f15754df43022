"""Publishes what DNS says of one target: drives a view, one lookup after the other.

Any number of watchers have one view, and one of them asks for all; when that one ends, another
takes its place. The view outlives them: who watches again later, because a failover chain began
its source anew, say, is bound by the pace and the backoff of the time before. So a consumer asks a
name server no faster for having five references to one target, or a source that comes and goes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from kubbo.naming.dns.view import View
from kubbo.naming.resolution import Failed, Pending

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from kubbo.naming.dns.view import Answer
    from kubbo.naming.resolution import Publish, Resolution
    from kubbo.naming.target import DnsTarget

__all__ = ["DnsResolver", "Look"]


class Look(Protocol):
    """Asks once. It never raises but for cancellation."""

    @property
    def asked(self) -> int:
        """The questions that the lookup which runs, or ran last, has sent."""
        ...

    def __call__(self) -> Awaitable[Answer]:
        """Ask."""
        ...


class DnsResolver:
    """Publishes the addresses of a DNS target."""

    def __init__(
        self,
        target: DnsTarget,
        look: Look,
        *,
        rng: random.Random,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`look` is asked by nobody else. `clock` is as in `open`."""
        self._target = target
        self._look = look
        self._rng = rng
        self._clock = clock
        self._view: View | None = None
        self._watchers: list[Publish] = []
        self._asking = asyncio.Lock()
        self._woken = asyncio.Event()

    def __repr__(self) -> str:
        return f"DnsResolver({str(self._target)!r})"

    def refresh(self) -> None:
        """A provider cannot be connected: ask sooner. Cheap, and may come at any rate."""
        if self._view is not None and self._watchers:
            due = self._view.due
            self._view.handle_hint(self._now())
            if self._view.due < due:
                self._woken.set()

    async def watch(self, publish: Publish, /) -> None:
        """Publish until cancelled."""
        publish(Pending())
        view = self._begin()
        self._watchers.append(publish)
        try:
            if not isinstance(view.resolution, Pending):
                publish(view.resolution)
            async with self._asking:
                while True:
                    await self._wait(view)
                    await self._ask(view)
        finally:
            self._watchers.remove(publish)

    def _begin(self) -> View:
        now = self._now()
        if self._view is None:
            self._view = View(str(self._target), rng=self._rng, now=now)
        elif not self._watchers:
            self._view.begin(now)
            # Those watchers may have been of a loop that has ended.
            self._asking, self._woken = asyncio.Lock(), asyncio.Event()
        return self._view

    async def _ask(self, view: View) -> None:
        try:
            answer = await self._look()
        except asyncio.CancelledError:
            view.give_up(self._look.asked, self._now())
            raise
        before = view.resolution
        view.receive(answer, self._now())
        if not _same(view.resolution, before):
            for publish in tuple(self._watchers):
                publish(view.resolution)

    async def _wait(self, view: View) -> None:
        while (left := view.due - self._now()) > 0:
            self._woken.clear()
            try:
                async with asyncio.timeout(left):
                    await self._woken.wait()
            except TimeoutError:
                continue  # the clock may be a hair behind the loop's timer

    def _now(self) -> float:
        return (self._clock or asyncio.get_running_loop().time)()


def _same(one: Resolution, other: Resolution) -> bool:
    if isinstance(one, Failed) and isinstance(other, Failed):
        return str(one.error) == str(other.error)
    return one == other
