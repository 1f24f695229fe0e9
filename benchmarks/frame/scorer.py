"""Every figure of the tables, from raw rows alone: numpy, and nothing of the library that is measured."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "Figure",
    "auroc",
    "average_precision",
    "interval",
    "micro_average_precision",
    "normalised",
    "precision_recall",
    "recall_at",
    "share",
    "share_of",
    "threshold_at",
    "wilson",
]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """One cell of the table.

    Parameters
    ----------
    what : str
        The row, in plain words; rows of one name stand side by side, real and rendered.
    value, low, high : float
        The figure and its 95 % interval, NaN where there is none.
    n, units : int
        Rows, and what repeats among them.
    against : str
        Peers and baselines on the same rows.
    target : str
        ``>= 0.9`` or ``<= 0.01``; empty for none.
    form : str
        ``%`` for shares, ``n`` for counts and times.
    """

    what: str
    value: float
    low: float = float("nan")
    high: float = float("nan")
    n: int = 0
    units: int = 0
    against: str = ""
    target: str = ""
    form: str = "%"

    @property
    def met(self) -> str:
        """Met, missed, or ``met, uncertain`` where the interval reaches past the target; empty without target or value."""
        if not self.target or np.isnan(self.value):
            return ""
        sign, limit = self.target.split()[:2]
        reached = [v >= float(limit) if sign == ">=" else v <= float(limit) for v in (self.value, self.low, self.high)]
        return "missed" if not reached[0] else "met" if np.isnan(self.low) or all(reached) else "met, uncertain"

    def text(self) -> str:
        """The figure as the tables print it."""
        if np.isnan(self.value):
            return "–"
        scale, digits = (100, 1) if self.form == "%" else (1, 3 if abs(self.value) < 10 else 0)
        said = f"{scale * self.value:,.{digits}f}{' %' if self.form == '%' else ''}"
        if not np.isnan(self.low):
            said += f" [{scale * self.low:,.{digits}f}, {scale * self.high:,.{digits}f}]"
        of = f" of {self.n:,}" if self.n else ""
        return said + of + (f" in {self.units:,}" if self.units and self.units != self.n else "")


def share(what: str, flags: Sequence[bool], units: Sequence[Hashable], **more: Any) -> Figure:
    """A share of rows with its interval by unit."""
    values = np.asarray(flags, float)
    low, high = interval(values, units)
    mean = float(values.mean()) if len(values) else float("nan")
    return Figure(what, mean, low, high, len(values), len(set(units)), **more)


def share_of(what: str, rows: Sequence[Row], holds: Callable[[Row], bool], **more: Any) -> Figure:
    """The share of rows of which something holds; `unit` of a row is what repeats."""
    return share(what, [holds(r) for r in rows], [r["unit"] for r in rows], **more)


def interval(
    values: Any, units: Sequence[Hashable], statistic: Callable[[Any], float] = np.mean, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap at 95 %: whole units are drawn with replacement (Efron 1979; Field and Welsh 2007 for clusters).

    Where all units have the same share, resampling says nothing: Wilson's interval with one row per unit.
    """
    v = np.asarray(values, float)
    if not len(v):
        return float("nan"), float("nan")
    names = {u: i for i, u in enumerate(dict.fromkeys(units))}
    of = np.array([names[u] for u in units])
    members = [np.flatnonzero(of == i) for i in range(len(names))]
    rng = np.random.default_rng(seed)
    drawn = [
        statistic(v[np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])])
        for _ in range(rounds)
    ]
    low, high = (float(edge) for edge in np.nanquantile(drawn, [0.025, 0.975]))
    alike = low == high and (0 <= low <= 1 if statistic is np.mean else 0 < low <= 1)  # a gain of nothing is no share
    return wilson(low * len(names), len(names)) if alike else (low, high)


def wilson(hits: float, n: int) -> tuple[float, float]:
    """The score interval of a share at 95 % (Wilson, JASA 1927)."""
    if not n:
        return float("nan"), float("nan")
    z, p = 1.959964, hits / n
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def threshold_at(negatives: Sequence[float], rate: float) -> float:
    """Return the value that at most a share `rate` of the negatives exceed; a score must be above it."""
    ranked = sorted(negatives, reverse=True)
    return ranked[int(rate * len(ranked) + 1e-9)] if ranked else float("-inf")


def recall_at(ranks: Sequence[int | None], k: int) -> np.ndarray[Any, Any]:
    """Recall@k as Stanford Online Products defines it: is the first right photo among the k nearest? Ranks start at 1."""
    return np.array([r is not None and r <= k for r in ranks])


def average_precision(hits: Sequence[bool], positives: int) -> float:
    """AP of a ranking cut after its last entry: the precision at each hit, over all positives (ILIAS, mAP@1k)."""
    right = np.asarray(hits, bool)
    if not positives:
        return float("nan")
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float(precision[right].sum() / positives)


def micro_average_precision(scores: Sequence[float], right: Sequence[bool], positives: int) -> float:
    """µAP of DISC21: all predictions of all queries in one ranking; of equal scores the wrong ones come first.

    References
    ----------
    Douze et al., "The 2021 image similarity dataset and challenge", arXiv:2106.09672, section 4.
    """
    order = np.lexsort((np.asarray(right, bool), -np.asarray(scores, float)))
    return average_precision(np.asarray(right, bool)[order], positives)


def normalised(score: float, background: Sequence[float], weight: float = 1.0, nearest: int = 3) -> float:
    """Score normalisation of DISC21: minus the mean similarity of the query to its nearest background photos.

    References
    ----------
    Pizzi et al., "A self-supervised descriptor for image copy detection", CVPR 2022, equation 8, with weight 1 and three
    neighbours as in their evaluation.
    """
    return score - weight * float(np.mean(sorted(background, reverse=True)[:nearest]))


def precision_recall(scores: Sequence[float], right: Sequence[bool], positives: int) -> tuple[Any, Any]:
    """Return (recall, precision) at every threshold, the strictest first."""
    order = np.lexsort((np.asarray(right, bool), -np.asarray(scores, float)))
    hits = np.cumsum(np.asarray(right, bool)[order])
    return hits / max(positives, 1), hits / np.arange(1, len(hits) + 1)


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """The probability that a positive scores above a negative; a tie counts half (Mann and Whitney 1947)."""
    if not len(positive) or not len(negative):
        return float("nan")
    ranked = np.sort(np.asarray(negative, float))
    p = np.asarray(positive, float)
    below, upto = np.searchsorted(ranked, p, "left"), np.searchsorted(ranked, p, "right")
    return float((below + upto).mean() / 2 / len(ranked))
