"""A closer look at places where a mark may be: enlarged, a small one is told from chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from imgmatch.images import load_image
from imgmatch.loading.photo import PhotoContext
from imgmatch.signals.logo.seen import SAME_PLACE, Seen, shared
from imgmatch.vision.geometry import Transform

__all__ = ["enlarged", "leads", "surer"]

LEAD, MOST, SMALL = 0.2, 2, 0.25
"""Least evidence of a mark that is looked at again, how many of a photo, strongest first, and their longest side in longer
sides of the photo: in photos of other things that is one place in five photos (``benchmarks/marks_real.py``, dev)."""

SIDES, ENLARGED, REACH = 3.0, 2.0, 24.0
"""How many longer sides of a mark's place are looked at, how much larger, and how many pixels around its middle at least
(``benchmarks/marks_real.py``, dev): of 51 photos that nothing named six are; at 4 sides, or at 1.5 times, five."""

LATER = 0.6
"""How much more evidence a closer look needs than a first one (``benchmarks/marks_real.py``, dev): of 303 photos of marks it
names ten more, with 3.2 or more, and of sellers' open photos three, with 4.2 or more; the strongest in a photo that shows
something else has 2.7."""


def leads(seen: Sequence[Seen], photo: PhotoContext) -> list[Seen]:
    """Return the marks that are worth a closer look: small ones, strongest first, of a photo that shows none for sure."""
    if any(s.value >= 0.5 for s in seen):
        return []
    most = SMALL * max(photo.image.width, photo.image.height) if seen else 0.0
    return [s for s in seen if s.evidence >= LEAD and _side(s) <= most][:MOST]


def enlarged(photo: PhotoContext, lead: Seen) -> tuple[PhotoContext, Transform]:
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
    middle, reach = np.mean(lead.polygon, axis=0) / scale, max(SIDES / 2 * _side(lead) / scale, REACH)
    edge = np.array([pixels.shape[1], pixels.shape[0]])
    left, top = np.clip(np.floor(middle - reach), 0, edge - 1).astype(int).tolist()
    right, bottom = np.clip(np.ceil(middle + reach), (left + 1, top + 1), edge).astype(int).tolist()
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    larger = cv2.resize(part, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    context = PhotoContext(photo.photo_id, load_image(np.asarray(larger, np.uint8)), photo.role)
    context.parts = photo.parts
    step = scale / ENLARGED
    return context, np.array([[step, 0.0, left * scale], [0.0, step, top * scale], [0.0, 0.0, 1.0]])


def surer(lead: Seen, again: Sequence[Seen], back: Transform) -> Seen:
    """Return what a closer look finds of the lead's brand at its place, where that says more; else the lead."""
    for s in (s.moved(back) for s in again if s.brand == lead.brand and s.evidence - LATER > lead.evidence):
        if shared(s.polygon, lead.polygon) >= SAME_PLACE:
            return replace(s, evidence=s.evidence - LATER)
    return lead


def _side(seen: Seen) -> float:
    return float(np.ptp(seen.polygon, axis=0).max())
