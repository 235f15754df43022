"""The one shape of everything that surrounds a call, on either side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubbo.model import Handler, Invocation, Result

__all__ = ["Filter", "compose"]


class Filter(Protocol):
    """Sees a call on its way there and back; goes on by `await proceed(invocation)`."""

    async def __call__(self, invocation: Invocation, proceed: Handler, /) -> Result:
        """The result of the call, of `proceed` or of its own."""
        ...


def compose(filters: Sequence[Filter], last: Handler) -> Handler:
    """One handler out of many filters, the first one outermost. Done once, not per call."""
    for each in reversed(filters):
        last = _bind(each, last)
    return last


def _bind(each: Filter, proceed: Handler) -> Handler:
    async def step(invocation: Invocation) -> Result:
        return await each(invocation, proceed)

    return step
