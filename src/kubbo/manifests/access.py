"""What the pods of an application may ask of the API server: nothing, unless they consume.

Who calls others finds them by listing and watching EndpointSlices, and gets the
rules that `kubbo rbac` prints, in each namespace that it finds providers in. Role and binding
are named after the application, which they are deleted with: whatever its account was given
beside that, by another application that has it too or by `kubbo rbac`, stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from kubbo.naming.kubernetes.roles import Subject, finding, grant_name

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
    name = grant_name("kubbo-application", Subject(application.name, application.namespace))
    consumed = (one.namespace or application.namespace for one in application.consumes)
    for namespace in dict.fromkeys(consumed):
        grant = finding(namespace, account, name=name)
        for each in (yaml.safe_load(grant.role), yaml.safe_load(grant.binding)):
            each["metadata"] = {**application.metadata(name), "namespace": namespace}
            made.append(each)
    return made
