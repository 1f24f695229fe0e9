"""How far reviewing is: who decided how much, how well reviewers agree, and what a calibration still needs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from imgmatch.errors import MissingExtraError
from imgmatch.fit.fitting import POINTS, honest_needed
from imgmatch.verdicts.labels import RANDOM, LabelRow

__all__ = ["Agreement", "Progress", "Reviewer", "progress_of"]

_LEAST = 10  # listings that two reviewers share before their agreement is a number: a guess


@dataclass(frozen=True, slots=True)
class Reviewer:
    name: str
    right: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well two reviewers agree.

    Parameters
    ----------
    shared : int
        Listings that both decided.
    same : float
        Share of them that they decided alike.
    kappa : float or None
        Cohen's κ; None for fewer than ten listings, or where both always said the same.
    """

    first: str
    second: str
    shared: int
    same: float
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """What stands in a labels table.

    Parameters
    ----------
    listings : int
        That have a decision.
    reviewers : tuple of Reviewer
    agreements : tuple of Agreement
    sampled : mapping of str to int
        Decisions by how the listing was sampled.
    honest_random, bad_random : int
        Listings drawn at random that were judged wrong leads, and right ones, by the decision that stands.
    needs : tuple of (operating point, rate, needed, missing)
        Honest listings drawn at random that each takes.
    """

    listings: int
    reviewers: tuple[Reviewer, ...]
    agreements: tuple[Agreement, ...]
    sampled: Mapping[str, int]
    honest_random: int
    bad_random: int
    needs: tuple[tuple[str, float, int, int], ...]


def progress_of(standing: Mapping[tuple[str, str, str], Sequence[LabelRow]]) -> Progress:
    """Sum up the decisions that stand."""
    rows = [row for of_listing in standing.values() for row in of_listing]
    tally = Counter((row.reviewer, row.label) for row in rows)
    names = sorted({row.reviewer for row in rows})
    last = [of_listing[-1] for of_listing in standing.values()]
    honest = sum(row.label == "reject" and row.sampled_by == RANDOM for row in last)
    return Progress(
        len(standing),
        tuple(Reviewer(name, tally[name, "confirm"], tally[name, "reject"]) for name in names),
        agreements=tuple(a for pair in combinations(names, 2) if (a := _agreement(standing, *pair)) is not None),
        sampled=Counter(row.sampled_by or "not said" for row in rows),
        honest_random=honest,
        bad_random=sum(row.label == "confirm" and row.sampled_by == RANDOM for row in last),
        needs=tuple((n, rate, honest_needed(rate), max(honest_needed(rate) - honest, 0)) for n, rate in POINTS.items()),
    )


def _agreement(standing: Mapping[tuple[str, str, str], Sequence[LabelRow]], first: str, second: str) -> Agreement | None:
    both = []
    for rows in standing.values():
        labels = {row.reviewer: row.label for row in rows}
        if first in labels and second in labels:
            both.append((labels[first], labels[second]))
    if not both:
        return None
    same = sum(a == b for a, b in both) / len(both)
    return Agreement(first, second, len(both), same, _kappa(both) if len(both) >= _LEAST else None)


def _kappa(both: Sequence[tuple[str, str]]) -> float | None:
    if len({label for pair in both for label in pair}) < 2:
        return None
    try:
        from sklearn.metrics import cohen_kappa_score
    except ImportError as error:
        raise MissingExtraError("the agreement of reviewers", "desk") from error
    kappa = float(cohen_kappa_score(*zip(*both, strict=True)))
    return None if math.isnan(kappa) else kappa
