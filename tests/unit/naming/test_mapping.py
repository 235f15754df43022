"""From service keys to targets: the rule's table, the order of the sources, the record."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, strategies as st

from kubbo.errors import ConfigError, KubboError, TargetError
from kubbo.model import ServiceKey
from kubbo.naming.mapping import (
    MappingError,
    Outcome,
    Providers,
    ProviderService,
    ServiceLookupError,
    map_service_key,
    parse_provided,
    parse_targets,
    service_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEY = ServiceKey.parse("eu/com.example.GreetService:1.0.0")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("com.example.GreetService", "greet-service"),
        ("com.example.GreetService:1.0.0", "greet-service-1-0-0"),
        ("eu/com.example.OrderService:2.1", "order-service-eu-2-1"),
        ("com.example.HTTPServerAPI", "http-server-api"),
        ("com.example.Outer$InnerService", "outer-inner-service"),
        ("com.example.V2Gateway", "v2-gateway"),
        ("com.example.2Fast", "s-2-fast"),
        ("com.example.OAuth2TokenService", "o-auth2-token-service"),
        (
            "com.example." + "VeryLong" * 9 + "Service:1.0.0",
            "very-long-very-long-very-long-very-long-very-long-very-d4285ef3",
        ),
        ("com.example.\u95ee\u5019Service", "service-fd9d908b"),
        ("GreetService", "greet-service"),
        ("EU_West/com.example.A", "a-eu-west"),
        ("com.example.Foo_Bar", "foo-bar"),
        ("com.example._Foo_", "foo"),
        ("com.example.A:1.0.0-SNAPSHOT", "a-1-0-0-snapshot"),
        ("com.example._", "s-35d40646"),
        ("com.example.$", "s-6d873709"),
        ("-/a._:.", "s-1deeeed3"),
        ("g/com.example._", "g"),
    ],
)
def test_rule(key: str, name: str) -> None:
    """The table of docs/naming.md, and what its steps say of underscores and capitals."""
    assert service_name(ServiceKey.parse(key)) == name


def test_rule_hashes_an_interface_without_any_usable_letter() -> None:
    """An interface of Chinese letters alone still gives a legal name of its own."""
    name = service_name(ServiceKey("com.example.\u95ee\u5019"))
    assert re.fullmatch(r"s-[0-9a-f]{8}", name)
    assert name != service_name(ServiceKey("com.example.\u5019\u95ee"))


def test_rule_with_the_other_template() -> None:
    """`{interface}` takes the whole name, and text around a placeholder stays."""
    key = ServiceKey.parse("com.example.GreetService:1.0.0")
    assert service_name(key, "{interface}") == "com-example-greet-service-1-0-0"
    assert service_name(key, "dubbo-{simple}") == "dubbo-greet-service-1-0-0"


@pytest.mark.parametrize(
    "template", ["", "greeter", "{simple", "{group}", "{simple}{}", "{{simple}}"]
)
def test_rule_refuses_other_templates(template: str) -> None:
    """A template that does not depend on the key, or has another placeholder, is an error."""
    with pytest.raises(ConfigError, match="KUBBO_SERVICE_NAME"):
        service_name(KEY, template)


@example("com.example._", "", "")
@example("$", "_", "-")
@example("com.example.\u0660", ".", "\u95ee")
@example("a" * 53 + "_" * 20 + "b", "", "")
@given(
    st.from_regex(r"([\w$]{1,20}\.){0,4}[\w$]{1,80}", fullmatch=True),
    st.from_regex(r"[^/:\s]{0,20}", fullmatch=True),
    st.from_regex(r"[^/:\s]{0,20}", fullmatch=True),
)
def test_rule_always_gives_a_legal_name(interface: str, group: str, version: str) -> None:
    """Whatever the key, the name is a DNS-1035 label, so the API server can have it."""
    name = service_name(ServiceKey(interface, group, version))
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name)


@dataclass
class Cluster:
    """Services by hand; `broken` is the error that every question gets.

    `refused` are namespaces that may not be listed, among `namespaces` in their order.
    """

    services: Sequence[ProviderService] = ()
    broken: str = ""
    asked: list[str] = field(default_factory=list)
    namespaces: Sequence[str] = ("own", "other")
    refused: Sequence[str] = ()

    async def providers(self) -> Providers:
        self.asked.append("providers")
        if self.broken:
            raise ServiceLookupError(self.broken)
        return Providers(
            [one for one in self.services if one.provider and one.namespace not in self.refused],
            self.namespaces,
            dict.fromkeys(self.refused, "answered 403"),
        )

    async def service(self, namespace: str, name: str) -> ProviderService | None:
        self.asked.append(name)
        if self.broken:
            raise ServiceLookupError(self.broken)
        return next((one for one in self.services if one.name == name), None)


async def mapped(**sources: object) -> tuple[str, str]:
    """Target and winning source."""
    mapping = await map_service_key(KEY, **sources)  # type: ignore[arg-type] # by the test's table
    assert [step.outcome for step in mapping.steps].count(Outcome.WON) == 1
    assert mapping.steps[-1].outcome is Outcome.WON
    return str(mapping.target), mapping.steps[-1].source


CODE = "static:///code:1"
TARGETS = {"KUBBO_TARGETS": f"{KEY}=static:///table:1"}
SIMPLE = {"GreetService_target": "kubernetes:///greeter/shop/20880"}
REFERENCES = {str(KEY): "static:///config:1"}
ATTRIBUTE = Cluster([ProviderService("shop", "greeter", f"{KEY}@dubbo", provider=True)])
NAMED = Cluster([ProviderService("shop", "greet-service-eu-1-0-0")])


async def test_sources_win_in_their_order() -> None:
    """Code, table, demo variable, configuration, attribute, rule: each wins over all below."""
    assert await mapped(
        explicit=CODE, environ=TARGETS | SIMPLE, references=REFERENCES, services=ATTRIBUTE
    ) == (CODE, "code")
    assert await mapped(environ=TARGETS | SIMPLE, references=REFERENCES, services=ATTRIBUTE) == (
        "static:///table:1",
        "environment",
    )
    assert await mapped(environ=SIMPLE, references=REFERENCES, services=ATTRIBUTE) == (
        "kubernetes:///greeter.shop:20880",
        "environment",
    )
    assert await mapped(references=REFERENCES, services=ATTRIBUTE) == (
        "static:///config:1",
        "configuration",
    )
    assert await mapped(services=ATTRIBUTE) == ("kubernetes:///greeter.shop:dubbo", "attribute")
    assert await mapped(services=NAMED) == ("kubernetes:///greet-service-eu-1-0-0", "rule")
    assert await mapped(namespace="shop") == ("kubernetes:///greet-service-eu-1-0-0.shop", "rule")


async def test_the_cluster_is_not_asked_when_a_source_before_it_knows() -> None:
    """An explicit target works without any API server."""
    cluster = Cluster(broken="no kubeconfig")
    await mapped(explicit=CODE, services=cluster)
    await mapped(environ=TARGETS, services=cluster)
    await mapped(references=REFERENCES, services=cluster)
    assert cluster.asked == []


@pytest.mark.parametrize(
    ("table", "target"),
    [
        ("*=static:///all:1", "static:///all:1"),
        ("*=static:///all:1;eu/*=static:///eu:1", "static:///eu:1"),
        ("eu/com.example.*=static:///p:1;eu/*=static:///eu:1", "static:///p:1"),
        (("eu/com.example.GreetService*=static:///any:1\neu/com.example.GreetService:1.0.0="
         "static:///exact:1"), "static:///exact:1"),
        (("eu/com.example.GreetService:1.0.0*=static:///star:1;"
         "eu/com.example.GreetService:1.0.0=static:///exact:1"), "static:///exact:1"),
        (" *  =  static:///a:1 | static:///b:1 \n\n;", "static:///a:1 | static:///b:1"),
    ],
)  # fmt: skip
async def test_longest_match_wins(table: str, target: str) -> None:
    """A key may end in '*'; the longest match wins, an exact one above all."""
    assert await mapped(environ={"KUBBO_TARGETS": table}) == (target, "environment")


@pytest.mark.parametrize(
    "table",
    [
        "com.example.GreetService:1.0.0=static:///x:1",
        "us/*=static:///x:1",
        "GreetService=tri://x:1",
    ],
)
async def test_other_keys_do_not_match(table: str) -> None:
    """Group, package and version are part of the key: none may be left out without a '*'."""
    assert (await mapped(environ={"KUBBO_TARGETS": table}))[1] == "rule"


async def test_demo_variable_ignores_group_and_version() -> None:
    """`GreetService_target` leads every version there, as in 2018; an empty one is not set."""
    for text in ("com.example.GreetService", "us/org.other.GreetService:9"):
        mapping = await map_service_key(ServiceKey.parse(text), environ=SIMPLE)
        assert str(mapping.target) == "kubernetes:///greeter.shop:20880"
    assert (await mapped(environ={"GreetService_target": " "}))[1] == "rule"


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("oops", "'oops'"),
        ("=static:///h:1", "'=static:///h:1'"),
        ("*=static:///h:1;a.B=", "'a.B='"),
        ("a b c=static:///h:1;*=static:///h:2", "'a b c=static:///h:1'"),
        ("a.*.C=static:///h:1;*=static:///h:2", "'a.*.C=static:///h:1'"),
        ("*=static:///h:1;a.B=static:///h:1;a.B=static:///h:2", "'a.B'"),
    ],
)
async def test_a_broken_table_is_an_error_and_not_the_rule(text: str, entry: str) -> None:
    """A mistake in KUBBO_TARGETS is told with its entry and the steps, never passed over in
    silence, also where another entry matches."""
    with pytest.raises(TargetError, match="KUBBO_TARGETS"):
        parse_targets(text)
    with pytest.raises(MappingError, match=re.escape(entry)) as caught:
        await mapped(environ={"KUBBO_TARGETS": text})
    assert caught.value.contradiction
    assert [step.source for step in caught.value.steps] == ["code", "environment"]
    step = caught.value.steps[-1]
    assert step.outcome is Outcome.FAILED
    assert entry in step.found


async def test_a_broken_template_is_an_error_with_its_steps() -> None:
    """The rule cannot be asked; what was asked before it stands in the record."""
    with pytest.raises(MappingError, match="KUBBO_SERVICE_NAME must hold") as caught:
        await mapped(environ={"KUBBO_SERVICE_NAME": "{group}"}, services=Cluster())
    assert caught.value.contradiction
    assert [step.source for step in caught.value.steps[-2:]] == ["attribute", "rule"]
    assert caught.value.steps[-1].outcome is Outcome.FAILED


async def test_a_bad_target_says_where_it_stands() -> None:
    """The error of a wrong target names the entry that holds it, and the steps."""
    with pytest.raises(MappingError, match=r"KUBBO_TARGETS, entry \*.*no scheme") as caught:
        await mapped(environ={"KUBBO_TARGETS": "*=greeter"})
    assert caught.value.steps[-1].outcome is Outcome.FAILED


async def test_two_services_that_claim_a_key_are_an_error_naming_both() -> None:
    """Within one namespace a claim must be single; nobody is chosen in silence."""
    cluster = Cluster(
        [
            ProviderService("shop", "one", str(KEY), provider=True),
            ProviderService("shop", "two", f"a.B, {KEY}", provider=True),
        ]
    )
    with pytest.raises(MappingError, match="one and two in namespace 'shop'"):
        await mapped(services=cluster)


async def test_the_own_namespace_claims_before_others() -> None:
    """Services of two namespaces may claim a key; the one asked first, the own, wins."""
    cluster = Cluster(
        [
            ProviderService("own", "near", str(KEY), provider=True),
            ProviderService("other", "far", str(KEY), provider=True),
        ]
    )
    assert await mapped(services=cluster) == ("kubernetes:///near.own", "attribute")


NEAR = ProviderService("own", "near", str(KEY), provider=True)
FAR = ProviderService("other", "far", str(KEY), provider=True)


async def test_a_refused_namespace_takes_nothing_from_the_own_one() -> None:
    """The own namespace's claim wins as ever, and the record says what could not be read."""
    mapping = await map_service_key(KEY, services=Cluster([NEAR, FAR], refused=["other"]))
    assert str(mapping.target) == "kubernetes:///near.own"
    assert mapping.seen
    assert "namespace 'other' could not be read: answered 403" in mapping.steps[-1].found


