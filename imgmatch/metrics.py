"""Retrieval and detection metrics on plain arrays; ties are counted pessimistically. Imports numpy alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "auroc",
    "average_precision",
    "bootstrap_interval",
    "brier_score",
    "expected_calibration_error",
    "rates_at",
    "recall_at_fpr",
    "recall_at_k",
    "split_of",
    "wilson_interval",
]


def split_of(product_id: str) -> str:
    """Return the half of the data that a product belongs to, ``dev`` or ``test``.

    The one committed split: settings are chosen on dev, figures are reported on test.

    Notes
    -----
    The first byte of the id's sha256, even or odd, so that the split needs no file and never changes.
    """
    return "test" if hashlib.sha256(product_id.encode()).digest()[0] % 2 else "dev"


def recall_at_k(similarities: npt.ArrayLike, relevant: npt.ArrayLike, k: int) -> npt.NDArray[np.bool_]:
    """Say for each query whether a relevant reference is among its k nearest.

    Parameters
    ----------
    similarities : array_like, shape (n, m)
        Higher is nearer; -inf for a reference that does not take part.
    relevant : array_like of bool, shape (n, m)
    k : int
        At least 1.

    Returns
    -------
    ndarray of bool, shape (n,)
        Its mean is recall@k.

    Notes
    -----
    Pessimistic: of equal similarities the irrelevant ones come first.
    """
    s, r = np.asarray(similarities, dtype=float), np.asarray(relevant, dtype=bool)
    if s.ndim != 2 or s.shape != r.shape:
        raise ValueError(f"expected two arrays of one shape (n, m), got {s.shape} and {r.shape}")
    if k < 1:
        raise ValueError(f"expected k >= 1, got {k}")
    best = np.where(r, s, -np.inf).max(axis=1, initial=-np.inf)
    ahead = ((s >= best[:, None]) & ~r).sum(axis=1)
    hit: npt.NDArray[np.bool_] = (ahead < k) & np.isfinite(best)
    return hit


def average_precision(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Return average precision in [0, 1]: the mean, over the positives, of the precision at each one's rank.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Higher is more positive.
    positive : array_like of bool, shape (n,)

    Notes
    -----
    Pessimistic: of equal scores the negatives come first. NaN without positives.
    """
    s, y = _pair(scores, positive)
    order = np.lexsort((y, -s))  # descending score, negatives before positives
    hits = y[order]
    if not hits.any():
        return float("nan")
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def auroc(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Return the probability that a positive scores strictly above a negative.

    Notes
    -----
    Pessimistic: a tie counts as lost, where the usual Mann-Whitney statistic counts half; a constant score gets 0.
    NaN where either class is missing. O(n log n).
    """
    s, y = _pair(scores, positive)
    if not y.any() or y.all():
        return float("nan")
    below = np.searchsorted(np.sort(s[~y]), s[y], side="left")
    return float(below.mean() / (~y).sum())


def rates_at(scores: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> tuple[float, float]:
    """Return (false-positive rate, recall) where scores at or above `threshold` are flagged; NaN for a missing class."""
    s, y = _pair(scores, positive)
    flagged = s >= threshold
    return _mean(flagged[~y]), _mean(flagged[y])


def recall_at_fpr(scores: npt.ArrayLike, positive: npt.ArrayLike, rate: float) -> float:
    """Return the greatest recall at a false-positive rate of at most `rate`.

    Notes
    -----
    Pessimistic: a positive that ties with the first negative that may not pass does not pass.
    """
    s, y = _pair(scores, positive)
    if not y.any() or y.all():
        return float("nan")
    negatives = np.sort(s[~y])[::-1]
    allowed = int(np.floor(rate * len(negatives) + 1e-9))
    return 1.0 if allowed >= len(negatives) else float((s[y] > negatives[allowed]).mean())


def brier_score(probability: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Return the mean squared error of probabilities, in [0, 1]; 0 is best.

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability", 1950. Its skill over the base rate b is
    ``1 - brier / (b * (1 - b))``.
    """
    p, y = _pair(probability, positive)
    return float(((p - y) ** 2).mean())


def expected_calibration_error(
    probability: npt.ArrayLike, positive: npt.ArrayLike, *, bins: int = 10, above: float = 0.0
) -> float:
    """Return the mean gap between probability and outcome over bins, weighted by their sizes; in [0, 1].

    Parameters
    ----------
    probability : array_like, shape (n,)
    positive : array_like of bool, shape (n,)
    bins : int
        Of equal width over [0, 1].
    above : float
        Only probabilities greater than this take part. NaN where none does.

    References
    ----------
    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", 2015, equation 3.
    """
    p, y = _pair(probability, positive)
    taking = p > above
    p, y = p[taking], y[taking]
    if not len(p):
        return float("nan")
    index = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [abs(float((p[index == b] - y[index == b]).sum())) for b in np.unique(index)]
    return sum(gaps) / len(p)


def wilson_interval(successes: int, n: int, *, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return the Wilson score interval of a share, 95 % by default.

    Returns
    -------
    tuple of float
        (low, high) within [0, 1]; (0, 1) where n is 0.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Examples
    --------
    >>> [round(x, 4) for x in wilson_interval(0, 100)]
    [0.0, 0.037]
    """
    if not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n, got {successes} and {n}")
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return low, high


def bootstrap_interval(
    values: npt.ArrayLike,
    statistic: Callable[[Any], float] | None = None,
    *,
    groups: npt.ArrayLike | None = None,
    rounds: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a percentile bootstrap interval.

    Parameters
    ----------
    values : array_like, shape (n, …)
        One row per query. For a paired difference give the differences per query.
    statistic : callable or None
        Maps resampled rows to a number; None for the mean.
    groups : array_like, shape (n,), or None
        What is drawn with replacement: rows of one group come together. None to draw single rows.
    rounds, level, seed
        Number of resamples, coverage, seed of the generator.

    References
    ----------
    Efron, "Bootstrap methods: another look at the jackknife", 1979.
    """
    v = np.asarray(values)
    if not len(v):
        return float("nan"), float("nan")
    of = np.mean if statistic is None else statistic
    _, index = np.unique(np.arange(len(v)) if groups is None else np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(index == g) for g in range(int(index.max()) + 1)] if groups is not None else None
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(rounds):
        if members is None:
            rows = rng.integers(len(v), size=len(v))
        else:
            rows = np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])
        drawn.append(float(of(v[rows])))
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def _pair(scores: npt.ArrayLike, positive: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    s, y = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    if s.ndim != 1 or s.shape != y.shape:
        raise ValueError(f"expected two arrays of one length, got {s.shape} and {y.shape}")
    if np.isnan(s).any():
        raise ValueError("expected scores without NaN")
    return s, y


def _mean(flags: npt.NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
