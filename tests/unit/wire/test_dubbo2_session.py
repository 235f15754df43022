"""The dubbo2 session, both sides, without a socket: what goes in, what comes out."""

from __future__ import annotations

import pytest

from kubbo.errors import Code, EncodeError
from kubbo.wire.dubbo2 import Dubbo2Session, Role
from kubbo.wire.dubbo2.session import BUSY_HEARTBEAT, IDLE_HEARTBEAT, PATIENCE
from kubbo.wire.hessian2 import encode
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

REQUEST = 0xC2
ONE_WAY = 0x82
RESPONSE = 0x02
HEARTBEAT = 0xE2
HEARTBEAT_ANSWER = 0x22
READONLY_FLAGS = 0xA2


def frame(flags: int, status: int, call: int, body: bytes) -> bytes:
    """A frame as a peer writes it, spelled out byte by byte."""
    return (
        b"\xda\xbb"
        + bytes((flags, status))
        + call.to_bytes(8, "big")
        + len(body).to_bytes(4, "big")
        + body
    )


def consumer(**arguments: int) -> Dubbo2Session:
    return Dubbo2Session(Role.CONSUMER, now=0.0, **arguments)


def provider(**arguments: int) -> Dubbo2Session:
    return Dubbo2Session(Role.PROVIDER, now=0.0, **arguments)


def sent(session: Dubbo2Session) -> bytes:
    return b"".join(session.data_to_send())


def started(session: Dubbo2Session, payload: bytes = b"N", *, oneway: bool = False) -> int:
    call = session.start_call(CallHead(oneway=oneway), 0.0)
    session.send_message(call, payload, end=True)
    return call


def test_a_request_is_header_and_body() -> None:
    """A two-way request is da bb c2 00, its id, its length, its body."""
    session = consumer(first_id=7)
    assert started(session, b"body") == 7
    assert sent(session) == frame(REQUEST, 0, 7, b"body")
    assert session.open_calls == 1


def test_a_oneway_request_waits_for_nothing() -> None:
    """A one-way request has no two-way flag and leaves no open call."""
    session = consumer(first_id=7)
    started(session, b"body", oneway=True)
    assert sent(session) == frame(ONE_WAY, 0, 7, b"body")
    assert session.open_calls == 0


def test_request_ids_are_unsigned_and_wrap() -> None:
    """After 2**64-1 comes 0, and an answer to either finds its call."""
    session = consumer(first_id=2**64 - 1)
    assert [started(session), started(session)] == [2**64 - 1, 0]
    events = session.receive_data(frame(RESPONSE, 20, 2**64 - 1, b"N"), 1.0)
    assert events == [MessageReceived(2**64 - 1, b"N", end=True)]


def test_answers_come_in_any_order() -> None:
    """Each answer belongs to the call with its id."""
    session = consumer()
    first, second = started(session), started(session)
    data = frame(RESPONSE, 20, second, b"b") + frame(RESPONSE, 20, first, b"a")
    assert session.receive_data(data, 1.0) == [
        MessageReceived(second, b"b", end=True),
        MessageReceived(first, b"a", end=True),
    ]
    assert session.open_calls == 0


def test_an_answer_nobody_waits_for_is_dropped() -> None:
    """The answer to a cancelled call, or to none, is no event."""
    session = consumer()
    call = started(session)
    session.end_call(call, Status(Code.CANCELLED))
    assert session.receive_data(frame(RESPONSE, 20, call, b"late"), 1.0) == []
    assert session.receive_data(frame(RESPONSE, 70, call, encode("late")), 1.0) == []


@pytest.mark.parametrize(
    ("number", "code", "refused"),
    [
        (25, Code.INTERNAL, False),
        (30, Code.DEADLINE_EXCEEDED, False),
        (31, Code.DEADLINE_EXCEEDED, False),
        (40, Code.INVALID_ARGUMENT, True),
        (50, Code.INTERNAL, False),
        (60, Code.UNIMPLEMENTED, True),
        (70, Code.UNKNOWN, False),
        (80, Code.INTERNAL, False),
        (90, Code.UNAVAILABLE, False),
        (100, Code.RESOURCE_EXHAUSTED, True),
        (99, Code.UNKNOWN, False),
    ],
)
def test_every_status_is_a_typed_error(number: int, code: Code, refused: bool) -> None:
    """A response status is a code, tells whether the method ran, and keeps the message."""
    session = consumer()
    call = started(session)
    events = session.receive_data(frame(RESPONSE, number, call, encode("went wrong")), 1.0)
    assert len(events) == 1
    ended = events[0]
    assert isinstance(ended, CallEnded)
    assert (ended.status.code, ended.status.refused) == (code, refused)
    assert "went wrong" in ended.status.message
    assert str(number) in ended.status.message


@pytest.mark.parametrize("body", [b"", b"\x05ab", b"\x91", b"\xff\xff", encode("x" * 100_000)])
def test_a_status_message_is_bounded_and_never_trusted(body: bytes) -> None:
    """Garbage or a huge text where the message should be still ends the call."""
    session = consumer()
    call = started(session)
    (ended,) = session.receive_data(frame(RESPONSE, 70, call, body), 1.0)
    assert isinstance(ended, CallEnded)
    assert len(ended.status.message) < 2_000


