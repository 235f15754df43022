"""Finds the providers of a Service: drives a reflector and publishes what the slices say.

One task does it all: it performs the reflector's actions (a list, a watch, a wait), reports
what came of them, and publishes whenever the joined view or its health changed. Nothing else
runs at its side, so a resolution is always computed from one state of the view.

An empty view needs a second witness: the slices alone cannot tell a Service that does not
exist from one without pods. Then, and only then, the Service itself is read, and again every
30 s while the view stays empty, because a Service can appear without any slice.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Literal

from kubbo.errors import ConfigError, KubboError
from kubbo.model import Step
from kubbo.naming.kubernetes import explain
from kubbo.naming.kubernetes.client import ENDPOINT_SLICES, SERVICES, ApiError
from kubbo.naming.kubernetes.reflector import (
    Action,
    Ended,
    Event,
    Failure,
    List,
    Opened,
    Reflector,
    Wait,
    Watch,
)
from kubbo.naming.kubernetes.slices import SERVICE_LABEL, Family, Joined, Joiner, Verdict
from kubbo.naming.resolution import Absent, Failed, Members, Pending, Resolution

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from kubbo.naming.kubernetes.client import ClusterClient, WatchStream
    from kubbo.naming.kubernetes.objects import EndpointSlice, Service
    from kubbo.naming.resolution import Publish
    from kubbo.naming.target import KubernetesTarget

__all__ = ["KubernetesResolver", "SourceError"]

_log = logging.getLogger("kubbo.naming")

_KNOCK_SHORTEST, _KNOCK_LONGEST = 0.5, 1.0  # seconds between two dials of a server that is away
_ASK_AGAIN = 30.0  # seconds between two looks at the Service of an empty view
_FORBIDDEN = 403
_NOT_FOUND = 404


class SourceError(KubboError):
    """The API server cannot answer. The message is one paragraph for a person.

    Attributes:
        status: the HTTP status, 0 when the server was not reached.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class KubernetesResolver:
    """Publishes the endpoints of one Service, as the API server has them."""

    def __init__(
        self,
        target: KubernetesTarget,
        connect: Callable[[], Awaitable[ClusterClient]],
        *,
        rng: random.Random,
        clock: Callable[[], float] | None = None,
        namespace: str = "",
        protocol: Literal["dubbo", "tri"] = "dubbo",
        family: Family | None = None,
    ) -> None:
        """`connect` gives the shared client, which its owner closes.

        `namespace` is used where the target has none; empty is that of the credentials.
        `clock` gives seconds; the loop's by default, and always in step with it.
        """
        self._target = target
        self._connect = connect
        self._rng = rng
        self._clock = clock
        self._namespace = target.namespace or namespace
        self._protocol: Literal["dubbo", "tri"] = protocol
        self._family: Family | None = family
        self.reflector: Reflector[EndpointSlice] = Reflector(rng=rng)
        """For whoever observes: its counters, its view and how old that is."""

    def __repr__(self) -> str:
        return f"KubernetesResolver({str(self._target)!r})"

    async def watch(self, publish: Publish, /) -> None:
        """Publish until cancelled. Returns only when there is no way to the API server at all."""
        publish(Pending())
        try:
            client = await self._connect()
        except ConfigError as error:
            publish(Failed(error, steps=(Step("naming", None, str(self._target)),)))
            return
        run = _Run(
            client,
            self.reflector,
            publish,
            target=self._target,
            namespace=self._namespace or client.access.namespace,
            protocol=self._protocol,
            family=self._family,
            rng=self._rng,
            clock=self._clock or asyncio.get_running_loop().time,
        )
        await run.drive()


