"""Overrides: Dubbo's configurator rules, which change settings of what runs.

    configVersion: v3.0          v2.7 selects by addresses, v3.0 also by match
    scope: service               or application
    key: com.example.GreetService:1.0.0
    enabled: true
    configs:
      - side: consumer           whom it changes
        addresses: [10.0.0.5]    only consumers at these addresses; of a provider: only these
        parameters:
          timeout: 500
          greet.timeout: 200     of a single method
          weight: 50             of the providers that are meant

An override is stronger than what consumer, reference or code say at its level: a setting of an
interface does not change what a single method was given. The override of a service is stronger
than that of an application, one for the own address stronger than one for any; else the last one
wins.

A provider reads nothing here that would end up in a registry, since there is none: `weight` and
`disabled` of a provider are read by its consumers, by the provider's address. What else a rule
wants for *some providers only* (a timeout, say) is left out with a warning, because calls are
prepared before a provider is chosen.

Source: ConfigParser, ConfigItem, ConditionMatch and AbstractConfigurator of
org.apache.dubbo.rpc.cluster.configurator (3.3.6).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kubbo.config.document import Mapping, Scalar, Sequence
from kubbo.config.matching import AddressMatch, TextMatch, is_any_address, matches_address
from kubbo.config.options import Options
from kubbo.config.regex import Regex
from kubbo.config.settings import (
    CONSUMER,
    ENDPOINT_SETTINGS,
    IGNORED,
    PROVIDER,
    SETTINGS,
    make_options,
    suggestion,
)
from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingABC

    from kubbo.config.document import Issues, Node, Place
    from kubbo.config.options import Parameter
    from kubbo.model import Endpoint

__all__ = ["Block", "Override", "Subject", "read_block_value", "read_override"]

APPLICATION: Final = "application"
SERVICE: Final = "service"

_KEYS: Final = (
    "configVersion",
    "scope",
    "key",
    "enabled",
    "configs",
    "priority",
    "runtime",
    "force",
)
_ITEM_KEYS: Final = (
    "side",
    "addresses",
    "providerAddresses",
    "services",
    "applications",
    "match",
    "parameters",
    "enabled",
    "type",
)
_MATCHES: Final = ("address", "providerAddress", "service", "application", "app", "param")


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks: what rules may select a consumer or a provider by.

    `hosts` are the own addresses.
    """

    application: str = ""
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Block:
    """Settings that stand together, with what was written and where."""

    options: Options = field(default_factory=Options)
    written: MappingABC[str, tuple[str, Place]] = field(
        default_factory=dict[str, "tuple[str, Place]"], compare=False
    )


@dataclass(frozen=True, slots=True)
class Match:
    """The conditions of `match`; all of them must hold, None says nothing."""

    address: AddressMatch | None = None
    provider: AddressMatch | None = None
    service: tuple[TextMatch, ...] | None = None
    application: tuple[TextMatch, ...] | None = None
    parameters: tuple[tuple[str, TextMatch], ...] = ()


