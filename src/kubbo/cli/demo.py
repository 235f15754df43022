"""`kubbo demo`: what happens is told on stdout (with `-o json` on stderr), the count at the end."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from kubbo.cli.options import Finite, cluster_options, naming_context, output_option
from kubbo.cli.outcome import Exit, paragraph, printable
from kubbo.cli.output import render_json, write_line

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Coroutine

    from kubbo.demo.load import Provider, Tally

__all__ = ["demo"]

_BAR: Final = 30  # columns of the longest bar
_COLOURS: Final = ("cyan", "green", "yellow", "magenta", "blue")
_CLEAR: Final = "\r\x1b[K"


@click.command(short_help="See calls survive scaling, a kill and a rollout.")
@cluster_options
@click.option("--in-cluster", is_flag=True, help="Use the service account of this pod.")
@click.option(
    "--target",
    metavar="TARGET",
    help="Whom to call in a real cluster.  [default: kubernetes:///greeter:dubbo]",
)
@click.option(
    "--duration",
    type=Finite(1, 24 * 3600),
    default=30.0,
    show_default=True,
    help="Seconds for which to call in a real cluster.",
)
@click.option(
    "--rate",
    type=Finite(1, 2000),
    default=200.0,
    show_default=True,
    help="Calls a second.",
)
@output_option("text", "How to print the count at the end.")
@click.pass_context
def demo(
    ctx: click.Context,
    *,
    kubeconfig: str | None,
    context: str,
    namespace: str,
    in_cluster: bool,
    target: str | None,
    duration: float,
    rate: float,
    output: str,
) -> None:
    """See a consumer follow its providers without losing a call.

    As it is, everything runs here and ends by itself in half a minute: a small API server of
    Kubernetes, three providers as processes of their own, and a consumer that finds them
    through it. Then they are scaled, one is killed, and all are replaced by a new version.

    With --kubeconfig, --context, --namespace, --target or --in-cluster nothing is started:
    it calls com.example.GreetService:1.0.0 in that cluster and shows who answers.

    Exit code 0 when no call was lost, 1 when one was.
    """
    from kubbo.demo import story  # noqa: PLC0415 - what it needs is for this command alone
    from kubbo.demo.load import Tally  # noqa: PLC0415

    tally = Tally()
    screen = _Screen(err=output == "json")
    real = in_cluster or any((kubeconfig, context, namespace, target))
    if real:
        naming = naming_context(kubeconfig, context, namespace)
        scenes = story.watch(
            screen,
            tally,
            target=target or "kubernetes:///greeter:dubbo",
            naming=naming,
            rate=rate,
            duration=duration,
        )
    else:
        scenes = story.play(screen, tally, rate=rate)
    try:
        asyncio.run(_until_signal(scenes))
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.say("interrupted; everything that was started has been ended")
        _print_count(tally, screen, output, complete=False)
        ctx.exit(Exit.INTERRUPTED)
    if real and not tally.answered and tally.errors:
        raise tally.errors[0]
    _print_count(tally, screen, output, complete=True)
    if tally.lost:
        for error in tally.errors:
            click.echo(f"kubbo: lost: {paragraph(error)}", err=True)
        ctx.exit(Exit.REFUSED)


async def _until_signal(scenes: Coroutine[Any, Any, None]) -> None:
    """Run; SIGTERM ends it as Ctrl-C does."""
    task = asyncio.ensure_future(scenes)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _print_count(tally: Tally, screen: _Screen, output: str, *, complete: bool) -> None:
    addresses = sorted(tally.addresses, key=lambda address: (len(address), address))
    if output == "json":
        count = {
            "calls": tally.made,
            "lost": tally.lost,
            "repeated": tally.repeated,
            "slowest": round(tally.slowest, 4),
            "seconds": round(screen.elapsed, 1),
            "addresses": addresses,
            "providers": [
                {"pod": provider.pod, "address": provider.address, "answered": answered}
                for provider, answered in tally.answered.items()
            ],
            "complete": complete,
        }
        write_line(render_json(count))
        return
    colour = "red" if tally.lost else "green"
    screen.act("Count")
    screen.line(f"  Calls made:     {tally.made:,}")
    screen.line(click.style(f"  Calls lost:     {tally.lost:,}", fg=colour, bold=True))
    screen.line(f"  Repeated:       {tally.repeated:,}")
    screen.line(f"  Slowest call:   {tally.slowest * 1000:,.0f} ms")
    screen.line(f"  Addresses seen: {len(addresses)} ({printable(', '.join(addresses))})")


class _Screen:
    """The audience of the story that sits before a terminal, or behind a pipe."""

    def __init__(self, *, err: bool) -> None:
        self._err = err
        self._live = (sys.stderr if err else sys.stdout).isatty()
        self._began = time.monotonic()
        self._dirty = False
        self._groups: list[str] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def line(self, text: str) -> None:
        """Print a line, over the progress if that stands there."""
        click.echo((_CLEAR if self._dirty else "") + text, err=self._err)
        self._dirty = False

    def act(self, title: str) -> None:
        """See `Audience`."""
        self.line("")
        self.line(
            click.style(title, bold=True) + click.style(f"  ({self.elapsed:.1f} s)", dim=True)
        )

    def say(self, text: str) -> None:
        """See `Audience`."""
        self.line(f"  {printable(text)}")

    def progress(self, tally: Tally) -> None:
        """See `Audience`. A pipe gets whole lines only."""
        if not self._live:
            return
        lost = click.style(f"{tally.lost} lost", fg="red" if tally.lost else "green")
        text = f"{_CLEAR}  {tally.made:,} calls, {lost}, {len(tally.addresses)} addresses seen"
        click.echo(text, nl=False, err=self._err)
        self._dirty = True

    def answers(self, answered: Counter[Provider], seconds: float) -> None:
        """See `Audience`."""
        total = sum(answered.values())
        self.say(f"answered in {seconds:.1f} s: {total:,} calls")
        most = max(answered.values(), default=0)
        for provider, count in sorted(answered.items()):
            if not count:
                continue
            bar = click.style("#" * max(1, round(_BAR * count / most)), fg=self._colour(provider))
            name = printable(f"{provider.pod:<18} {provider.address:<21}")
            self.line(f"    {name} {count:>6,}  {bar}")

    def _colour(self, provider: Provider) -> str:
        """One for each version: pods that differ in their last part only look the same."""
        group = provider.pod.rpartition("-")[0]
        if group not in self._groups:
            self._groups.append(group)
        return _COLOURS[self._groups.index(group) % len(_COLOURS)]
