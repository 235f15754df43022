"""From a target to its resolver: what consumers share, and what they must not."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Literal

import pytest
from tests.unit.naming.nameserver import SERVFAIL, NameServer, Reply

from kubbo.naming.open import NamingContext, open_resolver
from kubbo.naming.resolution import Failed, Members, Resolution
from kubbo.naming.target import parse_target
from kubbo.testing import check_resolver

if TYPE_CHECKING:
    from pathlib import Path

Family = Literal["IPv4", "IPv6"] | None


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """Of a cluster where nobody listens."""
    path = tmp_path / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "current-context": "there",
                "contexts": [{"name": "there", "context": {"cluster": "there"}}],
                "clusters": [{"name": "there", "cluster": {"server": "http://127.0.0.1:1"}}],
            }
        )
    )
    return path


async def test_snapshots_of_kubernetes_are_of_one_family(kubeconfig: Path, tmp_path: Path) -> None:
    """A consumer of IPv6 addresses does not start with the IPv4 ones of another."""

    async def name(family: Family) -> str:
        async with NamingContext(
            kubeconfig=kubeconfig, environ={}, snapshot_directory=tmp_path, family=family
        ) as context:
            published = await check_resolver(
                lambda: open_resolver(parse_target("kubernetes:///greeter.shop:dubbo"), context),
                until=lambda said: isinstance(said, Failed),
            )
        assert isinstance(published[-1], Failed)
        (file,) = re.findall(r"\w+\.snapshot", str(published[-1].steps))  # that is not there
        return file

    assert await name(None) == await name("IPv4")
    assert await name(None) != await name("IPv6")


async def test_snapshots_of_dns_are_of_one_family(tmp_path: Path) -> None:
    """What one consumer wrote is read by those alone that would have asked the same."""
    directory = tmp_path / "snapshots"
    async with NameServer({"greeter. A": Reply(("greeter. 300 IN A 10.0.0.1",))}) as server:

        async def started(family: Family, until: type[Resolution]) -> Resolution:
            async with NamingContext(
                environ={},
                nameservers=[server.address],
                snapshot_directory=directory,
                family=family,
            ) as context:
                resolver = open_resolver(parse_target("dns:///greeter.:1"), context)
                seen: asyncio.Queue[Resolution] = asyncio.Queue()
                watch = asyncio.create_task(resolver.watch(seen.put_nowait))
                try:
                    async with asyncio.timeout(30):
                        while not isinstance(said := await seen.get(), until):
                            pass
                        while not list(directory.glob("*.snapshot")):  # noqa: ASYNC110 - of a file
                            await asyncio.sleep(0.01)
                finally:
                    watch.cancel()
                    await asyncio.gather(watch, return_exceptions=True)
                return said

        await started("IPv4", Members)
        server.replies = {"greeter. A": SERVFAIL, "greeter. AAAA": SERVFAIL}
        read = await started(None, Members)
        assert isinstance(read, Members)
        assert read.stale_since is not None
        await started("IPv6", Failed)


def test_a_forked_child_shares_nothing() -> None:
    """The parent's watches go on in the parent alone; a child with the same context has its own,
    of DNS and of the API server, and does not wait for those."""
    script = """
import asyncio, os
from kubbo.naming import NamingContext, open_resolver, parse_target
context = NamingContext(nameservers=["127.0.0.1:1"], environ={})
resolver = lambda: open_resolver(parse_target("dns:///greeter.:1"), context)
async def said():
    seen = asyncio.Queue()
    watch = asyncio.create_task(resolver().watch(seen.put_nowait))
    found = [type(await seen.get()).__name__ for _ in range(2)]
    return watch, found
async def main():
    watch, found = await said()
    watches, services = context.watches(), context.services()
    child = os.fork()
    if child == 0:
        asyncio.events._set_running_loop(None)
        _, found = asyncio.new_event_loop().run_until_complete(said())
        mine = context.watches() is not watches and context.services() is not services
        os._exit(7 if mine and found == ["Pending", "Failed"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert context.watches() is watches
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    print(found)
asyncio.run(main())
"""
    # From 3.12 on Python warns of any fork beside threads; here it is what is under test.
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, *warnings, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['Pending', 'Failed']\n"
