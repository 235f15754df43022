"""What `explain` says is what a call uses, whatever is configured and whatever code says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import given, settings, strategies as st

from kubbo.config.configuration import read_configuration
from kubbo.config.layers import Layer, Level, explain, merge, stack
from kubbo.config.overrides import Subject
from kubbo.config.question import parse_question
from kubbo.config.settings import CONSUMER, SETTINGS, Kind, Setting, make_options

if TYPE_CHECKING:
    from kubbo.config.options import Options

SERVICE = "com.example.GreetService:1.0.0"
PATTERNS = [SERVICE, "com.example.*", "*", "com.example.Other"]
METHODS = ["greet", "other"]
ROWS = [row for row in SETTINGS.values() if CONSUMER in row.sides and row.key != "mock"]


def texts(row: Setting) -> st.SearchStrategy[str]:
    """Texts that are values of a setting."""
    match row.kind:
        case Kind.DURATION:
            low, high = int(row.low) or 1, int(min(row.high, 100_000))
            return st.integers(low, high).map(str)
        case Kind.INTEGER:
            return st.integers(int(row.low), int(min(row.high, 1000))).map(str)
        case Kind.NUMBER:
            return st.integers(int(row.low), int(min(row.high, 1000))).map(str)
        case Kind.BOOLEAN:
            return st.sampled_from(["true", "false"])
        case Kind.NAME:
            return st.sampled_from(row.names)
        case Kind.TEXT:
            return st.just(row.default)


def blocks_of(rows: list[Setting]) -> st.SearchStrategy[dict[str, str]]:
    """Some settings."""
    each = st.one_of([st.tuples(st.just(row.key), texts(row)) for row in rows])
    return st.lists(each, max_size=4).map(dict)


blocks = blocks_of(ROWS)
method_blocks = blocks_of([row for row in ROWS if row.method])
entries = st.dictionaries(
    st.sampled_from(PATTERNS),
    st.builds(
        lambda block, methods: {**block, "methods": methods},
        blocks,
        st.dictionaries(st.sampled_from(METHODS), method_blocks, max_size=2),
    ),
    max_size=3,
)
overrides = st.builds(
    lambda scope, key, side, block, of_method, address: {
        "scope": scope,
        "key": key if scope == "service" else "web",
        "configs": [
            {
                "side": side,
                "addresses": [address],
                "parameters": {
                    **block,
                    **{f"greet.{name}": text for name, text in of_method.items()},
                    "check": "false",
                },
            }
        ],
    },
    st.sampled_from(["service", "application"]),
    st.sampled_from([SERVICE, "*", "com.example.Other"]),
    st.sampled_from(["consumer", "provider"]),
    blocks,
    method_blocks,
    st.sampled_from(["0.0.0.0", "10.0.0.5", "10.9.9.9"]),
)
configurations = st.fixed_dictionaries(
    {},
    optional={
        "consumer": blocks,
        "provider": blocks,
        "references": entries,
        "services": entries,
        "overrides": st.lists(overrides, max_size=3),
    },
)
codes = blocks.map(
    lambda block: make_options({key: SETTINGS[key].read(text) for key, text in block.items()})
)


@settings(max_examples=60)
@given(configurations, st.tuples(codes, codes, codes, codes), st.sampled_from(["greet", ""]))
def test_the_winner_is_what_a_call_uses(
    written: dict[str, Any], given_in_code: tuple[Options, ...], name: str
) -> None:
    """For each setting: the value that is explained is the merged one, or else the default."""
    configuration = read_configuration({"k.yaml": yaml.safe_dump(written).encode()})
    subject = Subject("web", frozenset({"10.0.0.5"}))
    call, method, refer, channel = given_in_code
    code = (
        Layer(Level.CALL, "options(...)", call),
        Layer(Level.METHOD, "@method(...)", method),
        Layer(Level.INTERFACE, "refer(...)", refer),
        Layer(Level.APPLICATION, "Channel(...)", channel),
    )
    layers = stack(*configuration.layers(SERVICE, name, subject), *code)
    used = merge(layers)
    for row in ROWS:
        answer = explain(row, layers)
        value = row.of(used)
        assert answer.value == (row.read(row.default) if value is None else value), row.key
        assert sum(each.won for each in answer.layers) == 1
        winner = answer.winner
        assert winner is not None
        asked = parse_question(f"{row.key}@{SERVICE}{'#' if name else ''}{name}")
        assert asked.answer(configuration, subject, code).value == answer.value
        # Nobody who is stronger had anything to say.
        before = answer.layers[: answer.layers.index(winner)]
        assert all(each.value is None for each in before)
        if row.of(call) is not None:
            assert winner.layer.level is Level.CALL
        if winner.place is not None:
            text = winner.layer.written[row.key][0]
            assert row.read(text) == answer.value
