"""Drives a reflector: performs its actions and reports what came of them.

One task does it: a list, a watch or a wait, whatever the reflector wants next. What the view says
and who wants to know is others' business; they are told, in the same turn of the loop, whenever
something has been received.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.client import ENDPOINT_SLICES, ApiError
from kubbo.naming.kubernetes.presence import Probe
from kubbo.naming.kubernetes.reflector import Action, Ended, Event, Failure, List, Opened, Wait

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Callable
    from typing import NoReturn

    from kubbo.naming.kubernetes.client import ClusterClient, Resource, WatchStream
    from kubbo.naming.kubernetes.objects import ConfigMap, EndpointSlice, Pod, Service
    from kubbo.naming.kubernetes.reflector import Reflector, Watch

__all__ = ["View", "drive", "drive_collection"]

T = TypeVar("T", bound="EndpointSlice | Service | Pod | ConfigMap")

_PROBE_IN_TIME = 1.0  # seconds; who takes longer has not been there until then
_PROBE_PAUSES = {  # seconds between two probes, by what the last one found
    Probe.AWAY: (0.2, 0.4),
    Probe.UNREADY: (0.5, 1.5),
    Probe.READY: (2.0, 4.0),
}


class View(Protocol[T]):
    """What a driver keeps up: a reflector, and whoever follows what it makes of events."""

    @property
    def reflector(self) -> Reflector[T]:
        """Says what to do next."""
        ...

    def receive(self, event: Event[T], now: float) -> Action | None:
        """Tell the reflector what happened."""
        ...


async def drive(
    view: View[EndpointSlice],
    client: ClusterClient,
    namespace: str,
    selector: str,
    *,
    rng: random.Random,
    clock: Callable[[], float],
    tell: Callable[[], None],
) -> NoReturn:
    """Keep a view of the slices that a label selector finds, until cancelled. See below."""
    await drive_collection(
        view,
        client,
        ENDPOINT_SLICES,
        namespace,
        label_selector=selector,
        rng=rng,
        clock=clock,
        tell=tell,
    )


async def drive_collection(
    view: View[T],
    client: ClusterClient,
    resource: Resource[T],
    namespace: str,
    *,
    label_selector: str = "",
    field_selector: str = "",
    rng: random.Random,
    clock: Callable[[], float],
    tell: Callable[[], None],
) -> NoReturn:
    """Keep a view of the objects that the selectors find, until cancelled.

    `tell` is called whenever the view or its health may have changed; it must not raise.
    """
    selectors = (label_selector, field_selector)
    await _Drive(
        view, client, resource, namespace, selectors, rng=rng, clock=clock, tell=tell
    ).run()


class _Drive(Generic[T]):
    def __init__(
        self,
        view: View[T],
        client: ClusterClient,
        resource: Resource[T],
        namespace: str,
        selectors: tuple[str, str],
        *,
        rng: random.Random,
        clock: Callable[[], float],
        tell: Callable[[], None],
    ) -> None:
        self._view = view
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._labels, self._fields = selectors
        self._rng = rng
        self._now = clock
        self._tell = tell

    async def run(self) -> NoReturn:
        action = self._view.reflector.start(self._now())
        while True:
            match action:
                case List():
                    action = await self._list(action)
                case Wait():
                    action = await self._wait(action)
                case _:
                    action = await self._watch(action)
            self._tell()

    async def _list(self, action: List) -> Action:
        event: Event[T]
        try:
            event = await self._client.list_page(
                self._resource,
                self._namespace,
                label_selector=self._labels,
                field_selector=self._fields,
                resource_version=action.resource_version,
                continue_token=action.continue_token,
                limit=action.limit,
                within=action.within,
            )
        except (ApiError, ConfigError) as error:
            event = _failure(error)
        following = self._view.receive(event, self._now())
        assert following is not None  # whatever came of a list, something is to be done
        return following

    async def _wait(self, action: Wait) -> Action:
        with suppress(TimeoutError):
            async with self._until_due():
                if action.probing:
                    return await self._probe()
                await asyncio.get_running_loop().create_future()  # for the time being
        return self._view.reflector.handle_timer(self._now())

    @asynccontextmanager
    async def _until_due(self) -> AsyncGenerator[None]:
        """Raise TimeoutError when the reflector's timer is due, which may become sooner."""
        reflector = self._view.reflector
        loop = asyncio.get_running_loop()

        def due() -> float:
            at = reflector.next_timer()
            assert at is not None
            return loop.time() + max(0.0, at - self._now())

        async with asyncio.timeout_at(due()) as timeout:

            def hasten() -> None:
                if not timeout.expired():
                    timeout.reschedule(due())

            reflector.hastened = hasten
            try:
                yield
            finally:
                reflector.hastened = None

    async def _probe(self) -> Action:
        """Ask whether the server is ready until the reflector makes something of it."""
        reflector = self._view.reflector
        found = Probe.AWAY
        while True:
            await asyncio.sleep(self._rng.uniform(*_PROBE_PAUSES[found]))
            began = self._now()
            found = await self._client.probe()
            if self._now() - began > _PROBE_IN_TIME:
                reflector.handle_probe(Probe.AWAY, self._now())
            action = reflector.handle_probe(found, self._now())
            if action is not None:
                return action

    async def _watch(self, action: Watch) -> Action:
        opening = self._client.watch(
            self._resource,
            self._namespace,
            label_selector=self._labels,
            field_selector=self._fields,
            resource_version=action.resource_version,
            lifetime=action.timeout,
            initial=action.initial,
        )
        try:
            async with AsyncExitStack() as stack:
                if action.initial:
                    stream = await stack.enter_async_context(opening)
                else:
                    try:  # as long as it is not accepted, it is as quiet as one that is
                        async with self._until_due():
                            stream = await stack.enter_async_context(opening)
                    except TimeoutError:
                        return self._view.reflector.handle_timer(self._now())
                self._view.receive(Opened(), self._now())
                return await self._read(stream)
        except (ApiError, ConfigError) as error:
            failure = _failure(error)
        following = self._view.receive(failure, self._now())
        assert following is not None
        return following

    async def _read(self, stream: WatchStream[T]) -> Action:
        """Read a stream until the reflector wants something else."""
        reflector = self._view.reflector
        while True:
            self._tell()
            try:
                async with self._until_due():
                    events = await stream.receive()
            except TimeoutError:
                return reflector.handle_timer(self._now())
            for event in events or [Ended()]:
                action = self._view.receive(event, self._now())
                if action is not None:
                    return action


def _failure(error: ApiError | ConfigError) -> Failure:
    """What the reflector is told: credentials that cannot be used are a server out of reach."""
    return error.failure if isinstance(error, ApiError) else Failure(0, str(error))
