"""All objects that an application takes, in the order in which they are applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubbo.manifests.access import access
from kubbo.manifests.network import network_policy, services
from kubbo.manifests.workload import deployment, disruption_budget

if TYPE_CHECKING:
    from kubbo.manifests.application import Application

__all__ = ["objects"]


def objects(application: Application) -> list[dict[str, Any]]:
    """All objects, each after what it needs.

    Nobody is kept out of a consumer: what it may serve besides, over HTTP perhaps, is unknown.
    """
    serving = application.serving
    return [
        *access(application),
        *(services(application, serving) if serving else ()),
        *([network_policy(application, serving)] if serving else ()),
        disruption_budget(application),
        deployment(application),
    ]
