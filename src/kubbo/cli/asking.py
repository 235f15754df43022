"""What a provider tells of itself, asked over its own port.

A Kubbo provider answers the MetadataService in any group, with the methods' types. A Java
provider answers it only in the group that is its application's name, which nobody outside of
its registry knows; but its refusal lists what it serves, that name among it. Dubbo 3 in Java
tells methods by their names only, and nothing at all where it has no registry; then what the
refusal lists is all there is.

All of this comes from a peer: the sizes of what is kept are bounded here or by the codec.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from kubbo.config import Options
from kubbo.errors import Code, DecodeError, RemoteException, RpcError, TargetError
from kubbo.model import ServiceKey
from kubbo.rpc.definition import Definition, parse_definition
from kubbo.rpc.metadata import METADATA_SERVICE, METADATA_VERSION, MetadataInfo, ServiceInfo
from kubbo.wire.hessian2.kinds import ITEMS

if TYPE_CHECKING:
    from kubbo.model import Endpoint, Value
    from kubbo.rpc.channel import Channel

__all__ = [
    "MISUNDERSTOOD",
    "Provider",
    "Service",
    "ask_definition",
    "ask_provider",
    "misunderstood",
]

MISUNDERSTOOD: Final = (Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED, Code.UNKNOWN)
"""What a status says when no such method was found: Java's 40 and 70, Kubbo's 60."""

MAX_SERVICES: Final = 1_000
MAX_DEFINITIONS: Final = 200
MAX_REFUSAL: Final = 65_536  # characters of it that are looked through
MAX_SHOWN: Final = 300
MAX_METHODS: Final = 2_000
MAX_PARAMS: Final = 100
MAX_NAME: Final = 1_000
MAX_VALUE: Final = 20_000  # characters of a parameter: the methods' names are one
MAX_TOLD: Final = 8_000_000  # characters of all definitions together

_TEXT: Final = "java.lang.String"


@dataclass(slots=True)
class Service:
    """One service as it was told; `definition` where the types are known."""

    key: ServiceKey
    port: int | None = None
    methods: tuple[str, ...] = ()
    definition: Definition | None = None
    params: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class Provider:
    """What one provider told; `notes` say what it did not, and why."""

    endpoint: Endpoint | None = None
    application: str = ""
    revision: str = ""
    services: dict[str, Service] = field(default_factory=dict[str, Service])
    notes: list[str] = field(default_factory=list[str])


def misunderstood(error: RpcError) -> bool:
    """Whether a provider refused a call because it has no such service or method."""
    return error.code in MISUNDERSTOOD and not isinstance(error, RemoteException)


class _Asking:
    """Calls of the MetadataService, all before one deadline."""

    def __init__(self, channel: Channel, target: str, *, group: str, timeout: float) -> None:
        self._channel = channel
        self._until = asyncio.get_running_loop().time() + timeout
        self._target = target
        self.group = group
        self.endpoint: Endpoint | None = None

    async def call(self, method: str, *args: str) -> Value:
        """The answer of the provider that answered first."""
        left = max(0.001, self._until - asyncio.get_running_loop().time())
        key = ServiceKey(METADATA_SERVICE, self.group, METADATA_VERSION)
        reference = self._channel.generic(key, self._target, types=[MetadataInfo, ServiceInfo])
        types = [_TEXT] * len(args)
        try:
            result = await reference.invoke(method, types, args, Options(left))
        except RpcError as error:
            self._stay(error.endpoint)
            raise
        self._stay(result.endpoint)
        return result.value

    def _stay(self, endpoint: Endpoint | None) -> None:
        """Ask the same provider from now on: two of them may serve different things."""
        if self.endpoint is None and endpoint is not None:
            self.endpoint = endpoint
            self._target = f"static:///{endpoint}"


async def ask_definition(
    channel: Channel,
    target: str,
    key: ServiceKey,
    *,
    timeout: float,  # noqa: ASYNC109 - seconds
) -> Definition | None:
    """The definition of a service, by one call; None where the provider gives none."""
    asking = _Asking(channel, target, group="", timeout=timeout)
    try:
        text = await asking.call("getServiceDefinition", str(key))
        return parse_definition(text) if isinstance(text, str) and text else None
    except (RpcError, DecodeError):
        return None


async def ask_provider(
    channel: Channel,
    target: str,
    *,
    application: str,
    timeout: float,  # noqa: ASYNC109 - seconds
) -> Provider:
    """All that a provider tells.

    Raises:
        RpcError: there is no provider, or it tells nothing at all.
    """
    asking = _Asking(channel, target, group=application, timeout=timeout)
    found = Provider()
    try:
        infos = await _infos(asking, found)
    finally:
        found.endpoint = asking.endpoint
    for info in infos:
        if isinstance(info, MetadataInfo):
            _take_info(info, found)
    found.application = found.application or asking.group
    if not found.services:
        raise RpcError(
            Code.UNIMPLEMENTED,
            "the provider answers and tells of no services; call its methods with --types",
            endpoint=asking.endpoint,
        )
    await _define(asking, found)
    return found


async def _infos(asking: _Asking, found: Provider) -> list[Any]:
    """What the provider serves, by the newest way that it knows."""
    try:
        return _listed(await asking.call("getMetadataInfos"))
    except RpcError as error:
        if not misunderstood(error):
            raise
        refusal = error
    text = refusal.message[:MAX_REFUSAL]
    _take_refusal(text, found)
    group = _group_in(text)
    if group and group != asking.group:
        asking.group = group
        try:
            infos = _listed(await asking.call("getMetadataInfos"))
        except RpcError as error:
            if not misunderstood(error):
                raise
        else:
            if not infos:
                found.notes.append(
                    "its MetadataService has no services, as that of a Java provider without a "
                    "registry; these are those that it names when it refuses a call"
                )
            return infos
    try:
        for url in _listed(await asking.call("getExportedURLs")):
            _take_url(url, found)
    except RpcError as error:
        if not misunderstood(error):
            raise
        if not found.services:
            why = printable_line(refusal.message)
            raise RpcError(
                Code.UNIMPLEMENTED,
                f"the provider offers no metadata ({why}); if it is Java's and hides its "
                "application's name, give that with --application. Its methods can be called "
                "with --types",
                endpoint=asking.endpoint,
            ) from None
        found.notes.append("it offers no metadata; these are what it names when it refuses a call")
    return []


def printable_line(text: str) -> str:
    """The first line of a text, cut."""
    line = text.split("\n", 1)[0]
    return line if len(line) <= MAX_SHOWN else line[:MAX_SHOWN] + "..."


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, ITEMS) else []


_SERVED_BY_JAVA: Final = re.compile(r"Not found exported service: \S+ in \[([^\]]*)\]")


def _served(text: str) -> list[tuple[ServiceKey, int]]:
    """What Java says that it serves: `[group/]interface[:version]:port`, and commas."""
    match = _SERVED_BY_JAVA.search(text)
    served: list[tuple[ServiceKey, int]] = []
    for part in match[1].split(", ")[:MAX_SERVICES] if match else ():
        key, _, port = part.rpartition(":")
        if not (port.isascii() and port.isdigit() and len(port) <= 5):
            continue
        try:
            served.append((ServiceKey.parse(key), int(port)))
        except TargetError:
            continue
    return served


def _group_in(text: str) -> str:
    groups = (key.group for key, _ in _served(text) if key.interface == METADATA_SERVICE)
    return next(groups, "")


def _take_refusal(text: str, found: Provider) -> None:
    for key, port in _served(text):
        if key.interface != METADATA_SERVICE:
            found.services[str(key)] = Service(key, port)


def _take_info(info: MetadataInfo, found: Provider) -> None:
    found.application = found.application or (info.app or "")[:MAX_NAME]
    found.revision = found.revision or (info.revision or "")[:MAX_NAME]
    for told in islice((info.services or {}).values(), MAX_SERVICES):
        params = {
            name[:MAX_NAME]: (value or "")[:MAX_VALUE]
            for name, value in islice((told.params or {}).items(), MAX_PARAMS)
        }
        _take(found, Service(told.key, told.port, _methods(params), params=params))


def _take_url(url: Any, found: Provider) -> None:
    """`dubbo://host:port/path?interface=...&methods=a,b`."""
    if not isinstance(url, str) or "?" not in url:
        return
    head, _, query = url.partition("?")
    params = {
        name[:MAX_NAME]: unquote(value[:MAX_VALUE])
        for name, _, value in (pair.partition("=") for pair in query.split("&", MAX_PARAMS))
    }
    found.application = found.application or params.get("application", "")
    key = ServiceKey(
        params.get("interface", ""), params.get("group", ""), params.get("version", "")
    )
    port = head.partition("://")[2].partition("/")[0].rpartition(":")[2]
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else None
    _take(found, Service(key, number, _methods(params), params=params))


def _take(found: Provider, told: Service) -> None:
    if len(text := str(told.key)) > MAX_NAME:
        return
    try:
        key = ServiceKey.parse(text)
    except TargetError:
        return
    if key.interface != METADATA_SERVICE and len(found.services) < MAX_SERVICES:
        found.services[str(key)] = told


def _methods(params: dict[str, str]) -> tuple[str, ...]:
    names = params.get("methods") or ""
    return tuple(name for name in names.split(",", MAX_METHODS) if name and name != "*")


async def _define(asking: _Asking, found: Provider) -> None:
    """Ask for the types. One who has them for no service is not asked for the others."""
    left = MAX_TOLD
    for each in islice(found.services.values(), MAX_DEFINITIONS):
        try:
            if left < 0:
                found.notes.append(f"not all is shown: more than {MAX_TOLD} characters of types")
                break
            text = await asking.call("getServiceDefinition", str(each.key))
            if text == "":
                break
            if isinstance(text, str):
                left -= len(text)
                each.definition = parse_definition(text)
        except DecodeError as error:
            found.notes.append(f"{each.key}: {error}"[:MAX_SHOWN])
        except RpcError as error:
            if not misunderstood(error):
                found.notes.append(f"not all was answered: {printable_line(str(error))}")
            break
    if all(each.definition is None for each in found.services.values()):
        found.notes.append(
            "it tells no types, as Java's Dubbo 3 never does: `kubbo call` infers them from the "
            "values there, or give it --types or --generic"
        )
