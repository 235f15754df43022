"""Type-checked by mypy and pyright in their strict modes, never run.

A stub is the interface that it was made from: what its methods take and give is checked, and
`options` keeps it. Each `type: ignore` here is a mistake that both checkers must report: were
one of them silent, the comment itself would be an error (mypy's warn_unused_ignores, and
pyright's reportUnnecessaryTypeIgnoreComment).
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, assert_type

import kubbo
from kubbo import blocking
from kubbo.cluster.routing import Consumer, parse_text
from kubbo.java import Array, Int, Long  # noqa: TC001 - as users write it
from kubbo.model import Handler, Invocation, Result  # noqa: TC001 - as users write it
from kubbo.rpc.traffic import Fault, Mirror

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from kubbo.cluster.member import Member


@kubbo.pojo("com.example.User")
@dataclass
class User:
    id: Long
    name: str
    scores: Array[Int]


@kubbo.pojo("com.example.BizException")
class BizError(Exception):
    code: int


@kubbo.service("com.example.GreetService", version="1.0.0", types=[User])
class GreetService(Protocol):
    @kubbo.method(idempotent=True, timeout=0.5)
    async def greet(self, user: User) -> str: ...

    async def find(self, name: str, limit: int = 10) -> list[User]: ...

    @kubbo.method(name="find", throws=[BizError])
    async def find_one(self, id: Long) -> User | None: ...  # noqa: A002 - Java's name

    @kubbo.method(oneway=True)
    async def log(self, text: str) -> None: ...


@kubbo.service("com.example.GreetService", version="1.0.0")
class PlainGreetService(Protocol):
    """The same for code that is not asynchronous."""

    def greet(self, user: User) -> str: ...

    def find(self, name: str, limit: int = 10) -> list[User]: ...


class Greeter:
    """An implementation needs no base class."""

    async def greet(self, user: User) -> str:
        return user.name

    async def find(self, name: str, limit: int = 10) -> list[User]:
        return [User(limit, name, [])]

    async def find_one(self, id: Long) -> User | None:  # noqa: A002 - Java's name
        return User(id, "", [1])

    async def log(self, text: str) -> None:
        call = kubbo.current_call()
        assert_type(call, kubbo.CallContext | None)
        if call is not None:
            assert_type(call.service, kubbo.ServiceKey)
            call.response_attachments["text"] = text


class Audit:
    """A filter is any callable of this shape."""

    async def __call__(self, invocation: Invocation, proceed: Handler, /) -> Result:
        return await proceed(invocation)


async def trace(invocation: Invocation, proceed: Handler) -> Result:
    """And so is a function."""
    assert_type(invocation.method, str)
    return await proceed(invocation)


async def consume() -> None:
    """A stub is the interface."""
    async with kubbo.Channel(timeout=1.0, filters=[Audit(), trace]) as channel:
        assert_type(channel, kubbo.Channel)
        greeter = channel.refer(GreetService, "kubernetes:///greeter.shop:dubbo", retries=1)
        assert_type(greeter, GreetService)

        user = User(1, "Ann", [1, 2])
        assert_type(await greeter.greet(user), str)
        assert_type(await greeter.find("Ann"), list[User])
        assert_type(await greeter.find("Ann", limit=5), list[User])
        assert_type(await greeter.find_one(5), User | None)
        await greeter.log("text")

        patient = kubbo.options(greeter, timeout=3.0, attachments={"tag": "gray"})
        assert_type(patient, GreetService)
        assert_type(await patient.greet(user), str)


async def mistakes() -> None:
    """What a checker must refuse."""
    async with kubbo.Channel() as channel:
        greeter = channel.refer(GreetService)
        await greeter.greet("Ann")  # type: ignore[arg-type]
        await greeter.greet()  # type: ignore[call-arg]
        await greeter.find("Ann", limit="5")  # type: ignore[arg-type]
        await greeter.find("Ann", 5, 6)  # type: ignore[call-arg]
        await greeter.nope()  # type: ignore[attr-defined]
        number: int = await greeter.greet(User(1, "Ann", []))  # type: ignore[assignment]
        kubbo.options(greeter, timeout="3")  # type: ignore[arg-type]
        kubbo.options(greeter, patience=3.0)  # type: ignore[call-arg]
        channel.refer(GreetService, timeout="3")  # type: ignore[arg-type]
        wrong: PlainGreetService = greeter  # type: ignore[assignment]
        User("1", "Ann", [])  # type: ignore[arg-type]
        del number, wrong


async def generic() -> None:
    """A generic reference has one method, whose values nobody knows."""
    async with kubbo.Channel() as channel:
        reference = channel.generic("com.example.GreetService:1.0.0", types=[User])
        assert_type(reference, kubbo.GenericReference)
        await reference.call("find", types=["java.lang.String", "int"], args=["Ann", 5])
        await reference.call("find", types="int")
        await reference.call("find", args=5)  # type: ignore[arg-type]


def consume_blocking() -> None:
    """Declared with plain `def`, the methods of a blocking stub give their values themselves."""
    with blocking.Channel(timeout=1.0) as channel:
        assert_type(channel, blocking.Channel)
        greeter = channel.refer(PlainGreetService, "static:///127.0.0.1:20880")
        assert_type(greeter, PlainGreetService)
        assert_type(greeter.greet(User(1, "Ann", [])), str)
        assert_type(blocking.options(greeter, timeout=3.0).find("Ann"), list[User])
        greeter.greet("Ann")  # type: ignore[arg-type]


class Odd:
    """A router of a user's own: calls with an even number go to even ports."""

    name = "odd"

    def classify(self, invocation: Invocation) -> Hashable:
        return invocation.arguments[0] % 2 if invocation.arguments else None

    def narrow(self, members: Sequence[Member], kind: Hashable) -> tuple[Member, ...]:
        return tuple(each for each in members if kind in (None, each.endpoint.port % 2))


async def route() -> None:
    """Rules are routers, next to a user's own; filters of traffic go with a reference."""
    rules = parse_text("conditions: []", source="rules.yaml", consumer=Consumer(zone="a"))
    async with kubbo.Channel(routers=[*rules, Odd()]) as channel:
        shadow = channel.refer(GreetService, "dns:///shadow:20880")
        greeter = channel.refer(
            GreetService,
            "dns:///greeter:20880",
            filters=[Mirror(shadow, percent=10), Fault(abort=kubbo.Code.UNAVAILABLE)],
            routers=[Odd()],
        )
        assert_type(greeter, GreetService)
        channel.refer(GreetService, routers=[shadow])  # type: ignore[list-item]


async def provide() -> None:
    """A server takes any object; the interface says what it must have."""
    async with kubbo.Server(port=20880, filters=[Audit()]) as server:
        assert_type(server, kubbo.Server)
        server.export(Greeter(), GreetService)
        server.export(Greeter(), "GreetService")  # type: ignore[arg-type]
        await server.serve_forever()


def implements() -> GreetService:
    """An implementation is what the interface says, to a checker as to the server."""
    return Greeter()


async def errors(greeter: GreetService) -> None:
    """An error says what failed and how far it got."""
    try:
        await greeter.greet(User(1, "Ann", []))
    except kubbo.RemoteException as error:
        assert_type(error.class_name, str)
        assert_type(error.cause, kubbo.RemoteException | None)
    except kubbo.RpcError as error:
        assert_type(error.code, kubbo.Code)
        assert_type(error.progress, kubbo.Progress)
        assert_type(error.endpoint, kubbo.Endpoint | None)
