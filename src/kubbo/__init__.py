"""Kubbo: the Python Dubbo for Kubernetes.

A consumer enters a `Channel` and refers to an interface; a provider enters a `Server` and
exports an implementation of it. The interface is a class that `service` declares. What else
users name is here too; everything else is the inside of the house.
"""

from __future__ import annotations

from kubbo import blocking, java
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
from kubbo.rpc.channel import Channel, GenericReference
from kubbo.rpc.context import CallContext, current_call
from kubbo.rpc.filters import Filter
from kubbo.rpc.reference import options
from kubbo.rpc.server import Server
from kubbo.rpc.service import method, service

__all__ = [
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
    "TargetError",
    "UsageError",
    "__version__",
    "blocking",
    "current_call",
    "java",
    "method",
    "options",
    "pojo",
    "service",
]

__version__ = "0.1.0"
