"""What the pods of an application may ask of the API server: nothing, unless they consume.

Who calls others finds them by listing and watching EndpointSlices, and gets the
rules that `kubbo rbac` prints, in each namespace that it finds providers in. Role and binding
are named after the service account: with one name for all, the binding of the application
that is applied last would take away what the one before it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from kubbo.manifests.names import derived
from kubbo.naming.kubernetes.roles import Subject, finding

if TYPE_CHECKING:
    from kubbo.manifests.application import Application

__all__ = ["access"]


def access(application: Application) -> list[dict[str, Any]]:
    """The service account, where the application brings its own, and what it may do."""
    made: list[dict[str, Any]] = []
    if not application.service_account:
        made.append(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": application.metadata(),
                "automountServiceAccountToken": False,  # the pod decides
            }
        )
    account = Subject(application.account, application.namespace)
    name = derived(f"{application.namespace}-{application.account}", "kubbo-consumer", 253)
    consumed = (one.namespace or application.namespace for one in application.consumes)
    for namespace in dict.fromkeys(consumed):
        grant = finding(namespace, account, name=name)
        for each in (yaml.safe_load(grant.role), yaml.safe_load(grant.binding)):
            each["metadata"] = {**application.metadata(name), "namespace": namespace}
            made.append(each)
    return made
