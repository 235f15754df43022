"""Publishes what DNS says of one target: drives a view, one lookup after the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kubbo.naming.dns.view import View
from kubbo.naming.resolution import Failed

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from kubbo.naming.dns.view import Answer
    from kubbo.naming.resolution import Publish, Resolution
    from kubbo.naming.target import DnsTarget

__all__ = ["DnsResolver"]


class DnsResolver:
    """Publishes the addresses of a DNS target."""

    def __init__(
        self,
        target: DnsTarget,
        look: Callable[[], Awaitable[Answer]],
        *,
        rng: random.Random,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`look` asks once; it never raises but for cancellation. `clock` is as in `open`."""
        self._target = target
        self._look = look
        self._rng = rng
        self._clock = clock
        self._view: View | None = None
        self._woken = asyncio.Event()

    def __repr__(self) -> str:
        return f"DnsResolver({str(self._target)!r})"

    def refresh(self) -> None:
        """A provider cannot be connected: ask sooner. Cheap, and may come at any rate."""
        if self._view is not None:
            due = self._view.due
            self._view.handle_hint(self._now())
            if self._view.due < due:
                self._woken.set()

    async def watch(self, publish: Publish, /) -> None:
        """Publish until cancelled."""
        view = self._view = View(str(self._target), rng=self._rng, now=self._now())
        told: Resolution = view.resolution
        publish(told)
        try:
            while True:
                view.receive(await self._look(), self._now())
                if not _same(view.resolution, told):
                    told = view.resolution
                    publish(told)
                await self._wait(view)
        finally:
            self._view = None

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
