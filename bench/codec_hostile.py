"""What 64 KiB cost a reader at most: time and heap of messages that are made to be dear.

    python -m bench.codec_hostile

Shapes of a byte or two, read as what multiplies them; some are read, some refused. The bounds
are 50 ms of CPU time, and heap of 100 times the message and 64 KiB, for both codecs. Tests
hold heap and calls to them (tests/unit/wire/hessian2/test_hostile.py); time is measured here,
the best of five, garbage collection off as between two messages.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from dataclasses import dataclass, field
from typing import Any, TypedDict

from kubbo.errors import DecodeError
from kubbo.java import BigInteger, Long, pojo
from kubbo.wire import native
from kubbo.wire.hessian2 import Reader, TypeRegistry
from kubbo.wire.hessian2.reader import Reader as PureReader

SIZE = 65_536


@pojo("com.example.Place")
class Place(TypedDict):
    x: int
    y: int


@pojo("com.example.Wide")
@dataclass
class Wide:
    a: int = 0
    b: list[int] = field(default_factory=list)
    c: str = ""
    d: int = 0
    e: int = 0


def many(part: bytes, begin: bytes = b"") -> bytes:
    """A list of as many parts as there is room for."""
    return b"\x57" + begin + part * ((SIZE - len(begin) - 2) // len(part)) + b"Z"


PLACE = b"C\x11com.example.Place\x92\x01x\x01y"
WIDE = b"C\x10com.example.Wide\x91\x01a"
SHAPES: dict[str, tuple[bytes, Any]] = {
    "empty lists, nothing declared": (many(b"\x78"), None),
    "lists of a list, nothing declared": (many(b"\x79\x78"), None),
    "records without fields": (many(b"\x60", b"C\x01A\x90"), None),
    "maps of one, nothing declared": (many(b"H\x90\x90Z"), None),
    "list[list[Long]], one long each": (many(b"\x79\xe1"), list[list[Long]]),
    "list[list[Long]], empty": (many(b"\x78"), list[list[Long]]),
    "list[list[float]], of ints": (many(b"\x79\x91"), list[list[float]]),
    "list[tuple[Long, ...]]": (many(b"\x79\xe1"), list[tuple[Long, ...]]),
    "list[tuple[int, Long]]": (many(b"\x7a\x91\xe1"), list[tuple[int, Long]]),
    "list[dict[Long, Long]]": (many(b"H\xe1\xe1Z"), list[dict[Long, Long]]),
    "list[set[Long]], empty": (many(b"\x78"), list[set[Long]]),
    "list[set[Long]], one each": (many(b"\x79\xe1"), list[set[Long]]),
    "list[set[Long]], five each": (many(b"\x7d\xe1\xe2\xe3\xe4\xe5"), list[set[Long]]),
    "set[BigInteger], of ints": (many(b"\x91\xc9\x00"), set[BigInteger]),
    "typed dicts": (many(b"\x60\x91\x92", PLACE), list[Place]),
    "objects of few fields": (many(b"\x60\x91", WIDE), list[Wide]),
    "references": (many(b"\x51\x91", b"\x7a\xe1\xe2"), list[list[Long]]),
}


def measure(reader: Any, registry: TypeRegistry, data: bytes, hint: Any) -> tuple[float, float]:
    """Milliseconds for each 64 KiB, and heap beyond 64 KiB in times the message."""
    kind = None if hint is None else registry.type_of(hint)

    def work() -> object:
        one = reader(data, registry)
        try:
            return one, one.read(kind)
        except DecodeError as error:
            return error

    work()
    gc.disable()
    spent = []
    for _ in range(5):
        begun = time.thread_time()
        result = work()
        spent.append(time.thread_time() - begun)
        del result
    gc.enable()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    result = work()
    heap = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    del result
    return min(spent) * 1000 * SIZE / len(data), max(0, heap - SIZE) / len(data)


def run() -> None:
    """Measure and print."""
    registry = TypeRegistry([Place, Wide])
    sides = {"pure": PureReader} | ({} if native is None else {"native": Reader})
    worst = dict.fromkeys(sides, (0.0, 0.0))
    print(f"{'64 KiB of':36}" + "".join(f"{side:>10} ms   heap" for side in sides))
    for name, (data, hint) in SHAPES.items():
        line = f"{name:36}"
        for side, reader in sides.items():
            found = measure(reader, registry, data, hint)
            line += f"{found[0]:13.1f}{found[1]:7.1f}"
            worst[side] = (max(worst[side][0], found[0]), max(worst[side][1], found[1]))
        print(line)
    print(f"{'the worst':36}" + "".join(f"{ms:13.1f}{heap:7.1f}" for ms, heap in worst.values()))


if __name__ == "__main__":
    run()
