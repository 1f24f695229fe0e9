"""From findings to a verdict: the rules say what may be said, the calibration orders what they allow.

The rules bind both ways. A contradiction that they call strong or weak is at least a review, whatever the calibration
says; a listing without one is *clear* or *unjudged*. With a calibration a lead needs the rules' consent and a rank at or
above the operating point, else it stays in review. Without one, or where it has seen a contradiction too seldom to weigh it,
the rules lead alone where that is strong and meets a plain claim, and say so. A photo-only listing never goes beyond review.
What could not be read is not cleared.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgmatch.config import Config
from imgmatch.errors import CalibrationError
from imgmatch.io.files import foreign_file
from imgmatch.loading.photo import Query
from imgmatch.market.sellers import authorisation
from imgmatch.messages import Message
from imgmatch.types import FINDING_NAMES, Basis, Decision, Finding, FindingStatus, Verdict
from imgmatch.verdicts.calibration import Calibration, OperatingPoint, shipped_calibration
from imgmatch.verdicts.negatives import NegativeBank
from imgmatch.verdicts.rules import Assessment, Rules

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

_log = logging.getLogger("imgmatch")

__all__ = ["DERIVED", "Fusion", "feature_values"]

DERIVED = ("disagreement", "rank")
"""Names of the findings that :meth:`Fusion.decide` adds to those of the signals."""


_WEIGHT = {
    "strong": Message("Strong contradiction: {reason}").id,
    "weak": Message("Weak contradiction: {reason}").id,
    "note": Message("Note: {reason}").id,
}


class Fusion:
    """Decide what findings amount to.

    Parameters
    ----------
    catalog : Catalog
        For its brands (authorised sellers, official domains) and its embedding space.
    config : Config
        `operating_point` is read.
    calibration : Calibration or None
        None for the rules alone.
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
    CalibrationError
        Where `calibration` does not fit the catalog's space or the rules, or does not have the configured operating point.

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
            if misfit := calibration.misfit(catalog.space, self.rules):
                raise CalibrationError(": ".join(misfit))
            self._point = calibration.point(config.operating_point)
        parts = [self.rules.fingerprint, "" if calibration is None else calibration.fingerprint, self.negatives.fingerprint]
        self.fingerprint = hashlib.sha256("+".join(parts).encode()).hexdigest()[:16]

    @classmethod
    def from_config(cls, catalog: Catalog, config: Config) -> Fusion:
        """Load what ``[fusion]`` of the config names, and the negative bank of the catalog's folder.

        Notes
        -----
        ``calibration = "auto"`` takes the catalog folder's own ``calibration.json`` where it fits, else the one that ships
        for the catalog's space, else none; what does not fit is logged, once, as *rules* or *space*, with what to do.
        ``"none"`` takes none. Anything else is a path, and one that does not fit is an error.
        """
        settings = config.fusion
        rules = Rules.load(config.folder / settings.rules if settings.rules else None)
        calibration, note = None, None
        if settings.calibration == "auto":
            calibration, note = _found(catalog, rules)
        elif settings.calibration != "none":
            calibration = Calibration.load(config.folder / settings.calibration)
        if note is not None:
            _log.warning(note)
        return cls(catalog, config, calibration, rules, NegativeBank.of_catalog(catalog.path))

    def decide(self, query: Query, findings: Sequence[Finding]) -> Verdict:
        """Fuse the findings of one listing.

        Parameters
        ----------
        query : Query
            Its listing, candidates, and which photos could not be read.
        findings : sequence of Finding
            Of all signals; their order changes nothing but the order in which they are kept.

        Returns
        -------
        Verdict
            With `findings` as given (those that a reviewer rejected before as abstentions), plus ``disagreement`` where
            brands disagree and ``rank`` (whose facts are the contributions, which sum to the logit) where a calibration
            applies.
        """
        findings = self.negatives.silenced(findings, query.photos)

        def authorises(brand: str) -> Message | None:
            return authorisation(self._brands[brand], query.listing) if brand in self._brands else None

        assessment = self.rules.assess(findings, authorises, self._name)
        brand = assessment.brand
        authorised = None if brand is None else authorises(brand)
        rank, explained = self._rank(None if authorised else assessment, findings)
        if brand is None:
            decision, basis, reasons = self._without_claim(query, findings)
        else:
            decision, basis, reasons = self._with_claim(query, findings, assessment, rank, authorised)
        candidates = [c for c in query.candidates if brand in (None, c.brand)]
        calibration, shown = self.calibration, assessment.shown
        return Verdict(
            decision,
            basis,
            rank=rank,
            probability=rank if calibration is not None and calibration.earns_probability else None,
            calibration=None if calibration is None else calibration.describe(),
            labels=assessment.labels if decision.rank >= Decision.REVIEW.rank else (),
            brand=brand,
            item_id=candidates[0].item_id if brand is not None and candidates else None,
            similarity=candidates[0].similarity if candidates else None,
            shows_brand=brand if shown else None,
            shown_by=tuple(f.signal for f in shown),
            certainty=_certainty(assessment),
            candidates=tuple(query.candidates),
            findings=(*findings, *(f for f, _ in assessment.contradictions if f.signal == "disagreement"), *explained),
            reasons=tuple(reasons),
        )

    def _rank(self, assessment: Assessment | None, findings: Sequence[Finding]) -> tuple[float | None, list[Finding]]:
        if self.calibration is None:
            return None, []
        rank, contributions = self.calibration.rank(feature_values(self.rules, assessment, findings))
        facts = {name: round(x, 4) for name, x in contributions.items()}
        reason = Message(
            "The contributions sum to a logit of {logit:+.2f}, by {calibration}.",
            logit=sum(contributions.values()),
            calibration=self.calibration.describe(),
        )
        return rank, [Finding("rank", FindingStatus.OK, rank, reason, evidence={"facts": facts})]

    def _with_claim(
        self,
        query: Query,
        findings: Sequence[Finding],
        assessment: Assessment,
        rank: float | None,
        authorised: Message | None,
    ) -> tuple[Decision, Basis, list[str]]:
        """Return decision, basis and reasons of a listing that presents itself as a brand."""
        reasons: list[str] = [authorised] if authorised else []
        reasons += [Message(_WEIGHT[s], reason=f.reason) for f, s in assessment.contradictions]
        claimed = self._name(assessment.brand)
        reasons += [Message("Claims {brand}: {reason}", brand=claimed, reason=f.reason) for f in assessment.claims[:2]]
        if assessment.together:
            agree = Message("Weak findings that agree name the brand; none of them would by itself.")
            reasons.append(agree)
        if assessment.named[1:]:
            named = tuple(claim.describe(self._name(claim.brand)) for claim in assessment.named[:3])
            reasons.append(Message("Several brands are named: {brands}.", brands=named))
        if assessment.allows is not Decision.CLEAR:
            decision, note = self._weighed(query, assessment, rank)
            return decision, Basis.CONTRADICTION, reasons + note
        if authorised:
            return Decision.CLEAR, Basis.AUTHORISED, reasons
        if unread := _unread(query, findings):
            return Decision.REVIEW, Basis.UNREADABLE, [unread, *reasons]
        if not assessment.known:
            reasons.append(Message("Nothing is known about the offer that could support or contradict this claim."))
            return Decision.UNJUDGED, Basis.NOTHING_KNOWN, reasons
        return Decision.CLEAR, Basis.NO_CONTRADICTION, reasons

    def _name(self, brand: str | None) -> str:
        """Return what people call a brand."""
        known = self._brands.get(brand or "")
        return (known.name if known else None) or brand or ""

    def _weighed(self, query: Query, assessment: Assessment, rank: float | None) -> tuple[Decision, list[str]]:
        """Return lead or review where something contradicts the claim, and what decided between them."""
        if assessment.allows is not Decision.LEAD:
            return Decision.REVIEW, []
        if query.listing.photo_only:
            return Decision.REVIEW, [Message("Kept at review: nothing is known about the listing but its photos.")]
        weighed = {} if self.calibration is None else self.calibration.coefficients
        counted = [f.signal for f, strength in assessment.contradictions if strength != "note"]
        unseen = [signal for signal in counted if signal not in weighed]
        # A rank to which no contradiction added anything is that of a listing without any: it says nothing of this one.
        counts = rank if len(unseen) < len(counted) else None
        if self._point is not None and counts is not None and counts >= self._point.threshold:
            return Decision.LEAD, []
        names = tuple(FINDING_NAMES.get(name, name) for name in unseen)
        rare = Message("The calibration has seen too few cases of: {findings}.", findings=names)
        why = Message("There is no calibration.") if self._point is None else rare
        if set(unseen) & set(assessment.plain):
            alone = Message("A lead by the rules alone: a strong contradiction of a plain claim.")
            return Decision.LEAD, [Message("{sentence} {next}", sentence=alone, next=why)]
        if self._point is None:
            asked = Message("Kept at review: without a calibration a lead needs a strong contradiction of a plain claim.")
            return Decision.REVIEW, [asked]
        if counts is None:
            none = Message("Kept at review: the rank counts nothing of what contradicts the claim.")
            return Decision.REVIEW, [Message("{sentence} {next}", sentence=none, next=why)]
        below = Message("Kept at review: the rank is below the threshold {point}.", point=self._point.name)
        return Decision.REVIEW, [Message("{sentence} {next}", sentence=below, next=why) if unseen else below]

    def _without_claim(self, query: Query, findings: Sequence[Finding]) -> tuple[Decision, Basis, list[str]]:
        asked = [f for f in findings if f.signal in self.rules.claims]
        failed = sorted({f.reason for f in findings if f.status is FindingStatus.FAILED})
        silent = all(f.status is not FindingStatus.OK for f in asked)
        declared = (query.listing.brand_claim or "").strip()
        lost = [
            unread
            for role, given, unread in (
                ("listing", query.listing.photos, Message("No listing photo could be read.")),
                ("promo", query.listing.promo_photos, Message("No promo photo could be read.")),
            )
            if given and not query.of_role(role)
        ]
        if lost or failed or (silent and not query.photos):
            return Decision.REVIEW, Basis.UNREADABLE, [*lost, *failed] or [Message("There was nothing to examine.")]
        if declared:
            reason = Message("{brand} is not a brand of the catalog, and nothing claims one that is.", brand=declared)
            return Decision.CLEAR, Basis.UNKNOWN_BRAND, [reason]
        if silent:
            reason = Message("No brand of the catalog is near enough, or several are equally near.")
            return Decision.CLEAR, Basis.UNKNOWN_BRAND, [reason]
        return Decision.CLEAR, Basis.NO_CLAIM, [Message("Nothing in this listing claims a brand of the catalog.")]


