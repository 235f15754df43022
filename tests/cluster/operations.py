"""What a client of the API may observe, as operations that run against any API server.

Each operation talks HTTP to a server it knows nothing about and returns what it saw, normalised:
versions, identities and times are replaced by their kind, the namespace by NS. The observations
of a real kube-apiserver are kept in tests/unit/sim/observations.json; the server of `kubbo.sim`
must give the same ones in every unit run, and the real one must still give them in every cluster
run. So neither a slip in the simulation nor a change in Kubernetes goes unseen.

Left out on purpose is the text of messages that no program reads (what exactly is wrong with a
name); of these, code, reason and causes count.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import aiohttp

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
SLICES = "discovery.k8s.io/v1"
PATIENCE = 30.0  # seconds for what must come; nothing here waits that long when all is well

OPERATIONS: dict[str, Callable[[Bed], Awaitable[list[Any]]]] = {}


class Bed(Protocol):
    """One server with one fresh namespace."""

    api: Api
    nobody: Api
    """With a valid token that allows nothing."""
    stranger: Api
    """With a token that nobody knows."""

    async def expire(self) -> None:
        """Make every version up to now too old, for watches, exact lists and pages."""
        ...


def operation(function: Callable[[Bed], Awaitable[list[Any]]]) -> Any:
    OPERATIONS[function.__name__] = function
    return function


# --- talking


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def version(self) -> int:
        return int(self.body["metadata"]["resourceVersion"])

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.body["items"]]


class Events:
    """The stream of one watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self._response = response

    async def take(self, count: int) -> list[Any]:
        async with asyncio.timeout(PATIENCE):
            lines = [await self._response.content.readline() for _ in range(count)]
        return [json.loads(line) if line else "end" for line in lines]

    async def rest(self) -> list[Any]:
        """All up to a clean end; anything else raises."""
        async with asyncio.timeout(PATIENCE):
            return [json.loads(line) async for line in self._response.content]

    async def silent(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._response.content.readline()
        except TimeoutError:
            return True
        return False


@dataclass(frozen=True)
class Api:
    """A client in one namespace; `session` has the address and the credentials."""

    session: aiohttp.ClientSession
    namespace: str
    headers: Mapping[str, str]

    def path(self, plural: str, name: str = "", *, namespace: str | None = None) -> str:
        if plural.startswith("/"):
            return plural
        root = f"/apis/{SLICES}" if plural.startswith("endpointslices") else "/api/v1"
        plural, _, subresource = plural.partition("/")
        scope = self.namespace if namespace is None else namespace
        middle = "" if plural in ("nodes", "namespaces") or not scope else f"/namespaces/{scope}"
        tail = (f"/{name}" if name else "") + (f"/{subresource}" if subresource else "")
        return f"{root}{middle}/{plural}{tail}"

    async def call(
        self,
        method: str,
        plural: str,
        name: str = "",
        body: object = None,
        *,
        kind: str = "application/json",
        namespace: str | None = None,
        **query: str | int,
    ) -> Reply:
        data = None if body is None else body if isinstance(body, str) else json.dumps(body)
        headers = {**self.headers, "Content-Type": kind, "Accept": "application/json"}
        path = self.path(plural, name, namespace=namespace)
        async with self.session.request(
            method, path, data=data, headers=headers, params=query
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Reply(response.status, response.headers, json.loads(text) if is_json else text)

    async def get(self, plural: str, name: str = "", **query: str | int) -> Reply:
        return await self.call("GET", plural, name, **query)

    async def make(self, plural: str, name: str, **parts: Any) -> Reply:
        labels = {"labels": parts.pop("labels")} if "labels" in parts else {}
        reply = await self.call("POST", plural, "", {"metadata": {"name": name, **labels}, **parts})
        assert reply.status == 201, reply
        return reply

    async def patch(self, plural: str, name: str, body: object, kind: str = MERGE) -> Reply:
        return await self.call("PATCH", plural, name, body, kind=kind)

    @contextlib.asynccontextmanager
    async def watch(self, plural: str, **query: str | int) -> AsyncIterator[Events]:
        params = {"watch": "1", **query}
        async with self.session.get(
            self.path(plural), params=params, headers=self.headers
        ) as response:
            yield Events(response)
            response.close()


# --- reporting


def seen(bed: Bed, *values: Any) -> list[Any]:
    """Observations with all that differs from run to run replaced."""
    return [_normal(_plain(value), bed.api.namespace) for value in values]


def _plain(value: Any) -> Any:
    return [value.status, value.body] if isinstance(value, Reply) else value


def _normal(value: Any, namespace: str) -> Any:
    match value:
        case dict():
            kept = {
                key: _normal(item, namespace)
                for key, item in value.items()
                if key != "managedFields" and not key.endswith("last-change-trigger-time")
            }
            for key in ("uid", "resourceVersion", "continue"):
                if kept.get(key):
                    kept[key] = key.upper()
            for key in ("creationTimestamp", "deletionTimestamp"):
                if key in kept:
                    kept[key] = "TIME"
            if kept.get("annotations") == {}:
                del kept["annotations"]
            return kept
        case list() | tuple():
            return [_normal(item, namespace) for item in value]
        case str():
            text = value.replace(namespace, "NS")
            return re.sub(r'User "[^"]*"', "USER", text)
        case _:
            return value


def refusal(reply: Reply) -> Any:
    """A Status without the prose."""
    details = reply.body.get("details") or {}
    causes = [[cause["reason"], cause.get("field", "")] for cause in details.get("causes", ())]
    return [reply.status, reply.body["code"], reply.body.get("reason", ""), causes]


def brief(event: Any) -> Any:
    """An event as its type and the name, or the reason."""
    if event == "end":
        return event
    value = event["object"]
    if value["kind"] == "Status":
        return [event["type"], value["code"], value["reason"]]
    return [event["type"], value["kind"], value["metadata"].get("name", "")]


def versions(events: list[Any]) -> list[int]:
    return [int(event["object"]["metadata"]["resourceVersion"]) for event in events]


def rising(numbers: list[int]) -> bool:
    return all(earlier < later for earlier, later in itertools.pairwise(numbers))


def slice_body(*addresses: str, kind: str = "IPv4") -> dict[str, Any]:
    return {
        "addressType": kind,
        "endpoints": [{"addresses": [address]} for address in addresses],
        "ports": [{"name": "dubbo", "port": 20880}],
    }


POD = {
    "containers": [{"name": "main", "image": "none"}],
    "automountServiceAccountToken": False,
    "tolerations": [{"operator": "Exists"}],
}


# --- one object


@operation
async def create_and_get(bed: Bed) -> list[Any]:
    made = await bed.api.make("configmaps", "one", data={"a": "1"}, labels={"app": "x"})
    got = await bed.api.get("configmaps", "one")
    slice_ = await bed.api.make("endpointslices", "s", **slice_body("10.1.1.1"))
    empty = await bed.api.make("endpointslices", "e", addressType="IPv4", endpoints=[], ports=[])
    body = {"metadata": {"generateName": "gen-"}}
    generated = await bed.api.call("POST", "configmaps", "", body)
    name = generated.body["metadata"]["name"]
    return seen(
        bed,
        made,
        got,
        made.body == got.body,
        slice_,
        empty,
        bool(re.fullmatch("gen-[a-z0-9]{5}", name)),
        generated.status,
    )


@operation
async def refused_requests(bed: Bed) -> list[Any]:
    api = bed.api
    await api.make("configmaps", "one")
    body = {"metadata": {"name": "one"}}
    elsewhere = {"metadata": {"name": "two", "namespace": "elsewhere"}}
    a_pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "two"}}
    return seen(
        bed,
        await api.call("POST", "configmaps", "", body),
        await api.get("configmaps", "nope"),
        await api.get("services", "nope"),
        await api.get("endpointslices", "nope"),
        await api.get("nodes", "nope"),
        await api.call("DELETE", "endpointslices", "nope"),
        await api.patch("configmaps", "nope", {"data": {"a": "1"}}),
        await api.call("PUT", "configmaps", "nope", {"metadata": {"name": "nope"}}),
        await api.call("POST", "configmaps", "", body, namespace="no-such-namespace"),
        await api.call("GET", "configmaps", namespace="no-such-namespace"),
        await api.call("POST", "configmaps", "", elsewhere),
        await api.call("PUT", "configmaps", "one", {"metadata": {"name": "two"}}),
        await api.get("/api/v1/unheardof"),
        await api.get(f"/api/v1/namespaces/{api.namespace}/unheardof"),
        await api.get("/apis/unheard.of/v1/things"),
        await api.get("/nowhere"),
        refusal(await api.call("POST", "configmaps", "", a_pod)),
        refusal(await api.call("POST", "configmaps", "", "{bad")),
        refusal(await api.call("POST", "configmaps", "", "[" * 100_000)),
    )


