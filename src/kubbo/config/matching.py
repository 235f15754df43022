"""What an override is about: conditions on addresses and on texts, as Dubbo writes them.

An address condition has one of `cidr` (Dubbo also reads its own misspelling `cird`), `wildcard`
and `exact`; a text condition one of `exact`, `prefix`, `regex`, `wildcard`, `empty` and `noempty`.
Where several are given, the first of these orders counts, as in Dubbo.

Source: AddressMatch, StringMatch and ListStringMatch of org.apache.dubbo.rpc.cluster.router.mesh,
and NetUtils.matchIpExpression.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from kubbo.config.regex import Regex

__all__ = ["AddressMatch", "TextMatch", "is_any_address", "matches_address"]

ANY_HOST: Final = "0.0.0.0"  # noqa: S104 - Dubbo's word for every address, nothing is bound
_LONGEST: Final = 1_000
"""Characters of a text that a regular expression is tried on."""

_compiled = lru_cache(256)(Regex)
"""An override is asked for every member, and there are few expressions."""


@dataclass(frozen=True, slots=True)
class AddressMatch:
    """Which addresses; empty texts say nothing."""

    cidr: str = ""
    wildcard: str = ""
    exact: str = ""

    def accepts(self, host: str, port: int = 0) -> bool:
        """Whether an address is meant; a condition with a port is compared with the port too."""
        address = f"{host}:{port}"
        if self.cidr:
            return self.cidr in (host, address) or _in_range(self.cidr, host, port)
        if self.wildcard:
            return self.wildcard in (ANY_HOST, "*") or any(
                _glob(self.wildcard, each) for each in (host, address)
            )
        return bool(self.exact) and self.exact in (host, address)


@dataclass(frozen=True, slots=True)
class TextMatch:
    """Which texts; None says nothing. `regex` is checked when it is read."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None
    wildcard: str | None = None
    empty: str | None = None
    noempty: str | None = None

    def accepts(self, text: str | None) -> bool:
        """Whether a text is meant; None where there is none."""
        if text is not None:
            if self.exact is not None:
                return self.exact == text
            if self.prefix is not None:
                return text.startswith(self.prefix)
            if self.regex is not None:
                return _compiled(self.regex).matches(text[:_LONGEST])
            if self.wildcard is not None:
                return self.wildcard in ("*", text)
        if self.empty is not None:
            return not text
        return self.noempty is not None and bool(text)


def is_any_address(text: str) -> bool:
    """Whether an entry of `addresses` means every machine."""
    return text in (ANY_HOST, f"{ANY_HOST}:*", "*")


def matches_address(text: str, host: str, port: int) -> bool:
    """Whether an entry of `addresses` or `providerAddresses` means this provider.

    It may be a host, host and port, or any host with a port.
    """
    return is_any_address(text) or text in (host, f"{host}:{port}", f"{ANY_HOST}:{port}")


def _glob(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern in which one `*` stands for anything."""
    head, star, tail = pattern.rpartition("*")
    if not star:
        return pattern == text
    fits = text.startswith(head) and text.endswith(tail)
    return fits and len(text) >= len(head) + len(tail)


def _in_range(pattern: str, host: str, port: int) -> bool:
    """Whether an address fits a CIDR, or an address with `*` or `1-9` for some of its parts."""
    try:
        address = ipaddress.ip_address(host)
        if "/" in pattern:
            return address in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False
    separator = ":" if address.version == 6 else "."
    if address.version == 4 and ":" in pattern:
        pattern, _, wanted = pattern.partition(":")
        if wanted != str(port):
            return False
    parts = pattern.split(separator)
    words = host.split(separator)
    return len(parts) == len(words) and all(
        _in_part(part, word, 16 if separator == ":" else 10)
        for part, word in zip(parts, words, strict=True)
    )


def _in_part(part: str, word: str, base: int) -> bool:
    low, dash, high = part.partition("-")
    if part in ("*", word):
        return True
    try:
        return bool(dash) and int(low, base) <= int(word, base) <= int(high, base)
    except ValueError:
        return False
