"""How a kubelet asks a provider whether it lives: the one place that chooses.

A provider with an admin port is asked over HTTP, where it can say that it drains. Without one
the kubelet can only see that the port is open, which it is until the drain has ended; the
consumers still hear of it, by READONLY and because their pod terminates.

Liveness is lenient: a process that is merely slow must not be killed for it, so it takes three
failures in a row of 3 s each. Readiness is asked each 2 s, which bounds how long a pod that
cannot serve is still called. Start-up has a minute, in which the other two are not asked.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["ADMIN_PORT_NAME", "probes"]

ADMIN_PORT_NAME: Final = "admin"


def probes(*, admin: bool) -> dict[str, Any]:
    """The probes of the container: over HTTP on the port `admin`, or of the port `dubbo` alone."""
    return {
        "startupProbe": {**_ask("/startupz", admin=admin), "periodSeconds": 1}
        | {"failureThreshold": 60, "timeoutSeconds": 3},
        "readinessProbe": {**_ask("/readyz", admin=admin), "periodSeconds": 2}
        | {"failureThreshold": 2, "timeoutSeconds": 3},
        "livenessProbe": {**_ask("/livez", admin=admin), "periodSeconds": 10}
        | {"failureThreshold": 3, "timeoutSeconds": 3},
    }


def _ask(path: str, *, admin: bool) -> dict[str, Any]:
    if admin:
        return {"httpGet": {"path": path, "port": ADMIN_PORT_NAME}}
    return {"tcpSocket": {"port": "dubbo"}}
