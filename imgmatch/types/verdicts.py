"""What is found out about a listing: candidates, findings, the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from typing import Any

from imgmatch.messages import Message

__all__ = [
    "EVIDENCE_KEYS",
    "FINDING_NAMES",
    "Basis",
    "Candidate",
    "Decision",
    "Finding",
    "FindingStatus",
    "Label",
    "PhotoRole",
    "Verdict",
]


class _Name(str, Enum):
    """A string enum that prints as its value (enum.StrEnum needs Python 3.11)."""

    __str__ = str.__str__


class FindingStatus(_Name):
    """What became of one signal on one query."""

    OK = "ok"
    ABSTAINED = "abstained"
    FAILED = "failed"


class Decision(_Name):
    """What a verdict asks a person to do.

    ``clear`` means *no contradiction found*, never authentic; ``unjudged``: a brand of the catalog is shown, and nothing is
    known that could support or contradict it.
    """

    CLEAR = "clear"
    UNJUDGED = "unjudged"
    REVIEW = "review"
    LEAD = "lead"

    @property
    def rank(self) -> int:
        """Severity for sorting and for ``--fail-on``: 0 clear, 1 unjudged, 2 review, 3 lead."""
        return list(Decision).index(self)


class Basis(_Name):
    """Why a verdict is what it is."""

    AUTHORISED = "authorised"
    NO_CLAIM = "no_claim"
    UNKNOWN_BRAND = "unknown_brand"
    NO_CONTRADICTION = "no_contradiction"
    NOTHING_KNOWN = "nothing_known"
    CONTRADICTION = "contradiction"
    UNREADABLE = "unreadable"


class Label(_Name):
    """What kind of wrong a finding or verdict points to; the kinds stay apart."""

    COUNTERFEIT_SUSPECTED = "counterfeit_suspected"
    LOOKALIKE = "lookalike"
    PHOTO_THEFT = "photo_theft"
    UNAUTHORISED_SELLER = "unauthorised_seller"
    BAIT_AND_SWITCH = "bait_and_switch"
    RING_MEMBER = "ring_member"


class PhotoRole(_Name):
    """What a catalog photo is for. Only a reference supports a claim; logos are the brands' marks."""

    REFERENCE = "reference"
    LOGO = "logo"
    BACKGROUND = "background"
    NEGATIVE = "negative"
    KNOWN_OFFENDER = "known_offender"


