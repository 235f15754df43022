"""`kubbo doctor` against the real API server, as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.cluster.test_permissions import run
from tests.testbed.processes import eventually

if TYPE_CHECKING:
    from tests.cluster.namespace import Namespace

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
ACCOUNT = "doctor"
SECRET = "correct-horse-battery"

DEPLOYMENT = f"""
apiVersion: v1
kind: Secret
metadata: {{name: db, annotations: {{note: {SECRET}}}}}
stringData: {{password: {SECRET}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{greeting: {SECRET}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {{name: small}}
spec: {{hard: {{count/deployments.apps: "5"}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: greeter}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: greeter}}}}
  template:
    metadata: {{labels: {{app: greeter}}, annotations: {{note: {SECRET}}}}}
    spec:
      nodeName: paper-zone-a
      volumes:
      - {{name: db, secret: {{secretName: db}}}}
      - {{name: settings, configMap: {{name: settings}}}}
      - {{name: gone, configMap: {{name: gone}}}}
      containers:
      - name: provider
        image: greeter
        args: [{SECRET}]
        env:
        - {{name: PASSWORD, value: {SECRET}}}
        - {{name: OTHER, valueFrom: {{secretKeyRef: {{name: db, key: password}}}}}}
"""


@pytest.fixture
def greeter(namespace: Namespace) -> Namespace:
    """A Deployment full of secrets, one of whose ConfigMaps is not there."""
    namespace.apply(DEPLOYMENT)
    path = f"/api/v1/namespaces/{namespace.name}/pods"
    eventually(lambda: namespace.control_plane.call("GET", path)["items"], "there is a pod")
    return namespace


def documented(namespace: Namespace) -> Path:
    """A kubeconfig of who has the Role of the page, and no more."""
    plane = namespace.control_plane
    text = PAGE.partition("```yaml\n")[2].partition("```")[0]
    role = yaml.safe_load(text.replace("namespace: shop", f"namespace: {namespace.name}"))
    namespace.apply(yaml.safe_dump(role))
    namespace.kubectl("create", "serviceaccount", ACCOUNT)
    name = f"{namespace.name}:{ACCOUNT}"
    namespace.kubectl(
        "create", "rolebinding", "doctor", f"--role={role['metadata']['name']}",
        f"--serviceaccount={name}",
    )  # fmt: skip
    token = plane.token(namespace.name, ACCOUNT)
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace.name}/networkpolicies"
    eventually(
        lambda: plane.request("GET", path, token=token).status == 200, "the Role is in force"
    )
    return plane.write_kubeconfig(
        namespace.directory / "doctor.kubeconfig", {"token": token}, namespace=namespace.name
    )


def test_with_the_role_of_the_page_all_is_read_and_no_secret_is_kept(greeter: Namespace) -> None:
    """The missing ConfigMap is named, nodes and nothing else are noted as unread. The saved file
    has no Secret's data, argument, variable or foreign annotation in it, and says the same.
    """
    kubeconfig = documented(greeter)
    saved = greeter.directory / "bundle.json"
    shown = run("doctor", "greeter", "--kubeconfig", kubeconfig, "--save", saved, "-o", "json")
    assert shown.returncode == 1, shown.stderr
    found = json.loads(shown.stdout)
    assert found["verdict"] == "broken"
    (cause,) = found["causes"]
    assert cause["id"] == "missing-config"
    assert "'gone'" in cause["summary"]
    assert [note.split(":")[1].strip() for note in found["notes"]] == ["nodes"]

    text = saved.read_text()
    assert SECRET not in text
    bundle = json.loads(text)
    assert {(each["kind"], each["name"], each["found"]) for each in bundle["named"]} == {
        ("ConfigMap", "settings", True),
        ("ConfigMap", "gone", False),
        ("Secret", "db", True),
    }
    assert bundle["quotas"][0]["metadata"]["name"] == "small"

    again = run("doctor", "--bundle", saved, "-o", "json")
    assert (again.returncode, json.loads(again.stdout)) == (1, found)


def test_mistakes_are_told_without_a_stack(greeter: Namespace) -> None:
    """A Deployment that is not there, and a server that is not there."""
    kubeconfig = greeter.control_plane.kubeconfig
    shown = run("doctor", "greter", "-n", greeter.name, "--kubeconfig", kubeconfig)
    assert shown.returncode == 2
    assert "did you mean 'greeter'?" in shown.stderr

    away = greeter.control_plane.write_kubeconfig(
        greeter.directory / "away.kubeconfig", {"token": "x"}, url="https://127.0.0.1:1"
    )
    shown = run("doctor", "greeter", "-n", greeter.name, "--kubeconfig", away)
    assert "Traceback" not in shown.stderr
    assert shown.returncode == 3
    assert "cannot be reached" in shown.stdout
