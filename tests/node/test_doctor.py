"""`kubbo doctor` against what real kubelets say of deployments that cannot run.

All of broken.py is applied at once, each case in a namespace of its own, and every test waits for
the doctor's verdict on one.
"""

from __future__ import annotations

import asyncio
import http.server
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.node.broken import APP, CASES, REGISTRY
from tests.node.cluster import MAKING_SET, vector

from kubbo.doctor.bundle import Bundle, Subject, save
from kubbo.doctor.collect import collect
from kubbo.doctor.diagnose import diagnose
from kubbo.naming.kubernetes.client import ClusterClient
from kubbo.naming.kubernetes.credentials import load_access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.cluster import Cluster

    from kubbo.doctor.diagnose import Diagnosis

pytestmark = [
    pytest.mark.root(reason="runs real Kubernetes nodes, which needs root and namespaces"),
    pytest.mark.timeout(600),
]
WITHIN = 300.0
PLACES = {
    "Deployment": ("/apis/apps/v1", "deployments"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "RuntimeClass": ("/apis/node.k8s.io/v1", "runtimeclasses"),
    "Secret": ("/api/v1", "secrets"),
    "Service": ("/api/v1", "services"),
}


class Registry(http.server.BaseHTTPRequestHandler):
    """A registry that has no image; of those in `private` it does not even say that."""

    def do_GET(self) -> None:
        code = 401 if "/private/" in self.path else 200 if self.path == "/v2/" else 404
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - as the standard library calls it

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def registry() -> Iterator[None]:
    host, _, port = REGISTRY.partition(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Seen:
    """What the doctor has said of a case, one after the other; the last is of `bundle`."""

    verdicts: dict[str, Diagnosis] = field(default_factory=dict[str, "Diagnosis"])
    bundle: Bundle = field(default_factory=Bundle)

    def look(self, bundle: Bundle) -> str:
        """Note what it says of this one: the id of the first cause, or the verdict."""
        found = diagnose(bundle)
        said = found.causes[0].id if found.causes else found.verdict
        self.verdicts.pop(said, None)
        self.verdicts[said] = found
        self.bundle = bundle
        return said


@pytest.fixture(scope="module")
def seen(cluster: Cluster, registry: None) -> Iterator[dict[str, Seen]]:
    """All cases, looked at again and again until the doctor says what is expected."""
    cluster.nodes[1].break_network()
    try:
        with ThreadPoolExecutor(8) as threads:
            for made in [threads.submit(make, cluster, name) for name in CASES]:
                made.result()
        found = asyncio.run(look_at_all(cluster))
        for name, one in found.items():
            if hasty := one.verdicts.keys() - {label_of(name), "unknown", "healthy"}:
                cluster.told.append(f"the doctor said of {name} first: {', '.join(sorted(hasty))}")
        if MAKING_SET:
            for name, one in found.items():
                save(one.bundle, vector(name))
        yield found
    finally:
        cluster.nodes[1].mend_network()
        for name in CASES:  # they would go on crashing beside the tests that follow
            # Not `call`: it may never have been made.
            cluster.plane.request("DELETE", f"/api/v1/namespaces/{name.replace('.', '-')}")


def make(cluster: Cluster, name: str) -> None:
    """A namespace with the objects of a case."""
    namespace = name.replace(".", "-")
    cluster.namespace(namespace)
    for each in CASES[name].objects:
        prefix, plural = PLACES[each["kind"]]
        where = "" if each["kind"] == "RuntimeClass" else f"/namespaces/{namespace}"
        cluster.plane.call("POST", f"{prefix}{where}/{plural}", each)


async def look_at_all(cluster: Cluster) -> dict[str, Seen]:
    """Look at each case until its label is the first cause, or it has had its time."""
    access = await asyncio.to_thread(load_access, kubeconfig=cluster.plane.kubeconfig)
    seen = {name: Seen() for name in CASES}
    end = asyncio.get_running_loop().time() + WITHIN
    turn = asyncio.Semaphore(3)

    async def look_at(name: str, one: Seen) -> None:
        namespace = name.replace(".", "-")
        subject = Subject("deployment", APP, namespace, APP)
        while asyncio.get_running_loop().time() < end:
            async with turn, ClusterClient(access) as client:
                bundle = await collect(client, subject)
            if one.look(bundle) == label_of(name) and is_shown(name, one.verdicts):
                return
            await asyncio.sleep(0.5)

    await asyncio.gather(*(look_at(name, one) for name, one in seen.items()))
    return seen


def is_shown(name: str, verdicts: dict[str, Diagnosis]) -> bool:
    """Whether the right cause has the evidence that it has to have."""
    causes = verdicts[label_of(name)].causes
    return not causes or any(CASES[name].evidence in each for each in causes[0].evidence)


def label_of(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("name", CASES)
def test_the_first_cause_is_the_right_one(seen: dict[str, Seen], name: str) -> None:
    """The doctor comes to the right cause, with the evidence.

    That it names no other one before depends on how busy the machine is, so that is only told;
    what was wrong once is in tests/unit/doctor/test_kubelets.py.
    """
    verdicts, label = seen[name].verdicts, label_of(name)
    assert label in verdicts, verdicts
    assert is_shown(name, verdicts), verdicts[label]
