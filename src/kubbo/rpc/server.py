"""The provider: an open port, and nothing written anywhere.

A server decodes a request where it arrives, runs the method in a task of its own (a plain
function in a worker thread) and answers. What it cannot run it answers too, with a status
that says why: an unknown service or method, arguments that do not fit, too many calls.

Its end is orderly. Told to stop (SIGTERM, or `drain`), it says READONLY to its consumers,
goes on answering while the news spreads through the cluster, stops listening, lets the
calls in flight end within the grace period, and closes:

    SERVING --drain--> DRAINING --propagation--> FINISHING --idle or grace--> CLOSED
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from kubbo.errors import Code, DecodeError, EncodeError, Progress, RpcError, UsageError
from kubbo.live.source import CONFIG_VARIABLE
from kubbo.model import Deadline, Invocation, Result
from kubbo.naming.open import NamingContext
from kubbo.observe import RequestReport, tell
from kubbo.rpc.admission import priority_of
from kubbo.rpc.context import CURRENT, CallContext
from kubbo.rpc.exports import ECHO, Exports
from kubbo.rpc.filters import compose
from kubbo.rpc.generic import GenericCodec
from kubbo.rpc.inbound import Inbound
from kubbo.rpc.metadata import Metadata
from kubbo.rpc.request import Request, refusal
from kubbo.rpc.resources import read_resources, size_for
from kubbo.transport.deadlines import Deadlines, Slot
from kubbo.transport.link import Budget, Link
from kubbo.wire.dubbo2 import Dubbo2Codec, Dubbo2Session, Role
from kubbo.wire.dubbo2.session import MAX_PAYLOAD_BYTES
from kubbo.wire.hessian2 import Limits
from kubbo.wire.session import Status

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from kubbo.live.live import LiveConfiguration
    from kubbo.live.source import Source
    from kubbo.model import ServiceKey
    from kubbo.observe import Observer
    from kubbo.rpc.admission import Door, ServingLimits
    from kubbo.rpc.filters import Filter
    from kubbo.rpc.live import ProviderView
    from kubbo.rpc.service import Interface
    from kubbo.wire.codec import ReceivedCall

__all__ = ["Server", "ServerState"]

DEFAULT_PORT: Final = 20880
"""Dubbo's own."""

MAX_CONNECTIONS: Final = 1_024
"""A consumer needs one; beyond this the file descriptors of a usual container run short."""

PROPAGATION: Final = 5.0
"""Seconds until every consumer of a cluster has heard that an endpoint is going away."""

GRACE: Final = 20.0
"""Seconds for calls in flight after that; together below Kubernetes' 30 until SIGKILL."""

PROBE_BYTES: Final = 1_024
"""A request that only asks whether somebody is there is smaller than this."""

OVERLOADED_REST: Final = 0.1
"""Seconds for which a provider with too many calls wants no more of them."""

_log = logging.getLogger("kubbo.server")


class ServerState(Enum):
    """See the head of the module."""

    NEW = "new"
    SERVING = "serving"
    DRAINING = "draining"
    FINISHING = "finishing"
    CLOSED = "closed"


