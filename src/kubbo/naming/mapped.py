"""A resolver for a service key: finds its target first, and then is that target's resolver.

The mapping may need the cluster, so it happens when the resolver is watched, not when a
reference is made. A key that leads nowhere is looked up again every few seconds: the
consumer may simply have started before its provider's Service was created.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from kubbo.errors import ConfigError, TargetError
from kubbo.model import Step
from kubbo.naming.mapping import MappingError, map_service_key
from kubbo.naming.open import open_resolver
from kubbo.naming.resolution import Absent, Failed, Pending, hint_refresh

if TYPE_CHECKING:
    from kubbo.model import ServiceKey
    from kubbo.naming.mapping import Mapping, MappingStep, ProviderService, ServiceLookup
    from kubbo.naming.open import NamingContext
    from kubbo.naming.resolution import Publish, Resolution, Resolver
    from kubbo.naming.target import Target

__all__ = ["MappedResolver", "map_in_context"]

_SHORTEST, _LONGEST = 5.0, 15.0  # seconds until a key that leads nowhere is looked up again


async def map_in_context(
    key: ServiceKey, context: NamingContext, *, explicit: str | Target | None = None
) -> Mapping:
    """Map a service key with what a context knows: its environment, references and cluster.

    Raises:
        MappingError: nothing leads to a target, or two things contradict each other.
        TargetError: an entry of `KUBBO_TARGETS` does not follow the grammar.
        ConfigError: `KUBBO_SERVICE_NAME` cannot be used.
    """
    return await map_service_key(
        key,
        explicit=explicit,
        environ=context.environ,
        references=context.references,
        services=_LazyServices(context),
        namespace=context.namespace,
    )


class _LazyServices:
    """Asks the cluster, and loads what that needs, only when no other source knew the key."""

    def __init__(self, context: NamingContext) -> None:
        self._context = context
        self._services: ServiceLookup | None = None

    @property
    def _lookup(self) -> ServiceLookup:
        if self._services is None:
            # The package behind it loads the HTTP client: see `NamingContext`.
            from kubbo.naming.kubernetes.services import ClusterServices  # noqa: PLC0415

            self._services = ClusterServices(
                self._context.cluster,
                namespace=self._context.namespace,
                others=self._context.namespaces,
            )
        return self._services

    async def providers(self) -> list[ProviderService]:
        return list(await self._lookup.providers())

    async def service(self, namespace: str, name: str) -> ProviderService | None:
        return await self._lookup.service(namespace, name)


class MappedResolver:
    """Publishes what the resolver of a service key's target publishes."""

    def __init__(
        self,
        key: ServiceKey,
        context: NamingContext,
        *,
        protocol: Literal["dubbo", "tri"] = "dubbo",
    ) -> None:
        self._key = key
        self._context = context
        self._protocol: Literal["dubbo", "tri"] = protocol
        self._inside: Resolver | None = None

    def __repr__(self) -> str:
        return f"MappedResolver({str(self._key)!r})"

    def refresh(self) -> None:
        """A provider cannot be connected: pass it on."""
        if self._inside is not None:
            hint_refresh(self._inside)

    async def watch(self, publish: Publish, /) -> None:
        """Find the target, then publish what is found there, until cancelled."""
        told: Resolution = Pending()

        def tell(resolution: Resolution) -> None:
            nonlocal told
            if not (isinstance(told, Pending) and isinstance(resolution, Pending)):
                told = resolution
                publish(resolution)

        publish(told)
        mapping = await self._map(tell)
        if mapping is None:
            return
        try:
            resolver = open_resolver(mapping.target, self._context, protocol=self._protocol)
        except ConfigError as error:
            publish(Failed(error, (self._step(mapping.steps),)))
            return
        winner = mapping.steps[-1]
        step = Step("naming", None, f"{self._key} -> {mapping.target} ({winner.source})")

        def publish_mapped(resolution: Resolution) -> None:
            tell(_with_naming(resolution, step, str(mapping.target)))

        self._inside = resolver
        try:
            await resolver.watch(publish_mapped)
        finally:
            self._inside = None

    async def _map(self, publish: Publish) -> Mapping | None:
        told = ""
        while True:
            try:
                return await map_in_context(self._key, self._context)
            except MappingError as error:
                step = self._step(error.steps)
                if str(error) != told:
                    told = str(error)
                    publish(
                        Failed(error, (step,))
                        if error.contradiction
                        else Absent(told, steps=(step,))
                    )
            except (TargetError, ConfigError) as error:  # the environment, which stays as it is
                publish(Failed(error, (Step("naming", None, str(self._key)),)))
                return None
            await asyncio.sleep(self._context.rng.uniform(_SHORTEST, _LONGEST))

    def _step(self, steps: tuple[MappingStep, ...]) -> Step:
        tried = ", ".join(dict.fromkeys(step.source for step in steps))
        return Step("naming", 0, f"{self._key}; tried {tried}")


def _with_naming(resolution: Resolution, step: Step, target: str) -> Resolution:
    """A resolution whose funnel begins at the service key.

    What naming itself has to say stays: which of several sources it is, how old a view.
    """
    if isinstance(resolution, Pending):
        return resolution
    rest = tuple(one for one in resolution.steps if one.name != "naming" or one.note != target)
    return replace(resolution, steps=(step, *rest))
