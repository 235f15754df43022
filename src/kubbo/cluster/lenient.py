"""Policies that do not tell the caller of a failure.

    failsafe    a failure is logged, the caller gets None
    failback    likewise, and the call is made again later

For what may be lost: an entry of an audit log, a notice. The result says what went wrong
(`degraded`), and an observer sees it. What the method itself threw is no failure and is raised.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from kubbo.errors import ConfigError, Progress, RpcError
from kubbo.model import Result

if TYPE_CHECKING:
    from kubbo.cluster.attempts import Attempts
    from kubbo.cluster.background import Background
    from kubbo.model import Invocation

__all__ = ["Failback", "Failsafe"]

DEFAULT_FAILBACK_RETRIES: Final = 3
DEFAULT_FAILBACK_TASKS: Final = 100
"""Dubbo's defaults, both."""

FAILBACK_PERIOD: Final = 5.0
"""Seconds between two repetitions; Dubbo's."""

_log = logging.getLogger("kubbo.cluster")


class Failsafe:
    """One attempt; its failure is logged, and the result is None."""

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`."""
        try:
            return await attempts()
        except RpcError as error:
            if error.progress is Progress.ANSWERED:
                raise
            attempts.explain(error)
            _log.warning("%s: %s; failsafe answers nothing", invocation.method, error)
            return Result(degraded=error)


class Failback:
    """One attempt; one that failed is made again `period` seconds later, `retries` times.

    Only what is safe to repeat is: see `sequential`. At most `tasks` calls wait for their
    repetition; what comes above is lost, with a message. So is what waits when its channel
    is closed: it is a second chance, not a queue.

    Raises:
        ConfigError: a number is out of its range.
    """

    def __init__(
        self,
        background: Background,
        *,
        retries: int = DEFAULT_FAILBACK_RETRIES,
        tasks: int = DEFAULT_FAILBACK_TASKS,
        period: float = FAILBACK_PERIOD,
    ) -> None:
        if not 1 <= tasks <= 1_000:
            raise ConfigError(f"failbacktasks={tasks} is not between 1 and 1000")
        self._background = background
        self._retries = retries
        self._tasks = tasks
        self._period = period
        self._waiting = 0

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`."""
        granted = invocation.deadline.at - asyncio.get_running_loop().time()
        try:
            return await attempts()
        except RpcError as error:
            if error.progress is Progress.ANSWERED:
                raise
            attempts.explain(error)
            what = self._arrange(invocation, attempts, granted, error)
            _log.warning("%s: %s; failback %s", invocation.method, error, what)
            return Result(degraded=error)

    def _arrange(
        self, invocation: Invocation, attempts: Attempts, granted: float, error: RpcError
    ) -> str:
        if error.progress is not Progress.NOT_SENT and not invocation.idempotent:
            return "gives it up: it may have run, and is not idempotent"
        if not self._retries:
            return "gives it up: retries=0"
        if self._waiting >= self._tasks:
            return f"gives it up: {self._tasks} calls wait already (failbacktasks)"
        work = self._repeat(invocation, attempts, granted)
        if not self._background.start(work, f"kubbo failback {invocation.method}"):
            return "gives it up: the channel has too much to do"
        self._waiting += 1
        return f"tries again in {self._period:g} s"

    async def _repeat(self, invocation: Invocation, attempts: Attempts, granted: float) -> None:
        try:
            for left in range(self._retries - 1, -1, -1):
                await asyncio.sleep(self._period)
                again = attempts.again(granted)
                try:
                    await again()
                except RpcError as error:
                    lost = error.progress is not Progress.NOT_SENT and not invocation.idempotent
                    if not left or lost or error.progress is Progress.ANSWERED:
                        again.explain(error)
                        _log.warning("%s: failback gives it up: %s", invocation.method, error)
                        return
                except Exception as error:  # noqa: BLE001 - what the method threw
                    _log.warning("%s: failback was answered %r", invocation.method, error)
                    return
                else:
                    return
        finally:
            self._waiting -= 1
