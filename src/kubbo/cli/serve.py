"""`kubbo serve`: a provider from a Python object, without a main program."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from kubbo.cli.loading import load_object, make_implementations
from kubbo.cli.output import write_line
from kubbo.errors import UsageError


@click.command(
    epilog="""\b
Examples:
  kubbo serve greeter:Greeter --port 20880
  kubbo serve shop.main:make_services --port 20880 --host 127.0.0.1

\b
SIGTERM tells the consumers, goes on answering for --propagation seconds, lets
the calls in flight end within --grace seconds, and exits with 0. Ctrl-C skips
the propagation. Together they should stay below the pod's
terminationGracePeriodSeconds (30).
"""
)
@click.argument("what", metavar="MODULE:OBJECT")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=20880,
    show_default=True,
    help="To listen on; 0 takes a free one, which is printed.",
)
@click.option("--host", help="To listen on; every address of the machine without it.")
@click.option(
    "--propagation",
    type=click.FloatRange(min=0, max=3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to go on answering after SIGTERM.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0, max=3600),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="How long calls in flight may take after that.",
)
@click.option(
    "--application",
    default="",
    metavar="NAME",
    help="This application's name, as the provider's metadata tell it.",
)
@click.option(
    "--generic",
    is_flag=True,
    help="Serve $invoke too, for callers without the interface.",
)
def serve(
    *,
    what: str,
    port: int,
    host: str | None,
    propagation: float,
    grace: float,
    application: str,
    generic: bool,
) -> None:
    """Serve OBJECT of MODULE on a port, until SIGTERM.

    OBJECT is a class or an instance that implements an interface marked with @kubbo.service,
    a list of them, or a function (async too) that returns one or a list. MODULE is imported
    with the current directory in front.
    """
    found = load_object(what)
    options: dict[str, Any] = {
        "propagation": propagation,
        "grace": grace,
        "application": application,
        "generic": generic,
    }
    asyncio.run(_serve(found, what, port, host, options))


async def _serve(
    found: object, what: str, port: int, host: str | None, options: dict[str, Any]
) -> None:
    from kubbo.rpc.server import Server  # noqa: PLC0415 - when a command runs

    implementations = await make_implementations(found, what)
    async with Server(port, host=host, **options) as server:
        for implementation in implementations:
            server.export(implementation)
        try:
            await server.start()
        except OSError as error:
            where = f"{host}:{port}" if host else f"port {port}"
            raise UsageError(
                f"cannot listen on {where}: {error.strerror or error}; choose another --port or "
                "--host, or end what has it"
            ) from None
        serving = asyncio.create_task(server.serve_forever(), name="kubbo serve")
        # Its first step takes the signals over: who reads the line may send one at once.
        await asyncio.sleep(0)
        write_line(f"serving {', '.join(map(str, server.services))} on port {server.port}")
        await serving