@operation
async def invalid_objects(bed: Bed) -> list[Any]:
    api = bed.api

    async def post(plural: str, name: str, **parts: Any) -> Any:
        reply = await api.call("POST", plural, "", {"metadata": {"name": name}, **parts})
        return refusal(reply)

    service = {"spec": {"ports": [{"port": 1}]}}
    loopback = {"metadata": {"name": "s"}, **slice_body("127.0.0.1", "10.1.1.1", "169.254.1.1")}
    return seen(
        bed,
        await post("configmaps", "Bad_Name"),
        await post("configmaps", ""),
        await post("configmaps", "a" * 254),
        await post("services", "1st", **service),
        await post("services", "a.b", **service),
        await post("services", "s", spec={"ports": []}),
        await post("services", "s", spec={"ports": [{"port": 0}]}),
        await post("services", "s", spec={"ports": [{"port": 1}, {"port": 2, "name": "b"}]}),
        await post("namespaces", "a.b"),
        await api.call("POST", "endpointslices", "", loopback),
        await post("endpointslices", "s", **slice_body("0.0.0.0", "x", "224.0.0.1", "::1")),
        await post("endpointslices", "s", **slice_body("::1", "fe80::1", "fd00::1", kind="IPv6")),
        await post("endpointslices", "s", **slice_body("10.1.1.1", kind="Morse")),
        await post("endpointslices", "s", endpoints=[{"addresses": []}]),
    )


