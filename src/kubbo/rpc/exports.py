"""What a server serves: interfaces, their implementations, and which method a request means."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from kubbo.errors import Code, Progress, RpcError, UsageError
from kubbo.model import ServiceKey, Signature
from kubbo.rpc.admission import Admission, ServiceLimits, ServingLimits
from kubbo.rpc.generic import INVOKES, generic_off
from kubbo.rpc.metadata import METADATA_SERVICE, METADATA_VERSION, MetadataService
from kubbo.rpc.service import Interface, Method, read_interface
from kubbo.wire.hessian2 import TypeRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubbo.rpc.admission import Door
    from kubbo.rpc.live import ProviderView
    from kubbo.wire.codec import ReceivedCall

__all__ = ["ECHO", "Exports"]

_NO_TYPES: Final = TypeRegistry()
_OBJECT: Final = _NO_TYPES.parse("java.lang.Object")
_METADATA: Final = (METADATA_SERVICE, METADATA_VERSION)

ECHO: Final = Signature("$echo", (_OBJECT,), _OBJECT)
"""Every service of Dubbo has it: it returns its argument."""


class _Export:
    """One implementation of one interface: Java's methods, and what to run for them."""

    def __init__(self, interface: Interface, implementation: object) -> None:
        self.interface = interface
        self.limits = ServiceLimits()
        self.in_force = ServiceLimits()
        self.admission: Admission | None = None
        self.by_name: dict[str, list[tuple[Method, Callable[..., Any]]]] = {}
        self.by_signature: dict[Signature, tuple[Callable[..., Any], bool]] = {}
        missing: list[str] = []
        for each in interface.methods.values():
            function = getattr(implementation, each.name, None)
            if not callable(function):
                missing.append(each.name)
                continue
            self.by_name.setdefault(each.signature.name, []).append((each, function))
            self.by_signature[each.signature] = (function, inspect.iscoroutinefunction(function))
        if missing:
            raise UsageError(
                f"{type(implementation).__name__} does not implement {interface.key}: "
                f"it has no {', '.join(missing)}"
            )

    def limit(self, limits: ServiceLimits) -> None:
        """Let in what these limits allow; those that stay the same go on counting."""
        if limits == self.in_force:
            return
        self.in_force = limits
        key = self.interface.key
        self.admission = (
            Admission(key, limits.service, limits.methods) if limits != ServiceLimits() else None
        )

    def serves(self, signature: Signature) -> bool:
        """Whether a method is there for `signature`: one of its own, or its equal of a group.

        `Exports.find` knows no group, so it may have found the signature in another export.
        """
        if signature in self.by_signature:
            return True
        for each, _ in self.by_name.get(signature.name, ()):
            if each.signature.types == signature.types:
                self.by_signature[signature] = self.by_signature[each.signature]
                return True
        return False


