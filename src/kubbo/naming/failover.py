"""Runs the sources of a chain, as many as it wants, and publishes what it chose."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from kubbo.errors import KubboError
from kubbo.naming.chain import Chain, Failover
from kubbo.naming.resolution import Failed, Resolution, hint_refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kubbo.naming.resolution import Publish, Resolver

__all__ = ["FailoverResolver"]

_log = logging.getLogger("kubbo.naming")


class FailoverResolver:
    """Publishes the first source that can answer; `Chain` has the rules."""

    def __init__(
        self,
        sources: Sequence[tuple[str, Resolver]],
        options: Failover,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`sources` are names, for messages, and resolvers; the preferred one first."""
        self._sources = tuple(sources)
        self._options = options
        self._clock = clock
        self._current: int | None = None

    def __repr__(self) -> str:
        return f"FailoverResolver({' | '.join(name for name, _ in self._sources)!r})"

    def refresh(self) -> None:
        """A provider cannot be connected; the source that is in use may want to know."""
        if self._current is not None:
            hint_refresh(self._sources[self._current][1])

    async def watch(self, publish: Publish, /) -> None:
        """Publish until cancelled."""
        now = self._clock or asyncio.get_running_loop().time
        names = [name for name, _ in self._sources]
        chain = Chain(names, self._options, now=now())
        told: Resolution = chain.published
        publish(told)
        woken = asyncio.Event()
        running: dict[int, tuple[int, asyncio.Task[None]]] = {}
        over = False

        def tell() -> None:
            nonlocal told
            if chain.current != self._current:
                self._log_switch(chain)
                self._current = chain.current
            if not _same(chain.published, told):
                told = chain.published
                publish(told)
            woken.set()

        def listen(number: int, life: int) -> Publish:
            def receive(said: Resolution) -> None:
                if not over and number < chain.wanted and life == chain.life(number):
                    chain.receive(number, said, now())
                    tell()

            return receive

        try:
            while True:
                woken.clear()
                for number, (life, task) in list(running.items()):
                    if number >= chain.wanted or life != chain.life(number):
                        await _end(task)
                        del running[number]
                for number, (name, resolver) in enumerate(self._sources[: chain.wanted]):
                    if number not in running:
                        life = chain.life(number)
                        watch = _watch(name, resolver, listen(number, life))
                        running[number] = life, asyncio.create_task(watch, name=f"kubbo {name}")
                timer = chain.next_timer(now())
                try:
                    async with asyncio.timeout(None if timer is None else max(0.0, timer - now())):
                        await woken.wait()
                except TimeoutError:
                    chain.handle_timer(now())
                    tell()
        finally:
            over = True
            self._current = None
            for _, task in running.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in running.values()), return_exceptions=True)

    def _log_switch(self, chain: Chain) -> None:
        number = chain.current
        if number is None or (number == 0 and self._current is None):
            return
        name = self._sources[number][0]
        if self._current is None or number > self._current:
            _log.warning("%s is used now: %s", name, chain.why(number))
        else:
            _log.info("%s is used again", name)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _watch(name: str, resolver: Resolver, publish: Publish) -> None:
    try:
        await resolver.watch(publish)
    except KubboError as error:
        publish(Failed(error))
    except Exception as error:  # noqa: BLE001 - logged, and the next source is asked
        # A resolver's bug must not take the other sources with it.
        _log.exception("the resolver of %s failed", name)
        publish(Failed(error))


def _same(one: Resolution, other: Resolution) -> bool:
    if isinstance(one, Failed) and isinstance(other, Failed):
        return str(one.error) == str(other.error)
    return one == other
