"""The peers, one process a mode and a run; where one cannot be built, its tests fail and say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.interop import go_peer as go
from tests.interop.peer import HessianLite, JavaCaller, JavaProvider, PeerMissing, home

if TYPE_CHECKING:
    from collections.abc import Iterator


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
