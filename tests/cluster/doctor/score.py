"""Precision and recall of the doctor's first cause, over the labelled set of tests/vectors/doctor.

    python -m tests.cluster.doctor.score

The label of a bundle is its file's name up to the first dot; it says what was broken. `healthy` and
`unknown` are those in which nothing is broken; `unknown` ones have only just begun. Precision: of
the broken ones that got a first cause, the share in which it is the label. Recall: of all broken
ones. For a single id both are counted over that id.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kubbo.doctor.bundle import load
from kubbo.doctor.diagnose import diagnose

VECTORS = Path(__file__).parents[2] / "vectors" / "doctor"
WELL = ("healthy", "unknown")


@dataclass
class Score:
    """What the doctor said of each bundle."""

    broken: int = 0
    well: int = 0
    named: int = 0
    right: int = 0
    labels: Counter[str] = field(default_factory=Counter[str])
    first: Counter[str] = field(default_factory=Counter[str])
    rights: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    alarms: list[str] = field(default_factory=list[str])

    @property
    def precision(self) -> float:
        return self.right / self.named if self.named else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.broken if self.broken else 0.0


def score() -> Score:
    """Over all bundles that there are."""
    total = Score()
    for path in sorted(VECTORS.glob("*.json")):
        label = path.name.partition(".")[0]
        found = diagnose(load(path))
        first = found.causes[0].id if found.causes else ""
        if label in WELL:
            total.well += 1
            if found.verdict != label:
                total.alarms.append(f"{path.stem}: {found.verdict} {first}")
            continue
        total.broken += 1
        total.labels[label] += 1
        total.named += bool(first)
        total.first[first] += 1
        if first == label:
            total.right += 1
            total.rights[label] += 1
        else:
            said = ", ".join(one.id for one in found.causes) or found.verdict
            total.wrong.append(f"{path.stem}: {said}")
    return total


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    total = score()
    say(f"{'id':<24} bundles precision recall")
    for label, count in sorted(total.labels.items()):
        right = total.rights[label]
        precision = right / (total.first[label] or 1)
        say(f"{label:<24} {count:>7} {precision:>9.2f} {right / count:>6.2f}")
    for line in total.wrong:
        say(f"wrong: {line}")
    for line in total.alarms:
        say(f"false alarm: {line}")
    say(
        f"{total.broken} broken: precision {total.precision:.3f}, recall {total.recall:.3f} of the "
        f"first cause; {total.well} that are not: {len(total.alarms)} false alarms"
    )
    good = total.precision >= 0.9 and total.recall >= 0.9 and not total.alarms
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
