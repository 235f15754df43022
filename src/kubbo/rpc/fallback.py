"""Degrading: what a caller gets instead of a failure; Dubbo's `mock`.

A fallback is an object with some or all methods of the interface, so that type checkers hold it to
it. When a call of one of those methods fails in a way that was named, its method runs with the
same arguments, and what it returns is the outcome. `Result.degraded` is the failure that it stood
in for, which filters and observers see.

Dubbo's mock runs only on some failures, and not when there is no provider; here a failure is a
failure. What the provider's method itself threw is an answer and never replaced, unless its class
is named.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final, TypeAlias

from kubbo.errors import Code, Progress, RpcError, UsageError
from kubbo.model import Result

if TYPE_CHECKING:
    from collections.abc import Collection

    from kubbo.model import Handler, Invocation, Signature
    from kubbo.rpc.service import Interface

__all__ = ["Failure", "Fallback"]

Failure: TypeAlias = "type[Exception] | Code"
"""A class of failures: an exception's class, or the code of an `RpcError`."""

_ANY: Final[tuple[Failure, ...]] = (RpcError,)


class Fallback:
    """`stand_in` for the failures named by `on`; every failure of a call without it.

    Raises:
        UsageError: it has no method of the interface, or `on` names what is no failure.
    """

    def __init__(
        self, stand_in: object, interface: Interface, on: Collection[Failure] = _ANY
    ) -> None:
        self._codes = frozenset(each for each in on if isinstance(each, Code))
        self._classes = tuple(each for each in on if not isinstance(each, Code))
        wrong = [each for each in self._classes if Exception not in each.__mro__]
        if wrong:
            raise UsageError(f"{wrong[0]!r} is no failure: name exceptions or kubbo.Code")
        self._methods = {
            method.signature: getattr(stand_in, name)
            for name, method in interface.methods.items()
            if callable(getattr(stand_in, name, None))
        }
        if not self._methods:
            raise UsageError(f"{stand_in!r} has no method of {interface.key} to fall back on")

    def around(self, signature: Signature, proceed: Handler) -> Handler:
        """`proceed`, and the fallback of this method if there is one."""
        function = self._methods.get(signature)
        if function is None:
            return proceed

        async def degrading(invocation: Invocation) -> Result:
            try:
                return await proceed(invocation)
            except Exception as error:
                if not self._covers(error):
                    raise
                value = function(*invocation.arguments)
                if inspect.isawaitable(value):
                    value = await value
                return Result(value, degraded=error)

        return degrading

    def _covers(self, error: Exception) -> bool:
        if isinstance(error, RpcError):
            if error.code in self._codes:
                return True
            if error.progress is Progress.ANSWERED:
                # Its class alone speaks for it: RpcError is the root of every answer as well.
                return any(
                    isinstance(error, each) for each in self._classes if each is not RpcError
                )
        return isinstance(error, self._classes)
