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
    from kubbo.manifests.application import Application, Serving

__all__ = ["PORT_NAME", "USER", "deployment", "disruption_budget"]

PORT_NAME: Final = "dubbo"
"""Of the container's port and of the Services': by it consumers choose the port."""

USER: Final = 65532
"""Nobody's, and the group's: whoever the image runs as, root included, the pod does not."""

_SPARE: Final = 5
"""Seconds between the end of the drain and SIGKILL: the interpreter has to end too."""

_TMP_SIZE: Final = "64Mi"


def deployment(application: Application) -> dict[str, Any]:
    """The Deployment of an application."""
    template: dict[str, Any] = {"labels": application.selector}
    if application.serving:
        template["annotations"] = {REGISTRATION_ANNOTATION: application.serving.registration}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": application.metadata(),
        "spec": {
            "replicas": application.replicas,
            "selector": {"matchLabels": application.selector},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
            },
            "template": {
                "metadata": template,
                "spec": _pod(application),
            },
        },
    }


def disruption_budget(application: Application) -> dict[str, Any]:
    """One pod at a time may be evicted, also of an application that has only one.

    Pods that are not ready may always be: they serve nobody, and would hold up the drain of
    a node.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": application.metadata(),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": application.selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _pod(application: Application) -> dict[str, Any]:
    propagation = application.serving.propagation if application.serving else 0.0
    # As process 1 a program that knows nothing of SIGTERM is not ended by it.
    shared = {} if application.serving else {"shareProcessNamespace": True}
    return {
        **shared,
        "serviceAccountName": application.account,
        # A token is a credential: it is there only where the API server has to be asked.
        "automountServiceAccountToken": application.asks_api_server,
        # Dozens of variables, one for each Service around, that only old programs read.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": math.ceil(propagation + application.grace) + _SPARE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            _spread(application, "kubernetes.io/hostname"),
            _spread(application, "topology.kubernetes.io/zone"),
        ],
        "containers": [_container(application)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": _TMP_SIZE}}],
    }


def _spread(application: Application, topology: str) -> dict[str, Any]:
    """Evenly, where that can be had: on a cluster of one node all of them run there.

    Counted for each revision, so that the pods which a rollout is about to end do not count.
    """
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": application.selector},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _container(application: Application) -> dict[str, Any]:
    serving = application.serving
    return {
        "name": "provider" if serving else "consumer",
        "image": application.image,
        **(_serve(application, serving) if serving else _run(application)),
        "resources": {
            "requests": {"cpu": application.cpu, "memory": application.memory},
            # None of the processor: it only adds waits.
            "limits": {"memory": application.memory},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the container's own
    }


def _run(application: Application) -> dict[str, Any]:
    """A program that only consumes: nothing of it is known that a kubelet could ask."""
    return {
        "command": ["python"],
        "args": _literal(["-m", application.what]),
        "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}],  # its log is read while it runs
    }


def _serve(application: Application, serving: Serving) -> dict[str, Any]:
    """A provider: what it runs, its ports and its probes."""
    arguments = ["serve", application.what, f"--port={serving.port}"]
    ports = [{"name": PORT_NAME, "containerPort": serving.port}]
    if serving.admin_port:
        arguments.append(f"--admin-port={serving.admin_port}")
        ports.append({"name": ADMIN_PORT_NAME, "containerPort": serving.admin_port})
    arguments += [
        f"--application={application.name}",
        f"--propagation={serving.propagation:g}",
        f"--grace={application.grace:g}",
    ]
    declared = ",".join(f"{each['name']}={each['containerPort']}" for each in ports)
    return {
        "command": ["kubbo"],
        "args": _literal(arguments),
        "ports": ports,
        # A container is not told its ports otherwise; the server warns when it listens elsewhere.
        "env": [{"name": DECLARED_PORTS, "value": declared}],
        **probes(admin=bool(serving.admin_port)),
    }


def _literal(arguments: list[str]) -> list[str]:
    """Arguments in which a kubelet puts no variable in for $(NAME)."""
    return [each.replace("$(", "$$(") for each in arguments]
