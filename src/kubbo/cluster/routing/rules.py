"""From the text of a rule to a router, and routers into their order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, cast

from kubbo.cluster.routing.affinity import AffinityRouter, parse_affinity_rule
from kubbo.cluster.routing.condition import ConditionRouter, parse_condition_rule
from kubbo.cluster.routing.document import Node
from kubbo.cluster.routing.facts import Consumer
from kubbo.cluster.routing.tags import TagRouter, parse_tag_rule
from kubbo.cluster.routing.zones import ZoneRouter, parse_zone_rule
from kubbo.config.document import ConfigurationError, Issues, parse_yaml
from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from kubbo.cluster.member import Member
    from kubbo.cluster.routers import Router
    from kubbo.model import Invocation

__all__ = ["Disabled", "in_order", "parse", "parse_text"]

MAX_DOCUMENTS: Final = 1_000

_MESH: Final = ("VirtualService", "DestinationRule")
_SCRIPT: Final = (
    "script rules are not run: a script from a configuration could do whatever the consumer "
    "may do, for every call; write it as a condition rule (conditions: [WHEN => THEN]), or pass a "
    "router of your own (Channel(routers=[...]))"
)
_MESH_RULE: Final = (
    "mesh rules (VirtualService, DestinationRule) are not read; write the route as a condition "
    "rule of version v3.1: from: {match: ...}, to: [{match: ..., weight: ...}]"
)


class Disabled:
    """A rule with `enabled: false`: it is read, so that its mistakes are told, and does nothing."""

    priority = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def classify(self, invocation: Invocation) -> Hashable:
        """See `Router`."""
        del invocation
        return None

    def narrow(self, members: Sequence[Member], kind: Hashable) -> tuple[Member, ...]:
        """See `Router`."""
        del kind
        return tuple(members)

    def account(
        self, invocation: Invocation, members: Sequence[Member], kind: Hashable
    ) -> tuple[str, dict[int, str]]:
        """See `Accountable`."""
        del invocation, members, kind
        return "is disabled (enabled: false)", {}


def parse(
    document: Mapping[Any, Any],
    *,
    source: str,
    consumer: Consumer | None = None,
    rng: random.Random | None = None,
) -> Router:
    """Read one rule as Dubbo writes it: `conditions`, `tags` or `affinityAware`; or `zoneAware`.

    Args:
        document: the YAML, loaded.
        source: what names it in messages: a file, or a key of a ConfigMap.
        consumer: who calls; without one, what the environment says (`Consumer.here`).
        rng: throws the dice between destinations.

    Raises:
        ConfigError: it cannot be read; the text names the place in it and what to write.
    """
    top = Node(document, source)
    if not isinstance(document, dict):
        raise top.refuse("a rule, which is a mapping with conditions, tags or affinityAware")
    who = Consumer.here() if consumer is None else consumer
    # Calls are shared out by chance and nothing is kept secret by it.
    dice = random.Random() if rng is None else rng  # noqa: S311
    if document.get("kind") in _MESH:
        raise top.error(_MESH_RULE)
    if "script" in document:
        raise top.error(_SCRIPT)
    key = document.get("key")
    shown = f" {key[:100]}" if isinstance(key, str) else ""
    router: Router
    if "conditions" in document:
        name = f"condition rule{shown} ({source})"
        router = parse_condition_rule(top, name, consumer=who, rng=dice)
    elif "tags" in document:
        router = parse_tag_rule(top, f"tag rule{shown} ({source})", consumer=who)
    elif "affinityAware" in document:
        router = parse_affinity_rule(top, f"affinity rule{shown} ({source})", consumer=who)
    elif "zoneAware" in document:
        router = parse_zone_rule(top, f"zone rule ({source})", consumer=who, rng=dice)
    else:
        top.keys(("conditions", "tags", "affinityAware", "zoneAware"))
        raise top.error(
            "it is no rule that is known: conditions, tags, affinityAware and zoneAware are missing"
        )
    if not top.flag_of("enabled", default=True):
        # A disabled tag rule still leaves the tags that providers have of themselves.
        if isinstance(router, TagRouter):
            return TagRouter(router.name, consumer=who)
        return Disabled(router.name)
    top.flag_of("runtime", default=True)
    return router


def parse_text(
    text: str,
    *,
    source: str,
    consumer: Consumer | None = None,
    rng: random.Random | None = None,
) -> tuple[Router, ...]:
    """Read the rules of a YAML text, one a document, and put them into their order.

    Raises:
        ConfigError: it is no YAML, or one of them cannot be read; nothing is taken of such a text.
    """
    issues = Issues()
    documents = parse_yaml(text, source, issues)
    if issues.fatal:
        raise ConfigurationError(issues.all())
    if len(documents) > MAX_DOCUMENTS:
        raise ConfigError(f"{source}: more than {MAX_DOCUMENTS} rules")
    routers: list[Router] = []
    for number, document in enumerate(documents, 1):
        where = source if number == 1 else f"{source}, line {document.place.line}"
        for place, rule in _rules_in(document.value(), where):
            routers.append(parse(rule, source=place, consumer=consumer, rng=rng))
    return in_order(routers)


def _rules_in(document: object, source: str) -> Iterator[tuple[str, Any]]:
    """The rules of a document: itself, or what a configuration has below `rules`."""
    if isinstance(document, dict) and "rules" in document:
        top = cast("Mapping[str, object]", document)
        for node in Node(top, source).need("rules", "").items():
            yield f"{source}, {node.path}", node.value
    elif document is not None:
        yield source, cast("Any", document)


def in_order(routers: Iterable[Router]) -> tuple[Router, ...]:
    """Dubbo's order: tags, conditions, affinity; then zones. Of one sort, high priority first."""
    return tuple(sorted(routers, key=lambda each: (_sort(each), -_priority(each))))


def _sort(router: Router) -> int:
    for number, sort in enumerate((TagRouter, ConditionRouter, AffinityRouter, ZoneRouter)):
        if isinstance(router, sort):
            return number
    return 1


def _priority(router: Router) -> int:
    return getattr(router, "priority", 0)
