"""The page docs/compatibility.md, and this run. Its conftest runs this module last."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop.compatibility import NARROWED, OUTCOMES, patterns, render

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
HERE = "tests/interop/"


def whole(session: pytest.Session) -> bool:
    """Whether every interop test of the checkout is part of this run."""
    seen = {item.path.name for item in session.items}
    there = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    narrowed = session.config.stash.get(NARROWED, False)
    return there <= seen and not narrowed and not any("::" in each for each in session.config.args)


def test_the_page_is_what_this_run_shows(request: pytest.FixtureRequest) -> None:
    """The page says, word for word, what the tests have shown; a partial run cannot deny more."""
    outcomes = {
        name.removeprefix(HERE): passed for name, passed in request.session.stash[OUTCOMES].items()
    }
    complete = whole(request.session)
    failed: dict[str, bool] = {}
    for pattern in patterns():
        results = [passed for name, passed in outcomes.items() if name.startswith(pattern)]
        failed[pattern] = not all(results) or (complete and not results)
    wrong = sorted(pattern for pattern, is_wrong in failed.items() if is_wrong)
    if os.environ.get("KUBBO_WRITE_COMPATIBILITY") == "1":
        assert complete, "the page is only written by a run of all of tests/interop"
        assert not wrong, f"failed, or not there: {wrong}"
        PAGE.write_text(render(failed))
    told = PAGE.read_text() if PAGE.exists() else ""
    assert told == render(failed), (
        "docs/compatibility.md is not what this run shows"
        f" (failed, or not there: {wrong or 'none'}); write it anew with"
        " KUBBO_WRITE_COMPATIBILITY=1 tests/in-namespace .venv/bin/pytest tests/interop"
    )


ENOUGH = {
    "test_java_calls_python.py": 200,
    "test_python_calls_java.py": 200,
    "test_java_32_consumer.py": 200,
    "test_java_32_provider.py": 200,
    "test_go.py": 60,
}


def test_there_are_enough_cases(request: pytest.FixtureRequest) -> None:
    """The run has as many cases of each peer and direction as were promised."""
    if not whole(request.session):
        return
    names = [name.removeprefix(HERE) for name in request.session.stash[OUTCOMES]]
    counts = {file: sum(name.startswith(file) for name in names) for file in ENOUGH}
    assert all(counts[file] >= enough for file, enough in ENOUGH.items()), counts
