"""Exec plugins: commands that print an ExecCredential.

`aws`, `gcloud`, `kubelogin` and others log in by their own means and print a token, or a client
certificate, with the time of its end. Its form is that of `client.authentication.k8s.io`.

A plugin may take long, as when it waits for a second factor that a person confirms elsewhere. So
a run belongs to no request: all that need a credential meanwhile wait for the same one, and it is
ended when none is left. There is no person here whom a plugin could ask: it has no input and, in
a session of its own, no terminal, whose keys would be somebody else's. By that session its
children are ended with it: a wrapper in shell would otherwise leave them behind.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.files import read_bytes
from kubbo.naming.kubernetes.identity import Credential, check_token

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from kubbo.naming.kubernetes.kubeconfig import Json

__all__ = ["PLUGIN_VERSIONS", "ExecPlugin"]

PLUGIN_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_PLUGIN_BYTES = 1 << 20  # of what an exec plugin writes
_PLUGIN_TIMEOUT = 60.0  # seconds; a plugin may wait for a person's second factor
_PLUGIN_EARLY = 10.0  # ask again so long before its credential expires
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")


class ExecPlugin:
    """Runs a command that prints an ExecCredential, and keeps that until it expires."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        info: Mapping[str, Json],
        hint: str,
        source: str,
        ca_file: Path | None = None,
        within: float = _PLUGIN_TIMEOUT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`info` is sent as KUBERNETES_EXEC_INFO, the bundle `ca_file` with its cluster.

        A run may take `within` seconds. `clock` gives the wall time in seconds.
        """
        self._command = tuple(command)
        self._environ = dict(environ)
        self._info = dict(info)
        self._hint = hint
        self._source = source
        self._ca_file = ca_file
        self._within = within
        self._clock = clock
        self._run: _Run | None = None
        self._kept = Credential()
        self._good_until = float("-inf")

    def __repr__(self) -> str:
        return f"ExecPlugin({self._command[0]!r})"

    async def credential(self) -> Credential:
        """What the plugin gave: a token, a certificate, or both. Cancel safe."""
        if self._clock() < self._good_until:
            return self._kept
        if self._run is None or self._run.over:
            self._run = _Run(self._refresh())
        return await self._run.wait()

    def invalidate(self) -> None:
        """Run the plugin again before the next request."""
        self._good_until = float("-inf")

    async def _refresh(self) -> Credential:
        info = await asyncio.to_thread(self._full_info)
        self._take(await self._execute(json.dumps(info)))
        return self._kept

    def _full_info(self) -> Mapping[str, Json]:
        if self._ca_file is None:
            return self._info
        bundle = read_bytes(self._ca_file, what="the CA bundle")
        spec = self._info["spec"]
        cluster = {
            **spec["cluster"],
            "certificate-authority-data": base64.b64encode(bundle).decode(),
        }
        return {**self._info, "spec": {**spec, "cluster": cluster}}

    async def _start(self, info: str) -> Process:
        name = self._command[0]
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env={**self._environ, "KUBERNETES_EXEC_INFO": info},
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # It may have children before asyncio is done with starting it, which alone would end
            # the plugin and not them.
            await asyncio.wait([starting])
            if not starting.cancelled() and starting.exception() is None:
                await _end(starting.result())
            raise
        except (OSError, ValueError) as error:  # ValueError: what no command line can have
            reason = getattr(error, "strerror", None) or "its arguments or env cannot be passed on"
            hint = f"; {self._hint}" if self._hint else ""
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} cannot be run: "
                f"{reason}; install it or put it on the PATH{hint}"
            ) from None

    async def _execute(self, info: str) -> bytes:
        name = self._command[0]
        process = await self._start(info)
        assert process.stdout is not None
        ended = False
        try:
            async with asyncio.timeout(self._within):
                output = await _read_at_most(process.stdout, _PLUGIN_BYTES)
                if output is None:
                    raise ConfigError(
                        f"the credential plugin {name!r} of {self._source} wrote more than "
                        f"{_PLUGIN_BYTES} bytes"
                    )
                status = await process.wait()
                ended = True
        except TimeoutError:
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} did not answer within "
                f"{self._within:.0f} s; run it by hand to see what it waits for"
            ) from None
        finally:
            if not ended:
                await _end(process)
        if status:
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} failed with exit code "
                f"{status}; run it by hand to see why (you may have to log in again)"
            )
        return output

    def _take(self, output: bytes) -> None:
        name = self._command[0]
        try:
            answer: Json = json.loads(output)
            version, status = answer["apiVersion"], answer["status"]
            token = status.get("token") or ""
            certificate = status.get("clientCertificateData") or ""
            key = status.get("clientKeyData") or ""
            expires = status.get("expirationTimestamp") or ""
            fields = (version, token, certificate, key, expires)
            usable = all(isinstance(one, str) for one in fields) and bool(certificate) == bool(key)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            usable, version, token, certificate, key, expires = False, "", "", "", "", ""
        if not usable or not (token or certificate):
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} printed no ExecCredential with "
                "a token or a client certificate; run it by hand to see what it prints"
            )
        if version != self._info["apiVersion"]:
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} answered as {version!r} but the "
                f"kubeconfig says {self._info['apiVersion']!r}; make them agree"
            )
        self._kept = Credential(
            check_token(token, source=f"plugin {name!r}") if token else "",
            (certificate, key) if certificate else None,
        )
        self._good_until = _timestamp(expires) - _PLUGIN_EARLY if expires else float("inf")


class _Run:
    """One run of the command, for all who wait for it; it is ended when nobody does."""

    def __init__(self, run: Coroutine[object, object, Credential]) -> None:
        self._task = asyncio.create_task(run)
        self._waiting = 0
        self._given_up = False

    @property
    def over(self) -> bool:
        """Whether nobody may join any more."""
        return self._given_up or self._task.done()

    async def wait(self) -> Credential:
        """What the run gives, or raises. Cancel safe."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self._given_up = True
                self._task.cancel()
                await asyncio.wait([self._task])


async def _end(process: Process) -> None:
    """End a plugin and what it started."""
    with suppress(ProcessLookupError, PermissionError):  # all ended, or are another user's
        os.killpg(process.pid, signal.SIGKILL)
    # asyncio waits for the end of its output, too, and does not read it while too much is there
    # already; nor does that end while somebody who left the session holds it.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
    await process.wait()


async def _read_at_most(stream: asyncio.StreamReader, most: int) -> bytes | None:
    """Everything up to the end of the stream, None when that is more than `most` bytes."""
    data = bytearray()
    while chunk := await stream.read(65536):
        data += chunk
        if len(data) > most:
            return None
    return bytes(data)


def _timestamp(text: str) -> float:
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return float("-inf")  # not understood: ask again for every request
    offset = "+00:00" if match[2] == "Z" else match[2]
    try:
        return datetime.fromisoformat(match[1] + offset).timestamp()
    except ValueError:  # a 30 February
        return float("-inf")
