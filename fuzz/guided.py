"""One target under atheris, which keeps the inputs that reach new code: `python -m fuzz.guided`.

    python -m fuzz.guided TARGET [libFuzzer's options, like -max_total_time=60]

Atheris has wheels for Linux and Python 3.11 to 3.13 (extra `fuzz`). A finding ends the run,
and is kept like those of `python -m fuzz`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["kubbo"]):
    from fuzz.findings import FINDINGS, keep
    from fuzz.oracle import Measures
    from fuzz.targets import TARGETS


def main() -> None:
    """Write the seeds, and run until something is found."""
    target = TARGETS[sys.argv[1]]
    measures = Measures(every=64)
    FINDINGS.mkdir(exist_ok=True)

    def run(data: bytes) -> None:
        try:
            target.run(data, measures)
        except Exception:
            print(f"replay it with\n  {keep(target.name, data)}", file=sys.stderr)
            raise

    with tempfile.TemporaryDirectory(prefix="kubbo-fuzz-") as corpus:
        for number, seed in enumerate(target.seeds()):
            (Path(corpus) / f"{number:05}").write_bytes(seed)
        limits = ["-max_len=65536", "-rss_limit_mb=4096", f"-artifact_prefix={FINDINGS}/"]
        atheris.Setup([sys.argv[0], *limits, *sys.argv[2:], corpus], run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
