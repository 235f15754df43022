"""Condition rules: calls of this kind go to providers of that kind.

    conditions: ["method=find* & arguments[0]=x => host=10.0.*"]        up to v3.0
    conditions: [{from: {match: "region=hz"}, to: [{match: "version=v2", weight: 10}, ...]}]   v3.1

Conditions are taken one after the other, each over what the ones before it left. One whose first
side holds for the call narrows; nothing after the arrow, or `trafficDisable`, refuses the call.
Where nobody is left, `force` says so, and without it the condition is passed over.

With several destinations one is chosen by weight among those that somebody is in. `classify`
throws the dice without knowing who is there, so it gives an order: the first one with somebody in
it is taken, and the odds are the same as if the empty ones had not stood in the rule.

Source: ConditionStateRouter and MultiDestConditionRouter of Dubbo Java; differences:
docs/routing.md.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from kubbo.cluster.routing.expressions import Expression, parse_expression
from kubbo.cluster.routing.facts import endpoint_value
from kubbo.cluster.routing.scope import parse_scope

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Hashable, Sequence

    from kubbo.cluster.member import Member
    from kubbo.cluster.routing.document import Node
    from kubbo.cluster.routing.expressions import Lookup, Term
    from kubbo.cluster.routing.facts import Consumer
    from kubbo.cluster.routing.scope import Scope
    from kubbo.model import Endpoint, Invocation, ServiceKey

__all__ = ["Condition", "ConditionRouter", "Destination", "parse_condition_rule"]

DEFAULT_WEIGHT: Final = 100
MAX_WEIGHT: Final = 2**31 - 1
MAX_REMEMBERED: Final = 1_000
"""Methods, and services, whose conditions are remembered. Callers could invent more."""

MAX_STICKY: Final = 1_000
"""Characters of a sticky value that count: it comes with a call."""

_ORDERED: Final = 3
"""Destinations that are put into order by the dice; the rest follows as it is written."""

_Choice: TypeAlias = tuple[int, ...] | None
"""Of one condition: the order of its destinations; None where it does not apply."""

_KEYS: Final = (
    "scope", "key", "force", "runtime", "enabled", "priority", "conditions", "configVersion",
    "dynamic", "valid",
)  # fmt: skip
_CONDITION_KEYS: Final = (
    "from", "to", "force", "ratio", "priority", "trafficDisable", "sticky",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Destination:
    """Providers of one kind; with several, `weight` is its share of the calls."""

    match: Expression
    weight: int = DEFAULT_WEIGHT


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a rule.

    Attributes:
        text: as it stands in the rule.
        when: of the call and the consumer.
        to: where such calls go; nowhere if empty.
        force: refuse the call where nobody is left.
        ratio: in percent; a destination with a smaller share of the members counts as empty.
        sticky: a value of the call that throws the dice: the same value, the same destination.
    """

    text: str
    when: Expression
    to: tuple[Destination, ...]
    force: bool = False
    ratio: int = 0
    sticky: Term | None = None


@dataclass(frozen=True, slots=True)
class _Bound:
    """The conditions as they are for one service.

    `terms` are, by condition, the terms that depend on the call; None where others already fail.
    `fixed` says that a call's method decides everything.
    """

    service: ServiceKey
    terms: tuple[tuple[Term, ...] | None, ...]
    fixed: bool
    by_method: dict[str, tuple[ServiceKey, tuple[_Choice, ...]]]


