"""An event loop whose time is virtual: asyncio code runs in it unchanged, years in seconds.

Nothing waits. When no callback is ready, the clock jumps to the next timer; when there is no
timer either, nothing can ever happen again, and the run ends with an error that names the tasks
that wait. Callbacks run in the order in which they were made, timers of one moment likewise, so
a run is a function of its inputs: who takes randomness from a seeded generator gets the same
run from the same seed. Three things of the process would break that and are kept out: sockets,
pipes, signals and subprocesses are refused; work for threads is done in the loop, at once; and
what comes from another thread is refused.

A loop that never goes idle would stand still in virtual time for ever. More callbacks within one
virtual second than any honest program makes are an error that names the callbacks.

`run` also proves that nothing outlives its owner: shortly after the main coroutine has ended, no
task, no timer, no transport and no listener may be left, and no exception unheard.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import sys
import threading
import weakref
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeAlias, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
    from contextvars import Context

__all__ = [
    "Deadlock",
    "Left",
    "Network",
    "RealWorldError",
    "SimLoop",
    "SimulationError",
    "Spinning",
    "run",
]

T = TypeVar("T")
_Ts = TypeVarTuple("_Ts")

START: Final = 1_000.0
"""Loop time at the beginning; not 0, which code could take for "never"."""

MOST_CALLBACKS: Final = 500_000
"""Callbacks within one virtual second above which a loop is taken to spin."""

SETTLE: Final = 1.0
"""Virtual seconds after the end of the main coroutine in which closed connections may end."""

COLLECT_EVERY: Final = 200_000
"""Callbacks between two collections of garbage: Python's own would come when they like, and what
they finalize would run in another order from run to run. They also cost a tenth of the time."""

_SAMPLED: Final = 1_000  # callbacks that are named when a loop spins
_CANCELLED: Final = 1_000  # timers that are dropped from the heap together

_Context: TypeAlias = dict[str, Any]
_Handler: TypeAlias = "Callable[[asyncio.AbstractEventLoop, _Context], object]"


class SimulationError(Exception):
    """The code under simulation, or its use of it, is wrong."""


class Deadlock(SimulationError):  # noqa: N818 - it is the field's word
    """Everybody waits and nothing can happen any more."""


class Spinning(SimulationError):  # noqa: N818 - what the loop does
    """The loop never goes idle, so virtual time stands still."""


class RealWorldError(SimulationError):
    """Something was asked for that a simulation does not have: sockets, pipes, processes."""


class Left(SimulationError):  # noqa: N818 - what it lists
    """Something outlived its owner."""


class Network(Protocol):
    """What connects the code in a loop; `kubbo.sim.net` has one."""

    async def create_connection(
        self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """See `asyncio.loop.create_connection`."""
        ...

    async def create_server(
        self, factory: Callable[[], asyncio.BaseProtocol], host: str | None, port: int
    ) -> asyncio.AbstractServer:
        """See `asyncio.loop.create_server`."""
        ...

    def create_datagram_endpoint(
        self, factory: Callable[[], asyncio.DatagramProtocol], remote: tuple[str, int]
    ) -> tuple[asyncio.DatagramTransport, asyncio.DatagramProtocol]:
        """See `asyncio.loop.create_datagram_endpoint`."""
        ...

    def lookup(self, host: str) -> list[str]:
        """The addresses of a name. Raises socket.gaierror when there are none."""
        ...

    def left_open(self) -> list[str]:
        """What is open now, for a person to read."""
        ...


class SimLoop(asyncio.AbstractEventLoop):
    """See the head of the module. `callbacks` counts those that ran."""

    def __init__(self, *, start: float = START, most_callbacks: int = MOST_CALLBACKS) -> None:
        """`start` is the first loop time; `most_callbacks` is for one virtual second."""
        self.network: Network | None = None
        self.callbacks = 0
        self.unheard: list[str] = []
        """What the loop's exception handler was told."""
        self._now = start
        self._most_callbacks = most_callbacks
        self._window = start
        self._window_callbacks = 0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._made = 0
        self._collect_at = COLLECT_EVERY
        self._cancelled = 0
        self._stopping = False
        self._thread: int | None = None
        self._closed = False
        self._handler: _Handler | None = None
        self._generators: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<SimLoop at {self._now:.3f} s>"

    # --- time and callbacks

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """See asyncio."""
        self._check_open()
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """See asyncio; only from the loop's own thread."""
        if self._thread is not None and threading.get_ident() != self._thread:
            raise RealWorldError("another thread calls into the simulation; there are none in it")
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio."""
        self._check_open()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        handle._scheduled = True  # type: ignore[attr-defined] # noqa: SLF001 - asyncio's contract with loops
        self._made += 1
        heapq.heappush(self._timers, (when, self._made, handle))
        return handle

    def _timer_handle_cancelled(self, _: asyncio.TimerHandle) -> None:
        """Asyncio's contract with loops: a scheduled timer was cancelled."""
        self._cancelled += 1
        if self._cancelled > _CANCELLED and self._cancelled * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
            heapq.heapify(self._timers)
            self._cancelled = 0

    # --- running

    def run_forever(self) -> None:
        """Run until `stop`.

        Raises:
            Deadlock: nothing can happen any more.
            Spinning: the loop does not go idle.
        """
        self._check_open()
        if self._thread is not None:
            raise RuntimeError("this loop is running already")
        hooks = sys.get_asyncgen_hooks()
        self._thread = threading.get_ident()
        self._stopping = False
        asyncio._set_running_loop(self)  # noqa: SLF001 - asyncio's contract with loops
        sys.set_asyncgen_hooks(firstiter=self._generators.add, finalizer=self._end_generator)
        try:
            while not self._stopping:
                self._turn()
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)  # noqa: SLF001
            self._thread = None

    def run_until_complete(self, future: Awaitable[T]) -> T:  # type: ignore[override] # no generators
        """Run until a future or coroutine is done. See `run_forever` for the errors."""
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(self._stop_for)
        try:
            self.run_forever()
        finally:
            task.remove_done_callback(self._stop_for)
            if not task.done():
                task.cancel()  # the run failed; its reason is already on its way up
        return task.result()

    def stop(self) -> None:
        """End `run_forever` after this turn."""
        self._stopping = True

    def _stop_for(self, _: asyncio.Future[Any]) -> None:
        self.stop()

    def _turn(self) -> None:
        """Run what is ready, after a jump of the clock if nothing is."""
        timers, ready = self._timers, self._ready
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
            self._cancelled -= 1
        if not ready:
            if not timers:
                raise Deadlock(
                    f"nothing can happen any more at {self._now:.3f} s; these wait: "
                    f"{'; '.join(self._waiting()) or 'no task'}"
                )
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            handle = heapq.heappop(timers)[2]
            handle._scheduled = False  # type: ignore[attr-defined] # noqa: SLF001
            if handle.cancelled():
                self._cancelled -= 1
            else:
                ready.append(handle)
        self._guard(len(ready))
        for _ in range(len(ready)):
            handle_ = ready.popleft()
            if not handle_.cancelled():
                handle_._run()  # noqa: SLF001

    def _guard(self, count: int) -> None:
        self.callbacks += count
        if self.callbacks >= self._collect_at:
            self._collect_at = self.callbacks + COLLECT_EVERY
            gc.collect()
        if self._now - self._window >= 1.0:
            self._window, self._window_callbacks = self._now, 0
        self._window_callbacks += count
        if self._window_callbacks <= self._most_callbacks:
            return
        names: Counter[str] = Counter()
        while self._ready and names.total() < _SAMPLED:
            handle = self._ready.popleft()
            names[_name(handle)] += 1
            if not handle.cancelled():
                handle._run()  # noqa: SLF001
        shown = ", ".join(f"{name} ({n} of {names.total()})" for name, n in names.most_common(3))
        raise Spinning(
            f"the loop does not go idle: more than {self._most_callbacks} callbacks in one "
            f"second of virtual time, at {self._now:.3f} s; mostly {shown}"
        )

    def _waiting(self) -> list[str]:
        """The tasks that are not done, for a person to read."""
        return sorted(
            f"{task.get_name()} in {_place(task)}"
            for task in asyncio.all_tasks(self)
            if not task.done()
        )

    def left_behind(self) -> list[str]:
        """Tasks, timers, transports and listeners that are still there, for a person to read."""
        found = [f"task {line}" for line in self._waiting()]
        found += [
            f"timer in {when - self._now:.3f} s: {_name(handle)}"
            for when, _, handle in sorted(self._timers, key=lambda entry: entry[:2])
            if not handle.cancelled()
        ]
        if self.network is not None:
            found += self.network.left_open()
        return found

    # --- state

    def is_running(self) -> bool:
        """See asyncio."""
        return self._thread is not None

    def is_closed(self) -> bool:
        """See asyncio."""
        return self._closed

    def close(self) -> None:
        """See asyncio."""
        if self._thread is not None:
            raise RuntimeError("a running loop cannot be closed")
        self._closed = True
        self._ready.clear()
        self._timers.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed")

    def get_debug(self) -> bool:
        """Never: a simulation is its own debugger."""
        return False

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001 - asyncio's signature
        """Ignored."""

    async def shutdown_asyncgens(self) -> None:
        """See asyncio."""
        for generator in list(self._generators):
            await generator.aclose()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """There is none."""

    def _end_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators.discard(generator)
        if not self._closed:
            self.create_task(_aclose(generator))

    # --- tasks, futures, exceptions

    def create_future(self) -> asyncio.Future[Any]:
        """See asyncio."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        """See asyncio."""
        self._check_open()
        label = None if name is None else str(name)
        return asyncio.Task(coro, loop=self, name=label, context=context, **options)

    def set_task_factory(self, factory: object) -> None:  # noqa: ARG002 - refused
        """Refused: tasks run in their order."""
        self._refuse()

    def get_task_factory(self) -> None:
        """None is set."""
        return

    def set_default_executor(self, executor: object) -> None:
        """Ignored: see `run_in_executor`."""

    def get_exception_handler(self) -> _Handler | None:
        """See asyncio."""
        return self._handler

    def set_exception_handler(self, handler: _Handler | None) -> None:
        """See asyncio; what it is told stands in `unheard` all the same."""
        self._handler = handler

    def default_exception_handler(self, context: _Context) -> None:
        """Keep it for the end of the run."""

    def call_exception_handler(self, context: _Context) -> None:
        """See asyncio."""
        error = context.get("exception")
        self.unheard.append(f"{context.get('message')}" + (f": {error!r}" if error else ""))
        if self._handler is not None:
            self._handler(self, context)

    def run_in_executor(
        self,
        executor: object,  # noqa: ARG002 - there are no threads
        func: Callable[[*_Ts], T],
        *args: *_Ts,
    ) -> asyncio.Future[T]:
        """Call `func` now, in this thread: a simulation has one thread and no waiting."""
        future: asyncio.Future[T] = self.create_future()
        try:
            value = func(*args)
        except BaseException as error:
            if not isinstance(error, Exception):
                raise
            self.call_soon(_fail, future, error)
        else:
            self.call_soon(_succeed, future, value)
        return future

    # --- the network

    def _net(self) -> Network:
        if self.network is None:
            raise RealWorldError(
                "this simulation has no network: make a kubbo.sim.net.SimNetwork for its loop"
            )
        return self.network

    async def create_connection(  # type: ignore[override] # what a simulation has of it
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | str | None = None,
        *,
        ssl: object = None,
        sock: object = None,
        **_: object,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect within the simulated network."""
        if sock is not None or host is None or port is None:
            raise RealWorldError("create_connection on a socket: a simulation has none")
        if ssl:
            raise RealWorldError("create_connection with TLS: not in this simulation")
        return await self._net().create_connection(protocol_factory, host, int(port))

    async def create_datagram_endpoint(  # type: ignore[override] # likewise
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: object = None,
        remote_addr: tuple[str, int] | None = None,
        **_: object,
    ) -> tuple[asyncio.DatagramTransport, asyncio.DatagramProtocol]:
        """Send datagrams within the simulated network; only to one address, as a client does."""
        if local_addr is not None or remote_addr is None:
            raise RealWorldError("create_datagram_endpoint that listens: not in this simulation")
        return self._net().create_datagram_endpoint(protocol_factory, remote_addr)

    async def create_server(  # type: ignore[override] # likewise
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | str | None = None,
        *,
        ssl: object = None,
        sock: object = None,
        **_: object,
    ) -> asyncio.AbstractServer:
        """Listen within the simulated network."""
        if sock is not None:
            raise RealWorldError("create_server on a socket: a simulation has none")
        if ssl:
            raise RealWorldError("create_server with TLS: not in this simulation")
        return await self._net().create_server(protocol_factory, host, int(port or 0))

    async def getaddrinfo(  # type: ignore[override] # addresses of the simulated network
        self, host: str, port: int | str | None, **_: object
    ) -> list[tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]]:
        """Answer from the simulated network's table."""
        number = int(port or 0)
        return [
            (10, 1, 6, "", (address, number, 0, 0))
            if ":" in address
            else (2, 1, 6, "", (address, number))
            for address in self._net().lookup(host)
        ]

    # --- the real world

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise RealWorldError(
            "sockets, pipes, datagrams, signals and subprocesses do not exist in a simulation; "
            "use create_connection and create_server, which reach the simulated network"
        )

    add_reader = add_writer = _refuse  # type: ignore[assignment] # pyright: ignore[reportAssignmentType] # it takes anything
    remove_reader = remove_writer = _refuse
    sock_recv = sock_recv_into = sock_recvfrom = sock_recvfrom_into = _refuse
    sock_sendall = sock_sendto = sock_connect = sock_accept = sock_sendfile = _refuse
    create_unix_connection = create_unix_server = _refuse
    connect_accepted_socket = connect_read_pipe = connect_write_pipe = _refuse
    subprocess_exec = subprocess_shell = sendfile = start_tls = getnameinfo = _refuse

    def add_signal_handler(self, sig: int, callback: object, *args: object) -> NoReturn:
        """Refused in the way that asyncio foresees for loops without signals."""
        raise NotImplementedError("a simulation gets no signals")

    def remove_signal_handler(self, sig: int) -> NoReturn:
        """See `add_signal_handler`."""
        raise NotImplementedError("a simulation gets no signals")


