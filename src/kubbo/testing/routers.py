"""What a router promises, as code."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, cast

from kubbo.cluster.member import Member
from kubbo.cluster.routing import account_for
from kubbo.model import Deadline, Endpoint, Invocation, ServiceKey, Signature
from kubbo.transport.dialer import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kubbo.cluster.routers import Router
    from kubbo.transport.dialer import Dialer

__all__ = ["check_router"]

_SERVICES = (ServiceKey("com.example.GreetService"), ServiceKey("com.example.Other", "g", "2.0.0"))
_ARGUMENTS: Final[tuple[Any, ...]] = (None, True, 1, "x", b"x", [1], {"k": object()})
_ATTACHMENTS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"dubbo.tag": "gray", "dubbo.force.tag": "true"},
    {"dubbo.tag": object(), "x": 1, "": ""},
)
MAX_KINDS: Final = 100
"""Of the calls of one method with the same attachments: each is a pool that is kept."""


def check_router(make: Callable[[random.Random], Router]) -> None:
    """Check a router; `make` gives a new one that takes its chances from `rng`.

    It has a name; finds a kind that can be hashed for any call, few of them for calls that are
    alike, the same ones again from the same seed; leaves members that it was given, each once and
    in their order, for every kind, also when they are none, or others than before; leaves the same
    ones again when it is asked again; and explains whom it leaves, where it explains anything.

    Raises:
        AssertionError: it does not; the message says where.
    """
    router = make(random.Random(1))  # noqa: S311 - repeatable
    assert router.name, "it has no name"
    views = [_members(count) for count in (0, 1, 2, 10, 3)]
    for call in _calls():
        kinds = {router.classify(call) for _ in range(3 * MAX_KINDS)}
        assert len(kinds) <= MAX_KINDS, f"{call.method} has more than {MAX_KINDS} kinds of calls"
        for kind in kinds:
            for members in views:
                _check_view(router, members, kind)
    for members in views:
        for account in account_for([router], _calls()[0], members):
            assert len(account.reasons) == len(members), "an account leaves a member out"
    assert _trace(make) == _trace(make), "the same seed gave different kinds"


def _check_view(router: Router, members: tuple[Member, ...], kind: Any) -> None:
    left = router.narrow(members, kind)
    assert isinstance(left, tuple), f"narrow returned a {type(left).__name__}, not a tuple"
    places = [members.index(member) if member in members else -1 for member in left]
    assert -1 not in places, "it left a member that it was not given"
    assert places == sorted(set(places)), "it left a member twice, or in another order"
    assert router.narrow(members, kind) == left, "asked again, it left others"


def _trace(make: Callable[[random.Random], Router]) -> list[Any]:
    router = make(random.Random(2))  # noqa: S311 - repeatable
    return [router.classify(call) for call in _calls() for _ in range(20)]


def _calls() -> Sequence[Invocation]:
    return [
        Invocation(service, Signature(method), _ARGUMENTS[:count], Deadline(1.0), attachments=each)
        for service in _SERVICES
        for method in ("greet", "find", "")
        for count in (0, len(_ARGUMENTS))
        for each in _ATTACHMENTS
    ]


def _members(count: int) -> tuple[Member, ...]:
    states = (State.READY, State.DOWN, State.CONNECTING, State.DRAINING)
    found: list[Member] = []
    for n in range(count):
        labels = (("version", f"v{n % 2}"), ("dubbo.tag", "gray")) if n % 3 else ()
        endpoint = Endpoint(
            f"10.0.0.{n}" if n % 4 else "::1", 20880 + n, zone=f"zone-{n % 3}", labels=labels
        )
        dialer = _Idle(states[n % 4])
        found.append(Member(endpoint, cast("Dialer", dialer)))
    return tuple(found)


class _Idle:
    """A connection that nobody uses."""

    def __init__(self, state: State) -> None:
        self.state = state
