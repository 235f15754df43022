"""One side of a dubbo2 connection: framing, request ids, heartbeats, READONLY.

The header of a frame (`frames`) says what it is:

    flags   0x80 request, 0x40 wants an answer, 0x20 event, low five bits: serialization
    status  in responses only, see `status.py`

Requests and answers share the request id, which is unsigned and may come back in any
order. Events travel beside the calls: a heartbeat has the body `N` (Hessian's null) and
is answered at once; READONLY (the string "R", one way) asks for no new calls.

A peer is dead when a heartbeat stays unanswered. While calls are open the first
heartbeat goes out after three silent seconds and the peer has six to say anything, so
a dead peer costs a caller nine seconds at most; an idle connection is asked once a
minute, as Java does.

Source: the header of org.apache.dubbo.remoting.exchange.codec.ExchangeCodec.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from kubbo.errors import Code, DecodeError, EncodeError
from kubbo.wire.dubbo2 import status as statuses
from kubbo.wire.dubbo2.frames import HEADER, MAGIC, Split, split as split_fast
from kubbo.wire.hessian2 import Reader, TypeRegistry
from kubbo.wire.hessian2.scalars import encode_text
from kubbo.wire.session import (
    CallEnded,
    CallHead,
    CallStarted,
    Closed,
    Draining,
    Event,
    MessageReceived,
    Status,
)

__all__ = ["Dubbo2Session", "Role"]

FLAG_REQUEST: Final = 0x80
FLAG_TWO_WAY: Final = 0x40
FLAG_EVENT: Final = 0x20
SERIALIZATION_MASK: Final = 0x1F
HESSIAN2: Final = 2

MAX_PAYLOAD_BYTES: Final = 8 * 1024 * 1024
"""Dubbo's own default for `payload`; what is larger, a Java peer drops without a word."""

MAX_QUEUED_CONTROL: Final = 1_024
"""Heartbeat answers waiting to be written. A peer that asks more often than it reads is cut."""

BUSY_HEARTBEAT: Final = 3.0
IDLE_HEARTBEAT: Final = 60.0
PATIENCE: Final = 6.0
MAX_STATUS_CHARS: Final = 1_000
"""Java puts whole stack traces into the message of a status."""

_pack = HEADER.pack
_NULL: Final = b"N"
_READONLY: Final = b"\x01R"
_CANCEL: Final = b"\x01C"
"""Kubbo's own event: the call of this id is given up. Java and Go ignore events they don't know."""
_READONLY_OF: Final = {HESSIAN2: _READONLY, 23: b"\x00\x00\x00\x02JR"}
"""By serialization: Dubbo 3.2 says it in fastjson2 (23), its first choice, whatever calls use."""
_NO_TYPES: Final = TypeRegistry()


class Role(Enum):
    """Which side of the connection a session is."""

    CONSUMER = "consumer"
    PROVIDER = "provider"


