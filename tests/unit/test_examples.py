"""The example is one text in three places: examples/greeter, README.md, and the demo's package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GREETER = ROOT / "examples" / "greeter"


def blocks(language: str) -> list[str]:
    """The code blocks of README.md in one language."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)


def test_the_readme_prints_the_files_of_the_example_and_no_other_python():
    """Whoever copies from the README has what the tests run."""
    names = ("interface.py", "provider.py", "consumer.py")
    assert blocks("python") == [(GREETER / name).read_text(encoding="utf-8") for name in names]


def test_the_readme_prints_the_service_of_the_example():
    """The manifest that a reader applies is the one that the tests create."""
    assert blocks("yaml") == [(GREETER / "service.yaml").read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", ["interface.py", "provider.py"])
def test_the_demo_runs_the_text_of_the_example(name: str):
    """The copy that a wheel carries for `kubbo demo` is the example, word for word."""
    copy = ROOT / "src" / "kubbo" / "demo" / "greeter" / name
    assert copy.read_text(encoding="utf-8") == (GREETER / name).read_text(encoding="utf-8")


def test_provider_and_consumer_are_twenty_lines_together():
    """The promise of the README's brevity: lines with code, the shared interface apart."""
    lines = [
        line
        for name in ("provider.py", "consumer.py")
        for line in (GREETER / name).read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith('"""')
    ]
    assert len(lines) <= 20
