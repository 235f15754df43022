"""Tag rules: providers in groups, each for the calls that carry its tag.

A provider has a tag by a rule (its address or its labels are listed) or of itself (the label
`dubbo.tag`). A call has one by the attachment `dubbo.tag`, or by its consumer.

    a call with a tag     the rule's group of that name; where the rule has none, providers with
                          the label; where there are none of either, providers without a tag,
                          unless `force` (of the rule, for its own groups) or `dubbo.force.tag`
                          (of the call) forbids it
    a call without one    providers in no group and without the label

A tag `gray|eu` that has no group of its own goes to the group `gray`.

Source: org.apache.dubbo.rpc.cluster.router.tag.TagStateRouter; differences: docs/routing.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from kubbo.cluster.routing.addresses import Address, parse_address
from kubbo.cluster.routing.facts import FORCE_TAG, TAG, attachment, endpoint_value
from kubbo.cluster.routing.patterns import Glob
from kubbo.cluster.routing.scope import parse_scope
from kubbo.config.regex import Regex
from kubbo.model import ServiceKey

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from kubbo.cluster.member import Member
    from kubbo.cluster.routing.document import Node
    from kubbo.cluster.routing.facts import Consumer
    from kubbo.cluster.routing.scope import Scope
    from kubbo.model import Endpoint, Invocation

__all__ = ["Group", "TagRouter", "parse_tag_rule"]

_KEYS: Final = (
    "scope", "key", "force", "runtime", "enabled", "priority", "tags", "configVersion",
    "dynamic", "valid",
)  # fmt: skip
_MATCHES: Final = ("exact", "prefix", "regex", "wildcard", "empty", "noempty")
"""In the order in which Java looks for them; the first one counts."""

_NO_SERVICE: Final = ServiceKey("")
"""A tag is of the provider, whatever is called of it."""


class Match(Protocol):
    """What a provider's value has to be; None is a value that it does not have."""

    def __call__(self, value: str | None, /) -> bool:
        """Whether it is."""
        ...


@dataclass(frozen=True, slots=True)
class Group:
    """Providers with one tag: by address, or, where none is listed, by their values."""

    name: str
    addresses: tuple[Address, ...] = ()
    match: tuple[tuple[str, Match, str], ...] = ()

    def has(self, endpoint: Endpoint) -> bool:
        """Whether a provider belongs to it."""
        if self.addresses:
            return any(each.matches(endpoint) for each in self.addresses)
        return bool(self.match) and all(
            match(endpoint_value(endpoint, key, _NO_SERVICE)) for key, match, _ in self.match
        )


class TagRouter:
    """The groups of one rule; without a rule it knows the label `dubbo.tag` only."""

    def __init__(
        self,
        name: str = "tag",
        scope: Scope | None = None,
        groups: Sequence[Group] = (),
        *,
        consumer: Consumer,
        force: bool = False,
        priority: int = 0,
    ) -> None:
        self.name = name
        self.scope = scope
        self.priority = priority
        self.force = force
        self._groups = {group.name: group for group in groups}
        self._consumer = consumer
        self._force_tag = consumer.parameters.get(FORCE_TAG, "false").lower() == "true"

    def classify(self, invocation: Invocation) -> Hashable:
        """The tag of the call, and whether it insists on it. O(1)."""
        attachments = invocation.attachments
        tag = (attachment(invocation, TAG) if TAG in attachments else None) or self._consumer.tag
        if not tag:
            return None
        if FORCE_TAG in attachments:
            return (tag, (attachment(invocation, FORCE_TAG) or "").lower() == "true")
        return (tag, self._force_tag)

    def narrow(self, members: Sequence[Member], kind: Hashable) -> tuple[Member, ...]:
        """See `Router`."""
        return self._narrow(tuple(members), kind)[0]

    def account(
        self, invocation: Invocation, members: Sequence[Member], kind: Hashable
    ) -> tuple[str, dict[int, str]]:
        """See `Accountable`."""
        del invocation
        _, note = self._narrow(tuple(members), kind)
        reasons: dict[int, str] = {}
        groups = self._effective(members)
        for member in members:
            endpoint = member.endpoint
            inside = [each.name for each in groups.values() if each.has(endpoint)]
            label = _label(endpoint)
            said = [f"it is in the group {', '.join(inside)}"] if inside else []
            if label:
                said.append(f"its label {TAG} is {label}")
            reasons[id(member)] = " and ".join(said) or "it has no tag"
        return note, reasons

    def _effective(self, members: Sequence[Member]) -> dict[str, Group]:
        """The groups that count: those of this application, and by values only with somebody in."""
        if self.scope is not None and not self.scope.admits(self._consumer.application, members):
            return {}
        return {
            name: group
            for name, group in self._groups.items()
            if group.addresses
            or (group.match and any(group.has(member.endpoint) for member in members))
        }

    def _narrow(
        self, members: tuple[Member, ...], kind: Hashable
    ) -> tuple[tuple[Member, ...], str]:
        groups = self._effective(members)
        free = tuple(
            [
                each
                for each in members
                if not _label(each.endpoint)
                and not any(group.has(each.endpoint) for group in groups.values())
            ]
        )
        if kind is None:
            return free, "the call has no tag; providers without one take it"
        tag, insists = cast("tuple[str, bool]", kind)
        group = self._group(groups, tag, insists=insists)
        if group is not None:
            found = tuple([each for each in members if group.has(each.endpoint)])
            if found or self.force:
                forced = "" if found else ", in which nobody is, and the rule is forced"
                return found, f"the call's tag is {tag}; it goes to the group {group.name}{forced}"
        else:
            found = tuple([each for each in members if _label(each.endpoint) == tag])
        if found:
            return found, f"the call's tag is {tag}; it goes to providers with that label"
        if insists:
            return (), f"the call insists on its tag {tag}, which nobody has"
        return free, f"nobody has the call's tag {tag}; providers without a tag take it"

    def _group(self, groups: dict[str, Group], tag: str, *, insists: bool) -> Group | None:
        if insists or "|" not in tag:
            return groups.get(tag)
        levels = [level for level in tag.split("|")[:_LEVELS] if level]
        while levels:
            group = groups.get("|".join(levels))
            if group is not None:
                return group
            levels.pop()
        return None


