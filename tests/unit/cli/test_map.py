"""`kubbo map`: the steps to a target, and how it ends."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner

from kubbo.cli.app import kubbo
from kubbo.sim.apiserver import Answer, ApiServer, Hang

KEY = "com.example.GreetService"


def run(*arguments, **environment):
    """Run the command in this process, without any credentials."""
    environment = {"KUBECONFIG": "", "HOME": "/nonexistent"} | environment
    return CliRunner().invoke(kubbo, ["map", *arguments], env=environment, catch_exceptions=False)


@pytest.mark.parametrize(
    ("environment", "source", "names"),
    [
        ({"KUBBO_TARGETS": "oops;*=static:///h:1"}, "environment", "'oops' in KUBBO_TARGETS"),
        ({"KUBBO_TARGETS": "a.B=static:///h:1\na.B=static:///h:2"}, "environment", "'a.B' two"),
        ({"KUBBO_SERVICE_NAME": "greeter"}, "rule", "'greeter' of KUBBO_SERVICE_NAME"),
    ],
)
def test_a_broken_environment_is_shown_with_the_steps(environment, source, names):
    """In both outputs: the step that failed, and the mistake by its name; it ends with 2."""
    text = run(KEY, **environment)
    assert text.exit_code == 2
    assert text.stdout.startswith(f"{KEY}: no target\n")
    assert text.stdout.splitlines()[-1].split()[:2] == ["failed", source]
    assert names in text.stderr
    assert text.stderr.count("\n") == 1
    shown = run(KEY, "-o", "json", **environment)
    assert (shown.exit_code, shown.stderr) == (2, "")
    answer = json.loads(shown.stdout)
    assert answer["target"] is None
    assert names in answer["reason"]
    assert answer["steps"][-1]["source"] == source
    assert answer["steps"][-1]["outcome"] == "failed"


@pytest.mark.parametrize("named", [["--kubeconfig", "/nonexistent"], ["--context", "nope"]])
def test_what_was_named_and_cannot_be_used_is_no_guess(named):
    """Credentials of the command line that do not exist end it with 2, and with the steps; where
    none were named, or nothing asks for them, it is as without a cluster."""
    text = run(KEY, *named)
    assert text.exit_code == 2
    assert text.stdout.startswith(f"{KEY}: no target\n")
    assert "kubeconfig" in text.stderr
    shown = run(KEY, *named, "-o", "json")
    answer = json.loads(shown.stdout)
    assert (shown.exit_code, answer["target"], answer["seen"]) == (2, None, None)
    assert f"kubbo: {answer['reason']}\n" == text.stderr
    assert answer["steps"][-1]["outcome"] == "failed"
    assert run(KEY, *named, "--target", "static:///h:1").exit_code == 0


def test_a_certificate_that_is_not_there(tmp_path):
    """A kubeconfig that was named and can be read, but not used, is no guess either."""
    config = tmp_path / "config"
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority": "/nonexistent/ca.crt"}
    content = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": cluster}],
        "users": [{"name": "a", "user": {"token": "t"}}],
    }
    config.write_text(json.dumps(content), encoding="utf-8")
    ended = run(KEY, "--kubeconfig", str(config))
    assert ended.exit_code == 2
    assert "/nonexistent/ca.crt" in ended.stderr
    assert run(KEY, KUBECONFIG=str(config)).exit_code == 0


def test_a_guess_is_marked():
    """Without a cluster the rule wins unseen: JSON says so, and text on stderr."""
    shown = run(KEY, "-o", "json")
    answer = json.loads(shown.stdout)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert (answer["target"], answer["seen"]) == ("kubernetes:///greet-service", False)
    assert run(KEY).stderr.startswith("kubbo: this is a guess: ")
    certain = run(KEY, "--target", "static:///h:1", "-o", "json")
    assert json.loads(certain.stdout)["seen"] is True
    assert run(KEY, "--target", "static:///h:1").stderr == ""


@pytest.mark.parametrize("name", ["Bad Name", "../../x", "shop/", "-", "\udcff"])
def test_a_namespace_that_cannot_be_is_a_mistake(name):
    """Nothing is looked for in it, and nothing printed that could be taken for a target."""
    ended = run(KEY, "-n", name, "-o", "json")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("kubbo: ")
    assert "cannot be the name of a namespace" in ended.stderr


@pytest.fixture
async def server():
    async with ApiServer() as server:
        server.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        yield server


@pytest.fixture
def kubeconfig(server, tmp_path):
    return str(server.kubeconfig(tmp_path / "config", namespace="shop"))


async def ask(server, kubeconfig, *arguments, **environment):
    """Run the command beside the server."""
    return await asyncio.to_thread(run, KEY, "--kubeconfig", kubeconfig, *arguments, **environment)


async def test_silence_ends_with_4(server, kubeconfig):
    """A cluster that says nothing within the timeout is no guess: the steps so far are shown, and
    what to do."""
    server.faults.add(Hang(), times=None)
    text = await ask(server, kubeconfig, "--timeout", "0.5")
    assert text.exit_code == 4
    assert text.stdout.startswith(f"{KEY}: no target\n")
    assert text.stdout.splitlines()[-1].split()[:2] == ["failed", "attribute"]
    assert text.stderr.startswith("kubbo: no answer within 0.5 s; give it longer with --timeout")
    shown = await ask(server, kubeconfig, "--timeout", "0.5", "-o", "json")
    answer = json.loads(shown.stdout)
    assert (shown.exit_code, answer["target"], answer["seen"]) == (4, None, None)
    assert answer["reason"].startswith("no answer within 0.5 s")


async def test_a_silent_configuration_ends_with_4(server, kubeconfig):
    """Its ConfigMap is asked for before any step, within the same time."""
    server.faults.add(Hang(), times=None)
    source = "configmap:///kubbo.shop"
    ended = await ask(server, kubeconfig, "--timeout", "0.5", "-o", "json", KUBBO_CONFIG=source)
    assert ended.exit_code == 4
    answer = json.loads(ended.stdout)
    assert (answer["target"], answer["steps"]) == (None, [])
    assert answer["reason"].startswith("no answer within 0.5 s")


async def test_a_cluster_that_refuses_leaves_a_guess(server, kubeconfig):
    """Who may not ask about Services is a consumer like others: it goes by the rule."""
    server.faults.add(Answer(403), times=None)
    shown = await ask(server, kubeconfig, "-o", "json")
    answer = json.loads(shown.stdout)
    assert (shown.exit_code, answer["seen"]) == (0, False)


async def test_what_was_seen_is_certain(server, kubeconfig):
    """A Service by the rule that was looked at, and a key that nobody has."""
    metadata = {"name": "greet-service", "namespace": "shop"}
    lost = await ask(server, kubeconfig, "-o", "json")
    assert (lost.exit_code, json.loads(lost.stdout)["seen"]) == (3, None)
    ports = [{"port": 80}]
    server.store.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}
    )
    found = await ask(server, kubeconfig, "-o", "json")
    assert (found.exit_code, json.loads(found.stdout)["seen"]) == (0, True)
