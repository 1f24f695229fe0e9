"""Which brand a listing presents itself as: one posterior over all that names one, with the nearest misses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from imgmatch.messages import Message
from imgmatch.types import FINDING_NAMES, Finding

__all__ = ["Claim", "weigh"]

LEAST_TRUST = 0.9
"""Trust in a source that the rules give none; a guess."""

TOGETHER = 0.6
"""What a weak finding is worth where only weak ones name a brand: two are likelier right than wrong, and outweigh no claim.
None of 266 photos of other things has a weak mark and a weak word of one brand (``benchmarks/marks_real.py``, dev)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A brand and what names it.

    Parameters
    ----------
    brand : str
    probability : float
        In (0, 1): that it is this brand rather than another that was named, or none.
    by : tuple of Finding
        What names it, strongest first, the best finding of each source.
    """

    brand: str
    probability: float
    by: tuple[Finding, ...]

    def describe(self, name: str) -> Message:
        """Say in words which brand (by what people call it), how probable, and by what."""
        by = tuple(
            Message("{finding} {value:.2f}", finding=FINDING_NAMES.get(f.signal, f.signal), value=f.value) for f in self.by
        )
        return Message("{brand} {probability:.0%} ({by})", brand=name, probability=self.probability, by=by)


def weigh(named: Iterable[Finding], trust: Mapping[str, float]) -> list[Claim]:
    """Weigh what names brands against each other.

    Parameters
    ----------
    named : iterable of Finding
        Findings that name a brand, in any order. Of several of one source about one brand the best counts.
    trust : mapping of str to float
        By source (finding name), the share of right ones among the brands that it names when it is surest, in (0, 1):
        no value counts for more.

    Returns
    -------
    list of Claim
        Most probable first, ties by name; the first is below a half where two brands are named equally surely.

    Notes
    -----
    Sources are taken as independent given the brand (naive Bayes): the log odds of a brand are the sum, over its sources, of
    the logit of the value, at most of the trust; that no brand is shown has log odds 0. So a word that was read for sure
    (0.97: 32 to 1) is not outvoted by a likeness that cannot be surer than 0.9 (9 to 1), nor two weak sources by one. A
    value below a half, which names a brand only beside another, counts as :data:`TOGETHER`.
    """
    best: dict[str, dict[str, Finding]] = {}
    for finding in named:
        if finding.brand is not None and finding.value:
            sources = best.setdefault(finding.brand, {})
            if finding.signal not in sources or _order(finding) < _order(sources[finding.signal]):
                sources[finding.signal] = finding

    def log_odds(finding: Finding) -> float:
        value = finding.value or 0.0
        share = min(value if value >= 0.5 else TOGETHER, trust.get(finding.signal, LEAST_TRUST))
        return float(np.log(share) - np.log1p(-share))

    sums = {brand: math.fsum(map(log_odds, sources.values())) for brand, sources in best.items()}
    whole = float(np.logaddexp.reduce([0.0, *sorted(sums.values())]))
    claims = [
        Claim(brand, float(np.exp(total - whole)), tuple(sorted(best[brand].values(), key=_order)))
        for brand, total in sums.items()
    ]
    return sorted(claims, key=lambda claim: (-claim.probability, claim.brand))


def _order(finding: Finding) -> tuple[float, str, str, str]:
    """Strongest first, then by what it is, so that the order of findings changes nothing."""
    return (-(finding.value or 0.0), finding.signal, finding.photo_id or "", finding.reason)
