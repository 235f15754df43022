"""What Java's Kubernetes registry reads of a provider: one annotation of its pods.

A Java provider writes the annotation into its own Pod when it starts, for which it may patch
pods. A Kubbo provider writes nothing: the annotation stands in the pod template, where every
pod has it from its first moment. That is possible because nothing in it is of one pod alone:

    dubbo.endpoints                      protocol and port; the address is that of the pod
    dubbo.metadata-service.url-params    how to ask the pod's MetadataService
    dubbo.metadata.revision              what that will answer stands for, as an opaque text

A consumer in Java takes the Service's name for the application's, reads the annotation of each
pod behind it, asks one pod of each revision for its services and calls them. The revision is
computed by the very code that the MetadataService runs (`kubbo.rpc.metadata`), so it changes
with the interfaces, and a rollout shows both revisions side by side. Java takes it as it is: an
image with another release of Kubbo, which would make another one, works as well. `timestamp`,
which Java writes too, is the moment of a start and stays away: consumers without it do not
warm up.

Source: org.apache.dubbo.registry.kubernetes.KubernetesServiceDiscovery 3.2.8, and the
instance that Dubbo 3.3.6 registers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kubbo.rpc.metadata import METADATA_VERSION, Metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubbo.rpc.service import Interface

__all__ = ["REGISTRATION_ANNOTATION", "registration"]

REGISTRATION_ANNOTATION: Final = "io.dubbo/metadata"


@dataclass(frozen=True, slots=True)
class _Exports:
    """What a server with these interfaces would tell of itself."""

    interfaces: Sequence[Interface]
    port: int


async def registration(interfaces: Sequence[Interface], *, application: str, port: int) -> str:
    """The annotation's value, for pods that serve `interfaces` as `application` on `port`."""
    metadata = Metadata(_Exports(interfaces, port), application=application, host=None)
    info = await metadata.get_metadata_info(None)
    assert info is not None, "Metadata answers every revision"
    asked = {
        "dubbo": "2.0.2",
        "port": str(port),
        "prefer.serialization": "hessian2",
        "protocol": "dubbo",
        "side": "provider",
        "version": METADATA_VERSION,
    }
    return _compact(
        {
            "dubbo.endpoints": _compact([{"port": port, "protocol": "dubbo"}]),
            "dubbo.metadata-service.url-params": _compact(asked),
            "dubbo.metadata.revision": info.revision,
            "dubbo.metadata.storage-type": "local",
            "meta-v": METADATA_VERSION,
        }
    )


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
