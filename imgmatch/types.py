"""Frozen value types that flow through imgmatch: photo, embedding, candidate, finding, verdict.

Only numpy is imported here. Rows of listings and scans are in :mod:`imgmatch.records`.

Conventions
-----------
*query* is what is examined, *reference* what is in the catalog. *similarity* is higher for nearer. Points and boxes are
in the pixels of the **original upright photo** (after EXIF orientation, before any reduction): x to the right, y down.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.errors import SpaceMismatchError

__all__ = [
    "EVIDENCE_KEYS",
    "Basis",
    "Box",
    "Candidate",
    "Decision",
    "EmbeddingSpace",
    "Embeddings",
    "Finding",
    "FindingStatus",
    "Image",
    "Label",
    "Neighbors",
    "PhotoRole",
    "Verdict",
]

FloatArray = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]


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
    known that could speak for or against it.
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
    """Why a verdict stands where it stands."""

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


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box, half-open: ``x0 <= x < x1``.

    Parameters
    ----------
    x0, y0, x1, y1 : float
        Corners in original pixels.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        if not (self.x1 > self.x0 and self.y1 > self.y0):
            raise ValueError(f"expected x0 < x1 and y0 < y1, got {self}")

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        return self.width * self.height

    def polygon(self) -> list[list[float]]:
        """Return the four corners clockwise from the top left, as evidence wants them."""
        return [[self.x0, self.y0], [self.x1, self.y0], [self.x1, self.y1], [self.x0, self.y1]]

    def iou(self, other: Box) -> float:
        """Return intersection over union, in [0, 1]."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        inter = max(width, 0.0) * max(height, 0.0)
        return float(inter / (self.area + other.area - inter))


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded photo.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
        Upright sRGB. May be smaller than the original: see `scale`. Read-only.
    sha256 : str
        Hex digest of the bytes the photo was decoded from; of the pixels for arrays and PIL images.
    source : str
        Where it came from, for messages: a path, or ``<bytes>``, ``<array>``.
    width, height : int
        Size of the original upright photo in pixels.
    format : str
        ``JPEG``, ``PNG``, … or ``RAW`` for arrays.
    """

    pixels: UInt8Array
    sha256: str
    source: str
    width: int
    height: int
    format: str

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"expected pixels (H, W, 3) uint8, got {self.pixels.shape} {self.pixels.dtype}")
        self.pixels.setflags(write=False)

    @property
    def scale(self) -> float:
        """Original pixels per decoded pixel, >= 1 up to rounding (1 unless decoded at reduced size)."""
        return float(self.width / self.pixels.shape[1])


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """Identity of a space of embeddings. Vectors of two spaces never meet: an error, not a number.

    Parameters
    ----------
    encoder : str
        Registry name or model name; a label, not part of the identity.
    weights : str
        sha256 over the canonical tensors (names, shapes, fp32 values), so that the same weights in another file format
        are the same space.
    architecture : str
        For example ``ViT-B-32`` or ``torchvision:mobilenet_v2``.
    preprocess : str
        Canonical text of the preprocessing with its decode rule.
    numeric : str
        Numeric class: ``fp32``, ``fp16``, ``bf16``, ``int8``. A runtime that proved parity declares its source's.
    dim : int
        Length of a vector.
    """

    encoder: str
    weights: str
    architecture: str
    preprocess: str
    numeric: str
    dim: int

    @property
    def id(self) -> str:
        """First 16 hex digits of the sha256 over everything but the label."""
        parts = [self.weights, self.architecture, self.preprocess, self.numeric, self.dim]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def describe(self) -> str:
        """Return a line for messages that names what can differ."""
        return (
            f"{self.encoder} [{self.id}] ({self.architecture}, weights {self.weights[:8]}, "
            f"{self.numeric}, {self.dim}-d, {self.preprocess})"
        )

    def require(self, got: EmbeddingSpace, *, hint: str = "") -> None:
        """Raise :class:`SpaceMismatchError` unless `got` is this very space."""
        if self.id != got.id:
            names = {"weights": "weights", "architecture": "architecture", "preprocess": "preprocessing",
                     "numeric": "numeric class", "dim": "length"}  # fmt: skip
            differ = [words for name, words in names.items() if getattr(self, name) != getattr(got, name)]
            said = f"They differ in {' and '.join(differ)}"
            raise SpaceMismatchError(self.describe(), got.describe(), hint=f"{said}; {hint}" if hint else said)

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors that know their space.

    Parameters
    ----------
    vectors : ndarray, shape (n, d), float32
        Unit norm within 1e-3; zero rows are not allowed.
    space : EmbeddingSpace
        With ``space.dim == d``.
    """

    vectors: FloatArray
    space: EmbeddingSpace

    def __post_init__(self) -> None:
        v = self.vectors
        if v.ndim != 2 or v.shape[1] != self.space.dim or v.dtype != np.float32:
            raise ValueError(f"expected (n, {self.space.dim}) float32, got {v.shape} {v.dtype}")
        if len(v) and not np.allclose(np.linalg.norm(v, axis=1), 1.0, atol=1e-3):
            raise ValueError("expected rows of unit norm")

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbors:
    """Result of a search: for each query the k nearest references, best first.

    Parameters
    ----------
    ids : ndarray, shape (n, k), int64
        Row numbers; -1 pads where fewer than k exist.
    similarities : ndarray, shape (n, k), float32
        Cosine similarity, descending; -inf where padded.
    """

    ids: npt.NDArray[np.int64]
    similarities: FloatArray

    def rows(self) -> Iterator[list[tuple[int, float]]]:
        """Yield, per query, the (row, similarity) pairs without the padding."""
        for ids, sims in zip(self.ids, self.similarities, strict=True):
            yield [(int(i), float(s)) for i, s in zip(ids, sims, strict=True) if i >= 0]


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
    "readings": "[{reading, reference, alignment, confidence, polygon}] text that was read and what it is held against",
    "heatmap": "{polygon: [4 corners on the query photo], values: rows of floats in [0, 1]} where the two differ",
    "facts": "{name: number or string} simple measured facts, names in plain words, SI-like units in the name",
}
"""The vocabulary of :attr:`Finding.evidence`; every key is optional, reports draw what is there."""


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
        One plain-words sentence for an investigator. Never says fake.
    photo_id : str or None
        The query photo it is about, None when it is about the listing as a whole.
    item_id, brand : str or None
        The reference it is held against.
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
        The greatest value of these, in [0, 1].
    similarity : float or None
        Plain cosine to the best candidate.
    candidates : tuple of Candidate
        Best first.
    findings : tuple of Finding
    reasons : tuple of str
        Plain words, strongest first.
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
