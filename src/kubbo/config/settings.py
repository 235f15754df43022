"""The table of everything that a configuration may set, one row a setting.

The reader, the JSON Schema, `kubbo config explain` and the table of docs/configuration.md are all
made from these rows: whoever adds a setting adds a row (and, where it is an option of every call,
a field of `Options`).

Keys are Dubbo's, and so are their units: a duration is a whole number of milliseconds, or has its
unit with it (`500ms`, `0.5s`, `2m`). Inside of Kubbo durations are seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from kubbo.config.options import DEFAULT_RETRIES, DEFAULT_TIMEOUT, Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kubbo.config.options import Parameter

__all__ = [
    "CONSUMER",
    "ENDPOINT_SETTINGS",
    "IGNORED",
    "PROVIDER",
    "SETTINGS",
    "Kind",
    "Setting",
    "make_options",
    "suggestion",
]

CONSUMER: Final = "consumer"
PROVIDER: Final = "provider"

_DAY_MS: Final = 86_400_000
_MILLION: Final = 1_000_000
_LONGEST: Final = 10_000
"""Characters of a text."""

_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(ms|s|m|h)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRUE: Final = frozenset({"true", "yes", "on"})
_FALSE: Final = frozenset({"false", "no", "off"})


class Kind(Enum):
    """What a value looks like."""

    DURATION = "duration"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NAME = "name"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row.

    Attributes:
        key: in a configuration. Dubbo's, unless `origin` says otherwise.
        kind: what its values look like.
        meaning: one sentence for the table.
        default: as one would write it.
        low: least number; of a duration in milliseconds.
        high: greatest number; likewise.
        names: those that a NAME may be.
        field: of `Options`; empty for a parameter of a policy or balancer, by its key.
        form: regular expression that a TEXT has to match.
        sides: whose sections may have it; what a provider's section says of a call counts less
            than a consumer's, at the same level.
        method: whether a single method may have it.
        live: whether a change reaches calls without a restart.
        origin: how it differs from Dubbo's setting of that name.
    """

    key: str
    kind: Kind
    meaning: str
    default: str = ""
    low: float = 0
    high: float = _MILLION
    names: tuple[str, ...] = ()
    field: str = ""
    form: str = r"[^\x00-\x1f]+"
    sides: tuple[str, ...] = (CONSUMER, PROVIDER)
    method: bool = True
    live: bool = True
    origin: str = "as Dubbo"

    def read(self, text: str) -> Parameter:
        """The value that a text stands for; a duration in seconds.

        Raises:
            ValueError: it is no value of this setting; the message says what would be.
        """
        match self.kind:
            case Kind.DURATION:
                return self._duration(text)
            case Kind.INTEGER:
                if not re.fullmatch(r"[-+]?[0-9]{1,18}", text):
                    raise ValueError(f"{text[:60]!r} is no whole number")
                return self._within(int(text), text)
            case Kind.NUMBER:
                if not re.fullmatch(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?", text):
                    raise ValueError(f"{text[:60]!r} is no number")
                return self._within(float(text), text)
            case Kind.BOOLEAN:
                if text.lower() not in _TRUE | _FALSE:
                    raise ValueError(f"{text[:60]!r} is neither true nor false")
                return text.lower() in _TRUE
            case Kind.NAME:
                if text not in self.names:
                    hint = suggestion(text, self.names) or f"; write {', '.join(self.names)}"
                    raise ValueError(f"{text[:60]!r} is no {self.key}{hint}")
                return text
            case Kind.TEXT:
                if len(text) > _LONGEST or not re.fullmatch(self.form, text):
                    raise ValueError(
                        f"{text[:60]!r} is no {self.key}; write it like {self.default}"
                    )
                return text

    def _duration(self, text: str) -> float:
        if re.fullmatch("[0-9]{1,12}", text):
            seconds = int(text) / 1000
        elif match := _DURATION.fullmatch(text):
            seconds = float(match[1]) * _UNITS[match[2]]
        else:
            raise ValueError(
                f"{text[:60]!r} is no duration: write milliseconds (500) or a unit (500ms, 0.5s)"
            )
        self._within(seconds * 1000, text)
        return seconds

    def _within(self, number: float, text: str) -> float:
        if not self.low <= number <= self.high:
            raise ValueError(f"{text[:60]} is not between {self.range}")
        return number

    @property
    def range(self) -> str:
        """Like `1 and 100`; empty where it is no number."""
        if self.kind is Kind.DURATION:
            return f"{self.low:g} ms and {show_duration(self.high / 1000)}"
        if self.kind in (Kind.INTEGER, Kind.NUMBER):
            return f"{self.low:.17g} and {self.high:.17g}"
        return ""

    def of(self, options: Options) -> Parameter | None:
        """The value in options, None where they leave it open."""
        if not self.field:
            return options.parameters.get(self.key)
        value: Parameter | None = getattr(options, self.field)
        return value

    def show(self, value: Parameter) -> str:
        """A value as one would write it."""
        if self.kind is Kind.DURATION and not isinstance(value, str):
            return show_duration(value)
        return str(value).lower() if isinstance(value, bool) else str(value)


def show_duration(seconds: float) -> str:
    """Like `500 ms`, with what is too long for that in seconds."""
    milliseconds = seconds * 1000
    if milliseconds < 100_000:
        return f"{milliseconds:.6g} ms"
    return f"{seconds:.10g} s"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean ...?` where something known is spelled nearly like it; else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - for mistakes only

    by_folded = {each.lower(): each for each in known}
    found = get_close_matches(word[:60].lower(), by_folded, 1, 0.6)
    return f", did you mean {by_folded[found[0]]!r}?" if found else ""


_ROWS: Final = (
    Setting(
        "timeout",
        Kind.DURATION,
        "How long a call may take.",
        default=f"{DEFAULT_TIMEOUT * 1000:g}",
        low=1,
        high=_DAY_MS,
        field="timeout",
        origin="over all attempts of a call; Dubbo's is for each attempt",
    ),
    Setting(
        "retries",
        Kind.INTEGER,
        "Further attempts after the first.",
        default=str(DEFAULT_RETRIES),
        high=100,
        field="retries",
        origin="only where another attempt is safe; Dubbo repeats whatever failed",
    ),
    Setting(
        "idempotent",
        Kind.BOOLEAN,
        "Running a method twice does no harm, so it may be repeated in doubt.",
        default="false",
        field="idempotent",
        origin="Kubbo's own",
    ),
    Setting(
        "cluster",
        Kind.NAME,
        "What becomes of a call when an attempt fails.",
        default="failover",
        names=(
            "available",
            "broadcast",
            "failback",
            "failfast",
            "failover",
            "failsafe",
            "forking",
            "hedging",
            "mergeable",
        ),
        field="cluster",
        origin="as Dubbo, but nothing runs twice that is not idempotent; hedging is Kubbo's own",
    ),
    Setting(
        "loadbalance",
        Kind.NAME,
        "Which provider takes the next attempt.",
        default="p2c",
        names=(
            "consistenthash",
            "leastactive",
            "p2c",
            "random",
            "roundrobin",
            "shortestresponse",
        ),
        field="loadbalance",
        origin="as Dubbo, whose default is random; p2c measures latency by a peak EWMA",
    ),
    Setting(
        "actives",
        Kind.INTEGER,
        "Calls at once of this consumer; 0 is no limit.",
        default="0",
        field="actives",
    ),
    Setting(
        "forks",
        Kind.INTEGER,
        "Providers that `forking` asks at once.",
        default="2",
        low=1,
        high=16,
    ),
    Setting(
        "failbacktasks",
        Kind.INTEGER,
        "Calls that `failback` keeps for later.",
        default="100",
        low=1,
        high=1_000,
    ),
    Setting(
        "hedge.delay",
        Kind.DURATION,
        "When `hedging` asks another provider too.",
        default="100",
        low=1,
        high=60_000,
        origin="Kubbo's own",
    ),
    Setting(
        "hedge.attempts",
        Kind.INTEGER,
        "Providers that `hedging` asks at most.",
        default="2",
        low=2,
        high=16,
        origin="Kubbo's own",
    ),
    Setting(
        "hash.arguments",
        Kind.TEXT,
        "Places of the arguments that `consistenthash` looks at, like `0,2`.",
        default="0",
        form=r"[0-9]{1,3}(,[0-9]{1,3}){0,19}",
    ),
    Setting(
        "hash.nodes",
        Kind.INTEGER,
        "Places of a provider on the ring of `consistenthash`.",
        default="160",
        low=1,
        high=1280,
    ),
    Setting(
        "hash.load",
        Kind.NUMBER,
        "Share of the mean load above which `consistenthash` takes the next provider.",
        default="1.25",
        low=1,
        origin="Kubbo's own: Dubbo has no bound",
    ),
    Setting(
        "warmup",
        Kind.DURATION,
        "How long the weight of a provider that has become ready grows; 0 is no slow start.",
        default="30000",
        low=0,
        high=_DAY_MS,
        origin="of the consumer, from when it first saw the endpoint; Dubbo's is the provider's, "
        "ten minutes from its start",
    ),
    Setting(
        "subset",
        Kind.INTEGER,
        "Endpoints of a large Service that this consumer calls; 0 is all.",
        default="500",
        high=_MILLION,
        method=False,
        live=False,
        origin="Kubbo's own",
    ),
    Setting(
        "mock",
        Kind.TEXT,
        "What stands in for a failed call, like `return null` or `force:throw`.",
        default="none",
        field="mock",
        origin="as Dubbo, without classes that are looked up by a name",
    ),
    Setting(
        "breaker.enabled",
        Kind.BOOLEAN,
        "A provider that keeps failing is left out for a while.",
        default="true",
        origin="Kubbo's own",
    ),
    Setting(
        "breaker.consecutive",
        Kind.INTEGER,
        "Faults in a row after which it is left out; 0 switches this off.",
        default="5",
        high=1_000,
        origin="Kubbo's own",
    ),
    Setting(
        "breaker.rate",
        Kind.NUMBER,
        "Share of faults in ten seconds above which it is left out; 0 switches this off.",
        default="0.5",
        high=1,
        origin="Kubbo's own",
    ),
    Setting(
        "breaker.requests",
        Kind.INTEGER,
        "Attempts in ten seconds without which no share is taken.",
        default="20",
        low=1,
        origin="Kubbo's own",
    ),
    Setting(
        "breaker.slow",
        Kind.DURATION,
        "Above this an attempt is slow; 0 switches this off.",
        default="0",
        high=3_600_000,
        origin="Kubbo's own",
    ),
    Setting(
        "breaker.slow_rate",
        Kind.NUMBER,
        "Share of slow attempts above which it is left out.",
        default="0.8",
        high=1,
        origin="Kubbo's own",
    ),
    Setting(
        "breaker.ejection",
        Kind.DURATION,
        "How long it is left out the first time.",
        default="5000",
        low=100,
        high=3_600_000,
        origin="Kubbo's own",
    ),
    Setting(
        "breaker.longest",
        Kind.DURATION,
        "How long it is left out at most.",
        default="60000",
        low=100,
        high=_DAY_MS,
        origin="Kubbo's own",
    ),
    Setting(
        "breaker.share",
        Kind.NUMBER,
        "Share of the providers that may be left out at once.",
        default="0.5",
        high=1,
        origin="Kubbo's own",
    ),
    Setting(
        "breaker.probes",
        Kind.INTEGER,
        "Probes in a row that have to succeed before it takes calls again.",
        default="2",
        low=1,
        high=100,
        origin="Kubbo's own",
    ),
    Setting(
        "executes",
        Kind.INTEGER,
        "Calls of a service, or of a method, that a provider runs at once; 0 is no limit.",
        default="0",
        sides=(PROVIDER,),
    ),
    Setting(
        "queue",
        Kind.INTEGER,
        "Calls that may wait for `executes`.",
        default="0",
        high=100_000,
        sides=(PROVIDER,),
        origin="Kubbo's own: in Dubbo nobody waits",
    ),
    Setting(
        "tps",
        Kind.NUMBER,
        "Calls a second that a provider lets in; 0 is no limit.",
        default="0",
        high=1e9,
        sides=(PROVIDER,),
        origin="evenly; Dubbo counts in windows (tps.interval)",
    ),
    Setting(
        "adaptive",
        Kind.BOOLEAN,
        "`executes` finds itself, and what is written is the most that it may become.",
        default="false",
        sides=(PROVIDER,),
        origin="Kubbo's own",
    ),
)

SETTINGS: Final[Mapping[str, Setting]] = {row.key: row for row in _ROWS}
"""What may be set for calls, by key."""

ENDPOINT_SETTINGS: Final[Mapping[str, Setting]] = {
    row.key: row
    for row in (
        Setting(
            "weight",
            Kind.INTEGER,
            "Share of the calls that a provider takes; 0 takes none while others take some.",
            default="100",
            high=_MILLION,
            method=False,
            origin="set by an override; a consumer reads it, nobody writes it into a registry",
        ),
        Setting(
            "disabled",
            Kind.BOOLEAN,
            "The provider takes no calls at all.",
            default="false",
            method=False,
            origin="set by an override",
        ),
    )
}
"""What may be set for single providers, by key."""

_JAVA_ONLY: Final = """
accepts accesslog alive application async auth cache callbacks charset check client codec
connections corethreads delay deprecated deprecation dispatcher document dubbo dynamic exported
filter generic group heartbeat id injvm init interface iothreads layer lazy listener local
merger module monitor name onconnect ondisconnect owner parameters path payload ping
protocol provided-by proxy queues reconnect reference.filter register registry revision
router scope sent serialization server service.filter side stub sticky subscribe telnet
threadname threadpool threads timestamp token transporter url validation version
weight
"""

IGNORED: Final = frozenset(_JAVA_ONLY.split())
"""Keys of Dubbo that are no mistake where Java users wrote them, and mean nothing here."""


def make_options(values: Mapping[str, Parameter]) -> Options:
    """Options out of values by their keys.

    Raises:
        ConfigError: a value is out of its range.
    """
    fields: dict[str, Any] = {}
    parameters: dict[str, Parameter] = {}
    for key, value in values.items():
        field = SETTINGS[key].field
        if field:
            fields[field] = value
        else:
            parameters[key] = value
    return Options(**fields, parameters=parameters)
