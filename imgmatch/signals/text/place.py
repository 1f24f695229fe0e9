"""Where a line of text stands in its photo: beside the product, or among other lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgmatch.loading.photo import PhotoContext
from imgmatch.names import letters
from imgmatch.vision import ocr

__all__ = ["alone", "aside"]

SMALL, CORNER = 0.05, 1 / 3
"""Height of a line, in longer sides of its photo, and distance from the middle in both directions, in its width and height,
at which a name may be of a prop: then it is worth no more than an ordinary word. Of 148 sellers' photos of the unlocked part
two of the six brands that the product does not show were such names, and none that it shows (``benchmarks/words.py``)."""


def aside(photo: PhotoContext, parts: Sequence[ocr.Reading]) -> bool:
    """Say whether a line is small and in a corner, where books, boxes and bags beside the product are."""
    sides = np.array([photo.image.width, photo.image.height])
    off = np.abs(np.mean([p.polygon for p in parts], axis=(0, 1)) / sides - 0.5)
    return bool(max(p.height for p in parts) < SMALL * sides.max() and off.min() > CORNER)


def alone(parts: Sequence[ocr.Reading], readings: Sequence[ocr.Reading]) -> bool:
    """Say whether no other line stands within two line heights: an ordinary word by itself is no part of a sentence.

    A lone sign is no word, and what lies over the word for the most part is that word, read once more.
    """
    room = 2 * max(p.height for p in parts)
    own = {letters(p.text) for p in parts}
    corners = [p.polygon for p in parts]
    low, high = np.min(corners, axis=(0, 1)), np.max(corners, axis=(0, 1))
    for other in readings:
        if other in parts or len(letters(other.text)) < 2 or letters(other.text) in own:
            continue
        start, end = np.min(other.polygon, axis=0), np.max(other.polygon, axis=0)
        shared = np.prod(np.maximum(np.minimum(high, end) - np.maximum(low, start), 0))
        near = bool((start < high + room).all() and (end > low - room).all())
        if near and shared < 0.5 * min(np.prod(high - low), np.prod(end - start)):
            return False
    return True
