"""The consumer of the demo: calls at a steady rate, and keeps count.

Calls start on the beat of a clock, whether earlier ones have been answered or not, so that a
provider that hangs cannot hide by slowing its consumer down. A call counts as lost when it
ends with any error, and also when its answer does not greet who was to be greeted: that would
be another call's answer.

Who answered is told by the result, which a filter sees; how often a call was tried, by the
load balancer, which chooses for each attempt. Both are what any application may pass to a
channel.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import kubbo
from kubbo.cluster.balancers import RandomBalance
from kubbo.demo.greeter.interface import GreetService, User
from kubbo.naming.kubernetes.slices import POD

if TYPE_CHECKING:
    from collections.abc import Collection

    from kubbo.cluster.member import Member, Picker, Pool
    from kubbo.model import Endpoint, Handler

__all__ = ["Load", "Provider", "Tally"]

TIMEOUT: Final = 5.0
"""Seconds a call may take: a busy machine that starts processes must not look like a loss."""

_KEPT: Final = 3  # errors of lost calls that are shown


@dataclass(frozen=True, slots=True, order=True)
class Provider:
    """Who answered; `pod` is empty where the target is no Service."""

    pod: str
    address: str

    @classmethod
    def of(cls, endpoint: Endpoint | None) -> Provider:
        """The provider at an endpoint."""
        assert endpoint is not None, "an answer that a consumer got came from somewhere"
        return cls(dict(endpoint.labels).get(POD, ""), str(endpoint))


@dataclass(slots=True)
class Tally:
    """What became of the calls so far.

    `repeated` counts calls that needed more than one attempt, `slowest` is in seconds, and
    `errors` are the first of the lost calls.
    """

    made: int = 0
    lost: int = 0
    repeated: int = 0
    slowest: float = 0.0
    answered: Counter[Provider] = field(default_factory=Counter[Provider])
    errors: list[Exception] = field(default_factory=list[Exception])

    @property
    def addresses(self) -> list[str]:
        """Every address that has answered, in the order of their first answers."""
        return list(dict.fromkeys(provider.address for provider in self.answered))


class _Attempts:
    """A load balancer that also counts how often it is asked for one call."""

    def __init__(self) -> None:
        # Load is spread by chance and nothing is kept secret by it.
        self._balance = RandomBalance(random.Random())  # noqa: S311
        self.of: dict[int, int] = {}

    def bind(self, pool: Pool) -> Picker:
        """See `LoadBalance`."""
        pick = self._balance.bind(pool)

        def counted(invocation: kubbo.Invocation, avoid: Collection[Member] = ()) -> Member:
            self.of[id(invocation)] += 1
            return pick(invocation, avoid)

        return counted


class Load:
    """Calls `greet` at `target`, `rate` times a second, from `async with` to its end.

    The end waits for the answers that are due, or for their deadlines.
    """

    def __init__(
        self, target: str, naming: kubbo.NamingContext, tally: Tally, *, rate: float
    ) -> None:
        self.tally = tally
        self._target = target
        self._interval = 1 / rate
        self._attempts = _Attempts()
        self._channel = kubbo.Channel(
            naming=naming,
            balance=self._attempts,
            filters=[self._count],
            application="kubbo-demo",
        )
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        greeter = self._channel.refer(GreetService, self._target)
        self._task = asyncio.create_task(self._run(kubbo.options(greeter, timeout=TIMEOUT)))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._task is not None
        self._stopping = True
        try:
            if exc_info[0] is not None:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=exc_info[0] is not None)
        finally:
            await self._channel.aclose()

    async def _run(self, greeter: GreetService) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as calls:
            while not self._stopping:
                calls.create_task(self._call(greeter))
                # After a standstill (a laptop that slept) the beat goes on, without a burst.
                due = max(due + self._interval, loop.time())
                await asyncio.sleep(due - loop.time())

    async def _call(self, greeter: GreetService) -> None:
        tally = self.tally
        tally.made += 1
        name = f"Ann {tally.made}"
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            answer = await greeter.greet(User(tally.made, name))
            if name not in answer:
                raise kubbo.KubboError(f"{name} was greeted by {answer[:100]!r}")  # noqa: TRY301 - a loss like any other
        except Exception as error:  # noqa: BLE001 - whatever it is, the call is lost
            tally.lost += 1
            if len(tally.errors) < _KEPT:
                tally.errors.append(error)
        tally.slowest = max(tally.slowest, loop.time() - started)

    async def _count(self, invocation: kubbo.Invocation, proceed: Handler) -> kubbo.Result:
        """The filter: see the head of the module."""
        self._attempts.of[id(invocation)] = 0
        try:
            result = await proceed(invocation)
            self.tally.answered[Provider.of(result.endpoint)] += 1
        finally:
            if self._attempts.of.pop(id(invocation)) > 1:
                self.tally.repeated += 1
        return result
