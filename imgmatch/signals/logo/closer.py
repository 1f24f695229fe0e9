"""A closer look at places where a mark may be: enlarged, a small one is told from chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from imgmatch.images import load_image
from imgmatch.loading.photo import PhotoContext
from imgmatch.signals.logo.seen import SAME_PLACE, Seen, shared
from imgmatch.vision.geometry import Transform

__all__ = ["LEAD", "confirmed", "doubtful", "enlarged"]

LEAD, SURE, SMALL = 0.2, 4.0, 0.25
"""Least evidence of a mark that is looked at again, the evidence that needs no second look, and the longest side of a mark
that is small, in longer sides of the photo. As measured on ``benchmarks/marks_real.py``, dev, that is one look in seven
photos of other things, and one in five photos of marks."""

SIDES, ENLARGED, REACH = 3.0, 2.0, 24.0
"""How many longer sides of a mark's place are looked at, how much larger, and how many pixels around its middle at least
(``benchmarks/marks_real.py``, dev): of 51 photos that nothing named six are; at 4 sides, or at 1.5 times, five."""

LATER = 0.5
"""How much more evidence a closer look needs for a claim than a first one (``benchmarks/marks_real.py``, dev). Of small
marks that are claimed with less than `SURE` at first, in 669 photos, all nine right ones have 3.03 or more then, all three
wrong ones 2.5 or less. Of leads that are not claimed eleven right ones have 3.2 or more, the strongest wrong one 2.7."""


def doubtful(seen: Sequence[Seen], photo: PhotoContext) -> list[Seen]:
    """Return the small marks that a closer look decides about.

    They are those claimed on little evidence, and where nothing is claimed the strongest that may be there. One that a
    single feature lays is claimed by the shape around it, where it is smaller than other marks ever are.
    """
    most = SMALL * max(photo.image.width, photo.image.height) if seen else 0.0
    small = [s for s in seen if LEAD <= s.evidence < SURE and _side(s) <= most and not _repeats(s)]
    if any(s.value >= 0.5 for s in seen):
        return [s for s in small if s.value >= 0.5 and not (s.sighting is not None and s.sighting.agreeing == 1)]
    return small[:1]


def enlarged(photo: PhotoContext, mark: Seen) -> tuple[PhotoContext, Transform]:
    """Enlarge what is around a mark.

    Returns
    -------
    PhotoContext
        Of the enlarged pixels; it remembers where `photo` does.
    ndarray, shape (3, 3), float64
        From its pixels to original pixels of `photo`.
    """
    import cv2

    pixels, scale = photo.image.pixels, photo.image.scale
    middle, reach = np.mean(mark.polygon, axis=0) / scale, max(SIDES / 2 * _side(mark) / scale, REACH)
    edge = np.array([pixels.shape[1], pixels.shape[0]])
    left, top = np.clip(np.floor(middle - reach), 0, edge - 1).astype(int).tolist()
    right, bottom = np.clip(np.ceil(middle + reach), (left + 1, top + 1), edge).astype(int).tolist()
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    larger = cv2.resize(part, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    context = PhotoContext(photo.photo_id, load_image(np.asarray(larger, np.uint8)), photo.role)
    context.parts = photo.parts
    step = scale / ENLARGED
    return context, np.array([[step, 0.0, left * scale], [0.0, step, top * scale], [0.0, 0.0, 1.0]])


def confirmed(doubted: Seen, again: Sequence[Seen], back: Transform) -> Seen | None:
    """Return what a closer look finds of a brand at the place where it was seen; None where that is nothing."""
    found = [s.moved(back) for s in again if s.brand == doubted.brand and s.evidence > LATER]
    there = [s for s in found if shared(s.polygon, doubted.polygon) >= SAME_PLACE]
    return replace(there[0], evidence=there[0].evidence - LATER) if there else None


def _repeats(seen: Seen) -> bool:
    return seen.sighting is not None and seen.sighting.repeats


def _side(seen: Seen) -> float:
    return float(np.ptp(seen.polygon, axis=0).max())
