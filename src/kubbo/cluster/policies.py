"""Cluster policies: how many attempts a call has, where, and what becomes of their failures.

A policy turns attempts into the outcome of a call. Its names are Dubbo's, and so is what they
mean, except that nothing is run twice unless that is safe: see `sequential`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from kubbo.cluster.lenient import DEFAULT_FAILBACK_TASKS, Failback, Failsafe
from kubbo.cluster.parallel import (
    DEFAULT_FORKS,
    DEFAULT_HEDGE_DELAY,
    Broadcast,
    Forking,
    Hedging,
)
from kubbo.cluster.parameters import number
from kubbo.cluster.sequential import Available, Failfast, Failover
from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubbo.cluster.attempts import Attempts
    from kubbo.cluster.background import Background
    from kubbo.config import Parameter
    from kubbo.model import Invocation, Result

__all__ = ["DEFAULT_CLUSTER", "POLICIES", "Cluster", "make_policy"]

DEFAULT_CLUSTER: Final = "failover"
"""Dubbo's default."""


class Cluster(Protocol):
    """Turns attempts into the outcome of a call."""

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """The result of the first attempt that succeeds, or the last one's error."""
        ...


_Given: TypeAlias = "Mapping[str, Parameter]"


def _failover(retries: int, given: _Given, background: Background) -> Cluster:
    del given, background
    return Failover(retries) if retries else Failfast()


def _failfast(retries: int, given: _Given, background: Background) -> Cluster:
    del retries, given, background
    return Failfast()


def _failsafe(retries: int, given: _Given, background: Background) -> Cluster:
    del retries, given, background
    return Failsafe()


def _failback(retries: int, given: _Given, background: Background) -> Cluster:
    tasks = number(given, "failbacktasks", DEFAULT_FAILBACK_TASKS)
    return Failback(background, retries=retries, tasks=int(tasks))


def _available(retries: int, given: _Given, background: Background) -> Cluster:
    del retries, given, background
    return Available()


def _broadcast(retries: int, given: _Given, background: Background) -> Cluster:
    del retries, given, background
    return Broadcast()


def _forking(retries: int, given: _Given, background: Background) -> Cluster:
    del retries, background
    return Forking(int(number(given, "forks", DEFAULT_FORKS)))


def _hedging(retries: int, given: _Given, background: Background) -> Cluster:
    del retries, background
    delay = number(given, "hedge.delay", DEFAULT_HEDGE_DELAY)
    return Hedging(delay, int(number(given, "hedge.attempts", 2)))


_Make: TypeAlias = "Callable[[int, _Given, Background], Cluster]"

POLICIES: Final[Mapping[str, _Make]] = {
    "available": _available,
    "broadcast": _broadcast,
    "failback": _failback,
    "failfast": _failfast,
    "failover": _failover,
    "failsafe": _failsafe,
    "forking": _forking,
    "hedging": _hedging,
    # What makes it mergeable is around the groups; in each of them it is a failover.
    "mergeable": _failover,
}
"""What makes each policy, of the retries, the parameters and the channel's background."""


def make_policy(
    name: str, retries: int, parameters: Mapping[str, Parameter], background: Background
) -> Cluster:
    """The policy of this name.

    Raises:
        ConfigError: there is none of this name, or a parameter does not fit.
    """
    make = POLICIES.get(name)
    if make is None:
        raise ConfigError(f"cluster={name!r} is no policy; there are {', '.join(POLICIES)}")
    return make(retries, parameters, background)
