"""Exec plugins: how long they may take, who shares a run, what they leave and are told."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.credentials import Access, ExecPlugin, load_access

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSION = "client.authentication.k8s.io/v1"


def answer(**status: str) -> str:
    """What a plugin prints, quoted for a shell."""
    return f"'{json.dumps({'apiVersion': VERSION, 'status': status})}'"


def plugin(tmp_path: Path, script: str, *, within: float = 60.0) -> ExecPlugin:
    """A plugin of one shell script, beside the files that it writes."""
    path = tmp_path / "plugin"
    path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
    path.chmod(0o755)
    return ExecPlugin(
        [str(path)],
        environ={"PATH": os.environ["PATH"]},
        info={"apiVersion": VERSION},
        hint="",
        source="the test",
        within=within,
    )


def runs(tmp_path: Path) -> int:
    """How often a plugin came to `echo >> runs`."""
    return len((tmp_path / "runs").read_text().splitlines())


# ------------------------------------------------------------- one run for all
async def test_all_who_need_a_credential_wait_for_one_run(tmp_path: Path) -> None:
    """Requests that come while the plugin runs get what it prints, even if that is expired."""
    expired = answer(token="t", expirationTimestamp="2020-01-01T00:00:00Z")
    one = plugin(tmp_path, f"echo >> runs; echo {expired}")
    found = await asyncio.gather(*(one.credential() for _ in range(5)))
    assert {credential.token for credential in found} == {"t"}
    assert runs(tmp_path) == 1
    assert (await one.credential()).token == "t"
    assert runs(tmp_path) == 2


async def test_all_who_wait_are_told_of_a_failure_and_the_next_one_tries_again(
    tmp_path: Path,
) -> None:
    """A failed run is nobody's last."""
    one = plugin(tmp_path, f"echo >> runs; test -e good || exit 3; echo {answer(token='t')}")
    found = await asyncio.gather(*(one.credential() for _ in range(3)), return_exceptions=True)
    assert ["exit code 3" in str(error) for error in found] == [True] * 3
    assert runs(tmp_path) == 1
    (tmp_path / "good").touch()
    assert (await one.credential()).token == "t"


