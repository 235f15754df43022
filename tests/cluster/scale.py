"""A consumer of many Services in a process of its own, which says what that costs.

    python -m tests.cluster.scale KUBECONFIG NAMESPACE SERVICES FOLD_ABOVE SECONDS_AT_REST

It prints two JSON objects, one a line: what it took to see everything, and, after the seconds at
rest, what those took. Memory is the resident set above what the interpreter with the loaded client
has; time is on the clock, CPU time is this process's alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path

from kubbo.naming import Members, Resolution, open_resolver, parse_target
from kubbo.naming.open import NamingContext

PAGE_BYTES = 4096


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


async def consume(
    kubeconfig: str, namespace: str, services: int, fold_above: int, rest: float
) -> None:
    async with NamingContext(kubeconfig=kubeconfig, environ={}, fold_above=fold_above) as naming:
        await naming.cluster()
        naming.watches()
        before, began, cpu = resident(), time.monotonic(), time.process_time()
        seen: dict[int, int] = {}
        first: list[float] = []
        complete = asyncio.Event()

        def publish(number: int, resolution: Resolution) -> None:
            if isinstance(resolution, Members):
                if not seen:
                    first.append(time.monotonic() - began)
                seen[number] = len(resolution.endpoints)
                if len(seen) == services:
                    complete.set()

        tasks = [
            asyncio.create_task(
                open_resolver(
                    parse_target(f"kubernetes:///service-{number}.{namespace}:dubbo"), naming
                ).watch(partial(publish, number))
            )
            for number in range(services)
        ]
        try:
            async with asyncio.timeout(300):
                await complete.wait()
            told = {
                "first": first[0],
                "all": time.monotonic() - began,
                "cpu": time.process_time() - cpu,
                "resident": resident() - before,
                "endpoints": sum(seen.values()),
            }
            print(json.dumps(told), flush=True)  # noqa: T201 - read by the test
            await asyncio.sleep(3.0)  # single watches end
            began, cpu = time.monotonic(), time.process_time()
            await asyncio.sleep(rest)
            cost = (time.process_time() - cpu) / (time.monotonic() - began)
            watches = sum(len(keys) for keys in naming.watches().running.values())
            at_rest = {
                "cpu_per_second": cost,
                "watches": watches,
                "resident": resident() - before,
                "endpoints": sum(seen.values()),
            }
            print(json.dumps(at_rest), flush=True)  # noqa: T201 - as above
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    kubeconfig, namespace, services, fold_above, rest = sys.argv[1:]
    asyncio.run(consume(kubeconfig, namespace, int(services), int(fold_above), float(rest)))
