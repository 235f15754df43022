"""Files that hold what identifies us, and their limits.

Tokens, certificates and kubeconfigs are small, and whoever mounts them may mount anything: no
more is read than any of them can have. What cannot be read is a `ConfigError` that names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["file_signature", "read_file"]

_FILE_BYTES: Final = 1 << 20  # of a kubeconfig, token or certificate: API objects are no larger


def read_file(path: Path | None, *, what: str) -> str:
    """The text of a small file; `what` it should be is said in errors.

    Raises:
        ConfigError: it is missing, cannot be read, is too large or no UTF-8.
    """
    if path is None:
        raise ConfigError(f"no file is given for {what}")
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{what} cannot be read from {path}: {error.strerror}; check that the file exists "
            "and may be read"
        ) from None
    if len(data) > _FILE_BYTES:
        raise ConfigError(f"{path} is larger than {_FILE_BYTES} bytes; {what} is not in it")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{what} in {path} is no UTF-8 text") from None


def file_signature(path: Path | None) -> object:
    """What differs when a file was replaced or rewritten; None when there is none."""
    if path is None:
        return None
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)
