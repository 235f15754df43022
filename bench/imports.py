"""What `import kubbo` costs a new interpreter: milliseconds of CPU time, and MiB, the best of many.

Both are above what the same interpreter needs to import nothing. Memory is the resident set.
`import kubbo` loads a name when it is first used, so what a provider and a consumer use is
measured too. Bytecode is kept in a directory of this run: an installed package has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.rpc import about

RESULTS = Path(__file__).parent / "results" / "imports.json"
CHILD = """
import time
{statement}
pages = int(open("/proc/self/statm").read().split()[1])
print(time.process_time(), pages)
"""


STATEMENTS = {
    "import kubbo": "import kubbo",
    "with Channel and Server": "from kubbo import Channel, Server, pojo, service",
}


def cost(statement: str, runs: int, bytecode: str) -> tuple[float, float]:
    """CPU seconds and bytes of interpreters that run a statement: the least of each."""
    found = []
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for _ in range(runs + 1):  # the first one compiles
        line = [sys.executable, "-c", CHILD.format(statement=statement)]
        done = subprocess.run(line, check=True, capture_output=True, text=True, env=environment)
        seconds, pages = done.stdout.split()
        found.append((float(seconds), int(pages) * os.sysconf("SC_PAGE_SIZE")))
    return min(each[0] for each in found), min(each[1] for each in found)


def run(*, quick: bool = False) -> None:
    load_before = os.getloadavg()[0]
    runs = 2 if quick else 20
    found = {}
    with tempfile.TemporaryDirectory() as bytecode:
        bare = cost("pass", runs, bytecode)
        for name, statement in STATEMENTS.items():
            seconds, taken = cost(statement, runs, bytecode)
            each = {"cpu_ms": (seconds - bare[0]) * 1e3, "mib": (taken - bare[1]) / 2**20}
            print(f"{name}: {each['cpu_ms']:.0f} ms of CPU time, {each['mib']:.1f} MiB")
            found[name] = each
    if not quick:
        RESULTS.parent.mkdir(exist_ok=True)
        written = {**about(load_before), "imports": found}
        RESULTS.write_text(json.dumps(written, indent=1) + "\n")
        print(f"written to bench/results/{RESULTS.name}")
