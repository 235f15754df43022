"""The provider: an open port, and nothing written anywhere.

A server decodes a request where it arrives, runs the method in a task of its own (a plain
function in a worker thread) and answers. What it cannot run it answers too, with a status
that says why: an unknown service or method, arguments that do not fit, too many calls.

Its end is orderly: see `kubbo.rpc.lifecycle`. Whether it lives and wants calls is told to the
kubelet over HTTP on a port of its own: see `kubbo.rpc.admin`.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from kubbo.cluster.bulkhead import overloaded
from kubbo.errors import Code, DecodeError, EncodeError, RpcError, UsageError
from kubbo.live.source import CONFIG_VARIABLE
from kubbo.model import Deadline, Invocation, Result
from kubbo.naming.open import NamingContext
from kubbo.observe import RequestReport, tell
from kubbo.rpc.admin import AdminPort
from kubbo.rpc.admission import priority_of
from kubbo.rpc.container import listening_warnings
from kubbo.rpc.context import CURRENT, CallContext
from kubbo.rpc.exports import ECHO, Exports
from kubbo.rpc.filters import compose
from kubbo.rpc.generic import GenericCodec
from kubbo.rpc.inbound import Inbound
from kubbo.rpc.lifecycle import Lifecycle, ServerState
from kubbo.rpc.metadata import Metadata
from kubbo.rpc.readiness import Readiness
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

_ENDED: Final = Status(
    Code.RESOURCE_EXHAUSTED, "the provider has ended", refused=True, retry_after=5.0
)
"""dubbo2 has one status that says "not run, and not your fault"; the rest is for its text."""

_log = logging.getLogger("kubbo.server")


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
        admin_port: where the probes are answered, /livez, /readyz and /startupz, from when the
            server is entered until it is closed; 0 takes a free port, None answers none.
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

    Entering it raises ConfigError when the configuration is missing or cannot be used, and OSError
    when the admin port is taken.
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
        admin_port: int | None = None,
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
        self._port = port
        self._host = host if host is not None or port else "0.0.0.0"  # noqa: S104 - a pod's port
        sizes = size_for(read_resources())
        self._threads = threads or sizes.threads
        self._max_calls = max_calls or sizes.max_calls
        self._max_connections = max_connections
        self._max_held_bytes = max_held_bytes or sizes.max_held_bytes
        self._budget = Budget(self._max_held_bytes)
        self._life = Lifecycle(
            propagation,
            grace,
            in_flight=lambda: len(self._calls),
            announce=self._announce,
            close_door=self._close_door,
        )
        self._readiness = Readiness(self._life)
        self._admin = None if admin_port is None else AdminPort(self, host, admin_port)
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
        self._connections: dict[Inbound, None] = {}  # in their order: simulations repeat it
        self._calls: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._deadlines: Deadlines | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._naming = NamingContext()
        self._live = self._open_config(config, application)

    async def __aenter__(self) -> Self:
        self._deadlines = Deadlines(asyncio.get_running_loop())
        try:
            if self._admin is not None:
                await self._admin.start()
            if self._live is not None:
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

    def _receive(self, payload: bytes) -> ReceivedCall:
        """Decode a request that may be let in."""
        size = len(payload)
        if size > self._budget.left_bytes:
            raise overloaded(
                "the calls in progress hold too many bytes (max_held_bytes)", OVERLOADED_REST
            )
        full = len(self._calls) >= self._max_calls
        text = f"{self._max_calls} calls are in progress (max_calls)"
        if full and size > PROBE_BYTES:
            raise overloaded(text, OVERLOADED_REST)
        received = self._codec.decode_request(payload, self._exports)
        self._exports.check(received)
        if full and not self._exports.is_probe(received):
            raise overloaded(text, OVERLOADED_REST)
        return received

    # -- life

    @property
    def state(self) -> ServerState:
        """Where it is between start and end."""
        return self._life.state

    @property
    def cut_off(self) -> int:
        """Calls that `drain` did not wait for any longer."""
        return self._life.cut_off

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
        self._life.serve()
        served = ", ".join(map(str, self.services)) or "nothing yet"
        _log.info("serving %s on port %d", served, self.port)
        _log.info(
            "limits: max_calls=%d max_held_bytes=%d threads=%d max_connections=%d",
            self._max_calls,
            self._max_held_bytes,
            self._threads,
            self._max_connections,
        )
        listening = [each.getsockname()[:2] for each in self._listener.sockets]
        for warning in listening_warnings(listening, self.admin_port, self._naming.environ):
            _log.warning("%s", warning)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._listener is None or not self._listener.sockets:
            return self._port
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    @property
    def admin_port(self) -> int | None:
        """The port of the probes, None without."""
        return None if self._admin is None else self._admin.port

    def ready_when(self, *references: object) -> None:
        """Be ready only while each of these has a connected provider.

        They are stubs or generic references of a channel in the same event loop. They are looked
        at for each probe, and never keep the server from starting or from being alive. Where all
        replicas depend on the same provider, its loss takes all of them out of their Service:
        name only what nothing here works without.

        Raises:
            UsageError: one is neither.
        """
        self._readiness.add(*references)

    def lacking(self) -> list[str]:
        """Why it is not ready for calls, a line each; empty when it is. See `Probed`."""
        return self._readiness.lacking()

    @property
    def started(self) -> bool:
        """Whether it serves, or did. See `Probed`."""
        return self._life.started

    def status(self) -> dict[str, object]:
        """What the admin port tells this machine. See `Probed`."""
        return {
            "state": self.state.value,
            "services": list(map(str, self.services)),
            "connections": len(self._connections),
            "in_flight": len(self._calls),
            "received": self._life.received,
            "cut_off": self.cut_off,
            "lacking": self.lacking(),
        }

    async def serve_forever(self) -> None:
        """Serve until SIGTERM or SIGINT, then end as `kubbo.rpc.lifecycle` says.

        SIGINT skips the propagation. A second signal ends at once. Safe to cancel.

        Raises:
            OSError: the port is taken or may not be had.
        """
        with self._life.signals():
            if self.state is ServerState.NEW:
                await self.start()
            await self._life.wait_stopped()
            await self.drain()

    def stop(self) -> None:
        """Have `serve_forever` drain and return."""
        self._life.stop()

    async def drain(self) -> None:
        """Tell the consumers, keep answering for the propagation, finish, stop listening.

        What the grace period cuts off is counted in `cut_off` and logged. Safe to cancel:
        `aclose` does the rest.
        """
        await self._life.drain()

    def _announce(self) -> None:
        for connection in tuple(self._connections):
            connection.drain()

    def _close_door(self) -> None:
        if self._listener is not None:
            self._listener.close()

    async def aclose(self) -> None:
        """Close at once what `drain` has left: calls in progress are cancelled."""
        self._life.close()
        self._close_door()
        if self._live is not None:
            await self._live.aclose()
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
        if self._admin is not None:
            await self._admin.aclose()
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
        self._connections[connection] = None
        return True

    def leave(self, connection: Inbound) -> None:
        """See `Provider`."""
        self._connections.pop(connection, None)

    def receive_call(self, connection: Inbound, call: int, payload: bytes, *, oneway: bool) -> None:
        """See `Provider`."""
        self._life.received += 1
        if self._life.state is ServerState.CLOSED:
            connection.refuse(call, _ENDED)
            return
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

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if not self._calls:
            self._life.note_idle()

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
