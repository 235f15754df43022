"""Dubbo's configurator rules, as Java users wrote them."""

from __future__ import annotations

import pytest

from kubbo.config.configuration import read_configuration
from kubbo.config.document import ConfigurationError
from kubbo.config.layers import Layer, Level, merge, stack
from kubbo.config.matching import AddressMatch, TextMatch, matches_address
from kubbo.config.options import Options
from kubbo.config.overrides import Subject
from kubbo.model import Endpoint

GREETER = "com.example.GreetService:1.0.0"
HERE = Subject("shop-web", frozenset({"10.0.0.5"}))


def read(text: str, name: str = "rule.yaml"):
    """A configuration of one file."""
    return read_configuration({name: text.encode()})


def timeout(configuration, *, service=GREETER, method="", subject=HERE, code=()):
    """What a call of `subject` gets; None where nothing but the default says it."""
    layers = configuration.layers(service, method, subject)
    return merge(
        [each for each in stack(*layers, *code) if each.level is not Level.DEFAULT]
    ).timeout


def rule(entry: str, *, scope: str = "service", key: str = GREETER, head: str = "") -> str:
    """A rule of one entry."""
    lines = "\n".join(f"  {line}" for line in entry.strip().splitlines())
    return f"configVersion: v3.0\nscope: {scope}\nkey: {key}\n{head}configs:\n-\n{lines}\n"


TIMEOUT = "side: consumer\nparameters: {timeout: 6000}\n"


def test_the_form_of_2_7_with_documents_markers_and_addresses():
    """A rule as it was written for Dubbo 2.7, with its `---` and `...`."""
    text = f"""
---
configVersion: v2.7
scope: service
key: {GREETER}
enabled: true
configs:
- addresses: [0.0.0.0]
  side: consumer
  parameters:
    timeout: 6000
    greet.timeout: '200'
    cluster: failfast
    threads: 200
...
"""
    configuration = read(text)
    assert timeout(configuration) == 6.0
    assert timeout(configuration, method="greet") == 0.2
    assert timeout(configuration, service="com.example.Other") is None
    assert [issue.path for issue in configuration.warnings] == ["configs[0].parameters.threads"]


@pytest.mark.parametrize(
    ("entry", "applies"),
    [
        (TIMEOUT, True),
        (TIMEOUT + "addresses: [10.0.0.5]", True),
        (TIMEOUT + "addresses: [10.0.0.6, '10.0.0.5:20880']", True),
        (TIMEOUT + "addresses: [10.0.0.6]", False),
        (TIMEOUT + "applications: [shop-web]", True),
        (TIMEOUT + "applications: [other]", False),
        (TIMEOUT + "match: {application: {oneof: [{exact: x}, {prefix: shop-}]}}", True),
        (TIMEOUT + "match: {app: {oneof: [{exact: shop-web}]}}", True),
        (TIMEOUT + "match: {application: {oneof: [{regex: 'shop'}]}}", False),
        (TIMEOUT + "match: {address: {cird: 10.0.0.0/24}}", True),
        (TIMEOUT + "match: {address: {wildcard: '10.0.1.*'}}", False),
        (TIMEOUT + f"match: {{service: {{oneof: [{{exact: '{GREETER}'}}]}}}}", True),
        (TIMEOUT + "match: {param: [{key: zone, value: {exact: a}}]}", False),
        (TIMEOUT + "providerAddresses: ['10.1.1.1:20880']", False),
        ("side: provider\nparameters: {timeout: 6000}", True),
        ("side: provider\naddresses: [10.1.1.1]\nparameters: {timeout: 6000}", False),
        ("parameters: {timeout: 6000}", False),
        (TIMEOUT + "type: disabled\nenabled: false", False),
        (TIMEOUT + "enabled: false", True),
    ],
)
def test_whom_an_entry_changes(entry: str, applies: bool):
    """By side, address, application, service and parameters; by all of them together."""
    assert (timeout(read(rule(entry))) == 6.0) is applies


def test_scope_key_and_enabled_of_the_whole_rule():
    """A rule for another service or application changes nothing, nor one that is off."""
    assert timeout(read(rule(TIMEOUT, key="'*'"))) == 6.0
    assert timeout(read(rule(TIMEOUT, key="com.example.GreetService"))) is None
    assert timeout(read(rule(TIMEOUT, scope="application", key="shop-web"))) == 6.0
    assert timeout(read(rule(TIMEOUT, scope="application", key="other"))) is None
    listed = TIMEOUT + f"services: ['{GREETER}']"
    assert timeout(read(rule(listed, scope="application", key="shop-web"))) == 6.0
    assert (
        timeout(read(rule(TIMEOUT + "services: [x]", scope="application", key="shop-web"))) is None
    )
    assert timeout(read(rule(TIMEOUT, head="enabled: false\n"))) is None


