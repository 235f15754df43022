"""Run the benchmarks: `python -m bench [NAME...] [--quick]`."""

from __future__ import annotations

import argparse
import importlib

NAMES = ("codec", "rpc", "java", "imports", "balancers", "routing", "events")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = f"of {', '.join(NAMES)}; or report, which writes docs/performance.md"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names)
    parser.add_argument("--quick", action="store_true", help="short rounds, to see that it runs")
    given = parser.parse_args()
    for name in given.names or NAMES:
        importlib.import_module(f"bench.{name}").run(quick=given.quick)


if __name__ == "__main__":
    main()
