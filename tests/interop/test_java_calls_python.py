"""A Dubbo Java consumer calls a Python provider, and cannot tell it from a Java one."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from tests.interop.peer import JavaCaller, JavaException
from tests.interop.services import (
    Echo,
    EchoService,
    EuropeanGreetService,
    Greeter,
    GreetService,
    vectors,
)

from kubbo.rpc.server import Server
from kubbo.rpc.service import service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GREET = "com.example.GreetService:1.0.0"
ECHO = "com.example.interop.EchoService"


@dataclass
class Provider:
    """A Python provider in a thread of its own, so that every test's loop may call it."""

    address: str
    echo: Echo
    server: Server
    loop: asyncio.AbstractEventLoop


@contextmanager
def provider(**arguments: Any) -> Iterator[Provider]:
    """Serve what the Java provider serves, on a free port of loopback."""
    made: list[Provider] = []
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        echo = Echo()
        async with Server(port=0, host="127.0.0.1", propagation=0.0, **arguments) as server:
            server.export(Greeter("python"), GreetService)
            server.export(Greeter("python-eu"), EuropeanGreetService)
            server.export(echo, EchoService)
            server.export(echo, SmallEchoService)
            await server.start()
            loop = asyncio.get_running_loop()
            made.append(Provider(f"127.0.0.1:{server.port}", echo, server, loop))
            ready.set()
            await stop.wait()
            await server.drain()

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="python-provider")
    thread.start()
    ready.wait()
    assert made, "the provider did not start"
    try:
        yield made[0]
    finally:
        made[0].loop.call_soon_threadsafe(stop.set)
        thread.join()


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that happens in the provider's thread."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - nothing there can set an event of this loop
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def python(java_caller: JavaCaller) -> Iterator[Provider]:
    """A provider for all tests that leave it running."""
    with provider() as made:
        # Java's class check lets com.example.User out only once it knows an interface with it.
        asyncio.run(java_caller.call(made.address, GREET, "greet", {"id": 1, "name": "Ann"}))
        yield made


# --- values ----------------------------------------------------------------------------------

# Plain functions with a loop of their own: the check for leaks that follows an async test costs
# more than twenty such calls.

NOT_SENT = {"list/deque"}
"""Cases that Java itself cannot send (`Cases.java` marks them)."""

NANOSECONDS = {
    "time/duration": ("PT25H1M1.000000005S", "PT25H1M1S"),
    "time/instant": ("2023-11-14T22:13:20.123456789Z", "2023-11-14T22:13:20.123456Z"),
    "time/instant-before": ("1969-12-31T23:59:59.000000001Z", "1969-12-31T23:59:59Z"),
    "time/local-time": ("23:59:58.123456789", "23:59:58.123456"),
    "time/offset-date-time": ("2024-07-01T12:00:00.000000005-03:30", "2024-07-01T12:00-03:30"),
}
SET_CLASSES = {"set/linked": ["a", "b"], "set/tree": ["a", "b"]}
TOO_FAR = {
    "date/-128849018880000",
    "date/-128849018940000",
    "date/9223372036854775807",
    "date/-9223372036854775808",
    "time/local-date-min",
}
LOST = {*NANOSECONDS, *SET_CLASSES, *TOO_FAR, "object/everything"}
"""What a hint of Python's own types cannot hold; the tests below say what becomes of it."""

SENT = sorted(vectors().keys() - NOT_SENT)


@pytest.mark.parametrize("case", sorted(set(SENT) - LOST))
def test_a_declared_value_comes_back(case: str, python: Provider, java_caller: JavaCaller) -> None:
    """Through the typed method of its case, Java gets back what a Java provider would return."""
    echo = asyncio.run(java_caller.echo(python.address, case))
    assert echo.got == echo.expected


@pytest.mark.parametrize("case", SENT)
def test_an_undeclared_value_comes_back(
    case: str, python: Provider, java_caller: JavaCaller
) -> None:
    """Through `echoObject`, where nothing is declared, it is the same, without exception."""
    echo = asyncio.run(java_caller.echo(python.address, case, untyped=True))
    if case == "object/everything":  # its field `instant` is declared: see NANOSECONDS
        echo.expected["object"]["instant"] = {
            "value": "2023-11-14T22:13:20Z",
            "class": "java.time.Instant",
        }
    assert echo.got == echo.expected


@pytest.mark.parametrize("case", sorted(NANOSECONDS))
def test_declared_times_keep_microseconds(
    case: str, python: Provider, java_caller: JavaCaller
) -> None:
    """Python's times hold microseconds: what is finer is cut off, nothing else."""
    echo = asyncio.run(java_caller.echo(python.address, case))
    assert (echo.expected["value"], echo.got["value"]) == NANOSECONDS[case]
    assert echo.got["class"] == echo.expected["class"]


