"""Consumers that find providers by DNS, while the name server lies and the API server goes away.

Two kinds of consumers run in a `World`: some have a DNS target alone, others the chain of the API
server and DNS. The code is the product's own down to the bytes of the questions: resolver, view,
lookup, dnspython, failover.

A client cannot tell a lie from the truth, so what is judged is what it makes of either:

- what a DNS consumer publishes is one answer that was really given, whole, in the last `ANSWER_AGE`
  seconds, or calls itself stale since such an answer; once it has members, no lie takes them away;
- the chain publishes the API server's view or one answer, never a mixture, and nothing of DNS
  while the API server is well, or has been so for `BACK_AFTER` seconds;
- a consumer asks no more than a question a second;
- in the end all views are right.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, Self

from kubbo.naming.chain import Failover
from kubbo.naming.dns.lookup import Lookup
from kubbo.naming.dns.resolver import DnsResolver
from kubbo.naming.failover import FailoverResolver
from kubbo.naming.resolution import Absent, Failed, Members, Pending
from kubbo.naming.target import DnsTarget
from kubbo.sim.nameserver import LIES, TTL, Lie, NameServer
from kubbo.sim.world import API, NAMESPACE, REPLICA, Consumer, World
from kubbo.sim.world_truth import Broken, View

if TYPE_CHECKING:
    from kubbo.naming.resolution import Resolution, Resolver

__all__ = ["ANSWER_AGE", "KINDS", "RIGHT_AFTER", "DnsConsumer", "DnsWorld"]

NAME_SERVER: Final = "10.96.0.10"

KINDS: Final = (*LIES, "name server unreachable", "API server unreachable")

ANSWER_AGE: Final = TTL * 1.2 + 30.0
"""Seconds: the TTL with its spread, and a lookup that takes as long as one may."""

RIGHT_AFTER: Final = 30.0 * 1.2 + 30.0
"""Seconds from the last lie to views that are right: a step of backoff, and a lookup."""

BACK_AFTER: Final = 60.0
"""Seconds from the return of the API server until nobody uses DNS any more: a step of backoff, a
place in the herd, and the hold."""

WINDOW: Final = 60.0
QUESTIONS: Final = 60 + 8
"""Questions of one consumer within `WINDOW`: one a second, and the last lookup, of which the pause
is still to come."""


class DnsConsumer:
    """One consumer: by DNS alone, or by the chain when it `follows` the API server too."""

    def __init__(self, world: DnsWorld, number: int, service: str, *, follows: bool) -> None:
        self.service = service
        self.host = f"10.3.0.{number + 2}"
        self.follows = follows
        self.resolution: Resolution = Pending()
        self.view = View(None)
        self.publications = 0
        self._world = world
        target = DnsTarget(f"{service}.{NAMESPACE}.svc.cluster.local.", "dubbo")
        look = Lookup(target, resolv_conf=world.resolv_conf)
        self.resolver: Resolver = DnsResolver(
            target, look, rng=world.inside.random(f"dns {number}")
        )
        self._task: asyncio.Task[None] | None = None
        self.api: Consumer | None = None
        if follows:
            self.api = Consumer(world.inside, 1_000 + number, service)
            self.api.host = self.host
            sources: list[tuple[str, Resolver]] = [
                ("kubernetes", self.api.resolver),
                ("dns", self.resolver),
            ]
            self.resolver = FailoverResolver(sources, Failover())

    def start(self) -> None:
        """Begin to watch."""
        with self._world.inside.network.on(self.host):
            self._task = asyncio.create_task(
                self.resolver.watch(self._publish), name=f"dns consumer {self.host}"
            )

    @property
    def by_dns(self) -> bool:
        """Whether what it publishes is from DNS."""
        return isinstance(self.resolution, Members) and not self.resolution.definite

    def _publish(self, resolution: Resolution) -> None:
        had_members = isinstance(self.resolution, Members)
        now = self._world.inside.loop.time()
        self.resolution = resolution
        self.view = View.of(resolution, self.view, now)
        self.publications += 1
        self._world.inside.record(self.host, self.view, resolution)
        if had_members and not isinstance(resolution, Members) and not self.follows:
            self._world.break_rule(f"{self.host} had members, and says {resolution!r}")
        self._world.judge(self)

    async def aclose(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.api is not None:
            await self.api.aclose()


class DnsWorld:
    """A world with a name server. Use it by `async with`.

    Attributes:
        inside: API server, network, churn and truth.
        fired: how often each kind of fault happened to something.
        judged: views that were held against the rules.
        most_questions: of one consumer within `WINDOW`.
    """

    def __init__(self, inside: World, *, consumers: int) -> None:
        """`inside` has no consumers of its own; every other one here follows the API server."""
        self.inside = inside
        self.fired = inside.fired
        self.judged = 0
        self.most_questions = 0
        self.resolv_conf = inside.directory / "resolv.conf"
        self.resolv_conf.write_text(f"nameserver {NAME_SERVER}\noptions ndots:5 timeout:2\n")
        self.server = NameServer(
            inside.network, NAME_SERVER, lambda name: inside.truth.service(NAMESPACE, name).now
        )
        self.consumers = [
            DnsConsumer(
                self, number, inside.services[number % len(inside.services)], follows=follows
            )
            for number in range(consumers)
            for follows in (number // len(inside.services) % 2 == 1,)
        ]
        self._rng = inside.random("dns lies")
        self._share = 0.0
        self._api_away_until = -math.inf
        self._broken: Broken | None = None

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        for consumer in self.consumers:
            consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for consumer in self.consumers:
            await consumer.aclose()
        await self.server.__aexit__(None, None, None)

    # --- judging

    def break_rule(self, what: str) -> None:
        """Note that a rule was broken; the first one is raised by `check`."""
        self._broken = self._broken or Broken(f"at {self.inside.loop.time():.3f} s {what}")

    def judge(self, consumer: DnsConsumer) -> None:
        """Hold what a consumer publishes against the rules."""
        view, now = consumer.view, self.inside.loop.time()
        if view.addresses is None or isinstance(consumer.resolution, Absent | Failed):
            return
        self.judged += 1
        if not consumer.by_dns:
            since = now if view.stale_since is None else view.stale_since
            way = self.inside.network.longest_transit(consumer.host, since - 105.0)
            try:
                self.inside.truth.judge(NAMESPACE, consumer.service, view, on_the_way=way)
            except Broken as error:
                self._broken = self._broken or error
            return
        if consumer.follows and now - self._api_away_until > BACK_AFTER:
            self.break_rule(f"{consumer.host} uses DNS, though the API server is well")
        until = now if view.stale_since is None else view.stale_since
        given = self.server.given.get(consumer.service, ())
        if not any(
            until - ANSWER_AGE <= at <= now and addresses == view.addresses
            for at, addresses in given
        ):
            self.break_rule(f"{consumer.host} publishes {view!r}, which no answer had")

    def check(self) -> None:
        """Judge all views and the pace.

        Raises:
            Broken: a rule was broken, now or before.
        """
        for consumer in self.consumers:
            self.judge(consumer)
        since = self.inside.loop.time() - WINDOW
        asked: dict[str, int] = {}
        for at, client in reversed(self.server.questions):
            if at < since:
                break
            asked[client] = asked.get(client, 0) + 1
        self.most_questions = max(self.most_questions, *asked.values(), 0)
        if self.most_questions > QUESTIONS:
            self.break_rule(f"{self.most_questions} questions within {WINDOW:g} s")
        if self._broken is not None:
            raise self._broken

    def wrong(self) -> list[str]:
        """How the views differ from the truth of now, where there is any."""
        found: list[str] = []
        for consumer in self.consumers:
            truth = self.inside.truth.service(NAMESPACE, consumer.service).now
            right = consumer.view.addresses == truth and consumer.view.stale_since is None
            if truth and not right:
                found.append(f"{consumer.host}: {sorted(truth)} is true, it has {consumer.view!r}")
        return found

    # --- storms

    async def storm(self, seconds: float) -> None:
        """Lie for so long, and take both servers away now and then; then heal everything."""
        loop, rng, network = self.inside.loop, self._rng, self.inside.network
        until = loop.time() + seconds
        self._share = rng.choice((0.3, 0.9, 1.0))
        self.server.lie = self._choose
        hosts = [consumer.host for consumer in self.consumers]
        while loop.time() < until:
            await self._live(rng.uniform(5.0, 40.0))
            away = rng.choice(((NAME_SERVER,), (API, REPLICA), ()))
            if away:
                kind = "API server unreachable" if API in away else "name server unreachable"
                for host in hosts:
                    for address in away:
                        network.block(host, address, kind=kind)
                        network.block(address, host, kind=kind)
                if API in away:
                    self._api_away_until = math.inf
                await self._live(rng.uniform(1.0, 150.0))
                network.heal()
                if API in away:
                    self._api_away_until = loop.time()
        self.server.lie = lambda: None
        for lie, times in self.server.told.items():
            self.fired[lie] += times
        self.server.told.clear()

    def _choose(self) -> Lie | None:
        return self._rng.choice(LIES) if self._rng.random() < self._share else None

    async def _live(self, seconds: float) -> None:
        until = self.inside.loop.time() + seconds
        while (left := until - self.inside.loop.time()) > 0:
            await asyncio.sleep(min(left, self._rng.uniform(0.5, 6.0)))
            self.inside.churn.step()
            await self.inside.controller.settled()
            self.check()

    async def calm(self) -> float:
        """See that all views come right, and how soon.

        Raises:
            Broken: one did not in time, or a rule was broken.
        """
        loop = self.inside.loop
        began = loop.time()
        while wrong := self.wrong():
            if loop.time() - began > RIGHT_AFTER:
                raise Broken(f"after {loop.time() - began:.1f} s:\n  " + "\n  ".join(wrong))
            await asyncio.sleep(0.25)
            self.check()
        return loop.time() - began
