"""Reading the numbers among the parameters of a reference, which may come as text."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubbo.config import Parameter

__all__ = ["number", "numbers"]


def number(
    parameters: Mapping[str, Parameter],
    name: str,
    default: float,
    least: float = -inf,
    most: float = inf,
) -> float:
    """A parameter that is a finite number between `least` and `most`; never NaN.

    Raises:
        ConfigError: it is none.
    """
    given = parameters.get(name, default)
    try:
        value = float(given)
    except (ValueError, OverflowError):  # no number, or one of hundreds of digits
        value = nan
    if not -inf < value < inf:
        raise ConfigError(f"{name}={given!r} is no number")
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
