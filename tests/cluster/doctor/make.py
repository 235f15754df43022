"""Makes the labelled set: every scenario on a real control plane, its bundle to tests/vectors.

tests/in-namespace .venv/bin/python -m tests.cluster.doctor.make [NAME...]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.cluster.bed import AddressBlock, ControlPlane
from tests.cluster.doctor import answering, broken, healthy
from tests.cluster.doctor.place import Place, start_scheduler
from tests.cluster.doctor.score import VECTORS, say
from tests.cluster.namespace import Namespace
from tests.testbed.processes import eventually

from kubbo.doctor.bundle import save
from kubbo.doctor.diagnose import diagnose

assert answering
assert healthy


async def make(plane: ControlPlane, name: str, directory: Path, number: int) -> str:
    """One scenario in a namespace of its own; what the doctor says of it."""
    slug = f"shop-{number}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": slug}}
    plane.call("POST", "/api/v1/namespaces", body)
    account = f"/api/v1/namespaces/{slug}/serviceaccounts/default"
    eventually(lambda: plane.request("GET", account).status == 200, "the account is there")
    taken: list[str] = []

    def address() -> str:
        taken.append(ADDRESSES.add())
        return taken[-1]

    own = directory / slug
    own.mkdir()
    place = Place(Namespace(plane, slug, own), address)
    try:
        await broken.SCENARIOS[name](place)
        bundle = await place.look(directory)
    finally:
        for one in taken:
            ADDRESSES.remove(one)
        plane.call("DELETE", f"/api/v1/namespaces/{slug}")
    VECTORS.mkdir(exist_ok=True)
    save(bundle, VECTORS / f"{name}.json")
    found = diagnose(bundle)
    return f"{found.verdict} {[cause.id for cause in found.causes]} {'; '.join(found.notes)[:150]}"


ADDRESSES = AddressBlock()


def main() -> int:
    wanted = [
        name
        for name in broken.SCENARIOS
        if not sys.argv[1:] or any(name.startswith(each) for each in sys.argv[1:])
    ]
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        plane = ControlPlane(directory)
        try:
            start_scheduler(plane)
            for number, name in enumerate(wanted):
                started = time.monotonic()
                try:
                    said = asyncio.run(make(plane, name, directory, number))
                except Exception:  # noqa: BLE001 - told, and the others are made all the same
                    failed += 1
                    said = traceback.format_exc(limit=-3)
                say(f"{name}: {said} ({time.monotonic() - started:.1f} s)")
        finally:
            plane.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
