"""Addresses that were listed: said once, right for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.model import Step
from kubbo.naming.resolution import Members

if TYPE_CHECKING:
    from kubbo.naming.resolution import Publish
    from kubbo.naming.target import StaticTarget

__all__ = ["StaticResolver"]


class StaticResolver:
    """Publishes the addresses of a static target and returns."""

    def __init__(self, target: StaticTarget) -> None:
        self._target = target

    async def watch(self, publish: Publish, /) -> None:
        """Publish the one resolution there is. Never waits, so it is cancel safe."""
        endpoints = self._target.endpoints
        steps = (Step("naming", len(endpoints), str(self._target)),)
        publish(Members(endpoints, steps=steps))
