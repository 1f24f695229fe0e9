"""A mark as products carry it: the pictures that go into a catalog's logo index when it is built."""

from __future__ import annotations

import numpy as np

from imgmatch.types import FloatArray, Image, UInt8Array
from imgmatch.vision.marks.reference import MarkReference

__all__ = ["views"]

SIDE = 224
"""Side in pixels of a view: what the encoders see."""

# Ink and ground: print, reversed print, gilt on leather, silver on canvas, blind (tone on tone).
_COLOURS = (
    ((0, 0, 0), (255, 255, 255)),
    ((255, 255, 255), (0, 0, 0)),
    ((212, 175, 95), (92, 58, 36)),
    ((190, 190, 195), (40, 48, 70)),
    ((120, 84, 58), (150, 108, 76)),
)


def views(reference: MarkReference) -> list[Image]:
    """Draw a mark in colours and polarities, as an outline, embossed, in perspective and small.

    Returns
    -------
    list of Image
        Ten squares of :data:`SIDE` pixels. The same reference gives the same views.
    """
    import cv2

    ink = _square(reference.ink)
    edge = cv2.morphologyEx(ink, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    small = cv2.resize(cv2.resize(ink, (40, 40), interpolation=cv2.INTER_AREA), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    drawn = [_paint(ink, *colours) for colours in _COLOURS]
    drawn += [_paint(edge, *_COLOURS[0]), _emboss(ink), _paint(np.clip(small, 0, 1), *_COLOURS[0])]
    drawn += [_tilted(drawn[0], 0.18), _tilted(drawn[1], -0.18)]
    return [Image(pixels, f"{i:064x}", "<mark>", SIDE, SIDE, "RAW") for i, pixels in enumerate(drawn)]


def _square(ink: FloatArray) -> FloatArray:
    import cv2

    height, width = ink.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = cv2.copyMakeBorder(ink, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.resize(padded, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.float32)


def _paint(ink: FloatArray, colour: tuple[int, ...], ground: tuple[int, ...]) -> UInt8Array:
    share = ink[:, :, None]
    return np.asarray(share * np.array(colour, np.float32) + (1 - share) * np.array(ground, np.float32), np.uint8)


def _emboss(ink: FloatArray) -> UInt8Array:
    """Light from the top left on a raised mark: the difference of the mark and itself shifted."""
    import cv2

    soft = cv2.GaussianBlur(ink, (0, 0), 1.5)
    relief = np.roll(soft, (3, 3), (0, 1)) - np.roll(soft, (-3, -3), (0, 1))
    tone = np.clip(130 - 90 * relief, 0, 255)[:, :, None]
    return np.asarray(np.repeat(tone, 3, axis=2), np.uint8)


def _tilted(pixels: UInt8Array, lean: float) -> UInt8Array:
    """See the square from the side: one edge shorter by twice `lean` of its length, the other left as it is."""
    import cv2

    corners = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]], np.float32)
    inset = abs(lean) * SIDE
    moved = corners.copy()
    far = [1, 2] if lean > 0 else [0, 3]
    moved[far, 1] += np.array([inset, -inset], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, moved)
    out: UInt8Array = cv2.warpPerspective(pixels, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return out
