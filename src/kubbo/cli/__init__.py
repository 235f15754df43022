"""The command line: `kubbo call`, `endpoints`, `describe`, `serve`, `map` and `demo`.

Nothing is imported here but what parses arguments, and that only when `main` runs; a
command's own module loads when the command is chosen, and the HTTP client only where a
cluster is asked. So `kubbo --help` answers at once.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process; the exit code (see `kubbo.cli.outcome`)."""
    try:
        from kubbo.cli.app import run  # noqa: PLC0415 - see above

        return run()
    except KeyboardInterrupt:  # while it was still loading
        return 130
