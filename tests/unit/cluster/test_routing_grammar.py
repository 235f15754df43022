"""The pieces of rules: values, conditions, regular expressions, addresses, scopes, documents."""

from __future__ import annotations

import enum
import random
import re
from types import SimpleNamespace
from typing import Any

import pytest

from kubbo.cluster.routing import Consumer, Disabled, parse, parse_text
from kubbo.cluster.routing.addresses import parse_address
from kubbo.cluster.routing.expressions import parse_expression
from kubbo.cluster.routing.facts import as_text, endpoint_value
from kubbo.cluster.routing.patterns import Glob, Range, Reference, parse_pattern
from kubbo.config.regex import MAX_STATES, Regex
from kubbo.errors import ConfigError
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.naming.kubernetes.slices import POD

SERVICE = ServiceKey("com.example.GreetService", "eu", "1.0.0")
ME = Consumer("shop-web", "10.9.9.9", "zone-a", "", {"region": "hz"})


def nobody(name: str) -> str | None:
    return None


def members(*endpoints: Endpoint) -> tuple[Any, ...]:
    return tuple(SimpleNamespace(endpoint=each) for each in endpoints)


def call(method: str = "find", *arguments: Any, **attachments: Any) -> Invocation:
    return Invocation(SERVICE, Signature(method), arguments, Deadline(1.0), attachments=attachments)


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("x", ["x"], ["", "xx", "X", "*"]),
        ("*", ["", "x", "*"], []),
        ("a*", ["a", "ab", "a*"], ["", "ba"]),
        ("*a", ["a", "ba"], ["", "ab"]),
        ("a*b", ["ab", "axb", "aab"], ["a", "b", "ba", "abx"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("a*b*c", ["abc", "axbxc", "abbc"], ["ac", "acb", "abcx"]),
        ("*b*", ["b", "abc"], ["", "ac"]),
        ("**", ["", "x"], []),
        ("a**b", ["ab", "axb"], ["a"]),
        ("*a*a*", ["aa", "xaxax"], ["a", "xax"]),
        ("ab*bc", ["abbc", "abxbc"], ["abc"]),
    ],
)
def test_a_star_stands_for_any_characters(
    pattern: str, matching: list[str], other: list[str]
) -> None:
    """Also none; and its neighbours never share a character."""
    glob = Glob.parse(pattern)
    assert [each for each in matching if not glob.matches(each, nobody)] == []
    assert [each for each in other if glob.matches(each, nobody)] == []


def test_many_stars_cost_no_more_than_the_text() -> None:
    """Going back would take longer than the test may: 5,000 pieces in 100,000 characters."""
    glob = Glob.parse("*a" * 5_000 + "*")
    assert not glob.matches("a" * 4_999 + "b" * 100_000, nobody)
    assert glob.matches("a" * 5_000, nobody)


def test_ranges_have_their_ends_in_them() -> None:
    """Both ends, one end, negative numbers; what is no number is in no range."""
    assert parse_pattern("1~5") == Range(1, 5)
    assert parse_pattern("~5") == Range(None, 5)
    assert parse_pattern("-5~") == Range(-5, None)
    both = Range(-1, 5)
    assert all(both.matches(text, nobody) for text in ("-1", "0", "5"))
    assert not any(
        both.matches(text, nobody) for text in ("-2", "6", "", "x", "1.5", "٣", "9" * 99)
    )
    assert Range(1, None).matches("100", nobody)
    assert not Range(1, None).matches("0", nobody)


@pytest.mark.parametrize("text", ["~", "a~b", "1~b", "1.0~2", "1~2~3", "1 ~ 2"])
def test_what_looks_like_a_range_and_is_none_is_refused(text: str) -> None:
    """Rather than compared with something that nobody meant."""
    with pytest.raises(ValueError, match="is no range of whole numbers"):
        parse_pattern(text)


def test_a_reference_is_the_consumers_value() -> None:
    """What the consumer does not have equals nothing, and its value is no pattern."""
    assert parse_pattern("$region") == Reference("region")
    with pytest.raises(ValueError, match="needs a name"):
        parse_pattern("$")
    values = {"region": "hz", "star": "*"}
    assert Reference("region").matches("hz", values.get)
    assert not Reference("region").matches("bj", values.get)
    assert not Reference("env").matches("hz", values.get)
    assert not Reference("star").matches("hz", values.get)


