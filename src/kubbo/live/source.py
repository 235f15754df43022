"""The seam of everything that a configuration can come from.

A source publishes the files that it has, whole, whenever they may have changed; or that it cannot
say what there is, and why. It does not look into them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["CONFIG_VARIABLE", "Files", "Publish", "Source", "Unavailable"]

CONFIG_VARIABLE: Final = "KUBBO_CONFIG"
"""Names the source where the code names none."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a configuration by name; what is not here is not there any more."""

    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody knows what there is; `reason` is a sentence for a person."""

    reason: str


Publish: TypeAlias = "Callable[[Files | Unavailable], Awaitable[None]]"


class Source(Protocol):
    """Watches one configuration. Its `str` is its name in messages.

    `remote` says that it may be away while this process starts, which then goes on without.
    """

    @property
    def remote(self) -> bool:
        """See above."""
        ...

    async def watch(self, publish: Publish, /) -> None:
        """Publish until cancelled."""
        ...
