"""What a simulation comes to in processes that differ in everything but the seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["digests"]


def digests(module: str, expression: str) -> set[str]:
    """What an expression, in the names of a module, gives in two processes that hash otherwise."""
    script = f"import {module} as module; print(eval({expression!r}, vars(module)))"
    return {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
