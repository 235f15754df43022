"""The real kube-apiserver still does what the simulated one does.

Both are held to the same observations: here the real server, in tests/unit/sim the simulated
one. After a change of an operation, or of the version of Kubernetes, write them anew:

    KUBBO_RECORD=1 pytest tests/cluster/test_apiserver_conformance.py

and read the difference before committing it: it is what the simulation has to learn.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from tests.cluster.operations import OPERATIONS, Api

if TYPE_CHECKING:
    from tests.cluster.bed import ControlPlane
    from tests.cluster.namespace import Namespace

OBSERVATIONS = Path(__file__).parent.parent / "unit" / "sim" / "observations.json"
CONFIG_MAP = "kube-root-ca.crt"


class RealBed:
    """A namespace of the control plane, seen through aiohttp."""

    def __init__(self, namespace: Namespace, session: aiohttp.ClientSession) -> None:
        self._plane = namespace.control_plane
        token = namespace.identity("nobody").token
        self.api = Api(session, namespace.name, {})
        bare = aiohttp.ClientSession(
            self._plane.url,
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self._plane.ca)),
        )
        self.anonymous = bare
        self.nobody = Api(bare, namespace.name, {"Authorization": f"Bearer {token}"})
        self.stranger = Api(bare, namespace.name, {"Authorization": "Bearer unknown"})

    async def expire(self) -> None:
        """Compact etcd; only a new API server has forgotten what it had in memory."""

        def anew() -> None:
            self._plane.compact()
            self._plane.kill("kube-apiserver")
            self._plane.start("kube-apiserver")

        await asyncio.to_thread(anew)


def administrator(plane: ControlPlane) -> ssl.SSLContext:
    """TLS with a client certificate that may do everything."""
    certificate = plane.authority.issue("conformance", "/O=system:masters/CN=conformance")
    context = ssl.create_default_context(cafile=plane.ca)
    context.load_cert_chain(certificate.crt, certificate.key)
    return context


async def settled(api: Api) -> None:
    """Wait for what the controllers put into a new namespace, so that it is in no observation."""
    async with asyncio.timeout(30):
        while (await api.get("configmaps", CONFIG_MAP)).status != 200:  # noqa: ASYNC110 - not ours to hook into
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_the_real_server_gives_the_observations(name: str, namespace: Namespace) -> None:
    """What a client observes at kube-apiserver is what the simulation is built to give."""
    connector = aiohttp.TCPConnector(ssl=administrator(namespace.control_plane))
    async with aiohttp.ClientSession(namespace.control_plane.url, connector=connector) as session:
        bed = RealBed(namespace, session)
        async with bed.anonymous:
            await settled(bed.api)
            found = json.loads(json.dumps(await OPERATIONS[name](bed)))
    if os.environ.get("KUBBO_RECORD") == "1":
        known = json.loads(OBSERVATIONS.read_text()) if OBSERVATIONS.exists() else {}
        known = {operation: known.get(operation) for operation in OPERATIONS} | {name: found}
        OBSERVATIONS.write_text(json.dumps(known, indent=1) + "\n")
        pytest.fail("recorded, not tested: run again without KUBBO_RECORD", pytrace=False)
    assert found == json.loads(OBSERVATIONS.read_text())[name]