class Server:
    """Serves exported objects on one port. Use it by `async with`.

    Args:
        port: to listen on; 0 takes a free one, see `port` after `start`.
        host: to listen on; every address of the machine by default, as pods need it.
        threads: workers for methods that are plain functions; without it as many as the
            processors that this container may use have room for.
        max_calls: calls in progress, above which "overloaded" is answered at once; without it
            from the memory that this container may use.
        max_connections: connections at once; what comes above is closed.
        max_held_bytes: bytes of all requests that arrive or are served; as `max_calls`.
        propagation: seconds to keep answering after the order to stop.
        grace: seconds for the calls that are in flight after that.
        filters: surround every call, the first one outermost.
        observer: is told every request; see `kubbo.observe`.
        application: this application's name, which the provider's metadata tell.
        metadata: to answer Dubbo's MetadataService, by which Java's application-level discovery
            and `kubbo describe` learn what is served here.
        generic: to serve `$invoke` too, by which callers without the interface call; off, since
            every provider answers their direct calls. See docs/generic.md.
        tls: to serve TLS instead of plain text.
        max_payload_bytes: the largest message, both ways.
        limits: on what a request may hold.
        config: where the configuration is that may change while this runs; see `Channel`. It sets
            the limits of services and methods; what there is else in it is for consumers.

    Entering it raises ConfigError when the configuration is missing or cannot be used.
    """

    def __init__(
        self,
        port: int = DEFAULT_PORT,
        *,
        host: str | None = None,
        threads: int | None = None,
        max_calls: int | None = None,
        max_connections: int = MAX_CONNECTIONS,
        max_held_bytes: int | None = None,
        propagation: float = PROPAGATION,
        grace: float = GRACE,
        filters: Sequence[Filter] = (),
        observer: Observer | None = None,
        application: str = "",
        metadata: bool = True,
        generic: bool = False,
        tls: ssl.SSLContext | None = None,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        limits: Limits | None = None,
        config: str | Path | Source | None = None,
    ) -> None:
        self.state = ServerState.NEW
        self.cut_off = 0
        self._port = port
        self._host = host if host is not None or port else "0.0.0.0"  # noqa: S104 - a pod's port
        sizes = size_for(read_resources())
        self._threads = threads or sizes.threads
        self._max_calls = max_calls or sizes.max_calls
        self._max_connections = max_connections
        self._max_held_bytes = max_held_bytes or sizes.max_held_bytes
        self._budget = Budget(self._max_held_bytes)
        self._propagation = propagation
        self._grace = grace
        self._filters = tuple(filters)
        self._observer = observer
        self._tls = tls
        self._max_payload_bytes = max_payload_bytes
        self._limits = limits or Limits()
        told = Metadata(self, application=application, host=host) if metadata else None
        self._exports = Exports(metadata=told, generic=generic)
        codec = Dubbo2Codec(limits=self._limits)
        self._codec = GenericCodec(codec, self._limits) if generic else codec
        self._handler = compose(self._filters, self._run_method)
        self._connections: set[Inbound] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._idle: asyncio.Future[None] | None = None
        self._listener: asyncio.Server | None = None
        self._deadlines: Deadlines | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._stop: asyncio.Event | None = None
        self._hurry: asyncio.Event | None = None
        self._naming = NamingContext()
        self._live = self._open_config(config, application)

    async def __aenter__(self) -> Self:
        self._deadlines = Deadlines(asyncio.get_running_loop())
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        if self._live is not None:
            try:
                await self._live.start()
            except BaseException:
                await self.aclose()
                raise
        return self

    def _open_config(
        self, given: str | Path | Source | None, application: str
    ) -> LiveConfiguration[ProviderView] | None:
        environ = self._naming.environ
        name = environ.get(CONFIG_VARIABLE, "") if given is None else given
        if not name:
            return None
        # These load YAML and what reads it.
        from kubbo.live.live import LiveConfiguration  # noqa: PLC0415
        from kubbo.live.open import open_source  # noqa: PLC0415
        from kubbo.rpc.live import Viewer  # noqa: PLC0415

        viewer = Viewer(application, environ, self._naming.rng)
        return LiveConfiguration(
            open_source(name, self._naming),
            prepare=viewer.provider_view,
            apply=self._exports.configure,
        )

    @property
    def configuration(self) -> LiveConfiguration[ProviderView] | None:
        """The configuration that is followed: what is in use, and why not what there is."""
        return self._live

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    # -- what is served

    def export(
        self,
        implementation: object,
        interface: type | None = None,
        *,
        limits: ServingLimits | None = None,
        methods: Mapping[str, ServingLimits] | None = None,
    ) -> None:
        """Serve an object; calls reach it from `start` on.

        Its interface is the class that `kubbo.service` decorates: its own, one that it
        inherits from, or `interface`. A method may be `async def`, or a plain `def`, which
        runs in a worker thread.

        Args:
            implementation: the object.
            interface: what it implements, where that is not plain.
            limits: how many calls of it run at once, how many wait, how many come a second.
            methods: likewise for single methods, by their names.

        Raises:
            UsageError: there is no interface, it lacks methods, or its key is taken.
        """
        self._exports.add(implementation, interface, limits, methods)
        self._codec.forget_heads()

    @property
    def services(self) -> tuple[ServiceKey, ...]:
        """The service keys that are exported."""
        return self._exports.keys()

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces that are exported."""
        return self._exports.interfaces()

    def _overloaded(self, text: str) -> RpcError:
        error = RpcError(Code.RESOURCE_EXHAUSTED, f"overloaded: {text}", progress=Progress.NOT_SENT)
        error.retry_after = OVERLOADED_REST
        return error

    def _receive(self, payload: bytes) -> ReceivedCall:
        """Decode a request that may be let in."""
        size = len(payload)
        if size > self._budget.left_bytes:
            raise self._overloaded("the calls in progress hold too many bytes (max_held_bytes)")
        full = len(self._calls) >= self._max_calls
        text = f"{self._max_calls} calls are in progress (max_calls)"
        if full and size > PROBE_BYTES:
            raise self._overloaded(text)
        received = self._codec.decode_request(payload, self._exports)
        self._exports.check(received)
        if full and not self._exports.is_probe(received):
            raise self._overloaded(text)
        return received

    # -- life

    async def start(self) -> None:
        """Listen.

        Raises:
            UsageError: the server was not entered, or was closed.
            OSError: the port is taken or may not be had.
        """
        if self._deadlines is None or self.state is not ServerState.NEW:
            raise UsageError('enter the server first: "async with kubbo.Server() as server:"')
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            self._accept, self._host, self._port, ssl=self._tls, reuse_address=True
        )
        self.state = ServerState.SERVING
        served = ", ".join(map(str, self.services)) or "nothing yet"
        _log.info("serving %s on port %d", served, self.port)
        _log.info(
            "limits: max_calls=%d max_held_bytes=%d threads=%d max_connections=%d",
            self._max_calls,
            self._max_held_bytes,
            self._threads,
            self._max_connections,
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._listener is None or not self._listener.sockets:
            return self._port
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def serve_forever(self) -> None:
        """Serve until SIGTERM or SIGINT, then end as the head of the module says.

        SIGINT skips the propagation. A second signal ends at once. Safe to cancel.

        Raises:
            OSError: the port is taken or may not be had.
        """
        if self.state is ServerState.NEW:
            await self.start()
        assert self._stop is not None
        with self._signals():
            await self._stop.wait()
            await self.drain()

    @contextlib.contextmanager
    def _signals(self) -> Any:
        loop = asyncio.get_running_loop()
        handled: list[signal.Signals] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            # Only the main thread may take signals; elsewhere the caller has `stop`.
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, self._signalled, number)
                handled.append(number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)

    def _signalled(self, number: signal.Signals) -> None:
        assert self._stop is not None
        assert self._hurry is not None
        if self._stop.is_set():
            self._grace = 0.0
            self._hurry.set()
        elif number is signal.SIGINT:
            self._hurry.set()
        self._stop.set()

    def stop(self) -> None:
        """Have `serve_forever` drain and return."""
        if self._stop is not None:
            self._stop.set()

    async def drain(self) -> None:
        """Tell the consumers, keep answering for the propagation, finish, stop listening.

        What the grace period cuts off is counted in `cut_off` and logged. Safe to cancel:
        `aclose` does the rest.
        """
        if self.state is not ServerState.SERVING:
            return
        assert self._hurry is not None
        self.state = ServerState.DRAINING
        _log.info("draining: %d calls in progress", len(self._calls))
        for connection in self._connections:
            connection.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._propagation):
                await self._hurry.wait()
        self.state = ServerState.FINISHING
        if self._listener is not None:
            self._listener.close()
        await self._wait_idle()

    async def _wait_idle(self) -> None:
        if not self._calls:
            return
        self._idle = asyncio.get_running_loop().create_future()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                await self._idle
        self.cut_off = len(self._calls)
        if self.cut_off:
            _log.warning("%d calls did not end in %g s and are cut off", self.cut_off, self._grace)

    async def aclose(self) -> None:
        """Close at once what `drain` has left: calls in progress are cancelled."""
        self.state = ServerState.CLOSED
        if self._live is not None:
            await self._live.aclose()
        if self._listener is not None:
            self._listener.close()
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await asyncio.gather(*(each.aclose() for each in tuple(self._connections)))
        if self._deadlines is not None:
            self._deadlines.close()
            self._deadlines = None
        if self._executor is not None:
            # A thread cannot be cancelled: its call was answered, its end is not waited for.
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
        await self._naming.aclose()

    # -- connections and calls

    def _accept(self) -> Link:
        loop = asyncio.get_running_loop()
        session = Dubbo2Session(
            Role.PROVIDER, now=loop.time(), max_payload_bytes=self._max_payload_bytes
        )
        return Link(session, Inbound(self), loop, self._budget)

    @property
    def takes_calls(self) -> bool:
        """See `Provider`."""
        return self.state is ServerState.SERVING

    def admit(self, connection: Inbound) -> bool:
        """See `Provider`."""
        if len(self._connections) >= self._max_connections:
            _log.warning("refused a connection: there are %d already", len(self._connections))
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: Inbound) -> None:
        """See `Provider`."""
        self._connections.discard(connection)

    def receive_call(self, connection: Inbound, call: int, payload: bytes, *, oneway: bool) -> None:
        """See `Provider`."""
        try:
            received = self._receive(payload)
        except DecodeError as error:
            text = f"the request cannot be decoded: {error}"
            connection.refuse(call, Status(Code.INVALID_ARGUMENT, text, refused=True))
            return
        except RpcError as error:
            connection.refuse(call, refusal(error))
            return
        context = CallContext(
            received.service,
            received.signature.name,
            connection.peer,
            self._deadline(received),
            received.attachments,
        )
        request = Request(connection, call, oneway, received, context)
        if not oneway:
            connection.requests[call] = request
        self._budget.take(len(payload))
        _start(self._serve(request, len(payload)), self._calls, self._ended)

    def cancel_call(self, request: Request) -> None:
        """See `Provider`."""
        request.give_up()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if self._idle is not None and not self._calls and not self._idle.done():
            self._idle.set_result(None)

    async def _serve(self, request: Request, size: int) -> None:
        context = request.context
        task = request.task = asyncio.current_task()
        CURRENT.set(context)
        slot: Slot | None = None
        if context.deadline is not None and self._deadlines is not None:
            slot = self._deadlines.add(context.deadline.at, task, request.expire)
        if self._observer is not None:
            self._begin_report(self._observer, request)
        door = self._exports.door(request.received)
        try:
            if not request.given_up:
                await (self._run(request) if door is None else self._run_behind(door, request))
        finally:
            self._budget.give_back(size)
            request.connection.requests.pop(request.call, None)
            if slot is not None:
                slot.pop(task, None)
            if request.report is not None:
                request.report.end(asyncio.get_running_loop().time())

    async def _run_behind(self, door: Door, request: Request) -> None:
        """Run a request when the limits of its service and method let it."""
        clock = asyncio.get_running_loop().time
        arrived = clock()
        context = request.context
        deadline = context.deadline or Deadline(arrived + 24 * 3600)
        try:
            await door.enter(arrived, deadline, priority_of(context.attachments))
        except RpcError as error:
            request.refuse(error)
            return
        except asyncio.CancelledError as error:
            request.cut_short(error)
            if not request.ends_alone:
                raise
            return
        began = clock()
        if request.report is not None:
            request.report.queued = began - arrived
        try:
            await self._run(request)
        finally:
            door.leave(clock() - began, fault=context.expired)

    async def _run(self, request: Request) -> None:
        """Run a request and answer it."""
        received = request.received
        try:
            # A peer that asks and does not read must not have its answers pile up here.
            if not request.connection.writable and not request.oneway:
                await request.connection.wait_writable()
            answer = await self._answer(received, request.context)
        except asyncio.CancelledError as error:
            request.cut_short(error)
            if not request.ends_alone:
                raise
            return
        except EncodeError as error:
            request.failed(error)
            text = f"the result of {received.signature} cannot be sent: {error}"
            answer = self._codec.encode_exception(received, RuntimeError(text), {})
        except Exception as error:  # noqa: BLE001 - whatever a method raises is its answer
            request.failed(error)
            answer = self._exception(received, error, request.context)
        request.answer(answer)

    def _begin_report(self, observer: Observer, request: Request) -> None:
        context = request.context
        request.report = RequestReport(
            observer,
            context.service,
            context.method,
            context.peer,
            asyncio.get_running_loop().time(),
        )
        tell(observer.request_started, request.report)

    async def _answer(self, received: ReceivedCall, context: CallContext) -> bytes:
        loop = asyncio.get_running_loop()
        invocation = Invocation(
            received.service,
            received.signature,
            received.arguments,
            context.deadline or Deadline(loop.time() + 24 * 3600),
            attachments=dict(received.attachments) if self._filters else received.attachments,
        )
        result = await self._handler(invocation)
        if result.attachments:
            context.response_attachments.update(result.attachments)
        return self._codec.encode_result(received, result.value, context.response_attachments)

    def _exception(self, received: ReceivedCall, error: Exception, context: CallContext) -> bytes:
        try:
            return self._codec.encode_exception(received, error, context.response_attachments)
        except EncodeError as failure:  # the exception itself always encodes
            _log.warning("%s: the answer goes without attachments: %s", received.signature, failure)
            return self._codec.encode_exception(received, error, {})

    async def _run_method(self, invocation: Invocation) -> Result:
        if invocation.signature is ECHO:
            return Result(invocation.arguments[0])
        function, is_async = self._exports.method_of(invocation.service, invocation.signature)
        if is_async:
            return Result(await function(*invocation.arguments))
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="kubbo-call")
        run = partial(contextvars.copy_context().run, function, *invocation.arguments)
        return Result(await asyncio.get_running_loop().run_in_executor(self._executor, run))

    def _deadline(self, received: ReceivedCall) -> Deadline | None:
        if received.timeout is None:
            return None
        return Deadline(asyncio.get_running_loop().time() + received.timeout)


def _start(
    coroutine: Coroutine[Any, Any, None],
    tasks: set[asyncio.Task[None]],
    ended: Callable[[asyncio.Task[None]], None],
) -> None:
    """Run `coroutine` in a task; where Python can, its first step at once."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        task: asyncio.Task[None] = asyncio.Task(coroutine, loop=loop, eager_start=True)
        if task.done():
            return
    else:
        task = loop.create_task(coroutine)
    tasks.add(task)
    task.add_done_callback(ended)