_LEVELS: Final = 20
"""Of a tag: it comes with a call."""


def _label(endpoint: Endpoint) -> str:
    for key, value in endpoint.labels:
        if key == TAG:
            return value
    return ""


def parse_tag_rule(top: Node, name: str, *, consumer: Consumer) -> TagRouter:
    """Read a tag rule.

    Raises:
        ConfigError: it cannot be read; the text says where, and what to write.
    """
    top.keys(_KEYS)
    by_values = top.text_of("configVersion").lower().startswith("v3")
    groups: dict[str, Group] = {}
    for node in top.need("tags", "they are the rule; write [] for none").items():
        node.keys(("name", "addresses", "match"))
        name_node = node.need("name", "it is what calls carry as dubbo.tag")
        group = Group(name_node.text().strip(), _addresses(node), _match(node, by_values=by_values))
        if not group.name or group.name in groups:
            raise name_node.error(f"{group.name!r} is there twice, or empty; each tag has its own")
        groups[group.name] = group
    priority = top.get("priority")
    return TagRouter(
        name,
        parse_scope(top, "application", consumers=False),
        tuple(groups.values()),
        consumer=consumer,
        force=top.flag_of("force", default=False),
        priority=0 if priority is None else priority.whole(-(2**31), 2**31 - 1),
    )


def _addresses(node: Node) -> tuple[Address, ...]:
    below = node.get("addresses")
    found: list[Address] = []
    for each in () if below is None else below.items():
        try:
            found.append(parse_address(each.text().strip()))
        except ValueError as error:
            raise each.error(str(error)) from None
    return tuple(found)


def _match(node: Node, *, by_values: bool) -> tuple[tuple[str, Match, str], ...]:
    below = node.get("match")
    if below is None:
        return ()
    if not by_values:
        raise below.error("it is of version 3.0; write `configVersion: v3.0` at the top")
    found: list[tuple[str, Match, str]] = []
    for each in below.items():
        each.keys(("key", "value"))
        key = each.need("key", "it names what is compared, like version").text().strip()
        value = each.need("value", "it says what it is compared with, like {exact: v2}")
        value.keys(_MATCHES)
        how = next((name for name in _MATCHES if value.get(name) is not None), None)
        if how is None:
            raise value.refuse(f"a comparison; there are {', '.join(_MATCHES)}")
        wanted = value.need(how, "")
        found.append((key, _compare(how, wanted), f"{how} {wanted.text()}"))
    return tuple(found)


def _compare(how: str, node: Node) -> Match:
    text = node.text()
    match how:
        case "exact":
            return lambda value: value == text
        case "prefix":
            return lambda value: value is not None and value.startswith(text)
        case "regex":
            try:
                regex = Regex(text)
            except ValueError as error:
                raise node.error(f"{text[:80]!r} cannot be used: {error}") from None
            return lambda value: value is not None and regex.matches(value)
        case "wildcard":
            glob = Glob.parse(text)
            return lambda value: value is not None and glob.matches(value, _nobody)
        case "empty":
            return lambda value: not value
        case _:
            return bool


def _nobody(name: str) -> None:
    del name
