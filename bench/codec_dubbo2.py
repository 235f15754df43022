"""What dubbo2 costs a call beside the sockets: bodies and frames, pure and compiled.

    python -m bench.codec_dubbo2

Microseconds of CPU time, both in turns within one process; the best of the rounds. A call
writes and reads a request and a response of each kind, and its frames arrive 64 at a time.
"""

from __future__ import annotations

import gc
import struct
import time
from typing import TYPE_CHECKING, Any

from bench.codec_values import User, user
from kubbo.wire import native
from kubbo.wire.dubbo2 import frames
from kubbo.wire.hessian2 import Limits, TypeRegistry, twin
from kubbo.wire.hessian2.reader import read_body as read_body_purely
from kubbo.wire.hessian2.writer import write_body as write_body_purely

if TYPE_CHECKING:
    from collections.abc import Callable

REGISTRY = TypeRegistry([User])
LIMITS = Limits()
KIND = REGISTRY.type_of(User)
IN_FLIGHT = 64


def tasks(write: Any, read: Any, split: Any) -> dict[str, tuple[Callable[[], object], int]]:
    """What is measured, and how many calls one run of it serves."""
    values, types, paths = (user(1),), (KIND,), ("argument 1",)
    body = write(REGISTRY, LIMITS, b"\x052.0.2", values, types, paths, b"HZ")
    assert read(body, REGISTRY, LIMITS, 6, types, paths)[1] == [user(1)]
    frame = struct.pack(">2sBBQI", b"\xda\xbb", 0xC2, 0, 7, len(body)) + body
    received = frame * IN_FLIGHT
    return {
        "write a body": (
            lambda: write(REGISTRY, LIMITS, b"\x052.0.2", values, types, paths, b"HZ"),
            1,
        ),
        "read a body": (lambda: read(body, REGISTRY, LIMITS, 6, types, paths), 1),
        "cut a frame": (lambda: split(received, 8 << 20), IN_FLIGHT),
    }


def run(rounds: int = 9, calls: int = 5_000) -> None:
    """Measure and print."""
    sides = {"pure": tasks(write_body_purely, read_body_purely, frames.split_purely)}
    if native is not None:
        sides["compiled"] = tasks(twin.write_body, twin.read_body, frames.split)
    spent: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        for side, each in sides.items():
            for name, (task, served) in each.items():
                gc.collect()
                count = calls // served
                begun = time.process_time()
                for _ in range(count):
                    task()
                one = (time.process_time() - begun) / count / served * 1e6
                spent[side, name] = min(one, spent.get((side, name), one))
    for name in sides["pure"]:
        shown = "  ".join(f"{side} {spent[side, name]:6.2f} us" for side in sides)
        ratio = spent["pure", name] / spent[list(sides)[-1], name]
        print(f"{name:14} {shown}  ({ratio:.1f} times)")


if __name__ == "__main__":
    run()
