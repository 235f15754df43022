"""Policies that have several attempts of one call in flight at once.

    hedging     a second attempt when the first is slow; whoever answers first wins
    forking     several attempts from the start; whoever answers first wins
    broadcast   an attempt at every provider; all of them shall succeed

The first two may run a method more than once, so it has to be idempotent. The losers are
cancelled: their answers are dropped. An attempt that comes besides another costs the retry
budget what a repeated one costs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

from kubbo.cluster.sequential import may_repeat
from kubbo.errors import ConfigError, Progress, RpcError, UsageError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from kubbo.cluster.attempts import Attempts
    from kubbo.model import Invocation, Result

__all__ = ["Broadcast", "Forking", "Hedging"]

DEFAULT_FORKS: Final = 2
"""Dubbo's default."""

MAX_FORKS: Final = 16
"""Attempts of one call at once; more than this is a load test."""

DEFAULT_HEDGE_DELAY: Final = 0.1
"""Seconds. Where the usual answer takes a few milliseconds, one call in hundreds is this slow."""


class Hedging:
    """Begin another attempt elsewhere after each `delay` seconds without an answer.

    There are `most` attempts at all. One that fails in a way that may be repeated is followed at
    once by the next.

    Raises:
        ConfigError: a number is out of its range.
    """

    def __init__(self, delay: float = DEFAULT_HEDGE_DELAY, most: int = 2) -> None:
        if not 0 < delay <= 60:
            raise ConfigError(f"hedge.delay={delay} is not between 0 and 60, in seconds")
        if not 2 <= most <= MAX_FORKS:
            raise ConfigError(f"hedge.attempts={most} is not between 2 and {MAX_FORKS}")
        self._delay = delay
        self._most = most

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`.

        Raises:
            UsageError: the method is not declared idempotent.
        """
        _demand_idempotent(invocation, "hedging")
        left = self._most - 1
        async with _Race() as race:
            race.start(attempts())
            while True:
                result = await race.wait(self._delay if left else None)
                if result is not None:
                    return result
                if not race.running:
                    if not left or not may_repeat(race.failures[-1], invocation, attempts):
                        raise race.failure()
                elif not left or not attempts.untried():
                    continue  # another provider may be connected after the next delay
                elif not attempts.afford():
                    # Better times are not waited for.
                    left = 0
                    continue
                left -= 1
                race.start(attempts())


class Forking:
    """`forks` attempts at once; the first answer is the outcome.

    Raises:
        ConfigError: `forks` is out of its range.
    """

    def __init__(self, forks: int = DEFAULT_FORKS) -> None:
        if not 1 <= forks <= MAX_FORKS:
            raise ConfigError(f"forks={forks} is not between 1 and {MAX_FORKS}")
        self._forks = forks

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`.

        Raises:
            UsageError: the method is not declared idempotent.
        """
        _demand_idempotent(invocation, "forking")
        async with _Race() as race:
            race.start(attempts())
            for _ in range(min(self._forks, len(attempts.members())) - 1):
                if not attempts.afford():
                    break
                race.start(attempts())
            while race.running:
                result = await race.wait(None)
                if result is not None:
                    return result
            raise race.failure()


class Broadcast:
    """Call every provider at once; the outcome is the first one's result, or a failure.

    One failure is enough to fail the call, as with Dubbo, which calls one after the other. The
    error carries the others. Nothing is repeated.
    """

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`."""
        del invocation
        members = attempts.members()
        if len(members) < 2:
            return await attempts(members[0] if members else None)
        async with _Race() as race:
            for member in members:
                race.start(attempts(member))
            results = await race.finish()
        if race.failures:
            raise race.failure()
        return results[0]


class _Race:
    """Attempts of one call that run at the same time; who still runs at the end is cancelled."""

    def __init__(self) -> None:
        self.running: dict[asyncio.Task[Result], None] = {}  # in the order of starting
        self.failures: list[RpcError] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    def start(self, attempt: Coroutine[Any, Any, Result]) -> None:
        """One more runner."""
        self.running[asyncio.create_task(attempt)] = None

    async def wait(self, timeout: float | None) -> Result | None:  # noqa: ASYNC109 - of the wait
        """The first result; None when a runner failed, or `timeout` seconds brought nothing.

        Raises:
            Exception: a provider ran the method, and this is what it threw.
        """
        done, _ = await asyncio.wait(
            self.running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )
        results = self._collect(done)
        return results[0] if results else None

    async def finish(self) -> list[Result]:
        """Every result in the order of starting, when the last runner has ended.

        Raises:
            Exception: see `wait`.
        """
        done, _ = await asyncio.wait(self.running)
        return self._collect(done)

    def _collect(self, done: set[asyncio.Task[Result]]) -> list[Result]:
        thrown: list[BaseException] = []
        results: list[Result] = []
        for task in [each for each in self.running if each in done]:
            del self.running[task]
            error = task.exception()
            if error is None:
                results.append(task.result())
            elif isinstance(error, RpcError) and error.progress is not Progress.ANSWERED:
                self.failures.append(error)
            else:
                thrown.append(error)
        if thrown and not results:
            raise thrown[0]
        return results

    def failure(self) -> RpcError:
        """The last failure, with those before it."""
        *before, last = self.failures
        last.attempts = tuple(before)
        return last


def _demand_idempotent(invocation: Invocation, policy: str) -> None:
    if not invocation.idempotent:
        raise UsageError(
            f"{policy} may run {invocation.method} more than once: declare the method "
            "idempotent, or choose another cluster policy for it"
        )
