"""What a configuration may say, what it means, and how it complains."""

from __future__ import annotations

import re

import pytest

from kubbo.config.configuration import EMPTY, MAX_FILES, digest, read_configuration
from kubbo.config.document import MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, ConfigurationError
from kubbo.config.layers import Layer, Level, merge, stack
from kubbo.config.options import Options
from kubbo.config.overrides import Subject
from kubbo.config.settings import SETTINGS

GREETER = "com.example.GreetService:1.0.0"
ANYBODY = Subject()


def read(text: str, name: str = "kubbo.yaml"):
    """A configuration of one file."""
    return read_configuration({name: text.encode()})


def complaints(text: str | bytes, name: str = "kubbo.yaml") -> list[str]:
    """What is wrong with a file."""
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ConfigurationError) as raised:
        read_configuration({name: data})
    return [str(issue) for issue in raised.value.issues if issue.fatal]


def options(configuration, service: str = GREETER, method: str = "", subject: Subject = ANYBODY):
    """What the configuration alone makes of a call."""
    return merge(stack(*configuration.layers(service, method, subject)))


# ------------------------------------------------------------------------------- layers


def test_method_over_interface_over_application_over_defaults():
    """Each level is asked only where the one above it says nothing."""
    configuration = read(
        f"""
        consumer: {{timeout: 100, retries: 1, cluster: failfast}}
        references:
          {GREETER}: {{timeout: 200, retries: 3, methods: {{greet: {{timeout: 300}}}}}}
        """
    )
    greet = options(configuration, method="greet")
    assert (greet.timeout, greet.retries, greet.cluster) == (0.3, 3, "failfast")
    assert options(configuration, method="other").timeout == 0.2
    assert options(configuration, "com.example.Other").timeout == 0.1
    assert options(EMPTY).timeout == 1.0
    assert options(EMPTY).retries == 2


def test_a_consumer_over_a_provider_at_the_same_level_only():
    """As in Dubbo: what a provider says of a method beats what a consumer says of the interface."""
    configuration = read(
        f"""
        references: {{{GREETER}: {{timeout: 200, methods: {{a: {{timeout: 1}}}}}}}}
        services: {{{GREETER}: {{timeout: 500, retries: 5, methods: {{a: {{timeout: 2}},
          greet: {{timeout: 50}}}}}}}}
        provider: {{timeout: 900, retries: 9, actives: 7}}
        consumer: {{actives: 8}}
        """
    )
    assert options(configuration, method="greet").timeout == 0.05
    assert options(configuration, method="a").timeout == 0.001
    assert options(configuration, method="b").timeout == 0.2
    assert options(configuration).retries == 5
    assert options(configuration).actives == 8


def test_live_over_code_at_the_same_level_and_a_call_over_all():
    """Code of a more special level still wins over a live setting of a less special one."""
    live = read(f"consumer: {{retries: 7}}\nreferences: {{{GREETER}: {{timeout: 500}}}}")
    provider = read(f"services: {{{GREETER}: {{timeout: 600, actives: 3}}}}")
    refer = Layer(Level.INTERFACE, "refer(...)", Options(timeout=2.0, retries=1))
    call = Layer(Level.CALL, "options(...)", Options(timeout=9.0))

    def chosen(configuration, *code: Layer) -> Options:
        return merge(stack(*configuration.layers(GREETER, "greet", ANYBODY), *code))

    assert chosen(live, refer).timeout == 0.5
    assert chosen(live, refer).retries == 1
    assert chosen(live, refer, call).timeout == 9.0
    assert chosen(provider, refer).timeout == 2.0
    assert chosen(provider, refer).actives == 3


def test_the_longer_pattern_wins_and_the_key_itself_above_all():
    """Every entry that matches is a layer."""
    configuration = read(
        f"""
        references:
          com.example.*: {{timeout: 100, retries: 1, actives: 1}}
          {GREETER}: {{timeout: 300}}
          com.example.Greet*: {{timeout: 200, retries: 2}}
          "*": {{cluster: failfast}}
        """
    )
    found = options(configuration)
    assert (found.timeout, found.retries, found.actives, found.cluster) == (0.3, 2, 1, "failfast")
    assert options(configuration, "com.example.GreetService").timeout == 0.2


