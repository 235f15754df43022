"""Dialling an endpoint: does somebody listen, is it Dubbo, has it what the annotation says?

A heartbeat is all that is sent first: every Dubbo provider answers it, and it calls nothing. Only
where one answered it is asked what it exports: by Dubbo's MetadataService, which a Kubbo provider
answers; else by `$echo` of each service that its Service lists, which a Java provider refuses for
what it has not. (A Kubbo provider answers any `$echo`.) None of this calls a user's method.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

import msgspec

from kubbo.config import Options
from kubbo.doctor.bundle import Handshake, Lookup
from kubbo.errors import Code, KubboError, RemoteException, RpcError
from kubbo.model import ServiceKey
from kubbo.wire.dubbo2.frames import HEADER, MAGIC
from kubbo.wire.hessian2.kinds import ITEMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubbo.rpc.channel import Channel

__all__ = ["HEARTBEAT", "exported", "look_up", "shake"]

_WITHIN: Final = 3.0  # seconds for the connection, and again for the answer
_READ_BYTES: Final = 256
_KEYS: Final = 10
_SERVICES: Final = 1_000
_DETAIL_CHARS: Final = 300

# A request that is two-way and an event, serialized as hessian2; its body is Hessian's null.
HEARTBEAT: Final = HEADER.pack(MAGIC, 0xE2, 0, 1, 1) + b"N"
"""The first frame that is sent."""

_UNKNOWN: Final = (Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED, Code.UNKNOWN)
"""What a status says when no such service was found: Java's 40 and 70, Kubbo's 60."""


async def shake(address: str) -> Handshake:
    """Dial `HOST:PORT`, send a heartbeat, and say what came back. Cancel safe."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_WITHIN):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except TimeoutError:
        return Handshake(address, "timeout", f"no connection within {_WITHIN:.0f} s")
    except ConnectionRefusedError:
        return Handshake(address, "refused")
    except OSError as error:
        return Handshake(address, "unreachable", error.strerror or str(error))
    try:
        writer.write(HEARTBEAT)
        answer = await _answer(reader, _WITHIN)
        if answer is None:  # an HTTP/1 server waits for the end of a line
            writer.write(b"\r\n\r\n")
            answer = await _answer(reader, _WITHIN / 3)
    except OSError as error:
        return Handshake(address, "closed", error.strerror or str(error))
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    if answer is None:
        return Handshake(address, "silent", f"no answer within {_WITHIN:.0f} s")
    if not answer:
        return Handshake(address, "closed")
    if answer.startswith(MAGIC):
        return Handshake(address, "dubbo")
    return Handshake(address, "other", _kind(answer))


async def _answer(reader: asyncio.StreamReader, within: float) -> bytes | None:
    """What came first, empty at the end of the stream, None when nothing came in time."""
    try:
        async with asyncio.timeout(within):
            return await reader.read(_READ_BYTES)
    except TimeoutError:
        return None


def _kind(answer: bytes) -> str:
    shown = answer[:40].decode("ascii", "backslashreplace")
    if answer.startswith(b"HTTP/1"):
        return f"it answered as an HTTP/1 server: {shown!r}"
    if answer[3:4] == b"\x04" and len(answer) >= 9:
        return "it answered with an HTTP/2 SETTINGS frame: Triple or gRPC"
    if answer[:2] in (b"\x15\x03", b"\x16\x03"):
        return "it answered with a TLS record"
    return f"it answered {shown!r}"


async def exported(shaken: Handshake, keys: Sequence[str]) -> Handshake:
    """Ask the provider whether it exports each service. Cancel safe."""
    from kubbo.rpc.channel import Channel  # noqa: PLC0415 - when a provider answered

    if not keys:
        return shaken
    async with Channel(application="kubbo-doctor", config="") as channel:
        target = f"dubbo://{shaken.address}"
        listed = await _listed(channel, target)
        if listed:
            found = {key: _normal(key) in listed for key in keys[:_KEYS]}
            detail = (
                "" if all(found.values()) else f"it exports {', '.join(sorted(listed)[:_KEYS])}"
            )
        else:
            found, detail = await _echoed(channel, target, keys[:_KEYS])
    return msgspec.structs.replace(shaken, exported=found, detail=detail[:_DETAIL_CHARS])


async def _listed(channel: Channel, target: str) -> set[str]:
    """The service keys that the provider's MetadataService lists; empty where it tells none."""
    from kubbo.rpc.metadata import (  # noqa: PLC0415 - as above
        METADATA_SERVICE,
        METADATA_VERSION,
        MetadataInfo,
        ServiceInfo,
    )

    key = ServiceKey(METADATA_SERVICE, "", METADATA_VERSION)
    reference = channel.generic(key, target, types=[MetadataInfo, ServiceInfo])
    try:
        result = await reference.invoke("getMetadataInfos", [], [], Options(_WITHIN))
    except KubboError:
        return set()
    infos = cast("list[object]", result.value) if isinstance(result.value, ITEMS) else []
    return {
        str(told.key)[:_DETAIL_CHARS]
        for info in infos
        if isinstance(info, MetadataInfo)
        for told in islice((info.services or {}).values(), _SERVICES)
    }


async def _echoed(
    channel: Channel, target: str, keys: Sequence[str]
) -> tuple[dict[str, bool], str]:
    """Which services answer `$echo`, and the first refusal."""
    found: dict[str, bool] = {}
    detail = ""
    for key in keys:
        try:
            reference = channel.generic(key, target)
            await reference.invoke("$echo", ["java.lang.Object"], ["?"], Options(_WITHIN))
        except RpcError as error:
            if error.code in _UNKNOWN and not isinstance(error, RemoteException):
                found[key] = False
                detail = detail or error.message
        except KubboError:
            continue  # a key that cannot be one: the rules for names tell that
        else:
            found[key] = True
    return found, detail


def _normal(key: str) -> str:
    try:
        return str(ServiceKey.parse(key))
    except KubboError:
        return key


async def look_up(name: str) -> Lookup:
    """Resolve a name as any process here does. Cancel safe."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(2 * _WITHIN):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        return Lookup(name, error=f"no answer within {2 * _WITHIN:.0f} s")
    except (OSError, UnicodeError) as error:
        return Lookup(name, error=str(error))
    return Lookup(name, sorted({str(each[4][0]) for each in found}))
