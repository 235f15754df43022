"""`kubbo describe`: what a provider says of itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click

from kubbo.cli.options import cluster_options, naming_context, output_option, timeout_option
from kubbo.cli.outcome import printable
from kubbo.cli.output import render_json, write_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kubbo.cli.asking import Provider, Service
    from kubbo.naming import NamingContext
    from kubbo.rpc.definition import Definition

MAX_LINES: Final = 20_000
"""Of text. A provider may tell of a thousand services; nobody reads more than this."""


@click.command(
    epilog="""\b
Examples:
  kubbo describe kubernetes:///greeter.shop:dubbo
  kubbo describe static:///127.0.0.1:20880 -o json

\b
One provider is asked, over its own port, for Dubbo's metadata. Kubbo's tell all;
Java's Dubbo 3 tells the methods' names, and that only where it has a registry.
"""
)
@click.argument("target")
@click.option(
    "--application",
    default="",
    metavar="NAME",
    help="The provider's application, which is the group of its metadata, where it does not "
    "tell the name by itself.",
)
@timeout_option("For finding a provider and for all its answers.")
@output_option("text", "json is one line, with the parameters of the services too.")
@cluster_options
def describe(
    *,
    target: str,
    application: str,
    timeout: float,
    output: str,
    kubeconfig: str | None,
    context: str,
    namespace: str,
) -> None:
    """Show what a provider at TARGET serves: its interfaces, their methods and types."""
    found = asyncio.run(
        _describe(
            target,
            application,
            timeout,
            lambda: naming_context(kubeconfig, context, namespace),
        )
    )
    if output == "json":
        write_line(render_json(_json(found)))
    else:
        write_line("\n".join(printable(line) for line, _ in zip(_text(found), range(MAX_LINES))))  # noqa: B905 - cut on purpose


async def _describe(
    target: str, application: str, seconds: float, naming: Callable[[], NamingContext]
) -> Provider:
    from kubbo.cli.asking import ask_provider  # noqa: PLC0415 - when a command runs
    from kubbo.naming import KubernetesTarget, parse_target  # noqa: PLC0415
    from kubbo.rpc.channel import Channel  # noqa: PLC0415

    parsed = parse_target(target)
    context = naming()
    async with Channel(naming=context, application="kubbo-cli", config="") as channel:
        if isinstance(parsed, KubernetesTarget):
            await context.cluster()  # before the clock runs, as in `kubbo call`
        return await ask_provider(channel, str(parsed), application=application, timeout=seconds)


def _json(found: Provider) -> Any:
    return {
        "provider": None if found.endpoint is None else str(found.endpoint),
        "application": found.application or None,
        "revision": found.revision or None,
        "services": [
            {
                "service": str(each.key),
                "port": each.port,
                "methods": _methods(each),
                "types": {} if each.definition is None else _types(each.definition),
                "params": each.params,
            }
            for _, each in sorted(found.services.items())
        ],
        "notes": found.notes,
    }


def _methods(each: Service) -> list[Any]:
    if each.definition is None:
        return [{"name": name, "parameters": None, "returns": None} for name in each.methods]
    return [
        {"name": one.name, "parameters": list(one.parameters), "returns": one.returns}
        for one in each.definition.methods
    ]


def _types(definition: Definition) -> dict[str, Any]:
    return {
        one.name: {"constants": list(one.constants)}
        if one.constants
        else {"fields": dict(one.properties)}
        for one in definition.types.values()
    }


def _text(found: Provider) -> Iterator[str]:
    application = f", application {found.application}" if found.application else ""
    yield f"provider {found.endpoint}{application}"
    for name, each in sorted(found.services.items()):
        yield ""
        yield name
        if each.definition is None:
            yield from (f"  {method}" for method in each.methods)
            continue
        for method in each.definition.methods:
            yield f"  {method} -> {method.returns}"
        for one in each.definition.types.values():
            if one.constants:
                yield f"    {one.name}: {', '.join(one.constants)}"
            else:
                fields = ", ".join(f"{name}: {kind}" for name, kind in one.properties.items())
                yield f"    {one.name} {{{fields}}}"
    for note in found.notes:
        yield ""
        yield f"note: {note}"