@operation
async def concurrent_updates(bed: Bed) -> list[Any]:
    api = bed.api
    made = await api.make("configmaps", "one", data={"a": "1"})
    stale = made.body["metadata"]["resourceVersion"]

    def body(data: str, version: str = "") -> dict[str, Any]:
        meta = {"name": "one", **({"resourceVersion": version} if version else {})}
        return {"metadata": meta, "data": {"a": data}}

    same = await api.call("PUT", "configmaps", "one", body("1"))
    first = await api.call("PUT", "configmaps", "one", body("2", stale))
    refused = await api.call("PUT", "configmaps", "one", body("3", stale))
    patch = await api.patch("configmaps", "one", {"metadata": {"resourceVersion": stale}})
    blind = await api.call("PUT", "configmaps", "one", body("4"))
    wrong = {"preconditions": {"resourceVersion": stale}}
    stranger = {"preconditions": {"uid": "0"}}
    right = {"preconditions": {"uid": made.body["metadata"]["uid"]}}
    return seen(
        bed,
        same.version == made.version,
        first,
        first.version > made.version,
        refused,
        patch,
        blind,
        refusal(await api.call("DELETE", "configmaps", "one", wrong)),
        refusal(await api.call("DELETE", "configmaps", "one", stranger)),
        await api.call("DELETE", "configmaps", "one", right),
    )


@operation
async def patches(bed: Bed) -> list[Any]:
    api = bed.api
    await api.make("configmaps", "one", data={"a": "1", "b": "2"})

    async def apply(*steps: Any) -> Any:
        return (await api.patch("configmaps", "one", [*steps], JSON_PATCH)).body.get("data")

    async def refuse(body: object, kind: str) -> Any:
        return refusal(await api.patch("configmaps", "one", body, kind))

    merged = await api.patch("configmaps", "one", {"data": {"a": None, "c": "3"}})
    return seen(
        bed,
        merged,
        await apply({"op": "add", "path": "/data/x", "value": "4"}),
        await apply(
            {"op": "test", "path": "/data/c", "value": "3"},
            {"op": "replace", "path": "/data/c", "value": "5"},
        ),
        await apply({"op": "remove", "path": "/data/c"}),
        await refuse([{"op": "test", "path": "/data/b", "value": "no"}], JSON_PATCH),
        await refuse([{"op": "remove", "path": "/data/none"}], JSON_PATCH),
        await refuse({"data": {"a": "1"}}, "application/json"),
        (await api.get("configmaps", "one")).body["data"],
    )


@operation
async def generations(bed: Bed) -> list[Any]:
    api = bed.api
    made = await api.make("endpointslices", "s", **slice_body("10.1.1.1"))
    changes = [
        {"endpoints": [{"addresses": ["10.1.1.2"]}]},
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"ports": [{"name": "dubbo", "port": 20881}]},
    ]
    found = [made, *[await api.patch("endpointslices", "s", change) for change in changes]]
    config = await api.make("configmaps", "c")
    return seen(
        bed,
        [reply.body["metadata"]["generation"] for reply in found],
        rising([reply.version for reply in found]),
        "generation" in config.body["metadata"],
    )


