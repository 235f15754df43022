"""What an engineer calls: an object with the methods of an interface, and its options.

A stub knows nothing of the way that a call takes. It keeps the plan of each method until its
reference has another, and hands the arguments over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from kubbo.config import Options
from kubbo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.config import Parameter
    from kubbo.model import Result, Value
    from kubbo.rpc.merged import MergedReference
    from kubbo.rpc.reference import Reference
    from kubbo.rpc.service import Interface, Method

__all__ = ["Stub", "make_stub", "options"]

T = TypeVar("T")

_NO_OPTIONS = Options()


class Stub:
    """What stands for a remote object; its class has one method for each of the interface.

    Its own attributes begin with `kubbo_`, so that no method of an interface meets them.
    """

    __slots__ = ("kubbo_options", "kubbo_plans", "kubbo_reference")

    kubbo_interface: ClassVar[Interface]

    def __init__(
        self, reference: Reference | MergedReference, given: Options = _NO_OPTIONS
    ) -> None:
        # Both make plans, and call by their own.
        self.kubbo_reference: Any = reference
        self.kubbo_options = given
        self.kubbo_plans: dict[Method, Any] = {}

    def __repr__(self) -> str:
        reference = self.kubbo_reference
        return f"<stub of {reference.service} at {reference.directory.target}>"


def make_stub(interface: Interface, reference: Reference | MergedReference) -> Stub:
    """An object with the methods of `interface`, each of which makes a call."""
    methods = {name: _stub_method(each) for name, each in interface.methods.items()}
    simple = interface.key.interface.rpartition(".")[2]
    about = {"__slots__": (), "kubbo_interface": interface}
    cls: type[Stub] = type(f"{simple}Stub", (Stub,), {**about, **methods})
    return cls(reference)


def _stub_method(each: Method) -> Any:
    async def call(self: Stub, *args: Value, **kwargs: Value) -> Value:
        reference = self.kubbo_reference
        plan = self.kubbo_plans.get(each)
        if plan is None or plan.version != reference.version:
            plan = self.kubbo_plans[each] = reference.plan(
                each.signature, self.kubbo_options, declared=each.options, oneway=each.oneway
            )
        result: Result = await reference.call(plan, each.arrange(args, kwargs))
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
    cluster: str | None = None,
    loadbalance: str | None = None,
    parameters: Mapping[str, Parameter] | None = None,
) -> T:
    """The same remote object with other options, like `options(greeter, timeout=3.0)`.

    They win over those of the method, the reference and the channel. `timeout` is in seconds.

    Raises:
        UsageError: `stub` is no stub of a channel.
        ConfigError: a number is out of its range.
    """
    if not isinstance(stub, Stub):
        raise UsageError(f"{stub!r} is no stub; pass what Channel.refer returned")
    given = Options(
        timeout,
        retries,
        idempotent,
        attachments or {},
        cluster=cluster,
        loadbalance=loadbalance,
        parameters=parameters or {},
    )
    return type(stub)(stub.kubbo_reference, given.over(stub.kubbo_options))
