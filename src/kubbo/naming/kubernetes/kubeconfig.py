"""Kubeconfig files as they are written: merged, and checked where something is read.

What the entries mean is the business of `credentials`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from kubbo.errors import ConfigError
from kubbo.naming.kubernetes.files import pem_text, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Entry", "Json", "Kubeconfig", "as_list", "as_mapping", "check_text", "merge"]

# What YAML and JSON give: checked key by key where it is read.
Json: TypeAlias = Any


def is_list(value: Json) -> TypeGuard[list[Json]]:
    return isinstance(value, list)


def is_mapping(value: Json) -> TypeGuard[dict[str, Json]]:
    return isinstance(value, dict)


def as_list(value: Json) -> list[Json] | None:
    """A list, empty for a missing value; None when it is something else."""
    if value is None:
        return []
    return value if is_list(value) else None


def as_mapping(value: Json) -> dict[str, Json] | None:
    """A mapping, empty for a missing value; None when it is something else."""
    if value is None:
        return {}
    return value if is_mapping(value) else None


def check_text(text: str, *, name: str) -> None:
    """YAML can write texts that no file's name, header or argument can have.

    Raises:
        ConfigError: this is one; the message has its `name`.
    """
    if "\0" in text or any("\ud800" <= one <= "\udfff" for one in text):
        raise ConfigError(f"{name} holds a character that cannot be sent; remove it")


@dataclass(frozen=True, slots=True)
class Entry:
    """A named entry of a kubeconfig, with the file that it stands in."""

    value: Mapping[str, Json] = field(repr=False)  # tokens, keys, passwords
    file: Path

    def text(self, name: str) -> str:
        """A text field, empty when it is missing."""
        value = self.value.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise ConfigError(f"{name} in {self.file} must be a text")
        check_text(value, name=f"{name} in {self.file}")
        return value

    def path(self, name: str) -> Path | None:
        """A file's path, relative to the kubeconfig."""
        text = self.text(name)
        if not text:
            return None
        try:
            return self.file.parent / Path(text).expanduser()
        except RuntimeError:
            raise ConfigError(
                f"{name} in {self.file} is in the home folder of somebody who is not known here; "
                "write the whole path"
            ) from None

    def pem(self, name: str) -> str:
        """A field with base64 of PEM, empty when it is missing."""
        text = self.text(name)
        try:
            pem = pem_text(base64.b64decode("".join(text.split()), validate=True))
        except ValueError:
            pem = ""
        if text and not pem.strip():
            raise ConfigError(f"{name} in {self.file} is no base64 of a PEM text")
        return pem


@dataclass(slots=True)
class Kubeconfig:
    """One or several files, merged as kubectl does: the first that names a thing wins."""

    source: str
    current: str = ""
    contexts: dict[str, Entry] = field(default_factory=dict[str, Entry], repr=False)
    clusters: dict[str, Entry] = field(default_factory=dict[str, Entry], repr=False)
    users: dict[str, Entry] = field(default_factory=dict[str, Entry], repr=False)


def merge(files: Sequence[Path]) -> Kubeconfig:
    """Read the files.

    Raises:
        ConfigError: one of them is no kubeconfig.
    """
    merged = Kubeconfig(":".join(str(file) for file in files))
    for file in files:
        document = _read_yaml(file)
        current = document.get("current-context")
        if not merged.current and isinstance(current, str):
            merged.current = current
        for plural, singular, into in (
            ("contexts", "context", merged.contexts),
            ("clusters", "cluster", merged.clusters),
            ("users", "user", merged.users),
        ):
            entries = as_list(document.get(plural))
            if entries is None:
                raise ConfigError(f"{plural} in {file} must be a list")
            for one in entries:
                entry = as_mapping(one) or {}
                name, value = entry.get("name"), as_mapping(entry.get(singular))
                if not isinstance(name, str) or value is None:
                    raise ConfigError(
                        f"{plural} in {file} has an entry without name and {singular}"
                    )
                into.setdefault(name, Entry(value, file))
    return merged


def _read_yaml(file: Path) -> Mapping[str, Json]:
    import yaml  # noqa: PLC0415 - 20 ms that a pod with a service account never needs

    class Loader(yaml.SafeLoader):
        """YAML without dates: to kubectl they are texts, and there is none for a 30 February."""

        yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
            first: [one for one in resolvers if one[0] != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    text = read_text(file, what="the kubeconfig")
    try:
        document: Json = yaml.load(text, Loader)  # noqa: S506 - it is a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: of a tag's value
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise ConfigError(f"the kubeconfig {file} is no YAML{where}") from None
    mapping = as_mapping(document)
    if mapping is None:
        raise ConfigError(f"the kubeconfig {file} holds no mapping; is it another file?")
    return mapping
