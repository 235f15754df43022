"""Filters that do something with a share of the calls: fail them, copy them, send them elsewhere.

    greeter = channel.refer(Greeter, TARGET, filters=[Fault(percent=5, abort=Code.UNAVAILABLE)])

    shadow = channel.refer(Greeter, SHADOW_TARGET)
    greeter = channel.refer(Greeter, TARGET, filters=[Mirror(shadow, percent=10)])

    canary = channel.refer(Greeter, "kubernetes:///greeter-v2.shop:dubbo")
    greeter = channel.refer(Greeter, TARGET, filters=[Divert(canary, percent=5)])

The other target of a copy or a diversion is a reference like any other, with its own view,
routers and options: a Service of another version, or the same one with a router of its own. They
are filters of a reference, never of a channel: the other reference must not have them.

Filters surround the cluster policy: a fault is seen by the caller as it is, and not retried.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from kubbo.cluster.routing.calls import Calls
from kubbo.config import Options
from kubbo.errors import Code, ConfigError, DeadlineExceeded, Progress, RpcError, UsageError
from kubbo.model import Invocation, Kind
from kubbo.rpc.reference import Reference
from kubbo.rpc.stub import Stub

if TYPE_CHECKING:
    from kubbo.cluster.routing.facts import Consumer
    from kubbo.model import Handler, Result, Signature
    from kubbo.rpc.reference import Plan

__all__ = ["Divert", "Fault", "Mirror"]

MAX_COPIES: Final = 100
"""Copies of one `Mirror` at once: a slow shadow must not hold memory for every call."""

MAX_PLANS: Final = 1_000
"""Methods whose plans are kept; a generic caller could invent more."""

MIRRORED: Final = "kubbo-mirrored"
"""Attachment of a copy, so that a provider can tell it from a call."""


class Fault:
    """Delays calls, or fails them, to see what becomes of their callers.

    Args:
        percent: of the calls that `when` is about.
        delay: seconds to wait first, within the call's deadline.
        abort: how to fail; without it the call goes on after its delay.
        progress: how far a call that is failed claims to have got.
        when: see `Calls`.
        consumer: see `Calls`.
        rng: for a run that shall be repeatable.

    Raises:
        ConfigError: a number is out of its range, or `when` cannot be read.
    """

    def __init__(
        self,
        *,
        percent: float = 100.0,
        delay: float = 0.0,
        abort: Code | None = None,
        progress: Progress = Progress.NOT_SENT,
        when: str = "",
        consumer: Consumer | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if not 0 <= delay <= 24 * 3600:
            raise ConfigError(f"delay={delay} is not between 0 and a day, in seconds")
        if abort is Code.OK:
            raise ConfigError("abort=OK is no failure")
        self._calls = Calls(when, percent, rng=_dice(rng), consumer=consumer)
        self._delay = delay
        self._abort = abort
        self._progress = progress

    async def __call__(self, invocation: Invocation, proceed: Handler, /) -> Result:
        """See `Filter`."""
        if not self._calls.has(invocation):
            return await proceed(invocation)
        if self._delay:
            left = invocation.deadline.remaining(asyncio.get_running_loop().time())
            await asyncio.sleep(min(self._delay, left))
            if self._delay >= left:
                raise DeadlineExceeded(
                    f"a fault was injected: a delay of {self._delay:g} s, longer than the deadline",
                    progress=Progress.NOT_SENT,
                )
        if self._abort is not None:
            raise RpcError(self._abort, "a fault was injected", progress=self._progress)
        return await proceed(invocation)


class Mirror:
    """Sends copies of calls to another reference as well, and forgets what comes of them.

    Nobody waits for a copy, its failure is counted in `failed` and nowhere else, and it is not
    repeated. It has the deadline of its call. The arguments are those of the call: a caller that
    changes them while the call is on its way changes the copy, too.

    Args:
        other: the stub of another reference to the same interface.
        percent: of the calls that `when` is about.
        when: see `Calls`.
        limit: copies at once; further ones are left out, and counted in `dropped`.
        consumer: see `Calls`.
        rng: for a run that shall be repeatable.

    Raises:
        ConfigError: a number is out of its range, or `when` cannot be read.
        UsageError: `other` is no stub.
    """

    def __init__(
        self,
        other: object,
        *,
        percent: float = 100.0,
        when: str = "",
        limit: int = MAX_COPIES,
        consumer: Consumer | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if limit < 1:
            raise ConfigError(f"limit={limit} is less than 1")
        self._other = _Other(other, Options(retries=0))
        self._calls = Calls(when, percent, rng=_dice(rng), consumer=consumer)
        self._limit = limit
        self._active = 0
        self.sent = 0
        self.failed = 0
        self.dropped = 0

    async def __call__(self, invocation: Invocation, proceed: Handler, /) -> Result:
        """See `Filter`."""
        if invocation.kind in (Kind.UNARY, Kind.ONEWAY) and self._calls.has(invocation):
            self._copy(invocation)
        return await proceed(invocation)

    def _copy(self, invocation: Invocation) -> None:
        copy = Invocation(
            invocation.service,
            invocation.signature,
            invocation.arguments,
            invocation.deadline,
            invocation.kind,
            invocation.idempotent,
            {**invocation.attachments, MIRRORED: "true"},
        )
        if self._active < self._limit and self._other.reference.background.start(
            self._send(copy), f"kubbo mirror {invocation.method}"
        ):
            self._active += 1
            self.sent += 1
        else:
            self.dropped += 1

    async def _send(self, copy: Invocation) -> None:
        try:
            await self._other.send(copy)
        except Exception:  # noqa: BLE001 - a copy's failure is nobody's
            self.failed += 1
        finally:
            self._active -= 1


class Divert:
    """Sends calls to another reference instead: a canary that has a Service of its own.

    A call that provably never reached the other one, because it has no provider or none can be
    connected, goes on as if it had not been diverted.

    Args:
        other: the stub of another reference to the same interface.
        percent: of the calls that `when` is about.
        when: see `Calls`; `attachments[x-canary]=true` is a canary by header.
        consumer: see `Calls`.
        rng: for a run that shall be repeatable.

    Raises:
        ConfigError: a number is out of its range, or `when` cannot be read.
        UsageError: `other` is no stub.
    """

    def __init__(
        self,
        other: object,
        *,
        percent: float = 100.0,
        when: str = "",
        consumer: Consumer | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._other = _Other(other, Options())
        self._calls = Calls(when, percent, rng=_dice(rng), consumer=consumer)

    async def __call__(self, invocation: Invocation, proceed: Handler, /) -> Result:
        """See `Filter`."""
        if not self._calls.has(invocation):
            return await proceed(invocation)
        try:
            return await self._other.send(invocation)
        except RpcError as error:
            if error.code is not Code.UNAVAILABLE or error.progress is not Progress.NOT_SENT:
                raise
        return await proceed(invocation)


class _Other:
    """Another reference, as a handler of calls that were made for this one."""

    def __init__(self, stub: object, given: Options) -> None:
        if not isinstance(stub, Stub):
            raise UsageError(f"{stub!r} is no stub; pass what Channel.refer returned")
        if not isinstance(stub.kubbo_reference, Reference):
            raise UsageError(f"{stub!r} calls several groups; pass a reference to one of them")
        self.reference = stub.kubbo_reference
        self._given = given.over(stub.kubbo_options)
        self._plans: dict[Signature, Plan] = {}

    async def send(self, invocation: Invocation) -> Result:
        """Make the call there, with the options of that reference."""
        signature = invocation.signature
        plan = self._plans.get(signature)
        if plan is None or plan.version != self.reference.version:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            oneway = invocation.kind is Kind.ONEWAY
            plan = self._plans[signature] = self.reference.plan(
                signature, self._given, oneway=oneway
            )
        return await plan.handler(invocation)


def _dice(rng: random.Random | None) -> random.Random:
    # Calls are picked by chance and nothing is kept secret by it.
    return random.Random() if rng is None else rng  # noqa: S311
