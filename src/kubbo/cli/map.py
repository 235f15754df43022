"""`kubbo map`: from a service key to its target, with every step that was tried."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from kubbo.cli.options import cluster_options, naming_context, output_option
from kubbo.cli.outcome import Exit, paragraph, printable
from kubbo.cli.output import render_json, write_line
from kubbo.live.source import CONFIG_VARIABLE
from kubbo.model import ServiceKey
from kubbo.naming.mapped import map_in_context
from kubbo.naming.mapping import MappingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubbo.naming.mapping import Mapping, MappingStep
    from kubbo.naming.open import NamingContext


@click.command(
    "map",
    epilog="""\b
Example:
  kubbo map com.example.GreetService:1.0.0 -n shop

\b
Exit codes: 0 the key leads to a target, 3 to none, 2 what was found contradicts itself.
""",
)
@click.argument("service_key")
@click.option("--target", help="An explicit target, as code would give it: it wins.")
@output_option("text", "json is one object.")
@cluster_options
@click.pass_context
def map_key(
    ctx: click.Context,
    *,
    service_key: str,
    target: str | None,
    output: str,
    kubeconfig: str | None,
    context: str,
    namespace: str,
) -> None:
    """Show which target SERVICE_KEY leads to, and each step on the way."""
    key = ServiceKey.parse(service_key)
    naming = naming_context(kubeconfig, context, namespace)
    error: MappingError | None = None
    found: Mapping | None = None
    try:
        found = asyncio.run(_map(key, naming, target))
    except MappingError as raised:
        error = raised
    steps = found.steps if found is not None else error.steps if error is not None else ()
    reached = str(found.target) if found is not None else ""
    if output == "json":
        reason = "" if error is None else _first_line(error)
        write_line(render_json(_as_json(key, reached, steps, reason)))
    else:
        write_line(f"{key}: {reached or 'no target'}")
        for each in steps:
            found_text = f": {each.found}" if each.found else ""
            line = f"  {each.outcome.value:<13}  {each.source:<13}  {each.tried}{found_text}"
            write_line(printable(line))
        if error is not None:
            click.echo(f"kubbo: {_first_line(error)}", err=True)
    if error is not None:
        ctx.exit(Exit.USAGE if error.contradiction else Exit.NO_PROVIDER)


async def _map(key: ServiceKey, naming: NamingContext, target: str | None) -> Mapping:
    async with naming:
        source = naming.environ.get(CONFIG_VARIABLE)
        if source:
            from kubbo.cli.config import load_view  # noqa: PLC0415 - few need it

            view = await load_view(source, naming)
            naming.configure(view.configuration.targets())
        return await map_in_context(key, naming, explicit=target)


def _first_line(error: MappingError) -> str:
    """The error without its steps, which stand in the table."""
    return paragraph(error).partition("\n")[0].removesuffix(" Tried:")


def _as_json(
    key: ServiceKey, target: str, steps: Sequence[MappingStep], reason: str
) -> dict[str, Any]:
    """The answer as the object that scripts read; its keys are a promise."""
    return {
        "service": str(key),
        "target": target or None,
        "steps": [
            {
                "source": each.source,
                "tried": each.tried,
                "found": each.found,
                "outcome": each.outcome.value,
            }
            for each in steps
        ],
        "reason": reason,
    }
