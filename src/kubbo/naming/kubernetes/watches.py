"""The watches that the targets of one consumer share, run.

However many targets name a Service, whatever their ports, it is watched once; `sharing.py` says
which watches that takes. Here are their tasks, who listens to them, and the reads of a Service
that is the second witness of an empty view, and of its pods, which are shared too.

A task lives as long as somebody needs its watch: the last one who leaves a namespace waits
until its tasks have ended.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.client import PODS, SERVICES, ApiError
from kubbo.naming.kubernetes.collection import drive
from kubbo.naming.kubernetes.pods import MOST_PODS, PodsSeen, look_at
from kubbo.naming.kubernetes.reflector import Reflector, Undecodable
from kubbo.naming.kubernetes.sharing import FOLD_ABOVE, NAMESPACE, Sharing
from kubbo.naming.kubernetes.slices import SERVICE_LABEL

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Callable, Mapping

    from kubbo.naming.kubernetes.client import ClusterClient
    from kubbo.naming.kubernetes.objects import Service
    from kubbo.naming.kubernetes.reflector import Failure
    from kubbo.naming.kubernetes.view import SlicesView

__all__ = ["Follower", "Watches"]

_FORBIDDEN = 403
_PODS_AGAIN = 120.0  # seconds between two looks at the pods of a Service without a ready one
_PODS_FORBIDDEN = 3600.0  # likewise, where they may not be read
_PODS_WITHIN = 2.0  # seconds: what is known without them is told after that


class Watches:
    """The shared watches of one consumer. It owns no task itself: those who follow do."""

    def __init__(
        self,
        *,
        rng: random.Random,
        clock: Callable[[], float] | None = None,
        fold_above: int = FOLD_ABOVE,
    ) -> None:
        """`clock` gives loop time in seconds; the running loop's by default."""
        self._rng = rng
        self._clock = clock
        self._fold_above = fold_above
        self._namespaces: dict[str, _Namespace] = {}

    @asynccontextmanager
    async def follow(
        self, client: ClusterClient, namespace: str, service: str, tell: Callable[[], None]
    ) -> AsyncGenerator[Follower]:
        """Follow the slices of a Service.

        `tell` is called in the turn of the loop in which something changed: the slices, whether
        they are known, the health of their watch. It must not raise.
        """
        group = self._namespaces.get(namespace)
        if group is None:
            group = self._namespaces[namespace] = _Namespace(
                client,
                namespace,
                rng=self._rng,
                clock=self._clock or asyncio.get_running_loop().time,
                fold_above=self._fold_above,
            )
        follower = Follower(group, service, tell)
        group.join(follower)
        try:
            yield follower
        finally:
            if group.leave(follower):
                del self._namespaces[namespace]
            await group.ended()

    @property
    def running(self) -> dict[str, list[str]]:
        """For whoever observes: by namespace, the Services watched; an empty name is them all."""
        return {name: group.keys for name, group in self._namespaces.items()}


class Follower:
    """One who follows a Service."""

    def __init__(self, group: _Namespace, service: str, tell: Callable[[], None]) -> None:
        self.service = service
        self.tell = tell
        self._group = group

    @property
    def view(self) -> SlicesView:
        """The view that shows the Service's slices now."""
        return self._group.sharing.source(self.service)

    def refresh(self) -> None:
        """Nobody whom the view names can be used. Cheap, and may come at any rate."""
        self._group.refresh(self.service)

    def check(self) -> None:
        """Raise what ended a watch, which is a bug: they go on whatever happens."""
        if self._group.bug is not None:
            raise self._group.bug

    async def read_service(self, *, not_before: float) -> tuple[bool, Service | None]:
        """Whether the Service could be asked for, and the Service if there is one. Cancel safe.

        An answer to a question that was put at loop time `not_before` or later will do, so
        that those who follow a Service share it.
        """
        return await self._group.read_service(self.service, not_before)

    async def read_pods(self, selector: Mapping[str, str]) -> PodsSeen:
        """Why the pods of the Service are not ready. Cancel safe.

        They are read every two minutes at most, and where that is forbidden once an hour.
        """
        return await self._group.read_pods(self.service, selector)


class _Followed:
    """What those who follow one Service share."""

    def __init__(self) -> None:
        self.followers: list[Follower] = []
        self.reading = asyncio.Lock()
        self.read_at = float("-inf")
        self.read: tuple[bool, Service | None] = (False, None)
        self.pods = PodsSeen(asked=False)
        self.pods_again = float("-inf")


