"""Options that several commands share, and the naming context that they ask for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubbo.naming.open import NamingContext

__all__ = [
    "Finite",
    "cluster_options",
    "naming_context",
    "output_option",
    "own_namespace",
    "timeout_option",
]

F = TypeVar("F", bound="Callable[..., Any]")

DEFAULT_TIMEOUT: Final = 5.0
"""Seconds. More than a program's 1 s: a person's call begins by finding the providers."""


def cluster_options(command: F) -> F:
    """Which cluster and whose credentials: `kubeconfig`, `context`, `namespace`."""
    for option in (
        click.option(
            "-n",
            "--namespace",
            default="",
            metavar="NAME",
            help="Namespace of a target that names none.",
        ),
        click.option(
            "--context", default="", metavar="NAME", help="Context of the kubeconfig to use."
        ),
        click.option(
            "--kubeconfig",
            metavar="FILE",
            help="Instead of $KUBECONFIG, the pod's service account or ~/.kube/config.",
        ),
    ):
        command = option(command)
    return command


def output_option(default: str, description: str) -> Callable[[F], F]:
    """`-o json|text`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["json", "text"]),
        default=default,
        show_default=True,
        help=description,
    )


class Finite(click.FloatRange):
    """A number of a range. Python reads "nan", too, and finds it outside of none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType`."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number.", param, ctx)
        return number


def timeout_option(description: str) -> Callable[[F], F]:
    """`--timeout SECONDS`, up to a day."""
    return click.option(
        "--timeout",
        type=Finite(min=0, min_open=True, max=24 * 3600),
        default=DEFAULT_TIMEOUT,
        show_default=True,
        metavar="SECONDS",
        help=description,
    )


def naming_context(kubeconfig: str | None, context: str, namespace: str) -> NamingContext:
    """What the cluster options say.

    Raises:
        TargetError: no namespace can have that name.
    """
    from kubbo.naming.open import NamingContext  # noqa: PLC0415 - when a command runs
    from kubbo.naming.target import check_namespace  # noqa: PLC0415

    if namespace:
        check_namespace(namespace)
    return NamingContext(kubeconfig=kubeconfig, context=context, namespace=namespace)


def own_namespace(kubeconfig: str | None, context: str) -> str:
    """The namespace of the credentials. What cannot be used matters only if it was named."""
    from kubbo.naming.kubernetes.credentials import load_access  # noqa: PLC0415 - loads YAML

    try:
        return load_access(kubeconfig=kubeconfig, context=context).namespace
    except ConfigError:
        if kubeconfig or context:
            raise
        return "default"
