"""A resolver for a service key: finds its target first, and then is that target's resolver.

The mapping may need the cluster, so it happens when the resolver is watched, not when a
reference is made. A key that leads nowhere is looked up again every few seconds: the
consumer may simply have started before its provider's Service was created.

A target that the cluster gave (an annotation, or the rule) is followed: the mapping is done again
every few minutes, sooner while the target has no provider. What it gives now replaces the target
once it has members, or the old one has none; until then both are watched. A mapping is replaced
by another one, never by none: while a target has providers, an annotation that has gone, or
two that contradict each other, are told in the log and change nothing.

When the references of the configuration change, every key is mapped again at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from kubbo.errors import ConfigError
from kubbo.model import Step
from kubbo.naming.mapping import MappingError, map_service_key
from kubbo.naming.open import open_resolver
from kubbo.naming.resolution import Absent, Failed, Members, Pending, hint_refresh

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.model import ServiceKey
    from kubbo.naming.mapping import Mapping, MappingStep, Providers, ProviderService, ServiceLookup
    from kubbo.naming.open import NamingContext
    from kubbo.naming.resolution import Publish, Resolution, Resolver
    from kubbo.naming.target import Target

__all__ = ["MappedResolver", "map_in_context"]

_log = logging.getLogger("kubbo.naming")

_SHORTEST, _LONGEST = 5.0, 15.0  # seconds until a key that leads nowhere is looked up again
_FOLLOW = (120.0, 240.0)  # seconds until the mapping of a key whose target is well is done again
_FOLLOW_LOST = (15.0, 30.0)  # likewise, while the target has no provider
_FOLLOW_UNSEEN = (600.0, 1200.0)  # likewise, while the cluster tells nothing of Services
_RECENT = 60.0  # seconds for which what one key asked will do for the others
_FROM_CLUSTER = frozenset({"attribute", "rule"})


async def map_in_context(
    key: ServiceKey,
    context: NamingContext,
    *,
    explicit: str | Target | None = None,
    recent: float = 0.0,
    services: ServiceLookup | None = None,
) -> Mapping:
    """Map a service key with what a context knows: its environment, references and cluster.

    The list of providers may be `recent` seconds old. `services` is asked instead of the
    context's cluster.

    Raises:
        MappingError: nothing leads to a target, two things contradict each other, or what the
            environment says cannot be used.
    """
    return await map_service_key(
        key,
        explicit=explicit,
        environ=context.environ,
        references=context.references,
        services=services or _LazyServices(context, recent),
        namespace=context.namespace,
    )


class _LazyServices:
    """Asks the cluster, and loads what that needs, only when no other source knew the key."""

    def __init__(self, context: NamingContext, recent: float) -> None:
        self._context = context
        self._recent = recent

    async def providers(self) -> Providers:
        return await self._context.services().providers(recent=self._recent)

    async def service(self, namespace: str, name: str) -> ProviderService | None:
        return await self._context.services().service(namespace, name)


class _Source:
    """A target that is watched: what it said last, under the name of the mapping."""

    def __init__(
        self,
        mapping: Mapping,
        resolver: Resolver,
        publish: Callable[[_Source], None],
        ended: Callable[[], None],
    ) -> None:
        winner = mapping.steps[-1]
        self.mapping = mapping
        self.resolver = resolver
        self.said: Resolution = Pending()
        self._step = Step("naming", None, f"{mapping.key} -> {mapping.target} ({winner.source})")
        self._publish = publish
        self._over = False
        self.task = asyncio.create_task(resolver.watch(self._receive), name=f"kubbo {mapping.key}")
        self.task.add_done_callback(lambda _: ended())

    def __str__(self) -> str:
        return str(self.mapping.target)

    @property
    def lost(self) -> bool:
        """Whether it is known to have nobody."""
        return isinstance(self.said, Absent | Failed)

    def _receive(self, resolution: Resolution) -> None:
        if not self._over:
            self.said = _with_naming(resolution, self._step, str(self.mapping.target))
            self._publish(self)

    async def end(self) -> None:
        self._over = True
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


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
        self._current: _Source | None = None
        self._warned = ""

    def __repr__(self) -> str:
        return f"MappedResolver({str(self._key)!r})"

    def refresh(self) -> None:
        """A provider cannot be connected: pass it on."""
        if self._current is not None:
            hint_refresh(self._current.resolver)

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
        try:
            resolver = self._open(mapping)
        except ConfigError as error:
            tell(Failed(error, (self._step(mapping.steps),)))
            return
        await self._follow(mapping, resolver, tell)

    def _open(self, mapping: Mapping) -> Resolver:
        return open_resolver(mapping.target, self._context, protocol=self._protocol)

    async def _follow(self, mapping: Mapping, resolver: Resolver, publish: Publish) -> None:
        """Publish what a target has, and what follows it when the mapping changes."""
        now = self._context.clock or asyncio.get_running_loop().time
        changed = asyncio.Event()

        def tell(source: _Source) -> None:
            if source is self._current:
                publish(source.said)
            changed.set()

        current = self._current = _Source(mapping, resolver, tell, changed.set)
        coming: _Source | None = None
        due = now() + self._pace(current)
        lost = False

        def look_again() -> None:
            nonlocal due
            due = now()
            changed.set()

        self._context.subscribers.add(look_again)
        try:
            while True:
                if coming is not None and _replaces(coming, current):
                    await current.end()
                    current, coming = coming, None
                    self._current = current
                    publish(current.said)
                if current.lost and not lost:
                    due = min(due, now() + self._pace(current))
                lost = current.lost
                changed.clear()
                try:
                    async with asyncio.timeout(None if due == math.inf else max(0.0, due - now())):
                        await changed.wait()
                except TimeoutError:
                    asked = self._context.references
                    found = await self._map_again(current)
                    moved = self._context.references is not asked
                    due = now() + (0.0 if moved else self._pace(current))
                    if found is not None and found.target != (coming or current).mapping.target:
                        coming = await self._change(found, current, coming, tell, changed.set)
                if current.task.done():
                    # It has said all that it has to say; the references may still change.
                    current.task.result()
                if coming is not None and coming.task.done():
                    coming.task.result()
                    if isinstance(coming.said, Pending):
                        coming = None
        finally:
            self._context.subscribers.discard(look_again)
            self._current = None
            for source in (current, coming):
                if source is not None:
                    await source.end()

    async def _change(
        self,
        found: Mapping,
        current: _Source,
        coming: _Source | None,
        tell: Callable[[_Source], None],
        ended: Callable[[], None],
    ) -> _Source | None:
        """Watch another target beside the current one, or drop it if the old one is right again."""
        if coming is not None:
            await coming.end()
        if found.target == current.mapping.target:
            return None
        _log.info("%s leads to %s now, and led to %s", self._key, found.target, current)
        return _Source(found, self._open(found), tell, ended)

    def _pace(self, current: _Source) -> float:
        """Seconds until the mapping is done again."""
        if current.mapping.steps[-1].source not in _FROM_CLUSTER:
            return math.inf
        pace = _FOLLOW_LOST if current.lost else _FOLLOW
        if not (current.lost or current.mapping.seen):
            pace = _FOLLOW_UNSEEN
        return self._context.rng.uniform(*pace)

    async def _map_again(self, current: _Source) -> Mapping | None:
        """The mapping of now, None where it is no reason to leave what is in use."""
        try:
            found = await map_in_context(
                self._key, self._context, recent=0.0 if current.lost else _RECENT
            )
        except MappingError as error:
            told = str(error).partition("\n")[0]
            if told != self._warned:
                self._warned = told
                _log.warning("%s goes on being called at %s: %s", self._key, current, told)
            return None
        self._warned = ""
        # A guess of one who could not ask does not outweigh what was seen. A claim that was found
        # although a namespace before it could not be read is more than another guess.
        guess = current.mapping.seen or found.steps[-1].source != "attribute"
        return None if guess and not found.seen else found

    async def _map(self, publish: Publish) -> Mapping:
        told = ""
        changed = asyncio.Event()
        self._context.subscribers.add(changed.set)
        try:
            while True:
                changed.clear()
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
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._context.rng.uniform(_SHORTEST, _LONGEST)):
                        await changed.wait()
        finally:
            self._context.subscribers.discard(changed.set)

    def _step(self, steps: tuple[MappingStep, ...]) -> Step:
        tried = ", ".join(dict.fromkeys(step.source for step in steps))
        return Step("naming", 0, f"{self._key}; tried {tried}")


def _replaces(coming: _Source, current: _Source) -> bool:
    """Whether a new target takes over: it has members, or there is nothing to lose."""
    if isinstance(coming.said, Pending):
        return False
    return isinstance(coming.said, Members) or current.lost


def _with_naming(resolution: Resolution, step: Step, target: str) -> Resolution:
    """A resolution whose funnel begins at the service key.

    What naming itself has to say stays: which of several sources it is, how old a view.
    """
    if isinstance(resolution, Pending):
        return resolution
    rest = tuple(one for one in resolution.steps if one.name != "naming" or one.note != target)
    return replace(resolution, steps=(step, *rest))