class ConditionRouter:
    """The conditions of one rule. `rng` throws the dice between destinations."""

    def __init__(
        self,
        name: str,
        scope: Scope,
        conditions: Sequence[Condition],
        *,
        consumer: Consumer,
        rng: random.Random,
        priority: int = 0,
    ) -> None:
        self.name = name
        self.scope = scope
        self.priority = priority
        self.conditions = tuple(conditions)
        self._consumer = consumer
        self._rng = rng
        self._bound: dict[ServiceKey, _Bound | None] = {}
        # A reference has one service key: mostly it is the same object as in the call before.
        self._last_service: ServiceKey | None = None
        self._last: _Bound | None = None
        self._sums = [tuple(accumulate(to.weight for to in each.to)) for each in self.conditions]

    def classify(self, invocation: Invocation) -> Hashable:
        """Which conditions apply, and where each of them sends the call. O(conditions)."""
        service = invocation.service
        if service is self._last_service:
            bound = self._last
        else:
            try:
                bound = self._bound[service]
            except KeyError:
                bound = self._bind(service)
            self._last_service, self._last = service, bound
        if bound is None:
            return None
        if not bound.fixed:
            return (service, self._choices(bound, invocation))
        method = invocation.method
        kind = bound.by_method.get(method)
        if kind is None:
            if len(bound.by_method) >= MAX_REMEMBERED:
                bound.by_method.clear()
            kind = bound.by_method[method] = (service, self._choices(bound, invocation))
        return kind

    def narrow(self, members: Sequence[Member], kind: Hashable) -> tuple[Member, ...]:
        """See `Router`."""
        left = tuple(members)
        if kind is None or not self.scope.admits(self._consumer.application, left):
            return left
        service, choices = _kind(kind)
        for condition, choice in zip(self.conditions, choices, strict=True):
            if choice is not None and left:
                left = self._follow(condition, choice, left, service)[0]
        return left

    def account(
        self, invocation: Invocation, members: Sequence[Member], kind: Hashable
    ) -> tuple[str, dict[int, str]]:
        """See `Accountable`."""
        if kind is None:
            return f"is for {self.scope}, not for {invocation.service}", {}
        if not self.scope.admits(self._consumer.application, members):
            return f"is for the application {self.scope}, which neither side is", {}
        service, choices = _kind(kind)
        notes: list[str] = []
        reasons: dict[int, str] = {}
        left = tuple(members)
        for number, (condition, choice) in enumerate(zip(self.conditions, choices, strict=True), 1):
            line = f"condition {number} `{condition.text}`"
            if choice is None:
                notes.append(
                    f"{line} does not apply: it wants {self._failing(condition, invocation)}"
                )
                continue
            if not left:
                notes.append(f"{line}: nobody was left for it")
                continue
            kept, outcome, taken = self._follow(condition, choice, left, service)
            notes.append(f"{line} {outcome}")
            staying = {id(each) for each in kept}
            for each in left:
                if id(each) not in staying:
                    reasons[id(each)] = f"{line}: {self._why_not(condition, taken, each, service)}"
            left = kept
        return "; ".join(notes) or "has no conditions", reasons

    def _bind(self, service: ServiceKey) -> _Bound | None:
        """What is known before a call: the consumer's values and the service key."""
        if len(self._bound) >= MAX_REMEMBERED:
            self._bound.clear()
        bound: _Bound | None = None
        if self.scope.covers(service):

            def mine(key: str) -> str | None:
                return self._consumer.value(key, service)

            terms: list[tuple[Term, ...] | None] = []
            for condition in self.conditions:
                open_terms = tuple(
                    each for each in condition.when.terms if each.of_call or each.of_method
                )
                known = [each for each in condition.when.terms if each not in open_terms]
                holds = all(each.holds(mine(each.key), mine) for each in known)
                terms.append(open_terms if holds else None)
            fixed = all(
                each is None or (len(condition.to) <= 1 and not any(term.of_call for term in each))
                for each, condition in zip(terms, self.conditions, strict=True)
            )
            bound = _Bound(service, tuple(terms), fixed, {})
        self._bound[service] = bound
        return bound

    def _choices(self, bound: _Bound, invocation: Invocation) -> tuple[_Choice, ...]:
        refer = self._refer(bound.service)
        choices: list[_Choice] = []
        for index, terms in enumerate(bound.terms):
            choice: _Choice = None
            if terms is not None:
                for term in terms:
                    if not term.holds(term.value(invocation), refer):
                        break
                else:
                    choice = self._order(index, invocation)
            choices.append(choice)
        return tuple(choices)

    def _refer(self, service: ServiceKey) -> Lookup:
        return lambda name: self._consumer.value(name, service)

    def _order(self, index: int, invocation: Invocation) -> tuple[int, ...]:
        """Throw the dice: the destinations of a condition, in the order to try them."""
        sums = self._sums[index]
        count = len(sums)
        if count <= 1:
            return (0,) * count
        sticky = self.conditions[index].sticky
        value = None if sticky is None else sticky.value(invocation)
        dice = self._rng.random if value is None else _dice_of(value)
        if not sums[-1]:
            first = int(dice() * count)
            return (*range(first, count), *range(first))
        first = bisect_right(sums, dice() * sums[-1])
        if count == 2:
            return (first, 1 - first)
        to = self.conditions[index].to
        order = [first]
        rest = [each for each in range(count) if each != first]
        while rest and len(order) < _ORDERED:
            weights = list(accumulate(to[each].weight for each in rest))
            if not weights[-1]:
                break
            order.append(rest.pop(bisect_right(weights, dice() * weights[-1])))
        return (*order, *rest)

    def _follow(
        self,
        condition: Condition,
        order: tuple[int, ...],
        members: tuple[Member, ...],
        service: ServiceKey,
    ) -> tuple[tuple[Member, ...], str, int]:
        """Who is left after a condition that applies, what to say of it, and the destination."""
        if not condition.to:
            return (), "refuses such calls", -1
        for index in order:
            found = self._select(condition.to[index], members, service)
            if found and len(found) * 100 >= condition.ratio * len(members):
                chosen = f", destination {index + 1}" if len(condition.to) > 1 else ""
                return found, f"leaves {len(found)} of {len(members)}{chosen}", index
        few = f" or fewer than {condition.ratio}%" if condition.ratio else ""
        if condition.force:
            return (), f"leaves none{few}, and is forced", order[0]
        return members, f"leaves none{few}, and is passed over, since it is not forced", order[0]

    def _select(
        self, to: Destination, members: tuple[Member, ...], service: ServiceKey
    ) -> tuple[Member, ...]:
        """The members of a destination. Term by term: O(members) with little for each of them."""
        refer = self._refer(service)
        found = list(members)
        for term in to.match.terms:
            key, holds = term.key, term.holds
            found = [
                each for each in found if holds(endpoint_value(each.endpoint, key, service), refer)
            ]
        return tuple(found)

    def _why_not(
        self, condition: Condition, index: int, member: Member, service: ServiceKey
    ) -> str:
        if index < 0:
            return "it refuses such calls"
        match = condition.to[index].match
        failing = match.failing(_theirs(member.endpoint, service), self._refer(service))
        return f"wants {failing}" if failing else "its destination has too few providers"

    def _failing(self, condition: Condition, invocation: Invocation) -> str:
        by_key = {term.key: term for term in condition.when.terms}
        service = invocation.service

        def lookup(key: str) -> str | None:
            term = by_key[key]
            if term.of_call or term.of_method:
                return term.value(invocation)
            return self._consumer.value(key, service)

        return condition.when.failing(lookup, self._refer(service))


