"""The configuration that counts now: what the source says if it can be used, else the last good.

    source --files--> digest: the same as before? nothing happens
                      parse and prepare, in a worker thread
                        cannot be used: told in the log and by `problem`; what was stays
                        can: `apply`, in one turn of the event loop

A source that is away, and content that cannot be used, change nothing: a process goes on with what
it had. Only before there was anything it matters: a file that is missing or wrong stops the start,
while a cluster that does not answer does not.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from kubbo.config.configuration import EMPTY, digest, read_configuration
from kubbo.errors import ConfigError
from kubbo.live.source import Files, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubbo.config.configuration import Configuration
    from kubbo.live.source import Source

__all__ = ["START_PATIENCE", "LiveConfiguration"]

T = TypeVar("T")

START_PATIENCE: Final = 5.0
"""Seconds that a start waits for a source in the cluster."""

_log = logging.getLogger("kubbo.config")


class LiveConfiguration(Generic[T]):
    """Follows a source from `start` to `aclose`.

    Attributes:
        configuration: the last one that could be used.
        problem: why the source's content is not in use, or why it is not known; empty while it is.
        loads: configurations that were applied.
    """

    def __init__(
        self,
        source: Source,
        *,
        prepare: Callable[[Configuration], T],
        apply: Callable[[T], None],
    ) -> None:
        """`prepare` runs in a worker thread, and may raise ConfigError to refuse.

        `apply` runs on the event loop and must not raise.
        """
        self.source = source
        self.configuration: Configuration = EMPTY
        self.problem = ""
        self.loads = 0
        self._prepare = prepare
        self._apply = apply
        self._seen = ""
        self._refused = ""
        self._first: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow, and wait for the first content.

        Raises:
            ConfigError: there is none that can be used. Call `aclose` then, too.
        """
        loop = asyncio.get_running_loop()
        self._first = loop.create_future()
        self._task = loop.create_task(self._follow(), name=f"kubbo configuration {self.source}")
        if self.source.remote:
            with suppress(TimeoutError):
                async with asyncio.timeout(START_PATIENCE):
                    await asyncio.shield(self._first)
            if not self._seen:
                reason = self.problem or f"it did not answer in {START_PATIENCE:g} s"
                _log.warning("starting without the configuration %s: %s", self.source, reason)
                return
        else:
            await asyncio.shield(self._first)
        if not self.loads:
            raise ConfigError(self.problem)

    async def aclose(self) -> None:
        """Follow no more. What was applied stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _follow(self) -> None:
        try:
            await self.source.watch(self._receive)
        except Exception as error:  # noqa: BLE001 - logged, and told by `problem`
            # A source's bug must not end in silence; the last configuration stays.
            _log.exception("the source of the configuration %s failed", self.source)
            self._note(f"its source failed: {error!r}")
        finally:
            self._answer()

    async def _receive(self, said: Files | Unavailable) -> None:
        if isinstance(said, Unavailable):
            self._note(said.reason)
        else:
            await self._take(said.files)
        self._answer()

    async def _take(self, files: Mapping[str, bytes]) -> None:
        content = digest(files)
        if content != self._seen:
            self._seen = content
            # It may be what was in use all the time, with something else in between.
            known = self.loads and content == self.configuration.digest
            self._refused = "" if known else await self._load(files)
        if self._refused:
            self._note(self._refused)
        elif self.problem:
            self.problem = ""
            _log.info("the configuration %s can be used again", self.source)

    async def _load(self, files: Mapping[str, bytes]) -> str:
        """Apply another content; why it cannot be, or nothing."""
        try:
            configuration, prepared = await asyncio.to_thread(self._read, files)
        except ConfigError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - logged, and told as any other refusal
            _log.exception("the configuration %s cannot be read, which is a bug", self.source)
            return f"it cannot be read, which is a bug of Kubbo: {error!r}"
        self._apply(prepared)
        self.configuration = configuration
        self.loads += 1
        _log.info("the configuration %s is in use (%s)", self.source, configuration.digest[:12])
        for issue in configuration.warnings:
            _log.warning("%s", issue)
        return ""

    def _read(self, files: Mapping[str, bytes]) -> tuple[Configuration, T]:
        configuration = read_configuration(files)
        return configuration, self._prepare(configuration)

    def _note(self, problem: str) -> None:
        if problem == self.problem:
            return
        self.problem = problem
        if self._first is not None and self._first.done():  # else `start` tells it
            kept = "; the last good one stays in use" if self.loads else ""
            _log.error("the configuration %s: %s%s", self.source, problem, kept)

    def _answer(self) -> None:
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
