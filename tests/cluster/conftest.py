"""Fixtures of a real control plane: started once a run, one namespace a test.

Its state lies in pytest's temporary directory, which keeps the logs of the last runs.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.bed import AddressBlock, ControlPlane, CoreDNS
from tests.cluster.namespace import Namespace
from tests.testbed.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CONTROL_PLANE = pytest.StashKey[ControlPlane]()
_numbers = itertools.count(1)
_addresses = AddressBlock()


@pytest.fixture(scope="session")
def control_plane(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[ControlPlane]:
    """etcd, kube-apiserver and kube-controller-manager.

    A test that ends one of them starts it again; if it fails in between, the next test's
    `namespace` does.
    """
    plane = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    request.config.stash[_CONTROL_PLANE] = plane
    yield plane
    plane.close()


@pytest.fixture(scope="session")
def coredns(control_plane: ControlPlane) -> CoreDNS:
    """The cluster's name server; it ends with the control plane."""
    return CoreDNS(control_plane)


@pytest.fixture
def namespace(
    control_plane: ControlPlane, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Namespace]:
    """A fresh namespace named after the test, deleted at its end without waiting."""
    control_plane.processes.revive()
    slug = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    name = f"{slug[:40].strip('-')}-{next(_numbers)}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    control_plane.call("POST", "/api/v1/namespaces", manifest)
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    eventually(  # pods are refused before
        lambda: control_plane.request("GET", account).status == 200,
        f"namespace {name} has a default ServiceAccount",
    )
    yield Namespace(control_plane, name, tmp_path)
    control_plane.processes.revive()
    control_plane.call("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def provider_address() -> Iterator[Callable[[], str]]:
    """A function whose every call puts a new 10.244.x.y on `lo` and returns it.

    The addresses go at the end of the test. Needs root, and marks the test so.
    """
    taken: list[str] = []

    def take() -> str:
        taken.append(_addresses.add())
        return taken[-1]

    yield take
    for address in taken:
        _addresses.remove(address)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how long the control plane took, for information only."""
    if plane := config.stash.get(_CONTROL_PLANE, None):
        times = {"certificates": plane.certificates_time, **plane.processes.times}
        line = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
        terminalreporter.line(f"test bed up: {line}")
