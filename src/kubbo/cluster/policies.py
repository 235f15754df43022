"""Cluster policies: what becomes of a call when an attempt fails.

A policy asks for attempts and reads `progress`: an attempt that provably did not run is
safe to repeat, one that may have run only if the method is declared idempotent, one that
was answered never. Dubbo repeats whatever failed without an answer, writes included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from kubbo.errors import Code, ConfigError, NoProvider, Progress, RpcError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.cluster.attempts import Attempts
    from kubbo.config import Parameter
    from kubbo.model import Invocation, Result

__all__ = ["DEFAULT_CLUSTER", "Cluster", "Failfast", "Failover", "make_policy"]

DEFAULT_CLUSTER: Final = "failover"

_HOPELESS: Final = frozenset(
    {
        Code.CANCELLED,
        Code.INVALID_ARGUMENT,
        Code.DEADLINE_EXCEEDED,
        Code.PERMISSION_DENIED,
        Code.UNAUTHENTICATED,
    }
)
"""What another provider would say as well, or nobody waits for any more."""


class Cluster(Protocol):
    """Turns attempts into the outcome of a call."""

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """The result of the first attempt that succeeds, or the last one's error."""
        ...


class Failover:
    """Try again elsewhere, up to `retries` further times, where that is safe."""

    def __init__(self, retries: int) -> None:
        self._retries = retries

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`."""
        failed: list[RpcError] = []
        while True:
            try:
                return await attempts()
            except RpcError as error:
                if len(failed) >= self._retries or not _worth_a_retry(error, invocation, attempts):
                    error.attempts = tuple(failed)
                    raise
                failed.append(error)


def _worth_a_retry(error: RpcError, invocation: Invocation, attempts: Attempts) -> bool:
    safe = error.progress is Progress.NOT_SENT or (
        invocation.idempotent and error.progress is Progress.SENT
    )
    # Who refused a call will refuse it again; who could not be reached may come back.
    unreachable = error.code is Code.UNAVAILABLE and not isinstance(error, NoProvider)
    useful = unreachable or attempts.untried()
    return safe and useful and error.code not in _HOPELESS


class Failfast:
    """One attempt."""

    async def __call__(self, invocation: Invocation, attempts: Attempts, /) -> Result:
        """See `Cluster`."""
        del invocation
        return await attempts()


def make_policy(name: str, retries: int, parameters: Mapping[str, Parameter]) -> Cluster:
    """The policy of Dubbo's name.

    Raises:
        ConfigError: there is none of this name, or a parameter does not fit.
    """
    del parameters
    if name == "failover":
        return Failover(retries) if retries else Failfast()
    if name == "failfast":
        return Failfast()
    raise ConfigError(f"cluster={name!r} is no policy; there are failfast, failover")