class _Namespace:
    """The watches of one namespace, and who follows its Services."""

    def __init__(
        self,
        client: ClusterClient,
        name: str,
        *,
        rng: random.Random,
        clock: Callable[[], float],
        fold_above: int,
    ) -> None:
        self.sharing = Sharing(
            lambda: Reflector(rng=rng, streams=True, place=client.place()), fold_above=fold_above
        )
        self.bug: BaseException | None = None
        self._client = client
        self._name = name
        self._rng = rng
        self._now = clock
        self._followed: dict[str, _Followed] = {}
        self._tasks: dict[str, tuple[SlicesView, asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._told: dict[SlicesView, tuple[bool, float | None, Failure | None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None

    @property
    def keys(self) -> list[str]:
        return sorted(self._tasks)

    # ------------------------------------------------------------- coming, going
    def join(self, follower: Follower) -> None:
        followed = self._followed.get(follower.service)
        if followed is None:
            followed = self._followed[follower.service] = _Followed()
            self.sharing.join(follower.service, self._now())
        followed.followers.append(follower)
        self._settle()

    def leave(self, follower: Follower) -> bool:
        """Whether that was the last one."""
        followed = self._followed[follower.service]
        followed.followers.remove(follower)
        if not followed.followers:
            del self._followed[follower.service]
            self.sharing.leave(follower.service, self._now())
            self._settle()
        return not self._followed

    async def ended(self) -> None:
        """Wait for the tasks that have been told to end."""
        if self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    # -------------------------------------------------------------------- tasks
    def _settle(self) -> None:
        """Run what `sharing` wants, no more and no less, and tell whose source has changed."""
        running = self.sharing.running
        for key, (view, task) in list(self._tasks.items()):
            if running.get(key) is not view:
                del self._tasks[key]
                self._told.pop(view, None)
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
                task.cancel()
        for key, view in running.items():
            if key not in self._tasks:
                self._tasks[key] = view, self._start(key, view)
        self._set_timer()
        for service in sorted(self.sharing.take_moved()):
            self._tell(service)

    def _start(self, key: str, view: SlicesView) -> asyncio.Task[None]:
        # Without a value: whatever belongs to any Service.
        selector = SERVICE_LABEL if key == NAMESPACE else f"{SERVICE_LABEL}={key}"
        task = asyncio.create_task(
            drive(
                view,
                self._client,
                self._name,
                selector,
                rng=self._rng,
                clock=self._now,
                tell=lambda: self._received(key, view),
            ),
            name=f"kubbo watch {self._name}/{key or '*'}",
        )
        task.add_done_callback(self._handle_end)
        return task

    def _handle_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        self.bug = self.bug or error
        for service in list(self._followed):
            self._tell(service)

    def _set_timer(self) -> None:
        due = self.sharing.next_timer()
        if due == self._due:
            return
        self._due = due
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due - self._now()), self._handle_timer)

    def _handle_timer(self) -> None:
        self._due = None
        self.sharing.update(self._now())
        self._settle()

    def refresh(self, service: str) -> None:
        self.sharing.source(service).reflector.handle_hint(self._now())

    # ------------------------------------------------------------------ telling
    def _received(self, key: str, view: SlicesView) -> None:
        """A view has received something: tell those for whom it speaks."""
        if self.sharing.running.get(key) is not view:
            return
        reflector = view.reflector
        health = (reflector.synced, reflector.stale_since, reflector.failure)
        services = view.take_changed()
        if self._told.get(view) != health:
            self._told[view] = health
            services = set(self._followed) if key == NAMESPACE else {key}
        source = self.sharing.source
        speaking = [one for one in services if one in self._followed and source(one) is view]
        self.sharing.update(self._now(), key)
        self._settle()
        for service in sorted(speaking):
            self._tell(service)

    def _tell(self, service: str) -> None:
        followed = self._followed.get(service)
        for follower in list(followed.followers) if followed is not None else ():
            follower.tell()

    # ------------------------------------------------------------------ reading
    async def read_service(self, name: str, not_before: float) -> tuple[bool, Service | None]:
        followed = self._followed[name]
        async with followed.reading:
            if followed.read_at < not_before:
                began = self._now()
                followed.read = await self._get(name)
                followed.read_at = began
            return followed.read

    async def read_pods(self, name: str, selector: Mapping[str, str]) -> PodsSeen:
        followed = self._followed[name]
        async with followed.reading:
            if self._now() >= followed.pods_again:
                pause = _PODS_AGAIN
                try:
                    followed.pods = await self._list_pods(selector)
                    if followed.pods.ready:  # the slices are behind: that will not last
                        pause = 0.0
                except ApiError as error:
                    followed.pods = PodsSeen(asked=False)
                    if error.failure.status == _FORBIDDEN:
                        pause = _PODS_FORBIDDEN
                except ConfigError:
                    followed.pods = PodsSeen(asked=False)
                followed.pods_again = self._now() + pause
            return followed.pods

    async def _list_pods(self, selector: Mapping[str, str]) -> PodsSeen:
        page = await self._client.list_page(
            PODS,
            self._name,
            label_selector=",".join(f"{key}={value}" for key, value in sorted(selector.items())),
            limit=MOST_PODS,
            within=_PODS_WITHIN,
        )
        if isinstance(page, Undecodable):
            return PodsSeen(asked=False)
        return look_at(page.items.values(), more=bool(page.continue_token))

    async def _get(self, name: str) -> tuple[bool, Service | None]:
        try:
            return True, await self._client.get(SERVICES, self._name, name)
        except ApiError as error:
            return error.missing == (SERVICES.plural, name), None
        except ConfigError:
            return False, None