async def test_a_claim_beyond_a_refused_namespace_is_no_certainty() -> None:
    """Another namespace's claim is better than the rule's guess, but the own namespace, which
    could not be read, may hold one that goes before it."""
    mapping = await map_service_key(KEY, services=Cluster([NEAR, FAR], refused=["own"]))
    assert str(mapping.target) == "kubernetes:///far.other"
    assert not mapping.seen


async def test_without_a_claim_a_refused_namespace_makes_the_rule_a_guess() -> None:
    """The rule goes on, as without any permission, and says that it is a guess; where it finds
    nothing either, the error does not say that nothing claims the key."""
    mapping = await map_service_key(KEY, services=Cluster(NAMED.services, refused=["other"]))
    assert str(mapping.target) == "kubernetes:///greet-service-eu-1-0-0"
    assert not mapping.seen
    assert mapping.steps[-2].outcome is Outcome.FAILED
    with pytest.raises(MappingError, match="nothing that could be asked says where") as caught:
        await map_service_key(KEY, services=Cluster([FAR], refused=["other"]))
    assert not caught.value.contradiction
    assert "namespace 'other' could not be read: answered 403" in str(caught.value)


async def test_an_annotation_without_the_label_is_no_attribute() -> None:
    """Only labelled Services claim: the label is what can be listed cheaply."""
    cluster = Cluster([ProviderService("shop", "greeter", str(KEY))])
    with pytest.raises(MappingError, match="no such Service") as caught:
        await mapped(services=cluster)
    assert not caught.value.contradiction


