"""Subsetting: of a very large Service a consumer calls a stable share, not everybody.

Thousands of consumers that each connect to thousands of providers are millions of connections,
whose heartbeats alone cost more than the calls. Each consumer therefore takes `size` endpoints, by
rendezvous hashing: it gives every endpoint a score made of its own name and the endpoint's
address, and takes the highest. Nobody needs to know of the other consumers, and

- the share is stable: the same after a restart, whatever the order, in every process of a pod;
- churn moves little: one endpoint that goes makes place for one, one that comes takes one at most;
- shares are even as chance is: with c consumers that take k of n, a provider has c*k/n of them
  give or take the square root of that. It is for many consumers: one alone uses its share only.

Routers choose among the share. So that they find what they look for, each zone, and each value of a
label with few values (a version, but not the name of a pod), is represented as in the whole, and by
at least `FLOOR` endpoints where it has so many.
"""

from __future__ import annotations

import socket
from collections import Counter, defaultdict
from heapq import nlargest
from typing import TYPE_CHECKING, Final
from zlib import crc32

from kubbo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from kubbo.config import Parameter
    from kubbo.model import Endpoint

__all__ = ["DEFAULT_SUBSET", "Subset"]

DEFAULT_SUBSET: Final = 500
"""Endpoints; Services up to this size are called as a whole. Beyond it, 500 providers are enough to
balance over, and the connections of one consumer stay a few hundred."""

FLOOR: Final = 3
"""Endpoints of a zone, or of a value of a label, that are in the share at least."""

FEW: Final = 16
"""Values up to which a label is taken to tell groups apart, not single endpoints."""

_WORD: Final = (1 << 64) - 1


class Subset:
    """The share of one consumer: `size` endpoints, 0 for all of them.

    `identity` tells consumers apart; it is the name of the host, in Kubernetes the pod's.
    """

    def __init__(self, size: int = DEFAULT_SUBSET, identity: str = "") -> None:
        self.size = size
        self._seed = crc32((identity or socket.gethostname()).encode())

    @classmethod
    def of(cls, parameters: Mapping[str, Parameter]) -> Subset:
        """As the parameter `subset` says.

        Raises:
            ConfigError: it is no number from 0 on.
        """
        given = parameters.get("subset", DEFAULT_SUBSET)
        if isinstance(given, bool) or not str(given).isdecimal():
            raise ConfigError(f"subset={given!r} is not a whole number from 0 (no limit) on")
        return cls(int(given))

    def choose(self, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """The share, in the order given; O(endpoints). It may be some more than `size`."""
        if not self.size or len(endpoints) <= self.size:
            return tuple(endpoints)
        # Who takes no calls shall not fill a place.
        some = [each for each in endpoints if each.weight > 0] or list(endpoints)
        chosen: set[tuple[str, int]] = set()
        for group in _groups(some, self.size // FLOOR):
            share = round(self.size * len(group) / len(some))
            best = nlargest(max(share, FLOOR), group, key=self._score)
            chosen.update(endpoint.key for endpoint in best)
        return tuple([endpoint for endpoint in endpoints if endpoint.key in chosen])

    def _score(self, endpoint: Endpoint) -> int:
        # A CRC alone would order the endpoints alike for every seed: it is linear.
        value = crc32(f"{endpoint.host}:{endpoint.port}".encode()) << 32 | self._seed
        value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _WORD
        value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _WORD
        return value ^ value >> 31


def _groups(endpoints: Sequence[Endpoint], most: int) -> list[list[Endpoint]]:
    """Endpoints that no rule tells apart, together: by zone and labels.

    If those are more than `most` groups, by zone, or all together.
    """
    values = Counter(label for label, _ in {pair for each in endpoints for pair in each.labels})
    telling = {label for label, count in values.items() if count <= FEW}
    groups: dict[Hashable, list[Endpoint]] = defaultdict(list)
    for endpoint in endpoints:
        labels = tuple([pair for pair in endpoint.labels if pair[0] in telling])
        groups[endpoint.zone, labels].append(endpoint)
    if len(groups) > most:
        groups = defaultdict(list)
        for endpoint in endpoints:
            groups[endpoint.zone].append(endpoint)
    return list(groups.values()) if len(groups) <= most else [list(endpoints)]
