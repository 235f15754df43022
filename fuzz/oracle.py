"""What must hold of a decoder, whatever it is given.

1. It returns a value or raises `DecodeError`, whose offset lies within the input and whose
   text is short.
2. It works in proportion to the input: values are counted, and so are the calls of functions
   (by the interpreter's own profiler, which is exact and the same on every machine). Time is
   only reported.
3. It takes at most 100 times the input of heap, plus 64 KiB.
4. What it returned can be shown in a few lines, and be told as JSON.
5. What it returned can be written. Read again and written again, the octets are the same:
   nothing was lost that would have been written.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from kubbo.errors import DecodeError, EncodeError
from kubbo.java import Key, Record, render
from kubbo.wire.hessian2 import JavaType, Limits, Reader, TypeRegistry, Writer
from kubbo.wire.hessian2.exceptions import to_exception
from kubbo.wire.hessian2.jsonform import to_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["Finding", "Measures", "check_hessian"]

HEAP_FACTOR = 100
HEAP_FLOOR = 64 * 1024
CALLS_PER_BYTE = 100
CALLS_FLOOR = 20_000
SHOWN = 5_000  # characters; `render` aims at 1,000, and an escape is up to ten of them
BOUND_MS = 50.0  # for each 64 KiB that were begun, of CPU; reported only
LIMITS = Limits()
_LONG = 4_096
# What was read through references may be written out some levels deeper: the words of a
# BitSet that referred to an array elsewhere stand within it now.
DEEPER = Limits(depth=LIMITS.depth + 8, nodes=8 * LIMITS.nodes)

# Where a hint narrows a number and the peer sent a wider one, it is read as it is (as Java
# reads it, which cuts it) and cannot be written back; and a char of no text has length 0.
NARROWED = (
    " is no byte", " is no short", " is no int", " is no long", " is no float", " is no char",
)  # fmt: skip


class Finding(Exception):  # noqa: N818 - a find, not always an error
    """Something that must hold does not."""


@dataclass
class Measures:
    """What the inputs of one run cost; `every` is how often calls and heap are measured."""

    every: int = 16
    inputs: int = 0
    accepted: int = 0
    slowest_ms: float = 0.0  # of CPU, for each 64 KiB that were begun
    slowest: bytes = b""
    most_heap: float = 0.0  # times the input, above the floor
    most_calls: float = 0.0  # per byte, above the floor
    slow: list[bytes] = field(default_factory=list)

    def samples(self, data: bytes) -> bool:
        """Whether calls and heap of this input are measured: oftener of long ones."""
        return self.inputs % (self.every if len(data) < _LONG else 2) == 0

    def take_time(self, data: bytes, seconds: float) -> None:
        """Remember the slowest."""
        spent = seconds * 1000 / (1 + len(data) // 65_536)
        if spent > self.slowest_ms:
            self.slowest_ms, self.slowest = spent, data
            if spent > BOUND_MS:
                self.slow.append(data)


def count_calls(work: Callable[[], object]) -> int:
    """How many functions, of Python and of C, are called."""
    calls = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal calls
        if event in {"call", "c_call"}:
            calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def peak_heap(work: Callable[[], object]) -> int:
    """The most bytes of heap that were in use at a time, above what was in use before."""
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = work()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        if not tracing:
            tracemalloc.stop()
    return peak - before


def check_hessian(
    data: bytes,
    registry: TypeRegistry,
    kind: JavaType | None,
    measures: Measures,
) -> None:
    """Hold a message against all of it.

    Raises:
        Finding: one of them does not hold.
    """
    measures.inputs += 1
    reader = Reader(data, registry, LIMITS)
    error: DecodeError | None = None
    value: Any = None
    started = time.thread_time()
    try:
        value = reader.read(kind)
    except DecodeError as caught:
        error = caught
    measures.take_time(data, time.thread_time() - started)
    if measures.samples(data):
        check_cost(data, registry, kind, measures)
    if error is not None:
        check_error(error, len(data))
        return
    measures.accepted += 1
    if not 0 <= reader.offset <= len(data):
        raise Finding(f"stopped at {reader.offset} of {len(data)} bytes")
    check_shown(value)
    octets = write(value, registry, kind)
    if octets is None:
        return
    again = Reader(octets, registry, DEEPER)
    found = again.read(kind)
    if not again.at_end:
        raise Finding(f"wrote {octets.hex()}, of which it reads {again.offset} bytes")
    twice = write(found, registry, kind)
    if twice != octets and not (holds_set(found) and same_count(again, twice, registry, kind)):
        raise Finding(f"written {octets.hex()}, read and written again {(twice or b'').hex()}")


def check_error(error: DecodeError, size: int) -> None:
    """A decoder's error says where, and is short."""
    if not -1 <= error.offset <= size:
        raise Finding(f"offset {error.offset} of {size} bytes")
    if len(str(error)) > SHOWN:
        raise Finding(f"an error of {len(str(error))} characters")


def check_cost(
    data: bytes, registry: TypeRegistry, kind: JavaType | None, measures: Measures
) -> None:
    """Work and memory, each by reading once more."""

    def work() -> object:
        reader = Reader(data, registry, LIMITS)
        try:
            return reader, reader.read(kind)
        except DecodeError as error:
            return error

    calls = count_calls(work)
    if calls > CALLS_PER_BYTE * len(data) + CALLS_FLOOR:
        raise Finding(f"{calls} calls for {len(data)} bytes")
    heap = peak_heap(work)
    if heap > HEAP_FACTOR * len(data) + HEAP_FLOOR:
        raise Finding(f"{heap} bytes of heap for {len(data)} bytes")
    if data:
        measures.most_calls = max(measures.most_calls, (calls - CALLS_FLOOR) / len(data))
        measures.most_heap = max(measures.most_heap, (heap - HEAP_FLOOR) / len(data))


def check_shown(value: Any) -> None:
    """Whatever its shape, it is shown in a few lines; all who look at it survive."""
    if len(render(value)) > SHOWN:
        raise Finding(f"shown in {len(render(value))} characters")
    if type(value).__module__ == "kubbo.java" and len(repr(value)) > 2 * SHOWN:
        raise Finding(f"a repr of {len(repr(value))} characters")
    to_json(value, limit=1_000)
    error = to_exception(value)
    str(error)


def write(value: Any, registry: TypeRegistry, kind: JavaType | None) -> bytes | None:
    """The octets of what was read, None where a hint allows to read what it does not write."""
    writer = Writer(registry, DEEPER)
    try:
        writer.write(value, kind)
    except EncodeError as error:
        if kind is not None and any(text in error.message for text in NARROWED):
            return None
        raise Finding(f"was read but cannot be written: {error}") from error
    return writer.getvalue()


def holds_set(value: Any) -> bool:
    """Whether there is a set of several elements, in an order that Python chooses each time."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, (set, frozenset)) and len(one) > 1:
            return True
        if isinstance(one, Key):
            waiting.append(one.value)
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset)):
            waiting += one
        elif isinstance(one, Record):
            waiting += one.fields.values()
        elif is_dataclass(one):
            waiting += [getattr(one, each.name, None) for each in fields(one)]
        elif isinstance(one, BaseException):
            waiting += vars(one).values()
    return False


def same_count(
    reader: Reader, octets: bytes | None, registry: TypeRegistry, kind: JavaType | None
) -> bool:
    """Whether a message has as many values as the one that was read."""
    if octets is None:
        return False
    other = Reader(octets, registry, DEEPER)
    other.read(kind)
    return other.nodes == reader.nodes