def test_a_provider_hears_and_answers() -> None:
    """A request is CallStarted and MessageReceived; its answer bears its id and status 20."""
    session = provider()
    events = session.receive_data(frame(REQUEST, 0, 2**63 + 5, b"req"), 1.0)
    assert events == [
        CallStarted(2**63 + 5, CallHead()),
        MessageReceived(2**63 + 5, b"req", end=True),
    ]
    session.send_message(2**63 + 5, b"ans", end=True)
    assert sent(session) == frame(RESPONSE, 20, 2**63 + 5, b"ans")
    session.send_message(2**63 + 5, b"again", end=True)
    assert sent(session) == b""


def test_a_oneway_request_gets_no_answer() -> None:
    """Neither a message nor a status goes back for a one-way request."""
    session = provider()
    events = session.receive_data(frame(ONE_WAY, 0, 3, b"req"), 1.0)
    assert events[0] == CallStarted(3, CallHead(oneway=True))
    session.send_message(3, b"ans", end=True)
    session.end_call(3, Status(Code.INTERNAL, "no"))
    assert sent(session) == b""


def test_heartbeats_are_answered_by_both_sides() -> None:
    """A heartbeat with id n is answered by 22 14 n and the body N."""
    for session in (consumer(), provider()):
        assert session.receive_data(frame(HEARTBEAT, 0, 9, b"N"), 1.0) == []
        assert sent(session) == frame(HEARTBEAT_ANSWER, 20, 9, b"N")


def test_a_flood_of_heartbeats_is_cut() -> None:
    """A peer that asks without reading cannot make the session queue answers for ever."""
    session = provider()
    events: list[Event] = []
    for call in range(2_000):
        events += session.receive_data(frame(HEARTBEAT, 0, call, b"N"), 1.0)
    assert [type(event) for event in events] == [Closed]
    assert len(sent(session)) <= 1_024 * 17


def test_readonly_drains() -> None:
    """The one-way event R is Draining; a provider's drain writes exactly that."""
    session = provider()
    session.drain(1.0)
    data = sent(session)
    assert data[:4] == bytes((0xDA, 0xBB, READONLY_FLAGS, 0))
    assert data[12:] == b"\x00\x00\x00\x02\x01R"
    assert consumer().receive_data(data, 1.0) == [Draining()]


EVERY_KIND = (
    frame(HEARTBEAT, 0, 1, b"N")
    + frame(REQUEST, 0, 2, b"payload")
    + frame(ONE_WAY, 0, 3, b"")
    + frame(REQUEST, 0, 4, encode("x" * 300))
)


def test_any_chunking_gives_the_same_events() -> None:
    """Bytes one by one, or in any two parts, mean what they mean at once."""
    whole = provider().receive_data(EVERY_KIND, 1.0)
    assert len(whole) == 6
    session = provider()
    one_by_one = [
        event
        for index in range(len(EVERY_KIND))
        for event in session.receive_data(EVERY_KIND[index : index + 1], 1.0)
    ]
    assert one_by_one == whole
    for cut in range(1, len(EVERY_KIND)):
        session = provider()
        parts = session.receive_data(EVERY_KIND[:cut], 1.0)
        parts += session.receive_data(EVERY_KIND[cut:], 1.0)
        assert parts == whole


def test_a_stream_cut_short_says_so_at_every_offset() -> None:
    """EOF between frames is orderly; inside a frame it is a reason."""
    one = frame(REQUEST, 0, 2, b"payload")
    for cut in range(len(one) + 1):
        session = provider()
        session.receive_data(one[:cut], 1.0)
        (closed,) = session.receive_eof(2.0)
        assert isinstance(closed, Closed)
        assert bool(closed.reason) == (0 < cut < len(one))
        assert session.receive_eof(3.0) == []


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        (b"ls\r\n", "ls"),
        (b"\x16\x03\x01\x02\x00\x01", "TLS"),
        (b"\xda\xbc" + b"\x00" * 30, "\\xda"),
        (b"\x00", "\\x00"),
    ],
)
def test_a_foreign_protocol_is_told_from_its_first_bytes(data: bytes, hint: str) -> None:
    """Text on the port, HTTP, TLS: refused at once, with what was sent, and no more is read."""
    session = provider()
    (closed,) = session.receive_data(data, 1.0)
    assert isinstance(closed, Closed)
    assert hint in closed.reason
    assert len(closed.reason) < 300
    assert session.receive_data(frame(REQUEST, 0, 1, b"N"), 2.0) == []


def test_garbage_after_a_good_frame_closes() -> None:
    """The good frame counts, what follows it ends the connection."""
    session = provider()
    events = session.receive_data(frame(REQUEST, 0, 1, b"N") + b"garbage garbage garbage", 1.0)
    assert [type(event) for event in events] == [CallStarted, MessageReceived, Closed]


