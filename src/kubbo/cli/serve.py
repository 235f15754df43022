"""`kubbo serve`: a provider from a Python object, without a main program."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from kubbo.cli.loading import load_object, make_implementations
from kubbo.cli.options import Finite
from kubbo.cli.output import write_line
from kubbo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubbo.rpc.channel import Channel
    from kubbo.rpc.server import Server

_TERMINATED: Final = 128 + signal.SIGTERM


@click.command(
    epilog="""\b
Examples:
  kubbo serve greeter:Greeter --port 20880
  kubbo serve shop.main:make_services --port 20880 --host 127.0.0.1
  kubbo serve greeter:Greeter --admin-port 20881 --ready-when kubernetes:///stock.shop:dubbo

\b
SIGTERM tells the consumers, goes on answering for --propagation seconds, lets
the calls in flight end within --grace seconds, and exits with 0. Ctrl-C skips
the propagation, a second signal ends at once. Together they should stay below
the pod's terminationGracePeriodSeconds (30).

--admin-port answers /livez, /readyz and /startupz; `kubbo health` asks them.
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
    type=Finite(min=0, max=3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to go on answering after SIGTERM.",
)
@click.option(
    "--grace",
    type=Finite(min=0, max=3600),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="How long calls in flight may take after that.",
)
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Where probes are answered over HTTP: /livez, /readyz, /startupz. 0 takes a free one.",
)
@click.option(
    "--ready-when",
    multiple=True,
    metavar="TARGET",
    help="Be ready only while a provider of TARGET is connected; may be repeated.",
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
    admin_port: int | None,
    ready_when: tuple[str, ...],
    application: str,
    generic: bool,
) -> None:
    """Serve OBJECT of MODULE on a port, until SIGTERM.

    OBJECT is a class or an instance that implements an interface marked with @kubbo.service,
    a list of them, or a function (async too) that returns one or a list. MODULE is imported
    with the current directory in front.
    """
    # As process 1 of a container, SIGTERM does nothing unless somebody takes it.
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _end_before_serving)
    found = load_object(what)
    options: dict[str, Any] = {
        "propagation": propagation,
        "grace": grace,
        "admin_port": admin_port,
        "application": application,
        "generic": generic,
    }
    cut_off = asyncio.run(_serve(found, what, port, host, ready_when=ready_when, options=options))
    if cut_off:
        # Python would wait for a thread that runs a method nobody waits for any more.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _end_before_serving(number: int, frame: object) -> NoReturn:
    """Nobody knows this provider yet: nobody has to be told.

    An exception would be the module's that is being imported, which may do with it what it likes.
    """
    del number, frame
    os._exit(_TERMINATED)


async def _serve(
    found: object,
    what: str,
    port: int,
    host: str | None,
    *,
    ready_when: Sequence[str],
    options: dict[str, Any],
) -> int:
    """Serve until it is told to end; how many calls were cut off."""
    from kubbo.rpc.channel import Channel  # noqa: PLC0415 - when a command runs
    from kubbo.rpc.server import Server  # noqa: PLC0415

    server = Server(port, host=host, **options)
    async with contextlib.AsyncExitStack() as stack:
        try:
            # Before the implementations are made: a probe may ask whether it has started.
            await stack.enter_async_context(server)
        except OSError as error:
            raise _cannot_listen(error, host, options["admin_port"], "--admin-port") from None
        for implementation in await make_implementations(found, what):
            server.export(implementation)
        if ready_when:
            _need(server, await stack.enter_async_context(Channel()), ready_when)
        try:
            await server.start()
        except OSError as error:
            raise _cannot_listen(error, host, port, "--port") from None
        serving = asyncio.create_task(server.serve_forever(), name="kubbo serve")
        # Its first step takes the signals over: who reads the line may send one at once.
        await asyncio.sleep(0)
        write_line(f"serving {', '.join(map(str, server.services))} on port {server.port}")
        if options["admin_port"] == 0:
            write_line(f"probes on port {server.admin_port}")
        await serving
    return server.cut_off


def _need(server: Server, channel: Channel, targets: Sequence[str]) -> None:
    """Have the server be ready only with a provider of each target."""
    for target in targets:
        # Nobody is called, so it has no service key.
        server.ready_when(channel.generic("kubbo.ReadyWhen", target))


def _cannot_listen(error: OSError, host: str | None, port: int | None, option: str) -> UsageError:
    where = f"{host}:{port}" if host else f"port {port}"
    return UsageError(
        f"cannot listen on {where}: {error.strerror or error}; choose another {option} or "
        "--host, or end what has it"
    )
