"""How a provider is reached: two Services, and who may use them.

Consumers of Kubbo and of Java read the endpoints of the first, headless Service, and choose
among them call by call. The second has one address, for who can only be given one: it balances
connections, not calls. Only the first has the label and the annotation by which a service key
is found (docs/naming.md): two Services that claim one key are an error.

Both have one port and no other: Java's registry takes every port of a Service for a provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubbo.manifests.names import derived
from kubbo.manifests.workload import PORT_NAME
from kubbo.naming.mapping import PROVIDER_LABEL, SERVICES_ANNOTATION

if TYPE_CHECKING:
    from kubbo.manifests.application import Application, Serving

__all__ = ["network_policy", "services"]


def services(application: Application, serving: Serving) -> list[dict[str, Any]]:
    """The headless Service, and the one with an address."""
    headless = application.metadata()
    headless["labels"] = {**headless["labels"], PROVIDER_LABEL: "true"}
    headless["annotations"] = {SERVICES_ANNOTATION: " ".join(map(str, serving.services))}
    vip = application.metadata(derived(application.name, "vip"))
    return [
        _service(application, serving, headless, {"clusterIP": "None"}),
        _service(application, serving, vip, {"type": "ClusterIP"}),
    ]


def _service(
    application: Application, serving: Serving, metadata: dict[str, Any], address: dict[str, str]
) -> dict[str, Any]:
    port = {
        "name": PORT_NAME,
        "appProtocol": "dubbo",
        "protocol": "TCP",
        "port": serving.port,
        "targetPort": PORT_NAME,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {**address, "selector": application.selector, "ports": [port]},
    }


def network_policy(application: Application, serving: Serving) -> dict[str, Any]:
    """The pods of the cluster may connect to the provider's port; to its others nobody.

    Probes come from the pod's own node, which no policy keeps out. What the provider itself
    connects to is not limited: nothing here knows it.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": application.metadata(),
        "spec": {
            "podSelector": {"matchLabels": application.selector},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"namespaceSelector": {}}],
                    "ports": [{"protocol": "TCP", "port": serving.port}],
                }
            ],
        },
    }
