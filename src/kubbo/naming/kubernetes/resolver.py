"""Finds the providers of a Service: publishes what its slices say.

The slices come from a watch that other targets may share (`watches.py`). Whenever they or the
health of their watch have changed, they are joined for this target's port and published, in the
same turn of the loop and from one state of the view.

An empty view needs a second witness: the slices alone cannot tell a Service that does not
exist from one without pods. Then, and only then, the Service itself is read, and again after 30 s
and more while the view stays empty, because a Service can appear without any slice. Its pods are
the third, if they may be read: they tell why none of them is ready. A thousand consumers hear of
the same empty view in one moment and of each change of it, so a look will do for a while.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Literal

from kubbo.errors import ConfigError, KubboError
from kubbo.model import Step
from kubbo.naming.kubernetes import explain
from kubbo.naming.kubernetes.slices import Family, Joined, Joiner, Verdict
from kubbo.naming.kubernetes.watches import Watches
from kubbo.naming.resolution import Absent, Failed, Members, Pending, Resolution

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from kubbo.naming.kubernetes.client import ClusterClient
    from kubbo.naming.kubernetes.objects import EndpointSlice, Service
    from kubbo.naming.kubernetes.pods import PodsSeen
    from kubbo.naming.kubernetes.reflector import Failure, Reflector
    from kubbo.naming.kubernetes.view import SlicesView
    from kubbo.naming.kubernetes.watches import Follower
    from kubbo.naming.resolution import Publish
    from kubbo.naming.target import KubernetesTarget

__all__ = ["KubernetesResolver", "SourceError"]

_log = logging.getLogger("kubbo.naming")

_ASK_AGAIN, _ASK_MOST = 30.0, 240.0  # seconds between two looks at the Service of an empty view
_ASK_SPREAD = 5.0  # within so many seconds after a change that leaves the view empty
_FRESH = 25.0  # seconds for which such a look will do, for the next change and for who shares it
_FORBIDDEN = 403


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
        watches: Watches | None = None,
    ) -> None:
        """`connect` gives the shared client, which its owner closes.

        `namespace` is used where the target has none; empty is that of the credentials.
        `clock` gives seconds; the loop's by default, and always in step with it. `watches` are
        shared with other resolvers of the same client; without them it has its own.
        """
        self._target = target
        self._connect = connect
        self._clock = clock
        self._namespace = target.namespace or namespace
        self._protocol: Literal["dubbo", "tri"] = protocol
        self._family: Family | None = family
        self._rng = rng
        self._watches = watches or Watches(rng=rng, clock=clock)
        self._run: _Run | None = None

    def __repr__(self) -> str:
        return f"KubernetesResolver({str(self._target)!r})"

    @property
    def reflector(self) -> Reflector[EndpointSlice]:
        """For whoever observes: what keeps the view (or did last), its counters, its age.

        Raises:
            LookupError: nobody has watched yet.
        """
        if self._run is None or self._run.view is None:
            raise LookupError(f"{self!r} has not been watched yet")
        return self._run.view.reflector

    def refresh(self) -> None:
        """Providers cannot be connected: if nobody can, the view may be old. Never blocks."""
        if self._run is not None:
            self._run.refresh()

    async def watch(self, publish: Publish, /) -> None:
        """Publish until cancelled. Returns only when there is no way to the API server at all."""
        publish(Pending())
        try:
            client = await self._connect()
        except ConfigError as error:
            publish(Failed(error, steps=(Step("naming", None, str(self._target)),)))
            return
        self._run = run = _Run(
            publish,
            target=self._target,
            namespace=self._namespace or client.access.namespace,
            source=client.access.source,
            protocol=self._protocol,
            family=self._family,
            rng=self._rng,
            clock=self._clock or asyncio.get_running_loop().time,
        )
        await run.follow(self._watches, client)


class _Run:
    """One life of a resolver: whom it follows, and what was published last."""

    def __init__(
        self,
        publish: Publish,
        *,
        target: KubernetesTarget,
        namespace: str,
        source: str,
        protocol: Literal["dubbo", "tri"],
        family: Family | None,
        rng: random.Random,
        clock: Callable[[], float],
    ) -> None:
        self.view: SlicesView | None = None
        self._publish = publish
        self._target = target
        self._namespace = namespace
        self._source = source
        self._joiner = Joiner(port=target.port, protocol=protocol, family=family)
        self._rng = rng
        self._now = clock
        self._follower: Follower | None = None
        self._woken = asyncio.Event()
        self._told: Resolution | None = None
        self._joined = Joined(Verdict.NO_SLICES)
        self._joined_from: tuple[SlicesView, int] | None = None
        self._ask_at: float | None = None
        self._ask_since = float("-inf")
        self._ask_pause = _ASK_AGAIN
        self._warned = False

    def refresh(self) -> None:
        if self._follower is not None:
            self._follower.refresh()

    async def follow(self, watches: Watches, client: ClusterClient) -> None:
        """Publish until cancelled."""
        async with watches.follow(
            client, self._namespace, self._target.service, self._handle_change
        ) as follower:
            self._follower = follower
            try:
                self._handle_change()
                await self._follow(follower)
            finally:
                self._follower = None  # a hint may still come

    async def _follow(self, follower: Follower) -> None:
        while True:
            self._woken.clear()
            follower.check()
            wake = self._ask_at
            try:
                delay = None if wake is None else max(0.0, wake - self._now())
                async with asyncio.timeout(delay):
                    await self._woken.wait()
            except TimeoutError:
                await self._ask(follower)

    # ---------------------------------------------------------- publishing
    def _handle_change(self) -> None:
        """Publish what the view says now. Whatever needs a question is left to `_ask`."""
        follower = self._follower
        if follower is None:  # nobody to ask yet: `follow` comes to it
            return
        self._woken.set()
        view = self.view = follower.view
        reflector = view.reflector
        if not reflector.synced:
            if reflector.failure is not None:
                self._say(self._failed(reflector.failure))
            return
        joined_from = (view, view.revision(self._target.service))
        if self._joined_from != joined_from:
            self._joined_from = joined_from
            before = self._joined.verdict
            self._joined = self._joiner.join(view.slices(self._target.service).values())
            self._warn_of_names(self._joined.ignored)
            if self._joined.verdict is not before or self._told is None:
                self._ask_at = None
                self._ask_since = self._now()
                self._ask_pause = _ASK_AGAIN
            elif self._ask_at is not None:  # nobody waits for it: not all in this moment
                soon = self._now() + self._rng.uniform(0.0, _ASK_SPREAD)
                self._ask_at = min(self._ask_at, soon)
        joined = self._joined
        if joined.verdict is Verdict.MEMBERS:
            steps = self._steps(Step("service", 1), joined)
            self._say(
                Members(joined.endpoints, joined.excluded, reflector.stale_since, steps=steps)
            )
        elif reflector.failure is not None:
            self._say(self._failed(reflector.failure))
            self._ask_at = None
        elif self._ask_at is None:
            self._ask_at = self._now()
            if isinstance(self._told, Members):
                # An empty view is believed at once. Every consumer has it at once, too: what may
                # be said of it besides is not asked by all of them in the same moment.
                self._ask_at += self._rng.uniform(0.0, _ASK_SPREAD)
                self._say_absent(None, asked=None)

    async def _ask(self, follower: Follower) -> None:
        """Publish that there is nobody, and why: the Service is the second witness."""
        joined_from = self._joined_from
        not_before = max(self._ask_since, self._now() - _FRESH)
        asked, service = await follower.read_service(not_before=not_before)
        pods: PodsSeen | None = None
        if service is not None and service.spec.selector and explain.pods_would_tell(self._joined):
            pods = await follower.read_pods(service.spec.selector)
        if self._ask_at is None or self._joined_from != joined_from:
            return  # the view has changed meanwhile: it has been told, or is asked about again
        self._ask_at = self._now() + self._ask_pause * self._rng.uniform(1.0, 1.5)
        self._ask_pause = min(2 * self._ask_pause, _ASK_MOST)
        self._say_absent(service, asked=asked, pods=pods)

    def _say_absent(
        self, service: Service | None, *, asked: bool | None, pods: PodsSeen | None = None
    ) -> None:
        joined = self._joined
        count = None if not asked else 0 if service is None else 1
        reason = explain.absent(
            joined,
            service=self._target.service,
            namespace=self._namespace,
            port=self._target.port,
            found=service,
            asked=asked,
            source=self._source,
            pods=pods,
        )
        steps = self._steps(Step("service", count), joined)
        if pods is not None and pods.asked:
            steps = (*steps, Step("pods", pods.ready, str(pods)))
        self._say(Absent(reason, joined.excluded, steps))

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

    def _failed(self, failure: Failure) -> Failed:
        message = (
            explain.forbidden(failure.message, namespace=self._namespace, source=self._source)
            if failure.status == _FORBIDDEN
            else explain.unavailable(failure.message, status=failure.status, source=self._source)
        )
        steps = (Step("naming", None, str(self._target)), Step("slices", None, failure.message))
        return Failed(SourceError(message, status=failure.status), steps=steps)

    def _steps(self, service: Step, joined: Joined) -> tuple[Step, ...]:
        return (Step("naming", None, str(self._target)), service, *joined.steps)
