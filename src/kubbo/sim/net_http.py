"""aiohttp's client over the simulated network: what its connector for TCP does, without sockets.

Only the opening of a connection differs; pooling, timeouts and HTTP are aiohttp's own. Of TLS there
is only the decision whether to believe the server's certificate: see `kubbo.sim.secrets`.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from typing import TYPE_CHECKING, Final

import aiohttp

from kubbo.sim.net import DEAD_AFTER, SimNetwork

if TYPE_CHECKING:
    from aiohttp.client import ClientTimeout
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace

__all__ = ["SimConnector"]

USER_TIMEOUT: Final = 25.0
"""Seconds after which the client's kernel gives up a dead connection: see the naming client."""

_IDLE: Final = 86_400.0
"""aiohttp tells the age of an idle connection by the clock on the wall, which is no part of a
simulation; so it is never too old, and the server is the one who closes it."""


class SimConnector(aiohttp.BaseConnector):
    """Opens connections by the running loop's `create_connection`. Make it inside the loop."""

    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=_IDLE)

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> ResponseHandler:
        """See `aiohttp.TCPConnector`: the same errors for the same troubles."""
        del traces
        host, port = req.url.host, req.url.port
        assert host is not None
        assert port is not None
        before = DEAD_AFTER.set(USER_TIMEOUT)
        try:
            async with asyncio.timeout(timeout.sock_connect):
                _, protocol = await self._loop.create_connection(self._factory, host, port)
        except TimeoutError as error:
            if error.errno == errno.ETIMEDOUT:
                raise aiohttp.ClientConnectorError(req.connection_key, error) from error
            raise
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        finally:
            DEAD_AFTER.reset(before)
        try:
            self._believe(req, host, port)
        except ssl.SSLCertVerificationError as error:
            protocol.close()
            raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
        return protocol

    def _believe(self, req: ClientRequest, host: str, port: int) -> None:
        network = getattr(self._loop, "network", None)
        if not (isinstance(network, SimNetwork) and req.is_ssl()):
            return
        certificate, context = network.certificates.get((host, port)), req.ssl
        if certificate is not None and isinstance(context, ssl.SSLContext):
            try:
                certificate.check(context)
            except ssl.SSLCertVerificationError:
                network.fired["certificate not believed"] += 1
                raise
