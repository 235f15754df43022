"""The store without HTTP: its history, and what is fast and local enough for no real server."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kubbo.sim.apiserver import ApiError, Object, Selector, Store
from kubbo.sim.apiserver.patches import JSON_PATCH, MERGE_PATCH, apply


def config_map(name: str, namespace: str = "default", **parts: Any) -> Object:
    meta: Object = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **parts}


def names(store: Store, **more: Any) -> list[str]:
    found: list[Any] = list(store.list("configmaps", **more))
    return [item["metadata"]["name"] for item in found]


def test_every_version_can_be_read_back() -> None:
    """A list at version N is what a list was when N was the latest, for a random history."""
    rng = random.Random(7)
    store = Store()
    seen: dict[int, list[Any]] = {}
    for step in range(300):
        name = f"c{rng.randrange(12)}"
        present = name in names(store)
        if not present:
            store.create(config_map(name))
        elif rng.random() < 0.4:
            store.delete("configmaps", name, namespace="default")
        else:
            store.patch("configmaps", name, {"data": {"n": str(step)}}, namespace="default")
        seen[store.version] = list(store.list("configmaps"))
    assert len({len(items) for items in seen.values()}) > 5
    for version, items in seen.items():
        assert store.list("configmaps", version=version) == items


def test_history_is_bounded() -> None:
    """Only the latest changes are kept; what came before them is Expired, exactly there."""
    store = Store(history=10)
    for number in range(50):
        store.create(config_map(f"c{number}"))
    assert store.oldest == store.version - 10
    assert len(store.changes(store.oldest)) == 10
    with pytest.raises(ApiError) as refused:
        store.changes(store.oldest - 1)
    assert refused.value.code == 410
    with pytest.raises(ApiError):
        store.list("configmaps", version=store.oldest - 1)


def test_what_is_read_is_a_copy() -> None:
    """Changing what create, get or an argument gave does not change the store."""
    store = Store()
    mine: Any = config_map("c", data={"a": "1"})
    made: Any = store.create(mine)
    mine["data"]["a"] = made["data"]["a"] = "2"
    got: Any = store.get("configmaps", "c", "default")
    assert got["data"] == {"a": "1"}
    got["data"]["a"] = "3"
    assert store.get("configmaps", "c", "default")["data"] == {"a": "1"}


def test_a_refused_change_changes_nothing() -> None:
    """No version is spent and nobody is told when a write is refused."""
    store = Store()
    store.create(config_map("c"))
    before, told = store.version, []
    store.subscribe(told.append)
    with pytest.raises(ApiError, match="AlreadyExists"):
        store.create(config_map("c"))
    with pytest.raises(ApiError, match="Invalid"):
        store.create(config_map("C"))
    with pytest.raises(ApiError, match="NotFound"):
        store.delete("configmaps", "d", namespace="default")
    with pytest.raises(ApiError, match="Invalid"):
        store.patch(
            "configmaps",
            "c",
            [{"op": "remove", "path": "/x"}],
            namespace="default",
            kind=JSON_PATCH,
        )
    assert (store.version, told) == (before, [])


def test_namespaces() -> None:
    """The first object makes its namespace, unless the store is strict; both end together."""
    store = Store()
    store.create(config_map("c", "shop"))
    assert store.get("namespaces", "shop")
    store.delete("namespaces", "shop")
    assert names(store) == []
    with pytest.raises(ApiError, match='namespaces "shop" not found'):
        Store(implicit_namespaces=False).create(config_map("c", "shop"))


def test_selectors_keep_their_meaning_in_lists() -> None:
    """A list over all namespaces is ordered by namespace, then name, and selected."""
    store = Store()
    for namespace, name in (("b", "x"), ("a", "y"), ("a", "x")):
        value: Any = config_map(name, namespace)
        value["metadata"]["labels"] = {"at": namespace + name}
        store.create(value)
    assert names(store) == ["x", "y", "x"]
    assert names(store, selector=Selector.parse("at notin (ax, bx)")) == ["y"]
    assert names(store, namespace="a") == ["x", "y"]


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        ([{"op": "add", "path": "/x~1y~0z", "value": 1}], {"a": [1, 2], "x/y~z": 1}),
        ([{"op": "add", "path": "/a/-", "value": 3}], {"a": [1, 2, 3]}),
        ([{"op": "add", "path": "/a/0", "value": 3}], {"a": [3, 1, 2]}),
        ([{"op": "replace", "path": "/a/1", "value": 3}], {"a": [1, 3]}),
        ([{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ([{"op": "move", "from": "/a/0", "path": "/b"}], {"a": [2], "b": 1}),
        ([{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1, 2], "b": [1, 2]}),
        ([{"op": "add", "path": "/a/9", "value": 3}], 422),
        ([{"op": "add", "path": "/a/-1", "value": 3}], 422),
        ([{"op": "replace", "path": "/a/2", "value": 3}], 422),
        ([{"op": "remove", "path": "/b/c"}], 422),
        ([{"op": "remove", "path": ""}], 422),
        ([{"op": "replace", "path": "", "value": []}], 422),
        ([{"op": "fold", "path": "/a"}], 422),
        ([{"op": "add", "path": "a", "value": 1}], 422),
        ([{"path": "/a"}], 422),
        (["add"], 400),
        ({"op": "add"}, 400),
    ],
)
def test_json_patches(patch: Any, result: Any) -> None:
    """Each operation does what RFC 6902 says, or is refused without touching the object."""
    target: Any = {"a": [1, 2]}
    if isinstance(result, int):
        with pytest.raises(ApiError) as refused:
            apply(JSON_PATCH, target, patch)
        assert refused.value.code == result
    else:
        assert apply(JSON_PATCH, target, patch) == result
    assert target == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        ({"a": {"b": None, "d": 1}}, {"a": {"c": [1], "d": 1}}),
        ({"a": [2]}, {"a": [2]}),
        ({"n": {"m": {"x": None, "y": 1}}}, {"a": {"b": 1, "c": [1]}, "n": {"m": {"y": 1}}}),
        ({"a": None}, {}),
        ({}, {"a": {"b": 1, "c": [1]}}),
        ([1], 422),
        (None, 422),
    ],
)
def test_merge_patches(patch: Any, result: Any) -> None:
    """Null removes, objects merge, all else replaces, as RFC 7386 says."""
    target: Any = {"a": {"b": 1, "c": [1]}}
    if isinstance(result, int):
        with pytest.raises(ApiError) as refused:
            apply(MERGE_PATCH, target, patch)
        assert refused.value.code == result
    else:
        assert apply(MERGE_PATCH, target, patch) == result
    assert target == {"a": {"b": 1, "c": [1]}}