def test_which_override_wins():
    """Of a service over of an application, of the own address over any, else the last one."""

    def one(milliseconds: int, scope: str, addresses: str = "") -> str:
        key = "shop-web" if scope == "application" else GREETER
        where = f"addresses: [{addresses}]\n" if addresses else ""
        entry = f"side: consumer\n{where}parameters: {{timeout: {milliseconds}}}"
        return rule(entry, scope=scope, key=key)

    both = one(1, "service") + "---\n" + one(2, "application", "10.0.0.5")
    assert timeout(read(both)) == 0.001
    own = one(1, "service", "10.0.0.5") + "---\n" + one(2, "service")
    assert timeout(read(own)) == 0.001
    assert timeout(read(one(1, "service") + "---\n" + one(2, "service"))) == 0.002


def test_an_override_beats_its_level_and_no_method():
    """It is stronger than consumer, reference and code, but not than what a method was given."""
    configuration = read(
        f"""
references:
  {GREETER}: {{timeout: 100, methods: {{greet: {{timeout: 7}}}}}}
overrides:
- key: {GREETER}
  configs: [{{side: consumer, parameters: {{timeout: 6000}}}}]
"""
    )
    refer = Layer(Level.INTERFACE, "refer(...)", Options(timeout=2.0))
    declared = Layer(Level.METHOD, "@method(...)", Options(timeout=3.0))
    assert timeout(configuration, code=[refer]) == 6.0
    assert timeout(configuration, method="greet", code=[refer, declared]) == 0.007
    assert timeout(configuration, method="other", code=[refer, declared]) == 3.0


def test_what_is_said_to_all_providers_is_heard_as_from_a_provider():
    """It is weaker than what the consumer itself says of the interface."""
    said = rule("side: provider\nparameters: {timeout: 6000, executes: 5}")
    configuration = read(f"{said}---\nconsumer: {{timeout: 1}}\n")
    assert timeout(configuration) == 6.0
    refer = Layer(Level.INTERFACE, "refer(...)", Options(timeout=2.0))
    assert timeout(configuration, code=[refer]) == 2.0
    served = merge(stack(*configuration.layers(GREETER, "greet", HERE, "provider")))
    assert served.parameters["executes"] == 5


def marks(text: str, host: str = "10.0.0.1", port: int = 20880, **known: str):
    """The weights and disablings of an endpoint."""
    labels = tuple((key, value) for key, value in known.items() if key not in ("zone", "node"))
    endpoint = Endpoint(
        host, port, zone=known.get("zone", ""), node=known.get("node", ""), labels=labels
    )
    return [
        (each.weight, each.disabled)
        for each in read(text).markings()
        if each.marks(GREETER, HERE, endpoint)
    ]


WEIGHT = "side: provider\nparameters: {weight: 50}\n"


@pytest.mark.parametrize(
    ("entry", "marked"),
    [
        (WEIGHT, True),
        (WEIGHT + "addresses: ['10.0.0.1:20880']", True),
        (WEIGHT + "addresses: ['10.0.0.1']", True),
        (WEIGHT + "addresses: ['0.0.0.0:20880']", True),
        (WEIGHT + "addresses: ['0.0.0.0:20881']", False),
        (WEIGHT + "addresses: ['10.0.0.1:20881']", False),
        (WEIGHT + "match: {address: {wildcard: '10.0.0.1:20880'}}", True),
        (WEIGHT + "match: {address: {wildcard: '10.0.0.*'}}", True),
        (WEIGHT + "match: {address: {cidr: 10.0.1.0/24}}", False),
        (WEIGHT + "match: {param: [{key: zone, value: {exact: a}}]}", True),
        (WEIGHT + "match: {param: [{key: tier, value: {exact: gold}}]}", True),
        (WEIGHT + "match: {param: [{key: zone, value: {exact: b}}]}", False),
        ("side: consumer\nparameters: {weight: 50}\nproviderAddresses: [10.0.0.1]", True),
        ("side: consumer\nparameters: {weight: 50}\nproviderAddresses: [10.0.0.2]", False),
        ("side: consumer\nparameters: {weight: 50}\naddresses: [10.0.0.6]", False),
        (
            WEIGHT.replace("provider", "consumer")
            + "match: {providerAddress: {exact: '10.0.0.1:20880'}}",
            True,
        ),
    ],
)
def test_weights_of_single_providers(entry: str, marked: bool):
    """Chosen by the provider's address, its zone, its labels; read by the consumer."""
    assert marks(rule(entry), zone="a", tier="gold") == ([(50, None)] if marked else [])


def test_a_provider_is_taken_out_as_in_dubbo():
    """`disabled: true`, for the application that owns the address."""
    text = rule(
        "side: provider\naddresses: ['10.0.0.1:20880']\nparameters: {disabled: true}",
        scope="application",
        key="greeter",
    )
    assert marks(text) == [(None, True)]
    assert marks(text, "10.0.0.2") == []


