"""What one message may cost its reader.

Hessian's lengths and references let a few bytes describe something huge, so each limit is
checked before memory or time is spent. No length that a peer declares ever allocates: it
is compared with the bytes that are left.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one message; raise one only for peers that you trust."""

    # Containers within containers. Python's own recursion limit is 1,000 frames, shared
    # with the caller, and each level costs up to three. Real object graphs stay below 20.
    depth: int = 64

    # Values of any kind. One is at least a byte, but a list costs 56 bytes of heap: eight
    # MiB of empty lists would be 600 MiB.
    nodes: int = 1_000_000

    # Values beyond five for four bytes, where a hint or a class makes of a byte what is larger:
    # an empty set is 216 bytes of heap, and a class may have many fields that nobody sent. What
    # is built so counts one for each 80 bytes. As a natural value takes 80 at most, a message
    # and this together stay below 100 times its bytes and 64 KiB.
    surplus: int = 800

    # Distinct classes in one message. Each is prepared once, which costs far more than
    # reading an object of it.
    class_definitions: int = 1_024

    # Field names of all definitions together: the size of what is prepared.
    field_names: int = 10_000

    # Digits of a BigDecimal or BigInteger. Turning digits into a number and back is
    # quadratic in Python; 1,024 digits are far beyond money and RSA-2048 fits.
    numeral_digits: int = 1_024

    # Exponent of a BigDecimal, either sign. `int(Decimal("1E+1000000"))` takes a minute.
    exponent: int = 10_000

    # Keys of one map (or elements of one set) that share a hash without being equal. The
    # hashes of UUID, Decimal and big integers can be chosen by a peer (they are residues
    # of 2**61 - 1), and every such key makes the next one slower: 20,000 took 5 s.
    colliding_keys: int = 16

    # Parts of one map key or set element that is a tuple or a frozen dataclass: hashing
    # visits them all, through shared parts too, which is exponential in the depth.
    key_parts: int = 64


DEFAULT_LIMITS = Limits()
