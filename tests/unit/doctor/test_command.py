"""`kubbo doctor`: its output, exit codes and mistakes."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from tests.cluster.doctor.score import VECTORS

from kubbo.cli.app import kubbo


def run(*arguments):
    """Run the command in this process, without any credentials."""
    environment = {"KUBECONFIG": "", "HOME": "/nonexistent", "KUBERNETES_SERVICE_HOST": ""}
    return CliRunner().invoke(kubbo, ["doctor", *arguments], env=environment)


@pytest.mark.parametrize(
    ("name", "code", "verdict"),
    [
        ("healthy.target", 0, "healthy"),
        ("image-pull.not-found", 1, "broken"),
        ("unknown.starting", 3, "unknown"),
    ],
)
def test_the_verdict_and_its_exit_code(name, code, verdict):
    """A script branches on the code, a program reads the JSON."""
    shown = run("--bundle", str(VECTORS / f"{name}.json"), "-o", "json")
    assert (shown.exit_code, shown.stderr) == (code, "")
    found = json.loads(shown.stdout)
    assert found["verdict"] == verdict
    assert set(found) == {"verdict", "causes", "notes"}
    assert bool(found["causes"]) == (verdict == "broken")
    for cause in found["causes"]:
        assert set(cause) == {"id", "object", "summary", "evidence", "remedy"}


def test_as_text_a_cause_is_told_with_evidence_and_remedy():
    """What a person reads."""
    shown = run("--bundle", str(VECTORS / "image-pull.not-found.json"))
    assert shown.stdout.startswith("greeter: broken\n\n1. image-pull  Pod/greeter-")
    assert "   - container provider: ImagePullBackOff" in shown.stdout
    assert "   mend: push that image and tag" in shown.stdout


def test_unknown_says_that_the_evidence_is_not_enough():
    """No cause and no health are claimed."""
    shown = run("--bundle", str(VECTORS / "unknown.starting.json"))
    assert shown.stdout.startswith("greeter: unknown\nnote: not enough evidence: ")


def test_a_bundle_can_be_saved_again(tmp_path):
    """`--save` of a bundle gives the same verdict."""
    again = tmp_path / "again.json"
    first = run("--bundle", str(VECTORS / "oom-killed.loop.json"), "--save", str(again))
    assert run("--bundle", str(again)).stdout == first.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bundle", "/nonexistent"], "cannot read /nonexistent"),
        (["greeter", "--bundle", "x"], "give --bundle alone"),
        (["Greeter"], "did you mean 'greeter'?"),
        (["kubernetes:///Greeter"], "greeter"),
        (["dns:///a:1 | dns:///b:1"], "ask about one of them"),
    ],
)
def test_a_mistake_is_told_in_one_paragraph(arguments, said):
    """Exit code 2, and no stack."""
    shown = run(*arguments)
    assert shown.exit_code == 2
    assert said in shown.stderr
    assert "Traceback" not in shown.stderr
