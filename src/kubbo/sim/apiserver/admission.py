"""What the server fills in, and what it refuses, before an object is stored.

Only the defaults that a reader of the API notices and the checks that a program of ours can
run into are here: names, the addresses and ports of EndpointSlices, the ports of Services.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kubbo.sim.apiserver.objects import ApiError, Json, Object, at, mapping, objects, text

if TYPE_CHECKING:
    from kubbo.sim.apiserver.objects import Resource

__all__ = ["check", "fill_in"]

_LABEL_1123: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_1035: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    r"(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)
_ADDRESS_TYPES: Final = ("FQDN", "IPv4", "IPv6")
_MAX_ENDPOINTS = 1000  # of one slice, as the real server; the controller stops at 100
_MAX_ADDRESSES = 100  # of one endpoint


def fill_in(resource: Resource, value: Object) -> None:
    """Add the defaults of its kind, in place."""
    match resource.plural:
        case "services":
            spec = mapping(value, "spec")
            value["spec"] = spec
            spec.setdefault("type", "ClusterIP")
            spec.setdefault("sessionAffinity", "None")
            for port in objects(spec, "ports"):
                port.setdefault("protocol", "TCP")
                port.setdefault("targetPort", port.get("port"))
            value.setdefault("status", {"loadBalancer": {}})
        case "endpointslices":
            for endpoint in objects(value, "endpoints"):
                endpoint.setdefault("conditions", {})
            for port in objects(value, "ports"):
                port.setdefault("name", "")
                port.setdefault("protocol", "TCP")
            value["endpoints"] = value.get("endpoints") or None
            value["ports"] = value.get("ports") or None
        case "pods":
            for container in objects(value, "spec", "containers"):
                for port in objects(container, "ports"):
                    port.setdefault("protocol", "TCP")
            if "status" not in value:
                value["status"] = {"phase": "Pending"}
        case "namespaces":
            meta = mapping(value, "metadata")
            labels = mapping(meta, "labels")
            meta["labels"] = labels
            labels.setdefault("kubernetes.io/metadata.name", text(meta, "name"))
            value.setdefault("spec", {"finalizers": ["kubernetes"]})
            value.setdefault("status", {"phase": "Active"})
        case _:
            pass


@dataclass(slots=True)
class _Findings:
    """What is wrong with one object."""

    causes: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])

    def required(self, where: str, why: str = "") -> None:
        self.causes.append((where, "FieldValueRequired", "Required value" + (why and f": {why}")))

    def invalid(self, where: str, value: Json, why: str) -> None:
        shown = f'"{value}"' if isinstance(value, str) else str(value)
        self.causes.append((where, "FieldValueInvalid", f"Invalid value: {shown}: {why}"))

    def unsupported(self, where: str, value: str, known: tuple[str, ...]) -> None:
        names = ", ".join(f'"{name}"' for name in known)
        self.causes.append(
            (
                where,
                "FieldValueNotSupported",
                f'Unsupported value: "{value}": supported values: {names}',
            )
        )


def check(resource: Resource, value: Object, *, loopback: bool) -> None:
    """Refuse what the real server refuses.

    `loopback` lets endpoints have loopback addresses, which no real server does.

    Raises:
        ApiError: 422 with one cause for each finding.
    """
    findings = _Findings()
    _check_name(resource, value, findings)
    match resource.plural:
        case "services":
            _check_service(value, findings)
        case "endpointslices":
            _check_slice(value, findings, loopback=loopback)
        case "pods":
            if not objects(value, "spec", "containers"):
                findings.required("spec.containers")
        case _:
            pass
    if findings.causes:
        raise _invalid(resource, text(value, "metadata", "name"), findings)


def _check_name(resource: Resource, value: Object, findings: _Findings) -> None:
    name = text(value, "metadata", "name")
    if not name:
        findings.required("metadata.name", "name or generateName is required")
        return
    match resource.plural:
        case "services":
            pattern, rule = _LABEL_1035, "a DNS-1035 label starts with a letter and holds only"
        case "namespaces":
            pattern, rule = _LABEL_1123, "a lowercase RFC 1123 label holds only"
        case _:
            pattern, rule = _SUBDOMAIN, "a lowercase RFC 1123 subdomain holds only dots and"
    if not pattern.fullmatch(name):
        findings.invalid(
            "metadata.name",
            name,
            f"{rule} lower case letters, digits and inner dashes ({pattern.pattern})",
        )


def _check_service(value: Object, findings: _Findings) -> None:
    spec = mapping(value, "spec")
    ports = objects(spec, "ports")
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        findings.required("spec.ports")
    for index, port in enumerate(ports):
        where = f"spec.ports[{index}]"
        if len(ports) > 1 and not text(port, "name"):
            findings.required(f"{where}.name")
        for name in ("port", "targetPort"):
            number = port.get(name)
            if name == "targetPort" and isinstance(number, str) and number:
                continue  # the name of a container's port
            if not isinstance(number, int) or not 1 <= number <= 65535:
                why = "must be between 1 and 65535, inclusive"
                findings.invalid(f"{where}.{name}", number, why)


def _check_slice(value: Object, findings: _Findings, *, loopback: bool) -> None:
    kind = text(value, "addressType")
    if not kind:
        findings.required("addressType")
    elif kind not in _ADDRESS_TYPES:
        findings.unsupported("addressType", kind, _ADDRESS_TYPES)
    endpoints = objects(value, "endpoints")
    if len(endpoints) > _MAX_ENDPOINTS:
        findings.invalid("endpoints", len(endpoints), f"must have at most {_MAX_ENDPOINTS} items")
    for index, endpoint in enumerate(endpoints):
        where = f"endpoints[{index}].addresses"
        addresses = at(endpoint, "addresses")
        if not isinstance(addresses, list) or not addresses:
            findings.required(where, "must contain at least 1 address")
        elif len(addresses) > _MAX_ADDRESSES:
            findings.invalid(where, len(addresses), f"must have at most {_MAX_ADDRESSES} items")
        elif kind in ("IPv4", "IPv6"):
            for place, address in enumerate(addresses):
                _check_address(kind, address, where, findings, place=place, loopback=loopback)


def _check_address(
    kind: str, address: Json, where: str, findings: _Findings, *, place: int, loopback: bool
) -> None:
    at_place = f"{where}[{place}]"
    try:
        parsed = ipaddress.ip_address(address if isinstance(address, str) else "")
    except ValueError:
        why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        findings.invalid(at_place, address, why)
        return
    if parsed.version != (4 if kind == "IPv4" else 6):
        findings.invalid(where, address, f"must be an {kind} address")
    if parsed.is_unspecified:
        findings.invalid(at_place, address, f"may not be unspecified ({parsed})")
    if parsed.is_loopback and not loopback:
        why = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
        findings.invalid(at_place, address, why)
    if parsed.is_link_local:
        why = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        findings.invalid(at_place, address, why)
    if parsed in _LOCAL_MULTICAST[parsed.version]:
        why = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        findings.invalid(at_place, address, why)


_LOCAL_MULTICAST: Final = {
    4: ipaddress.ip_network("224.0.0.0/24"),
    6: ipaddress.ip_network("ff02::/16"),
}


def _invalid(resource: Resource, name: str, findings: _Findings) -> ApiError:
    lines = [f"{where}: {message}" for where, _, message in findings.causes]
    shown = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    details: Object = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.kind
    details["causes"] = [
        {"reason": reason, "message": message, "field": where}
        for where, reason, message in findings.causes
    ]
    message = f'{resource.qualified_kind} "{name}" is invalid: {shown}'
    return ApiError(422, "Invalid", message, details=details)
