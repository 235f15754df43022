"""Sources, and what is made of what they say."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests.unit.live.mounted import Mounted

import kubbo
from kubbo import ConfigError
from kubbo.config.document import MAX_FILE_BYTES
from kubbo.live.files import FileSource, read_files
from kubbo.live.live import LiveConfiguration
from kubbo.live.open import open_source, parse_config_map
from kubbo.live.source import Files, Unavailable
from kubbo.sim.apiserver import ApiServer, Rule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def until(true: Callable[[], bool]) -> None:
    """Leave worker threads and sockets their time until it is so."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - a state that nobody announces
            await asyncio.sleep(0.002)


class Told:
    """What a source has published."""

    def __init__(self, source: Any) -> None:
        self.said: list[Any] = []
        self._source = source

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._source.watch(self._take))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _take(self, said: Any) -> None:
        self.said.append(said)

    async def count(self, number: int) -> Any:
        """The thing that was said as this one."""
        await until(lambda: len(self.said) >= number)
        return self.said[number - 1]


# ------------------------------------------------------------------------------- files


async def test_a_file_is_told_again_only_when_it_differs(tmp_path: Path):
    """Written anew, replaced by another one, gone, and there again."""
    path = tmp_path / "kubbo.yaml"
    path.write_bytes(b"consumer: {}")
    async with Told(FileSource(path, interval=0.002)) as told:
        assert await told.count(1) == Files({str(path): b"consumer: {}"})
        path.write_bytes(b"consumer: {timeout: 5}")
        assert await told.count(2) == Files({str(path): b"consumer: {timeout: 5}"})
        fresh = tmp_path / "fresh"
        fresh.write_bytes(b"provider: {}")
        fresh.replace(path)
        assert await told.count(3) == Files({str(path): b"provider: {}"})
        path.unlink()
        gone = await told.count(4)
        assert gone == Unavailable(f"{path} cannot be read: No such file or directory")
        path.write_bytes(b"")
        assert await told.count(5) == Files({str(path): b""})
    assert len(told.said) == 5


async def test_a_mounted_config_map_is_read_through_its_links(tmp_path: Path):
    """Names are those that a person sees; a key that is removed is not there any more."""
    mounted = Mounted(tmp_path / "m", a="consumer: {}", b="provider: {}")
    (mounted.path / "README.md").write_text("no configuration")
    async with Told(FileSource(mounted.path, interval=0.002)) as told:
        first = await told.count(1)
        assert first.files == {
            str(mounted.path / "a.yaml"): b"consumer: {}",
            str(mounted.path / "b.yaml"): b"provider: {}",
        }
        mounted.swap(a="consumer: {timeout: 5}")
        second = await told.count(2)
        assert second.files == {str(mounted.path / "a.yaml"): b"consumer: {timeout: 5}"}


async def test_one_file_of_a_mounted_config_map_is_followed_too(tmp_path: Path):
    """The path of a file leads through `..data` as well."""
    mounted = Mounted(tmp_path / "m", a="consumer: {}")
    async with Told(FileSource(mounted.path / "a.yaml", interval=0.002)) as told:
        await told.count(1)
        mounted.swap(a="provider: {}")
        second = await told.count(2)
        assert second.files == {str(mounted.path / "a.yaml"): b"provider: {}"}


def test_what_is_no_file_is_not_read(tmp_path: Path):
    """A pipe would never end, a device neither; a large file is read as far as it may be."""
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is no file"):
        read_files(pipe)
    with pytest.raises(OSError, match="is no file"):
        read_files(type(tmp_path)("/dev/zero"))
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_FILE_BYTES + 1000))
    _, files = read_files(large)
    assert [len(data) for data in files.values()] == [MAX_FILE_BYTES + 1]


# -------------------------------------------------------------------------- config maps


