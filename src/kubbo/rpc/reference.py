"""A consumer's view of one interface: options, filters, policy and attempts, put together.

What can be known before a call is worked out when the reference is made. A call then
makes an invocation and walks down: filters, cluster policy, attempts, connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from kubbo.cluster.policies import Cluster, DirectoryAttempts, Failfast, Failover
from kubbo.config import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Options
from kubbo.errors import UsageError
from kubbo.model import Deadline, Invocation, Kind
from kubbo.rpc.context import CURRENT
from kubbo.rpc.filters import compose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubbo.cluster.balancers import LoadBalance
    from kubbo.cluster.directory import Directory
    from kubbo.model import Result, ServiceKey, Signature, Value
    from kubbo.rpc.filters import Filter
    from kubbo.rpc.service import Interface, Method
    from kubbo.wire.codec import Codec

__all__ = ["Reference", "make_stub", "options"]

T = TypeVar("T")

_FAILFAST = Failfast()
_NO_OPTIONS = Options()


class Reference:
    """Calls the providers of one service key through one directory."""

    def __init__(
        self,
        service: ServiceKey,
        directory: Directory,
        codec: Codec,
        balance: LoadBalance,
        *,
        base: Options,
        filters: Sequence[Filter] = (),
    ) -> None:
        self.service = service
        self.directory = directory
        self._codec = codec
        self._balance = balance
        self._base = base
        self._policies: dict[int, Cluster] = {0: _FAILFAST}
        self._handlers: dict[int, Any] = {}
        self._filters = filters
        self._loop = asyncio.get_running_loop()

    async def call(
        self,
        signature: Signature,
        arguments: Sequence[Value],
        given: Options,
        *,
        oneway: bool = False,
    ) -> Result:
        """Make a call; `given` are its options, the reference's and channel's fill the rest.

        Raises:
            EncodeError: an argument does not fit its type; nothing was sent.
            NoProvider: there is no provider; its text says why.
            DeadlineExceeded: the deadline passed.
            RpcError: the call failed; `progress` says whether the method may have run.
            Exception: what the method threw, where its class is declared.
        """
        chosen = given.over(self._base)
        deadline = Deadline(self._loop.time() + (chosen.timeout or DEFAULT_TIMEOUT))
        serving = CURRENT.get()
        if serving is not None and serving.deadline is not None:
            deadline = deadline.sooner(serving.deadline)
        invocation = Invocation(
            self.service,
            signature,
            arguments,
            deadline,
            Kind.ONEWAY if oneway else Kind.UNARY,
            bool(chosen.idempotent),
            dict(chosen.attachments),
        )
        retries = DEFAULT_RETRIES if chosen.retries is None else chosen.retries
        handler = self._handlers.get(retries)
        if handler is None:
            handler = self._handlers[retries] = self._compose(retries)
        result: Result = await handler(invocation)
        return result

    def _compose(self, retries: int) -> Any:
        policy: Cluster = Failover(retries) if retries else _FAILFAST

        async def clustered(invocation: Invocation) -> Result:
            return await policy(
                invocation,
                DirectoryAttempts(invocation, self.directory, self._balance, self._codec),
            )

        return compose(self._filters, clustered)


class Stub:
    """What stands for a remote object; its class has one method for each of the interface.

    Its own attributes begin with `kubbo_`, so that no method of an interface meets them.
    """

    __slots__ = ("kubbo_options", "kubbo_reference")

    def __init__(self, reference: Reference, given: Options = _NO_OPTIONS) -> None:
        self.kubbo_reference = reference
        self.kubbo_options = given

    def __repr__(self) -> str:
        reference = self.kubbo_reference
        return f"<stub of {reference.service} at {reference.directory.target}>"


def make_stub(interface: Interface, reference: Reference) -> Stub:
    """An object with the methods of `interface`, each of which makes a call."""
    methods = {name: _stub_method(each) for name, each in interface.methods.items()}
    simple = interface.key.interface.rpartition(".")[2]
    cls: type[Stub] = type(f"{simple}Stub", (Stub,), {"__slots__": (), **methods})
    return cls(reference)


def _stub_method(each: Method) -> Any:
    async def call(self: Stub, *args: Value, **kwargs: Value) -> Value:
        given = self.kubbo_options
        chosen = each.options if given is _NO_OPTIONS else given.over(each.options)
        result = await self.kubbo_reference.call(
            each.signature, each.arrange(args, kwargs), chosen, oneway=each.oneway
        )
        return result.value

    call.__name__ = call.__qualname__ = each.name
    call.__doc__ = f"Call {each.signature}."
    return call


def options(
    stub: T,
    *,
    timeout: float | None = None,
    retries: int | None = None,
    idempotent: bool | None = None,
    attachments: Mapping[str, Value] | None = None,
) -> T:
    """The same remote object with other options, like `options(greeter, timeout=3.0)`.

    They win over those of the method, the reference and the channel. `timeout` is in seconds.

    Raises:
        UsageError: `stub` is no stub of a channel.
        ConfigError: a number is out of its range.
    """
    if not isinstance(stub, Stub):
        raise UsageError(f"{stub!r} is no stub; pass what Channel.refer returned")
    given = Options(timeout, retries, idempotent, attachments or {})
    return type(stub)(stub.kubbo_reference, given.over(stub.kubbo_options))
