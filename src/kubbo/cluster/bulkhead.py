"""A bulkhead: so many calls at once, a bounded queue before it, and the rest is told at once.

A queue only helps while its calls can still be answered in time. So a full queue does not simply
refuse who comes last: it sheds the call with the lowest priority, and among those the one whose
deadline is next, because it has the least chance. Who gets in next is the highest priority, and
among those who came first. A waiting call whose deadline passes leaves by itself.

The limit may be a number or move with the load: see `gradient`.
"""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

from kubbo.errors import Code, ConfigError, DeadlineExceeded, Progress, RpcError

if TYPE_CHECKING:
    from kubbo.model import Deadline

__all__ = ["MAX_QUEUE", "Bulkhead", "Fixed", "Limit", "overloaded"]

MAX_QUEUE: Final = 100_000
"""Calls that may wait before one bulkhead; a few hundred bytes each, besides what they carry."""

LEAST_REST: Final = 0.05
MOST_REST: Final = 1.0
"""Seconds between which callers are asked to stay away: about as long as calls take now."""


def overloaded(text: str, rest: float) -> RpcError:
    """What is told to a call that is not let in; its caller stays away for `rest` seconds."""
    error = RpcError(Code.RESOURCE_EXHAUSTED, f"overloaded: {text}", progress=Progress.NOT_SENT)
    error.retry_after = rest
    return error


class Limit(Protocol):
    """How many calls may run at once."""

    @property
    def value(self) -> int:
        """At least 1."""
        ...

    def measure(self, elapsed: float, running: int, *, fault: bool) -> None:
        """A call that was let in took `elapsed` seconds, while `running` ran."""
        ...


class Fixed:
    """A limit that stays."""

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value

    def measure(self, elapsed: float, running: int, *, fault: bool) -> None:
        """Nothing to learn."""


class _Waiting:
    """A call that waits. It is in both heaps until it is taken, shed or gone."""

    __slots__ = ("deadline", "future", "number", "priority")

    def __init__(
        self, priority: int, deadline: float, number: int, future: asyncio.Future[None]
    ) -> None:
        self.priority = priority
        self.deadline = deadline
        self.number = number
        self.future = future


class Bulkhead:
    """Lets `limit` calls in, keeps `queue` waiting. `name` is how errors call it.

    Raises:
        ConfigError: `queue` is out of its range.
    """

    def __init__(self, name: str, limit: Limit, queue: int = 0) -> None:
        if not 0 <= queue <= MAX_QUEUE:
            raise ConfigError(f"{name}: queue={queue} is not between 0 and {MAX_QUEUE}")
        self.name = name
        self.limit = limit
        self.running = 0
        self.waiting = 0
        self.shed = 0
        self._queue = queue
        self._average = LEAST_REST
        self._numbers = count()
        self._next: list[tuple[int, int, _Waiting]] = []
        self._worst: list[tuple[int, float, int, _Waiting]] = []

    async def enter(self, deadline: Deadline, priority: int = 0) -> None:
        """Return when the call may run; `leave` has to follow. Safe to cancel.

        Raises:
            DeadlineExceeded: its turn did not come in time; nothing was run.
            RpcError: RESOURCE_EXHAUSTED, it was not let in, or was shed for a better one.
        """
        if self.running < self.limit.value and not self.waiting:
            self.running += 1
            return
        if self.waiting >= self._queue and not self._shed_for(priority, deadline.at):
            self.shed += 1
            raise self._overloaded()
        await self._wait(deadline, priority)

    def try_enter(self) -> bool:
        """Let the call in if that is possible at once; `leave` has to follow."""
        if self.running < self.limit.value and not self.waiting:
            self.running += 1
            return True
        return False

    def leave(self, elapsed: float, *, fault: bool = False) -> None:
        """A call that was let in has ended after `elapsed` seconds."""
        self.limit.measure(elapsed, self.running, fault=fault)
        self._average += 0.1 * (elapsed - self._average)
        self.running -= 1
        self._let_in()

    async def _wait(self, deadline: Deadline, priority: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(priority, deadline.at, next(self._numbers), future)
        heapq.heappush(self._next, (-priority, waiting.number, waiting))
        heapq.heappush(self._worst, (priority, deadline.at, -waiting.number, waiting))
        self.waiting += 1
        try:
            async with asyncio.timeout_at(deadline.at):
                await future
        except TimeoutError:
            if self._was_let_in(future):
                self._give_back()
            raise DeadlineExceeded(
                f"{self.name}: {self.limit.value} calls run already, and its turn did not come "
                "in time",
                progress=Progress.NOT_SENT,
            ) from None
        except BaseException:
            if self._was_let_in(future):
                self._give_back()
            raise

    def _was_let_in(self, future: asyncio.Future[None]) -> bool:
        """Whether a place was given to a call that is going; if not, it stops waiting."""
        if future.done() and not future.cancelled():
            return future.exception() is None
        if not future.done():
            future.cancel()
        self.waiting -= 1
        self._forget_gone()
        return False

    def _give_back(self) -> None:
        self.running -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self.waiting and self.running < self.limit.value:
            waiting = heapq.heappop(self._next)[2]
            if waiting.future.done():
                continue
            self.waiting -= 1
            self.running += 1
            waiting.future.set_result(None)
        if not self.waiting:
            self._next.clear()
            self._worst.clear()

    def _shed_for(self, priority: int, deadline: float) -> bool:
        """Send the worst of those who wait away, if it is worse than this call."""
        while self._worst:
            worst = self._worst[0]
            if worst[3].future.done():
                heapq.heappop(self._worst)
                continue
            if (worst[0], worst[1]) >= (priority, deadline):
                return False
            heapq.heappop(self._worst)
            self.waiting -= 1
            self.shed += 1
            worst[3].future.set_exception(self._overloaded())
            return True
        return False

    def _forget_gone(self) -> None:
        """Keep the heaps from filling with calls that have gone."""
        if len(self._next) > 2 * self.waiting + 64:
            self._next = [each for each in self._next if not each[2].future.done()]
            heapq.heapify(self._next)
        if len(self._worst) > 2 * self.waiting + 64:
            self._worst = [each for each in self._worst if not each[3].future.done()]
            heapq.heapify(self._worst)

    def _overloaded(self) -> RpcError:
        return overloaded(
            f"{self.name} runs {self.running} calls and {self.waiting} wait",
            min(max(self._average, LEAST_REST), MOST_REST),
        )