def run(main: Coroutine[Any, Any, T], *, loop: SimLoop | None = None, settle: float = SETTLE) -> T:
    """Run a coroutine in a simulation, and prove that it leaves nothing behind.

    Raises:
        Left: a task, timer, transport or listener is left `settle` seconds after the end, or an
            exception reached nobody.
        Deadlock: nothing can happen any more.
        Spinning: the loop does not go idle.
    """
    loop = SimLoop() if loop is None else loop
    collecting = gc.isenabled()
    gc.disable()
    try:
        result = loop.run_until_complete(main)
        loop.run_until_complete(asyncio.sleep(settle))
        loop.run_until_complete(loop.shutdown_asyncgens())
        gc.collect()  # tasks that failed unheard say so when they go
        left = [*loop.left_behind(), *loop.unheard]
        if left:
            raise Left("left behind:\n  " + "\n  ".join(left))
        return result
    finally:
        if collecting:
            gc.enable()
        _abandon(loop)
        loop.close()


def _abandon(loop: SimLoop) -> None:
    """End the tasks of a run that failed, so that its error is the only one that is told."""
    loop.set_exception_handler(None)
    tasks = [task for task in asyncio.all_tasks(loop) if not task.done()]
    for task in tasks:
        task.cancel()
    if tasks:
        ended = asyncio.gather(*tasks, return_exceptions=True)
        try:
            loop.run_until_complete(ended)
        except SimulationError:
            ended.cancel()


async def _aclose(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


def _succeed(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _place(task: asyncio.Task[Any]) -> str:
    """Where a task waits, as `function:line`."""
    stack = task.get_stack(limit=1)
    if not stack:
        return "?"
    return (
        f"{stack[0].f_code.co_qualname if sys.version_info >= (3, 11) else '?'}:{stack[0].f_lineno}"
    )


def _name(handle: asyncio.Handle) -> str:
    """What a handle calls, for a person to read; of a task's step, the task's name."""
    callback = getattr(handle, "_callback", None)
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return f"a step of {owner.get_name()}"  # pyright: ignore[reportUnknownMemberType]
    return str(getattr(callback, "__qualname__", None) or repr(callback))