def test_a_declared_field_keeps_microseconds(python: Provider, java_caller: JavaCaller) -> None:
    """An object with a field of every type comes back whole but for its nanoseconds."""
    echo = asyncio.run(java_caller.echo(python.address, "object/everything"))
    echo.expected["object"]["instant"]["value"] = "2023-11-14T22:13:20Z"
    assert echo.got == echo.expected


@pytest.mark.parametrize("case", sorted(SET_CLASSES))
def test_a_declared_set_is_a_hash_set(case: str, python: Provider, java_caller: JavaCaller) -> None:
    """A `set` has no order: Java gets the same elements in a HashSet."""
    echo = asyncio.run(java_caller.echo(python.address, case))
    assert echo.got == {"list": SET_CLASSES[case], "class": "java.util.HashSet"}


@pytest.mark.parametrize("case", sorted(TOO_FAR))
def test_a_declared_date_beyond_python_is_refused(
    case: str, python: Provider, java_caller: JavaCaller
) -> None:
    """A year that `datetime` cannot hold is an error that says so, and not another date."""
    with pytest.raises(JavaException, match=r"argument 1\)") as refused:
        asyncio.run(java_caller.echo(python.address, case))
    assert "outside of Python's years 1 to 9999" in str(refused.value) or "is out of range" in str(
        refused.value
    )


# --- calls -----------------------------------------------------------------------------------


async def test_an_object_arrives(python: Provider, java_caller: JavaCaller) -> None:
    """A typed call with an object reaches an `async def`."""
    answer = await java_caller.call(python.address, GREET, "greet", {"id": 2**40, "name": "Ann"})
    assert answer.value == f"Hello Ann ({2**40}) from python"
    assert answer.attachments["dubbo"] == "2.0.2"


@pytest.mark.parametrize("name", ["Ann", "", "杜博", "😀", None, "x" * 70_000])
async def test_a_plain_function_answers(
    name: str | None, python: Provider, java_caller: JavaCaller
) -> None:
    """A method that is a plain `def` runs in a worker thread, and Java sees no difference."""
    answer = await java_caller.call(python.address, GREET, "sayHello", name)
    assert answer.value == f"Hello {name} from python"


async def test_group_and_version_choose_the_service(
    python: Provider, java_caller: JavaCaller
) -> None:
    """Two exports of one interface are told apart by group and version."""
    answer = await java_caller.call(
        python.address, "eu/com.example.GreetService:2.0.0", "sayHello", "Ann"
    )
    assert answer.value == "Hello Ann from python-eu"


async def test_overloads_are_chosen_by_type(python: Provider, java_caller: JavaCaller) -> None:
    """Two Python methods that stand for Java's overloads are chosen by their descriptors."""
    number = await java_caller.call(python.address, ECHO, "over", 1, types=["int"])
    text = await java_caller.call(python.address, ECHO, "over", "1", types=["java.lang.String"])
    assert (number.value, text.value) == ("int 1", "String 1")


async def test_several_arguments_arrive_in_order(python: Provider, java_caller: JavaCaller) -> None:
    """A descriptor of several types in a row is taken apart as Java wrote it."""
    answer = await java_caller.call(
        python.address, ECHO, "join", "a", 2, [3, 4], {"id": 5, "name": "item"}
    )
    assert answer.value == "a,2,[3, 4],item"


async def test_void_is_answered(python: Provider, java_caller: JavaCaller) -> None:
    """A method that returns None ran before Java goes on."""
    before = python.echo.calls["nothing"]
    answer = await java_caller.call(python.address, ECHO, "nothing")
    assert (answer.value, python.echo.calls["nothing"]) == (None, before + 1)


async def test_oneway_is_executed(python: Provider, java_caller: JavaCaller) -> None:
    """A one-way call has no answer, and arrives."""
    sent = await java_caller.call(python.address, ECHO, "oneway", "from Java", oneway=True)
    assert sent.value is None
    async with asyncio.timeout(10):
        while (await java_caller.call(python.address, ECHO, "lastOneway")).value != "from Java":
            pass  # each round is a call of its own


@pytest.mark.parametrize("value", ["text", 5, None, {"a": [1, 2]}])
async def test_echo_is_answered_without_a_service(
    value: Any, python: Provider, java_caller: JavaCaller
) -> None:
    """Dubbo's own `$echo` returns its argument."""
    answer = await java_caller.call(
        python.address, "org.apache.dubbo.rpc.service.EchoService", "$echo", value
    )
    assert answer.value == value


