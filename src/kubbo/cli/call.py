"""`kubbo call`: one call of one method, without any Python class."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from kubbo.cli.arguments import infer_type, parse_attachments, parse_json, parse_types
from kubbo.cli.options import cluster_options, naming_context, output_option
from kubbo.cli.outcome import printable
from kubbo.cli.output import render_json, write_line
from kubbo.errors import Code, EncodeError, RemoteException, RpcError, UsageError
from kubbo.model import ServiceKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kubbo.model import Value
    from kubbo.naming import NamingContext

DEFAULT_TIMEOUT = 5.0
"""Seconds. More than a program's 1 s: a person's call begins by finding the providers."""

_MISUNDERSTOOD = (Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED, Code.UNKNOWN)
"""What a status says when no such method was found: Java's 40 and 70, Kubbo's 60."""


@click.command(
    # -1 is an argument, not an option that nobody knows.
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  kubbo call kubernetes:///greeter.shop:dubbo com.example.GreetService:1.0.0 \\
      sayHello '"Ann"'
  kubbo call static:///127.0.0.1:20880 com.example.GreetService:1.0.0 \\
      greet '{"class":"com.example.User","id":1,"name":"Ann"}'
  kubbo call static:///127.0.0.1:20880 com.example.Stock \\
      reserve --types java.lang.String,long,int[] '"A-7"' 3 '[1,2]'
""",
)
@click.argument("target")
@click.argument("service_key")
@click.argument("method")
@click.argument("arg", nargs=-1)
@click.option(
    "--types",
    metavar="TYPE,TYPE...",
    help="The parameter types as Java writes them (empty for none), where the guess from the "
    "values is wrong: java.lang.String, int or long, double, boolean, java.util.List, "
    "java.util.Map, or the object's class.",
)
@click.option(
    "--attachment", multiple=True, metavar="KEY=VALUE", help="Sent with the call; repeatable."
)
@click.option(
    "--timeout",
    type=float,
    default=DEFAULT_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="For finding a provider and for its answer, over all attempts.",
)
@output_option("json", "json is one line; text indents it and shows a string without quotes.")
@cluster_options
def call(
    *,
    target: str,
    service_key: str,
    method: str,
    arg: tuple[str, ...],
    types: str | None,
    attachment: tuple[str, ...],
    timeout: float,
    output: str,
    kubeconfig: str | None,
    context: str,
    namespace: str,
) -> None:
    """Call a Java METHOD of the service SERVICE_KEY at TARGET and print its result as JSON.

    Each ARG is JSON, in the shell's single quotes. An object with "class" is a Java object,
    one without is a map. The result prints in the same form.
    """
    values = [parse_json(text, number) for number, text in enumerate(arg, 1)]
    names = _types(values, types)
    attachments = parse_attachments(attachment)
    result = asyncio.run(
        _call(
            target,
            service_key,
            method,
            names,
            values,
            timeout=timeout,
            attachments=attachments,
            naming=lambda: naming_context(kubeconfig, context, namespace),
        )
    )
    if output == "text" and isinstance(result, str):
        write_line(printable(result))
    else:
        write_line(render_json(result, indent=2 if output == "text" else None))


def _types(values: Sequence[Any], given: str | None) -> tuple[str, ...]:
    if given is None:
        return tuple(infer_type(value, number) for number, value in enumerate(values, 1))
    names = parse_types(given)
    if len(names) != len(values):
        raise UsageError(
            f"--types names {len(names)} types ({', '.join(names) or 'none'}) and there are "
            f"{len(values)} arguments; give one type for each"
        )
    return names


def _argument(value: Any, type_name: str, number: int) -> Value:
    """The value of one argument, as the Java type wants it: `"1.50"` is a BigDecimal there."""
    from kubbo.wire.hessian2 import TypeRegistry, encode  # noqa: PLC0415 - when a command runs
    from kubbo.wire.hessian2.jsonform import from_json  # noqa: PLC0415

    registry = TypeRegistry()
    declared = registry.parse(type_name)
    try:
        built = from_json(value, declared, registry)
        encode(built, registry, declared)  # what does not fit is told before anybody is dialled
    except EncodeError as error:
        where = f"argument {number}" + (f", {error.path}" if error.path else "")
        raise EncodeError(error.message, path=where) from None
    return built


async def _call(
    target: str,
    service_key: str,
    method: str,
    types: Sequence[str],
    values: Sequence[Any],
    *,
    timeout: float,  # noqa: ASYNC109 - Dubbo's deadline, sent along
    attachments: dict[str, str],
    naming: Callable[[], NamingContext],
) -> Any:
    """Make the call; arguments and result are JSON values."""
    from kubbo.naming import KubernetesTarget, parse_target  # noqa: PLC0415 - when a command runs
    from kubbo.rpc.channel import Channel  # noqa: PLC0415
    from kubbo.wire.hessian2.jsonform import to_json  # noqa: PLC0415

    parsed = parse_target(target)
    key = ServiceKey.parse(service_key)
    arguments = [_argument(*each) for each in zip(values, types, range(1, 256), strict=False)]
    context = naming()
    async with Channel(naming=context, application="kubbo-cli") as channel:
        if isinstance(parsed, KubernetesTarget):
            # Before the clock runs: a credential plugin may take seconds. And a kubeconfig that
            # cannot be used is a mistake to tell by itself, not a lack of providers.
            await context.cluster()
        reference = channel.generic(key, str(parsed), timeout=timeout)
        try:
            result = await reference.call(
                method, types=types, args=arguments, attachments=attachments
            )
        except RpcError as error:
            if error.code in _MISUNDERSTOOD and not isinstance(error, RemoteException):
                error.add_note(
                    f"{method}({', '.join(types)}) of {key} was asked for; if it is declared with "
                    "other parameter types, give those with --types, as Java writes them"
                )
            raise
        return to_json(result)
