"""From the name of a configuration to its source.

/etc/kubbo                       a directory: a mounted ConfigMap
/etc/kubbo/kubbo.yaml            one file
configmap:///NAME.NAMESPACE      a ConfigMap, watched; without a namespace in the own one
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubbo.errors import ConfigError
from kubbo.live.files import FileSource

if TYPE_CHECKING:
    from kubbo.live.source import Source
    from kubbo.naming.open import NamingContext

__all__ = ["CONFIG_MAP_SCHEME", "open_source", "parse_config_map"]

CONFIG_MAP_SCHEME: Final = "configmap:///"

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


def parse_config_map(text: str) -> tuple[str, str]:
    """Name and namespace of `configmap:///NAME.NAMESPACE`; the namespace may be empty.

    The name of a ConfigMap may have dots itself: then the namespace is what follows the last.

    Raises:
        ConfigError: it is not of that form.
    """
    name = text.removeprefix(CONFIG_MAP_SCHEME)
    if name == text or len(name) > 253 + 64 or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{text!r} names no ConfigMap; write configmap:///NAME.NAMESPACE, like "
            "configmap:///kubbo.shop"
        )
    head, dot, namespace = name.rpartition(".")
    return (head, namespace) if dot else (name, "")


def open_source(text: str | Path | Source, context: NamingContext) -> Source:
    """The source that a text names, or itself. It does nothing until it is watched.

    Raises:
        ConfigError: it names none.
    """
    if not isinstance(text, str | Path):
        return text
    if isinstance(text, str) and text.startswith("configmap:"):
        name, namespace = parse_config_map(text)
        # The package behind it loads the HTTP client.
        from kubbo.live.cluster import ConfigMapSource  # noqa: PLC0415

        return ConfigMapSource(name, namespace, context)
    if isinstance(text, str) and "://" in text:
        raise ConfigError(
            f"{text!r} is no source of a configuration; write a path, or "
            "configmap:///NAME.NAMESPACE"
        )
    return FileSource(Path(text).expanduser())
