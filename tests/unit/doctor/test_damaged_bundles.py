"""A bundle comes from somebody else: whatever is in it, the rules say what they can, or nothing."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
from tests.cluster.doctor.score import VECTORS

from kubbo.doctor.bundle import Bundle, cleaned
from kubbo.doctor.diagnose import diagnose

NAMES = sorted(path.name for path in VECTORS.glob("*.json"))
STRINGS = ["", "x", "True", "False", "Ready", "2026-99-99", "2026-11-23T00:00:00", "/", "a:"]
NUMBERS = [0, -1, 1 << 40]


def damaged(value, rng):
    """The same JSON with a leaf here and there replaced, and members left out."""
    if isinstance(value, dict):
        return {k: damaged(v, rng) for k, v in value.items() if rng.random() > 0.03}
    if isinstance(value, list):
        return [damaged(each, rng) for each in value if rng.random() > 0.05]
    if value is None or isinstance(value, bool) or rng.random() > 0.1:
        return value
    return rng.choice(STRINGS if isinstance(value, str) else NUMBERS)


@pytest.mark.parametrize("seed", range(4))
def test_no_bundle_makes_the_rules_raise(seed):
    """Damaged copies of the whole set: each gives a verdict."""
    rng = random.Random(seed)
    for name in NAMES:
        original = json.loads((VECTORS / name).read_text(encoding="utf-8"))
        bundle = msgspec.convert(damaged(original, rng), Bundle)
        assert diagnose(cleaned(bundle)).verdict in ("healthy", "broken", "unknown"), name
