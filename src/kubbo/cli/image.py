"""`kubbo image`: an image of an application, without an engine that builds images."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kubbo.cli.loading import (
    check_program,
    import_from_here,
    load_object,
    read_interfaces,
)
from kubbo.cli.outcome import printable
from kubbo.cli.output import render_json, write_line
from kubbo.errors import UsageError

if TYPE_CHECKING:
    from kubbo.image import Built

_LABEL: Final = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_SHOWN_NOTES: Final = 20
_PORT: Final = 20880


@click.command(
    epilog="""\b
Examples:
  kubbo image greeter:Greeter -t registry.example/greeter:1.0 -o greeter.tar
  kubbo image shop.main:make_services -t shop:2 -o shop.tar --add prices.csv --with asyncpg
  kubbo image --consumer checkout -t checkout:1 -o checkout.tar

\b
The archive is loaded with one of:
  ctr -n k8s.io images import greeter.tar        into a node's containerd
  podman load -i greeter.tar
  skopeo copy oci-archive:greeter.tar docker://registry.example/greeter:1.0
"""
)
@click.argument("what", metavar="MODULE:OBJECT")
@click.option(
    "-t", "--tag", "reference", required=True, metavar="NAME:TAG", help="The image's name."
)
@click.option(
    "-o", "--output", "path", required=True, metavar="FILE", help="The archive that is written."
)
@click.option(
    "--consumer",
    is_flag=True,
    help="A MODULE is given, which `python -m` runs: a program that serves nothing.",
)
@click.option(
    "--command",
    default="",
    metavar="COMMAND",
    help="What the image runs, of the MODULE that is given, instead of `kubbo serve`.",
)
@click.option(
    "--port",
    type=click.IntRange(1024, 65535),
    show_default="20880",
    help="That is served on, or that COMMAND listens on.",
)
@click.option(
    "--add",
    "added",
    multiple=True,
    metavar="PATH[:DST]",
    help="A file or directory more, in /app or at DST. May be repeated.",
)
@click.option(
    "--with",
    "required",
    multiple=True,
    metavar="DISTRIBUTION",
    help="One more that is installed here, which no module imports by name. May be repeated.",
)
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE", help="One more. May be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
def image(
    *,
    what: str,
    reference: str,
    path: str,
    consumer: bool,
    command: str,
    port: int | None,
    added: tuple[str, ...],
    required: tuple[str, ...],
    labels: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write an OCI image archive that serves OBJECT of MODULE, without Docker and without root.

    It is made of what is here: the Python that runs this, the libraries that it needs, Kubbo,
    the distributions that MODULE imports and what those require, and MODULE with the modules
    beside it that it imports. The same input gives the same digest; SOURCE_DATE_EPOCH is the
    time in it. OBJECT is as for `kubbo serve`.
    """
    # Imported when the command runs, not with the command line.
    from kubbo.image import Image, build, mebibytes, parse_added  # noqa: PLC0415
    from kubbo.manifests.workload import USER  # noqa: PLC0415

    module, runs, ports = command_of(what, command, port, consumer=consumer)
    built = build(
        Image(
            module=module,
            reference=_checked(reference),
            command=runs,
            user=USER,
            ports=ports,
            added=tuple(map(parse_added, added)),
            required=required,
            labels=_labels(labels),
        ),
        Path(path),
        say=_say,
    )
    for note in built.notes[:_SHOWN_NOTES]:
        _say(f"note: {note}")
    if len(built.notes) > _SHOWN_NOTES:
        _say(f"({len(built.notes) - _SHOWN_NOTES} more notes: --json)")
    if as_json:
        write_line(render_json(_json(built, path, runs)))
    else:
        size = mebibytes(built.size)
        write_line(printable(f"{path}: {built.reference}, {size}, {built.digest}"))


def _say(text: str) -> None:
    click.echo(printable(text), err=True)


def command_of(
    what: str, command: str, port: int | None, *, consumer: bool
) -> tuple[str, tuple[str, ...], tuple[int, ...]]:
    """The module, what the image runs, and the ports that this listens on."""
    if consumer and command:
        raise UsageError("--consumer says what runs already: leave out one of it and --command")
    if consumer:
        check_program(what)
        return what, ("python", "-m", what), ()
    if command:
        try:
            runs = tuple(shlex.split(command))
        except ValueError as error:
            raise UsageError(f"--command {command!r} cannot be read: {error}") from None
        if not runs:
            raise UsageError("--command is empty; write it like --command 'python -m shop.main'")
        import_from_here()
        return what.partition(":")[0], runs, (port,) if port else ()
    found = load_object(what)
    asyncio.run(read_interfaces(found, what))
    port = port or _PORT
    return what.partition(":")[0], ("kubbo", "serve", what, f"--port={port}"), (port,)


def _checked(reference: str) -> str:
    """A name that a kubelet can be given, and that has a tag."""
    from kubbo.manifests.names import check_image  # noqa: PLC0415 - when a command runs

    check_image(reference)
    name, at, _ = reference.partition("@")
    if at:
        raise UsageError(
            f"{reference!r} has a digest, which is known when the image has been made; "
            f"did you mean {name!r}?"
        )
    if ":" not in reference.rpartition("/")[2]:
        raise UsageError(
            f"{reference!r} has no tag, by which one image is told from the next; "
            f"did you mean {f'{reference}:1'!r}?"
        )
    return reference


def _labels(pairs: tuple[str, ...]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not _LABEL.fullmatch(key):
            raise UsageError(
                f"--label {pair[:100]!r} is no KEY=VALUE; write it like "
                "org.opencontainers.image.source=https://git.example/greeter"
            )
        labels[key] = value
    return labels


def _json(built: Built, path: str, command: tuple[str, ...]) -> Any:
    return {
        "reference": built.reference,
        "archive": path,
        "size": built.size,
        "digest": built.digest,
        "platform": built.platform,
        "command": list(command),
        "layers": [
            {"content": name, "digest": each.digest, "size": each.size}
            for name, each in built.layers.items()
        ],
        "distributions": dict(built.distributions),
        "modules": list(built.modules),
        "notes": list(built.notes),
    }
