"""What a provider tells of itself: `org.apache.dubbo.metadata.MetadataService`.

Java's application-level discovery finds addresses in a registry and asks one of them what is
served there. It calls this service on the provider's own port, in the group that is the
provider's application; here any group is answered, since there is one application a process.

    getMetadataInfo(revision)   the services: key, port, methods by name, parameters
    getExportedURLs()           the same as URLs, which Dubbo before 3.0 asks for
    getServiceDefinition(key)   the methods' types, see `kubbo.rpc.definition`

A revision tells Java when to ask again. Nothing is registered by a Kubbo provider, so the
revision that a consumer names comes from whoever wrote the address down (an annotation of a
pod); the answer is what is served now, whatever was named.

Source: org.apache.dubbo.metadata.MetadataInfo as Dubbo 3.3.6 puts it on the wire.
"""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Final, Protocol
from urllib.parse import quote

from kubbo.errors import TargetError
from kubbo.java import JavaName, pojo
from kubbo.model import ServiceKey
from kubbo.rpc.definition import define, render_definition
from kubbo.rpc.service import Interface, method, service

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "METADATA_SERVICE",
    "METADATA_VERSION",
    "Metadata",
    "MetadataInfo",
    "MetadataService",
    "ServiceInfo",
]

METADATA_SERVICE: Final = "org.apache.dubbo.metadata.MetadataService"
METADATA_VERSION: Final = "1.0.0"

_PROTOCOL: Final = "dubbo"
_ANY_HOST: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - not listened on here

SortedStrings = Annotated[list[str], JavaName("java.util.SortedSet")]


@pojo("org.apache.dubbo.metadata.MetadataInfo$ServiceInfo")
@dataclass
class ServiceInfo:
    """One exported service. `params` are those of its URL."""

    name: str
    group: str | None
    version: str | None
    protocol: str
    port: int
    path: str
    params: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def key(self) -> ServiceKey:
        """Its service key."""
        return ServiceKey(self.name or "", self.group or "", self.version or "")


@pojo("org.apache.dubbo.metadata.MetadataInfo")
@dataclass
class MetadataInfo:
    """All services of an application; by `[group/]interface[:version]:protocol`."""

    app: str | None
    revision: str | None
    services: Annotated[dict[str, ServiceInfo], JavaName("java.util.concurrent.ConcurrentHashMap")]


@service(METADATA_SERVICE, version=METADATA_VERSION)
class MetadataService(Protocol):
    """What of Java's interface means something between processes."""

    async def service_name(self) -> str:
        """The application."""
        ...

    async def version(self) -> str:
        """The version of this interface."""
        ...

    async def get_metadata_info(self, revision: str | None) -> MetadataInfo | None:
        """The services; Java answers null where the revision is not its own."""
        ...

    async def get_metadata_infos(self) -> list[MetadataInfo]:
        """The services, of each registry that they are in."""
        ...

    @method(name="getExportedURLs")
    async def get_exported_urls(self) -> SortedStrings:
        """The services as URLs."""
        ...

    @method(name="getExportedURLs")
    async def get_exported_urls_1(self, interface: str | None) -> SortedStrings:
        """Those of an interface; `*` or null is any."""
        ...

    @method(name="getExportedURLs")
    async def get_exported_urls_2(self, interface: str | None, group: str | None) -> SortedStrings:
        """Those of an interface and a group."""
        ...

    @method(name="getExportedURLs")
    async def get_exported_urls_3(
        self, interface: str | None, group: str | None, version: str | None
    ) -> SortedStrings:
        """Those of a service key."""
        ...

    @method(name="getExportedURLs")
    async def get_exported_urls_4(
        self, interface: str | None, group: str | None, version: str | None, protocol: str | None
    ) -> SortedStrings:
        """Those of a service key, over one protocol."""
        ...

    @method(name="getSubscribedURLs")
    async def get_subscribed_urls(self) -> SortedStrings:
        """What the application calls."""
        ...

    async def get_service_definition(self, service_key: str | None) -> str | None:
        """The definition of a service as JSON."""
        ...

    @method(name="getServiceDefinition")
    async def get_service_definition_3(
        self, interface: str | None, version: str | None, group: str | None
    ) -> str | None:
        """The same by the parts of the key, in this order."""
        ...


class Exports(Protocol):
    """What is told of: a server."""

    @property
    def interfaces(self) -> Iterable[Interface]:
        """What is exported."""
        ...

    @property
    def port(self) -> int:
        """Where it is."""
        ...


