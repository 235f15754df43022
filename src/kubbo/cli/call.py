"""`kubbo call`: one call of one method, without any Python class."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from kubbo.cli.arguments import infer_type, parse_attachments, parse_json, parse_types
from kubbo.cli.options import cluster_options, naming_context, output_option, timeout_option
from kubbo.cli.outcome import printable
from kubbo.cli.output import render_json, write_line
from kubbo.errors import EncodeError, Progress, RpcError, UsageError
from kubbo.model import ServiceKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kubbo.model import Value
    from kubbo.naming import NamingContext
    from kubbo.rpc.channel import Channel


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
    help="The parameter types as Java writes them (empty for none), where the provider does not "
    "tell them and the guess from the values is wrong: java.lang.String, int or long, double, "
    "boolean, java.util.List, java.util.Map, or the object's class.",
)
@click.option(
    "--generic",
    is_flag=True,
    help="Call through $invoke: the provider finds the method by its name. Java's do, Kubbo's "
    "where they are told to.",
)
@click.option(
    "--attachment", multiple=True, metavar="KEY=VALUE", help="Sent with the call; repeatable."
)
@timeout_option("For finding a provider and for its answer, over all attempts.")
@output_option("json", "json is one line; text indents it and shows a string without quotes.")
@cluster_options
def call(
    *,
    target: str,
    service_key: str,
    method: str,
    arg: tuple[str, ...],
    types: str | None,
    generic: bool,
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
    asked = _Asked(
        target,
        service_key,
        method,
        values,
        types=None if types is None else _types(values, types),
        generic=generic,
        timeout=timeout,
        attachments=parse_attachments(attachment),
        naming=lambda: naming_context(kubeconfig, context, namespace),
    )
    result = asyncio.run(asked.run())
    if output == "text" and isinstance(result, str):
        write_line(printable(result))
    else:
        write_line(render_json(result, indent=2 if output == "text" else None))


def _types(values: Sequence[Any], given: str) -> tuple[str, ...]:
    names = parse_types(given)
    if len(names) != len(values):
        raise UsageError(
            f"--types names {len(names)} types ({', '.join(names) or 'none'}) and there are "
            f"{len(values)} arguments; give one type for each"
        )
    return names


def _arguments(types: Sequence[str], values: Sequence[Any]) -> list[Value]:
    """The values as the Java types want them: `"1.50"` is a BigDecimal for one.

    Raises:
        EncodeError: a value does not fit its type.
    """
    return [_argument(*each) for each in zip(values, types, range(1, 256), strict=False)]


def _argument(value: Any, type_name: str, number: int) -> Value:
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


def _fit(types: Sequence[str], values: Sequence[Any]) -> bool:
    try:
        _arguments(types, values)
    except EncodeError:
        return False
    return True


def _decide(values: Sequence[Any]) -> bool:
    """Whether the values say themselves what they are: texts, and objects with their class."""
    return all(isinstance(one, str) or (isinstance(one, dict) and "class" in one) for one in values)


@dataclass(slots=True)
class _Asked:
    """One call as it was asked for. Arguments and result are JSON values.

    Where neither `types` nor the values say the method's types, the provider is asked for them
    first; where it refuses the types that the values say, it is asked then. Either is one call
    more, within the deadline. `timeout` is in seconds.
    """

    target: str
    service_key: str
    method: str
    values: Sequence[Any]
    types: Sequence[str] | None
    generic: bool
    timeout: float
    attachments: dict[str, str]
    naming: Callable[[], NamingContext]
    until: float = 0.0

    async def run(self) -> Any:
        """Make the call."""
        from kubbo.config import Options  # noqa: PLC0415 - as it runs
        from kubbo.naming import KubernetesTarget, parse_target  # noqa: PLC0415
        from kubbo.rpc.channel import Channel  # noqa: PLC0415
        from kubbo.wire.hessian2 import TypeRegistry  # noqa: PLC0415
        from kubbo.wire.hessian2.jsonform import to_json  # noqa: PLC0415
        from kubbo.wire.hessian2.mapform import from_map_form  # noqa: PLC0415

        parsed = parse_target(self.target)
        self.target = str(parsed)
        key = ServiceKey.parse(self.service_key)
        Options(self.timeout)  # out of its range, it is told now
        if self.types is not None:
            _arguments(self.types, self.values)
        context = self.naming()
        async with Channel(naming=context, application="kubbo-cli", config="") as channel:
            if isinstance(parsed, KubernetesTarget):
                # Before the clock runs: a credential plugin may take seconds. And a kubeconfig
                # that cannot be used is a mistake to tell by itself, not a lack of providers.
                await context.cluster()
            self.until = asyncio.get_running_loop().time() + self.timeout
            if self.types is not None or self.generic:
                result = await self._send(channel, key, self.types, self.values)
            else:
                result = await self._infer(channel, key)
            if self.generic:
                result = from_map_form(result, None, TypeRegistry(), records=True)
            return to_json(result)

    def _left(self) -> float:
        return max(0.001, self.until - asyncio.get_running_loop().time())

    async def _infer(self, channel: Channel, key: ServiceKey) -> Value:
        """Make the call with types that nobody gave."""
        from kubbo.cli.asking import ask_definition, misunderstood  # noqa: PLC0415 - as it runs
        from kubbo.cli.definitions import choose, listed  # noqa: PLC0415

        decided = _decide(self.values)
        if not decided:
            # Half of the time at most: a provider that does not answer this may answer the call.
            definition = await ask_definition(channel, self.target, key, timeout=self._left() / 2)
            chosen = definition and choose(definition, self.method, self.values, _fit)
            if chosen:
                return await self._send(channel, key, *chosen)
        types = tuple(infer_type(value, number) for number, value in enumerate(self.values, 1))
        try:
            return await self._send(channel, key, types, self.values)
        except RpcError as error:
            if not (decided and misunderstood(error) and error.progress is Progress.NOT_SENT):
                raise
            definition = await ask_definition(channel, self.target, key, timeout=self._left() / 2)
            if definition is None:
                raise
            try:
                chosen = choose(definition, self.method, self.values, _fit)
            except UsageError as mistake:
                error.__notes__ = [str(mistake)]
                raise error from None
            if chosen is None:
                asked = f"{self.method}({', '.join(types)})"
                error.__notes__ = [f"{asked} was asked for; there are {listed(definition.methods)}"]
                raise
        return await self._send(channel, key, *chosen)

    async def _send(
        self, channel: Channel, key: ServiceKey, types: Sequence[str] | None, values: Sequence[Any]
    ) -> Value:
        from kubbo.cli.asking import misunderstood  # noqa: PLC0415 - as it runs
        from kubbo.wire.hessian2.jsonform import from_json  # noqa: PLC0415

        if types is None:
            arguments = [from_json(value) for value in values]
        else:
            arguments = _arguments(types, values)
        reference = channel.generic(key, self.target, timeout=self._left())
        try:
            return await reference.call(
                self.method,
                types=types,
                args=arguments,
                via="$invoke" if self.generic else None,
                attachments=self.attachments,
            )
        except RpcError as error:
            if misunderstood(error) and not self.generic:
                error.add_note(
                    f"{self.method}({', '.join(types or ())}) of {key} was asked for; if it is "
                    "declared with other parameter types, give those with --types, as Java "
                    "writes them, or let the provider find it with --generic"
                )
            raise