def test_an_oversized_request_is_answered_and_closes() -> None:
    """The length alone is enough: the caller is told, nothing is collected."""
    session = provider(max_payload_bytes=100)
    (closed,) = session.receive_data(frame(REQUEST, 0, 5, b"x" * 101)[:16], 1.0)
    assert isinstance(closed, Closed)
    answer = sent(session)
    assert answer[3] == 40
    assert b"101 bytes exceeds the limit of 100" in answer
    assert session.receive_data(b"x" * 101, 1.0) == []


def test_an_oversized_answer_fails_its_call() -> None:
    """The consumer of an answer above the limit gets a typed error, not a closed connection."""
    session = consumer(max_payload_bytes=100)
    call = started(session)
    ended, closed = session.receive_data(frame(RESPONSE, 20, call, b"x" * 4_000)[:16], 1.0)
    assert isinstance(ended, CallEnded)
    assert ended.status.code is Code.RESOURCE_EXHAUSTED
    assert isinstance(closed, Closed)


def test_what_is_too_large_is_not_sent() -> None:
    """A request above the limit is the caller's error and leaves no open call."""
    session = consumer(max_payload_bytes=100)
    call = session.start_call(CallHead(), 0.0)
    with pytest.raises(EncodeError, match="101 bytes exceeds the limit of 100"):
        session.send_message(call, b"x" * 101, end=True)
    assert (sent(session), session.open_calls) == (b"", 0)


def test_a_foreign_serialization_is_refused_by_name() -> None:
    """fastjson2 (23) gets a status that says what to set; the connection lives on."""
    session = provider()
    assert session.receive_data(frame(0xC0 | 23, 0, 5, b"..."), 1.0) == []
    answer = sent(session)
    assert answer[3] == 25
    assert b"serialization 23" in answer
    assert len(session.receive_data(frame(REQUEST, 0, 6, b"N"), 1.0)) == 2
    caller = consumer()
    call = started(caller)
    (ended,) = caller.receive_data(frame(23, 20, call, b"..."), 1.0)
    assert isinstance(ended, CallEnded)
    assert "serialization 23" in ended.status.message


def test_a_request_id_in_use_closes() -> None:
    """Two open requests with one id could not be told apart in the answers."""
    session = provider()
    session.receive_data(frame(REQUEST, 0, 5, b"N"), 1.0)
    (closed,) = session.receive_data(frame(REQUEST, 0, 5, b"N"), 1.0)
    assert isinstance(closed, Closed)


def test_a_request_to_a_consumer_closes() -> None:
    """Callbacks are not supported, and a provider that sends one is told apart."""
    (closed,) = consumer().receive_data(frame(REQUEST, 0, 5, b"N"), 1.0)
    assert isinstance(closed, Closed)


def test_an_idle_connection_asks_once_a_minute() -> None:
    """Nothing for a minute: one heartbeat; an answer: the next minute begins."""
    session = consumer()
    assert session.next_timer() == IDLE_HEARTBEAT
    assert session.handle_timer(IDLE_HEARTBEAT - 1) == []
    assert sent(session) == b""
    assert session.handle_timer(IDLE_HEARTBEAT) == []
    beat = sent(session)
    assert beat[2] == HEARTBEAT
    assert session.next_timer() == IDLE_HEARTBEAT + PATIENCE
    session.receive_data(frame(HEARTBEAT_ANSWER, 20, int.from_bytes(beat[4:12], "big"), b"N"), 61.0)
    assert session.next_timer() == 61.0 + IDLE_HEARTBEAT


def test_a_dead_peer_is_noticed_within_ten_seconds_of_a_call() -> None:
    """With a call open: three silent seconds, a heartbeat, six more, closed. Idle time before
    the call does not count against the peer."""
    session = consumer()
    session.start_call(CallHead(), 50.0)
    assert session.next_timer() == 50.0 + BUSY_HEARTBEAT
    assert session.handle_timer(53.0) == []
    assert session.next_timer() == 59.0
    (closed,) = session.handle_timer(59.0)
    assert isinstance(closed, Closed)
    assert "dead" in closed.reason
    assert session.next_timer() is None


def test_a_slow_answer_is_not_a_dead_peer() -> None:
    """A provider that answers heartbeats may take as long as it likes for a call."""
    session = consumer()
    started(session)
    now = 0.0
    for _ in range(20):
        now = session.next_timer() or 0.0
        assert session.handle_timer(now) == []
        beat = sent(session)[-17:]
        answer = frame(HEARTBEAT_ANSWER, 20, int.from_bytes(beat[4:12], "big"), b"N")
        assert session.receive_data(answer, now + 1) == []
    assert now > 60


def test_readonly_in_fastjson2_is_understood() -> None:
    """Dubbo 3.2 says READONLY in its first choice of serialization, as measured: b7, `JR`."""
    event = bytes.fromhex("dabbb700 0000000000000001 00000006 000000024a52")
    assert consumer().receive_data(event, 1.0) == [Draining()]
    assert consumer().receive_data(event[:-1] + b"S", 1.0) == []
