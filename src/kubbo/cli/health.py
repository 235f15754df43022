"""`kubbo health`: asks the admin port of a provider here, as an exec probe does."""

from __future__ import annotations

from typing import Final

import click

from kubbo.cli.options import Finite
from kubbo.cli.outcome import Exit
from kubbo.cli.output import write_error, write_line

_PATHS: Final = {"live": "/livez", "ready": "/readyz", "startup": "/startupz"}

_SHOWN_BYTES: Final = 4096


@click.command(
    epilog="""\b
Examples:
  kubbo health
  kubbo health live --port 20881

\b
It ends with 0 for yes, 1 for no with the reasons, 3 where nobody listens and
4 without an answer in time. A probe over HTTP costs less than this process:
use it where there is no HTTP probe.
"""
)
@click.argument("check", type=click.Choice(list(_PATHS)), default="ready")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=20881,
    show_default=True,
    help="The --admin-port of `kubbo serve`.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it is.")
@click.option(
    "--timeout",
    type=Finite(min=0, min_open=True, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="For connecting, and for the answer.",
)
@click.pass_context
def health(ctx: click.Context, check: str, *, port: int, host: str, timeout: float) -> None:
    """Ask whether the provider is alive, ready for calls, or has started.

    CHECK is live, ready (which it is without one) or startup.
    """
    import http.client  # noqa: PLC0415 - when the command runs

    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", _PATHS[check])
        response = connection.getresponse()
        said = response.read(_SHOWN_BYTES).decode("utf-8", "replace").strip()
    except TimeoutError:
        write_error(f"kubbo: no answer from {host}:{port} within {timeout:g} s")
        ctx.exit(Exit.DEADLINE)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        write_error(
            f"kubbo: cannot ask {host}:{port}: {why}; is it the --admin-port of `kubbo serve`?"
        )
        ctx.exit(Exit.NO_PROVIDER)
    finally:
        connection.close()
    write_line(said)
    if response.status != http.client.OK:
        ctx.exit(Exit.REFUSED)
