"""The two patch formats that need no schema: merge patch and JSON patch.

Both work on plain JSON and return a new value. Source: RFC 7386 and RFC 6902. Strategic
merge patches, which kubectl prefers for built-in kinds, need the types and are not here.
"""

from __future__ import annotations

import copy
from typing import TypeAlias

from kubbo.sim.apiserver.objects import ApiError, Json, Object

__all__ = ["JSON_PATCH", "MERGE_PATCH", "apply"]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_MAX_OPERATIONS = 10_000  # what the real server allows in one JSON patch
_Container: TypeAlias = "dict[str, Json] | list[Json]"


def apply(kind: str, target: Object, patch: Json) -> Object:
    """Patch an object, by the content type of the patch.

    Raises:
        ApiError: 415 for another content type, 400 for a patch of the wrong shape, 422 for
            one that does not fit the object.
    """
    if kind == MERGE_PATCH:
        patched = _merge(target, patch)
    elif kind == JSON_PATCH:
        if not isinstance(patch, list) or len(patch) > _MAX_OPERATIONS:
            raise ApiError(400, "BadRequest", "a JSON patch is a list of operations")
        patched = copy.deepcopy(target)
        for operation in patch:
            patched = _operate(patched, operation)
    else:
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
    if not isinstance(patched, dict):
        raise _misfit()
    return patched


def _merge(target: Json, patch: Json) -> Json:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged: Object = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _operate(document: Json, operation: Json) -> Json:
    if not isinstance(operation, dict):
        raise ApiError(400, "BadRequest", "an operation of a JSON patch is an object")
    path = _pointer(operation.get("path"))
    match operation.get("op"):
        case "add":
            return _put(document, path, copy.deepcopy(operation.get("value")), insert=True)
        case "replace":
            _look(document, path)
            return _put(document, path, copy.deepcopy(operation.get("value")), insert=False)
        case "remove":
            return _remove(document, path)
        case "test":
            if _look(document, path) != operation.get("value"):
                raise _misfit()
            return document
        case "copy" | "move" as op:
            source = _pointer(operation.get("from"))
            value = copy.deepcopy(_look(document, source))
            if op == "move":
                document = _remove(document, source)
            return _put(document, path, value, insert=True)
        case _:
            raise _misfit()


def _pointer(pointer: Json) -> list[str]:
    if pointer == "":
        return []
    if not isinstance(pointer, str) or not pointer.startswith("/"):
        raise _misfit()
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


def _look(document: Json, path: list[str]) -> Json:
    for step in path:
        match document:
            case dict() if step in document:
                document = document[step]
            case list():
                document = document[_index(step, len(document) - 1)]
            case _:
                raise _misfit()
    return document


def _container(document: Json, path: list[str]) -> _Container:
    parent = _look(document, path[:-1])
    if not isinstance(parent, dict | list):
        raise _misfit()
    return parent


def _put(document: Json, path: list[str], value: Json, *, insert: bool) -> Json:
    if not path:
        return value
    parent, last = _container(document, path), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif not insert:
        parent[_index(last, len(parent) - 1)] = value
    else:
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    return document


def _remove(document: Json, path: list[str]) -> Json:
    _look(document, path)
    if not path:
        return None
    parent, last = _container(document, path), path[-1]
    if isinstance(parent, dict):
        del parent[last]
    else:
        del parent[_index(last, len(parent) - 1)]
    return document


def _index(step: str, last: int) -> int:
    if not (step.isascii() and step.isdigit() and len(step) < 10 and int(step) <= last):
        raise _misfit()
    return int(step)


def _misfit() -> ApiError:
    return ApiError(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
        details={},
    )
