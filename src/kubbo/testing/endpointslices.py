"""What any reader of EndpointSlices has to get right, as cases to run it against.

    from kubbo.testing import EndpointSliceCase, check_endpointslices

    def test_mine() -> None:
        def resolve(case: EndpointSliceCase):
            mine = MyResolver(port=case.port)
            def update(event):
                mine.on_event(event["type"], event["object"])
                return [f"{each.ip}:{each.port}" for each in mine.endpoints]
            return update
        check_endpointslices(resolve)

`endpointslice_cases` (endpointslice_table.py) is the table itself: objects and watch events as
plain JSON, as an API server sends them, and after each step the endpoints that may be called.
Nothing in it is about Kubbo, so a resolver in another language can be held to it too:
`python -m kubbo.testing` prints it as JSON.

What is expected follows the API reference of discovery.k8s.io/v1 and, where that leaves a
choice, kube-proxy; the case's sentence says it. A *ready* endpoint is called; one that *serves
while it terminates* only when no ready one is left.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias, cast

from kubbo.testing.endpointslice_table import (
    Backend,
    EndpointSliceCase,
    EndpointSliceStep,
    WatchEvent,
    endpointslice_cases,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.testing.endpointslice_table import Json

__all__ = ["Resolve", "check_endpointslices"]

_COMPARED = ("terminating", "zone", "node", "hint_zones", "hint_nodes")
_ORDERS = 5  # in which the events of one step are tried, where they may come in any


Resolve: TypeAlias = Callable[
    [EndpointSliceCase], Callable[[WatchEvent], Iterable["str | Backend"]]
]
"""Gives a new resolver for the port and family of a case: a function that takes one watch
event and returns what may be called then, as addresses or with more about them."""


def check_endpointslices(
    resolve: Resolve, cases: Iterable[EndpointSliceCase] | None = None
) -> None:
    """Run the cases, `endpointslice_cases` by default, against somebody's reading of slices.

    Each event is a fresh copy: a resolver may keep it or change it. Where events may come in
    any order, several orders are tried, the same ones in every run.

    Raises:
        AssertionError: cases failed; the message has a paragraph for each.
    """
    if cases is None:
        cases = endpointslice_cases
    tried = 0
    failures: list[str] = []
    for case in cases:
        tried += 1
        failure = next(filter(None, (_run(resolve, case, order) for order in _orders(case))), "")
        if failure:
            failures.append(f"{case.name}: {case.sentence}\n  {failure}")
    assert tried, "no case was given"
    assert not failures, f"{len(failures)} of {tried} cases failed\n" + "\n".join(failures)


def _orders(case: EndpointSliceCase) -> range:
    return range(_ORDERS if any(step.any_order for step in case.steps) else 1)


def _in_order(step: EndpointSliceStep, order: int) -> Iterator[WatchEvent]:
    events = list(step.events)
    if step.any_order and order == 1:
        events.reverse()
    elif step.any_order and order > 1:
        random.Random(order).shuffle(events)  # noqa: S311 - a seed, not a secret
    for event, sent in zip(events, step.events, strict=True):
        yield json.loads(json.dumps(_with_version(event, of=sent)))


def _with_version(event: WatchEvent, *, of: WatchEvent) -> WatchEvent:
    """Versions grow from event to event, in whatever order they come."""
    metadata = {**_metadata(event), "resourceVersion": _metadata(of)["resourceVersion"]}
    return {**event, "object": {**cast("dict[str, Json]", event["object"]), "metadata": metadata}}


def _metadata(event: WatchEvent) -> dict[str, Json]:
    return cast("dict[str, dict[str, Json]]", event["object"])["metadata"]


def _run(resolve: Resolve, case: EndpointSliceCase, order: int) -> str:
    """What is wrong with one case, empty if nothing is."""
    told = "" if not order else f" (events in order {order})"
    number = 0
    try:
        update = resolve(case)
        for number, step in enumerate(case.steps, 1):
            found: list[str | Backend] = []
            for count, event in enumerate(_in_order(step, order), 1):
                found = list(update(event))
                if len(found) < step.at_least:
                    return (
                        f"step {number}{told}: {len(found)} endpoints after {count} of "
                        f"{len(step.events)} events; there are never fewer than {step.at_least}"
                    )
            if wrong := _difference([*map(_as_backend, found)], step.backends):
                return f"step {number}{told}: {wrong}"
    except Exception as error:  # noqa: BLE001 - one case's failure, told with the others
        return f"step {number}{told}: it raised {error!r}"
    return ""


def _as_backend(each: str | Backend) -> Backend:
    return Backend(each) if isinstance(each, str) else each


def _difference(found: list[Backend], wanted: tuple[Backend, ...]) -> str:
    by_address = {each.address: each for each in found}
    if len(by_address) < len(found):
        twice = {one for one, of in itertools.groupby(sorted(_addresses(found))) if len([*of]) > 1}
        return f"more than once: {_shown(twice)}"
    expected = {each.address: each for each in wanted}
    if missing := expected.keys() - by_address.keys():
        return f"missing: {_shown(missing)}; got {_shown(by_address)}"
    if more := by_address.keys() - expected.keys():
        return f"should not be called: {_shown(more)}; expected {_shown(expected)}"
    for address, each in expected.items():
        for name in _COMPARED:
            value, said = getattr(each, name), getattr(by_address[address], name)
            if None not in (value, said) and said != value:
                return f"{address} has {name} {said!r}, not {value!r}"
    return ""


def _addresses(backends: Iterable[Backend]) -> list[str]:
    return [each.address for each in backends]


def _shown(addresses: Iterable[str]) -> str:
    every = sorted(addresses)
    more = f" and {len(every) - 5} more" if len(every) > 5 else ""
    return (", ".join(every[:5]) or "nobody") + more
