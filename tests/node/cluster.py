"""Two real nodes and their control plane, and what tests ask of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster.bed import ADVERTISED_ADDRESS, ControlPlane, CoreDNS
from tests.cluster.doctor.score import VECTORS
from tests.testbed import cgroups, images
from tests.testbed.node import GROUP_PREFIX, Node, Proxy, publish
from tests.testbed.processes import BedError, eventually

if TYPE_CHECKING:
    from collections.abc import Collection

APPLICATION = Path(__file__).parent / "application"
MAKING_SET = bool(os.environ.get("KUBBO_DOCTOR_SET"))
IMAGE = "testbed.local/shop:1"


def application_image(directory: Path) -> Path:
    """The archive of the image of the Python application: of its provider and its consumer."""
    archive = directory / "shop.tar"
    run_kubbo("image", "shop.provider:Greeter", "--tag", IMAGE, "--output", archive)
    return archive


class Cluster:
    """The control plane, two nodes with the images, kube-proxy and the name server.

    Raises:
        BedError: something did not come up.
    """

    def __init__(self, directory: Path) -> None:
        cgroups.remove_left(GROUP_PREFIX)
        self.nodes: list[Node] = []
        self.told: list[str] = []
        """Measurements, which the run ends with."""
        with ExitStack() as stack, ThreadPoolExecutor() as threads:
            archives = [
                threads.submit(images.pause),
                threads.submit(images.java_peer),
                threads.submit(application_image, directory),
            ]
            self.plane = ControlPlane(directory, real_nodes=True)
            stack.callback(self.close)
            pause, *others = (each.result() for each in archives)

            def join(index: int) -> None:
                node = Node(self.plane, index, pause)
                self.nodes.append(node)
                node.load(*others)

            joining = [threads.submit(join, index) for index in (1, 2)]
            self.dns = CoreDNS(self.plane, ADVERTISED_ADDRESS)
            publish(self.dns)
            for each in joining:
                each.result()
            self.nodes.sort(key=lambda node: node.name)
            Proxy(self.plane, self.nodes[0])
            stack.pop_all()

    def close(self) -> None:
        """End it all."""
        for node in self.nodes:
            node.close()
        self.plane.close()

    def namespace(self, name: str) -> None:
        """A namespace in which pods can be made, when this returns."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        self.plane.call("POST", "/api/v1/namespaces", namespace)
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        eventually(
            lambda: self.plane.request("GET", account).status == 200,
            f"namespace {name} has a default ServiceAccount",
        )

    def objects(self, namespace: str, plural: str) -> list[dict[str, Any]]:
        """All Pods, or other objects of the first API, of a namespace."""
        found = self.plane.call("GET", f"/api/v1/namespaces/{namespace}/{plural}")
        items: list[dict[str, Any]] = found["items"]
        return items

    def doctor(self, *arguments: str, case: str = "") -> dict[str, Any]:
        """What `kubbo doctor` prints as JSON; `case`: for the labelled set, see `vector`."""
        saving = ["--save", vector(case)] if case and MAKING_SET else []
        kubeconfig = self.plane.kubeconfig
        text = run_kubbo(
            "doctor", *arguments, "-o", "json", "--kubeconfig", kubeconfig, *saving, codes=(0, 1)
        )
        found: dict[str, Any] = json.loads(text)
        return found


def vector(case: str) -> Path:
    """The file of a case in the labelled set, which the run makes anew if `MAKING_SET`."""
    return VECTORS / f"{case}.on-a-node.json"


def manifests(*arguments: str | Path) -> str:
    """What `kubbo manifests` prints."""
    return run_kubbo("manifests", *arguments, "--image", IMAGE)


def run_kubbo(*arguments: str | Path, codes: Collection[int] = (0,)) -> str:
    """What `kubbo` prints, where the application can be imported."""
    run = subprocess.run(
        [sys.executable, "-m", "kubbo", *arguments],
        cwd=APPLICATION,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode not in codes:
        raise BedError(f"kubbo {arguments[0]}: {run.stderr}")
    return run.stdout
