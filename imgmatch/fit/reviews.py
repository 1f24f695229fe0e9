"""A calibration from reviewers' decisions, with the figures before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from imgmatch.fit.examples import examples_from
from imgmatch.fit.fitting import fit, quality_of
from imgmatch.records import ScanRecord
from imgmatch.types import EmbeddingSpace
from imgmatch.verdicts.calibration import Calibration
from imgmatch.verdicts.labels import LabelRow, labelled
from imgmatch.verdicts.negatives import NegativeBank
from imgmatch.verdicts.rules import Rules

__all__ = ["Refit", "fit_reviews"]


@dataclass(frozen=True, slots=True)
class Refit:
    """What was fitted, and what it is compared with.

    Parameters
    ----------
    made : Calibration
    before : mapping of str to float or None
        Quality of the probabilities that the records carry, on the same decisions; None where they carry none.
    silenced : int
        Labelled listings of which the negative bank silences findings.
    problems : tuple of str
        Labels that count for none, with the reason.
    """

    made: Calibration
    before: Mapping[str, float] | None
    silenced: int
    problems: tuple[str, ...]


def fit_reviews(
    records: Iterable[ScanRecord],
    labels: Mapping[tuple[str, str, str], LabelRow],
    rules: Rules,
    *,
    space: EmbeddingSpace,
    bank: NegativeBank,
    created: str,
    name: str = "own labels",
    prevalence: float | None = None,
) -> Refit:
    """Fit a calibration on what reviewers decided.

    Parameters
    ----------
    records : iterable of ScanRecord
        Read once; those without a label are skipped.
    labels : mapping
        See :func:`imgmatch.verdicts.labels.read_labels`.
    rules : Rules
    space : EmbeddingSpace
        That was scanned in.
    bank : NegativeBank
        What it silences counts no more.
    created : str
        ISO 8601 date.
    name : str
    prevalence : float, optional
        Share of bad listings where it will be used; by default that of the labels.

    Raises
    ------
    CalibrationError
        Where there are too few decisions of either kind.
    """
    pairs, problems = labelled(records, labels)
    silenced = sum(r.verdict is not None and bank.silenced_record(r) != list(r.verdict.findings) for r, _ in pairs)
    made = fit(
        examples_from(pairs, rules, bank),
        space=space,
        gating=rules.gating,
        fitted_on="reviews",
        name=name,
        source="reviewers' decisions",
        created=created,
        prevalence=prevalence,
    )
    known = [(r.verdict.probability, label.label == "confirm") for r, label in pairs if r.verdict]
    rows = [(p, y) for p, y in known if p is not None]
    before = quality_of([p for p, _ in rows], [y for _, y in rows], made.prevalence) if rows else None
    return Refit(made, before, silenced, tuple(problems))