def test_targets_are_for_the_mapping():
    """A text is a target; a map may have one beside settings."""
    configuration = read(
        """
        references:
          com.example.A: kubernetes:///a.shop
          com.example.B: {target: "static:///10.0.0.1:20880", timeout: 5}
          com.example.C: {timeout: 5}
        """
    )
    assert configuration.targets() == {
        "com.example.A": "kubernetes:///a.shop",
        "com.example.B": "static:///10.0.0.1:20880",
    }


# ------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500", 0.5), ('"500"', 0.5), ("500ms", 0.5), ("0.5s", 0.5), ("2 m", 120.0), ("1h", 3600.0)],
)
def test_durations_are_milliseconds_unless_they_say_otherwise(text: str, seconds: float):
    """Dubbo's whole numbers, quoted or not, and units for people."""
    assert options(read(f"consumer: {{timeout: {text}}}")).timeout == seconds


@pytest.mark.parametrize(
    "text", ["0", "-5", "1.5", "86400001", "soon", "5 weeks", "", "~", "[1]", "{a: 1}", "1e3"]
)
def test_what_is_no_duration_is_refused(text: str):
    """Nothing is guessed."""
    [complaint] = complaints(f"consumer:\n  timeout: {text}\n")
    assert complaint.startswith("kubbo.yaml:2:")
    assert ": consumer.timeout: " in complaint


def test_every_default_of_the_table_is_a_value_of_its_row():
    """And each row of numbers refuses what is beyond its range."""
    for row in SETTINGS.values():
        assert row.default, row.key
        row.read(row.default)
        if row.range:
            with pytest.raises(ValueError, match=r"is not between|is no"):
                row.read(str(int(row.high) + 1))


def test_parameters_of_policies_and_balancers_are_options_too():
    """By Dubbo's keys; durations among them become seconds."""
    found = options(read('consumer: {hash.arguments: "0,1", hash.nodes: 320, hedge.delay: 50}'))
    assert dict(found.parameters) == {
        "hash.arguments": "0,1",
        "hash.nodes": 320,
        "hedge.delay": 0.05,
    }


def test_javas_forms_are_read():
    """Everything below dubbo:, methods as a list, numbers as texts, keys that mean nothing here."""
    configuration = read(
        f"""
        dubbo:
          application: {{name: shop}}
          registry: {{address: "zookeeper://zk:2181"}}
          consumer: {{timeout: "3000", check: false}}
          references:
            {GREETER}:
              methods:
              - {{name: greet, retries: "0", sticky: true}}
        """
    )
    assert options(configuration).timeout == 3.0
    assert options(configuration, method="greet").retries == 0
    assert [issue.path for issue in configuration.warnings] == [
        "dubbo.application",
        "dubbo.registry",
        "dubbo.consumer.check",
        f"dubbo.references.{GREETER}.methods[0].sticky",
    ]


def test_a_file_may_hold_several_documents_and_a_configuration_several_files():
    """They are one configuration; what is set twice is a mistake that names both places."""
    configuration = read_configuration(
        {
            "a.yaml": b"consumer: {timeout: 5}\n---\nreferences: {com.example.A: 'static:///h:1'}\n",
            "b.yaml": b"consumer: {retries: 1}\n---\n---\n# nothing\n",
        }
    )
    assert options(configuration).timeout == 0.005
    assert options(configuration).retries == 1
    with pytest.raises(ConfigurationError) as raised:
        read_configuration({"a": b"consumer: {timeout: 5}", "b": b"consumer: {timeout: 5}"})
    assert (
        str(raised.value) == "b:1:12: consumer.timeout: consumer.timeout is set already, at a:1:12"
    )


