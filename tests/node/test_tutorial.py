"""docs/tutorial.md, from its empty folder to its end, on two real nodes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.testbed.machine import snapshotter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.node.cluster import Cluster

pytestmark = [
    pytest.mark.root(reason="runs real Kubernetes nodes, which needs root and namespaces"),
    pytest.mark.timeout(300),
]

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
FLAGS = re.MULTILINE | re.DOTALL
NAMESPACE = "tutorial"

# What only looks is repeated until it shows what the page shows, as a reader would.
LOOKS = ("kubbo call kubernetes:", "kubbo doctor ", "kubbo endpoints ", "kubectl logs ")


def commands() -> Iterator[tuple[str, str]]:
    """The commands of the page's console blocks, each with the output printed below it."""
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, FLAGS):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def shows(output: str, printed: str) -> bool:
    """Whether that was printed; `...` stands for any."""
    pattern = ".*".join(re.escape(part) for part in output.split("..."))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


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
    folder, tools = tmp_path / "folder", tmp_path / "tools"
    folder.mkdir()
    tools.mkdir()
    (tools / "kubectl").symlink_to(cluster.plane.programs / "kubectl")
    ctr_of_all_nodes(cluster, tools / "ctr")
    files = re.findall(r"^```python\n(.*?)^```$", PAGE, FLAGS)
    for name, text in zip(("greeter.py", "consumer.py"), files, strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    env = {
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "KUBECONFIG": str(cluster.plane.kubeconfig),
    }

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=env,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=200,
        )

    def logged() -> list[str]:
        arguments = ("logs", "deployment/consumer", "-n", NAMESPACE)
        return cluster.plane.kubectl(*arguments).splitlines()

    lines: list[str] = []
    code = 0
    with contextlib.ExitStack() as stack:
        stack.callback(cluster.plane.request, "DELETE", f"/api/v1/namespaces/{NAMESPACE}")
        serving: list[subprocess.Popen[str]] = []
        for command, output in commands():
            if command == "echo $?":
                assert output == f"{code}\n"
                continue
            if command.startswith("kubbo serve "):
                process = stack.enter_context(
                    subprocess.Popen(
                        command.split(), cwd=folder, env=env, stdout=subprocess.PIPE, text=True
                    )
                )
                stack.callback(process.kill)
                assert process.stdout is not None
                assert process.stdout.readline() == output
                serving.append(process)
                continue
            done = run(command)
            until = time.monotonic() + 60
            while (
                command.startswith(LOOKS)
                and not shows(output, done.stdout)
                and time.monotonic() < until
            ):
                time.sleep(0.1)
                done = run(command)
            assert shows(output, done.stdout), f"{command}\n{done.stdout}"
            code = done.returncode
            while serving:  # what the page calls next is in the cluster
                serving[-1].send_signal(signal.SIGINT)
                assert serving.pop().wait(30) == 0
            if command.startswith("kubectl logs "):
                lines = logged()
    assert len(lines) > 1
    assert all(re.fullmatch(r"\d+ calls, 0 failed", line) for line in lines), lines
    tried("calls of the tutorial's consumer on two real nodes, 0 failed", 100 * len(lines))
