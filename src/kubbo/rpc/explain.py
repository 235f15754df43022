"""Why a setting has the value that it has, for the stub of a running program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.config.layers import explain as explain_layers
from kubbo.config.settings import SETTINGS, suggestion
from kubbo.errors import UsageError
from kubbo.rpc.reference import Reference
from kubbo.rpc.stub import Stub

if TYPE_CHECKING:
    from kubbo.config.layers import Explanation

__all__ = ["explain"]


def explain(stub: object, setting: str, method: str = "") -> Explanation:
    """Why a setting has its value for a stub's method, like `explain(greeter, "timeout", "greet")`.

    Every layer is there, those of code and those of the configuration that is in use now; the
    first one that says something wins. `method` is Python's name or Java's; without one it is
    about all methods of the interface.

    Raises:
        UsageError: `stub` is no stub of a channel (or of several groups), or there is no such
            setting or method.
    """
    reference = stub.kubbo_reference if isinstance(stub, Stub) else None
    if not isinstance(stub, Stub) or not isinstance(reference, Reference):
        raise UsageError(f"{stub!r} is no stub of one service; pass what Channel.refer returned")
    row = SETTINGS.get(setting)
    if row is None:
        hint = suggestion(setting, SETTINGS)
        raise UsageError(f"there is no setting {setting!r}{hint}")
    given = stub.kubbo_options
    if not method:
        return explain_layers(row, reference.layers("", given=given), reference.problem())
    for each in stub.kubbo_interface.methods.values():
        if method in (each.name, each.signature.name):
            layers = reference.layers(each.signature.name, declared=each.options, given=given)
            return explain_layers(row, layers, reference.problem())
    raise UsageError(f"{reference.service} has no method {method!r}")
