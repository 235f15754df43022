"""Whether a provider is ready for calls, and what is lacking if it is not.

It is ready while it serves and drains not, and while each reference that was named as needed has
a connected provider. Being alive and having started depend on none of that: a provider whose
database is away must not be restarted for it, and two providers that need each other must both
come up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.errors import UsageError
from kubbo.naming.resolution import Members
from kubbo.rpc.generic import GenericReference
from kubbo.rpc.lifecycle import ServerState
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.cluster.directory import Directory
    from kubbo.rpc.lifecycle import Lifecycle

__all__ = ["Readiness"]


class Readiness:
    """That of one provider, of its own state and of what it needs."""

    def __init__(self, life: Lifecycle) -> None:
        self._life = life
        self._needed: list[Directory] = []

    def add(self, *references: object) -> None:
        """Need these, too; see `Server.ready_when`."""
        # The consumer's side, which most providers never load.
        from kubbo.rpc.merged import MergedReference  # noqa: PLC0415
        from kubbo.rpc.stub import Stub  # noqa: PLC0415

        for reference in references:
            if isinstance(reference, GenericReference):
                self._needed.append(reference.directory)
            elif isinstance(reference, Stub):
                inner = reference.kubbo_reference
                merged = isinstance(inner, MergedReference)
                self._needed.extend(inner.directories if merged else [inner.directory])
            else:
                raise UsageError(
                    f"{reference!r} is no stub; pass what Channel.refer or Channel.generic returned"
                )

    def lacking(self) -> list[str]:
        """Why it is not ready, a line each; empty when it is."""
        return list(self._lacking())

    def _lacking(self) -> Iterator[str]:
        match self._life.state:
            case ServerState.SERVING:
                pass
            case ServerState.NEW:
                yield "starting"
            case state:
                yield state.value
        for directory in self._needed:
            if not any(
                each.dialer.state in {State.READY, State.DRAINING} for each in directory.members()
            ):
                yield _why_not(directory)


def _why_not(directory: Directory) -> str:
    resolution = directory.resolution
    if isinstance(resolution, Members):
        count = len(resolution.endpoints)
        return f"waiting for {directory.target}: none of {count} providers is connected"
    return f"waiting for {directory.target}: {directory.no_provider()}"