class Held:
    """A FIFO that a plugin and its children hold open: its end is their end."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    async def _until(self, wanted: bytes) -> None:
        async with asyncio.timeout(20):
            while True:
                with suppress(BlockingIOError):  # held, and nothing to read
                    if os.read(self._file, 1) == wanted:
                        return
                await asyncio.sleep(0.01)

    async def begun(self) -> None:
        """The plugin runs: it has opened the FIFO and written a line."""
        await self._until(b"\n")

    async def ended(self) -> None:
        """Nobody holds it any more."""
        await self._until(b"")
        os.close(self._file)


# A wrapper, as many plugins are: what it waits for is a child of its own.
WRAPPER = "exec 3> held; echo >&3; sleep 60; echo never"


async def test_who_stops_waiting_takes_nothing_from_the_others(tmp_path: Path) -> None:
    """The run goes on as long as one request waits for it."""
    held = Held(tmp_path / "held")
    one = plugin(tmp_path, f"exec 3> held; echo >&3; read x < go; echo {answer(token='t')}")
    os.mkfifo(tmp_path / "go")
    first, second = (asyncio.create_task(one.credential()) for _ in range(2))
    await held.begun()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.to_thread((tmp_path / "go").write_text, "\n")
    assert (await second).token == "t"
    await held.ended()


async def test_a_run_that_nobody_waits_for_is_ended_with_its_children(tmp_path: Path) -> None:
    """The last request that gives up ends the plugin, and what the plugin started."""
    held = Held(tmp_path / "held")
    one = plugin(tmp_path, WRAPPER)
    waiting = [asyncio.create_task(one.credential()) for _ in range(2)]
    await held.begun()
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await held.ended()


async def test_a_run_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    """Its own limit is the only one, and nothing is left of it."""
    held = Held(tmp_path / "held")
    one = plugin(tmp_path, WRAPPER, within=0.5)
    with pytest.raises(ConfigError, match="did not answer within"):
        await one.credential()
    await held.ended()


async def test_who_comes_after_a_run_was_given_up_gets_a_new_one(tmp_path: Path) -> None:
    """A run that is being ended is joined by nobody."""
    held = Held(tmp_path / "held")
    one = plugin(
        tmp_path,
        f"test -e good && echo {answer(token='t')} && exit; exec 3> held; echo >&3; sleep 60",
    )
    first = asyncio.create_task(one.credential())
    await held.begun()
    (tmp_path / "good").touch()
    first.cancel()
    second = asyncio.create_task(one.credential())  # begins while the first run is being ended
    assert (await second).token == "t"
    with pytest.raises(asyncio.CancelledError):
        await first
    await held.ended()


# ------------------------------------------------------------------- answers
@pytest.mark.parametrize(
    "end", ["2026-02-30T00:00:00Z", "2026-12-31T23:59:60Z", "2026-01-01T00:00:00+24:00", "soon"]
)
async def test_an_end_that_cannot_be_is_unknown(end: str, tmp_path: Path) -> None:
    """The token is used, and asked for again by the next request."""
    one = plugin(tmp_path, f"echo >> runs; echo {answer(token='t', expirationTimestamp=end)}")
    for count in (1, 2):
        assert (await one.credential()).token == "t"
        assert runs(tmp_path) == count


async def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    """A certificate without its key is a mistake of the plugin, also beside a token."""
    one = plugin(tmp_path, f"echo {answer(token='t', clientCertificateData='CERT')}")
    with pytest.raises(ConfigError, match="printed no ExecCredential"):
        await one.credential()


# ---------------------------------------------------------------- what it is told
def load(tmp_path: Path, cluster: Mapping[str, Any], **call: Any) -> Access:
    """Of a kubeconfig whose plugin writes down what it was told."""
    script = tmp_path / "plugin"
    script.write_text(
        f'#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" > {tmp_path}/told\necho {answer(token="t")}\n'
    )
    script.chmod(0o755)
    run = {"apiVersion": VERSION, "command": "./plugin", "provideClusterInfo": True} | call
    document = {
        "current-context": "dev",
        "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://api:6443", **cluster}}],
        "users": [{"name": "u", "user": {"exec": run}}],
    }
    (tmp_path / "config").write_text(json.dumps(document))
    return load_access(
        kubeconfig=tmp_path / "config",
        environ={"PATH": os.environ["PATH"]},
        service_account=tmp_path / "no-pod",
    )


async def told(tmp_path: Path, cluster: Mapping[str, Any], **call: Any) -> dict[str, Any]:
    """The spec of the ExecCredential that a plugin is given."""
    await load(tmp_path, cluster, **call).identity.credential()
    spec: dict[str, Any] = json.loads((tmp_path / "told").read_text())["spec"]
    return spec


async def test_a_plugin_is_told_of_its_cluster(tmp_path: Path) -> None:
    """All that kubectl tells it, the plugin's own extension as `config`; nothing if not asked."""
    cluster: dict[str, Any] = {
        "tls-server-name": "kube.internal",
        "insecure-skip-tls-verify": False,
        "certificate-authority-data": base64.b64encode(b"PEM").decode(),
        "proxy-url": "http://proxy:3128",
        "disable-compression": True,
    }
    extensions = [
        {"name": "other", "extension": {"a": 1}},
        {"name": "client.authentication.k8s.io/exec", "extension": {"audience": ["a"]}},
    ]
    spec = await told(tmp_path, {**cluster, "extensions": extensions})
    assert spec == {
        "interactive": False,
        "cluster": {"server": "https://api:6443", **cluster, "config": {"audience": ["a"]}},
    }
    spec = await told(tmp_path, cluster, provideClusterInfo=False)
    assert spec == {"interactive": False}


async def test_a_plugin_is_told_a_bundle_that_is_a_file(tmp_path: Path) -> None:
    """It gets what the file holds when it runs; one that is gone is told."""
    cluster = {"certificate-authority": "ca.crt"}
    (tmp_path / "ca.crt").write_bytes(b"first \xff")
    access = load(tmp_path, cluster)
    for content in (b"first \xff", b"second"):
        (tmp_path / "ca.crt").write_bytes(content)
        await access.identity.credential()
        access.identity.invalidate()
        spec = json.loads((tmp_path / "told").read_text())["spec"]
        assert base64.b64decode(spec["cluster"]["certificate-authority-data"]) == content
    (tmp_path / "ca.crt").unlink()
    with pytest.raises(ConfigError, match=r"ca\.crt"):
        await access.identity.credential()


def test_what_cannot_be_told_is_a_mistake(tmp_path: Path) -> None:
    """An argument that no command line has, and an extension that is no JSON, are refused."""
    with pytest.raises(ConfigError, match="a character that cannot be sent"):
        load(tmp_path, {}, args=["a\0b"])
    with pytest.raises(ConfigError, match="a character that cannot be sent"):
        load(tmp_path, {}, env=[{"name": "A", "value": "\ud800"}])
    access = load(tmp_path, {"extensions": "@"})  # a placeholder, as JSON has no binary values
    del access
    text = (tmp_path / "config").read_text()
    extension = '[{name: client.authentication.k8s.io/exec, extension: !!binary "AAAA"}]'
    (tmp_path / "config").write_text(text.replace('"@"', extension))
    with pytest.raises(ConfigError, match="is no JSON"):
        load_access(kubeconfig=tmp_path / "config", environ={}, service_account=tmp_path / "none")


async def test_a_variable_that_no_environment_has(tmp_path: Path) -> None:
    """A name with = in it is told when the plugin is run."""
    access = load(tmp_path, {}, env=[{"name": "A=B", "value": "c"}])
    with pytest.raises(ConfigError, match="cannot be passed on"):
        await access.identity.credential()
