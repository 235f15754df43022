"""The lines of `mock`, and what merging does to values."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from kubbo.cluster.merging import make_merger, merge_results
from kubbo.errors import Code, ConfigError, Progress, RemoteException, RpcError, UsageError
from kubbo.java import Long, pojo
from kubbo.model import Deadline, Invocation, Result, ServiceKey, Signature
from kubbo.rpc.mock import parse_mock
from kubbo.wire.hessian2 import TypeRegistry

if TYPE_CHECKING:
    from collections.abc import Sequence


@pojo("com.example.Order")
@dataclass
class Order:
    id: Long
    note: str = ""


REGISTRY = TypeRegistry((Order,))
LOST = RpcError(Code.UNAVAILABLE, "the connection was closed", progress=Progress.SENT)


def outcome(text: str, returns: str = "java.lang.Object", fails: Exception | None = LOST) -> Result:
    """What a call of a method that returns `returns` has under this mock."""
    signature = Signature("find", (), REGISTRY.parse(returns))

    async def proceed(invocation: Invocation) -> Result:
        if fails is not None:
            raise fails
        return Result("answered")

    async def main() -> Result:
        handler = parse_mock(text).around(signature, REGISTRY, proceed)
        call = Invocation(ServiceKey("com.example.Orders"), signature, (), Deadline(1.0))
        return await handler(call)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "returns", "value"),
    [
        ("return null", "java.lang.String", None),
        ("return", "java.lang.String", None),
        ("fail:return null", "java.lang.String", None),
        ("fail: return null", "java.lang.String", None),
        ("return empty", "java.lang.String", ""),
        ("return empty", "int", 0),
        ("return empty", "boolean", False),
        ("return empty", "java.util.List", []),
        ("return empty", "java.lang.String[]", []),
        ("return empty", "java.util.Map", {}),
        ("return empty", "com.example.Order", None),
        ("return true", "boolean", True),
        ("return 3", "int", 3),
        ('return "closed"', "java.lang.String", "closed"),
        ("return 'closed'", "java.lang.String", "closed"),
        ("return [1, 2]", "java.util.List", [1, 2]),
        ('return {"id": 7}', "com.example.Order", Order(7)),
    ],
)
def test_what_stands_in_for_a_failure(text: str, returns: str, value: Any) -> None:
    """The value is that of the line, as the method's return type has it, and is marked."""
    result = outcome(text, returns)
    assert result.value == value
    assert result.degraded is LOST
    assert outcome(text, returns, fails=None).value == "answered"


def test_force_makes_no_call() -> None:
    """What is forced stands in for every call, and is marked as well."""
    result = outcome("force:return 5", "int", fails=AssertionError("was called"))
    assert result.value == 5
    assert isinstance(result.degraded, RpcError)
    with pytest.raises(RpcError, match="mocked"):
        outcome("force:throw")


def test_an_answer_is_never_replaced() -> None:
    """What the provider's method threw reaches its caller."""
    with pytest.raises(RemoteException):
        outcome("return null", fails=RemoteException("com.example.NoSuchOrder", "7"))
    with pytest.raises(RpcError) as thrown:
        outcome("throw")
    assert thrown.value is LOST


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no mock"),
        ("true", "passed in code"),
        ("com.example.OrdersMock", "passed in code"),
        ("return {id: 7}", "is no JSON"),
        ("throw com.example.Oops", "not looked up by its name"),
        ("return " + "[" * 5_000, "is no JSON"),
        ("return " + "1" * 20_000, "longer than"),
    ],
)
def test_what_is_no_mock_is_refused(text: str, told: str) -> None:
    """The message says what there is instead."""
    with pytest.raises(ConfigError, match=told):
        parse_mock(text)


def test_a_value_of_another_type_is_refused() -> None:
    """When the plan is made, not when a call has failed."""
    with pytest.raises(ConfigError, match="mock of find"):
        outcome('return "seven"', "int")


@pytest.mark.parametrize(
    ("results", "merged"),
    [
        ([[1], [2, 3], None], [1, 2, 3]),
        ([{"a": 1}, {"b": 2, "a": 3}], {"a": 3, "b": 2}),
        ([{1}, {2}], {1, 2}),
        ([1, 2.5], 3.5),
        ([True, False], False),
        ([None, None], None),
    ],
)
def test_results_are_merged_by_what_they_are(results: Sequence[Any], merged: Any) -> None:
    """Lists joined, maps joined, sets united, numbers added, booleans all."""
    assert make_merger("true")(results) == merged


def test_what_cannot_be_merged_is_told() -> None:
    """Results of different kinds, or of a kind that has no merger."""
    with pytest.raises(UsageError, match="dict, list"):
        merge_results([[1], {"a": 1}])
    with pytest.raises(ConfigError, match="list, map, set"):
        make_merger("zip")
