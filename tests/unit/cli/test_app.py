"""The command `kubbo`: help, version, and what a command that fails leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from kubbo.cli.app import kubbo
from kubbo.cli.output import render_json, table
from kubbo.wire import codec_name

# Nobody is called in these tests; if one were, nothing would leave this machine.
STATIC = "static:///127.0.0.1:1,[::1]:2"


def run(*arguments, **environment):
    """Run the command in this process."""
    return CliRunner().invoke(kubbo, arguments, env=environment, catch_exceptions=False)


def test_help_lists_the_commands_and_the_exit_codes():
    """One screen tells what there is."""
    shown = run("--help")
    assert shown.exit_code == 0
    for word in ("call", "endpoints", "serve", "map", "rbac", "demo", "3  no provider"):
        assert word in shown.stdout


@pytest.mark.parametrize("command", ["call", "endpoints", "serve", "map", "manifests", "rbac"])
def test_each_command_has_examples(command):
    """A person copies a line and changes it."""
    shown = run(command, "--help")
    assert shown.exit_code == 0
    assert f"kubbo {command} " in shown.stdout.partition("Example")[2]


def test_version_names_the_codec():
    """Which of the two codecs runs is part of a bug report."""
    shown = run("--version")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("kubbo 0.")
    assert shown.stdout.endswith(f" (codec: {codec_name()})\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["call"],
        ["call", STATIC, "com.example.A"],
        ["endpoints", STATIC, "-o", "yaml"],
        ["endpoints", STATIC, "--timeout", "0"],
        ["call", "kubernetes:///a", "com.example.A", "m", "--kubeconfig", "/nowhere/config"],
        ["endpoints", "greeter.shop"],
        ["endpoints", "static:///a b:1"],
        ["call", "greeter", "com.example.A", "m"],
        ["call", STATIC, "com example", "m"],
        ["call", STATIC, "com.example.A", "m", "Ann"],
        ["call", STATIC, "com.example.A", "m", "null"],
        ["call", STATIC, "com.example.A", "m", "1", "--types", ""],
        ["call", STATIC, "com.example.A", "m", "1", "--types", "int,int"],
        ["call", STATIC, "com.example.A", "m", "1", "--types", "no type"],
        ["call", STATIC, "com.example.A", "m", "1.5", "--types", "int"],
        ["call", STATIC, "com.example.A", "m", '{"class":"no class","a":1}'],
        ["call", STATIC, "com.example.A", "m", "--attachment", "x"],
        ["call", STATIC, "com.example.A", "m", "--timeout", "0"],
        ["call", STATIC, "com.example.A", "m", "--timeout", "nan"],
        ["call", STATIC, "com.example.A", "m", "--tpyes", "int"],
        ["serve", "greeter"],
        ["serve", "no_such_module_here:x"],
        ["serve", "os:path", "--port", "65536"],
        ["map", "no key"],
    ],
    ids=" ".join,
)
def test_a_mistake_of_the_user_ends_with_2(arguments):
    """Nothing on stdout, no stack, and a text that says what is wrong."""
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert ended.stderr.strip()
    assert "Traceback" not in ended.stderr


def test_a_value_that_does_not_fit_says_where():
    """The argument and the path inside of it are named, before anything is sent."""
    user = '{"class":"com.example.User","tags":[{"class":1}]}'
    ended = run("call", STATIC, "com.example.A", "m", '"x"', user)
    assert ended.exit_code == 2
    assert ended.stderr.startswith("kubbo: argument 2, tags[0]: ")


def test_endpoints_of_a_static_target_as_json():
    """The keys of the object are the ones that scripts were promised."""
    shown = run("endpoints", STATIC, "-o", "json")
    assert shown.exit_code == 0
    assert shown.stderr == ""
    (line,) = shown.stdout.splitlines()
    flags = {"zone": "", "node": "", "ready": True, "serving": True, "terminating": False}
    assert json.loads(line) == {
        "target": STATIC,
        "state": "members",
        "endpoints": [
            {"host": "127.0.0.1", "port": 1, **flags, "weight": 100},
            {"host": "::1", "port": 2, **flags, "weight": 100},
        ],
        "stale_since": None,
        "steps": [{"name": "naming", "count": 2, "note": STATIC}],
        "reason": "",
    }


def test_the_target_is_printed_in_its_canonical_form(tmp_path):
    """The 2018 form is read, never written."""
    broken = tmp_path / "config"
    broken.write_text("", encoding="utf-8")
    target = "kubernetes:///greeter/shop/dubbo"
    shown = run("endpoints", target, "-o", "json", "--kubeconfig", str(broken))
    assert json.loads(shown.stdout)["target"] == "kubernetes:///greeter.shop:dubbo"


def test_endpoints_of_several_sources_say_which_of_them_answers(tmp_path):
    """One that stands in for another is no secret, as text and as JSON."""
    broken = tmp_path / "config"
    broken.write_text("", encoding="utf-8")
    arguments = ("endpoints", f"kubernetes:///a | {STATIC}", "--kubeconfig", str(broken))
    shown = run(*arguments)
    assert shown.exit_code == 0
    told = f"{STATIC}, because kubernetes:///a cannot answer"
    assert shown.stdout.splitlines()[1].startswith(f"  naming ({told}")
    (first, *_) = json.loads(run(*arguments, "-o", "json").stdout)["steps"]
    assert (first["name"], first["note"][: len(told)]) == ("naming", told)
    alone = run("endpoints", f"{STATIC} | static:///127.0.0.1:9")
    assert alone.stdout.splitlines()[1] == f"  naming 2 ({STATIC})"


def test_watching_a_static_target_ends_with_its_last_word():
    """Static addresses never change, so there is nothing to wait for."""
    shown = run("endpoints", STATIC, "--watch", "-o", "json")
    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == 1


def test_endpoints_as_text_are_a_table():
    """Columns are aligned under their heads."""
    shown = run("endpoints", STATIC)
    assert shown.exit_code == 0
    title, head, first, second = shown.stdout.splitlines()
    assert title == f"{STATIC}: 2 endpoints"
    assert head.split() == ["ADDRESS", "ZONE", "NODE", "WEIGHT", "STATE"]
    assert first.split() == ["127.0.0.1:1", "-", "-", "100", "ready"]
    assert second.index("ready") == first.index("ready") == head.index("STATE")


def test_credentials_that_cannot_be_used_are_a_mistake_of_the_user(tmp_path):
    """A broken kubeconfig is told as itself by both commands, and not as a lack of providers."""
    broken = tmp_path / "config"
    broken.write_text("clusters: {", encoding="utf-8")
    target = "kubernetes:///greeter.shop:dubbo"
    called = run("call", target, "com.example.A", "m", "--kubeconfig", str(broken))
    shown = run("endpoints", target, "-o", "json", "--kubeconfig", str(broken))
    assert [called.exit_code, shown.exit_code] == [2, 2]
    assert str(broken) in called.stderr
    view = json.loads(shown.stdout)
    assert view["state"] == "failed"
    assert str(broken) in view["reason"]


def test_a_key_is_mapped_by_the_environment():
    """Every step up to the one that won is shown; nothing else is asked."""
    targets = "com.example.*=static:///10.0.0.1:20880"
    shown = run("map", "com.example.A:1.0.0", "-o", "json", KUBBO_TARGETS=targets)
    assert shown.exit_code == 0
    answer = json.loads(shown.stdout)
    assert answer["service"] == "com.example.A:1.0.0"
    assert answer["target"] == "static:///10.0.0.1:20880"
    assert [step["outcome"] for step in answer["steps"]] == ["nothing found", "won"]
    text = run("map", "com.example.A:1.0.0", KUBBO_TARGETS=targets).stdout
    assert text.startswith("com.example.A:1.0.0: static:///10.0.0.1:20880\n")
    assert "won" in text.splitlines()[-1]


def test_a_key_that_is_mapped_to_nonsense_is_a_mistake_of_the_user():
    """The steps are shown, the reason is on stderr."""
    ended = run("map", "com.example.A", KUBBO_TARGETS="com.example.A=nonsense")
    assert ended.exit_code == 2
    assert ended.stdout.startswith("com.example.A: no target\n")
    assert "nonsense" in ended.stderr


def test_json_survives_hostile_text():
    """What UTF-8 or a terminal could not bear is escaped, and reads back as it was."""
    value = {"a": "\x1b[2J\x9b\x7f\ud800\u202e", "b": "日本"}
    text = render_json(value)
    assert json.loads(text) == value
    text.encode("utf-8")
    assert not {*"\x1b\x9b\x7f\u202e"} & {*text}


def test_a_table_shows_no_control_characters():
    """What the API server says of a node cannot move the cursor."""
    assert table(("NODE",), [("a\x1b[2J",)]) == "NODE\na\\x1b[2J"


def test_a_bug_of_ours_is_told_as_one(monkeypatch):
    """It has its own exit code and shows the stack: 1 would blame the provider."""

    @click.command("broken")
    def broken() -> None:
        raise KeyError("oops")

    monkeypatch.setitem(kubbo.commands, "broken", broken)
    ended = run("broken")
    assert ended.exit_code == 70
    assert "KeyError: 'oops'" in ended.stderr
    assert "report" in ended.stderr


def test_help_needs_neither_http_nor_the_demo():
    """The command line answers before anything heavy is imported."""
    program = (
        "import sys; from kubbo.cli import main; sys.argv[1:] = ['--help']; code = main();"
        "print(code, sorted({'aiohttp', 'yaml', 'kubbo.sim', 'kubbo.demo'} & {*sys.modules}),"
        "file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stderr == "0 []\n"


def test_the_module_runs_as_the_command():
    """`python -m kubbo` is `kubbo`, the exit code included."""
    ended = subprocess.run(
        [sys.executable, "-m", "kubbo", "endpoints", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("kubbo: target 'nonsense' has no scheme")
