"""The command line against the real API server and a real Java provider."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.cluster.greeter import PORT
from tests.cluster.namespace import READ_SERVICES, READ_SLICES
from tests.interop.peer import JavaProvider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster.namespace import Namespace


def kubbo(command: str, *arguments: str, kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "kubbo", command, "--kubeconfig", kubeconfig, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def view(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one view that `kubbo endpoints -o json` printed."""
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.root
def test_one_call_from_a_shell_to_java(
    namespace: Namespace, provider_address: Callable[[], str]
) -> None:
    """`kubbo call kubernetes:///greeter.NS:dubbo ...` finds the Java provider through the API
    server and prints its answer; `kubbo endpoints` prints the provider.
    """
    host = provider_address()
    namespace.service("greeter")
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    target = f"kubernetes:///greeter.{namespace.name}:dubbo"
    with JavaProvider(PORT, host):
        namespace.pod("java", host, app="greeter")
        namespace.wait_ready("greeter", {host})
        called = kubbo(
            "call",
            target,
            "com.example.GreetService:1.0.0",
            "greet",
            '{"class":"com.example.User","id":1,"name":"Ann"}',
            "--timeout",
            "20",
            kubeconfig=reader.kubeconfig,
        )
        assert (called.returncode, called.stderr) == (0, "")
        assert json.loads(called.stdout) == f"Hello Ann (1) from java {host}:{PORT}"

        found = view(kubbo("endpoints", target, "-o", "json", kubeconfig=reader.kubeconfig))
        assert found == {
            "target": target,
            "state": "members",
            "endpoints": [
                {
                    "host": host,
                    "port": PORT,
                    "zone": "zone-a",
                    "node": "paper-zone-a",
                    "ready": True,
                    "serving": True,
                    "terminating": False,
                    "weight": 100,
                }
            ],
            "stale_since": None,
            "steps": [
                {"name": "naming", "count": None, "note": target},
                {"name": "service", "count": 1, "note": ""},
                {"name": "slices", "count": 1, "note": ""},
                {"name": "conditions", "count": 1, "note": ""},
                {"name": "port", "count": 1, "note": "dubbo"},
            ],
            "reason": "",
        }


def test_why_there_is_no_provider(namespace: Namespace) -> None:
    """No such Service, no ready pod, no such port, no permission: four different answers, each
    with the next thing to do, and exit code 3; what may not be listed comes with the Role and the
    RoleBinding that would allow it, and they do allow it.
    """
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    nobody = namespace.identity("nobody")
    namespace.service("unready")
    namespace.pod("unready-1", "10.244.9.1", app="unready", ready=False)
    namespace.service("other-port", port_name="grpc")
    namespace.pod("other-1", "10.244.9.2", app="other-port")
    namespace.wait_ready("other-port", {"10.244.9.2"})

    def ask(service: str, kubeconfig: Path) -> tuple[int, str, str]:
        target = f"kubernetes:///{service}.{namespace.name}:dubbo"
        done = kubbo("endpoints", target, "-o", "json", kubeconfig=kubeconfig)
        found = view(done)
        assert found["endpoints"] == []
        return done.returncode, found["state"], found["reason"]

    code, state, missing = ask("nope", reader.kubeconfig)
    assert (code, state) == (3, "absent")
    assert "'nope'" in missing
    assert "does not exist" in missing

    code, state, unready = ask("unready", reader.kubeconfig)
    assert (code, state) == (3, "absent")
    assert "ready" in unready
    assert "does not exist" not in unready

    code, state, port = ask("other-port", reader.kubeconfig)
    assert (code, state) == (3, "absent")
    assert "grpc" in port

    code, state, forbidden = ask("unready", nobody.kubeconfig)
    assert (code, state) == (3, "failed")
    assert "endpointslices" in forbidden
    assert len({missing, unready, port, forbidden}) == 4

    manifest = forbidden[forbidden.index("apiVersion:") :]
    documents = [each for each in yaml.safe_load_all(manifest) if each]
    assert [each["kind"] for each in documents] == ["Role", "RoleBinding"]
    namespace.apply(yaml.safe_dump_all(documents))
    code, state, allowed = ask("unready", nobody.kubeconfig)
    assert (code, state, allowed) == (3, "absent", unready)
