"""What resolv.conf says: whom to ask, and under which names. The file is read, nothing is asked.

Each word is judged alone, as the C library does: a name server that is no address, a search domain
that is no name and an option that nobody knows are passed over, and the rest of the file counts.
One mistyped line must not cost a program all of its names.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.exception
import dns.name

__all__ = ["ResolvConf", "name_server", "read_resolv_conf"]

_SERVERS: Final = 3  # as the C library does
_DOMAINS: Final = 32  # as Kubernetes allows
_MOST_NDOTS: Final = 15  # as the C library does
_TIMEOUT: Final = 2.0
_SHORTEST_TIMEOUT: Final = 0.1
_LONGEST_TIMEOUT: Final = 5.0  # seconds for one server, whatever the file says


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """The part of the file that a lookup needs.

    Attributes:
        nameservers: addresses, as the kernel writes them.
        search: domains to be tried behind a name.
        ndots: a name with so many dots is tried as it is first.
        timeout: seconds that one server has for one question.
    """

    nameservers: tuple[str, ...] = ()
    search: tuple[dns.name.Name, ...] = ()
    ndots: int = 1
    timeout: float = _TIMEOUT


def read_resolv_conf(path: str | Path) -> ResolvConf:
    """Read the file. It blocks.

    Raises:
        OSError: it cannot be read.
    """
    nameservers: list[str] = []
    domains = socket.gethostname().split(".", 1)[1:]
    options = {"ndots": 1.0, "timeout": _TIMEOUT}
    for line in Path(path).read_text("utf-8", "replace").splitlines():
        match line.split():
            case ["nameserver", text, *_] if address := name_server(text):
                nameservers.append(address)
            case ["domain", text, *_]:
                domains = [text]
            case ["search", *texts]:  # the last of both wins
                domains = texts
            case ["options", *texts]:
                options |= dict(filter(None, map(_number, texts)))
            case _:
                pass
    search = tuple(filter(None, map(_domain, domains)))
    return ResolvConf(
        tuple(nameservers[:_SERVERS]),
        search[:_DOMAINS],
        int(min(options["ndots"], _MOST_NDOTS)),
        min(max(options["timeout"], _SHORTEST_TIMEOUT), _LONGEST_TIMEOUT),
    )


def name_server(text: str) -> str | None:
    """An address as the kernel writes it, None if it is none.

    A socket tells its peer's address so, and dnspython compares the texts: `FE80::1%eth0` would
    never have answered.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    scope = f"%{address.scope_id}" if address.scope_id else ""
    return socket.inet_ntop(socket.AF_INET6, address.packed) + scope


def _domain(text: str) -> dns.name.Name | None:
    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, ValueError):
        return None


def _number(option: str) -> tuple[str, float] | None:
    name, _, value = option.partition(":")
    return (name, float(value)) if value.isascii() and value.isdecimal() else None
