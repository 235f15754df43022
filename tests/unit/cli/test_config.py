"""`kubbo config`: what it explains, what it complains of, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from kubbo.cli.app import kubbo
from kubbo.config.schema import make_schema

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "config"


def run(*arguments, **environment):
    """Run the command in this process."""
    env = {"KUBECONFIG": "", "HOME": "/nonexistent", "KUBBO_CONFIG": "", **environment}
    return CliRunner().invoke(kubbo, ["config", *map(str, arguments)], env=env)


def explained(key, text, tmp_path, *arguments):
    """The JSON of an explanation."""
    path = tmp_path / "kubbo.yaml"
    path.write_text(text, encoding="utf-8")
    shown = run("explain", key, "--config", path, "-o", "json", *arguments)
    assert shown.exit_code == 0, shown.stderr
    return json.loads(shown.stdout)


def test_each_layer_is_named_and_one_wins(tmp_path):
    """Level, origin, value in Dubbo's unit, place; the default last."""
    text = "consumer: {timeout: 1s}\nreferences: {com.example.Greet*: {methods: {a: {timeout: 5}}}}"
    found = explained("timeout@com.example.GreetService.a", text, tmp_path)
    assert found["value"] == 5
    assert (found["service"], found["method"]) == ("com.example.GreetService", "a")
    assert [(each["level"], each["value"], each["won"]) for each in found["layers"]] == [
        ("method", 5, True),
        ("application", 1000, False),
        ("default", 1000, False),
    ]
    assert found["layers"][0]["place"] == f"{tmp_path}/kubbo.yaml:2:49"


def test_the_environment_and_the_application(tmp_path):
    """KUBBO_CONFIG is read; a rule of an application needs to know which it is."""
    path = tmp_path / "rule.yaml"
    path.write_text(
        "scope: application\nkey: web\nconfigs: [{side: consumer, parameters: {retries: 7}}]\n"
    )
    key = "retries@com.example.GreetService"
    shown = run("explain", key, "--application", "web", KUBBO_CONFIG=str(path))
    assert shown.stdout.startswith("retries of com.example.GreetService: 7\n")
    assert run("explain", key, KUBBO_CONFIG=str(path)).stdout.startswith(
        f"{key[:7]} of {key[8:]}: 2"
    )


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("timout@com.example.A", "did you mean 'timeout'?"),
        ("timeout@a b", "is no service key"),
        ("timeout@com.example.A#a b", "is no name of a method"),
        ("weight@com.example.A", "for a single provider"),
        ("weight@com.example.A@nowhere", "is no address"),
        ("timeout@com.example.A@10.0.0.1:20880", "the same for all providers"),
        ("", "there is no setting ''"),
    ],
)
def test_questions_that_make_no_sense(key, complaint, tmp_path):
    """The exit code of a mistake in the command, and what to write."""
    path = tmp_path / "kubbo.yaml"
    path.write_text("")
    shown = run("explain", key, "--config", path)
    assert shown.exit_code == 2
    assert complaint in shown.stderr


def test_without_a_configuration_it_says_so():
    """Nothing is explained out of nothing."""
    shown = run("explain", "timeout")
    assert shown.exit_code == 2
    assert "KUBBO_CONFIG" in shown.stderr


def test_lint_reads_the_example():
    """What we ship can be used; what is broken is told line by line, each with its place."""
    assert run("lint", EXAMPLE / "kubbo.yaml").output == ""
    shown = run("lint", EXAMPLE / "broken.yaml", "-o", "json")
    assert shown.exit_code == 2
    issues = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(each["line"], each["column"]) for each in issues] == [(2, 3), (5, 18), (6, 14)]
    assert {each["severity"] for each in issues} == {"error"}


def test_lint_knows_targets_rules_and_mocks(tmp_path):
    """What only other layers understand is checked, too."""
    path = tmp_path / "kubbo.yaml"
    path.write_text(
        "references:\n  com.example.A: nope:///x\n  com.example.B: {mock: 'return {'}\n"
        "rules:\n- {key: com.example.A, conditions: ['a=>b=>c=']}\n"
    )
    shown = run("lint", path)
    assert shown.exit_code == 2
    assert [line.split(":")[1] for line in shown.stdout.splitlines()] == ["2", "3", "5"]


def test_warnings_fail_only_if_that_is_asked_for(tmp_path):
    """Java's keys that mean nothing here."""
    path = tmp_path / "kubbo.yaml"
    path.write_text("consumer: {check: false}")
    assert run("lint", path).exit_code == 0
    shown = run("lint", path, "--strict")
    assert (shown.exit_code, shown.stdout.count(": warning: ")) == (2, 1)


def test_lint_takes_directories_and_says_what_it_cannot_read(tmp_path):
    """A directory is one configuration; a path without any is told."""
    (tmp_path / "a.yaml").write_text("consumer: {timeout: 5}")
    (tmp_path / "b.yaml").write_text("consumer: {timeout: 6}")
    shown = run("lint", tmp_path)
    assert "consumer.timeout is set already" in shown.stdout
    assert run("lint", tmp_path / "missing").exit_code == 2


def test_what_a_file_holds_cannot_steer_the_terminal(tmp_path):
    """Escapes in a key are written out."""
    path = tmp_path / "kubbo.yaml"
    path.write_text('"\\e[31m": 1')
    shown = run("lint", path)
    assert shown.exit_code == 2
    assert "\x1b" not in shown.output


def test_the_schema_in_the_docs_is_that_of_the_code():
    """`kubbo config schema > docs/configuration.schema.json` writes it."""
    printed = json.loads(run("schema").stdout)
    assert printed == make_schema()
    written = ROOT / "docs" / "configuration.schema.json"
    assert json.loads(written.read_text(encoding="utf-8")) == printed


def test_the_schema_takes_the_example():
    """Its properties are those that the reader knows, for what the example uses."""
    schema = make_schema()["oneOf"][0]["properties"]
    settings, _ = yaml.safe_load_all((EXAMPLE / "kubbo.yaml").read_text(encoding="utf-8"))
    assert set(settings) <= set(schema)
    assert set(settings["consumer"]) <= set(schema["consumer"]["properties"])


def test_map_reads_the_references():
    """What KUBBO_CONFIG says is the third step on the way."""
    env = {"KUBECONFIG": "", "HOME": "/nonexistent", "KUBBO_CONFIG": str(EXAMPLE / "kubbo.yaml")}
    shown = CliRunner().invoke(kubbo, ["map", "com.example.GreetService:1.0.0"], env=env)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.startswith(
        "com.example.GreetService:1.0.0: kubernetes:///greeter.shop:dubbo"
    )
    assert "configuration  references, entry com.example.GreetService:1.0.0" in shown.stdout


def test_rbac_for_a_configuration():
    """One Role for that one ConfigMap; a file needs none."""
    env = {"KUBECONFIG": "", "HOME": "/nonexistent"}
    arguments = ["rbac", "static:///10.0.0.1:1", "-n", "web", "--config"]
    shown = CliRunner().invoke(kubbo, [*arguments, "configmap:///kubbo.shop"], env=env)
    role, binding = yaml.safe_load_all(shown.stdout)
    assert role["metadata"] == {
        "name": "kubbo-config:web:default:kubbo",
        "namespace": "shop",
    }
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": ["kubbo"],
            "verbs": ["list", "watch"],
        }
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"][0]["namespace"] == "web"
    for source, complaint in (("/etc/kubbo", "needs no permission"), ("configmap:///", "names no")):
        shown = CliRunner().invoke(kubbo, [*arguments, source], env=env)
        assert complaint in shown.output