@dataclass(frozen=True, slots=True)
class Override:
    """One entry of `configs`.

    Attributes:
        place: where it is written.
        scope: `service` or `application`.
        key: of what is meant, a service key or an application; `*` is any.
        side: whom it changes.
        block: settings of the interface.
        methods: settings of single methods.
        weight: of the providers that are meant, None: not changed.
        disabled: of the providers that are meant, None: not changed.
    """

    place: Place = field(compare=False)
    scope: str
    key: str
    side: str
    addresses: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()
    match: Match = field(default_factory=Match)
    block: Block = field(default_factory=Block)
    methods: MappingABC[str, Block] = field(default_factory=dict[str, Block])
    weight: int | None = None
    disabled: bool | None = None
    endpoint_written: MappingABC[str, tuple[str, Place]] = field(
        default_factory=dict[str, "tuple[str, Place]"], compare=False
    )

    @property
    def of_some_providers(self) -> bool:
        """Whether it depends on the provider that is called."""
        return bool(self.providers) or self.match.provider is not None

    @property
    def for_own_address(self) -> bool:
        """Whether it is for a machine of its own, and not for any."""
        return not self._any_address

    @property
    def _any_address(self) -> bool:
        return not self.addresses or any(map(is_any_address, self.addresses))

    def changes(self, service: str, subject: Subject, side: str = CONSUMER) -> bool:
        """Whether its settings apply to the calls of a service that `subject` makes or serves."""
        if self.side != side or self.of_some_providers:
            return False
        hosts = subject.hosts
        here = self._any_address or any(_host(each) in hosts for each in self.addresses)
        match = self.match.address
        here = here and (match is None or any(match.accepts(host) for host in hosts))
        return here and self._concerns(service, subject) and self._fits_parameters({})

    def describes(self, service: str) -> bool:
        """Whether it says to all providers of a service what their consumers hear, too."""
        general = self._any_address and self.match.address is None and not self.match.parameters
        return (
            self.side == PROVIDER
            and self.scope == SERVICE
            and general
            and not self.of_some_providers
            and self._concerns_service(service)
        )

    def marks(self, service: str, subject: Subject, endpoint: Endpoint) -> bool:
        """Whether its weight or `disabled` applies to a provider that `subject` may call."""
        host, port = endpoint.host, endpoint.port
        known = {**dict(endpoint.labels), "zone": endpoint.zone, "node": endpoint.node}
        if self.side == PROVIDER:
            # A rule for an application names its providers by address: an EndpointSlice does
            # not say of which application they are.
            meant = not self.addresses or any(
                matches_address(each, host, port) for each in self.addresses
            )
            match = self.match.address
            meant = meant and (match is None or match.accepts(host, port))
            concerned = self._concerns_service(service)
        else:
            hosts = subject.hosts
            meant = self._any_address or any(_host(each) in hosts for each in self.addresses)
            match = self.match.address
            meant = meant and (match is None or any(match.accepts(each) for each in hosts))
            concerned = self._concerns(service, subject)
        listed = not self.providers or any(
            matches_address(each, host, port) for each in self.providers
        )
        at = self.match.provider is None or self.match.provider.accepts(host, port)
        return meant and concerned and listed and at and self._fits_parameters(known)

    def _concerns(self, service: str, subject: Subject) -> bool:
        own = subject.application
        if self.scope == APPLICATION and self.key not in ("*", own):
            return False
        if self.applications and own not in self.applications and "*" not in self.applications:
            return False
        wanted = self.match.application
        if wanted is not None and not any(each.accepts(own or None) for each in wanted):
            return False
        return self._concerns_service(service)

    def _concerns_service(self, service: str) -> bool:
        if self.scope == SERVICE and self.key not in ("*", service):
            return False
        if self.services and service not in self.services and "*" not in self.services:
            return False
        wanted = self.match.service
        return wanted is None or any(each.accepts(service) for each in wanted)

    def _fits_parameters(self, known: MappingABC[str, str]) -> bool:
        return all(text.accepts(known.get(key) or None) for key, text in self.match.parameters)


def _host(address: str) -> str:
    host, colon, port = address.rpartition(":")
    return host.strip("[]") if colon and (port.isdecimal() or port == "*") else address


# ------------------------------------------------------------------------------ reading
def read_override(document: Mapping, path: str, issues: Issues) -> list[Override]:
    """The entries of one rule; none of them where it is not enabled."""
    reader = _Reader(issues)
    return reader.rule(document, path)


def read_block_value(key: str, node: Node, path: str, issues: Issues) -> Parameter | None:
    """The value of a setting of calls, None where it is none, which is complained of."""
    if not isinstance(node, Scalar):
        issues.error(node.place, path, "one value is expected here")
        return None
    try:
        value = SETTINGS[key].read(node.text.strip())
        make_options({key: value})
    except (ValueError, ConfigError) as error:
        issues.error(node.place, path, str(error))
        return None
    return value


