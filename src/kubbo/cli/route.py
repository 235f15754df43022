"""`kubbo route`: which endpoints may take a call, and why each of them is in or out.

Nobody is called. The rules come from files, the endpoints from discovery or from a static target,
so that a rule can be tried before anybody gets it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, assert_never, cast

import click

from kubbo.cli.arguments import parse_attachments, parse_json
from kubbo.cli.options import cluster_options, naming_context, output_option, timeout_option
from kubbo.cli.outcome import Exit, exit_code
from kubbo.cli.output import render_json, table, write_error, write_line
from kubbo.errors import ConfigError, KubboError, UsageError
from kubbo.model import Deadline, Invocation, ServiceKey, Signature
from kubbo.naming.resolution import Absent, Failed, Members, Pending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubbo.cluster.member import Member
    from kubbo.cluster.routers import Router
    from kubbo.cluster.routing import Account, Consumer
    from kubbo.model import Endpoint
    from kubbo.naming.open import NamingContext
    from kubbo.naming.resolution import Resolution, Resolver

MAX_BYTES: Final = 1 << 20
"""Of a file of rules: as much as a ConfigMap holds."""


@click.command(
    epilog="""\b
Examples:
  kubbo route com.example.GreetService:1.0.0 greet --target static:///10.0.0.1:20880 --rules canary.yaml
  kubbo route com.example.GreetService:1.0.0 greet '"Ann"' --rules rules.yaml --attachment x-canary=1

