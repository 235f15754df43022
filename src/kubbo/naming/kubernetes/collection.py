"""Drives a reflector of EndpointSlices: performs its actions and reports what came of them.

One task does it: a list, a watch or a wait, whatever the reflector wants next. What the view says
and who wants to know is others' business; they are told, in the same turn of the loop, whenever
something has been received.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.client import ENDPOINT_SLICES, ApiError
from kubbo.naming.kubernetes.reflector import Action, Ended, Event, Failure, List, Opened, Wait

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from typing import NoReturn

    from kubbo.naming.kubernetes.client import ClusterClient, WatchStream
    from kubbo.naming.kubernetes.objects import EndpointSlice
    from kubbo.naming.kubernetes.reflector import Watch
    from kubbo.naming.kubernetes.view import SlicesView

__all__ = ["drive"]

_KNOCK_SHORTEST, _KNOCK_LONGEST = 0.5, 1.0  # seconds between two dials of a server that is away


async def drive(
    view: SlicesView,
    client: ClusterClient,
    namespace: str,
    selector: str,
    *,
    rng: random.Random,
    clock: Callable[[], float],
    tell: Callable[[], None],
) -> NoReturn:
    """Keep a view of the slices that a label selector finds, until cancelled.

    `tell` is called whenever the view or its health may have changed; it must not raise.
    """
    await _Drive(view, client, namespace, selector, rng=rng, clock=clock, tell=tell).run()


class _Drive:
    def __init__(
        self,
        view: SlicesView,
        client: ClusterClient,
        namespace: str,
        selector: str,
        *,
        rng: random.Random,
        clock: Callable[[], float],
        tell: Callable[[], None],
    ) -> None:
        self._view = view
        self._client = client
        self._namespace = namespace
        self._selector = selector
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
        event: Event[EndpointSlice]
        try:
            event = await self._client.list_page(
                ENDPOINT_SLICES,
                self._namespace,
                label_selector=self._selector,
                resource_version=action.resource_version,
                continue_token=action.continue_token,
                limit=action.limit,
                within=action.within,
            )
        except ApiError as error:
            event = error.failure
        except ConfigError as error:
            event = Failure(0, str(error))
        following = self._view.receive(event, self._now())
        assert following is not None  # whatever came of a list, something is to be done
        return following

    async def _wait(self, action: Wait) -> Action:
        reflector = self._view.reflector
        until = self._now() + action.seconds
        while action.knock and (left := until - self._now()) > 0:
            await asyncio.sleep(min(left, self._rng.uniform(_KNOCK_SHORTEST, _KNOCK_LONGEST)))
            if self._now() < until and await self._client.reachable():
                return reflector.handle_reachable(self._now())
        await asyncio.sleep(max(0.0, until - self._now()))
        return reflector.handle_timer(self._now())

    async def _watch(self, action: Watch) -> Action:
        try:
            async with self._client.watch(
                ENDPOINT_SLICES,
                self._namespace,
                label_selector=self._selector,
                resource_version=action.resource_version,
                lifetime=action.timeout,
                initial=action.initial,
            ) as stream:
                self._view.receive(Opened(), self._now())
                return await self._read(stream)
        except ApiError as error:
            failure = error.failure
        except ConfigError as error:
            failure = Failure(0, str(error))
        following = self._view.receive(failure, self._now())
        assert following is not None
        return following

    async def _read(self, stream: WatchStream[EndpointSlice]) -> Action:
        """Read a stream until the reflector wants something else."""
        reflector = self._view.reflector
        while True:
            self._tell()
            silence = reflector.next_timer()
            assert silence is not None
            try:
                async with asyncio.timeout(max(0.0, silence - self._now())):
                    events = await stream.receive()
            except TimeoutError:
                return reflector.handle_timer(self._now())
            for event in events or [Ended()]:
                action = self._view.receive(event, self._now())
                if action is not None:
                    return action
