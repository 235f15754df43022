"""What every wire protocol looks like to the asyncio side.

A session is one side of one connection. It does no I/O and owns no clock: bytes and the
time go in, events and bytes come out. The driver (`kubbo.transport`) reads bytes into
`receive_data`, acts on the events, writes what `data_to_send` gives, and calls
`handle_timer` when the time of `next_timer` has come. Both sides of dubbo2 present this
seam (and Triple will), so the driver is written once.

    consumer                                provider
    start_call, send_message  -- bytes -->  CallStarted, MessageReceived
    MessageReceived           <-- bytes --  send_message
    CallEnded (a status)      <-- bytes --  end_call

A session never raises for what a peer sent: a broken protocol is the event `Closed`,
after which everything but `data_to_send` is a no-op. Its driver writes what is left
and closes the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from kubbo.errors import Code

__all__ = [
    "CallEnded",
    "CallHead",
    "CallStarted",
    "Closed",
    "Draining",
    "Event",
    "MessageReceived",
    "Session",
    "Status",
]


@dataclass(frozen=True, slots=True)
class CallHead:
    """What a protocol says of a call outside its messages.

    `oneway` asks for no answer. `serialization` is dubbo2's number of the codec.
    """

    oneway: bool = False
    serialization: int = 2


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ended without a message.

    `refused`: provably before its method ran. `retry_after`: seconds for which the provider
    asks for no further calls, None if it does not.
    """

    code: Code = Code.OK
    message: str = ""
    refused: bool = False
    retry_after: float | None = None


@dataclass(slots=True)
class CallStarted:
    """A provider's session: a peer began a call."""

    call: int
    head: CallHead


@dataclass(slots=True)
class MessageReceived:
    """A whole message of a call; `end` when no further one can follow from that side."""

    call: int
    payload: bytes
    end: bool


@dataclass(slots=True)
class CallEnded:
    """A consumer's session: the peer ended a call with a status instead of a message."""

    call: int
    status: Status


@dataclass(slots=True)
class Draining:
    """The peer asks for no new calls; those in flight are still answered."""


@dataclass(slots=True)
class Closed:
    """The session is over. `reason` is empty for an orderly end, else what the peer broke."""

    reason: str = ""


Event: TypeAlias = CallStarted | MessageReceived | CallEnded | Draining | Closed


class Session(Protocol):
    """One side of one connection, without I/O. Times are seconds of one monotonic clock."""

    @property
    def open_calls(self) -> int:
        """Calls that wait for an answer, in either direction."""
        ...

    @property
    def held_bytes(self) -> int:
        """Bytes of messages that have not arrived whole yet."""
        ...

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take bytes that arrived, in any chunking; return what they mean."""
        ...

    def receive_eof(self, now: float) -> list[Event]:
        """The peer closed its side."""
        ...

    def data_to_send(self) -> list[bytes]:
        """Bytes to write, in order; they are handed out once."""
        ...

    def next_timer(self) -> float | None:
        """When `handle_timer` wants to be called, None for never."""
        ...

    def handle_timer(self, now: float) -> list[Event]:
        """The time has come (or passed): heartbeats are due, a dead peer is noticed."""
        ...

    def start_call(self, head: CallHead, now: float) -> int:
        """Begin a call; return its number on this connection."""
        ...

    def send_message(self, call: int, payload: bytes, *, end: bool) -> None:
        """Send a whole message of a call.

        Raises:
            EncodeError: it is larger than the session's limit; nothing was sent.
        """
        ...

    def end_call(self, call: int, status: Status) -> None:
        """Provider: answer with a status. Consumer: forget the call, whose answer is dropped."""
        ...

    def drain(self, now: float) -> None:
        """Provider: ask the peer for no new calls."""
        ...
