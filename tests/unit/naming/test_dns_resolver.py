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
from kubbo.naming.dns.view import Answer, Found, Nothing, Unanswered
from kubbo.naming.open import NamingContext, open_resolver
from kubbo.naming.resolution import (
    Absent,
    Failed,
    Members,
    Pending,
    Resolution,
    hint_refresh,
)
from kubbo.naming.target import DnsTarget, parse_target
from kubbo.sim.loop import SimLoop, run
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


class Look:
    """A lookup that says what the test says, after `takes` seconds, and notes when it was asked."""

    def __init__(self, *answers: Answer, takes: float = 0.0) -> None:
        self.answers = itertools.chain(answers, itertools.repeat(answers[-1]))
        self.takes = takes
        self.asked = 0
        self.at: list[float] = []

    async def __call__(self) -> Answer:
        self.at.append(asyncio.get_running_loop().time())
        answer = next(self.answers)
        self.asked = answer.asked
        await asyncio.sleep(self.takes)
        return answer

    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in itertools.pairwise(self.at)]


async def test_a_storm_of_hints_is_no_storm_of_questions() -> None:
    """Hints at any rate: the looks stay a second apart, by the loop's clock."""
    look = Look(Found((Endpoint("10.0.0.1", 1),), NAME, 0.0))
    resolver = DnsResolver(DnsTarget(NAME, 1), look, rng=random.Random(1))
    watch = asyncio.create_task(resolver.watch(lambda _: None))
    while len(look.at) < 3:
        resolver.refresh()
        await asyncio.sleep(0.01)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert min(look.gaps()) >= 0.999
    resolver.refresh()  # of a resolver that is not watched: no error


class Watchers:
    """Watches of one resolver, in virtual time."""

    def __init__(self, look: Look) -> None:
        self.resolver = DnsResolver(DnsTarget(NAME, 1), look, rng=random.Random(1))
        self.tasks: list[asyncio.Task[None]] = []

    def watch(self) -> list[Resolution]:
        said: list[Resolution] = []
        self.tasks.append(asyncio.create_task(self.resolver.watch(said.append)))
        return said

    async def end(self, number: int) -> None:
        self.tasks[number].cancel()
        await asyncio.gather(self.tasks[number], return_exceptions=True)

    async def aclose(self) -> None:
        for number in range(len(self.tasks)):
            await self.end(number)


def found(host: str, *, ttl: float, asked: int = 1) -> Found:
    return Found((Endpoint(host, 1),), NAME, ttl, asked)


def test_five_references_ask_as_one() -> None:
    """At TTL 0 they ask once a second together, and each is told of every change; also when the
    one that asks ends."""
    look = Look(*(found(f"10.0.0.{number}", ttl=0.0) for number in range(1, 61)))

    async def main() -> None:
        watchers = Watchers(look)
        said = [watchers.watch() for _ in range(4)]
        await asyncio.sleep(20.5)
        said.append(watchers.watch())  # one who comes later begins with what is known
        await asyncio.sleep(0)
        assert said[4] == [Pending(), said[3][-1]]
        for number in range(4):
            await watchers.end(number)
            told = len(said[4])
            await asyncio.sleep(5.0)
            assert len(said[4]) > told
        await watchers.aclose()
        assert said[0] == said[1][: len(said[0])] == said[3][: len(said[0])]

    run(main(), loop=SimLoop())
    assert min(look.gaps()) >= 0.999


@pytest.mark.parametrize(
    "answer",
    [
        found("10.0.0.1", ttl=0.0),
        found("10.0.0.1", ttl=0.0, asked=4),
        Nothing("there is no such name", 0.0, 3),
        Unanswered("SERVFAIL", 2),
    ],
)
@pytest.mark.parametrize("takes", [0.0, 0.1, 5.0])
def test_who_begins_again_and_again_asks_no_faster(answer: Answer, takes: float) -> None:
    """A chain whose first source flaps starts and stops DNS at any rate: a lookup of n questions,
    given up or not, is followed by n seconds without one."""
    look = Look(answer, takes=takes)

    async def main() -> None:
        watchers = Watchers(look)
        for number in range(400):
            watchers.watch()
            await asyncio.sleep(0.15)
            await watchers.end(number)

    run(main(), loop=SimLoop())
    assert len(look.at) > 5
    assert min(look.gaps()) >= answer.asked - 0.001