class Dubbo2Session:
    """The `Session` of dubbo2, for both sides.

    `first_id` is where the request ids of a consumer begin; Java begins anywhere in 64 bits.
    `max_payload_bytes` limits the body of a frame, both ways. `split` cuts what arrives.
    """

    def __init__(
        self,
        role: Role,
        *,
        now: float,
        first_id: int = 0,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        split: Split = split_fast,
    ) -> None:
        self._split = split
        self._provider = role is Role.PROVIDER
        self._next_id = first_id & 0xFFFF_FFFF_FFFF_FFFF
        self._max_payload = max_payload_bytes
        self._open: set[int] = set()
        self._oneway: set[int] = set()
        self._out: list[bytes] = []
        self._queued_control = 0
        # Bytes of an unfinished frame, and how many the frame needs. Chunks are joined once,
        # when they suffice: joining at each arrival would copy a large frame many times over.
        self._parts: list[bytes] = []
        self._part_bytes = 0
        self._need = 1
        self._last_received = now
        self._busy_since = now
        self._asked_at: float | None = None
        self._closed = False

    @property
    def open_calls(self) -> int:
        """Calls that wait for an answer, in either direction."""
        return len(self._open)

    @property
    def held_bytes(self) -> int:
        """See `Session.held_bytes`."""
        return self._part_bytes if self._parts else 0

    # -- what arrives

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """See `Session.receive_data`."""
        if self._closed:
            return []
        self._last_received = now
        self._asked_at = None
        if self._parts:
            self._parts.append(data)
            self._part_bytes += len(data)
            if self._part_bytes < self._need:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
        events: list[Event] = []
        frames, position = self._split(data, self._max_payload)
        for flags, status, call, body in frames:
            if flags & FLAG_EVENT:
                self._receive_event(events, flags, call, body)
            elif flags & FLAG_REQUEST:
                self._receive_request(events, flags, call, body)
            elif status == statuses.OK:
                if call in self._open:
                    if flags & SERIALIZATION_MASK != HESSIAN2:
                        self._end(events, call, _foreign_serialization(flags))
                    else:
                        self._open.discard(call)
                        events.append(MessageReceived(call, body, end=True))
            else:
                self._end(events, call, statuses.to_status(status, _status_text(body)))
            if events and type(events[-1]) is Closed:
                return events
        if position < len(data):
            self._keep_rest(events, data, position)
        return events

    def _keep_rest(self, events: list[Event], data: bytes, position: int) -> None:
        rest = data[position:] if position else data
        # The first two bytes tell a foreign protocol, however few have arrived.
        if rest[:2] != MAGIC[: len(rest)]:
            self._close(events, _foreign_protocol(rest))
            return
        self._need = HEADER.size if len(rest) >= len(MAGIC) else len(MAGIC)
        if len(rest) >= HEADER.size:
            _, flags, _, call, length = HEADER.unpack_from(rest)
            if length > self._max_payload:
                self._refuse_payload(events, flags, call, length)
                return
            self._need += length
        self._parts.append(rest)
        self._part_bytes = len(rest)

    def _receive_event(self, events: list[Event], flags: int, call: int, body: bytes) -> None:
        if not flags & FLAG_REQUEST:
            return  # the answer to a heartbeat; that something came is all it says
        if flags & FLAG_TWO_WAY:
            if self._queued_control >= MAX_QUEUED_CONTROL:
                self._close(events, "the peer sends heartbeats faster than it reads the answers")
                return
            self._queued_control += 1
            head = _pack(MAGIC, FLAG_EVENT | (flags & SERIALIZATION_MASK), statuses.OK, call, 1)
            self._out.append(head + _NULL)
        elif body == _READONLY_OF.get(flags & SERIALIZATION_MASK):
            events.append(Draining())
        elif self._provider and body == _CANCEL and call in self._open:
            self._open.discard(call)
            events.append(CallEnded(call, Status(Code.CANCELLED, "its consumer gave it up")))

    def _receive_request(self, events: list[Event], flags: int, call: int, body: bytes) -> None:
        if not self._provider:
            self._close(events, "the provider sent a request; callbacks are not supported")
            return
        oneway = not flags & FLAG_TWO_WAY
        if flags & SERIALIZATION_MASK != HESSIAN2:
            if not oneway:
                self._write_status(
                    call, statuses.SERIALIZATION_ERROR, _foreign_serialization(flags)
                )
            return
        if not oneway:
            if call in self._open:
                self._close(events, f"request id {call} was used again before it was answered")
                return
            self._open.add(call)
        head = _ONE_WAY if oneway else _TWO_WAY
        events.append(CallStarted(call, head))
        events.append(MessageReceived(call, body, end=True))

    def _refuse_payload(self, events: list[Event], flags: int, call: int, length: int) -> None:
        text = f"a message of {length} bytes exceeds the limit of {self._max_payload}"
        if self._provider and flags & FLAG_TWO_WAY and not flags & FLAG_EVENT:
            self._write_status(
                call, statuses.BAD_REQUEST, Status(Code.INVALID_ARGUMENT, text + " (payload)")
            )
        elif not self._provider and call in self._open:
            self._end(events, call, Status(Code.RESOURCE_EXHAUSTED, text + " (max_payload_bytes)"))
        self._close(events, text)

    def _end(self, events: list[Event], call: int, status: Status) -> None:
        if call in self._open:  # else it was cancelled, and nobody waits
            self._open.discard(call)
            events.append(CallEnded(call, status))

    def _close(self, events: list[Event], reason: str) -> None:
        self._closed = True
        self._parts.clear()
        events.append(Closed(reason))

    def receive_eof(self, now: float) -> list[Event]:
        """See `Session.receive_eof`."""
        del now
        if self._closed:
            return []
        events: list[Event] = []
        cut = self._part_bytes if self._parts else 0
        self._close(events, f"the peer closed inside a frame, after {cut} bytes" if cut else "")
        return events

    # -- what leaves

    def data_to_send(self) -> list[bytes]:
        """See `Session.data_to_send`."""
        out = self._out
        self._out = []
        self._queued_control = 0
        return out

    def start_call(self, head: CallHead, now: float) -> int:
        """See `Session.start_call`."""
        if not self._open:
            self._busy_since = now
        call = self._take_id()
        (self._oneway if head.oneway else self._open).add(call)
        return call

    def send_message(self, call: int, payload: bytes, *, end: bool) -> None:
        """See `Session.send_message`."""
        del end  # a dubbo2 call has one message each way
        if self._closed:
            return
        size = len(payload)
        if size > self._max_payload:
            if not self._provider:  # a provider still owes its caller a status
                self._forget(call)
            raise EncodeError(
                f"a message of {size} bytes exceeds the limit of {self._max_payload}; "
                "send less, or raise max_payload_bytes here and `payload` at the peer"
            )
        if self._provider:
            if call not in self._open:
                return
            self._open.discard(call)
            head = _pack(MAGIC, HESSIAN2, statuses.OK, call, size)
        elif call in self._oneway:
            self._oneway.discard(call)
            head = _pack(MAGIC, FLAG_REQUEST | HESSIAN2, 0, call, size)
        else:
            head = _pack(MAGIC, FLAG_REQUEST | FLAG_TWO_WAY | HESSIAN2, 0, call, size)
        self._out.append(head)
        self._out.append(payload)

    def end_call(self, call: int, status: Status) -> None:
        """See `Session.end_call`."""
        if call in self._open and not self._closed:
            if self._provider:
                self._write_status(call, statuses.from_code(status.code), status)
            elif status.code is Code.CANCELLED:
                # A deadline needs no word: the provider was told it, and keeps to it.
                head = _pack(MAGIC, FLAG_REQUEST | FLAG_EVENT | HESSIAN2, 0, call, len(_CANCEL))
                self._out.append(head + _CANCEL)
        self._forget(call)

    def _forget(self, call: int) -> None:
        self._open.discard(call)
        self._oneway.discard(call)

    def _write_status(self, call: int, number: int, status: Status) -> None:
        body = encode_text(statuses.to_text(status)[:MAX_STATUS_CHARS])
        self._out.append(_pack(MAGIC, HESSIAN2, number, call, len(body)) + body)

    def drain(self, now: float) -> None:
        """See `Session.drain`."""
        del now
        if self._provider and not self._closed:
            head = _pack(MAGIC, FLAG_REQUEST | FLAG_EVENT | HESSIAN2, 0, self._take_id(), 2)
            self._out.append(head + _READONLY)

    def _take_id(self) -> int:
        call = self._next_id
        self._next_id = (call + 1) & 0xFFFF_FFFF_FFFF_FFFF
        return call

    # -- time

    def next_timer(self) -> float | None:
        """See `Session.next_timer`."""
        if self._closed:
            return None
        if self._asked_at is not None:
            return self._asked_at + PATIENCE
        if self._open and not self._provider:
            return max(self._last_received, self._busy_since) + BUSY_HEARTBEAT
        return self._last_received + IDLE_HEARTBEAT

    def handle_timer(self, now: float) -> list[Event]:
        """See `Session.handle_timer`."""
        due = self.next_timer()
        events: list[Event] = []
        if due is None or now < due:
            return events
        if self._asked_at is not None:
            silent = now - self._last_received
            self._close(events, f"the peer is dead: nothing came for {silent:.1f} s")
            return events
        self._asked_at = now
        flags = FLAG_REQUEST | FLAG_TWO_WAY | FLAG_EVENT | HESSIAN2
        self._out.append(_pack(MAGIC, flags, 0, self._take_id(), 1) + _NULL)
        return events


