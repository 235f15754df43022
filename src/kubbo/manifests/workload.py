"""The Deployment, and how much of it may be disturbed at once.

The pods run as the strictest of the Pod Security Standards ("restricted") asks: not as root,
without capabilities, on a root file system that cannot be written; `/tmp` can be. A rollout
starts a new pod before it ends an old one. The grace period is longer than the drain, so the
kubelet's SIGKILL never cuts a call that the drain would have waited for; there is no preStop
hook, because the server itself goes on answering after SIGTERM.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from kubbo.manifests.probes import ADMIN_PORT_NAME, probes
from kubbo.manifests.registration import REGISTRATION_ANNOTATION
from kubbo.rpc.container import DECLARED_PORTS

if TYPE_CHECKING:
    from kubbo.manifests.provider import Provider

__all__ = ["PORT_NAME", "deployment", "disruption_budget"]

PORT_NAME: Final = "dubbo"
"""Of the container's port and of the Services': by it consumers choose the port."""

_USER: Final = 65532
"""Nobody's: whoever the image runs as, root included, the pod does not."""

_SPARE: Final = 5
"""Seconds between the end of the drain and SIGKILL: the interpreter has to end too."""

_TMP_SIZE: Final = "64Mi"


def deployment(provider: Provider) -> dict[str, Any]:
    """The Deployment of a provider."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": provider.metadata(),
        "spec": {
            "replicas": provider.replicas,
            "selector": {"matchLabels": provider.selector},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
            },
            "template": {
                "metadata": {
                    "labels": provider.selector,
                    "annotations": {REGISTRATION_ANNOTATION: provider.registration},
                },
                "spec": _pod(provider),
            },
        },
    }


def disruption_budget(provider: Provider) -> dict[str, Any]:
    """One pod at a time may be evicted, also of a provider that has only one.

    Pods that are not ready may always be: they serve nobody, and would hold up the drain of
    a node.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": provider.metadata(),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": provider.selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _pod(provider: Provider) -> dict[str, Any]:
    return {
        "serviceAccountName": provider.account,
        # A token is a credential: it is there only where the API server has to be asked.
        "automountServiceAccountToken": provider.asks_api_server,
        # Dozens of variables, one for each Service around, that only old programs read.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": math.ceil(provider.propagation + provider.grace) + _SPARE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            _spread(provider, "kubernetes.io/hostname"),
            _spread(provider, "topology.kubernetes.io/zone"),
        ],
        "containers": [_container(provider)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": _TMP_SIZE}}],
    }


def _spread(provider: Provider, topology: str) -> dict[str, Any]:
    """Evenly, where that can be had: on a cluster of one node all of them run there.

    Counted for each revision, so that the pods which a rollout is about to end do not count.
    """
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": provider.selector},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _container(provider: Provider) -> dict[str, Any]:
    arguments = ["serve", provider.what, f"--port={provider.port}"]
    ports = [{"name": PORT_NAME, "containerPort": provider.port}]
    if provider.admin_port:
        arguments.append(f"--admin-port={provider.admin_port}")
        ports.append({"name": ADMIN_PORT_NAME, "containerPort": provider.admin_port})
    arguments += [
        f"--application={provider.name}",
        f"--propagation={provider.propagation:g}",
        f"--grace={provider.grace:g}",
    ]
    return {
        "name": "provider",
        "image": provider.image,
        "command": ["kubbo"],
        # A kubelet would put the environment in for $(NAME).
        "args": [each.replace("$(", "$$(") for each in arguments],
        "ports": ports,
        # A container is not told its ports otherwise; the server warns when it listens elsewhere.
        "env": [
            {
                "name": DECLARED_PORTS,
                "value": ",".join(f"{each['name']}={each['containerPort']}" for each in ports),
            }
        ],
        "resources": {
            "requests": {"cpu": provider.cpu, "memory": provider.memory},
            "limits": {"memory": provider.memory},  # none of the processor: it only adds waits
        },
        **probes(admin=bool(provider.admin_port)),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the container's own
    }
