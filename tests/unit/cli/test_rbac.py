"""`kubbo rbac`: which Roles for which targets."""

from __future__ import annotations

import pytest
import yaml
from click.testing import CliRunner

from kubbo.cli.app import kubbo


def run(*arguments):
    """Run the command in this process, without any credentials."""
    environment = {"KUBECONFIG": "", "HOME": "/nonexistent"}
    return CliRunner().invoke(kubbo, ["rbac", *arguments], env=environment, catch_exceptions=False)


def objects(*arguments):
    """What it prints, as kubectl reads it."""
    shown = run(*arguments)
    assert shown.exit_code == 0, shown.stderr
    return list(yaml.safe_load_all(shown.stdout))


def test_without_a_target_it_is_the_own_namespace():
    """A consumer whose providers live beside it; no credentials are needed to print."""
    role, binding = objects()
    assert role["kind"] == "Role"
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "default"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
    ]


def test_one_pair_for_each_namespace():
    """Several targets of a namespace share a Role; chains are taken apart; never a ClusterRole."""
    printed = objects(
        "kubernetes:///greeter.shop:dubbo | dns:///greeter.shop:dubbo",
        "kubernetes:///stock.store",
        "kubernetes:///basket.shop",
        "kubernetes:///own",
        *("-n", "web", "--service-account", "checkout"),
    )
    kinds = [(one["kind"], one["metadata"]["namespace"]) for one in printed]
    assert kinds == [
        (kind, namespace)
        for namespace in ("shop", "store", "web")
        for kind in ("Role", "RoleBinding")
    ]
    for binding in printed[1::2]:
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "checkout", "namespace": "web"}
        ]


def test_only_what_is_needed():
    """Slices and Services may be read: no other resource, no other verb."""
    role = objects()[0]
    assert [(rule["resources"], rule["verbs"]) for rule in role["rules"]] == [
        (["endpointslices"], ["list", "watch"]),
        (["services"], ["get", "list"]),
    ]


def test_targets_without_permissions():
    """DNS and addresses need none; that is said in a comment."""
    shown = run("dns:///greeter.shop:dubbo", "static:///10.0.0.1:1")
    assert shown.exit_code == 0
    assert list(yaml.safe_load_all(shown.stdout)) == []
    assert shown.stdout.count("needs no permission") == 2


def test_the_namespace_of_the_account():
    """The consumer may live elsewhere than -n says."""
    binding = objects("kubernetes:///a.shop", "--service-account", "web:checkout")[1]
    assert binding["subjects"][0]["namespace"] == "web"


@pytest.mark.parametrize("name", ["on", "123", "1e3", "0x10", "null", "y"])
def test_names_that_yaml_would_misread(name):
    """They are strings, whatever they look like."""
    role, binding = objects("-n", name, "--service-account", f"{name}:{name}")
    assert role["metadata"]["namespace"] == name
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": name}]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-n", "a\nb"],
        ["-n", "Shop"],
        ["--service-account", "a: b"],
        ["--service-account", ":a"],
        ["--service-account", "web:"],
        ["greeter.shop"],
        ["--kubeconfig", "/nowhere/config"],
        ["dns:///a.b:c", "--config", "a\nkind: X"],
        ["dns:///a.b:c", "--config", "a\u2028b"],
        ["dns:///a.b:c", "--config", "http://x"],
        ["dns:///a.b:c", "--config", "configmap:///a\nkind: X"],
        ["dns:///a.b:c", "--config", "configmap:///Flags.shop"],
        ["dns:///a.b:c", "--config", "configmap:///-a.shop"],
        ["dns:///a.b:c", "--config", "configmap:/a"],
        ["dns:///a.b:c", "--config", f"configmap:///{'a' * 254}.shop"],
        ["dns:///a.b:c", "--config", f"configmap:///a.{'b' * 64}"],
    ],
)
def test_mistakes_are_told(arguments):
    """Nothing is printed that could be applied."""
    shown = run(*arguments)
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert shown.stderr.startswith("kubbo: ")


def test_a_file_of_configuration_needs_nothing():
    """Nor does none; a ConfigMap is read where it is."""
    printed = run("dns:///a.b:c", "--config", "/etc/kubbo").stdout
    assert "# the file /etc/kubbo needs no permission" in printed
    assert list(yaml.safe_load_all(printed)) == []
    assert run("dns:///a.b:c", "--config", "").stdout.count("\n") == 1
    role, _ = objects("dns:///a.b:c", "--config", f"configmap:///{'a' * 253}.shop", "-n", "web")
    assert role["rules"][0]["resourceNames"] == ["a" * 253]
    assert role["metadata"]["namespace"] == "shop"


def test_pods_are_added_by_wish():
    """Without `--diagnose` nobody may see a pod; with it they are listed, and no more."""
    plain = objects("kubernetes:///greeter.shop")
    asking = objects("kubernetes:///greeter.shop", "--diagnose")
    assert "pods" not in str(plain)
    assert asking[:2] == plain
    role, binding = asking[2:]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    assert binding["subjects"] == plain[1]["subjects"]


def applied(*runs):
    """What `kubectl apply` leaves of several runs: the last object of each name."""
    target = "kubernetes:///greeter.shop"
    return {
        (each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]): each
        for arguments in runs
        for each in objects(target, *arguments)
    }


@pytest.mark.parametrize(
    "other",
    [
        ["-n", "web", "--service-account", "billing"],
        ["-n", "team", "--service-account", "checkout"],
        ["-n", "web", "--service-account", "checkout", "--diagnose"],
        ["-n", "web", "--service-account", "checkout", "--config", "configmap:///a.shop"],
        ["-n", "web", "--service-account", "checkout", "--config", "configmap:///b.shop"],
        ["-n", "web", "--service-account", "billing", "--config", "configmap:///a.shop"],
    ],
)
@pytest.mark.parametrize("options", [[], ["--diagnose"], ["--config", "configmap:///a.shop"]])
def test_a_run_takes_nothing_away_that_another_gave(options, other):
    """To another account, or to the same for another purpose, in either order."""
    one = ["-n", "web", "--service-account", "checkout", *options]
    for runs in ((one, other), (other, one)):
        together = applied(*runs)
        for run_ in runs:
            alone = applied(run_)
            assert {name: together[name] for name in alone} == alone


def test_that_is_said_in_a_comment():
    """Whoever reads the names sees why they are long."""
    comment, *_ = run("kubernetes:///greeter.shop").stdout.splitlines()
    assert comment.startswith("# Named after purpose and account")
