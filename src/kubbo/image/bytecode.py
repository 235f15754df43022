"""Compiled modules that are the same whoever compiles them.

Without them each start of a pod would compile some five hundred modules. A usual .pyc holds its
source's time and size; those here are "unchecked hash-based" ones (PEP 552): they hold a hash of
the source, which nobody compares, since nothing in an image changes.

What `marshal` writes depends on which strings the compiling process has in use elsewhere. So a
fresh one compiles the modules of a layer, in the order of their paths (`compiling.py`).
"""

from __future__ import annotations

import os
import posixpath
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubbo.errors import KubboError, UsageError
from kubbo.image.tree import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.image.tree import Tree

__all__ = ["add_bytecode"]

_PROGRAM: Final = Path(__file__).with_name("compiling.py")
_LENGTH: Final = struct.Struct("<I")


def add_bytecode(tree: Tree) -> int:
    """Put a .pyc beside each .py of the tree, and the source as it was compiled; how many.

    A source that does not compile stays as it is: there are such, which nobody imports.

    Raises:
        UsageError: a source cannot be read.
        KubboError: this interpreter cannot run the compiling program.
    """
    sources = [
        (path, entry) for path, entry in tree if isinstance(entry, File) and path.endswith(".py")
    ]
    if not sources:
        return 0
    texts = [_text(entry) for _, entry in sources]
    asked = b"".join(
        part
        for (path, _), text in zip(sources, texts, strict=True)
        for each in (path.encode("utf-8", "surrogateescape"), text)
        for part in (_LENGTH.pack(len(each)), each)
    )
    count = 0
    answers = _answers(_run(asked))
    for (path, entry), text, compiled in zip(sources, texts, answers, strict=True):
        tree.put(path, File(data=text, executable=entry.executable))
        if compiled:
            tree.put(_beside(path), File(data=compiled))
            count += 1
    return count


def _text(entry: File) -> bytes:
    if entry.source is None:
        return entry.data
    try:
        return entry.source.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {entry.source}: {error.strerror or error}") from None


def _beside(path: str) -> str:
    """Where a module's .pyc is looked for."""
    directory, name = posixpath.split(path)
    stem = f"{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"
    return posixpath.join(directory, "__pycache__", stem)


def _run(asked: bytes) -> bytes:
    kept = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "PYTHONHOME") if key in os.environ}
    done = subprocess.run(  # noqa: S603 - this interpreter, and a file of this package
        [sys.executable, "-S", "-s", "-P", "-W", "ignore", os.fspath(_PROGRAM)],
        input=asked,
        capture_output=True,
        check=False,
        env={**kept, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace")[-2_000:].strip()
        raise KubboError(f"{sys.executable} could not compile modules: {said or done.returncode}")
    return done.stdout


def _answers(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        (length,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size + length
        yield data[start - length : start]
