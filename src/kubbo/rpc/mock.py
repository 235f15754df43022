"""Dubbo's `mock`, as a line of configuration: what a call returns instead of a failure.

    return null            fail:return {"id": 1}         force:return "closed for today"
    return empty           throw                         force:throw

Without a prefix and with `fail:` it stands in for a failed call; with `force:` no call is made at
all. `empty` is the empty value of the method's return type. What the provider's method itself
threw is an answer, and is never replaced.

Dubbo also takes the name of a class that stands in. Here that is an object that code passes:
`channel.refer(..., fallback=...)`. No class is looked up by a name from a file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kubbo.errors import Code, ConfigError, DecodeError, Progress, RpcError
from kubbo.model import Result
from kubbo.wire.hessian2.mapform import from_map_form

if TYPE_CHECKING:
    from kubbo.model import Handler, Invocation, Signature, Value
    from kubbo.wire.hessian2 import TypeRegistry

__all__ = ["Mock", "parse_mock"]

MAX_CHARS: Final = 10_000

_EMPTY: Final[dict[str, Value]] = {
    "java.lang.String": "",
    "boolean": False,
    "java.lang.Boolean": False,
    "float": 0.0,
    "double": 0.0,
    "java.lang.Float": 0.0,
    "java.lang.Double": 0.0,
    **dict.fromkeys(
        (
            "byte",
            "short",
            "int",
            "long",
            "java.lang.Byte",
            "java.lang.Short",
            "java.lang.Integer",
            "java.lang.Long",
        ),
        0,
    ),
}


@dataclass(frozen=True, slots=True)
class Mock:
    """A line of `mock`. `value` is JSON; `empty` and `throws` say what stands instead of it."""

    forced: bool
    throws: bool = False
    empty: bool = False
    value: Value = None

    def around(self, signature: Signature, registry: TypeRegistry, proceed: Handler) -> Handler:
        """`proceed`, or what stands in for it.

        Raises:
            ConfigError: the value is none of the method's return type.
        """
        value = self._value(signature, registry)

        async def mocked(invocation: Invocation) -> Result:
            failure: Exception = RpcError(
                Code.UNAVAILABLE, f"{signature} is mocked", progress=Progress.NOT_SENT
            )
            if not self.forced:
                try:
                    return await proceed(invocation)
                except RpcError as error:
                    if error.progress is Progress.ANSWERED or self.throws:
                        raise
                    failure = error
            elif self.throws:
                raise failure
            return Result(value, degraded=failure)

        return mocked

    def _value(self, signature: Signature, registry: TypeRegistry) -> Value:
        returns = signature.returns
        if self.empty:
            name = "" if returns is None else returns.name
            if name.endswith("[]") or name in {"java.util.List", "java.util.Collection"}:
                return []
            if name in {"java.util.Map", "java.util.HashMap"}:
                return {}
            return set["Value"]() if name == "java.util.Set" else _EMPTY.get(name)
        if self.value is None or returns is None:
            return self.value
        try:
            return from_map_form(self.value, registry.parse(returns.name), registry, path="mock")
        except DecodeError as error:
            raise ConfigError(f"mock of {signature}: {error}") from None


def parse_mock(text: str) -> Mock:
    """Read a line of `mock`.

    Raises:
        ConfigError: it is none; the message says what there is.
    """
    rest = text.strip()
    if len(rest) > MAX_CHARS:
        raise ConfigError(f"a mock of {len(rest)} characters is longer than {MAX_CHARS}")
    forced = rest.startswith("force:")
    rest = rest.removeprefix("force:").removeprefix("fail:").strip()
    word, _, value = rest.partition(" ")
    value = value.strip()
    if word == "throw":
        if value:
            raise ConfigError(
                f"mock={_shown(text)}: the class of an exception is not looked up by its name; "
                'write "throw", or pass fallback=... in code'
            )
        return Mock(forced, throws=True)
    if word != "return":
        raise ConfigError(
            f"mock={_shown(text)} is no mock: write [force:|fail:]return VALUE with null, empty or "
            "JSON, or [force:|fail:]throw; an object that stands in is passed in code, "
            "channel.refer(..., fallback=...)"
        )
    if value == "empty":
        return Mock(forced, empty=True)
    if len(value) > 1 and value[0] == value[-1] == "'":
        return Mock(forced, value=value[1:-1])
    try:
        return Mock(forced, value=json.loads(value) if value else None)
    except (ValueError, RecursionError):
        raise ConfigError(f"mock={_shown(text)}: {value[:60]!r} is no JSON") from None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
