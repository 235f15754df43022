"""What a provider's method may know of the call that it serves."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.model import Deadline, ServiceKey, Value

__all__ = ["CallContext", "current_call"]


@dataclass(slots=True, eq=False)
class CallContext:
    """The call that is being served.

    `attachments` came with the request; `response_attachments` go back with the answer.
    `deadline` is in the time of the event loop, None where the consumer set none; calls
    that the method makes are cut to it. `expired` says that it passed: the method is being
    cancelled.
    """

    service: ServiceKey
    method: str
    peer: str
    deadline: Deadline | None
    attachments: Mapping[str, Value]
    response_attachments: dict[str, Value] = field(default_factory=dict[str, "Value"])
    expired: bool = False


CURRENT: ContextVar[CallContext | None] = ContextVar("kubbo_current_call", default=None)


def current_call() -> CallContext | None:
    """The call that this code serves, None outside of one. Worker threads see it too."""
    return CURRENT.get()