def test_arguments_have_the_texts_that_java_gives_them() -> None:
    """Plain values only: what Java prints of an object is of no use in a rule."""

    class Color(enum.Enum):
        RED = 1

    values = ["x", True, False, None, 1, -(2**40), 1.5, Color.RED, 1 << 99_999, b"x", [1], object()]
    assert [as_text(value) for value in values] == [
        *["x", "true", "false", "null", "1", str(-(2**40)), "1.5", "RED"],
        *[None, None, None, None],
    ]


def test_what_rules_may_ask_about_an_endpoint() -> None:
    """Address, place, weight and labels; then the service key."""
    labels = (("region", "hz"), ("app", "greeter"), ("dubbo.tag", "gray"))
    endpoint = Endpoint("10.0.0.1", 20880, 50, "zone-a", "node-1", labels=labels)
    wanted = {
        "host": "10.0.0.1",
        "port": "20880",
        "address": "10.0.0.1:20880",
        "weight": "50",
        "zone": "zone-a",
        "topology.kubernetes.io/zone": "zone-a",
        "node": "node-1",
        "region": "hz",
        "dubbo.tag": "gray",
        "application": "greeter",
        "protocol": "dubbo",
        "interface": "com.example.GreetService",
        "group": "eu",
        "version": "1.0.0",
        "nothing": None,
    }
    assert {key: endpoint_value(endpoint, key, SERVICE) for key in wanted} == wanted
    labelled = Endpoint("::1", 1, labels=(("version", "v2"), ("zone", "z")))
    assert endpoint_value(labelled, "version", SERVICE) == "v2"
    assert endpoint_value(labelled, "zone", SERVICE) == "z"
    assert endpoint_value(labelled, "address", SERVICE) == "[::1]:1"
    assert endpoint_value(labelled, "application", SERVICE) is None
    assert endpoint_value(labelled, "node", SERVICE) is None


def test_the_pods_of_a_deployment_can_be_told_by_their_names() -> None:
    """Slices know no labels of pods, but their names."""
    rule = parse({"conditions": ["=> pod=greeter-v2-*"]}, source="r", consumer=ME)
    pods = ("greeter-v1-5d9c-x2x", "greeter-v2-6b7f-abc", "greeter-v2-6b7f-xyz")
    here = members(
        *(Endpoint(f"10.0.0.{n}", 1, labels=((POD, pod),)) for n, pod in enumerate(pods))
    )
    assert rule.narrow(here, rule.classify(call())) == here[1:]


def test_the_environment_describes_the_consumer() -> None:
    """KUBBO_ZONE and its like; a parameter without = is refused."""
    environ = {
        "KUBBO_APPLICATION": "web",
        "POD_IP": "10.1.1.1",
        "KUBBO_ZONE": "z",
        "KUBBO_TAG": "gray",
        "KUBBO_PARAMETERS": "region=hz, env=gray,",
    }
    here = Consumer.here(environ=environ)
    parameters = {"region": "hz", "env": "gray"}
    assert here == Consumer("web", "10.1.1.1", "z", "gray", parameters)
    assert Consumer.here("mine", environ).application == "mine"
    values = {
        key: here.value(key, SERVICE) for key in ("host", "zone", "dubbo.tag", "env", "group", "x")
    }
    assert list(values.values()) == ["10.1.1.1", "z", "gray", "gray", "eu", None]
    assert Consumer().value("application", SERVICE) is None
    with pytest.raises(ConfigError, match="KUBBO_PARAMETERS: 'region'"):
        Consumer.here(environ={"KUBBO_PARAMETERS": "region"})


# --- conditions ------------------------------------------------------------------------------


