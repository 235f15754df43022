"""Targets: the text that says where providers are found.

    kubernetes:///SERVICE.NAMESPACE:PORT    endpoints of a Service, from the API server
    kubernetes:///SERVICE/NAMESPACE/PORT    the same as the 2018 demo wrote it; read, never written
    dns:///HOST:PORT                        SRV for a named port, else A/AAAA
    static:///HOST:PORT,HOST:PORT           the listed addresses
    dubbo://HOST:PORT, tri://HOST:PORT      one address and its protocol
    A | B | C                               failover, in this order

A target is parsed once, into a value; nothing else in Kubbo takes a target text apart. The
text of a person is checked to the end here, so that a mistake is told at its place ("port
70000 is out of range") and not later as an empty list of providers. `str` of a target is
its canonical text, and parsing that gives the same target again.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kubbo.errors import TargetError
from kubbo.model import Endpoint, ServiceKey

__all__ = [
    "DnsTarget",
    "FailoverTarget",
    "KubernetesTarget",
    "Port",
    "StaticTarget",
    "Target",
    "check_namespace",
    "parse_port",
    "parse_target",
]

Port: TypeAlias = int | str | None
"""A port as a target gives it: a number, a name, or None when it was left out."""

_SCHEMES = "kubernetes:///, dns:///, static:///, dubbo:// and tri://"
_LABEL_LENGTH = 63  # of a DNS label: RFC 1123, and with it every Kubernetes name used here
_HOST_LENGTH = 253

_DNS_1035 = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_DNS_1123 = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class KubernetesTarget:
    """The endpoints of a Service. An empty `namespace` is the consumer's own."""

    service: str
    namespace: str = ""
    port: Port = None

    def __str__(self) -> str:
        namespace = f".{self.namespace}" if self.namespace else ""
        port = "" if self.port is None else f":{self.port}"
        return f"kubernetes:///{self.service}{namespace}{port}"


@dataclass(frozen=True, slots=True)
class DnsTarget:
    """What DNS says of a host: SRV records of a named port, else its addresses.

    A host that ends in a dot is looked up as it is, without search domains.
    """

    host: str
    port: int | str

    def __str__(self) -> str:
        return f"dns:///{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class StaticTarget:
    """Listed addresses. `protocol` is empty unless the target named one (then it has one address).

    A VIP is a static target of one address.
    """

    endpoints: tuple[Endpoint, ...]
    protocol: Literal["", "dubbo", "tri"] = ""

    def __str__(self) -> str:
        scheme = f"{self.protocol}://" if self.protocol else "static:///"
        return scheme + ",".join(str(endpoint) for endpoint in self.endpoints)


@dataclass(frozen=True, slots=True)
class FailoverTarget:
    """Two targets or more: the first that can answer is used."""

    targets: tuple[KubernetesTarget | DnsTarget | StaticTarget, ...]

    def __str__(self) -> str:
        return " | ".join(str(target) for target in self.targets)


Target: TypeAlias = KubernetesTarget | DnsTarget | StaticTarget | FailoverTarget


def parse_target(text: str) -> Target:
    """Read a target.

    Raises:
        TargetError: the text does not follow the grammar; the message says what is wrong with
            it and how to write it.
    """
    parts = [part.strip() for part in text.split("|")]
    if len(parts) == 1:
        return _parse_one(parts[0])
    if not all(parts):
        raise TargetError(
            f"target {text!r} has nothing on one side of a '|'; "
            "write the targets to fail over between as A | B | C"
        )
    return FailoverTarget(tuple(_parse_one(part) for part in parts))


def parse_port(text: str, *, of: str) -> int | str:
    """Read a port: a number from 1 to 65535, or the name of a Service's port.

    `of` is the text the port stands in, for the message.

    Raises:
        TargetError: it is neither.
    """
    if _NUMBER.fullmatch(text):
        return _port_number(text, of=of)
    if len(text) <= _LABEL_LENGTH and _DNS_1123.fullmatch(text):
        return text
    raise TargetError(
        f"{text!r} in {of!r} is no port; write a number from 1 to 65535, "
        "or a port's name in lower-case letters, digits and '-'"
    )


def check_namespace(name: str) -> str:
    """Check and return the name of a namespace that stands alone, as after `-n`.

    Raises:
        TargetError: no namespace can have that name.
    """
    if len(name) > _LABEL_LENGTH or not _DNS_1123.fullmatch(name):
        raise TargetError(
            f"{name!r} cannot be the name of a namespace: write lower-case letters, digits "
            f"and '-', at most {_LABEL_LENGTH}, and no '-' first or last"
        )
    return name


