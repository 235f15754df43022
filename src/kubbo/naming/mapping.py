"""From a Dubbo service key to the target where its providers are found.

Five sources are asked, in this order, and the first that knows the key wins:

    code           a target in the code or on the command line
    environment    KUBBO_TARGETS, then the 2018 demo's variable <SimpleName>_target
    configuration  references of the configuration
    attribute      a Service whose annotation kubbo.dev/services lists the key
    rule           the Service name computed from the key

The rules are the same in every language (`docs/naming.md`), so a Java, a Go and a Python
consumer reach the same Service. Every step leaves a record of what it tried, what it found
and why it lost or won; the record is part of the answer, and of the error when nothing
matches, because "which Service did it ask, and why that one" is what people cannot see.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import Enum
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

from kubbo.errors import ConfigError, KubboError, TargetError
from kubbo.model import ServiceKey
from kubbo.naming.target import KubernetesTarget, parse_port, parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping as MappingABC, Sequence

    from kubbo.naming.target import Port, Target

__all__ = [
    "PROVIDER_LABEL",
    "SERVICES_ANNOTATION",
    "Mapping",
    "MappingError",
    "MappingStep",
    "Outcome",
    "ProviderService",
    "Providers",
    "ServiceLookup",
    "ServiceLookupError",
    "map_service_key",
    "parse_provided",
    "parse_targets",
    "service_name",
]

PROVIDER_LABEL = "kubbo.dev/provider"
"""Label, with the value "true", of a Service that says which service keys it provides."""

SERVICES_ANNOTATION = "kubbo.dev/services"
"""Annotation of such a Service: service keys, separated by white space or commas."""

TARGETS_VARIABLE = "KUBBO_TARGETS"
TEMPLATE_VARIABLE = "KUBBO_SERVICE_NAME"
DEFAULT_TEMPLATE = "{simple}"

_LONGEST = 63
_CUT = 54  # and '-' and 8 hex digits: 63
_HASH_DIGITS = 8
_SHOWN = 200  # characters of a name
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_FOREIGN = re.compile(r"[^a-z0-9-]")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


# ------------------------------------------------------------------ the record
class Outcome(Enum):
    """What became of a step."""

    WON = "won"
    NOTHING = "nothing found"
    SKIPPED = "not asked"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class MappingStep:
    """One source that was tried: under which names, what was there, and what came of it."""

    source: str
    tried: str
    found: str
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.source}: {self.tried}: {self.found or self.outcome.value}"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where a service key leads, and every step on the way; the last one won.

    `seen` is False for a guess: the cluster, or one of its namespaces that goes before the one
    where the target was found, could have known better and did not answer.
    """

    key: ServiceKey
    target: Target
    steps: tuple[MappingStep, ...]
    seen: bool = True


class MappingError(TargetError):
    """A service key leads nowhere, or into a contradiction; the message has every step.

    Attributes:
        key: the service key.
        steps: what was tried.
        contradiction: False when simply nothing was found, which a new Service can mend.
    """

    def __init__(
        self,
        message: str,
        *,
        key: ServiceKey,
        steps: Sequence[MappingStep],
        contradiction: bool = True,
    ) -> None:
        lines = "".join(f"\n  {step}" for step in steps)
        super().__init__(message + lines)
        self.key = key
        self.steps = tuple(steps)
        self.contradiction = contradiction


# ------------------------------------------------------------------ the lookup
class ServiceLookupError(KubboError):
    """The cluster could not be asked about Services; the message says why.

    Attributes:
        unusable: whether it is our own credentials that cannot be used.
    """

    def __init__(self, message: str, *, unusable: bool = False) -> None:
        super().__init__(message)
        self.unusable = unusable


@dataclass(frozen=True, slots=True)
class ProviderService:
    """A Service as the mapping sees it. `services` is None without the annotation.

    `provider` says whether it has the label that makes it an attribute.
    """

    namespace: str
    name: str
    services: str | None = None
    provider: bool = False