class Metadata:
    """The `MetadataService` of a provider.

    `host` is the address that URLs name; the machine's name where a server listens on every
    address, since the registry that would know one is the cluster.
    """

    def __init__(self, exports: Exports, *, application: str, host: str | None) -> None:
        self._exports = exports
        self._application = application
        self._host = None if host in _ANY_HOST else host

    async def service_name(self) -> str:
        """See `MetadataService`."""
        return self._application

    async def version(self) -> str:
        """See `MetadataService`."""
        return METADATA_VERSION

    async def get_metadata_info(self, revision: str | None) -> MetadataInfo | None:
        """See `MetadataService`."""
        del revision  # see the head of the module
        return self._info()

    async def get_metadata_infos(self) -> list[MetadataInfo]:
        """See `MetadataService`."""
        return [self._info()]

    async def get_exported_urls(self) -> list[str]:
        """See `MetadataService`."""
        return self._urls(None, None, None, None)

    async def get_exported_urls_1(self, interface: str | None) -> list[str]:
        """See `MetadataService`."""
        return self._urls(interface, None, None, None)

    async def get_exported_urls_2(self, interface: str | None, group: str | None) -> list[str]:
        """See `MetadataService`."""
        return self._urls(interface, group, None, None)

    async def get_exported_urls_3(
        self, interface: str | None, group: str | None, version: str | None
    ) -> list[str]:
        """See `MetadataService`."""
        return self._urls(interface, group, version, None)

    async def get_exported_urls_4(
        self, interface: str | None, group: str | None, version: str | None, protocol: str | None
    ) -> list[str]:
        """See `MetadataService`."""
        return self._urls(interface, group, version, protocol)

    async def get_subscribed_urls(self) -> list[str]:
        """See `MetadataService`. Consumers are told to nobody."""
        return []

    async def get_service_definition(self, service_key: str | None) -> str | None:
        """See `MetadataService`."""
        try:
            return self._definition(ServiceKey.parse(service_key or ""))
        except TargetError:
            return None

    async def get_service_definition_3(
        self, interface: str | None, version: str | None, group: str | None
    ) -> str | None:
        """See `MetadataService`."""
        return self._definition(ServiceKey(interface or "", group or "", version or ""))

    def _definition(self, key: ServiceKey) -> str | None:
        for each in self._exports.interfaces:
            if each.key == key:
                return render_definition(define(each))
        return None

    def _info(self) -> MetadataInfo:
        services = {
            f"{each.key}:{_PROTOCOL}": self._service(each) for each in self._exports.interfaces
        }
        return MetadataInfo(self._application, self._revision(), services)

    def _revision(self) -> str:
        """Text of 32 hex digits, as Java's, that changes with what is told."""
        told = hashlib.sha256(self._application.encode())
        for each in sorted(self._exports.interfaces, key=lambda one: str(one.key)):
            info = self._service(each)
            signatures = sorted(str(one.signature) for one in each.methods.values())
            told.update(repr((str(info.key), info.port, info.params, signatures)).encode())
        return told.hexdigest()[:32]

    def _service(self, interface: Interface) -> ServiceInfo:
        key = interface.key
        return ServiceInfo(
            key.interface,
            key.group or None,
            key.version or None,
            _PROTOCOL,
            self._exports.port,
            key.interface,
            self._params(interface),
        )

    def _params(self, interface: Interface) -> dict[str, str]:
        key = interface.key
        names = sorted({each.signature.name for each in interface.methods.values()})
        params = {
            "application": self._application,
            "deprecated": "false",
            "dubbo": "2.0.2",
            "dynamic": "true",
            "generic": "false",
            "interface": key.interface,
            "methods": ",".join(names),
            "prefer.serialization": "hessian2",
            "release": _release(),
            "side": "provider",
        }
        if key.group:
            params["group"] = key.group
        if key.version:
            params["version"] = key.version
        return params

    def _urls(
        self, interface: str | None, group: str | None, version: str | None, protocol: str | None
    ) -> list[str]:
        asked = {"name": interface, "group": group, "version": version, "protocol": protocol}
        return sorted(
            self._url(info)
            for info in map(self._service, self._exports.interfaces)
            if _matches(info, asked)
        )

    def _url(self, info: ServiceInfo) -> str:
        params = "&".join(
            f"{name}={quote(value, safe=',')}" for name, value in sorted(info.params.items())
        )
        host = self._host or socket.gethostname()
        host = f"[{host}]" if ":" in host else host
        return f"{info.protocol}://{host}:{info.port}/{info.path}?{params}"


@cache
def _release() -> str:
    import importlib.metadata  # noqa: PLC0415 - 10 ms that a consumer need not pay

    return f"kubbo-{importlib.metadata.version('kubbo')}"


def _matches(info: ServiceInfo, asked: Mapping[str, str | None]) -> bool:
    return all(
        not wanted or wanted == "*" or wanted == (getattr(info, name) or "")
        for name, wanted in asked.items()
    )