async def test_the_rules_service_that_lists_other_keys_is_an_error() -> None:
    """The rule never calls a Service that says it provides something else."""
    cluster = Cluster([ProviderService("shop", "greet-service-eu-1-0-0", "com.example.Other")])
    with pytest.raises(MappingError, match=r"lists only com\.example\.Other") as caught:
        await mapped(services=cluster)
    assert caught.value.contradiction


async def test_the_rules_service_may_give_the_port() -> None:
    """A Service that the rule names and that lists the key wins with the key's own port."""
    cluster = Cluster([ProviderService("shop", "greet-service-eu-1-0-0", f"{KEY}@7000")])
    assert await mapped(services=cluster) == ("kubernetes:///greet-service-eu-1-0-0:7000", "rule")


async def test_without_permission_the_rule_wins_unseen() -> None:
    """A cluster that cannot be asked does not stop the rule, and the record says so."""
    mapping = await map_service_key(KEY, services=Cluster(broken="answered 403"))
    assert str(mapping.target) == "kubernetes:///greet-service-eu-1-0-0"
    assert [s.source for s in mapping.steps if "answered 403" in str(s)] == ["attribute", "rule"]


@dataclass
class Strict(Cluster):
    """A lookup that wants no guess: `ends` is the question that it does not survive."""

    ends: str = "providers"

    async def providers(self) -> Providers:
        if self.ends == "providers":
            raise KubboError("no guess")
        return await super().providers()

    async def service(self, namespace: str, name: str) -> ProviderService | None:
        del namespace, name
        raise KubboError("no guess")


