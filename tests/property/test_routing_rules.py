"""Hostile rules: whatever a file holds, it is read or refused, and what was read never fails."""

from __future__ import annotations

import random
import re
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from kubbo.cluster.routing import Consumer, account_for, parse, parse_text
from kubbo.cluster.routing.addresses import parse_address
from kubbo.cluster.routing.expressions import parse_expression
from kubbo.cluster.routing.patterns import Glob
from kubbo.config.regex import Regex
from kubbo.errors import ConfigError
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.transport.dialer import State

ME = Consumer("web", "10.9.9.9", "z", "", {"region": "hz"})
WORDS = [
    *["conditions", "tags", "affinityAware", "zoneAware", "key", "scope", "force", "enabled"],
    *["priority", "configVersion", "runtime", "from", "to", "match", "weight", "ratio", "sticky"],
    *["trafficDisable", "name", "addresses", "value", "exact", "prefix", "regex", "wildcard"],
    *["empty", "noempty", "zone", "minHealthy", "spillLoad", "spillCalls", "script", "rules"],
]
TEXTS = [
    *["v3.0", "v3.1", "service", "application", "com.example.A", "true", "false", "*", ""],
    *["method=find* => host=10.0.*", "=>", "=> region=$region", "arguments[0]=1~5 => port=1"],
    *["attachments[a]!=x,y & zone=z => host!=10.0.0.1", "region=hz", "10.0.0.1:1", "10.0.0.0/8"],
    *["attachments[a]", "(a|b)*", "h*", "$", "~", "1~", "a", "gray"],
]
PIECES = st.sampled_from(
    [*TEXTS, "&", "=", "!=", ",", "=>", " ", "method", "arguments[", "]", "x", "consumer.", "\t"]
)
texts = st.one_of(st.sampled_from(TEXTS), st.lists(PIECES, max_size=8).map("".join), st.text())
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 200), st.floats(), st.just(10**400), texts
)
keys = st.one_of(st.sampled_from(WORDS), st.text(max_size=5), st.integers(), st.none())
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=6)),
    max_leaves=20,
)

match = st.fixed_dictionaries({"match": texts}, optional={"weight": leaves})
some_condition = st.one_of(
    texts,
    st.fixed_dictionaries(
        {}, optional={"from": match, "to": st.lists(match, max_size=4), "ratio": leaves,
                      "force": st.booleans(), "sticky": texts, "priority": leaves},
    ),
    values,
)  # fmt: skip
tag = st.fixed_dictionaries(
    {"name": texts},
    optional={
        "addresses": st.lists(texts, max_size=3),
        "match": st.lists(
            st.fixed_dictionaries(
                {"key": texts, "value": st.dictionaries(st.sampled_from(WORDS[21:27]), texts)}
            ),
            max_size=3,
        ),
    },
)
plain = {
    "key": texts,
    "scope": st.sampled_from(["service", "application"]),
    "force": st.booleans(),
    "enabled": st.booleans(),
    "configVersion": st.sampled_from(["v3.0", "v3.1", "v2.7"]),
}
rules = st.one_of(
    st.fixed_dictionaries({"conditions": st.lists(some_condition, max_size=4)}, optional=plain),
    st.fixed_dictionaries({"tags": st.lists(tag, max_size=4)}, optional=plain),
    st.fixed_dictionaries({"affinityAware": values, "configVersion": st.just("v3.1")}),
    st.fixed_dictionaries({"zoneAware": values}),
    st.dictionaries(keys, values, max_size=6),
    values,
)

calls = st.builds(
    lambda method, arguments, attachments: Invocation(
        ServiceKey("com.example.A"), Signature(method), arguments, Deadline(1.0),
        attachments=attachments,
    ),
    texts,
    st.lists(values, max_size=3),
    st.dictionaries(
        st.sampled_from(["a", "dubbo.tag", "dubbo.force.tag", "x"]), values, max_size=4
    ),
)  # fmt: skip
members = st.lists(
    st.builds(
        lambda endpoint, state: SimpleNamespace(
            endpoint=endpoint, dialer=SimpleNamespace(state=state), active=0, ejected=False
        ),
        st.builds(
            Endpoint,
            st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "host"]),
            st.integers(1, 3),
            zone=st.sampled_from(["", "z", "y"]),
            labels=st.lists(
                st.tuples(st.sampled_from(["region", "app", "dubbo.tag", "a"]), texts), max_size=3
            ).map(tuple),
        ),
        st.sampled_from(State),
    ),
    max_size=5,
)
HOSTILE = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def told(error: ConfigError, source: str) -> None:
    """A message of moderate length that names its file."""
    assert str(error).startswith(source)
    assert len(str(error)) < 2_000


@HOSTILE
@given(rules, st.lists(calls, min_size=1, max_size=3), members)
def test_what_was_read_narrows_every_call(rule: Any, made: list[Invocation], here: Any) -> None:
    """A rule is read or refused; then any call of any members is narrowed, and explained alike."""
    try:
        router = parse(rule, source="r", consumer=ME, rng=random.Random(1))
    except ConfigError as error:
        told(error, "r: ")
        return
    for call in made:
        kind = router.classify(call)
        hash(kind)
        left = router.narrow(here, kind)
        assert all(any(each is one for one in here) for each in left)
        for account in account_for([router], call, here):
            assert len(account.reasons) == len(here)


@HOSTILE
@given(st.one_of(st.text(), st.lists(st.one_of(PIECES, st.sampled_from(
    [*WORDS, ": ", "\n", "- ", "  ", "[", "]", "{", "}", "---\n", "&a ", "*a", "!!x ", "|\n", "'"]
)), max_size=30).map("".join)))  # fmt: skip
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but ConfigError comes out of a file."""
    try:
        routers = parse_text(text, source="file", consumer=ME)
    except ConfigError as error:
        told(error, "file")
    else:
        assert isinstance(routers, tuple)


@HOSTILE
@given(st.one_of(texts, st.text(alphabet="&=!,>ab[]0$~ *\t")), st.booleans())
def test_any_condition_is_read_or_refused(text: str, provider: bool) -> None:
    """Nothing but ValueError comes out of a condition, and what was read holds or does not."""
    try:
        read = parse_expression(text, provider=provider)
    except ValueError:
        return
    assert read.holds({"a": "b"}.get, {"b": "a"}.get) in (True, False)


@HOSTILE
@given(st.text(alphabet="ab*"), st.text(alphabet="ab"))
def test_stars_mean_what_the_regular_expression_means(pattern: str, value: str) -> None:
    """Found without going back, the answer is that of `.*` for each star."""
    wanted = re.fullmatch(".*".join(re.escape(piece) for piece in pattern.split("*")), value)
    assert Glob.parse(pattern).matches(value, {}.get) == (wanted is not None)


@HOSTILE
@given(st.one_of(st.text(), st.text(alphabet="ab()[]|*+?{}12,\\-^.dw")), st.text(max_size=20))
def test_any_regular_expression_is_read_or_refused(pattern: str, value: str) -> None:
    """And ends with an answer."""
    try:
        regex = Regex(pattern)
    except ValueError:
        return
    assert regex.matches(value) in (True, False)


@HOSTILE
@given(st.one_of(texts, st.text(alphabet="0123456789.:-*/[]af")))
def test_any_address_is_read_or_refused(text: str) -> None:
    """And matches an endpoint or does not."""
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert address.matches(Endpoint("10.0.0.1", 1)) in (True, False)
    assert address.matches(Endpoint("::1", 1)) in (True, False)
    assert address.matches(Endpoint("host", 1)) in (True, False)
