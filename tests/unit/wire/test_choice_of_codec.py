"""Which codec runs: the compiled one where it is installed and fits, unless it is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from kubbo import wire
from kubbo.wire.hessian2 import Reader, Writer
from kubbo.wire.hessian2.reader import Reader as PureReader
from kubbo.wire.hessian2.writer import Writer as PureWriter

PAGE = Path(__file__).parents[3] / "docs" / "wire" / "native.md"
_SHOW = """
from kubbo.wire import codec_name
from kubbo.wire.hessian2 import Reader, decode, encode
assert decode(encode([1, "a"])) == [1, "a"]
print(codec_name(), Reader.__module__)
"""


def chosen(before: str = "", **environment: str) -> str:
    given = {name: value for name, value in os.environ.items() if name != "KUBBO_PURE"}
    found = subprocess.run(
        [sys.executable, "-c", before + _SHOW],
        env=given | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()


def test_the_name_is_that_of_what_is_imported() -> None:
    """`codec_name`, which `kubbo --version` prints, is about the classes that run."""
    pure = wire.codec_name() == "pure"
    assert pure == (Reader is PureReader)
    assert pure == (Writer is PureWriter)


def test_the_environment_chooses_the_pure_codec() -> None:
    """KUBBO_PURE=1, and nothing else that it might hold."""
    assert chosen(KUBBO_PURE="1") == "pure kubbo.wire.hessian2.reader"
    assert chosen(KUBBO_PURE="0") == chosen()


def test_without_the_distribution_the_pure_codec_runs() -> None:
    """Nothing else needs it."""
    absent = "import sys; sys.modules['kubbo_native'] = None\n"
    assert chosen(absent) == "pure kubbo.wire.hessian2.reader"


def test_another_interface_is_left_alone(tmp_path: Path) -> None:
    """A kubbo-native that is older or newer than this kubbo is as good as none."""
    (tmp_path / "kubbo_native.py").write_text("INTERFACE = 0\n")
    assert chosen(PYTHONPATH=str(tmp_path)) == "pure kubbo.wire.hessian2.reader"


def test_the_code_of_its_page_runs() -> None:
    """docs/wire/native.md."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), {})