@pytest.mark.parametrize(("ends", "source"), [("providers", "attribute"), ("service", "rule")])
async def test_a_lookup_may_end_the_search(ends: str, source: str) -> None:
    """What is no ServiceLookupError is the end, with the step and the cause, not a guess."""
    with pytest.raises(MappingError, match=r"^no guess") as caught:
        await mapped(services=Strict(ends=ends))
    assert type(caught.value.__cause__) is KubboError
    step = caught.value.steps[-1]
    assert (step.source, step.outcome) == (source, Outcome.FAILED)


async def test_the_error_prints_every_step() -> None:
    """When nothing matches, all five sources are in the message, with what they were asked."""
    with pytest.raises(MappingError) as caught:
        await mapped(environ={"KUBBO_TARGETS": "a.B=static:///h:1"}, services=Cluster())
    text = str(caught.value)
    for part in (
        "code:",
        "KUBBO_TARGETS: nothing found among 1 entries (a.B)",
        "GreetService_target: nothing found",
        "configuration:",
        "kubbo.dev/provider=true",
        "'greet-service-eu-1-0-0'",
    ):
        assert part in text
    assert [step.source for step in caught.value.steps] == [
        "code", "environment", "environment", "configuration", "attribute", "rule",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "provided"),
    [
        ("", {}),
        ("a.B", {"a.B": None}),
        ("a.B@dubbo,\n  g/a.C:1@20880\ta.D ", {"a.B": "dubbo", "g/a.C:1": 20880, "a.D": None}),
        ("a.B a.B", {"a.B": None}),
    ],
)
def test_annotation(annotation: str, provided: Mapping[str, object]) -> None:
    """Keys are separated by white space or commas, each with its port or none."""
    assert parse_provided(annotation) == provided


