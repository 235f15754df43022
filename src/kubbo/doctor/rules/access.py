"""Whether the API server tells what a consumer has to know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kubbo.doctor.causes import Cause
from kubbo.doctor.facts import containers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.doctor.facts import Facts

_NEEDED: Final = "endpointslices"
_REFUSED: Final = re.compile(
    r'is forbidden: User "(?P<user>[^"]{1,300})" cannot (?P<verb>list|watch) '
    r'resource "(?P<what>endpointslices|services)"|'
    r"not allowed to list and watch EndpointSlices in namespace '(?P<namespace>[^']{1,63})'"
)


def find(facts: Facts) -> Iterator[Cause]:
    """token-rejected, no-permission."""
    rejected = next((one for one in facts.bundle.unread if one.status == 401), None)
    if rejected is not None:
        yield Cause(
            "token-rejected",
            "User/-",
            "the API server does not accept the credentials",
            (f"{rejected.what}: {rejected.reason}",),
            "get a new token: `kubectl config view --minify` shows where the present one comes "
            "from; in a pod, check that its service account exists and that the token is mounted",
        )
    if facts.subject.kind == "service":
        denied = [one for one in facts.bundle.access if one.resource == _NEEDED and not one.allowed]
        if denied and rejected is None:
            verbs = " and ".join(sorted({one.verb for one in denied}))
            yield Cause(
                "no-permission",
                f"Namespace/{facts.subject.namespace}",
                f"whoever asks may not {verbs} EndpointSlices, and finds no provider without",
                tuple(
                    f"SelfSubjectAccessReview: {one.verb} {one.resource} in {one.namespace!r}: no"
                    for one in denied
                ),
                f"kubbo rbac {facts.subject.text or 'TARGET'} --service-account NAMESPACE:NAME "
                "| kubectl apply -f -",
            )
    yield from _told_by_consumers(facts)


def _told_by_consumers(facts: Facts) -> Iterator[Cause]:
    for pod in facts.pods:
        for _, status in containers(pod):
            for line in facts.log(pod, status.name):
                found = _REFUSED.search(line)
                if found is None:
                    continue
                account = pod.spec.service_account_name or "default"
                yield Cause(
                    "no-permission",
                    f"Pod/{pod.metadata.name}",
                    "this consumer may not list and watch what it calls",
                    (f"log of {status.name}: {line}",),
                    "kubbo rbac TARGET --service-account "
                    f"{pod.metadata.namespace}:{account} | kubectl apply -f -",
                )
                return
