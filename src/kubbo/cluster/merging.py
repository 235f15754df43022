"""Results of several groups made one: Dubbo's `mergeable` and its mergers.

A reference with the group `a,b` calls the providers of both groups, each through its own target,
and merges what they return. All of them shall answer: one that fails fails the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from kubbo.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kubbo.model import Value

__all__ = ["MERGERS", "Merger", "make_merger", "merge_results"]

Merger: TypeAlias = "Callable[[Sequence[Any]], Value]"
"""Makes one value of those of the groups, in their order."""


def _lists(results: Sequence[Any]) -> list[Value]:
    return [item for each in results for item in each]


def _maps(results: Sequence[Any]) -> dict[Value, Value]:
    return {key: value for each in results for key, value in each.items()}


def _sets(results: Sequence[Any]) -> set[Value]:
    return {item for each in results for item in each}


MERGERS: Final[Mapping[str, Merger]] = {
    "list": _lists,
    "map": _maps,
    "set": _sets,
    "sum": sum,
    "all": all,
    "any": any,
    "first": lambda results: results[0],
}
"""By name: lists joined, maps joined (the later group wins), sets united, numbers added."""


def make_merger(name: str) -> Merger:
    """The merger of this name; `true` or nothing is the one that fits the results.

    Raises:
        ConfigError: there is none of this name.
    """
    if name in {"", "true", "default"}:
        return merge_results
    merger = MERGERS.get(name)
    if merger is None:
        raise ConfigError(
            f"merger={name!r} is none; there are {', '.join(MERGERS)}, or pass a function"
        )
    return merger


def merge_results(results: Sequence[Value]) -> Value:
    """Merge by what the results are; None counts as nothing.

    Raises:
        UsageError: they are of no kind that can be merged, or of several.
    """
    some = [each for each in results if each is not None]
    if not some:
        return None
    for kind, merger in ((list, _lists), (dict, _maps), ((set, frozenset), _sets)):
        if all(isinstance(each, kind) for each in some):
            return merger(some)
    if all(isinstance(each, bool) for each in some):
        return all(some)
    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in some):
        return sum(some)
    kinds = ", ".join(sorted({type(each).__name__ for each in some}))
    raise UsageError(f"results of type {kinds} cannot be merged; name a merger, or pass a function")
