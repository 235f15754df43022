"""Objects as text that every reader of YAML takes alike.

YAML 1.1 and 1.2 disagree about what is a number or a truth when it is not in quotes: `1e3` is
a string to PyYAML and 1000 to kubectl, `on` the other way round. A namespace may be called
either. So a string is written bare only where no reader could take it for something else.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["as_json", "as_yaml"]

_BARE: Final = re.compile(r"[A-Za-z/][A-Za-z0-9./_-]*")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class _Dumper(yaml.SafeDumper):
    """Writes every value out, where PyYAML would write an alias for a repeated one."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    del dumper
    bare = _BARE.fullmatch(text) and text.lower() not in _WORDS
    style = None if bare else "'" if '"' in text else '"'
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def as_yaml(objects: Sequence[dict[str, Any]]) -> str:
    """A document for each object, in ASCII."""
    return "---\n".join(
        yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=1_000_000) for each in objects
    )


def as_json(objects: Sequence[dict[str, Any]]) -> str:
    """One object of the kind List, which `kubectl apply` takes too."""
    listed = {"apiVersion": "v1", "kind": "List", "items": [*objects]}
    return json.dumps(listed, indent=2) + "\n"
