"""What this process may use of its machine: the container's limits, or the machine's own.

A container sees all processors of its node and may use a fraction of one. What it may use is in
the files of its control group, version 2 or 1. Where nothing is limited, the machine counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Resources", "Sizes", "read_resources", "size_for"]

MAX_CALLS: Final = 10_000
LEAST_CALLS: Final = 100
BYTES_PER_CALL: Final = 16 * 1024
"""Calls in progress. One costs a few KiB besides its request, more where its method does much."""

MAX_HELD_BYTES: Final = 128 * 1024 * 1024
LEAST_HELD_BYTES: Final = 16 * 1024 * 1024
"""Bytes of requests that arrive or are served: two of the largest always fit, and a container
of 256 MiB survives its peers."""

THREADS_PER_CPU: Final = 32
MAX_THREADS: Final = 64
LEAST_THREADS: Final = 4
"""Workers for methods that are plain functions; they mostly wait for something else."""

_ROOT: Final = Path("/sys/fs/cgroup")

_UNLIMITED_BYTES: Final = 1 << 60
"""Version 1 says "no limit" by a number near 2^63."""


@dataclass(frozen=True, slots=True)
class Resources:
    """`cpus` may be a fraction; `memory_bytes` is None where nobody limits it."""

    cpus: float
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """Limits of a provider; see `kubbo.Server`."""

    threads: int
    max_calls: int
    max_held_bytes: int


def size_for(resources: Resources) -> Sizes:
    """The limits of a provider that nobody has set others for."""
    memory = resources.memory_bytes
    threads = min(MAX_THREADS, max(LEAST_THREADS, int(THREADS_PER_CPU * resources.cpus)))
    if memory is None:
        return Sizes(threads, MAX_CALLS, MAX_HELD_BYTES)
    return Sizes(
        threads,
        min(MAX_CALLS, max(LEAST_CALLS, memory // BYTES_PER_CALL)),
        min(MAX_HELD_BYTES, max(LEAST_HELD_BYTES, memory // 4)),
    )


def read_resources(root: Path = _ROOT) -> Resources:
    """The limits of the control group that `root` shows; what cannot be read is no limit."""
    machine = float(os.cpu_count() or 1)
    cpus = _quota(root / "cpu.max") or _old_quota(root / "cpu")
    memory = _number(root / "memory.max") or _number(root / "memory/memory.limit_in_bytes")
    if memory is not None and memory >= _UNLIMITED_BYTES:
        memory = None
    return Resources(min(machine, cpus) if cpus else machine, memory)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() and len(text) < 30 and int(text) else None


def _quota(path: Path) -> float | None:
    quota, _, period = _text(path).partition(" ")
    if quota.isdecimal() and period.isdecimal() and int(period) and len(quota + period) < 30:
        return int(quota) / int(period)
    return None


def _old_quota(folder: Path) -> float | None:
    quota = _number(folder / "cpu.cfs_quota_us")
    period = _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period else None