def _found(catalog: Catalog, rules: Rules) -> tuple[Calibration | None, str | None]:
    """Return the calibration that fits, and what there is to say where the catalog's own does not or there is none."""
    own = None if catalog.path is None else foreign_file(catalog.path, "calibration.json")
    known = [] if own is None else [Calibration.load(own)]
    shipped = shipped_calibration(catalog.space)
    notes: list[str] = []
    for calibration in [*known, *([] if shipped is None else [shipped])]:
        misfit = calibration.misfit(catalog.space, rules)
        if misfit is None:
            return calibration, "; ".join(notes) or None
        notes.append(f"not used ({misfit[0]}): {misfit[1]}")
    if not notes:
        notes.append(
            f"no calibration (space): none is known for {catalog.space.encoder} [{catalog.space.id}]. "
            f"Fit one: imgmatch calibrate --self {catalog.path} --out {catalog.path / 'calibration.json'}"
        )
    return None, "; ".join([*notes, "the rules decide alone, without ranks"])


def _certainty(assessment: Assessment) -> float | None:
    """Return how surely the photos show the brand: the best value, or what weak findings come to together."""
    if not assessment.shown:
        return None
    return assessment.named[0].probability if assessment.together else assessment.shown[0].value


def _unread(query: Query, findings: Sequence[Finding]) -> Message | None:
    """Say what of a listing that claims a brand could not be examined; None where everything was."""
    if not query.of_role("listing"):
        return Message("A brand is claimed, but no listing photo could be examined.")
    if query.unreadable:
        return Message("A brand is claimed, but these photos could not be read: {photos}.", photos=tuple(query.unreadable))
    named = {
        Message("{finding}: {reason}", finding=FINDING_NAMES.get(f.signal, f.signal), reason=f.reason)
        for f in findings
        if f.status is FindingStatus.FAILED
    }
    return Message("A brand is claimed, but some checks failed: {checks}", checks=tuple(sorted(named))) if named else None


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
        about_brand = [
            f.value for f in findings if f.signal == name and f.value is not None and f.brand in (None, assessment.brand)
        ]
        values[name] = max(about_brand, default=None)
    if assessment is not None and assessment.brand is not None and "disagreement" in values:
        derived = [f.value for f, _ in assessment.contradictions if f.signal == "disagreement"]
        values["disagreement"] = max((v for v in derived if v is not None), default=0.0)
    return values
