"""Joining slices against an oracle that is written the slow and obvious way.

The oracle below asks of every backend by itself what the documentation says; it shares no
code with the join, and no order of steps.
"""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from kubbo.naming.kubernetes.objects import (
    Conditions,
    EndpointSlice,
    Metadata,
    ObjectReference,
    SliceEndpoint,
    SlicePort,
)
from kubbo.naming.kubernetes.slices import Joiner, join

BOOLEAN = st.sampled_from([None, True, False])
ENTRIES = st.builds(
    lambda host, uid, ready, serving, terminating: SliceEndpoint(
        addresses=[f"10.0.0.{host}"],
        conditions=Conditions(ready, serving, terminating),
        target_ref=ObjectReference("Pod", f"p{uid}", f"u{uid}") if uid else None,
    ),
    st.integers(1, 5),
    st.integers(0, 3),
    BOOLEAN,
    BOOLEAN,
    BOOLEAN,
)
PORTS = st.sampled_from(
    [
        [SlicePort("dubbo", 20880)],
        [SlicePort("dubbo", 20990), SlicePort("http", 80)],
        [SlicePort("http", 80)],
        [SlicePort("dubbo", 53, "UDP")],
        [],
        None,
    ]
)


@st.composite
def slice_sets(draw: st.DrawFn) -> list[EndpointSlice]:
    """Slices of one Service, their names and generations distinct."""
    return [
        EndpointSlice(
            Metadata(name=f"s{number}", generation=number + 1),
            endpoints=draw(st.lists(ENTRIES, max_size=5)),
            ports=draw(PORTS),
        )
        for number in range(draw(st.integers(0, 4)))
    ]


def oracle(slices: list[EndpointSlice]) -> set[tuple[str, int]]:
    """The addresses that may be called at the port named dubbo."""
    seen: list[tuple[str, str, int, int, bool, bool, bool]] = []
    for one in slices:
        number = next(
            (p.port or 0 for p in one.ports or [] if p.name == "dubbo" and p.protocol != "UDP"), 0
        )
        for entry in one.endpoints or []:
            assert entry.addresses is not None
            assert entry.conditions is not None
            host, conditions = entry.addresses[0], entry.conditions
            ready = conditions.ready in {None, True}
            serving = ready if conditions.serving is None else conditions.serving
            terminating = bool(conditions.terminating)
            identity = entry.target_ref.uid if entry.target_ref else host
            seen.append(
                (identity, host, number, one.metadata.generation, ready, serving, terminating)
            )
    newest = {}
    for row in seen:  # a pod is what its newest slice says; within one, ready says more
        best = newest.get(row[0])
        if best is None or (row[3], row[4]) > (best[3], best[4]):
            newest[row[0]] = row
    called: dict[tuple[str, int], tuple[bool, bool, bool, int]] = {}
    for _, host, number, generation, ready, serving, terminating in newest.values():
        rank = (not terminating, ready, serving, generation)
        called[host, number] = max(called.get((host, number), rank), rank)
    living = {key: rank for key, rank in called.items() if key[1]}
    return {key for key, rank in living.items() if rank[1]} or {
        key for key, rank in living.items() if rank[2] and not rank[0]
    }


@settings(max_examples=3000)
@given(slice_sets(), st.randoms(use_true_random=False))
def test_join_is_what_the_oracle_says_in_any_order(
    slices: list[EndpointSlice], random: object
) -> None:
    """Random slice sets give the oracle's members, every other backend is kept apart, and the
    order of slices does not matter."""
    joined = join(slices, port="dubbo")
    assert {one.key for one in joined.endpoints} == oracle(slices)
    assert not {one.key for one in joined.endpoints} & {one.key for one in joined.excluded}
    shuffled = list(slices)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert join(shuffled, port="dubbo") == joined


@settings(max_examples=500)
@given(st.lists(slice_sets(), min_size=2, max_size=6), st.data())
def test_what_a_joiner_remembers_changes_nothing(
    states: list[list[EndpointSlice]], data: st.DataObject
) -> None:
    """A joiner that saw other slices before, some of them the same, gives what a new one gives."""
    joiner = Joiner(port="dubbo")
    kept: list[EndpointSlice] = []
    for state in states:
        kept = [
            data.draw(st.sampled_from([old, new])) for old, new in zip(kept, state, strict=False)
        ]
        kept += state[len(kept) :]
        assert joiner.join(kept) == join(kept, port="dubbo")
