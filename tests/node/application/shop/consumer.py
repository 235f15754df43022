"""The consumer: `python -m shop.consumer` calls both providers, whether calls are answered or not.

Every call has a number. Twice a second it writes a line of JSON about all of its calls so far: how
many it made, the number below which all have ended, how many were answered, by whom, and how many
failed; and one about each that failed. No call is idempotent, so none is repeated that may have
run.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any

import kubbo
from shop.interface import GreetService, User

TARGETS = {"python": "kubernetes:///greeter:dubbo", "java": "kubernetes:///greeter-java:dubbo"}
RATE = 100.0  # calls a second, of which every tenth goes to Java


class Load:
    def __init__(self) -> None:
        self.made = 0
        self.in_flight: set[int] = set()
        self.answers: Counter[str] = Counter()
        self.failed = 0

    async def call(self, greeter: GreetService, number: int) -> None:
        try:
            await self.answered(greeter, number)
        finally:
            self.in_flight.discard(number)

    async def answered(self, greeter: GreetService, number: int) -> None:
        began = time.time()
        try:
            answer = await greeter.greet(User(number, "Ann"))
        except Exception as error:  # noqa: BLE001 - every failure counts
            known = error if isinstance(error, kubbo.RpcError) else None
            self.fail(
                number=number,
                began=began,
                error=repr(error)[:300],
                progress=known.progress.name if known else "",
                host=known.endpoint.host if known and known.endpoint else "",
            )
            return
        hello, _, who = answer.partition(" from ")
        if hello == f"Hello Ann ({number})":
            self.answers[who] += 1
        else:
            self.fail(number=number, began=began, error=f"got {answer!r}", progress="ANSWERED")

    def fail(self, **what: Any) -> None:
        self.failed += 1
        print(json.dumps({"failure": what}), flush=True)  # noqa: T201 - the test reads it

    async def run(self, greeters: dict[str, GreetService]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        calls: set[asyncio.Task[None]] = set()
        while True:
            while self.made < (loop.time() - began) * RATE:
                greeter = greeters["python" if self.made % 10 else "java"]
                task = asyncio.create_task(self.call(greeter, self.made))
                self.in_flight.add(self.made)
                self.made += 1
                calls.add(task)
                task.add_done_callback(calls.discard)
            await asyncio.sleep(0.005)

    async def tell(self) -> None:
        while True:
            told = {
                "made": self.made,
                "ended": min(self.in_flight, default=self.made),
                "answers": self.answers,
                "failed": self.failed,
            }
            print(json.dumps(told), flush=True)  # noqa: T201 - the test reads it
            await asyncio.sleep(0.5)


async def main() -> None:
    async with kubbo.Channel() as channel:
        greeters = {name: channel.refer(GreetService, target) for name, target in TARGETS.items()}
        load = Load()
        for greeter in greeters.values():  # whoever is not there yet is waited for
            while True:
                try:
                    await greeter.greet(User(0, "Ann"))
                    break
                except kubbo.RpcError as error:
                    print(json.dumps({"waiting": str(error)}))  # noqa: T201
                    await asyncio.sleep(0.2)
        await asyncio.gather(load.run(greeters), load.tell())


if __name__ == "__main__":
    asyncio.run(main())
