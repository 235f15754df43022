"""Asking why a setting has its value: `timeout@com.example.GreetService:1.0.0#greet`.

The method may also stand where Java would put it, `timeout@com.example.GreetService.greet:1.0.0`.
Without a service the answer is for all calls. Of a single provider, `weight` and `disabled` are
asked for with its address: `weight@com.example.GreetService@10.0.0.1:20880`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kubbo.config.layers import Layer, Level, Source, explain, stack
from kubbo.config.options import Options
from kubbo.config.settings import ENDPOINT_SETTINGS, SETTINGS, Setting, suggestion
from kubbo.errors import UsageError
from kubbo.model import Endpoint, ServiceKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kubbo.config.configuration import Configuration
    from kubbo.config.layers import Explanation
    from kubbo.config.overrides import Subject

__all__ = ["Question", "parse_question"]

_ADDRESS: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:@\s]+)):(?P<port>\d{1,5})")
_METHOD: Final = re.compile(r"[A-Za-z_$][\w$]*")


@dataclass(frozen=True, slots=True)
class Question:
    """A setting, and for what: the empty text is all of them."""

    setting: Setting
    service: str = ""
    method: str = ""
    endpoint: Endpoint | None = None

    def answer(
        self, configuration: Configuration, subject: Subject, code: Iterable[Layer] = ()
    ) -> Explanation:
        """Every layer, those of `code` among those of the configuration."""
        if self.endpoint is None:
            live = configuration.layers(self.service, self.method, subject)
            return explain(self.setting, stack(*live, *code))
        layers = [
            Layer(
                Level.INTERFACE,
                f"override of {each.scope} {each.key}",
                Options(parameters={self.setting.key: value}),
                Source.LIVE,
                each.endpoint_written,
            )
            for each in reversed(configuration.markings())
            if each.marks(self.service, subject, self.endpoint)
            and (value := getattr(each, self.setting.key)) is not None
        ]
        return explain(self.setting, layers)


def parse_question(text: str) -> Question:
    """Read a question.

    Raises:
        UsageError: there is no such setting, or what follows it is no service key.
    """
    key, _, rest = text.strip().partition("@")
    setting = SETTINGS.get(key) or ENDPOINT_SETTINGS.get(key)
    if setting is None:
        known = (*SETTINGS, *ENDPOINT_SETTINGS)
        hint = suggestion(key, known) or f"; there are {', '.join(known)}"
        raise UsageError(f"there is no setting {key[:60]!r}{hint}")
    whom, _, address = rest.partition("@")
    if (setting.key in ENDPOINT_SETTINGS) != bool(address):
        raise UsageError(
            f"{key} is asked for a single provider: {key}@com.example.GreetService@10.0.0.1:20880"
            if not address
            else f"{key} is the same for all providers: leave @{address[:60]} out"
        )
    if not whom:
        if address:
            raise UsageError(f"name the service between {key}@ and @{address[:60]}")
        return Question(setting)
    service, method = _split(whom)
    return Question(
        setting, str(ServiceKey.parse(service)), method, _endpoint(address) if address else None
    )


def _split(text: str) -> tuple[str, str]:
    """The service key and the method of what follows the `@`."""
    whole, sharp, method = text.partition("#")
    if sharp:
        if not _METHOD.fullmatch(method):
            raise UsageError(f"{method[:60]!r} is no name of a method")
        return whole, method
    name, colon, version = text.partition(":")
    head, dot, last = name.rpartition(".")
    # Java's interfaces begin with a capital letter, its methods with a small one.
    simple = head.rpartition(".")[2].rpartition("/")[2]
    if dot and simple[:1].isupper() and last[:1].islower():
        return f"{head}{colon}{version}", last
    return text, ""


def _endpoint(text: str) -> Endpoint:
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise UsageError(f"{text[:60]!r} is no address; write HOST:PORT, like 10.0.0.1:20880")
    return Endpoint(match["v6"] or match["host"], int(match["port"]))
