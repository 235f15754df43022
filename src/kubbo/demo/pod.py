"""The process of one pod: the greeter at an address of its own.

    python -m kubbo.demo.pod HOST PORT < pipe

It ends as any provider does, by SIGTERM; and at once when its standard input ends, so that
it cannot outlive the demo, however that ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING

import kubbo
from kubbo.demo.greeter import provider

if TYPE_CHECKING:
    from kubbo.model import Handler

PROPAGATION = 1.0
"""Seconds to go on answering after SIGTERM. In a cluster the news takes longer: 5 by default."""

WORK = 0.08
"""Seconds that a call takes: a method that did nothing would never be caught in the middle."""


async def work(invocation: kubbo.Invocation, proceed: Handler) -> kubbo.Result:
    """A filter that makes every call take a while."""
    await asyncio.sleep(WORK)
    return await proceed(invocation)


async def serve(host: str, port: int) -> None:
    """Run the provider until SIGTERM or the end of standard input."""
    loop = asyncio.get_running_loop()
    serving = asyncio.ensure_future(
        provider.main(kubbo.Server(port, host=host, propagation=PROPAGATION, filters=[work]))
    )
    stdin = sys.stdin.fileno()

    def read() -> None:
        if not os.read(stdin, 64):
            loop.remove_reader(stdin)
            serving.cancel()

    loop.add_reader(stdin, read)
    try:
        await serving
    finally:
        loop.remove_reader(stdin)


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
