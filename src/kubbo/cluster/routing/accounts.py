"""Why an endpoint is in or out, told router by router.

A router that can say more than who is left has an `account`; of any other it is told only that.
Nothing here runs for a call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from kubbo.cluster.member import Member
    from kubbo.cluster.routers import Router
    from kubbo.model import Invocation

__all__ = ["Account", "Accountable", "account_for"]


@dataclass(frozen=True, slots=True)
class Account:
    """What one router did with one call.

    Attributes:
        router: its name.
        note: what it made of the call: which conditions apply, which tag it has.
        kept: who is left.
        reasons: for each member that came in, why it is in or out.
    """

    router: str
    note: str
    kept: tuple[Member, ...]
    reasons: tuple[tuple[Member, str], ...]


@runtime_checkable
class Accountable(Protocol):
    """A router that tells why."""

    def account(
        self, invocation: Invocation, members: Sequence[Member], kind: Hashable
    ) -> tuple[str, dict[int, str]]:
        """A note, and reasons by the `id` of a member, for a call of `kind` (of `classify`)."""
        ...


def account_for(
    routers: Sequence[Router], invocation: Invocation, members: Sequence[Member]
) -> tuple[Account, ...]:
    """What each router does with a call, in their order."""
    accounts: list[Account] = []
    left = tuple(members)
    for router in routers:
        kind = router.classify(invocation)
        kept = router.narrow(left, kind)
        note, reasons = (
            router.account(invocation, left, kind) if isinstance(router, Accountable) else ("", {})
        )
        staying = {id(member) for member in kept}
        accounts.append(
            Account(
                router.name,
                note,
                kept,
                tuple(
                    (member, reasons.get(id(member), "" if id(member) in staying else "left out"))
                    for member in left
                ),
            )
        )
        left = kept
    return tuple(accounts)