def brief(self: Any) -> str:
    """Write a dataclass as its own call, without the fields that are at their default: what a notebook shows."""
    shown = []
    for f in fields(self):
        value, default = getattr(self, f.name), f.default
        if default is MISSING and f.default_factory is not MISSING:
            default = f.default_factory()
        if value != default:
            shown.append(f"{f.name}={str(value)!r}" if isinstance(value, _Name) else f"{f.name}={value!r}")
    return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A catalog item that a query may show, proposed by a signal.

    Parameters
    ----------
    item_id, brand : str
        The item and its brand's id.
    similarity : float
        Cosine in [-1, 1] of the best view of the query and the best photo of the item (plain, not normalised).
    photo : str
        sha256 of the catalog photo that is nearest, to be shown.
    photo_id : str
        The query photo that came nearest, for example ``photo-1``.
    score : float
        What candidates are ranked by: similarity after normalisation against the background and re-ranking. Comparable
        across brands; not a probability.
    proposed_by : tuple of str
        Names of the signals that proposed it.
    """

    item_id: str
    brand: str
    similarity: float
    photo: str
    photo_id: str
    score: float
    proposed_by: tuple[str, ...] = ("design",)


EVIDENCE_KEYS: Mapping[str, str] = {
    "reference_photo": "sha256 of the catalog photo that is shown beside the query photo",
    "regions": "[{on: 'query'|'reference', polygon: [[x, y], …], label: str}] in that photo's own original pixels",
    "matches": "[[x_query, y_query, x_reference, y_reference], …] verified keypoint pairs, original pixels",
    "transform": "3x3 nested list, maps reference pixels to query pixels (homogeneous)",
    "readings": "[{reading, reference, alignment, confidence, polygon}] text that was read and what it is compared with",
    "heatmap": "{polygon: [4 corners on the query photo], values: rows of floats in [0, 1]} where the two differ",
    "facts": "{name: number or string} simple measured facts, names in plain words, SI-like units in the name",
}
"""The vocabulary of :attr:`Finding.evidence`; every key is optional, reports draw what is there."""


FINDING_NAMES: Mapping[str, Message] = {
    "claim": Message("Brand named in the text"),
    "contact": Message("Contact outside the platform"),
    "copy": Message("Copy of a known photo"),
    "design": Message("Design likeness"),
    "disagreement": Message("Several brands at once"),
    "known_offender": Message("Photo of a known offender"),
    "listing_mismatch": Message("Promo against destination"),
    "logo": Message("Brand mark"),
    "logo_tamper": Message("Altered mark or lettering"),
    "price": Message("Price"),
    "rank": Message("Rank"),
    "seller": Message("Seller"),
    "seller_history": Message("Earlier removals"),
    "shop": Message("Shop that is not the brand's"),
    "text": Message("Lettering in the photo"),
    "wording": Message("Replica wording"),
}
"""What people call the findings of imgmatch's own signals."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One signal's statement about one query.

    Parameters
    ----------
    signal : str
        What was asked, for example ``design``, ``copy``, ``logo_tamper``. A signal may make several named findings.
    status : FindingStatus
        A signal that cannot tell abstains; it never answers 0.
    value : float or None
        In [0, 1]; 1 means the named thing is certainly so. None unless status is ``ok``.
    reason : str
        A plain sentence for an investigator, which never says fake: a :class:`imgmatch.messages.Message` where it is to be
        read in other languages too.
    photo_id : str or None
        The query photo it is about, None when it is about the listing as a whole.
    item_id, brand : str or None
        The reference it is compared with.
    labels : tuple of Label
        What it points to where the value is high.
    evidence : mapping
        JSON-able, keys from :data:`EVIDENCE_KEYS`.
    """

    signal: str
    status: FindingStatus
    value: float | None
    reason: str
    photo_id: str | None = None
    item_id: str | None = None
    brand: str | None = None
    labels: tuple[Label, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.status is FindingStatus.OK) != (self.value is not None):
            raise ValueError(f"{self.signal}: a value goes with status ok and only with it, got {self.status} {self.value}")
        if self.value is not None and not 0.0 <= self.value <= 1.0:
            raise ValueError(f"{self.signal}: expected value in [0, 1], got {self.value}")
        unknown = set(self.evidence) - set(EVIDENCE_KEYS)
        if unknown:
            raise ValueError(f"{self.signal}: unknown evidence keys {sorted(unknown)}")

    @classmethod
    def abstained(cls, signal: str, reason: str, **where: Any) -> Finding:
        """Make a finding that says why the signal cannot tell."""
        return cls(signal, FindingStatus.ABSTAINED, None, reason, **where)

    @classmethod
    def failed(cls, signal: str, reason: str, **where: Any) -> Finding:
        """Make a finding that says what went wrong; the row survives."""
        return cls(signal, FindingStatus.FAILED, None, reason, **where)

    __repr__ = brief


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all findings amount to: a lead for human review, not proof.

    Parameters
    ----------
    decision : Decision
    basis : Basis
        Why.
    rank : float or None
        Score in [0, 1] that orders listings within what the rules allow; None without a calibration. Not a probability.
    probability : float or None
        Calibrated probability that a reviewer confirms the lead, in [0, 1]; None unless the calibration was fitted on
        reviewers' decisions or on the catalog's own photos, which `calibration` says.
    calibration : str or None
        Name of the calibration that rank and probability come from, and what it was fitted on.
    labels : tuple of Label
    brand, item_id : str or None
        The brand (and item) that the listing presents itself as.
    shows_brand : str or None
        That brand where a photo of the listing shows it; None where words alone name it or another brand is as likely.
    shown_by : tuple of str
        Names of the findings that see it in a photo, surest first.
    certainty : float or None
        The greatest value of these, in [0, 1]; where only weak ones agree, how probable that makes the brand.
    similarity : float or None
        Plain cosine to the best candidate.
    candidates : tuple of Candidate
        Best first.
    findings : tuple of Finding
    reasons : tuple of str
        Plain sentences, strongest first; messages as those of findings.
    """

    decision: Decision
    basis: Basis
    rank: float | None = None
    probability: float | None = None
    calibration: str | None = None
    labels: tuple[Label, ...] = ()
    brand: str | None = None
    item_id: str | None = None
    shows_brand: str | None = None
    shown_by: tuple[str, ...] = ()
    certainty: float | None = None
    similarity: float | None = None
    candidates: tuple[Candidate, ...] = ()
    findings: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = ()

    def __repr__(self) -> str:
        held = f"{len(self.findings)} findings, {len(self.candidates)} candidates"
        return f"Verdict({str(self.decision)!r}, brand={self.brand!r}, reasons={self.reasons!r}, {held})"