def _parse_one(text: str) -> KubernetesTarget | DnsTarget | StaticTarget:
    if not text:
        raise TargetError(
            "the target is empty; write where providers are found, "
            "like kubernetes:///greeter.shop:dubbo"
        )
    if any(character.isspace() for character in text):
        raise TargetError(f"target {text!r} has a space inside; write it without")
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise TargetError(f"target {text!r} has no scheme; {_guess(text)}")
    match scheme:
        case "kubernetes":
            return _parse_kubernetes(text, _after_authority(text, rest))
        case "dns":
            return _parse_dns(text, _after_authority(text, rest))
        case "static":
            return _parse_static(text, _after_authority(text, rest))
        case "dubbo" | "tri":
            return _parse_direct(text, rest, scheme)
        case _ if scheme.lower() in {"kubernetes", "dns", "static", "dubbo", "tri"}:
            raise TargetError(
                f"target {text!r} has its scheme in capitals; write {scheme.lower()}://..."
            )
        case _:
            raise TargetError(
                f"target {text!r} has the unknown scheme {scheme!r}; Kubbo knows {_SCHEMES}"
            )


def _guess(text: str) -> str:
    """What a text without a scheme was meant to be."""
    if _is_address(text.strip("[]")):
        return f"write static:///{_bracketed(text)}:20880, with the port"
    host, _, port = text.rpartition(":")
    if _NUMBER.fullmatch(port) and (host == "localhost" or _is_address(host.strip("[]"))):
        return f"write static:///{_bracketed(host)}:{port}"
    if _is_service_key(text):
        return f"that is a service key: `kubbo map {text}` shows the target that it leads to"
    return f"write kubernetes:///{text} for a Service, static:///{text} for an address"


def _is_service_key(text: str) -> bool:
    """Whether it can only be one: a class has a capital letter, no name of a Service does."""
    try:
        key = ServiceKey.parse(text)
    except TargetError:
        return False
    package, _, simple = key.interface.rpartition(".")
    return bool(package) and simple != simple.lower()


def _after_authority(text: str, rest: str) -> str:
    if not rest.startswith("/"):
        scheme = text.partition("://")[0]
        raise TargetError(
            f"target {text!r} has two slashes after its scheme where it needs three; "
            f"write {scheme}:///{rest}"
        )
    return rest[1:]


def _parse_kubernetes(text: str, rest: str) -> KubernetesTarget:
    if "/" in rest:
        parts = rest.split("/")
        if len(parts) != 3 or not all(parts):
            raise TargetError(
                f"target {text!r} is neither kubernetes:///SERVICE.NAMESPACE:PORT nor the older "
                "kubernetes:///SERVICE/NAMESPACE/PORT; write it like kubernetes:///greeter.shop:dubbo"
            )
        service, namespace, port_text = parts
        port: Port = parse_port(port_text, of=text)
    else:
        name, colon, port_text = rest.partition(":")
        if colon and not port_text:
            raise TargetError(
                f"target {text!r} ends in ':' without a port; write the port's name or number "
                "after it, or leave the ':' out"
            )
        port = parse_port(port_text, of=text) if colon else None
        service, dot, namespace = name.partition(".")
        if dot and not namespace:
            raise TargetError(
                f"target {text!r} has a '.' without a namespace; write SERVICE.NAMESPACE, "
                "or the Service's name alone for the own namespace"
            )
        if "." in namespace:
            raise TargetError(
                f"target {text!r} has more than SERVICE.NAMESPACE before its port (the name of a "
                f"Service has no dots); write kubernetes:///{service}.{namespace.split('.')[0]}"
                f"{f':{port}' if port is not None else ''}"
            )
    _check_name(service, _DNS_1035, "Service", "begin with a letter", of=text)
    if namespace:
        _check_name(namespace, _DNS_1123, "namespace", "begin with a letter or a digit", of=text)
    return KubernetesTarget(service, namespace, port)


