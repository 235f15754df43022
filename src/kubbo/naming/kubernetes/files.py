"""Files that hold what identifies us, and their limits.

Tokens, certificates and kubeconfigs are small, and whoever mounts them may mount anything: no
more is read than any of them can have. What cannot be read is a `ConfigError` that names it.
"""

from __future__ import annotations

import stat
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Final

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["file_signature", "is_there", "pem_text", "read_bytes", "read_pem", "read_text"]

_FILE_BYTES: Final = 1 << 20  # of a kubeconfig, token or certificate: API objects are no larger


def read_text(path: Path, *, what: str) -> str:
    """The text of a small file; `what` it should be is said in errors.

    Raises:
        ConfigError: it is missing, cannot be read, is too large or no UTF-8.
    """
    try:
        return read_bytes(path, what=what).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{what} in {path} is no UTF-8 text") from None


def read_pem(path: Path | None, *, what: str) -> str:
    """Certificates or a key, as OpenSSL takes them.

    Raises:
        ConfigError: there is no file, or it cannot be read or is too large.
    """
    if path is None:
        raise ConfigError(f"no file is given for {what}")
    return pem_text(read_bytes(path, what=what))


def pem_text(data: bytes) -> str:
    """PEM as OpenSSL takes it: in ASCII.

    Between the blocks anything may stand, and does: bundles name their authorities in the
    languages of those, in any encoding. Only the blocks count, and these are ASCII.
    """
    return data.removeprefix(BOM_UTF8).decode("ascii", "replace").replace("\ufffd", "?")


def read_bytes(path: Path, *, what: str) -> bytes:
    """What a small file holds.

    Raises:
        ConfigError: it is missing, cannot be read or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        reason = getattr(error, "strerror", None) or "it is no path"
        raise ConfigError(
            f"{what} cannot be read from {path}: {reason}; check that the file exists "
            "and may be read"
        ) from None
    if len(data) > _FILE_BYTES:
        raise ConfigError(f"{path} is larger than {_FILE_BYTES} bytes; {what} is not in it")
    return data


def is_there(path: Path) -> bool:
    """Whether a file, or a pipe, is there; one that cannot be looked at is: reading it says why."""
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True


def file_signature(path: Path | None) -> object:
    """What differs when a file was replaced or rewritten; None when there is none."""
    if path is None:
        return None
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)
