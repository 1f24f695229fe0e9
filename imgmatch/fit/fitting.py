"""Fit a calibration from labelled listings: coefficients on all of them, operating points on held-out sellers."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from imgmatch.errors import CalibrationError
from imgmatch.metrics import wilson_interval
from imgmatch.types import EmbeddingSpace
from imgmatch.verdicts.calibration import Calibration, Coefficient, OperatingPoint, logit, map_isotonic, sigmoid

__all__ = ["POINTS", "Example", "fit", "honest_needed", "quality_of", "threshold_at"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

POINTS: Mapping[str, float] = {"fpr_1e-1": 1e-1, "fpr_3e-2": 3e-2, "fpr_1e-2": 1e-2, "fpr_3e-3": 3e-3, "fpr_1e-3": 1e-3}
"""Operating points by the share of honest listings that become a lead at most. ``balanced`` is chosen by F1 instead."""

_LEAST_HONEST = 30
"""Honest listings drawn at random that any operating point takes: they support a rate of 0.1."""

_RULE_OF_THREE = 3.0
"""n negatives support a rate of at least 3 / n: the 95 % upper bound of a rate of which none was seen.
Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249 (1983)."""

_PRIOR_SCALE = 10.0
"""Scale of the normal prior on coefficients, which keeps them finite where the classes separate: weakly informative in the
sense of Gelman et al., "A weakly informative default prior distribution for logistic and other regression models" (2008).
Of 2.5, 5, 10 and 20 the one at which each fit world of ``benchmarks/worlds.py`` best predicts the other (calibration error
among p > 0.1: 0.22, 0.17, 0.10, 0.11). A second, Platt step on held-out folds made that worse (0.28), so there is none: the
logistic model is its own."""

_LEAST_SEEN = 5
"""Listings that show a finding before it gets a coefficient; a rarer one says nothing about its weight. Our choice."""

_ISOTONIC = 500
"""Listings of either kind that an isotonic regression takes: with fewer than a thousand in all it overfits. Niculescu-Mizil
and Caruana, "Predicting good probabilities with supervised learning" (2005), section 5."""

_FOLDS = 5


def honest_needed(rate: float) -> int:
    """Return how many honest listings drawn at random an operating point of that false-positive rate takes."""
    return max(_LEAST_HONEST, int(np.ceil(_RULE_OF_THREE / rate)))


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled listing.

    Parameters
    ----------
    values : mapping of str to (float or None)
        What :func:`imgmatch.verdicts.feature_values` gives; None for an abstention.
    positive : bool
        A reviewer confirmed the lead.
    may_lead, quiet : bool
        The rules allow a lead (photo-only cap included); they find no contradiction.
    group : str
        What must not straddle fitting and measuring: the seller.
    brand : str or None
        The claimed brand.
    random : bool
        Drawn at random from all listings, unflagged ones included; only such rows support a false-positive rate.
    """

    values: Mapping[str, float | None]
    positive: bool
    may_lead: bool
    quiet: bool
    group: str
    brand: str | None = None
    random: bool = True