def test_the_terms_of_a_condition() -> None:
    """Keys, values, and both signs; a key that is repeated is one term."""
    read = parse_expression(" method = find* , get* & host!=a&host=b & host != c ", provider=False)
    assert [term.text for term in read.terms] == ["method=find*,get*", "host=b & host!=a,c"]
    assert parse_expression("", provider=False).terms == ()
    [term] = parse_expression("attachments[a.b].c=1", provider=False).terms
    assert term.attachment == "a.b"
    [term] = parse_expression("arguments[12].name=1", provider=False).terms
    assert term.index == 12


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("method", "'method' has no value"),
        ("method & host=x", "'method' has no value"),
        ("=x", "no key before '=x'"),
        (",x", "no value before ',x'"),
        ("method=a,,b", "',,' before 'b'"),
        ("method==a", "'==' before 'a'"),
        ("method=!a", "'=!' before 'a'"),
        ("a=b && c=d", "'&&' before 'c'"),
        ("method=", "nothing follows '='"),
        ("method=a &", "nothing follows '&'"),
        ("arguments=x", "is no argument"),
        ("arguments[x]=x", "is no argument"),
        ("arguments[1234]=x", "is no argument"),
        ("attachments[]=x", "is no attachment"),
        ("attachments.x=x", "is no attachment"),
        ("host=1~x", "is no range"),
    ],
)
def test_a_mistake_in_a_condition_is_told(text: str, problem: str) -> None:
    """With what stands there, and mostly with what to write instead."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_expression(text, provider=False)


def test_what_is_of_the_call_stands_before_the_arrow() -> None:
    """A provider has no method, no arguments and no attachments."""
    for text in ("method=x", "methods=x", "arguments[0]=x", "attachments[a]=x"):
        with pytest.raises(ValueError, match="write it before the '=>'"):
            parse_expression(text, provider=True)


def test_a_condition_that_fails_says_which_term() -> None:
    """And the value that was found; for a reference the consumer's, too."""
    read = parse_expression("region=$region & env!=prod", provider=True)
    assert read.refers
    refer = {"region": "hz"}.get
    assert read.failing({"region": "bj"}.get, refer) == (
        "region=$region, but region is 'bj'; the consumer's region is 'hz'"
    )
    assert read.failing({"region": "hz"}.get, refer) == "env!=prod, but there is no env"
    assert read.failing({"region": "hz", "env": "x"}.get, refer) == ""


# --- regular expressions -----------------------------------------------------------------------


def test_regular_expressions_agree_with_pythons() -> None:
    """On thousands of small ones, made of every piece that is known."""
    rng = random.Random(1)
    atoms = ["a", "b", ".", "[ab]", "[^a]", "(a|b)", r"\d", r"\W", "1", "(ab)", "[a-c1]", "(?:a*)"]
    atoms += [r"\.", "x?", "(|a)", r"[\d.]", r"[\-a]", "[]a]", "[a-]"]
    times = ["", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,1}", "{1,}", "*?"]
    checked = 0
    for _ in range(1_500):
        pattern = "".join(rng.choice(atoms) + rng.choice(times) for _ in range(rng.randint(0, 4)))
        if re.search(r"\?[*+?{]", pattern):
            continue
        ours, theirs = Regex(pattern), re.compile(pattern, re.ASCII)
        for _ in range(20):
            text = "".join(rng.choice("ab1c.-]\n") for _ in range(rng.randint(0, 6)))
            assert ours.matches(text) == (theirs.fullmatch(text) is not None), (pattern, text)
            checked += 1
    assert checked > 20_000


def test_no_regular_expression_takes_long() -> None:
    """Those that hang others for hours end here: states, not ways, are followed."""
    for pattern in ("(a+)+b", "(a|a)*b", "(a*)*b", "(.*a){12}b", "((a{1,20}){1,5})*b"):
        assert not Regex(pattern).matches("a" * 2_000)


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "[", "[a", "a{", "a{x}", "a{2,1}", "a{1000}", "*", "a**", "a*+", r"\1", "(?=a)",
     "(?i)a", "^a", "a$", r"\p{L}", "\\", "[b-a]", "[[a]]", "[a&&b]", "a" * 201,
     "(" * 21 + ")" * 21, "((a{99}){99}){99}", r"\bx", r"[\D]", "{2}"],
)  # fmt: skip
def test_what_is_not_supported_is_refused(pattern: str) -> None:
    """Never taken for something else, and never with much memory."""
    with pytest.raises(ValueError, match=r"\w"):
        Regex(pattern)
    assert MAX_STATES < 10_000