# --------------------------------------------------------------------------- complaints


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "consumer:\n  timout: 5\n",
            "2:3: consumer.timout: there is no setting 'timout', did you mean 'timeout'?",
        ),
        (
            "consumers: {}",
            "1:1: consumers: there is no section 'consumers', did you mean 'consumer'?",
        ),
        (
            "consumer: {loadbalance: leastactiv}",
            "1:25: consumer.loadbalance: 'leastactiv' is no loadbalance, did you mean 'leastact",
        ),
        (
            f"references: {{{GREETER}: {{metods: {{}}}}}}",
            f"1:47: references.{GREETER}.metods: there is no setting 'metods', did you mean 'meth",
        ),
        ("references: {a b: x}", "1:14: references.a b: 'a b' is no service key; write"),
        ("consumer: 5", "1:11: consumer: a map of settings is expected here"),
        ("dubbo: {}\nconsumer: {}", "2:1: consumer: beside dubbo: nothing else is read"),
        ("overrides: {}", "1:12: overrides: a list of rules is expected here"),
        ("rules: [{configs: []}]", "1:9: rules[0]: this belongs below overrides"),
        ("type: script\nscript: x", "1:1: script rules are not run"),
        ("- 1", "1:1: a map is expected here"),
        ("a: b: c", "1:5: this is no YAML: mapping values are not allowed in this context"),
        ("consumer: {a: 1, a: 2}", "1:18: 'a' is there twice, see 1"),
    ],
)
def test_a_complaint_names_line_and_column_and_what_to_write(text: str, complaint: str):
    """`FILE:LINE:COLUMN: PATH: MESSAGE`."""
    assert complaints(text)[0].startswith(f"kubbo.yaml:{complaint}")


def test_every_mistake_is_told_at_once():
    """A file is corrected in one go; the message shows the first few, the error has them all."""
    text = "consumer:\n" + "".join(f"  x{number}: 1\n" for number in range(20))
    assert len(complaints(text)) == 20
    with pytest.raises(ConfigurationError, match=r"; and 15 more$"):
        read(text)


# ------------------------------------------------------------------------- hostile input

BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + number)}: &{chr(98 + number)} [*{chr(97 + number)}, *{chr(97 + number)}]\n"
    for number in range(20)
)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (BOMB.encode(), "aliases are not read"),
        (b"a: &a [*a]", "aliases are not read"),
        (b"!!python/object/apply:os.system ['true']", "tags are not read"),
        (b"a: !!binary AAAA", "tags are not read"),
        (b"[" * 100_000, f"nested more than {MAX_DEPTH} deep"),
        (b"a:\n" + b"".join(b" " * n + b"- \n" for n in range(1, 200)), "nested more than|no YAML"),
        (b"a: [" + b"x," * (MAX_NODES + 10) + b"]", f"more than {MAX_NODES} values"),
        (b"x" * (MAX_FILE_BYTES + 1), f"more than {MAX_FILE_BYTES} bytes"),
        (b"a: '\x00'", "no YAML"),
        (b"consumer: {timeout: \xff}", "1:1: this is no UTF-8"),
        (b"{? [a] : b}", "a key is a text"),
        (b"consumer: {timeout: 99999999999999999999999}", "is no duration"),
        (b"consumer: {retries: " + b"9" * 5000 + b"}", "is no whole number"),
        (b"%YAML 9.9\n---\na: 1", "no YAML"),
        (b'a: "\\ud800"', "no section|no YAML"),
    ],
)
def test_hostile_text_costs_little_and_is_refused(data: bytes, complaint: str):
    """Bombs, code, depth, size and broken text end in a complaint, never in an exception."""
    assert re.search(complaint, complaints(data)[0])


def test_a_configuration_is_bounded_as_a_whole():
    """In files and in bytes."""
    with pytest.raises(ConfigurationError, match=f"more than {MAX_FILES} files"):
        read_configuration({f"{number}.yaml": b"" for number in range(MAX_FILES + 1)})
    with pytest.raises(ConfigurationError, match="bytes"):
        read_configuration({f"{number}": b"#" * MAX_FILE_BYTES for number in range(5)})


def test_the_digest_is_of_names_and_contents():
    """Moving bytes from one file to another is a change."""
    assert digest({"a": b"1", "b": b"2"}) == digest({"b": b"2", "a": b"1"})
    assert len({digest({}), digest({"a": b""}), digest({"a": b"b"}), digest({"ab": b""})}) == 4


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_either_parser_of_yaml_gives_the_same(loader: str, monkeypatch: pytest.MonkeyPatch):
    """With and without libyaml: the same values, the same places."""
    import yaml

    monkeypatch.setattr(yaml, "CSafeLoader", getattr(yaml, loader))
    configuration = read(
        "rules:\n- {key: a, conditions: [x, 'null', ~, 1, 1.5, true, '1', null]}\n"
    )
    [rule] = configuration.rules
    assert rule.document["conditions"] == ["x", "null", None, 1, 1.5, True, "1", None]
    assert str(rule.place) == "kubbo.yaml:2:3"
