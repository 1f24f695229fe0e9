"""A picture of a mark as what is looked for: its local features, and for a drawing its ink.

A reference is a drawing (one ink on an even ground, in any two colours) or a box in a photo of a real product. Both are
looked for by features; only a drawing says which ink belongs where, so only it is compared for alterations.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from imgmatch.types import FloatArray, Image, UInt8Array
from imgmatch.vision import geometry
from imgmatch.vision.geometry import Keypoints
from imgmatch.vision.marks.gradients import SQUARE, template
from imgmatch.vision.marks.network import described

__all__ = ["Ink", "MarkReference", "ink_map", "make_reference", "name_of", "rounded"]

SIDE = 160
"""Longer side in pixels of an ink map without its margin; a smaller reference is enlarged to it before it is described."""

SMALL = 80
"""Longer side of the small view of a reference: its coarse features are those that a small or blurred mark shows."""

MARGIN = 0.12
"""Ground kept around the mark, as a share of its longer side; it has to be ground in the photo too."""

LEAST = 12
"""Shorter side in pixels of the smallest reference."""

EVEN, INKED = 24, 40
"""Grey levels within which a colour is the ground's, and above which it is ink: guesses."""

TWO_COLOURS = 0.92
"""Share of a picture in two colours from which it is a drawing, though there is no even ground around it: with it 92 of 153
photos are named by drawings (``benchmarks/marks_real.py``, dev), without 87. Of 37 such open ones in `reference_logos` 34
have more (the others .56 to .90), of 351 boxes in dev photos of `logos_in_photos` none (the most .918)."""

MOST = 400
"""Features kept of each view of a reference."""

# A mark drawn in inverted colours is the same mark. For a SIFT descriptor that turns the dominant direction by 180 degrees
# and with it the 4x4 grid, while directions relative to the dominant one stay: rows and columns reverse.
_NEGATIVE = np.arange(128).reshape(4, 4, 8)[::-1, ::-1].ravel()


@dataclass(frozen=True, slots=True, eq=False)
class Ink:
    """A drawing as ink on ground.

    Parameters
    ----------
    share : ndarray, shape (h, w), float32
        In [0, 1], margin included: 0 ground, 1 ink.
    origin : tuple of float
        Position of its top left corner in the reference picture, original pixels.
    scale : float
        Original pixels of the reference picture per pixel.
    """

    share: FloatArray
    origin: tuple[float, float]
    scale: float


@dataclass(frozen=True, slots=True, eq=False)
class Swatch:
    """A piece of a pattern with what is around it.

    Parameters
    ----------
    image : Image
    origin : tuple of float
        Position of its top left corner in the reference picture, original pixels.
    """

    image: Image
    origin: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class MarkReference:
    """One picture of a brand's mark, ready to be looked for.

    Parameters
    ----------
    brand, photo, kind : str
        As in :class:`imgmatch.catalog.items.LogoReference`.
    box : tuple of float
        (x0, y0, x1, y1) of the mark in the reference picture, original pixels.
    keypoints : Keypoints
        In original pixels of the reference picture, of all views.
    cells : ndarray, shape (h, w, BINS), float32
        Its gradients, see :mod:`imgmatch.vision.marks.gradients`.
    square : ndarray, shape (h, w, BINS), float32
        The same, drawn as a square, without its outermost cells: what pictures of all proportions are compared by.
    learnt : ndarray, shape (3, 128), float32
        What the network says of it, see :mod:`imgmatch.vision.marks.network`.
    ink : Ink or None
        None for a box in a photo.
    swatch : Swatch or None
        Of a pattern alone.
    """

    brand: str
    photo: str
    kind: str
    box: tuple[float, float, float, float]
    keypoints: Keypoints
    cells: FloatArray
    square: FloatArray
    learnt: FloatArray
    ink: Ink | None
    swatch: Swatch | None

    def polygon(self) -> list[list[float]]:
        """Return the mark's corners in the reference picture, original pixels."""
        x0, y0, x1, y1 = self.box
        return rounded(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))


def name_of(references: Sequence[MarkReference]) -> str:
    """Return 16 hex digits that name what some references are made of: pictures, boxes, kinds and brands, in order."""
    made_of = [(r.brand, r.photo, r.kind, r.box) for r in references]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


