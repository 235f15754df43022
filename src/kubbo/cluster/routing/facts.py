"""What rules may ask about: the consumer, the call, the endpoint.

Java's rules compare the parameters of two URLs. Kubbo has no such URLs. Of the consumer it knows
what the application says of itself (`Consumer`) and the service key of the call; of a provider
what the cluster says of its endpoint: address, zone, node and labels. Any other key is looked for
among the labels, so that `region=hz` asks for the label `region`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubbo.model import Endpoint, Invocation, ServiceKey, Value

__all__ = ["FORCE_TAG", "TAG", "Consumer", "application_of", "as_text", "endpoint_value"]

TAG: Final = "dubbo.tag"
"""Attachment, consumer's parameter and endpoint's label: the tag of a call, or of a provider."""

FORCE_TAG: Final = "dubbo.force.tag"
"""Attachment and consumer's parameter: whether a tagged call may go nowhere else."""

_APPLICATION_LABELS: Final = (
    "application",
    "app.kubernetes.io/name",
    "app",
    "kubernetes.io/service-name",
)
MAX_BITS: Final = 1_024
"""Of a whole number that rules compare: Python refuses to write very long ones."""

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Consumer:
    """This side of every call, as rules see it. Empty is unknown.

    Attributes:
        application: its name, for rules of scope `application` and `application=...`.
        host: its own address, for `host=...` before the arrow.
        zone: where it runs; its zone is near.
        tag: of its calls that carry none; Dubbo's `dubbo.tag` of the consumer.
        parameters: what else is said of it, for `region=...` and `$region`.
    """

    application: str = ""
    host: str = ""
    zone: str = ""
    tag: str = ""
    parameters: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @classmethod
    def here(cls, application: str = "", environ: Mapping[str, str] = os.environ) -> Consumer:
        """What the environment says.

        `KUBBO_APPLICATION`, `POD_IP`, `KUBBO_ZONE`, `KUBBO_TAG`, and `KUBBO_PARAMETERS`, which is
        written `region=hz,env=gray`.

        Raises:
            ConfigError: a parameter has no `=`.
        """
        parameters: dict[str, str] = {}
        for pair in environ.get("KUBBO_PARAMETERS", "").split(","):
            key, equals, value = pair.strip().partition("=")
            if pair.strip() and not (equals and key):
                raise ConfigError(
                    f"KUBBO_PARAMETERS: {pair.strip()[:80]!r} is no NAME=VALUE; "
                    "write it like region=hz,env=gray"
                )
            if key:
                parameters[key.strip()] = value.strip()
        return cls(
            application or environ.get("KUBBO_APPLICATION", ""),
            environ.get("POD_IP", ""),
            environ.get("KUBBO_ZONE", ""),
            environ.get("KUBBO_TAG", ""),
            MappingProxyType(parameters),
        )

    def value(self, key: str, service: ServiceKey) -> str | None:
        """What `key` is of this consumer, when it calls `service`; None if it has none."""
        given = self.parameters.get(key)
        if given is not None:
            return given
        match key:
            case "application":
                return self.application or None
            case "host" | "address":
                return self.host or None
            case "zone":
                return self.zone or None
            case "dubbo.tag" | "tag":
                return self.tag or None
            case "side" | "protocol":
                return "consumer"
            case _:
                return _service_value(key, service)


def endpoint_value(endpoint: Endpoint, key: str, service: ServiceKey) -> str | None:
    """What `key` is of a provider; None if it has none. Labels win over the service key."""
    own = _OWN.get(key)
    if own is not None:
        return own(endpoint)
    for name, value in endpoint.labels:
        if name == key:
            return value
    derived = _DERIVED.get(key)
    return _service_value(key, service) if derived is None else derived(endpoint)


def application_of(endpoint: Endpoint) -> str:
    """The application that a provider says it is of, or its Service; empty if it says nothing."""
    labels = dict(endpoint.labels)
    return next((labels[name] for name in _APPLICATION_LABELS if labels.get(name)), "")


_OWN: Final[Mapping[str, Callable[[Endpoint], str | None]]] = {
    "host": lambda endpoint: endpoint.host,
    "port": lambda endpoint: str(endpoint.port),
    "address": str,
    "node": lambda endpoint: endpoint.node or None,
    "weight": lambda endpoint: str(endpoint.weight),
}
"""What no label can change."""

_DERIVED: Final[Mapping[str, Callable[[Endpoint], str | None]]] = {
    "zone": lambda endpoint: endpoint.zone or None,
    "topology.kubernetes.io/zone": lambda endpoint: endpoint.zone or None,
    "application": lambda endpoint: application_of(endpoint) or None,
    "remote.application": lambda endpoint: application_of(endpoint) or None,
    "protocol": lambda _: "dubbo",
    "side": lambda _: "provider",
}
"""What counts where there is no such label."""


def _service_value(key: str, service: ServiceKey) -> str | None:
    match key:
        case "interface" | "path" | "service":
            return service.interface
        case "group":
            return service.group or None
        case "version":
            return service.version or None
        case _:
            return None


def attachment(invocation: Invocation, key: str) -> str | None:
    """An attachment as a text; None if it is missing, or no plain value."""
    value: Value = invocation.attachments.get(key)
    return None if value is None else as_text(value)


def as_text(value: Value) -> str | None:
    """A plain value as Java's `String.valueOf` has it; None for anything else."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case Enum():
            return value.name
        case int():
            return str(value) if value.bit_length() <= MAX_BITS else None
        case float():
            return repr(value)
        case _:
            return None
