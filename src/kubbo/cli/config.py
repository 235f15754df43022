"""`kubbo config`: why a setting has its value, whether a configuration can be used, its schema."""

from __future__ import annotations

import asyncio
import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubbo.cli.options import cluster_options, naming_context, output_option
from kubbo.cli.outcome import Exit, printable
from kubbo.cli.output import render_json, table, write_line
from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from kubbo.config.configuration import Configuration
    from kubbo.config.document import Issue
    from kubbo.config.layers import Explanation
    from kubbo.config.question import Question
    from kubbo.config.settings import Setting
    from kubbo.live.live import LiveConfiguration
    from kubbo.naming.open import NamingContext
    from kubbo.rpc.live import LiveView


@click.group("config")
def config() -> None:
    """Explain, check and describe configurations."""


# ---------------------------------------------------------------------------- explain
@config.command(
    epilog="""\b
Examples:
  kubbo config explain timeout@com.example.GreetService:1.0.0#greet --config kubbo.yaml
  kubbo config explain retries --config configmap:///kubbo.shop -o json
  kubbo config explain weight@com.example.GreetService@10.0.0.1:20880
"""
)
@click.argument("key", metavar="SETTING[@SERVICE_KEY[#METHOD]]")
@click.option(
    "--config",
    "source",
    envvar="KUBBO_CONFIG",
    show_envvar=True,
    metavar="SOURCE",
    help="A file, a directory (a mounted ConfigMap) or configmap:///NAME.NAMESPACE.",
)
@click.option(
    "--application",
    default="",
    metavar="NAME",
    help="The consumer's, for rules of applications; as Channel(application=...).",
)
@output_option("text", "json is one object.")
@cluster_options
def explain(
    *,
    key: str,
    source: str | None,
    application: str,
    output: str,
    kubeconfig: str | None,
    context: str,
    namespace: str,
) -> None:
    """Show each layer of a setting, the strongest first, and which one wins.

    Code is not seen here: what Channel(...), refer(...), @method(...) and options(...) say comes
    between, as docs/configuration.md tells. In a running program, kubbo.explain has all of it.
    """
    from kubbo.config.question import parse_question  # noqa: PLC0415 - when the command runs

    question = parse_question(key)
    if not source:
        raise ConfigError("there is no configuration: give --config, or set KUBBO_CONFIG")
    naming = naming_context(kubeconfig, context, namespace)
    view = asyncio.run(_view(source, naming, application))
    answer = question.answer(view.configuration, view.subject)
    if output == "json":
        write_line(render_json(_as_json(question, answer)))
        return
    write_line(f"{_asked(question)}: {_shown(answer)}")
    rows = [
        [
            "won" if each.won else "",
            each.layer.level.value,
            each.layer.origin,
            "-" if each.value is None else question.setting.show(each.value),
            "" if each.place is None else str(each.place),
        ]
        for each in answer.layers
    ]
    write_line(table(("", "LEVEL", "WHO SAYS IT", "VALUE", "WHERE"), rows))


async def _view(source: str, naming: NamingContext, application: str) -> LiveView:
    async with naming:
        return await load_view(source, naming, application)


async def load_view(source: str, naming: NamingContext, application: str = "") -> LiveView:
    """What is in force now.

    Raises:
        ConfigError: it cannot be read, or cannot be used.
    """
    from kubbo.live.live import LiveConfiguration  # noqa: PLC0415 - as above
    from kubbo.live.open import open_source  # noqa: PLC0415
    from kubbo.rpc.live import Viewer  # noqa: PLC0415

    taken: list[LiveView] = []
    viewer = Viewer(application, naming.environ, random.Random())  # noqa: S311 - makes no choice
    live: LiveConfiguration[LiveView] = LiveConfiguration(
        open_source(source, naming), prepare=viewer.view, apply=taken.append
    )
    try:
        await live.start()
    finally:
        await live.aclose()
    if not taken:
        raise ConfigError(f"the configuration {source}: {live.problem or 'it did not answer'}")
    return taken[-1]


