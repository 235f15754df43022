"""To which calls a rule belongs: those to one service, or those of and to one application.

In Java the place where a rule is published says so: `INTERFACE:VERSION:GROUP.condition-router`,
or an application's name. Here it is the `key` of the rule itself; without one it is for all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kubbo.cluster.routing.facts import application_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubbo.cluster.member import Member
    from kubbo.cluster.routing.document import Node
    from kubbo.model import ServiceKey

__all__ = ["Scope", "parse_scope"]

_INTERFACE: Final = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*")


@dataclass(frozen=True, slots=True)
class Scope:
    """Of a rule. `service` has empty parts for "none" and `*` for any; or `application` is set.

    `consumers` says whether the application may be the one that calls, too.
    """

    key: str
    service: tuple[str, str, str] | None = None
    application: str = ""
    consumers: bool = True

    def covers(self, service: ServiceKey) -> bool:
        """Whether calls to `service` may be meant."""
        if self.service is None:
            return True
        actual = (service.group, service.interface, service.version)
        return all(
            wanted in ("*", found) for wanted, found in zip(self.service, actual, strict=True)
        )

    def admits(self, consumer: str, members: Sequence[Member]) -> bool:
        """Whether calls of the application `consumer` to these members are meant.

        Who does not say which application it is contradicts nothing.
        """
        if not self.application:
            return True
        if self.consumers and consumer == self.application:
            return True
        said = next(filter(None, (application_of(each.endpoint) for each in members)), "")
        if said:
            return said == self.application
        return not (self.consumers and consumer)

    def __str__(self) -> str:
        return self.key


def parse_scope(top: Node, default: str, *, consumers: bool = True) -> Scope:
    """Read `scope` and `key`; `default` is the scope of a rule that names none.

    Raises:
        ConfigError: there is no such scope, or the key does not follow its grammar.
    """
    scope = top.text_of("scope") or default
    if scope not in ("service", "application"):
        node = top.get("scope")
        assert node is not None
        raise node.refuse("a scope; there are service and application")
    node = top.get("key")
    key = "*" if node is None else node.text().strip()
    if key in ("", "*") or node is None:
        return Scope(f"any {scope}")
    if scope == "application":
        return Scope(key, application=key, consumers=consumers)
    service = _service(key)
    if service is None:
        raise node.refuse(
            "a service; write INTERFACE, INTERFACE:VERSION:GROUP or GROUP/INTERFACE:VERSION, "
            "where * is any version or group"
        )
    return Scope(key, service=service)


def _service(key: str) -> tuple[str, str, str] | None:
    """Group, interface and version, as Dubbo's places and its pages write them."""
    group, slash, rest = key.partition("/")
    parts = (rest if slash else key).split(":")
    if slash:
        parts.append(group)
    elif len(parts) > 1 and "." not in parts[0] and "." in parts[1]:
        parts = [*parts[1:2], *(parts[2:] or [""]), parts[0]]  # GROUP:INTERFACE[:VERSION]
    interface, version, group = (*parts, "", "")[:3]
    if slash and len(parts) == 2:
        version, group = "", parts[1]
    if len(parts) > 3 or _INTERFACE.fullmatch(interface) is None:
        return None
    return (group, interface, version)
