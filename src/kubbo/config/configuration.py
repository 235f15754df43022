"""A whole configuration: files of settings, overrides and rules, read at once or not at all.

    consumer:                                  every call of this process
      timeout: 1000
    references:                                calls of one interface
      com.example.GreetService:1.0.0: kubernetes:///greeter.shop
      com.example.OrderService*:
        target: kubernetes:///orders.shop
        timeout: 500
        methods:
          findOrder: {retries: 1, idempotent: true}
    provider: ...                              as consumer, of what is served
    services: ...                              as references, of what is served
    overrides: [...]                           Dubbo's configurator rules
    rules: [...]                               Dubbo's routing rules

All of it may stand below `dubbo:`. A file may hold several documents; one that has
`configVersion` or `conditions` or `tags` is a rule by itself, as Java users have it, and so is a
file whose name ends in `.configurators`, `.condition-router` or `.tag-router`.

A configuration is never changed: another one takes its place. What it holds for the routing of
calls is kept as documents, since what they mean is the business of a layer above.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kubbo.config.document import (
    MAX_FILE_BYTES,
    ConfigurationError,
    Issues,
    Mapping,
    Place,
    Scalar,
    Sequence,
    parse_yaml,
)
from kubbo.config.layers import Layer, Level, Source
from kubbo.config.overrides import Block, Override, Subject, read_block_value, read_override
from kubbo.config.settings import (
    CONSUMER,
    IGNORED,
    PROVIDER,
    SETTINGS,
    make_options,
    suggestion,
)
from kubbo.errors import KubboError
from kubbo.model import ServiceKey

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingABC

    from kubbo.config.document import Issue, Node
    from kubbo.config.options import Parameter

__all__ = [
    "EMPTY",
    "MAX_FILES",
    "Configuration",
    "Entry",
    "Rule",
    "digest",
    "is_configuration_file",
    "read_configuration",
]

MAX_FILES: Final = 500
"""Of one configuration."""

MAX_TOTAL_BYTES: Final = 4 * MAX_FILE_BYTES
"""Of all files together."""

_SECTIONS: Final = (CONSUMER, PROVIDER, "references", "services", "overrides", "rules")
_OTHER_SECTIONS: Final = frozenset(
    {"application", "config-center", "metadata-report", "metrics", "module", "monitor", "protocol"}
    | {"protocols", "registries", "registry", "scan", "ssl", "tracing"}
)
"""Sections of Dubbo that are no mistake below `dubbo:` and mean nothing here."""

_RULE_KEYS: Final = frozenset(
    {"configVersion", "conditions", "tags", "configs", "affinityAware", "script"}
)
_RULE_SUFFIXES: Final = (".configurators", ".condition-router", ".tag-router", ".affinity-router")
_SCRIPT_SUFFIX: Final = ".script-router"


def is_configuration_file(name: str) -> bool:
    """Whether a file of a directory, or a key of a ConfigMap, is read; others may lie beside."""
    suffixes = (".yaml", ".yml", ".json", _SCRIPT_SUFFIX, *_RULE_SUFFIXES)
    return name.endswith(suffixes) and not name.startswith(".")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said of one interface, or of several by a pattern that ends in `*`."""

    pattern: str
    section: str
    target: str = ""
    block: Block = field(default_factory=Block)
    methods: MappingABC[str, Block] = field(default_factory=dict[str, Block])
    place: Place = field(default=Place(""), compare=False)

    def matches(self, service: str) -> bool:
        """Whether a service key is meant."""
        if self.pattern.endswith("*"):
            return service.startswith(self.pattern[:-1])
        return service == self.pattern


