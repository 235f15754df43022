"""The store over real HTTP on loopback, as the Kubernetes API serves it.

A request passes counting, faults, authentication and authorization, in this order, and then
does one thing to the store. Writes are done when their answer begins; a watch is a loop that
sends what its `Watch` has until its time is up, the client goes, or the server stops.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Self

import msgspec
from aiohttp import ClientConnectionResetError, web

from kubbo.sim.apiserver.access import Access
from kubbo.sim.apiserver.calls import Call, ListOptions
from kubbo.sim.apiserver.faults import Answer, Cut, Drop, ErrorEvent, Faults, Hang
from kubbo.sim.apiserver.objects import (
    ApiError,
    Json,
    Object,
    Resource,
    key_of,
    mapping,
    text,
)
from kubbo.sim.apiserver.store import Store, expired
from kubbo.sim.apiserver.watches import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["ApiServer"]

_MAX_BODY_BYTES = 3 * 1024 * 1024  # the real server's limit of a request
_JSON = "application/json"
_LAST_BOOKMARK = 2.0  # seconds before the end of a watch, as the real server sends it
_NOT_FOUND = b"404 page not found\n"
_VERSION: Object = {
    "major": "1",
    "minor": "35",
    "gitVersion": "v1.35.0-kubbo-sim",
    "platform": "sim/python",
}


class _CutOffError(Exception):
    """The connection ends here: a fault wants it, or the server stops."""


class ApiServer:
    """An API server in this process, for tests and the demo.

        async with ApiServer() as server:
            server.store.create({"apiVersion": "v1", "kind": "Service", ...})
            ...  # point a client at server.url, or at server.kubeconfig(path)

    Attributes:
        store: the objects; changes made here reach every watch.
        access: tokens and rules; everybody may do everything until the first token.
        faults: what goes wrong with the next requests.
        requests: how many came, by (verb, resource); for other paths the verb is the
            HTTP method in lower case, the resource the path.
        bookmark_interval: seconds between the bookmarks of a watch.
        watch_timeout: seconds after which a watch without `timeoutSeconds` may end; it does
            so after one to two times as long, at random.
        bookmarks: whether it sends those that are due; `lost_bookmarks` counts the others.
        streams: whether it offers streaming lists, refuses them (as one that has them switched
            off, or does not know them), ignores what asks for them (as some proxies and other
            servers do), or loses the bookmark that marks their end; `streams_spoilt` counts those
            that were not as offered, by these words.
        quorum: the store that lists and gets read which ask for the newest state; another
            one than `store` when this server's cache lags behind.
        observer: called with the client's address, the verb and the resource of each request;
            a streaming list is a list there, since it costs what a list costs.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        bookmark_interval: float = 60.0,
        watch_timeout: float = 1800.0,
        rng: random.Random | None = None,
    ) -> None:
        self.store = Store() if store is None else store
        self.access = Access()
        self.faults = Faults()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.bookmark_interval = bookmark_interval
        self.watch_timeout = watch_timeout
        self.bookmarks = True
        self.lost_bookmarks = 0
        self.streams: Literal["offered", "refused", "ignored", "unmarked"] = "offered"
        self.streams_spoilt: Counter[str] = Counter()
        self.quorum = self.store
        self.observer: Callable[[str, str, str], None] | None = None
        self._rng = rng or random.Random()  # noqa: S311 - spreads timeouts, guards nothing
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()
        self._watches: dict[Watch, None] = {}  # in their order: runs shall be repeatable
        self._handlers: dict[asyncio.Task[object], web.Request] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop(abrupt=True)

    # --- the life of the listener

    @property
    def url(self) -> str:
        """Where it listens; the same one again after stop and start."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._runner is not None

    async def start(self, *, wipe: bool = False) -> None:
        """Listen, on the port of the first time. The watch history begins now.

        With `wipe` the objects are gone and versions begin anew, as after the loss of etcd.

        Raises:
            OSError: the port has been taken meanwhile.
        """
        if self._runner is not None:
            return
        if wipe:
            self.store.clear()
        if self._port:
            self.store.compact()
        self._stopping = asyncio.Event()
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._port = int(runner.addresses[0][1])
        self._runner = runner

    async def stop(self, *, abrupt: bool = False) -> None:
        """Close the listener and every connection; `start` brings the server back.

        Watches get a clean end of their stream, or with `abrupt` a cut, as by a crash.
        """
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in tuple(runner.sites):
            await site.stop()
        self._stopping.set()
        if abrupt:
            self.disconnect()
        for watch in self._watches:
            watch.end()
        await runner.cleanup()
        if self._handlers:
            await asyncio.wait(tuple(self._handlers))

    def disconnect(self) -> None:
        """Cut every connection on which a request is open; the listener stays."""
        for request in self._handlers.values():
            if request.transport is not None:
                request.transport.abort()

    def end_watches(self) -> None:
        """End the stream of every open watch, cleanly, as the server does at a timeout."""
        for watch in self._watches:
            watch.end()

    def send_error(self, code: int) -> None:
        """End the stream of every open watch by an ERROR event."""
        for watch in self._watches:
            watch.fail(Answer(code).error())

    def send_bookmarks(self) -> None:
        """Send a bookmark now to every open watch that asked for them."""
        for watch in self._watches:
            watch.bookmark()

    @property
    def open_watches(self) -> int:
        """How many watches are being served."""
        return len(self._watches)

    def kubeconfig(self, path: Path, *, token: str = "", namespace: str = "default") -> Path:
        """Write a kubeconfig for this server (as JSON, which is YAML); returns its path."""
        user: Object = {"token": token} if token else {}
        config: Object = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "sim",
            "clusters": [{"name": "sim", "cluster": {"server": self.url}}],
            "users": [{"name": "sim", "user": user}],
            "contexts": [
                {
                    "name": "sim",
                    "context": {"cluster": "sim", "user": "sim", "namespace": namespace},
                }
            ],
        }
        path.write_bytes(msgspec.json.format(msgspec.json.encode(config)) + b"\n")
        path.chmod(0o600)
        return path

    # --- one request

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._handlers[task] = request
        try:
            return await self._answer(request)
        except _CutOffError:
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        finally:
            del self._handlers[task]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        call = Call.parse(request.method, request.path, request.query)
        counted = (
            (call.verb, call.path_resource) if call else (request.method.lower(), request.path)
        )
        self.requests[counted] += 1
        if self.observer is not None:
            asked = "list" if _is_stream(call, request.query) else counted[0]
            self.observer(request.remote or "", asked, counted[1])
        out = _Out(request)
        match self.faults.take(*counted):
            case Answer(body="") as fault:
                return await out.status(fault.error())
            case Answer(code, _, body) as fault:
                return await out.whole(code, body.encode(), "text/plain", fault.error().retry_after)
            case ErrorEvent(code, retry_after):
                error = Answer(code, retry_after).error()
                if call is None or call.verb != "watch":
                    return await out.status(error)
                await out.begin(200)
                await out.line({"type": "ERROR", "object": error.status()})
                return await out.end()
            case Drop():
                raise _CutOffError
            case Hang():
                await self._stopping.wait()
                raise _CutOffError
            case Cut(after_bytes):
                out.left = after_bytes
            case None:
                pass
        try:
            self.access.check(request.headers.get("Authorization", ""), call, request.path)
            if call is None:
                return await _page(request, out)
            return await self._serve(request, call, out)
        except ApiError as error:
            return await out.status(error)

    async def _serve(self, request: web.Request, call: Call, out: _Out) -> web.StreamResponse:
        resource = call.resource()
        namespace = "" if not resource.namespaced else call.namespace
        status = call.subresource == "status"
        match call.verb:
            case "list":
                options = ListOptions.parse(request.query, watch=False)
                return await out.json(200, self._list(resource, namespace, options))
            case "watch":
                options = ListOptions.parse(request.query, watch=True)
                return await self._watch(resource, namespace, options, out)
            case "get":
                return await out.json(200, self.quorum.get(resource.plural, call.name, namespace))
            case "create" if not call.name:
                value = _typed(resource, await _body(request))
                _same_namespace(value, namespace)
                return await out.json(201, self.store.create(value, namespace=namespace))
            case "update" if call.name:
                value = _typed(resource, await _body(request))
                _same_namespace(value, namespace)
                _same_name(value, call.name)
                if namespace:
                    mapping(value, "metadata")["namespace"] = namespace
                return await out.json(200, self.store.update(value, status=status))
            case "patch" if call.name:
                patched = self.store.patch(
                    resource.plural,
                    call.name,
                    await _json(request),
                    namespace=namespace,
                    status=status,
                    kind=request.content_type,
                )
                return await out.json(200, patched)
            case "delete" if not status:
                return await out.json(200, await self._delete(request, resource, call, namespace))
            case _:
                raise ApiError(
                    405,
                    "MethodNotAllowed",
                    "the server does not allow this method on the requested resource",
                    details={},
                )

    async def _delete(
        self, request: web.Request, resource: Resource, call: Call, namespace: str
    ) -> Object:
        options = await _json(request) if request.can_read_body else None
        wanted = mapping(options)
        grace = wanted.get("gracePeriodSeconds")
        if given := request.query.get("gracePeriodSeconds", ""):
            grace = int(given) if given.isascii() and given.isdigit() else None
        gone = self.store.delete(
            resource.plural,
            call.name,
            namespace=namespace,
            grace_seconds=grace if isinstance(grace, int) else None,
            uid=text(wanted, "preconditions", "uid"),
            version=text(wanted, "preconditions", "resourceVersion"),
        )
        if resource.plural in ("pods", "services", "namespaces"):
            return gone
        details: Object = {"name": call.name}
        if resource.group:
            details["group"] = resource.group
        details.update({"kind": resource.plural, "uid": text(gone, "metadata", "uid")})
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }

    # --- lists

    def _list(self, resource: Resource, namespace: str, options: ListOptions) -> Object:
        newest = options.version is None or options.continuation
        store = self.quorum if newest else self.store
        now = store.version
        version = now
        after: tuple[str, str] | None = None
        limit = options.limit
        if options.continuation:
            version, after = _read_token(options.continuation)
            version = version or now  # 0: the rest as it is now, whatever the first pages were
            if version < store.oldest:
                raise expired(
                    "the continue token is too old: begin again, or go on with the token of "
                    "this answer, without consistency",
                    continuation=_token(0, after),
                )
        elif options.version == 0:
            limit = 0  # the real server answers this one from memory, whole
        elif options.version is not None and options.version > now:
            raise _too_large(options.version, now)
        elif options.exact and options.version is not None:
            version = options.version
        items = store.list(resource.plural, namespace, selector=options.selector, version=version)
        if after is not None:
            items = [item for item in items if key_of(item) > after]
        meta: Object = {"resourceVersion": str(version)}
        if limit and len(items) > limit:
            if options.selector.everything:
                meta["remainingItemCount"] = len(items) - limit
            items = items[:limit]
            meta["continue"] = _token(version, key_of(items[-1]))
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": meta,
            "items": [_bare(item) for item in items],
        }

    # --- watches

    async def _watch(
        self, resource: Resource, namespace: str, options: ListOptions, out: _Out
    ) -> web.StreamResponse:
        since = options.version or None
        initial_events = options.initial_events
        if initial_events and self.streams != "offered":
            self.streams_spoilt[self.streams] += 1
        if initial_events is not None and self.streams == "refused":
            raise _no_streams()
        if self.streams == "ignored":
            initial_events = None
        if initial_events:
            wanted = self.quorum.version if options.version is None else since
            if wanted is not None and wanted > self.store.version:
                await out.begin(200)
                error = _too_large(wanted, self.store.version).status()
                await out.line({"type": "ERROR", "object": error})
                return await out.end()
            since = None
        elif initial_events is False and since is None:
            since = self.store.version
        loop = asyncio.get_running_loop()
        seconds = options.timeout or self.watch_timeout * self._rng.uniform(1.0, 2.0)
        deadline = loop.time() + seconds
        bookmark_at = min(
            loop.time() + self.bookmark_interval, max(loop.time(), deadline - _LAST_BOOKMARK)
        )
        watch = Watch(
            self.store,
            resource,
            namespace,
            options.selector,
            since=since,
            bookmarks=options.bookmarks,
            marked=self.streams not in ("ignored", "unmarked"),
        )
        self._watches[watch] = None
        try:
            await out.begin(200)
            while True:
                event = await watch.next(min(deadline, bookmark_at))
                if event is not None:
                    await out.line(event)
                elif watch.ended or loop.time() >= deadline:
                    break
                else:
                    if self.bookmarks:
                        watch.bookmark()
                    else:
                        self.lost_bookmarks += 1
                    bookmark_at = (
                        deadline
                        if deadline - loop.time() <= _LAST_BOOKMARK
                        else min(loop.time() + self.bookmark_interval, deadline - _LAST_BOOKMARK)
                    )
        finally:
            watch.close()
            del self._watches[watch]
        return await out.end()


class _Out:
    """The answer to one request; `left` is how many bytes of it may pass."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response = web.StreamResponse()
        self.left: int | None = None

    async def status(self, error: ApiError) -> web.StreamResponse:
        body = msgspec.json.encode(error.status())
        return await self.whole(error.code, body, _JSON, error.retry_after)

    async def json(self, code: int, value: Object) -> web.StreamResponse:
        return await self.whole(code, msgspec.json.encode(value), _JSON)

    async def whole(
        self, code: int, body: bytes, content_type: str, retry_after: int | None = None
    ) -> web.StreamResponse:
        self._response.content_length = len(body)
        if retry_after is not None:
            self._response.headers["Retry-After"] = str(retry_after)
        await self.begin(code, content_type)
        await self._write(body)
        return await self.end()

    async def begin(self, code: int, content_type: str = _JSON) -> None:
        self._response.set_status(code)
        self._response.content_type = content_type
        with suppress(ClientConnectionResetError):
            await self._response.prepare(self._request)

    async def line(self, value: Object) -> None:
        await self._write(msgspec.json.encode(value) + b"\n")

    async def end(self) -> web.StreamResponse:
        with suppress(ClientConnectionResetError):
            await self._response.write_eof()
        return self._response

    async def _write(self, data: bytes) -> None:
        try:
            if self.left is None:
                await self._response.write(data)
                return
            await self._response.write(data[: self.left])
        except ClientConnectionResetError:
            raise _CutOffError from None
        self.left -= min(self.left, len(data))
        if not self.left:
            raise _CutOffError


