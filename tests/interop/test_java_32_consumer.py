"""A consumer of Dubbo Java 3.2 calls a Python provider: the tests of 3.3, and what is different.

The tests are the very functions of `test_java_calls_python`; here they get a consumer of 3.2.16.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.interop import test_java_calls_python as called
from tests.interop.peer import JavaCaller, JavaException
from tests.interop.test_java_calls_python import GREET, Provider, provider

if TYPE_CHECKING:
    from collections.abc import Iterator

DUBBO = "3.2.16"


@pytest.fixture(scope="module")
def java_caller(java_peer: None) -> Iterator[JavaCaller]:
    """Instead of the consumer of 3.3."""
    with JavaCaller(dubbo=DUBBO) as caller:
        yield caller


@pytest.fixture(scope="module")
def python(java_caller: JavaCaller) -> Iterator[Provider]:
    """See `test_java_calls_python`."""
    with provider() as made:
        asyncio.run(java_caller.call(made.address, GREET, "greet", {"id": 1, "name": "Ann"}))
        yield made


NOT_SENT = {"list/of-0", "list/of-2", "list/of-3", "map/of", "set/of-2"}
"""What `List.of` and its like turn into is not in the allow list of 3.2."""

NOT_READ = {
    # 3.2 cannot build a record.
    "object/point",
    "object/classes-17",
}

REFILLED = {"exception/biz"}
"""The codec of 3.2 calls a constructor of the exception: its stack is that of who reads it."""

LOST = NOT_SENT | NOT_READ | REFILLED


@pytest.mark.parametrize("case", sorted(set(called.SENT) - called.LOST - LOST))
def test_a_declared_value_comes_back(case: str, python: Provider, java_caller: JavaCaller) -> None:
    """Through the typed method of its case, Java gets back what a Java provider would return."""
    called.test_a_declared_value_comes_back(case, python, java_caller)


@pytest.mark.parametrize("case", sorted(set(called.SENT) - LOST - {"object/everything"}))
def test_an_undeclared_value_comes_back(
    case: str, python: Provider, java_caller: JavaCaller
) -> None:
    """Through `echoObject`, where nothing is declared, it is the same, without exception."""
    called.test_an_undeclared_value_comes_back(case, python, java_caller)


@pytest.mark.parametrize("case", sorted(NOT_SENT))
def test_dubbo_3_2_does_not_send(case: str, python: Provider, java_caller: JavaCaller) -> None:
    """Java refuses its own value before anything leaves, and says which class it is about."""
    with pytest.raises(JavaException, match=r"java\.util\.CollSer is not in allow list"):
        asyncio.run(java_caller.echo(python.address, case))


@pytest.mark.parametrize("case", sorted(NOT_READ | {"object/everything"}))
def test_dubbo_3_2_does_not_read(case: str, python: Provider, java_caller: JavaCaller) -> None:
    """A record, or an enum three objects deep: Java cannot read again what it sent itself."""
    with pytest.raises(JavaException, match="cannot be assigned to"):
        asyncio.run(java_caller.echo(python.address, case, untyped=True))


@pytest.mark.parametrize("case", sorted(REFILLED))
def test_dubbo_3_2_adds_a_stack(case: str, python: Provider, java_caller: JavaCaller) -> None:
    """An exception that is a value comes back with message and fields, and a stack it had not."""
    echo = asyncio.run(java_caller.echo(python.address, case))
    assert echo.got["throwable"].pop("frames") > echo.expected["throwable"].pop("frames")
    assert echo.got == echo.expected


test_an_object_arrives = called.test_an_object_arrives
test_a_plain_function_answers = called.test_a_plain_function_answers
test_group_and_version_choose_the_service = called.test_group_and_version_choose_the_service
test_overloads_are_chosen_by_type = called.test_overloads_are_chosen_by_type
test_several_arguments_arrive_in_order = called.test_several_arguments_arrive_in_order
test_void_is_answered = called.test_void_is_answered
test_oneway_is_executed = called.test_oneway_is_executed
test_echo_is_answered_without_a_service = called.test_echo_is_answered_without_a_service
test_attachments_travel_both_ways = called.test_attachments_travel_both_ways
test_answers_come_in_any_order = called.test_answers_come_in_any_order
test_many_calls_at_once = called.test_many_calls_at_once
test_seven_mebibytes_each_way = called.test_seven_mebibytes_each_way
test_a_declared_exception_is_javas_own = called.test_a_declared_exception_is_javas_own
test_an_exception_of_the_jdk_arrives = called.test_an_exception_of_the_jdk_arrives
test_an_undeclared_exception_is_a_runtime_exception = (
    called.test_an_undeclared_exception_is_a_runtime_exception
)
test_a_timeout_is_code_2_and_ends_the_method = called.test_a_timeout_is_code_2_and_ends_the_method
test_a_wrong_service_is_told = called.test_a_wrong_service_is_told
test_a_wrong_method_is_told = called.test_a_wrong_method_is_told
test_another_serialization_is_answered = called.test_another_serialization_is_answered
test_javas_heartbeats_are_answered = called.test_javas_heartbeats_are_answered
test_a_draining_provider_loses_no_call = called.test_a_draining_provider_loses_no_call