@operation
async def status_subresource(bed: Bed) -> list[Any]:
    api = bed.api
    await api.make("pods", "p", spec=POD, labels={"app": "x"})
    status = {"phase": "Running", "podIP": "10.1.1.1", "podIPs": [{"ip": "10.1.1.1"}]}

    def view(reply: Reply) -> Any:
        body = reply.body
        own = {key: body["status"].get(key) for key in ("phase", "podIP", "podIPs")}
        meta = body["metadata"]
        return [reply.status, own, meta["labels"], meta["generation"], "nodeName" in body["spec"]]

    plain = await api.patch("pods", "p", {"status": status})
    written = await api.patch(
        "pods/status",
        "p",
        {
            "status": status,
            "spec": {"nodeName": "n"},
            "metadata": {"labels": {"b": "c"}},
        },
    )
    return seen(
        bed,
        view(plain),
        view(written),
        view(await api.get("pods", "p")),
        refusal(await api.patch("configmaps/status", "p", {})),
    )


@operation
async def deletions(bed: Bed) -> list[Any]:
    api = bed.api
    await api.make("configmaps", "c")
    await api.make("endpointslices", "s", **slice_body("10.1.1.1"))
    await api.make("services", "svc", spec={"ports": [{"port": 1}]})
    await api.make("pods", "p", spec=POD)
    service = await api.call("DELETE", "services", "svc")
    pod = await api.call("DELETE", "pods", "p")
    return seen(
        bed,
        await api.call("DELETE", "configmaps", "c"),
        await api.call("DELETE", "endpointslices", "s"),
        [service.status, service.body["kind"], service.body["metadata"]["name"]],
        [pod.status, pod.body["kind"], pod.body["metadata"]["name"]],
        [
            (await api.get(plural, name)).status
            for plural, name in (
                ("configmaps", "c"),
                ("endpointslices", "s"),
                ("services", "svc"),
                ("pods", "p"),
            )
        ],
    )


@operation
async def graceful_deletion_of_a_pod(bed: Bed) -> list[Any]:
    api = bed.api
    node = f"node-{api.namespace}"
    await api.make("nodes", node)
    await api.make("pods", "p", spec={**POD, "nodeName": node})
    start = (await api.get("pods")).version
    async with api.watch("pods", resourceVersion=start) as events:
        begun = await api.call("DELETE", "pods", "p", {"gracePeriodSeconds": 60})
        again = await api.call("DELETE", "pods", "p", {"gracePeriodSeconds": 60})
        still = await api.get("pods", "p")
        final = await api.call("DELETE", "pods", "p", {"gracePeriodSeconds": 0})
        gone = await api.get("pods", "p")
        stream = await events.take(3)
    await api.call("DELETE", "nodes", node)

    def view(value: Any) -> Any:
        meta = value["metadata"]
        return [
            meta.get("deletionTimestamp"),
            meta.get("deletionGracePeriodSeconds"),
            meta["generation"],
        ]

    return seen(
        bed,
        [begun.status, *view(begun.body)][2:],
        [again.status, *view(again.body)][2:],
        [still.status, *view(still.body)][2:],
        final.status,
        gone.status,
        [[event["type"], *view(event["object"])[1:]] for event in stream],
        rising(versions(stream)),
    )


# --- lists


@operation
async def lists(bed: Bed) -> list[Any]:
    api = bed.api
    empty = await api.get("endpointslices")
    for name in ("b", "c", "a"):
        await api.make(
            "endpointslices", name, **slice_body("10.1.1.1"), labels={"by": api.namespace}
        )
    here = await api.get("endpointslices")
    everywhere = await api.call(
        "GET", "endpointslices", namespace="", labelSelector=f"by={api.namespace}"
    )
    nothing = await api.get("services")
    return seen(
        bed,
        empty,
        here,
        everywhere.names,
        [item.get("kind") for item in everywhere.body["items"]],
        nothing.body["kind"],
        here.version >= int(here.body["items"][1]["metadata"]["resourceVersion"]),
    )


@operation
async def selectors(bed: Bed) -> list[Any]:
    api = bed.api
    for name, labels in (
        ("a", {"app": "x", "tier": "1"}),
        ("b", {"app": "y"}),
        ("c", {}),
        ("d", {"app": ""}),
        ("e", {"k8s.io/app-name": "x.y_z"}),
    ):
        await api.make("endpointslices", name, **slice_body("10.1.1.1"), labels=labels)

    async def select(**query: str) -> Any:
        reply = await api.get("endpointslices", **query)
        return [*query.values(), reply.names if reply.status == 200 else refusal(reply)]

    labels = (
        "app=x",
        "app==x",
        "app!=x",
        "app in (x,y)",
        "app in (x, y) ,tier",
        "app notin (x)",
        "app",
        "!app",
        "! app",
        "app=",
        "app=x,tier=1",
        "app=x,tier!=1",
        "app,!tier",
        "k8s.io/app-name=x.y_z",
        "app===x",
        "app in (x",
        "app in x",
        "=x",
        "app x",
        ",",
        "app,",
        "app=x,,tier",
        "app in ()",
        "a b=c",
    )
    fields = (
        "metadata.name=a",
        "metadata.name==a",
        "metadata.name!=a",
        "metadata.name=zz",
        f"metadata.namespace={api.namespace},metadata.name=b",
        "spec.x=1",
        "nonsense",
    )
    return seen(
        bed,
        [await select(labelSelector=selector) for selector in labels],
        [await select(fieldSelector=selector) for selector in fields],
        await select(labelSelector="app", fieldSelector="metadata.name!=b"),
    )


