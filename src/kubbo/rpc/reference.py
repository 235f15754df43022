"""A consumer's view of one interface: options, filters, policy and attempts, put together.

What can be known before a call is worked out once for each method and its options: the plan. A
call then makes an invocation and walks down: filters, cluster policy, attempts, connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from kubbo.cluster.attempts import SelectedAttempts
from kubbo.cluster.balancers import DEFAULT_LOADBALANCE, make_balance
from kubbo.cluster.breaker import has_rules, read_rules
from kubbo.cluster.policies import DEFAULT_CLUSTER, make_policy
from kubbo.cluster.selection import Selection
from kubbo.cluster.warmup import warmup_of
from kubbo.config import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Options
from kubbo.config.layers import Layer, Level, merge, stack
from kubbo.errors import RpcError
from kubbo.model import Deadline, Invocation, Kind
from kubbo.observe import CallReport
from kubbo.rpc.actives import Actives
from kubbo.rpc.context import CURRENT
from kubbo.rpc.filters import compose

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from kubbo.cluster.background import Background
    from kubbo.cluster.balancers import LoadBalance
    from kubbo.cluster.directory import Directory
    from kubbo.cluster.policies import Cluster
    from kubbo.cluster.routers import Router
    from kubbo.model import Handler, Result, ServiceKey, Signature, Value
    from kubbo.observe import Observer
    from kubbo.rpc.fallback import Fallback
    from kubbo.rpc.filters import Filter
    from kubbo.rpc.live import LiveView
    from kubbo.wire.codec import Codec
    from kubbo.wire.hessian2 import TypeRegistry

__all__ = ["Reference"]

K = TypeVar("K")

_NO_OPTIONS = Options()

MAX_SETTLED = 1_000
"""Methods whose options are kept; a generic reference calls whatever it is told."""


@dataclass(slots=True, eq=False)
class Plan:
    """What the calls of one method with the same options have in common.

    It holds until `Reference.version` changes.
    """

    signature: Signature
    kind: Kind
    timeout: float
    idempotent: bool
    attachments: Mapping[str, Value]
    handler: Handler
    version: int


class Reference:
    """Calls the providers of one service key through one directory.

    Args:
        service: whom to call.
        directory: who is there.
        codec: of this interface.
        registry: the classes of this interface.
        code: layers of options that code gave: of the reference, of the channel.
        live: what the configuration says, None where there is none.
        problem: tells why a newer configuration is not in use; the empty text mostly.
        rng: chance, for balancers.
        background: for what goes on after a call.
        balance: an object that serves every call, where options shall not name the balancer.
        filters: around every call.
        routers: which providers may take a call, in the order in which they narrow.
        fallback: what stands in for failures.
        observer: is told every call.
    """

    def __init__(
        self,
        service: ServiceKey,
        directory: Directory,
        codec: Codec,
        *,
        registry: TypeRegistry,
        code: Sequence[Layer] = (),
        live: LiveView | None = None,
        problem: Callable[[], str] = str,
        rng: random.Random,
        background: Background,
        balance: LoadBalance | None = None,
        filters: Sequence[Filter] = (),
        routers: Sequence[Router] = (),
        fallback: Fallback | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.service = service
        self.directory = directory
        self.version = 0
        self._codec = codec
        self._registry = registry
        self._code = tuple(code)
        self._live = live
        self.problem = problem
        self._rng = rng
        self.background = background
        self._balance = balance
        self._filters = filters
        self._routers = tuple(routers)
        self._fallback = fallback
        self._observer = observer
        self._actives = Actives(str(service))
        self._loop = asyncio.get_running_loop()
        # By the method's name and its own options, which are kept so that no others get their id.
        # The last says whether the limit of calls in flight is the method's own.
        self._settled: dict[tuple[str, int], tuple[Options, Options, bool]] = {}
        self._balances: Kept[LoadBalance] = Kept()
        self._selections: Kept[Selection] = Kept()
        self._handlers: Kept[Handler] = Kept()
        self._rules = None if live is None else live.rules(service)

    def plan(
        self,
        signature: Signature,
        given: Options,
        *,
        declared: Options = _NO_OPTIONS,
        oneway: bool = False,
    ) -> Plan:
        """Prepare calls of a method; `given` is of the call, `declared` of the method.

        Configuration, reference and channel fill the rest; see `kubbo.config.layers`.

        Raises:
            ConfigError: there is no such policy or balancer.
        """
        key = (signature.name, id(declared))
        settled = self._settled.get(key)
        if settled is None:
            if len(self._settled) >= MAX_SETTLED:
                self._settled.clear()
            layers = self.layers(signature.name, declared=declared)
            limited = any(
                each.level is Level.METHOD and each.options.actives is not None for each in layers
            )
            settled = self._settled[key] = (declared, merge(layers), limited)
        chosen = given.over(settled[1])
        handler = self._handler(chosen, signature)
        if chosen.actives:
            own = given.actives is not None or settled[2]
            handler = self._actives.around(chosen.actives, signature.name if own else "", handler)
        if chosen.mock:
            from kubbo.rpc.mock import parse_mock  # noqa: PLC0415 - few have one

            handler = parse_mock(chosen.mock).around(signature, self._registry, handler)
        if self._fallback is not None:
            handler = self._fallback.around(signature, handler)
        return Plan(
            signature,
            Kind.ONEWAY if oneway else Kind.UNARY,
            chosen.timeout or DEFAULT_TIMEOUT,
            bool(chosen.idempotent),
            chosen.attachments,
            handler,
            self.version,
        )

    def layers(
        self, method: str, *, declared: Options = _NO_OPTIONS, given: Options = _NO_OPTIONS
    ) -> tuple[Layer, ...]:
        """The layers of options of a method, the strongest first."""
        live = self._live
        layers = () if live is None else live.layers(self.service, method)
        return stack(
            *layers,
            Layer(Level.CALL, "options(...)", given),
            Layer(Level.METHOD, "@method(...)", declared),
            *self._code,
        )

    def configure(self, live: LiveView) -> None:
        """Follow another configuration, from the next call on.

        Calls under way keep what they began with, rules included. What balancers know is kept.
        """
        rules = live.rules(self.service)
        self._live = live
        self._settled.clear()
        if rules != self._rules:
            self._rules = rules
            self._selections = Kept()
            self._handlers = Kept()
        for kept in (self._balances, self._selections, self._handlers):
            kept.turn()
        self.version += 1

    async def call(self, plan: Plan, arguments: Sequence[Value]) -> Result:
        """Make a call.

        Raises:
            EncodeError: an argument does not fit its type; nothing was sent.
            NoProvider: there is no provider; its text says why.
            DeadlineExceeded: the deadline passed.
            RpcError: the call failed; `progress` says whether the method may have run.
            Exception: what the method threw, where its class is declared.
        """
        deadline = Deadline(self._loop.time() + plan.timeout)
        serving = CURRENT.get()
        if serving is not None and serving.deadline is not None:
            deadline = deadline.sooner(serving.deadline)
        invocation = Invocation(
            self.service,
            plan.signature,
            arguments,
            deadline,
            plan.kind,
            plan.idempotent,
            dict(plan.attachments),
        )
        if self._observer is not None:
            return await self._observed(self._observer, plan, invocation)
        return await plan.handler(invocation)

    async def _observed(self, observer: Observer, plan: Plan, invocation: Invocation) -> Result:
        clock = self._loop.time
        report = CallReport(observer, invocation, self.directory.target, clock())
        invocation.report = report
        report.begin()
        try:
            result = await plan.handler(invocation)
        except BaseException as error:
            report.end(clock(), error)
            raise
        report.end(clock(), None, result.degraded)
        return result

    def _handler(self, chosen: Options, signature: Signature) -> Handler:
        retries = DEFAULT_RETRIES if chosen.retries is None else chosen.retries
        parameters = tuple(sorted(chosen.parameters.items()))
        scope = signature.name if has_rules(chosen.parameters) else ""
        key = (chosen.cluster, retries, chosen.loadbalance, parameters, scope)
        selection = self._selection(chosen, scope)  # asked for in any case: so it is kept, too
        handler = self._handlers.get(key)
        if handler is None:
            policy = make_policy(
                chosen.cluster or DEFAULT_CLUSTER, retries, chosen.parameters, self.background
            )
            handler = self._compose(policy, selection)
            self._handlers.put(key, handler)
        return handler

    def _selection(self, chosen: Options, scope: str) -> Selection:
        name = chosen.loadbalance or DEFAULT_LOADBALANCE
        key = (name, tuple(sorted(chosen.parameters.items())), scope)
        balance = self._balance or self._balances.get(key)  # in any case, so that it is kept
        selection = self._selections.get(key)
        if selection is None:
            if balance is None:
                balance = make_balance(name, self._rng, self._loop.time, chosen.parameters)
                self._balances.put(key, balance)
            rules = self._rules
            if rules is not None:
                balance = rules.weigh(balance)
            breaker = self.directory.breaker
            if scope:
                breaker = self.directory.make_breaker(read_rules(chosen.parameters))
            warmup = warmup_of(chosen.parameters)
            selection = Selection(self.directory, balance, self._all_routers(), breaker, warmup)
            self._selections.put(key, selection)
        return selection

    def _all_routers(self) -> tuple[Router, ...]:
        rules = self._rules
        return self._routers if rules is None else (*self._routers, *rules.routers)

    def route(self, routers: Sequence[Router]) -> None:
        """Use other routers from the next attempt on, also in calls that are under way."""
        self._routers = tuple(routers)
        for selection in self._selections:
            selection.route(self._all_routers())

    def _compose(self, policy: Cluster, selection: Selection) -> Handler:
        codec = self._codec
        loop = self._loop

        async def clustered(invocation: Invocation) -> Result:
            attempts = SelectedAttempts(invocation, selection, codec, loop)
            try:
                return await policy(invocation, attempts)
            except RpcError as error:
                attempts.explain(error)
                raise

        return compose(self._filters, clustered)


class Kept(Generic[K]):
    """What was made for a key, until two configurations in a row have not asked for it."""

    def __init__(self) -> None:
        self._now: dict[Hashable, K] = {}
        self._before: dict[Hashable, K] = {}

    def get(self, key: Hashable) -> K | None:
        """What is there."""
        found = self._now.get(key)
        if found is None and (found := self._before.pop(key, None)) is not None:
            self._now[key] = found
        return found

    def put(self, key: Hashable, value: K) -> None:
        """Keep what was made."""
        self._now[key] = value

    def turn(self) -> None:
        """Another configuration: forget what the last one did not ask for."""
        self._before, self._now = self._now, {}

    def __iter__(self) -> Iterator[K]:
        return iter((*self._now.values(), *self._before.values()))