# --- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "matching", "other"),
    [
        ("10.0.0.1", ["10.0.0.1:1", "10.0.0.1:2"], ["10.0.0.2:1"]),
        ("10.0.0.1:1", ["10.0.0.1:1"], ["10.0.0.1:2"]),
        ("10.0.*.*", ["10.0.255.0:1"], ["10.1.0.0:1", "host:1"]),
        ("10.0.*.*:1", ["10.0.255.0:1"], ["10.0.255.0:2"]),
        ("10.0.0.1-9", ["10.0.0.1:1", "10.0.0.9:1"], ["10.0.0.10:1", "10.0.0.0:1"]),
        ("10.0.0.0/16", ["10.0.255.1:1"], ["10.1.0.0:1", "[::1]:1"]),
        ("*", ["10.0.0.1:1", "host:2", "[::1]:3"], []),
        ("*:1", ["10.0.0.1:1", "[::1]:1"], ["10.0.0.1:2"]),
        ("0.0.0.0:1", ["10.0.0.1:1"], ["10.0.0.1:2"]),
        ("[2001:db8::1]:1", ["[2001:db8::1]:1"], ["[2001:db8::1]:2"]),
        ("2001:db8::0:1", ["[2001:db8::1]:7"], ["[2001:db8::2]:7"]),
        ("2001:db8::/32", ["[2001:db8::1]:1"], ["[2001:db9::1]:1"]),
        ("greeter-0.greeter", ["greeter-0.greeter:1"], ["greeter-1.greeter:1"]),
        ("greeter-0:1", ["greeter-0:1"], ["greeter-0:2"]),
    ],
)
def test_addresses_of_tags(text: str, matching: list[str], other: list[str]) -> None:
    """Each form that Dubbo's matchIpExpression knows, and names."""

    def endpoint(address: str) -> Endpoint:
        host, _, port = address.rpartition(":")
        return Endpoint(host.strip("[]"), int(port))

    address = parse_address(text)
    assert [each for each in matching if not address.matches(endpoint(each))] == []
    assert [each for each in other if address.matches(endpoint(each))] == []


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0", "10.0.0.256", "10.0.0.1:", "10.0.0.1:x", "10.0.0.1:70000", "10.0.0.9-1",
     "10.0.0.1-", "10.0.*", "10.0.0.0/33", "a/8", "0.0.0.0", "[::1", "10.*.0.1-300", "1:2:3"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    """Java passes over it at each call, and says so in its log."""
    with pytest.raises(ValueError, match=r"is no|has no port|only with a port"):
        parse_address(text)


# --- scopes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "covered"),
    [
        (None, True),
        ("*", True),
        ("com.example.GreetService", False),
        ("com.example.GreetService:1.0.0:eu", True),
        ("eu/com.example.GreetService:1.0.0", True),
        ("eu:com.example.GreetService:1.0.0", True),
        ("com.example.GreetService:1.0.0:", False),
        ("com.example.GreetService:*:*", True),
        ("*/com.example.GreetService:*", True),
        ("*/com.example.GreetService:2.0.0", False),
        ("com.example.Other:1.0.0:eu", False),
    ],
)
def test_the_services_of_a_rule(key: str | None, covered: bool) -> None:
    """A version or a group that the key leaves out is none, as in Java; * is any."""
    document = {"conditions": ["=>"], **({} if key is None else {"key": key})}
    rule = parse(document, source="r", consumer=ME)
    left = rule.narrow(members(Endpoint("h", 1)), rule.classify(call()))
    assert len(left) == (0 if covered else 1)


@pytest.mark.parametrize(
    ("consumer", "labels", "meant"),
    [
        ("greeter", (), True),
        ("greeter", (("app", "other"),), True),
        ("shop-web", (("app", "greeter"),), True),
        ("shop-web", (("application", "greeter"), ("app", "x")), True),
        ("shop-web", (("app", "other"),), False),
        ("shop-web", (), False),
        ("", (), True),
        ("", (("app", "other"),), False),
    ],
)
def test_the_application_of_a_condition_rule(
    consumer: str, labels: tuple[tuple[str, str], ...], meant: bool
) -> None:
    """The one that calls, or the one that is called; who says nothing contradicts nothing."""
    document = {"scope": "application", "key": "greeter", "conditions": ["=>"]}
    rule = parse(document, source="r", consumer=Consumer(consumer))
    left = rule.narrow(members(Endpoint("h", 1, labels=labels)), rule.classify(call()))
    assert len(left) == (0 if meant else 1)


