"""What the control group of a container says, in both of its versions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kubbo.rpc.resources import Resources, Sizes, read_resources, size_for

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = float(os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("files", "cpus", "memory_bytes"),
    [
        ({}, MACHINE, None),
        ({"cpu.max": "50000 100000", "memory.max": "268435456"}, 0.5, 268435456),
        ({"cpu.max": "max 100000", "memory.max": "max"}, MACHINE, None),
        ({"cpu.max": "99999900000 100000"}, MACHINE, None),
        (
            {
                "cpu/cpu.cfs_quota_us": "25000",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "134217728",
            },
            0.25,
            134217728,
        ),
        (
            {
                "cpu/cpu.cfs_quota_us": "-1",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "9223372036854771712",
            },
            MACHINE,
            None,
        ),
        ({"cpu.max": "many\nlines", "memory.max": ""}, MACHINE, None),
        ({"cpu.max": "1 0", "memory.max": "0"}, MACHINE, None),
    ],
)
def test_limits_of_the_container(
    tmp_path: Path, files: dict[str, str], cpus: float, memory_bytes: int | None
) -> None:
    """Quota over period, bytes, and no limit for whatever is not a number."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    resources = read_resources(tmp_path)
    assert (resources.cpus, resources.memory_bytes) == (cpus, memory_bytes)


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("resources", "sizes"),
    [
        (Resources(8.0, None), Sizes(64, 10_000, 128 * MIB)),
        (Resources(0.5, 256 * MIB), Sizes(16, 10_000, 64 * MIB)),
        (Resources(0.1, 64 * MIB), Sizes(4, 4_096, 16 * MIB)),
        (Resources(1.0, 1), Sizes(32, 100, 16 * MIB)),
    ],
)
def test_limits_follow_the_container(resources: Resources, sizes: Sizes) -> None:
    """Threads by processors, calls and bytes by memory, within bounds."""
    assert size_for(resources) == sizes
