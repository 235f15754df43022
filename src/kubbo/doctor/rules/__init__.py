"""Rules: from facts to causes, one module for each place where a deployment can fail.

A rule yields a cause only where something was seen that says so. What merely takes a while is no
cause: a pod that starts, a rolling update that goes on, a Job that has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubbo.doctor.rules import (
    access,
    containers,
    creating,
    naming,
    network,
    placing,
    probes,
    services,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kubbo.doctor.causes import Cause
    from kubbo.doctor.facts import Facts

__all__ = ["RULES"]

RULES: Final[tuple[Callable[[Facts], Iterator[Cause]], ...]] = (
    access.find,
    services.find,
    creating.find,
    placing.find,
    containers.find,
    probes.find,
    network.find,
    naming.find,
)