@dataclass(frozen=True, slots=True)
class Providers:
    """The Services with the provider label, those of the own namespace first.

    `namespaces` are those that were to be listed, the own one first; `unread` says for some of
    them why they could not be.
    """

    services: Sequence[ProviderService]
    namespaces: Sequence[str] = ()
    unread: MappingABC[str, str] = field(default_factory=dict[str, str])

    def unread_before(self, namespace: str) -> bool:
        """Whether a namespace that goes before this one could not be listed."""
        before = takewhile(lambda one: one != namespace, self.namespaces)
        return any(one in self.unread for one in before)


class ServiceLookup(Protocol):
    """Asks the cluster about Services.

    After a `ServiceLookupError` the search goes on without what could not be asked; another
    `KubboError` ends it.
    """

    async def providers(self) -> Providers:
        """Services with the provider label, in the watched namespaces.

        Raises:
            ServiceLookupError: no namespace could be listed.
        """
        ...

    async def service(self, namespace: str, name: str) -> ProviderService | None:
        """One Service, None when it does not exist. An empty namespace is the own one.

        Raises:
            ServiceLookupError: the cluster could not be asked.
        """
        ...


# -------------------------------------------------------------------- the rule
def service_name(key: ServiceKey, template: str = DEFAULT_TEMPLATE) -> str:
    """The name of the Service that provides a key, by the rule.

    `template` may hold `{simple}`, the last component of the interface, and `{interface}`.

    Raises:
        ConfigError: the template holds another placeholder, or none.
    """
    simple = key.interface.rpartition(".")[2]
    placeholders = _PLACEHOLDER.findall(template)
    rest = _PLACEHOLDER.sub("", template)
    if not placeholders or not set(placeholders) <= {"simple", "interface"} or set(rest) & {*"{}"}:
        raise ConfigError(
            f"the template {template!r} of {TEMPLATE_VARIABLE} must hold {{simple}} or "
            "{interface}, and no other placeholder; write {simple}, or for instance dubbo-{simple}"
        )
    name = template.replace("{interface}", key.interface).replace("{simple}", simple)
    name = name.replace("$", "-").replace(".", "-")
    name = _plain(_CAMEL.sub("-", name))
    for part in (key.group, key.version):
        if part:
            name = f"{name}-{_plain(part)}"
    name = re.sub("-+", "-", name).strip("-")
    if not name[:1].isalpha():
        name = f"s-{name}"
    # Nothing is left of an interface like `_`: its name would end in '-', and be that of them all.
    if len(name) <= _LONGEST and key.interface.isascii() and name != "s-":
        return name
    digest = hashlib.sha256(str(key).encode()).hexdigest()
    return f"{name[:_CUT].rstrip('-')}-{digest[:_HASH_DIGITS]}"


def _plain(text: str) -> str:
    return _FOREIGN.sub("-", text.lower())


# ------------------------------------------------------------ tables of targets
def parse_targets(text: str, *, source: str = TARGETS_VARIABLE) -> dict[str, str]:
    """Read `SERVICE_KEY=TARGET` entries, one a line or with `;` between them.

    Raises:
        TargetError: an entry has no '=', its key can match nothing, or has two different targets.
    """
    table: dict[str, str] = {}
    for entry in re.split(r"[;\n]", text):
        if not entry.strip():
            continue
        key, equals, target = (part.strip() for part in entry.partition("="))
        if not equals or not key or not target:
            raise TargetError(
                f"{entry.strip()!r} in {source} is no SERVICE_KEY=TARGET; write it like "
                "com.example.GreetService=kubernetes:///greeter.shop:dubbo"
            )
        if not key.endswith("*"):
            try:
                ServiceKey.parse(key)
            except TargetError as error:  # it would never match
                raise TargetError(
                    f"{entry.strip()!r} in {source}: {error}; a '*' may stand at the end"
                ) from None
        if table.setdefault(key, target) != target:
            raise TargetError(f"{source} gives {key!r} two targets; remove one")
    return table


