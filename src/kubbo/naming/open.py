"""From a target to its resolver, and what resolvers share.

A `NamingContext` is what all targets of one consumer have in common: the credentials, the
one client of the API server, randomness and the clock. It is made without doing anything;
the HTTP client and the DNS library are imported, and credentials read, when the first target
needs them, so a consumer of static addresses pays for none of it.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, assert_never

from kubbo.errors import ConfigError
from kubbo.naming.chain import Failover
from kubbo.naming.fallback import PATIENT, FallbackResolver, in_pod
from kubbo.naming.lasting import LastingResolver
from kubbo.naming.static import StaticResolver
from kubbo.naming.target import (
    DnsTarget,
    FailoverTarget,
    KubernetesTarget,
    StaticTarget,
    parse_target,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Self

    from kubbo.naming.dns.lookup import Lookup
    from kubbo.naming.dns.resolver import DnsResolver
    from kubbo.naming.kubernetes.client import ClusterClient
    from kubbo.naming.kubernetes.services import ClusterServices
    from kubbo.naming.kubernetes.watches import Watches
    from kubbo.naming.resolution import Resolver
    from kubbo.naming.target import Target

__all__ = ["SNAPSHOT_VARIABLE", "NamingContext", "asked_by", "open_resolver"]

SNAPSHOT_VARIABLE: Final = "KUBBO_SNAPSHOT_DIR"
"""The directory of snapshots, where the code names none."""

_DAY: Final = 86_400.0


@dataclass(slots=True)
class _Shared:
    """What the resolvers of a context share in one process: locks, sockets, watches of its loop."""

    pid: int = field(default_factory=os.getpid)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    cluster: ClusterClient | None = None
    watches: Watches | None = None
    services: ClusterServices | None = None
    dns: dict[DnsTarget, tuple[Lookup, DnsResolver]] = field(
        default_factory=dict[DnsTarget, "tuple[Lookup, DnsResolver]"]
    )


_PARENTS: list[_Shared] = []
"""What a forked child has of its parent's: collected, it would close what the parent uses."""


