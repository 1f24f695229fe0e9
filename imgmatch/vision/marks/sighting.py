"""A mark that a photo may show: which, where, and how much speaks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imgmatch.loading.cache import Arrays
from imgmatch.types import FloatArray
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Transform
from imgmatch.vision.marks.reference import MarkReference, rounded

__all__ = ["Sighting", "packed", "unpacked"]


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A mark that a photo may show.

    Parameters
    ----------
    reference : MarkReference
    transform : ndarray, shape (3, 3), float64
        From original pixels of the reference picture to original pixels of the photo.
    evidence : float
        Sum of ``1 - ratio ** 2`` over the agreeing places, see `MarkIndex.find`; 0 or more.
    agreeing : int
        Agreeing places; 1 where a single feature lays the reference there.
    mirrored : bool
        The photo shows the mirror image.
    repeats : bool
        The places agree in scale and direction only: a pattern all over a canvas.
    points : ndarray, shape (k, 2), float32
        The agreeing places in the photo, original pixels; of a pattern the most distinctive first.
    places : ndarray, shape (k, 3), float32
        Of a pattern, where each point lies in the reference picture (x, y) and the diameter of the feature there, original
        pixels; else empty.
    margin : float or None
        How much more the place is like the brand's pictures than like those of other brands, see `ShapeIndex.margin`; None
        where it was not measured.
    """

    reference: MarkReference
    transform: Transform
    evidence: float
    agreeing: int
    mirrored: bool
    repeats: bool
    points: FloatArray
    places: FloatArray
    margin: float | None = None

    def polygon(self) -> list[list[float]]:
        """Return the mark's corners in the photo, or the box of a pattern's places, original pixels."""
        if self.repeats:
            (x0, y0), (x1, y1) = self.points.min(axis=0), self.points.max(axis=0)
            return rounded(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))
        return rounded(geometry.map_points(self.transform, self.reference.polygon()))

    def moved(self, transform: Transform) -> Sighting:
        """Return the same, found in a part of the photo: `transform` leads from that part's pixels to the photo's."""
        points = geometry.map_points(transform, self.points).astype(np.float32)
        return replace(self, transform=transform @ self.transform, points=points)


def packed(sightings: Sequence[Sighting], references: Sequence[MarkReference]) -> Arrays:
    """Return sightings of some references as arrays, to be remembered."""
    number = {reference: n for n, reference in enumerate(references)}
    rows = [(number[s.reference], s.agreeing, s.mirrored, s.repeats, len(s.points), len(s.places)) for s in sightings]
    return (
        np.array(rows, np.int64).reshape(-1, 6),
        np.array([(s.evidence, np.nan if s.margin is None else s.margin) for s in sightings], np.float64).reshape(-1, 2),
        np.array([s.transform for s in sightings], np.float64).reshape(-1, 3, 3),
        np.concatenate([np.zeros((0, 2), np.float32), *(s.points for s in sightings)]),
        np.concatenate([np.zeros((0, 3), np.float32), *(s.places for s in sightings)]),
    )


def unpacked(arrays: Arrays, references: Sequence[MarkReference]) -> list[Sighting]:
    """Return the sightings that were packed with these very references."""
    rows, values, transforms, points, places = arrays
    ends = np.cumsum(rows[:, 4:], axis=0)
    each = np.split(points, ends[:, 0])[:-1], np.split(places, ends[:, 1])[:-1]
    return [
        Sighting(
            references[number],
            transform,
            evidence=evidence,
            agreeing=agreeing,
            mirrored=bool(mirrored),
            repeats=bool(repeats),
            points=xy,
            places=there,
            margin=None if np.isnan(margin) else margin,
        )
        for (number, agreeing, mirrored, repeats, *_), (evidence, margin), transform, xy, there in zip(
            rows.tolist(), values.tolist(), transforms, *each, strict=True
        )
    ]