def _asked(question: Question) -> str:
    of = [question.service, question.method and f"#{question.method}"]
    where = "".join(each for each in of if each)
    endpoint = f" at {question.endpoint}" if question.endpoint is not None else ""
    return f"{question.setting.key}{f' of {where}' if where else ''}{endpoint}"


def _shown(answer: Explanation) -> str:
    setting = answer.setting
    if answer.value is not None:
        return setting.show(answer.value)
    return f"{setting.default}, by default"


def _as_json(question: Question, answer: Explanation) -> dict[str, Any]:
    """The answer as the object that scripts read; its keys are a promise."""
    setting, value = question.setting, answer.value
    return {
        "setting": setting.key,
        "service": question.service or None,
        "method": question.method or None,
        "endpoint": None if question.endpoint is None else str(question.endpoint),
        "value": _plain(setting, setting.read(setting.default) if value is None else value),
        "layers": [
            {
                "level": each.layer.level.value,
                "origin": each.layer.origin,
                "value": _plain(setting, each.value),
                "place": None if each.place is None else str(each.place),
                "won": each.won,
            }
            for each in answer.layers
        ],
    }


def _plain(setting: Setting, value: Any) -> Any:
    """A value as JSON has it; a duration in milliseconds, as in a configuration."""
    from kubbo.config.settings import Kind  # noqa: PLC0415 - as above

    if setting.kind is Kind.DURATION and value is not None:
        return round(value * 1000, 6)
    return value


# ------------------------------------------------------------------------------- lint
@config.command(
    epilog="""\b
Exit codes: 0 everything can be used, 2 something cannot.
"""
)
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@click.option("--strict", is_flag=True, help="Fail for warnings, too: for what would be left out.")
@output_option("text", "json is one object a line.")
@click.pass_context
def lint(ctx: click.Context, *, paths: tuple[str, ...], strict: bool, output: str) -> None:
    """Check files, or directories as they would be mounted, without any cluster.

    Each FILE is a configuration of its own, and so is a directory with all its files.
    """
    failed = False
    for path in paths:
        for issue in _issues(Path(path)):
            failed = failed or issue.fatal or strict
            if output == "json":
                write_line(render_json(_issue_json(issue)))
            else:
                kind = "error" if issue.fatal else "warning"
                where = f"{issue.path}: " if issue.path else ""
                write_line(printable(f"{issue.place}: {kind}: {where}{issue.message}"))
    if failed:
        ctx.exit(Exit.USAGE)


def _issues(path: Path) -> tuple[Issue, ...]:
    from kubbo.config.configuration import read_configuration  # noqa: PLC0415 - as above
    from kubbo.config.document import ConfigurationError, Issue, Place  # noqa: PLC0415
    from kubbo.live.files import read_files  # noqa: PLC0415
    from kubbo.rpc.live import Viewer  # noqa: PLC0415

    try:
        _, files = read_files(path)
    except OSError as error:
        return (Issue(Place(str(path)), "", f"it cannot be read: {error.strerror or error}"),)
    if not files:
        return (Issue(Place(str(path)), "", "no file here is a configuration", fatal=False),)
    try:
        read: Configuration = read_configuration(files)
        Viewer("", os.environ, random.Random()).view(read)  # noqa: S311 - makes no choice
    except ConfigurationError as error:
        return error.issues
    return read.warnings


def _issue_json(issue: Issue) -> dict[str, Any]:
    return {
        "file": issue.place.file,
        "line": issue.place.line,
        "column": issue.place.column,
        "severity": "error" if issue.fatal else "warning",
        "path": issue.path,
        "message": issue.message,
    }


# ----------------------------------------------------------------------------- schema
@config.command()
def schema() -> None:
    """Print the JSON Schema of a configuration, for editors."""
    from kubbo.config.schema import make_schema  # noqa: PLC0415 - as above

    write_line(json.dumps(make_schema(), indent=2))
