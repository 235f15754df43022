"""The failover resolver: sources are started and stopped, and one at a time is published."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import TYPE_CHECKING, Self

import pytest

from kubbo.errors import ConfigError, TargetError
from kubbo.model import Endpoint, ServiceKey
from kubbo.naming.chain import Failover
from kubbo.naming.failover import FailoverResolver
from kubbo.naming.mapped import MappedResolver
from kubbo.naming.open import NamingContext, open_resolver
from kubbo.naming.resolution import Absent, Failed, Members, Pending, Resolution, hint_refresh
from kubbo.naming.target import parse_target
from kubbo.testing import check_resolver

if TYPE_CHECKING:
    from kubbo.naming.resolution import Publish

A, B = (Members((Endpoint(f"10.0.{n}.1", 20880),)) for n in (0, 1))
SOON = Failover(grace=0.0, patience=0.05, hold=0.05)


class Source:
    """A resolver that says what the test says; `watched` counts its lives."""

    def __init__(self, *first: Resolution | Exception) -> None:
        self.first = first
        self.watched = 0
        self.hints = 0
        self.say: Publish | None = None
        self.stopped = asyncio.Event()

    async def watch(self, publish: Publish, /) -> None:
        self.watched += 1
        self.say = publish
        self.stopped.clear()
        try:
            for said in self.first:
                if isinstance(said, Exception):
                    raise said
                publish(said)
            await asyncio.Event().wait()
        finally:
            self.stopped.set()

    def refresh(self) -> None:
        self.hints += 1


class Watched:
    """A failover resolver over sources, and the queue of what it published."""

    def __init__(self, *sources: Source, options: Failover = SOON) -> None:
        named = [(f"source {number}", source) for number, source in enumerate(sources)]
        self.resolver = FailoverResolver(named, options)
        self.said: asyncio.Queue[Resolution] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.resolver.watch(self.said.put_nowait))
        assert await self.said.get() == Pending()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def hosts(self) -> set[str]:
        said = await self.said.get()
        assert isinstance(said, Members), said
        return {endpoint.host for endpoint in said.endpoints}


async def test_it_is_a_resolver() -> None:
    """It passes the checks that every resolver has to pass, with a source that fails."""
    await check_resolver(
        lambda: FailoverResolver(
            [("first", Source(Failed(OSError("refused")))), ("second", Source(A))], SOON
        ),
        until=lambda said: isinstance(said, Members),
    )


async def test_static_sources_from_a_target() -> None:
    """`A | B` is opened as it is written; a first source that answers is the only one."""
    resolver = open_resolver(
        parse_target("static:///10.0.0.1:1 | static:///10.0.0.2:1"), NamingContext(environ={})
    )
    published = await check_resolver(lambda: resolver, until=lambda one: one != Pending())
    assert [one for one in published if isinstance(one, Members)] == [published[-1]]
    assert isinstance(published[-1], Members)
    assert published[-1].endpoints[0].host == "10.0.0.1"


async def test_the_next_source_is_started_when_the_first_fails() -> None:
    """And not before; the first goes on trying meanwhile."""
    first, second = Source(A), Source(B)
    async with Watched(first, second) as chain:
        assert await chain.hosts() == {"10.0.0.1"}
        assert second.watched == 0
        assert first.say is not None
        first.say(Failed(OSError("gone")))
        assert isinstance(await chain.said.get(), Failed | Pending)
        assert await chain.hosts() == {"10.0.1.1"}
        assert not first.stopped.is_set()


async def test_the_first_is_taken_back_and_the_second_stopped() -> None:
    """Once, after the hold; a later failure gives the second a new life."""
    first, second = Source(Failed(OSError("refused"))), Source(B)
    async with Watched(first, second) as chain:
        assert await chain.hosts() == {"10.0.1.1"}
        assert first.say is not None
        first.say(A)
        assert await chain.hosts() == {"10.0.0.1"}
        await second.stopped.wait()
        first.say(Failed(OSError("gone again")))
        assert await chain.said.get() == Pending()
        assert await chain.hosts() == {"10.0.1.1"}
        assert (first.watched, second.watched) == (1, 2)


async def test_a_source_that_is_silent_is_not_waited_for_for_ever() -> None:
    """Its patience is timed by the resolver."""
    async with Watched(Source(), Source(B)) as chain:
        assert await chain.hosts() == {"10.0.1.1"}


async def test_a_change_is_published_in_the_turn_in_which_it_came() -> None:
    """No call goes out on a view that is known to be old."""
    first = Source(A)
    async with Watched(first) as chain:
        assert await chain.hosts() == {"10.0.0.1"}
        assert first.say is not None
        first.say(Absent("scaled to zero"))
        assert chain.said.get_nowait() == Absent("scaled to zero")


async def test_a_source_with_a_bug_is_one_that_cannot_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The next one is used, and the bug is logged with its stack."""
    async with Watched(Source(ZeroDivisionError("bug")), Source(B)) as chain:
        assert await chain.hosts() == {"10.0.1.1"}
    assert any(record.exc_info for record in caplog.records)


