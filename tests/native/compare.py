"""Whether two values are the same one to whoever looks: classes, order, sharing, bits of floats."""

from __future__ import annotations

import struct
from enum import Enum
from typing import Any

from kubbo.java import HiddenName, JavaDatetime, JavaList, JavaMap, Key, Record

_PLAIN = (int, str, bytes, bool, type(None))


def _parts(value: Any) -> list[Any]:
    """What a value is made of, in order."""
    found: list[Any] = []
    if isinstance(value, HiddenName):
        return [str(value)]
    if isinstance(value, (JavaList, JavaMap)):
        found.append(value.java_type)
    if isinstance(value, JavaDatetime):
        found += [value.java_type, value.zone]
    if isinstance(value, Key):
        return [value.value]
    if isinstance(value, Record):
        return [value.class_name, value.fields]
    if isinstance(value, dict):
        for key, item in value.items():
            found += [key, item]
        return found
    if isinstance(value, (list, tuple)):
        return [*found, *value]
    if isinstance(value, (set, frozenset)):
        return [len(value)]  # the order may differ; see below
    if isinstance(value, BaseException):
        found += [value.args, value.__cause__, getattr(value, "__notes__", None)]
    if isinstance(value, Enum):
        return []
    if hasattr(value, "__dict__"):
        found.append(dict(value.__dict__))
    for one in type(value).__mro__:
        for name in one.__dict__.get("__slots__", ()):
            if isinstance(name, str) and not name.startswith("__"):
                found.append((name, getattr(value, name, None)))
    return found


def differ(first: Any, second: Any) -> str:
    """What differs first, empty if nothing does."""
    left: dict[int, int] = {}
    right: dict[int, int] = {}
    held: list[Any] = []  # keeps ids from being reused
    waiting = [(first, second)]
    while waiting:
        one, other = waiting.pop()
        if type(one) is not type(other):
            return f"{type(one)} is not {type(other)}"
        if isinstance(one, float):
            if struct.pack("d", one) != struct.pack("d", other):
                return f"{one} is not {other}"
            continue
        if type(one) in _PLAIN:
            if one != other:
                return f"{one!r:.100} is not {other!r:.100}"
            continue
        if id(one) in left or id(other) in right:
            if left.get(id(one)) != id(other) or right.get(id(other)) != id(one):
                return f"a {type(one)} is shared differently"
            continue
        if not isinstance(one, (tuple, Enum, int)):  # those are shared at will
            left[id(one)], right[id(other)] = id(other), id(one)
            held += [one, other]
        mine, others = _parts(one), _parts(other)
        if len(mine) != len(others):
            return f"a {type(one)} of {len(mine)} parts is not one of {len(others)}"
        if isinstance(one, (set, frozenset)):
            if sorted(map(repr, one)) != sorted(map(repr, other)):
                return f"{one!r:.200} is not {other!r:.200}"
            continue
        if not mine and repr(one) != repr(other):
            return f"{one!r:.100} is not {other!r:.100}"
        waiting += zip(mine, others, strict=True)
    return ""
