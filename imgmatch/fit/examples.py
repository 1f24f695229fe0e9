"""What a calibration is fitted on: records joined with what reviewers decided."""

from __future__ import annotations

from collections.abc import Iterable

from imgmatch.fit.fitting import Example
from imgmatch.records import ScanRecord
from imgmatch.types import Basis, Decision
from imgmatch.verdicts import feature_values
from imgmatch.verdicts.labels import RANDOM, LabelRow
from imgmatch.verdicts.negatives import NegativeBank
from imgmatch.verdicts.rules import Rules

__all__ = ["examples_from"]


def examples_from(
    pairs: Iterable[tuple[ScanRecord, LabelRow]], rules: Rules, negatives: NegativeBank | None = None
) -> list[Example]:
    """Make what :func:`imgmatch.fit.fitting.fit` fits on of labelled records.

    Parameters
    ----------
    pairs : iterable of (ScanRecord, LabelRow)
        See :func:`imgmatch.verdicts.labels.labelled`. Rows that failed are left out.
    rules : Rules
        The findings are weighed anew with these.
    negatives : NegativeBank, optional
        What it silences counts no more, though the records were made before.
    """
    examples = []
    for record, label in pairs:
        if record.verdict is None:
            continue
        listing, verdict = record.listing, record.verdict
        findings = verdict.findings if negatives is None else negatives.silenced_record(record)
        assessment = None if verdict.basis is Basis.AUTHORISED else rules.assess(findings)
        allows = Decision.CLEAR if assessment is None else assessment.allows
        if listing.photo_only:
            allows = min(allows, Decision.REVIEW, key=lambda d: d.rank)
        examples.append(
            Example(
                values=feature_values(rules, assessment, findings),
                positive=label.label == "confirm",
                may_lead=allows is Decision.LEAD,
                quiet=allows is Decision.CLEAR,
                group=f"{listing.platform}/{listing.seller_id}" if listing.seller_id else record.listing_id,
                brand=verdict.brand,
                random=label.sampled_by == RANDOM,
            )
        )
    return examples
