"""What rules cost: microseconds of CPU a call, and milliseconds an update of 10,000 endpoints.

`classify` is what a router does for each call; `narrow` is what it does when a kind of call is
first seen after the view or the rules have changed. The least of several rounds, since what
disturbs only adds.
"""

from __future__ import annotations

import json
import os
import random
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bench.rpc import about
from kubbo.cluster.routing import Consumer, parse
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results" / "routing.json"
MEMBERS = 10_000

ME = Consumer("web", "10.9.9.9", "zone-a", "", {"region": "hz"})
CALL = Invocation(
    ServiceKey("bench.Greeter"), Signature("find"), ["x"], Deadline(1.0), attachments={"user": "u1"}
)
TWO = [{"match": "version=v1", "weight": 95}, {"match": "version=v2", "weight": 5}]
RULES: dict[str, dict[str, Any]] = {
    "method=find* => host=10.*": {"conditions": ["method=find* => host=10.*"]},
    "a rule of another service": {"conditions": ["=>"], "key": "a.B"},
    "100 conditions on the method": {"conditions": ["method=find* => host=10.*"] * 100},
    "arguments[0]=x => host=10.*": {"conditions": ["arguments[0]=x => host=10.*"]},
    "100 conditions on an argument": {"conditions": ["arguments[0]=y => host=10.*"] * 100},
    "two destinations by weight": {
        "configVersion": "v3.1",
        "conditions": [{"from": {}, "to": TWO}],
    },
    "two destinations, sticky": {
        "configVersion": "v3.1",
        "conditions": [{"from": {}, "to": TWO, "sticky": "attachments[user]"}],
    },
    "tags, one group of addresses": {"tags": [{"name": "gray", "addresses": ["10.0.0.*"]}]},
    "affinity to a label": {"configVersion": "v3.1", "affinityAware": {"key": "region"}},
    "zones": {"zoneAware": {}},
}


def members() -> list[Any]:
    return [
        SimpleNamespace(
            endpoint=Endpoint(
                f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}",
                20880,
                zone="zone-a" if n % 2 else "zone-b",
                labels=(("version", f"v{n % 2 + 1}"), ("region", "hz" if n % 3 else "bj")),
            ),
            dialer=SimpleNamespace(state=State.READY),
            active=0,
            ejected=False,
        )
        for n in range(MEMBERS)
    ]


def least(work: Callable[[], object], count: int, rounds: int) -> float:
    """Seconds of CPU a time, the loop subtracted."""

    def once(what: Callable[[], object]) -> float:
        began = time.process_time()
        for _ in range(count):
            what()
        return time.process_time() - began

    def nothing() -> None:
        return None

    taken = min(once(work) for _ in range(rounds)) - min(once(nothing) for _ in range(rounds))
    return max(0.0, taken) / count


def run(*, quick: bool = False) -> None:
    """Print the table, and keep it unless `quick`."""
    load = os.getloadavg()[0]
    here = members()
    count, rounds = (2_000, 2) if quick else (50_000, 5)
    rows: dict[str, dict[str, float]] = {}
    print(f"{'rule':32}{'us a call':>12}{'ms an update':>14}")
    for name, document in RULES.items():
        router = parse(document, source=name, consumer=ME, rng=random.Random(1))
        kind = router.classify(CALL)
        router.narrow(here, kind)
        fewer = max(100, count // len(document.get("conditions", [1])))
        call = least(partial(router.classify, CALL), fewer, rounds) * 1e6
        update = least(partial(router.narrow, here, kind), 1, rounds) * 1e3
        rows[name] = {"us_a_call": round(call, 3), "ms_an_update": round(update, 2)}
        print(f"{name:32}{call:12.3f}{update:14.2f}")
    if not quick:
        RESULTS.write_text(
            json.dumps({"about": about(load), "members": MEMBERS, "rows": rows}, indent=1) + "\n",
            encoding="utf-8",
        )
