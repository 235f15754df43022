"""The DNS resolver as the seam has it: a watch, with a real name server and hints."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.unit.naming.nameserver import SERVFAIL, NameServer, Reply

from kubbo.errors import ConfigError
from kubbo.model import Endpoint
from kubbo.naming.dns.resolver import DnsResolver
from kubbo.naming.dns.view import Answer, Found
from kubbo.naming.open import NamingContext, open_resolver
from kubbo.naming.resolution import Absent, Members, Pending, Resolution, hint_refresh
from kubbo.naming.target import DnsTarget, parse_target
from kubbo.testing import check_resolver

if TYPE_CHECKING:
    from kubbo.naming.resolution import Resolver

NAME = "greeter.shop."
TARGET = f"dns:///{NAME}:20880"


def records(*hosts: str, ttl: int = 300) -> Reply:
    return Reply(tuple(f"{NAME} {ttl} IN A {host}" for host in hosts))


def opened(server: NameServer) -> Resolver:
    context = NamingContext(environ={}, nameservers=[server.address], rng=random.Random(1))
    return open_resolver(parse_target(TARGET), context)


async def test_it_is_a_resolver() -> None:
    """It passes the checks that every resolver has to pass."""
    async with NameServer({f"{NAME} A": records("10.0.0.1", "10.0.0.2")}) as server:
        published = await check_resolver(
            lambda: opened(server), until=lambda said: isinstance(said, Members)
        )
    assert published[0] == Pending()


async def test_no_such_name_is_absent() -> None:
    """A healthy name server that knows no such name is believed at the start."""
    async with NameServer() as server:
        published = await check_resolver(
            lambda: opened(server), until=lambda said: isinstance(said, Absent)
        )
    assert isinstance(published[-1], Absent)
    assert NAME in published[-1].reason


async def test_a_hint_makes_it_look_again() -> None:
    """With a TTL of minutes, a connection that fails brings the new address within seconds."""
    async with NameServer({f"{NAME} A": records("10.0.0.1")}) as server:
        resolver = opened(server)
        seen: asyncio.Queue[Resolution] = asyncio.Queue()
        watch = asyncio.create_task(resolver.watch(seen.put_nowait))
        try:
            assert await seen.get() == Pending()
            assert addresses(await seen.get()) == {"10.0.0.1"}
            server.replies[f"{NAME} A"] = records("10.0.0.2")
            hint_refresh(resolver)
            assert addresses(await seen.get()) == {"10.0.0.2"}
            server.replies[f"{NAME} A"] = SERVFAIL
            hint_refresh(resolver)
            kept = await seen.get()
            assert addresses(kept) == {"10.0.0.2"}
            assert isinstance(kept, Members)
            assert kept.stale_since is not None
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


async def test_a_storm_of_hints_is_no_storm_of_questions() -> None:
    """Hints at any rate: the looks stay a second apart, by the loop's clock."""
    looked: list[float] = []
    loop = asyncio.get_running_loop()

    async def look() -> Answer:
        looked.append(loop.time())
        return Found((Endpoint("10.0.0.1", 1),), NAME, 0.0)

    resolver = DnsResolver(DnsTarget(NAME, 1), look, rng=random.Random(1))
    watch = asyncio.create_task(resolver.watch(lambda _: None))
    while len(looked) < 3:
        resolver.refresh()
        await asyncio.sleep(0.01)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert all(later - earlier >= 0.999 for earlier, later in itertools.pairwise(looked))
    resolver.refresh()  # of a resolver that is not watched: no error


def test_a_wrong_name_server_is_told_when_the_target_is_opened() -> None:
    """The mistake is in the consumer's settings, and is raised there."""
    context = NamingContext(environ={}, nameservers=["dns.example"])
    with pytest.raises(ConfigError, match="no name server"):
        open_resolver(parse_target(TARGET), context)


async def test_the_family_of_the_context() -> None:
    """What is said once for a consumer is so for its DNS targets too."""
    six = Reply((f"{NAME} 300 IN AAAA fd00::1",))
    async with NameServer({f"{NAME} A": records("10.0.0.1"), f"{NAME} AAAA": six}) as server:
        context = NamingContext(environ={}, nameservers=[server.address], family="IPv6")
        published = await check_resolver(
            lambda: open_resolver(parse_target(TARGET), context),
            until=lambda said: isinstance(said, Members),
        )
    assert addresses(published[-1]) == {"fd00::1"}


def addresses(said: Resolution) -> set[str]:
    assert isinstance(said, Members), said
    return {one.host for one in said.endpoints}


def test_importing_naming_loads_no_library() -> None:
    """A consumer of static addresses pays neither for DNS nor for HTTP."""
    code = (
        "import sys, kubbo.naming; "
        "print(sorted({'dns', 'aiohttp', 'yaml', 'msgspec'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