@operation
async def pages(bed: Bed) -> list[Any]:
    api = bed.api
    for name in "abcde":
        await api.make("configmaps", f"p{name}", labels={"paged": "yes"})
    query = {"labelSelector": "paged", "limit": 2}
    first = await api.get("configmaps", **query)
    await api.call("DELETE", "configmaps", "pc")
    await api.make("configmaps", "pca", labels={"paged": "yes"})
    following = {**query, "continue": first.body["metadata"]["continue"]}
    second = await api.get("configmaps", **following)
    third = await api.get(
        "configmaps", **{**query, "continue": second.body["metadata"]["continue"]}
    )
    now = await api.get("configmaps", labelSelector="paged")
    whole = await api.get("configmaps", **query, resourceVersion=0)
    slices = [await api.make("endpointslices", f"s{n}", **slice_body("10.1.1.1")) for n in range(3)]
    unselected = await api.get("endpointslices", limit=2)
    exact = await api.get("endpointslices", limit=2, resourceVersion=slices[0].version)
    return seen(
        bed,
        first.names,
        second.names,
        third.names,
        now.names,
        whole.names,
        len({first.version, second.version, third.version}),
        now.version > third.version,
        [sorted(reply.body["metadata"]) for reply in (first, second, third, whole)],
        unselected.body["metadata"],
        exact.names,
        exact.version == slices[0].version,
        await api.get("configmaps", **following, resourceVersion=5),
        refusal(await api.get("configmaps", **{**query, "continue": "garbage"})),
        refusal(await api.get("configmaps", limit="many")),
        len((await api.get("configmaps", labelSelector="paged", limit=-1)).names),
    )


@operation
async def versions_of_lists(bed: Bed) -> list[Any]:
    api = bed.api
    first = await api.make("endpointslices", "a", **slice_body("10.1.1.1"))
    await api.make("endpointslices", "b", **slice_body("10.1.1.1"))
    await api.patch("endpointslices", "a", {"endpoints": [{"addresses": ["10.2.2.2"]}]})
    await api.call("DELETE", "endpointslices", "b")
    last = await api.make("endpointslices", "c", **slice_body("10.1.1.1"))

    async def at(**query: str | int) -> Any:
        reply = await api.get("endpointslices", **query)
        if reply.status != 200:
            return refusal(reply)
        return [reply.names, [item["endpoints"][0]["addresses"] for item in reply.body["items"]]]

    async def exactly(version: int) -> Any:
        return await at(resourceVersion=version, resourceVersionMatch="Exact")

    future = await api.get("endpointslices", resourceVersion=last.version + 1_000_000)
    message = re.sub(r"\d+", "N", future.body["message"])
    return seen(
        bed,
        await at(),
        await at(resourceVersion=""),
        await at(resourceVersion=last.version),
        await at(resourceVersion=first.version),
        await exactly(first.version),
        await exactly(first.version + 1),
        await exactly(last.version),
        await at(resourceVersion=first.version, resourceVersionMatch="NotOlderThan"),
        await at(resourceVersion="0", resourceVersionMatch="NotOlderThan"),
        message,
        refusal(future),
        future.body["details"],
        future.headers.get("Retry-After"),
        await api.get("endpointslices", resourceVersion="abc"),
        await at(resourceVersion="-1"),
        await api.get("endpointslices", resourceVersionMatch="Exact"),
        await api.get("endpointslices", resourceVersionMatch="Exact", resourceVersion=0),
        await api.get("endpointslices", resourceVersionMatch="Odd", resourceVersion=5),
        await at(resourceVersionMatch="NotOlderThan"),
        await api.get("endpointslices", sendInitialEvents="true"),
    )


# --- watches


