"""From a target to its resolver, and what resolvers share.

A `NamingContext` is what all targets of one consumer have in common: the credentials, the
one client of the API server, randomness and the clock. It is made without doing anything;
the HTTP client is imported and the credentials are read when the first Kubernetes target
is watched, so a consumer of static addresses pays for neither.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING, Literal, assert_never

from kubbo.errors import ConfigError
from kubbo.naming.static import StaticResolver
from kubbo.naming.target import DnsTarget, FailoverTarget, KubernetesTarget, StaticTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from kubbo.naming.kubernetes.client import ClusterClient
    from kubbo.naming.resolution import Resolver
    from kubbo.naming.target import Target

__all__ = ["NamingContext", "open_resolver"]


class NamingContext:
    """What the resolvers of one consumer share. Its owner closes it, after them.

    Attributes:
        environ: the environment that credentials and mapping are read from.
        namespace: the own namespace if it was given; empty is that of the credentials.
        namespaces: further ones whose Services may say what they provide.
        references: targets by service key, from the configuration.
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
        rng: random.Random | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Read nothing yet. `clock` gives loop time in seconds; the running loop's by default."""
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.namespace = namespace
        self.namespaces = tuple(namespaces)
        self.references: Mapping[str, str] = references or {}
        self.rng = rng or random.Random()  # noqa: S311 - spreads requests, guards nothing
        self.clock = clock
        self._kubeconfig = kubeconfig
        self._context = context
        self._cluster: ClusterClient | None = None
        self._opening = asyncio.Lock()
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

    async def cluster(self) -> ClusterClient:
        """The one client of the API server, opened by the first who asks.

        Cancel safe; the next caller opens it then.

        Raises:
            ConfigError: no credentials were found, or they cannot be used.
        """
        async with self._opening:
            if self._closed:
                raise ConfigError("this naming context is closed; open a new one")
            if self._cluster is None:
                self._cluster = await self._open_cluster()
            return self._cluster

    async def aclose(self) -> None:
        """Close the client. Resolvers that still watch find it closed."""
        async with self._opening:
            self._closed = True
            cluster, self._cluster = self._cluster, None
            if cluster is not None:
                await cluster.aclose()

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


def open_resolver(
    target: Target, context: NamingContext, *, protocol: Literal["dubbo", "tri"] = "dubbo"
) -> Resolver:
    """The resolver of a target. It does nothing until it is watched.

    `protocol` is what the consumer speaks: it decides the port of a Service when the target
    leaves it out.

    Raises:
        ConfigError: this kind of target is not supported yet.
    """
    match target:
        case KubernetesTarget():
            # The package behind it loads the HTTP client: see `NamingContext`.
            from kubbo.naming.kubernetes.resolver import KubernetesResolver  # noqa: PLC0415

            return KubernetesResolver(
                target,
                context.cluster,
                rng=context.rng,
                clock=context.clock,
                namespace=context.namespace,
                protocol=protocol,
            )
        case StaticTarget():
            return StaticResolver(target)
        case DnsTarget():
            raise ConfigError(
                f"DNS targets are not supported yet ({target}); "
                "use a kubernetes:/// or a static:/// target"
            )
        case FailoverTarget():
            raise ConfigError(
                f"failover between targets is not supported yet ({target}); use one of them alone"
            )
        case _:
            assert_never(target)
