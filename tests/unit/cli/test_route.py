"""`kubbo route`, with rules in files and addresses that are listed: nothing is asked of anybody."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from kubbo.cli.app import kubbo
from kubbo.cli.outcome import Exit
from kubbo.cli.route import _first, _nobody
from kubbo.errors import ConfigError, KubboError
from kubbo.model import Endpoint
from kubbo.naming.resolution import Absent, Failed, Members, Pending

if TYPE_CHECKING:
    from pathlib import Path

    from kubbo.naming.resolution import Publish, Resolution

SERVICE = "com.example.GreetService:1.0.0"
TWO = ["--target", "static:///10.0.0.1:20880,10.0.0.2:20881"]


def route(*arguments: str, stdin: str = "", **environ: str) -> Result:
    return CliRunner().invoke(
        kubbo, ["route", SERVICE, "greet", *arguments], input=stdin, env={**environ}
    )


def hosts(result: Result) -> dict[str, bool]:
    return {each["host"]: each["in"] for each in json.loads(result.stdout)["endpoints"]}


def test_json_says_everything() -> None:
    """The call, each router with who was left, each endpoint with each reason."""
    rule = "conditions: ['arguments[1].name=x & attachments[a]=b => port=20881']"
    given = ["1", '"x"', "--attachment", "a=b", "--rules", "-", "-o", "json"]
    result = route(*given, *TWO, stdin=rule)
    assert result.exit_code == Exit.ANSWERED
    answer: dict[str, Any] = json.loads(result.stdout)
    line = "condition 1 `arguments[1].name=x & attachments[a]=b => port=20881`"
    assert answer == {
        "service": SERVICE,
        "method": "greet",
        "target": TWO[1],
        "routers": [{"name": "condition rule (stdin)", "note": f"{line} leaves 1 of 2", "left": 1}],
        "endpoints": [
            {
                "host": "10.0.0.1",
                "port": 20880,
                "zone": "",
                "in": False,
                "reasons": [
                    {
                        "router": "condition rule (stdin)",
                        "in": False,
                        "reason": f"{line}: wants port=20881, but port is '20880'",
                    }
                ],
            },
            {
                "host": "10.0.0.2",
                "port": 20881,
                "zone": "",
                "in": True,
                "reasons": [{"router": "condition rule (stdin)", "in": True, "reason": ""}],
            },
        ],
    }


def test_the_consumer_is_what_options_or_the_environment_say() -> None:
    """Options win."""
    rule = "conditions: ['application=web & region=hz => port=20881']"
    given = ["--rules", "-", "-o", "json", *TWO]
    both = {"10.0.0.1": True, "10.0.0.2": True}
    one = {"10.0.0.1": False, "10.0.0.2": True}
    assert hosts(route(*given, stdin=rule)) == both
    options = ["--application", "web", "--parameter", "region=hz"]
    assert hosts(route(*given, *options, stdin=rule)) == one
    environ = {"KUBBO_APPLICATION": "web", "KUBBO_PARAMETERS": "region=hz"}
    assert hosts(route(*given, stdin=rule, **environ)) == one
    assert hosts(route(*given, "--parameter", "region=bj", stdin=rule, **environ)) == both


def test_rules_of_several_files_come_in_their_order(tmp_path: Path) -> None:
    """Tags before conditions, whatever the order of the files."""
    (tmp_path / "a.yaml").write_text("conditions: []\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("tags: []\n", encoding="utf-8")
    files = [str(tmp_path / name) for name in ("a.yaml", "b.yaml")]
    result = route(*TWO, "--rules", files[0], "--rules", files[1], "-o", "json")
    names = [each["name"] for each in json.loads(result.stdout)["routers"]]
    assert names == [f"tag rule ({files[1]})", f"condition rule ({files[0]})"]


def test_nobody_ends_with_3() -> None:
    """As a call would."""
    result = route(*TWO, "--rules", "-", stdin="conditions: ['method=greet =>']")
    assert result.exit_code == Exit.NO_PROVIDER
    assert "0 of 2 endpoints" in result.stdout
    assert "it refuses such calls" in result.stdout


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["--rules", "nowhere.yaml"], "nowhere.yaml: cannot be read: No such file"),
        (["--rules", "latin.yaml"], "latin.yaml: it is not UTF-8"),
        (["--parameter", "x"], "--parameter 'x' is no KEY=VALUE"),
        (["--attachment", "x"], "is no KEY=VALUE"),
        (["x"], "argument 1 is not JSON"),
    ],
)
def test_a_mistake_in_the_command_ends_with_2(
    given: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says which."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"conditions: ['=> host=\xe4']")
    result = route(*TWO, *given)
    assert result.exit_code == Exit.USAGE
    assert problem in result.stderr


def test_what_rules_hold_cannot_act_on_a_terminal() -> None:
    """Control characters are written out."""
    result = route(*TWO, "--rules", "-", stdin='conditions: ["=> host=\\e[31m"]\n')
    assert "\x1b" not in result.output
    assert r"\x1b[31m" in result.output


class Says:
    """A resolver that says this, or raises it, and waits."""

    def __init__(self, *says: Resolution | Exception) -> None:
        self._says = says

    async def watch(self, publish: Publish, /) -> None:
        for each in self._says:
            if isinstance(each, Exception):
                raise each
            publish(each)
        await asyncio.Event().wait()


async def test_the_first_view_that_is_not_pending_counts() -> None:
    """A resolver that raises has failed; one that says nothing is waited for in vain."""
    members = Members((Endpoint("h", 1),))
    assert await _first(Says(Pending(), members, Absent("later")), 20.0) is members
    failed = await _first(Says(KubboError("refused")), 20.0)
    assert isinstance(failed, Failed)
    assert isinstance(await _first(Says(Pending()), 0.01), Pending)


@pytest.mark.parametrize(
    ("view", "code", "text"),
    [
        (Pending(), Exit.DEADLINE, "nothing is known after 5 s"),
        (Absent("no such Service"), Exit.NO_PROVIDER, "no such Service"),
        (Failed(KubboError("refused")), Exit.NO_PROVIDER, "refused"),
        (Failed(ConfigError("no kubeconfig")), Exit.USAGE, "no kubeconfig"),
    ],
)
def test_without_endpoints_the_reason_is_told(
    view: Resolution, code: Exit, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit code of who has to act."""
    assert _nobody("x", view, 5.0) is code
    assert text in capsys.readouterr().err
