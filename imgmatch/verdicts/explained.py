"""Why a verdict is what it is, finding by finding: what each counts as under the rules, and what it added to the rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgmatch.types import Finding, Verdict
from imgmatch.verdicts.rules import Assessment, Rules

__all__ = ["Explained", "Part", "explain"]


@dataclass(frozen=True, slots=True)
class Part:
    """A finding's part in a verdict.

    Parameters
    ----------
    finding : Finding
    counts_as : str
        ``strong``, ``weak``, ``note`` or ``claim``; empty where it says nothing about the claimed brand.
    adds : float or None
        To the logit of the rank; None where no calibration weighs it.
    """

    finding: Finding
    counts_as: str
    adds: float | None


@dataclass(frozen=True, slots=True)
class Explained:
    """A verdict's parts in the order of its findings, what the rules make of them, and the terms of the logit.

    Parameters
    ----------
    parts : tuple of Part
    assessment : Assessment
    terms : mapping of str to float
        What sums to the logit, by finding, with ``intercept`` and ``isotonic``; empty without a calibration.
    """

    parts: tuple[Part, ...]
    assessment: Assessment
    terms: Mapping[str, float]


def explain(verdict: Verdict, rules: Rules) -> Explained:
    """Take a verdict apart.

    Parameters
    ----------
    verdict : Verdict
    rules : Rules
        Those it was decided by.
    """
    assessment = rules.assess(verdict.findings)
    strengths = {f.signal: str(s) for f, s in assessment.contradictions}
    claims = {f.signal for f in assessment.claims}
    facts = next((f.evidence.get("facts") for f in verdict.findings if f.signal == "rank"), None)
    told = facts.items() if isinstance(facts, Mapping) else ()  # of a record that somebody else may have written
    terms = {str(name): float(value) for name, value in told if isinstance(value, (int, float))}
    parts = []
    for f in verdict.findings:
        if f.signal == "rank":
            continue
        mine = f.value is not None and f.brand in (None, assessment.brand)
        counts = strengths.get(f.signal, "") or ("claim" if f.signal in claims else "")
        parts.append(Part(f, counts if mine else "", terms.get(f.signal) if mine else None))
    return Explained(tuple(parts), assessment, terms)
