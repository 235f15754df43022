"""The targets: each takes any bytes, and raises `Finding` if something does not hold.

An exception of any other kind is a finding too: nothing here is allowed to let one through.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from fuzz import corpus, nasty
from fuzz.mutate import BINARY, TEXT, Strategy
from fuzz.oracle import LIMITS, SHOWN, Finding, Measures, check_error, check_hessian
from kubbo.errors import Code, DecodeError, EncodeError, RemoteException, RpcError, TargetError
from kubbo.java import render
from kubbo.model import Deadline, Invocation, Signature
from kubbo.naming.kubernetes.client import (
    ENDPOINT_SLICES,
    SERVICES,
    LineBuffer,
    decode_event,
    decode_page,
)
from kubbo.naming.kubernetes.reflector import Changed, List, Page, Reflector, Undecodable
from kubbo.naming.kubernetes.slices import join
from kubbo.naming.target import parse_target
from kubbo.wire.dubbo2 import Dubbo2Session, Role
from kubbo.wire.dubbo2.body import Dubbo2Codec
from kubbo.wire.dubbo2.frames import Split, split, split_purely
from kubbo.wire.hessian2 import Reader, TypeRegistry, encode
from kubbo.wire.hessian2.jsonform import from_json, to_json
from kubbo.wire.session import CallHead, Closed, Event, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kubbo.naming.kubernetes.objects import EndpointSlice
    from kubbo.wire.codec import ReceivedCall
    from kubbo.wire.hessian2 import JavaType

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """One reader under test, with the seeds of its inputs and what damages them.

    `share` is its part of a run over all targets.
    """

    name: str
    run: Callable[[bytes, Measures], None]
    seeds: Callable[[], Sequence[bytes]]
    strategies: Sequence[Strategy]
    share: int


# ------------------------------------------------------------------ Hessian2

_PLAIN = TypeRegistry()


def run_hessian(data: bytes, measures: Measures) -> None:
    """The decoder, where nothing is declared and nothing is registered."""
    check_hessian(data, _PLAIN, None, measures)


@cache
def _nasty() -> tuple[TypeRegistry, tuple[JavaType, ...]]:
    registry = nasty.registry()
    return registry, nasty.kinds(registry)


def run_typed(data: bytes, measures: Measures) -> None:
    """The decoder with hints; the first byte chooses one."""
    registry, kinds = _nasty()
    choice = data[0] if data else 0
    check_hessian(data[1:], registry, kinds[choice % len(kinds)], measures)


# ------------------------------------------------------------------ dubbo2


def run_bodies(data: bytes, measures: Measures) -> None:
    """The bodies of requests and responses. `00` is before a request."""
    measures.inputs += 1
    if not data:
        return
    if data[0] == 0:
        _run_request(data[1:], measures)
    else:
        _run_response(data[1:], data[0] - 1, measures)


class _Served:
    """All methods of one service."""

    def __init__(self) -> None:
        self.registry = nasty.registry()
        self.signatures = {signature.name: signature for signature in corpus.signatures()}

    def find(
        self, interface: str, version: str, method: str, types: str
    ) -> tuple[Signature, TypeRegistry]:
        """See `Services.find`."""
        del types
        found = self.signatures.get(method)
        if interface != corpus.SERVICE.interface or version != corpus.SERVICE.version or not found:
            raise RpcError(Code.UNIMPLEMENTED, "no such method")
        return found, self.registry


@cache
def _served() -> tuple[_Served, Dubbo2Codec]:
    return _Served(), Dubbo2Codec(nasty.registry(), limits=LIMITS)


def _run_request(payload: bytes, measures: Measures) -> None:
    served, codec = _served()
    try:
        call = codec.decode_request(payload, served)
    except DecodeError as error:
        check_error(error, len(payload))
        return
    except RpcError as error:
        if len(str(error)) > SHOWN:
            raise Finding(f"an error of {len(str(error))} characters") from None
        return
    measures.accepted += 1
    again = codec.decode_request(payload, served)  # now by what is remembered of its head
    if (again.signature, again.timeout, again.service) != (
        call.signature,
        call.timeout,
        call.service,
    ) or repr_of(again) != repr_of(call):
        raise Finding("decoded twice, it means two things")
    if len(call.arguments) != len(call.signature.parameters):
        raise Finding(f"{len(call.arguments)} arguments for {call.signature}")
    try:
        codec.encode_result(call, call.arguments[0], {})
    except EncodeError as error:
        if len(str(error)) > SHOWN:
            raise Finding(f"an error of {len(str(error))} characters") from None


def repr_of(call: ReceivedCall) -> str:
    """Arguments and attachments, in short."""
    return render([list(call.arguments), call.attachments])


def _run_response(payload: bytes, number: int, measures: Measures) -> None:
    served, codec = _served()
    signatures = tuple(served.signatures.values())
    call = Invocation(corpus.SERVICE, signatures[number % len(signatures)], (), Deadline(0))
    try:
        codec.decode_response(payload, call)
    except DecodeError as error:
        check_error(error, len(payload))
        return
    except RemoteException as error:
        if len(str(error)) > len(payload) + SHOWN:
            raise Finding(f"an exception of {len(str(error))} characters") from None
    except nasty.BizException as error:
        str(error)
    measures.accepted += 1


def run_session(data: bytes, measures: Measures) -> None:
    """A connection's bytes, whole and in random chunks, at both ends."""
    measures.inputs += 1
    if not data:
        return
    choice, stream = data[0], data[1:]
    role = Role.PROVIDER if choice & 1 else Role.CONSUMER
    whole, said = _converse(role, [stream])
    if (whole, said) != _converse(role, [stream], split_purely):
        raise Finding("the compiled scanner cuts other frames")
    rng = random.Random(choice + len(stream))  # noqa: S311 - repeatable, not secret
    chunks: list[bytes] = []
    at = 0
    while at < len(stream):
        size = rng.choice((1, 1, 2, 3, 15, 16, 17, 40, 1_000)) if choice & 0x80 else 1
        chunks.append(stream[at : at + size])
        at += size
    cut, answered = _converse(role, chunks)
    if whole != cut and not (_closing(whole) and _closing(cut)):
        raise Finding(f"whole: {whole!r:.500}; in {len(chunks)} chunks: {cut!r:.500}")
    if said != answered:
        raise Finding(f"answers {said.hex()}; in {len(chunks)} chunks {answered.hex()}")
    measures.accepted += not _closing(whole)