@operation
async def watch_order(bed: Bed) -> list[Any]:
    api = bed.api
    await api.make("endpointslices", "old", **slice_body("10.1.1.1"))
    start = (await api.get("endpointslices")).version
    change = {"endpoints": [{"addresses": ["10.2.2.2"]}]}
    await api.make("endpointslices", "missed", **slice_body("10.1.1.1"))
    async with api.watch("endpointslices", resourceVersion=start) as events:
        await api.make("configmaps", "other-resource")
        await api.make("endpointslices", "a", **slice_body("10.1.1.1"))
        await api.patch("endpointslices", "a", change)
        await api.patch("endpointslices", "a", change)  # changes nothing: no event
        await api.patch("endpointslices", "old", change)
        await api.call("DELETE", "endpointslices", "a")
        stream = await events.take(5)
    return seen(bed, events.status, stream, rising(versions(stream)))


@operation
async def watch_from_nothing(bed: Bed) -> list[Any]:
    api = bed.api
    for name in ("b", "a"):
        await api.make("endpointslices", name, **slice_body("10.1.1.1"))
    found: list[Any] = []
    for query in ({}, {"resourceVersion": "0"}, {"resourceVersion": ""}):
        async with api.watch("endpointslices", **query) as events:
            found.append(sorted(map(brief, await events.take(2))))
    async with api.watch("endpointslices", allowWatchBookmarks="true") as events:
        marked = await events.take(3)
    return seen(bed, found, sorted(map(brief, marked[:2])), marked[2])


@operation
async def watch_with_selector(bed: Bed) -> list[Any]:
    api = bed.api
    start = (await api.get("endpointslices")).version
    async with (
        api.watch("endpointslices", resourceVersion=start, labelSelector="app=x") as labelled,
        api.watch(
            "endpointslices", resourceVersion=start, fieldSelector="metadata.name=a"
        ) as named,
    ):
        await api.make("endpointslices", "b", **slice_body("10.1.1.9"))
        await api.make("endpointslices", "a", **slice_body("10.1.1.1"))
        await api.patch("endpointslices", "a", {"metadata": {"labels": {"app": "x"}}})
        await api.patch("endpointslices", "a", {"endpoints": [{"addresses": ["10.1.1.2"]}]})
        last = await api.patch(
            "endpointslices",
            "a",
            {
                "metadata": {"labels": {"app": "y"}},
                "endpoints": [{"addresses": ["10.1.1.3"]}],
            },
        )
        await api.patch("endpointslices", "a", {"metadata": {"labels": {"app": "x"}}})
        await api.call("DELETE", "endpointslices", "a")
        by_label = await labelled.take(5)
        by_name = await named.take(6)
    return seen(bed, by_label, list(map(brief, by_name)), versions(by_label)[2] == last.version)


@operation
async def watch_of_one_namespace(bed: Bed) -> list[Any]:
    api = bed.api
    start = (await api.get("configmaps")).version
    other = Api(api.session, f"{api.namespace}-2", api.headers)
    await api.make("namespaces", other.namespace)
    async with api.watch("configmaps", resourceVersion=start, labelSelector="mine") as events:
        await other.make("configmaps", "elsewhere", labels={"mine": "no"})
        await api.make("configmaps", "here", labels={"mine": "yes"})
        stream = await events.take(1)
    await api.call("DELETE", "namespaces", other.namespace)
    return seen(bed, list(map(brief, stream)))


@operation
async def bookmarks(bed: Bed) -> list[Any]:
    """The real server sends one only when there is something newer to say than at the start."""
    api = bed.api
    first = await api.make("endpointslices", "a", **slice_body("10.1.1.1"))
    query = {"timeoutSeconds": 4, "resourceVersion": first.version, "labelSelector": "none=at-all"}
    async with (
        api.watch("endpointslices", **query, allowWatchBookmarks="true") as events,
        api.watch("endpointslices", **query) as plain,
    ):
        second = await api.make("endpointslices", "b", **slice_body("10.1.1.1"))
        stream, without = await asyncio.gather(events.rest(), plain.rest())
    return seen(
        bed,
        {event["type"] for event in stream} == {"BOOKMARK"},
        stream[:1],
        versions(stream)[-1] >= second.version,
        without,
    )


@operation
async def end_marks(bed: Bed) -> list[Any]:
    api = bed.api
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "labelSelector": "none=at-all",
    }
    found: list[Any] = []
    for plural in ("services", "pods", "configmaps", "endpointslices", "namespaces"):
        async with api.watch(plural, **query) as events:
            found += await events.take(1)
    return seen(bed, found)


