"""The last good view on disk: for a consumer that starts while no source answers.

One file a target. Its first line is the SHA-256 of the rest, the rest is one JSON object: the
version of the format, what was asked and where (the target and, say, the API server), when,
and the endpoints. A half-written or damaged file cannot pass for a whole one, and a file of
another cluster or another namespace is not mistaken for ours, even if the directory is shared.

A file says where calls go, so who may write it may redirect them: a file or a directory that
belongs to another user, or that group or others may write, is refused, as is a link. So is one
that is too old: after a day addresses belong to somebody else.

A view is written to a temporary file, which replaces the old one when it is safely on the disk
(fsync, rename). It is written when addresses change, no more often than every few seconds, and
every hour while they don't, so that its age is that of the view.
A disk that is full or read-only costs a warning, never a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from kubbo.errors import ConfigError, KubboError
from kubbo.model import Endpoint, Step
from kubbo.naming.resolution import (
    Failed,
    Members,
    Pending,
    Resolution,
    Resolver,
    hint_refresh,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kubbo.naming.resolution import Publish

__all__ = ["DAY", "SnapshotError", "SnapshotFile", "SnapshotResolver"]

_log = logging.getLogger("kubbo.naming")

DAY: Final = 86_400.0
VERSION: Final = 1
MAX_BYTES: Final = 8 << 20  # 20,000 endpoints with names of full length have room
MAX_ENDPOINTS: Final = 20_000
_FUTURE: Final = 300.0  # seconds that the clock of the writer may have been ahead
_PATIENCE: Final = 3.0  # seconds until a source that says nothing is not waited for any more
_WRITE_EVERY: Final = 5.0  # seconds between two writes of one file
_TRY_AGAIN: Final = 60.0  # seconds until a disk that refused is tried again
_CONFIRM_EVERY: Final = 3600.0  # seconds until the same view is written again: it is not old


class SnapshotError(KubboError):
    """A snapshot cannot be used; the message names the file and says why.

    `missing`: because there is none, which is nothing to warn of.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class _Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    port: int
    weight: int = 100
    zone: str = ""
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    labels: tuple[tuple[str, str], ...] = ()


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    target: str
    source: str
    at: float
    endpoints: tuple[_Endpoint, ...]


