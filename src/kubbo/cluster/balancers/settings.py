"""Reading the parameters of balancers, which may come as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.config import Parameter

__all__ = ["number", "numbers"]


def number(
    parameters: Mapping[str, Parameter], name: str, default: float, least: float, most: float
) -> float:
    """A parameter that is a number between `least` and `most`.

    Raises:
        ConfigError: it is none.
    """
    given = parameters.get(name, default)
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if isinstance(given, bool) or not least <= value <= most:
        raise ConfigError(f"{name}={given!r} is not a number from {least:g} to {most:g}")
    return value


def numbers(parameters: Mapping[str, Parameter], name: str, default: str) -> tuple[int, ...]:
    """A parameter that is a list of whole numbers from 0 on, like `0,2`.

    Raises:
        ConfigError: it is none.
    """
    given = parameters.get(name, default)
    parts = [part.strip() for part in str(given).split(",")]
    if isinstance(given, bool) or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"{name}={given!r} is no list of places from 0 on, like 0,2")
    return tuple([int(part) for part in parts])
