"""Layers of options, and which of them wins.

Every source of a setting is a layer of one of five levels. The more special level wins; of the
same level, what was configured live wins over code (as Dubbo's external configuration does), and
what a consumer says over what a provider says (as in Dubbo):

    call          options(stub, ...)
    method        overrides, references.KEY.methods.M, @method(...), services.KEY.methods.M
    interface     overrides, references.KEY, refer(...), services.KEY
    application   consumer, Channel(...), provider
    default       Kubbo's own

There is one list of layers for a method. What a call uses is made from it, and so is its
explanation: they cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from kubbo.config.options import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kubbo.config.document import Place
    from kubbo.config.options import Parameter
    from kubbo.config.settings import Setting

__all__ = [
    "DEFAULTS",
    "ExplainedLayer",
    "Explanation",
    "Layer",
    "Level",
    "Source",
    "explain",
    "merge",
    "stack",
]


class Level(Enum):
    """How special a layer is, the most special one first."""

    CALL = "call"
    METHOD = "method"
    INTERFACE = "interface"
    APPLICATION = "application"
    DEFAULT = "default"


class Source(Enum):
    """Where a layer comes from; of the same level, the first one here wins."""

    LIVE = "live"
    CODE = "code"
    LIVE_PROVIDER = "live, of the provider"


@dataclass(frozen=True, slots=True)
class Layer:
    """Options of one source.

    `origin` names it, like `consumer` or `Channel(...)`. `written` has what a configuration says,
    by key, and where.
    """

    level: Level
    origin: str
    options: Options
    source: Source = Source.CODE
    written: Mapping[str, tuple[str, Place]] = field(default_factory=dict[str, "tuple[str, Place]"])


DEFAULTS: Final = Layer(
    Level.DEFAULT,
    "Kubbo",
    Options(timeout=DEFAULT_TIMEOUT, retries=DEFAULT_RETRIES),
)


_LEVELS: Final = {level: rank for rank, level in enumerate(Level)}
_SOURCES: Final = {source: rank for rank, source in enumerate(Source)}


def stack(*layers: Layer) -> tuple[Layer, ...]:
    """Layers with the strongest one first, and Kubbo's defaults; equals stay in their order."""
    ranked = sorted(layers, key=lambda layer: (_LEVELS[layer.level], _SOURCES[layer.source]))
    return (*ranked, DEFAULTS)


def merge(layers: Iterable[Layer]) -> Options:
    """The options of layers of which the first one is the strongest."""
    chosen = Options()
    for layer in layers:
        chosen = chosen.over(layer.options)
    return chosen


@dataclass(frozen=True, slots=True)
class ExplainedLayer:
    """What one layer says of a setting; `value` is None where it says nothing."""

    layer: Layer
    value: Parameter | None
    place: Place | None
    won: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Each layer of a setting, the strongest first, and the value that counts.

    `problem` is why the configuration that there is now is not the one in use; mostly empty.
    """

    setting: Setting
    layers: tuple[ExplainedLayer, ...]
    problem: str = ""

    @property
    def winner(self) -> ExplainedLayer | None:
        """The layer that won, None where none says anything."""
        return next((each for each in self.layers if each.won), None)

    @property
    def value(self) -> Parameter | None:
        """The value that counts, as `merge` has it; of no layer the default of the table."""
        won = self.winner
        return None if won is None else won.value


def explain(setting: Setting, layers: Iterable[Layer], problem: str = "") -> Explanation:
    """Why a setting has its value."""
    found: list[ExplainedLayer] = []
    won = False
    for layer in layers:
        value = setting.of(layer.options)
        if value is None and layer is DEFAULTS and setting.default:
            value = setting.read(setting.default)
        written = layer.written.get(setting.key)
        place = None if written is None else written[1]
        found.append(ExplainedLayer(layer, value, place, value is not None and not won))
        won = won or value is not None
    return Explanation(setting, tuple(found), problem)
