"""`kubbo map`: from a service key to its target, with every step that was tried."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kubbo.cli.options import cluster_options, naming_context, output_option, timeout_option
from kubbo.cli.outcome import Exit, exit_code, paragraph, printable
from kubbo.cli.output import render_json, write_line
from kubbo.errors import ConfigError, KubboError
from kubbo.live.source import CONFIG_VARIABLE
from kubbo.model import ServiceKey
from kubbo.naming.mapped import map_in_context
from kubbo.naming.mapping import MappingError, ServiceLookupError
from kubbo.naming.target import check_namespace

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kubbo.naming.mapping import Mapping, MappingStep, Providers, ProviderService
    from kubbo.naming.open import NamingContext

T = TypeVar("T")


@click.command(
    "map",
    epilog="""\b
Example:
  kubbo map com.example.GreetService:1.0.0 -n shop

\b
Exit codes: 0 the key leads to a target, 3 to none, 2 what was found contradicts itself or
cannot be used, 4 the cluster did not answer within the timeout.
""",
)
@click.argument("service_key")
@click.option("--target", help="An explicit target, as code would give it: it wins.")
@timeout_option("How long the cluster may take to answer all that it is asked.")
@output_option("text", "json is one object.")
@cluster_options
@click.pass_context
def map_key(
    ctx: click.Context,
    *,
    service_key: str,
    target: str | None,
    timeout: float,
    output: str,
    kubeconfig: str | None,
    context: str,
    namespace: str,
) -> None:
    """Show which target SERVICE_KEY leads to, and each step on the way."""
    key = ServiceKey.parse(service_key)
    if namespace:
        check_namespace(namespace)
    naming = naming_context(kubeconfig, context, namespace)
    error: KubboError | None = None
    found: Mapping | None = None
    try:
        found = asyncio.run(
            _map(key, naming, target, timeout=timeout, named=bool(kubeconfig or context))
        )
    except (MappingError, ConfigError, _NoAnswerError) as raised:
        error = raised
    if output == "json":
        write_line(render_json(_as_json(key, found, error)))
    else:
        _print_text(key, found, error)
    if error is not None:
        ctx.exit(_exit(error))


async def _map(
    key: ServiceKey,
    naming: NamingContext,
    target: str | None,
    *,
    timeout: float,  # noqa: ASYNC109 - told in the error
    named: bool,
) -> Mapping:
    """The mapping, with the configuration that a consumer would have."""
    async with naming:
        cluster = _Cluster(naming, timeout, named=named)
        source = naming.environ.get(CONFIG_VARIABLE)
        if source:
            from kubbo.cli.config import load_view  # noqa: PLC0415 - few need it

            view = await cluster.ask(load_view(source, naming))
            naming.configure(view.configuration.targets())
        return await map_in_context(key, naming, explicit=target, services=cluster)


class _NoAnswerError(KubboError):
    """The cluster did not answer in the time that it was given."""


class _Cluster:
    """The cluster as a person asks it, who would take a guess for an answer.

    A consumer goes on with the rule when the cluster cannot be asked. Here silence, and credentials
    that were `named` on the command line and cannot be used, are the end.
    """

    def __init__(self, naming: NamingContext, timeout: float, *, named: bool) -> None:
        self._naming = naming
        self._timeout = timeout
        self._until = asyncio.get_running_loop().time() + timeout
        self._named = named

    async def providers(self) -> Providers:
        return await self.ask(self._naming.services().providers())

    async def service(self, namespace: str, name: str) -> ProviderService | None:
        return await self.ask(self._naming.services().service(namespace, name))

    async def ask(self, question: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout_at(self._until):
                return await question
        except TimeoutError:
            raise _NoAnswerError(
                f"no answer within {self._timeout:g} s; give it longer with --timeout, or check "
                "the API server (one that answers, answers `kubectl version`)"
            ) from None
        except ServiceLookupError as error:
            if self._named and error.unusable:
                raise ConfigError(str(error)) from None
            raise


def _exit(error: KubboError) -> Exit:
    if isinstance(error, _NoAnswerError) or isinstance(error.__cause__, _NoAnswerError):
        return Exit.DEADLINE
    if isinstance(error, MappingError) and not error.contradiction:
        return Exit.NO_PROVIDER
    return exit_code(error)


def _print_text(key: ServiceKey, found: Mapping | None, error: KubboError | None) -> None:
    write_line(printable(f"{key}: {found.target if found is not None else 'no target'}"))
    for each in _steps(found, error):
        found_text = f": {each.found}" if each.found else ""
        line = f"  {each.outcome.value:<13}  {each.source:<13}  {each.tried}{found_text}"
        write_line(printable(line))
    if error is not None:
        click.echo(f"kubbo: {_first_line(error)}", err=True)
    elif found is not None and not found.seen:
        click.echo(
            "kubbo: this is a guess: the cluster could not be asked for all that may know better",
            err=True,
        )


def _steps(found: Mapping | None, error: KubboError | None) -> tuple[MappingStep, ...]:
    if found is not None:
        return found.steps
    return error.steps if isinstance(error, MappingError) else ()


def _first_line(error: KubboError) -> str:
    """The error without its steps, which stand in the table."""
    return paragraph(error).partition("\n")[0].removesuffix(" Tried:")


def _as_json(key: ServiceKey, found: Mapping | None, error: KubboError | None) -> dict[str, Any]:
    """The answer as the object that scripts read; its keys are a promise."""
    return {
        "service": str(key),
        "target": None if found is None else str(found.target),
        "seen": None if found is None else found.seen,
        "steps": [
            {
                "source": each.source,
                "tried": each.tried,
                "found": each.found,
                "outcome": each.outcome.value,
            }
            for each in _steps(found, error)
        ],
        "reason": "" if error is None else _first_line(error),
    }
