"""Fixtures of two real nodes: started once a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.node.cluster import Cluster
from tests.testbed import machine

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLUSTER = pytest.StashKey[Cluster]()


@pytest.fixture(scope="session")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """A control plane and two nodes, `cluster.nodes`."""
    if missing := machine.missing():
        pytest.fail(machine.told(missing), pytrace=False)
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    request.config.stash[_CLUSTER] = made
    yield made
    made.close()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how long it took, for information only."""
    if cluster := config.stash.get(_CLUSTER, None):
        times = cluster.plane.processes.times
        line = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
        terminalreporter.line(f"nodes up: {line}")
        for told in cluster.told:
            terminalreporter.line(told)