class SnapshotFile:
    """The snapshot of one target, as one source has it. Its methods block: call them in a thread.

    `source` says who was asked (the API server, the namespace), so that the same target text
    in another place is another file. `now` is wall time, in seconds.
    """

    def __init__(
        self,
        directory: Path,
        target: str,
        source: str,
        *,
        longest_age: float = DAY,
        owner: int | None = None,
    ) -> None:
        """`longest_age` in seconds; `owner` is the one user who may have written it: ours."""
        name = hashlib.sha256(f"{target}\n{source}".encode()).hexdigest()[:40]
        self.path = directory / f"{name}.snapshot"
        self._target = target
        self._source = source
        self._longest_age = longest_age
        self._owner = os.geteuid() if owner is None else owner

    def write(self, endpoints: tuple[Endpoint, ...], now: float) -> None:
        """Replace the snapshot.

        Raises:
            OSError: the disk is full, or the directory cannot be written.
            SnapshotError: the directory is open to others, or this is too large for a file.
        """
        content = _Content(
            VERSION,
            self._target,
            self._source,
            now,
            tuple(
                _Endpoint(
                    each.host,
                    each.port,
                    each.weight,
                    each.zone,
                    each.node,
                    each.ready,
                    each.serving,
                    each.terminating,
                    each.labels,
                )
                for each in endpoints
            ),
        )
        body = msgspec.json.encode(content)
        if len(endpoints) > MAX_ENDPOINTS or len(body) > MAX_BYTES:
            raise SnapshotError(f"{len(endpoints)} endpoints are too many for {self.path}")
        directory = self.path.parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_owner(directory, directory.stat())
        # Made with mode 0600 and a name that nobody can guess.
        handle, name = tempfile.mkstemp(dir=directory, prefix=".", suffix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        with contextlib.suppress(OSError):  # some file systems know no fsync of directories
            opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)

    def read(self, now: float) -> tuple[tuple[Endpoint, ...], float]:
        """The endpoints, and how many seconds ago they were written.

        Raises:
            SnapshotError: there is none, or it must not be used; the message says why.
        """
        content = self._decode(self._read())
        if content.version != VERSION:
            raise self._refused(f"it has version {content.version}, known is {VERSION}")
        if (content.target, content.source) != (self._target, self._source):
            raise self._refused(f"it is of {content.target} at {content.source}")
        age = now - content.at
        if not -_FUTURE <= age <= self._longest_age:
            raise self._refused(
                f"it was written {age:.0f} s ago, the limit is {self._longest_age:.0f} s"
                if age > 0
                else f"it was written {-age:.0f} s in the future; check the clock"
            )
        endpoints = tuple(self._endpoint(each) for each in content.endpoints)
        if not endpoints or len({each.key for each in endpoints}) != len(endpoints):
            raise self._refused("it lists no address, or one twice")
        return endpoints, max(0.0, age)

    def _read(self) -> bytes:
        try:
            self._check_owner(self.path.parent, self.path.parent.stat())
            handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise SnapshotError(f"there is no snapshot {self.path}", missing=True) from None
        except OSError as error:
            raise self._refused(error.strerror or str(error)) from None
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise self._refused("it is no regular file")
            self._check_owner(self.path, status)
            with os.fdopen(handle, "rb", closefd=False) as file:
                text = file.read(MAX_BYTES + 66)
        except OSError as error:
            raise self._refused(error.strerror or str(error)) from None
        finally:
            os.close(handle)
        if len(text) > MAX_BYTES + 65:
            raise self._refused(f"it is larger than {MAX_BYTES} bytes")
        return text

    def _decode(self, text: bytes) -> _Content:
        digest, _, body = text.partition(b"\n")
        if digest != hashlib.sha256(body).hexdigest().encode():
            raise self._refused("it is damaged or cut short (its checksum differs)")
        try:
            return msgspec.json.decode(body, type=_Content)
        except msgspec.MsgspecError as error:
            raise self._refused(f"it is no snapshot: {error}") from None

    def _endpoint(self, each: _Endpoint) -> Endpoint:
        if not each.host or not 0 < each.port < 65536 or each.weight < 0:
            raise self._refused(f"it lists {each.host!r}, port {each.port}, weight {each.weight}")
        return Endpoint(
            each.host,
            each.port,
            each.weight,
            each.zone,
            each.node,
            each.ready,
            each.serving,
            each.terminating,
            each.labels,
        )

    def _check_owner(self, path: Path, status: os.stat_result) -> None:
        if status.st_uid != self._owner:
            raise self._refused(
                f"{path} belongs to user {status.st_uid}, this process is {self._owner}"
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise self._refused(f"others may write {path}; run `chmod go-w {path}`")

    def _refused(self, why: str) -> SnapshotError:
        return SnapshotError(f"the snapshot {self.path} is refused: {why}")


class SnapshotResolver:
    """A resolver that writes down what it finds, and reads it where it finds nothing.

    It publishes what the resolver inside says. Only where that has never had members or an
    answer, and fails or says nothing for `_PATIENCE`, the snapshot is published instead: as
    stale members, since the time when they were written. A failure that comes first is held back
    until the snapshot was looked for, or the first call would fail for want of a moment.
    """

    def __init__(
        self,
        inside: Resolver,
        open_file: Callable[[], Awaitable[SnapshotFile]],
        *,
        clock: Callable[[], float] | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`open_file` may take its time, and raise ConfigError where there is no place to ask."""
        self._inside = inside
        self._open_file = open_file
        self._clock = clock
        self._wall = wall

    def __repr__(self) -> str:
        return f"SnapshotResolver({self._inside!r})"

    def refresh(self) -> None:
        """Pass a hint on."""
        hint_refresh(self._inside)

    async def watch(self, publish: Publish, /) -> None:
        """Publish until cancelled, and write behind."""
        try:
            file = await self._open_file()
        except ConfigError:  # the resolver inside says what is wrong
            await self._inside.watch(publish)
            return
        run = _Run(file, publish, self._clock or asyncio.get_running_loop().time, self._wall)
        keeper = asyncio.create_task(run.keep(), name=f"kubbo snapshot {self._inside!r}")
        keeper.add_done_callback(_log_end)
        try:
            await self._inside.watch(run.receive)
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)


def _log_end(keeper: asyncio.Task[None]) -> None:
    """Views go on without their keeper; that it failed is a bug, and told."""
    if not keeper.cancelled() and (error := keeper.exception()) is not None:
        _log.error("no snapshot is kept any more", exc_info=error)


class _Run:
    """One life of a snapshot resolver: a task of its own does what blocks."""

    def __init__(
        self,
        file: SnapshotFile,
        publish: Publish,
        now: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._file = file
        self._publish = publish
        self._now = now
        self._wall = wall
        self._started = now()
        self._said: Resolution = Pending()
        self._told: Resolution | None = None
        self._known = False
        self._saved: Members | None = None
        self._refusal = ""
        self._read_over = False
        self._written: tuple[Endpoint, ...] | None = None
        self._written_at = 0.0
        self._warned = False
        self._woken = asyncio.Event()

    def receive(self, said: Resolution) -> None:
        """Take what the resolver inside says."""
        self._said = said
        if not isinstance(said, Pending | Failed):
            self._known = True
        self._tell()
        self._woken.set()

    def _tell(self) -> None:
        said = self._said
        if not self._known and self._saved is not None:
            said = self._saved
        elif isinstance(said, Failed) and not self._known:
            if not self._read_over:
                return
            if self._refusal:
                said = Failed(said.error, (*said.steps, Step("naming", None, self._refusal)))
        if said != self._told:
            self._told = said
            self._publish(said)

    async def keep(self) -> None:
        """Read when nothing is known, write what is new."""
        await self._read_when_needed()
        while True:
            self._woken.clear()
            endpoints = self._to_write()
            if endpoints is not None:
                await asyncio.sleep(_WRITE_EVERY if await self._write(endpoints) else _TRY_AGAIN)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CONFIRM_EVERY):
                    await self._woken.wait()

    async def _read_when_needed(self) -> None:
        while not self._known:
            left = self._started + _PATIENCE - self._now()
            if isinstance(self._said, Failed) or left <= 0:
                await self._read()
                return
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._woken.wait()

    async def _read(self) -> None:
        try:
            endpoints, age = await asyncio.to_thread(self._file.read, self._wall())
        except SnapshotError as error:
            self._refusal = str(error)
            if not error.missing:
                _log.warning("%s", error)
        else:
            step = Step("naming", len(endpoints), f"snapshot {self._file.path}")
            since = self._now() - age
            self._saved = Members(endpoints, stale_since=since, steps=(step,), definite=False)
        finally:
            self._read_over = True
            self._tell()

    def _to_write(self) -> tuple[Endpoint, ...] | None:
        said = self._said
        if not isinstance(said, Members) or said.stale_since is not None:
            return None
        due = self._written_at + _CONFIRM_EVERY
        if said.endpoints == self._written and self._now() < due:
            return None
        return said.endpoints

    async def _write(self, endpoints: tuple[Endpoint, ...]) -> bool:
        try:
            await asyncio.to_thread(self._file.write, endpoints, self._wall())
        except (OSError, SnapshotError) as error:
            if not self._warned:
                self._warned = True
                _log.warning("the snapshot %s cannot be written: %s", self._file.path, error)
            return False
        self._warned = False
        self._written = endpoints
        self._written_at = self._now()
        return True
