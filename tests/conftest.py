"""Rules that hold for every test.

*Nothing stays behind.* An async test fails when, after the last of its fixtures is torn down,
a task is still pending, a transport or socket was never closed, or an exception reached nobody.
Tasks are looked at while the loop still lives; the rest only speaks up when it is collected, so
the collector runs at the end of each async test, while the test can still be named.

*Root is never assumed and never skipped in silence.* A test that needs root (it says so by the
mark ``root``, or asks for ``provider_address``) runs inside the network namespace that
``tests/in-namespace`` makes. Elsewhere it fails, unless an ordinary user gave ``NO_ROOT=1``:
then it is left out, and the run ends with the list of what was.

*A zero has its N.* Tests that try something many times say so by the fixture `tried`, and the run
ends with the sums. Those marked ``soak`` run longer by `make soak`.

*Property tests repeat.* They draw the same examples in every run; ``make fuzz`` draws others.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

TESTS = Path(__file__).parent

settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    print_blob=True,
    deadline=None,  # a busy machine is not a bug
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "fuzz",
    max_examples=20_000,
    print_blob=True,
    deadline=None,
    suppress_health_check=[*HealthCheck],
)
settings.load_profile("repeatable")


# --- root ------------------------------------------------------------------------------------

NAMESPACE_VARIABLE = "KUBBO_TEST_NAMESPACE"
LEFT_OUT = pytest.StashKey[list[str]]()


def inside_namespace() -> bool:
    """Whether this process runs in the network namespace that tests/in-namespace made."""
    return os.environ.get(NAMESPACE_VARIABLE) == str(Path("/proc/self/ns/net").readlink())


def needs_root(item: pytest.Item) -> str:
    """Why this test needs root, or an empty string."""
    if "provider_address" in getattr(item, "fixturenames", ()):
        return "puts provider addresses on lo, which needs root and a network namespace"
    for mark in item.iter_markers("root"):
        return str(mark.kwargs.get("reason", "needs root and a network namespace"))
    return ""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = []
    config.stash[TRIED] = Counter()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = os.environ.get("NO_ROOT") == "1" and os.geteuid() != 0
    for item in items:
        if reason := needs_root(item):
            item.add_marker(pytest.mark.root)  # so that -m root selects by either way of asking
            if left_out:
                item.add_marker(pytest.mark.skip(reason=reason))
                config.stash[LEFT_OUT].append(f"{item.nodeid}: {reason}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    forget_failure(item.session)
    if next(item.iter_markers("skip"), None):
        return
    if (reason := needs_root(item)) and not inside_namespace():
        pytest.fail(
            f"{reason}: run it as root with `tests/in-namespace .venv/bin/pytest ...`, "
            "or as an ordinary user leave it out with NO_ROOT=1",
            pytrace=False,
        )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Around pytest's own: the list is the last that the run prints."""
    yield
    if left_out := session.config.stash[LEFT_OUT]:
        reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        reporter.section(f"left out by NO_ROOT=1: {len(left_out)} tests")
        for line in left_out:
            reporter.line(line)


# --- nothing stays behind --------------------------------------------------------------------

# What the loop's exception handler was told: a task whose exception nobody awaited, an error in
# a protocol's callback.
UNHEARD = pytest.StashKey[list[str]]()


@pytest.fixture(autouse=True)
def _leak_check(request: pytest.FixtureRequest) -> None:
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_no_task_left")


@pytest.fixture
async def _no_task_left(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Set up before all other fixtures of a test, and so torn down after them."""
    unheard = request.node.stash.setdefault(UNHEARD, [])

    def hear(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        unheard.append(context["message"] + (f": {error!r}" if error else ""))

    asyncio.get_running_loop().set_exception_handler(hear)
    yield
    # Tasks that have been told to end get to run once more, and closed transports hand their
    # sockets back in the next round of the loop. Whoever needs longer has not been awaited.
    for _ in range(3):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        pytest.fail(
            "tasks still pending after the test:\n" + "\n".join(f"  {task!r}" for task in left),
            pytrace=False,
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """After the loop is closed: collect, and fail this test for what complains while dying."""
    yield
    unheard = item.stash.get(UNHEARD, None)
    if unheard is None:
        return  # not an async test
    unheard += complaints_of_the_dying()
    if unheard:
        pytest.fail("left behind by the test:\n  " + "\n  ".join(unheard), pytrace=False)


def complaints_of_the_dying() -> list[str]:
    """Collect all garbage; what finalizers raise: a ResourceWarning is an error here."""
    complaints: list[str] = []

    def hear(unraisable: Any) -> None:
        complaints.append(repr(unraisable.exc_value))

    before = sys.unraisablehook
    sys.unraisablehook = hear
    try:
        gc.collect()
    finally:
        sys.unraisablehook = before
    return complaints


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    report = yield
    if report.failed:
        item.session.stash[FAILED] = True
    return report


def forget_failure(session: pytest.Session) -> None:
    """The traceback of a failed test keeps all that it had open; the next test isn't to blame."""
    if session.stash.get(FAILED, False):
        session.stash[FAILED] = False
        for name in ("last_exc", "last_type", "last_value", "last_traceback"):
            if hasattr(sys, name):
                delattr(sys, name)
        complaints_of_the_dying()


# --- how often ---------------------------------------------------------------------------------

TRIED = pytest.StashKey[Counter[str]]()


@pytest.fixture
def tried(pytestconfig: pytest.Config) -> Callable[[str, int], None]:
    """A function that notes N beside a zero: `tried("slice sets, 0 differences", 10_000)`.

    Called when it has been shown, not before. The run ends with the sums.
    """
    return lambda what, count: pytestconfig.stash[TRIED].update({what: count})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if counts := config.stash[TRIED]:
        terminalreporter.section("tried")
        for what, count in sorted(counts.items()):
            terminalreporter.line(f"{count:>12,} {what}")


# --- golden bytes ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The directory of golden bytes: one file a case, each with its producer and meaning."""
    return TESTS / "vectors"
