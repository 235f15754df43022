"""The same channel for code that is not asynchronous.

    with kubbo.blocking.Channel() as channel:
        greeter = channel.refer(GreetService, "kubernetes:///greeter.shop:dubbo")
        print(greeter.greet(User(1, "Ann")))

There is no second implementation: one thread of this process owns an event loop, and the
asynchronous channel runs there. For a type checker to know that a method returns its value
itself, declare the interface with plain `def`; at run time either form will do.

Any thread may call. After a fork the child has no loop thread and no connections: its
channels are made anew when the child first uses them, and the parent's stay the parent's.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast

from kubbo.errors import UsageError
from kubbo.rpc.channel import Channel as AsyncChannel
from kubbo.rpc.service import read_interface
from kubbo.rpc.stub import options as async_options

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from kubbo.config import Parameter
    from kubbo.model import ServiceKey, Value
    from kubbo.rpc.channel import ReferOptions

__all__ = ["Channel", "GenericReference", "options"]

T = TypeVar("T")


class _LoopThread:
    """The event loop of this process's blocking channels, in a thread of its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="kubbo-blocking", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine to its end; an interrupt (Ctrl-C) cancels it."""
        if threading.current_thread() is self._thread:
            raise UsageError("a blocking channel was used inside its own event loop")
        # The caller's context variables are seen by the call (tracing, the call being served).
        future = contextvars.copy_context().run(self._submit, make)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _submit(self, make: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(make(), self._loop)

    def stop(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class _Threads:
    """The loop thread, made when the first channel needs it, ended with the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: _LoopThread | None = None
        self._users = 0
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        # The lock may have been held by a thread that the child does not have.
        self._lock = threading.Lock()
        self._thread = None
        self._users = 0

    def acquire(self) -> _LoopThread:
        """The loop thread of this process."""
        with self._lock:
            if self._thread is None:
                self._thread = _LoopThread()
            self._users += 1
            return self._thread

    def release(self, thread: _LoopThread) -> None:
        """Give it back; the last one to do so ends it."""
        with self._lock:
            if thread is not self._thread:
                return
            self._users -= 1
            if self._users:
                return
            self._thread = None
        thread.stop()


_THREADS = _Threads()

_PARENTS: list[_Live] = []
"""What a forked child has of its parent's channels. Collecting it would end the parent's loop
and sockets in ways that the parent can feel; it is kept until the child ends.
"""


class _Live:
    """What a channel has in one process: its loop thread and the asynchronous channel."""

    def __init__(self, make: Callable[[], AsyncChannel]) -> None:
        self.pid = os.getpid()
        self.thread = _THREADS.acquire()
        self.stubs: dict[object, Any] = {}
        try:
            self.channel = self.thread.run(partial(_enter, make))
        except BaseException:
            _THREADS.release(self.thread)
            raise

    def close(self) -> None:
        self.thread.run(self.channel.aclose)
        _THREADS.release(self.thread)


async def _enter(make: Callable[[], AsyncChannel]) -> AsyncChannel:
    return await make().__aenter__()


class Channel:
    """See `kubbo.Channel`, whose arguments it takes. Use it by `with`; any thread may call."""

    def __init__(self, **arguments: Any) -> None:
        self._make = partial(AsyncChannel, **arguments)
        self._make()  # wrong arguments are told here, not in the other thread
        self._lock = threading.Lock()
        self._live: _Live | None = None
        self._entered = False

    def __enter__(self) -> Self:
        self._entered = True
        self.live()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def live(self) -> _Live:
        """What this process has of the channel, made anew after a fork."""
        live = self._live
        if live is not None and live.pid == os.getpid():
            return live
        if not self._entered:
            raise UsageError('enter the channel first: "with kubbo.blocking.Channel() as channel:"')
        if live is not None:
            _PARENTS.append(live)
            self._lock = threading.Lock()
        with self._lock:
            if self._live is None or self._live.pid != os.getpid():
                self._live = _Live(self._make)
            return self._live

    def refer(
        self,
        interface: Callable[..., T],
        target: str | None = None,
        **given: Unpack[ReferOptions],
    ) -> T:
        """See `kubbo.Channel.refer`; the methods of the object return their values.

        What is given to run (filters, a fallback) runs in the loop thread.
        """
        read = read_interface(interface)

        def make(channel: AsyncChannel) -> Any:
            return channel.refer(interface, target, **given)

        methods = {name: _stub_method(name) for name in read.methods}
        simple = read.key.interface.rpartition(".")[2]
        cls = type(f"Blocking{simple}Stub", (Stub,), {"__slots__": (), **methods})
        stub = cls(self, make)
        stub.kubbo_stub()  # a wrong target is told now
        return cast("T", stub)

    def generic(
        self,
        service: str | ServiceKey,
        target: str | None = None,
        *,
        types: Sequence[type] = (),
        generic: str | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        attachments: Mapping[str, Value] | None = None,
    ) -> GenericReference:
        """See `kubbo.Channel.generic`."""

        def make(channel: AsyncChannel) -> Any:
            return channel.generic(
                service,
                target,
                types=types,
                generic=generic,
                timeout=timeout,
                retries=retries,
                attachments=attachments,
            )

        reference = GenericReference(self, make)
        reference.kubbo_stub()  # a wrong target is told now
        return reference

    def close(self) -> None:
        """Close every watch and connection."""
        live, self._live = self._live, None
        self._entered = False
        if live is not None and live.pid == os.getpid():
            live.close()


class Stub:
    """Runs an asynchronous stub's methods in the loop thread, in whatever process it is."""

    __slots__ = ("kubbo_channel", "kubbo_given", "kubbo_make")

    def __init__(
        self,
        channel: Channel,
        make: Callable[[AsyncChannel], Any],
        given: Mapping[str, Any] | None = None,
    ) -> None:
        self.kubbo_channel = channel
        self.kubbo_make = make
        self.kubbo_given = given or {}

    def kubbo_stub(self) -> tuple[_LoopThread, Any]:
        live = self.kubbo_channel.live()
        stub = live.stubs.get(self.kubbo_make)
        if stub is None:
            stub = live.thread.run(partial(_make_stub, self.kubbo_make, live.channel))
            live.stubs[self.kubbo_make] = stub
        if self.kubbo_given:
            stub = async_options(stub, **self.kubbo_given)
        return live.thread, stub


async def _make_stub(make: Callable[[AsyncChannel], Any], channel: AsyncChannel) -> Any:
    return make(channel)


def _stub_method(name: str) -> Any:
    def call(self: Stub, *args: Value, **kwargs: Value) -> Value:
        thread, stub = self.kubbo_stub()
        return thread.run(partial(getattr(stub, name), *args, **kwargs))

    call.__name__ = call.__qualname__ = name
    return call


class GenericReference(Stub):
    """See `kubbo.GenericReference`."""

    __slots__ = ()

    def call(
        self,
        method: str,
        *,
        types: Sequence[str] | None = None,
        args: Sequence[Value] = (),
        via: str | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        idempotent: bool | None = None,
        attachments: Mapping[str, Value] | None = None,
    ) -> Value:
        """See `kubbo.GenericReference.call`."""
        thread, reference = self.kubbo_stub()
        return thread.run(
            partial(
                reference.call,
                method,
                types=types,
                args=args,
                via=via,
                timeout=timeout,
                retries=retries,
                idempotent=idempotent,
                attachments=attachments,
            )
        )


def options(
    stub: T,
    *,
    timeout: float | None = None,
    retries: int | None = None,
    idempotent: bool | None = None,
    attachments: Mapping[str, Value] | None = None,
    cluster: str | None = None,
    loadbalance: str | None = None,
    parameters: Mapping[str, Parameter] | None = None,
) -> T:
    """See `kubbo.options`, for stubs of a blocking channel."""
    if not isinstance(stub, Stub) or isinstance(stub, GenericReference):
        raise UsageError(f"{stub!r} is no stub; pass what Channel.refer returned")
    given = {
        "timeout": timeout,
        "retries": retries,
        "idempotent": idempotent,
        "attachments": attachments,
        "cluster": cluster,
        "loadbalance": loadbalance,
        "parameters": parameters,
    }
    given = {
        **stub.kubbo_given,
        **{name: value for name, value in given.items() if value is not None},
    }
    changed = type(stub)(stub.kubbo_channel, stub.kubbo_make, given)
    changed.kubbo_stub()  # a number out of its range is told now
    return changed