def _check_name(name: str, form: re.Pattern[str], kind: str, start: str, *, of: str) -> None:
    if len(name) <= _LABEL_LENGTH and form.fullmatch(name):
        return
    if not name:
        raise TargetError(
            f"target {of!r} names no {kind}; write it like kubernetes:///greeter.shop:dubbo"
        )
    lower = name.lower()
    advice = f"; did you mean {lower!r}?" if lower != name and form.fullmatch(lower) else ""
    raise TargetError(
        f"{name!r} in {of!r} cannot be the name of a {kind}: such a name has at most "
        f"{_LABEL_LENGTH} lower-case letters, digits and '-', must {start} and must not "
        f"end in '-'{advice}"
    )


def _parse_dns(text: str, rest: str) -> DnsTarget:
    host, colon, port = rest.rpartition(":")
    if not colon:
        raise TargetError(
            f"target {text!r} has no port; write dns:///{rest or 'HOST'}:20880, or a port's name "
            "to ask for its SRV records"
        )
    address = host.removesuffix(".")
    if host.startswith("[") or _is_address(address):
        raise TargetError(
            f"target {text!r} holds an address, which DNS does not look up; "
            f"write static:///{_bracketed(address)}:{port}"
        )
    root = "." if host.endswith(".") else ""  # the name is whole: no search domain after it
    return DnsTarget(_check_host(host, of=text) + root, parse_port(port, of=text))


def _parse_static(text: str, rest: str) -> StaticTarget:
    endpoints = tuple(_parse_address(part, of=text) for part in rest.split(","))
    seen: set[tuple[str, int]] = set()
    for endpoint in endpoints:
        if endpoint.key in seen:
            raise TargetError(f"target {text!r} lists {endpoint} twice; write each address once")
        seen.add(endpoint.key)
    return StaticTarget(endpoints)


def _parse_direct(text: str, rest: str, protocol: Literal["dubbo", "tri"]) -> StaticTarget:
    address, mark, _ = rest.replace("?", "/").partition("/")
    if mark:
        raise TargetError(
            f"target {text!r} has more than an address; write {protocol}://{address or 'HOST:PORT'}"
            " (interface, group and version belong to the service key)"
        )
    if "," in address:
        raise TargetError(
            f"target {text!r} has several addresses; write static:///{address}, "
            f"{protocol}:// takes one"
        )
    return StaticTarget((_parse_address(address, of=text),), protocol)


def _parse_address(text: str, *, of: str) -> Endpoint:
    host, colon, port = text.rpartition(":")
    if text.startswith("[") and text.endswith("]"):
        raise TargetError(f"{text!r} in {of!r} has no port; write {text}:20880")
    if not colon or not port or not host:
        raise TargetError(
            f"{text!r} in {of!r} is no address; write HOST:PORT, like 10.0.0.7:20880 or [::1]:20880"
        )
    if not _NUMBER.fullmatch(port):
        raise TargetError(
            f"{port!r} in {of!r} is no port number; only kubernetes:/// and dns:/// targets "
            "have named ports"
        )
    number = _port_number(port, of=of)
    if host.startswith("[") and host.endswith("]"):
        try:
            return Endpoint(str(ipaddress.IPv6Address(host[1:-1])), number)
        except ValueError:
            raise TargetError(f"{host!r} in {of!r} is no IPv6 address") from None
    if ":" in host:
        raise TargetError(
            f"{host!r} in {of!r} is no host; write an IPv6 address in brackets, like [::1]:20880"
        )
    return Endpoint(_check_host(host, of=of), number)


def _bracketed(host: str) -> str:
    """A host as it stands before a port: IPv6 in brackets."""
    bare = host.removeprefix("[").removesuffix("]")
    return f"[{bare}]" if ":" in bare else bare


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _check_host(host: str, *, of: str) -> str:
    """Check and return a host name or an IPv4 address, without the root's dot."""
    name = host.removesuffix(".").lower()
    labels = name.split(".")
    if labels[-1].isdecimal() and not _is_address(name):  # a name never ends in a number
        raise TargetError(f"{host!r} in {of!r} is no IPv4 address")
    if len(name) <= _HOST_LENGTH and all(
        len(label) <= _LABEL_LENGTH and _HOST_LABEL.fullmatch(label) for label in labels
    ):
        return name
    raise TargetError(f"{host!r} in {of!r} is no host name; write a name or an address")


def _port_number(text: str, *, of: str) -> int:
    digits = text.lstrip("0")
    number = int(digits) if 0 < len(digits) <= 5 else 0
    if not 1 <= number <= 65535:
        raise TargetError(f"port {text} in {of!r} is out of range; write 1 to 65535")
    return number