def _closing(events: list[Event]) -> bool:
    return bool(events) and isinstance(events[-1], Closed)


def _converse(role: Role, chunks: list[bytes], split: Split = split) -> tuple[list[Event], bytes]:
    session = Dubbo2Session(role, now=0.0, max_payload_bytes=1 << 20, split=split)
    if role is Role.CONSUMER:
        for _ in range(3):
            call = session.start_call(CallHead(), 0.0)
            session.send_message(call, b"ask", end=True)
        session.start_call(CallHead(oneway=True), 0.0)
    session.data_to_send()
    events: list[Event] = []
    for chunk in chunks:
        events += session.receive_data(chunk, 1.0)
    out = session.data_to_send()
    for event in events:
        if isinstance(event, Closed) and len(event.reason) > SHOWN:
            raise Finding(f"a reason of {len(event.reason)} characters")
    for number in (1, 2, 7):
        session.end_call(number, Status(message="late"))
    due = session.next_timer()
    if (due is None) != _closing(events):
        raise Finding(f"next timer {due} after {events!r:.300}")
    if session.open_calls > len(chunks) + sum(map(len, chunks)) // 16 + 4:
        raise Finding(f"{session.open_calls} open calls")
    session.receive_eof(2.0)
    if session.receive_data(b"\xda\xbb", 3.0) or session.handle_timer(1e9):
        raise Finding("events after the end")
    return events, b"".join(out)