class _Reader:
    def __init__(self, issues: Issues) -> None:
        self._issues = issues

    def rule(self, document: Mapping, path: str) -> list[Override]:
        for key in document.items:
            if key not in _KEYS:
                self._unknown(document.keys[key], f"{path}{key}", key, _KEYS)
        scope = self._text(document, "scope", path) or SERVICE
        if scope not in (SERVICE, APPLICATION):
            self._issues.error(
                document.items["scope"].place, f"{path}scope", "this is service or application"
            )
        name = self._text(document, "key", path)
        if not name:
            self._issues.error(
                document.place, f"{path}key", "a rule needs the key of what it is for"
            )
        configs = document.items.get("configs")
        if not isinstance(configs, Sequence):
            self._issues.error(document.place, f"{path}configs", "a list is expected here")
            return []
        enabled = self._flag(document, path)
        found: list[Override] = []
        for number, item in enumerate(configs.items):
            where = f"{path}configs[{number}]."
            if not isinstance(item, Mapping):
                self._issues.error(item.place, where.rstrip("."), "a map is expected here")
                continue
            override = self._item(item, where, scope, name)
            # Only rules of a special type have a switch of their own, as Dubbo's console wrote it.
            general = self._text(item, "type", where) in ("", "general")
            if override is not None and (enabled if general else self._flag(item, where)):
                found.append(override)
        return found

    def _item(self, item: Mapping, path: str, scope: str, key: str) -> Override | None:
        for each in item.items:
            if each not in _ITEM_KEYS:
                self._unknown(item.keys[each], f"{path}{each}", each, _ITEM_KEYS)
        side = self._text(item, "side", path)
        if side not in (CONSUMER, PROVIDER):
            if side:
                self._issues.error(
                    item.items["side"].place, f"{path}side", "this is consumer or provider"
                )
            else:
                self._issues.warn(
                    item.place,
                    f"{path}side",
                    "without a side the entry changes nothing, as in Dubbo",
                )
            return None
        parameters = item.items.get("parameters")
        if not isinstance(parameters, Mapping) or not parameters.items:
            self._issues.error(item.place, f"{path}parameters", "name at least one parameter")
            return None
        providers = self._texts(item, "providerAddresses", path)
        match = self._match(item.items.get("match"), f"{path}match")
        some = bool(providers) or match.provider is not None
        if side == PROVIDER:
            some = some or any(
                not is_any_address(each) for each in self._texts(item, "addresses", "")
            )
        return self._parameters(
            parameters,
            f"{path}parameters.",
            Override(
                item.place,
                scope,
                key,
                side,
                self._texts(item, "addresses", path),
                providers,
                self._texts(item, "services", path),
                self._texts(item, "applications", path),
                match,
            ),
            some_providers=some,
        )

    def _parameters(
        self, node: Mapping, path: str, made: Override, *, some_providers: bool
    ) -> Override:
        values: dict[str, dict[str, Parameter]] = {}
        written: dict[str, dict[str, tuple[str, Place]]] = {}
        endpoint: dict[str, Parameter] = {}
        endpoint_written: dict[str, tuple[str, Place]] = {}
        for full, each in node.items.items():
            method, key = _split(full)
            where = f"{path}{full}"
            if key in ENDPOINT_SETTINGS and not method:
                try:
                    text = each.text.strip() if isinstance(each, Scalar) else ""
                    endpoint[key] = ENDPOINT_SETTINGS[key].read(text)
                    endpoint_written[key] = (text, node.keys[full])
                except ValueError as error:
                    self._issues.error(each.place, where, str(error))
            elif key not in SETTINGS:
                # Java's rules set much that means nothing here, and are no mistake for it.
                close = "" if key in IGNORED else suggestion(key, (*SETTINGS, *ENDPOINT_SETTINGS))
                text = f"Kubbo has no setting {key[:60]!r}{close or ', which is left out'}"
                self._issues.warn(node.keys[full], where, text)
            elif key in SETTINGS and made.side not in SETTINGS[key].sides:
                text = f"left out: {key} is for {' and '.join(SETTINGS[key].sides)} only"
                self._issues.warn(node.keys[full], where, text)
            elif method and not SETTINGS[key].method:
                text = f"left out: {key} cannot be set for a method"
                self._issues.warn(node.keys[full], where, text)
            elif some_providers and made.side == CONSUMER:
                text = "left out: of some providers only, weight and disabled can be set"
                self._issues.warn(node.keys[full], where, text)
            else:
                value = read_block_value(key, each, where, self._issues)
                if value is not None and isinstance(each, Scalar):
                    values.setdefault(method, {})[key] = value
                    written.setdefault(method, {})[key] = (each.text.strip(), node.keys[full])
        blocks = {
            method: Block(make_options(each), written[method]) for method, each in values.items()
        }
        weight = endpoint.get("weight")
        disabled = endpoint.get("disabled")
        return Override(
            made.place,
            made.scope,
            made.key,
            made.side,
            made.addresses,
            made.providers,
            made.services,
            made.applications,
            made.match,
            blocks.pop("", Block()),
            blocks,
            int(weight) if weight is not None else None,
            bool(disabled) if disabled is not None else None,
            endpoint_written,
        )

    # ------------------------------------------------------------------------- match
    def _match(self, node: Node | None, path: str) -> Match:
        if node is None:
            return Match()
        if not isinstance(node, Mapping):
            self._issues.error(node.place, path, "a map is expected here")
            return Match()
        for key in node.items:
            if key not in _MATCHES:
                self._unknown(node.keys[key], f"{path}.{key}", key, _MATCHES, fatal=True)
        return Match(
            self._address(node, "address", path),
            self._address(node, "providerAddress", path),
            self._one_of(node, "service", path),
            self._one_of(node, "application", path) or self._one_of(node, "app", path),
            self._match_parameters(node.items.get("param"), f"{path}.param"),
        )

    def _address(self, node: Mapping, key: str, path: str) -> AddressMatch | None:
        inner = node.items.get(key)
        if inner is None:
            return None
        words = self._words(inner, f"{path}.{key}", ("cidr", "cird", "wildcard", "exact"))
        return AddressMatch(
            words.get("cidr") or words.get("cird", ""),
            words.get("wildcard", ""),
            words.get("exact", ""),
        )

    def _one_of(self, node: Mapping, key: str, path: str) -> tuple[TextMatch, ...] | None:
        inner = node.items.get(key)
        if inner is None:
            return None
        listed = inner.items.get("oneof") if isinstance(inner, Mapping) else None
        if not isinstance(listed, Sequence):
            self._issues.error(inner.place, f"{path}.{key}", "oneof with a list is expected here")
            return ()
        return tuple(
            self._text_match(each, f"{path}.{key}.oneof[{number}]")
            for number, each in enumerate(listed.items)
        )

    def _match_parameters(self, node: Node | None, path: str) -> tuple[tuple[str, TextMatch], ...]:
        if node is None:
            return ()
        if not isinstance(node, Sequence):
            self._issues.error(node.place, path, "a list is expected here")
            return ()
        found: list[tuple[str, TextMatch]] = []
        for number, each in enumerate(node.items):
            key = each.items.get("key") if isinstance(each, Mapping) else None
            value = each.items.get("value") if isinstance(each, Mapping) else None
            if not isinstance(key, Scalar) or value is None:
                self._issues.error(
                    each.place, f"{path}[{number}]", "key and value are expected here"
                )
                continue
            found.append((key.text, self._text_match(value, f"{path}[{number}].value")))
        return tuple(found)

    def _text_match(self, node: Node, path: str) -> TextMatch:
        words = self._words(
            node, path, ("exact", "prefix", "regex", "wildcard", "empty", "noempty")
        )
        regex = words.get("regex")
        if regex is not None:
            try:
                Regex(regex)
            except ValueError as error:
                self._issues.error(
                    node.place,
                    f"{path}.regex",
                    f"this is no regular expression that can be tried: {error}",
                )
                regex = None
        return TextMatch(
            words.get("exact"),
            words.get("prefix"),
            regex,
            words.get("wildcard"),
            words.get("empty"),
            words.get("noempty"),
        )

    def _words(self, node: Node, path: str, known: tuple[str, ...]) -> dict[str, str]:
        if not isinstance(node, Mapping):
            self._issues.error(
                node.place, path, f"a map with one of {', '.join(known)} is expected"
            )
            return {}
        words: dict[str, str] = {}
        for key, each in node.items.items():
            if key not in known:
                self._unknown(node.keys[key], f"{path}.{key}", key, known, fatal=True)
            elif isinstance(each, Scalar):
                words[key] = each.text.strip()
            else:
                self._issues.error(each.place, f"{path}.{key}", "a text is expected here")
        return words

    # ------------------------------------------------------------------------- values
    def _text(self, node: Mapping, key: str, path: str) -> str:
        each = node.items.get(key)
        if each is None or (isinstance(each, Scalar) and each.empty):
            return ""
        if isinstance(each, Scalar):
            return each.text.strip()
        self._issues.error(each.place, f"{path}{key}", "a text is expected here")
        return ""

    def _texts(self, node: Mapping, key: str, path: str) -> tuple[str, ...]:
        each = node.items.get(key)
        if each is None:
            return ()
        if not isinstance(each, Sequence) or not all(isinstance(one, Scalar) for one in each.items):
            if path:
                self._issues.error(each.place, f"{path}{key}", "a list of texts is expected here")
            return ()
        return tuple(one.text.strip() for one in each.items if isinstance(one, Scalar))

    def _flag(self, node: Mapping, path: str) -> bool:
        text = self._text(node, "enabled", path).lower()
        if text not in ("", "true", "false"):
            self._issues.error(
                node.items["enabled"].place, f"{path}enabled", "this is true or false"
            )
        return text != "false"

    def _unknown(
        self, place: Place, path: str, key: str, known: tuple[str, ...], *, fatal: bool = False
    ) -> None:
        """A condition that is not understood would widen the rule; other keys are Java's."""
        text = f"{key[:60]!r} is not known here{suggestion(key, known)}"
        if fatal:
            self._issues.error(place, path, text)
        else:
            self._issues.warn(place, path, text)


def _split(full: str) -> tuple[str, str]:
    """Method and key of `greet.timeout`; of `hash.arguments` there is no method."""
    if full in SETTINGS or full in ENDPOINT_SETTINGS:
        return "", full
    method, dot, key = full.partition(".")
    return (method, key) if dot and key in SETTINGS else ("", full)