def fit(
    examples: Sequence[Example],
    *,
    space: EmbeddingSpace,
    gating: str,
    fitted_on: str,
    name: str,
    source: str,
    created: str,
    prevalence: float | None = None,
) -> Calibration:
    """Fit a calibration.

    Parameters
    ----------
    examples : sequence of Example
        At least 10 positives and 30 negatives.
    space : EmbeddingSpace
        Of the catalog that the findings were made with.
    gating : str
        :attr:`imgmatch.verdicts.rules.Rules.gating` of the rules that gated them.
    fitted_on, name, source, created
        See :class:`Calibration`.
    prevalence : float, optional
        Share of bad listings where it will be used, in (0, 1); that of the examples by default. Probabilities, the
        ``balanced`` point and the quality are for this share.

    Returns
    -------
    Calibration

    Raises
    ------
    CalibrationError
        Where the examples cannot support even one operating point.

    Notes
    -----
    Coefficients are fitted on all examples; a finding that fewer than 5 of them show gets none, and
    :class:`imgmatch.verdicts.Fusion` then leaves what it contradicts to a person. Operating points are measured on
    ranks that were cross-fitted over 5 folds of whole groups, so no listing is judged by a model that saw its seller. A
    threshold is the lowest that keeps the measured rate at or below the target, counting ties against it; its figures are
    measured at it. Of points that lead the same listings one is offered: ``balanced``, else the strictest name.
    Where there are 500 listings of either kind, scores are mapped by an isotonic regression, likewise cross-fitted; with
    fewer the logistic model is its own (Platt) scaling. Deterministic.
    """
    y = np.array([e.positive for e in examples], dtype=bool)
    if y.sum() < 10 or (~y).sum() < 30:
        raise CalibrationError(
            f"expected at least 10 confirmed and 30 rejected listings, got {int(y.sum())} and {int((~y).sum())}"
        )
    seen = Counter(n for e in examples for n, value in e.values.items() if value)
    names = sorted(n for n, count in seen.items() if count >= _LEAST_SEEN)
    x = np.array([[e.values.get(n) or 0.0 for n in names] for e in examples])  # an abstention adds nothing
    made = [sum(e.values.get(n) is not None for e in examples) for n in names]
    intercept, weights = _fit_logistic(x, y)
    fold = np.array([_fold(e.group) for e in examples])
    score = _logits(_cross_fit(x, y, fold))
    curve: tuple[tuple[float, float], ...] = ()
    if min(y.sum(), (~y).sum()) >= _ISOTONIC:
        curve = _isotonic(score, y)
        unseen = [(fold == k, _isotonic(score[fold != k], y[fold != k])) for k in range(_FOLDS)]
        score = np.select([fold_k for fold_k, _ in unseen], [map_isotonic(score, curve) for _, curve in unseen])
    probability = sigmoid(score)
    base = float(y.mean())
    share = base if prevalence is None else prevalence
    if not 0.0 < share < 1.0:
        raise CalibrationError(f"prevalence: expected a share between 0 and 1, got {share}")
    weight = np.where(y, share / base, (1.0 - share) / (1.0 - base))
    points, refused = _operating_points(examples, y, probability, weight)
    if not points:
        raise CalibrationError("no operating point can be supported: " + next(iter(refused.values())))
    coefficients = {n: Coefficient(float(w), m) for n, w, m in zip(names, weights, made, strict=True)}
    quality = quality_of(sigmoid(score + logit(share) - logit(base)), y, share)
    strictest = min(points.values(), key=lambda p: (p.fpr, p.name))
    return Calibration(
        name=name,
        fitted_on=fitted_on,
        source=source,
        dataset=hashlib.sha256(json.dumps([asdict(e) for e in examples], sort_keys=True).encode()).hexdigest(),
        created=created,
        space={"id": space.id, "description": space.describe()},
        gating=gating,
        examples=len(examples),
        positives=int(y.sum()),
        training_prevalence=base,
        prevalence=base,
        intercept=float(intercept),
        coefficients=coefficients,
        points=points,
        refused=refused,
        brands=_by_brand(examples, probability >= strictest.threshold),
        quality=quality,
        curve=curve,
    ).with_prevalence(share)


def _by_brand(examples: Sequence[Example], above: npt.NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    """Count, per claimed brand, the listings of either kind and the leads among them."""
    brands: dict[str, dict[str, int]] = {}
    for e, ranked in zip(examples, above.tolist(), strict=True):
        row = brands.setdefault(e.brand or "", {"negatives": 0, "positives": 0, "false_leads": 0, "true_leads": 0})
        row["positives" if e.positive else "negatives"] += 1
        row["true_leads" if e.positive else "false_leads"] += int(e.may_lead and ranked)
    return brands


def quality_of(p: npt.ArrayLike, y: npt.ArrayLike, prevalence: float) -> dict[str, float]:
    """Return Brier score, Brier skill over the base rate and calibration error among p > 0.1.

    Parameters
    ----------
    p : array_like, shape (n,)
        Probabilities.
    y : array_like, shape (n,)
        Whether it was so.
    prevalence : float
        Share of positives that the listings are weighted to.
    """
    p, y = np.asarray(p, float), np.asarray(y, bool)
    weight = np.where(y, prevalence / max(y.mean(), 1e-9), (1.0 - prevalence) / max(1.0 - y.mean(), 1e-9))
    total, base = weight.sum(), float((weight * y).sum() / weight.sum())
    brier = float((weight * (p - y) ** 2).sum() / total)
    sure = p > 0.1
    bins = np.minimum((p * 10).astype(int), 9)
    gaps = [abs((weight * (p - y))[sure & (bins == b)].sum()) for b in range(10)]
    return {
        "brier": brier,
        "brier_skill": 1.0 - brier / (base * (1.0 - base)),
        "ece_above_0.1": float(sum(gaps) / weight[sure].sum()) if sure.any() else 0.0,
    }


def _logits(p: FloatArray) -> FloatArray:
    clipped = np.clip(p, 1e-12, 1.0 - 1e-12)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _fit_logistic(x: FloatArray, y: BoolArray) -> tuple[float, FloatArray]:
    """Return intercept and weights >= 0 by penalised maximum likelihood; x (n, k), y (n,)."""
    from scipy.optimize import minimize

    target = y.astype(float)

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        z = theta[0] + x @ theta[1:]
        error = sigmoid(z) - target
        value = np.logaddexp(0.0, z).sum() - (target * z).sum() + (theta[1:] ** 2).sum() / (2 * _PRIOR_SCALE**2)
        gradient = np.concatenate([[error.sum()], x.T @ error + theta[1:] / _PRIOR_SCALE**2])
        return float(value), gradient

    k = x.shape[1]
    start = np.concatenate([[logit(float(np.clip(y.mean(), 1e-6, 1 - 1e-6)))], np.zeros(k)])
    bounds = [(None, None), *[(0.0, None)] * k]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1000})
    return float(found.x[0]), np.asarray(found.x[1:])


