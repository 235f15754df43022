"""What options that several commands share refuse."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from kubbo.cli.app import kubbo


def _numbers(command):
    """The options of a command, and of those below it, that are a number of a range."""
    context = click.Context(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _numbers(command.get_command(context, name))
    for option in command.params:
        if isinstance(option.type, click.FloatRange):
            yield option


def test_what_is_no_number_is_in_no_range():
    """Python finds NaN within every range; every option of every command refuses it."""
    options = list(_numbers(kubbo))
    assert len(options) >= 10
    for option in options:
        for text in ("nan", "-nan", "inf", "-inf"):
            with pytest.raises(click.BadParameter):
                option.type.convert(text, option, None)
        assert option.type.convert("2", option, None) == 2.0


@pytest.mark.parametrize("namespace", ["Bad Name", "../../x", "x" * 64, "a.b", "-a", "a\x1b[2J"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["endpoints", "static:///127.0.0.1:1"],
        ["endpoints", "kubernetes:///a"],
        ["route", "com.example.A", "m", "--target", "static:///127.0.0.1:1"],
        ["map", "com.example.A"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_what_no_namespace_can_be_called_is_refused(arguments, namespace):
    """Before anybody is asked, with 2 and one sentence."""
    ended = CliRunner().invoke(kubbo, [*arguments, f"--namespace={namespace}"])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("kubbo: ")
    assert "cannot be the name of a namespace" in ended.stderr
    assert "\x1b" not in ended.stderr