def test_the_backoff_outlives_who_watches() -> None:
    """Name servers that do not answer are asked ever more rarely, whoever comes and goes."""
    look = Look(Unanswered("SERVFAIL"))

    async def main() -> None:
        watchers = Watchers(look)
        for number in range(1000):
            said = watchers.watch()
            await asyncio.sleep(0.15)
            await watchers.end(number)
            assert [type(one) for one in said[:2]] == [Pending, Failed]  # it is not waited for

    run(main(), loop=SimLoop())
    gaps = look.gaps()
    assert gaps == sorted(gaps)
    assert len(gaps) < 10


def test_who_comes_later_is_told_nothing_old() -> None:
    """An answer is good for its TTL; then it is forgotten."""
    look = Look(found("10.0.0.1", ttl=100.0), Unanswered("SERVFAIL"))

    async def main() -> None:
        watchers = Watchers(look)
        watchers.watch()
        await asyncio.sleep(1.0)
        await watchers.end(0)
        await asyncio.sleep(90.0)
        within = watchers.watch()
        await asyncio.sleep(0.1)
        await watchers.end(1)
        assert [type(one) for one in within] == [Pending, Members]
        await asyncio.sleep(1000.0)
        after = watchers.watch()
        await asyncio.sleep(0.1)
        await watchers.end(2)
        assert [type(one) for one in after] == [Pending, Failed]

    run(main(), loop=SimLoop())


def test_a_hint_of_any_reference_makes_all_look_again() -> None:
    """They share the resolver, so they share the hints."""
    look = Look(found("10.0.0.1", ttl=300.0), found("10.0.0.2", ttl=300.0))

    async def main() -> None:
        watchers = Watchers(look)
        said = [watchers.watch() for _ in range(2)]
        await asyncio.sleep(10.0)
        hint_refresh(watchers.resolver)
        await asyncio.sleep(2.0)
        assert [addresses(each[-1]) for each in said] == [{"10.0.0.2"}] * 2
        await watchers.aclose()

    run(main(), loop=SimLoop())


def test_another_loop_watches_later() -> None:
    """A context may outlive the loop in which it was used first."""
    look = Look(found("10.0.0.1", ttl=0.0))
    resolver = DnsResolver(DnsTarget(NAME, 1), look, rng=random.Random(1))

    async def watched(lookups: int) -> None:
        watches = [asyncio.create_task(resolver.watch(lambda _: None)) for _ in range(2)]
        async with asyncio.timeout(30):
            while len(look.at) < lookups:  # noqa: ASYNC110 - of a fake
                await asyncio.sleep(0.01)
        for watch in watches:
            watch.cancel()
        assert {type(end) for end in await asyncio.gather(*watches, return_exceptions=True)} == {
            asyncio.CancelledError
        }

    for lookups in (1, 2):
        asyncio.run(watched(lookups))


async def test_references_of_one_context_share_the_questions() -> None:
    """Five watches of one target: one lookup at the start, and all have its answer."""
    async with NameServer({f"{NAME} A": records("10.0.0.1")}) as server:
        context = NamingContext(environ={}, nameservers=[server.address])
        said: list[asyncio.Queue[Resolution]] = [asyncio.Queue() for _ in range(5)]
        watches = [
            asyncio.create_task(open_resolver(parse_target(TARGET), context).watch(one.put_nowait))
            for one in said
        ]
        try:
            for one in said:
                assert await one.get() == Pending()
                assert addresses(await one.get()) == {"10.0.0.1"}
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
        assert server.asked == [f"{NAME} A"]


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
