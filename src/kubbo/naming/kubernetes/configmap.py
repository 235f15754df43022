"""One ConfigMap, watched by its name.

A Role may allow that for a single name (`resourceNames`), since a list and a watch with the field
selector `metadata.name=NAME` count as reading just that object.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kubbo.naming.kubernetes.client import CONFIG_MAPS
from kubbo.naming.kubernetes.collection import drive_collection
from kubbo.naming.kubernetes.reflector import Reflector

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable
    from typing import NoReturn

    from kubbo.naming.kubernetes.client import ClusterClient
    from kubbo.naming.kubernetes.objects import ConfigMap
    from kubbo.naming.kubernetes.reflector import Action, Event, Failure

__all__ = ["watch_config_map"]


class _View:
    """A reflector that nobody else follows."""

    def __init__(self, rng: random.Random) -> None:
        self.reflector: Reflector[ConfigMap] = Reflector(rng=rng)

    def receive(self, event: Event[ConfigMap], now: float) -> Action | None:
        return self.reflector.receive(event, now)


async def watch_config_map(
    client: ClusterClient,
    namespace: str,
    name: str,
    tell: Callable[[ConfigMap | Failure | None], Awaitable[None]],
    *,
    rng: random.Random,
    clock: Callable[[], float] | None = None,
) -> NoReturn:
    """Tell what the ConfigMap holds whenever that may have changed, until cancelled.

    None: there is no such ConfigMap. A failure: it is not known what there is, or not whether
    what was told still holds; it is told again, as it is, when it is known again.
    """
    view = _View(rng)
    changed = asyncio.Event()
    driving = asyncio.ensure_future(
        drive_collection(
            view,
            client,
            CONFIG_MAPS,
            namespace,
            field_selector=f"metadata.name={name}",
            rng=rng,
            clock=clock or asyncio.get_running_loop().time,
            tell=changed.set,
        )
    )
    driving.add_done_callback(lambda _: changed.set())
    told: tuple[int, Failure | None] | None = None
    try:
        while True:
            await changed.wait()
            changed.clear()
            if driving.done():
                driving.result()  # it only ends by a bug
            reflector = view.reflector
            now = (reflector.revision if reflector.synced else -1, reflector.failure)
            if now in (told, (-1, None)):
                continue
            told = now
            if reflector.failure is not None:
                await tell(reflector.failure)
            else:
                await tell(reflector.items.get(name))
    finally:
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