async def test_switches_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads the log knows since when calls go by another source."""
    caplog.set_level("INFO", logger="kubbo.naming")
    first = Source(Failed(OSError("refused")))
    async with Watched(first, Source(B)) as chain:
        await chain.hosts()
        assert first.say is not None
        first.say(A)
        await chain.hosts()
    assert [record.message for record in caplog.records] == [
        "source 1 is used now: source 0 cannot answer: refused",
        "source 0 is used again",
    ]


async def test_the_end_is_no_switch(caplog: pytest.LogCaptureFixture) -> None:
    """What a source says while the watch ends is neither logged nor published."""

    class Late(Source):
        async def watch(self, publish: Publish, /) -> None:
            try:
                await super().watch(publish)
            finally:
                publish(B)

    caplog.set_level("INFO", logger="kubbo.naming")
    async with Watched(Late(Failed(OSError("refused"))), Late(A)) as chain:
        await chain.hosts()
    assert chain.said.empty()
    assert len(caplog.records) == 1


async def test_hints_go_to_the_source_in_use() -> None:
    """A connection that failed concerns whoever named the provider."""
    first, second = Source(Failed(OSError("refused"))), Source(B)
    async with Watched(first, second) as chain:
        hint_refresh(chain.resolver)
        await chain.hosts()
        hint_refresh(chain.resolver)
    assert second.hints == 1
    assert first.hints == 0


async def test_a_service_key_that_leads_to_a_chain() -> None:
    """The funnel has both: how the target was found, and which of its sources is used."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:  # nobody answers there
        bound.bind(("127.0.0.1", 0))
        name_server = f"127.0.0.1:{bound.getsockname()[1]}"
    chain = "dns:///greeter.shop.:20880 | static:///10.0.0.1:1"
    context = NamingContext(
        environ={"KUBBO_TARGETS": f"com.example.A={chain}"}, nameservers=[name_server]
    )
    resolver = MappedResolver(ServiceKey("com.example.A"), context)
    hint_refresh(resolver)  # before it is watched: nobody to tell, no error
    published = await check_resolver(lambda: resolver, until=lambda said: isinstance(said, Members))
    members = published[-1]
    assert isinstance(members, Members)
    assert [step.note for step in members.steps] == [
        f"com.example.A -> {chain} (environment)",
        members.steps[1].note,
    ]
    assert re.fullmatch(
        r"static:///10\.0\.0\.1:1, because dns:///greeter\.shop\.:20880 cannot answer: DNS .+",
        members.steps[1].note,
    )


def test_options_for_one_target() -> None:
    """A mapping has options by target, in any form that reads as that target."""
    special = Failover(grace=5.0)
    context = NamingContext(
        environ={}, failover={"kubernetes:///a/shop/dubbo|static:///10.0.0.1:1": special}
    )
    one = parse_target("kubernetes:///a.shop:dubbo | static:///10.0.0.1:1")
    assert context.failover(one) is special
    assert context.failover(parse_target("static:///h:1 | static:///h:2")) == Failover()
    with pytest.raises(TargetError):
        NamingContext(environ={}, failover={"greeter": special})
    with pytest.raises(ConfigError, match="do nothing: this is one source"):
        NamingContext(environ={}, failover={"static:///10.0.0.1:1": special})


def test_options_for_all_targets() -> None:
    """One value is for every target."""
    special = Failover(grace=5.0)
    context = NamingContext(environ={}, failover=special)
    assert context.failover(parse_target("static:///h:1 | static:///h:2")) is special
