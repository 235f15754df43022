"""300,000 damaged inputs, the same in every run; `make fuzz` makes others, and more.

What must hold is in `fuzz/oracle.py` and `fuzz/targets.py`, what was found so far in
`test_fuzz_findings.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fuzz.findings import keep
from fuzz.mutate import Mutator
from fuzz.oracle import Finding, Measures, check_hessian
from fuzz.targets import TARGETS

from kubbo.wire.hessian2 import TypeRegistry

if TYPE_CHECKING:
    from kubbo.wire.hessian2.classes import WireClass

INPUTS = 300_000
SHARES = sum(target.share for target in TARGETS.values())
# Of each hundred inputs, as many must still be read: seeds that no longer fit, or damage that
# breaks everything, would test nothing but the first byte.
ACCEPTED = {
    "hessian": 20,
    "typed": 20,
    "bodies": 5,
    "session": 10,
    "json": 3,
    "target": 2,
    "kubernetes": 5,
}


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_holds_less_than_it_must_on_damaged_input(name: str) -> None:
    """No reader raises what it does not promise, works or holds more than its input is worth."""
    target = TARGETS[name]
    count = INPUTS * target.share // SHARES
    mutator = Mutator(f"repeatable {name}", target.seeds(), target.strategies)
    measures = Measures(every=32)
    for _ in range(count):
        data = mutator.next()
        try:
            target.run(data, measures)
        except Exception as error:
            error.add_note(f"replay: {keep(name, data)}")
            raise
    assert measures.inputs == count
    assert measures.accepted * 100 >= ACCEPTED[name] * count


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_holds(name: str) -> None:
    """Undamaged, each is measured; and there are some."""
    target = TARGETS[name]
    seeds = target.seeds()
    assert len(seeds) >= 15
    measures = Measures(every=1)
    for data in seeds:
        target.run(data, measures)
    assert measures.accepted > len(seeds) // 4


class Greedy(TypeRegistry):
    """Takes memory and time by what a message declares."""

    def wire_class(self, name: str, fields: tuple[str, ...]) -> WireClass:
        if name == "M":
            bytearray(1 << 20)
        for _ in range(100_000 if name == "T" else 0):
            len(name)
        if name == "R":
            raise RuntimeError("broken")
        return super().wire_class(name, fields)


@pytest.mark.parametrize(
    ("name", "error"),
    [("R", "broken"), ("M", "bytes of heap"), ("T", "calls for")],
    ids=["another exception", "memory", "work"],
)
def test_the_oracle_finds_what_it_looks_for(name: str, error: str) -> None:
    """Each of its measures has once been seen to fail."""
    data = b"C\x01" + name.encode() + b"\x90\x60"
    with pytest.raises((RuntimeError, Finding), match=error):
        check_hessian(data, Greedy(), None, Measures(every=1))
