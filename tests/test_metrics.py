"""The interval of a share: golden values of a published table."""

from __future__ import annotations

import pytest

from imgmatch.metrics import wilson_interval


def test_wilson_golden() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3.
    for successes, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(7, 7)[1] == 1.0


def test_misuse() -> None:
    with pytest.raises(ValueError, match="successes <= n"):
        wilson_interval(2, 1)
