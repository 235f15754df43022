"""A reference to several groups at once, whose results are merged: Dubbo's `mergeable`.

Each group is a service key of its own, with its own target, breaker and budget. A call goes to all
of them at once, under one deadline.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubbo.config import Options
from kubbo.model import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubbo.cluster.directory import Directory
    from kubbo.cluster.merging import Merger
    from kubbo.model import ServiceKey, Signature, Value
    from kubbo.rpc.reference import Plan, Reference

__all__ = ["MergedReference"]

_NO_OPTIONS = Options()


@dataclass(slots=True, eq=False)
class MergedPlan:
    """The plan of each group; see `Plan`."""

    plans: tuple[Plan, ...]
    version: int


class MergedReference:
    """Calls `groups` together; `merge` makes one value of theirs, in the order of the groups."""

    def __init__(
        self,
        service: ServiceKey,
        groups: Sequence[Reference],
        merge: Merger,
    ) -> None:
        self.service = service
        self._groups = tuple(groups)
        self._merge = merge

    @property
    def directory(self) -> Directory:
        """That of the first group: what its name is taken from."""
        return self._groups[0].directory

    @property
    def directories(self) -> tuple[Directory, ...]:
        """Those of all groups."""
        return tuple([group.directory for group in self._groups])

    @property
    def version(self) -> int:
        """Changes whenever the plans of a group do."""
        return sum(each.version for each in self._groups)

    def plan(
        self,
        signature: Signature,
        given: Options,
        *,
        declared: Options = _NO_OPTIONS,
        oneway: bool = False,
    ) -> MergedPlan:
        """See `Reference.plan`."""
        plans = [
            each.plan(signature, given, declared=declared, oneway=oneway) for each in self._groups
        ]
        return MergedPlan(tuple(plans), self.version)

    async def call(self, plan: MergedPlan, arguments: Sequence[Value]) -> Result:
        """Call every group and merge; see `Reference.call`.

        Raises:
            Exception: that of the first group that failed; the calls to the others are cancelled.
            UsageError: the results cannot be merged.
        """
        pairs = zip(self._groups, plan.plans, strict=True)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(reference.call(each, arguments)) for reference, each in pairs
                ]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        results = [task.result() for task in tasks]
        degraded = next((each.degraded for each in results if each.degraded is not None), None)
        attachments = {name: value for each in results for name, value in each.attachments.items()}
        return Result(
            self._merge([each.value for each in results]),
            attachments=attachments,
            degraded=degraded,
        )
