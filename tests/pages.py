"""Pages of the documentation, followed as a reader would: what they write, type and show."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Reader", "blocks", "commands", "shows"]


def blocks(page: str, language: str) -> list[str]:
    """The texts of a page's blocks in one language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def commands(page: str) -> Iterator[tuple[str, str]]:
    """The commands of the page's console blocks, each with the output printed below it."""
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def shows(output: str, printed: str) -> bool:
    """Whether what the page shows was printed, all of it; `...` stands for any."""
    pattern = ".*".join(re.escape(part) for part in output.split("..."))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


class Reader:
    """Somebody with an empty folder, Kubbo, some more tools and a cluster; ended with the block.

    Attributes:
        folder: where commands are typed.
        environment: in which they run.
    """

    def __init__(self, directory: Path, kubeconfig: Path, tools: Mapping[str, Path]) -> None:
        self.folder = directory / "folder"
        self.folder.mkdir()
        path = directory / "tools"
        path.mkdir()
        for name, tool in tools.items():
            (path / name).symlink_to(tool)
        self.environment = {
            "PATH": os.pathsep.join(
                [str(path), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "HOME": str(directory),
            "KUBECONFIG": str(kubeconfig),
        }
        self._serving: list[subprocess.Popen[str]] = []
        self._left = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._left.close()

    def write(self, page: str, *names: str) -> None:
        """Write the page's Python blocks into files of these names."""
        for name, text in zip(names, blocks(page, "python"), strict=True):
            (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, command: str, *, within: float) -> subprocess.CompletedProcess[str]:
        """Type a command, and wait for its end."""
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=within,
        )

    def start(
        self, command: Sequence[str], output: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """A program that goes on, and whose first line is seen; killed with the block."""
        process = self._left.enter_context(
            subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environment, **(environment or {})},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._left.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == output
        return process

    def serve(self, command: str, output: str) -> None:
        """Type a command that goes on until `interrupt`."""
        self._serving.append(self.start(command.split(), output))

    def interrupt(self) -> None:
        """Ctrl-C for what was left running; it ends well."""
        while self._serving:
            self._serving[-1].send_signal(signal.SIGINT)
            assert self._serving.pop().wait(30) == 0
