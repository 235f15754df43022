"""`kubbo map`: the steps to a target, and how it ends."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from kubbo.cli.app import kubbo

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
