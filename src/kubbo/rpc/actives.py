"""How many calls a consumer has in flight at once: Dubbo's `actives`.

A call above the limit waits for its turn, within its deadline, in a queue that sheds as that of a
provider does. The limit belongs to the reference, or to a method where it is set there. Dubbo
counts for each provider instead, and only under the filters that are switched on for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kubbo.cluster.bulkhead import Bulkhead, Fixed
from kubbo.rpc.admission import priority_of

if TYPE_CHECKING:
    from kubbo.model import Handler, Invocation, Result

__all__ = ["Actives"]

QUEUE: Final = 1_000
"""Calls that may wait. A caller that has a thousand waiting already will not be served in time."""


class Actives:
    """The bulkheads of one reference."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bulkheads: dict[str, tuple[int, Bulkhead]] = {}

    def around(self, limit: int, scope: str, proceed: Handler) -> Handler:
        """`proceed`, for `limit` calls at once of this scope: a method, or "" for all of them.

        Another limit than before counts what it lets in anew.
        """
        known = self._bulkheads.get(scope)
        if known is None or known[0] != limit:
            name = f"{self._name}.{scope}" if scope else self._name
            known = self._bulkheads[scope] = (
                limit,
                Bulkhead(f"{name} (actives)", Fixed(limit), QUEUE),
            )
        bulkhead = known[1]
        clock = asyncio.get_running_loop().time

        async def limited(invocation: Invocation) -> Result:
            if not bulkhead.try_enter():
                await bulkhead.enter(invocation.deadline, priority_of(invocation.attachments))
            began = clock()
            try:
                return await proceed(invocation)
            finally:
                bulkhead.leave(clock() - began)

        return limited
