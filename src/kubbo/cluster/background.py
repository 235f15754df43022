"""Tasks that no call waits for, owned by the channel that they belong to.

What goes on after a call has its outcome (a repetition later, a copy to another target) must not
pile up, and must not outlive its channel.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["Background"]

MAX_TASKS: Final = 1_000
"""Tasks at once; a few KiB each."""

_log = logging.getLogger("kubbo.background")


class Background:
    """A bounded set of tasks; see the head of the module."""

    def __init__(self, limit: int = MAX_TASKS) -> None:
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> bool:
        """Run `work` in a task; False, and nothing is run, if there are too many already."""
        if len(self._tasks) >= self._limit:
            work.close()
            return False
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)

    async def aclose(self) -> None:
        """Cancel what is left and return when it has ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
