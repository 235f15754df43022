"""Everything that goes wrong between consumers and the API server, at random, by seed.

A `Storm` is a time of trouble in a `World`: requests are refused in all the ways there are, and
every few seconds something happens to connections, paths, servers or their data. After a storm
everything is healed, and the views must come right within a bound:

- `LOUD` faults are heard at once: an error, an end, a reset. Two steps of backoff (30 s each at
  most) and what the server asked to wait bring the view back.
- the others are silent: a path that swallows, a proxy that holds back, a history that is another
  one. A client can only notice that something is missing, which takes up to 80 s.

A fault counts once for each request, watch, connection, path or server it happened to.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal

from kubbo.sim.apiserver import Answer, Cut, Drop, ErrorEvent, Fault, Hang
from kubbo.sim.world import API, API_PORT, LAG, REPLICA, VIRTUAL, World
from kubbo.sim.world_truth import Broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kubbo.sim.net import Connection, Direction

__all__ = ["KINDS", "LOUD_BOUND", "SILENT_BOUND", "Rounds", "Storm"]

LOUD_BOUND: Final = 2 * 30.0 + 10.0
"""Seconds from the last loud fault to views that are right: two steps of backoff, the longest
`Retry-After` that a storm gives, and the spread of consumers that return at once."""

SILENT_BOUND: Final = 145.0
"""Seconds from the last silent fault: 80 until the silence is noticed, a list that is not answered
for 30, and a step of backoff."""

_REQUESTS: Final[tuple[tuple[str, Fault], ...]] = (
    ("401", Answer(401)),
    ("403", Answer(403)),
    ("410", Answer(410)),
    ("429", Answer(429, retry_after=3)),
    ("500", Answer(500)),
    ("503", Answer(503)),
    ("504", Answer(504)),
    ("503 of a proxy", Answer(503, body="<html>upstream connect error</html>")),
    ("ERROR event 410", ErrorEvent(410)),
    ("ERROR event 500", ErrorEvent(500)),
    ("ERROR event 429", ErrorEvent(429, retry_after=2)),
    ("dropped", Drop()),
    ("hang", Hang()),
)
_SILENT_REQUESTS: Final = frozenset({"hang"})

KINDS: Final = (
    *(kind for kind, _ in _REQUESTS),
    "body cut",
    "refuse",
    "reset",
    "half close",
    "cut",
    "partition",
    "ERROR event in a stream",
    "watch closed early",
    "compaction",
    "server restart",
    "server crash",
    "token swap",
    "authority swap",
    "certificate expired",
    "certificate not believed",
    "disk full",
    "black hole",
    "delay",
    "buffering proxy",
    "lost bookmark",
    "stream refused",
    "stream ignored",
    "stream unmarked",
    "lagging replica",
    "restore",
    "wipe",
)
"""Every kind of fault; a run in which one never fired has proven nothing about it."""


class Storm:
    """A time of trouble. `loud` leaves the silent faults out."""

    def __init__(self, world: World, *, number: int, loud: bool) -> None:
        self._world = world
        self._rng = world.random(f"storm {number}")
        self._loud = loud
        self._share = self._rng.choice((0.3, 0.9, 0.97))  # of requests that fail
        # Another history excuses mixtures for a while, so not every storm has one.
        self._history: Literal["restore", "wipe"] | None = None
        if not loud and number % 4 == 1:
            self._history = "restore" if number % 8 == 1 else "wipe"
        self._happenings: tuple[tuple[float, Callable[[], Awaitable[None]]], ...] = (
            (3.0, self._refuse),
            (3.0, self._reset),
            (3.0, self._half_close),
            (3.0, self._cut),
            (1.0, self._partition),
            (2.0, self._error_in_stream),
            (2.0, self._end_watches),
            (2.0, self._compact),
            (0.5, self._restart),
            (0.5, self._swap_token),
            (0.5, self._swap_authority),
            (0.5, self._expire_certificate),
            (2.0, self._spoil_streams),
            (1.0, self._fill_disk),
            *(
                ()
                if loud
                else (
                    (1.0, self._black_hole),
                    (1.0, self._delay),
                    (1.0, self._buffer),
                    (1.0, self._lose_bookmarks),
                    (1.0, self._lag),
                )
            ),
        )

    async def rage(self, seconds: float) -> None:
        """Do harm for so long, then take everything back."""
        world, rng, loop = self._world, self._rng, self._world.loop
        until = loop.time() + seconds
        history_at = loop.time() + rng.uniform(0.0, seconds / 2)
        weights = [weight for weight, _ in self._happenings]
        world.server.faults.source = world.replica.faults.source = self._choose
        while loop.time() < until:
            await asyncio.sleep(rng.uniform(0.1, 6.0))
            (happening,) = rng.choices(self._happenings, weights)
            await happening[1]()
            if self._history is not None and loop.time() >= history_at:
                await self._change_history(self._history)
                self._history = None
        await self.calm()

    async def calm(self) -> None:
        """Heal everything, all at once."""
        world = self._world
        for server in (world.server, world.replica):
            server.faults.source = None
            server.bookmarks = True
            world.fired["lost bookmark"] += server.lost_bookmarks
            server.lost_bookmarks = 0
            server.streams = "offered"
            for how, times in server.streams_spoilt.items():
                world.fired[f"stream {how}"] += times
            server.streams_spoilt.clear()
        world.network.heal()
        world.network.balance(VIRTUAL, [API])
        world.set_lag(0.0)
        world.certificate.expired = False
        world.write_secrets()
        world.disk.room_bytes = None
        world.fired["disk full"] += world.disk.refused
        world.disk.refused = 0

    # --- requests

    def _choose(self, verb: str, resource: str) -> Fault | None:
        rng = self._rng
        if rng.random() >= self._share:
            return None
        if verb == "list" and rng.random() < 0.1:
            self._world.fired["body cut"] += 1
            return Cut(rng.randrange(1, 1500))
        kind, fault = rng.choice(_REQUESTS)
        if self._loud and kind in _SILENT_REQUESTS:
            return None
        if resource != "/readyz":  # a probe's counts for nothing, though it fails as often
            self._world.fired[kind] += 1
        return fault

    # --- connections and paths

    def _connection(self) -> Connection | None:
        found = [
            each
            for each in self._world.network.connections
            if not (each.client.is_closing() or each.server.is_closing())
        ]
        return self._rng.choice(found) if found else None

    def _direction(self) -> Direction:
        return self._rng.choice(("to server", "to client"))

    async def _refuse(self) -> None:
        self._world.network.refuse(VIRTUAL, API_PORT, times=self._rng.randint(1, 5))
        for _ in range(3):
            if connection := self._connection():
                connection.reset()

    async def _reset(self) -> None:
        for _ in range(self._rng.randint(1, 4)):
            if connection := self._connection():
                connection.reset()

    async def _half_close(self) -> None:
        for _ in range(self._rng.randint(1, 4)):
            if connection := self._connection():
                connection.half_close(self._direction())

    async def _cut(self) -> None:
        for _ in range(self._rng.randint(1, 4)):
            if connection := self._connection():
                reset = self._rng.random() < 0.5
                connection.cut(self._direction(), self._rng.randrange(1, 3000), reset=reset)

    def _some_hosts(self) -> list[str]:
        hosts = [consumer.host for consumer in self._world.consumers]
        return self._rng.sample(hosts, self._rng.randint(1, len(hosts)))

    async def _partition(self) -> None:
        self._world.network.partition(self._some_hosts(), [API, REPLICA])
        await asyncio.sleep(self._rng.uniform(0.5, 40.0))
        self._world.network.heal()

    async def _black_hole(self) -> None:
        for host in self._some_hosts():
            if self._rng.random() < 0.5:
                self._world.network.block(host, API)
            else:
                self._world.network.block(API, host)
        await asyncio.sleep(self._rng.uniform(1.0, 120.0))
        self._world.network.heal()

    async def _delay(self) -> None:
        for host in self._some_hosts():
            self._world.network.delay(API, host, self._rng.uniform(0.1, 8.0))
            self._world.network.delay(host, API, self._rng.uniform(0.1, 8.0))

    async def _buffer(self) -> None:
        for host in self._some_hosts():
            self._world.network.buffer(API, host, self._rng.choice((512, 4096, 65536)))
        await asyncio.sleep(self._rng.uniform(1.0, 120.0))

    # --- the server

    async def _error_in_stream(self) -> None:
        server = self._world.server
        self._world.fired["ERROR event in a stream"] += server.open_watches
        server.send_error(self._rng.choice((410, 429, 500, 503, 504)))

    async def _end_watches(self) -> None:
        server = self._world.server
        self._world.fired["watch closed early"] += server.open_watches
        server.end_watches()

    async def _compact(self) -> None:
        world = self._world
        if world.store.oldest < world.store.version:
            world.fired["compaction"] += 1
            world.store.compact()

    async def _restart(self) -> None:
        abrupt = self._rng.random() < 0.5
        self._world.fired["server crash" if abrupt else "server restart"] += 1
        await self._world.restart(self._rng.uniform(0.1, 20.0), abrupt=abrupt)

    async def _swap_token(self) -> None:
        self._world.fired["token swap"] += 1
        self._world.swap_token()
        self._world.loop.call_later(self._rng.uniform(0.0, 15.0), self._world.write_secrets)

    async def _swap_authority(self) -> None:
        self._world.fired["authority swap"] += 1
        self._world.swap_authority()
        self._world.loop.call_later(self._rng.uniform(0.0, 15.0), self._world.write_secrets)

    async def _expire_certificate(self) -> None:
        self._world.fired["certificate expired"] += 1
        self._world.certificate.expired = True
        await asyncio.sleep(self._rng.uniform(0.5, 20.0))
        self._world.certificate.expired = False

    async def _lose_bookmarks(self) -> None:
        self._world.server.bookmarks = False
        await asyncio.sleep(self._rng.uniform(60.0, 120.0))

    async def _spoil_streams(self) -> None:
        how = self._rng.randrange(4)
        for server in (self._world.server, self._world.replica):
            server.streams = ("offered", "refused", "ignored", "unmarked")[how]

    async def _fill_disk(self) -> None:
        """Leave room for some bytes of each file; a disk that is full has none at all."""
        disk = self._world.disk
        disk.room_bytes = self._rng.choice((None, 0, self._rng.randrange(1, 600)))

    async def _lag(self) -> None:
        """Let new connections go to a server that is behind."""
        world = self._world
        world.set_lag(self._rng.uniform(1.0, LAG))
        world.network.balance(VIRTUAL, [API, REPLICA])
        world.server.disconnect()
        await asyncio.sleep(self._rng.uniform(5.0, 60.0))
        world.set_lag(0.0)
        world.network.balance(VIRTUAL, [API])

    async def _change_history(self, how: Literal["restore", "wipe"]) -> None:
        self._world.fired[how] += 1
        await self._world.change_history(
            self._rng.uniform(0.1, 10.0),
            wipe=how == "wipe",
            back=self._rng.uniform(1.0, 60.0),
        )


class Rounds:
    """Storms and calms of one world.

    Attributes:
        slowest: the most seconds from the end of a loud storm, and of any other, to right views.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.done = 0
        self.slowest = {"loud": 0.0, "silent": 0.0}

    async def run(self, faults: int) -> None:
        """Rounds until at least so many faults have fired.

        Raises:
            Broken: a rule was broken, or a view did not come right in time.
        """
        while self.world.fired.total() < faults:
            await self._round()

    async def _round(self) -> None:
        world, number = self.world, self.done
        rng = world.random(f"round {number}")
        loud = number % 2 == 0
        storm = Storm(world, number=number, loud=loud)
        raging = asyncio.create_task(storm.rage(rng.uniform(30.0, 900.0)))
        try:
            while not raging.done():
                await self._wait(rng.uniform(0.0, 8.0))
        finally:
            raging.cancel()
            await asyncio.wait({raging})
        raging.result()
        await self._calm(loud=loud)
        self.done += 1

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.world.churn.step()
        await self.world.controller.settled()
        self.world.check()

    async def _calm(self, *, loud: bool) -> None:
        """See that the views come right in time, and stay so while things change."""
        world, began = self.world, self.world.loop.time()
        bound = LOUD_BOUND if loud else SILENT_BOUND
        kind = "loud" if loud else "silent"
        while differences := world.differences():
            took = world.loop.time() - began
            if took > bound:
                text = "\n  ".join(differences)
                raise Broken(f"{took:.1f} s after the last fault of a {kind} storm:\n  {text}")
            await asyncio.sleep(0.25)
            world.check()
        self.slowest[kind] = max(self.slowest[kind], world.loop.time() - began)