def rounded(points: npt.NDArray[np.floating[Any]]) -> list[list[float]]:
    """Return points as evidence holds them: to a tenth of a pixel."""
    return [[round(float(x), 1), round(float(y), 1)] for x, y in points]


def make_reference(
    brand: str, photo: str, kind: str, image: Image, box: tuple[float, float, float, float] | None
) -> MarkReference:
    """Prepare one picture of a mark.

    Parameters
    ----------
    brand, photo, kind : str
    image : Image
    box : tuple of float or None
        (x0, y0, x1, y1) of the mark in original pixels; None for the whole picture.

    Raises
    ------
    ValueError
        Where the picture holds no mark: nothing stands out, or it has no corners to recognise it by.
    """
    pixels, scale, pad = image.pixels, image.scale, 0
    height, width = pixels.shape[:2]
    inside = (0, 0, width, height)
    drawing = box is None and (_even_border(pixels) or (kind != "monogram" and _two_colours(pixels)))
    if box is not None:
        inside = _within(box, image)
    ink = None
    if drawing:
        if kind != "monogram":  # a pattern goes on beyond its file
            pixels, pad = _on_ground(pixels)
        full, inside = ink_map(pixels)
        ink = _ink(full, inside, scale, pad)
    large = min(inside[2] - inside[0], inside[3] - inside[1]) >= LEAST
    points = _described(pixels, inside, scale, pad, negative=drawing) if large else None
    if points is None or not len(points):
        raise ValueError(f"the picture of the mark cannot be recognised: it is below {LEAST} pixels, or has no corners")
    left, top, right, bottom = (v - pad for v in inside)
    swatch = _swatch(image, (left, top, right, bottom)) if kind == "monogram" else None
    return MarkReference(
        brand,
        photo,
        kind=kind,
        box=(float(left * scale), float(top * scale), float(right * scale), float(bottom * scale)),
        keypoints=points,
        cells=template(pixels, inside),
        square=template(pixels, inside, SQUARE)[1:-1, 1:-1],
        learnt=described(pixels, inside),
        ink=ink,
        swatch=swatch,
    )


def _within(box: tuple[float, float, float, float], image: Image) -> tuple[int, int, int, int]:
    """Return the part of a box, between any two opposite corners, in a picture; in the pixels that were decoded."""
    height, width = image.pixels.shape[:2]
    (left, right), (top, bottom) = (sorted(round(v / image.scale) for v in box[n::2]) for n in (0, 1))
    inside = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        corners = ", ".join(f"{v:g}" for v in box)
        raise ValueError(
            f"the box of the mark, {corners}, holds nothing of its picture, {image.width} x {image.height} pixels"
        )
    return inside


def _on_ground(pixels: UInt8Array) -> tuple[UInt8Array, int]:
    """Return a drawing with ground all around it, and how wide: what is drawn up to the border of its file ends there."""
    pad = math.ceil(MARGIN * max(pixels.shape))
    whole = np.empty((pixels.shape[0] + 2 * pad, pixels.shape[1] + 2 * pad, 3), np.uint8)
    whole[:] = np.median(_border(pixels), axis=0)
    whole[pad:-pad, pad:-pad] = pixels
    return whole, pad


def _border(pixels: UInt8Array) -> FloatArray:
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.float32)


def _swatch(image: Image, box: tuple[int, int, int, int]) -> Swatch:
    x0, y0, x1, y1 = box
    room = max(x1 - x0, y1 - y0) // 2
    left, top = max(x0 - room, 0), max(y0 - room, 0)
    part = image.pixels[top : y1 + room, left : x1 + room]
    small = np.ascontiguousarray(geometry.shrink(part, 4 * SIDE))
    width, height = (round(n * image.scale) for n in (part.shape[1], part.shape[0]))
    return Swatch(replace(image, pixels=small, width=width, height=height), (left * image.scale, top * image.scale))


def _even_border(pixels: UInt8Array) -> bool:
    """Say whether a picture's border is of one colour, as that of a drawing is: nine tenths of it within `EVEN`."""
    border = _border(pixels)
    return bool((np.abs(border - np.median(border, axis=0)).max(axis=1) < EVEN).mean() > 0.9)