@pytest.mark.parametrize("annotation", ["a.B@", "a.B@0", "@dubbo", "a.B@x a.B@y", "a.B@A"])
def test_a_broken_annotation_cannot_be_read(annotation: str) -> None:
    """Whoever asks for all that a Service provides is told of the first mistake."""
    with pytest.raises(TargetError):
        parse_provided(annotation)


BROKEN = [f"{KEY}@", f"{KEY}@0", f"{KEY}@x {KEY}@y", f"{KEY} {KEY}@A"]


@pytest.mark.parametrize("annotation", BROKEN)
async def test_a_broken_word_about_the_key_names_its_service(annotation: str) -> None:
    """What a Service says of this very key counts, and cannot be used: the error has the Service,
    the word and the step that found it."""
    cluster = Cluster([ProviderService("shop", "greeter", annotation, provider=True)])
    with pytest.raises(MappingError, match="'greeter' in namespace 'shop'") as caught:
        await mapped(services=cluster)
    assert caught.value.contradiction
    step = caught.value.steps[-1]
    assert (step.source, step.outcome) == ("attribute", Outcome.FAILED)
    assert str(KEY) in step.found


@pytest.mark.parametrize("annotation", BROKEN)
async def test_a_broken_word_of_the_rules_service(annotation: str) -> None:
    """Likewise where the rule leads to the Service, which has no label."""
    cluster = Cluster([ProviderService("shop", "greet-service-eu-1-0-0", annotation)])
    with pytest.raises(MappingError, match="'greet-service-eu-1-0-0' in namespace") as caught:
        await mapped(services=cluster)
    step = caught.value.steps[-1]
    assert (step.source, step.outcome) == ("rule", Outcome.FAILED)
    assert str(KEY) in step.found


@pytest.mark.parametrize("word", ["com.example.Bad@", "@dubbo", "a.B@x,a.B@y", f"{KEY}0@"])
async def test_a_broken_word_about_another_key_is_passed_over(word: str) -> None:
    """Somebody else's mistake, even beside our own key, stops nobody, and is in the record."""
    bad = ProviderService("shop", "bad", word, provider=True)
    beside = ProviderService("shop", "good", f"{word} {KEY}@dubbo", provider=True)
    for services in ([bad, beside], [beside, bad]):
        mapping = await map_service_key(KEY, services=Cluster(services))
        assert str(mapping.target) == "kubernetes:///good.shop:dubbo"
        assert "of good.shop" in mapping.steps[-1].found
    mapping = await map_service_key(KEY, services=Cluster([bad, *NAMED.services]))
    assert mapping.steps[-1].source == "rule"
    assert mapping.seen
    ignored = word.rpartition(",")[2]
    assert f"ignored what cannot be read: {ignored!r} of bad.shop" in mapping.steps[-2].found


async def test_the_own_namespace_claims_before_a_broken_word_of_another() -> None:
    """A claim of the own namespace wins, and what is broken farther away is not looked at."""
    cluster = Cluster(
        [
            ProviderService("own", "near", str(KEY), provider=True),
            ProviderService("other", "far", f"{KEY}@", provider=True),
        ]
    )
    assert await mapped(services=cluster) == ("kubernetes:///near.own", "attribute")


async def test_the_record_of_a_large_annotation_is_short() -> None:
    """Thousands of broken words, and long ones, leave a record that can be read."""
    annotation = " ".join(f"a.B{number}{'x' * 300}@" for number in range(1000))
    cluster = Cluster([ProviderService("shop", "bad", annotation, provider=True), *NAMED.services])
    mapping = await map_service_key(KEY, services=cluster)
    assert len(mapping.steps[-2].found) < 1500
    named = Cluster(
        [ProviderService("shop", "greet-service-eu-1-0-0", annotation.replace("@", ""))]
    )
    with pytest.raises(MappingError, match=r"lists only a\.B0") as caught:
        await mapped(services=named)
    assert len(str(caught.value)) < 3000


async def test_an_empty_annotation_says_so() -> None:
    """The rule's Service that lists no key at all is a contradiction in words of its own."""
    cluster = Cluster([ProviderService("shop", "greet-service-eu-1-0-0", " ")])
    with pytest.raises(MappingError, match=r"kubbo\.dev/services lists no service key; add"):
        await mapped(services=cluster)
