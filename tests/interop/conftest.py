"""The peers, one process a mode and a run; where one cannot be built, its tests fail and say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.interop import go_peer as go
from tests.interop.compatibility import NARROWED, OUTCOMES
from tests.interop.peer import HessianLite, JavaCaller, JavaProvider, PeerMissing, home

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

PAGE = "test_compatibility.py"


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash[NARROWED] = True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The page is looked at when all is known."""
    items.sort(key=lambda item: item.path.name == PAGE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    outcomes = item.session.stash.setdefault(OUTCOMES, {})
    passed = report.passed or hasattr(report, "wasxfail")
    outcomes[item.nodeid] = outcomes.get(item.nodeid, True) and passed
    return report


@pytest.fixture(scope="session")
def java_peer() -> None:
    """The peer is built."""
    try:
        home()
    except PeerMissing as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="session")
def go_peer() -> None:
    """The dubbo-go peer is built."""
    try:
        go.home()
    except PeerMissing as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="session")
def java_provider(java_peer: None) -> Iterator[JavaProvider]:
    """A provider for all tests that leave it running."""
    with JavaProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def java_caller(java_peer: None) -> Iterator[JavaCaller]:
    """A consumer for all tests."""
    with JavaCaller() as caller:
        yield caller


@pytest.fixture(scope="session")
def hessian_lite(java_peer: None) -> HessianLite:
    """Java's codec."""
    return HessianLite()
