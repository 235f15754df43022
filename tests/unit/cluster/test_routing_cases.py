"""Java-written rules leave whom tests/vectors/routing says; tests/interop asks Java the same."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from tests.unit.cluster.routing_cases import CASES, PROVIDERS, SERVICE, Case, shares_agree

from kubbo.cluster.routing import Consumer, TagRouter, account_for, parse_text
from kubbo.errors import ConfigError
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.transport.dialer import State

MEMBERS: tuple[Any, ...] = tuple(
    SimpleNamespace(
        endpoint=Endpoint(host, port, labels=(*parameters.items(), ("application", "greeter"))),
        dialer=SimpleNamespace(state=State.READY),
        active=0,
        ejected=False,
        name=name,
    )
    for name, (host, port, parameters) in PROVIDERS.items()
)


def consumer_of(case: Case) -> Consumer:
    """What Kubbo knows of the consumer whose URL Java is given."""
    parameters = case.consumer_parameters
    del parameters["side"]
    host = urlsplit(case.consumer).hostname or ""
    tag = parameters.pop("dubbo.tag", "")
    return Consumer(parameters.pop("application"), host, "", tag, parameters)


def call_of(case: Case) -> Invocation:
    """The call that is asked about."""
    return Invocation(
        ServiceKey(SERVICE),
        Signature(case.call.get("method", "find")),
        case.call.get("arguments", []),
        Deadline(1.0),
        attachments=case.call.get("attachments", {}),
    )


def routers_of(case: Case, rng: random.Random) -> tuple[Any, ...]:
    """Those of its last rule."""
    consumer = consumer_of(case)
    if case.router == "tag" and not case.rules:
        return (TagRouter(consumer=consumer),)
    routers: tuple[Any, ...] = ()
    for rule in case.rules:
        routers = ()
        if rule is not None:
            routers = parse_text(rule, source="rules.yaml", consumer=consumer, rng=rng)
    return routers


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.refused], ids=lambda case: case.name
)
def test_a_rule_that_cannot_be_meant_is_refused(case: Case) -> None:
    """The message names the file and the place in the rule."""
    with pytest.raises(ConfigError) as caught:
        routers_of(case, random.Random(7))
    assert case.refused in str(caught.value)
    assert str(caught.value).startswith("rules.yaml:")


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.refused], ids=lambda case: case.name
)
def test_a_rule_leaves_whom_the_case_says(case: Case) -> None:
    """The same providers as in Java, or others where the case says why."""
    routers = routers_of(case, random.Random(7))
    counts: Counter[str] = Counter()
    for _ in range(case.times):
        call = call_of(case)
        left = MEMBERS
        for router in routers:
            left = cast("tuple[Any, ...]", router.narrow(left, router.classify(call)))
        counts[" ".join(each.name for each in left)] += 1
    found = {names: count / case.times for names, count in counts.items()}
    assert case.left is not None
    assert shares_agree(found, case.left), found


def test_the_account_of_a_rule_ends_where_the_rule_does() -> None:
    """Who is explained to be in is who is left, and each who is out has a reason."""
    for case in CASES:
        if case.refused or case.times > 1:
            continue
        routers = routers_of(case, random.Random(7))
        call = call_of(case)
        left = MEMBERS
        for router in routers:
            left = cast("tuple[Any, ...]", router.narrow(left, router.classify(call)))
        accounts = account_for(routers, call, MEMBERS)
        assert (accounts[-1].kept if accounts else MEMBERS) == left, case.name
        for one in accounts:
            assert one.note, case.name
            for member, reason in one.reasons:
                assert reason or member in one.kept, case.name


def test_there_are_cases_and_each_difference_has_its_reason() -> None:
    """More than forty rules, and `why` exactly where Java does something else."""
    assert len(CASES) > 150
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert bool(case.why) == (case.left is None or case.left != case.java), case.name
