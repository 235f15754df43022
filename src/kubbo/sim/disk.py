"""A disk with little room: real files, which end where there is none left.

The kernel is asked to let no file of this process grow beyond a size while a snapshot is written.
Whoever writes gets an error at the very byte, as from a disk that is full, and the file that was
begun is there, cut short. Nothing is patched; the code that is tested writes, fails and cleans up
as it does on a disk.
"""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kubbo.naming.snapshot import SnapshotFile

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from kubbo.model import Endpoint

__all__ = ["SimDisk", "SimSnapshotFile"]


class SimDisk:
    """What room there is.

    Attributes:
        room_bytes: for each file; None while there is enough.
        refused: how many files did not get what they needed.
        written: how many did.
    """

    def __init__(self) -> None:
        self.room_bytes: int | None = None
        self.refused = 0
        self.written = 0

    @contextmanager
    def limited(self) -> Generator[None]:
        """Let files that are written meanwhile be no larger than there is room."""
        if self.room_bytes is None:
            yield
            self.written += 1
            return
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.room_bytes, before[1]))
        try:
            yield
            self.written += 1
        except OSError:
            self.refused += 1
            raise
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


class SimSnapshotFile(SnapshotFile):
    """A snapshot on a simulated disk."""

    def __init__(self, disk: SimDisk, directory: Path, target: str, source: str) -> None:
        super().__init__(directory, target, source)
        self._disk = disk

    def write(self, endpoints: tuple[Endpoint, ...], now: float) -> None:
        """See `SnapshotFile`."""
        with self._disk.limited():
            super().write(endpoints, now)