_TWO_WAY: Final = CallHead()
_ONE_WAY: Final = CallHead(oneway=True)


def _status_text(body: bytes) -> str:
    try:
        text = Reader(body, _NO_TYPES).read()
    except DecodeError as error:
        return f"(undecodable message: {error})"
    if not isinstance(text, str):
        return "(the message is no text)"
    return text if len(text) <= MAX_STATUS_CHARS else text[:MAX_STATUS_CHARS] + " ..."


def _foreign_serialization(flags: int) -> Status:
    number = flags & SERIALIZATION_MASK
    return Status(
        Code.INTERNAL,
        f"serialization {number} is not supported; use hessian2 (2): set "
        "prefer.serialization=hessian2 at the peer",
        refused=True,
    )


def _foreign_protocol(data: bytes) -> str:
    shown = data[:24].decode("ascii", "backslashreplace").encode("unicode_escape").decode()
    kind = ""
    if data.startswith(b"PRI * HTTP/2"):
        kind = ", but HTTP/2 (Triple or gRPC)"
    elif data[:3] in (b"\x16\x03\x01", b"\x16\x03\x03"):
        kind = ", but TLS"
    elif data[:4] in (b"GET ", b"POST", b"HEAD", b"HTTP", b"PUT "):
        kind = ", but HTTP/1"
    return f'the peer does not speak dubbo2{kind}: it sent "{shown}"'
