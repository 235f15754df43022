"""What is to be deployed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kubbo.errors import UsageError
from kubbo.manifests.names import LABEL, SERVICE, SUBDOMAIN, check_image, check_name

if TYPE_CHECKING:
    from kubbo.model import ServiceKey
    from kubbo.naming.target import KubernetesTarget

__all__ = ["Application", "Serving"]

_NAME_LABEL: Final = "app.kubernetes.io/name"
_UNLISTABLE: Final = re.compile(r"[\s,@]")
"""What ends a service key in the annotation; a group or a version may hold it."""

_UNPRIVILEGED: Final = 1024
_LONGEST_WAIT: Final = 3600
_QUANTITY: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a provider serves, and where. Checked when it is made.

    Args:
        services: the service keys.
        registration: what Java's registry reads, see `registration`.
        port: that is served on.
        admin_port: for probes over HTTP; 0 for none.
        propagation: seconds of answering after SIGTERM.

    Raises:
        UsageError: a service key or a port cannot be used.
    """

    services: tuple[ServiceKey, ...]
    registration: str
    port: int
    admin_port: int = 0
    propagation: float = 5.0

    def __post_init__(self) -> None:
        for key in self.services:
            if found := _UNLISTABLE.search(str(key)):
                raise UsageError(
                    f"the service key {str(key)!r} has {found[0]!r} in its group or version, which "
                    "ends a key in the annotation of a Service; choose another group or version"
                )
        _check_wait(self.propagation)
        if 0 < self.admin_port < _UNPRIVILEGED:
            raise UsageError(f"port {self.admin_port} is for root; write {_UNPRIVILEGED} or above")
        if self.admin_port == self.port:
            raise UsageError(f"port {self.port} is both --port and --admin-port; change one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What is deployed, where, and how much of it. All names are checked when it is made.

    Args:
        what: MODULE:OBJECT, as `kubbo serve` takes it; of a consumer a MODULE to run.
        image: that has `kubbo` in its PATH (of a consumer: `python`), and the module where it
            can be imported.
        name: of every object, and of the application: a DNS-1035 label.
        namespace: of every object but the Roles in others that are consumed from.
        serving: what a provider serves; None for a program that only consumes.
        replicas: how many pods.
        service_account: that exists already; empty to bring one.
        consumes: targets that are found through the API server.
        grace: seconds for what is in progress when a pod ends.
        cpu: a quantity of Kubernetes, that is asked for.
        memory: likewise, and the limit.

    Raises:
        UsageError: a name, the image or a quantity cannot be used.
    """

    what: str
    image: str
    name: str
    namespace: str
    serving: Serving | None
    replicas: int = 2
    service_account: str = ""
    consumes: tuple[KubernetesTarget, ...] = ()
    grace: float = 20.0
    cpu: str = "100m"
    memory: str = "256Mi"

    def __post_init__(self) -> None:
        check_name(self.name, SERVICE, "Service")
        check_name(self.namespace, LABEL, "namespace")
        check_name(self.account, SUBDOMAIN, "service account")
        check_image(self.image)
        _check_wait(self.grace)
        for quantity, like in ((self.cpu, "100m or 2"), (self.memory, "256Mi or 1Gi")):
            if not _QUANTITY.fullmatch(quantity):
                raise UsageError(f"{quantity[:100]!r} is no quantity; write it like {like}")

    @property
    def account(self) -> str:
        """The service account of the pods."""
        return self.service_account or self.name

    @property
    def asks_api_server(self) -> bool:
        """Whether discovery needs a token."""
        return bool(self.consumes)

    @property
    def selector(self) -> dict[str, str]:
        """The labels of its pods, by which everything else finds them; a new dict."""
        return {_NAME_LABEL: self.name}

    def metadata(self, name: str = "") -> dict[str, Any]:
        """The metadata of an object of it; a new dict."""
        return {"name": name or self.name, "namespace": self.namespace, "labels": self.selector}


def _check_wait(seconds: float) -> None:
    if not 0 <= seconds <= _LONGEST_WAIT:  # and not NaN
        raise UsageError(f"{seconds:g} s is no time to wait; write 0 to {_LONGEST_WAIT}")