async def _page(request: web.Request, out: _Out) -> web.StreamResponse:
    match request.path.rstrip("/"):
        case "/version":
            return await out.json(200, _VERSION)
        case "/readyz" | "/livez" | "/healthz":
            return await out.whole(200, b"ok", "text/plain")
        case _:
            return await out.whole(404, _NOT_FOUND, "text/plain")


async def _json(request: web.Request) -> Json:
    try:
        parsed: Json = msgspec.json.decode(await request.read())
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(
            413, "RequestEntityTooLarge", f"limit is {_MAX_BODY_BYTES}", details={}
        ) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ApiError(400, "BadRequest", f"the object provided cannot be read: {error}") from None
    return parsed


async def _body(request: web.Request) -> Object:
    parsed = await _json(request)
    if not isinstance(parsed, dict):
        raise ApiError(400, "BadRequest", "the object provided is no object")
    return parsed


def _typed(resource: Resource, value: Object) -> Object:
    """Give a body the kind of its path, or refuse it for having another one."""
    version = value.setdefault("apiVersion", resource.api_version)
    kind = value.setdefault("kind", resource.kind)
    if (version, kind) != (resource.api_version, resource.kind):
        raise ApiError(
            400,
            "BadRequest",
            f'{kind} in version "{version}" cannot be handled as a {resource.kind}',
        )
    value["metadata"] = mapping(value, "metadata")
    return value


