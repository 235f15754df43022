"""Who we are to the API server: mostly a bearer token, and where it comes from.

Tokens change while a process runs: projected ones are replaced every hour by swapping a symlink.
So none is read once and kept: each request asks for it anew (off the event loop; requests to the
API server are rare). No token is part of a repr, a log line or an error.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Credential", "FixedToken", "Identity", "NoToken", "TokenFile", "check_token"]

_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Credential:
    """What goes with one request: a bearer token, empty for none, and a client certificate.

    The certificate, in PEM with its key, is that of an exec plugin; those of files and kubeconfigs
    are the business of `TlsFiles`.
    """

    token: str = field(default="", repr=False)
    certificate: tuple[str, str] | None = field(default=None, repr=False)


class Identity(Protocol):
    """Gives what identifies us in a request."""

    async def credential(self) -> Credential:
        """The credential to send; asked once for each request.

        Raises:
            ConfigError: there is no way to it.
        """
        ...

    def invalidate(self) -> None:
        """The server refused the last token: forget what is cached."""
        ...


class NoToken:
    """Identifies by certificate alone, or not at all."""

    async def credential(self) -> Credential:
        """Nothing."""
        return Credential()

    def invalidate(self) -> None:
        """Nothing is cached."""


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A token that stands in a kubeconfig."""

    value: str = field(repr=False)

    async def credential(self) -> Credential:
        """The token."""
        return Credential(self.value)

    def invalidate(self) -> None:
        """It is all there is."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file that is replaced while we run: read for every request, which is rare."""

    path: Path

    async def credential(self) -> Credential:
        """What the file holds now."""
        return Credential(await asyncio.to_thread(self._read))

    def invalidate(self) -> None:
        """Nothing is cached."""

    def _read(self) -> str:
        text = read_text(self.path, what="the token").strip()
        if not text:
            raise ConfigError(f"the token file {self.path} is empty; check what mounts it")
        return check_token(text, source=str(self.path))


def check_token(token: str, *, source: str) -> str:
    """A token goes into a header: anything but visible ASCII would be refused, or worse."""
    if _HEADER_SAFE.fullmatch(token) is None:
        raise ConfigError(f"the token of {source} holds a character that no token has")
    return token
