"""A consumer's place among all who have to ask the API server at the same moment.

When a thousand consumers draw the second in which they ask, chance heaps them up: over 5 s some
second gets far more than the fifth of them that it should. Consumers cannot agree on an order, but
they have addresses, and these are dealt out in rows: pods of one node are neighbours, and nodes
too. Places that are worked out from addresses are therefore spread more evenly than any dice:

- the last eight bits are read in reverse (van der Corput's sequence), so that any run of
  neighbours, however long, lies evenly between 0 and 1;
- the bits before turn that by multiples of the golden ratio, so that nodes with a few pods
  each do not all have the same few places;
- likewise the number of the process, for those that share an address, and the number of the
  watch, for one that has several.

It costs no coordination, and where addresses come in no rows it is as good as dice.
"""

from __future__ import annotations

import ipaddress
from typing import Final

__all__ = ["place"]

_GOLDEN: Final = 0.6180339887498949
_LOW_BITS: Final = 8


def place(address: str, *numbers: int) -> float | None:
    """A number from 0 up to 1; None for what is no address."""
    try:
        value = int(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return None
    low = value & ((1 << _LOW_BITS) - 1)
    reverse = int(f"{low:0{_LOW_BITS}b}"[::-1], 2) / (1 << _LOW_BITS)
    high = (value >> _LOW_BITS).to_bytes(16, "big")
    # Words of 32 bits: of a larger number the product would have no digits behind the point.
    turns = sum(int.from_bytes(high[at : at + 4], "big") for at in range(0, 16, 4)) + sum(numbers)
    return (reverse + turns * _GOLDEN) % 1.0