def _same_namespace(value: Object, namespace: str) -> None:
    if text(value, "metadata", "namespace") not in ("", namespace):
        raise ApiError(
            400,
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent on the request",
        )


def _same_name(value: Object, name: str) -> None:
    given = text(value, "metadata", "name")
    if given != name:
        raise ApiError(
            400,
            "BadRequest",
            f"the name of the object ({given}) does not match the name on the URL ({name})",
        )


def _bare(item: Object) -> Object:
    """An item of a list, which does not repeat the kind of the list."""
    return {name: part for name, part in item.items() if name not in ("kind", "apiVersion")}


def _is_stream(call: Call | None, query: Mapping[str, str]) -> bool:
    return call is not None and call.verb == "watch" and query.get("sendInitialEvents") == "true"


def _no_streams() -> ApiError:
    why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
    cause: Object = {
        "reason": "FieldValueForbidden",
        "message": f"Forbidden: {why}",
        "field": "sendInitialEvents",
    }
    return ApiError(
        422,
        "Invalid",
        f'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: {why}',
        details={"group": "meta.k8s.io", "kind": "ListOptions", "causes": [cause]},
    )


def _too_large(version: int, now: int) -> ApiError:
    cause: Object = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {version}, current: {now}",
        details={"causes": [cause], "retryAfterSeconds": 1},
    )


def _token(version: int, after: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([version, *after])).decode()


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        version, namespace, name = msgspec.json.decode(raw, type=tuple[int, str, str])
    except (ValueError, msgspec.DecodeError):
        raise ApiError(
            400, "BadRequest", "invalid continue token: continue key is not valid"
        ) from None
    return version, (namespace, name)
