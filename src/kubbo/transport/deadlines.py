"""One timer for the deadlines of many calls.

A timer for each call costs more than the rest of a small call. Here deadlines that fall
into the same slot of 10 ms share one, and a call that is answered in time only leaves its
slot. A deadline therefore strikes up to 10 ms late, never early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Deadlines", "Slot"]

SLOTS_PER_SECOND: Final = 100

Slot = dict[object, "Callable[[], None]"]
"""What waits for one moment: who waits, and what to call for it when the time has come."""


class Deadlines:
    """Calls back what is not removed in time. It belongs to one event loop."""

    __slots__ = ("_loop", "_slots", "_timers")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, Slot] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def add(self, at: float, who: object, expired: Callable[[], None]) -> Slot:
        """Have `expired` called soon after loop time `at`, unless `who` leaves the slot.

        To leave it: `slot.pop(who, None)` on what is returned.
        """
        number = int(at * SLOTS_PER_SECOND) + 1
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = {}
            self._timers[number] = self._loop.call_at(
                number / SLOTS_PER_SECOND, self._strike, number
            )
        slot[who] = expired
        return slot

    def _strike(self, number: int) -> None:
        del self._timers[number]
        for expired in list(self._slots.pop(number).values()):
            expired()

    def close(self) -> None:
        """Forget everything; nothing is called any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._slots.clear()
