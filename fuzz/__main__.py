"""Runs the targets: `python -m fuzz [TARGET...]`; see docs/fuzzing.md.

Without coverage guidance: seeded damage of seeds, the same inputs for the same seed. The run
ends after a time or a number of inputs a target, or at the first finding, which is written
as hex to `fuzz/findings` with the command that replays it; then the exit status is 1.
"""

from __future__ import annotations

import argparse
import faulthandler
import mmap
import resource
import sys
import time
import traceback
from typing import Self

from fuzz.findings import FINDINGS, keep, load
from fuzz.mutate import MOST_BYTES, Mutator
from fuzz.oracle import BOUND_MS, Measures
from fuzz.targets import TARGETS, Target

PROGRESS = 5.0  # seconds
ROUND = 1_000  # inputs between two looks at the clock
STUCK = 120.0  # seconds for that many; then the interpreter shows where it is, and exits
ADDRESS_SPACE = 4 << 30


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="a target, without --inputs")
    parser.add_argument("--inputs", type=int, default=0, help="of all targets together")
    parser.add_argument("--seed", default=str(time.time_ns()), help="default: another each time")
    parser.add_argument("--every", type=int, default=16, help="inputs of which one is measured")
    parser.add_argument("--replay", metavar="HEX", help="one input, or a file that holds it")
    parser.add_argument("--list", action="store_true", help="the names of all targets")
    options = parser.parse_args(arguments)
    if options.list:
        print(*TARGETS)
        return 0
    unknown = set(options.targets) - TARGETS.keys()
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    chosen = [TARGETS[name] for name in options.targets] or list(TARGETS.values())
    if options.replay is not None:
        return replay(chosen, options.replay)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, resource.RLIM_INFINITY))
    shares = sum(target.share for target in chosen)
    print(f"seed {options.seed}")
    for target in chosen:
        count = options.inputs * target.share // shares if options.inputs else 0
        if not run(target, options.seed, count, options.seconds, options.every):
            return 1
    return 0


def run(target: Target, seed: str, count: int, seconds: float, every: int) -> bool:
    """One target, for `count` inputs, or for a time if that is 0; False at a finding."""
    mutator = Mutator(f"{seed} {target.name}", target.seeds(), target.strategies)
    measures = Measures(every=every)
    started = told = time.monotonic()
    with Running(target) as running:
        while measures.inputs < count if count else time.monotonic() - started < seconds:
            faulthandler.dump_traceback_later(STUCK, exit=True)
            for _ in range(min(ROUND, count - measures.inputs) if count else ROUND):
                data = mutator.next()
                running.note(data)
                try:
                    target.run(data, measures)
                except Exception:  # noqa: BLE001 - whatever it is, it is a finding
                    faulthandler.cancel_dump_traceback_later()
                    traceback.print_exc()
                    print(
                        f"\n{target.name}: a finding of {len(data)} bytes; replay it with\n"
                        f"  {keep(target.name, data)}",
                        file=sys.stderr,
                    )
                    return False
            if time.monotonic() - told > PROGRESS:
                told = time.monotonic()
                tell(target, measures, told - started)
    faulthandler.cancel_dump_traceback_later()
    tell(target, measures, time.monotonic() - started)
    for data in measures.slow[-1:]:
        again = keep(target.name, data, "slow")
        print(f"  over {BOUND_MS:.0f} ms (no failure: others may have run beside it): {again}")
    return True


class Running:
    """The input at hand, in a file that is still there when the interpreter is not."""

    def __init__(self, target: Target) -> None:
        FINDINGS.mkdir(exist_ok=True)
        self._path = FINDINGS / f"{target.name}-running.bin"
        self._path.write_bytes(bytes(4 + MOST_BYTES))
        self._file = self._path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), 0)

    def note(self, data: bytes) -> None:
        """This one is next."""
        self._map[:4] = len(data).to_bytes(4, "big")
        self._map[4 : 4 + len(data)] = data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._map.close()
        self._file.close()
        self._path.unlink(missing_ok=True)  # another run may use it beside this one


def tell(target: Target, measures: Measures, spent: float) -> None:
    """How far it is, and the worst so far: a run that is ended early has told it."""
    rate = measures.inputs / spent if spent else 0.0
    text = (
        f"{target.name}: {measures.inputs} inputs in {spent:.0f} s ({rate:.0f}/s), "
        f"{measures.accepted} accepted"
    )
    if measures.slowest:
        text += (
            f"; slowest {measures.slowest_ms:.1f} ms of CPU per 64 KiB "
            f"({len(measures.slowest)} bytes); heap up to {max(0.0, measures.most_heap):.0f} "
            "times the input above the floor"
        )
    print(text, flush=True)


def replay(chosen: list[Target], given: str) -> int:
    """Run one input again, measuring it."""
    data = load(given)
    for target in chosen:
        measures = Measures(every=1)
        try:
            target.run(data, measures)
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            traceback.print_exc()
            return 1
        print(f"{target.name}: holds; {measures.slowest_ms:.1f} ms of CPU per 64 KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
