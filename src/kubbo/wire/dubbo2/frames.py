"""What arrived on a connection, cut into frames.

A frame is a 16-byte header and a body:

    da bb | flags | status | request id, 8 bytes | body length, 4 bytes

Cutting needs no state: `split` takes whole frames off the front of some bytes, and leaves to
the session what is not whole yet, too large, or no frame at all. `kubbo-native` holds a twin
of it (`native/src/frames.rs`), which is used where the codec's twin is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, TypeAlias

from kubbo.wire import native

__all__ = ["HEADER", "MAGIC", "Frame", "Split", "split", "split_purely"]

MAGIC: Final = b"\xda\xbb"
HEADER: Final = struct.Struct(">2sBBQI")

_unpack = HEADER.unpack_from
_SIZE: Final = HEADER.size

Frame: TypeAlias = tuple[int, int, int, bytes]
"""Flags, status, request id and body."""

Split: TypeAlias = Callable[[bytes, int], tuple[list[Frame], int]]


def split_purely(data: bytes, most: int) -> tuple[list[Frame], int]:
    """The whole frames that `data` begins with, and how many bytes they take.

    It stops before what is no frame, is not whole, or whose body is larger than `most` bytes.
    """
    found: list[Frame] = []
    at, size = 0, len(data)
    while size - at >= _SIZE:
        magic, flags, status, call, length = _unpack(data, at)
        end = at + _SIZE + length
        if magic != MAGIC or length > most or end > size:
            break
        found.append((flags, status, call, data[at + _SIZE : end]))
        at = end
    return found, at


split: Final[Split] = split_purely if native is None else native.split
