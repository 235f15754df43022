"""Kubbo: the Python Dubbo for Kubernetes.

A consumer enters a `Channel` and refers to an interface; a provider enters a `Server` and
exports an implementation of it. The interface is a class that `service` declares. What else
users name is here too; everything else is the inside of the house.

A name is loaded when it is first used: a command line that prints its help, or a module
that only declares an interface, does not pay for sockets and codecs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubbo import blocking, java, observe
    from kubbo.cluster.breaker import BreakerRules
    from kubbo.errors import (
        Code,
        ConfigError,
        DeadlineExceeded,
        DecodeError,
        EncodeError,
        KubboError,
        NoProvider,
        Progress,
        RemoteException,
        RpcError,
        TargetError,
        UsageError,
    )
    from kubbo.java import Record, pojo
    from kubbo.model import Endpoint, Invocation, Result, ServiceKey
    from kubbo.naming.open import NamingContext
    from kubbo.rpc.admission import ServingLimits
    from kubbo.rpc.channel import Channel, GenericReference
    from kubbo.rpc.context import CallContext, current_call
    from kubbo.rpc.explain import explain
    from kubbo.rpc.filters import Filter
    from kubbo.rpc.server import Server
    from kubbo.rpc.service import method, service
    from kubbo.rpc.stub import options

__all__ = [
    "BreakerRules",
    "CallContext",
    "Channel",
    "Code",
    "ConfigError",
    "DeadlineExceeded",
    "DecodeError",
    "EncodeError",
    "Endpoint",
    "Filter",
    "GenericReference",
    "Invocation",
    "KubboError",
    "NamingContext",
    "NoProvider",
    "Progress",
    "Record",
    "RemoteException",
    "Result",
    "RpcError",
    "Server",
    "ServiceKey",
    "ServingLimits",
    "TargetError",
    "UsageError",
    "__version__",
    "blocking",
    "current_call",
    "explain",
    "java",
    "method",
    "observe",
    "options",
    "pojo",
    "service",
]

__version__ = "0.1.0"

_HOMES = {
    "BreakerRules": "kubbo.cluster.breaker",
    "CallContext": "kubbo.rpc.context",
    "Channel": "kubbo.rpc.channel",
    "Code": "kubbo.errors",
    "ConfigError": "kubbo.errors",
    "DeadlineExceeded": "kubbo.errors",
    "DecodeError": "kubbo.errors",
    "EncodeError": "kubbo.errors",
    "Endpoint": "kubbo.model",
    "Filter": "kubbo.rpc.filters",
    "GenericReference": "kubbo.rpc.channel",
    "Invocation": "kubbo.model",
    "KubboError": "kubbo.errors",
    "NamingContext": "kubbo.naming.open",
    "NoProvider": "kubbo.errors",
    "Progress": "kubbo.errors",
    "Record": "kubbo.java",
    "RemoteException": "kubbo.errors",
    "Result": "kubbo.model",
    "RpcError": "kubbo.errors",
    "Server": "kubbo.rpc.server",
    "ServiceKey": "kubbo.model",
    "ServingLimits": "kubbo.rpc.admission",
    "TargetError": "kubbo.errors",
    "UsageError": "kubbo.errors",
    "current_call": "kubbo.rpc.context",
    "explain": "kubbo.rpc.explain",
    "method": "kubbo.rpc.service",
    "options": "kubbo.rpc.stub",
    "pojo": "kubbo.java",
    "service": "kubbo.rpc.service",
}
"""Where each public name lives; the modules among them are their own."""


def __getattr__(name: str) -> object:
    if name in ("blocking", "java", "observe"):
        return importlib.import_module(f"kubbo.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kubbo' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