async def test_attachments_travel_both_ways(python: Provider, java_caller: JavaCaller) -> None:
    """`current_call` has the caller's attachments, in a worker thread too, and takes its own."""
    there = await java_caller.call(
        python.address, ECHO, "attachment", "Key", attachments={"Key": "grüße"}
    )
    back = await java_caller.call(python.address, ECHO, "attach", "Key", "😀")
    assert there.value == "grüße"
    assert back.attachments["Key"] == "😀"


async def test_javas_own_attachments_are_seen(python: Provider, java_caller: JavaCaller) -> None:
    """What Java attaches by itself is there by Java's names."""
    answer = await java_caller.call(python.address, ECHO, "attachments", timeout=7.0)
    assert answer.value["interface"] == answer.value["path"] == ECHO
    assert answer.value["timeout"] == "7000"
    assert answer.value["remote.application"] == "java-peer-consumer"


async def test_answers_come_in_any_order(python: Provider, java_caller: JavaCaller) -> None:
    """A slow call holds up no fast one on the same connection."""
    slow = asyncio.create_task(java_caller.call(python.address, ECHO, "sleep", 500))
    fast = [
        (await java_caller.call(python.address, ECHO, "echoInt", number)).value
        for number in range(20)
    ]
    assert not slow.done()
    assert fast == list(range(20))
    assert (await slow).value == "slept 500"


async def test_many_calls_at_once(python: Provider, java_caller: JavaCaller) -> None:
    """200 concurrent calls each get their own answer."""
    answers = await asyncio.gather(
        *(java_caller.call(python.address, ECHO, "echoLong", number) for number in range(200))
    )
    assert [answer.value for answer in answers] == list(range(200))


async def test_seven_mebibytes_each_way(python: Provider, java_caller: JavaCaller) -> None:
    """A large message below the limit passes in both directions."""
    size = 7 * 1024 * 1024
    there = await java_caller.call(python.address, ECHO, "length", "x" * size)
    back = await java_caller.call(python.address, ECHO, "big", size)
    assert there.value == size
    assert len(back.value) == size


# --- errors ----------------------------------------------------------------------------------


async def test_a_declared_exception_is_javas_own(python: Provider, java_caller: JavaCaller) -> None:
    """An exception marked by `pojo` arrives as its Java class, with message and fields."""
    with pytest.raises(JavaException) as thrown:
        await java_caller.call(python.address, ECHO, "throwDeclared", 7)
    assert thrown.value.class_name == "com.example.interop.BizException"
    assert thrown.value.message == "declared 7"
    assert thrown.value.fields["code"] == {"int": 7}


async def test_an_exception_of_the_jdk_arrives(python: Provider, java_caller: JavaCaller) -> None:
    """A Python class that is marked as one of Java's own passes every class check."""
    with pytest.raises(JavaException) as thrown:
        await java_caller.call(python.address, ECHO, "throwRuntime", "boom 😀")
    assert thrown.value.class_name == "java.lang.IllegalStateException"
    assert thrown.value.message == "boom 😀"


async def test_an_undeclared_exception_is_a_runtime_exception(
    python: Provider, java_caller: JavaCaller
) -> None:
    """What no class stands for arrives as RuntimeException, with Python's name and message."""
    with pytest.raises(JavaException) as thrown:
        await java_caller.call(python.address, ECHO, "throwUnlisted")
    assert thrown.value.class_name == "java.lang.RuntimeException"
    assert thrown.value.message == "UndeclaredError: declared nowhere"


async def test_a_timeout_is_code_2_and_ends_the_method(
    python: Provider, java_caller: JavaCaller
) -> None:
    """Java's deadline is the method's too: the caller gets code 2, the method is cancelled."""
    before = python.echo.cancelled
    with pytest.raises(JavaException) as late:
        await java_caller.call(python.address, ECHO, "sleep", 60_000, timeout=0.2)
    assert late.value.code == 2
    await until(lambda: python.echo.cancelled > before)


@pytest.mark.parametrize(
    ("service", "says"),
    [
        ("com.example.GreetService:9.9.9", "com.example.GreetService:9.9.9 is not served here"),
        ("com.example.GreetService", "com.example.GreetService is not served here"),
        ("us/com.example.GreetService:2.0.0", "us/com.example.GreetService:2.0.0 is not served"),
        ("com.example.GreetService:2.0.0", "com.example.GreetService:2.0.0 is not served here"),
    ],
)
async def test_a_wrong_service_is_told(
    service: str, says: str, python: Provider, java_caller: JavaCaller
) -> None:
    """Version and group that are not served are named to Java, with those that are."""
    with pytest.raises(JavaException) as refused:
        await java_caller.call(python.address, service, "sayHello", "Ann")
    assert refused.value.class_name == "org.apache.dubbo.rpc.RpcException"
    assert says in str(refused.value)
    assert "eu/com.example.GreetService:2.0.0" in str(refused.value)


