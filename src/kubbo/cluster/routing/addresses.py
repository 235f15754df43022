"""Addresses as tag rules list them: `10.0.0.1:20880`, `10.0.*.*`, `10.0.0.1-9`, `10.0.0.0/16`.

Source: org.apache.dubbo.common.utils.NetUtils.matchIpExpression.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from kubbo.model import Endpoint

__all__ = ["Address", "parse_address"]

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_Octet: TypeAlias = tuple[int, int]

_ANY_HOSTS: Final = ("*", "*.*.*.*")
_ANY_WITH_PORT: Final = "0.0.0.0"  # noqa: S104 - a pattern, nothing is bound


@dataclass(frozen=True, slots=True)
class Address:
    """What an endpoint's address may be. `port` 0 is any. One of the others is set, or none: any.

    `octets` are the least and the greatest of each part of an IPv4 address.
    """

    text: str
    port: int = 0
    host: str = ""
    network: _Network | None = None
    octets: tuple[_Octet, ...] = ()

    def matches(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint is at it."""
        if self.port and endpoint.port != self.port:
            return False
        if self.host:
            return endpoint.host == self.host
        if self.network is None and not self.octets:
            return True
        actual = _read(endpoint.host)
        if actual is None:
            return False
        if self.network is not None:
            return actual in self.network
        return actual.version == 4 and all(
            low <= octet <= high
            for octet, (low, high) in zip(actual.packed, self.octets, strict=True)
        )


@lru_cache(maxsize=1 << 14)
def _read(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The number of a host; kept, since each group of each rule asks for it at each update."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def parse_address(text: str) -> Address:
    """Read one address of a tag.

    Raises:
        ValueError: it is none; the text says what to write.
    """
    if "/" in text:
        try:
            return Address(text, network=ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise ValueError(f"{text!r} is no network; write it like 10.0.0.0/16") from None
    host, port = _split(text)
    if host in _ANY_HOSTS or (host == _ANY_WITH_PORT and port):
        return Address(text, port)
    if host == _ANY_WITH_PORT:
        raise ValueError(f"{text!r} is any host only with a port; write * for any address")
    with suppress(ValueError):
        return Address(text, port, host=str(ipaddress.ip_address(host)))
    parts = host.split(".")
    if len(parts) == 4 and ("*" in host or "-" in host):
        octets = [_octet(part) for part in parts]
        if None not in octets:
            return Address(text, port, octets=tuple(each for each in octets if each))
    elif any(each.isalpha() for each in host) and not set(host) & set("*[]:, "):
        return Address(text, port, host=host)  # a name, which static targets may have
    raise ValueError(
        f"{text!r} is no address; write 10.0.0.1:20880, 10.0.*.*, 10.0.0.1-9 or 10.0.0.0/16"
    )


def _split(text: str) -> tuple[str, int]:
    host, bracket, port = text.removeprefix("[").partition("]")
    if text.startswith("[") and bracket:
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        return text, 0
    if not port and not text.endswith(":"):
        return host, 0
    if not port.isascii() or not port.isdigit() or len(port) > 5 or not 0 <= int(port) < 65536:
        raise ValueError(f"{text!r} has no port after its ':'; write it like 10.0.0.1:20880")
    return host, int(port)


def _octet(text: str) -> _Octet | None:
    if text == "*":
        return (0, 255)
    low, dash, high = text.partition("-")
    if not all(each.isascii() and each.isdigit() and len(each) <= 3 for each in (low, high or "0")):
        return None
    if dash and not high:
        return None
    bounds = (int(low), int(high) if dash else int(low))
    return bounds if bounds[0] <= bounds[1] <= 255 else None