def test_the_application_of_a_tag_rule_is_the_providers() -> None:
    """Never the consumer's."""
    document = {"key": "greeter", "tags": [{"name": "gray", "addresses": ["*"]}]}
    rule = parse(document, source="r", consumer=Consumer("greeter"))
    kind = rule.classify(call())
    assert rule.narrow(members(Endpoint("h", 1, labels=(("app", "greeter"),))), kind) == ()
    assert rule.narrow(members(Endpoint("h", 1)), kind) == ()
    assert len(rule.narrow(members(Endpoint("h", 1, labels=(("app", "other"),))), kind)) == 1


# --- documents -------------------------------------------------------------------------------

TO = "conditions: [{from: {match: 'a=b'}, to: [{match: 'c=d', "


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("[]", "the rule", "a list is not a rule"),
        ("x", "the rule", "'x' is not a rule"),
        ("scope: service", "the rule", "conditions, tags, affinityAware and zoneAware are missing"),
        ("condition: []", "the rule", "there is no key 'condition'; write 'conditions'"),
        ("conditions: x", "conditions", "'x' is not a list"),
        ("conditions: {}", "conditions", "a mapping is not a list"),
        ("conditions: [[]]", "conditions[0]", "a list is not a text"),
        ("conditions: [{from: {}}]", "conditions[0]", "configVersion: v3.1"),
        ("conditions: ['']", "conditions[0]", "it is empty"),
        ("conditions: [=>, 'a=b=>c']", "conditions[1]", "'c' has no value"),
        ("conditions: [], \tforce: x", ":1:15", "this is no YAML"),
        ("conditions: []\nforce: maybe", "force", "'maybe' is not true or false"),
        ("conditions: []\nforce: 1", "force", "1 is not true or false"),
        ("conditions: []\nfroce: true", "the rule", "there is no key 'froce'; write 'force'"),
        ("conditions: []\npriority: x", "priority", "'x' is not a whole number"),
        ("conditions: []\nscope: all", "scope", "'all' is not a scope"),
        ("conditions: []\nkey: a b", "key", "'a b' is not a service"),
        ("conditions: []\nkey: a:b:c:d", "key", "is not a service"),
        ("conditions: []\nenabled: []", "enabled", "a list is not true or false"),
        ("configVersion: v9\nconditions: []", "configVersion", "'v9' is not a version"),
        (f"configVersion: v3.1\n{TO} weight: -1}}]}}]", "conditions[0].to[0].weight", "-1 is not"),
        (f"configVersion: v3.1\n{TO} wieght: 1}}]}}]", "conditions[0].to[0]", "write 'weight'"),
        (f"configVersion: v3.1\n{TO}}}], ratio: 101}}]", "conditions[0].ratio", "0 to 100"),
        (f"configVersion: v3.1\n{TO}}}], sticky: host}}]", "conditions[0].sticky", "of the call"),
        ("configVersion: v3.1\nconditions: [x]", "conditions[0]", "'x' is not a mapping"),
        ("tags: [{addresses: []}]", "tags[0]", "'name' is missing"),
        ("tags: [{name: a, addresses: x}]", "tags[0].addresses", "'x' is not a list"),
        ("tags: [{name: a, addresses: [1.2.3]}]", "tags[0].addresses[0]", "is no address"),
        ("tags: [{name: ''}]", "tags[0].name", "is there twice, or empty"),
        ("configVersion: v3.0\ntags: [{name: a, match: [{key: k}]}]", "match[0]", "'value'"),
        ("configVersion: v3.0\ntags: [{name: a, match: [{key: k, value: {x: y}}]}]",
         "value", "exact"),
        ("configVersion: v3.0\ntags: [{name: a, match: [{key: k, value: {regex: '('}}]}]",
         "tags[0].match[0].value.regex", "cannot be used"),
        ("configVersion: v3.1\naffinityAware: {}", "affinityAware", "'key' is missing"),
        ("zoneAware: {minHealthy: 0}", "zoneAware.minHealthy", "0 is not a whole number"),
        ("zoneAware: {minHealty: 1}", "zoneAware", "write 'minHealthy'"),
        ("zoneAware: {spillLoad: .nan}", "zoneAware.spillLoad", "'.nan' is not a number"),
        ("script: x\ntype: javascript", "the rule", "script rules are not run"),
        ("kind: VirtualService\nspec: {}", "the rule", "mesh rules"),
        ("kind: DestinationRule", "the rule", "mesh rules"),
        ("a: b\n---\nconditions: [x]", "", "conditions"),
        ("rules: [{conditions: [x]}]", "rules[0]: conditions[0]", "'x' has no value"),
        ("conditions: !!python/object:x []", ":1:13", "tags are not read"),
        ("conditions: [2020-99-99T00:00:00Z]", "conditions[0]", "has no value"),
        ("? [1]\n: 2", ":1:3", "a key is a text"),
        ("a: &a [*a]", ":1:8", "aliases are not read"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_read_says_where(text: str, place: str, problem: str) -> None:
    """The file, the place in the rule, and what to write."""
    with pytest.raises(ConfigError) as caught:
        parse_text(text, source="rules.yaml", consumer=ME)
    message = str(caught.value)
    assert message.startswith("rules.yaml")
    assert place in message
    assert problem in message


def test_rules_come_in_dubbos_order() -> None:
    """Tags, conditions, affinity, zones; of one sort the higher priority first."""
    text = """
zoneAware: {}
---
conditions: []
priority: 1
key: a.B
---
conditions: []
priority: 2
key: a.C
---
configVersion: v3.1
affinityAware: {key: region}
---
tags: []
key: app
---
---
enabled: false
conditions: [=>]
key: a.D
"""
    routers = parse_text(text, source="r", consumer=ME)
    assert [each.name for each in routers] == [
        "tag rule app (r, line 15)",
        "condition rule a.C (r, line 8)",
        "condition rule a.B (r, line 4)",
        "condition rule a.D (r, line 19)",
        "affinity rule (r, line 12)",
        "zone rule (r)",
    ]
    everybody = members(Endpoint("h", 1))
    assert routers[3].narrow(everybody, routers[3].classify(call())) == everybody


def test_a_configuration_may_hold_the_rules() -> None:
    """`rules:` of a file, each of them named by its place."""
    [rule] = parse_text("rules: [{conditions: [=>]}]", source="kubbo.yaml", consumer=ME)
    assert rule.name == "condition rule (kubbo.yaml, rules[0])"
    assert parse_text("", source="r", consumer=ME) == ()


def test_rules_have_limits() -> None:
    """A text, a list, a condition: each has a most."""
    with pytest.raises(ConfigError, match="more than 1048576 bytes"):
        parse_text("#" * (1 << 20) + "#", source="r", consumer=ME)
    with pytest.raises(ConfigError, match="1000 are the most"):
        parse({"conditions": ["=>"] * 1001}, source="r", consumer=ME)
    with pytest.raises(ConfigError, match="a very large number is not a text"):
        parse({"conditions": [1 << 99_999]}, source="r", consumer=ME)
    with pytest.raises(ConfigError, match="10000 are the most"):
        parse({"conditions": ["x" * 10_001]}, source="r", consumer=ME)
    many = "&".join(f"k{n}=v" for n in range(101))
    with pytest.raises(ConfigError, match="more than 100 keys"):
        parse({"conditions": [f"{many} =>"]}, source="r", consumer=ME)
    with pytest.raises(ConfigError, match="more than 1000 rules"):
        parse_text("---\nconditions: []\n" * 1001, source="r", consumer=ME)
    with pytest.raises(ConfigError, match="nested more than 32"):
        parse_text("[" * 5_000, source="r", consumer=ME)


@pytest.mark.parametrize(
    ("word", "on"), [("yes", True), ("on", True), ("'true'", True), ("no", False), ("off", False)]
)
def test_a_switch_takes_the_words_that_java_takes(word: str, on: bool) -> None:
    """Java reads YAML 1.1, in which `yes` and `off` are truth values."""
    [rule] = parse_text(f"conditions: [a=b => ]\nenabled: {word}", source="r", consumer=ME)
    assert isinstance(rule, Disabled) is not on
