"""How a provider lives and ends: one state machine, whoever gives the orders.

    NEW --start--> SERVING --drain--> DRAINING --propagation--> FINISHING --quiet or grace--> CLOSED

The order matters. A cluster needs seconds to tell every consumer that an endpoint is leaving, and
until then calls go on coming; whoever stops answering first loses them.

- DRAINING: not ready any more, and each consumer is told READONLY. All is answered as before, new
  connections too, because somebody may still not know.
- FINISHING: nobody is let in any more. What is in flight runs to its end, and what still arrives on
  the connections that are left is served: a consumer that has no other provider goes on calling
  this one. It ends when nothing is in flight and nothing came for a moment, or with the grace.
- CLOSED: what the grace has cut off is counted, and what arrives is refused: it did not run, so its
  consumer may try elsewhere. Then the connections close.

The first SIGTERM begins it, SIGINT too but without the propagation (a person waits for the prompt),
and a second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["Lifecycle", "ServerState"]

QUIET: Final = 0.25
"""Seconds without a new call after which a provider takes it that nobody needs it any more."""

_log = logging.getLogger("kubbo.server")


class ServerState(Enum):
    """See the head of the module."""

    NEW = "new"
    SERVING = "serving"
    DRAINING = "draining"
    FINISHING = "finishing"
    CLOSED = "closed"


class Lifecycle:
    """The state of one provider.

    Args:
        propagation: seconds to go on answering after the order to stop.
        grace: seconds for the calls in flight after that.
        in_flight: how many calls run now; whoever lowers it to zero calls `note_idle`.
        announce: tell the consumers; called when DRAINING begins.
        close_door: listen no more; called when FINISHING begins.

    `received` is counted up by the owner with each call. `cut_off` is how many calls did not end
    within the grace.
    """

    def __init__(
        self,
        propagation: float,
        grace: float,
        *,
        in_flight: Callable[[], int],
        announce: Callable[[], None],
        close_door: Callable[[], None],
    ) -> None:
        self.state = ServerState.NEW
        self.started = False
        self.propagation = propagation
        self.grace = grace
        self.received = 0
        self.cut_off = 0
        self._in_flight = in_flight
        self._announce = announce
        self._close_door = close_door
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._at_once = False
        self._idle: asyncio.Future[None] | None = None

    # -- orders

    def serve(self) -> None:
        """The port is open."""
        self.started = True
        self.state = ServerState.SERVING

    def stop(self) -> None:
        """Let `wait_stopped` return."""
        self._stop.set()

    def hurry(self) -> None:
        """Skip the propagation, or what is left of it."""
        self._hurry.set()

    def end_now(self) -> None:
        """Wait for nothing any more: what is in flight is cut off."""
        self._at_once = True
        self._hurry.set()
        self._wake()

    def take_signal(self, number: signal.Signals) -> None:
        """Do what a signal asks for; see the head of the module."""
        if self._stop.is_set():
            _log.warning("%s again: ending at once", number.name)
            self.end_now()
        elif number is signal.SIGINT:
            self.hurry()
        self.stop()

    @contextlib.contextmanager
    def signals(self) -> Generator[None]:
        """Take SIGTERM and SIGINT, where this is the main thread; elsewhere there is `stop`."""
        loop = asyncio.get_running_loop()
        handled: list[signal.Signals] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, self.take_signal, number)
                handled.append(number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    # -- the way down

    async def wait_stopped(self) -> None:
        """Return when it is told to stop. Safe to cancel."""
        await self._stop.wait()

    async def drain(self) -> None:
        """Go from SERVING to CLOSED; in any other state do nothing.

        Safe to cancel: the state stays as it is then.
        """
        if self.state is not ServerState.SERVING:
            return
        clock = asyncio.get_running_loop().time
        self.state = ServerState.DRAINING
        _log.info("draining: %d calls in flight", self._in_flight())
        self._announce()
        quiet = min(QUIET, self.propagation)
        await self._pause(self.propagation - quiet)
        received = self.received
        await self._pause(quiet)
        self.state = ServerState.FINISHING
        self._close_door()
        end = clock() + self.grace
        await self._wait_idle(end)
        while received != self.received and not self._hurry.is_set() and clock() < end:
            received = self.received
            await self._pause(min(quiet, end - clock()))
            await self._wait_idle(end)
        self.state = ServerState.CLOSED
        self.cut_off = self._in_flight()
        if self.cut_off:
            why = "at once" if self._at_once else f"in {self.grace:g} s"
            _log.warning("%d calls did not end %s and are cut off", self.cut_off, why)
        else:
            _log.info("drained: no call was cut off")

    def close(self) -> None:
        """Be CLOSED, whatever came before."""
        self.state = ServerState.CLOSED
        self._stop.set()
        self.end_now()

    def note_idle(self) -> None:
        """The last call in flight has ended."""
        self._wake()

    async def _pause(self, seconds: float) -> None:
        """Wait, unless there is a hurry."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _wait_idle(self, end: float) -> None:
        while self._in_flight() and not self._at_once:
            self._idle = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout_at(end):
                    await self._idle
            except TimeoutError:
                return

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
