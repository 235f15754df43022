"""From a service key to a Service: what the annotations say, and whether they agree."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from kubbo.doctor.causes import Cause
from kubbo.errors import KubboError
from kubbo.model import ServiceKey
from kubbo.naming.mapping import (
    PROVIDER_LABEL,
    SERVICES_ANNOTATION,
    parse_provided,
    service_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubbo.doctor.facts import Facts
    from kubbo.doctor.objects import Service


def find(facts: Facts) -> Iterator[Cause]:
    """name-mapping: two claimants, no label, an annotation that cannot be read, or disagrees."""
    concerned = {one.metadata.name for one in facts.services}
    claims: dict[str, list[str]] = defaultdict(list)
    keys_of: dict[str, set[str]] = {}
    for service in facts.bundle.services:
        text = service.metadata.annotations.services if service.metadata.annotations else None
        if text is None:
            continue
        name = service.metadata.name
        try:
            keys_of[name] = {str(ServiceKey.parse(key)) for key in parse_provided(text)}
        except KubboError as error:
            if name in concerned:
                yield _cause(service, "the annotation cannot be read", str(error))
            continue
        if (service.metadata.labels or {}).get(PROVIDER_LABEL) == "true":
            for key in keys_of[name]:
                claims[key].append(name)
    services = {one.metadata.name: one for one in facts.bundle.services}
    for name, keys in keys_of.items():
        for key in sorted(keys):
            by_rule = services.get(service_name(ServiceKey.parse(key)))
            if name in concerned:
                yield from _claimed(services[name], key, claims.get(key, []), keys_of)
            if by_rule is not None and {name, by_rule.metadata.name} & concerned:
                yield from _contradicted(services[name], key, by_rule, keys_of)


def _claimed(
    service: Service, key: str, claimants: list[str], keys_of: dict[str, set[str]]
) -> Iterator[Cause]:
    name = service.metadata.name
    if len(claimants) > 1:
        yield _cause(
            service,
            f"more than one Service claims {key}",
            f"claimants: {', '.join(sorted(claimants))}",
        )
        return
    by_rule = service_name(ServiceKey.parse(key))
    if name not in claimants and by_rule != name and not claimants:
        yield _cause(
            service,
            f"the Service lists {key} and is not found by it",
            f'the label {PROVIDER_LABEL}: "true" is missing, and by its name the key leads to '
            f"the Service {by_rule!r}" + (", which lists other keys" if by_rule in keys_of else ""),
        )


def _contradicted(
    service: Service, key: str, by_rule: Service, keys_of: dict[str, set[str]]
) -> Iterator[Cause]:
    """The annotation leads to one Service, the rule to another one, with other pods."""
    other = by_rule.metadata.name
    if (
        other != service.metadata.name
        and key not in keys_of.get(other, ())
        and by_rule.spec.selector != service.spec.selector
    ):
        yield _cause(
            service,
            f"annotation and rule disagree about {key}",
            f"the annotation of {service.metadata.name!r} lists it, and by its name it leads to "
            f"the Service {other!r}, which has other pods",
        )


def _cause(service: Service, summary: str, evidence: str) -> Cause:
    name, namespace = service.metadata.name, service.metadata.namespace
    return Cause(
        "name-mapping",
        f"Service/{name}",
        summary,
        (evidence,),
        f"correct the annotation {SERVICES_ANNOTATION} or the label {PROVIDER_LABEL}: kubectl "
        f"edit service -n {namespace} {name}; `kubbo map SERVICE_KEY` shows every step",
    )
