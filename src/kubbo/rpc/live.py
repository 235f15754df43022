"""What a configuration means for the references of a consumer, and for a provider.

A view is made once for each configuration, away from the event loop: its rules become routers,
its targets are checked. Whatever is wrong is found then, so that a configuration is taken as a
whole or not at all, and no call ever meets a half of it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from socket import AF_INET, AF_INET6, SOCK_DGRAM, socket
from typing import TYPE_CHECKING

from kubbo.cluster.overrides import Marks, MarksRouter, WeightsBalance
from kubbo.cluster.routing import Consumer, in_order, parse
from kubbo.config.document import ConfigurationError, Issue
from kubbo.config.layers import Layer, Level, merge, stack
from kubbo.config.options import Options
from kubbo.config.overrides import Subject
from kubbo.config.settings import PROVIDER
from kubbo.errors import ConfigError, TargetError
from kubbo.naming.target import parse_target
from kubbo.rpc.admission import ServiceLimits, ServingLimits
from kubbo.rpc.mock import parse_mock

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from kubbo.cluster.balancers import LoadBalance
    from kubbo.cluster.routers import Router
    from kubbo.config.configuration import Configuration, Rule
    from kubbo.config.overrides import Block
    from kubbo.model import ServiceKey

__all__ = ["LiveView", "ProviderView", "ServiceRules", "Viewer", "own_addresses"]


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """What narrows and weighs the providers of one service; equal if it says the same."""

    marks: Marks
    rules: tuple[Rule, ...]
    routers: tuple[Router, ...] = field(compare=False)

    def weigh(self, balance: LoadBalance) -> LoadBalance:
        """A balancer that sees the configured weights."""
        return WeightsBalance(balance, self.marks) if self.marks else balance


@dataclass(frozen=True, slots=True)
class LiveView:
    """A configuration, for a consumer. `routers` belong to its rules, one to each."""

    configuration: Configuration
    subject: Subject
    routers: tuple[Router, ...] = ()

    def layers(self, service: ServiceKey, method: str) -> tuple[Layer, ...]:
        """What is said of a method."""
        return self.configuration.layers(str(service), method, self.subject)

    def rules(self, service: ServiceKey) -> ServiceRules:
        """What is said of the providers of a service."""
        chosen = [
            (rule, router)
            for rule, router in zip(self.configuration.rules, self.routers, strict=True)
            if _may_concern(rule, service)
        ]
        marks = Marks(
            [
                each
                for each in self.configuration.markings()
                if _may_mark(each.scope, each.key, service)
            ],
            str(service),
            self.subject,
        )
        routers = in_order(router for _, router in chosen)
        return ServiceRules(
            marks,
            tuple(rule for rule, _ in chosen),
            (MarksRouter(marks), *routers) if marks.may_disable else routers,
        )


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A configuration, for a provider."""

    configuration: Configuration
    subject: Subject

    def limits(
        self, service: ServiceKey, methods: Collection[str], given: ServiceLimits
    ) -> ServiceLimits:
        """The limits of a service, where code has `given` them.

        A limit of a method is beside that of its service, so only what is said of the method
        itself counts for it.
        """
        said = self._layers(service, "", Level.INTERFACE, given.service)
        own = {
            method: _serving_limits(
                [
                    each
                    for each in self._layers(
                        service, method, Level.METHOD, given.methods.get(method, ServingLimits())
                    )
                    if each.level is Level.METHOD
                ]
            )
            for method in sorted(methods)
        }
        return ServiceLimits(
            _serving_limits(said),
            {method: each for method, each in own.items() if each != ServingLimits()},
        )

    def _layers(
        self, service: ServiceKey, method: str, level: Level, given: ServingLimits
    ) -> tuple[Layer, ...]:
        values = {name: value for name, value in asdict(given).items() if value}
        code = Layer(level, "Server.export(...)", Options(parameters=values))
        live = self.configuration.layers(str(service), method, self.subject, PROVIDER)
        return stack(*live, code)


def _serving_limits(layers: Iterable[Layer]) -> ServingLimits:
    said = merge(layers).parameters
    executes, adaptive = int(said.get("executes", 0)), bool(said.get("adaptive", False))
    # There is nothing to wait for where nothing limits.
    queue = int(said.get("queue", 0)) if executes or adaptive else 0
    return ServingLimits(executes, queue, float(said.get("tps", 0)), adaptive)


def _may_concern(rule: Rule, service: ServiceKey) -> bool:
    """Whether a rule may be for a service; the router itself knows exactly.

    Without this look, each call would ask every router of every service.
    """
    if rule.scope != "service" or rule.key in ("", "*"):
        return True
    return service.interface in re.split("[/:]", rule.key)


def _may_mark(scope: str, key: str, service: ServiceKey) -> bool:
    return scope != "service" or key in ("*", str(service))


class Viewer:
    """Makes the views of one consumer."""

    def __init__(self, application: str, environ: Mapping[str, str], rng: random.Random) -> None:
        """Raises ConfigError where the environment says something that cannot be used."""
        self._consumer = Consumer.here(application, environ)
        self._rng = rng

    def view(self, configuration: Configuration) -> LiveView:
        """The view of a configuration. Asks the kernel for the own addresses.

        Raises:
            ConfigurationError: a rule or a target cannot be used.
        """
        routers = _routers(configuration, self._consumer, self._rng)
        return LiveView(configuration, self._subject(), routers)

    def provider_view(self, configuration: Configuration) -> ProviderView:
        """The view of a provider, who takes or refuses the same configurations.

        Raises:
            ConfigurationError: a rule or a target cannot be used.
        """
        _routers(configuration, self._consumer, self._rng)
        return ProviderView(configuration, self._subject())

    def _subject(self) -> Subject:
        hosts = {self._consumer.host} if self._consumer.host else own_addresses()
        return Subject(self._consumer.application, frozenset(hosts))


def own_addresses() -> set[str]:
    """The addresses that packets of this machine leave from. Nothing is sent."""
    found: set[str] = set()
    for family, somewhere in ((AF_INET, "192.0.2.1"), (AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket(family, SOCK_DGRAM) as one:
            one.connect((somewhere, 9))
            found.add(one.getsockname()[0])
    return found


def _blocks(configuration: Configuration) -> Iterator[Block]:
    """Everything that is said of calls, wherever."""
    yield from (configuration.consumer, configuration.provider)
    for entry in (*configuration.references, *configuration.services):
        yield from (entry.block, *entry.methods.values())
    for override in configuration.overrides:
        yield from (override.block, *override.methods.values())


def _routers(
    configuration: Configuration, consumer: Consumer, rng: random.Random
) -> tuple[Router, ...]:
    issues = list(configuration.warnings)
    routers: list[Router] = []
    for rule in configuration.rules:
        try:
            routers.append(
                parse(dict(rule.document), source=rule.source, consumer=consumer, rng=rng)
            )
        except ConfigError as error:
            text = str(error).removeprefix(f"{rule.source}: ")
            issues.append(Issue(rule.place, "", text))
    for entry in configuration.references:
        if entry.target:
            try:
                parse_target(entry.target)
            except TargetError as error:
                issues.append(Issue(entry.place, f"references.{entry.pattern}", str(error)))
    for block in _blocks(configuration):
        text, place = block.written.get("mock", ("", None))
        if place is not None:
            try:
                parse_mock(text)
            except ConfigError as error:
                issues.append(Issue(place, "mock", str(error)))
    if any(issue.fatal for issue in issues):
        raise ConfigurationError(tuple(sorted(issues, key=lambda issue: issue.place)))
    return tuple(routers)