def _longest_match(key: ServiceKey, table: MappingABC[str, str]) -> str | None:
    """The entry of a table for a key: itself, or the longest one before a final `*`."""
    text = str(key)
    if text in table:
        return text
    matching = [
        pattern
        for pattern in table
        if pattern.endswith("*") and text.startswith(pattern.removesuffix("*"))
    ]
    return max(matching, key=len, default=None)


def parse_provided(annotation: str) -> dict[str, Port]:
    """Read the annotation of a Service: its service keys, each with its `@PORT` or None.

    Raises:
        TargetError: a port is none, or a key is there with two ports.
    """
    provided = _read_provided(annotation)
    for fault in provided.faults.values():
        raise fault.error
    return provided.ports


@dataclass(frozen=True, slots=True)
class _Fault:
    """A word of an annotation that cannot be used, and why."""

    word: str
    error: TargetError


@dataclass(frozen=True, slots=True)
class _Provided:
    """An annotation, word by word: what can be used, and by key what cannot."""

    ports: dict[str, Port]
    faults: dict[str, _Fault]

    def claims(self, key: ServiceKey) -> bool:
        return str(key) in self.ports or str(key) in self.faults

    def port(self, key: ServiceKey) -> Port:
        """The port of a key that is claimed. Raises TargetError: what names the key is broken."""
        if str(key) in self.faults:
            raise self.faults[str(key)].error
        return self.ports[str(key)]


def _read_provided(annotation: str) -> _Provided:
    ports: dict[str, Port] = {}
    faults: dict[str, _Fault] = {}
    for word in re.split(r"[\s,]+", annotation):
        if not word:
            continue
        key, at, port_text = word.partition("@")
        port: Port = None
        error: TargetError | None = None
        try:
            port = parse_port(port_text, of=word) if at else None
        except TargetError as raised:
            error = raised
        if error is None and (not key or ports.setdefault(key, port) != port):
            error = TargetError(
                f"{word!r} in the annotation {SERVICES_ANNOTATION} is no service key, or is there "
                "with another port too; write [group/]interface[:version][@PORT]"
            )
        if error is not None:
            faults.setdefault(key, _Fault(word, error))
    return _Provided(ports, faults)


# ------------------------------------------------------------------ the mapping
async def map_service_key(
    key: ServiceKey,
    *,
    explicit: str | Target | None = None,
    environ: MappingABC[str, str] | None = None,
    references: MappingABC[str, str] | None = None,
    services: ServiceLookup | None = None,
    namespace: str = "",
) -> Mapping:
    """Find the target of a service key; the first source that knows it wins.

    `services` is asked for attributes, and whether the rule's Service exists and agrees; without
    it (no API server, no permission) the rule wins unseen. `namespace` is the own one as the
    targets shall carry it; empty leaves it to the credentials. Cancel safe.

    Raises:
        MappingError: no source knows the key, what was found contradicts itself, or cannot be
            used: an entry of `KUBBO_TARGETS`, the winning target, the template of the rule.
    """
    return await _Search(key, services, namespace).run(
        explicit=explicit, environ=environ or {}, references=references or {}
    )


