"""One image of a small provider, which all tests here look at."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.image.reading import Read, copy_of_kubbo, read_image

if TYPE_CHECKING:
    from pathlib import Path

GREETER = """\
from typing import Protocol

import kubbo
from greetings import hello


@kubbo.service("com.example.GreetService", version="1.0.0")
class GreetService(Protocol):
    async def greet(self, name: str) -> str: ...


class Greeter(GreetService):
    async def greet(self, name: str) -> str:
        return hello(name)
"""
GREETINGS = """\
def hello(name: str) -> str:
    return f"Hello {name}"
"""

ENVIRONMENT = {"SOURCE_DATE_EPOCH": "1700000000"}


def write_project(folder: Path, *, greetings: str = GREETINGS) -> Path:
    """A provider in two modules, with things around it that are none of an image's business."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "greeter.py").write_text(GREETER, encoding="utf-8")
    (folder / "greetings.py").write_text(greetings, encoding="utf-8")
    (folder / "other.py").write_text("import pytest\n", encoding="utf-8")
    (folder / ".env").write_text("PASSWORD=x\n", encoding="utf-8")
    return folder


def kubbo_image(
    folder: Path, *arguments: str, what: str = "greeter:Greeter", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `kubbo image` as a person would, in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "kubbo", "image", what, *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@dataclass
class Made:
    """An image: its archive, what is in it, and what the command told."""

    path: Path
    read: Read
    told: dict[str, Any]
    progress: str


def make(folder: Path, source: Path, *arguments: str, **environment: str) -> Made:
    """An image of the provider in `folder`, with the Kubbo in `source`."""
    path = folder / "greeter.tar"
    done = kubbo_image(
        folder,
        "-t",
        "registry.example/greeter:1.0",
        "-o",
        str(path),
        "--json",
        "--with",
        "pluggy",
        *arguments,
        PYTHONPATH=str(source),
        **environment,
    )
    assert done.returncode == 0, done.stderr
    return Made(path, read_image(path), json.loads(done.stdout), done.stderr)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `copy_of_kubbo`."""
    return copy_of_kubbo(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def image(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An image of `write_project`."""
    folder = write_project(tmp_path_factory.mktemp("image") / "project")
    return make(folder, source, **ENVIRONMENT)