class NamingContext:
    """What the resolvers of one consumer share. Its owner closes it, after them.

    Attributes:
        environ: the environment that credentials and mapping are read from.
        namespace: the own namespace if it was given; empty is that of the credentials.
        namespaces: further ones whose Services may say what they provide.
        references: targets by service key, from the configuration.
        subscribers: are called when the references have changed.
        family: of the addresses of a pod or a name that has both; None: IPv4.
        snapshot_directory: where last views are kept on disk; None: they are not.
    """

    def __init__(
        self,
        *,
        kubeconfig: str | Path | None = None,
        context: str = "",
        namespace: str = "",
        namespaces: Sequence[str] = (),
        references: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        nameservers: Sequence[str] = (),
        resolv_conf: str | Path = "/etc/resolv.conf",
        failover: Failover | Mapping[str, Failover] | None = None,
        snapshot_directory: str | Path | None = None,
        snapshot_age: float = _DAY,
        fold_above: int = 8,
        family: Literal["IPv4", "IPv6"] | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            kubeconfig: instead of the file that the environment names.
            context: a context of it.
            namespace: see above.
            namespaces: see above.
            references: see above.
            environ: see above.
            nameservers: asked instead of those of `resolv_conf`; `ADDRESS` or `ADDRESS:PORT`.
            resolv_conf: where name servers, search domains and ndots are read.
            failover: when `A | B`, or a Kubernetes target in a pod, goes on and comes back; a
                mapping has one for each target that is not to have the defaults, by its text.
            snapshot_directory: see above; without it, `KUBBO_SNAPSHOT_DIR` of the environment.
            snapshot_age: seconds after which a snapshot is too old to be used.
            fold_above: Services of one namespace that have a watch each; when there are more,
                one watch of the whole namespace serves them all, until half are left.
            family: which address of a pod, or of a name in DNS, that has both is called; IPv4
                unless told otherwise.
            rng: spreads requests.
            clock: gives loop time in seconds; the running loop's by default.

        Raises:
            TargetError: a key of `failover` is no target.
            ConfigError: `fold_above` is negative, or a key of `failover` is the target of one
                source, for which the options would do nothing.
        """
        if fold_above < 0:
            raise ConfigError(f"fold_above is a number of Services from 0 on, not {fold_above}")
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.namespace = namespace
        self.namespaces = tuple(namespaces)
        self._given_references: Mapping[str, str] = references or {}
        self.references: Mapping[str, str] = self._given_references
        self.subscribers: set[Callable[[], None]] = set()
        self.rng = rng or random.Random()  # noqa: S311 - spreads requests, guards nothing
        self.clock = clock
        self.nameservers = tuple(nameservers)
        self.resolv_conf = resolv_conf
        given = snapshot_directory or self.environ.get(SNAPSHOT_VARIABLE) or None
        self.snapshot_directory = None if given is None else Path(given).expanduser()
        self.snapshot_age = snapshot_age
        self._failover = failover if isinstance(failover, Failover) else None
        self._failover_of = (
            {str(_chain(text)): one for text, one in failover.items()}
            if isinstance(failover, Mapping)
            else {}
        )
        self._kubeconfig = kubeconfig
        self._context = context
        self.family: Literal["IPv4", "IPv6"] | None = family
        self._fold_above = fold_above
        self._shared = _Shared()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def failover(self, target: Target) -> Failover:
        """When a failover target goes on, and when it comes back."""
        given = self._failover_of.get(str(target), self._failover)
        if given is not None:
            return given
        return PATIENT if isinstance(target, KubernetesTarget) else Failover()

    @property
    def in_pod(self) -> bool:
        """Whether it is a pod's own cluster that is asked: see `fallback`."""
        return not self._kubeconfig and not self._context and in_pod(self.environ)

    def configure(self, references: Mapping[str, str]) -> None:
        """Take other targets by service key; they win over those that were given to the context.

        Whoever resolves a key that leads elsewhere now goes there.
        """
        merged = {**self._given_references, **references}
        if merged != self.references:
            self.references = merged
            for subscriber in tuple(self.subscribers):
                subscriber()

    async def cluster(self) -> ClusterClient:
        """The one client of the API server, opened by the first who asks.

        Cancel safe; the next caller opens it then.

        Raises:
            ConfigError: no credentials were found, or they cannot be used.
        """
        here = self._here()
        async with here.opening:
            if self._closed:
                raise ConfigError("this naming context is closed; open a new one")
            if here.cluster is None:
                here.cluster = await self._open_cluster()
            return here.cluster

    @property
    def source(self) -> str:
        """Where the credentials come from, for messages; empty before they were needed."""
        cluster = self._here().cluster
        return "" if cluster is None else cluster.access.source

    def watches(self) -> Watches:
        """The watches that the Kubernetes targets share."""
        here = self._here()
        if here.watches is None:
            # It loads the HTTP client.
            from kubbo.naming.kubernetes.watches import Watches  # noqa: PLC0415

            here.watches = Watches(rng=self.rng, clock=self.clock, fold_above=self._fold_above)
        return here.watches

    def dns(self, target: DnsTarget) -> tuple[Lookup, DnsResolver]:
        """The one lookup of a target and its resolver, which all references to it share.

        Raises:
            ConfigError: a name server of the context is no address.
        """
        here = self._here()
        if target not in here.dns:
            # These load dnspython.
            from kubbo.naming.dns.lookup import Lookup  # noqa: PLC0415
            from kubbo.naming.dns.resolver import DnsResolver  # noqa: PLC0415

            look = Lookup(
                target,
                nameservers=self.nameservers,
                resolv_conf=self.resolv_conf,
                family=self.family,
            )
            resolver = DnsResolver(target, look, rng=self.rng, clock=self.clock)
            here.dns[target] = look, resolver
        return here.dns[target]

    def services(self) -> ClusterServices:
        """The Services of the cluster, as all mappings of service keys see them."""
        here = self._here()
        if here.services is None:
            # It loads the HTTP client.
            from kubbo.naming.kubernetes.services import ClusterServices  # noqa: PLC0415

            here.services = ClusterServices(
                self.cluster,
                namespace=self.namespace,
                others=self.namespaces,
                clock=self.clock,
            )
        return here.services

    async def aclose(self) -> None:
        """Close the client. Resolvers that still watch find it closed."""
        here = self._here()
        async with here.opening:
            self._closed = True
            cluster, here.cluster = here.cluster, None
            if cluster is not None:
                await cluster.aclose()

    def _here(self) -> _Shared:
        """What this process shares, made anew after a fork."""
        if self._shared.pid != os.getpid():
            _PARENTS.append(self._shared)
            self._shared = _Shared()
        return self._shared

    async def _open_cluster(self) -> ClusterClient:
        # Imported by the first who needs them: 0.2 s of CPU that others don't spend.
        from kubbo.naming.kubernetes.client import ClusterClient  # noqa: PLC0415
        from kubbo.naming.kubernetes.credentials import load_access  # noqa: PLC0415

        access = await asyncio.to_thread(
            load_access,
            kubeconfig=self._kubeconfig,
            context=self._context,
            environ=self.environ,
        )
        return ClusterClient(access)


def _chain(text: str) -> FailoverTarget | KubernetesTarget:
    target = parse_target(text)
    if not isinstance(target, FailoverTarget | KubernetesTarget):
        raise ConfigError(
            f"the failover options for {text!r} do nothing: this is one source. They are for the "
            "whole text of a target with several, like 'A | B', or of one Kubernetes Service"
        )
    return target


def open_resolver(
    target: Target, context: NamingContext, *, protocol: Literal["dubbo", "tri"] = "dubbo"
) -> Resolver:
    """The resolver of a target. It does nothing until it is watched.

    `protocol` is what the consumer speaks: it decides the port of a Service when the target
    leaves it out.

    Raises:
        ConfigError: a name server of the context is no address.
    """
    match target:
        case KubernetesTarget():
            options = context.failover(target)
            first = _open_source(target, context, protocol)
            if not (options.default_chain and context.in_pod):
                return first
            return FallbackResolver(
                target,
                first,
                lambda one: _open_source(one, context, protocol),
                protocol=protocol,
                namespace=context.namespace,
                resolv_conf=context.resolv_conf,
                environ=context.environ,
                options=options,
                clock=context.clock,
            )
        case FailoverTarget():
            from kubbo.naming.failover import FailoverResolver  # noqa: PLC0415 - few need it

            return FailoverResolver(
                [(str(one), _open_source(one, context, protocol)) for one in target.targets],
                context.failover(target),
                clock=context.clock,
            )
        case _:
            return _open_source(target, context, protocol)


def _open_source(
    target: KubernetesTarget | DnsTarget | StaticTarget,
    context: NamingContext,
    protocol: Literal["dubbo", "tri"],
) -> Resolver:
    """The resolver of one source, which is begun again should it raise."""
    match target:
        case KubernetesTarget():
            resolver = _open_kubernetes(target, context, protocol)
        case DnsTarget():
            resolver = _open_dns(target, context)
        case StaticTarget():
            return StaticResolver(target)
        case _:
            assert_never(target)
    return LastingResolver(resolver, rng=context.rng, clock=context.clock)


def asked_by(target: Target | None, context: NamingContext) -> str:
    """Whom the resolver of a target asks, for messages; empty where it asks nobody.

    Without a target it is that of a service key.
    """
    match target:
        case None | KubernetesTarget():
            source = context.source
            return f"the API server (asked with {source})" if source else "the API server"
        case DnsTarget():
            return f"the name server ({', '.join(context.nameservers) or context.resolv_conf})"
        case StaticTarget():
            return ""
        case FailoverTarget(targets):
            return ", ".join(filter(None, dict.fromkeys(asked_by(one, context) for one in targets)))
        case _:
            assert_never(target)


def _open_kubernetes(
    target: KubernetesTarget, context: NamingContext, protocol: Literal["dubbo", "tri"]
) -> Resolver:
    # The package behind it loads the HTTP client: see `NamingContext`.
    from kubbo.naming.kubernetes.resolver import KubernetesResolver  # noqa: PLC0415

    async def source() -> str:
        access = (await context.cluster()).access
        namespace = target.namespace or context.namespace or access.namespace
        return f"{access.server} {namespace} {protocol} {context.family or 'IPv4'}"

    resolver = KubernetesResolver(
        target,
        context.cluster,
        rng=context.rng,
        clock=context.clock,
        namespace=context.namespace,
        protocol=protocol,
        family=context.family,
        watches=context.watches(),
    )
    return _with_snapshot(resolver, target, context, source)


def _open_dns(target: DnsTarget, context: NamingContext) -> Resolver:
    look, resolver = context.dns(target)
    return _with_snapshot(resolver, target, context, look.identity)


def _with_snapshot(
    resolver: Resolver,
    target: Target,
    context: NamingContext,
    source: Callable[[], Awaitable[str]],
) -> Resolver:
    directory = context.snapshot_directory
    if directory is None:
        return resolver
    from kubbo.naming.snapshot import SnapshotFile, SnapshotResolver  # noqa: PLC0415 - msgspec

    async def open_file() -> SnapshotFile:
        return SnapshotFile(
            directory, str(target), await source(), longest_age=context.snapshot_age
        )

    return SnapshotResolver(resolver, open_file, clock=context.clock)
