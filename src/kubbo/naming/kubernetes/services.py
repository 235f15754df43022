"""Services by name and by the attribute that says what they provide.

The mapping asks once a reference and then every few minutes, so there is no watch here: a list of
the labelled Services of each namespace, and a get of the one that the rule names. The list is the
same for all references, so those that need no fresh one share it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.client import SERVICES, ApiError
from kubbo.naming.kubernetes.reflector import Undecodable
from kubbo.naming.mapping import (
    PROVIDER_LABEL,
    SERVICES_ANNOTATION,
    Providers,
    ProviderService,
    ServiceLookupError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from kubbo.naming.kubernetes.client import ClusterClient
    from kubbo.naming.kubernetes.objects import Service

__all__ = ["ClusterServices"]

_PAGE = 500
_MOST = 10_000  # labelled Services of a namespace


class _ServerError(ServiceLookupError):
    """No namespace can be listed now, not this one alone."""


class ClusterServices:
    """Looks Services up in the API server, for the mapping of service keys."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[ClusterClient]],
        *,
        namespace: str = "",
        others: Sequence[str] = (),
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`namespace` is the own one (empty: that of the credentials), asked before `others`."""
        self._connect = connect
        self._namespace = namespace
        self._others = tuple(others)
        self._clock = clock
        self._listing = asyncio.Lock()
        self._listed = Providers(())
        self._listed_at = float("-inf")

    async def providers(self, *, recent: float = 0.0) -> Providers:
        """Services with the provider label, those of the own namespace first. Cancel safe.

        They may have been asked for `recent` seconds ago.

        Raises:
            ServiceLookupError: no namespace could be listed; the message says why.
        """
        now = self._clock or asyncio.get_running_loop().time
        wanted = now() - recent
        async with self._listing:
            if self._listed_at < wanted:
                asked_at = now()
                self._listed = await self._list_all()
                self._listed_at = asked_at
            return self._listed

    async def _list_all(self) -> Providers:
        """List each namespace; one that is refused takes nothing from the others.

        A server that cannot be asked at all is not asked again for each of them.
        """
        client = await self._client()
        own = self._namespace or client.access.namespace
        namespaces = tuple(dict.fromkeys((own, *self._others)))
        found: list[ProviderService] = []
        unread: dict[str, str] = {}
        away: _ServerError | None = None
        for namespace in namespaces:
            if away is None:
                try:
                    found += await self._list(client, namespace)
                    continue
                except _ServerError as error:
                    away = error
                except ServiceLookupError as error:
                    unread[namespace] = str(error)
                    continue
            unread[namespace] = str(away)
        if len(unread) == len(namespaces):
            raise ServiceLookupError(
                "; ".join(dict.fromkeys(unread.values())),
                unusable=away is not None and away.unusable,
            )
        return Providers(found, namespaces, unread)

    async def service(self, namespace: str, name: str) -> ProviderService | None:
        """One Service, None when it does not exist. Cancel safe.

        Raises:
            ServiceLookupError: the API server could not be asked; the message says why.
        """
        client = await self._client()
        namespace = namespace or self._namespace or client.access.namespace
        try:
            found = await client.get(SERVICES, namespace, name)
        except ApiError as error:
            if error.missing == (SERVICES.plural, name):
                return None
            raise ServiceLookupError(_told(error)) from None
        except ConfigError as error:
            raise ServiceLookupError(str(error), unusable=True) from None
        return _seen(found, namespace)

    async def _client(self) -> ClusterClient:
        try:
            return await self._connect()
        except ConfigError as error:
            raise ServiceLookupError(str(error), unusable=True) from None

    async def _list(self, client: ClusterClient, namespace: str) -> list[ProviderService]:
        found: list[ProviderService] = []
        token = ""
        while True:
            try:
                page = await client.list_page(
                    SERVICES,
                    namespace,
                    label_selector=f"{PROVIDER_LABEL}=true",
                    continue_token=token,
                    limit=_PAGE,
                )
            except ApiError as error:
                refused = error.failure.status in (403, 404)
                kind = ServiceLookupError if refused else _ServerError
                raise kind(_told(error)) from None
            except ConfigError as error:
                raise _ServerError(str(error), unusable=True) from None
            if isinstance(page, Undecodable):
                raise ServiceLookupError(page.reason)
            found += [_seen(service, namespace) for service in page.items.values()]
            if len(found) > _MOST:
                raise ServiceLookupError(
                    f"more than {_MOST} Services in {namespace!r} carry the label {PROVIDER_LABEL}"
                )
            token = page.continue_token
            if not token:
                return found
            if not page.items:
                raise ServiceLookupError(f"the list of Services in {namespace!r} has no end")


def _told(error: ApiError) -> str:
    """An error in words. A 404 that is not about the Service asked for says nothing of it."""
    if error.failure.status != 404:
        return str(error)
    return f"{error}; an API server does not say that of Services, check the address"


def _seen(service: Service, namespace: str) -> ProviderService:
    metadata = service.metadata
    return ProviderService(
        namespace,
        metadata.name,
        services=(metadata.annotations or {}).get(SERVICES_ANNOTATION),
        provider=(metadata.labels or {}).get(PROVIDER_LABEL) == "true",
    )