@dataclass(frozen=True, slots=True)
class Rule:
    """A routing rule, as it was written; `scope` and `key` say for whom."""

    document: MappingABC[str, Any]
    place: Place = field(compare=False)
    scope: str = "service"
    key: str = ""

    @property
    def source(self) -> str:
        """Its name in messages."""
        return str(self.place)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was read. `digest` tells one content from another; `warnings` is what was left out."""

    digest: str = ""
    consumer: Block = field(default_factory=Block)
    provider: Block = field(default_factory=Block)
    references: tuple[Entry, ...] = ()
    services: tuple[Entry, ...] = ()
    overrides: tuple[Override, ...] = ()
    rules: tuple[Rule, ...] = ()
    warnings: tuple[Issue, ...] = ()

    def targets(self) -> dict[str, str]:
        """Targets by service key or pattern, for the mapping."""
        return {entry.pattern: entry.target for entry in self.references if entry.target}

    def layers(
        self, service: str, method: str, subject: Subject, side: str = CONSUMER
    ) -> tuple[Layer, ...]:
        """What is said of a method, of its interface and of all calls, the strongest first.

        An empty `service` asks for what holds for all of them, an empty `method` for all methods.
        `stack` puts the layers of code between them. A consumer hears what is said to providers,
        too, but not the other way round.
        """
        found: list[Layer] = []
        own = self._overrides(service, subject, side)
        groups = [(own, self.references if side == CONSUMER else self.services)]
        if side == CONSUMER:
            said = [each for each in reversed(self.overrides) if each.describes(service)]
            groups.append((said, self.services))
        for overrides, entries in groups if service else ():
            if method:
                found += [
                    _layer(Level.METHOD, _of(each), each.methods[method], each.side, side)
                    for each in overrides
                    if method in each.methods
                ]
                found += [
                    _layer(
                        Level.METHOD,
                        f"{entry.section}.{entry.pattern}.methods.{method}",
                        entry.methods[method],
                        _SIDES[entry.section],
                        side,
                    )
                    for entry in _matching(entries, service)
                    if method in entry.methods
                ]
            found += [
                _layer(Level.INTERFACE, _of(each), each.block, each.side, side)
                for each in overrides
                if each.block.written
            ]
            found += [
                _layer(
                    Level.INTERFACE,
                    f"{entry.section}.{entry.pattern}",
                    entry.block,
                    _SIDES[entry.section],
                    side,
                )
                for entry in _matching(entries, service)
                if entry.block.written
            ]
        for name, block in ((CONSUMER, self.consumer), (PROVIDER, self.provider)):
            if block.written and side in (name, CONSUMER):
                found.append(_layer(Level.APPLICATION, name, block, name, side))
        return tuple(found)

    def _overrides(self, service: str, subject: Subject, side: str) -> list[Override]:
        """Those that apply, the strongest first."""
        applied = [
            (each.scope == "service", each.for_own_address, number, each)
            for number, each in enumerate(self.overrides)
            if each.changes(service, subject, side)
        ]
        return [each for *_, each in sorted(applied, key=lambda one: one[:3], reverse=True)]

    def markings(self) -> tuple[Override, ...]:
        """Overrides of single providers, the strongest last."""
        marking = [
            (each.scope == "service", each.for_own_address, number, each)
            for number, each in enumerate(self.overrides)
            if each.weight is not None or each.disabled is not None
        ]
        return tuple(each for *_, each in sorted(marking, key=lambda one: one[:3]))


EMPTY: Final = Configuration()


_SIDES: Final = {"references": CONSUMER, "services": PROVIDER}


def _of(override: Override) -> str:
    return f"override of {override.scope} {override.key}"


def _layer(level: Level, origin: str, block: Block, said_to: str, side: str) -> Layer:
    source = Source.LIVE if said_to == side else Source.LIVE_PROVIDER
    return Layer(level, origin, block.options, source, block.written)


def _matching(entries: tuple[Entry, ...], service: str) -> list[Entry]:
    """The entries of a service, the most special one first: itself, then the longer pattern."""
    found = [entry for entry in entries if entry.matches(service)]
    return sorted(found, key=lambda entry: (entry.pattern == service, len(entry.pattern)))[::-1]


# ------------------------------------------------------------------------------ reading
def digest(files: MappingABC[str, bytes]) -> str:
    """What tells one content of files from another."""
    whole = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode("utf-8", "surrogateescape"), files[name]):
            whole.update(len(part).to_bytes(8, "big"))
            whole.update(part)
    return whole.hexdigest()


def read_configuration(files: MappingABC[str, bytes]) -> Configuration:
    """Read all files of a configuration, by their names.

    Costs some milliseconds for a hundred lines, and a second for a file of the largest size: on
    an event loop, call it in a thread.

    Raises:
        ConfigurationError: one of them cannot be used; it has every complaint, with line and
            column. Nothing of the others is used then.
    """
    issues = Issues()
    reader = _Reader(issues)
    if len(files) > MAX_FILES:
        issues.error(Place("configuration"), "", f"there are more than {MAX_FILES} files")
    elif sum(map(len, files.values())) > MAX_TOTAL_BYTES:
        issues.error(Place("configuration"), "", f"it has more than {MAX_TOTAL_BYTES} bytes")
    else:
        for name in sorted(files):
            reader.file(name, files[name])
    if issues.fatal:
        raise ConfigurationError(issues.all())
    return reader.made(digest(files))


class _Reader:
    def __init__(self, issues: Issues) -> None:
        self._issues = issues
        self._blocks: dict[str, tuple[dict[str, Parameter], dict[str, tuple[str, Place]]]] = {}
        self._entries: dict[str, dict[str, Entry]] = {"references": {}, "services": {}}
        self._overrides: list[Override] = []
        self._rules: list[Rule] = []

    def made(self, content: str) -> Configuration:
        """What was read."""
        return Configuration(
            content,
            self._block(CONSUMER),
            self._block(PROVIDER),
            tuple(self._entries["references"].values()),
            tuple(self._entries["services"].values()),
            tuple(self._overrides),
            tuple(self._rules),
            self._issues.all(),
        )

    def _block(self, section: str) -> Block:
        values, written = self._blocks.get(section, ({}, {}))
        return Block(make_options(values), written)

    def file(self, name: str, data: bytes) -> None:
        """Read one file."""
        if name.endswith(_SCRIPT_SUFFIX):
            self._refuse_script(Place(name), "")
            return
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            text_before = data[: error.start].decode("utf-8", "replace")
            line = text_before.count("\n") + 1
            self._issues.error(Place(name, line, 1), "", "this is no UTF-8")
            return
        for node in parse_yaml(text, name, self._issues):
            if not isinstance(node, Mapping):
                self._issues.error(node.place, "", "a map is expected here")
            elif name.endswith(_RULE_SUFFIXES) or not _RULE_KEYS.isdisjoint(node.items):
                self._rule(node, "")
            else:
                self._document(node, "")

    def _document(self, node: Mapping, path: str) -> None:
        if "dubbo" in node.items and not path:
            inner = node.items["dubbo"]
            for key, place in node.keys.items():
                if key != "dubbo":
                    self._issues.error(
                        place, key, "beside dubbo: nothing else is read, move it below"
                    )
            if isinstance(inner, Mapping):
                self._document(inner, "dubbo.")
            else:
                self._issues.error(inner.place, "dubbo", "a map is expected here")
            return
        for key, inner in node.items.items():
            where = f"{path}{key}"
            match key:
                case "consumer" | "provider":
                    values, written = self._blocks.setdefault(key, ({}, {}))
                    self._settings(inner, where, values, written)
                case "references" | "services":
                    self._section(key, inner, where)
                case "overrides" | "rules":
                    self._listed(inner, where)
                case _ if path and key in _OTHER_SECTIONS:
                    self._issues.warn(node.keys[key], where, "Kubbo does not read this section")
                case _:
                    hint = suggestion(key, _SECTIONS)
                    known = f"; there are {', '.join(_SECTIONS)}"
                    text = f"there is no section {key[:60]!r}{hint or known}"
                    self._issues.error(node.keys[key], where, text)

    # ------------------------------------------------------------------------ settings
    def _settings(
        self,
        node: Node,
        path: str,
        values: dict[str, Parameter],
        written: dict[str, tuple[str, Place]],
        *,
        special: tuple[str, ...] = (),
        method: bool = False,
    ) -> None:
        """Read the settings of a map; `special` keys are the caller's."""
        if isinstance(node, Scalar) and node.empty:
            return
        if not isinstance(node, Mapping):
            self._issues.error(node.place, path, "a map of settings is expected here")
            return
        side = (
            PROVIDER if path.removeprefix("dubbo.").startswith(("provider", "serv")) else CONSUMER
        )
        for key, inner in node.items.items():
            where = f"{path}.{key}"
            place = node.keys[key]
            row = SETTINGS.get(key)
            if key in special:
                continue
            if row is None and key in IGNORED:
                self._issues.warn(place, where, f"Kubbo has no setting {key!r}, it is left out")
            elif row is None:
                known = tuple(SETTINGS) + special
                text = f"there is no setting {key[:60]!r}{suggestion(key, known)}"
                self._issues.error(place, where, text)
            elif side not in row.sides:
                self._issues.error(place, where, f"{key} is for {' and '.join(row.sides)} only")
            elif method and not row.method:
                self._issues.error(place, where, f"{key} cannot be set for a method")
            elif key in written:
                text = f"{where} is set already, at {written[key][1]}"
                self._issues.error(place, where, text)
            else:
                value = read_block_value(key, inner, where, self._issues)
                if value is not None and isinstance(inner, Scalar):
                    values[key] = value
                    written[key] = (inner.text.strip(), place)

    def _section(self, section: str, node: Node, path: str) -> None:
        if isinstance(node, Scalar) and node.empty:
            return
        if not isinstance(node, Mapping):
            self._issues.error(node.place, path, "a map of service keys is expected here")
            return
        for pattern, inner in node.items.items():
            place, where = node.keys[pattern], f"{path}.{pattern}"
            before = self._entries[section].get(pattern)
            if before is not None:
                self._issues.error(place, where, f"this is there already, at {before.place}")
                continue
            if not self._check_pattern(pattern, place, where):
                continue
            self._entries[section][pattern] = self._entry(section, pattern, inner, where, place)

    def _check_pattern(self, pattern: str, place: Place, where: str) -> bool:
        if pattern.endswith("*"):
            return True
        try:
            canonical = str(ServiceKey.parse(pattern))
        except KubboError as error:
            self._issues.error(place, where, str(error))
            return False
        if canonical != pattern:
            self._issues.error(place, where, f"write it as {canonical}")
        return canonical == pattern

    def _entry(self, section: str, pattern: str, node: Node, path: str, place: Place) -> Entry:
        if isinstance(node, Scalar) and section == "references":
            return Entry(pattern, section, self._target(node, path), place=place)
        special = ("target", "methods") if section == "references" else ("methods",)
        values: dict[str, Parameter] = {}
        written: dict[str, tuple[str, Place]] = {}
        self._settings(node, path, values, written, special=special)
        inner = node.items if isinstance(node, Mapping) else {}
        target = inner.get("target") if section == "references" else None
        methods = inner.get("methods")
        return Entry(
            pattern,
            section,
            "" if target is None else self._target(target, f"{path}.target"),
            Block(make_options(values), written),
            {} if methods is None else self._methods(methods, f"{path}.methods"),
            place,
        )

    def _target(self, node: Node, path: str) -> str:
        """The text of a target; its grammar is checked by a layer above, which has it."""
        if isinstance(node, Scalar) and not node.empty:
            return node.text.strip()
        self._issues.error(
            node.place, path, "a target is expected here, like kubernetes:///greeter"
        )
        return ""

    def _methods(self, node: Node, path: str) -> dict[str, Block]:
        """Settings by method: a map by name, or Dubbo's list of maps with a `name`."""
        found: dict[str, Block] = {}
        named: list[tuple[str, Node, str, Place]] = []
        if isinstance(node, Mapping):
            named = [
                (name, each, f"{path}.{name}", node.keys[name]) for name, each in node.items.items()
            ]
        elif isinstance(node, Sequence):
            for number, each in enumerate(node.items):
                name = each.items.get("name") if isinstance(each, Mapping) else None
                where = f"{path}[{number}]"
                if not isinstance(name, Scalar) or name.empty:
                    self._issues.error(each.place, where, "a method needs its name")
                else:
                    named.append((name.text.strip(), each, where, name.place))
        else:
            self._issues.error(node.place, path, "a map of methods is expected here")
        for method, each, where, place in named:
            if method in found:
                self._issues.error(place, where, f"the method {method[:60]} is there twice")
                continue
            values: dict[str, Parameter] = {}
            written: dict[str, tuple[str, Place]] = {}
            self._settings(each, where, values, written, special=("name",), method=True)
            found[method] = Block(make_options(values), written)
        return found

    # --------------------------------------------------------------------------- rules
    def _listed(self, node: Node, path: str) -> None:
        if isinstance(node, Scalar) and node.empty:
            return
        if not isinstance(node, Sequence):
            self._issues.error(node.place, path, "a list of rules is expected here")
            return
        for number, each in enumerate(node.items):
            where = f"{path}[{number}]"
            if not isinstance(each, Mapping):
                self._issues.error(each.place, where, "a map is expected here")
                continue
            is_override = "configs" in each.items
            if is_override != path.endswith("overrides"):
                belongs = "overrides" if is_override else "rules"
                text = f"this belongs below {belongs}: an override has configs, a routing rule not"
                self._issues.error(each.place, where, text)
            else:
                self._rule(each, f"{where}.")

    def _rule(self, node: Mapping, path: str) -> None:
        if "configs" in node.items:
            self._overrides += read_override(node, path, self._issues)
        elif "script" in node.items or _text(node, "type") == "script":
            self._refuse_script(node.place, path)
        else:
            scope = _text(node, "scope") or ("application" if "tags" in node.items else "service")
            self._rules.append(Rule(node.value(), node.place, scope, _text(node, "key")))

    def _refuse_script(self, place: Place, path: str) -> None:
        text = "script rules are not run: they are programs; write it as a condition rule"
        self._issues.error(place, path.rstrip("."), text)


def _text(node: Mapping, key: str) -> str:
    each = node.items.get(key)
    return "" if not isinstance(each, Scalar) or each.empty else each.text.strip()
