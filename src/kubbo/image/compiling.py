"""A program that compiles: sources on stdin, the contents of their .pyc files on stdout.

Each is a path and a source, each answer a file or nothing, all with their length in front, four
bytes. It runs in a process of its own (`bytecode.py` says why), without site-packages, so it
imports nothing of Kubbo.
"""

import importlib.util
import marshal
import struct
import sys

_LENGTH = struct.Struct("<I")
_UNCHECKED_HASH = 1  # PEP 552: a hash of the source follows, which is not compared


def _compiled(path: bytes, source: bytes) -> bytes:
    name = path.decode("utf-8", "surrogateescape")
    try:
        code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return b""
    head = importlib.util.MAGIC_NUMBER + _LENGTH.pack(_UNCHECKED_HASH)
    return head + importlib.util.source_hash(source) + marshal.dumps(code)


def _main() -> None:
    asked = sys.stdin.buffer.read()
    texts: list[bytes] = []
    start = 0
    while start < len(asked):
        (length,) = _LENGTH.unpack_from(asked, start)
        start += _LENGTH.size + length
        texts.append(asked[start - length : start])
    for path, source in zip(texts[::2], texts[1::2], strict=True):
        compiled = _compiled(path, source)
        sys.stdout.buffer.write(_LENGTH.pack(len(compiled)) + compiled)


if __name__ == "__main__":
    _main()
