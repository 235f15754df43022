"""Wire protocols, without I/O and without a clock.

Hessian2 has a compiled twin, the distribution `kubbo-native`. It is used wherever it is
installed, unless KUBBO_PURE=1; the pure codec is complete without it, and both give the same
bytes, values and errors.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Final

__all__ = ["codec_name", "native"]

INTERFACE: Final = 3
"""What `hessian2.twin` and `kubbo_native` must agree on."""


def _installed() -> Any:
    try:
        found = importlib.import_module("kubbo_native")
    except ModuleNotFoundError:
        return None
    return found if found.INTERFACE == INTERFACE else None


native: Final[Any] = None if os.environ.get("KUBBO_PURE") == "1" else _installed()


def codec_name() -> str:
    """Which Hessian2 codec runs: `pure`, or `native` with its version."""
    return "pure" if native is None else f"native {native.__version__}"
