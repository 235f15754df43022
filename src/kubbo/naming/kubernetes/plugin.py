"""Exec plugins: commands that print an ExecCredential.

`aws`, `gcloud`, `kubelogin` and others log in by their own means and print a token, or a client
certificate, with the time of its end. Its form is that of `client.authentication.k8s.io`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.identity import check_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kubbo.naming.kubernetes.kubeconfig import Json

__all__ = ["PLUGIN_VERSIONS", "ExecPlugin"]

PLUGIN_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_PLUGIN_BYTES = 1 << 20  # of what an exec plugin writes
_PLUGIN_TIMEOUT = 60.0  # a plugin may wait for a person's second factor
_PLUGIN_EARLY = 10.0  # ask again so long before its credential expires
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)")


class ExecPlugin:
    """Runs a command that prints an ExecCredential, and caches it until it expires."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        info: Mapping[str, Json],
        hint: str,
        source: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`info` is sent as KUBERNETES_EXEC_INFO; `clock` gives the wall time in seconds."""
        self._command = tuple(command)
        self._environ = dict(environ)
        self._info = dict(info)
        self._hint = hint
        self._source = source
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._certificate: tuple[str, str] | None = None
        self._good_until = float("-inf")

    def __repr__(self) -> str:
        return f"ExecPlugin({self._command[0]!r})"

    async def token(self) -> str:
        """The token of the plugin, empty if it gives a certificate only."""
        await self._refresh()
        return self._token

    async def certificate(self) -> tuple[str, str] | None:
        """Client certificate and key in PEM, if the plugin gives one."""
        await self._refresh()
        return self._certificate

    def invalidate(self) -> None:
        """Run the plugin again before the next request."""
        self._good_until = float("-inf")

    async def _refresh(self) -> None:
        async with self._lock:
            if self._clock() < self._good_until:
                return
            self._take(await self._run())

    async def _run(self) -> bytes:
        name = self._command[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env={**self._environ, "KUBERNETES_EXEC_INFO": json.dumps(self._info)},
            )
        except OSError as error:
            hint = f"; {self._hint}" if self._hint else ""
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} cannot be run: "
                f"{error.strerror}; install it or put it on the PATH{hint}"
            ) from None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_PLUGIN_TIMEOUT):
                output = await _read_at_most(process.stdout, _PLUGIN_BYTES)
                if output is None:
                    raise ConfigError(
                        f"the credential plugin {name!r} of {self._source} wrote more than "
                        f"{_PLUGIN_BYTES} bytes"
                    )
                status = await process.wait()
        except TimeoutError:
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} did not answer within "
                f"{_PLUGIN_TIMEOUT:.0f} s; run it by hand to see what it waits for"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                # asyncio waits for the end of its output, too, and does not read it while too
                # much is there already; nor does it end while a child of the plugin holds it.
                process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
                await process.wait()
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
            usable = all(isinstance(one, str) for one in fields)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            usable, version, token, certificate, key, expires = False, "", "", "", "", ""
        if not usable or not (token or (certificate and key)):
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} printed no ExecCredential with "
                "a token or a client certificate; run it by hand to see what it prints"
            )
        if version != self._info["apiVersion"]:
            raise ConfigError(
                f"the credential plugin {name!r} of {self._source} answered as {version!r} but the "
                f"kubeconfig says {self._info['apiVersion']!r}; make them agree"
            )
        self._token = check_token(token, source=f"plugin {name!r}") if token else ""
        self._certificate = (certificate, key) if certificate and key else None
        self._good_until = _timestamp(expires) - _PLUGIN_EARLY if expires else float("inf")


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
