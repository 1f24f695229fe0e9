"""Find marks in a photo by their local features, all marks of a catalog at once.

Every feature of the photo is compared with those of all references. What counts is not how near the nearest is but how much
nearer than the nearest of any *other* brand, or of plain things: a corner that every mark has says nothing. Pairs that
agree on one placement of a reference are added up as evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from imgmatch.loading.photo import PhotoContext
from imgmatch.types import FloatArray
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Keypoints, Transform
from imgmatch.vision.marks.canvas import find_pattern
from imgmatch.vision.marks.plain import plain_descriptors
from imgmatch.vision.marks.reference import MarkReference, name_of
from imgmatch.vision.marks.sighting import Sighting

__all__ = ["MarkIndex"]

RATIO = 0.9
"""A pair counts where its distance is below this share of the distance to the nearest feature of anything else; Lowe's 0.8
(IJCV 2004, section 7.1) found fewer of the dev photos of ``benchmarks/marks_real.py`` at the same number of wrong ones."""

LEAST = 0.5
"""Evidence below which a placement is not worth looking at; 0.8 names two less of 143 dev photos of
``benchmarks/marks_real.py``."""

ALONE, SMALLEST, SMALL = 0.05, 14.0, 0.09
"""Where one feature lays a reference by itself (``benchmarks/marks_real.py``, sellers, open): its least diameter as a share
of the reference's longer side (0.1 names three less of 153), and the least and greatest longer side of the mark in the
photo, in original pixels (10 name no more) and as a share of the photo's: larger ones `ShapeIndex` looks for everywhere."""

SHOWN = 0.1
"""Least share of a mark that lies inside the photo where several features lay it (``benchmarks/marks_real.py``, dev, either
half asking the other: of 211 marks rightly named none has less than 0.47). Where a detail of a photo is taken for one of a
mark, the mark is placed many times larger than the photo."""

PAIRS = 150
"""Pairs of one reference, most distinctive first, that are tried together."""

AXES = 64
"""Dimensions that descriptors are compared in, of 128: half the time."""

BLOCK = 2048
"""Features of references that are compared at a time: what stays in the processor's cache, as measured; no value changes."""

MIRRORED, SURE = 250, 4.0
"""Features of the mirror image that are tried, for selfies in a mirror, and the evidence from which none are."""


class MarkIndex:
    """All marks of a catalog, ready to be looked for together.

    Parameters
    ----------
    references : sequence of MarkReference
    side : int
        Longer side in pixels at which the features of a photo are found.

    Notes
    -----
    Memory: 256 bytes for each feature, some 300 features for each reference. Thread-safe. Its `repr` names all that
    :meth:`find` rests on beside the photo and the code.
    """

    def __init__(self, references: Sequence[MarkReference], side: int = geometry.MAX_SIDE) -> None:
        self._side = side
        self.references = tuple(sorted(references, key=lambda r: r.brand))
        self._name = f"MarkIndex({name_of(self.references)}, {side})"
        lengths = [len(r.keypoints) for r in self.references]
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
        rows = [np.zeros((0, 128), np.float32), *(r.keypoints.descriptors for r in self.references)]
        descriptors = np.concatenate(rows)
        self._axes = np.linalg.eigh(descriptors.T @ descriptors)[1][:, -AXES:].astype(np.float32)
        self._descriptors = self._reduced(descriptors)
        names, self._brands = np.unique(np.array([r.brand for r in self.references], np.str_), return_inverse=True)
        self._first = np.searchsorted(self._brands, np.arange(len(names)))
        self._plain = self._reduced(plain_descriptors())

    def __repr__(self) -> str:
        return self._name

    def find(self, photo: PhotoContext) -> list[Sighting]:
        """Find the marks that a photo may show.

        Parameters
        ----------
        photo : PhotoContext

        Returns
        -------
        list of Sighting
            The best of each reference that has any, strongest first. Most are chance: what evidence is worth is the
            caller's to say.

        Notes
        -----
        A pair of features weighs ``1 - ratio ** 2``: 0 where something else is as near, towards 1 where nothing else is
        near at all (the local form of naive-Bayes nearest neighbours). Placements are affine, see `geometry.verify`. One
        matrix product of all features of the photo with all of the catalog, then some 0.5 ms for each reference that has
        `LEAST` evidence in all its pairs.

        References
        ----------
        McCann & Lowe, "Local naive Bayes nearest neighbor for image classification", CVPR 2012.
        """
        query = geometry.keypoints(photo, max_side=self._side)
        if len(query) < 3 or not self.references:
            return []
        found = self._look(query, mirrored=False)
        if not found or max(s.evidence for s in found) < SURE:
            found += self._look(geometry.mirrored(query.take(np.arange(min(len(query), MIRRORED)))), mirrored=True)
        return sorted(found, key=lambda s: -s.evidence)

    def _reduced(self, descriptors: FloatArray) -> FloatArray:
        """Return descriptors along the directions in which those of the catalog differ most, unit norm again."""
        reduced = descriptors @ self._axes
        return np.asarray(reduced / np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-9), np.float32)

    def _look(self, query: Keypoints, *, mirrored: bool) -> list[Sighting]:
        described = self._reduced(query.descriptors)
        by_reference = self._nearest(described)
        ratios = self._ratios(described, by_reference)
        weights = np.where(ratios < RATIO, 1.0 - np.square(ratios), 0.0)
        found = []
        for number in np.flatnonzero(weights.sum(axis=0) >= LEAST):
            rows = np.flatnonzero(weights[:, number])
            rows = rows[np.argsort(-weights[rows, number], kind="stable")][:PAIRS]
            own = self._descriptors[self._starts[number] : self._starts[number + 1]]
            columns = (described[rows] @ own.T).argmax(axis=1)
            pairs = np.stack([rows, columns], axis=1)
            place = find_pattern if self.references[number].kind == "monogram" else _placement
            sighting = place(query, self.references[number], pairs, weights[rows, number], mirrored)
            if place is _placement and (sighting is None or sighting.evidence < LEAST):
                sighting = _alone(query, self.references[number], pairs, weights[rows, number], mirrored)
            if sighting is not None and sighting.evidence >= LEAST:
                found.append(sighting)
        return found

    def _nearest(self, described: FloatArray) -> FloatArray:
        """Return each feature's similarity to the nearest of each reference, shape (n, references), block by block."""
        out = np.empty((len(described), len(self.references)), np.float32)
        first = 0
        while first < len(self.references):
            last = max(int(np.searchsorted(self._starts, self._starts[first] + BLOCK, side="right")) - 1, first + 1)
            low, high = self._starts[first], self._starts[last]
            similarity = described @ self._descriptors[low:high].T
            out[:, first:last] = np.maximum.reduceat(similarity, self._starts[first:last] - low, axis=1)
            first = last
        return out

    def _ratios(self, described: FloatArray, by_reference: FloatArray) -> FloatArray:
        """Return distance to each reference over distance to what is of no brand or of another, shape (n, references)."""
        brands = np.maximum.reduceat(by_reference, self._first, axis=1)
        rows, lead = np.arange(len(brands)), brands.argmax(axis=1)
        best = brands[rows, lead]
        brands[rows, lead] = -1.0
        second = brands.max(axis=1)
        # Of plain things only those features are asked that would count for a brand.
        asked = np.flatnonzero(1.0 - best < RATIO**2 * (1.0 - second))
        if len(asked):
            plain = (described[asked] @ self._plain.T).max(axis=1)
            best[asked], second[asked] = np.maximum(best[asked], plain), np.maximum(second[asked], plain)
        other = np.where(self._brands[None] == lead[:, None], second[:, None], best[:, None])
        return np.asarray(np.sqrt(np.maximum(1.0 - by_reference, 0.0) / np.maximum(1.0 - other, 1e-6)), np.float32)


