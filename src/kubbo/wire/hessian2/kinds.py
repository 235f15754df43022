"""Classes to ask `isinstance` for, where a value may be anything.

`isinstance(value, list)` leaves a type checker with a list of unknown items; asked through
these, the value stays `Any`, which it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import is_dataclass
from typing import Any

LIST: tuple[type[Any], ...] = (list,)
TUPLE: tuple[type[Any], ...] = (tuple,)
LISTED: tuple[type[Any], ...] = (list, tuple)
SETS: tuple[type[Any], ...] = (set, frozenset)
ITEMS: tuple[type[Any], ...] = (list, tuple, set, frozenset)
COMPOUND: tuple[type[Any], ...] = (tuple, frozenset)
DICT: tuple[type[Any], ...] = (dict,)
MAPPING: tuple[type[Any], ...] = (Mapping,)
COLLECTION: tuple[type[Any], ...] = (Collection,)
NO_LIST: tuple[type[Any], ...] = (str, bytes, Mapping)
BINARY: tuple[type[Any], ...] = (bytes, bytearray, memoryview)


def has_fields(value: Any) -> bool:
    """Whether a class or an object is a dataclass or a pydantic model."""
    return is_dataclass(value) or hasattr(value, "__pydantic_fields__")


def has_dataclass_fields(value: Any) -> bool:
    """Whether a class or an object is a dataclass; says nothing else of it."""
    return is_dataclass(value)
