"""Is this listing photo, or a part of it, one of the catalog's own photos?

An index proposes, geometry and pixels dispose:

1. *Proposals.* The same bytes; a near perceptual hash of the photo, its regions and their mirror images; votes of small
   details in an inverted file over the whole catalog, which finds crops, collages and pictures in pictures. None of them
   compares the photo with every catalog photo one by one.
2. *Geometry.* The small details of the photo and of the few proposed ones must lie alike; then local features, which cost
   fifty times as much, must agree on one affine transform.
3. *Pixels.* With the two laid on each other, their light and dark must agree cell by cell. Another photo of the same thing
   gets through the geometry; here it does not.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgmatch.catalog.items import CatalogPhoto
from imgmatch.indexes.faiss import one_thread
from imgmatch.indexes.patches import PatchIndex
from imgmatch.loading.photo import PhotoContext, Query
from imgmatch.messages import Message
from imgmatch.signals.base import Signal, fingerprint_of
from imgmatch.signals.copy.details import ROLES, Details, agree, searched, stored_details
from imgmatch.signals.copy.hashes import PDQ_QUALITY, bits_of, hashes_of
from imgmatch.signals.copy.settings import CopyConfig
from imgmatch.signals.copy.verify import Copy, verified
from imgmatch.types import Box, Candidate, Finding, FindingStatus, Image, Label, PhotoRole
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Keypoints, Points, Transform

if TYPE_CHECKING:
    from imgmatch.catalog import Catalog

__all__ = ["CopySignal", "describe"]

_Proposal = tuple[list[tuple[Transform, bool]], tuple[bool, ...]]  # placements to try, and sides to look at


class CopySignal(Signal):
    """Find catalog photos inside listing photos. Findings ``copy`` and, for photos of known offenders, ``known_offender``.

    Parameters
    ----------
    catalog : Catalog
        Photos with role reference, known_offender and negative are looked for. A photo that is found to be a negative
        (a stock photo that everybody uses) silences the others found in the same place.
    config : CopyConfig

    Notes
    -----
    The value of a copy, and how it is verified, is that of :func:`imgmatch.signals.copy.verify.verified`.

    Cost: finding proposals takes the time of a few perceptual hashes and one ORB extraction, and grows with the square root
    of the number of catalog photos; verification takes one SIFT extraction and, per proposal, one matrix product and two
    small warps, whatever the size of the catalog; it stops at a copy that fills the photo. Figures are in the benchmark.
    The small details of the catalog's photos (10 KB each) are kept in the catalog's folder ``derived/``; they are computed
    for new photos only.
    """

    name = "copy"
    Config = CopyConfig

    def __init__(self, catalog: Catalog, config: CopyConfig | None = None) -> None:
        self._catalog = catalog
        self.config = CopyConfig() if config is None else config
        self._lock = threading.Lock()
        self._built: tuple[list[Details], PatchIndex] | None = None

    def warm_up(self) -> None:
        """Describe the catalog's photos, or load what was described before."""
        self._described  # noqa: B018 - builds it

    def fingerprint(self) -> str:
        return fingerprint_of(self, packages=("opencv-python-headless", "pdqhash"))

    def propose(self, queries: Sequence[Query]) -> list[list[Candidate]]:
        """Propose the items whose photos are found in a listing's photos."""
        return [self._propose(query) for query in queries]

    def examine(self, queries: Sequence[Query]) -> list[list[Finding]]:
        """Report each catalog photo that is found in a listing's photos."""
        return [self._examine(query) for query in queries]

    def copies(self, photo: PhotoContext) -> tuple[Copy, ...]:
        """Return the catalog photos that are in a photo, surest first; computed once.

        Parameters
        ----------
        photo : PhotoContext

        Returns
        -------
        tuple of Copy
            At most one per place in the photo; those of role negative included.
        """
        return photo.once(self._copies)

    def _propose(self, query: Query) -> list[Candidate]:
        found: list[Candidate] = []
        for photo in query.photos:
            for copy in self._shown(photo):
                entry = self._catalog.photos[copy.sha256]
                if entry.role is PhotoRole.REFERENCE and entry.item_id and entry.brand and copy.value >= 0.5:
                    near = float(photo.embedding @ self._catalog.embedding(copy.sha256))
                    found.append(
                        Candidate(
                            entry.item_id,
                            entry.brand,
                            similarity=near,
                            photo=copy.sha256,
                            photo_id=photo.photo_id,
                            score=copy.value,
                            proposed_by=(self.name,),
                        )
                    )
        return sorted(found, key=lambda c: (-c.score, c.item_id))

    def _examine(self, query: Query) -> list[Finding]:
        findings = [self._finding(photo, copy) for photo in query.photos for copy in self._shown(photo)]
        if not any(f.signal == self.name for f in findings):
            findings.append(self._nothing(query))
        return findings

    def _nothing(self, query: Query) -> Finding:
        if not query.photos:
            return Finding.abstained(self.name, Message("There is no readable photo."))
        for photo in query.photos:
            for copy in self._copies_of(photo, PhotoRole.NEGATIVE):
                if copy.value >= 0.5:
                    reason = Message("The photo shows one that many sellers use: the catalog lists it as such.")
                    return Finding.abstained(self.name, reason, photo_id=photo.photo_id)
        if all(len(self._patches(photo)[0]) < 20 for photo in query.photos):
            return Finding.abstained(self.name, Message("The photos have too little structure to recognise a copy."))
        return Finding(self.name, FindingStatus.OK, 0.0, Message("The listing's photos contain no photo of the catalog."))

    def _copies_of(self, photo: PhotoContext, *roles: PhotoRole) -> list[Copy]:
        return [c for c in self.copies(photo) if self._catalog.photos[c.sha256].role in roles]

    def _shown(self, photo: PhotoContext) -> list[Copy]:
        """Return the copies that are worth saying, without what a negative photo explains."""
        negatives = [c for c in self._copies_of(photo, PhotoRole.NEGATIVE) if c.value >= 0.5]
        return [
            c
            for c in self._copies_of(photo, PhotoRole.REFERENCE, PhotoRole.KNOWN_OFFENDER)
            if not any(_same_place(c, n) for n in negatives)
        ]

    def _copies(self, photo: PhotoContext) -> tuple[Copy, ...]:
        known = self._catalog.photos.get(photo.sha256)
        if known is not None and known.role in ROLES:
            scale = np.diag([photo.image.width / known.width, photo.image.height / known.height, 1.0])
            return (
                Copy(
                    photo.sha256,
                    1.0,
                    transform=scale,
                    query_polygon=_corners(photo.image),
                    reference_polygon=_corners(known),
                    mirrored=False,
                    match=None,
                    agreement=None,
                ),
            )
        found: list[Copy] = []
        full: set[PhotoRole] = set()  # of photos that were found to fill this one: it shows no other of their role
        for sha, (hints, sides) in self._proposals(photo).items():
            role = self._catalog.photos[sha].role
            if role in full:
                continue
            reference = self._catalog.photo(sha)
            copy = verified(photo, reference, hints, sides, side=self.config.effort.keypoints)
            if copy is not None:
                found.append(copy)
                if copy.value >= 0.9 and geometry.area(copy.query_polygon) >= 0.9 * photo.image.width * photo.image.height:
                    full.add(role)
        ranked = sorted(found, key=lambda c: (-c.value, c.sha256))
        kept: list[Copy] = []
        for copy in ranked:
            role = self._catalog.photos[copy.sha256].role
            if not any(_same_place(copy, k) and self._catalog.photos[k.sha256].role is role for k in kept):
                kept.append(copy)
        return tuple(kept)

    # Proposals

    def _proposals(self, photo: PhotoContext) -> dict[str, _Proposal]:
        """Return the catalog photos to verify, best first: the placements their hashes suggest, and which sides to look at.

        Sides are False for the photo as it is and True for its mirror image: those in which small details have votes enough
        and agree, and for a near hash both.
        """
        hinted: dict[str, list[tuple[Transform, bool]]] = {}
        for _, sha, placement, flipped in sorted(self._near_hashes(photo), key=lambda row: (row[0], row[1])):
            hinted.setdefault(sha, []).append((placement, flipped))
        proposals: dict[str, _Proposal] = {sha: (hints, (False, True)) for sha, hints in hinted.items()}
        seen = self._patches(photo)
        stored, index = self._described
        votes = np.stack([index.vote(points.descriptors) for points in seen])
        for row in np.argsort(-votes.max(axis=0), kind="stable")[: self.config.effort.proposals]:
            sha = self._searched[row]
            asked = [flipped for flipped in (False, True) if votes[int(flipped), row] >= self.config.effort.votes]
            if asked and sha not in hinted:
                entry = self._catalog.photos[sha]
                details = stored[row].keypoints(entry.width, entry.height)
                sides = tuple(flipped for flipped in asked if agree(seen[flipped], details))
                if sides:
                    proposals[sha] = ([], sides)
        return dict(list(proposals.items())[: self.config.effort.proposals])

    def _near_hashes(self, photo: PhotoContext) -> list[tuple[int, str, Transform, bool]]:
        hashes, shas = self._hashes
        if not len(shas):
            return []
        boxes, flips, bits = photo.lasting(hashes_of)
        if not len(bits):
            return []
        with one_thread():
            distances, rows = hashes.search(bits, min(3, len(shas)))
        out = []
        for corners, flipped, near, row in zip(boxes.tolist(), flips.tolist(), distances, rows, strict=True):
            box = Box(*corners)
            for distance, at in zip(near, row, strict=True):
                if distance <= self.config.hash_distance:
                    entry = self._catalog.photos[shas[at]]
                    sx, sy = box.width / entry.width, box.height / entry.height
                    placement = np.array([[sx, 0.0, box.x0], [0.0, sy, box.y0], [0.0, 0.0, 1.0]])
                    out.append(
                        (
                            int(distance),
                            entry.sha256,
                            placement @ geometry.flip(entry.width) if flipped else placement,
                            flipped,
                        )
                    )
        return out

    @cached_property
    def _hashes(self) -> tuple[Any, list[str]]:
        import faiss

        entries = [self._catalog.photos[s] for s in self._searched]
        entries = [e for e in entries if e.phash_quality >= PDQ_QUALITY]
        index = faiss.IndexBinaryFlat(256)
        if entries:
            index.add(np.stack([bits_of(e.phash) for e in entries]))
        return index, [e.sha256 for e in entries]

    def _patches(self, photo: PhotoContext) -> tuple[Keypoints, Keypoints]:
        return geometry.patches(photo, max_side=640, count=600, mirror=True)

    @cached_property
    def _searched(self) -> list[str]:
        """The photos looked for, in the order of the index."""
        return searched(self._catalog)

    @property
    def _described(self) -> tuple[list[Details], PatchIndex]:
        """The small details of the photos looked for, and their index."""
        with self._lock:
            if self._built is None:
                self._built = stored_details(self._catalog, self._searched)
            return self._built

    # Words

    def _finding(self, photo: PhotoContext, copy: Copy) -> Finding:
        entry = self._catalog.photos[copy.sha256]
        offender = entry.role is PhotoRole.KNOWN_OFFENDER
        changes, facts = describe(copy, photo.image, entry)
        item = self._catalog.items.get(entry.item_id or "")
        owner = item.name if item and item.name else entry.item_id or entry.name
        evidence: dict[str, Any] = {
            "reference_photo": copy.sha256,
            "regions": [
                {"on": "query", "polygon": _rounded(copy.query_polygon), "label": Message("shared part")},
                {"on": "reference", "polygon": _rounded(copy.reference_polygon), "label": Message("shared part")},
            ],
            "transform": [[float(f"{x:.8g}") for x in row] for row in copy.transform],
            "facts": {**facts, Message("role of the catalog photo"): str(entry.role)},
        }
        if copy.match is not None:
            step = -(-len(copy.match) // 60)
            pairs = np.c_[copy.match.query_xy, copy.match.reference_xy][::step]
            evidence["matches"] = _rounded(pairs)
        return Finding(
            "known_offender" if offender else self.name,
            FindingStatus.OK,
            round(copy.value, 4),
            _reason(copy.value >= 0.5, owner, changes, offender=offender),
            photo_id=photo.photo_id,
            item_id=entry.item_id,
            brand=entry.brand,
            labels=((Label.RING_MEMBER,) if offender else (Label.PHOTO_THEFT,)) if copy.value >= 0.5 else (),
            evidence=evidence,
        )


def _reason(sure: bool, owner: str, changes: Sequence[Message], *, offender: bool) -> Message:
    if offender and sure:
        return Message("The photo shows a photo of a known offender: {changes}.", changes=tuple(changes))
    if offender:
        return Message("The photo may show a photo of a known offender: {changes}.", changes=tuple(changes))
    if sure:
        return Message("The photo shows a catalog photo of {item}: {changes}.", item=owner, changes=tuple(changes))
    return Message("The photo may show a catalog photo of {item}: {changes}.", item=owner, changes=tuple(changes))


def describe(copy: Copy, image: Image, entry: CatalogPhoto | Image) -> tuple[list[Message], dict[str, float | str]]:
    """Say in plain words what was done to a photo that was copied.

    Parameters
    ----------
    copy : Copy
    image : Image
        The listing photo.
    entry : CatalogPhoto or Image
        The photo that was copied.

    Returns
    -------
    changes : list of Message
        For example ``["mirrored", "cropped to 34%", "18% added at the bottom"]``; never empty.
    facts : dict
        The measurements behind them.
    """
    if copy.agreement is None:
        return [Message("the same file")], {Message("same bytes"): "yes"}
    linear = copy.transform[:2, :2] @ (np.diag([-1.0, 1.0]) if copy.mirrored else np.eye(2))
    turned = float(np.degrees(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])))
    stretched = np.linalg.svd(linear, compute_uv=False)
    scale, stretch = float(np.sqrt(abs(np.linalg.det(linear)))), float(stretched[0] / stretched[1])
    shown = min(geometry.area(copy.reference_polygon) / (entry.width * entry.height), 1.0)
    filled = min(geometry.area(copy.query_polygon) / (image.width * image.height), 1.0)
    changes = [Message("mirrored")] if copy.mirrored else []
    if shown < 0.95:
        changes.append(Message("cropped to {share:.0%}", share=shown))
    if abs(turned) > 1.5:
        changes.append(Message("turned by {degrees:.0f}°", degrees=turned))
    if not 0.9 < scale < 1.1:
        reduced = scale < 1
        changes.append(
            Message("reduced to {scale:.0%}", scale=scale) if reduced else Message("enlarged to {scale:.0%}", scale=scale)
        )
    if stretch > 1.05:
        changes.append(Message("stretched by {share:.0%}", share=stretch - 1))
    if copy.agreement.tint > 20:
        changes.append(Message("colours or brightness changed"))
    if copy.agreement.covered > 0.08:
        changes.append(Message("{share:.0%} of it covered or changed", share=copy.agreement.covered))
    (x0, y0), (x1, y1) = copy.query_polygon.min(axis=0), copy.query_polygon.max(axis=0)
    added = [
        Message("{share:.0%} added at the top", share=y0 / image.height),
        Message("{share:.0%} added at the bottom", share=1 - y1 / image.height),
        Message("{share:.0%} added at the left", share=x0 / image.width),
        Message("{share:.0%} added at the right", share=1 - x1 / image.width),
    ]
    wide = [side for side in added if side.params["share"] > 0.05]
    if len(wide) >= 3 or filled < 0.5:
        changes.append(Message("set in a larger picture, {share:.0%} of it", share=filled))
    else:
        changes += wide
    facts: dict[str, float | str] = {
        Message("share of the catalog photo shown"): round(shown, 3),
        Message("share of this photo filled"): round(filled, 3),
        Message("turned, degrees"): round(turned, 1),
        Message("scale"): round(scale, 3),
        Message("mirrored"): "yes" if copy.mirrored else "no",
        Message("pixel agreement"): round(copy.agreement.share, 3),
        Message("agreeing cells"): copy.agreement.cells,
        Message("matched keypoints"): 0 if copy.match is None else len(copy.match),
    }
    if copy.match is not None:
        facts[Message("reprojection error, px")] = round(copy.match.error, 2)
    return changes or [Message("unchanged but for compression")], facts


def _corners(picture: Image | CatalogPhoto) -> Points:
    return geometry.rectangle(picture.width, picture.height)


def _rounded(points: npt.ArrayLike) -> list[list[float]]:
    return [[round(float(v), 1) for v in row] for row in np.asarray(points)]


def _same_place(a: Copy, b: Copy) -> bool:
    """Tell whether two copies lie on each other in the listing photo."""
    shared = geometry.area(geometry.intersect(a.query_polygon, b.query_polygon))
    return shared > 0.5 * min(geometry.area(a.query_polygon), geometry.area(b.query_polygon))