def _alone(
    query: Keypoints, reference: MarkReference, pairs: npt.NDArray[np.intp], weights: FloatArray, mirrored: bool
) -> Sighting | None:
    """Return where the most distinctive of the larger features lays a reference: a small mark has no three that agree.

    Place, size and direction of one pair are a placement; whether the mark lies there, its shape has to say.
    """
    points, (x0, y0, x1, y1) = reference.keypoints, reference.box
    longer = max(x1 - x0, y1 - y0)
    scale = query.size[pairs[:, 0]] / points.size[pairs[:, 1]]
    small = (scale * longer >= SMALLEST) & (scale * longer <= SMALL * max(query.width, query.height))
    large = np.flatnonzero((points.size[pairs[:, 1]] >= ALONE * longer) & small)
    if not len(large):
        return None
    first = int(large[weights[large].argmax()])
    row, column = pairs[first]
    turn = np.radians(float(query.angle[row] - points.angle[column]))
    transform = np.eye(3)
    transform[:2, :2] = float(scale[first]) * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    transform[:2, 2] = query.xy[row] - transform[:2, :2] @ points.xy[column]
    return _sighting(query, reference, transform, query.xy[row][None], float(weights[first]), mirrored)


def _placement(
    query: Keypoints, reference: MarkReference, pairs: npt.NDArray[np.intp], weights: FloatArray, mirrored: bool
) -> Sighting | None:
    points = reference.keypoints
    found = geometry.verify(query, points, pairs, model="affine", min_inliers=3)
    if found is None:
        return None
    mark = geometry.map_points(found.transform, reference.polygon())
    if geometry.area(geometry.intersect(mark, geometry.rectangle(query.width, query.height))) < SHOWN * geometry.area(mark):
        return None
    # Each agreeing place counts once, with the best of the pairs that lie there.
    best: dict[tuple[float, float], float] = {}
    for (row, _), weight in zip(pairs, weights, strict=True):
        x, y = query.xy[row]
        best[float(x), float(y)] = max(best.get((float(x), float(y)), 0.0), float(weight))
    evidence = sum(best.get((float(x), float(y)), 0.0) for x, y in found.query_xy)
    return _sighting(query, reference, found.transform, found.query_xy, evidence, mirrored)


def _sighting(
    query: Keypoints, reference: MarkReference, transform: Transform, xy: FloatArray, evidence: float, mirrored: bool
) -> Sighting:
    """Return a sighting in the photo as it is, of a placement in the photo or in its mirror image."""
    if mirrored:
        transform = geometry.flip(query.width) @ transform
        xy = np.asarray(geometry.map_points(geometry.flip(query.width), xy), np.float32)
    return Sighting(
        reference,
        transform,
        evidence=evidence,
        agreeing=len(xy),
        mirrored=mirrored,
        repeats=False,
        points=xy,
        places=np.zeros((0, 3), np.float32),
    )
