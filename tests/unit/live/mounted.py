"""A directory as the kubelet mounts a ConfigMap."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Final

_VERSIONS: Final = itertools.count(1)


class Mounted:
    """`..data` leads to the directory of a version; every file leads through it."""

    def __init__(self, path: Path, **files: str) -> None:
        self.path = path
        path.mkdir()
        self.swap(**files)

    def swap(self, **files: str) -> None:
        """Put another version in place of this one, in the order in which the kubelet does."""
        fresh = self.path / f"..2026_{next(_VERSIONS)}"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / f"{name}.yaml").write_text(text, encoding="utf-8")
        data = self.path / "..data"
        before = data.readlink() if data.is_symlink() else None
        link = self.path / "..data_tmp"
        link.symlink_to(fresh.name)
        link.replace(data)
        for name in files:
            shown = self.path / f"{name}.yaml"
            if not shown.is_symlink():
                shown.symlink_to(Path("..data") / shown.name)
        for shown in self.path.glob("*.yaml"):
            if not shown.exists():
                shown.unlink()
        if before is not None:
            shutil.rmtree(self.path / before)
