"""The consumer: one channel an application, many references.

A channel owns what references share: the connections (one an address, whatever interfaces
are called over it), the directories (one a target), the client of the API server. All of
it belongs to the event loop in which the channel was entered, and ends with it.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self, TypedDict, TypeVar, cast
from weakref import WeakSet

from kubbo.cluster.background import Background
from kubbo.cluster.breaker import DEFAULT_RULES, BreakerRules
from kubbo.cluster.budget import DEFAULT_SHARE, RetryBudget
from kubbo.cluster.directory import Directory
from kubbo.cluster.merging import make_merger
from kubbo.cluster.subset import Subset
from kubbo.config import Options
from kubbo.config.layers import Layer, Level, merge, stack
from kubbo.errors import RpcError, UsageError
from kubbo.live.source import CONFIG_VARIABLE
from kubbo.model import ServiceKey
from kubbo.naming.mapped import MappedResolver
from kubbo.naming.open import NamingContext, asked_by, open_resolver
from kubbo.naming.target import parse_target
from kubbo.rpc.fallback import Fallback
from kubbo.rpc.generic import GenericReference
from kubbo.rpc.merged import MergedReference
from kubbo.rpc.reference import Reference
from kubbo.rpc.service import read_interface
from kubbo.rpc.stub import make_stub
from kubbo.transport.deadlines import Deadlines
from kubbo.transport.dialer import Dialers
from kubbo.wire.dubbo2 import Dubbo2Codec, Dubbo2Session, Role
from kubbo.wire.dubbo2.session import MAX_PAYLOAD_BYTES
from kubbo.wire.hessian2 import Limits, TypeRegistry

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from kubbo.cluster.balancers import LoadBalance
    from kubbo.cluster.merging import Merger
    from kubbo.cluster.routers import Router
    from kubbo.config import Parameter
    from kubbo.live.live import LiveConfiguration
    from kubbo.live.source import Source
    from kubbo.model import Value
    from kubbo.naming.resolution import Resolver
    from kubbo.observe import Observer
    from kubbo.rpc.fallback import Failure
    from kubbo.rpc.filters import Filter
    from kubbo.rpc.live import LiveView

__all__ = ["Channel", "GenericReference"]

T = TypeVar("T")


class ReferOptions(TypedDict, total=False):
    """What `Channel.refer` takes besides interface and target; see there."""

    timeout: float | None
    retries: int | None
    idempotent: bool | None
    attachments: Mapping[str, Value] | None
    cluster: str | None
    loadbalance: str | None
    actives: int | None
    mock: str | None
    parameters: Mapping[str, Parameter] | None
    filters: Sequence[Filter]
    routers: Sequence[Router]
    fallback: object
    fallback_on: Collection[Failure]
    merger: str | Merger


class Channel:
    """Refers to remote interfaces. Use it by `async with`.

    Args:
        timeout: seconds a call may take over all its attempts, where nothing more special
            is set; 1 by default.
        retries: further attempts of a call, where they are safe; 2 by default.
        idempotent: every method may be run twice, where nothing more special says otherwise: then
            calls are repeated as Dubbo repeats them.
        attachments: sent with every call.
        application: this application's name, which providers are told.
        naming: where targets are looked up: kubeconfig, context, namespace.
        filters: surround every call, the first one outermost.
        routers: which providers may take a call, in the order in which they narrow; see
            docs/routing.md.
        cluster: name of the policy; see `kubbo.cluster.policies`.
        loadbalance: name of the balancer, which chooses the member for an attempt.
        parameters: of policy and balancer, by Dubbo's names, like `forks` or `hash.arguments`.
        breaker: when providers that keep failing are left out; None for never.
        retry_budget: repeated attempts of a target for each call that goes well, 0.2 by default;
            see `kubbo.cluster.budget`.
        balance: a balancer of your own instead, which serves every reference.
        observer: is told every call and every update; see `kubbo.observe`.
        tls: for connections to providers; plain text without it.
        max_payload_bytes: the largest message, both ways.
        limits: on what an answer may hold.
        config: where the configuration is that may change while this runs: a file, a directory
            (a mounted ConfigMap), `configmap:///NAME.NAMESPACE` or a `kubbo.live.source.Source`
            of your own; see docs/configuration.md. Without it, what `KUBBO_CONFIG` names; the
            empty text is none at all.
        rng: for a run that shall be repeatable.

    Entering it raises ConfigError when the configuration is missing or cannot be used.

    Raises:
        ConfigError: a number is out of its range, or `config` names no source.
    """

    def __init__(
        self,
        *,
        timeout: float | None = None,
        retries: int | None = None,
        idempotent: bool | None = None,
        attachments: Mapping[str, Value] | None = None,
        application: str = "",
        naming: NamingContext | None = None,
        filters: Sequence[Filter] = (),
        routers: Sequence[Router] = (),
        cluster: str | None = None,
        loadbalance: str | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        retry_budget: float = DEFAULT_SHARE,
        breaker: BreakerRules | None = DEFAULT_RULES,
        balance: LoadBalance | None = None,
        tls: ssl.SSLContext | None = None,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        limits: Limits | None = None,
        observer: Observer | None = None,
        config: str | Path | Source | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._options = Options(
            timeout,
            retries,
            idempotent,
            attachments or {},
            cluster=cluster,
            loadbalance=loadbalance,
            parameters=parameters or {},
        )
        RetryBudget(retry_budget)
        self._retry_budget = retry_budget
        self._breaker = breaker
        self._observer = observer
        self._background = Background()
        self._application = application
        self._naming = naming or NamingContext()
        self._filters = tuple(filters)
        self._routers = tuple(routers)
        # Load is spread by chance and nothing is kept secret by it.
        self._rng = rng or random.Random()  # noqa: S311
        self._balance = balance
        self._tls = tls
        self._max_payload_bytes = max_payload_bytes
        self._limits = limits or Limits()
        self._directories: dict[tuple[str, int], Directory] = {}
        self._dialers: Dialers | None = None
        self._deadlines: Deadlines | None = None
        self._references: WeakSet[Reference] = WeakSet()
        self._view: LiveView | None = None
        self._live = self._open_config(config)

    async def __aenter__(self) -> Self:
        self._deadlines = Deadlines(asyncio.get_running_loop())
        self._dialers = Dialers(self._session, self._deadlines, self._rng, tls=self._tls)
        if self._live is not None:
            try:
                await self._live.start()
            except BaseException:
                await self.aclose()
                raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def _open_config(self, given: str | Path | Source | None) -> LiveConfiguration[LiveView] | None:
        environ = self._naming.environ
        name = environ.get(CONFIG_VARIABLE, "") if given is None else given
        if not name:
            return None
        # These load YAML and what reads it.
        from kubbo.live.live import LiveConfiguration  # noqa: PLC0415
        from kubbo.live.open import open_source  # noqa: PLC0415
        from kubbo.rpc.live import Viewer  # noqa: PLC0415

        viewer = Viewer(self._application, environ, self._rng)
        return LiveConfiguration(
            open_source(name, self._naming), prepare=viewer.view, apply=self._configure
        )

    @property
    def configuration(self) -> LiveConfiguration[LiveView] | None:
        """The configuration that is followed: what is in use, and why not what there is."""
        return self._live

    def _problem(self) -> str:
        return "" if self._live is None else self._live.problem

    def _configure(self, view: LiveView) -> None:
        self._view = view
        self._naming.configure(view.configuration.targets())
        for reference in self._references:
            reference.configure(view)

    def _session(self, now: float) -> Dubbo2Session:
        return Dubbo2Session(
            Role.CONSUMER,
            now=now,
            first_id=self._rng.getrandbits(63),
            max_payload_bytes=self._max_payload_bytes,
        )

    def refer(
        self,
        interface: Callable[..., T],
        target: str | None = None,
        *,
        timeout: float | None = None,
        retries: int | None = None,
        idempotent: bool | None = None,
        attachments: Mapping[str, Value] | None = None,
        cluster: str | None = None,
        loadbalance: str | None = None,
        actives: int | None = None,
        mock: str | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        filters: Sequence[Filter] = (),
        routers: Sequence[Router] = (),
        fallback: object = None,
        fallback_on: Collection[Failure] = (RpcError,),
        merger: str | Merger = "true",
    ) -> T:
        """An object whose methods call the providers of `interface`.

        It begins to look for providers at once; a call waits for them within its deadline.

        Args:
            interface: the class that `kubbo.service` declares. (Its hint is a callable
                because type checkers refuse a Protocol where a class is asked for.)
            target: where its providers are, like `kubernetes:///greeter.shop:dubbo`; without
                one it is found by the service key, as docs/naming.md says.
            timeout: seconds over all attempts; over the channel's, under the method's.
            retries: further attempts; likewise.
            idempotent: its methods may be run twice, where they do not say it themselves.
            attachments: sent with every call, over the channel's.
            cluster: see `Channel`.
            loadbalance: see `Channel`.
            actives: calls at once, of all its methods together; others wait.
            mock: a line that stands in for failures, like `return null`; see `kubbo.rpc.mock`.
            parameters: see `Channel`.
            filters: around the calls of this reference, within those of the channel.
            routers: for the calls of this reference, after those of the channel.
            fallback: an object with some of the interface's methods, which run instead of calls
                that fail.
            fallback_on: for which failures they do: exceptions, or codes.
            merger: with `cluster="mergeable"` and an interface of several groups (`a,b`): makes
                one value of theirs; a function, or a name, see `kubbo.cluster.merging`.

        Raises:
            UsageError: the class is no interface, or the channel was not entered.
            TargetError: the target does not follow the grammar.
        """
        read = read_interface(interface)
        given = Options(
            timeout,
            retries,
            idempotent,
            attachments or {},
            cluster=cluster,
            loadbalance=loadbalance,
            actives=actives,
            mock=mock,
            parameters=parameters or {},
        )
        degraded = None if fallback is None else Fallback(fallback, read, fallback_on)

        def refer(key: ServiceKey) -> Reference:
            return self._refer(
                key, target, read.registry, given, degraded, filters=filters, routers=routers
            )

        # The stub has the methods of the interface, made from it a line ago.
        return cast("T", make_stub(read, self._grouped(read.key, given, merger, refer)))

    def _grouped(
        self,
        key: ServiceKey,
        given: Options,
        merger: str | Merger,
        refer: Callable[[ServiceKey], Reference],
    ) -> Reference | MergedReference:
        """A reference, or for several groups one that merges those of each."""
        groups = key.group.split(",")
        if len(groups) == 1 and key.group != "*":
            return refer(key)
        if "*" in groups:
            raise UsageError(f"{key}: no registry lists the groups; name them, like group='a,b'")
        if (given.cluster or self._options.cluster) != "mergeable":
            raise UsageError(f"{key} names several groups; that needs cluster='mergeable'")
        each = [replace(key, group=group.strip()) for group in groups]
        merge = merger if callable(merger) else make_merger(merger)
        return MergedReference(key, [refer(one) for one in each], merge)

    def generic(
        self,
        service: str | ServiceKey,
        target: str | None = None,
        *,
        types: Sequence[type] = (),
        generic: str | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        attachments: Mapping[str, Value] | None = None,
        routers: Sequence[Router] = (),
    ) -> GenericReference:
        """Call an interface that has no Python class; objects are records.

        Args:
            service: its service key, `group/com.example.OrderService:1.0.0`.
            target: see `refer`.
            types: classes marked by `kubbo.pojo` that come as themselves.
            generic: "true" or "bean" to have every call go through `$invoke` in that form; see
                `GenericReference.call` for what happens otherwise.
            timeout: see `refer`.
            retries: see `refer`.
            attachments: see `refer`.
            routers: see `refer`.

        Raises:
            TargetError: the service key or the target does not follow the grammar.
            UsageError: the channel was not entered, or there is no such generic form.
        """
        key = ServiceKey.parse(service) if isinstance(service, str) else service
        registry = TypeRegistry(types)
        given = Options(timeout, retries, None, attachments or {})
        reference = self._refer(key, target, registry, given, routers=routers)
        return GenericReference(reference, registry, generic=generic, typed=bool(types))

    def _refer(
        self,
        key: ServiceKey,
        target: str | None,
        registry: TypeRegistry,
        given: Options,
        fallback: Fallback | None = None,
        *,
        filters: Sequence[Filter] = (),
        routers: Sequence[Router] = (),
    ) -> Reference:
        code = (
            Layer(Level.INTERFACE, "refer(...)", given),
            Layer(Level.APPLICATION, "Channel(...)", self._options),
        )
        live = () if self._view is None else self._view.layers(key, "")
        subset = Subset.of(merge(stack(*live, *code)).parameters)
        reference = Reference(
            key,
            self._directory(key, target, subset),
            Dubbo2Codec(registry, limits=self._limits, application=self._application),
            registry=registry,
            code=code,
            live=self._view,
            problem=self._problem,
            rng=self._rng,
            background=self._background,
            balance=self._balance,
            filters=(*self._filters, *filters),
            routers=(*self._routers, *routers),
            fallback=fallback,
            observer=self._observer,
        )
        self._references.add(reference)
        return reference

    def _directory(self, key: ServiceKey, target: str | None, subset: Subset) -> Directory:
        if self._dialers is None:
            raise UsageError('enter the channel first: "async with kubbo.Channel() as channel:"')
        parsed = None if target is None else parse_target(target)
        name = str(key if parsed is None else parsed)
        # Who wants another share of the same target has a view of its own.
        directory = self._directories.get((name, subset.size))
        if directory is None:
            resolver: Resolver = (
                MappedResolver(key, self._naming)
                if parsed is None
                else open_resolver(parsed, self._naming)
            )
            directory = Directory(
                name,
                resolver,
                self._dialers,
                budget=RetryBudget(self._retry_budget),
                breaker=self._breaker,
                observer=self._observer,
                subset=subset,
                asked=partial(asked_by, parsed, self._naming),
            )
            self._directories[name, subset.size] = directory
            directory.start()
        return directory

    async def aclose(self) -> None:
        """Close every watch and connection. Calls in flight fail with UNAVAILABLE."""
        if self._live is not None:
            await self._live.aclose()
        await self._background.aclose()
        directories = list(self._directories.values())
        self._directories.clear()
        for directory in directories:
            await directory.aclose()
        if self._dialers is not None and self._deadlines is not None:
            await self._dialers.aclose()
            self._deadlines.close()
            self._dialers = None
        await self._naming.aclose()
