"""What a configuration means for the references of one consumer.

A view is made once for each configuration, away from the event loop: its rules become routers,
its targets are checked. Whatever is wrong is found then, so that a configuration is taken as a
whole or not at all, and no call ever meets a half of it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from socket import AF_INET, AF_INET6, SOCK_DGRAM, socket
from typing import TYPE_CHECKING

from kubbo.cluster.overrides import Marks, MarksRouter, WeightsBalance
from kubbo.cluster.routing import Consumer, in_order, parse
from kubbo.config.document import ConfigurationError, Issue
from kubbo.config.overrides import Subject
from kubbo.errors import ConfigError, TargetError
from kubbo.naming.target import parse_target
from kubbo.rpc.mock import parse_mock

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping

    from kubbo.cluster.balancers import LoadBalance
    from kubbo.cluster.routers import Router
    from kubbo.config.configuration import Configuration, Rule
    from kubbo.config.layers import Layer
    from kubbo.config.overrides import Block
    from kubbo.model import ServiceKey

__all__ = ["LiveView", "ServiceRules", "Viewer", "own_addresses"]


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
        hosts = {self._consumer.host} if self._consumer.host else own_addresses()
        subject = Subject(self._consumer.application, frozenset(hosts))
        routers = _routers(configuration, self._consumer, self._rng)
        return LiveView(configuration, subject, routers)


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