@operation
async def streaming_list(bed: Bed) -> list[Any]:
    api = bed.api
    for name in ("b", "a"):
        await api.make("endpointslices", name, **slice_body("10.1.1.1"))
    last = await api.make("endpointslices", "c", **slice_body("10.1.1.1"))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    marks = {"allowWatchBookmarks": "true"}
    async with api.watch("endpointslices", **query, **marks) as events:
        initial = await events.take(4)
        await api.patch("endpointslices", "a", {"endpoints": [{"addresses": ["10.1.1.2"]}]})
        live = await events.take(1)
    async with api.watch(
        "endpointslices", **query, **marks, resourceVersion=last.version
    ) as events:
        resumed = await events.take(4)
    async with api.watch("endpointslices", **query, timeoutSeconds=1) as events:
        unmarked = await events.rest()
    future = last.version + 1_000_000
    async with api.watch("endpointslices", **query, **marks, resourceVersion=future) as events:
        too_large = await events.rest()
    query["sendInitialEvents"] = "false"
    async with api.watch("endpointslices", **query, timeoutSeconds=1) as events:
        declined = await events.rest()
    return seen(
        bed,
        sorted(map(brief, initial[:3])),
        initial[3],
        versions(initial)[3] >= last.version,
        list(map(brief, live)),
        sorted(map(brief, resumed[:3])),
        brief(resumed[3]),
        sorted(map(brief, unmarked)),
        [events.status, list(map(brief, too_large))],
        declined,
    )


@operation
async def refused_watches(bed: Bed) -> list[Any]:
    api = bed.api

    async def refuse(**query: str) -> Any:
        return refusal(await api.get("endpointslices", watch="1", timeoutSeconds=1, **query))

    bad = await api.get("endpointslices", watch="1", timeoutSeconds=1, resourceVersion="abc")
    return seen(
        bed,
        bad,
        await refuse(sendInitialEvents="true"),
        await refuse(sendInitialEvents="true", resourceVersionMatch="Exact", resourceVersion="5"),
        await refuse(resourceVersionMatch="NotOlderThan", resourceVersion="5"),
        await refuse(labelSelector="a in (x"),
    )


@operation
async def watch_from_the_future(bed: Bed) -> list[Any]:
    api = bed.api
    future = (await api.get("endpointslices")).version + 1_000_000
    async with api.watch(
        "endpointslices", resourceVersion=future, allowWatchBookmarks="true"
    ) as events:
        await api.make("endpointslices", "a", **slice_body("10.1.1.1"))
        return seen(bed, events.status, await events.silent(1.0))


@operation
async def expiry(bed: Bed) -> list[Any]:
    api = bed.api
    made = [await api.make("endpointslices", f"s{n}", **slice_body("10.1.1.1")) for n in range(4)]
    page = await api.get("endpointslices", limit=2)
    old = made[0].version
    await api.make("configmaps", "later")
    await bed.expire()
    async with api.watch("endpointslices", resourceVersion=old) as events:
        stream = await events.rest()
    error = stream[0]["object"]
    error["message"] = re.sub(r"\d+", "N", error["message"])
    listed = await api.get("endpointslices")
    async with api.watch("endpointslices", resourceVersion=listed.version) as events:
        await api.call("DELETE", "endpointslices", "s0")
        resumed = await events.take(1)
    token = page.body["metadata"]["continue"]
    too_late = await api.get("endpointslices", limit=2, **{"continue": token})
    offered = too_late.body["metadata"].get("continue", "")
    rest = await api.get("endpointslices", limit=1, **{"continue": offered})
    exact = await api.get("endpointslices", resourceVersion=old, resourceVersionMatch="Exact")
    any_newer = await api.get("endpointslices", resourceVersion=old)
    return seen(
        bed,
        stream,
        list(map(brief, resumed)),
        listed.names,
        refusal(too_late),
        bool(offered),
        rest.status,
        rest.names,
        exact,
        any_newer.names,
    )


# --- rights


@operation
async def refused_identities(bed: Bed) -> list[Any]:
    nobody = bed.nobody
    await bed.api.make("configmaps", "one")
    body = {"metadata": {"name": "two"}}
    return seen(
        bed,
        await bed.stranger.get("endpointslices"),
        await bed.stranger.get("/readyz"),
        await nobody.get("endpointslices"),
        await nobody.call("GET", "endpointslices", namespace=""),
        await nobody.get("endpointslices", watch="1", timeoutSeconds=1),
        await nobody.get("configmaps", "one"),
        await nobody.get("nodes", "nope"),
        await nobody.get("nodes"),
        await nobody.call("POST", "configmaps", "", body),
        await nobody.call("PUT", "configmaps", "one", body),
        await nobody.patch("pods/status", "p", {}),
        await nobody.call("DELETE", "services", "s"),
        (await nobody.get("/readyz")).status,
    )


# --- slices from pods