def _two_colours(pixels: UInt8Array) -> bool:
    """Say whether a picture is of two colours, as a drawing that is cut off at its ink."""
    away = np.abs(pixels - np.median(_border(pixels), axis=0)).max(axis=2)
    inked = pixels[away > INKED]
    if not len(inked):
        return False
    ink = np.abs(pixels - np.median(inked, axis=0)).max(axis=2)
    return bool((np.minimum(away, ink) < EVEN).mean() >= TWO_COLOURS)


def ink_map(pixels: UInt8Array) -> tuple[FloatArray, tuple[int, int, int, int]]:
    """Return a drawing as ink on ground, and the box of the ink.

    Parameters
    ----------
    pixels : ndarray, shape (H, W, 3), uint8
        The mark on an even ground that reaches the border.

    Returns
    -------
    ink : ndarray, shape (H, W), float32
        Distance of each pixel's colour from the ground's (median of the border), as a share of the ink's usual distance,
        clipped to [0, 1].
    box : tuple of int
        (x0, y0, x1, y1), half-open.

    Raises
    ------
    ValueError
        Where nothing stands out from the ground.
    """
    away = np.linalg.norm(pixels.astype(np.float32) - np.median(_border(pixels), axis=0), axis=2)
    drawn = away > INKED
    if drawn.sum() < 16:
        raise ValueError("the picture of the mark is empty: nothing stands out from its border's colour")
    ink = np.clip(away / np.median(away[drawn]), 0.0, 1.0)
    ys, xs = np.flatnonzero((ink > 0.5).any(axis=1)), np.flatnonzero((ink > 0.5).any(axis=0))
    return ink, (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1)


def _ink(full: FloatArray, box: tuple[int, int, int, int], scale: float, ground: int) -> Ink:
    import cv2

    x0, y0, x1, y1 = box
    tight = full[y0:y1, x0:x1]
    pad = round(MARGIN * max(tight.shape))
    padded = np.pad(tight, pad)
    left, top = x0 - pad - ground, y0 - pad - ground
    factor = SIDE * (1 + 2 * MARGIN) / max(padded.shape)
    size = (max(round(padded.shape[1] * factor), 8), max(round(padded.shape[0] * factor), 8))
    share = cv2.resize(padded, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    return Ink(np.asarray(share, np.float32), (left * scale, top * scale), scale * padded.shape[1] / size[0])


def _described(
    pixels: UInt8Array, box: tuple[int, int, int, int], scale: float, ground: int, *, negative: bool
) -> Keypoints:
    """Return the features of a mark as it is (enlarged where it is small), of a small view, and of their negatives.

    `ground` is how many pixels were added on each side of the picture, in whose own pixels the features are.
    """
    import cv2

    x0, y0, x1, y1 = box
    pad = max(round(0.08 * max(x1 - x0, y1 - y0)), 2)
    left, top = max(x0 - pad, 0), max(y0 - pad, 0)
    part = np.ascontiguousarray(pixels[top : y1 + pad, left : x1 + pad])
    longer = max(part.shape[:2])
    views = []
    for side in dict.fromkeys((min(max(longer, SIDE), 480), SMALL)):
        factor = side / longer
        size = (max(round(part.shape[1] * factor), 1), max(round(part.shape[0] * factor), 1))
        view = cv2.resize(part, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        found = geometry.extract(
            view, max_keypoints=MOST, scale=scale / factor, origin=((left - ground) * scale, (top - ground) * scale)
        )
        views.append(found)
        if negative:
            views.append(replace(found, angle=(found.angle + 180.0) % 360.0, descriptors=found.descriptors[:, _NEGATIVE]))
    joined = Keypoints(
        np.concatenate([v.xy for v in views]),
        np.concatenate([v.size for v in views]),
        angle=np.concatenate([v.angle for v in views]),
        descriptors=np.concatenate([v.descriptors for v in views]),
        width=(x1 + pad - ground) * scale,
        height=(y1 + pad - ground) * scale,
        scale=views[0].scale,
    )
    own = np.array([x0, y0, x1, y1]) - ground
    low, high = (own[:2] - pad / 2) * scale, (own[2:] + pad / 2) * scale
    return joined.take(np.flatnonzero(((joined.xy >= low) & (joined.xy <= high)).all(axis=1)))