def _dice_of(value: str) -> Callable[[], float]:
    """Dice that fall the same way for the same value, in every consumer."""
    text = value[:MAX_STICKY].encode("utf-8", "surrogatepass")
    digest = blake2b(text, digest_size=8 * _ORDERED).digest()
    throws = iter(range(0, len(digest), 8))
    return lambda: (int.from_bytes(digest[(at := next(throws)) : at + 7], "big")) / 2**56


def _theirs(endpoint: Endpoint, service: ServiceKey) -> Lookup:
    return lambda key: endpoint_value(endpoint, key, service)


def _kind(kind: Hashable) -> tuple[ServiceKey, tuple[_Choice, ...]]:
    """What `classify` returned, which went through `Selection` as something hashable."""
    return cast("tuple[ServiceKey, tuple[_Choice, ...]]", kind)


def parse_condition_rule(
    top: Node, name: str, *, consumer: Consumer, rng: random.Random
) -> ConditionRouter:
    """Read a condition rule of any version.

    Raises:
        ConfigError: it cannot be read; the text says where, and what to write.
    """
    top.keys(_KEYS)
    version = top.text_of("configVersion").lower().lstrip("v")
    force = top.flag_of("force", default=False)
    several = version.startswith("3.1")
    if not several and version > "3.1":
        node = top.get("configVersion")
        assert node is not None
        raise node.refuse("a version that is known; there are v2.7, v3.0 and v3.1")
    conditions: list[tuple[int, Condition]] = []
    for node in top.need("conditions", "they are the rule; write [] for none").items():
        if several:
            conditions.append(_destinations(node, force=force))
        elif isinstance(node.value, dict):
            raise node.error(
                "from and to are of version 3.1; write `configVersion: v3.1` at the top"
            )
        else:
            conditions.append((0, _arrow(node, force=force)))
    conditions.sort(key=lambda each: -each[0])
    return ConditionRouter(
        name,
        parse_scope(top, "service"),
        [each for _, each in conditions],
        consumer=consumer,
        rng=rng,
        priority=_priority(top),
    )


