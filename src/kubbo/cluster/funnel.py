"""The funnel of a call that reached nobody: what each step left, and the one next thing to do.

The resolver tells the steps up to the members; here are those that follow:

    routing, zone    one for each router that looked, in their order
    breaker          who of them is not left out, where there is a breaker
    connection       who of those is connected, and why the others are not

A call looks first who is connected, and has the breaker look at those: it wants somebody fast. Who
reads why there is nobody wants the causes in their order. It is told how things stand when the call
has failed; where a router throws dice, it is told of a call like it.

Nothing here runs for a call that succeeds.
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kubbo.cluster.routers import OwnStep
from kubbo.errors import Code, Progress
from kubbo.model import Step
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from kubbo.cluster.breaker import Breaker
    from kubbo.cluster.member import Member
    from kubbo.cluster.routers import Router
    from kubbo.errors import RpcError
    from kubbo.model import Invocation

__all__ = [
    "Funnel",
    "Narrowing",
    "complete",
    "may_complete",
    "narrow",
    "reach",
    "why_routed",
    "why_unresolved",
]

NAMED: Final = 3
"""Members, or reasons, that a note has; the rest of a thousand says nothing more."""

REASON_CHARS: Final = 200
"""Of a reason why a connection failed: a part of it may be its peer's."""

_CONNECTED: Final = (State.READY, State.DRAINING)

_UNREACHED: Final = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What the routers did with the members: a step for each that looked, and who is left.

    `emptied` is the router that left nobody, None if none did; `before` how many it was given.
    """

    steps: tuple[Step, ...]
    left: tuple[Member, ...]
    emptied: Router | None = None
    before: int = 0


@dataclass(frozen=True, slots=True)
class Funnel:
    """The steps of a call that reached nobody.

    `called` are the members that it might have reached, `connected` is how many of them are.
    """

    steps: tuple[Step, ...]
    called: tuple[Member, ...]
    connected: int


def narrow(
    routers: Sequence[Router], kinds: Sequence[Hashable], members: tuple[Member, ...]
) -> Narrowing:
    """What `routers` do with a call of these kinds; none is asked after one that leaves nobody."""
    steps: list[Step] = []
    for router, kind in zip(routers, kinds, strict=True):
        left = router.narrow(members, kind)
        steps.append(Step(_step_of(router), len(left), router.name))
        if not left:
            return Narrowing(tuple(steps), (), router, len(members))
        members = left
    return Narrowing(tuple(steps), members)


def _step_of(router: Router) -> str:
    return router.step if isinstance(router, OwnStep) else "routing"


def reach(members: tuple[Member, ...], breaker: Breaker | None) -> Funnel:
    """The steps from those that the routers leave to those that are connected."""
    steps: list[Step] = []
    if breaker is not None:
        admitted = breaker.admitted(members)
        out = [each for each in members if each in breaker.ejected]
        note = ""
        if len(admitted) < len(members):
            note = f"left out: {_some([str(each.endpoint) for each in out])}"
        elif out:
            note = "all of them keep failing; none is left out, as nobody else is there"
        steps.append(Step("breaker", len(admitted), note))
        members = admitted
    reasons = Counter(
        (each.dialer.state.value, each.dialer.reason[:REASON_CHARS])
        for each in members
        if each.dialer.state not in _CONNECTED
    )
    connected = len(members) - reasons.total()
    why = [f"{count} {state}: {reason}" for (state, reason), count in reasons.most_common()]
    steps.append(Step("connection", connected, _some(why, "; ")))
    return Funnel(tuple(steps), members, connected)


def complete(error: RpcError, target: str, found: Funnel) -> None:
    """Give an error its funnel, and what to do next."""
    if error.code is not Code.UNAVAILABLE and found.connected:
        return  # somebody could be reached: it is about time, or load
    error.funnel = found.steps
    error.advice = (
        f"call again: {found.connected} of {len(found.called)} can be reached now"
        if found.connected
        else _how_to_reach(target, found.called)
    )


def may_complete(error: RpcError) -> bool:
    """Whether an attempt's error says that its provider was not reached, and no more than that."""
    return (
        not error.funnel
        and not error.refused
        and error.progress is Progress.NOT_SENT
        and error.code in _UNREACHED
    )


def _how_to_reach(target: str, members: Sequence[Member]) -> str:
    if target.startswith("kubernetes:") and "|" not in target:
        return f"`kubbo doctor {shlex.quote(target)}` says why nobody can be connected"
    where = _some([str(each.endpoint) for each in members])
    return f"check that a provider listens on {where}, and that nothing in between forbids it"


def why_unresolved(target: str) -> str:
    """What to do when nobody has said in time who there is."""
    if "://" not in target:
        return f"`kubbo map {shlex.quote(target)}` shows how far it comes"
    return f"`kubbo endpoints {shlex.quote(target)}` shows whether the source answers"


def why_routed(invocation: Invocation, target: str) -> str:
    """What to do when a router leaves nobody."""
    at = f" --target {shlex.quote(target)}" if "://" in target else ""
    return (
        f"`kubbo route {shlex.quote(str(invocation.service))} {shlex.quote(invocation.method)}{at} "
        "--rules FILE` says of each why it is out"
    )


def _some(texts: Sequence[str], separator: str = ", ") -> str:
    more = [f"{len(texts) - NAMED} more"] if len(texts) > NAMED else []
    return separator.join([*texts[:NAMED], *more])
