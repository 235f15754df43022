"""Real directories, selections, attempts and policies over providers that act from a script."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, cast

from kubbo.cluster.attempts import SelectedAttempts
from kubbo.cluster.background import Background
from kubbo.cluster.balancers import RandomBalance
from kubbo.cluster.budget import RetryBudget
from kubbo.cluster.directory import Directory
from kubbo.cluster.policies import make_policy
from kubbo.cluster.selection import Selection
from kubbo.errors import Code, Progress, RpcError
from kubbo.model import Deadline, Endpoint, Invocation, Result, ServiceKey, Signature
from kubbo.naming.resolution import Members
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.cluster.breaker import Breaker, BreakerRules
    from kubbo.config import Parameter
    from kubbo.naming.resolution import Publish, Resolution
    from kubbo.observe import Observer
    from kubbo.transport.dialer import Dialers
    from kubbo.wire.codec import Codec

SIGNATURE = Signature("find")


def refused(retry_after: float | None = None) -> RpcError:
    """A provider said that it has too much to do."""
    error = RpcError(Code.RESOURCE_EXHAUSTED, "overloaded", progress=Progress.NOT_SENT)
    error.refused = True
    error.retry_after = retry_after
    return error


def unreachable() -> RpcError:
    """Nobody listens at the address."""
    return RpcError(Code.UNAVAILABLE, "cannot connect", progress=Progress.NOT_SENT)


def lost() -> RpcError:
    """The connection broke while the call was in flight."""
    return RpcError(Code.UNAVAILABLE, "the connection was closed", progress=Progress.SENT)


@dataclass
class Provider:
    """Answers its own number after `latency` seconds, or fails as `fails` says."""

    endpoint: Endpoint
    latency: float = 0.01
    fails: Callable[[], Exception] | None = None
    state: State = State.READY
    reason: str = "Connection refused"
    subscribers: set[Callable[[], None]] = field(default_factory=set)
    begun: int = 0
    cancelled: int = 0

    async def send(self, invocation: Invocation, codec: Codec) -> Result:
        self.begun += 1
        try:
            await asyncio.sleep(self.latency)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails is not None:
            raise self.fails()
        return Result(self.endpoint.host, self.endpoint)

    def become(self, state: State) -> None:
        """Have its connection change."""
        self.state = state
        for subscriber in tuple(self.subscribers):
            subscriber()


class Stage:
    """`count` providers 10.0.0.0, 10.0.0.1, ... and calls to them under a policy."""

    def __init__(
        self,
        count: int,
        *,
        share: float = 0.2,
        seed: int = 1,
        latency: float = 0.01,
        breaker: BreakerRules | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.endpoints = tuple(Endpoint(f"10.0.0.{n}", 20880) for n in range(count))
        self.providers = {each.key: Provider(each, latency) for each in self.endpoints}
        self.background = Background()
        self.budget = RetryBudget(share)
        self.directory = Directory(
            "static:///stage",
            _Nobody(),
            cast("Dialers", self),
            budget=self.budget,
            breaker=breaker,
            observer=observer,
        )
        self.selection = Selection(
            self.directory, RandomBalance(Random(seed)), breaker=self.directory.breaker
        )
        self.directory.publish(Members(self.endpoints))

    def __getitem__(self, number: int) -> Provider:
        return self.providers[self.endpoints[number].key]

    def acquire(self, endpoint: Endpoint) -> Any:
        return self.providers[endpoint.key]

    def release(self, dialer: Any) -> None:
        """Nothing to close."""

    @property
    def breaker(self) -> Breaker:
        """That of the directory."""
        assert self.directory.breaker is not None
        return self.directory.breaker

    @property
    def begun(self) -> Counter[str]:
        """Attempts that reached each provider."""
        return Counter({p.endpoint.host: p.begun for p in self.providers.values() if p.begun})

    def invocation(self, *, idempotent: bool = False, timeout: float = 60.0) -> Invocation:
        now = asyncio.get_running_loop().time()
        deadline = Deadline(now + timeout)
        key = ServiceKey("com.example.OrderService")
        return Invocation(key, SIGNATURE, (), deadline, idempotent=idempotent)

    def attempts(self, invocation: Invocation) -> SelectedAttempts:
        loop = asyncio.get_running_loop()
        return SelectedAttempts(invocation, self.selection, cast("Codec", _Codec()), loop)

    async def call(
        self, policy: str, *, retries: int = 2, idempotent: bool = False, **given: Parameter
    ) -> Result:
        """One call under the policy of this name; underscores of parameters are dots."""
        parameters = {name.replace("_", "."): value for name, value in given.items()}
        made = make_policy(policy, retries, parameters, self.background)
        invocation = self.invocation(idempotent=idempotent)
        return await made(invocation, self.attempts(invocation))


class _Nobody:
    async def watch(self, publish: Publish, /) -> None:
        resolution: Resolution = Members(())
        publish(resolution)


class _Codec:
    def encode_request(self, invocation: Invocation, timeout: float) -> bytes:
        return b""