def _fold(group: str) -> int:
    return hashlib.sha256(group.encode("utf-8", "backslashreplace")).digest()[0] % _FOLDS


def _isotonic(score: FloatArray, y: BoolArray) -> tuple[tuple[float, float], ...]:
    """Return the knots of an isotonic regression of y on the score: the middle of each block, and the logit of its share."""
    from scipy.optimize import isotonic_regression

    order = np.argsort(score, kind="stable")
    blocks = isotonic_regression(y[order].astype(float)).blocks
    knots = []
    for start, end in itertools.pairwise(blocks):
        n, positive = int(end - start), int(y[order][start:end].sum())
        knots.append((float(score[order][start:end].mean()), logit((positive + 0.5) / (n + 1.0))))
    return tuple(sorted(k for i, k in enumerate(knots) if i == 0 or k[1] > max(h for _, h in knots[:i])))


def _cross_fit(x: FloatArray, y: BoolArray, fold: npt.NDArray[np.int_]) -> FloatArray:
    """Return each row's probability by a model that saw nothing of its fold."""
    probability = np.empty(len(y))
    for k in range(_FOLDS):
        tested = fold == k
        if not tested.any():
            continue
        if len(set(y[~tested].tolist())) < 2:
            raise CalibrationError("too few groups: all listings of one kind belong to the same few sellers")
        intercept, weights = _fit_logistic(x[~tested], y[~tested])
        probability[tested] = sigmoid(intercept + x[tested] @ weights)
    return probability


def _operating_points(
    examples: Sequence[Example], y: BoolArray, rank: FloatArray, weight: FloatArray
) -> tuple[dict[str, OperatingPoint], dict[str, str]]:
    random = np.array([e.random for e in examples])
    negative, positive = random & ~y, random & y
    n = int(negative.sum())
    reason = ""
    if n < _LEAST_HONEST or not positive.any():
        reason = (
            f"a false-positive rate needs listings drawn at random, unflagged ones included; "
            f"there are {n} rejected and {int(positive.sum())} confirmed ones"
        )
    elif not any(e.quiet for e, honest in zip(examples, negative, strict=True) if honest):
        reason = (
            f"all {n} rejected listings said to be drawn at random had been flagged; a false-positive rate needs an audit "
            "of all listings, unflagged ones included"
        )
    if reason:
        return {}, dict.fromkeys([*POINTS, "balanced"], reason)
    # A listing that the rules do not let through counts as if its rank were below every threshold.
    score = np.where([e.may_lead for e in examples], rank, -1.0)
    refused: dict[str, str] = {}
    wanted = {"balanced": _best_f1(score[random], y[random], weight[random])}
    for name, rate in POINTS.items():
        if n < honest_needed(rate):
            refused[name] = (
                f"{n} honest listings drawn at random cannot support a rate of {rate:g}; {honest_needed(rate)} are needed"
            )
        else:
            wanted[name] = threshold_at(score[negative], rate)
    points: dict[str, OperatingPoint] = {}
    offered: dict[bytes, str] = {}
    for name in ["balanced", *sorted(set(wanted) - {"balanced"}, key=lambda name: POINTS[name])]:
        flagged = random & (score >= wanted[name])
        twin = offered.setdefault(flagged.tobytes(), name)
        if twin == name:
            points[name] = _measured(name, wanted[name], flagged[negative], flagged[positive])
        else:
            refused[name] = f"it would lead the same listings as {twin}"
    return dict(sorted(points.items(), key=lambda item: -item[1].threshold)), refused


def _measured(name: str, threshold: float, honest: BoolArray, bad: BoolArray) -> OperatingPoint:
    """Say what was measured at a threshold: which of the honest and of the bad listings became a lead."""
    return OperatingPoint(
        name,
        threshold,
        negatives=len(honest),
        positives=len(bad),
        fpr=float(honest.mean()),
        fpr_interval=wilson_interval(int(honest.sum()), len(honest)),
        recall=float(bad.mean()),
        recall_interval=wilson_interval(int(bad.sum()), len(bad)),
    )


def threshold_at(negatives: FloatArray, rate: float) -> float:
    """Return the lowest threshold in [0, 1] at which at most `rate` of the negatives are at or above it."""
    allowed = int(np.floor(rate * len(negatives) + 1e-9))
    descending = np.sort(negatives)[::-1]
    if allowed >= len(descending):
        return 0.0
    # The first negative that may not pass, and with it everything that ties with it.
    return float(np.clip(np.nextafter(descending[allowed], 2.0), 0.0, 1.0))


def _best_f1(scores: FloatArray, y: BoolArray, weight: FloatArray) -> float:
    """Return the threshold with the greatest F1 of weighted listings, the highest of equals."""
    best, threshold = -1.0, 1.0
    for t in np.unique(scores[scores >= 0.0])[::-1]:
        flagged = scores >= t
        f1 = 2 * (weight * (flagged & y)).sum() / ((weight * flagged).sum() + (weight * y).sum())
        if f1 > best:
            best, threshold = float(f1), float(t)
    return threshold
