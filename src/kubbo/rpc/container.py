"""What is wrong with a provider's ports that nobody would see from inside its container.

A pod whose process listens elsewhere than its manifest says starts well, becomes ready where no
probe asks, and is never reached. The process knows one half of that and its manifest the other.
Kubernetes does not tell a container its ports (the downward API has no field for them), so whoever
writes the manifest repeats them in an environment variable:

    KUBBO_DECLARED_PORTS=dubbo=20880,admin=20881

The names are for the message and may be left out. `kubbo manifests` writes it.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["DECLARED_PORTS", "listening_warnings"]

DECLARED_PORTS: Final = "KUBBO_DECLARED_PORTS"

_MOST_PORTS: Final = 64

_IN_A_POD: Final = "KUBERNETES_SERVICE_HOST"
"""Every container of a pod has it. In a developer's own container loopback may be right."""


def listening_warnings(
    listening: Iterable[tuple[str, int]],
    admin_port: int | None,
    environ: Mapping[str, str],
) -> Iterator[str]:
    """What to warn of, where a provider listens at these addresses."""
    addresses = list(listening)
    ports = sorted({port for _, port in addresses})
    if environ.get(_IN_A_POD) and all(_is_loopback(host) for host, _ in addresses):
        yield (
            f"listening on loopback only ({_joined(addresses)}), inside a pod: nobody "
            "outside of it can connect; leave the host out, or use 0.0.0.0"
        )
    text = environ.get(DECLARED_PORTS, "")
    if not text.strip():
        return
    declared = _read_ports(text)
    if declared is None:
        yield f"{DECLARED_PORTS}={text[:200]!r} is no list of ports like dubbo=20880,admin=20881"
        return
    told = f"but the container declares {_listed(declared)} ({DECLARED_PORTS})"
    for port in ports:
        if port not in declared:
            yield f"the provider listens on port {port}, {told}: change one of them"
    if admin_port is not None and admin_port not in declared:
        yield f"probes are answered on port {admin_port}, {told}: change one of them"


def _read_ports(text: str) -> dict[int, str] | None:
    """Names by port, None where the text cannot be read."""
    ports: dict[int, str] = {}
    for part in text.split(",", _MOST_PORTS):
        name, _, number = part.strip().rpartition("=")
        if not (number.isascii() and number.isdigit() and 0 < int(number[:6]) < 65536):
            return None
        ports[int(number)] = name
    return ports


def _listed(ports: Mapping[int, str]) -> str:
    return ", ".join(f"{port} ({name})" if name else str(port) for port, name in ports.items())


def _joined(addresses: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in addresses)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
