"""The blocking channel: any thread may call, a forked child too, and nothing stays behind."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.unit.rpc.loopback import OutOfStockError, Shop, ShopHere, at, serving

import kubbo
from kubbo import ConfigError, DeadlineExceeded, RemoteException, TargetError, UsageError, blocking
from kubbo.rpc.channel import ReferOptions

if TYPE_CHECKING:
    from collections.abc import Iterator


class Provider:
    """A provider in a thread of its own."""

    def __init__(self) -> None:
        self.here = ShopHere()
        self.target = ""
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))

    async def _serve(self) -> None:
        async with serving(self.here) as server:
            self.loop = asyncio.get_running_loop()
            self.target = at(server)
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def shop(provider: Provider) -> Iterator[Any]:
    with blocking.Channel(timeout=20.0) as channel:
        yield channel.refer(Shop, provider.target)


def loop_threads() -> int:
    return sum(thread.name == "kubbo-blocking" for thread in threading.enumerate())


def test_a_call_returns_its_value(shop: Any) -> None:
    """A method of the stub gives its value itself, or raises."""
    assert shop.who() == "shop"
    assert shop.echo([1, "a"]) == [1, "a"]
    with pytest.raises(OutOfStockError):
        shop.fail("declared")
    with pytest.raises(RemoteException):
        shop.fail("value")


def test_a_generic_call_returns_its_value(provider: Provider) -> None:
    """So does a generic reference."""
    with blocking.Channel() as channel:
        generic = channel.generic("com.example.Shop:1.0.0", provider.target)
        assert generic.call("echo", types=["java.lang.Object"], args=["text"]) == "text"
        with pytest.raises(ConfigError):
            generic.call("who", retries=-1, idempotent=True)


def test_options_of_a_call(shop: Any) -> None:
    """`blocking.options` changes one call's; a deadline strikes in a blocking call too."""
    with pytest.raises(DeadlineExceeded):
        blocking.options(shop, timeout=0.05).wait("never")
    assert 1.0 < blocking.options(shop, timeout=5.0).deadline() <= 5.0
    with pytest.raises(UsageError, match="is no stub"):
        blocking.options(object(), timeout=1.0)


def test_many_threads_call(shop: Any) -> None:
    """Sixteen threads share a channel, and each call has its own answer."""
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(shop.echo, range(500))) == list(range(500))


def test_mistakes_are_told_in_the_callers_thread() -> None:
    """Wrong arguments and targets are raised where they were written."""
    with pytest.raises(ConfigError):
        blocking.Channel(timeout=-1.0)
    with blocking.Channel() as channel, pytest.raises(TargetError):
        channel.refer(Shop, "nonsense:///")
    with pytest.raises(UsageError, match="enter the channel first"):
        blocking.Channel().refer(Shop, "static:///127.0.0.1:1")
    assert loop_threads() == 0


def test_closing_ends_the_thread(provider: Provider) -> None:
    """The loop's thread lives as long as some channel does, and no longer."""
    before = threading.active_count()
    for _ in range(5):
        with blocking.Channel() as first, blocking.Channel() as second:
            assert first.refer(Shop, provider.target).who()  # type: ignore[truthy-bool]
            assert second.refer(Shop, provider.target).who()  # type: ignore[truthy-bool]
            assert loop_threads() == 1
        assert loop_threads() == 0
    assert threading.active_count() == before


def run(script: str, provider: Provider) -> str:
    """Run a script of its own process, whose first lines know the provider."""
    head = f"""
import kubbo, os, sys
from kubbo import blocking
from tests.unit.rpc.loopback import Shop
target = {provider.target!r}
"""
    # From 3.12 on Python warns of any fork beside threads; here it is what is under test.
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, *warnings, "-c", head + script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_a_forked_child_calls(provider: Provider) -> None:
    """Parent and child both go on calling over connections of their own, on the same objects."""
    out = run(
        """
with blocking.Channel(timeout=20.0) as channel:
    shop = channel.refer(Shop, target)
    assert shop.who() == "shop"
    child = os.fork()
    if child == 0:
        for number in range(50):
            assert shop.echo(number) == number
        channel.close()
        os._exit(7)
    for number in range(50):
        assert shop.echo(number) == number
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert shop.who() == "shop"
print("both")
""",
        provider,
    )
    assert out == "both\n"


def test_children_of_a_busy_parent(provider: Provider) -> None:
    """A fork while other threads call leaves neither side stuck."""
    out = run(
        """
import threading
with blocking.Channel(timeout=20.0) as channel:
    shop = channel.refer(Shop, target)
    done = threading.Event()
    def load():
        while not done.is_set():
            assert shop.echo(1) == 1
    workers = [threading.Thread(target=load) for _ in range(4)]
    for worker in workers:
        worker.start()
    children = []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            os._exit(0 if shop.who() == "shop" else 1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in children] == [0] * 5
    done.set()
    for worker in workers:
        worker.join()
print("all")
""",
        provider,
    )
    assert out == "all\n"


def test_an_interrupt_cancels_the_call(provider: Provider) -> None:
    """Ctrl-C in a blocking call raises KeyboardInterrupt, and the channel still works."""
    out = run(
        """
import signal, threading, time
with blocking.Channel(timeout=20.0) as channel:
    shop = channel.refer(Shop, target)
    shop.who()
    main = threading.main_thread().ident
    threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
    try:
        shop.wait("interrupted")
    except KeyboardInterrupt:
        print("interrupted")
    print(shop.who())
""",
        provider,
    )
    assert out == "interrupted\nshop\n"


def test_a_process_may_end_without_closing(provider: Provider) -> None:
    """A channel that nobody closed does not keep its process alive."""
    out = run(
        """
channel = blocking.Channel().__enter__()
print(channel.refer(Shop, target).who(), flush=True)
""",
        provider,
    )
    assert out == "shop\n"


def test_a_blocking_reference_takes_what_an_asynchronous_one_takes() -> None:
    """The names of `ReferOptions` are the arguments of `Channel.refer`."""
    arguments = set(inspect.signature(kubbo.Channel.refer).parameters)
    assert set(ReferOptions.__annotations__) == arguments - {"self", "interface", "target"}
    asynchronous = set(inspect.signature(kubbo.options).parameters)
    assert set(inspect.signature(blocking.options).parameters) == asynchronous
