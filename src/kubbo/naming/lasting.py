"""A resolver that outlives its own bugs.

A resolver publishes what goes wrong out there and goes on; one that raises has a bug (see
`Resolver`), or met what nobody had thought of: a library's exception for an odd certificate, say.
Its consumers would call the last members for ever, or nobody any more. So it is begun again, after
a while that grows; until it knows something, its last members stay, marked stale since it failed.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kubbo.errors import KubboError
from kubbo.naming.resolution import Failed, Members, Pending, Resolution, Resolver, hint_refresh

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from kubbo.naming.resolution import Publish

__all__ = ["LastingResolver"]

_log = logging.getLogger("kubbo.naming")

_FIRST: Final = 1.0
_MOST: Final = 30.0
_CALM: Final = 120.0  # seconds after which the next wait is short again


class LastingResolver:
    """Watches the resolver inside again when its `watch` raises.

    What is raised on purpose, a KubboError, goes through: the watch cannot be had.

    Attributes:
        inside: that resolver.
    """

    def __init__(
        self,
        inside: Resolver,
        *,
        rng: random.Random,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.inside = inside
        self._rng = rng
        self._clock = clock

    def __repr__(self) -> str:
        return repr(self.inside)

    def refresh(self) -> None:
        """Pass a hint on."""
        hint_refresh(self.inside)

    async def watch(self, publish: Publish, /) -> None:
        """Publish until cancelled, or until the resolver inside has said its last word."""
        now = self._clock or asyncio.get_running_loop().time
        last: Resolution = Pending()
        held: Members | None = None  # what is shown while it knows nothing again
        pause = _FIRST

        def receive(said: Resolution) -> None:
            nonlocal last, held
            if held is not None and isinstance(said, Pending | Failed):
                return
            held = None
            last = said
            publish(said)

        while True:
            began = now()
            try:
                await self.inside.watch(receive)
            except KubboError:
                raise
            except Exception as error:  # noqa: BLE001 - logged, and it is begun again
                _log.exception("%r failed, which is a bug; it is begun again", self.inside)
                if isinstance(last, Members):
                    since = now() if last.stale_since is None else last.stale_since
                    last = held = replace(last, stale_since=since)
                    publish(held)
                else:
                    receive(Failed(error))
            else:
                return
            if now() - began >= _CALM:
                pause = _FIRST
            await asyncio.sleep(pause * self._rng.uniform(0.5, 1.0))
            pause = min(_MOST, 2 * pause)
