"""The event loop of the simulation: virtual time, order, and what it refuses."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from kubbo.sim.loop import START, Deadlock, Left, RealWorldError, SimLoop, Spinning, run


def test_a_year_of_sleep_takes_no_time():
    """Time jumps to the next timer, however far that is."""

    async def main() -> float:
        await asyncio.sleep(365 * 86_400.0)
        return asyncio.get_running_loop().time()

    assert run(main()) == START + 365 * 86_400.0


def test_timers_of_one_moment_run_in_the_order_in_which_they_were_made():
    """Also where a heap alone would not keep it."""
    order: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(200):
            loop.call_at(loop.time() + 1.0, order.append, number)
        await asyncio.sleep(1.5)

    run(main())
    assert order == list(range(200))


def test_a_timer_made_later_for_an_earlier_time_runs_earlier():
    """Time decides before order does."""
    order: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(2.0, order.append, "late")
        loop.call_later(1.0, order.append, "early")
        loop.call_soon(order.append, "now")
        await asyncio.sleep(3.0)

    run(main())
    assert order == ["now", "early", "late"]


def test_cancelled_timers_do_not_move_the_clock():
    """A timer that was cancelled is not jumped to, nor kept: 5,000 of them go."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        for handle in [loop.call_later(1000.0 + n, print) for n in range(5_000)]:
            handle.cancel()
        await asyncio.sleep(1.0)
        return loop.time()

    assert run(main()) == START + 1.0


def test_timeouts_work_in_virtual_time():
    """asyncio.timeout strikes at its virtual moment."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30.0):
                await asyncio.sleep(60.0)
        return asyncio.get_running_loop().time()

    assert run(main()) == START + 30.0


def test_a_deadlock_names_who_waits():
    """When nothing can happen any more, the run ends with the task and its line."""

    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        await asyncio.create_task(stuck(), name="the stuck one")

    with pytest.raises(Deadlock, match=r"the stuck one in .*stuck:\d+"):
        run(main())


@pytest.mark.parametrize("pause", [0.0, 1e-9])
def test_a_loop_that_never_goes_idle_is_named(pause: float):
    """A busy task is an error that names it, even when it creeps forward in time."""

    async def busy() -> None:
        while True:  # noqa: ASYNC110 - that is the fault
            await asyncio.sleep(pause)

    async def main() -> None:
        await asyncio.create_task(busy(), name="the busy one")

    loop = SimLoop(most_callbacks=5_000)
    with pytest.raises(Spinning, match="5000 callbacks in one second"):
        run(main(), loop=loop)


def test_a_task_that_outlives_its_owner_is_told():
    """Left behind: a task that waits for longer than closing takes."""

    async def main() -> None:
        main.task = asyncio.create_task(asyncio.sleep(60.0), name="forgotten")  # type: ignore[attr-defined]

    with pytest.raises(Left, match="task forgotten"):
        run(main())


def test_a_timer_that_outlives_its_owner_is_told():
    """Left behind: a callback that is still to come."""

    async def main() -> None:
        asyncio.get_running_loop().call_later(60.0, print, "too late")

    with pytest.raises(Left, match=r"timer in 59\.000 s: print"):
        run(main())


def test_an_exception_that_nobody_heard_is_told():
    """A task that failed and was forgotten fails the run."""

    async def fails() -> None:
        raise ValueError("unheard")

    async def main() -> None:
        main.task = asyncio.create_task(fails())  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)
        del main.task  # type: ignore[attr-defined]

    with pytest.raises(Left, match="ValueError"):
        run(main())


def test_an_error_of_the_main_coroutine_is_the_error_of_the_run():
    """Nothing that it left behind hides it."""

    async def main() -> None:
        main.task = asyncio.create_task(asyncio.sleep(60.0))  # type: ignore[attr-defined]
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(main())


def test_work_for_threads_is_done_at_once_and_in_order():
    """to_thread runs in the loop's own thread, with its context and its exceptions."""

    async def main() -> list[object]:
        mine = await asyncio.to_thread(threading.get_ident)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return [mine == threading.get_ident(), asyncio.get_running_loop().time()]

    assert run(main()) == [True, START]


def test_what_comes_from_another_thread_is_refused():
    """There are no threads in a simulation."""
    caught: list[BaseException] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def call() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except RealWorldError as error:
                caught.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    run(main())
    assert len(caught) == 1


def test_sockets_and_processes_are_refused_with_a_reason():
    """Whatever would leave the simulation says so."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            for attempt in (
                lambda: loop.sock_connect(sock, ("127.0.0.1", 1)),
                lambda: loop.add_reader(sock, print),
                lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "true"),
            ):
                with pytest.raises(RealWorldError, match="do not exist in a simulation"):
                    attempt()
            with pytest.raises(RealWorldError, match="on a socket"):
                await loop.create_connection(asyncio.Protocol, sock=sock)
        with pytest.raises(RealWorldError, match="that listens"):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol)
        with pytest.raises(RealWorldError, match="no network"):
            await loop.create_connection(asyncio.Protocol, "10.0.0.1", 80)

    run(main())
