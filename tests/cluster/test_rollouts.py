"""Rolling updates under load on the real control plane: no call is lost, and each ran once.

A real Deployment of six replicas is rolled again and again. Its pods are real processes with
Kubbo's plain defaults, run by a stand-in for the kubelet; a consumer makes 500 calls a second
beside it, whether earlier ones are answered or not. No call is idempotent, so nothing is saved by a
second try that might run twice: each writes its number into the ledger of the provider that runs
it, and at the end every number that was sent stands in all ledgers together exactly once.

`KUBBO_ROLLOUTS` is how often it is rolled: 10, and 3 in each of the other two ways.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.cluster.kubelet import APP, Kubelet
from tests.cluster.namespace import READ_SERVICES, READ_SLICES
from tests.cluster.rollout_provider import Ledger

import kubbo

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from tests.cluster.bed import ControlPlane
    from tests.cluster.namespace import Namespace

ROLLOUTS = int(os.environ.get("KUBBO_ROLLOUTS", "0"))
REPLICAS = 6
RATE = 500  # calls a second
TICK = 0.02  # seconds
SETTLE = 1.0  # seconds of load before and after
WITHIN = 300.0  # seconds until a condition that must come true is given up


@dataclass
class Load:
    """So many calls a second, in the order of their numbers; `make` makes one."""

    make: Callable[[int], Coroutine[Any, Any, str]]
    rate: int = RATE
    made: int = 0
    answered: set[int] = field(default_factory=set[int])
    failures: dict[int, Exception] = field(default_factory=dict[int, Exception])

    async def __aenter__(self) -> Self:
        self._stopping = False
        self._calls: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await self._task
        if self._calls:
            await asyncio.wait(self._calls)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not self._stopping:
            while self.made < (loop.time() - began) * self.rate:
                task = asyncio.create_task(self._call(self.made))
                self.made += 1
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
            await asyncio.sleep(TICK)

    async def _call(self, number: int) -> None:
        try:
            answer = await self.make(number)
            assert answer.startswith(f"{number} "), answer
            self.answered.add(number)
        except Exception as error:  # noqa: BLE001 - every failure counts
            self.failures[number] = error


async def until(true: Callable[[], Any], what: str) -> None:
    try:
        async with asyncio.timeout(WITHIN):
            while not await true():  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"not within {WITHIN} s: {what}")


def executions(kubelet: Kubelet) -> Counter[int]:
    """How often each number was executed, in all providers together."""
    return Counter(
        int(line) for path in kubelet.ledgers() for line in path.read_text().splitlines()
    )


def seconds_of(rng: random.Random) -> float:
    """What a call takes: a moment, and sometimes so long that it outlasts a step of a rollout."""
    return 2.0 if rng.random() < 0.002 else rng.uniform(0.0, 0.02)


class Killer:
    """Kills the API server in the middle of the first rollout, and every ten seconds from then."""

    def __init__(self, plane: ControlPlane) -> None:
        self.kills = 0
        self._plane = plane
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        pause = 0.5
        while not await self._stopped_within(pause):
            await asyncio.to_thread(self._plane.kill, "kube-apiserver")
            self.kills += 1
            await asyncio.to_thread(self._plane.start, "kube-apiserver")
            pause = 10.0

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        return self._stop.is_set()

    async def stop(self) -> None:
        """Return when the API server is up for good."""
        self._stop.set()
        await self._task


@pytest.mark.root
@pytest.mark.soak
@pytest.mark.timeout(600 + 30 * ROLLOUTS)
@pytest.mark.parametrize(
    ("max_unavailable", "killing", "rollouts"),
    [("", False, 10), ("50%", False, 3), ("", True, 3)],
    ids=["defaults", "half-unavailable", "api-server-killed"],
)
async def test_rolling_updates_lose_no_call_and_repeat_none(
    control_plane: ControlPlane,
    namespace: Namespace,
    provider_address: Callable[[], str],
    tmp_path: Path,
    tried: Callable[[str, int], None],
    *,
    max_unavailable: str,
    killing: bool,
    rollouts: int,
) -> None:
    """Every call is answered, and was executed once; every provider ends by itself, in time, with
    nothing cut off."""
    rollouts = ROLLOUTS or rollouts
    rng = random.Random(7)
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    naming = kubbo.NamingContext(kubeconfig=reader.kubeconfig)
    async with (
        Kubelet(namespace, provider_address, tmp_path) as kubelet,
        kubbo.Channel(naming=naming) as channel,
    ):
        await kubelet.deploy(REPLICAS, max_unavailable=max_unavailable)
        await until(kubelet.rolled_out, "the first rollout")
        ledger = channel.refer(Ledger, f"kubernetes:///{APP}.{namespace.name}:dubbo")
        async with Load(lambda number: ledger.write(number, seconds_of(rng))) as load:
            await asyncio.sleep(SETTLE)
            killer = Killer(control_plane) if killing else None
            for number in range(rollouts):
                await kubelet.roll(number)
                await until(kubelet.rolled_out, f"rollout {number}")
            if killer is not None:
                await killer.stop()
                assert killer.kills > 0
                tried("kills of kube-apiserver during rolling updates", killer.kills)
            await asyncio.sleep(SETTLE)

            async def settled() -> bool:
                return len(kubelet.pods) == REPLICAS

            await until(settled, "the old pods have gone")
        assert load.failures == {}
        counts = executions(kubelet)
        assert len(counts) == load.made
        assert set(counts.values()) == {1}
        assert set(kubelet.codes.values()) == {0}
        # A controller that loses its server while it makes a pod may make one too many.
        assert len(kubelet.codes) >= rollouts * REPLICAS
        assert killing or len(kubelet.codes) == rollouts * REPLICAS
        assert "cut off" not in kubelet.log()
    way = "API server killed" if killing else max_unavailable or "defaults"
    tried(f"rolling updates of {REPLICAS} replicas ({way})", rollouts)
    tried(f"calls during these ({way}), 0 failed, each executed once", load.made)


@pytest.mark.root
@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_killed_provider_costs_what_was_in_flight_on_it(
    namespace: Namespace,
    provider_address: Callable[[], str],
    tmp_path: Path,
    tried: Callable[[str, int], None],
    *,
    idempotent: bool,
) -> None:
    """SIGKILL: idempotent calls are repeated and none fails. Of the others those fail that were in
    flight on that process, each saying that nobody knows whether it ran; and none ran twice."""
    rng = random.Random(7)
    reader = namespace.identity("consumer", READ_SLICES, READ_SERVICES)
    naming = kubbo.NamingContext(kubeconfig=reader.kubeconfig)
    async with (
        Kubelet(namespace, provider_address, tmp_path) as kubelet,
        kubbo.Channel(naming=naming) as channel,
    ):
        await kubelet.deploy(3)
        await until(kubelet.rolled_out, "the Deployment")
        ledger = channel.refer(Ledger, f"kubernetes:///{APP}.{namespace.name}:dubbo")
        method = ledger.read if idempotent else ledger.write
        # Long enough that some are in flight on each process at any moment.
        async with Load(lambda number: method(number, rng.uniform(0.0, 0.2))) as load:
            await asyncio.sleep(SETTLE)
            killed = next(iter(kubelet.pods.values()))
            os.kill(killed.pid, signal.SIGKILL)

            async def replaced() -> bool:
                return (
                    kubelet.codes.get(killed.name) == -signal.SIGKILL
                    and sum(pod.ready for pod in kubelet.pods.values() if pod is not killed) == 3
                )

            await until(replaced, "the killed pod is replaced")
            await asyncio.sleep(SETTLE)
        assert len(load.answered) + len(load.failures) == load.made
        if idempotent:
            assert load.failures == {}
            tried("idempotent calls around a SIGKILL, 0 failed", load.made)
            return
        counts = executions(kubelet)
        assert 0 < len(load.failures) < load.made / 4
        for error in load.failures.values():
            assert isinstance(error, kubbo.RpcError)
            assert error.progress is kubbo.Progress.SENT
            assert "whether the call ran is unknown" in str(error)
            assert error.endpoint is not None
            assert error.endpoint.host == killed.host
        assert max(counts.values()) == 1
        assert load.answered <= counts.keys()
        tried("calls around a SIGKILL, none run twice, all lost ones were in flight", load.made)
