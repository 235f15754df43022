"""docs/tutorial.md, from its empty folder to its end, on two real nodes."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.pages import Reader, commands, shows
from tests.testbed.machine import snapshotter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.node.cluster import Cluster

pytestmark = [
    pytest.mark.root(reason="runs real Kubernetes nodes, which needs root and namespaces"),
    pytest.mark.timeout(300),
]

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
NAMESPACE = "tutorial"

# What only looks is repeated until it shows what the page shows, as a reader would.
LOOKS = ("kubbo call kubernetes:", "kubbo doctor ", "kubbo endpoints ", "kubectl logs ")


def ctr_of_all_nodes(cluster: Cluster, path: Path) -> None:
    """The command `ctr`, as if it were typed on each of the nodes."""
    lines = [
        f'CONTAINERD_ADDRESS={node.data / "containerd.sock"} {shutil.which("ctr")} "$@"'
        for node in cluster.nodes
    ]
    script = ["#!/bin/sh -e", f"export CONTAINERD_SNAPSHOTTER={snapshotter()}", *lines]
    path.write_text("\n".join(script) + "\n", encoding="utf-8")
    path.chmod(0o755)


def test_the_tutorial(cluster: Cluster, tmp_path: Path, tried: Callable[[str, int], None]) -> None:
    """Every command of the page prints what the page prints, in its order; and not one call of its
    consumer fails while all providers are replaced, and while a version does not come up.
    """
    ctr_of_all_nodes(cluster, tmp_path / "ctr")
    tools = {"kubectl": cluster.plane.programs / "kubectl", "ctr": tmp_path / "ctr"}

    def logged() -> list[str]:
        arguments = ("logs", "deployment/consumer", "-n", NAMESPACE)
        return cluster.plane.kubectl(*arguments).splitlines()

    lines: list[str] = []
    code = 0
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.plane.request, "DELETE", f"/api/v1/namespaces/{NAMESPACE}")
        reader = stack.enter_context(Reader(tmp_path, cluster.plane.kubeconfig, tools))
        reader.write(PAGE, "greeter.py", "consumer.py")
        for command, output in commands(PAGE):
            if command == "echo $?":
                assert output == f"{code}\n"
                continue
            if command.startswith("kubbo serve "):
                reader.serve(command, output)
                continue
            done = reader.run(command, within=200)
            until = time.monotonic() + 60
            while (
                command.startswith(LOOKS)
                and not shows(output, done.stdout)
                and time.monotonic() < until
            ):
                time.sleep(0.1)
                done = reader.run(command, within=200)
            assert shows(output, done.stdout), f"{command}\n{done.stdout}"
            code = done.returncode
            reader.interrupt()  # what the page calls next is in the cluster
            if command.startswith("kubectl logs "):
                lines = logged()
    assert len(lines) > 1
    assert all(re.fullmatch(r"\d+ calls, 0 failed", line) for line in lines), lines
    tried("calls of the tutorial's consumer on two real nodes, 0 failed", 100 * len(lines))