@service(ECHO, version="small")
class SmallEchoService(Protocol):
    """What is left of EchoService in an old provider."""

    async def echo_int(self, value: int) -> int: ...


@pytest.mark.parametrize(
    ("method", "argument"), [("echoLong", 1), ("lastOneway", None), ("echoItem", None)]
)
async def test_a_wrong_method_is_told(
    method: str, argument: Any, python: Provider, java_caller: JavaCaller
) -> None:
    """A method that the interface does not have is named to Java, with those it has."""
    arguments = [] if method == "lastOneway" else [argument]
    with pytest.raises(JavaException) as refused:
        await java_caller.call(python.address, f"{ECHO}:small", method, *arguments)
    assert f"has no method {method}(" in str(refused.value)
    assert "it has echoInt(int)" in str(refused.value)


async def test_a_generic_call_is_answered(python: Provider, java_caller: JavaCaller) -> None:
    """`$invoke` is off: Java is told so and does not wait for its timeout."""
    with pytest.raises(JavaException, match=r"generic calls of .* are off"):
        await java_caller.call(
            python.address, ECHO, "echoInt", 1, types=["int"], generic=True, timeout=30.0
        )


@pytest.mark.parametrize("parameter", ["serialization", "prefer.serialization"])
async def test_another_serialization_is_answered(
    parameter: str, python: Provider, java_caller: JavaCaller
) -> None:
    """Java that prefers fastjson2 is told what to set, where a Java provider only hangs."""
    with pytest.raises(JavaException, match=r"prefer\.serialization=hessian2") as refused:
        await java_caller.call(
            python.address, ECHO, "echoInt", 1, parameters={parameter: "fastjson2"}, timeout=30.0
        )
    assert refused.value.code == 5  # serialization


# --- providers of their own ------------------------------------------------------------------


async def test_a_payload_too_large_is_answered(java_caller: JavaCaller) -> None:
    """Java is told the limit, where a Java provider only hangs; the next call is fine."""
    with provider(max_payload_bytes=10_000) as small:
        with pytest.raises(JavaException, match="exceeds the limit of 10000") as refused:
            await java_caller.call(small.address, ECHO, "length", "x" * 20_000, timeout=30.0)
        assert refused.value.code == 1  # not 2, the timeout
        async with asyncio.timeout(30):
            while True:  # the connection was closed; Java dials again by itself
                try:
                    answer = await java_caller.call(small.address, ECHO, "length", "x" * 5_000)
                except JavaException:
                    await asyncio.sleep(0.1)
                else:
                    break
        assert answer.value == 5_000


async def test_a_result_too_large_is_answered(java_caller: JavaCaller) -> None:
    """A result above the provider's limit is an error, and the connection stays."""
    with provider(max_payload_bytes=10_000) as small:
        with pytest.raises(JavaException, match="the result is too large"):
            await java_caller.call(small.address, ECHO, "big", 20_000, timeout=30.0)
        assert (await java_caller.call(small.address, ECHO, "echoInt", 1)).value == 1


async def test_javas_heartbeats_are_answered(java_caller: JavaCaller) -> None:
    """A consumer that gives up after 0.6 s without a heartbeat's answer sees a call of 2 s end."""
    with provider() as own:
        answer = await java_caller.call(
            own.address, ECHO, "sleep", 2_000, parameters={"heartbeat": "200"}
        )
        assert answer.value == "slept 2000"


async def test_a_draining_provider_loses_no_call(java_caller: JavaCaller) -> None:
    """Told to stop, a provider says READONLY: Java's calls go to the other one, none fails."""
    with provider() as leaving, provider() as staying:
        both = f"{leaving.address};dubbo://{staying.address}"
        done = asyncio.Event()
        failures: list[JavaException] = []

        async def load() -> None:
            while not done.is_set():
                try:
                    await java_caller.call(both, ECHO, "count", "load")
                except JavaException as error:
                    failures.append(error)

        workers = [asyncio.create_task(load()) for _ in range(4)]
        await until(lambda: leaving.echo.counts["load"] > 0 < staying.echo.counts["load"])
        # `provider` drains with no propagation at all; here the news may spread.
        leaving.server._life.propagation = 2.0
        drained = asyncio.run_coroutine_threadsafe(leaving.server.drain(), leaving.loop)
        await asyncio.wrap_future(drained)
        at_the_end = leaving.echo.counts["load"]
        before = staying.echo.counts["load"]
        await until(lambda: staying.echo.counts["load"] > before + 50)
        done.set()
        await asyncio.gather(*workers)
        assert failures == []
        assert leaving.echo.counts["load"] == at_the_end
