"""Inputs that found something, kept as hex beside the targets."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["FINDINGS", "keep", "load"]

FINDINGS = Path(__file__).parent / "findings"


def keep(target: str, data: bytes, kind: str = "finding") -> str:
    """Write an input under a name that its content gives it; returns how to replay it."""
    FINDINGS.mkdir(exist_ok=True)
    name = f"{target}-{kind}-{hashlib.sha256(data).hexdigest()[:12]}.hex"
    (FINDINGS / name).write_text(data.hex() + "\n")
    return f".venv/bin/python -m fuzz {target} --replay fuzz/findings/{name}"


def load(given: str) -> bytes:
    """An input: hex, a file of hex, or what was running when the interpreter ended."""
    path = Path(given)
    if path.suffix == ".bin":
        raw = path.read_bytes()
        return raw[4 : 4 + int.from_bytes(raw[:4], "big")]
    text = path.read_text() if len(given) < 200 and path.is_file() else given
    return bytes.fromhex(text.strip())
