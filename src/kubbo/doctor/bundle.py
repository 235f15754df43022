"""The bundle: all evidence of one moment as one JSON document, bounded and without secrets.

Secrets are kept out twice. What an object may carry into a bundle is what objects.py has a field
for. And what remains as free text (events, messages, log lines) goes through `cleaned`, which
masks what looks like a credential: a guess, and the second line only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, cast

import msgspec

from kubbo.doctor.objects import (  # noqa: TC001 - msgspec reads the hints
    Claim,
    Event,
    Node,
    Pod,
    Policy,
    Quota,
    Service,
    Slice,
    Workload,
)
from kubbo.errors import UsageError

__all__ = [
    "MOST_BYTES",
    "MOST_ITEMS",
    "VERSION",
    "Access",
    "Bundle",
    "Handshake",
    "Log",
    "Lookup",
    "Named",
    "Subject",
    "Unread",
    "cleaned",
    "load",
    "save",
]

VERSION: Final = 1
MOST_ITEMS: Final = 500
"""Objects of a kind: what is wrong with five hundred pods is wrong with all."""

MOST_BYTES: Final = 32 << 20
"""Of a bundle that is read: a full one of ours has a few MiB."""

_TEXT_CHARS: Final = 1_000  # of one text; a kubelet's message has at most 1,024 bytes

_SECRETS: Final = (
    re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"),  # a JSON web token
    re.compile(r"(?i)(?<=bearer )\S+"),
    re.compile(r"(?i)(?<=basic )[\w+/=]{8,}"),
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL),
    re.compile(
        r"(?i)(?<![a-z])((?:[\w.-]*[_.-])?(?:password|(?<!/etc/)passwd|pwd|secret|token|"
        r"api[_-]?key|access[_-]?key|credentials?)[\"']?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|[^\s\"',;&]+)"
    ),
)
_MASK: Final = "(left out)"


class _Part(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """A part of a bundle that is no object of the API."""


class Subject(_Part, frozen=True):
    """What was asked about: `kind` is `service`, `deployment`, `namespace` or `address`."""

    kind: str = "namespace"
    text: str = ""
    namespace: str = ""
    name: str = ""
    port: int | str | None = None


class Named(_Part, frozen=True):
    """A ConfigMap or Secret that a pod names: whether it exists, None where nobody may know."""

    kind: str = ""
    name: str = ""
    found: bool | None = None


class Log(_Part, frozen=True):
    """The last lines of a container; `previous`: of the one before the last restart."""

    pod: str = ""
    container: str = ""
    previous: bool = False
    lines: list[str] = []


class Access(_Part, frozen=True):
    """Whether whoever asked may do this."""

    verb: str = ""
    group: str = ""
    resource: str = ""
    namespace: str = ""
    allowed: bool = False


class Lookup(_Part, frozen=True):
    """A name, and its addresses or why there are none."""

    name: str = ""
    addresses: list[str] = []
    error: str = ""


class Handshake(_Part, frozen=True):
    """An endpoint that was dialled and sent a heartbeat.

    `outcome` is `dubbo`, `other` (it answered with something else), `closed`, `silent`,
    `refused`, `timeout` or `unreachable`. `exported`: service keys that were asked for by
    `$echo`, and whether the provider has them.
    """

    address: str = ""
    outcome: str = ""
    detail: str = ""
    exported: dict[str, bool] = {}


class Unread(_Part, frozen=True):
    """What could not be read; `status` is HTTP's, 0 where there was no answer."""

    what: str = ""
    status: int = 0
    reason: str = ""


class Bundle(_Part, frozen=True):
    """All evidence. `taken` is the time of it, as RFC 3339."""

    version: int = 0
    taken: str = ""
    subject: Subject = Subject()
    pods: list[Pod] = []
    events: list[Event] = []
    deployments: list[Workload] = []
    replica_sets: list[Workload] = []
    services: list[Service] = []
    slices: list[Slice] = []
    quotas: list[Quota] = []
    policies: list[Policy] = []
    claims: list[Claim] = []
    nodes: list[Node] = []
    named: list[Named] = []
    logs: list[Log] = []
    access: list[Access] = []
    lookups: list[Lookup] = []
    handshakes: list[Handshake] = []
    unread: list[Unread] = []


def cleaned(bundle: Bundle) -> Bundle:
    """The same evidence, with long texts cut and what looks like a credential masked."""
    return msgspec.convert(_clean(msgspec.to_builtins(bundle)), Bundle)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {_clean_text(name): _clean(each) for name, each in fields.items()}
    if isinstance(value, list):
        return [_clean(each) for each in cast("list[object]", value)]
    return value


def _clean_text(text: str) -> str:
    if len(text) > _TEXT_CHARS:
        text = text[:_TEXT_CHARS] + "..."
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: (found[1] if found.re.groups else "") + _MASK, text)
    return text


def save(bundle: Bundle, path: str | Path) -> None:
    """Write a bundle for others to look at.

    Raises:
        UsageError: the file cannot be written.
    """
    data = msgspec.json.format(msgspec.json.encode(cleaned(bundle)), indent=1) + b"\n"
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None


def load(path: str | Path) -> Bundle:
    """Read a bundle that was saved.

    Raises:
        UsageError: there is no such file, or it is no bundle.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path} is no bundle: it has more than {MOST_BYTES >> 20} MiB")
    try:
        bundle = msgspec.json.decode(data, type=Bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is no bundle of `kubbo doctor --save`: {error}") from None
    if bundle.version != VERSION:
        raise UsageError(
            f"{path} is no bundle that this version reads: it has the version {bundle.version}, "
            f"and this reads {VERSION}"
        )
    return bundle