async def _eventually(view: Callable[[], Awaitable[Any]], wanted: Any) -> Any:
    """What is seen at last: when it is as wanted, or when patience has run out."""
    found = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while (found := await view()) != wanted:  # noqa: ASYNC110 - the server sends no event for it
                await asyncio.sleep(0.05)
    return found


@operation
async def slices_follow_pods(bed: Bed) -> list[Any]:
    api = bed.api
    node = f"node-{api.namespace}"
    await api.make("nodes", node, labels={"topology.kubernetes.io/zone": "zone-a"})
    ports = [
        {"name": "dubbo", "port": 20880, "targetPort": "rpc"},
        {"name": "web", "port": 80, "targetPort": 8080},
    ]
    service = {"selector": {"app": "x"}, "ports": ports}
    await api.make("services", "svc", spec=service, labels={"team": "t"})

    async def slices() -> list[Any]:
        reply = await api.get("endpointslices", labelSelector="kubernetes.io/service-name=svc")
        return reply.body["items"]

    async def conditions() -> Any:
        """Address -> ready, serving, terminating and the dubbo port."""
        return {
            endpoint["addresses"][0]: [
                *(endpoint["conditions"][name] for name in ("ready", "serving", "terminating")),
                next(port["port"] for port in slice_["ports"] if port["name"] == "dubbo"),
            ]
            for slice_ in await slices()
            for endpoint in slice_["endpoints"] or ()
        }

    async def count() -> int:
        return len(await slices())

    async def pod(name: str, port: int, app: str = "x") -> None:
        container = {
            "name": "main",
            "image": "none",
            "ports": [{"name": "rpc", "containerPort": port}],
        }
        spec = {**POD, "nodeName": node, "containers": [container]}
        await api.make("pods", name, spec=spec, labels={"app": app})

    async def status(name: str, address: str, ready: str, phase: str = "Running") -> None:
        body = {
            "phase": phase,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": ready}],
        }
        assert (await api.patch("pods/status", name, {"status": body})).status == 200

    observed: list[Any] = [await _eventually(count, 1)]
    placeholder = await slices()
    await pod("one", 1001)
    await status("one", "10.244.9.1", "True")
    one = {"10.244.9.1": [True, True, False, 1001]}
    observed.append(await _eventually(conditions, one))
    first = await slices()
    await pod("two", 1001)
    await status("two", "10.244.9.2", "False")
    two = {**one, "10.244.9.2": [False, False, False, 1001]}
    observed.append(await _eventually(conditions, two))
    await pod("stranger", 1001, app="y")
    await status("stranger", "10.244.9.8", "True")
    await pod("new-version", 1002)
    await status("new-version", "10.244.9.3", "True")
    three = {**two, "10.244.9.3": [True, True, False, 1002]}
    observed += [await _eventually(conditions, three), await count()]
    await status("two", "10.244.9.2", "True")
    three["10.244.9.2"] = [True, True, False, 1001]
    observed.append(await _eventually(conditions, three))
    await api.call("DELETE", "pods", "one", {"gracePeriodSeconds": 3600})
    three["10.244.9.1"] = [False, True, True, 1001]
    observed.append(await _eventually(conditions, three))
    await status("one", "10.244.9.1", "False")
    three["10.244.9.1"] = [False, False, True, 1001]
    observed.append(await _eventually(conditions, three))
    await api.call("DELETE", "pods", "one", {"gracePeriodSeconds": 0})
    del three["10.244.9.1"]
    observed.append(await _eventually(conditions, three))
    await status("two", "10.244.9.2", "False", "Succeeded")
    del three["10.244.9.2"]
    observed.append(await _eventually(conditions, three))
    await api.patch("pods", "new-version", {"metadata": {"labels": {"app": "z"}}})
    observed += [await _eventually(conditions, {}), await _eventually(count, 1)]
    last = await slices()
    await api.call("DELETE", "services", "svc")
    observed.append(await _eventually(count, 0))
    for name in ("two", "stranger", "new-version"):
        await api.call("DELETE", "pods", name, {"gracePeriodSeconds": 0})
    await api.call("DELETE", "nodes", node)

    def anonymous(found: list[Any]) -> list[Any]:
        for item in found:
            item["metadata"].pop("generation")
            item["metadata"]["name"] = item["metadata"]["name"][: len("svc-")]
            item["metadata"].pop("annotations", None)
            for key in ("endpoints", "ports"):
                item[key] = item[key] and sorted(item[key], key=json.dumps)
        return found

    return seen(
        bed,
        observed,
        anonymous(placeholder),
        anonymous(first),
        [[item["endpoints"], item["ports"]] for item in last],
    )
