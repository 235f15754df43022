"""One request at a provider, from its arrival to its answer.

It has one outcome, which is told to the consumer unless it asked one way or has gone: a value, what
the method threw, or a status that says why it was not run, or not to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubbo.errors import Code
from kubbo.wire.session import Status

if TYPE_CHECKING:
    import asyncio

    from kubbo.errors import RpcError
    from kubbo.observe import RequestReport
    from kubbo.rpc.context import CallContext
    from kubbo.rpc.inbound import Inbound
    from kubbo.wire.codec import ReceivedCall

__all__ = ["Request", "refusal"]


@dataclass(slots=True, eq=False)
class Request:
    """A request that was decoded; `call` is its number on its connection.

    `report` is there while an observer listens. `given_up`: its consumer waits no more.
    """

    connection: Inbound
    call: int
    oneway: bool
    received: ReceivedCall
    context: CallContext
    report: RequestReport | None = None
    task: asyncio.Task[None] | None = None
    given_up: bool = False

    def answer(self, payload: bytes) -> None:
        """Send the message that answers it."""
        if not self.oneway:
            self.connection.answer(self.call, payload)

    def refuse(self, error: RpcError) -> None:
        """Say that it was not run, and why."""
        self.failed(error)
        if not self.oneway:
            self.connection.refuse(self.call, refusal(error))

    def cut_short(self, error: asyncio.CancelledError) -> None:
        """Say that it was not run to its end: its deadline passed, or the provider ends."""
        self.failed(error)
        if not self.oneway and not self.given_up:
            self.connection.refuse(self.call, self._cut_status())

    def failed(self, error: BaseException) -> None:
        """Take note of what its observer shall see."""
        if self.report is not None:
            self.report.error = error

    @property
    def ends_alone(self) -> bool:
        """Whether its cancellation was its own, and not that of the whole provider."""
        return self.context.expired or self.given_up

    def expire(self) -> None:
        """Its deadline has passed."""
        self.context.expired = True
        self._cancel()

    def give_up(self) -> None:
        """Its consumer has cancelled it."""
        self.given_up = True
        self._cancel()

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def _cut_status(self) -> Status:
        signature = self.received.signature
        if self.context.expired:
            text = f"{signature} did not end within the {self.received.timeout} s granted"
            return Status(Code.DEADLINE_EXCEEDED, text)
        return Status(Code.UNAVAILABLE, f"the provider ended before {signature} did")


def refusal(error: RpcError) -> Status:
    """The status of a request that provably was not run."""
    return Status(error.code, error.message, refused=True, retry_after=error.retry_after)