# ------------------------------------------------------------------ JSON of people


def run_json(data: bytes, measures: Measures) -> None:
    """A value as JSON, for a type; the first byte chooses it."""
    measures.inputs += 1
    if not data:
        return
    registry, kinds = _nasty()
    kind = kinds[data[0] % len(kinds)]
    try:
        parsed: Any = json.loads(data[1:])
    except (ValueError, RecursionError):
        return
    try:
        value = from_json(parsed, kind, registry)
        octets = encode(value, registry, kind)
    except EncodeError as error:
        if len(str(error)) > 2 * SHOWN:
            raise Finding(f"an error of {len(str(error))} characters") from None
        return
    measures.accepted += 1
    try:
        found = Reader(octets, registry, LIMITS).read(kind)
    except DecodeError:
        return  # a reader's limits, or a record in the place of a class, which may be written
    json.dumps(to_json(found))


# ------------------------------------------------------------------ naming


def run_target(data: bytes, measures: Measures) -> None:
    """A target, which is read back as it is shown."""
    measures.inputs += 1
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = parse_target(text)
    except TargetError as error:
        if len(str(error)) > 40 * len(text) + 1_000:
            raise Finding(f"an error of {len(str(error))} characters") from None
        return
    measures.accepted += 1
    if parse_target(str(found)) != found:
        raise Finding(f"{text!r} is shown as {str(found)!r}, which is another target")


def run_kubernetes(data: bytes, measures: Measures) -> None:
    """Lines of a watch and pages of a list, up to the reflector and the join."""
    measures.inputs += 1
    if not data:
        return
    choice, body = data[0], data[1:]
    resource: Any = SERVICES if choice & 1 else ENDPOINT_SLICES
    reflector: Reflector[Any] = Reflector(rng=random.Random(choice))  # noqa: S311 - repeatable
    now = 0.0
    reflector.start(now)
    page = decode_page(resource, body)
    if isinstance(page, Undecodable) and len(page.reason) > SHOWN:
        raise Finding(f"a reason of {len(page.reason)} characters")
    reflector.receive(page, now)
    events: list[Any] = [Page({}, "100"), page]
    size = 1 + (choice >> 1) * 7
    lines = LineBuffer(1 << 20)
    for at in range(0, len(body), size):
        found = lines.feed(body[at : at + size])
        events += [decode_event(resource, line, "https://api") for line in found or ()]
    for event in events:
        now += 1.0
        action = reflector.receive(event, now)
        if isinstance(action, List) and action.limit < 0:
            raise Finding(f"{action}")
        due = reflector.next_timer()
        if due is not None:
            now = max(now, due)
            reflector.handle_timer(now)
    slices: list[EndpointSlice] = []
    for event in events:
        if isinstance(event, Changed):
            slices.append(event.value)
        elif isinstance(event, Page):
            slices += event.items.values()
    if resource is ENDPOINT_SLICES:
        for port in (None, 20880, "dubbo"):
            joined = join(slices, port=port)
            for endpoint in joined.endpoints:
                if not 1 <= endpoint.port <= 65535 or not endpoint.host:
                    raise Finding(f"an endpoint that cannot be dialled: {endpoint}")
    measures.accepted += bool(slices)


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("hessian", run_hessian, corpus.hessian, BINARY, 40),
        Target("typed", run_typed, corpus.typed, BINARY, 30),
        Target("bodies", run_bodies, corpus.bodies, BINARY, 10),
        Target("session", run_session, corpus.frames, BINARY, 5),
        Target("json", run_json, corpus.json_texts, TEXT, 5),
        Target("target", run_target, corpus.targets, TEXT, 5),
        Target("kubernetes", run_kubernetes, corpus.kubernetes, TEXT, 5),
    )
}