class _Search:
    """One search: the key, whom to ask, and the record so far."""

    def __init__(self, key: ServiceKey, services: ServiceLookup | None, namespace: str) -> None:
        self._key = key
        self._services = services
        self._namespace = namespace
        self._steps: list[MappingStep] = []
        self._seen = True

    async def run(
        self,
        *,
        explicit: str | Target | None,
        environ: MappingABC[str, str],
        references: MappingABC[str, str],
    ) -> Mapping:
        if explicit is not None:
            return self._won("code", "an explicit target", explicit)
        self._lost("code", "an explicit target")
        mapping = self._environment(environ) or self._configuration(references)
        mapping = mapping or await self._attribute()
        return mapping or await self._rule(environ.get(TEMPLATE_VARIABLE) or DEFAULT_TEMPLATE)

    # --------------------------------------------------------------- sources
    def _environment(self, environ: MappingABC[str, str]) -> Mapping | None:
        try:
            table = parse_targets(environ.get(TARGETS_VARIABLE, ""))
        except TargetError as error:  # a typo must not lead elsewhere in silence
            raise self._failed("environment", TARGETS_VARIABLE, str(error)) from None
        pattern = _longest_match(self._key, table)
        if pattern is not None:
            return self._won("environment", f"{TARGETS_VARIABLE}, entry {pattern}", table[pattern])
        self._lost("environment", TARGETS_VARIABLE, _among(table, "entries"))
        variable = f"{self._key.interface.rpartition('.')[2]}_target"
        if environ.get(variable, "").strip():
            return self._won("environment", variable, environ[variable].strip())
        self._lost("environment", variable)
        return None

    def _configuration(self, references: MappingABC[str, str]) -> Mapping | None:
        pattern = _longest_match(self._key, references)
        if pattern is not None:
            return self._won("configuration", f"references, entry {pattern}", references[pattern])
        self._lost("configuration", "references", _among(references, "entries"))
        return None

    async def _attribute(self) -> Mapping | None:
        tried = f"Services with the label {PROVIDER_LABEL}=true"
        if self._services is None:
            self._note("attribute", tried, "no API server to ask", Outcome.SKIPPED)
            return None
        try:
            listed = await self._services.providers()
        except ServiceLookupError as error:
            self._seen = False
            self._note("attribute", tried, str(error), Outcome.FAILED)
            return None
        except KubboError as error:
            raise self._failed("attribute", tried, str(error)) from error
        annotations = [
            (one, _read_provided(one.services))
            for one in listed.services
            if one.services is not None
        ]
        claims = [(one, provided) for one, provided in annotations if provided.claims(self._key)]
        others = [(one, provided) for one, provided in annotations if provided.faults]
        beside = _joined(_ignored(others), _unread(listed))
        if not claims:
            names = (f"{one.name}.{one.namespace}" for one in listed.services)
            # A namespace that could not be read may hold the claim: the rule is a guess then.
            self._seen = not listed.unread
            outcome = Outcome.FAILED if listed.unread else Outcome.NOTHING
            self._note("attribute", tried, _joined(_among(names, "Services"), beside), outcome)
            return None
        winner, provided = claims[0]
        self._seen = not listed.unread_before(winner.namespace)
        rivals = [one.name for one, _ in claims if one.namespace == winner.namespace]
        if len(rivals) > 1:
            self._note("attribute", tried, " and ".join(rivals), Outcome.FAILED)
            raise self._error(
                f"the Services {' and '.join(sorted(rivals))} in namespace {winner.namespace!r} "
                f"both claim {self._key} in their annotation {SERVICES_ANNOTATION}; "
                "remove it from one of them"
            )
        port = self._port("attribute", tried, winner, provided)
        return self._won(
            "attribute",
            f"{tried} (annotation {SERVICES_ANNOTATION})",
            KubernetesTarget(winner.name, winner.namespace, port),
            beside,
        )

    async def _rule(self, template: str) -> Mapping:
        try:
            name = service_name(self._key, template)
        except ConfigError as error:
            raise self._failed("rule", TEMPLATE_VARIABLE, str(error)) from None
        tried = f"the name {name!r}, by the template {template}"
        target = KubernetesTarget(name, self._namespace)
        if self._services is None:
            return self._won("rule", tried, target)
        try:
            service = await self._services.service(self._namespace, name)
        except ServiceLookupError as error:
            self._seen = False
            return self._won("rule", f"{tried} (unseen: {error})", target)
        except KubboError as error:
            raise self._failed("rule", tried, str(error)) from error
        if service is None:
            self._note("rule", tried, "there is no such Service", Outcome.NOTHING)
            nothing = "nothing" if self._seen else "nothing that could be asked"
            raise self._error(
                f"{nothing} says where {self._key} is provided; create the Service {name!r}, list "
                f"the key in a Service's annotation {SERVICES_ANNOTATION} (with the label "
                f'{PROVIDER_LABEL}: "true"), or give a target. Tried:',
                contradiction=False,
            )
        if service.services is not None:
            provided = _read_provided(service.services)
            if not provided.claims(self._key):
                self._note(
                    "rule",
                    tried,
                    _joined("a Service that provides other keys", _ignored([(service, provided)])),
                    Outcome.FAILED,
                )
                listed = ", ".join(_first(sorted(provided.ports)))
                raise self._error(
                    f"{self._key} leads by the rule to the Service {name!r} in namespace "
                    f"{service.namespace!r}, whose annotation {SERVICES_ANNOTATION} "
                    f"{f'lists only {listed}' if listed else 'lists no service key'}; "
                    "add the key there if it is provided, or give the right target"
                )
            port = self._port("rule", tried, service, provided)
            target = KubernetesTarget(name, self._namespace, port)
        return self._won("rule", tried, target)

    # ---------------------------------------------------------------- record
    def _port(self, source: str, tried: str, service: ProviderService, said: _Provided) -> Port:
        """The port that a Service gives our key."""
        try:
            return said.port(self._key)
        except TargetError as error:
            where = f"Service {service.name!r} in namespace {service.namespace!r}"
            raise self._failed(source, tried, f"{where}: {error}") from None

    def _won(self, source: str, tried: str, target: str | Target, beside: str = "") -> Mapping:
        if isinstance(target, str):
            try:
                target = parse_target(target)
            except TargetError as error:
                self._note(source, tried, str(error), Outcome.FAILED)
                raise self._error(f"the target of {self._key} from {tried}: {error}") from None
        self._note(source, tried, _joined(str(target), beside), Outcome.WON)
        return Mapping(self._key, target, tuple(self._steps), self._seen)

    def _lost(self, source: str, tried: str, found: str = "") -> None:
        self._note(source, tried, found, Outcome.NOTHING)

    def _note(self, source: str, tried: str, found: str, outcome: Outcome) -> None:
        self._steps.append(MappingStep(source, tried, found, outcome))

    def _failed(self, source: str, tried: str, reason: str) -> MappingError:
        """The error of a step that ends the search, with that step."""
        self._note(source, tried, reason, Outcome.FAILED)
        return self._error(reason)

    def _error(self, message: str, *, contradiction: bool = True) -> MappingError:
        return MappingError(message, key=self._key, steps=self._steps, contradiction=contradiction)


def _among(names: Iterable[str], what: str) -> str:
    """That none of some names matched, for the record; empty when there were none."""
    shown = sorted(names)
    if not shown:
        return ""
    return f"nothing found among {len(shown)} {what} ({', '.join(_first(shown))})"


def _ignored(annotations: Iterable[tuple[ProviderService, _Provided]]) -> str:
    """Which words about other keys were passed over, for the record; empty when there are none.

    They are somebody else's: an error of ours they would make one of everybody in the namespace.
    """
    words = [
        f"{fault.word!r} of {one.name}.{one.namespace}"
        for one, provided in annotations
        for fault in provided.faults.values()
    ]
    return f"ignored what cannot be read: {', '.join(_first(sorted(words)))}" if words else ""


def _unread(listed: Providers) -> str:
    """Which namespaces could not be listed, and why, for the record."""
    return _joined(
        *_first(
            [f"namespace {one!r} could not be read: {why}" for one, why in listed.unread.items()]
        )
    )


def _first(texts: Sequence[str]) -> list[str]:
    """The first five, each cut: an annotation has up to 256 KiB, and a record is read by people."""
    more = ["..."] if len(texts) > 5 else []
    return [_shown(text) for text in texts[:5]] + more


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
