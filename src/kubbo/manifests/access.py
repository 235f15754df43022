"""What the pods of a provider may ask of the API server: nothing, unless they consume.

A provider that calls others finds them by listing and watching EndpointSlices, and gets the
Role that `kubbo rbac` prints, in each namespace that it finds providers in. Role and binding
are named after the service account: with one name for all, the binding of the application
that is applied last would take away what the one before it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from kubbo.manifests.names import derived
from kubbo.naming.kubernetes.explain import role_binding_yaml, role_yaml

if TYPE_CHECKING:
    from kubbo.manifests.provider import Provider

__all__ = ["access"]

_LONGEST: Final = 253


def access(provider: Provider) -> list[dict[str, Any]]:
    """The service account, where the provider brings its own, and what it may do."""
    made: list[dict[str, Any]] = []
    if not provider.service_account:
        made.append(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": provider.metadata(),
                "automountServiceAccountToken": False,  # the pod decides
            }
        )
    name = derived(f"{provider.namespace}-{provider.account}", "kubbo-consumer", _LONGEST)
    consumed = (one.namespace or provider.namespace for one in provider.consumes)
    for namespace in dict.fromkeys(consumed):
        role = yaml.safe_load(role_yaml(namespace))
        binding = yaml.safe_load(
            role_binding_yaml(
                namespace,
                service_account=provider.account,
                account_namespace=provider.namespace,
                role=name,
            )
        )
        for each in (role, binding):
            each["metadata"] = {**provider.metadata(name), "namespace": namespace}
        made += [role, binding]
    return made
