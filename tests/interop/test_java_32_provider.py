"""A Python consumer calls a provider of Dubbo Java 3.2: the tests of 3.3, and what is different.

The tests are the very functions of `test_python_calls_java`; here they get a provider of 3.2.16.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.interop import test_python_calls_java as calls
from tests.interop.peer import JavaCaller, JavaProvider
from tests.interop.services import BizException, EchoService
from tests.interop.test_python_calls_java import channel, echo, methods

import kubbo
from kubbo import RemoteException, RpcError
from kubbo.wire.dubbo2 import Dubbo2Session, Role
from kubbo.wire.session import Draining

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["channel", "echo", "methods"]

DUBBO = "3.2.16"
HEARTBEAT = bytes.fromhex("dabbe200 0000000000000007 00000001 4e")


@pytest.fixture(scope="module")
def java_provider(java_peer: None) -> Iterator[JavaProvider]:
    """Instead of the provider of 3.3."""
    with JavaProvider(dubbo=DUBBO) as provider:
        yield provider


@pytest.fixture(scope="module")
def target(java_provider: JavaProvider, java_caller: JavaCaller) -> str:
    """See `test_python_calls_java`; its consumer stays one of 3.3."""
    asyncio.run(
        java_caller.call(
            java_provider.address, "com.example.GreetService:1.0.0", "greet", {"id": 1, "name": ""}
        )
    )
    return f"static:///{java_provider.address}"


REFUSED = {
    # An enum in an object that lies in an object of another class is a map to 3.2.
    "object/everything",
    # 3.2 cannot build a record.
    "object/point",
    # Neither.
    "object/classes-17",
    # What `List.of` and its like turn into is not in the allow list of 3.2.
    "list/of-0",
    "list/of-2",
    "list/of-3",
    "map/of",
    "set/of-2",
}

REFILLED = {"exception/biz"}
"""The codec of 3.2 calls a constructor of the exception: its stack is that of who reads it."""

CASES = calls.VECTORS.keys() - calls.BEYOND_PYTHON - calls.FINER - calls.NO_METHOD


@pytest.mark.parametrize("case", sorted(CASES - REFUSED - REFILLED))
def test_a_typed_value_comes_back(case: str, echo: Any, methods: dict[str, str]) -> None:
    """Through the typed method of its case, a value is what it was."""
    calls.test_a_typed_value_comes_back(case, echo, methods)


LITERALS = [
    pytest.param(name, value, id=f"{name}-{number}")
    for number, (name, value) in enumerate(calls.LITERALS)
    if name not in {"echo_everything", "echo_point"}
]


@pytest.mark.parametrize(("name", "value"), LITERALS)
def test_a_value_of_python_comes_back(name: str, value: Any, echo: Any) -> None:
    """What Python code writes by hand comes back equal, and of the same type."""
    calls.test_a_value_of_python_comes_back(name, value, echo)


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_dubbo_3_2_refuses(case: str, echo: Any, methods: dict[str, str]) -> None:
    """What 3.2 cannot read or write itself is an error, and the next call is fine."""
    with pytest.raises(RpcError):
        calls.test_a_typed_value_comes_back(case, echo, methods)
    assert echo.echo_int(1) == 1


test_a_graph_keeps_its_shape = calls.test_a_graph_keeps_its_shape
test_the_provider_is_the_one_that_was_named = calls.test_the_provider_is_the_one_that_was_named
test_group_and_version_choose_the_service = calls.test_group_and_version_choose_the_service
test_overloads_are_chosen_by_the_python_method = (
    calls.test_overloads_are_chosen_by_the_python_method
)
test_several_arguments_arrive_in_order = calls.test_several_arguments_arrive_in_order
test_void_is_none = calls.test_void_is_none
test_oneway_is_executed = calls.test_oneway_is_executed
test_echo_is_answered = calls.test_echo_is_answered
test_generic_calls_take_and_give_records = calls.test_generic_calls_take_and_give_records
test_attachments_travel_both_ways = calls.test_attachments_travel_both_ways
test_many_calls_share_a_connection = calls.test_many_calls_share_a_connection
test_seven_mebibytes_each_way = calls.test_seven_mebibytes_each_way
test_a_declared_exception_is_its_class = calls.test_a_declared_exception_is_its_class
test_a_runtime_exception_keeps_class_cause_and_stack = (
    calls.test_a_runtime_exception_keeps_class_cause_and_stack
)
test_a_call_given_up_disturbs_nobody = calls.test_a_call_given_up_disturbs_nobody
test_a_deadline_ends_one_call_only = calls.test_a_deadline_ends_one_call_only
test_java_refuses_what_it_does_not_serve = calls.test_java_refuses_what_it_does_not_serve
test_what_is_too_large_is_not_sent = calls.test_what_is_too_large_is_not_sent
test_java_answers_heartbeats = calls.test_java_answers_heartbeats


async def test_an_unlisted_exception_arrives(channel: kubbo.Channel, target: str) -> None:
    """3.2 writes an exception that nothing declares, where 3.3 refuses to."""
    with pytest.raises(RemoteException) as thrown:
        await channel.refer(EchoService, target).throw_unlisted()
    assert thrown.value.class_name == "com.example.interop.UnlistedException"
    assert thrown.value.message == "declared nowhere"


@pytest.mark.parametrize("case", sorted(REFILLED))
def test_dubbo_3_2_adds_a_stack(case: str, echo: Any) -> None:
    """An exception that is a value comes back with class, message and fields."""
    got = echo.echo_object(echo.produce(case))
    assert (type(got), str(got), got.code) == (BizException, "declared 7", 7)


@pytest.fixture(scope="module")
def ended(java_provider: JavaProvider) -> tuple[bytes, list[str]]:
    """What a provider of 3.2 says to a connection after SIGTERM, and what failed meanwhile."""

    async def end() -> tuple[bytes, list[str]]:
        async with (
            JavaProvider(shutdown_wait=1.0, dubbo=DUBBO) as leaving,
            kubbo.Channel(timeout=10.0) as channel,
        ):
            reader, writer = await asyncio.open_connection(leaving.host, leaving.port)
            writer.write(HEARTBEAT)
            await reader.readexactly(17)
            target = f"static:///{leaving.address},{java_provider.address}"
            load = calls.Load(channel.refer(calls.IdempotentGreetService, target))
            await load.more(100)
            leaving.terminate()
            said = await reader.read()
            writer.close()
            await writer.wait_closed()
            await asyncio.to_thread(leaving.wait)
            await load.more(100)
            await load.stop()
            assert load.last.endswith(java_provider.address)
            return said, [str(failure) for failure in load.failures]

    return asyncio.run(end())


def test_the_end_of_a_provider_costs_idempotent_calls_nothing(
    ended: tuple[bytes, list[str]],
) -> None:
    """A provider of 3.2 that ends in order: what may be repeated goes to the other one."""
    assert ended[1] == []


def test_dubbo_3_2_says_readonly_in_fastjson2(ended: tuple[bytes, list[str]]) -> None:
    """3.2 writes READONLY, twice, in its first choice of serialization, whatever calls use."""
    for event in (ended[0][:22], ended[0][22:44]):
        assert event[:4].hex() == "dabbb700"
        assert event[12:].hex() == "00000006000000024a52"


def test_readonly_of_dubbo_3_2_is_obeyed(ended: tuple[bytes, list[str]]) -> None:
    """The session tells that the provider drains."""
    session = Dubbo2Session(Role.CONSUMER, now=0.0)
    assert Draining() in session.receive_data(ended[0], 0.0)