class _Run:
    """One life of a resolver: the client, the reflector, and what was published last."""

    def __init__(
        self,
        client: ClusterClient,
        reflector: Reflector[EndpointSlice],
        publish: Publish,
        *,
        target: KubernetesTarget,
        namespace: str,
        protocol: Literal["dubbo", "tri"],
        family: Family | None,
        rng: random.Random,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._rng = rng
        self._reflector = reflector
        self._publish = publish
        self._target = target
        self._namespace = namespace
        self._joiner = Joiner(port=target.port, protocol=protocol, family=family)
        self._now = clock
        self._selector = f"{SERVICE_LABEL}={target.service}"
        self._told: Resolution | None = None
        self._joined = Joined(Verdict.NO_SLICES)
        self._joined_revision = -1
        self._ask_again: float | None = None
        self._warned = False

    async def drive(self) -> None:
        """Perform actions until cancelled."""
        action = self._reflector.start(self._now())
        while True:
            match action:
                case List():
                    action = await self._list(action)
                    if self._reflector.synced and not isinstance(action, List):
                        await self._tell()
                case Watch():
                    action = await self._watch(action)
                    await self._tell()
                case Wait():
                    await self._tell()
                    action = await self._wait(action)

    # ------------------------------------------------------------- actions
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
            )
        except ApiError as error:
            event = error.failure
        except ConfigError as error:
            event = Failure(0, str(error))
        following = self._reflector.receive(event, self._now())
        assert following is not None  # whatever came of a list, something is to be done
        return following

    async def _wait(self, action: Wait) -> Action:
        until = self._now() + action.seconds
        while action.knock and (left := until - self._now()) > 0:
            await asyncio.sleep(min(left, self._rng.uniform(_KNOCK_SHORTEST, _KNOCK_LONGEST)))
            if self._now() < until and await self._client.reachable():
                return self._reflector.handle_reachable(self._now())
        await asyncio.sleep(max(0.0, until - self._now()))
        return self._reflector.handle_timer(self._now())

    async def _watch(self, action: Watch) -> Action:
        try:
            async with self._client.watch(
                ENDPOINT_SLICES,
                self._namespace,
                label_selector=self._selector,
                resource_version=action.resource_version,
                lifetime=action.timeout,
            ) as stream:
                self._reflector.receive(Opened(), self._now())
                return await self._read(stream)
        except ApiError as error:
            failure = error.failure
        except ConfigError as error:
            failure = Failure(0, str(error))
        following = self._reflector.receive(failure, self._now())
        assert following is not None
        return following

    async def _read(self, stream: WatchStream[EndpointSlice]) -> Action:
        """Read a stream until the reflector wants something else."""
        while True:
            await self._tell()
            silence = self._reflector.next_timer()
            assert silence is not None
            wake = silence if self._ask_again is None else min(silence, self._ask_again)
            try:
                async with asyncio.timeout(max(0.0, wake - self._now())):
                    events = await stream.receive()
            except TimeoutError:
                if self._now() >= silence:
                    return self._reflector.handle_timer(self._now())
                continue
            for event in events or [Ended()]:
                action = self._reflector.receive(event, self._now())
                if action is not None:
                    return action

    # ---------------------------------------------------------- publishing
    async def _tell(self) -> None:
        """Publish the resolution if it differs from the last one."""
        reflector = self._reflector
        if not reflector.synced:
            if reflector.failure is not None:
                self._say(self._failed(reflector.failure))
            return
        if self._joined_revision != reflector.revision:
            self._joined_revision = reflector.revision
            self._joined = self._joiner.join(reflector.items.values())
            self._warn_of_names(self._joined.ignored)
            self._ask_again = None
        joined = self._joined
        if joined.verdict is Verdict.MEMBERS:
            steps = self._steps(Step("service", 1), joined)
            self._say(
                Members(joined.endpoints, joined.excluded, reflector.stale_since, steps=steps)
            )
        elif reflector.failure is not None:
            self._say(self._failed(reflector.failure))
        elif self._ask_again is None or self._now() >= self._ask_again:
            self._say(await self._absent(joined))
            self._ask_again = self._now() + _ASK_AGAIN

    def _say(self, resolution: Resolution) -> None:
        if resolution == self._told or (
            isinstance(resolution, Failed)
            and isinstance(self._told, Failed)
            and str(resolution.error) == str(self._told.error)
        ):
            return
        self._told = resolution
        self._publish(resolution)

    def _warn_of_names(self, names: int) -> None:
        if names and not self._warned:
            self._warned = True
            _log.warning(
                "Service %r in namespace %r lists %d host names (addressType FQDN), "
                "which are ignored; use a dns:/// target for them",
                self._target.service,
                self._namespace,
                names,
            )

    async def _absent(self, joined: Joined) -> Absent:
        asked, service = await self._look_at_service()
        count = None if not asked else 0 if service is None else 1
        reason = explain.absent(
            joined,
            service=self._target.service,
            namespace=self._namespace,
            port=self._target.port,
            found=service,
            asked=asked,
            source=self._client.access.source,
        )
        return Absent(reason, joined.excluded, self._steps(Step("service", count), joined))

    async def _look_at_service(self) -> tuple[bool, Service | None]:
        """Whether the Service could be asked for, and the Service if there is one."""
        try:
            service = await self._client.get(SERVICES, self._namespace, self._target.service)
        except ApiError as error:
            return error.failure.status == _NOT_FOUND, None
        except ConfigError:
            return False, None
        return True, service

    def _failed(self, failure: Failure) -> Failed:
        source = self._client.access.source
        message = (
            explain.forbidden(failure.message, namespace=self._namespace, source=source)
            if failure.status == _FORBIDDEN
            else explain.unreachable(failure.message, source=source)
        )
        steps = (Step("naming", None, str(self._target)), Step("slices", None, failure.message))
        return Failed(SourceError(message, status=failure.status), steps=steps)

    def _steps(self, service: Step, joined: Joined) -> tuple[Step, ...]:
        return (Step("naming", None, str(self._target)), service, *joined.steps)
