"""Faults of the simulated API server: each does what it says, once, and to nobody else."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from kubbo.sim.apiserver import Answer, ApiServer, Cut, Drop, Hang, Object, Rule, Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **parts: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **parts}


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer() as running:
        yield running


@pytest.fixture
async def session(server: ApiServer) -> AsyncIterator[aiohttp.ClientSession]:
    # A connection a request, so that none is kept from before a fault.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(server.url, connector=connector) as client:
        yield client


async def read_line(response: aiohttp.ClientResponse) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await response.content.readline())


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 429, 500, 503, 504])
async def test_answers_a_status(
    server: ApiServer, session: aiohttp.ClientSession, code: int
) -> None:
    """The next matching request gets the code as a Status; others and later ones pass."""
    server.faults.add(Answer(code, retry_after=7), verb="list", resource="configmaps")
    async with session.get(f"{CONFIG_MAPS}/none") as other:
        assert (await other.json())["reason"] == "NotFound"
    async with session.get(CONFIG_MAPS) as refused:
        body = await refused.json()
        assert (refused.status, body["kind"], body["code"]) == (code, "Status", code)
        assert refused.headers["Retry-After"] == "7"
    async with session.get(CONFIG_MAPS) as passed:
        assert passed.status == 200
    assert server.faults.fired == {"Answer": 1}
    assert server.requests["list", "configmaps"] == 2


async def test_answers_like_a_proxy(server: ApiServer, session: aiohttp.ClientSession) -> None:
    """With a body the answer is that text, and no Status."""
    server.faults.add(Answer(503, body="upstream connect error"))
    async with session.get(CONFIG_MAPS) as refused:
        assert (refused.status, refused.content_type) == (503, "text/plain")
        assert await refused.text() == "upstream connect error"


async def test_faults_fire_in_order_and_are_taken_back(
    server: ApiServer, session: aiohttp.ClientSession
) -> None:
    """Faults fire in the order they were added, as often as told; clear ends them."""
    server.faults.add(Answer(500), times=2)
    server.faults.add(Answer(503), times=None)
    codes = []
    for _ in range(5):
        async with session.get(CONFIG_MAPS) as response:
            codes.append(response.status)
    assert codes == [500, 500, 503, 503, 503]
    server.faults.clear()
    async with session.get(CONFIG_MAPS) as response:
        assert response.status == 200


async def test_drops_the_connection(server: ApiServer, session: aiohttp.ClientSession) -> None:
    """A dropped request ends without one byte of an answer."""
    server.faults.add(Drop(), times=2)  # aiohttp repeats a GET once by itself
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await session.get(CONFIG_MAPS)


async def read_until_cut(session: aiohttp.ClientSession, **params: str) -> bytes:
    """The bytes of the body that come before the connection ends too early."""
    received = b""
    async with session.get(CONFIG_MAPS, params=params) as response:
        try:
            async for chunk in response.content.iter_any():
                received += chunk
        except aiohttp.ClientPayloadError:
            return received
    pytest.fail("the body came to its proper end")


@pytest.mark.parametrize("after_bytes", [0, 1, 40])
async def test_cuts_an_answer(
    server: ApiServer, session: aiohttp.ClientSession, after_bytes: int
) -> None:
    """Just so many bytes of the body come, then the connection ends before the answer does."""
    server.faults.add(Cut(after_bytes))
    assert len(await read_until_cut(session)) == after_bytes


@pytest.mark.parametrize("missing", [1, 2, 50])
async def test_cuts_a_watch_within_an_event(
    server: ApiServer, session: aiohttp.ClientSession, missing: int
) -> None:
    """A watch can be cut inside a line; the whole lines before it have come."""
    for name in ("a", "b"):
        server.store.create(config_map(name))
    async with session.get(CONFIG_MAPS, params={"watch": "1"}) as response:
        lines = [await response.content.readline() for _ in range(2)]
    whole = lines[0] + lines[1]
    server.faults.add(Cut(len(whole) - missing))
    assert await read_until_cut(session, watch="1") == whole[:-missing]


async def test_hangs(server: ApiServer, session: aiohttp.ClientSession) -> None:
    """A hanging request is not answered while others are; it ends with the server."""
    server.faults.add(Hang(), resource="configmaps")
    waiting = asyncio.create_task(session.get(CONFIG_MAPS).__aenter__())
    while not server.faults.fired["Hang"]:
        async with session.get("/readyz") as ready:
            assert ready.status == 200
    assert not waiting.done()
    await server.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await waiting


async def test_a_hanging_request_ends_with_its_client(server: ApiServer) -> None:
    """A client that gives up leaves nothing behind in the server."""
    server.faults.add(Hang())
    async with aiohttp.ClientSession(server.url) as impatient:
        with pytest.raises(TimeoutError):
            await impatient.get(CONFIG_MAPS, timeout=aiohttp.ClientTimeout(total=0.05))
    async with asyncio.timeout(10):
        await server.stop()


async def test_restart_with_its_data(server: ApiServer, session: aiohttp.ClientSession) -> None:
    """After stop and start, on the same port, objects are there; older watches get 410."""
    url = server.url
    server.store.create(config_map("a"))
    version = server.store.version
    server.store.create(config_map("b"))
    async with session.get(CONFIG_MAPS, params={"watch": "1"}) as watch:
        await read_line(watch)
        await server.stop()
        await watch.read()  # a clean end: no error
    assert not server.running
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(CONFIG_MAPS)
    await server.start()
    assert server.url == url
    params = {"watch": "1", "resourceVersion": str(version)}
    async with session.get(CONFIG_MAPS, params=params) as watch:
        assert watch.status == 200
        error = await read_line(watch)
        assert (error["type"], error["object"]["code"]) == ("ERROR", 410)
        assert await watch.content.read() == b""
    async with session.get(CONFIG_MAPS) as listed:
        body = await listed.json()
    assert [item["metadata"]["name"] for item in body["items"]] == ["a", "b"]
    params["resourceVersion"] = body["metadata"]["resourceVersion"]
    async with session.get(CONFIG_MAPS, params=params) as watch:
        server.store.delete("configmaps", "a", namespace="default")
        assert (await read_line(watch))["type"] == "DELETED"


async def test_crash_cuts_open_watches(server: ApiServer, session: aiohttp.ClientSession) -> None:
    """An abrupt stop ends a watch in the middle of its stream."""
    server.store.create(config_map("a"))
    async with session.get(CONFIG_MAPS, params={"watch": "1"}) as watch:
        await read_line(watch)
        await server.stop(abrupt=True)
        with pytest.raises(aiohttp.ClientPayloadError):
            await watch.content.read()


async def test_restart_without_its_data(server: ApiServer, session: aiohttp.ClientSession) -> None:
    """After a wipe versions begin anew: old ones are too large for lists, silent for watches."""
    for name in "abcdef":
        server.store.create(config_map(name))
    old = str(server.store.version)
    await server.stop()
    await server.start(wipe=True)
    async with session.get(CONFIG_MAPS) as listed:
        assert (await listed.json())["items"] == []
    async with session.get(CONFIG_MAPS, params={"resourceVersion": old}) as listed:
        assert (listed.status, listed.headers["Retry-After"]) == (504, "1")
    params = {
        "watch": "1",
        "resourceVersion": old,
        "allowWatchBookmarks": "1",
        "timeoutSeconds": "1",
    }
    async with session.get(CONFIG_MAPS, params=params) as watch:
        server.store.create(config_map("g"))
        server.send_bookmarks()
        assert await watch.content.read() == b""


async def test_versions_going_backwards(server: ApiServer, session: aiohttp.ClientSession) -> None:
    """A restored backup has its old objects and its old version, and the next change follows it."""
    server.store.create(config_map("kept"))
    backup = server.store.snapshot()
    server.store.create(config_map("lost"))
    later = server.store.version
    server.store.restore(backup)
    async with session.get(CONFIG_MAPS) as listed:
        body = await listed.json()
    assert [item["metadata"]["name"] for item in body["items"]] == ["kept"]
    assert int(body["metadata"]["resourceVersion"]) == backup.version < later
    server.store.create(config_map("new"))
    assert server.store.version == backup.version + 1


async def test_watches_are_ended_and_cut(server: ApiServer, session: aiohttp.ClientSession) -> None:
    """end_watches ends streams cleanly, disconnect does not; the server goes on either way."""
    server.store.create(config_map("a"))
    async with session.get(CONFIG_MAPS, params={"watch": "1"}) as watch:
        await read_line(watch)
        assert server.open_watches == 1
        server.end_watches()
        assert await watch.content.read() == b""
    async with session.get(CONFIG_MAPS, params={"watch": "1"}) as watch:
        await read_line(watch)
        server.disconnect()
        with pytest.raises(aiohttp.ClientPayloadError):
            await watch.content.read()
    async with session.get("/readyz") as ready:
        assert ready.status == 200


async def test_tokens_and_rules(server: ApiServer, session: aiohttp.ClientSession) -> None:
    """A rule covers its verb, resource and namespace only; a revoked token is unknown."""
    rule = Rule("list", "endpointslices", namespace="shop", group="discovery.k8s.io")
    server.access.grant("t", "shop", rule)
    headers = {"Authorization": "Bearer t"}
    slices = "/apis/discovery.k8s.io/v1/{}endpointslices"

    async def code(path: str, **more: Any) -> int:
        async with session.get(path, **more) as response:
            return response.status

    shop = slices.format("namespaces/shop/")
    assert await code(shop, headers=headers) == 200
    assert await code(shop, headers=headers, params={"watch": "1"}) == 403
    assert await code(slices.format("namespaces/other/"), headers=headers) == 403
    assert await code(slices.format(""), headers=headers) == 403
    assert await code(shop) == 403
    assert await code(shop, headers={"Authorization": "Bearer u"}) == 401
    server.access.revoke("t")
    server.access.grant("u", "other")
    assert await code(shop, headers=headers) == 401


async def test_kubeconfig_leads_to_the_server(server: ApiServer, tmp_path: Path) -> None:
    """The kubeconfig names the server, the token and the namespace, and only we may read it."""
    path = server.kubeconfig(tmp_path / "config", token="secret", namespace="shop")
    config = json.loads(path.read_text())
    assert config["clusters"][0]["cluster"]["server"] == server.url
    assert config["users"][0]["user"] == {"token": "secret"}
    assert config["contexts"][0]["context"]["namespace"] == "shop"
    assert config["contexts"][0]["name"] == config["current-context"]
    assert path.stat().st_mode & 0o077 == 0


async def test_a_slow_watcher_is_cut_off(server: ApiServer, session: aiohttp.ClientSession) -> None:
    """What waits for a watcher that does not read is bounded; then its stream ends."""
    async with session.get(CONFIG_MAPS, params={"watch": "1", "resourceVersion": "1"}) as watch:
        assert server.open_watches == 1  # it is open before its headers go out
        server.store.create(config_map("a"))
        for number in range(10_001):  # no await: the watcher gets no turn
            server.store.patch("configmaps", "a", {"data": {"n": str(number)}}, namespace="default")
        async with asyncio.timeout(10):
            lines = (await watch.read()).splitlines()
    assert len(lines) < 10_000
    assert server.open_watches == 0


async def test_requests_larger_than_the_limit_are_refused(
    server: ApiServer, session: aiohttp.ClientSession
) -> None:
    """A body above 3 MiB gets 413 and is not stored."""
    body = json.dumps(config_map("big", data={"a": "x" * (3 * 1024 * 1024)}))
    async with session.post(CONFIG_MAPS, data=io.BytesIO(body.encode())) as response:
        assert response.status == 413
    assert server.store.list("configmaps") == []


async def test_loopback_endpoints_only_by_option() -> None:
    """Loopback endpoints are refused as everywhere, unless the store is told to take them."""
    slice_: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "s"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    }
    assert Store(loopback=True).create(slice_)["addressType"] == "IPv4"
    with pytest.raises(Exception, match=r"422 Invalid.*loopback"):
        Store().create(slice_)


STREAM = {
    "watch": "1",
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "resourceVersion": "0",
    "allowWatchBookmarks": "true",
    "timeoutSeconds": "1",
}


async def test_streaming_lists_can_be_spoilt(
    server: ApiServer, session: aiohttp.ClientSession
) -> None:
    """Refused as by a server that has them switched off; ignored, which is an ordinary watch with
    ordinary bookmarks; or without the mark of their end. Each is counted, other watches are not."""
    server.store.create(config_map("one"))

    async def stream() -> list[tuple[str, bool]]:
        async with session.get(CONFIG_MAPS, params=STREAM) as response:
            assert response.status == 200
            lines = [json.loads(line) async for line in response.content]
            return [
                (line["type"], "annotations" in line["object"]["metadata"])
                for line in lines
                if line["type"] != "BOOKMARK" or line["object"]["metadata"]
            ]

    assert ("BOOKMARK", True) in await stream()
    server.streams = "refused"
    async with session.get(CONFIG_MAPS, params=STREAM) as refused:
        body = await refused.json()
        assert (refused.status, body["details"]["causes"][0]["field"]) == (422, "sendInitialEvents")
    server.streams = "ignored"
    assert await stream() == [("ADDED", False), ("BOOKMARK", False)]
    server.streams = "unmarked"
    assert await stream() == [("ADDED", False), ("BOOKMARK", False)]
    async with session.get(CONFIG_MAPS, params={"watch": "1", "timeoutSeconds": "1"}) as plain:
        assert plain.status == 200
        await plain.read()
    assert server.streams_spoilt == {"refused": 1, "ignored": 1, "unmarked": 1}