def _priority(top: Node) -> int:
    node = top.get("priority")
    return 0 if node is None else node.whole(-(2**31), MAX_WEIGHT)


def _arrow(node: Node, *, force: bool) -> Condition:
    """`WHEN => THEN`; without an arrow all of it is what comes after one."""
    text = node.text().strip()
    if not text:
        raise node.error("it is empty; write WHEN => THEN, like method=find* => host=10.0.*")
    when, arrow, then = text.partition("=>")
    if not arrow:
        when, then = "", text
    if "=>" in then:
        raise node.error("it has two '=>'; write one condition for each")
    then = "" if then.strip() == "false" else then
    to = (Destination(_expression(node, then, provider=True)),) if then.strip() else ()
    return Condition(text, _when(node, when), to, force)


def _destinations(node: Node, *, force: bool) -> tuple[int, Condition]:
    """`{from: {match}, to: [{match, weight}]}`, and its priority."""
    node.keys(_CONDITION_KEYS)
    when, where = _match(node.get("from"))
    to: list[Destination] = []
    shown: list[str] = []
    disabled = node.flag_of("trafficDisable", default=False)
    below = node.get("to")
    for each in () if below is None or disabled else below.items():
        text, place = _match(each)
        text = "" if text == "false" else text
        weight = each.get("weight")
        to.append(
            Destination(
                _expression(place or each, text, provider=True),
                DEFAULT_WEIGHT if weight is None else weight.whole(0, MAX_WEIGHT),
            )
        )
        shown.append(text or "any")
    ratio = node.get("ratio")
    condition = Condition(
        f"{when} => {' | '.join(shown)}".strip(),
        _when(where or node, when),
        tuple(to),
        force or node.flag_of("force", default=False),
        0 if ratio is None else ratio.whole(0, 100),
        _sticky(node.get("sticky")),
    )
    return _priority(node), condition


def _sticky(node: Node | None) -> Term | None:
    if node is None:
        return None
    terms = _expression(node, f"{node.text().strip()}=*", provider=False).terms
    if len(terms) != 1 or not terms[0].of_call:
        raise node.refuse("a value of the call; write attachments[NAME] or arguments[0]")
    return terms[0]


def _match(node: Node | None) -> tuple[str, Node | None]:
    if node is None:
        return "", None
    node.keys(("match", "weight"))
    below = node.get("match")
    return ("", None) if below is None else (below.text().strip(), below)


def _when(node: Node, text: str) -> Expression:
    return _expression(node, "" if text.strip() == "true" else text, provider=False)


def _expression(node: Node, text: str, *, provider: bool) -> Expression:
    try:
        return parse_expression(text, provider=provider)
    except ValueError as error:
        raise node.error(f"{text.strip()[:80]!r}: {error}") from None
