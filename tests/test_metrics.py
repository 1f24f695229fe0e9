"""Metrics: golden values by hand, ties against us."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgmatch.metrics import (
    auroc,
    average_precision,
    bootstrap_interval,
    brier_score,
    expected_calibration_error,
    rates_at,
    recall_at_fpr,
    recall_at_k,
    split_of,
    wilson_interval,
)


def test_recall_at_k_by_hand() -> None:
    similarities = [[0.9, 0.8, 0.1], [0.9, 0.9, 0.1], [0.1, 0.2, 0.3], [0.5, -np.inf, 0.4]]
    relevant = [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert recall_at_k(similarities, relevant, 1).tolist() == [True, False, False, False]  # the tie is lost
    assert recall_at_k(similarities, relevant, 2).tolist() == [True, True, False, False]
    assert recall_at_k(similarities, relevant, 3).tolist() == [True, True, True, False]  # one that takes no part is no hit
    assert recall_at_k(np.zeros((0, 3)), np.zeros((0, 3)), 1).shape == (0,)


def test_average_precision_by_hand() -> None:
    # Ranks of the positives 1 and 3: (1/1 + 2/3) / 2.
    assert average_precision([0.9, 0.8, 0.7], [1, 0, 1]) == pytest.approx(5 / 6)
    assert average_precision([0.5, 0.5], [1, 0]) == 0.5  # the negative of the tie first
    assert math.isnan(average_precision([0.5], [0]))


def test_auroc_by_hand() -> None:
    # Pairs won: (0.9 over 0.8, 0.1), (0.5 over 0.1) = 3 of 4.
    assert auroc([0.9, 0.5, 0.8, 0.1], [1, 1, 0, 0]) == 0.75
    assert auroc([0.5, 0.5, 0.5], [1, 0, 0]) == 0.0  # a constant score knows nothing
    assert math.isnan(auroc([0.5], [1]))


def test_rates_by_hand() -> None:
    scores, positive = [0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0]
    assert rates_at(scores, positive, 0.5) == (0.5, 1.0)
    assert rates_at(scores, positive, 0.6) == (0.0, 0.5)
    assert recall_at_fpr(scores, positive, 0.0) == 0.5
    assert recall_at_fpr(scores, positive, 0.49) == 0.5
    assert recall_at_fpr(scores, positive, 0.5) == 1.0
    assert recall_at_fpr([0.5, 0.5], [1, 0], 0.0) == 0.0


def test_brier_and_calibration_error_by_hand() -> None:
    assert brier_score([1.0, 0.5], [1, 0]) == pytest.approx(0.125)
    # Bins of a tenth: {0.15: 0, 0.15: 1} is off by 0.35, {0.95: 1} by 0.05: (2 * 0.35 + 0.05) / 3.
    assert expected_calibration_error([0.15, 0.15, 0.95], [0, 1, 1]) == pytest.approx(0.25)
    assert expected_calibration_error([0.05, 0.95], [1, 1], above=0.1) == pytest.approx(0.05)
    assert expected_calibration_error([1.0], [1]) == 0.0
    assert math.isnan(expected_calibration_error([0.05], [0], above=0.1))


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


def test_bootstrap() -> None:
    differences = np.array([1.0] * 60 + [0.0] * 40)
    low, high = bootstrap_interval(differences)
    # Standard error 0.049; the normal interval is 0.504 to 0.696.
    assert low == pytest.approx(0.504, abs=0.02)
    assert high == pytest.approx(0.696, abs=0.02)
    assert bootstrap_interval(differences, seed=1) == bootstrap_interval(differences, seed=1)
    # One group: nothing varies; ten equal groups of ten: wider than single rows.
    assert bootstrap_interval(differences, groups=np.zeros(100)) == (0.6, 0.6)
    wide = bootstrap_interval(differences, groups=np.arange(100) // 10)
    assert wide[1] - wide[0] > high - low
    assert all(map(math.isnan, bootstrap_interval([])))


def test_split_is_the_committed_one() -> None:
    assert [split_of(x) for x in ("BY9951", "bag-1", "a", "gucci/1")] == ["dev", "test", "dev", "test"]
    halves = [split_of(str(i)) for i in range(1000)]
    assert 450 < halves.count("test") < 550


cases = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=1, max_size=30)


@given(cases)
def test_auroc_agrees_with_counting_pairs(rows: list[tuple[float, bool]]) -> None:
    positives = [s for s, y in rows if y]
    negatives = [s for s, y in rows if not y]
    value = auroc([s for s, _ in rows], [y for _, y in rows])
    if positives and negatives:
        won = sum(p > n for p in positives for n in negatives)
        assert value == pytest.approx(won / len(positives) / len(negatives))
    else:
        assert math.isnan(value)


@given(cases, st.floats(0, 1))
def test_recall_at_fpr_is_reached_by_a_threshold(rows: list[tuple[float, bool]], rate: float) -> None:
    scores, positive = [s for s, _ in rows], [y for _, y in rows]
    recall = recall_at_fpr(scores, positive, rate)
    if math.isnan(recall):
        return
    reachable = [rates_at(scores, positive, t) for t in (*scores, 2.0)]
    assert recall == max(r for fpr, r in reachable if fpr <= rate + 1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auroc([0.1], [1, 0]), "one length"),
        (lambda: auroc([math.nan], [1]), "NaN"),
        (lambda: recall_at_k([[0.1]], [[1]], 0), "k >= 1"),
        (lambda: recall_at_k([0.1], [1], 1), "two arrays"),
        (lambda: wilson_interval(2, 1), "successes <= n"),
    ],
)
def test_misuse(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