class Exports:
    """The exported objects of one server; what its codec looks methods up in (`Services`).

    `metadata` is the implementation of Dubbo's MetadataService, None where it is not served.
    `generic` serves `$invoke` too.
    """

    def __init__(self, *, metadata: object | None, generic: bool) -> None:
        self._exports: dict[ServiceKey, _Export] = {}
        self._generic = generic
        self._live: ProviderView | None = None
        self._metadata: _Export | None = None
        if metadata is not None:
            self._metadata = _Export(read_interface(MetadataService), metadata)

    def add(
        self,
        implementation: object,
        interface: type | None,
        limits: ServingLimits | None = None,
        methods: Mapping[str, ServingLimits] | None = None,
    ) -> None:
        """Serve an object. See `Server.export`."""
        read = read_interface(interface or type(implementation))
        if read.key in self._exports:
            raise UsageError(f"{read.key} is exported already; another group or version can be")
        by_java: dict[str, ServingLimits] = {}
        for name, each in (methods or {}).items():
            if name not in read.methods:
                raise UsageError(
                    f"{read.key} has no method {name!r} to limit; it has {', '.join(read.methods)}"
                )
            by_java[read.methods[name].signature.name] = each
        export = _Export(read, implementation)
        export.limits = ServiceLimits(limits or ServingLimits(), by_java)
        self._exports[read.key] = export
        self._limit(export)

    def configure(self, live: ProviderView) -> None:
        """Follow another configuration, from the next request on."""
        self._live = live
        for export in self._exports.values():
            self._limit(export)

    def _limit(self, export: _Export) -> None:
        live = self._live
        limits = export.limits
        if live is not None:
            methods = {each.signature.name for each in export.interface.methods.values()}
            limits = live.limits(export.interface.key, methods, limits)
        export.limit(limits)

    def door(self, received: ReceivedCall) -> Door | None:
        """What this request has to pass before it runs, None for nothing."""
        export = self._exports.get(received.service)
        if export is None or export.admission is None or received.signature is ECHO:
            return None
        return export.admission.door(received.signature.name)

    def is_probe(self, received: ReceivedCall) -> bool:
        """Whether a request only asks what is here: `$echo`, or the metadata."""
        return received.signature is ECHO or received.service not in self._exports

    def keys(self) -> tuple[ServiceKey, ...]:
        """The service keys."""
        return tuple(self._exports)

    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces."""
        return tuple(export.interface for export in self._exports.values())

    def find(
        self, interface: str, version: str, method: str, types: str
    ) -> tuple[Signature, TypeRegistry]:
        """See `Services`."""
        if method == "$echo":
            return ECHO, _NO_TYPES
        export = self._export_of(interface, version)
        if method in INVOKES and method not in export.by_name:
            if not self._generic:
                raise generic_off(interface)
            return INVOKES[method], export.interface.registry
        candidates = export.by_name.get(method, [])
        found = next((each for each, _ in candidates if each.signature.types == types), None)
        if found is None and len(candidates) == 1:
            # Other peers write int for Integer and Object for a class: the arguments tell.
            found = candidates[0][0]
        if found is None:
            names = ", ".join(str(each.signature) for each in export.interface.methods.values())
            raise RpcError(
                Code.UNIMPLEMENTED,
                f"{export.interface.key} has no method {method[:100]}({types[:200]}); "
                f"it has {names[:500]}",
                progress=Progress.NOT_SENT,
            )
        return found.signature, export.interface.registry

    def interface_of(self, interface: str, version: str) -> Interface:
        """See `GenericServices`."""
        return self._export_of(interface, version).interface

    def _export_of(self, interface: str, version: str) -> _Export:
        for key, export in self._exports.items():
            if key.interface == interface and key.version == version:
                return export
        if self._metadata is not None and (interface, version) == _METADATA:
            return self._metadata
        raise self._not_exported(ServiceKey(interface, "", version))

    def check(self, received: ReceivedCall) -> None:
        """See to it that the service of a request, its group included, has the method.

        Raises:
            RpcError: it has not; the message says what there is.
        """
        if received.signature is ECHO:
            return
        export = self._exports.get(received.service)
        key = received.service
        if export is None and (key.interface, key.version) == _METADATA:
            export = self._metadata  # in any group: Java asks in that of the application's name
        if export is None:
            raise self._not_exported(key)
        if not export.serves(received.signature):
            raise RpcError(
                Code.UNIMPLEMENTED,
                f"{received.service} has no method {received.signature}",
                progress=Progress.NOT_SENT,
            )

    def _not_exported(self, key: ServiceKey) -> RpcError:
        served = ", ".join(map(str, self._exports)) or "nothing"
        return RpcError(
            Code.UNIMPLEMENTED,
            f"{str(key)[:200]} is not served here; {served[:500]} is",
            progress=Progress.NOT_SENT,
        )

    def method_of(
        self, service: ServiceKey, signature: Signature
    ) -> tuple[Callable[..., Any], bool]:
        """What to run for a request that was checked, and whether it is a coroutine function."""
        export = self._exports.get(service) or self._metadata
        assert export is not None, "checked when the call was received"
        return export.by_signature[signature]
