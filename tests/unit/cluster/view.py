"""Directories over connections that do what a test tells them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from kubbo.cluster.directory import Directory
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.naming.resolution import Publish

CALL = Invocation(ServiceKey("com.example.GreetService"), Signature("greet"), (), Deadline(1.0))


class Line:
    """A dialer whose state is set from outside."""

    def __init__(self, endpoint: Endpoint, state: State) -> None:
        self.endpoint = endpoint
        self.state = state
        self.reason = "Connection refused"
        self.subscribers: set[Callable[[], None]] = set()

    def become(self, state: State) -> None:
        self.state = state
        for subscriber in tuple(self.subscribers):
            subscriber()


class Lines(dict[tuple[str, int], Line]):
    """The dialers that are held, by address; new ones are `next_state`."""

    next_state = State.READY

    def acquire(self, endpoint: Endpoint) -> Line:
        line = self[endpoint.key] = Line(endpoint, self.next_state)
        return line

    def release(self, line: Line) -> None:
        del self[line.endpoint.key]


class Silent:
    """A resolver that says nothing: tests publish themselves."""

    async def watch(self, publish: Publish, /) -> None:
        await asyncio.Event().wait()


def directory(**options: Any) -> tuple[Directory, Lines]:
    lines = Lines()
    return Directory("static:///x:1", Silent(), cast("Any", lines), **options), lines


def endpoints(count: int, first: int = 0, **fields: Any) -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 20880, **fields)
        for n in range(first, first + count)
    )
