"""The acts of the demo, played while the consumer calls on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import kubbo
from kubbo.cluster.warmup import DEFAULT_WARMUP
from kubbo.demo.load import Load, Provider, Tally
from kubbo.demo.node import NAMESPACE, SERVICE, Node, NodeError, service_object
from kubbo.demo.pod import PROPAGATION
from kubbo.sim.apiserver import ApiServer, Store
from kubbo.sim.endpointslices import EndpointSliceController

if TYPE_CHECKING:
    from collections.abc import Generator

    from kubbo.demo.node import Pod

__all__ = ["Audience", "play", "watch"]

TARGET: Final = f"kubernetes:///{SERVICE}.{NAMESPACE}:dubbo"
_LOOK: Final = 3.0  # seconds for which each act is looked at
_GLANCE: Final = 0.2  # seconds between two looks at the count


class Audience(Protocol):
    """Who is told what happens; nothing here prints."""

    def act(self, title: str) -> None:
        """A new act begins."""
        ...

    def say(self, text: str) -> None:
        """A sentence about it."""
        ...

    def progress(self, tally: Tally) -> None:
        """The count as it stands; several times a second."""
        ...

    def answers(self, answered: Counter[Provider], seconds: float) -> None:
        """Who answered how many calls in the last `seconds`."""
        ...


async def play(audience: Audience, tally: Tally, *, rate: float) -> None:
    """Play all acts on a cluster of its own; the count goes to `tally`.

    Safe to cancel: every process that it started is ended.

    Raises:
        NodeError: a provider could not be started.
    """
    try:
        await _play(audience, tally, rate)
    except BaseExceptionGroup as group:
        # Of a group that failed, one reason is enough for a person.
        failed: BaseException | None = group.subgroup(NodeError)
        if failed is None:
            raise
        while isinstance(failed, BaseExceptionGroup):
            failed = failed.exceptions[0]
        raise failed from None


async def _play(audience: Audience, tally: Tally, rate: float) -> None:
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        stack.enter_context(_notes(audience))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kubbo-demo-")))
        server = await enter(ApiServer(Store(loopback=True)))
        await enter(EndpointSliceController(server.store))
        node = await enter(Node(server.store, directory))
        server.store.create(service_object())
        kubeconfig = server.kubeconfig(directory / "kubeconfig")
        audience.say(f"An API server of Kubernetes, embedded: {server.url}")
        audience.say("Providers: examples/greeter, a process each. They open a port, nothing else.")
        audience.say(f"Consumer: {rate:g} calls a second to {TARGET}")
        audience.say("Watch along in another terminal:")
        audience.say(f"kubbo endpoints --kubeconfig {kubeconfig} --watch {TARGET}")

        audience.act("Three providers start")
        pods = await _start(node, audience, "v1", 3)
        naming = kubbo.NamingContext(kubeconfig=kubeconfig)
        load = await enter(Load(TARGET, naming, tally, rate=rate))
        await _look(audience, load)

        audience.act("Scale up to five")
        pods += await _start(node, audience, "v1", 2)
        audience.say(f"They warm up: their share of the calls grows for {DEFAULT_WARMUP:g} s.")
        await _look(audience, load)

        audience.act("Kill one (SIGKILL), replace it")
        await _kill(node, audience, load, pods.pop(0))
        pods += await _start(node, audience, "v1", 1)
        await _look(audience, load)

        audience.act("Roll out v2: start a new one, wait until it is ready, end an old one")
        await _roll(node, audience, load, pods)
        await _look(audience, load)


async def watch(
    audience: Audience,
    tally: Tally,
    *,
    target: str,
    naming: kubbo.NamingContext,
    rate: float,
    duration: float,
) -> None:
    """Only consume: call `target` in a cluster that exists, for `duration` seconds."""
    audience.say(f"Consumer: {rate:g} calls a second to {target}, for {duration:g} s")
    async with Load(target, naming, tally, rate=rate) as load:
        left = duration
        while left > 0:
            await _look(audience, load, seconds=min(left, _LOOK))
            left -= _LOOK


@contextlib.contextmanager
def _notes(audience: Audience) -> Generator[None]:
    """What the consumer logs is a part of the story."""
    handler = _Notes(audience)
    logger = logging.getLogger("kubbo")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Notes(logging.Handler):
    def __init__(self, audience: Audience) -> None:
        super().__init__(logging.WARNING)
        self._audience = audience

    def emit(self, record: logging.LogRecord) -> None:
        self._audience.say(f"The consumer notes: {record.getMessage()}")


async def _start(node: Node, audience: Audience, version: str, count: int) -> list[Pod]:
    async with asyncio.TaskGroup() as starting:
        tasks = [starting.create_task(node.start(version)) for _ in range(count)]
    pods = [task.result() for task in tasks]
    for pod in pods:
        audience.say(f"{pod.name} is ready at {pod.host}:{pod.port}")
    return pods


async def _kill(node: Node, audience: Audience, load: Load, pod: Pod) -> None:
    before = load.tally.repeated
    await node.kill(pod)
    audience.say(f"{pod.name} is dead")
    await asyncio.sleep(_GLANCE)
    if repeated := load.tally.repeated - before:
        audience.say(f"{repeated} calls were with it, and nobody knows how far they got.")
        audience.say("They were repeated elsewhere, because greet is declared idempotent;")
        audience.say("of a method that is not, they would have failed and said so.")
    else:
        audience.say("No call was with it at that moment: none had to be repeated.")


async def _roll(node: Node, audience: Audience, load: Load, old: list[Pod]) -> None:
    before = Counter(load.tally.answered)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as ending:
        for pod in old:
            await _start(node, audience, "v2", 1)
            ending.create_task(_end(node, audience, pod))
            audience.progress(load.tally)
    audience.answers(load.tally.answered - before, loop.time() - began)


async def _end(node: Node, audience: Audience, pod: Pod) -> None:
    audience.say(f"{pod.name} is terminating: SIGTERM, it answers for {PROPAGATION:g} s more")
    await node.delete(pod)
    audience.say(f"{pod.name} has drained and ended, exit code {pod.process.returncode}")


async def _look(audience: Audience, load: Load, *, seconds: float = _LOOK) -> None:
    before = Counter(load.tally.answered)
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0:
        audience.progress(load.tally)
        await asyncio.sleep(min(left, _GLANCE))
    audience.answers(load.tally.answered - before, seconds)
