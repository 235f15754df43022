"""A ConfigMap, read from the API server: a change arrives at once, and needs a permission.

A ConfigMap that does not exist is an empty configuration: what it said is taken back at once.
While the API server is away nothing changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubbo.config.configuration import is_configuration_file
from kubbo.errors import ConfigError
from kubbo.live.source import Files, Unavailable
from kubbo.naming.kubernetes.configmap import watch_config_map
from kubbo.naming.kubernetes.explain import forbidden_config_map
from kubbo.naming.kubernetes.objects import ConfigMap
from kubbo.naming.kubernetes.reflector import Failure

if TYPE_CHECKING:
    from kubbo.live.source import Publish
    from kubbo.naming.open import NamingContext

__all__ = ["ConfigMapSource"]

_FORBIDDEN: Final = 403


class ConfigMapSource:
    """Watches one ConfigMap with the client of a naming context, which its owner closes."""

    remote = True

    def __init__(self, name: str, namespace: str, context: NamingContext) -> None:
        """`namespace` may be empty: it is the own one then."""
        self._name = name
        self._namespace = namespace
        self._context = context

    def __str__(self) -> str:
        dot = f".{self._namespace}" if self._namespace else ""
        return f"configmap:///{self._name}{dot}"

    async def watch(self, publish: Publish, /) -> None:
        """See `Source`. It ends when there is no way to the API server at all."""
        try:
            client = await self._context.cluster()
        except ConfigError as error:
            await publish(Unavailable(str(error)))
            return
        namespace = self._namespace or self._context.namespace or client.access.namespace

        async def tell(said: ConfigMap | Failure | None) -> None:
            match said:
                case None:
                    await publish(Files({}))
                case ConfigMap():
                    await publish(Files(self._files(said)))
                case Failure():
                    await publish(Unavailable(self._reason(said, namespace)))

        await watch_config_map(
            client,
            namespace,
            self._name,
            tell,
            rng=self._context.rng,
            clock=self._context.clock,
        )

    def _files(self, found: ConfigMap) -> dict[str, bytes]:
        texts = {key: text.encode() for key, text in (found.data or {}).items()}
        whole = {**texts, **(found.binary_data or {})}
        return {f"{self}/{key}": data for key, data in whole.items() if is_configuration_file(key)}

    def _reason(self, failure: Failure, namespace: str) -> str:
        if failure.status != _FORBIDDEN:
            return failure.message
        return forbidden_config_map(failure.message, name=self._name, namespace=namespace)
