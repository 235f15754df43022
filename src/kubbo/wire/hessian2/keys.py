"""Map keys and set elements that a peer chose.

Python's hash of text and bytes is salted, and that of an int of 64 bits leaves a peer
little choice. The hashes of Decimal, UUID, big integers, dates and tuples are known
residues, so that thousands of keys can be made to share one hash; each then costs a
comparison with all before it. Such keys are admitted one by one: too many that share a
hash are refused. What cannot be hashed (a list, a record) is wrapped in `kubbo.java.Key`.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from kubbo.java import Key, LongValue
from kubbo.wire.hessian2.faults import Fault
from kubbo.wire.hessian2.kinds import COMPOUND, has_fields

if TYPE_CHECKING:
    from collections.abc import Container

    from kubbo.model import Value
    from kubbo.wire.hessian2.limits import Limits

__all__ = ["PLAIN_KEYS", "KeyGuard"]

# What the reader makes that needs no guard. (An int is of 64 bits there.)
PLAIN_KEYS = frozenset({str, int, LongValue, bool, type(None), float, bytes})


class KeyGuard:
    """The keys of one map, or the elements of one set, that need a look."""

    __slots__ = ("_limits", "_measured", "_sharing")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sharing: dict[int, int] = {}
        self._measured: set[int] = set()  # ids; the message's references hold the objects

    def admit(self, key: Value, present: Container[Value]) -> Value:
        """The key as it may be stored in `present`.

        Raises:
            Fault: too many keys share its hash, or hashing it would visit too much.
        """
        if key.__class__ is str or isinstance(key, Key):
            return key
        compound = key.__class__ is not int and (isinstance(key, COMPOUND) or has_fields(key))
        if compound and id(key) not in self._measured:
            try:
                self._measure(key)
            except Fault:
                raise
            except Exception as error:  # noqa: BLE001 - a class of the user may raise anything
                raise Fault(
                    f"a {type(key).__name__} cannot be a key: {type(error).__name__}"
                ) from None
            self._measured.add(id(key))
        try:
            hashed = hash(key)
        except TypeError:
            return Key(key)
        except Exception as error:  # noqa: BLE001 - a class of the user may raise anything
            raise Fault(f"a {type(key).__name__} cannot be a key: {type(error).__name__}") from None
        sharing = self._sharing.get(hashed, 0)
        try:
            known = key in present  # compares with those of its hash
        except Exception as error:  # noqa: BLE001 - a class of the user may raise anything
            raise Fault(f"a {type(key).__name__} cannot be a key: {type(error).__name__}") from None
        if sharing >= self._limits.colliding_keys and not known:
            raise Fault(f"more than {self._limits.colliding_keys} keys share one hash")
        self._sharing[hashed] = sharing + 1
        return key

    def _measure(self, key: Value) -> None:
        """Refuse a compound key of too many parts, counted as often as they are reached."""
        left = self._limits.key_parts
        waiting: list[Any] = [key]
        while waiting:
            part = waiting.pop()
            left -= len(part) if isinstance(part, COMPOUND) else 1
            if left < 0:
                raise Fault(f"a key of more than {self._limits.key_parts} parts")
            if isinstance(part, COMPOUND):
                waiting.extend(part)
            elif is_dataclass(part) and not isinstance(part, type):
                waiting.extend(getattr(part, one.name, None) for one in fields(part) if one.compare)
            elif has_fields(part):
                waiting.extend(part.__dict__.values())