def test_what_some_providers_cannot_have_is_left_out_and_told():
    """A timeout for single providers would need a provider before the call is prepared."""
    configuration = read(rule(TIMEOUT + "providerAddresses: ['10.1.1.1:20880']"))
    [warning] = configuration.warnings
    assert str(warning) == (
        "rule.yaml:7:16: configs[0].parameters.timeout: left out: of some providers only, "
        "weight and disabled can be set"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (rule("side: consumer\nparameters: {}"), "configs[0].parameters: name at least one"),
        (rule("side: nobody\nparameters: {a: 1}"), "configs[0].side: this is consumer or provider"),
        (rule(TIMEOUT, scope="global"), "scope: this is service or application"),
        (rule(TIMEOUT, key=""), "key: a rule needs the key of what it is for"),
        ("configs: {}\nkey: x", "configs: a list is expected here"),
        (rule(TIMEOUT + "match: {adress: {exact: x}}"), "did you mean 'address'?"),
        (rule(TIMEOUT + "match: {application: {exact: x}}"), "oneof with a list is expected"),
        (rule(TIMEOUT + "match: {application: {oneof: [{regex: '('}]}}"), "no regular expression"),
        (rule(TIMEOUT + "match: {application: {oneof: [{regex: '(a+)+$'}]}}"), "no regular expr"),
        (rule("side: consumer\nparameters: {timeout: soon}"), "'soon' is no duration"),
        (rule("side: consumer\nparameters: {weight: heavy}"), "'heavy' is no whole number"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(text: str, complaint: str):
    """A condition that is not understood would make a rule hold for more than was meant."""
    with pytest.raises(ConfigurationError) as raised:
        read(text)
    assert complaint in str(raised.value)


def test_a_file_that_java_calls_configurators_is_one():
    """Whatever keys it has."""
    text = (
        f"scope: service\nkey: {GREETER}\nconfigs: [{{side: consumer, parameters: {{timeout: 5}}}}]"
    )
    assert timeout(read(text, f"{GREETER}.configurators")) == 0.005


@pytest.mark.parametrize(
    ("match", "host", "port", "fits"),
    [
        (AddressMatch(exact="10.0.0.1"), "10.0.0.1", 1, True),
        (AddressMatch(exact="10.0.0.1:1"), "10.0.0.1", 1, True),
        (AddressMatch(exact="10.0.0.1:2"), "10.0.0.1", 1, False),
        (AddressMatch(wildcard="*"), "fd00::1", 1, True),
        (AddressMatch(wildcard="10.*.1"), "10.0.0.1", 1, True),
        (AddressMatch(wildcard="10.0.0.1*1"), "10.0.0.1", 20880, False),
        (AddressMatch(cidr="fd00::/16"), "fd00::1", 1, True),
        (AddressMatch(cidr="10.0.0.1-9"), "10.0.0.5", 1, True),
        (AddressMatch(cidr="10.0.*.5:1"), "10.0.7.5", 1, True),
        (AddressMatch(cidr="10.0.*.5:2"), "10.0.7.5", 1, False),
        (AddressMatch(cidr="10.0.0.0/99"), "10.0.0.5", 1, False),
        (AddressMatch(cidr="10.0.0.0/8"), "no-address", 1, False),
        (AddressMatch(), "10.0.0.5", 1, False),
    ],
)
def test_conditions_on_addresses(match: AddressMatch, host: str, port: int, fits: bool):
    """CIDR, Dubbo's ranges, one star, and what is no address fits nothing."""
    assert match.accepts(host, port) is fits


@pytest.mark.parametrize(
    ("match", "text", "fits"),
    [
        (TextMatch(exact="a"), "a", True),
        (TextMatch(exact="a"), None, False),
        (TextMatch(prefix="a"), "ab", True),
        (TextMatch(regex="a.*c"), "abc", True),
        (TextMatch(regex="b"), "abc", False),
        (TextMatch(wildcard="*"), "x", True),
        (TextMatch(wildcard="x"), "y", False),
        (TextMatch(empty="true"), None, True),
        (TextMatch(empty="true"), "x", False),
        (TextMatch(noempty="true"), "x", True),
        (TextMatch(noempty="true"), None, False),
        (TextMatch(), "x", False),
    ],
)
def test_conditions_on_texts(match: TextMatch, text: str | None, fits: bool):
    """As Dubbo's StringMatch."""
    assert match.accepts(text) is fits


def test_an_entry_of_addresses():
    """A host, a host and a port, any host with a port."""
    assert matches_address("10.0.0.1", "10.0.0.1", 20880)
    assert matches_address("0.0.0.0:*", "10.0.0.1", 20880)
    assert not matches_address("10.0.0.1:1", "10.0.0.1", 20880)
