"""The simulated API server gives the observations of the real one.

observations.json was written by tests/cluster/test_apiserver_conformance.py from kube-apiserver
1.35, and that test still holds the real server to it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.cluster.operations import OPERATIONS, Api

from kubbo.sim.apiserver import ApiServer, Rule, Store
from kubbo.sim.endpointslices import EndpointSliceController

OBSERVATIONS: dict[str, Any] = json.loads((Path(__file__).parent / "observations.json").read_text())
NAMESPACE = "conformance"


class SimulatedBed:
    """The simulated server, strict where the real one is."""

    def __init__(self, server: ApiServer, session: aiohttp.ClientSession) -> None:
        self._server = server
        server.access.grant("admin", "admin", Rule("*", "*"))
        server.access.grant("nobody", "nobody")
        self.api, self.nobody, self.stranger = (
            Api(session, NAMESPACE, {"Authorization": f"Bearer {token}"})
            for token in ("admin", "nobody", "unknown")
        )

    async def expire(self) -> None:
        """Forget the history, as compaction and a restart do."""
        await self._server.stop(abrupt=True)
        await self._server.start()


@pytest.mark.parametrize("name", OPERATIONS)
async def test_the_simulated_server_gives_the_observations(name: str) -> None:
    """A client cannot tell the simulated API server from kube-apiserver by this operation."""
    store = Store(implicit_namespaces=False)
    async with (
        ApiServer(store) as server,
        EndpointSliceController(store),
        aiohttp.ClientSession(server.url) as session,
    ):
        store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        found = await OPERATIONS[name](SimulatedBed(server, session))
    assert json.loads(json.dumps(found)) == OBSERVATIONS[name]


def test_every_observation_belongs_to_an_operation() -> None:
    """Nothing is kept that nobody compares any more, and nothing is left to be recorded."""
    assert list(OBSERVATIONS) == list(OPERATIONS)
    assert all(OBSERVATIONS.values())
