"""`kubbo manifests`: from an object of Python to text for `kubectl apply`."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from click.testing import CliRunner

from kubbo.cli.app import kubbo

IMAGE = ("--image", "registry.example/greeter:1.0")

GREETER = """
    from typing import Protocol
    import kubbo

    @kubbo.service("com.example.GreetService", version="1.0.0")
    class GreetService(Protocol):
        async def greet(self, name: str) -> str: ...

    @kubbo.service("com.example.Stock", group="eu")
    class Stock(Protocol):
        async def left(self) -> int: ...

    class Greeter(GreetService):
        def __init__(self) -> None:
            raise RuntimeError("there is no database where manifests are printed")

        async def greet(self, name: str) -> str:
            return name

    class Shelf(Stock):
        async def left(self) -> int:
            return 1

    both = [Greeter, Shelf]
"""

_numbers = itertools.count()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module with providers in the current directory."""
    name = f"deployed_module_{next(_numbers)}"
    (tmp_path / f"{name}.py").write_text(dedent(GREETER), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


def run(*arguments, **environment):
    """Run the command in this process, without any credentials."""
    environment = {"KUBECONFIG": "", "HOME": "/nonexistent", **environment}
    command = ["manifests", *arguments]
    return CliRunner().invoke(kubbo, command, env=environment, catch_exceptions=False)


def objects(*arguments):
    """What it prints, as kubectl reads it."""
    shown = run(*arguments)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stderr == ""
    return list(yaml.safe_load_all(shown.stdout))


def deployment(listed):
    """The one that is among them."""
    (only,) = (each for each in listed if each["kind"] == "Deployment")
    return only


def test_without_options_it_is_named_by_the_rule(module):
    """A consumer that computes the Service's name from the key finds this one."""
    listed = objects(f"{module}:Greeter", *IMAGE)
    assert {each["metadata"]["name"] for each in listed} == {
        "greet-service-1-0-0",
        "greet-service-1-0-0-vip",
    }
    assert {each["metadata"]["namespace"] for each in listed} == {"default"}
    made = deployment(listed)
    assert made["spec"]["replicas"] == 2
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE[1]
    assert container["args"][:2] == ["serve", f"{module}:Greeter"]
    ports = {"dubbo": 20880, "admin": 20881}
    assert {each["name"]: each["containerPort"] for each in container["ports"]} == ports


def test_every_option_arrives(module):
    """Name, namespace, size, port, account, grace and resources."""
    listed = objects(
        f"{module}:both",
        *IMAGE,
        *(
            "--name",
            "shop",
            "-n",
            "web",
            "--replicas",
            "5",
            "--port",
            "20990",
            "--admin-port",
            "20991",
        ),
        *("--service-account", "bot", "--grace", "40", "--cpu", "2", "--memory", "1Gi"),
        *("--consumes", "kubernetes:///stock.store | dns:///stock.store:dubbo"),
        *("--consumes", "static:///10.0.0.1:1", "--consumes", "kubernetes:///own"),
    )
    made = deployment(listed)
    spec = made["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("shop", "web")
    assert made["spec"]["replicas"] == 5
    assert [each["containerPort"] for each in container["ports"]] == [20990, 20991]
    assert container["resources"]["limits"] == {"memory": "1Gi"}
    assert container["resources"]["requests"]["cpu"] == "2"
    assert spec["serviceAccountName"] == "bot"
    assert spec["automountServiceAccountToken"] is True
    assert spec["terminationGracePeriodSeconds"] == 50
    roles = [each["metadata"]["namespace"] for each in listed if each["kind"] == "Role"]
    assert roles == ["store", "web"]
    annotations = [each["metadata"].get("annotations") for each in listed]
    keys = "com.example.GreetService:1.0.0 eu/com.example.Stock"
    assert [each for each in annotations if each] == [{"kubbo.dev/services": keys}]


def test_targets_without_the_api_server_need_no_token(module):
    """DNS and addresses are found without any permission."""
    listed = objects(f"{module}:Greeter", *IMAGE, "--consumes", "dns:///stock.store:dubbo")
    assert not any(each["kind"].startswith("Role") for each in listed)
    assert deployment(listed)["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_a_consumer_is_a_module_that_is_not_run(module):
    """It is named after the module; of a package there has to be something to run."""
    Path("Check_Out.py").write_text("raise SystemExit('it was run')", encoding="utf-8")
    listed = objects("--consumer", "Check_Out", *IMAGE, "--consumes", "kubernetes:///a.shop")
    assert deployment(listed)["metadata"]["name"] == "check-out"
    assert [each["kind"] for each in listed][:3] == ["ServiceAccount", "Role", "RoleBinding"]
    Path("package").mkdir()
    Path("package/__init__.py").touch()
    Path("package/run.py").touch()
    assert deployment(objects("--consumer", "package.run", *IMAGE))["metadata"]["name"] == "run"
    for wrong in ("package", "package.x", "nothing_here", "Check_Out.py", "", f"{module}:Greeter"):
        shown = run("--consumer", wrong, *IMAGE)
        assert (shown.exit_code, shown.stdout) == (2, "")
        assert "would find no module" in shown.stderr


def test_json_is_one_list(module):
    """The same objects."""
    shown = run(f"{module}:Greeter", *IMAGE, "-o", "json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["items"] == objects(f"{module}:Greeter", *IMAGE)


def test_the_same_input_prints_the_same(module):
    """No time, no random name: what is in version control changes when the provider does."""
    first, second = (run(f"{module}:both", *IMAGE).stdout for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["Greeter", "--image", "Greeter:1"], "did you mean 'greeter:1'?"),
        (["Greeter", *IMAGE, "--name", "GreetService"], "did you mean 'greet-service'?"),
        (["Greeter", *IMAGE, "--name", "a" * 64], "at most 63"),
        (["Greeter", *IMAGE, "--name", "x\nkind: Secret"], "did you mean 'x-kind-secret'?"),
        (["Greeter", *IMAGE, "-n", "My_Shop"], "did you mean 'my-shop'?"),
        (["Greeter", *IMAGE, "--service-account", "Bot"], "did you mean 'bot'?"),
        (["Greeter", *IMAGE, "--consumes", "kubernetes:///Stock"], "did you mean 'stock'?"),
        (["Greeter", *IMAGE, "--consumes", "stock"], "has no scheme"),
        (["Greeter", *IMAGE, "--port", "80"], "--port"),
        (["Greeter", *IMAGE, "--replicas", "-1"], "--replicas"),
        (["Greeter", *IMAGE, "--grace", "nan"], "is no number"),
        (["Greeter", *IMAGE, "--memory", "1 GB"], "is no quantity"),
        (["Greeter"], "--image"),
        (["Nobody", *IMAGE], "it could serve Greeter, Shelf"),
        (["GreetService", *IMAGE], "the interface itself"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:6])[:60],
)
def test_a_mistake_prints_nothing_that_could_be_applied(module, arguments, told):
    """Exit code 2, an empty stdout, and what to write instead."""
    shown = run(f"{module}:{arguments[0]}", *arguments[1:])
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert told in shown.stderr
