"""The command `kubbo` itself: finds a subcommand, runs it, and says how it ended."""

from __future__ import annotations

import contextlib
import importlib
import traceback
from typing import Any, Final

import click

from kubbo.cli.outcome import Exit, exit_code, paragraph, printable
from kubbo.cli.output import write_error
from kubbo.errors import KubboError

__all__ = ["kubbo", "run"]

_COMMANDS: Final = {
    "call": ("kubbo.cli.call:call", "Call a method of a provider."),
    "endpoints": ("kubbo.cli.endpoints:endpoints", "Show the providers that a target has."),
    "describe": (
        "kubbo.cli.describe:describe",
        "Show what a provider serves: interfaces, methods, types.",
    ),
    "serve": ("kubbo.cli.serve:serve", "Serve a Python object as a provider."),
    "health": ("kubbo.cli.health:health", "Ask a provider here whether it is alive, or ready."),
    "map": ("kubbo.cli.map:map_key", "Show which target a service key leads to, and why."),
    "route": (
        "kubbo.cli.route:route",
        "Show which endpoints may take a call, and why each is in or out.",
    ),
    "config": ("kubbo.cli.config:config", "Explain, check and describe configurations."),
    "image": ("kubbo.cli.image:image", "Make an image of an application, without Docker."),
    "manifests": ("kubbo.cli.manifests:manifests", "Print what deploys a provider."),
    "doctor": ("kubbo.cli.doctor:doctor", "Say why a deployment does not work."),
    "rbac": ("kubbo.cli.rbac:rbac", "Print the permissions that a consumer needs."),
    "demo": ("kubbo.cli.demo:demo", "See calls survive scaling, a kill and a rollout."),
}
"""Name: where its `click.Command` is, and its line in `--help`. Loaded when it is chosen."""


class _LazyGroup(click.Group):
    """A group that imports a subcommand when it is asked for, and ends for all of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        _quote_warnings()
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - told by `_end`
            ctx.exit(_end(error))


def _quote_warnings() -> None:
    """Escape what is logged where nobody has set logging up, as all else that goes to stderr."""
    import logging  # noqa: PLC0415 - 10 ms that --help does without

    class Printable(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return printable(super().format(record))

    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Printable())


def _end(error: BaseException) -> Exit:
    """Say what happened, and the exit code for it."""
    code = exit_code(error)
    with contextlib.suppress(OSError):  # nobody listens: the exit code has to do
        _tell(error, code)
    return code


def _tell(error: BaseException, code: Exit) -> None:
    if isinstance(error, KubboError):
        write_error(f"kubbo: {paragraph(error)}")
    elif code is Exit.BUG:
        write_error("".join(traceback.format_exception(error)).rstrip("\n"))
        write_error("kubbo: this is a bug of Kubbo; please report it with the lines above")


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    del param
    if value and not ctx.resilient_parsing:
        import importlib.metadata  # noqa: PLC0415 - 20 ms that only this needs

        from kubbo.wire import codec_name  # noqa: PLC0415 - as above

        click.echo(f"kubbo {importlib.metadata.version('kubbo')} (codec: {codec_name()})")
        ctx.exit()


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Exit codes:
  0  answered
  1  the provider threw or refused
  2  a mistake in the command: an argument, a target, a file
  3  no provider
  4  the deadline passed
""",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version, and which codec runs, and exit.",
)
def kubbo() -> None:
    """Dubbo on Kubernetes: call, watch and serve, with the cluster as the registry.

    A TARGET says where providers are: kubernetes:///SERVICE.NAMESPACE:PORT asks the API
    server, dns:///HOST:PORT a name server, static:///HOST:PORT,HOST:PORT lists addresses, and
    A | B goes from one to the next. A SERVICE_KEY is [group/]interface[:version].
    """


def run() -> int:
    """Run the command line of this process and return its exit code."""
    try:
        kubbo(prog_name="kubbo")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else Exit.ANSWERED
    return Exit.ANSWERED
