"""examples/Dockerfile says nothing that the project does not have; no engine is needed for that."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import click
from click.testing import CliRunner

from kubbo.cli.app import kubbo
from kubbo.cli.loading import read_interfaces
from kubbo.cli.serve import serve
from kubbo.image.interpreter import APPLICATION, PATH, VENV
from kubbo.manifests.workload import USER

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
TEXT = (EXAMPLES / "Dockerfile").read_text(encoding="utf-8")
with (ROOT / "pyproject.toml").open("rb") as file:
    PROJECT = tomllib.load(file)


def stages():
    """The instructions, by stage: pairs of the word and the rest."""
    found = []
    for line in TEXT.splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def of(stage, word):
    """The arguments of all instructions of a kind."""
    return [shlex.split(rest) for each, rest in stage if each == word]


def test_only_the_second_stage_runs_and_both_have_the_same_python():
    """A virtual environment is of one Python, and one that Kubbo runs with."""
    build, run = stages()
    ((image, word, name),) = of(build, "FROM")
    assert (word, name) == ("AS", "build")
    assert of(run, "FROM") == [[image]]
    assert (
        f"Programming Language :: Python :: {image.removeprefix('python:').removesuffix('-slim')}"
        in (PROJECT["project"]["classifiers"])
    )
    (taken,) = [each for each in of(run, "COPY") if each[0].startswith("--from=")]
    assert taken == [f"--from={name}", VENV, VENV]
    assert {word for word, _ in run} <= {
        *("FROM", "COPY", "ENV", "WORKDIR", "USER", "EXPOSE", "ENTRYPOINT")
    }


def test_what_is_copied_is_there_and_is_enough_to_install():
    """The build backend reads the readme, the licences and the package."""
    copied = [
        source
        for stage in stages()
        for arguments in of(stage, "COPY")
        if not arguments[0].startswith("--")
        for source in arguments[:-1]
    ]
    for source in copied:
        assert (ROOT / source).exists(), source
    project = PROJECT["project"]
    needed = ["pyproject.toml", project["readme"], *project["license-files"]]
    needed += PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for path in needed:
        assert any(Path(path).is_relative_to(source) for source in copied), path
    build, _ = stages()
    assert [each[-1] for each in of(build, "COPY")] == ["/src/", "/src/src"]
    assert of(build, "RUN")[-1][0] == f"{VENV}/bin/pip"
    assert of(build, "RUN")[-1][-1] == "/src"


async def test_it_runs_what_kubbo_image_would_run(monkeypatch):
    """The same user, place and variables; the object is there and can be served, with options
    that `kubbo serve` has.
    """
    _, run = stages()
    assert of(run, "USER") == [[f"{USER}:{USER}"]]
    assert of(run, "WORKDIR") == [[APPLICATION]]
    assert of(run, "ENV") == [[f"PATH={PATH}", "PYTHONUNBUFFERED=1"]]
    ((source, target),) = [each for each in of(run, "COPY") if not each[0].startswith("--")]
    (entry,) = [json.loads(rest) for word, rest in run if word == "ENTRYPOINT"]
    program, command, what, *options = entry
    assert program in PROJECT["project"]["scripts"]
    assert kubbo.get_command(click.Context(kubbo), command) is serve
    package = what.partition(".")[0]
    assert target == f"{APPLICATION}/{package}"
    assert Path(source).name == package
    monkeypatch.syspath_prepend(str((ROOT / source).parent))
    module, _, name = what.partition(":")
    found = getattr(__import__(module, fromlist=[name]), name)
    (interface,) = await read_interfaces(found, what)
    assert str(interface.key) == "com.example.GreetService:1.0.0"
    parsed = serve.make_context("serve", [what, *options]).params
    assert of(run, "EXPOSE") == [[str(parsed["port"])]]


def test_the_command_to_build_it_is_on_the_page():
    """And is the one that the file itself has."""
    (command,) = re.findall(r"^#   (docker build .*)$", TEXT, re.MULTILINE)
    assert command in (ROOT / "docs" / "image.md").read_text(encoding="utf-8")
    assert command.endswith(" -f examples/Dockerfile .")


def test_the_help_has_examples():
    """A person copies a line and changes it."""
    shown = CliRunner().invoke(kubbo, ["image", "--help"]).stdout
    assert "kubbo image greeter:Greeter -t " in shown.partition("Examples:")[2]
