"""Checks that any implementation of one of Kubbo's seams has to pass, ours and yours.

    from kubbo.testing import check_load_balance

    def test_mine() -> None:
        check_load_balance(lambda rng: MyBalance(rng))

A check returns None or raises AssertionError with what was expected. It needs no test
framework, no network and no real time. `check_endpointslices` is for readers of EndpointSlices
that have nothing else to do with Kubbo; its table, `endpointslice_cases`, is plain JSON.
"""

from kubbo.testing.conformance import check_load_balance, check_resolver, check_session
from kubbo.testing.endpointslice_table import (
    Backend,
    EndpointSliceCase,
    EndpointSliceStep,
    endpointslice_cases,
)
from kubbo.testing.endpointslices import check_endpointslices
from kubbo.testing.routers import check_router

__all__ = [
    "Backend",
    "EndpointSliceCase",
    "EndpointSliceStep",
    "check_endpointslices",
    "check_load_balance",
    "check_resolver",
    "check_router",
    "check_session",
    "endpointslice_cases",
]