\b
Exit codes: 0 somebody may take the call, 2 a rule cannot be read,
3 nobody may, or there is no provider, 4 nothing was known within the timeout.
"""  # noqa: E501 - as a person types it
)
@click.argument("service_key")
@click.argument("method")
@click.argument("arguments", nargs=-1, metavar="[ARG]...")
@click.option("--target", help="Where the providers are; without it, as `kubbo map` finds them.")
@click.option(
    "--rules",
    "files",
    multiple=True,
    metavar="FILE",
    help="Rules in Dubbo's YAML, one a document; - reads stdin. May be repeated.",
)
@click.option(
    "--attachment", "attachments", multiple=True, metavar="KEY=VALUE", help="Of the call."
)
@click.option("--zone", default="", metavar="ZONE", help="The consumer's; else $KUBBO_ZONE.")
@click.option("--application", default="", metavar="NAME", help="The consumer's.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of the consumer, for rules like region=$region; else $KUBBO_PARAMETERS.",
)
@timeout_option("How long to wait for the endpoints.")
@output_option("text", "json is one object.")
@cluster_options
@click.pass_context
def route(
    ctx: click.Context,
    service_key: str,
    method: str,
    arguments: tuple[str, ...],
    *,
    target: str | None,
    files: tuple[str, ...],
    attachments: tuple[str, ...],
    zone: str,
    application: str,
    parameters: tuple[str, ...],
    timeout: float,
    output: str,
    kubeconfig: str | None,
    context: str,
    namespace: str,
) -> None:
    """Show which endpoints may take a call of METHOD with ARGs, and why each is in or out.

    Each ARG is JSON. Nobody is called.
    """
    call = Invocation(
        ServiceKey.parse(service_key),
        Signature(method),
        [parse_json(text, number) for number, text in enumerate(arguments, 1)],
        Deadline(0.0),
        attachments=dict(parse_attachments(attachments)),
    )
    consumer = _consumer(application, zone, parameters)
    routers = _read(files, consumer)
    naming = naming_context(kubeconfig, context, namespace)
    name, view = asyncio.run(_resolve(call.service, target, naming, timeout))
    if isinstance(view, Members):
        ctx.exit(_show(call, name, view.endpoints, routers, json=output == "json"))
    ctx.exit(_nobody(name, view, timeout))


def _consumer(application: str, zone: str, parameters: tuple[str, ...]) -> Consumer:
    """The consumer that the options describe, over that of the environment."""
    from kubbo.cluster.routing import Consumer  # noqa: PLC0415 - when a command runs

    here = Consumer.here(application)
    given: dict[str, str] = {}
    for pair in parameters:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--parameter {pair[:60]!r} is no KEY=VALUE; write it like region=hz")
        given[key] = value
    return Consumer(
        here.application, here.host, zone or here.zone, here.tag, {**here.parameters, **given}
    )


def _read(files: tuple[str, ...], consumer: Consumer) -> tuple[Router, ...]:
    from kubbo.cluster.routing import in_order, parse_text  # noqa: PLC0415 - when a command runs

    routers: list[Router] = []
    for file in files:
        try:
            octets = (
                sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else Path(file).read_bytes()
            )
            text = octets.decode("utf-8")
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{file}: it is not UTF-8; save it as that") from None
        routers += parse_text(text, source="stdin" if file == "-" else file, consumer=consumer)
    return in_order(routers)


async def _resolve(
    service: ServiceKey,
    target: str | None,
    naming: NamingContext,
    timeout: float,  # noqa: ASYNC109 - of the first view alone
) -> tuple[str, Resolution]:
    """The name of the target, and its first view; Pending where there was none in time."""
    from kubbo.naming.mapped import MappedResolver  # noqa: PLC0415 - when a command runs
    from kubbo.naming.open import open_resolver  # noqa: PLC0415
    from kubbo.naming.target import parse_target  # noqa: PLC0415

    parsed = None if target is None else parse_target(target)
    async with naming as context:
        resolver = (
            MappedResolver(service, context) if parsed is None else open_resolver(parsed, context)
        )
        return str(parsed or service), await _first(resolver, timeout)


async def _first(resolver: Resolver, timeout: float) -> Resolution:  # noqa: ASYNC109 - see above
    found: asyncio.Future[Resolution] = asyncio.get_running_loop().create_future()

    def publish(view: Resolution) -> None:
        if not isinstance(view, Pending) and not found.done():
            found.set_result(view)

    async def watch() -> None:
        try:
            await resolver.watch(publish)
        except KubboError as error:
            publish(Failed(error))

    watcher = asyncio.create_task(watch(), name="kubbo route")
    try:
        async with asyncio.timeout(timeout):
            return await found
    except TimeoutError:
        return Pending()
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


def _nobody(name: str, view: Resolution, timeout: float) -> Exit:
    match view:
        case Members() | Pending():
            write_error(
                f"kubbo: {name}: nothing is known after {timeout:g} s; give it longer with "
                "--timeout, or look with `kubbo endpoints`"
            )
            return Exit.DEADLINE
        case Absent(reason):
            write_error(f"kubbo: {reason}")
            return Exit.NO_PROVIDER
        case Failed(error):
            write_error(f"kubbo: {error}")
            return exit_code(error) if isinstance(error, UsageError) else Exit.NO_PROVIDER
        case _:
            assert_never(view)


def _members(endpoints: Sequence[Endpoint]) -> tuple[Member, ...]:
    """Members without connections: nobody is called, so all count as well."""
    from kubbo.cluster.member import Member  # noqa: PLC0415 - when a command runs
    from kubbo.transport.dialer import Dialer, State  # noqa: PLC0415

    class Idle:
        state = State.READY

    return tuple(Member(endpoint, cast("Dialer", Idle())) for endpoint in endpoints)


def _show(
    call: Invocation,
    name: str,
    endpoints: Sequence[Endpoint],
    routers: Sequence[Router],
    *,
    json: bool,
) -> Exit:
    from kubbo.cluster.routing import account_for  # noqa: PLC0415 - when a command runs

    members = _members(endpoints)
    accounts = account_for(routers, call, members)
    left = accounts[-1].kept if accounts else members
    if json:
        write_line(render_json(_as_json(call, name, members, accounts)))
    else:
        counted = f"{len(left)} of {len(members)} endpoints of {name}"
        lines = [f"{call.service} {call.method}: {counted} may take the call"]
        before = len(members)
        for number, each in enumerate(accounts, 1):
            lines += [f"{number}. {each.router}: {before} > {len(each.kept)}", f"   {each.note}"]
            before = len(each.kept)
        if not accounts:
            lines.append("there are no rules (--rules)")
        rows = [
            (
                str(member.endpoint),
                member.endpoint.zone or "-",
                "in" if member in left else "out",
                _why(member, accounts),
            )
            for member in members
        ]
        write_line("\n".join(lines))
        write_line(table(("ADDRESS", "ZONE", "CALL", "WHY"), rows))
    return Exit.ANSWERED if left else Exit.NO_PROVIDER


def _why(member: Member, accounts: Sequence[Account]) -> str:
    """The reason of the router that leaves it out; those of all, if none does."""
    said: list[str] = []
    for number, each in enumerate(accounts, 1):
        reason = next((reason for one, reason in each.reasons if one is member), "")
        if member not in each.kept:
            return f"{number}. {reason}"
        said.append(f"{number}. {reason or 'stays'}")
    return "; ".join(said)


def _as_json(
    call: Invocation, name: str, members: Sequence[Member], accounts: Sequence[Account]
) -> dict[str, Any]:
    """The answer as the object that scripts read; its keys are a promise."""
    left = accounts[-1].kept if accounts else tuple(members)
    return {
        "service": str(call.service),
        "method": call.method,
        "target": name,
        "routers": [
            {"name": each.router, "note": each.note, "left": len(each.kept)} for each in accounts
        ],
        "endpoints": [
            {
                "host": member.endpoint.host,
                "port": member.endpoint.port,
                "zone": member.endpoint.zone,
                "in": member in left,
                "reasons": [
                    {"router": each.router, "in": member in each.kept, "reason": reason}
                    for each in accounts
                    for one, reason in each.reasons
                    if one is member
                ],
            }
            for member in members
        ],
    }
