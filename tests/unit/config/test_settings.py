"""The table of settings against the code that obeys it."""

from __future__ import annotations

import dataclasses
import random

import pytest

from kubbo.cluster.balancers import DEFAULT_LOADBALANCE, LOADBALANCES, make_balance
from kubbo.cluster.breaker import BreakerRules, read_rules
from kubbo.cluster.policies import DEFAULT_CLUSTER, POLICIES
from kubbo.config.options import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Options
from kubbo.config.settings import SETTINGS, Kind, make_options
from kubbo.rpc.admission import ServingLimits


def default(key: str) -> object:
    """The default of a row, as code has it."""
    return SETTINGS[key].read(SETTINGS[key].default)


def test_every_option_has_a_row():
    """Whoever adds a field to Options adds a row, or says here why there is none."""
    in_code_only = {"attachments", "parameters"}
    fields = {field.name for field in dataclasses.fields(Options)}
    assert {row.field for row in SETTINGS.values() if row.field} == fields - in_code_only


def test_names_are_those_of_the_code():
    """Of policies and of balancers, with their defaults."""
    assert set(SETTINGS["cluster"].names) == set(POLICIES)
    assert SETTINGS["loadbalance"].names == LOADBALANCES
    assert (default("cluster"), default("loadbalance")) == (DEFAULT_CLUSTER, DEFAULT_LOADBALANCE)
    assert (default("timeout"), default("retries")) == (DEFAULT_TIMEOUT, DEFAULT_RETRIES)


def test_the_rules_of_the_breaker_are_in_the_table():
    """With the defaults of the code."""
    rows = {key.removeprefix("breaker.") for key in SETTINGS if key.startswith("breaker.")}
    assert rows == {field.name for field in dataclasses.fields(BreakerRules)} | {"enabled"}
    for field in dataclasses.fields(BreakerRules):
        assert default(f"breaker.{field.name}") == field.default


def test_the_limits_of_a_provider_are_in_the_table():
    """With the defaults of the code."""
    for field in dataclasses.fields(ServingLimits):
        assert default(field.name) == field.default
        assert SETTINGS[field.name].sides == ("provider",)


@pytest.mark.parametrize("key", [row.key for row in SETTINGS.values() if row.kind is not Kind.TEXT])
def test_whatever_a_row_lets_through_the_code_takes(key: str):
    """Its extremes make policies, balancers and breakers: no call fails by them later."""
    row = SETTINGS[key]
    texts = [row.default, *row.names]
    if row.range:
        texts += [f"{row.low:.0f}", f"{row.high:.0f}"]
    for text in texts:
        options = make_options({key: row.read(text)})
        parameters = dict(options.parameters)
        for name in LOADBALANCES:
            make_balance(name, random.Random(1), lambda: 0.0, parameters)
        for make in POLICIES.values():
            make(options.retries or 0, parameters, None)
        read_rules(parameters)
