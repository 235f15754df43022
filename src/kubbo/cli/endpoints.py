"""`kubbo endpoints`: what discovery sees of a target, without calling anybody."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, assert_never

import click

from kubbo.cli.options import cluster_options, naming_context, output_option, timeout_option
from kubbo.cli.outcome import Exit, exit_code
from kubbo.cli.output import render_json, table, write_error, write_line
from kubbo.errors import KubboError, UsageError
from kubbo.naming.resolution import Absent, Failed, Members, Pending

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.model import Endpoint, Step
    from kubbo.naming.open import NamingContext
    from kubbo.naming.resolution import Resolution, Resolver


@click.command(
    epilog="""\b
Examples:
  kubbo endpoints kubernetes:///greeter.shop:dubbo
  kubbo endpoints kubernetes:///greeter.shop:dubbo --watch -o json | jq .endpoints
  kubbo endpoints kubernetes:///greeter.shop:dubbo --all

\b
Exit codes: 0 there are endpoints, 3 there are none (the reason is printed),
4 nothing was known within the timeout.
"""
)
@click.argument("target")
@click.option("--watch", is_flag=True, help="Go on, and show each view when it is published.")
@click.option(
    "--all", "everything", is_flag=True, help="Also those that may not be called: not ready, ..."
)
@timeout_option("How long to wait for the first view, without --watch.")
@output_option("text", "json is one object a line, one line for each view.")
@cluster_options
@click.pass_context
def endpoints(
    ctx: click.Context,
    target: str,
    *,
    watch: bool,
    everything: bool,
    timeout: float,
    output: str,
    kubeconfig: str | None,
    context: str,
    namespace: str,
) -> None:
    """Show the providers that TARGET has now, as discovery sees them."""
    show = _Show(json=output == "json", everything=everything, many=watch)
    ctx.exit(
        asyncio.run(
            _run(
                target,
                lambda: naming_context(kubeconfig, context, namespace),
                show,
                timeout=None if watch else timeout,
            )
        )
    )


async def _run(
    target: str,
    naming: Callable[[], NamingContext],
    show: _Show,
    *,
    timeout: float | None,  # noqa: ASYNC109 - of the first view alone
) -> Exit:
    """Print what is published until it is enough; without `timeout`, until interrupted."""
    from kubbo.naming.open import open_resolver  # noqa: PLC0415 - when a command runs
    from kubbo.naming.target import parse_target  # noqa: PLC0415

    parsed = parse_target(target)
    show.target = str(parsed)
    async with naming() as context:
        resolver = open_resolver(parsed, context)
        views: asyncio.Queue[Resolution | None] = asyncio.Queue()
        watcher = asyncio.create_task(_watch(resolver, views), name="kubbo endpoints")
        try:
            return await _follow(views, show, timeout)
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)


async def _watch(resolver: Resolver, views: asyncio.Queue[Resolution | None]) -> None:
    """Queue each view, and None after the last one."""
    try:
        await resolver.watch(views.put_nowait)
    except KubboError as error:
        views.put_nowait(Failed(error))
    finally:
        views.put_nowait(None)


async def _follow(
    views: asyncio.Queue[Resolution | None],
    show: _Show,
    timeout: float | None,  # noqa: ASYNC109 - of the first view alone
) -> Exit:
    last: Resolution = Pending()
    try:
        async with asyncio.timeout(timeout):
            while (view := await views.get()) is not None:
                last = view
                if timeout is None or not isinstance(view, Pending):
                    show(view)
                if timeout is not None and not isinstance(view, Pending):
                    break
    except TimeoutError:
        show(last)
        if not show.json:
            write_error(
                f"kubbo: {show.target}: nothing is known after {timeout:g} s; give it longer "
                "with --timeout, or check the source (an API server answers `kubectl version`)"
            )
        return Exit.DEADLINE
    match last:
        case Members() | Pending():
            return Exit.ANSWERED
        case Absent():
            return Exit.NO_PROVIDER
        case Failed(error):
            # A kubeconfig that cannot be used is the user's; a cluster that is silent is not.
            return exit_code(error) if isinstance(error, UsageError) else Exit.NO_PROVIDER
        case _:
            assert_never(last)


class _Show:
    """Prints views. `many` tells the views of a text apart by the time of day."""

    def __init__(self, *, json: bool, everything: bool, many: bool) -> None:
        self.json = json
        self.target = ""
        self._everything = everything
        self._many = many

    def __call__(self, view: Resolution) -> None:
        if self.json:
            write_line(render_json(self.as_json(view, asyncio.get_running_loop().time())))
        else:
            self._print_text(view)

    def as_json(self, view: Resolution, now: float) -> dict[str, Any]:
        """A view as the object that scripts read; its keys are a promise."""
        stale_since: float | None = None
        match view:
            case Pending():
                state, reason = "pending", ""
            case Members():
                state, reason = "members", ""
                if view.stale_since is not None:
                    stale_since = round(max(0.0, now - view.stale_since), 3)
            case Absent():
                state, reason = "absent", view.reason
            case Failed():
                state, reason = "failed", str(view.error)
            case _:
                assert_never(view)
        return {
            "target": self.target,
            "state": state,
            "endpoints": [
                {
                    "host": one.host,
                    "port": one.port,
                    "zone": one.zone,
                    "node": one.node,
                    "ready": one.ready,
                    "serving": one.serving,
                    "terminating": one.terminating,
                    "weight": one.weight,
                }
                for one in self._listed(view)
            ],
            "stale_since": stale_since,
            "steps": [
                {"name": one.name, "count": one.count, "note": one.note} for one in _steps(view)
            ],
            "reason": reason,
        }

    def _listed(self, view: Resolution) -> tuple[Endpoint, ...]:
        callable_now = view.endpoints if isinstance(view, Members) else ()
        if self._everything and isinstance(view, (Members, Absent)):
            return (*callable_now, *view.excluded)
        return callable_now

    def _funnel(self, steps: tuple[Step, ...]) -> str:
        """How the endpoints were found, without the target, which stands in front of it.

        What else naming says stays: which of several sources answers, what a snapshot is of.
        """
        shown = [str(one) for one in steps if one.name != "naming" or one.note != self.target]
        return "  " + " > ".join(shown) if shown else ""

    def _print_text(self, view: Resolution) -> None:
        listed = self._listed(view)
        lines: list[str] = []
        if self._many:
            lines.append(time.strftime("%H:%M:%S"))
        match view:
            case Pending():
                lines.append(f"{self.target}: nothing is known yet")
            case Members():
                lines.append(f"{self.target}: {_counted(view)}")
            case Absent():
                lines.append(f"{self.target}: no provider")
            case Failed():
                lines.append(f"{self.target}: failed")
            case _:
                assert_never(view)
        lines.append(self._funnel(_steps(view)))
        if listed:
            lines.append(table(("ADDRESS", "ZONE", "NODE", "WEIGHT", "STATE"), _rows(view, listed)))
        write_line("\n".join(line for line in lines if line))
        reason = ""
        if isinstance(view, Absent):
            reason = view.reason
        elif isinstance(view, Failed):
            reason = str(view.error)
        if reason:
            write_error(f"kubbo: {reason}")


def _counted(view: Members) -> str:
    count = len(view.endpoints)
    text = "1 endpoint" if count == 1 else f"{count} endpoints"
    if view.excluded:
        text += f", {len(view.excluded)} more may not be called (--all)"
    if view.stale_since is not None:
        stale = asyncio.get_running_loop().time() - view.stale_since
        text += f"; the source is lost since {max(0.0, stale):.1f} s, these are the last known"
    return text


def _steps(view: Resolution) -> tuple[Step, ...]:
    return () if isinstance(view, Pending) else view.steps


def _rows(view: Resolution, listed: tuple[Endpoint, ...]) -> list[tuple[str, ...]]:
    endpoints = view.endpoints if isinstance(view, Members) else ()
    called = {one.key for one in endpoints}
    return [
        (
            str(one),
            one.zone or "-",
            one.node or "-",
            str(one.weight),
            _conditions(one) + ("" if one.key in called else " (not called)"),
        )
        for one in listed
    ]


def _conditions(endpoint: Endpoint) -> str:
    """The conditions of an EndpointSlice in the words of kubectl."""
    words = ["ready" if endpoint.ready else "serving" if endpoint.serving else "not ready"]
    if endpoint.terminating:
        words.append("terminating")
    return ", ".join(words)
