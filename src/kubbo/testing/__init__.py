"""Checks that any implementation of one of Kubbo's seams has to pass, ours and yours.

    from kubbo.testing import check_load_balance

    def test_mine() -> None:
        check_load_balance(lambda rng: MyBalance(rng))

A check returns None or raises AssertionError with what was expected. It needs no test
framework, no network and no real time.
"""

from kubbo.testing.conformance import check_load_balance, check_resolver, check_session

__all__ = ["check_load_balance", "check_resolver", "check_session"]
