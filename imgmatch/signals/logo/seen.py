"""What speaks for a brand's mark in one photo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from imgmatch.vision import geometry
from imgmatch.vision.geometry import Transform
from imgmatch.vision.marks import LearntMatch, MarkReference, ShapeMatch, Sighting
from imgmatch.vision.marks.reference import rounded

__all__ = ["CLAIM", "SAME_PLACE", "Seen", "apart", "patterns", "shared"]

CLAIM, SLOPE = 2.4, 0.35
"""Evidence of value 0.5, and the steepness of the value. Set with ``LAID`` and ``SHAPE_FROM`` of the signal on the dev
photos of ``benchmarks/marks_real.py``, either half of a brand's photos asking the other: see there for what it names. Of
marks at one place, those within one `SLOPE` of the strongest stay: 3 of 303 photos are named wrongly instead of 4."""

SAME_PLACE = 0.3
"""Share of the smaller of two marks' places from which they are one place (``benchmarks/marks_real.py``, dev): in a closer
look one of ten right marks shares less."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What speaks for a brand in one photo.

    Parameters
    ----------
    brand : str
    evidence : float
        Of features, and what the shape adds or takes; above 0.
    reference : MarkReference
        The picture that says most.
    polygon : list of [x, y]
        Where it lies in the photo, original pixels.
    sighting : Sighting or None
    shape : ShapeMatch or None
        None where the shape speaks against it.
    learnt : LearntMatch or None
        None where no window speaks for it.
    """

    brand: str
    evidence: float
    reference: MarkReference
    polygon: list[list[float]]
    sighting: Sighting | None
    shape: ShapeMatch | None
    learnt: LearntMatch | None

    @property
    def value(self) -> float:
        """In [0, 1]; 0.5 or more is a claim."""
        return 1.0 / (1.0 + math.exp(-min((self.evidence - CLAIM) / SLOPE, 30.0)))

    def moved(self, transform: Transform) -> Seen:
        """Return the same, found in a part of the photo: `transform` leads from that part's pixels to the photo's."""
        polygon = rounded(geometry.map_points(transform, self.polygon))
        return replace(self, polygon=polygon, sighting=None if self.sighting is None else self.sighting.moved(transform))


def apart(seen: Sequence[Seen]) -> list[Seen]:
    """Leave out what lies over the place of something stronger of another brand, strongest first: one place shows one mark.

    What is almost as strong stays: then it is left open which mark the place shows.
    """
    kept: list[Seen] = []
    for s in seen:
        if all(k.evidence - s.evidence < SLOPE or shared(s.polygon, k.polygon) < SAME_PLACE for k in kept):
            kept.append(s)
    return kept


def patterns(sightings: Sequence[Sighting]) -> dict[str, Sighting]:
    """Return the best sighting of each brand's pattern, with the evidence of all pictures of it."""
    best: dict[tuple[str, str], Sighting] = {}
    for s in sorted((s for s in sightings if s.repeats), key=lambda s: -s.evidence):
        best.setdefault((s.reference.brand, s.reference.photo), s)
    out: dict[str, Sighting] = {}
    for (brand, _), s in best.items():
        out[brand] = replace(out[brand], evidence=out[brand].evidence + s.evidence) if brand in out else s
    return out


def shared(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> float:
    """Return the area that two polygons share, as a share of the smaller one."""
    return geometry.area(geometry.intersect(a, b)) / max(min(geometry.area(a), geometry.area(b)), 1.0)