def config_map(**data: str) -> dict[str, Any]:
    """The ConfigMap of these tests."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kubbo", "namespace": "shop"},
        "data": {key.replace("__", "."): value for key, value in data.items()},
    }


@pytest.fixture
async def cluster():
    async with ApiServer() as server:
        yield server


def naming_of(cluster: ApiServer, tmp_path: Path, token: str = "") -> kubbo.NamingContext:
    config = cluster.kubeconfig(tmp_path / "config", token=token, namespace="shop")
    return kubbo.NamingContext(kubeconfig=config, environ={})


async def test_a_config_map_is_followed(cluster: ApiServer, tmp_path: Path):
    """Made, changed, deleted, made again: each is told once, other keys and maps never."""
    store = cluster.store
    async with naming_of(cluster, tmp_path) as naming:
        source = open_source("configmap:///kubbo", naming)
        async with Told(source) as told:
            assert await told.count(1) == Files({})
            other = {"name": "other", "namespace": "shop"}
            store.create({**config_map(a__yaml="x"), "metadata": other})
            store.create(config_map(a__yaml="consumer: {}", notes__txt="no configuration"))
            assert await told.count(2) == Files({"configmap:///kubbo/a.yaml": b"consumer: {}"})
            found = store.get("configmaps", "kubbo", "shop")
            binary = {"c.yaml": "YTogYg=="}
            store.update({**found, "data": {"b.yaml": "provider: {}"}, "binaryData": binary})
            third = await told.count(3)
            assert third.files == {
                "configmap:///kubbo/b.yaml": b"provider: {}",
                "configmap:///kubbo/c.yaml": b"a: b",
            }
            store.delete("configmaps", "kubbo", namespace="shop")
            assert await told.count(4) == Files({})
            store.create(config_map(a__yaml="consumer: {}"))
            assert (await told.count(5)).files
        assert len(told.said) == 5


async def test_while_the_api_server_is_away_nothing_changes(cluster: ApiServer, tmp_path: Path):
    """It is told that it is away; what is told after it is back is what there is then."""
    cluster.store.create(config_map(a__yaml="consumer: {timeout: 5}"))
    taken: list[Any] = []
    async with naming_of(cluster, tmp_path) as naming:
        live: LiveConfiguration[Any] = LiveConfiguration(
            open_source("configmap:///kubbo.shop", naming),
            prepare=lambda configuration: configuration,
            apply=taken.append,
        )
        await live.start()
        try:
            await cluster.stop(abrupt=True)
            await until(lambda: bool(live.problem))
            assert live.configuration.consumer.options.timeout == 0.005
            found = cluster.store.get("configmaps", "kubbo", "shop")
            cluster.store.update({**found, "data": {"a.yaml": "consumer: {timeout: 6}"}})
            await cluster.start()
            await until(lambda: not live.problem)
            await until(lambda: live.configuration.consumer.options.timeout == 0.006)
        finally:
            await live.aclose()
    assert len(taken) == 2


async def test_without_the_permission_the_role_is_told_and_a_start_goes_on(
    cluster: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """A consumer starts without its configuration, and says what to apply."""
    cluster.access.grant("t", "consumer", Rule("list", "services"))
    async with naming_of(cluster, tmp_path, "t") as naming:
        source = open_source("configmap:///kubbo.shop", naming)
        live: LiveConfiguration[Any] = LiveConfiguration(
            source, prepare=lambda _: None, apply=lambda _: None
        )
        await live.start()
        await live.aclose()
        assert "resourceNames: [kubbo]" in live.problem
    [warning] = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert warning.startswith(f"starting without the configuration {source}: not allowed to watch")


def test_names_of_config_maps():
    """The namespace is what follows the last dot."""
    assert parse_config_map("configmap:///kubbo") == ("kubbo", "")
    assert parse_config_map("configmap:///kubbo.v2.shop") == ("kubbo.v2", "shop")
    for text in ("configmap:///", "configmap:///Kubbo", "configmap:///a/b", "configmap:///a..b"):
        with pytest.raises(ConfigError):
            parse_config_map(text)
