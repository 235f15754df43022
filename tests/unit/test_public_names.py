"""What `import kubbo` gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kubbo


@pytest.mark.parametrize("name", kubbo.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each name of `__all__` loads, and is listed by `dir`."""
    assert getattr(kubbo, name) is not None
    assert name in dir(kubbo)


def test_nothing_else_is_there() -> None:
    """A name that is not public is an AttributeError that says so."""
    with pytest.raises(AttributeError, match="no attribute 'Invoker'"):
        _ = kubbo.Invoker


def test_import_loads_nothing_heavy() -> None:
    """`import kubbo` alone loads no event loop and no HTTP client; a channel loads no HTTP
    client, no DNS, no YAML and no command line.
    """
    script = (
        "import sys, kubbo; assert 'asyncio' not in sys.modules; kubbo.Channel; kubbo.Server;"
        "heavy = {'aiohttp', 'yaml', 'click', 'msgspec', 'dns'} & {*sys.modules};"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
