"""From findings to a verdict: the rules say what may be said, the calibration how probable it is.

Without a calibration for the catalog's embedding space the *provisional rule* decides: claim × contradiction as in
``weights/rules.toml``, capped at review, without a probability. With one, a lead needs the rules' consent **and** a
probability at or above the operating point; a review needs a contradiction and a probability at or above the point's
review threshold. Findings that disagree on the brand always go to review, and so does a contradiction that the calibration
has no coefficient for; a photo-only listing never goes further.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgmatch.config import Config
from imgmatch.io.files import foreign_file
from imgmatch.loading.photo import Query
from imgmatch.market.sellers import authorisation
from imgmatch.types import Basis, Candidate, Decision, Finding, FindingStatus, Verdict
from imgmatch.verdicts.calibration import Calibration, OperatingPoint, shipped_calibration
from imgmatch.verdicts.negatives import NegativeBank
from imgmatch.verdicts.rules import Assessment, Rules

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["Fusion", "feature_values"]


class Fusion:
    """Decide what findings amount to.

    Parameters
    ----------
    catalog : Catalog
        For its brands (authorised sellers, official domains) and its embedding space.
    config : Config
        `operating_point` is read.
    calibration : Calibration or None
        None for the provisional rule.
    rules : Rules or None
        None for the rules that ship.
    negatives : NegativeBank or None
        Matches that reviewers rejected.

    Attributes
    ----------
    fingerprint : str
        16 hex digits over rules, calibration and negative bank, for the matcher's.

    Raises
    ------
    SpaceMismatchError
        Where `calibration` was fitted in another space than the catalog's.
    CalibrationError
        Where `calibration` does not have the configured operating point; says why.

    Notes
    -----
    :meth:`decide` is pure and deterministic, so a Fusion may be shared by threads.
    """

    def __init__(
        self,
        catalog: Catalog,
        config: Config,
        calibration: Calibration | None = None,
        rules: Rules | None = None,
        negatives: NegativeBank | None = None,
    ) -> None:
        self.rules = Rules.load() if rules is None else rules
        self.calibration = calibration
        self.negatives = NegativeBank() if negatives is None else negatives
        self._brands = catalog.brands
        self._point: OperatingPoint | None = None
        if calibration is not None:
            calibration.require(catalog.space, self.rules.fingerprint)
            self._point = calibration.point(config.operating_point)
        parts = [self.rules.fingerprint, "" if calibration is None else calibration.fingerprint, self.negatives.fingerprint]
        self.fingerprint = hashlib.sha256("+".join(parts).encode()).hexdigest()[:16]

    @classmethod
    def from_config(cls, catalog: Catalog, config: Config) -> Fusion:
        """Load what ``[fusion]`` of the config names, and the negative bank of the catalog's folder.

        Notes
        -----
        ``calibration = "auto"`` takes the catalog folder's own ``calibration.json``, else the one that ships for the
        catalog's space, and neither where it was fitted in another space or with other rules; ``"none"`` takes none;
        anything else is a path, and a calibration that does not fit is an error.
        """
        settings = config.fusion
        rules = Rules.load(config.folder / settings.rules if settings.rules else None)
        calibration: Calibration | None
        if settings.calibration == "none":
            calibration = None
        elif settings.calibration == "auto":
            own = None if catalog.path is None else foreign_file(catalog.path, "calibration.json")
            calibration = shipped_calibration(catalog.space) if own is None else Calibration.load(own)
            if calibration is not None and not calibration.fits(catalog.space, rules.fingerprint):
                calibration = None
        else:
            calibration = Calibration.load(config.folder / settings.calibration)
        return cls(catalog, config, calibration, rules, NegativeBank.of_catalog(catalog.path))

    def decide(self, query: Query, findings: Sequence[Finding]) -> Verdict:
        """Fuse the findings of one listing.

        Parameters
        ----------
        query : Query
            Its listing and candidates.
        findings : sequence of Finding
            Of all signals; their order changes nothing but the order in which they are kept.

        Returns
        -------
        Verdict
            With `findings` as given (those that a reviewer rejected before as abstentions), plus ``disagreement`` where
            brands disagree and ``probability`` (whose facts are the contributions, which sum to the logit) where a
            calibration applies.
        """
        findings = self.negatives.silenced(findings, query.photos)
        assessment = self.rules.assess(findings)
        if assessment.brand is None:
            return self._without_claim(query, findings)
        candidate = next((c for c in query.candidates if c.brand == assessment.brand), None)
        derived = [f for f, _ in assessment.contradictions if f.signal == "disagreement"]
        authorised = self._authorised(assessment.brand, query)
        probability, explained = self._probability(None if authorised else assessment, findings)
        reasons: list[str] = []
        if authorised is not None:
            decision, basis = Decision.CLEAR, Basis.AUTHORISED
            reasons.append(authorised)
            reasons += [f"noted all the same: {f.reason}" for f, _ in assessment.contradictions]
        else:
            decision, caps = self._decision(query, assessment, probability)
            basis = Basis.CONTRADICTION if assessment.allows.rank else Basis.NO_CONTRADICTION
            reasons += [f"{f.reason} ({s})" for f, s in assessment.contradictions]
            reasons += [f"claims {assessment.brand}: {f.reason}" for f in assessment.claims[:2]]
            reasons += caps
        return Verdict(
            decision,
            basis,
            probability=probability,
            calibration=None if self.calibration is None else self.calibration.describe(),
            labels=assessment.labels if decision.rank else (),
            brand=assessment.brand,
            item_id=None if candidate is None else candidate.item_id,
            similarity=None if candidate is None else candidate.similarity,
            candidates=tuple(query.candidates),
            findings=(*findings, *derived, *explained),
            reasons=tuple(reasons),
        )

    def _authorised(self, brand: str, query: Query) -> str | None:
        known = self._brands.get(brand)
        return None if known is None else authorisation(known, query.listing)

    def _probability(self, assessment: Assessment | None, findings: Sequence[Finding]) -> tuple[float | None, list[Finding]]:
        if self.calibration is None:
            return None, []
        values = feature_values(self.rules, assessment, findings)
        probability, contributions = self.calibration.probability(values)
        facts = {name: round(x, 4) for name, x in contributions.items()}
        reason = f"the contributions sum to a logit of {sum(contributions.values()):+.2f}, by {self.calibration.describe()}"
        return probability, [Finding("probability", FindingStatus.OK, probability, reason, evidence={"facts": facts})]

    def _decision(self, query: Query, assessment: Assessment, probability: float | None) -> tuple[Decision, list[str]]:
        """Return the decision and what kept it from being graver."""
        notes: list[str] = []
        if self._point is None or probability is None:
            decision = min(assessment.allows, Decision.REVIEW, key=lambda d: d.rank)
            if assessment.allows is Decision.LEAD:
                notes.append("capped at review: no calibration fits this catalog's embedding space")
        elif probability >= self._point.threshold:
            decision = assessment.allows
        elif probability >= self._point.review_threshold:
            decision = min(assessment.allows, Decision.REVIEW, key=lambda d: d.rank)
        else:
            decision = Decision.CLEAR
        if self._point is not None and decision.rank < assessment.allows.rank:
            notes.append(f"the probability is below what {self._point.name} asks for a {assessment.allows}")
        counted = [f.signal for f, strength in assessment.contradictions if strength != "note"]
        weighed = counted if self.calibration is None else self.calibration.coefficients
        unknown = [name for name in counted if name not in weighed]
        if unknown and decision is Decision.CLEAR:
            decision = Decision.REVIEW
            notes.append(f"the calibration has not seen enough listings with {', '.join(unknown)} to weigh that")
        if assessment.disagreement and decision is Decision.CLEAR:
            decision = Decision.REVIEW
            notes.append("findings that disagree on the brand are for a person to look at")
        if query.listing.photo_only and decision is Decision.LEAD:
            decision = Decision.REVIEW
            notes.append("capped at review: nothing is known of the listing but its photos")
        return decision, notes

    def _without_claim(self, query: Query, findings: Sequence[Finding]) -> Verdict:
        asked = [f for f in findings if f.signal in self.rules.claims]
        statuses = {f.status for f in asked}
        declared = (query.listing.brand_claim or "").strip()
        decision, basis = Decision.CLEAR, Basis.NO_CLAIM
        if not query.photos and FindingStatus.OK not in statuses:
            decision, basis = Decision.REVIEW, Basis.UNREADABLE
            reason = "no photo could be read and no text claims a brand: nothing could be examined"
        elif FindingStatus.FAILED in statuses and FindingStatus.OK not in statuses:
            decision, basis = Decision.REVIEW, Basis.UNREADABLE
            reason = "; ".join(sorted({f.reason for f in asked if f.status is FindingStatus.FAILED}))
        elif declared:
            basis, reason = Basis.UNKNOWN_BRAND, f"{declared} is not a brand of the catalog, and nothing claims one that is"
        elif FindingStatus.OK not in statuses:
            basis = Basis.UNKNOWN_BRAND
            reason = "no brand of the catalog is near enough, or several are equally near"
        else:
            reason = "nothing presents this listing as a brand of the catalog"
        probability, explained = self._probability(None, findings)
        if basis is Basis.UNREADABLE:
            probability, explained = None, []
        top: Candidate | None = query.candidates[0] if query.candidates else None
        return Verdict(
            decision,
            basis,
            probability=probability,
            calibration=None if self.calibration is None else self.calibration.describe(),
            similarity=None if top is None else top.similarity,
            candidates=tuple(query.candidates),
            findings=(*findings, *explained),
            reasons=(reason,),
        )


def feature_values(rules: Rules, assessment: Assessment | None, findings: Sequence[Finding]) -> dict[str, float | None]:
    """Return what the calibrated model sees of one listing: per contradiction its value, gated by the claim.

    Parameters
    ----------
    rules : Rules
        Names the contradictions.
    assessment : Assessment or None
        None where nothing is claimed or the seller is authorised: then every value is 0.
    findings : sequence of Finding

    Returns
    -------
    dict of str to (float or None)
        Finding name to its greatest value in [0, 1] about the claimed brand or none; None where it abstained.
    """
    values: dict[str, float | None] = {}
    for name in rules.contradictions:
        if assessment is None or assessment.brand is None:
            values[name] = 0.0
            continue
        held = [
            f.value for f in findings if f.signal == name and f.value is not None and f.brand in (None, assessment.brand)
        ]
        values[name] = max(held, default=None)
    if assessment is not None and "disagreement" in values:
        derived = [f.value for f, _ in assessment.contradictions if f.signal == "disagreement"]
        values["disagreement"] = max((v for v in derived if v is not None), default=0.0)
    return values
